/*
 * serial_improv.c: the commands of the Improv Serial standard (docs/serial.md, section 2).
 *
 * Each is answered by error 0 at once, then by what it asks for, or by another error.
 */
#include "serial_inside.h"
#include "text.h"

#include "cbor.h"

typedef enum {
    COMMAND_WIFI = 1,
    COMMAND_STATE,
    COMMAND_INFORMATION,
    COMMAND_SCAN,
    COMMAND_HOST_NAME,
    COMMAND_DEVICE_NAME,
    COMMAND_NETWORK_STATE,
} improv_command_t;

typedef enum { STATE_READY = 2, STATE_PROVISIONING = 3, STATE_PROVISIONED = 4 } improv_state_t;

typedef enum {
    ERROR_NONE = 0,
    ERROR_INVALID = 1,
    ERROR_UNKNOWN_COMMAND = 2,
    ERROR_UNABLE_TO_CONNECT = 3,
    ERROR_NOT_AUTHORIZED = 4,
    ERROR_BAD_HOST_NAME = 5,
    ERROR_UNKNOWN = 0xFF,
} improv_error_t;

/* Steps of a command. */
enum { STEP_BEGIN = 0, STEP_WORK, STEP_JOIN, STEP_TELL };

#define FLAG_ON_LINE 1
#define FLAG_HAS_WIFI 2

/* ---- results ---- */

/* Strings are put one behind the other. */
typedef struct {
    uint8_t *data;
    uint8_t length;
} result_t;

static result_t result_begin(fw_serial_t *serial, uint8_t command)
{
    serial->has_answered = false; /* its memory is that */
    result_t result = {fw_serial_line_data(&serial->line), 2};
    result.data[0] = command;
    return result;
}

static void result_text(result_t *result, const uint8_t *bytes, size_t length)
{
    size_t room = FW_SERIAL_DATA_BYTES_MAX - result->length - 1u;
    uint8_t count = (uint8_t)(length < room ? length : room);
    result->data[result->length] = count;
    fw_copy(result->data + result->length + 1u, bytes, count);
    result->length = (uint8_t)(result->length + 1u + count);
}

static void result_string(result_t *result, const char *string)
{
    result_text(result, (const uint8_t *)string, fw_string_length(string));
}

static void result_number(result_t *result, int64_t number)
{
    uint8_t bytes[24];
    fw_text_t text;
    fw_text_init(&text, bytes, sizeof bytes);
    fw_text_number(&text, number);
    result_text(result, bytes, text.length);
}

static void result_setting(fw_serial_t *serial, result_t *result, fw_setting_t which)
{
    uint8_t text[FW_SETTING_BYTES_MAX];
    uint8_t length = serial->controller->setting(serial->ctx, which, text);
    result_text(result, text, length);
}

static void result_send(fw_serial_t *serial, const result_t *result)
{
    result->data[1] = (uint8_t)(result->length - 2u);
    fw_serial_line_send(&serial->line, FW_SERIAL_RESULT, result->length);
}

/* The page's address. */
static void result_url(result_t *result, uint32_t ip)
{
    uint8_t bytes[32];
    fw_text_t text;
    fw_text_init(&text, bytes, sizeof bytes);
    fw_text_string(&text, "http://");
    for (uint32_t shift = 32u; shift > 0u; shift -= 8u) {
        fw_text_number(&text, ip >> (shift - 8u) & 0xFFu);
        fw_text_byte(&text, shift > 8u ? '.' : '/');
    }
    result_text(result, bytes, text.length);
}

static void tell_url(fw_serial_t *serial, uint8_t command)
{
    uint32_t ip = 0;
    (void)serial->controller->wifi(serial->ctx, &ip);
    result_t result = result_begin(serial, command);
    if (ip != 0u) {
        result_url(&result, ip);
    }
    result_send(serial, &result);
}

/* Behind the last space of "switchyard-firmware 0.1.0". */
static const char *version_of(const char *software)
{
    size_t from = 0;
    for (size_t i = 0; i < fw_string_length(software); i++) {
        if (fw_string_byte(software, i) == ' ') {
            from = i + 1u;
        }
    }
    return software + from;
}

static void tell_information(fw_serial_t *serial)
{
    uint8_t name[FW_SETTING_BYTES_MAX];
    fw_api_status_t status;
    serial->controller->status(serial->ctx, &status);
    result_t result = result_begin(serial, COMMAND_INFORMATION);
    result_string(&result, "Switchyard");
    result_string(&result, version_of(status.software));
    result_string(&result, status.board);
    uint8_t length = serial->controller->setting(serial->ctx, FW_SETTING_NAME, name);
    if (length > 0u) {
        result_text(&result, name, length);
    } else {
        result_string(&result, status.board);
    }
    result_send(serial, &result);
}

static void tell_network_state(fw_serial_t *serial)
{
    uint32_t ip = 0;
    bool is_joined = serial->controller->wifi(serial->ctx, &ip) == FW_API_WIFI_JOINED;
    result_t result = result_begin(serial, COMMAND_NETWORK_STATE);
    result_number(&result, is_joined ? FLAG_ON_LINE | FLAG_HAS_WIFI : FLAG_HAS_WIFI);
    if (is_joined && ip != 0u) {
        result_url(&result, ip);
    }
    result_send(serial, &result);
}

/* ---- the state ---- */

static void take_state(fw_serial_t *serial)
{
    uint32_t ip = 0;
    uint8_t wifi = serial->controller->wifi(serial->ctx, &ip);
    uint8_t state = serial->is_provisioning      ? STATE_PROVISIONING
                    : wifi == FW_API_WIFI_JOINED ? STATE_PROVISIONED
                                                 : STATE_READY;
    bool is_first = serial->state == 0u;
    if (state != serial->state) {
        serial->state = state;
        serial->is_state_due = !is_first || state != STATE_READY;
    }
}

void fw_serial_improv_look(fw_serial_t *serial)
{
    take_state(serial);
}

bool fw_serial_improv_tell(fw_serial_t *serial)
{
    fw_serial_line_t *line = &serial->line;
    if (serial->error != FW_SERIAL_NO_ERROR_DUE) {
        if (!fw_serial_line_send_byte(line, FW_SERIAL_ERROR, serial->error)) {
            return false;
        }
        serial->error = FW_SERIAL_NO_ERROR_DUE;
    }
    if (serial->is_state_due) {
        if (!fw_serial_line_send_byte(line, FW_SERIAL_STATE, serial->state)) {
            return false;
        }
        serial->is_state_due = false;
    }
    return true;
}

/* ---- the commands ---- */

static bool fail(fw_serial_t *serial, improv_error_t error)
{
    serial->error = (uint8_t)error;
    serial->is_provisioning = false;
    return true;
}

/* The two strings of a network; false: they are not that. */
static bool network_of(fw_span_t fields, fw_api_change_t *change)
{
    size_t name_bytes = fields.length > 0u ? fields.bytes[0] : 0u;
    if (name_bytes == 0u || fields.length < 1u + name_bytes + 1u) {
        return false;
    }
    size_t password_bytes = fields.bytes[1u + name_bytes];
    change->texts[FW_SETTING_WIFI] = (fw_span_t){fields.bytes + 1, name_bytes};
    change->texts[FW_SETTING_WIFI_PASSWORD] =
        (fw_span_t){fields.bytes + 1u + name_bytes + 1u, password_bytes};
    return fields.length == name_bytes + password_bytes + 2u;
}

/* Whether the network is joined by now. */
static bool join(fw_serial_t *serial)
{
    uint32_t ip = 0;
    uint8_t wifi = serial->controller->wifi(serial->ctx, &ip);
    uint32_t passed_ms = serial->now_ms - serial->since_ms;
    if (passed_ms < FW_SERIAL_JOIN_MS_MIN) {
        return false;
    }
    if (wifi == FW_API_WIFI_JOINED && ip != 0u) {
        serial->is_provisioning = false;
        serial->state = STATE_PROVISIONED;
        serial->is_state_due = true;
        tell_url(serial, COMMAND_WIFI);
        return true;
    }
    if (wifi == FW_API_WIFI_WRONG_PASSWORD || wifi == FW_API_WIFI_NOT_FOUND ||
        passed_ms >= FW_SERIAL_JOIN_MS_MAX) {
        (void)fail(serial, ERROR_UNABLE_TO_CONNECT);
        take_state(serial);
        return true;
    }
    return false;
}

/* Changes what was asked for: FW_API_WAIT until it is in flash; the error, if it cannot be. */
static bool change(fw_serial_t *serial, const fw_api_change_t *wanted, improv_error_t bad, bool *is_done)
{
    uint8_t wrong = FW_SETTINGS;
    fw_api_result_t result = serial->controller->change_settings(serial->ctx, wanted, &wrong);
    *is_done = result == FW_PROBLEM_NONE;
    if (result == FW_API_WAIT || *is_done) {
        return false;
    }
    return fail(serial, result == FW_PROBLEM_OUT_OF_RANGE ? bad : ERROR_UNKNOWN);
}

static bool set_network(fw_serial_t *serial, fw_span_t fields)
{
    fw_api_change_t wanted = {.verifier = NULL};
    bool is_done = false;
    if (serial->step == STEP_JOIN) {
        return join(serial);
    }
    if (!network_of(fields, &wanted)) {
        return fail(serial, ERROR_INVALID);
    }
    if (change(serial, &wanted, ERROR_INVALID, &is_done)) {
        return true;
    }
    if (!serial->is_provisioning) {
        serial->is_provisioning = true;
        take_state(serial);
    }
    if (is_done) {
        serial->step = STEP_JOIN;
        serial->since_ms = serial->now_ms;
    }
    return false;
}

static bool name(fw_serial_t *serial, uint8_t command, fw_setting_t which, fw_span_t text)
{
    bool is_done = text.length == 0u;
    if (!is_done) {
        fw_api_change_t wanted = {.verifier = NULL};
        wanted.texts[which] = text;
        improv_error_t bad = which == FW_SETTING_HOST ? ERROR_BAD_HOST_NAME : ERROR_INVALID;
        if (!fw_utf8_valid(text.bytes, text.length)) {
            return fail(serial, bad);
        }
        if (change(serial, &wanted, bad, &is_done)) {
            return true;
        }
    }
    if (is_done) {
        result_t result = result_begin(serial, command);
        result_setting(serial, &result, which);
        result_send(serial, &result);
    }
    return is_done;
}

/* One network at a time; the last result is empty. */
static bool scan(fw_serial_t *serial)
{
    fw_api_network_t network;
    if (serial->step == STEP_WORK) {
        fw_api_result_t looked = serial->controller->look_around(serial->ctx);
        if (looked == FW_API_WAIT) {
            return false;
        }
        if (looked != FW_PROBLEM_NONE) {
            return fail(serial, ERROR_UNKNOWN);
        }
        serial->step = STEP_TELL;
    }
    bool is_one = serial->controller->network(serial->ctx, &serial->cursor, &network);
    result_t result = result_begin(serial, COMMAND_SCAN);
    if (is_one) {
        result_text(&result, network.ssid, network.ssid_bytes);
        result_number(&result, network.rssi_dbm);
        result_string(&result, network.is_secured ? "YES" : "NO");
    }
    result_send(serial, &result);
    return !is_one;
}

static bool needs_right(uint8_t command)
{
    return command == COMMAND_WIFI || command == COMMAND_SCAN || command == COMMAND_HOST_NAME ||
           command == COMMAND_DEVICE_NAME;
}

static bool begin(fw_serial_t *serial, fw_span_t data)
{
    serial->error = ERROR_NONE;
    serial->step = STEP_WORK;
    uint8_t command = data.length > 0u ? data.bytes[0] : 0u;
    bool is_framed = data.length >= 2u && data.bytes[1] == data.length - 2u;
    bool is_plain = command == COMMAND_STATE || command == COMMAND_INFORMATION ||
                    command == COMMAND_SCAN || command == COMMAND_NETWORK_STATE;
    if (!is_framed || (is_plain && data.length != 2u)) {
        return fail(serial, ERROR_INVALID);
    }
    if (command < COMMAND_WIFI || command > COMMAND_NETWORK_STATE) {
        return fail(serial, ERROR_UNKNOWN_COMMAND);
    }
    if (needs_right(command) && !fw_serial_may(serial)) {
        return fail(serial, ERROR_NOT_AUTHORIZED);
    }
    if (serial->is_unlocked && needs_right(command)) {
        serial->used_ms = serial->now_ms;
    }
    return false;
}

bool fw_serial_improv(fw_serial_t *serial, fw_span_t data)
{
    if (serial->step == STEP_BEGIN) {
        return begin(serial, data);
    }
    if (serial->now_ms - serial->since_ms >= FW_SERIAL_WORK_MS_MAX) {
        return fail(serial, ERROR_UNKNOWN);
    }
    uint8_t command = data.bytes[0];
    const fw_span_t fields = {data.bytes + 2, data.length - 2u};
    switch (command) {
    case COMMAND_WIFI:
        return set_network(serial, fields);
    case COMMAND_STATE:
        take_state(serial);
        serial->is_state_due = true;
        if (serial->state == STATE_PROVISIONED) {
            tell_url(serial, COMMAND_STATE);
        }
        return true;
    case COMMAND_INFORMATION:
        tell_information(serial);
        return true;
    case COMMAND_SCAN:
        return scan(serial);
    case COMMAND_HOST_NAME:
        return name(serial, command, FW_SETTING_HOST, fields);
    case COMMAND_DEVICE_NAME:
        return name(serial, command, FW_SETTING_NAME, fields);
    default:
        tell_network_state(serial);
        return true;
    }
}
