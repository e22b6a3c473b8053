/*
 * device_inside.h: what the files of the device tell each other. Not for ports.
 */
#ifndef FW_DEVICE_INSIDE_H
#define FW_DEVICE_INSIDE_H

#include "device.h"

/* ---- device.c ---- */

/* The configuration goes to flash in the next polls: `saving` is 0 again when that has ended, and
 * `save_failed` tells how. */
void fw_device_save_settings(fw_device_t *device);

/* What a version in a slot has as its source, where it lies in flash. */
fw_span_t fw_device_source(const fw_device_t *device, const fw_slot_view_t *view);

/* Seconds since 1970; 0 = not known. */
uint32_t fw_device_wall_s(fw_device_t *device);

/* A script that was brought and that nobody goes on with makes room for another save; one that is being
 * recorded does not. */
void fw_device_make_room(fw_device_t *device);

/* ---- device_recorder.c ---- */

/* Ends the recording where the last scan was at fault. Before a script is stopped for it. */
void fw_device_look_for_fault(fw_device_t *device, uint32_t now_ms);

/* Gives up a recording that waits for its way into flash: its memory is needed. False: it is on that way. */
bool fw_device_drop_recording(fw_device_t *device);

/* Goes on with writing a recording, or begins the next. At most one program a call. */
void fw_device_record(fw_device_t *device, uint32_t now_ms);

/* For the API: see api.h. */
size_t fw_device_recording(void *ctx, uint32_t at, uint8_t *into, size_t room);
fw_api_result_t fw_device_keep_recording(void *ctx, bool begins);

/* ---- device_shadow.c ---- */

/* Looks into the scan that was, and lets the shadow go when its time is over. True while there is one. */
bool fw_device_look_into_scan(fw_device_t *device, uint32_t now_ms);

/* For the API: see api.h. */
fw_api_result_t fw_device_breakpoint(void *ctx, uint16_t line);
fw_api_result_t fw_device_step(void *ctx);
void fw_device_let_go(void *ctx);
uint8_t fw_device_shadow(void *ctx, uint16_t *line);

/* ---- device_settings.c ---- */

/* For the API: see api.h. */
uint8_t fw_device_setting(void *ctx, fw_setting_t which, uint8_t into[FW_SETTING_BYTES_MAX]);
fw_api_result_t fw_device_change_settings(void *ctx, const fw_api_change_t *wanted, uint8_t *wrong);
fw_api_result_t fw_device_enrol(void *ctx, uint32_t address, const uint8_t *key);
bool fw_device_verifier(void *ctx, uint8_t into[FW_VERIFIER_BYTES]);

/* ---- device_api.c ---- */

/* Begins to bring a script for whoever remembers `*opening`; WRONG_STATE: somebody else began one since. */
fw_scripts_result_t fw_device_begin_script(fw_device_t *device, uint32_t bytes, uint8_t *opening);

/* The newest entry of the why-log with a number below `before`. */
bool fw_device_why(fw_device_t *device, uint32_t before, fw_api_why_t *into);

/* Restarts in half a second or so, what waits in RAM being saved first. */
void fw_device_restart(fw_device_t *device);

/* ---- device_kept.c ---- */

/* Lends the device to its controller (keeper.h). */
void fw_device_lend(fw_device_t *device);

/* Goes on with what an answer is owed for; true while there is something to do. */
bool fw_device_kept_step(fw_device_t *device);

#endif
