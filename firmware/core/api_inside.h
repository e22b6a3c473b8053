/*
 * api_inside.h: what the files of the API tell each other. Not for others.
 */
#ifndef FW_API_INSIDE_H
#define FW_API_INSIDE_H

#include "api.h"

/* Who may come in. */
typedef enum {
    FW_ACCESS_SESSION = 0,
    FW_ACCESS_LOG_IN, /* anybody, once there is a password */
    FW_ACCESS_SETUP,  /* anybody, as long as there is none and set-up is open */
    FW_ACCESS_ALL,
} fw_access_t;

/* Does what was asked for, in slices: FW_API_WAIT until it is done. `step` is 0 at first. */
typedef fw_api_result_t (*fw_api_work_t)(fw_api_t *api);
/* Writes the next item of the answer; true if more follow. What did not fit is taken back, with all
 * that `step`, `cursor` and `number` had come to, and asked for again. */
typedef bool (*fw_api_show_t)(fw_api_t *api, fw_json_t *json);

typedef struct fw_api_route {
    const char *path;
    fw_api_work_t work; /* NULL: nothing */
    fw_api_show_t show; /* NULL: an empty object */
    uint8_t method;  /* fw_http_method_t */
    uint8_t access;  /* fw_access_t */
    uint8_t what;    /* fw_upload_t or fw_trial_t */
    bool has_fields; /* the body is JSON */
} fw_api_route_t;

/* ---- api_show.c ---- */

bool fw_api_show_session(fw_api_t *api, fw_json_t *json);
bool fw_api_show_status(fw_api_t *api, fw_json_t *json);
bool fw_api_show_live(fw_api_t *api, fw_json_t *json);
bool fw_api_show_commands(fw_api_t *api, fw_json_t *json);
bool fw_api_show_why(fw_api_t *api, fw_json_t *json);
bool fw_api_show_source(fw_api_t *api, fw_json_t *json);
bool fw_api_show_recording(fw_api_t *api, fw_json_t *json);
bool fw_api_show_shadow(fw_api_t *api, fw_json_t *json);
bool fw_api_show_settings(fw_api_t *api, fw_json_t *json);
bool fw_api_show_networks(fw_api_t *api, fw_json_t *json);
bool fw_api_show_outcome(fw_api_t *api, fw_json_t *json);
bool fw_api_show_compiled(fw_api_t *api, fw_json_t *json);
/* A problem, with what belongs to it. */
bool fw_api_show_problem(fw_api_t *api, fw_json_t *json);

/* A setting's name in the API. */
const char *fw_api_setting_name(fw_setting_t which);

/* ---- api_work.c ---- */

fw_api_result_t fw_api_log_in(fw_api_t *api);
fw_api_result_t fw_api_log_out(fw_api_t *api);
fw_api_result_t fw_api_set_up(fw_api_t *api);
fw_api_result_t fw_api_password(fw_api_t *api);
fw_api_result_t fw_api_set(fw_api_t *api);
fw_api_result_t fw_api_call(fw_api_t *api);
fw_api_result_t fw_api_outcome(fw_api_t *api);
fw_api_result_t fw_api_force(fw_api_t *api);
fw_api_result_t fw_api_unforce(fw_api_t *api);
fw_api_result_t fw_api_parameter(fw_api_t *api);
fw_api_result_t fw_api_source(fw_api_t *api);
fw_api_result_t fw_api_recording(fw_api_t *api);
fw_api_result_t fw_api_keep_recording(fw_api_t *api);
fw_api_result_t fw_api_breakpoint(fw_api_t *api);
fw_api_result_t fw_api_step(fw_api_t *api);
fw_api_result_t fw_api_let_go(fw_api_t *api);
fw_api_result_t fw_api_upload_begin(fw_api_t *api);
fw_api_result_t fw_api_upload_write(fw_api_t *api);
fw_api_result_t fw_api_upload_end(fw_api_t *api);
fw_api_result_t fw_api_trial(fw_api_t *api);
fw_api_result_t fw_api_change_settings(fw_api_t *api);
fw_api_result_t fw_api_look_around(fw_api_t *api);
fw_api_result_t fw_api_restart(fw_api_t *api);

#endif
