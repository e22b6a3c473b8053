/*
 * test_device.c: what goes on in a whole device besides its API: why scans are late.
 */
#include "check.h"
#include "device_inside.h"
#include "whole_rig.h"

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
    whole.asked.status(whole.asked.ctx, &status);
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

void test_device(void)
{
    the_longest_gap_has_a_cause();
}
