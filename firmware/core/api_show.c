/*
 * api_show.c: what the API answers, item by item. See api.h.
 *
 * A list is an opening, its items and a closing, each a step of its own, so that a list of any
 * length fits through a piece of any size.
 */
#include "api_inside.h"

static const char *word(const char *const *words, uint8_t count, uint8_t number)
{
    return number < count ? words[number] : "unknown";
}

#define WORD(words, number) word((words), sizeof(words) / sizeof((words)[0]), (number))

static const char *const type_words[] = {"bool", "int", "num", "time"};
static const char *const point_words[] = {"digital_input", "digital_output", "analogue_input",
                                          "analogue_output"};

static void show_cause(fw_json_t *json, const fw_cause_t *cause)
{
    static const char *const words[] = {"boot",  "script", "command", "schedule", "link_loss",
                                        "input", "timer",  "force",   "safe"};
    fw_json_open(json, "cause", '{');
    fw_json_string(json, "kind", WORD(words, cause->kind));
    if (cause->by != 0u) {
        fw_json_number(json, "by", cause->by);
    }
    if (cause->reference != 0u) {
        fw_json_number(json, "reference", cause->reference);
    }
    fw_json_close(json, '}');
}

/* ---- session, status ---- */

bool fw_api_show_session(fw_api_t *api, fw_json_t *json)
{
    const fw_api_controller_t *controller = api->controller;
    uint8_t bytes[FW_SETTING_BYTES_MAX];
    bool is_set_up = controller->verifier(api->ctx, bytes);
    const char *state = is_set_up ? (api->session == FW_SESSION_NONE ? "login" : "open")
                        : controller->setup_is_open(api->ctx) ? "setup"
                                                                     : "setup_closed";
    fw_json_open(json, NULL, '{');
    fw_json_string(json, "state", state);
    fw_json_span(json, "name",
                 (fw_span_t){bytes, controller->setting(api->ctx, FW_SETTING_NAME, bytes)});
    fw_json_number(json, "wait_ms", fw_guess_wait_ms(&api->log_in, api->now_ms));
    fw_json_close(json, '}');
    return false;
}

static void show_ip(fw_json_t *json, uint32_t ip)
{
    uint8_t bytes[16];
    fw_text_t text;
    fw_text_init(&text, bytes, sizeof(bytes));
    for (uint8_t i = 0; i < 4u; i++) {
        if (i > 0u) {
            fw_text_byte(&text, '.');
        }
        fw_text_number(&text, ip >> (24u - 8u * i) & 255u);
    }
    fw_json_span(json, "ip", (fw_span_t){bytes, text.length});
}

static void show_trial(fw_json_t *json, const fw_api_status_t *status)
{
    static const char *const scripts[] = {"none", "runs", "on_trial", "stopped"};
    fw_json_string(json, "script", WORD(scripts, status->script));
    fw_json_number(json, "script_hash", status->script_hash);
    fw_json_number(json, "trial_left_ms", status->trial_left_ms);
}

static void show_network_status(fw_json_t *json, const fw_api_status_t *status)
{
    static const char *const links[] = {"down", "opening", "live", "none"};
    static const char *const wifis[] = {"down", "joining", "joined", "wrong_password", "not_found"};
    fw_json_string(json, "link", WORD(links, status->link));
    fw_json_number(json, "gateway", status->gateway);
    fw_json_string(json, "wifi", WORD(wifis, status->wifi));
    fw_json_number(json, "rssi_dbm", status->rssi_dbm);
    show_ip(json, status->ip);
    fw_json_bool(json, "access_point", status->is_access_point);
}

static void show_scan(fw_json_t *json, const fw_api_status_t *status)
{
    static const char *const gaps[] = {"none", "erase", "handshake", "http", "radio", "other"};
    fw_json_number(json, "operations", status->operations);
    fw_json_number(json, "scan_us", status->scan_us);
    fw_json_number(json, "late_scans", status->late_scans);
    fw_json_number(json, "longest_gap_ms", status->longest_gap_ms);
    fw_json_string(json, "longest_gap", WORD(gaps, status->longest_gap));
    fw_json_number(json, "divisions_by_zero", status->divisions_by_zero);
}

bool fw_api_show_status(fw_api_t *api, fw_json_t *json)
{
    static const char *const updates[] = {"none", "writing", "written", "on_trial", "fell_back"};
    fw_api_status_t status = {0};
    api->controller->status(api->ctx, &status);
    fw_json_open(json, NULL, '{');
    fw_json_string(json, "board", status.board);
    fw_json_string(json, "software", status.software);
    fw_json_number(json, "address", status.address);
    fw_json_number(json, "boot_id", status.boot_id);
    fw_json_number(json, "uptime_ms", (int64_t)status.uptime_ms);
    fw_json_number(json, "time_ms", (int64_t)status.time_ms);
    fw_json_number(json, "free_bytes", status.free_bytes);
    show_network_status(json, &status);
    show_scan(json, &status);
    show_trial(json, &status);
    fw_json_string(json, "update", WORD(updates, status.update));
    fw_json_number(json, "update_bytes", status.update_bytes);
    fw_json_number(json, "update_written_bytes", status.update_written_bytes);
    fw_json_close(json, '}');
    return false;
}

/* ---- points and values ---- */

static void show_point(fw_json_t *json, const fw_api_point_t *point)
{
    static const char *const flags[] = {"manual", "bad", "fault", "forced", "confirm"};
    fw_json_open(json, NULL, '{');
    fw_json_string(json, "name", point->name);
    fw_json_string(json, "pin", point->pin);
    fw_json_string(json, "type", WORD(point_words, point->type));
    fw_json_number(json, "value", point->value);
    for (uint8_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if ((point->flags >> i & 1u) != 0u) {
            fw_json_bool(json, flags[i], true);
        }
    }
    if ((point->flags & FW_POINT_FORCED) != 0u) {
        fw_json_number(json, "force_left_ms", point->force_left_ms);
    }
    show_cause(json, &point->cause);
    fw_json_close(json, '}');
}

static void show_range(fw_json_t *json, int32_t min, int32_t max)
{
    fw_json_number(json, "min", min);
    fw_json_number(json, "max", max);
}

static void show_value(fw_json_t *json, const fw_api_value_t *value)
{
    static const char *const kinds[] = {"variable", "retained", "parameter", "machine",
                                        "alarm",    "input",    "output",    "command"};
    fw_json_open(json, NULL, '{');
    fw_json_string(json, "name", value->name);
    fw_json_string(json, "kind", WORD(kinds, value->kind));
    fw_json_string(json, "type", WORD(type_words, value->type));
    fw_json_number(json, "value", value->value);
    fw_json_number(json, "line", value->line);
    if (value->kind == FW_API_PARAMETER) {
        show_range(json, value->min, value->max);
    }
    if (value->kind == FW_API_MACHINE) {
        fw_json_string(json, "state", value->state);
    }
    fw_json_close(json, '}');
}

static void show_live_head(fw_api_t *api, fw_json_t *json)
{
    fw_api_status_t status = {0};
    api->controller->status(api->ctx, &status);
    fw_json_open(json, NULL, '{');
    fw_json_number(json, "boot_id", status.boot_id);
    fw_json_number(json, "uptime_ms", (int64_t)status.uptime_ms);
    fw_json_number(json, "why_last", status.why_last);
    show_network_status(json, &status);
    show_trial(json, &status);
    fw_json_open(json, "points", '[');
}

bool fw_api_show_live(fw_api_t *api, fw_json_t *json)
{
    const fw_api_controller_t *controller = api->controller;
    fw_api_point_t point = {0};
    fw_api_value_t value = {0};
    if (api->step == 0u) {
        show_live_head(api, json);
        api->step = 1;
    } else if (api->step == 1u) {
        if (controller->point(api->ctx, &api->cursor, &point)) {
            show_point(json, &point);
            return true;
        }
        fw_json_close(json, ']');
        fw_json_open(json, "values", '[');
        api->cursor = 0;
        api->step = 2;
    } else {
        if (controller->value(api->ctx, &api->cursor, &value)) {
            show_value(json, &value);
            return true;
        }
        fw_json_close(json, ']');
        fw_json_close(json, '}');
        return false;
    }
    return true;
}

/* ---- lists ---- */

static bool open_list(fw_api_t *api, fw_json_t *json, const char *name)
{
    if (api->step > 0u) {
        return false;
    }
    fw_json_open(json, NULL, '{');
    fw_json_open(json, name, '[');
    api->step = 1;
    return true;
}

static bool close_list(fw_json_t *json)
{
    fw_json_close(json, ']');
    fw_json_close(json, '}');
    return false;
}

bool fw_api_show_commands(fw_api_t *api, fw_json_t *json)
{
    fw_api_command_t command = {0};
    if (open_list(api, json, "commands")) {
        return true;
    }
    if (!api->controller->command(api->ctx, &api->cursor, &command)) {
        return close_list(json);
    }
    fw_json_open(json, NULL, '{');
    fw_json_string(json, "name", command.name);
    fw_json_open(json, "arguments", '[');
    for (uint8_t i = 0; i < command.count && i < FW_ARGUMENTS_MAX; i++) {
        fw_json_open(json, NULL, '{');
        fw_json_string(json, "name", command.arguments[i].name);
        fw_json_string(json, "type", WORD(type_words, command.arguments[i].type));
        show_range(json, command.arguments[i].min, command.arguments[i].max);
        fw_json_close(json, '}');
    }
    fw_json_close(json, ']');
    if (command.refusal[0] != '\0') {
        fw_json_string(json, "refusal", command.refusal);
    }
    fw_json_close(json, '}');
    return true;
}

bool fw_api_show_shadow(fw_api_t *api, fw_json_t *json)
{
    static const char *const states[] = {"none", "waiting", "stopped", "ended"};
    fw_api_value_t value = {0};
    if (api->step == 0u) {
        uint16_t line = 0;
        uint8_t state = api->controller->shadow(api->ctx, &line);
        fw_json_open(json, NULL, '{');
        fw_json_string(json, "state", WORD(states, state));
        fw_json_number(json, "line", line);
        fw_json_open(json, "values", '[');
        api->step = 1;
        return true;
    }
    if (!api->controller->shadow_value(api->ctx, &api->cursor, &value)) {
        return close_list(json);
    }
    show_value(json, &value);
    return true;
}

/* A page of the log: as many as a screen shows. */
#define WHY_ENTRIES_MAX 50u

bool fw_api_show_why(fw_api_t *api, fw_json_t *json)
{
    fw_api_why_t why = {0};
    if (api->step == 0u && !api->has_number) {
        api->number = UINT32_MAX;
    }
    if (open_list(api, json, "entries")) {
        return true;
    }
    if (api->cursor == WHY_ENTRIES_MAX ||
        !api->controller->why(api->ctx, api->number, &why)) {
        return close_list(json);
    }
    api->number = why.number;
    api->cursor++;
    fw_json_open(json, NULL, '{');
    fw_json_number(json, "number", why.number);
    fw_json_number(json, "boot_id", why.boot_id);
    fw_json_number(json, "uptime_ms", (int64_t)why.uptime_ms);
    fw_json_number(json, "time_ms", (int64_t)why.time_ms);
    fw_json_string(json, "name", why.name);
    fw_json_string(json, "type", WORD(point_words, why.type));
    fw_json_number(json, "value", why.value);
    show_cause(json, &why.cause);
    if (why.is_of_other_script) {
        fw_json_bool(json, "other_script", true);
    }
    fw_json_close(json, '}');
    return true;
}

bool fw_api_show_networks(fw_api_t *api, fw_json_t *json)
{
    fw_api_network_t network = {0};
    if (open_list(api, json, "networks")) {
        return true;
    }
    if (!api->controller->network(api->ctx, &api->cursor, &network)) {
        return close_list(json);
    }
    fw_json_open(json, NULL, '{');
    fw_json_span(json, "wifi", (fw_span_t){network.ssid, network.ssid_bytes});
    fw_json_number(json, "rssi_dbm", network.rssi_dbm);
    fw_json_bool(json, "secured", network.is_secured);
    fw_json_close(json, '}');
    return true;
}

/* No JSON: the bytes themselves, as many as there was room for. */
static bool show_bytes(fw_api_t *api, fw_text_t *text, size_t length)
{
    text->length += length;
    api->number += (uint32_t)length;
    /* A full piece is one that has taken all there was room for, not one that wants more. */
    text->full = length == 0u && text->length == text->room;
    return length > 0u;
}

bool fw_api_show_source(fw_api_t *api, fw_json_t *json)
{
    const fw_api_controller_t *controller = api->controller;
    fw_text_t *text = &json->text;
    return show_bytes(api, text,
                      controller->source(api->ctx, api->number, text->bytes + text->length,
                                         text->room - text->length));
}

bool fw_api_show_recording(fw_api_t *api, fw_json_t *json)
{
    const fw_api_controller_t *controller = api->controller;
    fw_text_t *text = &json->text;
    return show_bytes(api, text,
                      controller->recording(api->ctx, api->number, text->bytes + text->length,
                                            text->room - text->length));
}

/* ---- settings ---- */

const char *fw_api_setting_name(fw_setting_t which)
{
    static const char *const names[FW_SETTINGS] = {
        "name", "host", "wifi", "wifi_password", "gateway_1", "gateway_2", "zone",
    };
    return names[which];
}

/* One a step: escapes may make each six times as long. */
bool fw_api_show_settings(fw_api_t *api, fw_json_t *json)
{
    const fw_api_controller_t *controller = api->controller;
    uint8_t bytes[FW_SETTING_BYTES_MAX];
    fw_setting_t which = (fw_setting_t)api->step;
    size_t length = controller->setting(api->ctx, which, bytes);
    if (api->step == 0u) {
        fw_json_open(json, NULL, '{');
    }
    if (which == FW_SETTING_WIFI_PASSWORD) {
        fw_json_bool(json, "has_wifi_password", length > 0u);
    } else {
        fw_json_span(json, fw_api_setting_name(which), (fw_span_t){bytes, length});
    }
    api->step++;
    if (api->step < FW_SETTINGS) {
        return true;
    }
    fw_json_close(json, '}');
    return false;
}

/* ---- what came of something ---- */

static const char *stage_word(uint8_t stage)
{
    switch (stage) {
    case FW_STAGE_EXECUTED: return "executed";
    case FW_STAGE_CONFIRMED: return "confirmed";
    case FW_STAGE_EXPIRED: return "expired";
    case FW_STAGE_REFUSED: return "refused";
    case FW_STAGE_FAILED: return "failed";
    case FW_STAGE_UNKNOWN: return "unknown";
    default: return "delivered";
    }
}

bool fw_api_show_outcome(fw_api_t *api, fw_json_t *json)
{
    fw_api_outcome_t outcome = {0};
    (void)api->controller->outcome(api->ctx, api->number, &outcome);
    fw_json_open(json, NULL, '{');
    fw_json_number(json, "receipt", api->number);
    fw_json_string(json, "stage", stage_word(outcome.stage));
    fw_json_string(json, "reason", fw_code_name(outcome.reason));
    fw_json_bool(json, "final", outcome.is_final);
    fw_json_close(json, '}');
    return false;
}

bool fw_api_show_compiled(fw_api_t *api, fw_json_t *json)
{
    fw_json_open(json, NULL, '{');
    fw_json_number(json, "operations", api->compiled.operations);
    fw_json_number(json, "scan_us", api->compiled.scan_us);
    fw_json_number(json, "code_words", api->compiled.code_words);
    fw_json_number(json, "table_words", api->compiled.table_words);
    fw_json_close(json, '}');
    return false;
}

static void show_script_error(fw_json_t *json, const fw_api_compiled_t *compiled)
{
    fw_json_number(json, "line", compiled->line);
    fw_json_number(json, "column", compiled->column);
    fw_json_number(json, "length", compiled->length);
    fw_json_string(json, "expected", compiled->expected);
    if (compiled->fix != NULL) {
        fw_json_string(json, "fix", compiled->fix);
    }
    if (compiled->other_line != 0u) {
        fw_json_number(json, "other_line", compiled->other_line);
    }
}

bool fw_api_show_problem(fw_api_t *api, fw_json_t *json)
{
    const fw_problem_text_t *text = fw_problem_text((fw_problem_t)api->problem);
    fw_json_open(json, NULL, '{');
    fw_json_string(json, "code", text->code);
    fw_json_string(json, "message", text->message);
    if (api->wait_ms > 0u) {
        fw_json_number(json, "wait_ms", api->wait_ms);
    }
    if (api->wrong < FW_SETTINGS) {
        fw_json_string(json, "field", fw_api_setting_name((fw_setting_t)api->wrong));
    }
    if (api->problem == FW_PROBLEM_SCRIPT_ERROR && api->compiled.expected != NULL) {
        show_script_error(json, &api->compiled);
    }
    fw_json_close(json, '}');
    return false;
}
