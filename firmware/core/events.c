/*
 * events.c: see events.h.
 */
#include "events.h"

#include "code.h"
#include "inside.h"

/* Bits of an entry's flags; the level has two of them. */
#define FLAG_ALARM 1u
#define FLAG_RAISED 2u
#define LEVEL_SHIFT 2u
#define TYPE_BITS 2u

/* ---- what a script says ---- */

/* The program of that generation, while its slot is whole; false if it is gone. */
static bool program_of(const fw_events_t *events, uint16_t generation, fw_program_t *program)
{
    fw_slot_view_t view;
    return fw_slots_find(events->scripts->slots, FW_PAIR_SCRIPT, generation, &view) &&
           fw_scripts_program(events->scripts, &view, program);
}

/* The record of an event, or of an alarm. */
static bool record_of(const fw_program_t *program, bool is_alarm, uint8_t number,
                      fw_record_t *record)
{
    uint16_t at = 0;
    fw_record_tag_t tag = is_alarm ? FW_RECORD_ALARM : FW_RECORD_EVENT;
    while (fw_program_next_of(program, &at, tag, record)) {
        if (record->a == number) {
            return true;
        }
    }
    return false;
}

/* Of the value in a cell. */
static uint8_t type_of(const fw_program_t *program, uint8_t cell)
{
    uint16_t at = 0;
    fw_record_t record;
    while (fw_program_next(program, &at, &record)) {
        bool has_type =
            (record.tag >= FW_RECORD_INPUT && record.tag <= FW_RECORD_PARAMETER) ||
            record.tag == FW_RECORD_ARGUMENT;
        if (has_type && record.a == cell) {
            return record.b;
        }
        if (record.tag == FW_RECORD_MACHINE && record.a == cell) {
            return FW_TYPE_INT;
        }
    }
    return FW_TYPE_BOOL; /* a flag, or a command */
}

/* ---- noting ---- */

static void begin_entry(const fw_events_t *events, uint32_t wall_s, uint8_t number, uint32_t flags,
                        uint32_t words[FW_LOGBOOK_ENTRY_WORDS])
{
    for (uint8_t i = 0; i < FW_LOGBOOK_ENTRY_WORDS; i++) {
        words[i] = 0;
    }
    words[0] = wall_s;
    words[1] = events->generation | (uint32_t)number << 16 | flags << 24;
    words[2] = events->told;
}

/* False: there is no room now. */
static bool note_alarm(fw_events_t *events, uint8_t number, bool is_raised, uint32_t wall_s,
                       uint32_t now_ms)
{
    uint32_t words[FW_LOGBOOK_ENTRY_WORDS];
    fw_program_t program;
    fw_record_t record = {.b = FW_ALARM_LOW};
    if (!fw_logbook_has_room(events->logbook)) {
        return false;
    }
    if (program_of(events, events->generation, &program)) {
        (void)record_of(&program, true, number, &record);
    }
    events->told = (uint16_t)(events->told ^ 1u << number);
    begin_entry(events, wall_s, number,
                FLAG_ALARM | (is_raised ? FLAG_RAISED : 0u) | (uint32_t)record.b << LEVEL_SHIFT,
                words);
    (void)fw_logbook_add(events->logbook, FW_LOGBOOK_EVENT, words, now_ms);
    fw_logbook_save_now(events->logbook);
    return true;
}

/* One more for each interval that has passed, up to the most. */
static uint8_t earn(uint8_t allowed, uint8_t most, uint32_t every_ms, uint32_t *earned_ms,
                    uint32_t now_ms)
{
    uint32_t earned = fw_since(now_ms, *earned_ms) / every_ms;
    uint32_t missing = (uint32_t)most - allowed;
    *earned_ms += earned * every_ms;
    return (uint8_t)(allowed + (earned < missing ? earned : missing));
}

static void note_event(fw_events_t *events, uint8_t number, uint32_t wall_s, uint32_t now_ms)
{
    const fw_vm_t *vm = &events->scripts->controller->runner.vm;
    uint32_t words[FW_LOGBOOK_ENTRY_WORDS];
    fw_record_t record;
    bool is_allowed = events->events_allowed > 0u;
    events->events_allowed = (uint8_t)(events->events_allowed - is_allowed);
    if (!is_allowed || !fw_logbook_has_room(events->logbook) ||
        fw_logbook_unread(events->logbook) >= FW_EVENTS_UNREAD_MAX ||
        !record_of(&vm->program, false, number, &record)) {
        events->logbook->lost++;
        return;
    }
    begin_entry(events, wall_s, number, 0, words);
    for (uint8_t i = 0; i < record.b && i < FW_SCRIPT_EVENT_VALUES_MAX; i++) {
        uint8_t cell = (uint8_t)(fw_word(record.words + 1) >> (8u * i));
        words[2] |= (uint32_t)type_of(&vm->program, cell) << (16u + TYPE_BITS * i);
        words[2] += 1u << 24;
        words[3u + i] = (uint32_t)vm->cells[cell];
    }
    (void)fw_logbook_add(events->logbook, FW_LOGBOOK_EVENT, words, now_ms);
}

/* Another script runs: what stood of the one before is over. */
static bool follow_script(fw_events_t *events, uint32_t wall_s, uint32_t now_ms)
{
    uint16_t generation = (uint16_t)events->scripts->generation;
    for (uint8_t i = 0; generation != events->generation && i < FW_SCRIPT_ALARMS_MAX; i++) {
        if (((uint32_t)events->told >> i & 1u) != 0u && !note_alarm(events, i, false, wall_s, now_ms)) {
            return false;
        }
    }
    if (generation != events->generation) {
        events->generation = generation;
        events->kept = 0;
    }
    return true;
}

void fw_events_start(fw_events_t *events, fw_scripts_t *scripts, fw_logbook_t *logbook,
                     uint32_t now_ms)
{
    fw_logbook_entry_t newest;
    *events = (fw_events_t){
        .scripts = scripts,
        .logbook = logbook,
        .start_ms = now_ms,
        .earned_ms = now_ms,
        .alarm_earned_ms = now_ms,
        .generation = (uint16_t)scripts->generation,
        .events_allowed = FW_EVENTS_AT_ONCE_MAX,
        .alarms_allowed = FW_ALARMS_AT_ONCE_MAX,
    };
    if (fw_logbook_newest_event(logbook, &newest)) {
        events->generation = (uint16_t)newest.words[1];
        events->told = (uint16_t)newest.words[2];
    }
    if (events->generation == (uint16_t)scripts->generation) {
        events->kept = events->told;
        scripts->controller->runner.vm.alarms = events->told;
    }
}

/* Alarms that stand otherwise than was noted, in turns, so that one that flaps keeps none waiting. */
static void note_alarms(fw_events_t *events, uint32_t wall_s, uint32_t now_ms)
{
    uint32_t stand = events->scripts->controller->runner.vm.alarms;
    uint32_t changed = (stand ^ events->told) & ~(~stand & events->kept);
    for (uint8_t i = 0; changed != 0u && i < FW_SCRIPT_ALARMS_MAX; i++) {
        uint8_t number = (uint8_t)((events->turn + i) % FW_SCRIPT_ALARMS_MAX);
        if ((changed >> number & 1u) == 0u) {
            continue;
        }
        /* One that finds no room comes in a later scan. */
        if (events->alarms_allowed == 0u ||
            !note_alarm(events, number, (stand >> number & 1u) != 0u, wall_s, now_ms)) {
            return;
        }
        events->alarms_allowed--;
        events->turn = (uint8_t)((number + 1u) % FW_SCRIPT_ALARMS_MAX);
        changed &= ~((uint32_t)1 << number);
        i = UINT8_MAX; /* from the new turn on */
    }
}

void fw_events_note(fw_events_t *events, uint32_t wall_s, uint32_t now_ms)
{
    const fw_runner_t *runner = &events->scripts->controller->runner;
    if (events->kept != 0u && fw_since(now_ms, events->start_ms) >= FW_ALARM_SETTLE_MS) {
        events->kept = 0;
    }
    events->events_allowed = earn(events->events_allowed, FW_EVENTS_AT_ONCE_MAX, FW_EVENT_EVERY_MS,
                                  &events->earned_ms, now_ms);
    events->alarms_allowed = earn(events->alarms_allowed, FW_ALARMS_AT_ONCE_MAX, FW_ALARM_EVERY_MS,
                                  &events->alarm_earned_ms, now_ms);
    if (!follow_script(events, wall_s, now_ms) || runner->is_stopped) {
        return;
    }
    note_alarms(events, wall_s, now_ms);
    uint32_t happened = runner->vm.events;
    for (uint8_t i = 0; happened != 0u; i++, happened >>= 1) {
        if ((happened & 1u) != 0u) {
            note_event(events, i, wall_s, now_ms);
        }
    }
}

/* ---- telling ---- */

void fw_events_poll(fw_events_t *events)
{
    const fw_journal_t *journal = &events->logbook->journal;
    uint32_t place = journal->end | (uint32_t)journal->current << 16;
    if (place != events->seen && fw_logbook_is_settled(events->logbook)) {
        events->seen = place;
        fw_controller_tell_events(events->scripts->controller);
    }
}

/* Notes the next of the events up to `renumbered` once more, behind all others. Once all of them are in flash
 * again, they are done with. */
static void note_again(fw_events_t *events, uint32_t now_ms)
{
    fw_logbook_t *logbook = events->logbook;
    fw_logbook_entry_t entry;
    while (fw_logbook_event_after(logbook, events->noted_again, &entry) &&
           entry.number <= events->renumbered) {
        if (!fw_logbook_has_room(logbook)) {
            return;
        }
        entry.words[2] = (entry.words[2] & ~(uint32_t)UINT16_MAX) | events->told;
        (void)fw_logbook_add(logbook, FW_LOGBOOK_EVENT, entry.words, now_ms);
        fw_logbook_save_now(logbook);
        events->noted_again = entry.number;
    }
    if (logbook->urgent == 0u && fw_logbook_is_settled(logbook)) {
        fw_logbook_acknowledge(logbook, events->renumbered);
        events->renumbered = 0;
    }
}

/* The text, or that it is gone. */
static void write_text(const fw_events_t *events, const fw_logbook_entry_t *entry,
                       fw_cbor_writer_t *writer)
{
    static const char gone[] = "an event of a script that is gone";
    uint8_t bytes[FW_TITLE_BYTES_MAX];
    fw_program_t program;
    fw_record_t record;
    bool is_alarm = (entry->words[1] >> 24 & FLAG_ALARM) != 0u;
    if (program_of(events, (uint16_t)entry->words[1], &program) &&
        record_of(&program, is_alarm, (uint8_t)(entry->words[1] >> 16), &record)) {
        fw_span_t text = fw_record_text(&record, bytes, sizeof bytes);
        fw_cbor_write_text(writer, (const char *)text.bytes, text.length);
        return;
    }
    fw_cbor_write_string(writer, is_alarm ? "an alarm of a script that is gone" : gone);
}

static void write_values(const fw_logbook_entry_t *entry, fw_cbor_writer_t *writer)
{
    uint8_t count = (uint8_t)(entry->words[2] >> 24);
    fw_cbor_put_array(writer, FW_KEY_HAPPENED_VALUES, count);
    for (uint8_t i = 0; i < count && i < FW_SCRIPT_EVENT_VALUES_MAX; i++) {
        fw_cbor_write_integer(writer, (int32_t)entry->words[3u + i]);
    }
    fw_cbor_put_array(writer, FW_KEY_HAPPENED_TYPES, count);
    for (uint8_t i = 0; i < count && i < FW_SCRIPT_EVENT_VALUES_MAX; i++) {
        fw_cbor_write_unsigned(writer, entry->words[2] >> (16u + TYPE_BITS * i) & 3u);
    }
}

static void write_entry(const fw_events_t *events, const fw_logbook_entry_t *entry,
                        fw_cbor_writer_t *writer)
{
    uint32_t flags = entry->words[1] >> 24;
    bool is_alarm = (flags & FLAG_ALARM) != 0u;
    bool has_time = entry->words[0] != 0u;
    fw_cbor_write_map(writer, (is_alarm ? 6u : 5u) + (has_time ? 1u : 0u));
    fw_cbor_put_unsigned(writer, FW_KEY_VERB, is_alarm ? FW_VERB_ALARM : FW_VERB_HAPPENED);
    fw_cbor_put_unsigned(writer, FW_KEY_EVENT_NUMBER, entry->number);
    if (has_time) {
        fw_cbor_put_unsigned(writer, FW_KEY_EVENT_TIME, (uint64_t)entry->words[0] * 1000u);
    }
    if (is_alarm) {
        fw_cbor_put_unsigned(writer, FW_KEY_ALARM_LEVEL, flags >> LEVEL_SHIFT & 3u);
        fw_cbor_write_unsigned(writer, FW_KEY_ALARM_TEXT);
        write_text(events, entry, writer);
        fw_cbor_put_bool(writer, FW_KEY_ALARM_RAISED, (flags & FLAG_RAISED) != 0u);
        fw_cbor_put_unsigned(writer, FW_KEY_ALARM_ALARM, entry->words[1] >> 16 & 0xFFu);
    } else {
        fw_cbor_write_unsigned(writer, FW_KEY_HAPPENED_TEXT);
        write_text(events, entry, writer);
        write_values(entry, writer);
    }
}

bool fw_events_write(fw_events_t *events, fw_cbor_writer_t *writer, uint32_t *number,
                     uint32_t now_ms)
{
    fw_logbook_entry_t entry;
    if (events->renumbered != 0u) {
        note_again(events, now_ms);
    }
    if (events->renumbered != 0u || !fw_logbook_event_after(events->logbook, 0, &entry)) {
        return false;
    }
    *number = entry.number;
    write_entry(events, &entry, writer);
    return true;
}

void fw_events_arrived(fw_events_t *events, uint32_t number, uint32_t last, uint32_t now_ms)
{
    fw_logbook_t *logbook = events->logbook;
    if (last == number || fw_logbook_has_event(logbook, last)) {
        fw_logbook_acknowledge(logbook, number);
    } else {
        events->renumbered = logbook->last;
        events->noted_again = 0;
        fw_logbook_go_on_after(logbook, last);
        fw_logbook_save_now(logbook); /* what waits in RAM is noted again as well */
        note_again(events, now_ms);
    }
    fw_controller_tell_events(events->scripts->controller);
}
