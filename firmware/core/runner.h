/*
 * runner.h: a scan around a program: what its inputs believe, what its outputs may do, and why.
 *
 * The order of docs/script.md: inputs are latched, the program runs, and then each output goes its way:
 * what the script or a person wants; the safe value while the link has been lost for too long; what a
 * person forces; what an interlock allows; and last, whether the feedback followed.
 */
#ifndef FW_RUNNER_H
#define FW_RUNNER_H

#include "points.h"
#include "shadow.h"
#include "window.h"

#define FW_SCAN_INTERVAL_MS 10u
#define FW_FORCES_MAX 8u

/* Whether scans in which nothing can happen may be left out: thousands of idle controllers then cost a
 * host nothing. A chip has nothing better to do, and scans. */
#ifndef FW_SKIPS_SCANS
#define FW_SKIPS_SCANS 0
#endif

typedef enum {
    FW_COMMAND_CALL = 0, /* of one of the script's commands */
    FW_COMMAND_SET,      /* of a manual output */
    FW_COMMAND_ADJUST,   /* of a parameter */
} fw_command_kind_t;

/* A command of the yard, checked. */
typedef struct {
    fw_cause_t cause;
    int32_t arguments[FW_ARGUMENTS_MAX]; /* of others than a call: the value */
    uint8_t index;                       /* the command's number, the point, or the parameter's cell */
    uint8_t kind;                        /* fw_command_kind_t */
} fw_command_t;

#define FW_TAG_NONE 0xFFu

/* What became of a command in its scan. */
typedef enum {
    FW_RESULT_EXECUTED = 0,
    FW_RESULT_CONFIRMING, /* executed, and changed outputs whose feedback may follow */
    FW_RESULT_REFUSED,
} fw_result_t;

/* What an output does instead of what is wanted of it. */
typedef enum {
    FW_OVERRIDE_NONE = 0,
    FW_OVERRIDE_LINK_LOSS,
    FW_OVERRIDE_FORCE,
    FW_OVERRIDE_SAFE, /* no script runs */
} fw_override_t;

/* What a point is on the way to, besides what the yard sees of it. */
typedef struct {
    fw_cause_t wish;       /* of an output: why it is wanted as it is */
    int32_t wanted;        /* by script or person; of an input, the level that does not count yet, or
                            * what was read last */
    uint32_t changed_ms;   /* since when the output has its level, or the input's level has stood */
    uint32_t disagreed_ms; /* since when the feedback differs */
    /* In one word, none of them a whole byte of it: the chip reads words fast, and bytes slowly. */
    uint32_t settled : 2;   /* how a command's wait for the feedback ended: fw_settled_t */
    uint32_t override : 2;  /* fw_override_t of the last scan */
    uint32_t cell : 8;      /* its own */
    uint32_t flag_cell : 8; /* of `bad` or `fault`; FW_CELL_NONE: nobody asks */
    uint32_t tag : 8;       /* of the command that waits for the feedback, or FW_TAG_NONE */
    bool disagrees : 1;
    uint16_t causes_at; /* where the table has the first of its assignments */
} fw_runner_point_t;

typedef enum {
    FW_SETTLED_NOT = 0,
    FW_SETTLED_CONFIRMED,
    FW_SETTLED_FAILED,
} fw_settled_t;

typedef struct {
    int32_t value;
    uint32_t since_ms;
    uint32_t length_ms; /* 0: none */
    uint8_t point;
} fw_force_t;

typedef struct {
    fw_vm_t vm;
    fw_points_t points;
    fw_runner_point_t at[FW_SCRIPT_POINTS_MAX];
    fw_record_t interlocks[FW_INTERLOCKS_MAX];
    fw_force_t forces[FW_FORCES_MAX];
    fw_almanac_t almanac; /* of the script's place; without one nobody asks */
    fw_shadow_t *shadow; /* is shown each scan before it runs; NULL: nobody's */
    int64_t looked_utc;  /* when the clock was looked at last; -1 = not since it was known */
    int64_t quiet_until_utc; /* no `during` changes before; 0 = that is not known */
#if FW_SKIPS_SCANS
    uint64_t digest;     /* of cells and blocks after the last scan */
#endif
    uint32_t online_ms;  /* when the gateway was there last */
    uint32_t due_ms;     /* until a scan can change anything by itself; 0 = the next may */
    uint16_t schedules;  /* a bit for each `during` that changed in this scan */
    /* A bit for each point that ... */
    uint32_t inputs;     /* is one; all others are outputs */
    uint32_t at_rest;    /* need not be looked at while what is wanted of it, or read from it, stays */
    uint32_t fears_loss; /* does something else once the link has been away for too long */
    uint32_t forced;     /* is forced */
    uint32_t confirming; /* is an output with a feedback that the last scan's command changed */
    /* One word, as above. */
    bool was_online : 1;
    bool leaves_out : 1; /* scans after the last may have been left out, until due_ms or a hand came */
    bool is_awaited : 1; /* some command waits for a feedback */
    bool is_stopped : 1; /* no script runs: outputs are safe */
    uint32_t online_cell : 8;
    uint32_t synced_cell : 8;
    uint32_t durings : 6;
    uint32_t interlocks_count : 4;
} fw_runner_t;

/* What the world brings to a scan. */
typedef struct {
    const int32_t *raw;          /* of each point that is an input: 0 and 1, or thousandths */
    const fw_command_t *command; /* or NULL */
    uint32_t now_ms;
    const fw_zone_t *zone;
    int64_t utc; /* seconds since 1970; counts only if `synced` */
    bool online;
    bool synced; /* the time of day is known */
} fw_runner_scan_t;

/* Everything off or safe. The program must outlive the runner. */
void fw_runner_start(fw_runner_t *runner, const fw_program_t *program, uint32_t now_ms);

/* One scan. Afterwards the points have the values that the pins are to be driven to. Returns what became
 * of the command; FW_RESULT_EXECUTED if there was none. */
fw_result_t fw_runner_scan(fw_runner_t *runner, const fw_runner_scan_t *scan);

/* After each scan, until it gives false: a command that was awaited, and whether all its outputs were
 * followed by their feedback in time, or one was not or changed before. */
bool fw_runner_settled(fw_runner_t *runner, uint8_t *tag, bool *confirmed);

/* Then, if the scan said FW_RESULT_CONFIRMING: its command is awaited under this tag. */
void fw_runner_await(fw_runner_t *runner, uint8_t tag);

/* Whoever waits will not see more: fw_runner_settled tells each that it failed. */
void fw_runner_abandon(fw_runner_t *runner);

/* An output is held at a value for a time, 1 … FW_FORCE_MS_MAX, whatever is wanted of it; forced again,
 * the new value and time hold. False if it is no output, the value none of its type, or too many are
 * forced. */
bool fw_runner_force(fw_runner_t *runner, uint8_t point, int32_t value, uint32_t length_ms,
                     uint32_t now_ms);

/* Ends that; false if the point was not forced. */
bool fw_runner_release(fw_runner_t *runner, uint8_t point);

/* The outputs whose feedback is a fault: a bit for each channel below 32. */
uint32_t fw_runner_faults(const fw_runner_t *runner);

/* The program is not run any more: outputs go to their safe values in the next scan, forcing ends. */
void fw_runner_stop(fw_runner_t *runner);

#endif
