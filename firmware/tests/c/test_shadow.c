/*
 * test_shadow.c: a scan that a person looks into: where it stops, what it shows there, that the real ones go on
 * meanwhile, and when it is let go.
 */
#include "check.h"
#include "whole_rig.h"

#include <string.h>

static const char branches[] = "in door = DI1\n"
                               "in run = DI2\n"
                               "out lamp = RL1 safe off\n"
                               "out pump = RL2 safe off\n"
                               "var scans : int\n"
                               "var half : int\n"
                               "var sum : int\n"
                               "command add(n: int in 0..99) refuse \"too many\" when add.n > 50\n" /* 8 */
                               "scans += 1\n"           /* 9 */
                               "if door\n"              /* 10 */
                               "  half := scans / 2\n"  /* 11 */
                               "  pump := run\n"        /* 12 */
                               "else if run\n"          /* 13 */
                               "  half := 1\n"          /* 14 */
                               "else\n"                 /* 15 */
                               "  half := 2\n"          /* 16 */
                               "end\n"                  /* 17 */
                               "sum += add.n when add\n"
                               "lamp := blink(door, 100ms, 100ms)\n";

static fw_api_value_t shown;
static uint16_t line;

/* The script with branches runs, and its scans are recorded. */
static void begin(void)
{
    whole_begin();
    whole_bring(branches, FW_SCRIPTS_ACCEPT);
    whole_pass(2000);
    CHECK(whole.controller.recorder != NULL);
}

static fw_shadow_state_t state(void)
{
    return (fw_shadow_state_t)fw_device_api.shadow(&whole, &line);
}

static bool stands_at(uint16_t expected)
{
    return state() == FW_SHADOW_STOPPED && line == expected;
}

static bool step_to(uint16_t expected)
{
    return fw_device_api.step(&whole) == FW_PROBLEM_NONE && stands_at(expected);
}

static void stop_at(uint16_t wanted)
{
    CHECK(fw_device_api.breakpoint(&whole, wanted) == FW_PROBLEM_NONE);
    CHECK(state() == FW_SHADOW_WAITING && line == wanted && whole.controller.recorder == NULL);
}

/* What a name holds: in the shadow, or in what runs. */
static int32_t value_of(bool (*next)(void *, uint16_t *, fw_api_value_t *), const char *name)
{
    uint16_t cursor = 0;
    while (next(&whole, &cursor, &shown)) {
        if (strcmp(shown.name, name) == 0) {
            return shown.value;
        }
    }
    CHECK_NOTE(false, name);
    return -1;
}

static int32_t there(const char *name)
{
    return value_of(fw_device_api.shadow_value, name);
}

static int32_t live(const char *name)
{
    return value_of(fw_device_api.value, name);
}

static void test_steps(void)
{
    begin();
    CHECK(state() == FW_SHADOW_NONE && line == 0u);
    CHECK(fw_device_api.step(&whole) == FW_PROBLEM_WRONG_STATE);
    uint16_t cursor = 0;
    CHECK(!fw_device_api.shadow_value(&whole, &cursor, &shown));

    int32_t before = live("scans");
    whole_inputs[FW_CHANNEL_DI2] = 1; /* latched before it stops */
    CHECK(fw_device_api.breakpoint(&whole, 0) == FW_PROBLEM_NONE);
    whole_pass(10);
    CHECK(stands_at(8) && there("run") == 1 && there("door") == 0 && there("add") == 0);
    CHECK(shown.kind == FW_API_COMMAND && shown.type == FW_TYPE_BOOL && shown.line == 8u);
    CHECK(there("scans") == before && live("scans") == before + 1);
    CHECK(step_to(9) && there("scans") == before);
    CHECK(step_to(10) && there("scans") == before + 1 && there("half") == 2);
    /* The real scans go on, and change nothing here. */
    whole_inputs[FW_CHANNEL_DI1] = 1;
    whole_pass(500);
    CHECK(whole_outputs[FW_CHANNEL_RL2] == 1 && live("scans") > before + 20);
    CHECK(stands_at(10) && there("scans") == before + 1 && there("door") == 0);
    CHECK(step_to(13) && step_to(14) && there("half") == 2);
    CHECK(step_to(17) && there("half") == 1 && step_to(18) && step_to(19));
    CHECK(fw_device_api.step(&whole) == FW_PROBLEM_NONE && state() == FW_SHADOW_ENDED && line == 0u);
    CHECK(there("half") == 1 && there("lamp") == 0 && there("pump") == 0);
    CHECK(shown.kind == FW_API_OUTPUT && shown.line == 4u && shown.type == FW_TYPE_BOOL);
    CHECK(fw_device_api.step(&whole) == FW_PROBLEM_WRONG_STATE);
    CHECK(whole_outputs[FW_CHANNEL_RL2] == 1);
}

/* A shadow that is stepped to its end holds what the scan itself came to. */
static void test_same_end(void)
{
    begin();
    for (unsigned i = 0; i < 40; i++) {
        whole_inputs[FW_CHANNEL_DI1] = (int32_t)random_below(2);
        whole_inputs[FW_CHANNEL_DI2] = (int32_t)random_below(2);
        whole_pass(10u + 10u * random_below(30));
        uint32_t receipt = 0;
        const int32_t argument = (int32_t)random_below(100);
        if (random_below(2) == 1u) {
            const fw_span_t name = {(const uint8_t *)"add", 3};
            CHECK(fw_device_api.call(&whole, name, &argument, 1, &receipt) == FW_PROBLEM_NONE);
        }
        CHECK(fw_device_api.breakpoint(&whole, 0) == FW_PROBLEM_NONE);
        whole_pass(10);
        CHECK(stands_at(8) && there("add") == 0);
        CHECK(step_to(9) && there("add") == (receipt != 0u && argument <= 50));
        fw_vm_t after = whole.controller.runner.vm;
        for (unsigned steps = 0; steps < 20 && state() == FW_SHADOW_STOPPED; steps++) {
            CHECK(fw_device_api.step(&whole) == FW_PROBLEM_NONE);
        }
        const fw_vm_t *copy = &whole.work.shadow.vm;
        CHECK(state() == FW_SHADOW_ENDED);
        CHECK(memcmp(copy->cells, after.cells, sizeof(after.cells)) == 0);
        CHECK(memcmp(copy->blocks, after.blocks, sizeof(after.blocks)) == 0);
        CHECK(memcmp(copy->set_by, after.set_by, sizeof(after.set_by)) == 0);
        CHECK(copy->now_ms == after.now_ms && copy->due_ms == after.due_ms);
    }
}

/* A line in a branch that is not taken is waited for. */
static void test_branches(void)
{
    begin();
    stop_at(11);
    whole_pass(5000);
    CHECK(state() == FW_SHADOW_WAITING && line == 11u);
    uint16_t cursor = 0;
    CHECK(!fw_device_api.shadow_value(&whole, &cursor, &shown));
    CHECK(fw_device_api.step(&whole) == FW_PROBLEM_WRONG_STATE);
    whole_inputs[FW_CHANNEL_DI1] = 1;
    whole_pass(10);
    int32_t scans = live("scans");
    CHECK(stands_at(11) && there("door") == 1 && there("scans") == scans && there("half") == 2);
    whole_pass(1000); /* it stays in that scan */
    CHECK(there("scans") == scans && step_to(12) && there("half") == scans / 2);
    CHECK(step_to(13) && step_to(17)); /* past the branches that are not taken */

    /* Of a chain each line belongs to the branch that a person would say. */
    stop_at(13);
    whole_pass(10);
    CHECK(stands_at(13) && step_to(17));
    stop_at(14);
    whole_pass(100);
    CHECK(state() == FW_SHADOW_WAITING);
    whole_inputs[FW_CHANNEL_DI1] = 0;
    whole_pass(10);
    CHECK(state() == FW_SHADOW_WAITING);
    stop_at(15);
    whole_pass(10);
    CHECK(stands_at(15) && step_to(16) && there("half") == 2 && step_to(17));
    stop_at(15);
    whole_inputs[FW_CHANNEL_DI2] = 1;
    whole_pass(100);
    CHECK(state() == FW_SHADOW_WAITING);

    /* A line without code stands for the next one that has some; behind the last there is none. */
    CHECK(fw_device_api.breakpoint(&whole, 2) == FW_PROBLEM_NONE);
    CHECK(state() == FW_SHADOW_WAITING && line == 8u);
    CHECK(fw_device_api.breakpoint(&whole, 20) == FW_PROBLEM_OUT_OF_RANGE);
    CHECK(state() == FW_SHADOW_WAITING && line == 8u);
}

/* Scans are recorded again: at once, or when the digest of a new script is known. */
static bool is_recorded_anew(void)
{
    for (int tries = 0; tries < 100 && whole.controller.recorder == NULL; tries++) {
        whole_pass(10);
    }
    return state() == FW_SHADOW_NONE && whole.controller.recorder != NULL;
}

static void test_time(void)
{
    begin();
    /* One that is not reached. */
    stop_at(11);
    whole_pass(FW_SHADOW_MS - 20u);
    CHECK(state() == FW_SHADOW_WAITING);
    whole_pass(20);
    CHECK(is_recorded_anew());
    /* Each step, and the stop itself, begin the time anew; to look does not. */
    stop_at(11);
    whole_pass(FW_SHADOW_MS - 100u);
    whole_inputs[FW_CHANNEL_DI1] = 1;
    whole_pass(FW_SHADOW_MS - 100u);
    CHECK(stands_at(11) && step_to(12));
    whole_pass(FW_SHADOW_MS - 20u);
    CHECK(stands_at(12) && there("door") == 1);
    whole_pass(20);
    CHECK(is_recorded_anew());
}

static void test_release(void)
{
    begin();
    stop_at(9);
    whole_pass(10);
    CHECK(stands_at(9));
    CHECK(!fw_device_dump_now(&whole)); /* there is no recording */
    fw_device_api.let_go(&whole);
    CHECK(state() == FW_SHADOW_NONE && is_recorded_anew());
    fw_device_api.let_go(&whole); /* no harm */

    /* What is recorded is on its way into flash: not now. */
    whole_pass(1000);
    CHECK(fw_device_dump_now(&whole));
    CHECK(fw_device_api.breakpoint(&whole, 8) == FW_PROBLEM_BUSY && state() == FW_SHADOW_NONE);
    while (fw_device_is_dumping(&whole)) {
        whole_pass(10);
    }
    uint8_t first = 0;
    CHECK(fw_device_api.recording(&whole, 0, &first, 1) == 1u && is_recorded_anew());

    /* Each of these takes the memory, or what the shadow is of. */
    stop_at(9);
    whole_bring(whole_script, FW_SCRIPTS_COMPILE);
    CHECK(is_recorded_anew());
    stop_at(9);
    whole_pass(10);
    CHECK(stands_at(9));
    fw_scripts_result_t result = FW_SCRIPTS_WAIT;
    while ((result = fw_scripts_do(&whole.scripts, FW_SCRIPTS_TRY)) == FW_SCRIPTS_WAIT) {
        whole_pass(10);
    }
    CHECK(result == FW_SCRIPTS_OK && is_recorded_anew());
    stop_at(19);
    whole_pass(10);
    CHECK(stands_at(19));
    while ((result = fw_scripts_do(&whole.scripts, FW_SCRIPTS_REVERT)) == FW_SCRIPTS_WAIT) {
        whole_pass(10);
    }
    CHECK(result == FW_SCRIPTS_OK && is_recorded_anew());

    /* No script runs. */
    fw_runner_stop(&whole.controller.runner);
    CHECK(fw_device_api.breakpoint(&whole, 0) == FW_PROBLEM_WRONG_STATE);
}

void test_shadow(void)
{
    test_steps();
    test_same_end();
    test_branches();
    test_time();
    test_release();
}
