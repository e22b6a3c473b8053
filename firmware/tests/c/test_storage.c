/*
 * test_storage.c: slots, retained values and the logbook: what they do, and every cut while they do
 * it.
 */
#include "storage_rig.h"

#include <stdio.h>
#include <string.h>

/* ---- scripts, settings, dumps ---- */

enum { SOURCE_BYTES = 531, WORDS = 5 };

static uint8_t source_byte(int version, size_t at)
{
    return at == 0u ? (uint8_t)version : (uint8_t)(version * 31 + (int)at * 7);
}

static uint32_t program_word(int version, fw_part_t part, uint32_t at)
{
    return (uint32_t)version * 0x01010101u + (uint32_t)part * 1000u + at;
}

/* Writes a version as far as the record that makes it count. */
static bool write_version(fw_pair_t pair, int version)
{
    CHECK(fw_slots_begin(&device.slots, pair) == FW_SLOTS_OK);
    if (!device_rest()) {
        return false;
    }
    uint8_t source[SOURCE_BYTES];
    size_t length = SOURCE_BYTES - (size_t)version;
    for (size_t i = 0; i < length; i++) {
        source[i] = source_byte(version, i);
    }
    for (size_t at = 0; at < length && !nor.is_off;) {
        size_t taken = 0;
        size_t piece = length - at < 301u ? length - at : 301u;
        (void)fw_slots_write(&device.slots, source + at, piece, &taken);
        CHECK(taken > 0u || nor.is_off);
        at += taken;
    }
    for (uint32_t i = 0; pair == FW_PAIR_SCRIPT && i < WORDS && !nor.is_off; i++) {
        for (int part = FW_PART_CODE; part <= FW_PART_TABLE; part++) {
            uint32_t word = program_word(version, (fw_part_t)part, i);
            (void)fw_slots_append(&device.slots, (fw_part_t)part, word);
        }
    }
    return !nor.is_off;
}

static bool save(fw_pair_t pair, int version, bool is_trial)
{
    return write_version(pair, version) &&
           fw_slots_finish(&device.slots, is_trial) == FW_SLOTS_OK && device_rest() &&
           !device.slots.has_failed;
}

static bool commit(fw_pair_t pair)
{
    return fw_slots_commit(&device.slots, pair) == FW_SLOTS_OK && device_rest();
}

static bool revert(fw_pair_t pair)
{
    return fw_slots_revert(&device.slots, pair) == FW_SLOTS_OK && device_rest();
}

/* The version that is active, 0 if there is none, -1 if it is not whole. */
static int version_of(fw_pair_t pair)
{
    fw_slot_view_t view;
    if (!fw_slots_active(&device.slots, pair, &view)) {
        return 0;
    }
    uint8_t source[SOURCE_BYTES];
    int version = SOURCE_BYTES - view.bytes[FW_PART_SOURCE];
    bool is_good = view.bytes[FW_PART_SOURCE] <= SOURCE_BYTES && version > 0 &&
                   fw_flash_read_bytes(&device.flash, view.address[FW_PART_SOURCE], source,
                                       view.bytes[FW_PART_SOURCE]);
    for (size_t i = 0; is_good && i < view.bytes[FW_PART_SOURCE]; i++) {
        is_good = source[i] == source_byte(version, i);
    }
    uint32_t count = pair == FW_PAIR_SCRIPT ? WORDS : 0u;
    for (int part = FW_PART_CODE; part <= FW_PART_TABLE; part++) {
        uint32_t words[WORDS];
        is_good = is_good && view.bytes[part] == 4u * count &&
                  fw_flash_read(&device.flash, view.address[part], words, count);
        for (uint32_t i = 0; is_good && i < count; i++) {
            is_good = words[i] == program_word(version, (fw_part_t)part, i);
        }
    }
    return is_good ? version : -1;
}

static bool script_1(void)
{
    return save(FW_PAIR_SCRIPT, 1, false);
}

static bool script_2(void)
{
    return save(FW_PAIR_SCRIPT, 2, false);
}

static bool script_3(void)
{
    return save(FW_PAIR_SCRIPT, 3, false);
}

static bool script_2_on_trial(void)
{
    return save(FW_PAIR_SCRIPT, 2, true) && commit(FW_PAIR_SCRIPT);
}

static int script_state(void)
{
    return version_of(FW_PAIR_SCRIPT);
}

static bool nothing(void)
{
    return true;
}

/* On a chip that never had one, state 1 is none at all. */
static int first_script_state(void)
{
    int version = version_of(FW_PAIR_SCRIPT);
    return version == 0 ? 1 : version;
}

static bool settings_1(void)
{
    return save(FW_PAIR_SETTINGS, 1, false);
}

static bool settings_2(void)
{
    return save(FW_PAIR_SETTINGS, 2, false);
}

static bool settings_3(void)
{
    return save(FW_PAIR_SETTINGS, 3, false);
}

static int settings_state(void)
{
    return version_of(FW_PAIR_SETTINGS);
}

/* A trial that is reverted leaves nothing: the settings tell how far it has come. */
static bool script_and_settings_1(void)
{
    return script_1() && settings_1();
}

static bool reverted_trial(void)
{
    return save(FW_PAIR_SCRIPT, 2, true) && revert(FW_PAIR_SCRIPT) && settings_2();
}

static int reverted_state(void)
{
    return version_of(FW_PAIR_SCRIPT) == 1 ? version_of(FW_PAIR_SETTINGS) : -1;
}

static bool dump_2(void)
{
    return save(FW_PAIR_DUMP, 2, false);
}

static bool dump_3(void)
{
    return save(FW_PAIR_DUMP, 3, false);
}

static int dump_state(void)
{
    int version = version_of(FW_PAIR_DUMP);
    return version == 0 ? 1 : version;
}

/* ---- retained values ---- */

enum { NAMES = 10 };

static uint32_t key_of(int name)
{
    char text[8];
    int length = snprintf(text, sizeof text, "v%d", name);
    fw_span_t span = {.bytes = (const uint8_t *)text, .length = (size_t)length};
    return fw_retain_key(span, 1);
}

/* Starts the script whose names are v0 … v9 and the counter v100. */
static void bind_all(uint8_t places[NAMES], uint8_t *counter)
{
    fw_retain_unbind(&device.retain);
    for (int i = 0; i < NAMES; i++) {
        fw_retain_claim(&device.retain, key_of(i));
    }
    fw_retain_claim(&device.retain, key_of(100));
    fw_retain_prune(&device.retain);
    for (int i = 0; i < NAMES; i++) {
        places[i] = fw_retain_bind(&device.retain, key_of(i), false, -1);
        CHECK(places[i] != FW_RETAIN_NONE);
    }
    *counter = fw_retain_bind(&device.retain, key_of(100), true, 0);
}

static bool put_all(int version, int32_t count)
{
    uint8_t places[NAMES];
    uint8_t counter = 0;
    bind_all(places, &counter);
    for (int i = 0; i < NAMES; i++) {
        CHECK(fw_retain_put(&device.retain, places[i], version * 1000 + i));
    }
    CHECK(fw_retain_put(&device.retain, counter, count));
    fw_retain_save_now(&device.retain);
    return device_rest();
}

/* The version that all values are of; 0 if there are none, -1 if they are not all of one. */
static int values_version(int32_t *count)
{
    uint8_t places[NAMES];
    uint8_t counter = 0;
    bind_all(places, &counter);
    *count = device.retain.values[counter].value;
    int32_t first = device.retain.values[places[0]].value;
    for (int i = 0; i < NAMES; i++) {
        int32_t value = device.retain.values[places[i]].value;
        if (first == -1 ? value != -1 : value != first + i) {
            return -1;
        }
    }
    return first == -1 ? 0 : (int)(first / 1000);
}

static bool values_1(void)
{
    return put_all(1, 10);
}

static bool values_2(void)
{
    return put_all(2, 20);
}

static bool values_3(void)
{
    return put_all(3, 30);
}

static int values_state(void)
{
    int32_t count = 0;
    int version = values_version(&count);
    return count == 10 * version ? version : -1;
}

static bool save_first(int32_t value)
{
    CHECK(fw_retain_put(&device.retain, 0, value));
    fw_retain_save_now(&device.retain);
    return device_rest();
}

/* So full that the next save has to open a sector. */
static bool values_1_and_a_full_sector(void)
{
    bool is_done = values_1();
    for (int32_t i = 0; is_done && fw_journal_has_room(&device.retain.journal, 22); i++) {
        is_done = save_first(i) && save_first(1000);
    }
    return is_done;
}

/* ---- a whole trial ---- */

static bool begin_trial(void)
{
    if (!write_version(FW_PAIR_SCRIPT, 2)) {
        return false;
    }
    CHECK(fw_retain_mark(&device.retain, fw_slots_next_generation(&device.slots)));
    return device_rest() && fw_slots_finish(&device.slots, true) == FW_SLOTS_OK && device_rest() &&
           values_2();
}

static bool trial_kept(void)
{
    return begin_trial() && commit(FW_PAIR_SCRIPT) && fw_retain_keep(&device.retain) &&
           device_rest();
}

static bool trial_reverted(void)
{
    return begin_trial() && revert(FW_PAIR_SCRIPT) && fw_retain_restore(&device.retain) &&
           device_rest() && settings_2();
}

static bool script_and_values_1(void)
{
    return script_1() && values_1() && settings_1();
}

static bool script_and_values_3(void)
{
    return script_3() && values_3() && settings_3();
}

/* Script and values belong together; the counter never goes back. */
static int trial_state(void)
{
    int32_t count = 0;
    int script = version_of(FW_PAIR_SCRIPT);
    int values = values_version(&count);
    bool is_good = script == values && count >= 10 * values && device.retain.mark == 0u;
    return is_good ? script : -1;
}

static int reverted_trial_state(void)
{
    int32_t count = 0;
    int script = version_of(FW_PAIR_SCRIPT);
    int values = values_version(&count);
    int settings = version_of(FW_PAIR_SETTINGS);
    if (script == 3) {
        return values == 3 && settings == 3 ? 3 : -1;
    }
    bool is_good = script == 1 && values == 1 && (count == 10 || count == 20);
    return is_good && !(settings == 2 && count == 10) ? settings : -1;
}

/* Script, values and settings are three changes of their own, so a cut may fall between them. */
static bool go_on_after_trial(void)
{
    return script_and_values_3();
}

/* ---- the logbook ---- */

static bool add_entries(fw_logbook_class_t class, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t words[FW_LOGBOOK_ENTRY_WORDS];
        for (uint32_t at = 0; at < FW_LOGBOOK_ENTRY_WORDS; at++) {
            words[at] = (device.logbook.last + 1u) * 17u + at;
        }
        (void)fw_logbook_add(&device.logbook, class, words, device.now_ms);
        /* Not always as many as fit, so that a new sector joins and splits them. */
        if (i % 4u == 3u || i % 9u == 4u || i + 1u == count) {
            fw_logbook_save_now(&device.logbook);
            if (!device_rest()) {
                return false;
            }
        }
    }
    return true;
}

static bool is_entry_good(const fw_logbook_entry_t *entry)
{
    for (uint32_t at = 0; at < FW_LOGBOOK_ENTRY_WORDS; at++) {
        if (entry->words[at] != entry->number * 17u + at) {
            return false;
        }
    }
    return true;
}

/* How many causes the flash holds: each once, that is. */
static uint32_t causes_in_flash(void)
{
    uint32_t count = 0;
    uint16_t at = 0;
    fw_journal_record_t record;
    while (fw_journal_next(&device.logbook.journal, &at, &record)) {
        for (uint8_t i = 0; record.kind == 1u && i < record.count; i = (uint8_t)(i + 8u)) {
            count += record.words[i] < 0x80000000u;
        }
    }
    return count;
}

/* The newest cause's number, going back over all of them without a gap, at least as many as are
 * promised; UINT32_MAX if something is wrong. */
static uint32_t newest_cause(void)
{
    fw_logbook_entry_t entry;
    uint32_t newest = 0;
    uint32_t count = 0;
    for (uint32_t before = UINT32_MAX; fw_logbook_cause_before(&device.logbook, before, &entry);
         before = entry.number) {
        newest = count++ == 0u ? entry.number : newest;
        if (!is_entry_good(&entry) || entry.number != newest - count + 1u) {
            return UINT32_MAX;
        }
    }
    bool is_enough = count == newest || count >= FW_LOGBOOK_CAUSES_KEPT;
    return is_enough && count == causes_in_flash() ? newest : UINT32_MAX;
}

static bool causes_8(void)
{
    return add_entries(FW_LOGBOOK_CAUSE, 8);
}

static bool causes_4_more(void)
{
    return add_entries(FW_LOGBOOK_CAUSE, 4);
}

static bool causes_3_more(void)
{
    return add_entries(FW_LOGBOOK_CAUSE, 3);
}

/* Four more are state 2; three more, once or twice, from either are state 3. */
static int state_of_newest(uint32_t newest, uint32_t old)
{
    uint32_t more = newest - old;
    bool is_third = more == 3u || more == 6u || more == 7u || more == 10u;
    return more == 0u ? 1 : more == 4u ? 2 : is_third ? 3 : -1;
}

static int causes_state(void)
{
    return state_of_newest(newest_cause(), 8);
}

static bool causes_full(void)
{
    bool is_done = true;
    while (is_done && (device.logbook.last < 40u ||
                       fw_journal_has_room(&device.logbook.journal, 4u * 8u))) {
        is_done = add_entries(FW_LOGBOOK_CAUSE, 1u + device.logbook.last % 4u);
    }
    return is_done;
}

static uint32_t full_at;

static bool causes_full_and_noted(void)
{
    bool is_done = causes_full();
    full_at = device.logbook.last;
    return is_done;
}

static int full_state(void)
{
    return state_of_newest(newest_cause(), full_at);
}

static bool events_8(void)
{
    return add_entries(FW_LOGBOOK_EVENT, 8);
}

static bool acknowledge_5(void)
{
    fw_logbook_acknowledge(&device.logbook, 5);
    return device_rest();
}

static bool acknowledge_all(void)
{
    fw_logbook_acknowledge(&device.logbook, 8);
    return device_rest();
}

/* Which event is next to leave, with all those behind it there. */
static int events_state(void)
{
    fw_logbook_entry_t entry;
    uint32_t first = 0;
    uint32_t after = 0;
    while (fw_logbook_event_after(&device.logbook, after, &entry)) {
        if (!is_entry_good(&entry) || (after != 0u && entry.number != after + 1u)) {
            return -1;
        }
        first = first == 0u ? entry.number : first;
        after = entry.number;
    }
    if (first == 0u) {
        return 3;
    }
    return after != 8u ? -1 : first == 1u ? 1 : first == 6u ? 2 : -1;
}

static const scenario_t scenarios[] = {
    {"script", OPENS_SLOTS, script_1, script_2, script_3, script_state, false},
    {"script, tried and committed", OPENS_SLOTS, script_1, script_2_on_trial, script_3,
     script_state, false},
    {"first script", OPENS_SLOTS, nothing, script_2, script_3, first_script_state, false},
    {"script, tried and reverted", OPENS_SLOTS, script_and_settings_1, reverted_trial, settings_3,
     reverted_state, false},
    {"settings", OPENS_SLOTS, settings_1, settings_2, settings_3, settings_state, false},
    {"dump", OPENS_SLOTS, nothing, dump_2, dump_3, dump_state, false},
    {"values", OPENS_RETAIN, values_1, values_2, values_3, values_state, false},
    {"values in a full sector", OPENS_RETAIN, values_1_and_a_full_sector, values_2, values_3,
     values_state, false},
    {"trial kept", OPENS_SLOTS | OPENS_RETAIN, script_and_values_1, trial_kept, NULL,
     trial_state, false},
    {"trial reverted", OPENS_SLOTS | OPENS_RETAIN, script_and_values_1, trial_reverted, NULL,
     reverted_trial_state, false},
    {"causes", OPENS_LOGBOOK, causes_8, causes_4_more, causes_3_more, causes_state, false},
    {"causes in a full sector", OPENS_LOGBOOK, causes_full_and_noted, causes_4_more, causes_3_more,
     full_state, false},
    {"events acknowledged", OPENS_LOGBOOK, events_8, acknowledge_5, acknowledge_all,
     events_state, false},
};

void test_storage(void)
{
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        scenario_t scenario = scenarios[i];
        if (scenario.go_on == NULL) {
            scenario.go_on = go_on_after_trial;
        }
        check_scenario(&scenario);
    }
    printf("stores: %u cuts, each looked at after three boots\n", (unsigned)cuts_checked);
}
