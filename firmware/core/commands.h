/*
 * commands.h: commands from their arrival to their last receipt (docs/protocol.md section 8).
 *
 * A ring keeps the outcomes of the last keys; a key known there is never executed again. Accepted
 * commands wait in a queue, in order, for the scan that executes one of them. There is no queue of
 * receipts: an outcome that has news is marked, and the link writes its receipt when it can. So a
 * slow link sees later stages only, never a wrong order.
 *
 * One ring entry is worth one key: while it is in the queue or being confirmed it is not given up,
 * and there are twice as many entries as commands that may be under way.
 */
#ifndef FW_COMMANDS_H
#define FW_COMMANDS_H

#include "cbor.h"
#include "clock.h"
#include "frame.h"
#include "runner.h"

/* What the gateway may have in flight to one controller, so that it never sees us refuse `busy`. */
#define FW_COMMAND_QUEUE FW_IN_FLIGHT_MAX

/* Our estimate trails the gateway's clock by the link's delay: an expiry 24 h ahead there looks a
 * little further here. */
#define FW_EXPIRY_SLACK_MS 60000u

typedef struct {
    uint64_t at; /* gateway time of the stage; 0 = not known */
    uint8_t key[FW_COMMAND_KEY_BYTES];
    uint32_t source; /* of the latest frame with this key: receipts go there */
    uint32_t correlation;
    uint32_t serial; /* rises from entry to entry: age, and a name that outlives the entry */
    uint8_t stage;
    uint8_t reason;
    bool final;
    bool unsent;       /* a receipt is due */
    bool is_from_here; /* of the controller's own page: no receipt leaves */
    uint8_t refused;   /* the number of the script's command that refused; FW_OUTCOME_NONE: none did */
} fw_outcome_t;

typedef struct {
    uint64_t expiry;
    int32_t arguments[FW_ARGUMENTS_MAX]; /* of others than a call: the value */
    uint8_t outcome;                     /* entry of the ring */
    uint8_t index;                       /* command, point, or cell of a parameter */
    uint8_t kind;                        /* fw_command_kind_t */
} fw_queued_t;

typedef struct {
    fw_outcome_t outcomes[FW_OUTCOMES_KEPT];
    fw_queued_t queue[FW_COMMAND_QUEUE];
    uint32_t serial;
    uint32_t executed; /* commands executed since boot */
    bool has_adjusted; /* a parameter, since whoever keeps them cleared this */
    uint8_t kept;
    uint8_t head;
    uint8_t queued;
} fw_commands_t;

#define FW_OUTCOME_NONE 0xFFu

_Static_assert(FW_OUTCOMES_KEPT > FW_COMMAND_QUEUE + 1u, "some outcome must always be final");

/* What a command is checked against, and the time it happens at. */
typedef struct {
    const fw_program_t *program;
    const fw_points_t *points;
    uint64_t time;
    bool time_known;
} fw_commands_scene_t;

/* A command to execute in this scan. */
typedef struct {
    fw_command_t command;
    uint8_t outcome;
} fw_execution_t;

void fw_commands_init(fw_commands_t *commands);

/* Takes a command frame whose payload was opened. FW_CODE_OK: receipts tell the rest. Another code:
 * it has no usable key, so a response must tell. */
fw_code_t fw_commands_take(fw_commands_t *commands, const fw_commands_scene_t *scene,
                           const fw_frame_header_t *header, const fw_cbor_map_t *payload);

/* Checks a `set`, an `adjust`, or a `call`, by names; what it comes to goes into `queued`. OK, or why not. */
fw_code_t fw_commands_resolve_set(const fw_commands_scene_t *scene, fw_span_t name, int64_t value,
                                  fw_queued_t *queued);
fw_code_t fw_commands_resolve_adjust(const fw_commands_scene_t *scene, fw_span_t name,
                                     int64_t value, fw_queued_t *queued);
fw_code_t fw_commands_resolve_call(const fw_commands_scene_t *scene, fw_span_t name,
                                   const int64_t *arguments, uint8_t count, fw_queued_t *queued);

/* Takes a resolved command of somebody at the controller itself. It does not expire, and no receipt
 * leaves; its cause names the controller's own address. Its serial, or 0: too many wait. */
uint32_t fw_commands_take_here(fw_commands_t *commands, const fw_commands_scene_t *scene,
                               uint32_t own_address, const fw_queued_t *queued);

/* The next command to execute; those that have expired are ended on the way. */
bool fw_commands_next(fw_commands_t *commands, const fw_commands_scene_t *scene,
                      fw_execution_t *execution);

/* The scan's outputs are written; or the script refused. */
void fw_commands_finish(fw_commands_t *commands, const fw_commands_scene_t *scene,
                        const fw_execution_t *execution, fw_result_t result);

/* The feedback that a command waited for followed, or did not in time. */
void fw_commands_settle(fw_commands_t *commands, const fw_commands_scene_t *scene, uint8_t outcome,
                        bool confirmed);

/* Another script is to run: what still waits to be executed was meant for the one before, and is refused. */
void fw_commands_drop(fw_commands_t *commands, const fw_commands_scene_t *scene);

/* A new session: the gateway asks for outcomes itself, so what was not sent is not due any more. */
void fw_commands_forget_receipts(fw_commands_t *commands);

/* The oldest outcome with a receipt due, or FW_OUTCOME_NONE. */
uint8_t fw_commands_unsent(const fw_commands_t *commands);

/* Writes an outcome's receipt. */
void fw_commands_receipt_write(const fw_outcome_t *outcome, const fw_program_t *program,
                               fw_cbor_writer_t *writer);

/* The kind that a verb belongs under; 0 for verbs we do not know. */
uint8_t fw_verb_kind(uint64_t verb);

/* Judges a request's verb, which comes before any other field: OK if it belongs under `kind`, else
 * BAD_FIELD, UNSUPPORTED or WRONG_KIND. `*verb` is its number; 0 if it has none that could be told. */
fw_code_t fw_verb_read(const fw_cbor_map_t *payload, uint8_t kind, uint16_t *verb);

/* The entry of a key, or of a serial; FW_OUTCOME_NONE if it is not kept (any more). */
uint8_t fw_commands_find(const fw_commands_t *commands, const uint8_t key[FW_COMMAND_KEY_BYTES]);
uint8_t fw_commands_find_serial(const fw_commands_t *commands, uint32_t serial);

#endif
