/*
 * test_script.c: the script language, from text to what its names hold after a scan.
 */
#include "check.h"
#include "code.h"
#include "script_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- values ---- */

static void test_values(void)
{
    static const struct {
        const char *type;
        const char *expression;
        int32_t value;
    } rows[] = {
        {"int", "2 + 3 * 4", 14},
        {"int", "(2 + 3) * 4", 20},
        {"int", "10 - 4 - 3", 3},
        {"int", "-2 * -3", 6},
        {"int", "- (2 + 3)", -5},
        {"int", "7 / 2", 3},
        {"int", "-7 / 2", -3},
        {"int", "-7 mod 3", -1},
        {"int", "2147483647 + 1", INT32_MAX},
        {"int", "-2147483647 - 2", INT32_MIN},
        {"int", "65536 * 65536", INT32_MAX},
        {"int", "-2147483648", INT32_MIN},
        {"int", "- 2147483648 + 1", -INT32_MAX},
        {"int", "--2147483648", INT32_MAX},
        {"num", "-2147483.648", INT32_MIN},
        {"num", "num(3000000)", INT32_MAX},
        {"time", "-2147483648ms", INT32_MIN},
        {"int", "int(2.5)", 3},
        {"int", "int(-2.5)", -3},
        {"int", "min(3, 2)", 2},
        {"int", "limit(7, 1, 5)", 5},
        {"int", "limit(-7, 1, 5)", 1},
        {"int", "limit(7, 2 - 1, 5)", 5},
        {"int", "limit(-7, 2 - 1, 5)", 1},
        {"int", "limit(7, 1, 6 - 1)", 5},
        {"int", "limit(-7, 2 - 1, 6 - 1)", 1},
        {"int", "abs(-5)", 5},
        {"num", "1.5 * 2", 3000},
        {"num", "2 * 1.5", 3000},
        {"num", "1 / 3.0", 333},
        {"num", "2 / 3.0", 667},
        {"num", "-2 / 3.0", -667},
        {"num", "0.5 * 0.001", 1},
        {"num", "0.4 * 0.001", 0},
        {"num", "-0.5 * 0.001", -1},
        {"num", "7", 7000},
        {"num", "max(1, 2.5)", 2500},
        {"num", "2000000.0 * 2000", INT32_MAX},
        {"num", "90s / 60s", 1500},
        {"num", "seconds(1500ms)", 1500},
        {"time", "30s + 500ms", 30500},
        {"time", "2 * 30s", 60000},
        {"time", "30s * 1.5", 45000},
        {"time", "30s * 1.333", 39990},
        {"time", "1ms * 0.5", 1},
        {"time", "-1ms * 0.4", 0},
        {"time", "10s / 1.5", 6667},
        {"time", "10s / 3", 3333},
        {"time", "0.5ms", 0},
        {"time", "1m / 4", 15000},
        {"time", "1.5h", 5400000},
        {"time", "20d + 20d", INT32_MAX},
        {"time", "max(1s, 2s)", 2000},
        {"bool", "1 < 2", 1},
        {"bool", "2 < 1.5", 0},
        {"bool", "2 >= 2", 1},
        {"bool", "1s > 999ms", 1},
        {"bool", "1 <> 1.0", 0},
        {"bool", "true = off", 0},
        {"bool", "not false and true", 1},
        {"bool", "true or false and false", 1},
        {"bool", "not (1 = 2) and not not on", 1},
        {"bool", "false = not true", 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[200];
        snprintf(text, sizeof(text), "var x : %s\nx := %s\n", rows[i].type, rows[i].expression);
        start(text);
        scan(10);
        CHECK_NOTE(cell("x") != NULL && *cell("x") == rows[i].value, text);
    }
    start("var n = 0\nvar a : int\nvar b : num\na := 5 / n\nb := 5.0 / n\n");
    scan(10);
    CHECK(*cell("a") == 0 && *cell("b") == 0);
    CHECK(vm.divisions_by_zero == 2);
}

/* ---- statements ---- */

static void test_statements(void)
{
    start("in door = DI1\nout lamp = RL1 safe off\nparam step : int = 2 in 1..10\n"
          "retain count : int = 40\nvar seen : bool\n\n"
          "seen := lamp # of the scan before\nlamp := door\ncount += step when door\n");
    *cell("door") = 1;
    scan(10);
    CHECK(*cell("lamp") == 1 && *cell("seen") == 0 && *cell("count") == 42);
    *cell("door") = 0;
    *cell("step") = 5;
    scan(10);
    CHECK(*cell("lamp") == 0 && *cell("seen") == 1 && *cell("count") == 42);

    start("var x = 0\nvar y = 0\nvar n = 0\nvar z = 7\n"
          "if x = 1\n  y := 10\n  n := 5 / (x - 1)\nelse if x = 2\n  if z > 5\n    y := 20\n"
          "  else\n    y := 21\n  end\nelse\n  y := 30\nend\n");
    static const struct {
        int32_t x, z, y;
        uint32_t faults;
    } rows[] = {{0, 7, 30, 0}, {1, 7, 10, 1}, {2, 7, 20, 1}, {2, 5, 21, 1}, {3, 5, 30, 1}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        *cell("x") = rows[i].x;
        *cell("z") = rows[i].z;
        scan(10);
        CHECK(*cell("y") == rows[i].y);
        CHECK(vm.divisions_by_zero == rows[i].faults);
    }

    /* What is not assigned keeps its value; a branch inside of one that is not taken is not. */
    start("var a : bool\nvar b : bool\nvar y = 1\nvar n = 0\n"
          "if a\n  if b\n    y := 2\n  else\n    y := 3\n  end\n  n += 1 when b\nend\n");
    static const int32_t steps[][4] = {{0, 1, 1, 0}, {0, 0, 1, 0}, {1, 0, 3, 0}, {1, 1, 2, 1},
                                       {0, 0, 2, 1}};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        *cell("a") = steps[i][0];
        *cell("b") = steps[i][1];
        scan(10);
        CHECK(*cell("y") == steps[i][2] && *cell("n") == steps[i][3]);
    }

    /* Branches that exclude each other may all assign, however deep. */
    start("var a : bool\nvar y = 0\n"
          "if a\n  if a\n    y := 1\n  else\n    y := 2\n  end\nelse if not a\n"
          "  if a\n    y := 3\n  else\n    y := 4\n  end\nelse\n  y := 5\nend\n");
    scan(10);
    CHECK(*cell("y") == 4);

    start("out heat : num = AO1 safe 12.5\nout pump = RL1 safe hold\nout spare = RL2 safe on manual\n");
    CHECK(*cell("heat") == 12500 && *cell("pump") == 0 && *cell("spare") == 1);
}

/* ---- blocks ---- */

/* Inputs a and b scan by scan, 10 ms apart, and what comes out, as 0 and 1. */
static void test_blocks(void)
{
    static const struct {
        const char *block;
        const char *a;
        const char *b;
        const char *q;
    } rows[] = {
        {"rise(a)", "1101101", "0000000", "0001001"},
        {"fall(a)", "0110100", "0000000", "0001010"},
        {"toggle(a)", "1010110", "0000000", "0011000"},
        {"ton(a, 30ms)", "1111011110", "0000000000", "0001000010"},
        {"ton(a, 0ms)", "0110", "0000", "0110"},
        {"tof(a, 30ms)", "0100001001000", "0000000000000", "0111101111111"},
        {"tp(a, 30ms)", "1011111001001", "0000000000000", "0011100001111"},
        {"blink(a, 20ms, 10ms)", "011111110110", "000000000000", "011011010110"},
        {"sr(a, b)", "0100010", "0001011", "0110010"},
        {"rs(a, b)", "0100010", "0001011", "0110000"},
        {"ctu(a, b, 2)", "1010101010", "0000001000", "0000110000"},
        {"not a and rise(b)", "0010", "0101", "0101"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[200];
        snprintf(text, sizeof(text), "in a = DI1\nin b = DI2\nvar q : bool\nq := %s\n",
                 rows[i].block);
        start(text);
        char out[20] = {0};
        for (size_t at = 0; rows[i].a[at] != '\0'; at++) {
            *cell("a") = rows[i].a[at] - '0';
            *cell("b") = rows[i].b[at] - '0';
            scan(10);
            out[at] = (char)('0' + *cell("q"));
        }
        CHECK_STRING(out, rows[i].q, rows[i].block);
    }

    static const struct {
        const char *block;
        int32_t in[8];
        const char *q;
    } levels[] = {
        {"hysteresis(x, 80, 20)", {50, 80, 50, 20, 50, 90, 21, 19}, "01100110"},
        {"hysteresis(x, 20, 80)", {50, 20, 50, 80, 50, 10, 79, 81}, "01100110"},
        {"hysteresis(x, 50, 50)", {49, 50, 51, 50, 49, 50, 49, 0}, "01110100"},
    };
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        char text[200];
        snprintf(text, sizeof(text), "in x = AI0\nvar q : bool\nq := %s\n", levels[i].block);
        start(text);
        char out[9] = {0};
        for (size_t at = 0; at < 8; at++) {
            *cell("x") = levels[i].in[at] * 1000;
            scan(10);
            out[at] = (char)('0' + *cell("q"));
        }
        CHECK_STRING(out, levels[i].q, levels[i].block);
    }

    /* Once it is over, a longer time comes too late; before, it does not. */
    start("in a = DI1\nvar t = 30ms\nvar late : bool\nvar gone : bool\n"
          "late := ton(a, t)\ngone := not tof(not a, t)\n");
    static const struct {
        int32_t a, t_ms, over;
    } times[] = {{0, 30, 0}, {1, 30, 0}, {1, 40, 0}, {1, 40, 0}, {1, 40, 0}, {1, 40, 1}, {1, 90, 1}};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        *cell("a") = times[i].a;
        *cell("t") = times[i].t_ms;
        scan(10);
        CHECK(*cell("late") == times[i].over && *cell("gone") == times[i].over);
    }

    /* A timer that is over stays over when the count has gone round. */
    start("in a = DI1\nvar q : bool\nq := ton(a, 1s)\n");
    *cell("a") = 1;
    scan(10);
    scan(1000);
    CHECK(*cell("q") == 1);
    for (int i = 0; i < 50; i++) {
        scan(100000000u);
        CHECK(*cell("q") == 1);
    }

    start("in x = AI0\nvar y : num\ny := filter(x, 1s)\n");
    *cell("x") = 10000;
    scan(10);
    CHECK(*cell("y") == 10000);
    *cell("x") = 20000;
    for (int i = 0; i < 100; i++) {
        scan(10);
    }
    CHECK(*cell("y") > 16250 && *cell("y") < 16400); /* 63 % of the step after its time */
    for (int i = 0; i < 2000; i++) {
        scan(10);
    }
    CHECK(*cell("y") == 20000);

    start("in a = DI1\nretain s : int\ns := runtime(a, s)\n");
    *cell("a") = 1;
    for (int i = 0; i < 251; i++) {
        scan(10);
    }
    CHECK(*cell("s") == 2);
    *cell("a") = 0;
    scan(5000);
    CHECK(*cell("s") == 2);
    *cell("a") = 1;
    scan(500);
    CHECK(*cell("s") == 3);
}

/* ---- commands, events, alarms ---- */

static fw_vm_answer_t call(uint8_t command, int32_t first, int32_t second)
{
    const fw_vm_call_t called = {command, {first, second}};
    now_ms += 10;
    return fw_vm_scan(&vm, now_ms, &called);
}

static void test_commands_of_scripts(void)
{
    start("in level : num = AI0\n"
          "command boost(t: time in 1s..10m, on: bool) refuse \"tank empty\" when level < 5 or "
          "boost.t > 5m\n"
          "command stop\n"
          "out pump = RL1 safe off\n"
          "var calls = 0\n"
          "pump := tp(boost and boost.on, boost.t) and not stop\n"
          "calls += 1 when boost\n");
    uint16_t at = 0;
    uint8_t number = 0;
    fw_signature_t signature;
    fw_record_t refusal;
    uint8_t text[FW_TITLE_BYTES_MAX];
    CHECK(fw_program_next_command(&vm.program, &at, &number, &signature));
    CHECK(fw_program_refusal(&vm.program, at, &refusal));
    CHECK(fw_record_text(&refusal, text, sizeof text).length == 10);
    CHECK(memcmp(text, "tank empty", 10) == 0);
    CHECK(fw_program_next_command(&vm.program, &at, &number, &signature));
    CHECK(!fw_program_refusal(&vm.program, at, &refusal));
    *cell("level") = 10000;
    scan(10);
    CHECK(*cell("pump") == 0 && *cell("t") == 1000); /* the least that it can be */
    CHECK(call(0, 2000, 1) == FW_VM_TAKEN);
    CHECK(*cell("pump") == 1 && *cell("boost") == 1 && *cell("calls") == 1);
    scan(10); /* true for one scan, and its arguments stay */
    CHECK(*cell("pump") == 1 && *cell("boost") == 0 && *cell("calls") == 1 && *cell("t") == 2000);
    CHECK(call(1, 0, 0) == FW_VM_TAKEN && *cell("pump") == 0 && *cell("boost") == 0);
    scan(10);
    CHECK(*cell("pump") == 1);
    /* Refused by what it brings, and by how things stand; either changes nothing. */
    CHECK(call(0, 400000, 0) == FW_VM_REFUSED);
    CHECK(*cell("t") == 2000 && *cell("on") == 1 && *cell("boost") == 0 && *cell("calls") == 1);
    *cell("level") = 4000;
    CHECK(call(0, 3000, 1) == FW_VM_REFUSED && *cell("t") == 2000);
    CHECK(call(7, 0, 0) == FW_VM_NO_CALL); /* there is no such command */
    scan(2000);
    CHECK(*cell("pump") == 0);
}

static void test_reports(void)
{
    start("in a = DI1\nvar n = 0\nretain k = 7\nn += 1 when a\n"
          "event \"started\" n, k when a\n"
          "event \"booted\" when boot\n"
          "alarm HIGH \"hot\" when n > 2 clear not a\n"
          "alarm LOW \"on\" when a\n");
    static const struct {
        int32_t a;
        uint32_t events, alarms;
    } rows[] = {{0, 2, 0}, {1, 1, 2}, {1, 0, 2}, {1, 0, 3}, {0, 0, 1}, {0, 0, 0}, {1, 1, 2}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (i == 5) {
            *cell("n") = 0;
        }
        *cell("a") = rows[i].a;
        scan(10);
        CHECK(vm.events == rows[i].events && vm.alarms == rows[i].alarms);
    }
    uint16_t at = 0;
    size_t found = 0;
    fw_record_t record;
    while (fw_program_next(&vm.program, &at, &record)) {
        fw_span_t started = {(const uint8_t *)"started", 7};
        if (record.tag == FW_RECORD_EVENT && fw_record_is(&record, started)) {
            found++;
            CHECK(record.a == 0 && record.b == 2 && record.words[0] == 5);
            CHECK(&vm.cells[record.words[1] & 0xFFu] == cell("n"));
            CHECK(&vm.cells[(record.words[1] >> 8) & 0xFFu] == cell("k"));
        }
        if (record.tag == FW_RECORD_ALARM && record.a == 0) {
            found++;
            CHECK(record.b == FW_ALARM_HIGH && record.words[0] == 7);
        }
    }
    CHECK(found == 2);

    start("in x = AI0\nvar q : bool\nq := x.bad or not online or synced\n");
    scan(10);
    CHECK(*cell("q") == 1); /* nobody has said that it is on line */
}

static void test_machines(void)
{
    start("in level : num = AI0\nin stop = DI1\nout pump = RL1 safe off\nvar rests : bool\n"
          "state tank : idle, filling, broken\n"
          "  from idle to filling when level < 20 and after(30ms)\n"
          "  from filling to idle when level > 80\n"
          "  from filling to broken when after(100ms)\n"
          "  from any to idle when stop\n"
          "end\n"
          "pump := tank.filling\nrests := tank.idle and not tank.broken\n");
    static const struct {
        uint32_t after_ms;
        int32_t level, stop, tank;
    } rows[] = {
        {10, 10, 0, 0}, {10, 10, 0, 0}, {10, 10, 0, 0},  {10, 10, 0, 1}, /* 30 ms after the start */
        {10, 90, 0, 0}, {10, 10, 0, 0}, {20, 10, 0, 1},  {99, 50, 0, 1}, {1, 50, 0, 2},
        {10, 90, 0, 2}, {10, 10, 1, 0}, {10, 10, 1, 0},  {20, 10, 1, 1}, /* one step a scan */
        {10, 10, 1, 0}, {10, 50, 0, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        *cell("level") = rows[i].level * 1000;
        *cell("stop") = rows[i].stop;
        scan(rows[i].after_ms);
        if (*cell("tank") != rows[i].tank) {
            printf("row %zu: state %d\n", i, *cell("tank"));
        }
        CHECK(*cell("tank") == rows[i].tank && *cell("pump") == (rows[i].tank == 1) &&
              *cell("rests") == (rows[i].tank == 0));
    }
    /* However long ago, it stays so when the count goes round. */
    for (int i = 0; i < 50; i++) {
        scan(100000000u);
    }
    *cell("level") = 10000;
    scan(10);
    CHECK(*cell("tank") == 1);
}

/* The example of docs/script.md: a tank is pumped empty, and its fan runs on. */
static void test_example(void)
{
    start("in   door  = DI1\n"
          "in   level : num = AI0\n"
          "out  pump  = RL1 safe off\n"
          "out  fan   = RL2 safe hold\n"
          "out  spare = RL3 safe off manual\n"
          "retain runs : int\n"
          "param  delay : time = 30s in 1s..10m\n"
          "var  starts : bool\n"
          "\n"
          "pump   := hysteresis(level, 80, 20) or toggle(door)\n"
          "fan    := tof(pump, delay)\n"
          "starts := rise(pump)\n"
          "runs   += 1 when starts\n");
    static const struct {
        uint32_t after_ms;
        int32_t level, door, pump, fan, runs;
    } rows[] = {
        {10, 50, 0, 0, 0, 0},    {10, 80, 0, 1, 1, 1},    {10, 50, 0, 1, 1, 1},
        {10, 20, 0, 0, 1, 1},    {29990, 30, 0, 0, 1, 1}, {10, 30, 0, 0, 0, 1},
        {10, 30, 1, 1, 1, 2},    {10, 30, 0, 1, 1, 2},    {10, 30, 1, 0, 1, 2},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        *cell("level") = rows[i].level * 1000;
        *cell("door") = rows[i].door;
        scan(rows[i].after_ms);
        CHECK(*cell("pump") == rows[i].pump && *cell("fan") == rows[i].fan &&
              *cell("runs") == rows[i].runs);
    }
    CHECK(compiler.operations == 10);
}

/* ---- errors ---- */

static void test_errors(void)
{
    static const struct {
        const char *text;
        uint16_t line, column, other_line;
        const char *expected;
    } rows[] = {
        {"x := 1", 1, 1, 0, "a declared name, or a word of the language"},
        {"var x : int\nx := y", 2, 6, 0, "a declared name"},
        {"var x : int\nx = 1", 2, 3, 0, "`:=` or `+=`"},
        {"var x : int\nx := 1 +", 2, 9, 0, "a value: a name, a number or a call"},
        {"var x : int\nx := (1 + 2", 2, 12, 0, "an operator, or `)`"},
        {"var x : int\nx := 1 2", 2, 8, 0, "an operator, or the end of the line"},
        {"var x : int\nx := 1.5", 2, 6, 0, "a whole number, as the name is"},
        {"var x : bool\nx := 1", 2, 6, 0, "a value that is true or false, as the name is"},
        {"var x : bool\nx := 1 and true", 2, 8, 0, "a condition on both sides of this"},
        {"var x : bool\nx := 1 < 1s", 2, 8, 0, "two numbers, or two times, around this"},
        {"var x : int\nx := 1s * 1s", 2, 9, 0,
         "two numbers, or a time and a number, around this"},
        {"var x : bool\nx := ton(true)", 2, 6, 0, "ton(condition, time)"},
        {"var x : bool\nx := rise(true, 1s)", 2, 15, 0, "rise(condition)"},
        {"var x : int\nx := 1\nx := 2", 3, 1, 2, "a name that no other statement assigns"},
        {"var x : int\nif true\nx := 1\nend\nx := 2", 5, 1, 3,
         "a name that no other statement assigns"},
        {"var x : int\nif true\nx := 1\nx := 2\nend", 4, 1, 3,
         "a name that no other statement assigns"},
        {"var x : int\nif true\nx := 1\nif true\nx := 2\nend\nend", 5, 1, 3,
         "a name that no other statement assigns"},
        {"var x : int\nif true\nif true\nx := 1\nelse\nx := 2\nend\nx := 3\nend", 8, 1, 6,
         "a name that no other statement assigns"},
        {"var x : int\nif true\nif true\nx := 1\nend\nif true\nx := 2\nend\nend", 7, 1, 4,
         "a name that no other statement assigns"},
        {"var x : bool\nif true\nx := rise(true)\nend", 3, 6, 0,
         "no block inside of an `if`: a block runs in every scan"},
        {"in a = DI1\na := true", 2, 1, 1, "an output or a variable: this is an input"},
        {"param p : int = 1\np := 2", 2, 1, 1, "an output or a variable: this is a parameter"},
        {"out r = RL1 safe off manual\nr := true", 2, 1, 1,
         "an output or a variable: this output is switched by hand"},
        {"in a = RL1", 1, 8, 0, "an input of this board"},
        {"in a = DI1 scale 0..1 to 0..2", 1, 12, 0, "`debounce`, or the end of the line"},
        {"in a = AI0 scale 5..5 to 0..2", 1, 18, 0, "two different numbers"},
        {"in a = AI0 bad 5", 1, 16, 0, "`below` or `above`"},
        {"in a = DI1 debounce 0s", 1, 21, 0, "a time above 0"},
        {"in a = AI0\nout r = RL1 safe off confirm a within 1s", 2, 30, 0,
         "a digital input, for a digital output"},
        {"out r = RL1 safe off\nvar x : bool\nx := r.fault", 3, 8, 0,
         "no dot: this has no parts"},
        {"out r = RL1 safe off\ninterlock r gap 1s", 2, 13, 0, "`,` and another output"},
        {"out r = RL1 safe off\ninterlock r, r gap 1s", 2, 14, 0, "another output"},
        {"out r = RL1 safe off\nout k = RL2 safe off\ninterlock r, k gap -1s", 3, 20, 0,
         "a time that is not below 0"},
        {"out a = RL1", 1, 12, 0,
         "`safe` and a value: what this output does when the script does not run"},
        {"in a : int = AI0", 1, 8, 0, "num, for this pin is analogue"},
        {"in a = DI1\nin a = DI2", 2, 4, 1, "a name that is not taken"},
        {"var if : int", 1, 5, 0, "a name"},
        {"var ton : int", 1, 5, 0, "a name"},
        {"var x", 1, 6, 0, "`: type` or `= value`"},
        {"var x : float", 1, 9, 0, "a type: bool, int, num or time"},
        {"param p : int = 5 in 6..9", 1, 19, 0, "a range that holds the value"},
        {"var x : bool\nx := during(07:00-08:00)", 2, 24, 0,
         "`,` and another window, or `unsynced` and what holds while the time of day is not known"},
        {"var x : bool\nx := during(mon-xyz 07:00-08:00, unsynced off)", 2, 17, 0,
         "a day, such as fri"},
        {"var x : bool\nx := during(07:00-07:00, unsynced off)", 2, 19, 0,
         "two different times of day"},
        {"var x : bool\nx := during(unsynced off)", 2, 13, 0, "a time of day, such as 07:00"},
        {"var x : bool\nx := during(25:00-07:00, unsynced off)", 2, 13, 0,
         "a time of day from 00:00 to 24:00"},
        {"var x : bool\nx := during(24:00-07:00, unsynced off)", 2, 13, 0,
         "a time of day before 24:00"},
        {"var x : bool\nx := during(sunset-sunrise, unsynced off)", 2, 13, 0,
         "a time of day, or `place` above this line"},
        {"var x : bool\nx := during(07:00-sunset, unsynced off)\nplace 52.5, 13.4", 2, 19, 0,
         "a time of day, or `place` above this line"},
        {"place 1, 2\nvar x : bool\nx := during(sunset-30, unsynced off)", 3, 20, 0,
         "a time of day, such as 19:30 or sunset"},
        {"place 1, 2\nvar x : bool\nx := during(sunset-30m, unsynced off)", 3, 23, 0,
         "`-` and a time of day"},
        {"place 1, 2\nvar x : bool\nx := during(sunset+23:00, unsynced off)", 3, 20, 0,
         "a time, such as 30m"},
        {"place 1, 2\nvar x : bool\nx := during(07:00-sunset-08:00, unsynced off)", 3, 26, 0,
         "a time, such as 30m"},
        {"place 1, 2\nvar x : bool\nx := during(07:00+30m-08:00, unsynced off)", 3, 18, 0,
         "`-` and a time of day"},
        {"place 1, 2\nvar x : bool\nx := during(sunset+721m-08:00, unsynced off)", 3, 20, 0,
         "a time of whole seconds, 12h at most"},
        {"place 1, 2\nvar x : bool\nx := during(sunset-500ms-08:00, unsynced off)", 3, 20, 0,
         "a time of whole seconds, 12h at most"},
        {"place 1, 2\nvar x : bool\nx := during(sunset+1h-sunset+60m, unsynced off)", 3, 23, 0,
         "two different times of day"},
        {"place 90.001, 0", 1, 7, 0, "a latitude from -90 to 90 degrees, north above 0"},
        {"place -90, -180.001", 1, 12, 0, "a longitude from -180 to 180 degrees, east above 0"},
        {"place 52.5 13.4", 1, 12, 0, "`,` and the longitude"},
        {"place 52.5", 1, 11, 0, "`,` and the longitude"},
        {"place north", 1, 7, 0, "a latitude from -90 to 90 degrees, north above 0"},
        {"place 1, 2 3", 1, 12, 0, "the end of the line"},
        {"place 1, 2\n\nplace 1, 2", 3, 1, 1, "no second place: a controller has one"},
        {"if true\nplace 1, 2\nend", 2, 1, 0, "a statement"},
        {"var place : num", 1, 5, 0, "a name"},
        {"var sunset : bool", 1, 5, 0, "a name"},
        {"state s : a, a", 1, 14, 1, "a name that is not taken"},
        {"state s : a, b\nfrom a to c when true\nend", 2, 11, 0, "a state of this machine"},
        {"state s : a, b\nvar x : int\nend", 2, 1, 1,
         "`from`, or the `end` of the state machine"},
        {"state s : a, b\nfrom a to b when true", 2, 22, 1, "`end`: a state machine is open"},
        {"state s : a, b\nend\nvar x : bool\nx := s.c", 4, 8, 0, "a state of this machine"},
        {"state s : a, b\nend\ns := 1", 3, 1, 1,
         "an output or a variable: this is a state machine"},
        {"state s : a, b\nend\nevent \"e\" s.a when true", 3, 11, 0,
         "the name of a value, or `when`"},
        {"var x : bool\nx := after(1s)", 2, 6, 0,
         "no `after` here: it belongs into a state machine's transition"},
        {"command c(t: time in 2s..1s)", 1, 22, 0, "a range from the smaller to the larger"},
        {"command c(a: int, a: int)", 1, 19, 1, "a name that is not taken"},
        {"command c(a: int, b: int, d: int, e: int, f: int)", 1, 43, 0,
         "`)`: a command has four arguments at most"},
        {"command c refuse when true", 1, 18, 0, "why it refuses, in quotes"},
        {"command c(t: time)\nvar x : bool\nx := c.u", 3, 8, 0, "an argument of this command"},
        {"command c\nc := true", 2, 1, 1, "an output or a variable: this is a command"},
        {"var x = 1\nvar y = 2\ny := x.bad", 3, 8, 0, "no dot: this has no parts"},
        {"in a = DI1\nevent \"e\" when 1", 2, 16, 0,
         "a condition: something that is true or false"},
        {"in a = DI1\nevent \"e\" a, 1 when a", 2, 14, 0, "a name, or `when`"},
        {"in a = DI1\nif a\nevent \"e\" when a\nend", 3, 7, 0,
         "no event and no alarm inside of an `if`: each has its `when`"},
        {"alarm \"hot\" when true", 1, 7, 0, "how grave it is: LOW, MEDIUM or HIGH"},
        {"alarm HIGH \"hot", 1, 12, 0, "the closing quote on the same line"},
        {"if true", 1, 8, 1, "`end`: an `if` is open"},
        {"end", 1, 1, 0, "a statement: there is no `if` here"},
        {"if true\nelse\nelse\nend", 3, 1, 1, "`end`: the `if` has its `else`"},
        {"var x : num\nx := 1.2345", 2, 6, 0, "at most three decimals"},
        {"var x : time\nx := 25d", 2, 6, 0, "a time of at most 24 days"},
        {"var x : int\nx := 2147483648", 2, 6, 0, "a number of at most 2147483647"},
        {"var x : int\nx := 1 - 2147483648", 2, 10, 0, "a number of at most 2147483647"},
        {"var x : int = 2147483648", 1, 15, 0, "a number of at most 2147483647"},
        {"var x : num\nx := 2147483.648", 2, 6, 0, "a number of at most 2147483.647"},
        {"var x : time\nx := 2147483648ms", 2, 6, 0, "a time of at most 24 days"},
        {"var x : num\nx := 3000000", 2, 6, 0, "a number, as the name is"},
        {"var x : int\nx := 3kg", 2, 6, 0, "a number, or one with a unit: ms, s, m, h or d"},
        {"var x : int\nx := 1 $ 2", 2, 8, 0,
         "a name, a number, a text in quotes or a sign of the language"},
        {"var abcdefghijklmnopqrstuvwxy : int", 1, 5, 0,
         "a name of at most 24 letters, digits and underscores"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool compiled = compile(rows[i].text);
        CHECK_NOTE(!compiled, rows[i].text);
        CHECK_STRING(compiler.error.expected, rows[i].expected, rows[i].text);
        bool at_place = compiler.error.line == rows[i].line &&
                        compiler.error.column == rows[i].column &&
                        compiler.error.other_line == rows[i].other_line;
        if (!at_place) {
            printf("at %u:%u, other %u\n", compiler.error.line, compiler.error.column,
                   compiler.error.other_line);
        }
        CHECK_NOTE(at_place, rows[i].text);
    }
}

/* ---- limits ---- */

/* `count` lines, each `before`, its number, `after`. */
static char *lines(size_t count, const char *before, const char *after)
{
    size_t room = count * (strlen(before) + strlen(after) + 8u) + 1u;
    char *text = malloc(room);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        at += (size_t)snprintf(text + at, room - at, "%s%zu%s\n", before, i, after);
    }
    return text;
}

static void test_limits(void)
{
    for (size_t count = 128; count <= 129; count++) {
        char *text = lines(count, "var v", " : int");
        CHECK(compile(text) == (count == 128));
        free(text);
    }
    CHECK_STRING(compiler.error.expected, "no further name: a script has 128 at most", "");
    for (size_t count = 64; count <= 65; count++) {
        char text[1024] = "var x : int\nx := 0";
        for (size_t at = 1; at < count; at++) {
            snprintf(text + strlen(text), 16, " + %zu", at);
        }
        CHECK(compile(text) == (count == 64));
    }
    CHECK_STRING(compiler.error.expected, "no further number: a script has 64 at most", "");
    /* Sixty-four blocks in three statements, and one more. */
    for (size_t count = 64; count <= 65; count++) {
        char text[4096] = "in a = DI1\nvar q : bool\nq := a";
        for (size_t at = 0; at < count; at++) {
            strcat(text, " or rise(a)");
        }
        CHECK(compile(text) == (count == 64));
    }
    CHECK_STRING(compiler.error.expected, "no further block: a script has 64 at most", "");
    for (size_t depth = 8; depth <= 9; depth++) {
        char text[400] = "var q : bool\n";
        for (size_t at = 0; at < depth; at++) {
            strcat(text, "if q\n");
        }
        for (size_t at = 0; at < depth; at++) {
            strcat(text, "end\n");
        }
        CHECK(compile(text) == (depth == 8));
    }
    for (size_t depth = 30; depth <= 40; depth += 10) {
        char text[400] = "var x : int\nx := ";
        for (size_t at = 0; at < depth; at++) {
            strcat(text, "(");
        }
        strcat(text, "1");
        for (size_t at = 0; at < depth; at++) {
            strcat(text, ")");
        }
        CHECK(compile(text) == (depth == 30));
    }
    CHECK_STRING(compiler.error.expected, "a shorter expression", "");
}

/* ---- anything ---- */

/* Pieces of the language in any order: the compiler never hangs or strays, and what it lets through
 * runs, by whatever number of cells. */
static void test_anything(void)
{
    static const char *const pieces[] = {
        "var x", " : int", " : bool", " = 1", "\n",      "x := ",  "x",     " + ", " * ", "(",
        ")",     "rise(",  "ton(x, 1s)", "if ", "else ", "end",    "1",     "1.5", "30s", "true",
        " and ", " not ",  ",",      "in a = DI1", "out r = RL1 safe off", "r := ", "a", "#c", "..",
        "during(", "mon-fri ", "07:00-19:30", ", unsynced off)", "state s : a, b\n", "from a to b when ", "from any to a when ", "after(1s)", "s.b", "end\n",
        "place 1, -2\n", "sunset", "-sunrise", "+30m",
        "command c(t: time)", "c.t", "event \"e\" ", "alarm LOW \"l\" ", " clear ", "boot", "a.bad",
        " refuse \"no\" when ", "param p : num = 1 in 0..2", " when ", " += ", "retain k : time", "\"t\"", "07:00", "limit(",
    };
    size_t compiled = 0;
    for (int round = 0; round < 20000; round++) {
        char text[600] = "var x : bool\n";
        uint32_t count = 1 + random_below(20);
        for (uint32_t i = 0; i < count; i++) {
            strcat(text, pieces[random_below(sizeof(pieces) / sizeof(pieces[0]))]);
        }
        if (compile(text)) {
            compiled++;
            start(text);
            scan(10);
            scan(10);
        } else {
            CHECK_NOTE(compiler.error.expected != NULL && compiler.error.line > 0, text);
        }
        uint8_t noise[64];
        random_fill(noise, sizeof(noise));
        noise[63] = 0;
        (void)compile((const char *)noise);
    }
    CHECK(compiled > 100);
}

/* Every word of code belongs to the line whose statement made it. */
/* What a scan costs is known, rises with what is in it, and is bounded. */
static void test_cost(void)
{
    static char text[8000];
    start("in a = DI1\nout r = RL1 safe off\nr := a\n");
    uint32_t least = fw_program_cost(&vm.program);
    CHECK(least == compiler.cost && least > 5000u && least < 15000u);
    start("in a = DI1\nout r = RL1 safe off\nr := a and during(08:00-09:00, unsynced off)\n");
    CHECK(fw_program_cost(&vm.program) > least + 5000u);
    strcpy(text, "in x : num = AI0\n");
    for (int i = 0; i < 60; i++) {
        sprintf(text + strlen(text), "var v%d : num\nv%d := filter(x, 1s) * 1.5 / 2 * 1.1 / x\n", i, i);
    }
    CHECK(!compile(text));
    CHECK(strstr(compiler.error.expected, "5 ms") != NULL && compiler.error.fix != NULL);
}

static void test_lines(void)
{
    /* A comment has no code, nor have these declarations. */
    static char text[6000];
    strcpy(text, "# why\nin a = DI1\nvar n : int\nvar m : bool\n");
    strcat(text, "if a\n  n := 1\nelse\n  n := 2\nend\n");
    for (int i = 0; i < 300; i++) {
        strcat(text, "\n"); /* further than a byte says */
    }
    strcat(text, "m := a and (n > 1\n  or n < 7)\n");
    start(text);
    uint16_t at = 0;
    uint16_t lines[16] = {0};
    uint8_t count = 0;
    while (at < vm.program.code_words) {
        uint16_t next = 0;
        CHECK(count < 16u);
        lines[count++] = fw_program_line(&vm.program, at, &next);
        for (uint16_t within = at; within < next; within++) {
            uint16_t same = 0;
            CHECK(fw_program_line(&vm.program, within, &same) == lines[count - 1u] && same == next);
        }
        CHECK(next > at);
        at = next;
    }
    static const uint16_t expected[] = {5, 6, 7, 8, 9, 310};
    CHECK(count == sizeof expected / sizeof expected[0] &&
          memcmp(lines, expected, sizeof expected) == 0);
}

void test_script(void)
{
    test_values();
    test_statements();
    test_blocks();
    test_commands_of_scripts();
    test_reports();
    test_machines();
    test_example();
    test_errors();
    test_limits();
    test_anything();
    test_lines();
    test_cost();
}
