/*
 * host.h: what the Rust wrapper needs besides controller.h: sizes and fields it cannot see, and the
 * faults that tests ask for. Never part of a chip's image.
 */
#ifndef FW_HOST_H
#define FW_HOST_H

#include "compile.h"
#include "controller.h"
#include "vm.h"

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

/* From now on frames bear this source: the gateway is to cut us off. */
void fw_host_forge_source(fw_controller_t *controller, uint32_t source);

/* Writes a page of the full status of 32 points, each as large as a point can be, or with page -1,
 * -2, … the first, second, … delta that tells them. Returns its length; 0 if it did not fit, or if
 * there is nothing left to tell. */
size_t fw_host_status_sample(int32_t page, uint8_t *out, size_t capacity);

#endif
