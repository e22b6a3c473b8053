/*
 * runner.h: a scan around a program: what its inputs believe, and what its outputs may do.
 *
 * The order of docs/script.md: inputs are latched, the program runs, and then each output goes its way:
 * what the script or a person wants; the safe value while the link has been lost for too long; what an
 * interlock allows; and last, whether the feedback followed.
 */
#ifndef FW_RUNNER_H
#define FW_RUNNER_H

#include "vm.h"
#include "zone.h"

typedef struct {
    fw_record_t record;
    int32_t candidate;     /* a level that has not stood for long enough */
    uint32_t candidate_ms; /* since when it stands */
    uint8_t bad_cell;      /* FW_CELL_NONE: nobody asks */
    bool bad;
} fw_runner_input_t;

typedef struct {
    fw_record_t record;
    int32_t level;           /* what the pin is driven to */
    uint32_t changed_ms;     /* since when */
    uint32_t disagreed_ms;   /* since when the feedback differs */
    uint8_t fault_cell;      /* FW_CELL_NONE: nobody asks */
    bool disagrees;
    bool fault;
} fw_runner_output_t;

typedef struct {
    fw_vm_t vm;
    fw_runner_input_t inputs[FW_POINTS_MAX];
    fw_runner_output_t outputs[FW_POINTS_MAX];
    fw_record_t interlocks[FW_INTERLOCKS_MAX];
    int64_t looked_utc; /* when the clock was looked at last; -1 = not since it was known */
    uint32_t online_ms; /* when the gateway was there last */
    uint8_t inputs_count;
    uint8_t outputs_count;
    uint8_t interlocks_count;
    uint8_t online_cell;
    uint8_t synced_cell;
} fw_runner_t;

/* What the world brings to a scan. */
typedef struct {
    const int32_t *raw;       /* of each input, in the script's order: 0 and 1, or thousandths */
    const fw_vm_call_t *call; /* or NULL */
    uint32_t now_ms;
    const fw_zone_t *zone;
    int64_t utc; /* seconds since 1970; counts only if `synced` */
    bool online;
    bool synced; /* the time of day is known */
} fw_runner_scan_t;

/* Everything off or safe. The program must outlive the runner. */
void fw_runner_start(fw_runner_t *runner, const fw_program_t *program, uint32_t now_ms);

/* One scan. Afterwards `outputs[].level` is what the pins are to be driven to. */
fw_vm_answer_t fw_runner_scan(fw_runner_t *runner, const fw_runner_scan_t *scan);

/* A person switches a `manual` output; false if it is none, or the value is none of its type. */
bool fw_runner_set(fw_runner_t *runner, uint8_t output, int32_t value);

#endif
