/*
 * test_runner.c: a scan around a script: inputs, the clock, and what outputs may do.
 */
#include "check.h"
#include "runner.h"
#include "script_rig.h"

#include <stdio.h>
#include <string.h>

static fw_runner_t runner;
static int32_t raw[FW_POINTS_MAX];

static void begin(const char *text)
{
    start(text);
    fw_program_t program = vm.program;
    memset(raw, 0, sizeof(raw));
    fw_runner_start(&runner, &program, now_ms);
}

static void pass(uint32_t after_ms, bool online)
{
    now_ms += after_ms;
    const fw_runner_scan_t around = {.raw = raw, .now_ms = now_ms, .online = online};
    CHECK(fw_runner_scan(&runner, &around) == FW_VM_NO_CALL);
}

/* What a name holds in the runner. */
static int32_t staged(const char *name)
{
    return runner.vm.cells[cell(name) - vm.cells];
}

static void test_inputs(void)
{
    begin("in a = DI1 debounce 30ms\nin x = AI0 scale 0..1023 to 0..100 bad below 5 bad above 95\n"
          "var wrong : bool\nwrong := x.bad\n");
    raw[0] = 1; /* the first scan takes what there is */
    raw[1] = 511500;
    pass(0, true);
    CHECK(staged("a") == 1 && staged("x") == 50000 && staged("wrong") == 0);
    static const struct {
        uint32_t after_ms;
        int32_t raw, a;
    } rows[] = {{10, 0, 1}, {10, 0, 1}, {10, 1, 1}, {10, 0, 1}, {20, 0, 1}, {10, 0, 0},
                {10, 1, 0}, {25, 1, 0}, {5, 1, 1}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        raw[0] = rows[i].raw;
        pass(rows[i].after_ms, true);
        CHECK(staged("a") == rows[i].a);
    }
    raw[1] = 1023000; /* past what can be: it keeps the last that was good */
    pass(10, true);
    CHECK(staged("x") == 50000 && staged("wrong") == 1);
    raw[1] = 51150;
    pass(10, true);
    CHECK(staged("x") == 5000 && staged("wrong") == 0);

    static const struct {
        const char *scale;
        int32_t raw, value;
    } lines_[] = {
        {"0..10 to 0..100", 5000, 50000},       {"0..10 to 100..0", 2500, 75000},
        {"10..0 to 0..100", 2500, 75000},       {"4..20 to 0..10", 2000, -1250},
        {"0..3 to 0..1", 1000, 333},            {"0..3 to 0..1", 2000, 667},
        {"0..0.001 to 0..2000000", INT32_MAX, INT32_MAX},
        {"0..0.001 to 0..-2000000", INT32_MAX, INT32_MIN},
        {"-2000000..2000000 to -2000000..2000000", 1234567890, 1234567890},
        {"2000000..-2000000 to -2000000..2000000", 1234567890, -1234567890},
    };
    for (size_t i = 0; i < sizeof(lines_) / sizeof(lines_[0]); i++) {
        char text[100];
        snprintf(text, sizeof(text), "in x = AI0 scale %s\n", lines_[i].scale);
        begin(text);
        raw[0] = lines_[i].raw;
        pass(10, true);
        CHECK_NOTE(staged("x") == lines_[i].value, text);
    }
}

static void test_schedules(void)
{
    begin("out lamp = RL1 safe off\nout night = RL2 safe off\nout all = RL3 safe off\n"
          "lamp := during(mon-fri 07:00-19:30, sat 08:00-12:00, unsynced off)\n"
          "night := during(sat 22:00-06:00, unsynced on)\n"
          "all := during(02:30-24:00, unsynced off)\n");
    fw_zone_t zone;
    static const char berlin[] = "CET-1CEST,M3.5.0,M10.5.0/3";
    CHECK(fw_zone_parse(&zone, (fw_span_t){(const uint8_t *)berlin, sizeof(berlin) - 1u}));
    pass(10, true);
    CHECK(runner.outputs[0].level == 0 && runner.outputs[1].level == 1);
    static const struct {
        int64_t utc; /* local time in the comment */
        int32_t lamp, night, all;
    } rows[] = {
        {1764136799, 0, 0, 1}, /* Wed 2025-11-26 06:59:59 */
        {1764136800, 1, 0, 1}, /* 07:00:00 */
        {1764181799, 1, 0, 1}, /* 19:29:59 */
        {1764181800, 0, 0, 1}, /* 19:30:00 */
        {1764197999, 0, 0, 1}, /* 23:59:59, a whole day's end */
        {1764198000, 0, 0, 0}, /* Thu 00:00 */
        {1764403200, 1, 0, 1}, /* Sat 09:00 */
        {1764414000, 0, 0, 1}, /* Sat 12:00 */
        {1764449999, 0, 0, 1}, /* Sat 21:59:59 */
        {1764450000, 0, 1, 1}, /* Sat 22:00 */
        {1764478799, 0, 1, 1}, /* Sun 05:59:59 */
        {1764478800, 0, 0, 1}, /* Sun 06:00 */
        {1774745999, 0, 1, 0}, /* Sun 2026-03-29 01:59:59, before the jump to 03:00 */
        {1774746000, 0, 1, 1}, /* 03:00: 02:30 is jumped over, so it begins with the jump */
        {1792886399, 0, 1, 0}, /* Sun 2026-10-25 01:59:59 */
        {1792888199, 0, 1, 0}, /* 02:29:59, the first time */
        {1792888200, 0, 1, 1}, /* 02:30, the first time */
        {1792890600, 0, 1, 1}, /* 02:10, the second time: it has begun */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        now_ms += 10;
        const fw_runner_scan_t around = {
            .raw = raw, .now_ms = now_ms, .zone = &zone, .utc = rows[i].utc, .synced = true};
        fw_runner_scan(&runner, &around);
        CHECK(runner.outputs[0].level == rows[i].lamp && runner.outputs[1].level == rows[i].night &&
              runner.outputs[2].level == rows[i].all);
    }
    pass(10, true);
    CHECK(runner.outputs[0].level == 0 && runner.outputs[1].level == 1);
}

static void test_outputs(void)
{
    begin("in a = DI1\nin b = DI2\nout up = RL1 safe off\nout down = RL2 safe off\n"
          "interlock up, down gap 50ms\nup := a\ndown := b\n");
    static const struct {
        uint32_t after_ms;
        int32_t a, b, up, down;
    } rows[] = {
        {10, 1, 1, 0, 0}, /* what they did before the start is not known: the gap first */
        {40, 1, 1, 1, 0}, /* of two at once the first */
        {10, 1, 1, 1, 0},  {10, 0, 1, 0, 0}, {40, 0, 1, 0, 0}, {10, 0, 1, 0, 1},
        {10, 1, 1, 0, 1},  {10, 1, 0, 0, 0}, {49, 1, 0, 0, 0}, {1, 1, 0, 1, 0},
        {10, 0, 0, 0, 0},  {10, 1, 0, 1, 0}, /* itself it need not wait for */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        raw[0] = rows[i].a;
        raw[1] = rows[i].b;
        pass(rows[i].after_ms, true);
        CHECK(runner.outputs[0].level == rows[i].up && runner.outputs[1].level == rows[i].down);
        CHECK(runner.outputs[0].level == 0 || runner.outputs[1].level == 0);
    }

    begin("in a = DI1\nout r = RL1 safe off linkloss safe after 1s\n"
          "out k = RL2 safe hold linkloss safe after 1s\nout c = RL3 safe off\n"
          "r := a\nk := a\nc := a\n");
    raw[0] = 1;
    pass(10, true);
    pass(999, false);
    CHECK(runner.outputs[0].level == 1 && runner.outputs[1].level == 1);
    pass(1, false);
    CHECK(runner.outputs[0].level == 0 && runner.outputs[1].level == 1 && runner.outputs[2].level == 1);
    raw[0] = 0;
    pass(10, false);
    CHECK(runner.outputs[1].level == 1 && runner.outputs[2].level == 0); /* held, and carried on */
    for (int i = 0; i < 50; i++) {
        pass(100000000u, false);
        CHECK(runner.outputs[1].level == 1);
    }
    pass(10, true);
    CHECK(runner.outputs[0].level == 0 && runner.outputs[1].level == 0);

    begin("in a = DI1\nin f = DI2\nout r = RL1 safe off confirm f within 100ms\n"
          "var wrong : bool\nr := a\nwrong := r.fault\n");
    static const struct {
        uint32_t after_ms;
        int32_t a, f, fault;
    } steps[] = {
        {10, 0, 0, 0},  {10, 1, 0, 0},  {99, 1, 0, 0}, {1, 1, 0, 1},  {10, 1, 1, 0},
        {10, 0, 1, 0},  {90, 0, 0, 0},  {10, 0, 0, 0}, {10, 0, 1, 0}, /* late is a fault too */
        {100, 0, 1, 1}, {10, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        raw[0] = steps[i].a;
        raw[1] = steps[i].f;
        pass(steps[i].after_ms, true);
        CHECK(runner.outputs[0].fault == (steps[i].fault != 0));
        CHECK(runner.outputs[0].level == steps[i].a); /* never a switch */
    }
    raw[1] = 1;
    pass(10, true);
    pass(100, true);
    pass(10, true);
    CHECK(staged("wrong") == 1);

    begin("out a = RL1 safe on manual\nout b = RL2 safe off\nb := true\n");
    pass(10, true);
    CHECK(runner.outputs[0].level == 1 && runner.outputs[1].level == 1);
    CHECK(fw_runner_set(&runner, 0, 0) && !fw_runner_set(&runner, 0, 2) && !fw_runner_set(&runner, 1, 0) &&
          !fw_runner_set(&runner, 2, 0));
    pass(10, true);
    CHECK(runner.outputs[0].level == 0);
}

void test_runner(void)
{
    test_inputs();
    test_schedules();
    test_outputs();
}
