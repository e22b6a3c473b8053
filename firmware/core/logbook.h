/*
 * logbook.h: what happened: why outputs changed, and events on their way to the gateway.
 *
 * Both are entries of 28 bytes that the caller makes up, numbered in one row as they come. They
 * wait in RAM, eight of them, and go to flash in batches of four, or when the oldest has waited for
 * FW_LOGBOOK_CAUSE_WAIT_MS (an event: FW_LOGBOOK_EVENT_WAIT_MS).
 *
 *   causes  the newest 32 are kept at least, up to 130 at most
 *   events  kept until acknowledged, but at most the newest 32; those beyond are lost, and counted.
 *           The newest of all is kept even then: its words tell how things stood after it.
 *           One leaves only once it is in flash, and its number is given out once ever, so that a
 *           gateway can tell a second delivery, which a cut before the acknowledgement was written
 *           makes, by its number.
 *
 * A cut loses what waits in RAM. When the journal may not open a sector yet (journal.h bounds wear
 * to 11.4 years), entries wait for longer, and beyond eight the oldest of them are lost, causes
 * before events, and counted. The last FW_LOGBOOK_TURNS_KEPT sectors that may be opened at once are
 * for what is saved at once: an alarm does not wait because an output flaps.
 */
#ifndef FW_LOGBOOK_H
#define FW_LOGBOOK_H

#include "journal.h"

#define FW_LOGBOOK_ENTRY_WORDS 7u /* of the caller's */
#define FW_LOGBOOK_WAITING_MAX 8u
#define FW_LOGBOOK_CAUSES_KEPT 32u
#define FW_LOGBOOK_EVENTS_KEPT 32u
#define FW_LOGBOOK_CAUSE_WAIT_MS 60000u
#define FW_LOGBOOK_EVENT_WAIT_MS 2000u
#define FW_LOGBOOK_TURNS_KEPT 4u

typedef enum {
    FW_LOGBOOK_CAUSE = 0,
    FW_LOGBOOK_EVENT = 1,
} fw_logbook_class_t;

typedef struct {
    uint32_t number; /* from 1 to 2^31 - 1 */
    uint32_t words[FW_LOGBOOK_ENTRY_WORDS];
} fw_logbook_entry_t;

typedef struct {
    fw_journal_t journal;
    fw_logbook_entry_t waiting[FW_LOGBOOK_WAITING_MAX]; /* oldest first, numbers as in flash */
    uint32_t last;            /* the number given out last */
    uint32_t acknowledged;    /* events up to this one have arrived */
    uint32_t lost;            /* entries since boot that never reached flash, or left it unread */
    uint32_t waits_since_ms;  /* the oldest of `waiting` */
    uint32_t carried;         /* `acknowledged` when the sector being written was begun */
    uint16_t skip_causes;     /* while a sector is written: entries that are not carried on, ... */
    uint16_t skip_events;     /* ... of either class, ... */
    uint16_t record;          /* ... where the record is that is being carried on, ... */
    uint16_t behind;          /* ... and its entries that are behind us */
    uint32_t newest;          /* ... and the newest event's number, as in flash */
    uint8_t waiting_count;
    bool has_event;           /* among `waiting` */
    uint8_t urgent;           /* of `waiting`, from the front: to be saved at once */
    bool must_acknowledge;    /* `acknowledged` is not in flash yet */
} fw_logbook_t;

/* Reads what is there. Step until fw_logbook_is_settled before anything is read. */
void fw_logbook_open(fw_logbook_t *logbook, fw_flash_t *flash);

/* Takes an entry; its number. Never refuses: what there is no room for is counted in `lost`. */
uint32_t fw_logbook_add(fw_logbook_t *logbook, fw_logbook_class_t class,
                        const uint32_t words[FW_LOGBOOK_ENTRY_WORDS], uint32_t now_ms);

/* Whether an event would find room without driving another one out. */
bool fw_logbook_has_room(const fw_logbook_t *logbook);

/* Numbers go on behind this one: the gateway has it, and the flash that told so is lost. */
void fw_logbook_go_on_after(fw_logbook_t *logbook, uint32_t number);

/* What waits goes to flash at the next steps: an alarm, and before a restart. */
void fw_logbook_save_now(fw_logbook_t *logbook);

/* The newest cause with a number below `before` (UINT32_MAX: the newest of all), also out of RAM.
 * Its own number is what to go on with. False: there is none. */
bool fw_logbook_cause_before(fw_logbook_t *logbook, uint32_t before, fw_logbook_entry_t *entry);

/* The oldest cause with a number above `after` (0: the oldest of all). */
bool fw_logbook_cause_after(fw_logbook_t *logbook, uint32_t after, fw_logbook_entry_t *entry);

/* The oldest event in flash above `after` that is not acknowledged: the next to be delivered. */
bool fw_logbook_event_after(fw_logbook_t *logbook, uint32_t after, fw_logbook_entry_t *entry);

/* The newest event in flash, whether it has arrived or not. False: there was none for long. */
bool fw_logbook_newest_event(fw_logbook_t *logbook, fw_logbook_entry_t *entry);

/* Whether the event of that number is in flash, arrived or not. */
bool fw_logbook_has_event(fw_logbook_t *logbook, uint32_t number);

/* Events in flash that have not arrived. */
uint16_t fw_logbook_unread(fw_logbook_t *logbook);

/* Events up to this number have arrived, and never leave again once that is in flash. */
void fw_logbook_acknowledge(fw_logbook_t *logbook, uint32_t number);

/* At most one erase or program. How long it may be left alone then, if nothing is added
 * meanwhile. */
uint32_t fw_logbook_step(fw_logbook_t *logbook, uint32_t now_ms);

static inline bool fw_logbook_is_settled(const fw_logbook_t *logbook)
{
    return fw_journal_is_settled(&logbook->journal);
}

#endif
