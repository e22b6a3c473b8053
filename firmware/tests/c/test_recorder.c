/*
 * test_recorder.c: a device that keeps its last scans: when it does, what it keeps, and that a replay
 * leads to where the device was. (Random scripts: tests/script/replays.rs.)
 */
#include "check.h"
#include "replay.h"
#include "script_rig.h"
#include "whole_rig.h"

#include <string.h>

static uint8_t kept[FW_LAYOUT_DUMP_SLOT_BYTES];
static fw_replay_t replay;
static fw_replay_head_t head;

/* Waits until it is in flash; then reads its head. False: there is none. */
static bool read_kept(void)
{
    for (int tries = 0; tries < 2000 && fw_device_is_dumping(&whole); tries++) {
        whole_pass(10);
    }
    CHECK(!fw_device_is_dumping(&whole));
    size_t length = fw_device_api.recording(&whole, 0, kept, sizeof(kept));
    if (length == 0u) {
        return false;
    }
    CHECK(fw_replay_head(kept, length, &head) == FW_REPLAY_END);
    return true;
}

/* All of its scans again, by the script that runs. How many there were. */
static unsigned replay_kept(void)
{
    unsigned scans = 0;
    size_t length = fw_device_api.recording(&whole, 0, kept, sizeof(kept));
    fw_replay_result_t result =
        fw_replay_begin(&replay, kept, length, &whole.controller.runner.vm.program);
    CHECK(result == FW_REPLAY_END);
    while ((result = fw_replay_next(&replay)) == FW_REPLAY_SCAN) {
        scans++;
    }
    CHECK(result == FW_REPLAY_END);
    return scans;
}

static void test_on_request(void)
{
    whole_begin();
    CHECK(!read_kept() && !fw_device_dump_now(&whole)); /* nothing has scanned yet */
    whole_pass(3000);
    whole_inputs[FW_CHANNEL_DI1] = 1;
    whole_pass(200);
    CHECK(fw_device_dump_now(&whole));
    CHECK(!fw_device_dump_now(&whole)); /* one at a time */
    CHECK(read_kept() && head.recorded.why == FW_RECORDED_ON_REQUEST && head.recorded.line == 0u);
    CHECK(head.recorded.boot_id == whole.controller.status.boot_id);
    const fw_slot_pair_t *pair = &whole.slots.pairs[FW_PAIR_SCRIPT];
    CHECK(head.recorded.script_crc == pair->slots[pair->active].crc);
    unsigned scans = replay_kept();
    CHECK(scans >= 64u && scans <= 127u);
    CHECK(replay.runner.vm.cells[whole.controller.runner.points.at[0].record.a] == 1);
    whole_pass(1000);
    CHECK(!fw_device_dump_now(&whole)); /* once a minute */
    whole_pass(60000);
    CHECK(fw_device_dump_now(&whole) && read_kept() && replay_kept() >= 64u);
}

static const char divides[] = "in level : num = AI0\n"
                              "out lamp = RL1 safe off\n"
                              "var share : num\n"
                              "if level < 10\n"
                              "  share := 100 / level\n"
                              "end\n"
                              "lamp := share > 2\n";

/* A script divides by zero: its line, and the scan in which it does is the last. */
static void test_division(void)
{
    whole_begin();
    whole_bring(divides, FW_SCRIPTS_ACCEPT);
    whole_pass(2000);
    CHECK(!read_kept());
    whole_inputs[FW_CHANNEL_AI0] = 0;
    whole_pass(50);
    CHECK(fw_device_is_dumping(&whole) && whole.controller.recorder == NULL);
    CHECK(read_kept() && head.recorded.why == FW_RECORDED_DIVISION && head.recorded.line == 5u);
    CHECK(head.recorded.point == FW_POINT_NONE && head.recorded.flags == 0u);
    CHECK(replay_kept() >= 64u && replay.runner.vm.divisions_by_zero == 1u);
    /* It goes on dividing, which nobody needs to be told again. */
    uint32_t kept_ms = head.now_ms;
    whole_pass(FW_DUMP_GAP_MS + 60000u);
    CHECK(read_kept() && head.now_ms == kept_ms);

    /* Another life, the same fault: flash is spared. */
    whole_boot();
    whole_pass(2000);
    CHECK(whole.controller.runner.vm.divisions_by_zero > 0u && read_kept() && head.now_ms == kept_ms);
}

static const char follows[] = "in run = DI2\n"
                              "out pump = RL1 safe off confirm run within 1s\n"
                              "in door = DI1\n"
                              "pump := door\n";

/* Feedbacks fail: the first time at once, then once an hour. */
static void test_feedback(void)
{
    whole_begin();
    whole_bring(follows, FW_SCRIPTS_ACCEPT);
    whole_pass(500);
    whole_inputs[FW_CHANNEL_DI1] = 1;
    whole_pass(1200);
    CHECK(read_kept() && head.recorded.why == FW_RECORDED_FEEDBACK);
    CHECK(head.recorded.point == 1u && head.recorded.line == 4u);
    CHECK(replay_kept() >= 64u);
    CHECK((replay.runner.points.at[1].flags & FW_POINT_FAULT) != 0u);
    uint32_t first_ms = head.now_ms;
    for (int again = 0; again < 3; again++) {
        whole_inputs[FW_CHANNEL_DI2] = 1;
        whole_pass(100);
        whole_inputs[FW_CHANNEL_DI2] = 0;
        whole_pass(1500);
        CHECK(read_kept() && head.now_ms == first_ms);
        whole_pass(again == 2 ? FW_DUMP_GAP_MS : 0u);
    }
    whole_inputs[FW_CHANNEL_DI2] = 1;
    whole_pass(100);
    whole_inputs[FW_CHANNEL_DI2] = 0;
    whole_pass(1500);
    CHECK(read_kept() && head.now_ms != first_ms);
}

/* A trial that ends by a fault: first the old script is back, then the recording is kept. */
static void test_trial(void)
{
    whole_begin();
    whole_bring(divides, FW_SCRIPTS_COMPILE);
    whole_inputs[FW_CHANNEL_AI0] = 5000;
    whole_work(FW_SCRIPTS_TRY);
    uint32_t generation = whole.scripts.generation;
    whole_pass(1000);
    whole_inputs[FW_CHANNEL_AI0] = 0;
    whole_pass(100);
    CHECK(whole.scripts.trial_end == FW_TRIAL_FAULTED);
    CHECK(read_kept() && head.recorded.why == FW_RECORDED_DIVISION && head.recorded.line == 5u);
    CHECK(head.recorded.flags == FW_RECORDED_ON_TRIAL && head.recorded.generation == generation);
    CHECK(whole.scripts.generation != generation && whole.scripts.state == FW_SCRIPT_KEPT);
}

/* A fault from before the trial does not end it, however often it comes again, and is not kept each time. */
static void test_old_fault_on_trial(void)
{
    whole_begin();
    whole_bring(follows, FW_SCRIPTS_ACCEPT);
    whole_inputs[FW_CHANNEL_DI1] = 1;
    whole_pass(1500);
    CHECK(read_kept() && head.recorded.why == FW_RECORDED_FEEDBACK);
    uint32_t kept_ms = head.now_ms;
    whole_bring(follows, FW_SCRIPTS_TRY);
    whole.scripts.faulty = UINT32_MAX; /* as if all had borne one when the trial began */
    for (int again = 0; again < 3; again++) {
        whole_inputs[FW_CHANNEL_DI2] = 1;
        whole_pass(100);
        whole_inputs[FW_CHANNEL_DI2] = 0;
        whole_pass(1500);
    }
    CHECK(whole.scripts.state == FW_SCRIPT_ON_TRIAL && read_kept() && head.now_ms == kept_ms);
}

/* A script that somebody has brought and left takes no room for ever; settings go first. */
static void test_room(void)
{
    whole_begin();
    whole_pass(1000);
    whole_bring(divides, FW_SCRIPTS_COMPILE);
    CHECK(fw_device_dump_now(&whole) == false); /* what was recorded went with the compiler */
    whole_pass(1000);
    CHECK(whole.slots.state == FW_SLOTS_WRITING && fw_device_dump_now(&whole));
    whole_pass(FW_DUMP_PATIENCE_MS - 1000u);
    CHECK(fw_device_is_dumping(&whole) && whole.slots.state == FW_SLOTS_WRITING);
    whole_configure(FW_TEXT_NAME, "Pump house 4");
    CHECK(read_kept() && replay_kept() >= 64u);

    /* What is waited for is overwritten by the next script. */
    whole_pass(60000);
    whole_bring(divides, FW_SCRIPTS_COMPILE);
    whole_pass(1000);
    CHECK(fw_device_dump_now(&whole));
    uint32_t kept_ms = head.now_ms;
    whole_bring(follows, FW_SCRIPTS_COMPILE);
    CHECK(read_kept() && head.now_ms == kept_ms);
}

/* A parameter that a person sets, and a force, are in it. */
static void test_by_hand(void)
{
    whole_begin();
    whole_pass(2000);
    const fw_span_t high = {(const uint8_t *)"high", 4};
    CHECK(fw_scripts_adjust(&whole.scripts, high, 60000) == FW_SCRIPTS_OK);
    CHECK(fw_runner_force(&whole.controller.runner, 4, 1, 300, whole_now_ms));
    whole_pass(100);
    CHECK(fw_device_dump_now(&whole) && read_kept() && replay_kept() >= 64u);
    CHECK(replay.runner.points.at[4].value == 1 && replay.runner.forced != 0u);
}

/* The same on every machine: what one records another one replays. */
void test_recording(void)
{
    static fw_recorder_t recorder;
    static fw_runner_t runner;
    static uint8_t bytes[FW_HOST_RECORDING_BYTES_MAX];
    start(divides);
    fw_runner_start(&runner, &vm.program, 0);
    fw_recorder_begin(&recorder, &runner);
    for (uint32_t scan = 1; scan <= 100u; scan++) {
        int32_t raw[FW_SCRIPT_POINTS_MAX] = {(int32_t)(100u - scan) * 700};
        const fw_runner_scan_t around = {
            .raw = raw, .now_ms = scan * 10u, .online = scan / 30u % 2u == 1u, .synced = scan > 40u};
        (void)fw_runner_scan(&runner, &around);
        runner.leaves_out = false; /* which a host alone does */
        fw_recorder_note(&recorder, &runner, &around);
    }
    size_t length = fw_host_recording(&recorder, &runner, 7, bytes, sizeof(bytes));
    CHECK(length > 100u);
    CHECK(fw_recorder_sum(FW_RECORDER_SUM_BEGIN, bytes, length) == 0x299B2D72u);
    CHECK(fw_replay_begin(&replay, bytes, length, &vm.program) == FW_REPLAY_END);
    while (fw_replay_next(&replay) == FW_REPLAY_SCAN) {
    }
    CHECK(fw_replay_next(&replay) == FW_REPLAY_END);
    CHECK(replay.runner.vm.divisions_by_zero == 1u && fw_replay_divided_line(&replay) == 5u);
}

void test_recorder(void)
{
    test_on_request();
    test_division();
    test_feedback();
    test_trial();
    test_old_fault_on_trial();
    test_room();
    test_by_hand();
}
