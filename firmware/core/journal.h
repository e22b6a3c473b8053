/*
 * journal.h: a small state kept in a ring of flash sectors, through any power cut.
 *
 * The one place where power loss is thought about. An owner (slots.h, retain.h, logbook.h,
 * update.h) keeps its state in RAM, tells each change as a record, and can tell its whole state as
 * records anew (`carry`). Layout and proof: docs/storage.md, section 3. In short:
 *
 *   sector:  header | carried records | end record | changes …
 *   record:  head | payload | CRC | seal 1 | seal 2
 *
 * - A run of the firmware programs only sectors that it has erased itself: its first change opens
 *   the next sector, so what a cut has left half programmed is never programmed again.
 * - Body, first seal and second seal are programmed one after the other. A cut may leave bits that
 *   read differently each time, but only in the last thing programmed. So: the second seal reads
 *   right → the first is solid; the first seal reads right → the body is solid.
 *
 *       seal 1   seal 2
 *       right    right    counts
 *       right    wrong    counts; first of all the state is written anew elsewhere (healing)
 *       wrong    any      does not count; if the CRC is right, healing as well
 *
 *   A sector counts by the same rule, by the seals of its end record; those of the carried records
 *   before it stay blank. The newest that counts holds.
 * - Nobody is told a state before it is healed (fw_journal_is_settled), so what was seen once, old
 *   or new, is seen after every later boot too.
 * - A sector that holds, and one that has to stand in for it, are never erased. Hence three sectors
 *   at least.
 *
 * Wear is bounded whatever an owner does: a journal may open FW_JOURNAL_TURNS_MAX sectors at once,
 * and then one in FW_JOURNAL_TURN_MS. Four sectors of 100,000 erases last 11.4 years at that rate.
 * The count is in RAM, so that each boot begins with the first number again.
 */
#ifndef FW_JOURNAL_H
#define FW_JOURNAL_H

#include "flash.h"

#define FW_JOURNAL_WORDS_MAX 36u /* of a record's payload: 144 bytes */
#define FW_JOURNAL_SECTORS_MIN 3u
#define FW_JOURNAL_SECTORS_MAX 8u
#define FW_JOURNAL_TURNS_MAX 16u
#define FW_JOURNAL_TURN_MS 900000u

/* Bytes of a header, and of a record besides its payload. */
#define FW_JOURNAL_HEADER_BYTES 12u
#define FW_JOURNAL_RECORD_BYTES 16u

/* Room in a sector for records of an owner, its own end record taken off. */
#define FW_JOURNAL_ROOM_BYTES                                                                      \
    (FW_SECTOR_BYTES - FW_JOURNAL_HEADER_BYTES - FW_JOURNAL_RECORD_BYTES)

/* Kinds of records are the owner's, below this one. */
#define FW_JOURNAL_END 0x7Fu

typedef struct {
    uint8_t kind;
    uint8_t count; /* words of payload */
    uint32_t words[FW_JOURNAL_WORDS_MAX];
} fw_journal_record_t;

/* Tells the owner's state as of now: its record number `at`, from 0 on; false if there are no more.
 * All of them fit FW_JOURNAL_ROOM_BYTES. Asked over several steps, during which the state must not
 * change; and from 0 again if flash has failed. May read the journal. */
typedef bool (*fw_journal_carry_t)(void *owner, uint16_t at, fw_journal_record_t *record);

typedef enum {
    FW_JOURNAL_IDLE = 0,
    FW_JOURNAL_ERASE, /* opening a sector */
    FW_JOURNAL_HEADER,
    FW_JOURNAL_CARRY,
    FW_JOURNAL_END_SEAL_1,
    FW_JOURNAL_END_SEAL_2,
    FW_JOURNAL_SEAL_1, /* of a change */
    FW_JOURNAL_SEAL_2,
} fw_journal_phase_t;

typedef struct {
    fw_flash_t *flash;
    fw_journal_carry_t carry;
    void *owner;
    uint32_t address;     /* of the first sector */
    uint32_t sequence;    /* the highest in any sector */
    uint32_t turned_ms;   /* when `turns` was worked out last */
    uint16_t end;         /* where the next record goes, in the sector that holds */
    uint16_t into;        /* the same, in the one being opened */
    uint16_t carried;     /* records so far */
    uint8_t sectors;
    uint8_t current;      /* the sector that holds, or FW_JOURNAL_NONE */
    uint8_t keeper;       /* the one that would stand in for it, or FW_JOURNAL_NONE */
    uint8_t target;       /* the one being opened */
    uint8_t phase;        /* fw_journal_phase_t */
    uint8_t turns;        /* sectors that may be opened at once */
    uint8_t tries;        /* sectors that would not be opened, one after the other */
    bool is_open;         /* this run has opened `current` */
    bool must_rewrite;    /* the state is to go into a new sector */
    bool has_failed;      /* and no sector took it */
    bool has_time;        /* `turned_ms` tells something */
    bool was_settled;     /* since boot, or since flash failed last */
} fw_journal_t;

#define FW_JOURNAL_NONE 0xFFu

/* Finds what holds. Then read it by fw_journal_next, and step until the journal is settled before
 * anybody is told of it. */
void fw_journal_open(fw_journal_t *journal, fw_flash_t *flash, uint32_t address, uint8_t sectors,
                     fw_journal_carry_t carry, void *owner);

/* The record at `*at` (0 = the first) of those that hold, and moves on; false if there are no
 * more. */
bool fw_journal_next(fw_journal_t *journal, uint16_t *at, fw_journal_record_t *record);

/* Whether fw_journal_append would take a record of so many words now. */
bool fw_journal_has_room(const fw_journal_t *journal, uint8_t words);

/* Programs a record's body; steps seal it. False: flash has failed, and the state that `carry`
 * tells goes into a new sector. Needs fw_journal_has_room. */
bool fw_journal_append(fw_journal_t *journal, uint8_t kind, const uint32_t *words, uint8_t count);

/* Tells a change that the owner's state already has: as a record, or if there is no room as a new
 * sector. The journal must be idle. */
void fw_journal_put(fw_journal_t *journal, uint8_t kind, const uint32_t *words, uint8_t count);

/* The whole state into a new sector, as one change. The journal must be idle. */
void fw_journal_rewrite(fw_journal_t *journal);

/* At most one erase or program. How long the journal may be left alone then, in milliseconds:
 * FW_FLASH_NEVER = until it is asked for something. */
uint32_t fw_journal_step(fw_journal_t *journal, uint32_t now_ms);

/* Whether nothing is under way: the owner's state may change. */
static inline bool fw_journal_is_idle(const fw_journal_t *journal)
{
    return journal->phase == FW_JOURNAL_IDLE && !journal->must_rewrite;
}

/* Whether every record that fw_journal_next gives will be there after any cut. */
static inline bool fw_journal_is_readable(const fw_journal_t *journal)
{
    return journal->was_settled && journal->phase < FW_JOURNAL_SEAL_1;
}

/* Whether `carry` is being asked: the owner's state must stand still. */
static inline bool fw_journal_is_carrying(const fw_journal_t *journal)
{
    return journal->phase >= FW_JOURNAL_HEADER && journal->phase <= FW_JOURNAL_END_SEAL_2;
}

/* Whether what the owner told last will be there after any cut. */
static inline bool fw_journal_is_settled(const fw_journal_t *journal)
{
    return fw_journal_is_idle(journal) && !journal->has_failed;
}

#endif
