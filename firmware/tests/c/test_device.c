/*
 * test_device.c: what goes on in a whole device besides its API: why scans are late, what time it is,
 * and what provisioning leaves in it.
 */
#include "check.h"
#include "clock.h"
#include "config.h"
#include "device_inside.h"
#include "whole_rig.h"

#include <string.h>

/* ---- late scans ---- */

static bool (*erase_at_once)(void *ctx, uint32_t address);
static uint32_t erase_ms;

/* As long as a chip takes. */
static bool erase_slowly(void *ctx, uint32_t address)
{
    whole_now_ms += erase_ms;
    return erase_at_once(ctx, address);
}

static fw_api_status_t status_now(void)
{
    fw_api_status_t status;
    fw_device_api.status(&whole, &status);
    return status;
}

/* As on a chip: no scan is left out. */
static void pass_scanning(uint32_t ms)
{
    for (uint32_t passed = 0; passed < ms; passed += 10u) {
        whole.controller.runner.leaves_out = false;
        whole.controller.runner.due_ms = 0;
        whole_pass(10);
    }
}

static void the_longest_gap_has_a_cause(void)
{
    whole_begin();
    pass_scanning(1000);
    fw_api_status_t status = status_now();
    CHECK(status.late_scans == 0u && status.longest_gap == FW_API_GAP_NONE);

    erase_at_once = whole_nor.port.erase;
    whole_nor.port.erase = erase_slowly;
    for (erase_ms = 100; erase_ms <= 300u; erase_ms += 200u) {
        uint32_t late = status.late_scans;
        const fw_span_t name = {(const uint8_t *)"x", 1};
        fw_configuration_set(&whole.configuration, FW_TEXT_NAME, name);
        fw_device_save_settings(&whole);
        pass_scanning(3000);
        status = status_now();
        CHECK(whole.saving == 0u && status.late_scans > late);
        CHECK(status.longest_gap == FW_API_GAP_ERASE);
        CHECK(status.longest_gap_ms >= erase_ms && status.longest_gap_ms <= erase_ms + 20u);
        if (erase_ms == 100u) {
            whole_now_ms += 200; /* nobody knows for what */
            pass_scanning(10);
            status = status_now();
            CHECK(status.longest_gap == FW_API_GAP_OTHER && status.longest_gap_ms >= 200u);
        }
    }
    whole_nor.port.erase = erase_at_once;
}

/* ---- the time of day ---- */

#define NOON_MS 1764417600000u /* of a Saturday, in UTC */

/* Who tells the time, and whose holds for what. */
static void the_gateways_time_wins(void)
{
    fw_clock_t clock;
    uint64_t time = 0;
    uint32_t now_ms = UINT32_MAX - 1000u;
    fw_clock_init(&clock);
    CHECK(!fw_clock_wall(&clock, now_ms, &time) && !fw_clock_now(&clock, now_ms, &time));
    CHECK(!fw_clock_tell(&clock, now_ms, (uint64_t)FW_INTEGER_MAX + 1u));
    CHECK(fw_clock_tell(&clock, now_ms, NOON_MS));
    CHECK(fw_clock_wall(&clock, now_ms, &time) && time == NOON_MS);
    CHECK_NOTE(!fw_clock_now(&clock, now_ms, &time), "no command expires by it");
    /* It counts on, and what tells whole seconds does not put it back each time. */
    now_ms += 10900u;
    CHECK(!fw_clock_tell(&clock, now_ms, NOON_MS + 10000u));
    CHECK(fw_clock_wall(&clock, now_ms, &time) && time == NOON_MS + 10900u);
    CHECK(fw_clock_tell(&clock, now_ms, NOON_MS + 8900u));
    CHECK(fw_clock_wall(&clock, now_ms, &time) && time == NOON_MS + 8900u);

    fw_clock_hear(&clock, now_ms, NOON_MS + 3600000u);
    CHECK(!fw_clock_tell(&clock, now_ms, NOON_MS));
    CHECK(fw_clock_now(&clock, now_ms, &time) && time == NOON_MS + 3600000u);
    now_ms += FW_CLOCK_STALE_AFTER_MS;
    CHECK(!fw_clock_tell(&clock, now_ms, NOON_MS));
    now_ms += 1u;
    CHECK(fw_clock_tell(&clock, now_ms, NOON_MS));
    CHECK(fw_clock_wall(&clock, now_ms, &time) && time == NOON_MS);
    CHECK(!fw_clock_now(&clock, now_ms, &time));
    /* The gateway is back. Its estimate still never runs backwards. */
    fw_clock_hear(&clock, now_ms, NOON_MS + 3700000u);
    CHECK(fw_clock_now(&clock, now_ms, &time) && time == NOON_MS + 3700000u);
    CHECK(fw_clock_wall(&clock, now_ms, &time) && time == NOON_MS + 3700000u);
    /* A count that was read before the last one. */
    CHECK(fw_clock_wall(&clock, now_ms - 1u, &time) && time == NOON_MS + 3700000u);
    CHECK(fw_clock_now(&clock, now_ms + 1u, &time) && time == NOON_MS + 3700001u);
}

/* A schedule without any gateway. */
static void schedules_go_by_what_is_told(void)
{
    static const char script[] = "out lamp = RL1 safe off\n"
                                 "lamp := during(13:00-14:00, unsynced off)\n";
    whole_begin();
    whole_setup.first_script = (fw_span_t){(const uint8_t *)script, strlen(script)};
    fw_nor_init(&whole_nor, random_below(0));
    whole_boot();
    whole_configure(FW_TEXT_ZONE, "CET-1CEST,M3.5.0,M10.5.0/3");
    whole_pass(1000);
    CHECK(whole_outputs[FW_CHANNEL_RL1] == 0 && status_now().time_ms == 0u);
    fw_controller_tell_time(&whole.controller, NOON_MS);
    whole_pass(20);
    CHECK(whole_outputs[FW_CHANNEL_RL1] == 1);
    CHECK(status_now().time_ms >= NOON_MS && status_now().time_ms <= NOON_MS + 20u);
    fw_controller_tell_time(&whole.controller, NOON_MS + 3600000u);
    whole_pass(20);
    CHECK(whole_outputs[FW_CHANNEL_RL1] == 0);
    fw_controller_tell_time(&whole.controller, NOON_MS);
    whole_pass(3600000u - 1000u);
    CHECK(whole_outputs[FW_CHANNEL_RL1] == 1);
    whole_pass(2000);
    CHECK(whole_outputs[FW_CHANNEL_RL1] == 0);
}

/* ---- provisioning ---- */

static bool set_label(const char *password)
{
    return fw_configuration_set_label(&whole.configuration,
                                      (fw_span_t){(const uint8_t *)password, strlen(password)});
}

/* The label's password is kept, and all else besides. */
static void a_label_is_kept(void)
{
    static const char *const bad[] = {"7 bytes", "1234567", "1234567890123456789012345",
                                      "with space", "tab\there", "\xC3\xA4\xC3\xB6\xC3\xBC\xC3\x9F"};
    whole_begin();
    whole_configure(FW_TEXT_NAME, "Pump house 3");
    CHECK(set_label("12345678") && set_label("123456789012345678901234"));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_NOTE(!set_label(bad[i]), bad[i]);
    }
    fw_device_save_settings(&whole);
    whole_pass(3000);
    CHECK(whole.saving == 0u && !whole.save_failed);
    whole_boot();
    CHECK(strcmp(whole.configuration.label, "123456789012345678901234") == 0);
    CHECK(strcmp(whole.configuration.texts[FW_TEXT_NAME], "Pump house 3") == 0);
    CHECK(set_label(""));
    fw_device_save_settings(&whole);
    whole_pass(3000);
    whole_boot();
    CHECK(whole.configuration.label[0] == '\0');
}

void test_device(void)
{
    the_longest_gap_has_a_cause();
    the_gateways_time_wins();
    schedules_go_by_what_is_told();
    a_label_is_kept();
}
