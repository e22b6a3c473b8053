/*
 * test_wear.c: the stores over a long time: all of them at random against a plain model with the
 * power failing, and the erases of a year.
 */
#include "storage_rig.h"

#include <stdio.h>
#include <string.h>

/* ---- at random, against a model ---- */

/* What a controller must know after any boot. */
typedef struct {
    uint32_t script; /* versions, 0 = none */
    uint32_t settings;
    int32_t value;
    uint32_t event;        /* the newest in flash */
    uint32_t acknowledged;
} model_t;

enum { CONTENT_BYTES = 120, VALUE_KEY = 77 };

static uint8_t content_byte(uint32_t version, uint32_t at)
{
    return (uint8_t)(version >> (8u * (at % 4u))) ^ (uint8_t)(at / 4u);
}

static bool save(fw_pair_t pair, uint32_t version, bool is_trial)
{
    uint8_t bytes[CONTENT_BYTES];
    size_t taken = 0;
    for (uint32_t i = 0; i < CONTENT_BYTES; i++) {
        bytes[i] = content_byte(version, i);
    }
    CHECK(fw_slots_begin(&device.slots, pair) == FW_SLOTS_OK);
    if (device_rest()) {
        (void)fw_slots_write(&device.slots, bytes, CONTENT_BYTES, &taken);
    }
    return !nor.is_off && taken == CONTENT_BYTES &&
           fw_slots_finish(&device.slots, is_trial) == FW_SLOTS_OK && device_rest();
}

static uint32_t version_of(fw_pair_t pair)
{
    fw_slot_view_t view;
    uint8_t bytes[CONTENT_BYTES];
    if (!fw_slots_active(&device.slots, pair, &view)) {
        return 0;
    }
    CHECK(view.bytes[0] == CONTENT_BYTES);
    CHECK(fw_flash_read_bytes(&device.flash, view.address[0], bytes, CONTENT_BYTES));
    uint32_t version = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
                       (uint32_t)bytes[3] << 24;
    for (uint32_t i = 0; i < CONTENT_BYTES; i++) {
        CHECK(bytes[i] == content_byte(version, i));
    }
    return version;
}

static model_t observe(void)
{
    fw_logbook_entry_t entry;
    uint32_t event = device.logbook.acknowledged;
    while (fw_logbook_event_after(&device.logbook, event, &entry)) {
        event = entry.number;
        CHECK(entry.words[3] == entry.number * 3u);
    }
    uint8_t place = fw_retain_bind(&device.retain, VALUE_KEY, false, 0);
    place = place == FW_RETAIN_NONE ? 0u : place;
    return (model_t){
        .script = version_of(FW_PAIR_SCRIPT),
        .settings = version_of(FW_PAIR_SETTINGS),
        .value = device.retain.values[place].value,
        .event = event,
        .acknowledged = device.logbook.acknowledged,
    };
}

/* One action; `next` becomes what it is to lead to. */
static bool act(model_t *next)
{
    bool is_done = true;
    switch (random_below(6)) {
    case 0:
        next->script = random_below(0) | 1u;
        return save(FW_PAIR_SCRIPT, next->script, false);
    case 1: {
        uint32_t version = random_below(0) | 1u;
        bool keeps = random_below(2) == 0u;
        is_done = save(FW_PAIR_SCRIPT, version, true);
        next->script = keeps ? version : next->script;
        (void)(is_done && (keeps ? fw_slots_commit(&device.slots, FW_PAIR_SCRIPT)
                                 : fw_slots_revert(&device.slots, FW_PAIR_SCRIPT)));
        return is_done && device_rest();
    }
    case 2:
        next->settings = random_below(0) | 1u;
        return save(FW_PAIR_SETTINGS, next->settings, false);
    case 3: {
        uint32_t words[FW_LOGBOOK_ENTRY_WORDS] = {0};
        words[3] = (device.logbook.last + 1u) * 3u;
        next->event = fw_logbook_add(&device.logbook, FW_LOGBOOK_EVENT, words, device.now_ms);
        return device_rest();
    }
    case 4:
        fw_logbook_acknowledge(&device.logbook, next->event);
        next->acknowledged = device.logbook.acknowledged;
        return device_rest();
    default:
        next->value = (int32_t)random_below(0);
        CHECK(fw_retain_put(&device.retain, 0, next->value));
        fw_retain_save_now(&device.retain);
        return device_rest();
    }
}

static void check_model(void)
{
    enum { ACTIONS = 6000 };
    device_new(OPENS_SLOTS | OPENS_RETAIN | OPENS_LOGBOOK);
    model_t model = observe();
    for (int i = 0; i < ACTIONS; i++) {
        bool is_risky = random_below(3) == 0u;
        if (is_risky) {
            fw_nor_cut_after(&nor, random_below(24), (fw_nor_cut_t)random_below(FW_NOR_CUTS));
        }
        model_t next = model;
        bool was_done = act(&next);
        /* Quarters of an hour pass, so that wear is no bound here. */
        device.now_ms += random_below(2000000);
        bool restarts = nor.is_off || random_below(20) == 0u;
        while (restarts) {
            fw_nor_power_up(&nor);
            if (random_below(3) == 0u) {
                fw_nor_cut_after(&nor, random_below(10), (fw_nor_cut_t)random_below(FW_NOR_CUTS));
            }
            restarts = !device_boot();
        }
        nor.cut_at = UINT32_MAX;
        model_t found = observe();
        bool is_old = memcmp(&found, &model, sizeof model) == 0;
        bool is_new = memcmp(&found, &next, sizeof next) == 0;
        CHECK(is_new || (is_old && !was_done));
        model = found;
    }
    CHECK(nor.violations == 0u);
}

/* ---- a year ---- */

static uint32_t most_erases(uint32_t from, uint32_t sectors)
{
    uint32_t most = 0;
    for (uint32_t i = from / FW_SECTOR_BYTES; i < from / FW_SECTOR_BYTES + sectors; i++) {
        most = nor.erases[i] > most ? nor.erases[i] : most;
    }
    return most;
}

static void add_entry(fw_logbook_class_t class)
{
    uint32_t words[FW_LOGBOOK_ENTRY_WORDS] = {0};
    (void)fw_logbook_add(&device.logbook, class, words, device.now_ms);
}

/* One minute of a busy controller: one of ten values changes, five counters advance, an output
 * switches every fifth minute, an event comes every hour and is acknowledged. */
static void live_a_minute(uint32_t minute)
{
    (void)fw_retain_put(&device.retain, (uint8_t)(minute % 10u), (int32_t)minute);
    for (uint8_t i = 10; i < 15u; i++) {
        (void)fw_retain_put(&device.retain, i, (int32_t)minute);
    }
    if (minute % 5u == 0u) {
        add_entry(FW_LOGBOOK_CAUSE);
    }
    if (minute % 60u == 0u) {
        add_entry(FW_LOGBOOK_EVENT);
    }
    if (minute % 60u == 1u) {
        fw_logbook_acknowledge(&device.logbook, device.logbook.last);
    }
    device.now_ms += 60000u;
    (void)device_rest();
}

static void start_script(void)
{
    for (uint32_t i = 0; i < 15u; i++) {
        (void)fw_retain_bind(&device.retain, 100u + i, i >= 10u, 0);
    }
}

/* docs/storage.md, section 8, states these. */
static void check_year(void)
{
    device_new(OPENS_SLOTS | OPENS_RETAIN | OPENS_LOGBOOK);
    start_script();
    for (uint32_t minute = 0; minute < 365u * 1440u; minute++) {
        live_a_minute(minute);
        if (minute % 1440u == 0u) {
            CHECK(device_boot());
            start_script();
        }
        if (minute % (7u * 1440u) == 100u) {
            CHECK(save(FW_PAIR_SETTINGS, minute | 1u, false));
        }
        if (minute % (30u * 1440u) == 200u) {
            CHECK(save(FW_PAIR_SCRIPT, minute | 1u, true));
            CHECK(fw_slots_commit(&device.slots, FW_PAIR_SCRIPT) == FW_SLOTS_OK && device_rest());
        }
    }
    uint32_t retain = most_erases(FW_LAYOUT_RETAIN, FW_LAYOUT_RETAIN_SECTORS);
    uint32_t log = most_erases(FW_LAYOUT_LOG, FW_LAYOUT_LOG_SECTORS);
    uint32_t states = most_erases(FW_LAYOUT_SLOTS, FW_LAYOUT_SLOTS_SECTORS);
    uint32_t slots = most_erases(FW_LAYOUT_SCRIPT, 10);
    printf("erases of the most worn sector in a year: retained %u, logbook %u, states of slots %u, "
           "slots %u\n",
           (unsigned)retain, (unsigned)log, (unsigned)states, (unsigned)slots);
    CHECK(retain <= 1500u && log <= 1500u && states <= 30u && slots <= 30u);
    CHECK(nor.violations == 0u);
}

/* Whatever a script does: a quarter of an hour for each sector. */
static void check_worst_month(void)
{
    device_new(OPENS_RETAIN | OPENS_LOGBOOK);
    for (uint32_t i = 0; i < FW_RETAIN_MAX; i++) {
        (void)fw_retain_bind(&device.retain, 100u + i, false, 0);
    }
    uint32_t days = 30;
    for (uint32_t tick = 0; tick < days * 86400u / 5u; tick++) {
        for (uint8_t i = 0; i < FW_RETAIN_MAX; i++) {
            (void)fw_retain_put(&device.retain, i, (int32_t)tick);
        }
        fw_retain_save_now(&device.retain);
        add_entry(tick % 2u == 0u ? FW_LOGBOOK_CAUSE : FW_LOGBOOK_EVENT);
        fw_logbook_acknowledge(&device.logbook, device.logbook.last);
        for (int i = 0; i < 40; i++) {
            (void)fw_retain_step(&device.retain, device.now_ms);
            (void)fw_logbook_step(&device.logbook, device.now_ms);
        }
        device.now_ms += 5000u;
    }
    uint32_t turns = FW_JOURNAL_TURNS_MAX + days * (86400000u / FW_JOURNAL_TURN_MS);
    uint32_t bound = turns / 4u + 1u;
    uint32_t retain = most_erases(FW_LAYOUT_RETAIN, FW_LAYOUT_RETAIN_SECTORS);
    uint32_t log = most_erases(FW_LAYOUT_LOG, FW_LAYOUT_LOG_SECTORS);
    CHECK(retain <= bound && log <= bound);
    /* And it does come up to that bound, or the test would prove nothing. */
    CHECK(retain >= bound - 2u && log >= bound - 2u);
    CHECK(device.logbook.lost > 0u && nor.violations == 0u);
}

void test_wear(void)
{
    check_model();
    check_year();
    check_worst_month();
}
