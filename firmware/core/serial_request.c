/*
 * serial_request.c: requests of ours on the serial line (docs/serial.md, sections 3 and 4).
 *
 * A request stays in the line's memory until it is done; what is read from it points there, and is read anew in each
 * slice. Its answer is written once nothing else needs the answer's memory.
 */
#include "serial_inside.h"

#include "cbor.h"
#include "keys.h"
#include "monocypher.h"

typedef enum {
    VERB_DESCRIBE = 1,
    VERB_UNLOCK,
    VERB_SET,
    VERB_ENROL,
    VERB_FORGET,
    VERB_SCRIPT_BEGIN,
    VERB_SCRIPT_WRITE,
    VERB_SCRIPT_END,
    VERB_TRIAL,
    VERB_RESTART,
} verb_t;

enum { KEY_ID = 0, KEY_VERB = 1, KEY_FIRST = 2, KEY_SECOND = 3, KEY_THIRD = 4 };

/* Numbers of settings behind those of the texts. */
enum { SETTING_LABEL = 16, SETTING_PAGE_PASSWORD = 17, SETTINGS_END = 18 };

#define CHECKSUM_BYTES 4u
#define PIECE_BYTES_MAX 176u
#define SOFTWARE_BYTES_MAX 40u
#define EXPECTED_BYTES_MAX 90u
#define FIX_BYTES_MAX 60u

/* Steps of a request. */
enum { STEP_BEGIN = 0, STEP_WORK, STEP_CHECKING, STEP_STRETCHING, STEP_STORING };

/* What an answer tells besides its code. */
typedef struct {
    fw_api_compiled_t compiled;
    uint32_t wait_ms;
    uint8_t wrong; /* number of a setting */
} outcome_t;

/* Done with a code, or FW_API_WAIT, which is none. */
typedef uint8_t done_t;
#define DONE_NOT_YET FW_API_WAIT

_Static_assert(FW_API_WAIT > FW_CODE_WRONG_STATE, "no code is taken for it");

static uint32_t crc_of(fw_span_t bytes)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < bytes.length; i++) {
        crc ^= bytes.bytes[i];
        for (uint8_t bit = 0; bit < 8u; bit++) {
            crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
        }
    }
    return ~crc;
}

static done_t code_of(fw_api_result_t result)
{
    switch (result) {
    case FW_API_WAIT:
        return DONE_NOT_YET;
    case FW_PROBLEM_NONE:
    case FW_PROBLEM_SCRIPT_ERROR: /* an answer, and no refusal */
        return FW_CODE_OK;
    case FW_PROBLEM_OUT_OF_RANGE:
        return FW_CODE_OUT_OF_RANGE;
    case FW_PROBLEM_BAD_FIELD:
        return FW_CODE_BAD_FIELD;
    case FW_PROBLEM_WRONG_STATE:
        return FW_CODE_WRONG_STATE;
    case FW_PROBLEM_BUSY:
        return FW_CODE_BUSY;
    case FW_PROBLEM_UNSUPPORTED:
        return FW_CODE_UNSUPPORTED;
    default:
        return FW_CODE_INTERNAL;
    }
}

/* ---- passwords ---- */

/* How often it was guessed wrong outlives the memory that passwords are worked on in. */
static void keep_guesses(fw_serial_t *serial, const fw_log_in_t *log_in)
{
    serial->guesses = log_in->guesses;
    serial->guessed_ms = log_in->guessed_ms;
}

static fw_log_in_t *begin_guess(fw_serial_t *serial)
{
    fw_log_in_t *log_in = &fw_serial_scratch(serial)->log_in;
    fw_log_in_init(log_in);
    log_in->guesses = serial->guesses;
    log_in->guessed_ms = serial->guessed_ms;
    fw_log_in_poll(log_in, serial->now_ms);
    keep_guesses(serial, log_in);
    return log_in;
}

static bool is_password(fw_span_t password)
{
    return password.length >= FW_PASSWORD_BYTES_MIN && password.length <= FW_PASSWORD_BYTES_MAX;
}

static done_t unlock(fw_serial_t *serial, const fw_cbor_map_t *map, outcome_t *outcome)
{
    uint8_t verifier[FW_VERIFIER_BYTES];
    fw_span_t password;
    if (fw_cbor_map_text(map, KEY_FIRST, &password) != FW_FIELD_PRESENT) {
        return FW_CODE_BAD_FIELD;
    }
    if (!serial->controller->verifier(serial->ctx, verifier)) {
        return FW_CODE_OK;
    }
    if (serial->step == STEP_WORK) {
        fw_log_in_t *log_in = begin_guess(serial);
        outcome->wait_ms = fw_guess_wait_ms(log_in, serial->now_ms);
        if (outcome->wait_ms > 0u) {
            return FW_CODE_RATE_LIMITED;
        }
        /* What is no password is wrong, after as long. */
        password.length = is_password(password) ? password.length : 0u;
        fw_stretch_check(log_in, password, verifier);
        serial->step = STEP_CHECKING;
    }
    fw_log_in_t *log_in = &fw_serial_scratch(serial)->log_in;
    if (!fw_stretch_step(log_in)) {
        return DONE_NOT_YET;
    }
    bool is_right = fw_stretch_matches(log_in, verifier);
    if (is_right) {
        fw_guess_right(log_in);
        fw_serial_unlock(serial);
    } else {
        fw_guess_wrong(log_in, serial->now_ms);
    }
    keep_guesses(serial, log_in);
    return is_right ? FW_CODE_OK : FW_CODE_BAD_TOKEN;
}

/* ---- settings ---- */

/* What is asked for; BAD: an unknown setting, or no text. */
static bool settings_of(const fw_cbor_map_t *map, fw_api_change_t *change, fw_span_t *page_password)
{
    fw_cbor_map_t settings;
    size_t found = 0;
    if (fw_cbor_map_map(map, KEY_FIRST, &settings) != FW_FIELD_PRESENT || settings.count == 0u) {
        return false;
    }
    for (uint8_t number = 0; number < SETTINGS_END; number++) {
        fw_cbor_item_t item;
        if (!fw_cbor_map_find(&settings, number, &item)) {
            continue;
        }
        if (item.type != FW_CBOR_TEXT) {
            return false;
        }
        if (number < FW_SETTINGS) {
            change->texts[number] = item.span;
        } else if (number == SETTING_LABEL) {
            change->label = item.span;
        } else if (number == SETTING_PAGE_PASSWORD) {
            *page_password = item.span;
        } else {
            return false;
        }
        found++;
    }
    return found == settings.count;
}

/* The password becomes its verifier, in slices; true once it has. */
static bool make_verifier(fw_serial_t *serial, fw_span_t password)
{
    fw_serial_scratch_t *scratch = fw_serial_scratch(serial);
    if (serial->step == STEP_WORK) {
        uint8_t salt[FW_SALT_BYTES];
        fw_log_in_init(&scratch->log_in);
        serial->controller->random(serial->ctx, salt, sizeof salt);
        fw_stretch_new(&scratch->log_in, password, salt);
        serial->step = STEP_STRETCHING;
    }
    if (serial->step == STEP_STRETCHING && fw_stretch_step(&scratch->log_in)) {
        fw_stretch_verifier(&scratch->log_in, scratch->verifier);
        serial->step = STEP_STORING;
    }
    return serial->step == STEP_STORING;
}

static done_t set(fw_serial_t *serial, const fw_cbor_map_t *map, outcome_t *outcome)
{
    fw_api_change_t change = {.verifier = NULL};
    fw_span_t password = {NULL, 0};
    if (!settings_of(map, &change, &password)) {
        return FW_CODE_BAD_FIELD;
    }
    if (password.bytes != NULL) {
        if (!is_password(password)) {
            outcome->wrong = SETTING_PAGE_PASSWORD;
            return FW_CODE_OUT_OF_RANGE;
        }
        if (!make_verifier(serial, password)) {
            return DONE_NOT_YET;
        }
        change.verifier = fw_serial_scratch(serial)->verifier;
    }
    uint8_t wrong = FW_SETTINGS;
    fw_api_result_t result = serial->controller->change_settings(serial->ctx, &change, &wrong);
    outcome->wrong = wrong < FW_SETTINGS ? wrong : SETTING_LABEL;
    if (result == FW_PROBLEM_NONE && change.verifier != NULL) {
        fw_serial_unlock(serial); /* whoever set it knows it */
    }
    return code_of(result);
}

static done_t enrol(fw_serial_t *serial, const fw_cbor_map_t *map)
{
    uint64_t address = 0;
    fw_span_t key;
    if (fw_cbor_map_unsigned(map, KEY_FIRST, FW_ADDRESS_CONTROLLER_MAX, &address) !=
            FW_FIELD_PRESENT ||
        address == 0u ||
        fw_cbor_map_bytes(map, KEY_SECOND, FW_LINK_KEY_BYTES, FW_LINK_KEY_BYTES, &key) !=
            FW_FIELD_PRESENT) {
        return FW_CODE_BAD_FIELD;
    }
    return code_of(serial->controller->enrol(serial->ctx, (uint32_t)address, key.bytes));
}

/* ---- scripts ---- */

static done_t script_begin(fw_serial_t *serial, const fw_cbor_map_t *map)
{
    uint32_t bytes = 0;
    if (fw_cbor_map_u32(map, KEY_FIRST, &bytes) != FW_FIELD_PRESENT) {
        return FW_CODE_BAD_FIELD;
    }
    return code_of(serial->controller->upload_begin(serial->ctx, FW_UPLOAD_SCRIPT, bytes));
}

static done_t script_write(fw_serial_t *serial, const fw_cbor_map_t *map)
{
    uint32_t at = 0;
    fw_span_t piece;
    if (fw_cbor_map_u32(map, KEY_FIRST, &at) != FW_FIELD_PRESENT ||
        fw_cbor_map_bytes(map, KEY_SECOND, 1, PIECE_BYTES_MAX, &piece) != FW_FIELD_PRESENT) {
        return FW_CODE_BAD_FIELD;
    }
    return code_of(serial->controller->upload_write(serial->ctx, FW_UPLOAD_SCRIPT, at, piece));
}

static done_t trial(fw_serial_t *serial, const fw_cbor_map_t *map)
{
    uint64_t step = 0;
    if (fw_cbor_map_unsigned(map, KEY_FIRST, FW_TRIAL_REVERT, &step) != FW_FIELD_PRESENT) {
        return FW_CODE_BAD_FIELD;
    }
    return code_of(serial->controller->trial(serial->ctx, (fw_trial_t)step));
}

/* ---- the work ---- */

static done_t do_verb(fw_serial_t *serial, uint8_t verb, const fw_cbor_map_t *map,
                      outcome_t *outcome)
{
    const fw_api_controller_t *controller = serial->controller;
    switch (verb) {
    case VERB_DESCRIBE:
        return FW_CODE_OK;
    case VERB_UNLOCK:
        return unlock(serial, map, outcome);
    case VERB_SET:
        return set(serial, map, outcome);
    case VERB_ENROL:
        return enrol(serial, map);
    case VERB_FORGET:
        return code_of(controller->enrol(serial->ctx, 0, NULL));
    case VERB_SCRIPT_BEGIN:
        return script_begin(serial, map);
    case VERB_SCRIPT_WRITE:
        return script_write(serial, map);
    case VERB_SCRIPT_END:
        return code_of(
            controller->upload_end(serial->ctx, FW_UPLOAD_SCRIPT, &outcome->compiled));
    case VERB_TRIAL:
        return trial(serial, map);
    case VERB_RESTART:
        controller->restart(serial->ctx);
        return FW_CODE_OK;
    default:
        return FW_CODE_UNSUPPORTED;
    }
}

static bool is_known(uint8_t verb)
{
    return verb >= VERB_DESCRIBE && verb <= VERB_RESTART;
}

static done_t work(fw_serial_t *serial, uint8_t verb, const fw_cbor_map_t *map, outcome_t *outcome)
{
    bool is_open = verb == VERB_DESCRIBE || verb == VERB_UNLOCK || !is_known(verb);
    if (serial->step == STEP_BEGIN) {
        if (!is_open && !fw_serial_may(serial)) {
            return FW_CODE_FORBIDDEN;
        }
        if (serial->is_unlocked) {
            serial->used_ms = serial->now_ms;
        }
        serial->step = STEP_WORK;
    }
    if (serial->now_ms - serial->since_ms >= FW_SERIAL_WORK_MS_MAX) {
        return FW_CODE_TIMED_OUT;
    }
    return do_verb(serial, verb, map, outcome);
}

/* ---- the answer ---- */

/* The key, and of a text what fits whole characters into so many bytes. */
static void put_text(fw_cbor_writer_t *writer, uint32_t key, const char *text, size_t most)
{
    size_t length = fw_string_length(text);
    if (length > most) {
        length = most;
        while (length > 0u && ((uint8_t)fw_string_byte(text, length) & 0xC0u) == 0x80u) {
            length--;
        }
    }
    fw_cbor_put_text(writer, key, text, length);
}

static uint8_t put_description(fw_serial_t *serial, fw_cbor_writer_t *writer)
{
    uint8_t hardware[FW_HARDWARE_BYTES_MAX];
    uint8_t name[FW_SETTING_BYTES_MAX];
    fw_api_status_t status;
    const fw_api_controller_t *controller = serial->controller;
    controller->status(serial->ctx, &status);
    uint8_t name_bytes = controller->setting(serial->ctx, FW_SETTING_NAME, name);
    uint8_t hardware_bytes = controller->hardware(serial->ctx, hardware);
    bool is_protected = fw_serial_is_protected(serial);
    uint32_t key = KEY_FIRST;
    put_text(writer, key++, status.profile, FW_NAME_BYTES_MAX);
    put_text(writer, key++, status.software, SOFTWARE_BYTES_MAX);
    const uint32_t numbers[] = {status.version, status.slot, status.reset, status.enrolled};
    for (uint8_t i = 0; i < 4u; i++) {
        fw_cbor_put_unsigned(writer, key++, numbers[i]);
    }
    fw_cbor_put_bool(writer, key++, is_protected);
    fw_cbor_put_bool(writer, key++, !is_protected || serial->is_unlocked);
    fw_cbor_put_unsigned(writer, key++, status.wifi);
    fw_cbor_put_unsigned(writer, key++, status.ip);
    fw_cbor_put_unsigned(writer, key++, status.link);
    fw_cbor_put_unsigned(writer, key++, status.boot_id);
    fw_cbor_put_unsigned(writer, key++, status.script);
    fw_cbor_put_unsigned(writer, key++, status.script_hash);
    if (hardware_bytes > 0u) {
        fw_cbor_put_bytes(writer, key, hardware, hardware_bytes);
    }
    key++;
    fw_cbor_put_text(writer, key, (const char *)name, name_bytes);
    return hardware_bytes > 0u ? 16u : 15u;
}

static uint8_t put_compiled(fw_cbor_writer_t *writer, const fw_api_compiled_t *compiled)
{
    if (compiled->expected == NULL) {
        fw_cbor_put_unsigned(writer, KEY_SECOND, compiled->operations);
        fw_cbor_put_unsigned(writer, KEY_THIRD, compiled->scan_us);
        return 2;
    }
    bool has_fix = compiled->fix != NULL;
    bool has_other = compiled->other_line != 0u;
    fw_cbor_put_map(writer, KEY_FIRST, 3u + (has_fix ? 1u : 0u) + (has_other ? 1u : 0u));
    fw_cbor_put_unsigned(writer, 0, compiled->line);
    fw_cbor_put_unsigned(writer, 1, compiled->column);
    put_text(writer, 2, compiled->expected, EXPECTED_BYTES_MAX);
    if (has_fix) {
        put_text(writer, 3, compiled->fix, FIX_BYTES_MAX);
    }
    if (has_other) {
        fw_cbor_put_unsigned(writer, 4, compiled->other_line);
    }
    return 1;
}

static uint8_t put_fields(fw_serial_t *serial, fw_cbor_writer_t *writer, uint8_t verb, uint8_t code,
                          const outcome_t *outcome)
{
    if (verb == VERB_DESCRIBE && code == FW_CODE_OK) {
        return put_description(serial, writer);
    }
    if (verb == VERB_SCRIPT_END && code == FW_CODE_OK) {
        return put_compiled(writer, &outcome->compiled);
    }
    if (verb == VERB_UNLOCK && code == FW_CODE_RATE_LIMITED) {
        fw_cbor_put_unsigned(writer, KEY_FIRST, outcome->wait_ms);
        return 1;
    }
    if (verb == VERB_SET && code == FW_CODE_OUT_OF_RANGE) {
        fw_cbor_put_unsigned(writer, KEY_FIRST, outcome->wrong);
        return 1;
    }
    return 0;
}

/* Also wipes what was worked on in its memory. */
static void answer(fw_serial_t *serial, uint8_t id, uint8_t verb, uint8_t code,
                   const outcome_t *outcome)
{
    uint8_t *data = fw_serial_line_data(&serial->line);
    crypto_wipe(serial->line.out, sizeof serial->line.out);
    fw_cbor_writer_t writer;
    fw_cbor_writer_init(&writer, data, FW_SERIAL_DATA_BYTES_MAX - CHECKSUM_BYTES);
    size_t mark = fw_cbor_map_begin(&writer);
    fw_cbor_put_unsigned(&writer, KEY_ID, id);
    fw_cbor_put_unsigned(&writer, KEY_VERB, code);
    uint8_t pairs = put_fields(serial, &writer, verb, code, outcome);
    fw_cbor_map_end(&writer, mark, 2u + pairs);
    const fw_span_t map = {data, writer.length};
    fw_store_u32(data + writer.length, crc_of(map));
    fw_serial_line_send(&serial->line, FW_SERIAL_ANSWER,
                        (uint8_t)(writer.length + CHECKSUM_BYTES));
}

bool fw_serial_request(fw_serial_t *serial, fw_span_t data)
{
    if (data.length < CHECKSUM_BYTES) {
        return true;
    }
    const fw_span_t bytes = {data.bytes, data.length - CHECKSUM_BYTES};
    uint32_t crc = fw_load_u32(data.bytes + bytes.length);
    if (serial->step == STEP_BEGIN) {
        if (crc_of(bytes) != crc) {
            return true; /* noise */
        }
        if (serial->has_answered && serial->answered == crc) {
            fw_serial_line_send_again(&serial->line);
            return true;
        }
    }
    fw_cbor_map_t map;
    uint64_t id = 0;
    uint64_t verb = 0;
    outcome_t outcome = {.wrong = 0};
    done_t done = FW_CODE_BAD_FIELD;
    if (fw_cbor_open(bytes.bytes, bytes.length, &map) != FW_CBOR_OK) {
        done = FW_CODE_MALFORMED;
    } else if (fw_cbor_map_unsigned(&map, KEY_ID, UINT8_MAX, &id) == FW_FIELD_PRESENT &&
               fw_cbor_map_unsigned(&map, KEY_VERB, UINT8_MAX, &verb) == FW_FIELD_PRESENT) {
        done = work(serial, (uint8_t)verb, &map, &outcome);
    }
    if (done == DONE_NOT_YET) {
        return false;
    }
    answer(serial, (uint8_t)id, (uint8_t)verb, done, &outcome);
    serial->answered = crc;
    serial->has_answered = true;
    return true;
}
