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
    CHECK(fw_runner_scan(&runner, &around) == FW_RESULT_EXECUTED);
}

/* What a name holds in the runner. */
static int32_t staged(const char *name)
{
    return runner.vm.cells[cell(name) - vm.cells];
}

/* What the output of that number is driven to, counted without the inputs. */
static uint8_t output(uint8_t number)
{
    uint8_t point = 0;
    while (!fw_point_type_is_output(runner.points.at[point].type) || number-- > 0u) {
        point++;
        CHECK(point < runner.points.count);
    }
    return point;
}

static int32_t out(uint8_t number)
{
    return runner.points.at[output(number)].value;
}

static bool faults(uint8_t number)
{
    return (runner.points.at[output(number)].flags & FW_POINT_FAULT) != 0u;
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
        {"0..0.002 to 0..0.001", 1, 1},         {"0..0.002 to 0..-0.001", 1, -1},
        {"0..0.002 to 0.001..0", 1, 1},         {"0..0.002 to -0.001..0", 1, -1},
        {"0..0.002 to 0.001..-0.002", 1, -1},   {"0..0.003 to 0.001..0", 1, 1},
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
    CHECK(out(0) == 0 && out(1) == 1);
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
        CHECK(out(0) == rows[i].lamp && out(1) == rows[i].night &&
              out(2) == rows[i].all);
    }
    pass(10, true);
    CHECK(out(0) == 0 && out(1) == 1);

    /* Put back over midnight, the new day has begun before the old one comes again. */
    begin("out lamp = RL1 safe off\nlamp := during(tue 00:00-00:30, unsynced off)\n");
    static const char back[] = "AAA0BBB-1,0/0,299/0:10"; /* Tue 27 October, from 00:10 to 23:10 */
    CHECK(fw_zone_parse(&zone, (fw_span_t){(const uint8_t *)back, sizeof(back) - 1u}));
    static const struct {
        int64_t utc;
        int32_t lamp;
    } over[] = {
        {1793055599, 0}, /* Mon 23:59:59 */
        {1793055600, 1}, /* Tue 00:00 */
        {1793056200, 1}, /* Mon 23:10 again */
        {1793060999, 1}, /* Tue 00:29:59 */
        {1793061000, 0}, /* Tue 00:30 */
    };
    for (size_t i = 0; i < sizeof(over) / sizeof(over[0]); i++) {
        now_ms += 10;
        const fw_runner_scan_t around = {
            .raw = raw, .now_ms = now_ms, .zone = &zone, .utc = over[i].utc, .synced = true};
        fw_runner_scan(&runner, &around);
        CHECK(out(0) == over[i].lamp);
    }
}

/* A scan at a moment, in a zone, with the clock right. */
static void pass_at(const fw_zone_t *zone, int64_t utc)
{
    now_ms += 10;
    const fw_runner_scan_t around = {
        .raw = raw, .now_ms = now_ms, .zone = zone, .utc = utc, .synced = true};
    fw_runner_scan(&runner, &around);
}

static fw_zone_t zone_of(const char *text)
{
    fw_zone_t zone;
    CHECK(fw_zone_parse(&zone, (fw_span_t){(const uint8_t *)text, strlen(text)}));
    return zone;
}

/* One window, at one place: it begins and ends then, within 15 seconds, and is off an hour around. */
typedef struct {
    const char *zone, *place, *window;
    int64_t begins, ends;
} sunny_t;

#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3", "52.5, 13.4"
#define APIA "<+13>-13", "-13.8, -171.8"

/* Moments of the sun by NOAA's formula (sun_table.py), local time in the comment. */
static const sunny_t sunny[] = {
    /* Sat 2026-06-20 04:43:03 to 21:32:59, Sun 04:43:14 to 21:33:12 */
    {BERLIN, "sunrise-sunset", 1781923383, 1781983979},
    {BERLIN, "sunset-sunrise", 1781983979, 1782009794},
    {BERLIN, "sat sunset-sunrise", 1781983979, 1782009794}, /* of the day that it begins on */
    {BERLIN, "sunset+15m-23:00", 1781984879, 1781989200},
    {BERLIN, "sunset - 30m - 23:00", 1781982179, 1781989200},
    {BERLIN, "sunrise-30m - 20:00", 1781921583, 1781978400},
    {BERLIN, "sunset-06:00", 1781983979, 1782014400},
    {BERLIN, "mon-fri sunset+15m-23:00, sat-sun sunset-01:00", 1781983979, 1781996400},
    {BERLIN, "22:00-sunrise", 1781985600, 1782009794},
    {BERLIN, "04:00-sunrise", 1781920800, 1781923383},
    {BERLIN, "20:00-sunset+1h", 1781978400, 1781987579},
    {BERLIN, "sunrise-00:00", 1781923383, 1781992800},
    {BERLIN, "12:00-sunrise", 1781949600, 1782009794},
    {BERLIN, "sunset-12:00", 1781983979, 1782036000},
    {BERLIN, "sunset+1h-sunset+150m", 1781987579, 1781992979},
    {BERLIN, "sunset-1h-sunset-2h", 1781980379, 1782063192}, /* to the next one's */
    {BERLIN, "sat sunset+12h-sunrise+12h", 1782027179, 1782052994}, /* all on Sunday */
    {BERLIN, "sun sunrise-12h-00:30", 1781966594, 1781994600},
    {BERLIN, "fri sunset+12h-sunset+11h", 1781940763, 1782023579}, /* to the day after next */
    /* Mon 2026-12-21 08:14:49 to 15:54:05 */
    {BERLIN, "mon sunrise-sunset", 1797837289, 1797864845},
    {BERLIN, "mon 06:30-sunrise", 1797831000, 1797837289},
    {BERLIN, "mon sunset-22:00", 1797864845, 1797886800},
    /* Both sides of the date line, Tue 2026-03-10: 06:29:58 to 18:44:58, 06:44:19 to 18:39:26 */
    {APIA, "tue sunrise-sunset", 1773077398, 1773121498},
    {APIA, "tue sunset-sunrise", 1773121498, 1773163806},
    {"HST10", "21.3, -157.9", "tue sunrise-sunset", 1773161059, 1773203966},
};

static void test_sun_schedules(void)
{
    for (size_t i = 0; i < sizeof(sunny) / sizeof(sunny[0]); i++) {
        const sunny_t *row = &sunny[i];
        char text[160];
        snprintf(text, sizeof(text), "place %s\nout lamp = RL1 safe off\n"
                 "lamp := during(%s, unsynced off)\n", row->place, row->window);
        begin(text);
        const fw_zone_t zone = zone_of(row->zone);
        const struct {
            int64_t utc;
            int32_t lamp;
        } looks[] = {
            {row->begins - 15, 0}, {row->begins + 15, 1}, {(row->begins + row->ends) / 2, 1},
            {row->ends - 15, 1},   {row->ends + 15, 0},   {row->begins + 15, 1}, /* once more */
        };
        for (size_t at = 0; at < sizeof(looks) / sizeof(looks[0]); at++) {
            pass_at(&zone, looks[at].utc);
            CHECK_NOTE(out(0) == looks[at].lamp, text);
        }
    }

    /* A window whose end comes before its beginning is empty on that day. */
    begin("place 52.5, 13.4\nout a = RL1 safe off\nout b = RL2 safe off\nout c = RL3 safe off\n"
          "a := during(06:30-sunrise, unsynced off)\nb := during(16:00-sunset, unsynced off)\n"
          "c := during(sunset-21:00, unsynced off)\n");
    const fw_zone_t berlin = zone_of("CET-1CEST,M3.5.0,M10.5.0/3");
    static const int64_t midnights[] = {1781992800, 1797807600}; /* 2026-06-21, 2026-12-21 */
    int32_t minutes[2][3] = {{0}};
    for (int32_t minute = 0; minute < 1440; minute++) {
        for (size_t day = 0; day < 2u; day++) {
            pass_at(&berlin, midnights[day] + minute * 60);
            for (uint8_t lamp = 0; lamp < 3u; lamp++) {
                minutes[day][lamp] += out(lamp);
            }
        }
    }
    CHECK(minutes[0][0] == 0 && minutes[0][1] == 334 && minutes[0][2] == 0);
    CHECK(minutes[1][0] == 105 && minutes[1][1] == 0 && minutes[1][2] == 305);
}

static void random_end(char *text, size_t size)
{
    static const char *const signs[] = {"+", "-"};
    uint32_t kind = random_below(4);
    if (kind < 2u) {
        snprintf(text, size, "%02u:%02u", random_below(24), random_below(60));
    } else if (random_below(2) == 0u) {
        snprintf(text, size, "%s", kind == 2u ? "sunrise" : "sunset");
    } else {
        snprintf(text, size, "%s%s%um", kind == 2u ? "sunrise" : "sunset", signs[random_below(2)],
                 random_below(721));
    }
}

/* Between two looks at the clock nothing changes: a runner that looks whenever it can knows no more. */
static void test_looks(void)
{
    static const char *const zones[] = {
        "UTC0", "CET-1CEST,M3.5.0,M10.5.0/3", "<+13>-13", "AEST-10AEDT,M10.1.0,M4.1.0/3",
        "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
    };
    static const char *const days[] = {"", "sat ", "mon-fri ", "sun tue "};
    static fw_runner_t eager;
    uint32_t changes = 0;
    for (int round = 0; round < 300; round++) {
        char text[300];
        char ends[4][24];
        for (size_t i = 0; i < 4u; i++) {
            random_end(ends[i], sizeof(ends[i]));
        }
        snprintf(text, sizeof(text), "place %d, %d\nout lamp = RL1 safe off\n"
                 "lamp := during(%s%s - %s, %s%s - %s, unsynced off)\n",
                 (int)random_below(181) - 90, (int)random_below(361) - 180, days[random_below(4)],
                 ends[0], ends[1], days[random_below(4)], ends[2], ends[3]);
        if (!compile(text)) {
            continue; /* both ends are the same */
        }
        begin(text);
        eager = runner;
        const fw_zone_t zone = zone_of(zones[random_below(5)]);
        int64_t utc = 946684800 + (int64_t)random_below(3155760000u);
        for (int step = 0; step < 300; step++) {
            utc += 1 + random_below(2500);
            int32_t before = out(0);
            pass_at(&zone, utc);
            changes += out(0) != before;
            eager.quiet_until_utc = 0;
            const fw_runner_scan_t around = {
                .raw = raw, .now_ms = now_ms, .zone = &zone, .utc = utc, .synced = true};
            fw_runner_scan(&eager, &around);
            CHECK_NOTE(eager.points.at[0].value == out(0), text);
        }
    }
    CHECK(changes > 1000u);
    /* On 27 October 2058 the clock is put back at 01:00 UTC, and another day of the sun's is a Saturday there. */
    begin("place -5, -156\nout lamp = RL1 safe off\n"
          "lamp := during(sat 01:37 - sunset, mon-fri sunrise+538m - 04:40, unsynced off)\n");
    const fw_zone_t berlin = zone_of(zones[1]);
    pass_at(&berlin, 2802905000);
    CHECK(out(0) == 0);
    pass_at(&berlin, 2802907226);
    CHECK(out(0) == 1);
    /* A clock that is set back is looked at again. */
    begin("out lamp = RL1 safe off\nlamp := during(08:00-09:00, unsynced off)\n");
    const fw_zone_t utc0 = zone_of("UTC0");
    static const int32_t hours[] = {8, 7, 8, 9, 8};
    for (size_t i = 0; i < sizeof(hours) / sizeof(hours[0]); i++) {
        pass_at(&utc0, hours[i] * 3600);
        CHECK(out(0) == (hours[i] == 8));
    }
}

/* Where the sun stays up, and where it stays down, for a whole week. */
static void test_polar_schedules(void)
{
    begin("place 69.65, 18.96\nout day = RL1 safe off\nout night = RL2 safe off\n"
          "out noon = RL3 safe off\n"
          "day := during(sunrise-sunset, unsynced off)\n"
          "night := during(sunset-sunrise, unsynced off)\n"
          "noon := during(sunrise-1h-sunrise+1h, unsynced off)\n");
    const fw_zone_t tromso = zone_of("CET-1CEST,M3.5.0,M10.5.0/3");
    for (int32_t minute = 0; minute < 7 * 1440; minute++) {
        pass_at(&tromso, 1782000000 + minute * 60 + minute % 60); /* June 2026 */
        CHECK(out(0) == 1 && out(1) == 0);
        pass_at(&tromso, 1797811200 + minute * 60 + minute % 60); /* December 2026 */
        CHECK(out(0) == 0 && out(1) == 1);
    }
    pass_at(&tromso, 1797849900); /* 11:45, noon is at 11:42 */
    CHECK(out(2) == 1);
    pass_at(&tromso, 1797849900 + 3600);
    CHECK(out(2) == 0);
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
        CHECK(out(0) == rows[i].up && out(1) == rows[i].down);
        CHECK(out(0) == 0 || out(1) == 0);
    }

    begin("in a = DI1\nout up = RL1 safe on\nout down = RL2 safe on\n"
          "interlock up, down gap 50ms\nup := a\ndown := not a\n");
    CHECK(out(0) == 0 && out(1) == 0); /* off at a start, and one at most when all are safe */
    raw[0] = 1;
    pass(40, true);
    CHECK(out(0) == 0 && out(1) == 0);
    pass(10, true);
    CHECK(out(0) == 1 && out(1) == 0);
    fw_runner_stop(&runner);
    pass(100, true);
    CHECK(out(0) == 1 && out(1) == 0);

    begin("in a = DI1\nout r = RL1 safe off linkloss safe after 1s\n"
          "out k = RL2 safe hold linkloss safe after 1s\nout c = RL3 safe off\n"
          "r := a\nk := a\nc := a\n");
    raw[0] = 1;
    pass(10, true);
    pass(10, false);
    pass(989, false);
    CHECK(out(0) == 1 && out(1) == 1);
    pass(1, false);
    CHECK(out(0) == 0 && out(1) == 1 && out(2) == 1);
    raw[0] = 0;
    pass(10, false);
    CHECK(out(1) == 1 && out(2) == 0); /* held, and carried on */
    for (int i = 0; i < 50; i++) {
        pass(100000000u, false);
        CHECK(out(1) == 1);
    }
    pass(10, true);
    CHECK(out(0) == 0 && out(1) == 0);

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
        CHECK(faults(0) == (steps[i].fault != 0));
        CHECK(out(0) == steps[i].a); /* never a switch */
    }
    raw[1] = 1;
    pass(10, true);
    pass(100, true);
    pass(10, true);
    CHECK(staged("wrong") == 1);

}

/* A command of the yard in a scan of its own. */
static fw_result_t command(bool is_set, uint8_t index, int32_t value)
{
    now_ms += 10;
    const fw_command_t given = {
        .cause = {.kind = FW_CAUSE_COMMAND, .by = 77, .reference = 88},
        .arguments = {value},
        .index = index,
        .kind = is_set ? FW_COMMAND_SET : FW_COMMAND_CALL,
    };
    const fw_runner_scan_t around = {
        .raw = raw, .command = &given, .now_ms = now_ms, .online = true};
    return fw_runner_scan(&runner, &around);
}

/* An output has its value because of this. `reference` is a line, or what the command said. */
static void check_cause(uint8_t number, uint8_t kind, uint32_t reference)
{
    const fw_cause_t *cause = &runner.points.at[output(number)].cause;
    CHECK(cause->kind == kind && cause->reference == reference);
    CHECK(cause->by == (kind == FW_CAUSE_COMMAND ? 77u : 0u));
}

static void test_causes(void)
{
    begin("in a = DI1\n"
          "out hand = RL1 safe on manual\n"
          "out lamp = RL2 safe off\n"
          "out pump = RL3 safe off\n"
          "var wish : bool\n"
          "command go(t: time in 1s..1m)\ncommand stop\n"
          "wish := sr(tp(go, go.t), stop)\n"
          "if a\n"
          "  lamp := on\n"
          "else if not a and go\n"
          "  lamp := off\n"
          "end\n"
          "pump := wish\n");
    pass(10, true);
    CHECK(out(0) == 1 && out(1) == 0);
    check_cause(0, FW_CAUSE_BOOT, 0);
    CHECK(command(true, output(0), 0) == FW_RESULT_EXECUTED && out(0) == 0);
    check_cause(0, FW_CAUSE_COMMAND, 88);
    raw[0] = 1;
    pass(10, true);
    CHECK(runner.points.at[0].cause.kind == FW_CAUSE_INPUT && out(1) == 1);
    check_cause(1, FW_CAUSE_SCRIPT, 10);
    raw[0] = 0;
    pass(10, true);
    CHECK(out(1) == 1);
    CHECK(command(false, 0, 1000) == FW_RESULT_EXECUTED && out(1) == 0 && out(2) == 1);
    check_cause(1, FW_CAUSE_COMMAND, 88); /* through a branch */
    check_cause(2, FW_CAUSE_COMMAND, 88); /* through a name and a block */
    pass(1000, true);
    CHECK(out(2) == 1); /* set, until it is stopped */
    raw[0] = 1;
    CHECK(command(false, 1, 0) == FW_RESULT_EXECUTED && out(2) == 0 && out(1) == 1);
    check_cause(1, FW_CAUSE_SCRIPT, 10); /* in the same scan, and not its doing */
    check_cause(2, FW_CAUSE_COMMAND, 88);

    begin("in a = DI1\nout r = RL1 safe off linkloss safe after 1s\nout k = RL2 safe off\n"
          "interlock r, k gap 100ms\ncommand go\n"
          "r := a\nk := sr(go, a)\n");
    raw[0] = 1;
    pass(100, true);
    CHECK(out(0) == 1);
    pass(10, false);
    pass(1000, false);
    CHECK(out(0) == 0);
    check_cause(0, FW_CAUSE_LINK_LOSS, 0);
    pass(100, true);
    CHECK(out(0) == 1);
    check_cause(0, FW_CAUSE_LINK_LOSS, 0); /* its end */
    raw[0] = 0;
    CHECK(command(false, 0, 0) == FW_RESULT_EXECUTED && out(0) == 0 && out(1) == 0);
    check_cause(0, FW_CAUSE_SCRIPT, 6);
    pass(100, true);
    CHECK(out(1) == 1);
    check_cause(1, FW_CAUSE_COMMAND, 88); /* held up by the interlock, and still its doing */

    /* What changes when a command is refused is not its doing. */
    begin("in a = DI1\nout r = RL1 safe off\ncommand go refuse \"no\" when a\nr := a or go\n");
    pass(10, true);
    raw[0] = 1;
    CHECK(command(false, 0, 0) == FW_RESULT_REFUSED && out(0) == 1);
    check_cause(0, FW_CAUSE_SCRIPT, 4);

    /* A command that makes a machine's time pass is why it goes on. */
    begin("out r = RL1 safe off\ncommand go(t: time)\n"
          "state s: one, two\nfrom one to two when after(1m - go.t)\nend\nr := s.two\n");
    pass(10, true);
    CHECK(command(false, 0, 60000) == FW_RESULT_EXECUTED && out(0) == 1);
    check_cause(0, FW_CAUSE_COMMAND, 88);

    begin("out l = RL1 safe off\nl := during(08:00-09:00, unsynced off)\n");
    fw_zone_t zone;
    CHECK(fw_zone_parse(&zone, (fw_span_t){(const uint8_t *)"UTC0", 4}));
    for (int32_t hour = 7; hour < 10; hour++) {
        now_ms += 10;
        const fw_runner_scan_t around = {
            .raw = raw, .now_ms = now_ms, .zone = &zone, .utc = hour * 3600, .synced = true};
        fw_runner_scan(&runner, &around);
        CHECK(out(0) == (hour == 8));
    }
    check_cause(0, FW_CAUSE_SCHEDULE, 2);
}

static void test_forcing(void)
{
    begin("in a = DI1\nout r = RL1 safe off linkloss safe after 1s\nout k = RL2 safe off\n"
          "out x : num = AO1 safe 0\ninterlock r, k gap 0ms\nr := a\nk := not a\nx := 5\n");
    raw[0] = 1;
    pass(10, true);
    CHECK(out(0) == 1 && out(1) == 0 && out(2) == 5000);
    CHECK(!fw_runner_force(&runner, 0, 1, 1000, now_ms)); /* an input */
    CHECK(!fw_runner_force(&runner, output(0), 2, 1000, now_ms));
    CHECK(!fw_runner_force(&runner, output(0), 0, 0, now_ms));
    CHECK(!fw_runner_force(&runner, output(0), 0, FW_FORCE_MS_MAX + 1u, now_ms));
    CHECK(!fw_runner_force(&runner, 9, 0, 1000, now_ms));
    CHECK(!fw_runner_release(&runner, output(0)));
    CHECK(fw_runner_force(&runner, output(1), 1, 1000, now_ms));
    pass(10, true);
    CHECK(out(0) == 1 && out(1) == 0); /* an interlock holds against force */
    CHECK(fw_runner_force(&runner, output(0), 0, 1000, now_ms));
    pass(10, true);
    pass(10, true);
    CHECK(out(0) == 0 && out(1) == 1);
    check_cause(0, FW_CAUSE_FORCE, 0);
    check_cause(1, FW_CAUSE_FORCE, 0);
    CHECK((runner.points.at[output(0)].flags & FW_POINT_FORCED) != 0u);
    pass(960, true);
    CHECK(out(1) == 1);
    pass(10, true); /* 1 s after it was forced */
    CHECK(out(1) == 0);
    check_cause(1, FW_CAUSE_FORCE, 0);
    CHECK((runner.points.at[output(1)].flags & FW_POINT_FORCED) == 0u);
    pass(10, true);
    CHECK(out(0) == 1);
    check_cause(0, FW_CAUSE_FORCE, 0); /* its end, that the interlock held up for a scan */
    CHECK(fw_runner_force(&runner, output(2), -7, 5000, now_ms));
    CHECK(fw_runner_force(&runner, output(2), 7, 500, now_ms)); /* the last word */
    pass(10, true);
    CHECK(out(2) == 7);
    CHECK(fw_runner_release(&runner, output(2)));
    pass(10, true);
    CHECK(out(2) == 5000);
    CHECK(fw_runner_force(&runner, output(2), 7, 500, now_ms));
    fw_runner_stop(&runner);
    pass(10, true);
    CHECK(out(0) == 0 && out(1) == 0 && out(2) == 0);
    check_cause(2, FW_CAUSE_SAFE, 0);
    CHECK(!fw_runner_force(&runner, output(0), 1, 500, now_ms));
    CHECK(command(true, output(0), 1) == FW_RESULT_REFUSED);
    begin("event \"up\" when boot\n");
    pass(10, true);
    CHECK(runner.vm.events == 1u);
    fw_runner_stop(&runner);
    pass(10, true);
    CHECK(runner.vm.events == 0u); /* it happened once */
}

/* What the feedbacks of a command's outputs make of it. */
static void test_settling(void)
{
    static const char text[] =
        "in f = DI1\nin g = DI2\nout r = RL1 safe off confirm f within 100ms\n"
        "out k = RL2 safe off confirm g within 200ms\ncommand go(on: bool)\ncommand other\n"
        "r := rs(go and go.on, go and not go.on)\nk := rs(go and go.on, go and not go.on)\n";
    uint8_t tag = 0;
    bool confirmed = false;
    static const struct {
        uint32_t f_ms, g_ms; /* when they follow; 0: never */
        uint32_t settled_ms;
        bool confirmed;
    } rows[] = {{20, 50, 50, true}, {50, 20, 50, true}, {10, 0, 200, false}, {0, 10, 100, false}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin(text);
        pass(10, true);
        CHECK(command(false, 1, 0) == FW_RESULT_EXECUTED); /* changes nothing */
        CHECK(command(false, 0, 1) == FW_RESULT_CONFIRMING);
        CHECK(!fw_runner_settled(&runner, &tag, &confirmed));
        fw_runner_await(&runner, 5);
        uint32_t since = now_ms;
        while (now_ms - since < rows[i].settled_ms) {
            CHECK(!fw_runner_settled(&runner, &tag, &confirmed));
            raw[0] = rows[i].f_ms != 0u && now_ms + 10u - since >= rows[i].f_ms;
            raw[1] = rows[i].g_ms != 0u && now_ms + 10u - since >= rows[i].g_ms;
            pass(10, true);
        }
        CHECK(fw_runner_settled(&runner, &tag, &confirmed));
        CHECK(tag == 5 && confirmed == rows[i].confirmed);
        CHECK(!fw_runner_settled(&runner, &tag, &confirmed));
    }
    /* Another command takes one of the outputs away before it was followed: the first has failed. */
    begin(text);
    pass(10, true);
    CHECK(command(false, 0, 1) == FW_RESULT_CONFIRMING);
    fw_runner_await(&runner, 5);
    raw[1] = 1;
    CHECK(command(false, 0, 0) == FW_RESULT_CONFIRMING);
    CHECK(fw_runner_settled(&runner, &tag, &confirmed) && tag == 5 && !confirmed);
    fw_runner_await(&runner, 6);
    raw[1] = 0;
    pass(10, true);
    CHECK(fw_runner_settled(&runner, &tag, &confirmed) && tag == 6 && confirmed);
}

/* Scans that are left out because nothing can happen make no difference. */
static void test_skipping(void)
{
    static const char *const texts[] = {
        "in a = DI1 debounce 30ms\nin x : num = AI0\nout r = RL1 safe off\nout y : num = AO1 safe 0\n"
        "r := tof(ton(a, 70ms), 50ms) or tp(rise(a), 35ms)\ny := slew(x, 100)\n",
        "in a = DI1\nin x : num = AI0\nout r = RL1 safe off\nout y : num = AO1 safe 0\n"
        "var n : int\nn := runtime(a, n)\nr := blink(a, 40ms, 20ms)\ny := filter(x, 300ms) + n\n",
        "in a = DI1\nin x : num = AI0\nout r = RL1 safe off linkloss safe after 200ms\n"
        "out k = RL2 safe off confirm a within 60ms\ninterlock r, k gap 90ms\n"
        "state s: one, two\nfrom one to two when a\nfrom two to one when after(120ms)\nend\n"
        "r := s.two\nk := a or x > 500\n",
    };
    uint32_t skipped = 0;
    for (size_t text = 0; text < sizeof(texts) / sizeof(texts[0]); text++) {
        static fw_runner_t whole;
        begin(texts[text]);
        whole = runner;
        uint32_t scanned_ms = now_ms;
        bool online = true;
        for (uint32_t step = 0; step < 20000; step++) {
            now_ms += 10;
            bool is_news = random_below(40) == 0;
            if (is_news) {
                raw[0] = (int32_t)random_below(2);
                raw[1] = (int32_t)random_below(1000) * 1000;
                online = random_below(3) != 0;
            }
            const fw_runner_scan_t around = {.raw = raw, .now_ms = now_ms, .online = online};
            fw_runner_scan(&whole, &around);
            whole.leaves_out = false;
            if (is_news || now_ms - scanned_ms >= runner.due_ms || runner.due_ms < 10u) {
                fw_runner_scan(&runner, &around);
                scanned_ms = now_ms;
            } else {
                skipped++;
            }
            for (uint8_t i = 0; i < runner.points.count; i++) {
                CHECK(runner.points.at[i].value == whole.points.at[i].value);
                CHECK(runner.points.at[i].flags == whole.points.at[i].flags);
            }
        }
    }
    CHECK(skipped > 2000u);

    /* Whoever asks whether the time is known hears it within a second. */
    begin("out r = RL1 safe off\nr := synced\n");
    pass(10, true);
    pass(10, true);
    CHECK(runner.due_ms == 1000u);

    /* A hand that comes in between does not make the scans before it late. */
    begin("in a = DI1\nout r = RL1 safe on linkloss safe after 1s\nout k = RL2 safe off\nr := on\n"
          "retain n : int\nn := runtime(a, n)\n");
    pass(10, true);
    pass(10, true);
    CHECK(runner.due_ms > 50000u);
    CHECK(fw_runner_force(&runner, output(1), 1, 1000, now_ms + 50000u) && runner.due_ms == 0u);
    raw[0] = 1;
    pass(50000, false);
    CHECK(out(0) == 1 && out(1) == 1 && staged("n") == 0);
}

void test_runner(void)
{
    test_inputs();
    test_schedules();
    test_sun_schedules();
    test_polar_schedules();
    test_looks();
    test_outputs();
    test_causes();
    test_forcing();
    test_settling();
    test_skipping();
}
