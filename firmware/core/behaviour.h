/*
 * behaviour.h: the four built-in behaviours, which stand in until the script language comes.
 *
 *   latch   DI1, RL1. RL1 is a manual output, switched by `set`.
 *   pulse   DI1, RL1. `pulse(t)` puts RL1 on for t. As a script's `tp` ignores retriggering, so
 *           does this: a call while RL1 is on is executed and changes nothing, t included.
 *   follow  DI1, DI2, RL1. RL1 = DI1 while enabled, which it is at boot; off otherwise.
 *           `enable(on)`. DI2 is RL1's feedback and must equal it within 2 s of each change, or RL1
 *           bears the fault flag until it does. A call is confirmed if RL1 changed in its own scan
 *           and the feedback followed; it fails if it did not, or if RL1 changed again first. A
 *           call that changes nothing is final when executed.
 *   ramp    AI0, AO1. `ramp(target, rate)` moves AO1 towards the target by `rate` a second. A call
 *           is executed once the first step is written; a later call takes over from where AO1 is.
 *           Refused while AI0, which reads AO1 back, is bad.
 *
 * A scan is: inputs latched and at most one call taken by the caller; then this; then the caller
 * writes outputs. Time is elapsed time, so a late scan is no slower pulse.
 */
#ifndef FW_BEHAVIOUR_H
#define FW_BEHAVIOUR_H

#include "points.h"

#define FW_CONFIRM_WITHIN_MS 2000u

typedef enum {
    FW_BEHAVIOUR_LATCH = 0,
    FW_BEHAVIOUR_PULSE = 1,
    FW_BEHAVIOUR_FOLLOW = 2,
    FW_BEHAVIOUR_RAMP = 3,
} fw_behaviour_kind_t;

/* A command as the yard may call it. Arguments are 0 and 1, milliseconds or thousandths. */
typedef struct {
    const char *name;
    const char *signature;
    uint8_t arguments;
    int32_t min[FW_ARGUMENTS_MAX];
    int32_t max[FW_ARGUMENTS_MAX];
} fw_command_profile_t;

/* A call that was checked against its profile. */
typedef struct {
    fw_cause_t cause;
    int32_t arguments[FW_ARGUMENTS_MAX];
    uint8_t command; /* index among the behaviour's commands */
} fw_call_t;

/* What became of the call that a scan was given. */
typedef enum {
    FW_CALL_EXECUTED = 0,
    FW_CALL_CONFIRMING, /* executed; fw_behaviour_t.settled tells later how it ended */
    FW_CALL_REFUSED,
} fw_call_result_t;

/* What became of an earlier call that was being confirmed. */
typedef enum {
    FW_SETTLED_NOT = 0,
    FW_SETTLED_CONFIRMED,
    FW_SETTLED_FAILED,
} fw_settled_t;

typedef struct {
    uint32_t began_ms;
    uint32_t length_ms;
    bool on;
} fw_pulse_t;

typedef struct {
    uint32_t disagreed_at_ms; /* since when feedback and output differ */
    bool disagrees;
    bool enabled;
    bool confirming; /* a call waits for the feedback */
} fw_follow_t;

typedef struct {
    fw_cause_t cause;
    int32_t target;
    int32_t rate;         /* thousandths a second */
    uint32_t stepped_ms;  /* when AO1 moved last */
    uint32_t remainder;   /* thousandths times milliseconds not moved yet */
    bool moving;
} fw_ramp_t;

typedef union {
    fw_pulse_t pulse;
    fw_follow_t follow;
    fw_ramp_t ramp;
} fw_behaviour_state_t;

/* What a scan reports. */
typedef struct {
    fw_call_result_t result; /* of the call given */
    fw_settled_t settled;    /* of the one before it */
    bool busy;               /* time alone may change something: scan again in 10 ms */
} fw_scan_t;

typedef struct {
    const char *title;
    const fw_point_profile_t *points;
    const fw_command_profile_t *commands;
    void (*start)(fw_behaviour_state_t *state, uint32_t now_ms);
    /* `call` is NULL in most scans. */
    fw_scan_t (*scan)(fw_behaviour_state_t *state, fw_points_t *points, const fw_call_t *call,
                      uint32_t now_ms);
    uint8_t points_count;
    uint8_t commands_count;
} fw_behaviour_t;

/* Never NULL; an unknown number is taken as latch, which does nothing by itself. */
const fw_behaviour_t *fw_behaviour(fw_behaviour_kind_t kind);

#endif
