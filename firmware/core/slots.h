/*
 * slots.h: what is kept whole and in two copies: the script, the settings, the recorder's dump.
 *
 * Each of them is a pair of slots, A and B. A new version is written into the slot that is not
 * active, read back, and only then made active, by one record in a journal (journal.h) that tells
 * of all pairs. Slots hold content and nothing else: whether it counts is never read from a slot,
 * for a word there whose programming was cut may read differently each time, and with two slots
 * there is no third place to heal it in.
 *
 *   fw_slots_begin          fw_slots_write …         fw_slots_finish
 *   ──────────────▶ ERASING ─────▶ WRITING ─────────▶ CHECKING ─────▶ RECORDING ─────▶ IDLE
 *                      │              │ fw_slots_abort    │ flash has failed
 *                      └──────────────┴───────────────────┴──▶ IDLE, nothing has changed
 *
 * A pair:
 *
 *            finish                       finish on trial
 *   ┌──────────┐  ┌───────────────────────────────────────────┐
 *   │          ▼  │                                           ▼
 *   └──── committed: the active slot            on trial: the active slot is new, the other one
 *         is what runs; the other               is whole and stays so; no save begins
 *         one may be overwritten ◀──────────────────┤    │
 *               ▲                 fw_slots_commit        │ fw_slots_revert, or any boot
 *               └────────────────────────────────────────┘
 *                            the other slot is active again
 *
 * One save at a time, of whichever pair.
 */
#ifndef FW_SLOTS_H
#define FW_SLOTS_H

#include "journal.h"

typedef enum {
    FW_PAIR_SCRIPT = 0,
    FW_PAIR_SETTINGS,
    FW_PAIR_DUMP,
    FW_PAIRS,
} fw_pair_t;

/* Parts of a slot. Settings and dumps have the first one only. */
typedef enum {
    FW_PART_SOURCE = 0, /* the script's text, or all there is */
    FW_PART_CODE,       /* words */
    FW_PART_TABLE,      /* words */
    FW_PARTS,
} fw_part_t;

/* A version in a slot. */
typedef struct {
    uint32_t generation; /* counts a pair's versions from 1; 0 = never written */
    uint32_t crc;        /* over the parts, each filled up to words with 0xFF */
    uint16_t bytes[FW_PARTS];
} fw_slot_t;

typedef struct {
    fw_slot_t slots[2];
    uint8_t active; /* 0 or 1 */
    bool is_trial;
} fw_slot_pair_t;

typedef enum {
    FW_SLOTS_IDLE = 0,
    FW_SLOTS_ERASING,
    FW_SLOTS_WRITING,
    FW_SLOTS_CHECKING,
    FW_SLOTS_RECORDING,
} fw_slots_state_t;

typedef enum {
    FW_SLOTS_OK = 0,
    FW_SLOTS_BUSY,     /* a save or a record is under way, or the pair is on trial */
    FW_SLOTS_TOO_LONG, /* the part is full */
    FW_SLOTS_FAULT,    /* flash has failed: nothing has changed */
} fw_slots_answer_t;

typedef struct {
    fw_journal_t journal;
    fw_slot_pair_t pairs[FW_PAIRS];
    fw_slot_pair_t next; /* what `pair` becomes when the record is in the journal */
    fw_flash_stream_t source;
    uint32_t checked; /* bytes gone by: of the slot when erasing, of `part` when checking */
    uint8_t part;
    uint8_t pair;         /* the one that is being changed */
    uint8_t state;        /* fw_slots_state_t */
    bool is_source_whole; /* its last word is programmed */
    bool is_recorded;     /* the journal has been given `next` */
    bool has_failed;      /* the last save or record */
    bool was_damaged[FW_PAIRS];  /* what was active had aged; the other, or none, is active now */
    bool was_reverted[FW_PAIRS]; /* the boot has found a trial without an end */
} fw_slots_t;

/* Where a version lies. */
typedef struct {
    uint32_t generation;
    uint32_t address[FW_PARTS];
    uint16_t bytes[FW_PARTS];
} fw_slot_view_t;

/* Reads the journal, ends trials, and checks the active slots' content in one go: at boot. Then
 * step until fw_slots_is_ready before anything is read. */
void fw_slots_open(fw_slots_t *slots, fw_flash_t *flash);
bool fw_slots_is_ready(const fw_slots_t *slots);

/* At most one erase or program. How long it may be left alone then; FW_FLASH_NEVER = until
 * asked. */
uint32_t fw_slots_step(fw_slots_t *slots, uint32_t now_ms);

/* The active version; false if there is none, or nothing in it. */
bool fw_slots_active(const fw_slots_t *slots, fw_pair_t pair, fw_slot_view_t *view);

/* The version whose generation ends in these bits, active or not, as long as it is whole; false if
 * it is gone. One that is not active is read all over to tell. */
bool fw_slots_find(const fw_slots_t *slots, fw_pair_t pair, uint16_t generation,
                   fw_slot_view_t *view);

/* Begins a save. When the state has become WRITING, write. */
fw_slots_answer_t fw_slots_begin(fw_slots_t *slots, fw_pair_t pair);

/* The number of the version being saved; that of a trial's mark (retain.h). */
uint32_t fw_slots_next_generation(const fw_slots_t *slots);

/* Appends bytes to the part FW_PART_SOURCE: at most FW_FLASH_SLICE_BYTES a call, from the front;
 * `taken` tells how many. */
fw_slots_answer_t fw_slots_write(fw_slots_t *slots, const uint8_t *bytes, size_t length,
                                 size_t *taken);

/* Ends the part FW_PART_SOURCE: from now on all of it can be read back, where fw_slots_written
 * says. */
fw_slots_answer_t fw_slots_end_source(fw_slots_t *slots);

/* Appends a word to FW_PART_CODE or FW_PART_TABLE. */
fw_slots_answer_t fw_slots_append(fw_slots_t *slots, fw_part_t part, uint32_t word);

/* What has been written so far, to compile from. Only while WRITING. */
void fw_slots_written(const fw_slots_t *slots, fw_slot_view_t *view);

/* Checks and records what was written. It has become active when the state is IDLE again and
 * `has_failed` is false. */
fw_slots_answer_t fw_slots_finish(fw_slots_t *slots, bool is_trial);

/* Gives up a save that is not yet being recorded. */
void fw_slots_abort(fw_slots_t *slots);

/* Ends a trial; done when the state is IDLE again. Busy also if there is none. */
fw_slots_answer_t fw_slots_commit(fw_slots_t *slots, fw_pair_t pair);
fw_slots_answer_t fw_slots_revert(fw_slots_t *slots, fw_pair_t pair);

#endif
