/*
 * retain.c: see retain.h; section 5 of docs/storage.md has the records.
 */
#include "retain.h"

/* Kinds of records. */
enum {
    KIND_VALUES = 1, /* keys and values, in turn */
    KIND_MARKED = 2, /* the same, as they were when the mark was set */
    KIND_MARK = 3,   /* the mark's generation: behind all of KIND_MARKED */
};

enum { PAIRS_MAX = 16 };

/* What a sector holds right after it was opened with a mark and the fullest table: the table twice,
 * and the mark. */
#define RECORDS_OF_TABLE ((FW_RETAIN_MAX + PAIRS_MAX - 1u) / PAIRS_MAX)
#define BYTES_OF_TABLE (RECORDS_OF_TABLE * FW_JOURNAL_RECORD_BYTES + FW_RETAIN_MAX * 8u)
_Static_assert(2u * BYTES_OF_TABLE + FW_JOURNAL_RECORD_BYTES + 4u < FW_JOURNAL_ROOM_BYTES,
               "a full table and its mark must fit, with room for changes");
_Static_assert(FW_RETAIN_MAX < FW_RETAIN_NONE, "a place is a byte");

static bool bit_of(const uint32_t *bits, uint8_t at)
{
    return (bits[at / 32u] >> (at % 32u) & 1u) != 0u;
}

static void set_bit(uint32_t *bits, uint8_t at, bool is_set)
{
    uint32_t bit = 1u << (at % 32u);
    bits[at / 32u] = is_set ? bits[at / 32u] | bit : bits[at / 32u] & ~bit;
}

static void clear_bits(uint32_t *bits)
{
    for (size_t i = 0; i < (FW_RETAIN_MAX + 31u) / 32u; i++) {
        bits[i] = 0;
    }
}

static bool is_counter(const fw_retained_t *of)
{
    return (of->key & FW_RETAIN_COUNTER) != 0u;
}

/* FNV-1a, its highest bit left for what a key says besides. */
uint32_t fw_retain_key(fw_span_t name, uint8_t type)
{
    uint32_t hash = 0x811C9DC5u;
    for (size_t i = 0; i < name.length; i++) {
        hash = (hash ^ name.bytes[i]) * 0x01000193u;
    }
    return ((hash ^ type) * 0x01000193u) & ~FW_RETAIN_COUNTER;
}

static uint8_t find(const fw_retain_t *retain, uint32_t key)
{
    for (uint8_t i = 0; i < retain->count; i++) {
        if (((retain->values[i].key ^ key) & ~FW_RETAIN_COUNTER) == 0u) {
            return i;
        }
    }
    return FW_RETAIN_NONE;
}

/* Sets a value by its key, in a new place if it has none. */
static void load(fw_retain_t *retain, uint32_t key, int32_t value)
{
    uint8_t at = find(retain, key);
    if (at == FW_RETAIN_NONE) {
        if (retain->count == FW_RETAIN_MAX) {
            return;
        }
        at = retain->count++;
    }
    retain->values[at] = (fw_retained_t){.key = key, .value = value};
}

static void load_record(fw_retain_t *retain, const fw_journal_record_t *record)
{
    for (uint8_t i = 0; i + 1u < record->count; i = (uint8_t)(i + 2u)) {
        load(retain, record->words[i], (int32_t)record->words[i + 1u]);
    }
}

/* ---- a new sector ---- */

static void values_to_record(const fw_retain_t *retain, size_t first, uint8_t kind,
                             fw_journal_record_t *record)
{
    record->kind = kind;
    record->count = 0;
    for (size_t i = first; i < retain->count && i < first + PAIRS_MAX; i++) {
        record->words[record->count++] = retain->values[i].key;
        record->words[record->count++] = (uint32_t)retain->values[i].value;
    }
}

/* The mark's records: from the table if it is being set, else as they stand in the sector before.
 * The record of kind KIND_MARK is the last. */
static bool carry_mark(fw_retain_t *retain, uint16_t at, fw_journal_record_t *record)
{
    if (retain->is_marking) {
        size_t first = (size_t)at * PAIRS_MAX;
        if (first < retain->count) {
            values_to_record(retain, first, KIND_MARKED, record);
        } else {
            *record = (fw_journal_record_t){
                .kind = KIND_MARK, .count = 1, .words = {retain->mark}};
        }
        return true;
    }
    retain->marked_at = at == 0u ? 0u : retain->marked_at;
    while (fw_journal_next(&retain->journal, &retain->marked_at, record)) {
        if (record->kind == KIND_MARKED || record->kind == KIND_MARK) {
            return true;
        }
    }
    return false;
}

/* How many records a mark has in the sector being written. */
static uint16_t mark_records(fw_retain_t *retain)
{
    if (retain->mark == 0u) {
        return 0;
    }
    if (retain->is_marking) {
        return (uint16_t)((retain->count + PAIRS_MAX - 1u) / PAIRS_MAX + 1u);
    }
    uint16_t at = 0;
    uint16_t count = 0;
    fw_journal_record_t record;
    while (fw_journal_next(&retain->journal, &at, &record)) {
        count = (uint16_t)(count + (record.kind == KIND_MARKED || record.kind == KIND_MARK));
    }
    return count;
}

static bool carry(void *owner, uint16_t at, fw_journal_record_t *record)
{
    fw_retain_t *retain = owner;
    uint16_t of_mark = mark_records(retain);
    if (at < of_mark) {
        return carry_mark(retain, at, record);
    }
    size_t first = (size_t)(at - of_mark) * PAIRS_MAX;
    values_to_record(retain, first, KIND_VALUES, record);
    return first < retain->count;
}

/* All of the table goes into a new sector. */
static void rewrite(fw_retain_t *retain)
{
    clear_bits(retain->dirty);
    clear_bits(retain->saving);
    retain->must_rewrite = false;
    fw_journal_rewrite(&retain->journal);
}

/* ---- boot ---- */

void fw_retain_open(fw_retain_t *retain, fw_flash_t *flash)
{
    *retain = (fw_retain_t){.count = 0};
    fw_journal_open(&retain->journal, flash, FW_LAYOUT_RETAIN, FW_LAYOUT_RETAIN_SECTORS, carry,
                    retain);
    uint16_t at = 0;
    fw_journal_record_t record;
    while (fw_journal_next(&retain->journal, &at, &record)) {
        if (record.kind == KIND_VALUES) {
            load_record(retain, &record);
        } else if (record.kind == KIND_MARK) {
            retain->mark = record.words[0];
        }
    }
}

static bool next_marked(fw_retain_t *retain, uint16_t *at, fw_journal_record_t *record)
{
    while (fw_journal_next(&retain->journal, at, record)) {
        if (record->kind == KIND_MARKED) {
            return true;
        }
    }
    return false;
}

/* Brings back the values of the mark. Counters that have advanced keep theirs; what the mark does
 * not name is forgotten first, so that there is room. */
static void restore(fw_retain_t *retain)
{
    fw_journal_record_t record;
    clear_bits(retain->bound);
    uint16_t at = 0;
    while (next_marked(retain, &at, &record)) {
        for (uint8_t i = 0; i + 1u < record.count; i = (uint8_t)(i + 2u)) {
            fw_retain_claim(retain, record.words[i]);
        }
    }
    fw_retain_prune(retain);
    at = 0;
    while (next_marked(retain, &at, &record)) {
        for (uint8_t i = 0; i + 1u < record.count; i = (uint8_t)(i + 2u)) {
            uint8_t place = find(retain, record.words[i]);
            bool is_ahead = place != FW_RETAIN_NONE && is_counter(&retain->values[place]) &&
                            retain->values[place].value > (int32_t)record.words[i + 1u];
            if (!is_ahead) {
                load(retain, record.words[i], (int32_t)record.words[i + 1u]);
            }
        }
    }
}

void fw_retain_settle(fw_retain_t *retain, uint32_t committed)
{
    if (retain->mark == 0u) {
        return;
    }
    if (retain->mark != committed) {
        restore(retain);
    }
    retain->mark = 0;
    rewrite(retain);
}

/* ---- the running script ---- */

void fw_retain_unbind(fw_retain_t *retain)
{
    clear_bits(retain->bound);
}

void fw_retain_claim(fw_retain_t *retain, uint32_t key)
{
    uint8_t at = find(retain, key);
    if (at != FW_RETAIN_NONE) {
        set_bit(retain->bound, at, true);
    }
}

void fw_retain_prune(fw_retain_t *retain)
{
    uint8_t kept = 0;
    for (uint8_t i = 0; i < retain->count; i++) {
        if (bit_of(retain->bound, i)) {
            retain->values[kept] = retain->values[i];
            set_bit(retain->dirty, kept, bit_of(retain->dirty, i));
            kept++;
        }
    }
    for (uint8_t i = kept; i < retain->count; i++) {
        set_bit(retain->dirty, i, false);
    }
    if (kept < retain->count) {
        /* Else a later script with such a name would find its value, after a restart only. */
        retain->must_rewrite = true;
    }
    retain->count = kept;
    clear_bits(retain->bound);
}

uint8_t fw_retain_bind(fw_retain_t *retain, uint32_t key, bool counts, int32_t initial)
{
    uint32_t flagged = (key & ~FW_RETAIN_COUNTER) | (counts ? FW_RETAIN_COUNTER : 0u);
    uint8_t at = find(retain, key);
    if (at == FW_RETAIN_NONE) {
        if (retain->count == FW_RETAIN_MAX) {
            return FW_RETAIN_NONE;
        }
        at = retain->count++;
        retain->values[at] = (fw_retained_t){.key = flagged, .value = initial};
        set_bit(retain->dirty, at, true);
    } else if (bit_of(retain->bound, at)) {
        return FW_RETAIN_NONE;
    }
    if (retain->values[at].key != flagged) {
        retain->values[at].key = flagged;
        set_bit(retain->dirty, at, true);
    }
    set_bit(retain->bound, at, true);
    return at;
}

bool fw_retain_put(fw_retain_t *retain, uint8_t at, int32_t value)
{
    if (at >= retain->count || retain->values[at].value == value) {
        return true;
    }
    if (fw_journal_is_carrying(&retain->journal)) {
        return false;
    }
    retain->values[at].value = value;
    set_bit(retain->dirty, at, true);
    return true;
}

void fw_retain_save_now(fw_retain_t *retain)
{
    retain->is_urgent = true;
}

/* ---- a trial ---- */

bool fw_retain_mark(fw_retain_t *retain, uint32_t generation)
{
    if (!fw_journal_is_idle(&retain->journal) || retain->mark != 0u) {
        return false;
    }
    retain->mark = generation;
    retain->is_marking = true;
    rewrite(retain);
    return true;
}

bool fw_retain_keep(fw_retain_t *retain)
{
    if (!fw_journal_is_idle(&retain->journal)) {
        return false;
    }
    retain->mark = 0;
    rewrite(retain);
    return true;
}

bool fw_retain_restore(fw_retain_t *retain)
{
    if (!fw_journal_is_idle(&retain->journal) || retain->mark == 0u) {
        return false;
    }
    restore(retain);
    return fw_retain_keep(retain);
}

/* ---- steps ---- */

/* Begins a save of what is due now: its number of values. */
static uint8_t begin_save(fw_retain_t *retain, uint32_t now_ms, uint32_t *wait_ms)
{
    if (!retain->has_time) {
        retain->has_time = true;
        retain->saved_ms = now_ms - FW_RETAIN_SAVE_MS;
        retain->counters_saved_ms = now_ms - FW_RETAIN_COUNTER_SAVE_MS;
    }
    bool takes[2]; /* of values, of counters */
    uint32_t waits_ms[2];
    uint32_t passed_ms = now_ms - retain->saved_ms;
    takes[0] = retain->is_urgent || passed_ms >= FW_RETAIN_SAVE_MS;
    waits_ms[0] = FW_RETAIN_SAVE_MS - passed_ms;
    passed_ms = now_ms - retain->counters_saved_ms;
    takes[1] = retain->is_urgent || passed_ms >= FW_RETAIN_COUNTER_SAVE_MS;
    waits_ms[1] = FW_RETAIN_COUNTER_SAVE_MS - passed_ms;
    retain->is_urgent = false;

    uint8_t count = 0;
    bool has[2] = {false, false};
    for (uint8_t i = 0; i < retain->count; i++) {
        uint8_t class = is_counter(&retain->values[i]) ? 1u : 0u;
        if (!bit_of(retain->dirty, i)) {
            continue;
        }
        if (takes[class]) {
            set_bit(retain->saving, i, true);
            has[class] = true;
            count++;
        } else if (waits_ms[class] < *wait_ms) {
            *wait_ms = waits_ms[class];
        }
    }
    retain->saved_ms = has[0] ? now_ms : retain->saved_ms;
    retain->counters_saved_ms = has[1] ? now_ms : retain->counters_saved_ms;
    return count;
}

/* The next of the values being saved, as one record. */
static bool save_next(fw_retain_t *retain)
{
    uint32_t words[2 * PAIRS_MAX];
    uint8_t count = 0;
    for (uint8_t i = 0; i < retain->count && count < 2 * PAIRS_MAX; i++) {
        if (bit_of(retain->saving, i)) {
            words[count++] = retain->values[i].key;
            words[count++] = (uint32_t)retain->values[i].value;
            set_bit(retain->saving, i, false);
            set_bit(retain->dirty, i, false);
        }
    }
    if (count == 0u) {
        return false;
    }
    if (fw_journal_has_room(&retain->journal, count)) {
        (void)fw_journal_append(&retain->journal, KIND_VALUES, words, count);
    } else {
        rewrite(retain);
    }
    return true;
}

/* What flash would not take is tried again with the next save. */
static void end_writing(fw_retain_t *retain)
{
    bool has_failed = retain->journal.has_failed;
    retain->mark = has_failed && retain->is_marking ? 0u : retain->mark;
    retain->is_marking = false;
    for (uint8_t i = 0; has_failed && i < retain->count; i++) {
        set_bit(retain->dirty, i, true);
    }
}

uint32_t fw_retain_step(fw_retain_t *retain, uint32_t now_ms)
{
    uint32_t wait_ms = FW_FLASH_NEVER;
    if (!fw_journal_is_idle(&retain->journal)) {
        wait_ms = fw_journal_step(&retain->journal, now_ms);
        if (fw_journal_is_idle(&retain->journal)) {
            end_writing(retain);
            return 0;
        }
        return wait_ms;
    }
    if (retain->must_rewrite) {
        rewrite(retain);
        return 0;
    }
    if (save_next(retain)) {
        return 0;
    }
    return begin_save(retain, now_ms, &wait_ms) > 0u ? 0u : wait_ms;
}
