/*
 * test_serial.c: a whole device on its serial line: who may what, what is done when it is answered, what the
 * standard's commands do, and that nothing on the line confuses it.
 */
#include "check.h"
#include "serial_rig.h"

#include <string.h>

enum {
    DESCRIBE = 1,
    UNLOCK,
    SET,
    ENROL,
    FORGET,
    SCRIPT_BEGIN,
    SCRIPT_WRITE,
    SCRIPT_END,
    TRIAL,
    RESTART
};
enum { LABEL = 16, PAGE_PASSWORD = 17 };

static const char password[] = "correct horse";
static uint8_t key[32];
static uint8_t next_id;
static uint8_t field_bytes[220];
static fw_cbor_writer_t fields;

static void fields_begin(void)
{
    fw_cbor_writer_init(&fields, field_bytes, sizeof field_bytes);
}

/* Asks with what was written into `fields`; the code, or -1: no answer. */
static int ask(uint8_t verb, uint8_t pairs)
{
    serial_rig_ask(++next_id, verb, &fields, pairs);
    if (!serial_rig_answer(20000)) {
        return -1;
    }
    CHECK(serial_rig_id == next_id);
    return serial_rig_code;
}

static int ask_plain(uint8_t verb)
{
    fields_begin();
    return ask(verb, 0);
}

static int set(uint8_t setting, const char *text)
{
    fields_begin();
    fw_cbor_put_map(&fields, 2, 1);
    fw_cbor_put_string(&fields, setting, text);
    return ask(SET, 1);
}

static int unlock(const char *with)
{
    fields_begin();
    fw_cbor_put_string(&fields, 2, with);
    return ask(UNLOCK, 1);
}

static int enrol(uint32_t address)
{
    fields_begin();
    fw_cbor_put_unsigned(&fields, 2, address);
    fw_cbor_put_bytes(&fields, 3, key, sizeof key);
    return ask(ENROL, 1 + 1);
}

static int trial(uint8_t step)
{
    fields_begin();
    fw_cbor_put_unsigned(&fields, 2, step);
    return ask(TRIAL, 1);
}

static uint64_t told(uint8_t at)
{
    uint64_t number = UINT64_MAX;
    (void)fw_cbor_map_unsigned(&serial_rig_map, at, UINT32_MAX, &number);
    return number;
}

static bool is_told(uint8_t at)
{
    bool truth = false;
    CHECK(fw_cbor_map_bool(&serial_rig_map, at, &truth) == FW_FIELD_PRESENT);
    return truth;
}

/* Sends one of the standard's commands whose data follow. */
static void command(uint8_t number, const char *data, size_t length)
{
    uint8_t bytes[256] = {number, (uint8_t)length};
    memcpy(bytes + 2, data, length);
    serial_rig_error = -1;
    serial_rig_send(FW_SERIAL_COMMAND, bytes, 2u + length);
}

static bool result_is(uint8_t number, const char *strings)
{
    return serial_rig_result[0] == number && serial_rig_result_bytes == 2u + strlen(strings) &&
           memcmp(serial_rig_result + 2, strings, strlen(strings)) == 0;
}

/* ---- ours ---- */

static void it_greets_and_describes_itself(void)
{
    serial_rig_begin();
    serial_rig_pass(100);
    CHECK_STRING(serial_rig_text, "Switchyard core-tests rig slot 1 reset power\r\n", "");
    CHECK(ask_plain(DESCRIBE) == FW_CODE_OK);
    CHECK(told(4) == 1u && told(5) == 1u && told(6) == FW_RESET_POWER && told(7) == 0u);
    CHECK(!is_told(8) && is_told(9));
    CHECK(told(10) == FW_API_WIFI_JOINED && told(11) == 0xC0A80401u);
    CHECK(told(13) == whole.controller.status.boot_id && told(14) == FW_API_SCRIPT_RUNS);
    CHECK(told(16) == UINT64_MAX); /* this board knows no number of its own */
}

static void settings_are_kept_all_or_none(void)
{
    serial_rig_begin();
    fields_begin();
    fw_cbor_put_map(&fields, 2, 4);
    fw_cbor_put_string(&fields, FW_TEXT_NAME, "Pump");
    fw_cbor_put_string(&fields, FW_TEXT_GATEWAY_1, "10.0.0.1:7400");
    fw_cbor_put_string(&fields, LABEL, "abcd-efgh");
    fw_cbor_put_string(&fields, PAGE_PASSWORD, password);
    CHECK(ask(SET, 1) == FW_CODE_OK);
    CHECK(whole.saving == 0u);
    serial_rig_boot(); /* as after a loss of power right behind the answer */
    CHECK_STRING(whole.configuration.texts[FW_TEXT_NAME], "Pump", "");
    CHECK_STRING(whole.configuration.texts[FW_TEXT_GATEWAY_1], "10.0.0.1:7400", "");
    CHECK_STRING(whole.configuration.label, "abcd-efgh", "");
    CHECK(whole.configuration.has_verifier);

    static const struct {
        uint8_t setting;
        const char *text;
    } wrong[] = {
        {FW_TEXT_HOST, "-no-"},      {FW_TEXT_WIFI_PASSWORD, "short"}, {FW_TEXT_ZONE, "nowhere"},
        {FW_TEXT_GATEWAY_2, "host"}, {LABEL, "short"},                 {PAGE_PASSWORD, "short"},
        {PAGE_PASSWORD, ""},         {FW_TEXT_ZONE, ""},
    };
    CHECK(unlock(password) == FW_CODE_OK);
    for (size_t row = 0; row < sizeof wrong / sizeof wrong[0]; row++) {
        fields_begin();
        fw_cbor_put_map(&fields, 2, 2);
        fw_cbor_put_string(&fields, FW_TEXT_NAME, "Other");
        fw_cbor_put_string(&fields, wrong[row].setting, wrong[row].text);
        CHECK_NOTE(ask(SET, 1) == FW_CODE_OUT_OF_RANGE, wrong[row].text);
        CHECK_NOTE(told(2) == wrong[row].setting, wrong[row].text);
        CHECK_STRING(whole.configuration.texts[FW_TEXT_NAME], "Pump", wrong[row].text);
    }
    CHECK(set(LABEL, "") == FW_CODE_OK && whole.configuration.label[0] == '\0');
}

static void who_it_is_holds_from_the_next_start_on(void)
{
    serial_rig_begin();
    random_fill(key, sizeof key);
    CHECK(enrol(100042) == FW_CODE_OK);
    CHECK(ask_plain(DESCRIBE) == FW_CODE_OK && told(7) == 100042u);
    CHECK(whole.controller.settings.address == 7u);
    serial_rig_boot();
    CHECK(whole.controller.settings.address == 100042u);
    CHECK(memcmp(whole.configuration.keys.current, key, sizeof key) == 0);
    CHECK(enrol(0) == FW_CODE_BAD_FIELD && enrol(0x80000000u) == FW_CODE_BAD_FIELD);
    /* Another key for the same address; the next key of a change that was under way goes. */
    whole.configuration.keys.has_next = true;
    CHECK(enrol(100042) == FW_CODE_OK && !whole.configuration.keys.has_next);
    CHECK(ask_plain(FORGET) == FW_CODE_OK);
    serial_rig_boot();
    CHECK(whole.configuration.address == 0u && whole.controller.settings.address == 7u);
    const uint8_t nothing[32] = {0};
    CHECK(memcmp(whole.configuration.keys.current, nothing, sizeof nothing) == 0);
}

static void a_restart_follows_its_answer(void)
{
    serial_rig_begin();
    CHECK(ask_plain(RESTART) == FW_CODE_OK && whole_restarts == 0u);
    serial_rig_pass(600);
    CHECK(whole_restarts == 1u);
}

static int bring(const char *text)
{
    size_t length = strlen(text);
    fields_begin();
    fw_cbor_put_unsigned(&fields, 2, length);
    CHECK(ask(SCRIPT_BEGIN, 1) == FW_CODE_OK);
    for (size_t at = 0; at < length; at += 30u) {
        size_t count = length - at < 30u ? length - at : 30u;
        fields_begin();
        fw_cbor_put_unsigned(&fields, 2, at);
        fw_cbor_put_bytes(&fields, 3, (const uint8_t *)text + at, count);
        CHECK(ask(SCRIPT_WRITE, 2) == FW_CODE_OK);
        CHECK(ask(SCRIPT_WRITE, 2) == FW_CODE_OK); /* once more, as another request */
    }
    return ask_plain(SCRIPT_END);
}

static void scripts_are_brought_tried_and_kept(void)
{
    serial_rig_begin();
    CHECK(ask_plain(DESCRIBE) == FW_CODE_OK);
    uint64_t hash = told(15);
    CHECK(bring("out lamp = RL3 safe off\nlamp := DI1\n") == FW_CODE_OK);
    fw_cbor_map_t fault;
    fw_span_t text;
    CHECK(fw_cbor_map_map(&serial_rig_map, 2, &fault) == FW_FIELD_PRESENT);
    uint64_t line = 0;
    CHECK(fw_cbor_map_unsigned(&fault, 0, 100, &line) == FW_FIELD_PRESENT && line == 2u);
    CHECK(fw_cbor_map_text(&fault, 2, &text) == FW_FIELD_PRESENT && text.length > 0u);

    CHECK(trial(0) == FW_CODE_WRONG_STATE);
    CHECK(bring("in door = DI1\nout lamp = RL3 safe off\nlamp := door\n") == FW_CODE_OK);
    CHECK(told(3) > 0u && told(4) != UINT64_MAX);
    CHECK(trial(0) == FW_CODE_OK);
    CHECK(ask_plain(DESCRIBE) == FW_CODE_OK && told(14) == FW_API_SCRIPT_ON_TRIAL);
    CHECK(trial(2) == FW_CODE_OK);
    CHECK(ask_plain(DESCRIBE) == FW_CODE_OK && told(14) == FW_API_SCRIPT_RUNS);
    CHECK(told(15) == hash);
    CHECK(bring("in door = DI1\nout lamp = RL3 safe off\nlamp := door\n") == FW_CODE_OK);
    CHECK(trial(0) == FW_CODE_OK && trial(1) == FW_CODE_OK && trial(1) == FW_CODE_WRONG_STATE);
    CHECK(ask_plain(DESCRIBE) == FW_CODE_OK && told(15) != hash);
    CHECK(trial(3) == FW_CODE_BAD_FIELD);
    fields_begin();
    fw_cbor_put_unsigned(&fields, 2, 100000);
    CHECK(ask(SCRIPT_BEGIN, 1) == FW_CODE_OUT_OF_RANGE);
}

/* ---- who may ---- */

static void a_protected_board_is_locked(void)
{
    serial_rig_begin();
    CHECK(set(PAGE_PASSWORD, password) == FW_CODE_OK);
    CHECK(ask_plain(DESCRIBE) == FW_CODE_OK && is_told(8) && is_told(9)); /* whoever set it may */
    serial_rig_boot();
    CHECK(ask_plain(DESCRIBE) == FW_CODE_OK && is_told(8) && !is_told(9));
    CHECK(set(FW_TEXT_NAME, "Other") == FW_CODE_FORBIDDEN);
    CHECK(enrol(5) == FW_CODE_FORBIDDEN && ask_plain(FORGET) == FW_CODE_FORBIDDEN);
    CHECK(ask_plain(RESTART) == FW_CODE_FORBIDDEN && trial(1) == FW_CODE_FORBIDDEN);
    CHECK(ask_plain(SCRIPT_END) == FW_CODE_FORBIDDEN);
    static const uint8_t refused[] = {1, 4, 5, 6};
    for (size_t row = 0; row < sizeof refused; row++) {
        command(refused[row], "\4yard\0", refused[row] == 1u ? 6u : 0u);
        serial_rig_pass(1000);
        CHECK(serial_rig_error == 4);
    }
    static const uint8_t answered[] = {2, 3, 7};
    for (size_t row = 0; row < sizeof answered; row++) {
        command(answered[row], "", 0);
        serial_rig_pass(1000);
        CHECK(serial_rig_error == 0);
    }
    CHECK(whole.configuration.texts[FW_TEXT_WIFI][0] == '\0');

    CHECK(unlock("correct hors") == FW_CODE_BAD_TOKEN);
    CHECK(set(FW_TEXT_NAME, "Other") == FW_CODE_FORBIDDEN);
    CHECK(unlock(password) == FW_CODE_OK);
    CHECK(set(FW_TEXT_NAME, "Other") == FW_CODE_OK);
    /* Idle for long, it is locked again, and what was answered to whoever knew is not repeated. */
    serial_rig_pass(FW_SERIAL_IDLE_MS_MAX - 1000u);
    CHECK(set(FW_TEXT_NAME, "Third") == FW_CODE_OK);
    serial_rig_pass(FW_SERIAL_IDLE_MS_MAX + 1000u);
    CHECK(set(FW_TEXT_NAME, "Fourth") == FW_CODE_FORBIDDEN);
    CHECK_STRING(whole.configuration.texts[FW_TEXT_NAME], "Third", "");
}

static void guessing_is_slowed(void)
{
    serial_rig_begin();
    CHECK(set(PAGE_PASSWORD, password) == FW_CODE_OK);
    serial_rig_boot();
    CHECK(unlock("") == FW_CODE_BAD_TOKEN && unlock("wrong one") == FW_CODE_BAD_TOKEN);
    CHECK(unlock("wrong two") == FW_CODE_BAD_TOKEN);
    CHECK(unlock(password) == FW_CODE_RATE_LIMITED);
    CHECK(told(2) > 0u && told(2) <= FW_GUESS_WAIT_MS_MIN);
    CHECK(ask_plain(DESCRIBE) == FW_CODE_OK); /* others need not wait */
    serial_rig_pass(FW_GUESS_WAIT_MS_MIN);
    CHECK(unlock("wrong three") == FW_CODE_BAD_TOKEN);
    serial_rig_pass(FW_GUESS_WAIT_MS_MIN);
    CHECK(unlock(password) == FW_CODE_RATE_LIMITED);
    serial_rig_pass(FW_GUESS_WAIT_MS_MIN);
    CHECK(unlock(password) == FW_CODE_OK);
    CHECK(serial.guesses == 0u);
}

static void its_button_unlocks_it(void)
{
    serial_rig_begin();
    CHECK(set(PAGE_PASSWORD, password) == FW_CODE_OK);
    serial_rig_boot();
    for (uint32_t held_ms = 0; held_ms < FW_SERIAL_BUTTON_MS - 100u; held_ms += 10u) {
        fw_serial_button(&serial, true, whole_now_ms);
        serial_rig_pass(10);
    }
    fw_serial_button(&serial, false, whole_now_ms);
    CHECK(set(FW_TEXT_NAME, "Other") == FW_CODE_FORBIDDEN);
    for (uint32_t held_ms = 0; held_ms <= FW_SERIAL_BUTTON_MS; held_ms += 10u) {
        fw_serial_button(&serial, true, whole_now_ms);
        serial_rig_pass(10);
    }
    fw_serial_button(&serial, false, whole_now_ms);
    CHECK(set(FW_TEXT_NAME, "Other") == FW_CODE_OK);
    CHECK(set(PAGE_PASSWORD, "another horse") == FW_CODE_OK); /* which is what it is for */
}

/* ---- once and no more ---- */

static void a_request_that_comes_again_is_not_done_again(void)
{
    serial_rig_begin();
    CHECK(set(FW_TEXT_NAME, "Pump") == FW_CODE_OK);
    uint32_t programs = whole_nor.programs;
    /* Somebody at the page calls it otherwise; the same bytes again must not undo that. */
    whole_configure(FW_TEXT_NAME, "Other");
    programs = whole_nor.programs;
    serial_rig_ask(next_id, SET, &fields, 1);
    CHECK(serial_rig_answer(1000) && serial_rig_id == next_id && serial_rig_code == FW_CODE_OK);
    CHECK_STRING(whole.configuration.texts[FW_TEXT_NAME], "Other", "");
    CHECK(whole_nor.programs == programs);
    /* Another id is another request. */
    serial_rig_ask(++next_id, SET, &fields, 1);
    CHECK(serial_rig_answer(5000) && serial_rig_code == FW_CODE_OK);
    CHECK_STRING(whole.configuration.texts[FW_TEXT_NAME], "Pump", "");
    /* While one is worked on, others are passed over. */
    fields_begin();
    fw_cbor_put_map(&fields, 2, 1);
    fw_cbor_put_string(&fields, FW_TEXT_NAME, "Third");
    serial_rig_ask(++next_id, SET, &fields, 1);
    unsigned before = serial_rig_answers;
    for (int i = 0; i < 5; i++) {
        serial_rig_pass(10);
        serial_rig_ask(next_id, SET, &fields, 1);
    }
    serial_rig_pass(5000);
    CHECK(serial_rig_answers == before + 1u && serial_rig_id == next_id);
}

/* ---- the standard ---- */

static uint8_t wifi_state;
static uint32_t wifi_ip;

static void tell_radio(void *ctx, fw_radio_t *radio)
{
    (void)ctx;
    *radio = (fw_radio_t){.ip = wifi_ip, .state = wifi_state};
}

static void begin_off_line(void)
{
    static fw_machine_t machine;
    wifi_state = FW_API_WIFI_DOWN;
    wifi_ip = 0;
    serial_rig_begin();
    machine = whole_machine;
    machine.radio = tell_radio;
    whole_setup.machine = &machine;
    serial_rig_boot();
}

static void a_network_is_joined(void)
{
    begin_off_line();
    command(1, "\4yard\10passpass", 14);
    serial_rig_pass(3000);
    CHECK(serial_rig_error == 0 && serial_rig_state == 3 && serial_rig_results == 0u);
    CHECK_STRING(whole.configuration.texts[FW_TEXT_WIFI], "yard", "");
    CHECK_STRING(whole.configuration.texts[FW_TEXT_WIFI_PASSWORD], "passpass", "");
    CHECK(whole.saving == 0u);
    wifi_state = FW_API_WIFI_JOINING;
    serial_rig_pass(3000);
    CHECK(serial_rig_state == 3);
    wifi_state = FW_API_WIFI_JOINED;
    wifi_ip = 0xC0A80A02u;
    serial_rig_pass(200);
    CHECK(serial_rig_state == 4 && result_is(1, "\24http://192.168.10.2/"));
    /* Asked again, it says so again; and what it loses it tells. */
    unsigned before = serial_rig_results;
    command(2, "", 0);
    serial_rig_pass(200);
    CHECK(serial_rig_state == 4 && serial_rig_results == before + 1u);
    CHECK(result_is(2, "\24http://192.168.10.2/"));
    command(7, "", 0);
    serial_rig_pass(200);
    CHECK(result_is(7, "\0013\24http://192.168.10.2/"));
    wifi_state = FW_API_WIFI_DOWN;
    serial_rig_pass(300);
    CHECK(serial_rig_state == 2);
}

static void a_network_is_not_joined(void)
{
    static const uint8_t states[] = {FW_API_WIFI_WRONG_PASSWORD, FW_API_WIFI_NOT_FOUND,
                                     FW_API_WIFI_JOINING};
    for (size_t row = 0; row < sizeof states; row++) {
        begin_off_line();
        command(1, "\4yard\10passpass", 14);
        serial_rig_pass(1000);
        wifi_state = states[row];
        serial_rig_pass(1000);
        bool is_slow = states[row] == FW_API_WIFI_JOINING;
        CHECK(serial_rig_error == (is_slow ? 0 : 3));
        serial_rig_pass(FW_SERIAL_JOIN_MS_MAX);
        CHECK(serial_rig_error == 3 && serial_rig_state == 2 && serial_rig_results == 0u);
    }
    begin_off_line();
    command(1, "\4yard\5short", 11);
    serial_rig_pass(1000);
    CHECK(serial_rig_error == 1 && whole.configuration.texts[FW_TEXT_WIFI][0] == '\0');
}

static void names_and_networks_are_told(void)
{
    serial_rig_begin();
    command(3, "", 0);
    serial_rig_pass(300);
    CHECK(result_is(3, "\12Switchyard\12core-tests\15rig, 4 relays\15rig, 4 relays"));
    command(6, "Pump", 4);
    serial_rig_pass(3000);
    CHECK(serial_rig_error == 0 && result_is(6, "\4Pump"));
    command(6, "", 0);
    serial_rig_pass(300);
    CHECK(result_is(6, "\4Pump"));
    command(5, "-pump", 5);
    serial_rig_pass(300);
    CHECK(serial_rig_error == 5);
    command(5, "pump", 4);
    serial_rig_pass(3000);
    CHECK(serial_rig_error == 0 && result_is(5, "\4pump"));
    unsigned before = serial_rig_results;
    command(4, "", 0);
    serial_rig_pass(20);
    serial_rig_pass(20);
    serial_rig_pass(300);
    CHECK(serial_rig_results == before + 3u && result_is(4, ""));
}

/* ---- the line ---- */

static void it_finds_its_way_through_noise(void)
{
    serial_rig_begin();
    serial_rig_pass(300);
    uint8_t request[300];
    const uint8_t wrong[] = {'I', 'M', 'P', 'R', 'O', 'V', 1, 0x80, 199};
    for (int round = 0; round < 300; round++) {
        uint8_t noise[64];
        uint32_t length = random_below(sizeof noise);
        random_fill(noise, length);
        fw_serial_receive(&serial, noise, length, whole_now_ms);
        if (round % 3 == 0) {
            fw_serial_receive(&serial, wrong, 1u + random_below(sizeof wrong), whole_now_ms);
        }
        serial_rig_pass(FW_SERIAL_QUIET_MS + 20u);
        CHECK(!fw_serial_line_is_receiving(&serial.line) && !whole.flash.is_held);
        unsigned before = serial_rig_answers;
        CHECK(ask_plain(DESCRIBE) == FW_CODE_OK);
        CHECK(serial_rig_answers == before + 1u);
    }
    /* A packet is found however it comes in pieces, and every beginning of one is given up in time. */
    size_t length = serial_rig_packet(request, FW_SERIAL_COMMAND, (const uint8_t *)"\3\0", 2);
    for (size_t cut = 1; cut + 1u < length; cut++) {
        unsigned before = serial_rig_results;
        fw_serial_receive(&serial, request, cut, whole_now_ms);
        bool is_half = cut < length - 1u;
        CHECK(whole.flash.is_held == is_half);
        serial_rig_pass(FW_SERIAL_QUIET_MS - 10u);
        CHECK(whole.flash.is_held == is_half && serial_rig_results == before);
        fw_serial_receive(&serial, request + cut, length - cut, whole_now_ms);
        serial_rig_pass(100);
        CHECK(serial_rig_results == before + 1u && !whole.flash.is_held);
        fw_serial_receive(&serial, request, cut, whole_now_ms);
        serial_rig_pass(FW_SERIAL_QUIET_MS + 10u);
        CHECK(!whole.flash.is_held);
        fw_serial_receive(&serial, request + cut, length - cut, whole_now_ms);
        serial_rig_pass(300);
        CHECK(serial_rig_results == before + 1u);
    }
}

/* A byte now and then holds no erase for ever. */
static void erases_wait_for_a_packet_and_not_for_long(void)
{
    serial_rig_begin();
    const uint8_t magic[] = {'I', 'M', 'P', 'R', 'O', 'V', 1, 0x80, 200};
    fw_serial_receive(&serial, magic, sizeof magic, whole_now_ms);
    CHECK(fw_flash_erase_wait_ms(&whole.flash, whole_now_ms) > 0u);
    uint32_t began_ms = whole_now_ms;
    const uint8_t byte = 'x';
    while (whole.flash.is_held && whole_now_ms - began_ms < 5000u) {
        fw_serial_receive(&serial, &byte, 1, whole_now_ms);
        serial_rig_pass(100);
    }
    CHECK(whole_now_ms - began_ms <= FW_SERIAL_WHOLE_MS + 100u);
}

/* Packets and lines leave unbroken by each other, whatever the room: the rig checks each that it reads. */
static void lines_and_packets_do_not_break_each_other(void)
{
    serial_rig_begin();
    serial_rig_pass(300);
    for (int round = 0; round < 200; round++) {
        fields_begin();
        serial_rig_ask(++next_id, DESCRIBE, NULL, 0);
        unsigned before = serial_rig_answers;
        for (int i = 0; i < 10; i++) {
            serial_rig_room = random_below(129);
            fw_serial_log(&serial, "a line of the log");
            serial_rig_pass(10);
        }
        CHECK(serial_rig_answers == before + 1u);
        const char *end = strrchr(serial_rig_text, '\n');
        CHECK(end != NULL && end[1] == '\0');
        if (strlen(serial_rig_text) > 3000u || serial_rig_told > 60000u) {
            serial_rig_boot();
            serial_rig_pass(300);
        }
    }
    CHECK(strstr(serial_rig_text, "a line of the log\r\n") != NULL);
}

static void secrets_do_not_stay_in_its_memory(void)
{
    serial_rig_begin();
    CHECK(set(PAGE_PASSWORD, password) == FW_CODE_OK);
    const uint8_t *bytes = (const uint8_t *)&serial;
    for (size_t i = 0; i + sizeof password <= sizeof serial; i++) {
        CHECK(memcmp(bytes + i, password, sizeof password - 1u) != 0);
    }
    random_fill(key, sizeof key);
    CHECK(enrol(9) == FW_CODE_OK);
    for (size_t i = 0; i + sizeof key <= sizeof serial; i++) {
        CHECK(memcmp(bytes + i, key, sizeof key) != 0);
    }
}

void test_serial(void)
{
    it_greets_and_describes_itself();
    settings_are_kept_all_or_none();
    who_it_is_holds_from_the_next_start_on();
    a_restart_follows_its_answer();
    scripts_are_brought_tried_and_kept();
    a_protected_board_is_locked();
    guessing_is_slowed();
    its_button_unlocks_it();
    a_request_that_comes_again_is_not_done_again();
    a_network_is_joined();
    a_network_is_not_joined();
    names_and_networks_are_told();
    it_finds_its_way_through_noise();
    erases_wait_for_a_packet_and_not_for_long();
    lines_and_packets_do_not_break_each_other();
    secrets_do_not_stay_in_its_memory();
}

/* ---- loss of power ---- */

typedef enum { OF_SET, OF_ENROL, OF_FORGET, KINDS } kind_t;

static void send_change(kind_t kind)
{
    fields_begin();
    if (kind == OF_SET) {
        fw_cbor_put_map(&fields, 2, 3);
        fw_cbor_put_string(&fields, FW_TEXT_NAME, "new name");
        fw_cbor_put_string(&fields, FW_TEXT_GATEWAY_1, "new:1");
        fw_cbor_put_string(&fields, PAGE_PASSWORD, password);
        serial_rig_ask(++next_id, SET, &fields, 1);
    } else if (kind == OF_ENROL) {
        fw_cbor_put_unsigned(&fields, 2, 100042);
        fw_cbor_put_bytes(&fields, 3, key, sizeof key);
        serial_rig_ask(++next_id, ENROL, &fields, 2);
    } else {
        serial_rig_ask(++next_id, FORGET, NULL, 0);
    }
}

/* 0 as before, 1 as wanted, 2 neither. */
static int found(kind_t kind, const uint8_t *old_key)
{
    const fw_configuration_t *is = &whole.configuration;
    bool name = strcmp(is->texts[FW_TEXT_NAME], "new name") == 0;
    bool gateway = strcmp(is->texts[FW_TEXT_GATEWAY_1], "new:1") == 0;
    bool is_old = strcmp(is->texts[FW_TEXT_NAME], "old name") == 0 &&
                  is->texts[FW_TEXT_GATEWAY_1][0] == '\0' && !is->has_verifier;
    if (kind == OF_SET) {
        return name && gateway && is->has_verifier ? 1 : is_old ? 0 : 2;
    }
    bool is_before = is->address == 7000u && memcmp(is->keys.current, old_key, 32) == 0;
    bool is_after = kind == OF_ENROL
                        ? is->address == 100042u && memcmp(is->keys.current, key, 32) == 0
                        : is->address == 0u;
    return is_after && is_old ? 1 : is_before ? 0 : 2;
}

static fw_nor_t prepared;

static bool cut_within(kind_t kind, uint32_t more, fw_nor_cut_t cut, const uint8_t *old_key)
{
    fw_nor_copy(&whole_nor, &prepared);
    serial_rig_boot();
    fw_nor_cut_after(&whole_nor, more, cut);
    send_change(kind);
    bool is_answered = serial_rig_answer(10000);
    bool is_ok = is_answered && serial_rig_code == FW_CODE_OK;
    bool was_cut = whole_nor.is_off;
    CHECK(is_ok || was_cut);
    serial_rig_boot();
    int is = found(kind, old_key);
    CHECK(is != 2);
    CHECK(is == 1 || !is_ok); /* what was answered is kept */
    /* And it can be done now. */
    send_change(kind);
    CHECK(serial_rig_answer(10000));
    CHECK(serial_rig_code == FW_CODE_OK || serial_rig_code == FW_CODE_FORBIDDEN);
    CHECK(serial_rig_code != FW_CODE_FORBIDDEN || whole.configuration.has_verifier);
    CHECK(found(kind, old_key) == 1);
    return was_cut;
}

void test_serial_power(void)
{
    uint8_t old_key[32];
    random_fill(key, sizeof key);
    random_fill(old_key, sizeof old_key);
    serial_rig_begin();
    CHECK(set(FW_TEXT_NAME, "old name") == FW_CODE_OK);
    uint8_t new_key[32];
    memcpy(new_key, key, sizeof key);
    memcpy(key, old_key, sizeof key);
    CHECK(enrol(7000) == FW_CODE_OK);
    memcpy(key, new_key, sizeof key);
    serial_rig_pass(5000);
    fw_nor_copy(&prepared, &whole_nor);
    for (kind_t kind = OF_SET; kind < KINDS; kind++) {
        for (int cut = 0; cut < FW_NOR_CUTS; cut++) {
            uint32_t more = 0;
            while (more < 200u && cut_within(kind, more, (fw_nor_cut_t)cut, old_key)) {
                more++;
            }
            CHECK(more > 3u && more < 200u);
        }
    }
    CHECK(whole_nor.violations == 0u);
}
