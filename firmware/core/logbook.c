/*
 * logbook.c: see logbook.h; section 6 of docs/storage.md has the records.
 */
#include "logbook.h"

/* Kinds of records: up to four entries, or the number that is acknowledged. */
enum { KIND_ENTRIES = 1, KIND_ACKNOWLEDGED = 2 };

/* Words of an entry with its number, and entries in a record. */
enum { ENTRY_WORDS = FW_LOGBOOK_ENTRY_WORDS + 1, BATCH_MAX = 4 };

/* The highest bit of a number in flash. */
#define IS_EVENT 0x80000000u

/* The newest event is kept besides. */
#define ENTRIES_KEPT (FW_LOGBOOK_CAUSES_KEPT + FW_LOGBOOK_EVENTS_KEPT + 1u)
_Static_assert(ENTRIES_KEPT * ENTRY_WORDS * 4u +
                       (ENTRIES_KEPT / BATCH_MAX + 1u) * FW_JOURNAL_RECORD_BYTES + 4u <
                   FW_JOURNAL_ROOM_BYTES * 2u / 3u,
               "what is kept must leave a third of a sector for what comes");
_Static_assert(BATCH_MAX * ENTRY_WORDS <= FW_JOURNAL_WORDS_MAX, "a batch is a record");

static bool is_event(const fw_logbook_entry_t *entry)
{
    return (entry->number & IS_EVENT) != 0u;
}

static fw_logbook_entry_t entry_of(const fw_journal_record_t *record, uint16_t at)
{
    fw_logbook_entry_t entry = {.number = record->words[at * ENTRY_WORDS]};
    for (uint8_t i = 0; i < FW_LOGBOOK_ENTRY_WORDS; i++) {
        entry.words[i] = record->words[at * ENTRY_WORDS + 1 + i];
    }
    return entry;
}

static void entry_to_words(const fw_logbook_entry_t *entry, uint32_t *words)
{
    words[0] = entry->number;
    for (uint8_t i = 0; i < FW_LOGBOOK_ENTRY_WORDS; i++) {
        words[1 + i] = entry->words[i];
    }
}

static uint16_t entries_in(const fw_journal_record_t *record)
{
    return record->kind == KIND_ENTRIES ? (uint16_t)(record->count / ENTRY_WORDS) : 0u;
}

/* Whether an entry is an event that had not arrived when the new sector was begun. */
static bool is_unread(const fw_logbook_t *logbook, const fw_logbook_entry_t *entry)
{
    return is_event(entry) && (entry->number & ~IS_EVENT) > logbook->carried;
}

/* ---- a new sector ---- */

/* Counts what there is, to know how much of it is too old. */
static void begin_carrying(fw_logbook_t *logbook)
{
    logbook->carried = logbook->acknowledged;
    logbook->newest = 0;
    uint16_t causes = 0;
    uint16_t events = 0;
    uint16_t at = 0;
    fw_journal_record_t record;
    while (fw_journal_next(&logbook->journal, &at, &record)) {
        for (uint16_t i = 0; i < entries_in(&record); i++) {
            fw_logbook_entry_t entry = entry_of(&record, i);
            causes = (uint16_t)(causes + !is_event(&entry));
            events = (uint16_t)(events + is_unread(logbook, &entry));
            logbook->newest = is_event(&entry) ? entry.number : logbook->newest;
        }
    }
    logbook->skip_causes = causes > FW_LOGBOOK_CAUSES_KEPT
                               ? (uint16_t)(causes - FW_LOGBOOK_CAUSES_KEPT)
                               : 0u;
    logbook->skip_events = events > FW_LOGBOOK_EVENTS_KEPT
                               ? (uint16_t)(events - FW_LOGBOOK_EVENTS_KEPT)
                               : 0u;
    logbook->lost += logbook->journal.tries == 0u ? logbook->skip_events : 0u;
    logbook->record = 0;
    logbook->behind = 0;
}

/* Whether an entry goes on into the next sector. */
static bool is_kept(fw_logbook_t *logbook, const fw_logbook_entry_t *entry)
{
    if (is_event(entry) && !is_unread(logbook, entry)) {
        return entry->number == logbook->newest;
    }
    uint16_t *skip = is_event(entry) ? &logbook->skip_events : &logbook->skip_causes;
    if (*skip > 0u) {
        (*skip)--;
        return false;
    }
    return true;
}

static bool carry(void *owner, uint16_t at, fw_journal_record_t *record)
{
    fw_logbook_t *logbook = owner;
    if (at == 0u) {
        begin_carrying(logbook);
        *record = (fw_journal_record_t){
            .kind = KIND_ACKNOWLEDGED, .count = 1, .words = {logbook->carried}};
        return true;
    }
    record->kind = KIND_ENTRIES;
    record->count = 0;
    fw_journal_record_t old;
    uint16_t next = logbook->record;
    while (fw_journal_next(&logbook->journal, &next, &old)) {
        for (uint16_t i = logbook->behind; i < entries_in(&old); i++) {
            fw_logbook_entry_t entry = entry_of(&old, i);
            if (record->count == BATCH_MAX * ENTRY_WORDS) {
                logbook->behind = i;
                return true;
            }
            if (is_kept(logbook, &entry)) {
                entry_to_words(&entry, record->words + record->count);
                record->count = (uint8_t)(record->count + ENTRY_WORDS);
            }
        }
        logbook->record = next;
        logbook->behind = 0;
    }
    return record->count > 0u;
}

/* ---- reading ---- */

void fw_logbook_open(fw_logbook_t *logbook, fw_flash_t *flash)
{
    *logbook = (fw_logbook_t){.last = 0};
    fw_journal_open(&logbook->journal, flash, FW_LAYOUT_LOG, FW_LAYOUT_LOG_SECTORS, carry, logbook);
    uint16_t at = 0;
    fw_journal_record_t record;
    while (fw_journal_next(&logbook->journal, &at, &record)) {
        if (record.kind == KIND_ACKNOWLEDGED) {
            logbook->acknowledged = record.words[0];
        }
        for (uint16_t i = 0; i < entries_in(&record); i++) {
            uint32_t number = record.words[i * ENTRY_WORDS] & ~IS_EVENT;
            logbook->last = number > logbook->last ? number : logbook->last;
        }
    }
    if (logbook->acknowledged > logbook->last) {
        logbook->last = logbook->acknowledged;
    }
}

/* Whether an entry is of a class and its number lies between two others. */
static bool is_between(const fw_logbook_entry_t *entry, fw_logbook_class_t class, uint32_t above,
                       uint32_t below)
{
    uint32_t number = entry->number & ~IS_EVENT;
    return is_event(entry) == (class == FW_LOGBOOK_EVENT) && number > above && number < below;
}

/* The first or last such entry; within a class, numbers only ascend. */
static bool find(fw_logbook_t *logbook, fw_logbook_class_t class, uint32_t above, uint32_t below,
                 bool wants_last, fw_logbook_entry_t *found)
{
    bool has_found = false;
    uint16_t at = 0;
    fw_journal_record_t record;
    while (fw_journal_next(&logbook->journal, &at, &record)) {
        for (uint16_t i = 0; i < entries_in(&record); i++) {
            fw_logbook_entry_t entry = entry_of(&record, i);
            if (is_between(&entry, class, above, below) && (wants_last || !has_found)) {
                *found = entry;
                has_found = true;
            }
        }
    }
    for (uint8_t i = 0; class == FW_LOGBOOK_CAUSE && i < logbook->waiting_count; i++) {
        if (is_between(&logbook->waiting[i], class, above, below) && (wants_last || !has_found)) {
            *found = logbook->waiting[i];
            has_found = true;
        }
    }
    found->number &= ~IS_EVENT;
    return has_found;
}

bool fw_logbook_cause_before(fw_logbook_t *logbook, uint32_t before, fw_logbook_entry_t *entry)
{
    return find(logbook, FW_LOGBOOK_CAUSE, 0, before, true, entry);
}

bool fw_logbook_cause_after(fw_logbook_t *logbook, uint32_t after, fw_logbook_entry_t *entry)
{
    return find(logbook, FW_LOGBOOK_CAUSE, after, UINT32_MAX, false, entry);
}

bool fw_logbook_event_after(fw_logbook_t *logbook, uint32_t after, fw_logbook_entry_t *entry)
{
    /* One that a cut may yet undo must not leave. */
    if (!fw_journal_is_readable(&logbook->journal)) {
        return false;
    }
    uint32_t above = after > logbook->acknowledged ? after : logbook->acknowledged;
    return find(logbook, FW_LOGBOOK_EVENT, above, UINT32_MAX, false, entry);
}

bool fw_logbook_newest_event(fw_logbook_t *logbook, fw_logbook_entry_t *entry)
{
    return find(logbook, FW_LOGBOOK_EVENT, 0, UINT32_MAX, true, entry);
}

bool fw_logbook_has_event(fw_logbook_t *logbook, uint32_t number)
{
    fw_logbook_entry_t entry;
    return number != 0u &&
           find(logbook, FW_LOGBOOK_EVENT, number - 1u, number + 1u, false, &entry);
}

uint16_t fw_logbook_unread(fw_logbook_t *logbook)
{
    uint16_t count = 0;
    uint16_t at = 0;
    fw_journal_record_t record;
    while (fw_journal_next(&logbook->journal, &at, &record)) {
        for (uint16_t i = 0; i < entries_in(&record); i++) {
            fw_logbook_entry_t entry = entry_of(&record, i);
            bool is_waiting =
                is_between(&entry, FW_LOGBOOK_EVENT, logbook->acknowledged, UINT32_MAX);
            count = (uint16_t)(count + is_waiting);
        }
    }
    return count;
}

/* ---- writing ---- */

static void take_from_front(fw_logbook_t *logbook, uint8_t count)
{
    logbook->waiting_count = (uint8_t)(logbook->waiting_count - count);
    logbook->urgent = (uint8_t)(logbook->urgent > count ? logbook->urgent - count : 0);
    for (uint8_t i = 0; i < logbook->waiting_count; i++) {
        logbook->waiting[i] = logbook->waiting[i + count];
    }
}

/* The oldest cause that waits; where there is none, the oldest event. */
static uint8_t least_missed(const fw_logbook_t *logbook)
{
    uint8_t at = 0;
    while (at < logbook->waiting_count && is_event(&logbook->waiting[at])) {
        at++;
    }
    return at < logbook->waiting_count ? at : 0u;
}

bool fw_logbook_has_room(const fw_logbook_t *logbook)
{
    return logbook->waiting_count < FW_LOGBOOK_WAITING_MAX ||
           !is_event(&logbook->waiting[least_missed(logbook)]);
}

static void make_room(fw_logbook_t *logbook)
{
    uint8_t missed = least_missed(logbook);
    logbook->waiting_count--;
    logbook->urgent = (uint8_t)(logbook->urgent - (missed < logbook->urgent));
    for (uint8_t i = missed; i < logbook->waiting_count; i++) {
        logbook->waiting[i] = logbook->waiting[i + 1];
    }
    logbook->lost++;
}

uint32_t fw_logbook_add(fw_logbook_t *logbook, fw_logbook_class_t class,
                        const uint32_t words[FW_LOGBOOK_ENTRY_WORDS], uint32_t now_ms)
{
    if (logbook->waiting_count == FW_LOGBOOK_WAITING_MAX) {
        make_room(logbook);
    }
    if (logbook->waiting_count == 0u) {
        logbook->waits_since_ms = now_ms;
        logbook->has_event = false;
    }
    fw_logbook_entry_t *entry = &logbook->waiting[logbook->waiting_count++];
    entry->number = ++logbook->last | (class == FW_LOGBOOK_EVENT ? IS_EVENT : 0u);
    for (uint8_t i = 0; i < FW_LOGBOOK_ENTRY_WORDS; i++) {
        entry->words[i] = words[i];
    }
    logbook->has_event = logbook->has_event || class == FW_LOGBOOK_EVENT;
    return logbook->last;
}

void fw_logbook_go_on_after(fw_logbook_t *logbook, uint32_t number)
{
    if (number > logbook->last && number < IS_EVENT - 1u) {
        logbook->last = number;
    }
}

void fw_logbook_save_now(fw_logbook_t *logbook)
{
    logbook->urgent = logbook->waiting_count;
}

void fw_logbook_acknowledge(fw_logbook_t *logbook, uint32_t number)
{
    if (number > logbook->acknowledged && number <= logbook->last) {
        logbook->acknowledged = number;
        logbook->must_acknowledge = true;
    }
}

static void write_batch(fw_logbook_t *logbook)
{
    uint8_t count = logbook->waiting_count < BATCH_MAX ? logbook->waiting_count : BATCH_MAX;
    uint8_t words = (uint8_t)(count * ENTRY_WORDS);
    if (!fw_journal_has_room(&logbook->journal, words)) {
        fw_journal_rewrite(&logbook->journal);
        return;
    }
    uint32_t batch[BATCH_MAX * ENTRY_WORDS];
    for (uint8_t i = 0; i < count; i++) {
        entry_to_words(&logbook->waiting[i], batch + i * ENTRY_WORDS);
    }
    if (fw_journal_append(&logbook->journal, KIND_ENTRIES, batch, words)) {
        take_from_front(logbook, count);
    }
}

/* Whether to write would take one of the sectors that are for what is urgent. */
static bool must_wait_for_sector(const fw_logbook_t *logbook)
{
    return logbook->urgent == 0u && logbook->journal.turns <= FW_LOGBOOK_TURNS_KEPT &&
           !fw_journal_has_room(&logbook->journal, BATCH_MAX * ENTRY_WORDS);
}

uint32_t fw_logbook_step(fw_logbook_t *logbook, uint32_t now_ms)
{
    if (!fw_journal_is_idle(&logbook->journal)) {
        uint32_t wait_ms = fw_journal_step(&logbook->journal, now_ms);
        return fw_journal_is_idle(&logbook->journal) ? 0u : wait_ms;
    }
    if (logbook->waiting_count == 0u && !logbook->must_acknowledge) {
        return FW_FLASH_NEVER;
    }
    uint32_t limit_ms = logbook->has_event ? FW_LOGBOOK_EVENT_WAIT_MS : FW_LOGBOOK_CAUSE_WAIT_MS;
    uint32_t waited_ms = now_ms - logbook->waits_since_ms;
    bool is_due = logbook->must_acknowledge || logbook->waiting_count >= BATCH_MAX ||
                  logbook->urgent > 0u || waited_ms >= limit_ms;
    if (!is_due) {
        return limit_ms - waited_ms;
    }
    if (must_wait_for_sector(logbook)) {
        (void)fw_journal_step(&logbook->journal, now_ms); /* it earns the next one */
        return FW_LOGBOOK_CAUSE_WAIT_MS;
    }
    if (logbook->must_acknowledge) {
        logbook->must_acknowledge = false;
        fw_journal_put(&logbook->journal, KIND_ACKNOWLEDGED, &logbook->acknowledged, 1);
        return 0;
    }
    write_batch(logbook);
    return 0;
}
