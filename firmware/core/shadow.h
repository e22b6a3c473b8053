/*
 * shadow.h: a scan that a person looks into: run again on a copy, up to a statement, then from one to the next.
 *
 * The scans themselves and their outputs go on meanwhile; the copy changes nothing but itself. A statement
 * is reached when the branch that it is in is taken, so a shadow waits for a scan in which that is so.
 */
#ifndef FW_SHADOW_H
#define FW_SHADOW_H

#include "vm.h"

/* How long it waits, and stays where nobody steps on. */
#define FW_SHADOW_MS 60000u

typedef enum {
    FW_SHADOW_NONE = 0,
    FW_SHADOW_WAITING, /* for a scan that reaches the statement */
    FW_SHADOW_STOPPED, /* before it */
    FW_SHADOW_ENDED,   /* behind the last one */
} fw_shadow_state_t;

/* Fields are the shadow's own. */
typedef struct {
    fw_vm_t vm; /* as a scan found it, and as far as that was run again */
    fw_vm_walk_t walk;
    fw_vm_call_t call;
    fw_statement_t at; /* where it stands, or is to stop */
    uint32_t touched_ms;
    uint8_t state; /* fw_shadow_state_t */
    bool has_copy; /* of a scan that was not looked into yet */
} fw_shadow_t;

/* Looks for the first statement in that line or behind it. False: there is none. */
bool fw_shadow_find(const fw_program_t *program, uint16_t line, fw_statement_t *statement);

/* Waits for a scan that reaches that statement of the program that is run. */
void fw_shadow_begin(fw_shadow_t *shadow, const fw_statement_t *statement, uint32_t now_ms);

/* Before each scan: its inputs latched, its command in `call` or in its cell. A copy, and no more. */
void fw_shadow_take(fw_shadow_t *shadow, const fw_vm_t *vm, uint32_t now_ms,
                    const fw_vm_call_t *call);

/* After it: runs what it took, up to the statement. */
void fw_shadow_look(fw_shadow_t *shadow, uint32_t now_ms);

/* Goes on to the next statement that is reached, or to the end. False: it stands at none. */
bool fw_shadow_step(fw_shadow_t *shadow, uint32_t now_ms);

/* Whether it has waited, or nobody has stepped on, for FW_SHADOW_MS. */
bool fw_shadow_is_over(const fw_shadow_t *shadow, uint32_t now_ms);

#endif
