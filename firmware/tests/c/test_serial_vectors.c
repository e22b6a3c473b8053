/*
 * test_serial_vectors.c: the golden vectors of the serial line.
 */
#include "check.h"
#include "golden.h"
#include "serial_rig.h"

#include <stdlib.h>
#include <string.h>

/* ---- packets ---- */

static void check_found(const golden_line_t *golden, size_t *found)
{
    uint8_t type = 0;
    fw_span_t data;
    if (!fw_serial_line_packet(&serial_alone, &type, &data)) {
        return;
    }
    CHECK_NOTE(*found < golden->packets_count, golden->name);
    if (*found < golden->packets_count) {
        const golden_packet_t *wanted = &golden->packets[*found];
        CHECK_NOTE(wanted->type == type && wanted->data.length == data.length &&
                       memcmp(wanted->data.bytes, data.bytes, data.length) == 0,
                   golden->name);
    }
    (*found)++;
    fw_serial_line_drop(&serial_alone);
}

static void run_line(const golden_line_t *golden, uint32_t pause_ms)
{
    size_t found = 0;
    uint32_t now_ms = UINT32_MAX - 100u;
    serial_rig_alone();
    for (size_t i = 0; i < golden->bytes.length; i++) {
        fw_serial_line_receive(&serial_alone, golden->bytes.bytes + i, 1, now_ms);
        check_found(golden, &found);
        now_ms += pause_ms;
    }
    for (uint32_t i = 0; i < 100u; i++) {
        now_ms += 10u;
        fw_serial_line_expire(&serial_alone, now_ms);
        check_found(golden, &found);
    }
    CHECK_NOTE(found == golden->packets_count, golden->name);
    CHECK_NOTE(!fw_serial_line_is_receiving(&serial_alone), golden->name);
    if (golden->is_exact) {
        const golden_packet_t *packet = &golden->packets[0];
        serial_rig_alone();
        memcpy(fw_serial_line_data(&serial_alone), packet->data.bytes, packet->data.length);
        fw_serial_line_send(&serial_alone, packet->type, (uint8_t)packet->data.length);
        while (fw_serial_line_transmit(&serial_alone)) {
            serial_rig_room = 7;
        }
        CHECK_NOTE(serial_rig_told == golden->bytes.length &&
                       memcmp(serial_rig_tells, golden->bytes.bytes, serial_rig_told) == 0,
                   golden->name);
    }
}

/* ---- requests ---- */

static uint8_t code_of(const char *error)
{
    return strcmp(error, "cbor") == 0        ? FW_CODE_MALFORMED
           : strcmp(error, "bad_field") == 0 ? FW_CODE_BAD_FIELD
                                             : FW_CODE_UNSUPPORTED;
}

static void run_request(const golden_request_t *golden)
{
    serial_rig_begin();
    serial_rig_send(FW_SERIAL_REQUEST, golden->data.bytes, golden->data.length);
    bool is_answered = serial_rig_answer(5000);
    bool is_damaged = golden->error != NULL && strcmp(golden->error, "damaged") == 0;
    CHECK_NOTE(is_answered != is_damaged, golden->name);
    if (!is_answered) {
        return;
    }
    CHECK_NOTE(serial_rig_id == golden->id, golden->name);
    uint8_t code = serial_rig_code;
    if (golden->error != NULL) {
        CHECK_NOTE(code == code_of(golden->error), golden->name);
    } else {
        CHECK_NOTE(code != FW_CODE_MALFORMED && code != FW_CODE_BAD_FIELD &&
                       code != FW_CODE_UNSUPPORTED && code != FW_CODE_INTERNAL,
                   golden->name);
    }
}

/* ---- answers ---- */

static const golden_answer_t *wanted;

static const golden_field_t *field(const char *path)
{
    for (size_t i = 0; i < wanted->fields_count; i++) {
        if (strcmp(wanted->fields[i].path, path) == 0) {
            return &wanted->fields[i];
        }
    }
    return NULL;
}

static uint32_t number(const char *path)
{
    const golden_field_t *found = field(path);
    return found == NULL ? 0u : (uint32_t)found->integer;
}

static uint32_t ip_of(const char *text)
{
    uint32_t ip = 0;
    uint32_t part = 0;
    for (; *text != '\0'; text++) {
        part = *text == '.' ? 0u : part * 10u + (uint32_t)(*text - '0');
        ip = *text == '.' ? ip << 8 : (ip & ~0xFFu) | part;
    }
    return ip;
}

static void tell_status(void *ctx, fw_api_status_t *status)
{
    (void)ctx;
    *status = (fw_api_status_t){.board = "board", .software = "software 0.1.0", .profile = "rig"};
    if (field("profile") == NULL) {
        return;
    }
    status->profile = field("profile")->text;
    status->software = field("software")->text;
    status->version = number("version");
    status->slot = (uint8_t)number("slot");
    status->reset = (uint8_t)number("reset");
    status->enrolled = number("address");
    status->wifi = (uint8_t)number("wifi");
    status->ip = ip_of(field("ip")->text);
    status->link = (uint8_t)number("link");
    status->boot_id = number("boot_id");
    status->script = (uint8_t)number("script");
    status->script_hash = number("script_hash");
}

static uint8_t tell_setting(void *ctx, fw_setting_t which, uint8_t into[FW_SETTING_BYTES_MAX])
{
    (void)ctx;
    const golden_field_t *name = field("name");
    if (which != FW_SETTING_NAME || name == NULL) {
        return 0;
    }
    memcpy(into, name->text, strlen(name->text));
    return (uint8_t)strlen(name->text);
}

static uint8_t tell_hardware(void *ctx, uint8_t into[FW_HARDWARE_BYTES_MAX])
{
    (void)ctx;
    const golden_field_t *hardware = field("hardware");
    if (hardware == NULL) {
        return 0;
    }
    size_t length = 0;
    uint8_t *bytes = bytes_from_hex(hardware->text, &length);
    memcpy(into, bytes, length);
    free(bytes);
    return (uint8_t)length;
}

static bool tell_verifier(void *ctx, uint8_t into[FW_VERIFIER_BYTES])
{
    (void)ctx;
    memset(into, 0, FW_VERIFIER_BYTES);
    return number("protected") != 0u;
}

static uint8_t tell_wifi(void *ctx, uint32_t *ip)
{
    (void)ctx;
    *ip = 0;
    return FW_API_WIFI_DOWN;
}

static void hold_nothing(void *ctx, bool held)
{
    (void)ctx;
    (void)held;
}

static fw_api_result_t end_upload(void *ctx, fw_upload_t what, fw_api_compiled_t *compiled)
{
    (void)ctx;
    CHECK(what == FW_UPLOAD_SCRIPT);
    *compiled = (fw_api_compiled_t){.operations = (uint16_t)number("operations"),
                                    .scan_us = number("scan_us")};
    if (field("expected") != NULL) {
        *compiled = (fw_api_compiled_t){
            .expected = field("expected")->text,
            .fix = field("fix") == NULL ? NULL : field("fix")->text,
            .line = (uint16_t)number("line"),
            .column = (uint16_t)number("column"),
            .other_line = (uint16_t)number("other_line"),
        };
        return FW_PROBLEM_SCRIPT_ERROR;
    }
    return FW_PROBLEM_NONE;
}

static const fw_api_controller_t told = {
    .status = tell_status,
    .setting = tell_setting,
    .hardware = tell_hardware,
    .verifier = tell_verifier,
    .wifi = tell_wifi,
    .hold_erases = hold_nothing,
    .upload_end = end_upload,
};

/* Those that a state of the controller gives; the others are met by the requests. */
static void run_answer(const golden_answer_t *golden)
{
    bool is_description = strcmp(golden->verb, "describe") == 0;
    bool is_end = strcmp(golden->verb, "script_end") == 0;
    if (golden->code != FW_CODE_OK || !(is_description || is_end)) {
        return;
    }
    wanted = golden;
    serial_rig_begin_with(&told);
    serial_rig_ask(golden->id, is_description ? 1 : 8, NULL, 0);
    CHECK_NOTE(serial_rig_answer(1000), golden->name);
    CHECK_NOTE(serial_rig_data.length == golden->data.length &&
                   memcmp(serial_rig_data.bytes, golden->data.bytes, golden->data.length) == 0,
               golden->name);
}

static void run_command(const golden_command_t *golden)
{
    serial_rig_begin();
    serial_rig_send(FW_SERIAL_COMMAND, golden->data.bytes, golden->data.length);
    serial_rig_pass(3000);
    int error = serial_rig_error;
    int expected = golden->error == NULL                     ? 0
                   : strcmp(golden->error, "unknown") == 0 ? 2
                                                             : 1;
    CHECK_NOTE(error == expected, golden->name);
}

void test_serial_vectors(const golden_line_t *lines, size_t lines_count,
                         const golden_request_t *requests, size_t requests_count,
                         const golden_answer_t *answers, size_t answers_count,
                         const golden_command_t *commands, size_t commands_count)
{
    CHECK(lines_count > 0 && requests_count > 0 && answers_count > 0 && commands_count > 0);
    for (size_t row = 0; row < lines_count; row++) {
        run_line(&lines[row], 0);
        run_line(&lines[row], 1);
    }
    for (size_t row = 0; row < requests_count; row++) {
        run_request(&requests[row]);
    }
    for (size_t row = 0; row < answers_count; row++) {
        run_answer(&answers[row]);
    }
    for (size_t row = 0; row < commands_count; row++) {
        run_command(&commands[row]);
    }
}
