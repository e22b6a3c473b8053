/*
 * storage_rig.c: see storage_rig.h.
 */
#include "storage_rig.h"

#include <stdio.h>
#include <string.h>

device_t device;
fw_nor_t nor;
uint32_t cuts_checked;

/* Chips to go back to: before the act, and after the first cut. */
static fw_nor_t before;
static fw_nor_t after_cut;

enum { STEPS_MAX = 20000, REST_MS_MAX = 300000 };

/* ---- the device ---- */

static uint32_t step_all(void)
{
    uint32_t wait_ms = FW_FLASH_NEVER;
    uint32_t waits_ms[4] = {FW_FLASH_NEVER, FW_FLASH_NEVER, FW_FLASH_NEVER, FW_FLASH_NEVER};
    uint32_t operations = nor.operations;
    if ((device.opens & OPENS_SLOTS) != 0u) {
        waits_ms[0] = fw_slots_step(&device.slots, device.now_ms);
        CHECK(nor.operations - operations <= 1u);
    }
    operations = nor.operations;
    if ((device.opens & OPENS_RETAIN) != 0u) {
        waits_ms[1] = fw_retain_step(&device.retain, device.now_ms);
        CHECK(nor.operations - operations <= 1u);
    }
    operations = nor.operations;
    if ((device.opens & OPENS_LOGBOOK) != 0u) {
        waits_ms[2] = fw_logbook_step(&device.logbook, device.now_ms);
        CHECK(nor.operations - operations <= 1u);
    }
    operations = nor.operations;
    if ((device.opens & OPENS_UPDATE) != 0u) {
        waits_ms[3] = fw_update_step(&device.update, device.now_ms);
        CHECK(nor.operations - operations <= 1u);
    }
    for (int i = 0; i < 4; i++) {
        wait_ms = waits_ms[i] < wait_ms ? waits_ms[i] : wait_ms;
    }
    return wait_ms;
}

bool device_rest(void)
{
    uint32_t from_ms = device.now_ms;
    for (int i = 0; i < STEPS_MAX; i++) {
        uint32_t wait_ms = step_all();
        if (nor.is_off) {
            return false;
        }
        if (wait_ms == FW_FLASH_NEVER || device.now_ms + wait_ms - from_ms > REST_MS_MAX) {
            return true;
        }
        device.now_ms += wait_ms;
    }
    CHECK_NOTE(false, "the stores never come to rest");
    return true;
}

bool device_boot(void)
{
    fw_update_identity_t identity = device.identity;
    uint32_t opens = device.opens;
    memset(&device, 0xA5, sizeof device);
    device.identity = identity;
    device.opens = opens;
    device.now_ms = random_below(0);
    fw_flash_init(&device.flash, &nor.port);
    if ((opens & OPENS_SLOTS) != 0u) {
        fw_slots_open(&device.slots, &device.flash);
    }
    if ((opens & OPENS_RETAIN) != 0u) {
        fw_retain_open(&device.retain, &device.flash);
        /* As a controller does it: the script that is to run decides over the mark. */
        fw_slot_view_t view;
        bool is_whole = (opens & OPENS_SLOTS) != 0u;
        if (is_whole) {
            (void)fw_slots_active(&device.slots, FW_PAIR_SCRIPT, &view);
            fw_retain_settle(&device.retain, view.generation);
        }
    }
    if ((opens & OPENS_LOGBOOK) != 0u) {
        fw_logbook_open(&device.logbook, &device.flash);
    }
    if ((opens & OPENS_UPDATE) != 0u) {
        fw_update_open(&device.update, &device.flash, &device.identity);
    }
    return device_rest();
}

void device_new(uint32_t opens)
{
    static bool is_initialised;
    if (!is_initialised) {
        fw_nor_init(&nor, 1);
        fw_nor_init(&before, 1);
        fw_nor_init(&after_cut, 1);
        is_initialised = true;
    }
    fw_nor_init(&nor, random_below(0));
    device.opens = opens;
    CHECK(device_boot());
}

/* ---- the search ---- */

static const char *told(const scenario_t *scenario, const char *what, uint32_t operation,
                        fw_nor_cut_t cut)
{
    static char note[160];
    snprintf(note, sizeof note, "%s: %s, cut %u in operation %u", scenario->name, what,
             (unsigned)cut, (unsigned)operation);
    return note;
}

static void put_chip(const fw_nor_t *from)
{
    fw_nor_copy(&nor, from);
    nor.random = (uint64_t)random_below(0) * 2u + 1u;
}

/* Boots twice more: weak bits are drawn anew, and what was seen once stays. */
static void check_stays(const scenario_t *scenario, int seen, const char *note)
{
    for (int again = 0; again < 2; again++) {
        fw_nor_power_up(&nor);
        CHECK_NOTE(device_boot(), note);
        CHECK_NOTE(scenario->look() == seen, note);
    }
    cuts_checked++;
}

static void check_goes_on(const scenario_t *scenario, const char *note)
{
    CHECK_NOTE(scenario->go_on(), note);
    CHECK_NOTE(scenario->look() == 3, note);
    fw_nor_power_up(&nor);
    CHECK_NOTE(device_boot(), note);
    CHECK_NOTE(scenario->look() == 3, note);
}

/* A cut in one operation of the recovery from the first one. False: recovery has no such
 * operation. */
static bool cut_recovery_at(const scenario_t *scenario, uint32_t more, fw_nor_cut_t cut,
                            bool was_done, const char *note)
{
    put_chip(&after_cut);
    fw_nor_power_up(&nor);
    fw_nor_cut_after(&nor, more, cut);
    if (device_boot()) {
        return false;
    }
    fw_nor_power_up(&nor);
    CHECK_NOTE(device_boot(), note);
    int seen = scenario->look();
    CHECK_NOTE(seen == 2 || (seen == 1 && !was_done), note);
    check_stays(scenario, seen, note);
    check_goes_on(scenario, note);
    return true;
}

/* Whether there is something to recover from depends on what weak bits read as, so a boot without
 * it does not end the search. */
static void cut_recovery(const scenario_t *scenario, uint32_t operation, fw_nor_cut_t first,
                         bool was_done)
{
    const char *note = told(scenario, "second cut in recovery", operation, first);
    int misses = 0;
    for (uint32_t more = 0; misses < 2; more++) {
        /* One way of the nine: other seeds try others. */
        fw_nor_cut_t cut = (fw_nor_cut_t)random_below(FW_NOR_CUTS);
        misses += !cut_recovery_at(scenario, more, cut, was_done, note);
    }
}

/* A cut somewhere in the change that follows the first one. */
static void cut_going_on(const scenario_t *scenario, uint32_t operation, fw_nor_cut_t first)
{
    put_chip(&after_cut);
    fw_nor_power_up(&nor);
    const char *note = told(scenario, "second cut in the next change", operation, first);
    CHECK_NOTE(device_boot(), note);
    int seen = scenario->look();
    fw_nor_cut_after(&nor, random_below(12), (fw_nor_cut_t)random_below(FW_NOR_CUTS));
    bool was_done = scenario->go_on();
    fw_nor_power_up(&nor);
    CHECK_NOTE(device_boot(), note);
    int then = scenario->look();
    bool is_between = then == seen || (then == 1 && scenario->goes_on_from_1);
    CHECK_NOTE(then == 3 || (is_between && !was_done), note);
    check_stays(scenario, then, note);
    check_goes_on(scenario, note);
}

static void cut_once(const scenario_t *scenario, const device_t *ready, uint32_t operation,
                     fw_nor_cut_t cut)
{
    put_chip(&before);
    device = *ready;
    fw_nor_cut_after(&nor, operation, cut);
    bool was_done = scenario->act();
    const char *note = told(scenario, "first cut", operation, cut);
    CHECK_NOTE(nor.is_off, note);
    fw_nor_copy(&after_cut, &nor);

    fw_nor_power_up(&nor);
    CHECK_NOTE(device_boot(), note);
    int seen = scenario->look();
    CHECK_NOTE(seen == 2 || (seen == 1 && !was_done), note);
    check_stays(scenario, seen, note);
    check_goes_on(scenario, note);
    cut_recovery(scenario, operation, cut, was_done);
    cut_going_on(scenario, operation, cut);
}

static void cut_everywhere(const scenario_t *scenario)
{
    static device_t ready;
    ready = device;
    fw_nor_copy(&before, &nor);
    uint32_t operations = nor.operations;
    CHECK_NOTE(scenario->act(), scenario->name);
    operations = nor.operations - operations;
    CHECK_NOTE(operations > 0u, scenario->name);
    CHECK_NOTE(scenario->look() == 2, scenario->name);
    CHECK_NOTE(device_boot() && scenario->look() == 2, scenario->name);
    for (uint32_t operation = 0; operation < operations; operation++) {
        for (int cut = 0; cut < FW_NOR_CUTS; cut++) {
            cut_once(scenario, &ready, operation, (fw_nor_cut_t)cut);
        }
    }
    CHECK_NOTE(nor.violations == 0u, scenario->name);
}

void check_scenario(const scenario_t *scenario)
{
    device_new(scenario->opens);
    CHECK_NOTE(scenario->prepare(), scenario->name);
    CHECK_NOTE(scenario->look() == 1, scenario->name);
    cut_everywhere(scenario);

    device_new(scenario->opens);
    CHECK_NOTE(scenario->prepare(), scenario->name);
    fw_nor_power_up(&nor);
    CHECK_NOTE(device_boot(), scenario->name);
    CHECK_NOTE(scenario->look() == 1, scenario->name);
    cut_everywhere(scenario);
}
