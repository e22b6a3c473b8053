/*
 * api_work.c: what the API does when something is asked for. See api.h.
 *
 * Each is called until it is done; `step` is 0 at the first call, and its own to count on.
 */
#include "api_inside.h"

#include "monocypher.h"

/* A field that has to be there. */
static bool text_of(const fw_api_t *api, const char *name, fw_span_t *text)
{
    return fw_json_text_of(&api->fields, name, text);
}

static bool number_of(const fw_api_t *api, const char *name, int32_t *number)
{
    return fw_json_number_of(&api->fields, name, number);
}

/* ---- log in ---- */

/* The steps of a password's way. */
enum {
    STEP_FIRST = 0,
    STEP_CHECKING, /* the given one is being stretched */
    STEP_NEW,      /* the new one is */
    STEP_STORING,
};

static bool is_password(fw_span_t password)
{
    return password.length >= FW_PASSWORD_BYTES_MIN && password.length <= FW_PASSWORD_BYTES_MAX;
}

/* Checks the password in that field: FW_API_WAIT, a problem, or it is right. */
static fw_api_result_t check(fw_api_t *api, const char *name)
{
    const fw_api_controller_t *controller = api->controller;
    uint8_t verifier[FW_VERIFIER_BYTES];
    fw_span_t password;
    if (!controller->verifier(api->ctx, verifier)) {
        return FW_PROBLEM_SETUP_NEEDED;
    }
    if (api->step == STEP_FIRST) {
        api->wait_ms = fw_guess_wait_ms(&api->log_in, api->now_ms);
        if (api->wait_ms > 0u) {
            return FW_PROBLEM_WAIT;
        }
        if (!text_of(api, name, &password)) {
            return FW_PROBLEM_BAD_FIELD;
        }
        /* What is no password is wrong, after as long. */
        password.length = is_password(password) ? password.length : 0u;
        fw_stretch_check(&api->log_in, password, verifier);
        api->step = STEP_CHECKING;
    }
    if (!fw_stretch_step(&api->log_in)) {
        return FW_API_WAIT;
    }
    if (!fw_stretch_matches(&api->log_in, verifier)) {
        fw_guess_wrong(&api->log_in, api->now_ms);
        api->wait_ms = fw_guess_wait_ms(&api->log_in, api->now_ms);
        return FW_PROBLEM_WRONG_PASSWORD;
    }
    fw_guess_right(&api->log_in);
    return FW_PROBLEM_NONE;
}

/* Stretches and stores the password in the field `password`. */
static fw_api_result_t store(fw_api_t *api)
{
    const fw_api_controller_t *controller = api->controller;
    if (api->step < STEP_NEW) {
        uint8_t salt[FW_SALT_BYTES];
        fw_span_t password;
        if (!text_of(api, "password", &password)) {
            return FW_PROBLEM_BAD_FIELD;
        }
        if (!is_password(password)) {
            return FW_PROBLEM_PASSWORD_LENGTH;
        }
        controller->random(api->ctx, salt, sizeof(salt));
        fw_stretch_new(&api->log_in, password, salt);
        api->step = STEP_NEW;
    }
    if (api->step == STEP_NEW) {
        if (!fw_stretch_step(&api->log_in)) {
            return FW_API_WAIT;
        }
        /* The body is no longer needed: the verifier waits there for as long as storing takes. */
        fw_stretch_verifier(&api->log_in, api->body);
        api->step = STEP_STORING;
    }
    const fw_api_change_t change = {.verifier = api->body};
    return controller->change_settings(api->ctx, &change, &api->wrong);
}

static void open_session(fw_api_t *api)
{
    uint8_t token[FW_SESSION_TOKEN_BYTES];
    api->controller->random(api->ctx, token, sizeof(token));
    fw_session_close(&api->log_in, api->session);
    api->session = fw_session_open(&api->log_in, token, api->now_ms);
    api->answer->token = fw_session_token(&api->log_in, api->session);
    crypto_wipe(token, sizeof(token));
}

fw_api_result_t fw_api_log_in(fw_api_t *api)
{
    fw_api_result_t result = check(api, "password");
    if (result == FW_PROBLEM_NONE) {
        open_session(api);
    }
    return result;
}

fw_api_result_t fw_api_set_up(fw_api_t *api)
{
    fw_api_result_t result = store(api);
    if (result == FW_PROBLEM_NONE) {
        fw_session_close_others(&api->log_in, FW_SESSION_NONE);
        open_session(api);
    }
    return result;
}

fw_api_result_t fw_api_password(fw_api_t *api)
{
    fw_api_result_t result = FW_PROBLEM_NONE;
    if (api->step == STEP_FIRST) {
        fw_span_t password;
        if (!text_of(api, "password", &password)) {
            return FW_PROBLEM_BAD_FIELD;
        }
        if (!is_password(password)) {
            return FW_PROBLEM_PASSWORD_LENGTH;
        }
    }
    if (api->step <= STEP_CHECKING) {
        result = check(api, "current");
    }
    if (result == FW_PROBLEM_NONE) {
        result = store(api);
    }
    if (result == FW_PROBLEM_NONE) {
        fw_session_close_others(&api->log_in, api->session);
    }
    return result;
}

fw_api_result_t fw_api_log_out(fw_api_t *api)
{
    fw_session_close(&api->log_in, api->session);
    api->answer->forgets_token = true;
    return FW_PROBLEM_NONE;
}

/* ---- commands ---- */

/* Waits until there is more to say than "delivered"; `number` is the receipt. */
static fw_api_result_t await(fw_api_t *api)
{
    fw_api_outcome_t outcome = {0};
    if (!api->controller->outcome(api->ctx, api->number, &outcome)) {
        return FW_PROBLEM_UNKNOWN_RECEIPT;
    }
    bool is_told = outcome.is_final || outcome.stage >= FW_STAGE_EXECUTED;
    bool is_late = api->now_ms - api->since_ms >= FW_API_OUTCOME_MS_MAX;
    api->step = 1;
    return is_told || is_late ? FW_PROBLEM_NONE : FW_API_WAIT;
}

fw_api_result_t fw_api_set(fw_api_t *api)
{
    const fw_api_controller_t *controller = api->controller;
    fw_span_t point;
    int32_t value = 0;
    if (api->step > 0u) {
        return await(api);
    }
    if (!text_of(api, "point", &point) || !number_of(api, "value", &value)) {
        return FW_PROBLEM_BAD_FIELD;
    }
    fw_api_result_t result = controller->set(api->ctx, point, value, &api->number);
    return result == FW_PROBLEM_NONE ? await(api) : result;
}

fw_api_result_t fw_api_call(fw_api_t *api)
{
    const fw_api_controller_t *controller = api->controller;
    fw_span_t command;
    int32_t arguments[FW_ARGUMENTS_MAX];
    uint8_t count = FW_ARGUMENTS_MAX;
    if (api->step > 0u) {
        return await(api);
    }
    if (!text_of(api, "command", &command) ||
        !fw_json_numbers_of(&api->fields, "arguments", arguments, &count)) {
        return FW_PROBLEM_BAD_FIELD;
    }
    fw_api_result_t result =
        controller->call(api->ctx, command, arguments, count, &api->number);
    return result == FW_PROBLEM_NONE ? await(api) : result;
}

fw_api_result_t fw_api_outcome(fw_api_t *api)
{
    fw_api_outcome_t outcome;
    if (!api->has_number) {
        return FW_PROBLEM_BAD_FIELD;
    }
    bool is_known = api->controller->outcome(api->ctx, api->number, &outcome);
    return is_known ? FW_PROBLEM_NONE : FW_PROBLEM_UNKNOWN_RECEIPT;
}

fw_api_result_t fw_api_force(fw_api_t *api)
{
    fw_span_t point;
    int32_t value = 0;
    int32_t for_ms = 0;
    if (!text_of(api, "point", &point) || !number_of(api, "value", &value) ||
        !number_of(api, "for_ms", &for_ms)) {
        return FW_PROBLEM_BAD_FIELD;
    }
    if (for_ms <= 0) {
        return FW_PROBLEM_OUT_OF_RANGE;
    }
    return api->controller->force(api->ctx, point, value, (uint32_t)for_ms);
}

fw_api_result_t fw_api_unforce(fw_api_t *api)
{
    fw_span_t point;
    if (!text_of(api, "point", &point)) {
        return FW_PROBLEM_BAD_FIELD;
    }
    return api->controller->force(api->ctx, point, 0, 0);
}

fw_api_result_t fw_api_parameter(fw_api_t *api)
{
    fw_span_t name;
    int32_t value = 0;
    if (!text_of(api, "name", &name) || !number_of(api, "value", &value)) {
        return FW_PROBLEM_BAD_FIELD;
    }
    return api->controller->parameter(api->ctx, name, value);
}

/* ---- into a scan ---- */

fw_api_result_t fw_api_breakpoint(fw_api_t *api)
{
    int32_t line = 0;
    if (api->fields.count > 0u && !number_of(api, "line", &line)) {
        return FW_PROBLEM_BAD_FIELD;
    }
    if (line < 0 || line > UINT16_MAX) {
        return FW_PROBLEM_OUT_OF_RANGE;
    }
    return api->controller->breakpoint(api->ctx, (uint16_t)line);
}

fw_api_result_t fw_api_step(fw_api_t *api)
{
    return api->controller->step(api->ctx);
}

fw_api_result_t fw_api_let_go(fw_api_t *api)
{
    api->controller->let_go(api->ctx);
    return FW_PROBLEM_NONE;
}

/* ---- uploads and trials: `what` of the route says of what ---- */

fw_api_result_t fw_api_source(fw_api_t *api)
{
    api->answer->content_type = "text/plain; charset=utf-8";
    api->number = 0;
    return FW_PROBLEM_NONE;
}

fw_api_result_t fw_api_recording(fw_api_t *api)
{
    uint8_t first = 0;
    api->answer->content_type = "application/octet-stream";
    api->number = 0;
    bool is_there = api->controller->recording(api->ctx, 0, &first, 1) > 0u;
    if (!is_there) {
        api->answer->content_type = "application/json";
    }
    return is_there ? FW_PROBLEM_NONE : FW_PROBLEM_NO_RECORDING;
}

fw_api_result_t fw_api_keep_recording(fw_api_t *api)
{
    return api->controller->keep_recording(api->ctx, api->step == 0u);
}

fw_api_result_t fw_api_upload_begin(fw_api_t *api)
{
    const fw_api_controller_t *controller = api->controller;
    fw_upload_t what = (fw_upload_t)api->route->what;
    int32_t bytes = 0;
    if (!number_of(api, "bytes", &bytes)) {
        return FW_PROBLEM_BAD_FIELD;
    }
    if (bytes < 0 || (what == FW_UPLOAD_SCRIPT && bytes > (int32_t)FW_SCRIPT_SOURCE_MAX)) {
        return FW_PROBLEM_OUT_OF_RANGE;
    }
    return controller->upload_begin(api->ctx, what, (uint32_t)bytes);
}

fw_api_result_t fw_api_upload_write(fw_api_t *api)
{
    const fw_api_controller_t *controller = api->controller;
    fw_span_t piece = {api->body, api->body_bytes};
    if (!api->has_number) {
        return FW_PROBLEM_BAD_FIELD;
    }
    return controller->upload_write(api->ctx, (fw_upload_t)api->route->what, api->number,
                                    piece);
}

fw_api_result_t fw_api_upload_end(fw_api_t *api)
{
    const fw_api_controller_t *controller = api->controller;
    if (api->step == 0u) {
        api->compiled = (fw_api_compiled_t){0};
    }
    return controller->upload_end(api->ctx, (fw_upload_t)api->route->what, &api->compiled);
}

fw_api_result_t fw_api_trial(fw_api_t *api)
{
    return api->controller->trial(api->ctx, (fw_trial_t)api->route->what);
}

/* ---- settings ---- */

fw_api_result_t fw_api_change_settings(fw_api_t *api)
{
    fw_api_change_t change = {.verifier = NULL};
    for (uint8_t i = 0; i < FW_SETTINGS; i++) {
        (void)text_of(api, fw_api_setting_name((fw_setting_t)i), &change.texts[i]);
        if (change.texts[i].length > FW_SETTING_BYTES_MAX) {
            api->wrong = i;
            return FW_PROBLEM_OUT_OF_RANGE;
        }
    }
    return api->controller->change_settings(api->ctx, &change, &api->wrong);
}

fw_api_result_t fw_api_look_around(fw_api_t *api)
{
    return api->controller->look_around(api->ctx);
}

fw_api_result_t fw_api_restart(fw_api_t *api)
{
    api->controller->restart(api->ctx);
    return FW_PROBLEM_NONE;
}
