/*
 * api.c: see api.h. Routes, who may use them, and the way of a request through them; what they do
 * stands in api_work.c, what they answer in api_show.c.
 */
#include "api_inside.h"

#define GET FW_HTTP_GET
#define POST FW_HTTP_POST
#define PUT FW_HTTP_PUT
#define SESSION FW_ACCESS_SESSION
#define LOG_IN FW_ACCESS_LOG_IN
#define SETUP FW_ACCESS_SETUP
#define ALL FW_ACCESS_ALL
#define SCRIPT FW_UPLOAD_SCRIPT
#define FIRMWARE FW_UPLOAD_FIRMWARE
#define BEGIN FW_TRIAL_BEGIN
#define COMMIT FW_TRIAL_COMMIT
#define REVERT FW_TRIAL_REVERT

/* Path, what is done, what is answered, method, who may, of what, whether the body is JSON. */
static const fw_api_route_t routes[] = {
    {"/api/session", NULL, fw_api_show_session, GET, ALL, 0, false},
    {"/api/login", fw_api_log_in, NULL, POST, LOG_IN, 0, true},
    {"/api/setup", fw_api_set_up, NULL, POST, SETUP, 0, true},
    {"/api/logout", fw_api_log_out, NULL, POST, ALL, 0, false},
    {"/api/password", fw_api_password, NULL, POST, SESSION, 0, true},
    {"/api/live", NULL, fw_api_show_live, GET, SESSION, 0, false},
    {"/api/status", NULL, fw_api_show_status, GET, SESSION, 0, false},
    {"/api/commands", NULL, fw_api_show_commands, GET, SESSION, 0, false},
    {"/api/why", NULL, fw_api_show_why, GET, SESSION, 0, false},
    {"/api/set", fw_api_set, fw_api_show_outcome, POST, SESSION, 0, true},
    {"/api/call", fw_api_call, fw_api_show_outcome, POST, SESSION, 0, true},
    {"/api/outcome", fw_api_outcome, fw_api_show_outcome, GET, SESSION, 0, false},
    {"/api/force", fw_api_force, NULL, POST, SESSION, 0, true},
    {"/api/unforce", fw_api_unforce, NULL, POST, SESSION, 0, true},
    {"/api/parameter", fw_api_parameter, NULL, POST, SESSION, 0, true},
    {"/api/script", fw_api_source, fw_api_show_source, GET, SESSION, 0, false},
    {"/api/script", fw_api_upload_write, NULL, PUT, SESSION, SCRIPT, false},
    {"/api/recording", fw_api_recording, fw_api_show_recording, GET, SESSION, 0, false},
    {"/api/recording", fw_api_keep_recording, NULL, POST, SESSION, 0, false},
    {"/api/breakpoint", fw_api_breakpoint, fw_api_show_shadow, POST, SESSION, 0, true},
    {"/api/step", fw_api_step, fw_api_show_shadow, POST, SESSION, 0, false},
    {"/api/shadow", NULL, fw_api_show_shadow, GET, SESSION, 0, false},
    {"/api/shadow/release", fw_api_let_go, fw_api_show_shadow, POST, SESSION, 0, false},
    {"/api/script/begin", fw_api_upload_begin, NULL, POST, SESSION, SCRIPT, true},
    {"/api/script/end", fw_api_upload_end, fw_api_show_compiled, POST, SESSION, SCRIPT, false},
    {"/api/trial/begin", fw_api_trial, NULL, POST, SESSION, BEGIN, false},
    {"/api/trial/commit", fw_api_trial, NULL, POST, SESSION, COMMIT, false},
    {"/api/trial/revert", fw_api_trial, NULL, POST, SESSION, REVERT, false},
    {"/api/update", fw_api_upload_write, NULL, PUT, SESSION, FIRMWARE, false},
    {"/api/update/begin", fw_api_upload_begin, NULL, POST, SESSION, FIRMWARE, true},
    {"/api/update/end", fw_api_upload_end, NULL, POST, SESSION, FIRMWARE, false},
    {"/api/settings", NULL, fw_api_show_settings, GET, SESSION, 0, false},
    {"/api/settings", fw_api_change_settings, NULL, POST, SESSION, 0, true},
    {"/api/networks", fw_api_look_around, fw_api_show_networks, POST, SESSION, 0, false},
    {"/api/restart", fw_api_restart, NULL, POST, SESSION, 0, false},
};

void fw_api_init(fw_api_t *api, const fw_api_controller_t *controller, void *ctx)
{
    *api = (fw_api_t){.controller = controller, .ctx = ctx, .session = FW_SESSION_NONE};
    fw_log_in_init(&api->log_in);
}

void fw_api_poll(fw_api_t *api, uint32_t now_ms)
{
    fw_log_in_poll(&api->log_in, now_ms);
}

static const fw_api_route_t *route_of(const fw_http_head_t *head, bool *is_path)
{
    fw_span_t path = {(const uint8_t *)head->target, fw_string_length(head->target)};
    *is_path = false;
    for (uint8_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (fw_text_is(path, routes[i].path)) {
            *is_path = true;
            if (routes[i].method == head->method) {
                return &routes[i];
            }
        }
    }
    return NULL;
}

static uint8_t session_of(fw_api_t *api, const fw_http_head_t *head, uint32_t now_ms)
{
    return head->has_token ? fw_session_find(&api->log_in, head->token, now_ms) : FW_SESSION_NONE;
}

static fw_problem_t admit(void *ctx, const fw_http_head_t *head, uint32_t now_ms)
{
    fw_api_t *api = ctx;
    const fw_api_controller_t *controller = api->controller;
    bool is_path = false;
    const fw_api_route_t *route = route_of(head, &is_path);
    if (route == NULL) {
        return is_path ? FW_PROBLEM_NOT_ALLOWED : FW_PROBLEM_NOT_FOUND;
    }
    api->now_ms = now_ms;
    if (route->access == FW_ACCESS_ALL) {
        return FW_PROBLEM_NONE;
    }
    uint8_t verifier[FW_VERIFIER_BYTES];
    bool is_set_up = controller->verifier(api->ctx, verifier);
    if (route->access == FW_ACCESS_SETUP) {
        return is_set_up                                      ? FW_PROBLEM_SETUP_DONE
               : controller->setup_is_open(api->ctx) ? FW_PROBLEM_NONE
                                                              : FW_PROBLEM_SETUP_CLOSED;
    }
    if (!is_set_up) {
        return FW_PROBLEM_SETUP_NEEDED;
    }
    bool may = route->access == FW_ACCESS_LOG_IN ||
               session_of(api, head, now_ms) != FW_SESSION_NONE;
    return may ? FW_PROBLEM_NONE : FW_PROBLEM_NOT_LOGGED_IN;
}

static void begin(void *ctx, const fw_http_head_t *head)
{
    fw_api_t *api = ctx;
    bool is_path = false;
    fw_span_t number = {0};
    api->route = route_of(head, &is_path);
    api->session = session_of(api, head, api->now_ms);
    api->number = 0;
    api->has_number = (fw_http_query(head, "at", &number) ||
                       fw_http_query(head, "before", &number) ||
                       fw_http_query(head, "receipt", &number)) &&
                      fw_text_parse_u32(number, &api->number);
    api->body_bytes = 0;
    api->step = 0;
    api->cursor = 0;
    api->wait_ms = 0;
    api->wrong = FW_SETTINGS;
    api->problem = FW_PROBLEM_NONE;
    api->comma = false;
    api->fields.count = 0;
}

static void body(void *ctx, const uint8_t *bytes, size_t length)
{
    fw_api_t *api = ctx;
    /* The server lets no more through than there is room for. */
    fw_copy(api->body + api->body_bytes, bytes, length);
    api->body_bytes = (uint16_t)(api->body_bytes + length);
}

static bool answer_head(void *ctx, uint32_t now_ms, fw_http_answer_t *answer)
{
    fw_api_t *api = ctx;
    api->now_ms = now_ms;
    api->answer = answer;
    fw_api_result_t result = FW_PROBLEM_NONE;
    if (api->step == 0u) {
        api->since_ms = now_ms;
        if (api->route->has_fields && !fw_json_read(&api->fields, api->body, api->body_bytes)) {
            result = FW_PROBLEM_BAD_JSON;
        }
    }
    if (result == FW_PROBLEM_NONE && api->route->work != NULL) {
        result = api->route->work(api);
    }
    if (result == FW_API_WAIT) {
        api->step = api->step == 0u ? 1u : api->step;
        return false;
    }
    api->problem = result;
    api->step = 0;
    api->cursor = 0;
    if (result != FW_PROBLEM_NONE) {
        answer->status = (uint16_t)fw_problem_text((fw_problem_t)result)->status;
        answer->retry_after_s = (uint16_t)((api->wait_ms + 999u) / 1000u);
    }
    return true;
}

static bool show_nothing(fw_api_t *api, fw_json_t *json)
{
    (void)api;
    fw_json_open(json, NULL, '{');
    fw_json_close(json, '}');
    return false;
}

static size_t piece(void *ctx, uint8_t *into, size_t room, bool *more)
{
    fw_api_t *api = ctx;
    fw_api_show_t show = api->problem != FW_PROBLEM_NONE ? fw_api_show_problem
                         : api->route->show != NULL      ? api->route->show
                                                         : show_nothing;
    fw_json_t json = {.comma = api->comma};
    fw_text_init(&json.text, into, room);
    *more = true;
    while (*more) {
        size_t length = json.text.length;
        uint32_t number = api->number;
        uint16_t cursor = api->cursor;
        uint8_t step = api->step;
        bool comma = json.comma;
        *more = show(api, &json);
        if (json.text.full) {
            api->number = number;
            api->cursor = cursor;
            api->step = step;
            json.text.length = length;
            json.comma = comma;
            /* An item that no piece has room for would never come: better an end than a loop. */
            *more = length > 0u;
            break;
        }
    }
    api->comma = json.comma;
    return json.text.length;
}

static void end(void *ctx)
{
    fw_api_t *api = ctx;
    /* Bodies hold passwords. */
    fw_fill(api->body, 0, sizeof(api->body));
    api->body_bytes = 0;
}

fw_http_handler_t fw_api_handler(fw_api_t *api)
{
    return (fw_http_handler_t){api, admit, begin, body, answer_head, piece, end};
}
