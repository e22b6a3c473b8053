/*
 * slots.c: see slots.h; section 4 of docs/storage.md has the record.
 */
#include "slots.h"

typedef struct {
    uint32_t address;
    uint32_t slot_bytes;
    uint32_t part_at[FW_PARTS + 1]; /* where parts begin in a slot, and the last one ends */
} plan_t;

static const plan_t plans[FW_PAIRS] = {
    {FW_LAYOUT_SCRIPT, FW_LAYOUT_SCRIPT_SLOT_BYTES, {0, 0x2000u, 0x3000u, 0x4000u}},
    {FW_LAYOUT_SETTINGS, FW_LAYOUT_SETTINGS_SLOT_BYTES, {0, 0x1000u, 0x1000u, 0x1000u}},
    {FW_LAYOUT_DUMP, FW_LAYOUT_DUMP_SLOT_BYTES, {0, 0x1000u, 0x1000u, 0x1000u}},
};

/* Words of a slot in a record, and of a record. */
enum { SLOT_WORDS = 4, PAIR_WORDS = 1 + 2 * SLOT_WORDS, KIND_OF_FIRST_PAIR = 1 };

static uint32_t slot_address(uint8_t pair, uint8_t slot)
{
    return plans[pair].address + slot * plans[pair].slot_bytes;
}

static uint8_t other(uint8_t slot)
{
    return (uint8_t)(1u - slot);
}

/* ---- the record of a pair ---- */

static void pair_to_words(const fw_slot_pair_t *pair, uint32_t words[PAIR_WORDS])
{
    words[0] = pair->active | (pair->is_trial ? 0x100u : 0u);
    for (uint8_t i = 0; i < 2u; i++) {
        const fw_slot_t *slot = &pair->slots[i];
        uint32_t *at = words + 1 + i * SLOT_WORDS;
        at[0] = slot->generation;
        at[1] = slot->crc;
        at[2] = slot->bytes[FW_PART_SOURCE] | (uint32_t)slot->bytes[FW_PART_CODE] << 16;
        at[3] = slot->bytes[FW_PART_TABLE];
    }
}

static void words_to_pair(const uint32_t words[PAIR_WORDS], fw_slot_pair_t *pair)
{
    pair->active = (uint8_t)(words[0] & 1u);
    pair->is_trial = (words[0] & 0x100u) != 0u;
    for (uint8_t i = 0; i < 2u; i++) {
        const uint32_t *at = words + 1 + i * SLOT_WORDS;
        pair->slots[i] = (fw_slot_t){
            .generation = at[0],
            .crc = at[1],
            .bytes = {(uint16_t)at[2], (uint16_t)(at[2] >> 16), (uint16_t)at[3]},
        };
    }
}

static bool carry(void *owner, uint16_t at, fw_journal_record_t *record)
{
    const fw_slots_t *slots = owner;
    if (at >= FW_PAIRS) {
        return false;
    }
    bool is_changing = slots->state == FW_SLOTS_RECORDING && at == slots->pair;
    record->kind = (uint8_t)(KIND_OF_FIRST_PAIR + at);
    record->count = PAIR_WORDS;
    pair_to_words(is_changing ? &slots->next : &slots->pairs[at], record->words);
    return true;
}

/* ---- boot ---- */

/* Over the parts of a slot; false if flash could not be read. */
static bool crc_of(fw_flash_t *flash, uint8_t pair, uint8_t slot, const uint16_t *bytes,
                   uint32_t *crc)
{
    *crc = 0;
    for (uint8_t i = 0; i < FW_PARTS; i++) {
        uint32_t at = plans[pair].part_at[i];
        if (bytes[i] > plans[pair].part_at[i + 1u] - at ||
            !fw_flash_crc32(flash, slot_address(pair, slot) + at, bytes[i], crc)) {
            return false;
        }
    }
    return true;
}

static bool is_whole(fw_flash_t *flash, uint8_t pair, uint8_t at, const fw_slot_t *slot)
{
    uint32_t crc = 0;
    return slot->generation != 0u && crc_of(flash, pair, at, slot->bytes, &crc) && crc == slot->crc;
}

/* Ends a trial, and sees to it that what is active is whole. No cut can have hurt that; but flash
 * also ages. Nothing is recorded: each boot would come to the same end, until the next record. */
static void settle_pair(fw_slots_t *slots, fw_flash_t *flash, uint8_t at)
{
    fw_slot_pair_t *pair = &slots->pairs[at];
    slots->was_reverted[at] = pair->is_trial;
    if (pair->is_trial) {
        pair->is_trial = false;
        pair->active = other(pair->active);
    }
    const fw_slot_t *active = &pair->slots[pair->active];
    if (active->generation == 0u || is_whole(flash, at, pair->active, active)) {
        return;
    }
    slots->was_damaged[at] = true;
    bool can_stand_in = !slots->was_reverted[at] &&
                        is_whole(flash, at, other(pair->active), &pair->slots[other(pair->active)]);
    if (can_stand_in) {
        pair->active = other(pair->active);
    } else {
        pair->slots[pair->active].bytes[FW_PART_SOURCE] = 0;
        pair->slots[pair->active].bytes[FW_PART_CODE] = 0;
        pair->slots[pair->active].bytes[FW_PART_TABLE] = 0;
        pair->slots[pair->active].crc = 0;
    }
}

void fw_slots_open(fw_slots_t *slots, fw_flash_t *flash)
{
    *slots = (fw_slots_t){.state = FW_SLOTS_IDLE};
    fw_journal_open(&slots->journal, flash, FW_LAYOUT_SLOTS, FW_LAYOUT_SLOTS_SECTORS, carry, slots);
    uint16_t at = 0;
    fw_journal_record_t record;
    while (fw_journal_next(&slots->journal, &at, &record)) {
        uint8_t pair = (uint8_t)(record.kind - KIND_OF_FIRST_PAIR);
        if (pair < FW_PAIRS && record.count == PAIR_WORDS) {
            words_to_pair(record.words, &slots->pairs[pair]);
        }
    }
    for (uint8_t i = 0; i < FW_PAIRS; i++) {
        settle_pair(slots, flash, i);
    }
}

bool fw_slots_is_ready(const fw_slots_t *slots)
{
    return slots->state == FW_SLOTS_IDLE && fw_journal_is_idle(&slots->journal);
}

static void view_of(uint8_t pair, uint8_t at, const fw_slot_t *slot, fw_slot_view_t *view)
{
    view->generation = slot->generation;
    for (uint8_t i = 0; i < FW_PARTS; i++) {
        view->address[i] = slot_address(pair, at) + plans[pair].part_at[i];
        view->bytes[i] = slot->bytes[i];
    }
}

bool fw_slots_active(const fw_slots_t *slots, fw_pair_t pair, fw_slot_view_t *view)
{
    const fw_slot_pair_t *of = &slots->pairs[pair];
    const fw_slot_t *slot = &of->slots[of->active];
    view_of((uint8_t)pair, of->active, slot, view);
    return slot->bytes[FW_PART_SOURCE] != 0u;
}

bool fw_slots_find(const fw_slots_t *slots, fw_pair_t pair, uint16_t generation,
                   fw_slot_view_t *view)
{
    const fw_slot_pair_t *of = &slots->pairs[pair];
    uint8_t at = of->active;
    if ((uint16_t)of->slots[at].generation != generation) {
        at = other(at);
        if ((uint16_t)of->slots[at].generation != generation ||
            !is_whole(slots->journal.flash, (uint8_t)pair, at, &of->slots[at])) {
            return false;
        }
    }
    view_of((uint8_t)pair, at, &of->slots[at], view);
    return view->bytes[FW_PART_SOURCE] != 0u;
}

/* ---- a save ---- */

static fw_slot_t *written(fw_slots_t *slots)
{
    return &slots->next.slots[slots->next.active];
}

static fw_slots_answer_t fault(fw_slots_t *slots)
{
    slots->state = FW_SLOTS_IDLE;
    slots->has_failed = true;
    return FW_SLOTS_FAULT;
}

fw_slots_answer_t fw_slots_begin(fw_slots_t *slots, fw_pair_t pair)
{
    const fw_slot_pair_t *of = &slots->pairs[pair];
    if (!fw_slots_is_ready(slots) || of->is_trial) {
        return FW_SLOTS_BUSY;
    }
    slots->pair = (uint8_t)pair;
    slots->next = *of;
    slots->next.active = other(of->active);
    uint32_t last = of->slots[0].generation > of->slots[1].generation ? of->slots[0].generation
                                                                      : of->slots[1].generation;
    *written(slots) = (fw_slot_t){.generation = last + 1u};
    fw_flash_stream_begin(&slots->source, slot_address((uint8_t)pair, slots->next.active));
    slots->checked = 0;
    slots->is_source_whole = false;
    slots->has_failed = false;
    slots->state = FW_SLOTS_ERASING;
    return FW_SLOTS_OK;
}

uint32_t fw_slots_next_generation(const fw_slots_t *slots)
{
    return slots->next.slots[slots->next.active].generation;
}

fw_slots_answer_t fw_slots_write(fw_slots_t *slots, const uint8_t *bytes, size_t length,
                                 size_t *taken)
{
    *taken = 0;
    if (slots->state != FW_SLOTS_WRITING || slots->is_source_whole) {
        return FW_SLOTS_BUSY;
    }
    uint16_t *so_far = &written(slots)->bytes[FW_PART_SOURCE];
    if (length > plans[slots->pair].part_at[FW_PART_CODE] - *so_far) {
        return FW_SLOTS_TOO_LONG;
    }
    if (!fw_flash_stream_write(slots->journal.flash, &slots->source, bytes, length, taken)) {
        return fault(slots);
    }
    *so_far = (uint16_t)(*so_far + *taken);
    return FW_SLOTS_OK;
}

fw_slots_answer_t fw_slots_end_source(fw_slots_t *slots)
{
    if (slots->state != FW_SLOTS_WRITING) {
        return FW_SLOTS_BUSY;
    }
    if (!slots->is_source_whole && !fw_flash_stream_end(slots->journal.flash, &slots->source)) {
        return fault(slots);
    }
    slots->is_source_whole = true;
    return FW_SLOTS_OK;
}

fw_slots_answer_t fw_slots_append(fw_slots_t *slots, fw_part_t part, uint32_t word)
{
    if (slots->state != FW_SLOTS_WRITING) {
        return FW_SLOTS_BUSY;
    }
    const plan_t *plan = &plans[slots->pair];
    uint32_t at = written(slots)->bytes[part];
    if (at + 4u > plan->part_at[part + 1] - plan->part_at[part]) {
        return FW_SLOTS_TOO_LONG;
    }
    uint32_t address = slot_address(slots->pair, slots->next.active) + plan->part_at[part] + at;
    if (!fw_flash_program(slots->journal.flash, address, &word, 1)) {
        return fault(slots);
    }
    written(slots)->bytes[part] = (uint16_t)(at + 4u);
    return FW_SLOTS_OK;
}

void fw_slots_written(const fw_slots_t *slots, fw_slot_view_t *view)
{
    view_of(slots->pair, slots->next.active, &slots->next.slots[slots->next.active], view);
}

fw_slots_answer_t fw_slots_finish(fw_slots_t *slots, bool is_trial)
{
    fw_slots_answer_t answer = fw_slots_end_source(slots);
    if (answer == FW_SLOTS_OK) {
        slots->next.is_trial = is_trial;
        slots->part = 0;
        slots->checked = 0;
        slots->state = FW_SLOTS_CHECKING;
    }
    return answer;
}

void fw_slots_abort(fw_slots_t *slots)
{
    if (slots->state != FW_SLOTS_RECORDING) {
        slots->state = FW_SLOTS_IDLE;
    }
}

/* ---- ends of a trial ---- */

static fw_slots_answer_t end_trial(fw_slots_t *slots, fw_pair_t pair, bool keeps)
{
    if (!fw_slots_is_ready(slots) || !slots->pairs[pair].is_trial) {
        return FW_SLOTS_BUSY;
    }
    slots->pair = (uint8_t)pair;
    slots->next = slots->pairs[pair];
    slots->next.is_trial = false;
    if (!keeps) {
        slots->next.active = other(slots->next.active);
    }
    slots->has_failed = false;
    slots->is_recorded = false;
    slots->state = FW_SLOTS_RECORDING;
    return FW_SLOTS_OK;
}

fw_slots_answer_t fw_slots_commit(fw_slots_t *slots, fw_pair_t pair)
{
    return end_trial(slots, pair, true);
}

fw_slots_answer_t fw_slots_revert(fw_slots_t *slots, fw_pair_t pair)
{
    return end_trial(slots, pair, false);
}

/* ---- steps ---- */

static uint32_t erase_next(fw_slots_t *slots, uint32_t now_ms)
{
    uint32_t wait_ms = fw_flash_erase_wait_ms(slots->journal.flash, now_ms);
    if (wait_ms > 0u) {
        return wait_ms;
    }
    uint32_t address = slot_address(slots->pair, slots->next.active) + slots->checked;
    if (!fw_flash_erase(slots->journal.flash, address)) {
        (void)fault(slots);
        return 0;
    }
    slots->checked += FW_SECTOR_BYTES;
    if (slots->checked == plans[slots->pair].slot_bytes) {
        slots->state = FW_SLOTS_WRITING;
    }
    return 0;
}

/* A slice of what was written goes into the checksum. Each program has been read back already: this
 * is the sum by which later boots know the content. */
static void check_next(fw_slots_t *slots)
{
    const fw_slot_t *slot = written(slots);
    while (slots->part < FW_PARTS && slots->checked == slot->bytes[slots->part]) {
        slots->part++;
        slots->checked = 0;
    }
    if (slots->part == FW_PARTS) {
        slots->is_recorded = false;
        slots->state = FW_SLOTS_RECORDING;
        return;
    }
    uint32_t left = slot->bytes[slots->part] - slots->checked;
    uint32_t piece = left < FW_FLASH_SLICE_BYTES ? left : FW_FLASH_SLICE_BYTES;
    uint32_t address = slot_address(slots->pair, slots->next.active) +
                       plans[slots->pair].part_at[slots->part] + slots->checked;
    if (!fw_flash_crc32(slots->journal.flash, address, piece, &written(slots)->crc)) {
        (void)fault(slots);
    }
    slots->checked += piece;
}

static uint32_t record_next(fw_slots_t *slots, uint32_t now_ms)
{
    if (!slots->is_recorded) {
        uint32_t words[PAIR_WORDS];
        pair_to_words(&slots->next, words);
        slots->is_recorded = true;
        fw_journal_put(&slots->journal, (uint8_t)(KIND_OF_FIRST_PAIR + slots->pair), words,
                       PAIR_WORDS);
        return 0;
    }
    uint32_t wait_ms = fw_journal_step(&slots->journal, now_ms);
    if (!fw_journal_is_idle(&slots->journal)) {
        return wait_ms;
    }
    slots->state = FW_SLOTS_IDLE;
    slots->has_failed = slots->journal.has_failed;
    if (!slots->has_failed) {
        slots->pairs[slots->pair] = slots->next;
    }
    return FW_FLASH_NEVER;
}

uint32_t fw_slots_step(fw_slots_t *slots, uint32_t now_ms)
{
    switch (slots->state) {
    case FW_SLOTS_ERASING:
        return erase_next(slots, now_ms);
    case FW_SLOTS_CHECKING:
        check_next(slots);
        return 0;
    case FW_SLOTS_RECORDING:
        return record_next(slots, now_ms);
    default: /* a save that is being written has no use of steps */
        return fw_journal_step(&slots->journal, now_ms);
    }
}
