/*
 * test_stores.c: what slots, retained values and logbook promise while power stays on.
 */
#include "storage_rig.h"

#include <string.h>

static fw_span_t text(const char *string)
{
    return (fw_span_t){.bytes = (const uint8_t *)string, .length = strlen(string)};
}

/* ---- slots ---- */

static void write_bytes(size_t length, uint8_t fill)
{
    uint8_t bytes[FW_SECTOR_BYTES];
    memset(bytes, fill, sizeof bytes);
    for (size_t at = 0; at < length;) {
        size_t taken = 0;
        size_t piece = length - at < sizeof bytes ? length - at : sizeof bytes;
        CHECK(fw_slots_write(&device.slots, bytes, piece, &taken) == FW_SLOTS_OK && taken > 0u);
        at += taken;
    }
}

static void save_settings(size_t length, uint8_t fill)
{
    CHECK(fw_slots_begin(&device.slots, FW_PAIR_SETTINGS) == FW_SLOTS_OK && device_rest());
    write_bytes(length, fill);
    CHECK(fw_slots_finish(&device.slots, false) == FW_SLOTS_OK && device_rest());
    CHECK(!device.slots.has_failed);
}

static void check_slot_limits(void)
{
    device_new(OPENS_SLOTS);
    size_t taken = 0;
    uint8_t byte = 1;
    fw_slot_view_t view;
    CHECK(!fw_slots_active(&device.slots, FW_PAIR_SCRIPT, &view));
    CHECK(fw_slots_write(&device.slots, &byte, 1, &taken) == FW_SLOTS_BUSY);
    CHECK(fw_slots_append(&device.slots, FW_PART_CODE, 1) == FW_SLOTS_BUSY);
    CHECK(fw_slots_finish(&device.slots, false) == FW_SLOTS_BUSY);
    CHECK(fw_slots_commit(&device.slots, FW_PAIR_SCRIPT) == FW_SLOTS_BUSY);

    CHECK(fw_slots_begin(&device.slots, FW_PAIR_SCRIPT) == FW_SLOTS_OK);
    CHECK(fw_slots_begin(&device.slots, FW_PAIR_SETTINGS) == FW_SLOTS_BUSY);
    CHECK(fw_slots_write(&device.slots, &byte, 1, &taken) == FW_SLOTS_BUSY); /* still erasing */
    uint32_t from_ms = device.now_ms;
    CHECK(device_rest() && device.slots.state == FW_SLOTS_WRITING);
    CHECK(device.now_ms - from_ms >= 3u * FW_ERASE_GAP_MS);
    write_bytes(8192, 'a');
    CHECK(fw_slots_write(&device.slots, &byte, 1, &taken) == FW_SLOTS_TOO_LONG);
    CHECK(fw_slots_end_source(&device.slots) == FW_SLOTS_OK);
    for (uint32_t i = 0; i < 1024u; i++) {
        CHECK(fw_slots_append(&device.slots, FW_PART_CODE, i) == FW_SLOTS_OK);
        CHECK(fw_slots_append(&device.slots, FW_PART_TABLE, ~i) == FW_SLOTS_OK);
    }
    CHECK(fw_slots_append(&device.slots, FW_PART_CODE, 0) == FW_SLOTS_TOO_LONG);
    CHECK(fw_slots_append(&device.slots, FW_PART_TABLE, 0) == FW_SLOTS_TOO_LONG);
    CHECK(fw_slots_finish(&device.slots, true) == FW_SLOTS_OK && device_rest());
    CHECK(fw_slots_active(&device.slots, FW_PAIR_SCRIPT, &view));
    CHECK(view.bytes[FW_PART_SOURCE] == 8192u && view.bytes[FW_PART_TABLE] == 4096u);
    CHECK(fw_slots_begin(&device.slots, FW_PAIR_SCRIPT) == FW_SLOTS_BUSY); /* on trial */
    CHECK(fw_slots_commit(&device.slots, FW_PAIR_SCRIPT) == FW_SLOTS_OK && device_rest());
    CHECK(fw_slots_revert(&device.slots, FW_PAIR_SCRIPT) == FW_SLOTS_BUSY);
    CHECK(device_boot() && fw_slots_active(&device.slots, FW_PAIR_SCRIPT, &view));
    CHECK(view.generation == 1u && view.bytes[FW_PART_CODE] == 4096u);
    const uint32_t *code = nor.port.map(&nor, view.address[FW_PART_CODE]);
    CHECK(code[0] == 0u && code[1023] == 1023u);
}

static void check_abort(void)
{
    device_new(OPENS_SLOTS);
    save_settings(100, 'a');
    CHECK(fw_slots_begin(&device.slots, FW_PAIR_SETTINGS) == FW_SLOTS_OK && device_rest());
    write_bytes(50, 'b');
    /* Its last word is half full, and is programmed once only. */
    CHECK(fw_slots_end_source(&device.slots) == FW_SLOTS_OK);
    CHECK(fw_slots_end_source(&device.slots) == FW_SLOTS_OK);
    size_t taken = 0;
    uint8_t byte = 1;
    CHECK(fw_slots_write(&device.slots, &byte, 1, &taken) == FW_SLOTS_BUSY);
    fw_slots_abort(&device.slots);
    fw_slot_view_t view;
    CHECK(fw_slots_active(&device.slots, FW_PAIR_SETTINGS, &view) && view.bytes[0] == 100u);
    save_settings(60, 'c');
    CHECK(fw_slots_active(&device.slots, FW_PAIR_SETTINGS, &view) && view.bytes[0] == 60u);
    CHECK(device_boot() && fw_slots_active(&device.slots, FW_PAIR_SETTINGS, &view));
    CHECK(view.bytes[0] == 60u && view.generation == 2u && nor.violations == 0u);
}

/* Content that has aged: the version before it, if that is whole, else none. */
static void check_damage(void)
{
    device_new(OPENS_SLOTS);
    save_settings(100, 'a');
    save_settings(200, 'b');
    fw_slot_view_t view;
    CHECK(fw_slots_active(&device.slots, FW_PAIR_SETTINGS, &view) && view.bytes[0] == 200u);
    nor.cells[view.address[0] / 4u + 20u] ^= 4u;
    CHECK(device_boot() && device.slots.was_damaged[FW_PAIR_SETTINGS]);
    CHECK(fw_slots_active(&device.slots, FW_PAIR_SETTINGS, &view) && view.bytes[0] == 100u);
    nor.cells[view.address[0] / 4u + 20u] ^= 4u;
    CHECK(device_boot() && !fw_slots_active(&device.slots, FW_PAIR_SETTINGS, &view));
    save_settings(300, 'c');
    CHECK(device_boot() && !device.slots.was_damaged[FW_PAIR_SETTINGS]);
    CHECK(fw_slots_active(&device.slots, FW_PAIR_SETTINGS, &view) && view.bytes[0] == 300u);
}

/* A version whose trial was broken off does not stand in for an old one that has aged. */
static void check_damage_in_trial(void)
{
    device_new(OPENS_SLOTS);
    save_settings(100, 'a');
    fw_slot_view_t view;
    CHECK(fw_slots_active(&device.slots, FW_PAIR_SETTINGS, &view));
    CHECK(fw_slots_begin(&device.slots, FW_PAIR_SETTINGS) == FW_SLOTS_OK && device_rest());
    write_bytes(200, 'b');
    CHECK(fw_slots_finish(&device.slots, true) == FW_SLOTS_OK && device_rest());
    nor.cells[view.address[0] / 4u] ^= 4u;
    CHECK(device_boot() && device.slots.was_reverted[FW_PAIR_SETTINGS]);
    CHECK(device.slots.was_damaged[FW_PAIR_SETTINGS]);
    CHECK(!fw_slots_active(&device.slots, FW_PAIR_SETTINGS, &view));
}

/* A worn slot is found out while it is written, and what was active stays. */
static void check_worn_slot(void)
{
    device_new(OPENS_SLOTS);
    save_settings(100, 'a');
    nor.refuse_programs_of = FW_LAYOUT_SETTINGS;
    CHECK(fw_slots_begin(&device.slots, FW_PAIR_SETTINGS) == FW_SLOTS_OK && device_rest());
    uint8_t bytes[8] = {0};
    size_t taken = 0;
    CHECK(fw_slots_write(&device.slots, bytes, sizeof bytes, &taken) == FW_SLOTS_FAULT);
    CHECK(device.slots.state == FW_SLOTS_IDLE && device.slots.has_failed);
    fw_slot_view_t view;
    CHECK(device_boot() && fw_slots_active(&device.slots, FW_PAIR_SETTINGS, &view));
    CHECK(view.bytes[0] == 100u && view.address[0] == FW_LAYOUT_SETTINGS + FW_SECTOR_BYTES);
}

/* ---- retained values ---- */

/* Starts a script with one name. */
static uint8_t start_with(uint32_t key, bool is_counter, int32_t initial)
{
    fw_retain_unbind(&device.retain);
    fw_retain_claim(&device.retain, key);
    fw_retain_prune(&device.retain);
    return fw_retain_bind(&device.retain, key, is_counter, initial);
}

static void check_names(void)
{
    uint32_t runs = fw_retain_key(text("runs"), 1);
    CHECK(runs != fw_retain_key(text("runs"), 2) && runs != fw_retain_key(text("run"), 1));
    device_new(OPENS_RETAIN);
    uint8_t at = start_with(runs, false, 5);
    CHECK(device.retain.values[at].value == 5);
    CHECK(fw_retain_put(&device.retain, at, 6) && device_rest());
    CHECK(fw_retain_bind(&device.retain, runs, false, 9) == FW_RETAIN_NONE); /* twice in one */
    CHECK(device_boot());
    at = start_with(runs, false, 5);
    CHECK(device.retain.values[at].value == 6); /* same name and type: kept */
    CHECK(fw_retain_put(&device.retain, at, 8) && device_rest()); /* now the sector is open */
    at = start_with(fw_retain_key(text("runs"), 2), false, 7);
    CHECK(device.retain.values[at].value == 7 && device.retain.count == 1u); /* another type: new */
    CHECK(device_rest() && device_boot());
    at = start_with(runs, false, 5);
    CHECK(device.retain.values[at].value == 5); /* what a script did not name is forgotten */

    device_new(OPENS_RETAIN);
    for (uint32_t i = 0; i < FW_RETAIN_MAX; i++) {
        CHECK(fw_retain_bind(&device.retain, 1000u + i, i % 2u == 0u, (int32_t)i) == i);
    }
    CHECK(fw_retain_bind(&device.retain, 5000, false, 0) == FW_RETAIN_NONE);
    fw_retain_save_now(&device.retain);
    CHECK(device_rest() && fw_retain_mark(&device.retain, 3) && device_rest());
    CHECK(device_boot() && device.retain.count == FW_RETAIN_MAX && device.retain.mark == 3u);
    /* The script on trial has as many other names: all of the old ones come back. */
    fw_retain_unbind(&device.retain);
    fw_retain_prune(&device.retain);
    for (uint32_t i = 0; i < FW_RETAIN_MAX; i++) {
        CHECK(fw_retain_bind(&device.retain, 9000u + i, false, -1) == i);
    }
    fw_retain_save_now(&device.retain);
    CHECK(device_rest() && device_boot() && device.retain.mark == 3u);
    fw_retain_settle(&device.retain, 2);
    CHECK(device_rest() && device_boot() && device.retain.count == FW_RETAIN_MAX);
    for (uint32_t i = 0; i < FW_RETAIN_MAX; i++) {
        uint8_t place = fw_retain_bind(&device.retain, 1000u + i, i % 2u == 0u, -1);
        CHECK(device.retain.values[place].value == (int32_t)i);
    }
    CHECK(nor.violations == 0u);
}

static uint32_t programs_in(uint32_t ms)
{
    uint32_t programs = nor.programs;
    uint32_t until_ms = device.now_ms + ms;
    while ((int32_t)(until_ms - device.now_ms) > 0) {
        (void)fw_retain_step(&device.retain, device.now_ms);
        device.now_ms += 10;
    }
    return nor.programs - programs;
}

/* Values once a minute, counters once in a quarter of an hour, at once if asked, and only if
 * changed. */
static void check_saves(void)
{
    enum { PROGRAMS_OF_A_RECORD = 3 };
    device_new(OPENS_RETAIN);
    uint8_t value = fw_retain_bind(&device.retain, 1, false, 0);
    uint8_t counter = fw_retain_bind(&device.retain, 2, true, 0);
    CHECK(device_rest());
    CHECK(fw_retain_put(&device.retain, value, 1) && programs_in(59000) == 0u);
    CHECK(fw_retain_put(&device.retain, value, 2) && programs_in(1100) == PROGRAMS_OF_A_RECORD);
    CHECK(fw_retain_put(&device.retain, value, 2) && programs_in(120000) == 0u);
    CHECK(fw_retain_put(&device.retain, counter, 1) && programs_in(600000) == 0u);
    CHECK(programs_in(200000) == PROGRAMS_OF_A_RECORD);
    CHECK(fw_retain_put(&device.retain, counter, 2) && programs_in(1000) == 0u);
    fw_retain_save_now(&device.retain);
    CHECK(programs_in(1000) == PROGRAMS_OF_A_RECORD);
    CHECK(device_boot());
    CHECK(device.retain.values[value].value == 2 && device.retain.values[counter].value == 2);
}

static void check_marks(void)
{
    device_new(OPENS_RETAIN);
    uint8_t value = fw_retain_bind(&device.retain, 1, false, 10);
    uint8_t up = fw_retain_bind(&device.retain, 2, true, 10);
    uint8_t down = fw_retain_bind(&device.retain, 3, true, 10);
    CHECK(!fw_retain_restore(&device.retain)); /* no mark */
    CHECK(fw_retain_mark(&device.retain, 1) && !fw_retain_mark(&device.retain, 2) && device_rest());
    CHECK(fw_retain_put(&device.retain, value, 20) && fw_retain_put(&device.retain, up, 20));
    CHECK(fw_retain_put(&device.retain, down, 5));
    CHECK(fw_retain_restore(&device.retain) && device_rest() && device_boot());
    CHECK(device.retain.values[value].value == 10);
    CHECK(device.retain.values[up].value == 20); /* it has advanced */
    CHECK(device.retain.values[down].value == 10);
    CHECK(device.retain.mark == 0u);

    /* The mark stays through sectors that are opened meanwhile. */
    CHECK(fw_retain_mark(&device.retain, 2) && device_rest());
    for (int32_t i = 0; i < 500; i++) {
        CHECK(fw_retain_put(&device.retain, value, i));
        fw_retain_save_now(&device.retain);
        device.now_ms += 60000u;
        CHECK(device_rest());
    }
    CHECK(device_boot() && device.retain.mark == 2u && device.retain.values[value].value == 499);
    CHECK(fw_retain_restore(&device.retain) && device_rest() && device_boot());
    CHECK(device.retain.values[value].value == 10 && device.retain.mark == 0u);
}

/* Flash that takes nothing: what was to be saved is tried again, and no mark is set. */
static void check_no_flash(void)
{
    device_new(OPENS_RETAIN);
    uint8_t at = fw_retain_bind(&device.retain, 1, false, 0);
    CHECK(device_rest());
    nor.refuse_programs_of = UINT32_MAX;
    CHECK(fw_retain_mark(&device.retain, 1));
    while (!fw_journal_is_idle(&device.retain.journal)) {
        device.now_ms += 1000u;
        (void)fw_retain_step(&device.retain, device.now_ms);
    }
    CHECK(device.retain.journal.has_failed && device.retain.mark == 0u);
    CHECK(fw_retain_put(&device.retain, at, 5));
    fw_retain_save_now(&device.retain);
    device.now_ms += FW_JOURNAL_TURN_MS;
    CHECK(programs_in(20000) > 0u && device.retain.journal.has_failed);
    nor.refuse_programs_of = 0;
    device.now_ms += FW_RETAIN_SAVE_MS;
    CHECK(programs_in(20000) > 0u && fw_retain_is_settled(&device.retain));
    CHECK(device_boot() && device.retain.values[at].value == 5);
}

/* ---- the logbook ---- */

static uint32_t add(fw_logbook_class_t class)
{
    uint32_t words[FW_LOGBOOK_ENTRY_WORDS] = {device.logbook.last + 1u};
    return fw_logbook_add(&device.logbook, class, words, device.now_ms);
}

static void check_waits(void)
{
    device_new(OPENS_LOGBOOK);
    fw_logbook_entry_t entry;
    CHECK(!fw_logbook_cause_before(&device.logbook, UINT32_MAX, &entry));
    CHECK(add(FW_LOGBOOK_CAUSE) == 1u);
    CHECK(fw_logbook_step(&device.logbook, device.now_ms) == FW_LOGBOOK_CAUSE_WAIT_MS);
    CHECK(fw_logbook_cause_before(&device.logbook, UINT32_MAX, &entry) && entry.number == 1u);
    CHECK(add(FW_LOGBOOK_EVENT) == 2u);
    CHECK(fw_logbook_step(&device.logbook, device.now_ms) == FW_LOGBOOK_EVENT_WAIT_MS);
    CHECK(!fw_logbook_event_after(&device.logbook, 0, &entry)); /* not before it is in flash */
    CHECK(device_rest());
    CHECK(fw_logbook_event_after(&device.logbook, 0, &entry) && entry.number == 2u);
    CHECK(entry.words[0] == 2u);
    CHECK(!fw_logbook_event_after(&device.logbook, 2, &entry));
    CHECK(fw_logbook_cause_after(&device.logbook, 0, &entry) && entry.number == 1u);
    CHECK(!fw_logbook_cause_after(&device.logbook, 1, &entry));

    /* Four are a batch and go at once. */
    for (int i = 0; i < 4; i++) {
        (void)add(FW_LOGBOOK_CAUSE);
    }
    CHECK(fw_logbook_step(&device.logbook, device.now_ms) == 0u);
    CHECK(device.logbook.waiting_count == 0u);
}

/* An event does not leave while a cut may still undo its record. */
static void check_seals(void)
{
    device_new(OPENS_LOGBOOK);
    (void)add(FW_LOGBOOK_EVENT);
    CHECK(device_rest());
    (void)add(FW_LOGBOOK_EVENT);
    fw_logbook_save_now(&device.logbook);
    uint32_t programs = nor.programs;
    fw_logbook_entry_t entry;
    for (uint32_t i = 1; i <= 3u; i++) {
        CHECK(nor.programs == programs + i - 1u);
        (void)fw_logbook_step(&device.logbook, device.now_ms);
        CHECK(fw_logbook_event_after(&device.logbook, 1, &entry) == (i == 3u));
    }
}

/* What is acknowledged while a sector is written does not make others fall out of it. */
static void check_acknowledged_meanwhile(void)
{
    device_new(OPENS_LOGBOOK);
    for (int i = 0; i < 48; i++) {
        (void)add(FW_LOGBOOK_EVENT);
        CHECK(device_rest());
    }
    fw_journal_rewrite(&device.logbook.journal);
    while (device.logbook.journal.carried < 2u) {
        device.now_ms += 100u;
        (void)fw_logbook_step(&device.logbook, device.now_ms);
    }
    fw_logbook_acknowledge(&device.logbook, 40);
    CHECK(device_rest() && device_boot());
    fw_logbook_entry_t entry;
    for (uint32_t number = 41; number <= 48u; number++) {
        CHECK(fw_logbook_event_after(&device.logbook, number - 1u, &entry));
        CHECK(entry.number == number);
    }
    CHECK(fw_logbook_event_after(&device.logbook, 0, &entry) && entry.number == 41u);
}

/* Whatever has arrived since: the newest event tells how things stand. */
static void check_newest_event(void)
{
    device_new(OPENS_LOGBOOK);
    fw_logbook_entry_t entry;
    CHECK(!fw_logbook_newest_event(&device.logbook, &entry));
    uint32_t first = add(FW_LOGBOOK_EVENT);
    uint32_t number = add(FW_LOGBOOK_EVENT);
    CHECK(device_rest() && fw_logbook_unread(&device.logbook) == 2u);
    fw_logbook_acknowledge(&device.logbook, first);
    CHECK(device_rest() && fw_logbook_unread(&device.logbook) == 1u);
    fw_logbook_acknowledge(&device.logbook, number);
    for (int i = 0; i < 900; i++) {
        (void)add(FW_LOGBOOK_CAUSE);
        device.now_ms += FW_JOURNAL_TURN_MS;
        CHECK(device_rest());
        CHECK(i % 50 != 0 || device_boot());
    }
    CHECK(nor.erases[FW_LAYOUT_LOG / FW_SECTOR_BYTES] > 2u);
    CHECK(fw_logbook_newest_event(&device.logbook, &entry) && entry.number == number);
    CHECK(fw_logbook_unread(&device.logbook) == 0u);
    CHECK(!fw_logbook_event_after(&device.logbook, 0, &entry));
}

/* In RAM causes give way to events; and the last sectors that may be opened at once are for what is
 * saved at once. */
static void check_urgent(void)
{
    device_new(OPENS_LOGBOOK);
    fw_logbook_entry_t entry;
    uint32_t number = add(FW_LOGBOOK_EVENT);
    for (uint32_t i = 0; i < 2u * FW_LOGBOOK_WAITING_MAX; i++) {
        CHECK(fw_logbook_has_room(&device.logbook));
        (void)add(FW_LOGBOOK_CAUSE);
    }
    CHECK(device_rest() && fw_logbook_event_after(&device.logbook, 0, &entry));
    CHECK(entry.number == number);
    for (uint32_t i = 0; i < FW_LOGBOOK_WAITING_MAX; i++) {
        CHECK(fw_logbook_has_room(&device.logbook));
        (void)add(FW_LOGBOOK_EVENT);
    }
    CHECK(!fw_logbook_has_room(&device.logbook));

    for (int i = 0; i < 20000; i++) {
        (void)add(FW_LOGBOOK_CAUSE);
        (void)fw_logbook_step(&device.logbook, device.now_ms);
        device.now_ms += 10u;
    }
    CHECK(device.logbook.journal.turns == FW_LOGBOOK_TURNS_KEPT);
    number = add(FW_LOGBOOK_EVENT);
    fw_logbook_save_now(&device.logbook);
    for (int i = 0; i < 200; i++) {
        (void)add(FW_LOGBOOK_CAUSE);
        (void)fw_logbook_step(&device.logbook, device.now_ms);
        device.now_ms += 10u;
    }
    CHECK(fw_logbook_event_after(&device.logbook, number - 1u, &entry) && entry.number == number);
    CHECK(device.logbook.journal.turns == FW_LOGBOOK_TURNS_KEPT - 1u);
}

/* While flash is not stepped, the oldest in RAM give way. */
static void check_overflow(void)
{
    device_new(OPENS_LOGBOOK);
    for (int i = 0; i < 11; i++) {
        (void)add(FW_LOGBOOK_CAUSE);
    }
    CHECK(device.logbook.lost == 3u && device_rest());
    fw_logbook_entry_t entry;
    CHECK(fw_logbook_cause_after(&device.logbook, 0, &entry) && entry.number == 4u);
    CHECK(fw_logbook_cause_before(&device.logbook, UINT32_MAX, &entry) && entry.number == 11u);
}

/* Events that nobody fetches: the newest 32 of them are there, the rest is counted. */
static void check_unread(void)
{
    device_new(OPENS_LOGBOOK);
    for (int i = 0; i < 400; i++) {
        (void)add(FW_LOGBOOK_EVENT);
        device.now_ms += 600000u;
        CHECK(device_rest());
    }
    fw_logbook_entry_t entry;
    uint32_t count = 0;
    uint32_t after = 0;
    while (fw_logbook_event_after(&device.logbook, after, &entry)) {
        CHECK(count == 0u || entry.number == after + 1u);
        after = entry.number;
        count++;
    }
    CHECK(after == 400u && count >= FW_LOGBOOK_EVENTS_KEPT);
    CHECK(device.logbook.lost == 400u - count);
}

/* Numbers go on, also when every entry has been acknowledged and a new sector holds none of
 * them. */
static void check_numbers(void)
{
    device_new(OPENS_LOGBOOK);
    for (int i = 0; i < 3; i++) {
        (void)add(FW_LOGBOOK_EVENT);
    }
    CHECK(device_rest());
    fw_logbook_acknowledge(&device.logbook, 99); /* never given out: no effect */
    fw_logbook_entry_t entry;
    CHECK(fw_logbook_event_after(&device.logbook, 0, &entry));
    fw_logbook_acknowledge(&device.logbook, 3);
    CHECK(!fw_logbook_event_after(&device.logbook, 0, &entry));
    CHECK(device_rest() && device_boot());
    fw_journal_rewrite(&device.logbook.journal);
    CHECK(device_rest() && device_boot());
    CHECK(!fw_logbook_event_after(&device.logbook, 0, &entry));
    CHECK(add(FW_LOGBOOK_EVENT) == 4u);
}

void test_stores(void)
{
    check_slot_limits();
    check_abort();
    check_damage();
    check_damage_in_trial();
    check_worn_slot();
    check_names();
    check_saves();
    check_marks();
    check_no_flash();
    check_waits();
    check_seals();
    check_acknowledged_meanwhile();
    check_newest_event();
    check_urgent();
    check_overflow();
    check_unread();
    check_numbers();
}
