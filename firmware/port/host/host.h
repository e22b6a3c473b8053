/*
 * host.h: what the Rust wrapper needs besides controller.h: sizes and fields it cannot see, and the
 * faults that tests ask for. Never part of a chip's image.
 */
#ifndef FW_HOST_H
#define FW_HOST_H

#include "board.h"
#include "compile.h"
#include "controller.h"
#include "runner.h"

size_t fw_host_controller_bytes(void);
size_t fw_host_controller_align(void);
/* Without the two link buffers. */
size_t fw_host_state_bytes(void);
/* Rust repeats these two structs: it compares sizes before it uses them. */
size_t fw_host_settings_bytes(void);
size_t fw_host_port_bytes(void);

uint32_t fw_host_boot_id(const fw_controller_t *controller);
uint32_t fw_host_sequence(const fw_controller_t *controller);
uint32_t fw_host_executed(const fw_controller_t *controller);
uint32_t fw_host_backoff_wait_ms(const fw_controller_t *controller);
/* The stage of an outcome that is kept, with its key and serial; 0 if there is none at this place. */
uint8_t fw_host_outcome(const fw_controller_t *controller, uint8_t place,
                        uint8_t key[FW_COMMAND_KEY_BYTES], uint32_t *serial);

/* The script language: two structs that Rust keeps room for, and what it reads of them. */
size_t fw_host_compiler_bytes(void);
size_t fw_host_compiler_align(void);
size_t fw_host_vm_bytes(void);
size_t fw_host_vm_align(void);
/* Of fw_pin_t, fw_board_t, fw_program_sink_t, fw_script_error_t, fw_program_t and fw_vm_call_t, which
 * Rust repeats. */
#define FW_HOST_SCRIPT_STRUCTS 6u
void fw_host_script_bytes(size_t bytes[FW_HOST_SCRIPT_STRUCTS]);
const fw_script_error_t *fw_host_compiler_error(const fw_compiler_t *compiler);
uint16_t fw_host_compiler_operations(const fw_compiler_t *compiler);
/* The value in a cell. */
int32_t fw_host_vm_value(const fw_vm_t *vm, uint8_t cell);
void fw_host_vm_put(fw_vm_t *vm, uint8_t cell, int32_t value);
uint32_t fw_host_vm_events(const fw_vm_t *vm);
uint32_t fw_host_vm_alarms(const fw_vm_t *vm);
uint32_t fw_host_vm_divisions_by_zero(const fw_vm_t *vm);

/* The name of a board's profile (board.h), NULL behind the last one; and its pins, NULL likewise. */
const char *fw_host_profile_name(size_t profile);
const fw_pin_t *fw_host_profile_pin(size_t profile, uint8_t at);

/* The runner: as above. What a scan brings and what a point shows cross in structs of their own, which
 * Rust repeats, so that the core's may change. */
typedef struct {
    int32_t arguments[FW_ARGUMENTS_MAX]; /* of others than a call: the value */
    uint32_t by;
    uint32_t reference;
    uint8_t index; /* the command's number, the point, or the parameter's cell */
    uint8_t kind;  /* fw_command_kind_t */
} fw_host_command_t;

typedef struct {
    const int32_t *raw;               /* FW_POINTS_MAX of them */
    const fw_host_command_t *command; /* or NULL */
    int64_t utc;
    uint32_t now_ms;
    bool online;
    bool synced;
    bool leaves_nothing_out; /* scans every FW_SCAN_INTERVAL_MS: one that comes late is late */
} fw_host_scan_t;

typedef struct {
    int32_t value;
    uint32_t by; /* of the cause */
    uint32_t reference;
    uint8_t kind;
    uint8_t flags;
} fw_host_point_t;

#define FW_HOST_RUNNER_STRUCTS 3u
void fw_host_runner_structs_bytes(size_t bytes[FW_HOST_RUNNER_STRUCTS]);
size_t fw_host_runner_bytes(void);
size_t fw_host_runner_align(void);
size_t fw_host_zone_bytes(void);
size_t fw_host_zone_align(void);
bool fw_host_zone_parse(fw_zone_t *zone, const uint8_t *text, size_t length);
/* `recorder` may be NULL. */
fw_result_t fw_host_runner_scan(fw_runner_t *runner, fw_recorder_t *recorder, const fw_zone_t *zone,
                                const fw_host_scan_t *scan);
/* The machine inside. */
fw_vm_t *fw_host_runner_vm(fw_runner_t *runner);
/* Milliseconds until a scan can change anything by itself. */
uint32_t fw_host_runner_due_ms(const fw_runner_t *runner);
/* False if there is no such point. */
bool fw_host_runner_point(const fw_runner_t *runner, uint8_t index, fw_host_point_t *point);

/* From now on frames bear this source: the gateway is to cut us off. */
void fw_host_forge_source(fw_controller_t *controller, uint32_t source);
/* The link is down: the next attempt comes after so long at most, however many there were. */
void fw_host_redial_within(fw_controller_t *controller, uint32_t wait_ms_max);

/* Writes a page of the full status of 32 points, each as large as a point can be, or with page -1,
 * -2, … the first, second, … delta that tells them. Returns its length; 0 if it did not fit, or if
 * there is nothing left to tell. */
size_t fw_host_status_sample(int32_t page, uint8_t *out, size_t capacity);

#endif
