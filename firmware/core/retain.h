/*
 * retain.h: the values that a script keeps while the power is off: `retain`, and `param`.
 *
 * A value is known by its name and type. The table in RAM holds those of the running script, and
 * flash follows it: changed values at most once in FW_RETAIN_SAVE_MS, counters that have only
 * advanced once in FW_RETAIN_COUNTER_SAVE_MS, as one record for up to 16 of them. A cut loses what
 * is younger than that; it never mixes, within one record, old values with new ones.
 *
 * Starting a script: fw_retain_unbind; fw_retain_claim for each of its names; fw_retain_prune,
 * which forgets all others; and then fw_retain_bind for each. A name with the same type keeps its
 * value, a new one begins at its initial one. All this only while settled.
 *
 * A trial: fw_retain_mark before its script is recorded (with that script's generation, slots.h),
 * and at its end fw_retain_keep or fw_retain_restore. The mark holds all values as they were;
 * restoring brings them back, but a counter that has advanced since keeps what it has. Both stores
 * are atomic each for itself, so a cut may fall between them: at boot fw_retain_settle sets that
 * right.
 *
 * Wear (docs/storage.md, section 8): a record of one value takes 24 bytes. A busy script, which
 * changes one of ten values every minute and advances five counters, erases each of the four
 * sectors 1,004 times in a simulated year: at 100,000 erases they last 99 years. Whatever a script
 * does: 11.4.
 */
#ifndef FW_RETAIN_H
#define FW_RETAIN_H

#include "journal.h"

/* As many as a script can have variables. */
#ifndef FW_RETAIN_MAX
#define FW_RETAIN_MAX 128u
#endif

#define FW_RETAIN_SAVE_MS 60000u
#define FW_RETAIN_COUNTER_SAVE_MS 900000u

#define FW_RETAIN_NONE 0xFFu

/* The highest bit of a key: this value only ever advances, and a revert does not take that back. */
#define FW_RETAIN_COUNTER 0x80000000u

typedef struct {
    uint32_t key; /* of name and type; the highest bit: FW_RETAIN_COUNTER */
    int32_t value;
} fw_retained_t;

typedef struct {
    fw_journal_t journal;
    fw_retained_t values[FW_RETAIN_MAX];
    uint32_t dirty[(FW_RETAIN_MAX + 31u) / 32u]; /* not in flash yet */
    uint32_t saving[(FW_RETAIN_MAX + 31u) / 32u]; /* the part of them whose time has come */
    uint32_t bound[(FW_RETAIN_MAX + 31u) / 32u]; /* claimed, or bound */
    uint32_t saved_ms;         /* the last save of values ... */
    uint32_t counters_saved_ms; /* ... and of counters, too */
    uint32_t mark;             /* the generation it was set for; 0 = no mark */
    uint16_t marked_at;        /* while a sector is written: the next of the mark's records */
    uint8_t count;
    bool is_marking; /* the sector being written has the mark's records from the table */
    bool is_urgent;  /* fw_retain_save_now */
    bool must_rewrite; /* names were forgotten */
    bool has_time;   /* the two times tell something */
} fw_retain_t;

/* The key of a name and its type (fw_type_t). Two names of one script may have the same key, by
 * odds of one in a million for 64 of them; fw_retain_bind finds that out. */
uint32_t fw_retain_key(fw_span_t name, uint8_t type);

/* Reads all values. Then settle a mark, and step until fw_retain_is_settled, before a script
 * starts. */
void fw_retain_open(fw_retain_t *retain, fw_flash_t *flash);

/* Ends a mark that outlived its trial: keeps the values if the script of that generation has been
 * committed, else restores those of the mark. `committed` is the generation of the script that is
 * to run (0 = none). */
void fw_retain_settle(fw_retain_t *retain, uint32_t committed);

void fw_retain_unbind(fw_retain_t *retain);

/* A name's value is to be kept, if there is one. */
void fw_retain_claim(fw_retain_t *retain, uint32_t key);

/* Forgets what was not claimed. Places change. */
void fw_retain_prune(fw_retain_t *retain);

/* The place of a name's value in `values`. FW_RETAIN_NONE: the table is full, or the key is that of
 * another name; the variable then works and is not retained. */
uint8_t fw_retain_bind(fw_retain_t *retain, uint32_t key, bool is_counter, int32_t initial);

/* A value is now so. False: a sector is being written; tell it again later. */
bool fw_retain_put(fw_retain_t *retain, uint8_t at, int32_t value);

/* Saves what is not in flash yet at the next steps: before a restart, or when a person has set
 * it. */
void fw_retain_save_now(fw_retain_t *retain);

/* Each false: busy, ask again later. Done when fw_retain_is_settled. */
bool fw_retain_mark(fw_retain_t *retain, uint32_t generation);
bool fw_retain_keep(fw_retain_t *retain);
bool fw_retain_restore(fw_retain_t *retain);

/* At most one erase or program. How long it may be left alone then. */
uint32_t fw_retain_step(fw_retain_t *retain, uint32_t now_ms);

/* Whether no record is being written, and the last one will be there after any cut. Values may
 * still wait for their time. */
static inline bool fw_retain_is_settled(const fw_retain_t *retain)
{
    return fw_journal_is_settled(&retain->journal);
}

#endif
