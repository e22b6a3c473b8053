/*
 * behaviour.c: the built-in behaviours. See behaviour.h for what each does.
 */
#include "behaviour.h"

#include "port.h"

#define COUNT(array) ((uint8_t)(sizeof(array) / sizeof((array)[0])))

#define DIGITAL_IN(name_, channel_)                                                                \
    {.name = (name_), .value_max = 1, .type = FW_POINT_DIGITAL_INPUT, .channel = (channel_)}
#define DIGITAL_OUT(name_, channel_, flags_)                                                       \
    {.name = (name_), .value_max = 1, .type = FW_POINT_DIGITAL_OUTPUT, .flags = (flags_),          \
     .channel = (channel_)}

static void start_nothing(fw_behaviour_state_t *state, uint32_t now_ms)
{
    (void)state;
    (void)now_ms;
}

/* ---- latch ---- */

static const fw_point_profile_t latch_points[] = {
    DIGITAL_IN("DI1", FW_CHANNEL_DI1),
    DIGITAL_OUT("RL1", FW_CHANNEL_RL1, FW_POINT_MANUAL),
};

static fw_scan_t latch_scan(fw_behaviour_state_t *state, fw_points_t *points,
                            const fw_call_t *call, uint32_t now_ms)
{
    (void)state;
    (void)points;
    (void)call;
    (void)now_ms;
    return (fw_scan_t){.result = FW_CALL_EXECUTED};
}

/* ---- pulse ---- */

enum { PULSE_DI1, PULSE_RL1 };

static const fw_point_profile_t pulse_points[] = {
    [PULSE_DI1] = DIGITAL_IN("DI1", FW_CHANNEL_DI1),
    [PULSE_RL1] = DIGITAL_OUT("RL1", FW_CHANNEL_RL1, 0),
};

static const fw_command_profile_t pulse_commands[] = {
    {.name = "pulse",
     .signature = "pulse(t: time in 100ms..60s)",
     .arguments = 1,
     .min = {100},
     .max = {60000}},
};

static void pulse_start(fw_behaviour_state_t *state, uint32_t now_ms)
{
    state->pulse = (fw_pulse_t){.began_ms = now_ms};
}

static fw_scan_t pulse_scan(fw_behaviour_state_t *state, fw_points_t *points,
                            const fw_call_t *call, uint32_t now_ms)
{
    fw_pulse_t *pulse = &state->pulse;
    if (pulse->on && now_ms - pulse->began_ms >= pulse->length_ms) {
        pulse->on = false;
        fw_points_set(points, PULSE_RL1, 0, (fw_cause_t){.kind = FW_CAUSE_TIMER});
    }
    if (call != NULL && !pulse->on) {
        pulse->on = true;
        pulse->began_ms = now_ms;
        pulse->length_ms = (uint32_t)call->arguments[0];
        fw_points_set(points, PULSE_RL1, 1, call->cause);
    }
    return (fw_scan_t){.result = FW_CALL_EXECUTED, .busy = pulse->on};
}

/* ---- follow ---- */

enum { FOLLOW_DI1, FOLLOW_DI2, FOLLOW_RL1 };

static const fw_point_profile_t follow_points[] = {
    [FOLLOW_DI1] = DIGITAL_IN("DI1", FW_CHANNEL_DI1),
    [FOLLOW_DI2] = DIGITAL_IN("DI2", FW_CHANNEL_DI2),
    [FOLLOW_RL1] = DIGITAL_OUT("RL1", FW_CHANNEL_RL1, FW_POINT_CONFIRM),
};

static const fw_command_profile_t follow_commands[] = {
    {.name = "enable", .signature = "enable(on: bool)", .arguments = 1, .min = {0}, .max = {1}},
};

static void follow_start(fw_behaviour_state_t *state, uint32_t now_ms)
{
    state->follow = (fw_follow_t){.disagreed_at_ms = now_ms, .enabled = true};
}

/* Compares feedback and output, and settles a call that waits for it. */
static fw_settled_t follow_confirm(fw_follow_t *follow, fw_points_t *points, uint32_t now_ms)
{
    bool agrees = points->at[FOLLOW_DI2].value == points->at[FOLLOW_RL1].value;
    bool late = false;
    if (agrees) {
        follow->disagrees = false;
    } else if (!follow->disagrees) {
        follow->disagrees = true;
        follow->disagreed_at_ms = now_ms;
    } else {
        late = now_ms - follow->disagreed_at_ms >= FW_CONFIRM_WITHIN_MS;
    }
    /* A fault stays until they agree again: a disagreement that began anew is still one. */
    if (agrees || late) {
        fw_points_flag(points, FOLLOW_RL1, FW_POINT_FAULT, late);
    }
    if (!follow->confirming || !(agrees || late)) {
        return FW_SETTLED_NOT;
    }
    follow->confirming = false;
    return agrees ? FW_SETTLED_CONFIRMED : FW_SETTLED_FAILED;
}

static fw_scan_t follow_scan(fw_behaviour_state_t *state, fw_points_t *points,
                             const fw_call_t *call, uint32_t now_ms)
{
    fw_follow_t *follow = &state->follow;
    fw_scan_t scan = {.result = FW_CALL_EXECUTED};
    if (call != NULL) {
        follow->enabled = call->arguments[0] != 0;
    }
    int32_t wanted = follow->enabled ? points->at[FOLLOW_DI1].value : 0;
    bool differs = wanted != points->at[FOLLOW_RL1].value;
    if (!differs) {
        scan.settled = follow_confirm(follow, points, now_ms);
    } else {
        /* The time to follow counts from each change, and ends the wait for the one before. What
         * the feedback says in this scan belongs to the old value. */
        if (follow->confirming) {
            bool agreed = points->at[FOLLOW_DI2].value == points->at[FOLLOW_RL1].value;
            scan.settled = agreed ? FW_SETTLED_CONFIRMED : FW_SETTLED_FAILED;
        }
        fw_cause_t cause = call != NULL ? call->cause : (fw_cause_t){.kind = FW_CAUSE_INPUT};
        fw_points_set(points, FOLLOW_RL1, wanted, cause);
        follow->disagrees = true;
        follow->disagreed_at_ms = now_ms;
        follow->confirming = call != NULL;
        scan.result = call != NULL ? FW_CALL_CONFIRMING : FW_CALL_EXECUTED;
    }
    scan.busy = follow->disagrees;
    return scan;
}

/* ---- ramp ---- */

enum { RAMP_AI0, RAMP_AO1 };

static const fw_point_profile_t ramp_points[] = {
    [RAMP_AI0] = {.name = "AI0",
                  .value_min = -5000,
                  .value_max = 105000,
                  .type = FW_POINT_ANALOGUE_INPUT,
                  .channel = FW_CHANNEL_AI0},
    [RAMP_AO1] = {.name = "AO1",
                  .value_max = 100000,
                  .type = FW_POINT_ANALOGUE_OUTPUT,
                  .channel = FW_CHANNEL_AO1},
};

static const fw_command_profile_t ramp_commands[] = {
    {.name = "ramp",
     .signature = "ramp(target: num in 0..100, rate: num in 0.1..50)",
     .arguments = 2,
     .min = {0, 100},
     .max = {100000, 50000}},
};

static void ramp_start(fw_behaviour_state_t *state, uint32_t now_ms)
{
    state->ramp = (fw_ramp_t){.stepped_ms = now_ms};
}

/* Moves AO1 by what the rate gives for the time since the last step. */
static void ramp_step(fw_ramp_t *ramp, fw_points_t *points, uint32_t now_ms)
{
    int32_t value = points->at[RAMP_AO1].value;
    uint64_t moved = (uint64_t)(now_ms - ramp->stepped_ms) * (uint32_t)ramp->rate +
                     ramp->remainder;
    uint64_t step = moved / 1000u;
    uint32_t distance = (uint32_t)(ramp->target > value ? ramp->target - value
                                                        : value - ramp->target);
    ramp->stepped_ms = now_ms;
    ramp->remainder = (uint32_t)(moved % 1000u);
    if (step >= distance) {
        value = ramp->target;
        ramp->moving = false;
    } else if (ramp->target > value) {
        value += (int32_t)step;
    } else {
        value -= (int32_t)step;
    }
    fw_points_set(points, RAMP_AO1, value, ramp->cause);
}

static fw_scan_t ramp_scan(fw_behaviour_state_t *state, fw_points_t *points,
                           const fw_call_t *call, uint32_t now_ms)
{
    fw_ramp_t *ramp = &state->ramp;
    fw_scan_t scan = {.result = FW_CALL_EXECUTED};
    if (ramp->moving) {
        ramp_step(ramp, points, now_ms);
    }
    if (call != NULL && (points->at[RAMP_AI0].flags & FW_POINT_BAD) != 0u) {
        scan.result = FW_CALL_REFUSED;
    } else if (call != NULL) {
        ramp->cause = call->cause;
        ramp->target = call->arguments[0];
        ramp->rate = call->arguments[1];
        ramp->remainder = 0;
        ramp->moving = points->at[RAMP_AO1].value != ramp->target;
        /* One scan's worth at once: executed means that an output was written. */
        ramp->stepped_ms = now_ms - 10u;
        if (ramp->moving) {
            ramp_step(ramp, points, now_ms);
        }
    }
    scan.busy = ramp->moving;
    return scan;
}

/* ---- the table ---- */

static const fw_behaviour_t behaviours[] = {
    [FW_BEHAVIOUR_LATCH] = {.title = "latch",
                            .points = latch_points,
                            .points_count = COUNT(latch_points),
                            .start = start_nothing,
                            .scan = latch_scan},
    [FW_BEHAVIOUR_PULSE] = {.title = "pulse",
                            .points = pulse_points,
                            .points_count = COUNT(pulse_points),
                            .commands = pulse_commands,
                            .commands_count = COUNT(pulse_commands),
                            .start = pulse_start,
                            .scan = pulse_scan},
    [FW_BEHAVIOUR_FOLLOW] = {.title = "follow",
                             .points = follow_points,
                             .points_count = COUNT(follow_points),
                             .commands = follow_commands,
                             .commands_count = COUNT(follow_commands),
                             .start = follow_start,
                             .scan = follow_scan},
    [FW_BEHAVIOUR_RAMP] = {.title = "ramp",
                           .points = ramp_points,
                           .points_count = COUNT(ramp_points),
                           .commands = ramp_commands,
                           .commands_count = COUNT(ramp_commands),
                           .start = ramp_start,
                           .scan = ramp_scan},
};

const fw_behaviour_t *fw_behaviour(fw_behaviour_kind_t kind)
{
    return (size_t)kind < COUNT(behaviours) ? &behaviours[kind] : &behaviours[FW_BEHAVIOUR_LATCH];
}
