/*
 * test_rekey.c: a controller's key is replaced over its link (docs/protocol.md section 6.2): who may ask for
 * it, whose turn it is of two keys, and that power may fail in every operation of it.
 */
#include "check.h"
#include "device_inside.h"
#include "rig.h"

#include <stdio.h>
#include <string.h>

/* Keys by their number, 1 and up; the rig's own is FIRST. */
enum { NONE = 0, FIRST, SECOND, THIRD, STRANGE };
static const uint8_t fills[] = {[FIRST] = 0x5a, [SECOND] = 0xa1, [THIRD] = 0xb2, [STRANGE] = 0xee};

static const char script[] = "in  door = DI1\n"
                             "out lamp = RL1 safe off\n"
                             "lamp := door\n";

static const uint8_t *key_of(int number)
{
    static uint8_t key[FW_LINK_KEY_BYTES];
    memset(key, fills[number], sizeof key);
    return key;
}

static bool is_key(const uint8_t *key, int number)
{
    return memcmp(key, key_of(number), FW_LINK_KEY_BYTES) == 0;
}

/* ---- the keys alone ---- */

static fw_keys_t keys_of(int current, int next)
{
    fw_keys_t keys = {.has_next = next != NONE};
    memcpy(keys.current, key_of(current), FW_LINK_KEY_BYTES);
    if (keys.has_next) {
        memcpy(keys.next, key_of(next), FW_LINK_KEY_BYTES);
    }
    return keys;
}

static bool are_keys(const fw_keys_t *keys, int current, int next)
{
    return is_key(keys->current, current) && keys->has_next == (next != NONE) &&
           (next == NONE || is_key(keys->next, next));
}

static void every_change(void)
{
    static const struct {
        const char *name;
        int current, next;
        bool is_next;
        int asked;
        bool changes;
        int new_current, new_next;
    } rows[] = {
        {"a first change", FIRST, NONE, false, SECOND, true, FIRST, SECOND},
        {"its own key", FIRST, NONE, false, FIRST, false, FIRST, NONE},
        {"nothing to forget", FIRST, NONE, false, NONE, false, FIRST, NONE},
        {"once more, by the old", FIRST, SECOND, false, SECOND, false, FIRST, SECOND},
        {"once more, by the new", FIRST, SECOND, true, SECOND, false, FIRST, SECOND},
        {"the old is forgotten", FIRST, SECOND, true, NONE, true, SECOND, NONE},
        {"called off", FIRST, SECOND, false, NONE, true, FIRST, NONE},
        {"another, by the old", FIRST, SECOND, false, THIRD, true, FIRST, THIRD},
        {"another, by the new", FIRST, SECOND, true, THIRD, true, SECOND, THIRD},
        {"back again", FIRST, SECOND, true, FIRST, true, SECOND, FIRST},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        fw_keys_t keys = keys_of(rows[i].current, rows[i].next);
        const uint8_t *asked = rows[i].asked == NONE ? NULL : key_of(rows[i].asked);
        uint8_t copy[FW_LINK_KEY_BYTES];
        if (asked != NULL) {
            memcpy(copy, asked, sizeof copy);
            asked = copy;
        }
        CHECK_NOTE(fw_keys_change(&keys, rows[i].is_next, asked) == rows[i].changes, rows[i].name);
        CHECK_NOTE(are_keys(&keys, rows[i].new_current, rows[i].new_next), rows[i].name);
    }
    fw_keys_t keys = keys_of(FIRST, SECOND);
    const fw_keys_t nothing = {.has_next = false};
    fw_keys_wipe(&keys);
    CHECK(memcmp(&keys, &nothing, sizeof keys) == 0);
}

/* ---- a gateway ---- */

static void knows(rig_t *rig, int number)
{
    memcpy(rig->key, key_of(number), sizeof rig->key);
}

/* One dial: true if the key was the gateway's, and the session is live. */
static bool attempt(rig_t *rig)
{
    rig_await_dial(rig);
    rig_hello(rig);
    if (!rig_is_known(rig)) {
        rig_refuse(rig, FW_CODE_HANDSHAKE_FAILED);
        return false;
    }
    rig_reply_t reply = rig_reply(rig);
    rig_answer_hello(rig, &reply, -1);
    rig_agree(rig);
    rig_run(rig, 500);
    CHECK(fw_controller_link_state(rig->controller) == FW_LINK_LIVE);
    return true;
}

/* The dial that brought it in, of so many; 0 = none did. */
static int comes_in(rig_t *rig, int most)
{
    if (rig->up) {
        rig_disconnect(rig);
    }
    for (int dial = 1; dial <= most; dial++) {
        if (attempt(rig)) {
            rig_forget(rig);
            return dial;
        }
    }
    return 0;
}

static uint32_t send_rekey(rig_t *rig, uint8_t kind, uint32_t source, const uint8_t *key,
                           size_t key_bytes)
{
    uint8_t payload[64];
    fw_cbor_writer_t writer;
    fw_cbor_writer_init(&writer, payload, sizeof payload);
    fw_cbor_write_map(&writer, key == NULL ? 1u : 2u);
    fw_cbor_write_unsigned(&writer, FW_KEY_VERB);
    fw_cbor_write_unsigned(&writer, FW_VERB_REKEY);
    if (key != NULL) {
        fw_cbor_write_unsigned(&writer, FW_KEY_REKEY_KEY);
        fw_cbor_write_bytes(&writer, key, key_bytes);
    }
    CHECK(!writer.failed);
    return rig_send(rig, kind, 0, source, payload, writer.length);
}

static uint32_t ask(rig_t *rig, int number)
{
    const uint8_t *key = number == NONE ? NULL : key_of(number);
    return send_rekey(rig, FW_KIND_ADMIN, FW_ADDRESS_GATEWAY, key, FW_LINK_KEY_BYTES);
}

/* Its answer, or FW_CODE_TIMED_OUT: power failed before, or half a minute passed. */
static fw_code_t answer(rig_t *rig, uint32_t correlation)
{
    for (int tries = 0; tries < 3000; tries++) {
        const rig_frame_t *found = rig_find(rig, FW_KIND_RESPONSE, correlation);
        if (found != NULL) {
            CHECK(rig_field(found, FW_KEY_VERB) == FW_VERB_REKEY);
            fw_code_t code = (fw_code_t)rig_field(found, FW_KEY_RESPONSE_CODE);
            rig_forget(rig);
            return code;
        }
        if (rig->nor != NULL && rig->nor->is_off) {
            break;
        }
        rig_run(rig, 10);
    }
    return FW_CODE_TIMED_OUT;
}

static fw_code_t rekey(rig_t *rig, int number)
{
    return answer(rig, ask(rig, number));
}

static const fw_keys_t *keys_in(const rig_t *rig)
{
    return &rig->controller->keys;
}

/* ---- who may ---- */

static void only_the_gateway_may(void)
{
    rig_t *rig = rig_live("latch", false, 0);
    const uint8_t *key = key_of(SECOND);
    CHECK(answer(rig, send_rekey(rig, FW_KIND_ADMIN, RIG_TOOL, key, 32)) == FW_CODE_NOT_GRANTED);
    CHECK(answer(rig, send_rekey(rig, FW_KIND_ADMIN, RIG_TOOL, NULL, 0)) == FW_CODE_NOT_GRANTED);
    CHECK(answer(rig, send_rekey(rig, FW_KIND_CONFIGURE, 0, key, 32)) == FW_CODE_WRONG_KIND);
    CHECK(answer(rig, send_rekey(rig, FW_KIND_ADMIN, 0, key, 31)) == FW_CODE_BAD_FIELD);
    CHECK(are_keys(keys_in(rig), FIRST, NONE));
    rig_free(rig);

    rig = rig_live("latch", true, 0);
    CHECK(rekey(rig, SECOND) == FW_CODE_UNSUPPORTED);
    CHECK(are_keys(keys_in(rig), FIRST, NONE));
    rig_free(rig);
}

/* ---- whose turn it is ---- */

static void the_next_key_has_the_first_turn(void)
{
    rig_t *rig = rig_live("latch", false, 0);
    rig->controller->settings.gateways = 1;
    CHECK(rekey(rig, SECOND) == FW_CODE_OK);
    CHECK(fw_controller_link_state(rig->controller) == FW_LINK_LIVE);
    CHECK_NOTE(rekey(rig, SECOND) == FW_CODE_OK, "once more does no harm");
    CHECK(are_keys(keys_in(rig), FIRST, SECOND));

    knows(rig, SECOND);
    CHECK(comes_in(rig, 1) == 1);
    CHECK_NOTE(comes_in(rig, 1) == 1, "and stays with it");
    CHECK(rekey(rig, SECOND) == FW_CODE_OK && are_keys(keys_in(rig), FIRST, SECOND));

    /* From yesterday's backup. */
    knows(rig, FIRST);
    CHECK(comes_in(rig, 2) == 2);
    CHECK_NOTE(comes_in(rig, 1) == 1, "the key that was good last");
    CHECK_NOTE(rekey(rig, SECOND) == FW_CODE_OK, "the gateway means the next one again");
    knows(rig, SECOND);
    CHECK_NOTE(comes_in(rig, 1) == 1, "which has the first turn again");

    CHECK(rekey(rig, NONE) == FW_CODE_OK && are_keys(keys_in(rig), SECOND, NONE));
    CHECK(rekey(rig, NONE) == FW_CODE_OK && are_keys(keys_in(rig), SECOND, NONE));
    CHECK(comes_in(rig, 1) == 1);
    knows(rig, FIRST);
    CHECK_NOTE(comes_in(rig, 6) == 0, "a key that is forgotten is of no use");
    knows(rig, SECOND);
    CHECK(comes_in(rig, 1) == 1);
    rig_free(rig);
}

/* It never got the answer, and another one is meant now; then that is called off. */
static void the_gateway_may_think_again(void)
{
    rig_t *rig = rig_live("latch", false, 0);
    CHECK(rekey(rig, SECOND) == FW_CODE_OK && rekey(rig, THIRD) == FW_CODE_OK);
    CHECK(are_keys(keys_in(rig), FIRST, THIRD));
    knows(rig, THIRD);
    CHECK(comes_in(rig, 1) == 1);
    CHECK(rekey(rig, SECOND) == FW_CODE_OK && are_keys(keys_in(rig), THIRD, SECOND));
    CHECK_NOTE(rekey(rig, SECOND) == FW_CODE_OK && are_keys(keys_in(rig), THIRD, SECOND),
               "the session's key is the current one by now");
    CHECK_NOTE(rekey(rig, NONE) == FW_CODE_OK && are_keys(keys_in(rig), THIRD, NONE),
               "called off, in the same session");
    CHECK(comes_in(rig, 1) == 1);
    rig_free(rig);
}

/* Both keys are tried at a gateway, the second one soon; only then does it wait longer, and turn to the
 * other gateway. */
static void turns_and_waits(void)
{
    rig_t *rig = rig_live("latch", false, 0);
    CHECK(rekey(rig, SECOND) == FW_CODE_OK);
    rig_disconnect(rig);
    knows(rig, STRANGE);
    uint8_t attempts = rig->controller->backoff.attempt;
    for (int pair = 0; pair < 6; pair++) {
        uint8_t gateway = 0;
        for (int turn = 0; turn < 2; turn++) {
            rig_await_dial(rig);
            CHECK(turn == 0 || rig->gateway == gateway);
            gateway = rig->gateway;
            rig_hello(rig);
            CHECK(rig->controller->link.is_next == (turn == 0));
            if (pair % 2 == 0) {
                rig_refuse(rig, FW_CODE_HANDSHAKE_FAILED);
            } else {
                rig_disconnect(rig); /* the reason was lost, or there was none */
            }
            bool is_soon = rig->controller->link.wait_ms <= FW_BACKOFF_MIN_MS;
            CHECK(turn == 1 || is_soon);
        }
        attempts = attempts < 7u ? (uint8_t)(attempts + 1u) : attempts;
        CHECK(rig->controller->backoff.attempt == attempts);
        CHECK(rig->controller->backoff.gateway != gateway);
    }

    /* Whom nobody reaches has refused nothing. */
    for (int dial = 0; dial < 3; dial++) {
        rig_await_dial(rig);
        uint8_t gateway = rig->gateway;
        rig_disconnect(rig);
        CHECK(rig->controller->link.tries_next && rig->controller->backoff.gateway != gateway);
    }

    /* A message 2 by another key is a refusal as well. */
    rig_await_dial(rig);
    rig_hello(rig);
    memcpy(rig->key, key_of(SECOND), sizeof rig->key);
    rig_reply_t reply = rig_reply(rig);
    rig_answer_hello(rig, &reply, 40);
    rig_agree(rig);
    CHECK(rig_failed(rig, FW_CODE_HANDSHAKE_FAILED));
    CHECK(!rig->controller->link.tries_next && rig->controller->link.is_second);
    rig_free(rig);
}

/* ---- what is kept ---- */

static rig_t *device_live(void)
{
    rig_t *rig = rig_device(script);
    CHECK(comes_in(rig, 1) == 1);
    return rig;
}

static void it_outlives_a_restart(void)
{
    rig_t *rig = device_live();
    CHECK(rekey(rig, SECOND) == FW_CODE_OK);
    rig_power_fails(rig);
    CHECK(are_keys(keys_in(rig), FIRST, SECOND));
    knows(rig, SECOND);
    CHECK(comes_in(rig, 1) == 1);
    CHECK(rekey(rig, NONE) == FW_CODE_OK);
    rig_power_fails(rig);
    CHECK(are_keys(keys_in(rig), SECOND, NONE));
    CHECK(comes_in(rig, 1) == 1);

    /* What is there already costs no flash. */
    rig_run(rig, 60000);
    uint32_t operations = rig->nor->operations;
    CHECK(rekey(rig, NONE) == FW_CODE_OK && rekey(rig, SECOND) == FW_CODE_OK);
    CHECK(rig->nor->operations == operations);

    /* The settings are being saved for somebody else. */
    const fw_span_t name = {(const uint8_t *)"Pump", 4};
    fw_configuration_set(&rig->device->configuration, FW_TEXT_NAME, name);
    fw_device_save_settings(rig->device);
    CHECK(rekey(rig, THIRD) == FW_CODE_BUSY && are_keys(keys_in(rig), SECOND, NONE));
    rig_run(rig, 5000);
    CHECK(rekey(rig, THIRD) == FW_CODE_OK && are_keys(keys_in(rig), SECOND, THIRD));
    rig_power_fails(rig);
    CHECK(are_keys(keys_in(rig), SECOND, THIRD));
    CHECK_STRING(rig->controller->settings.title, "Pump", "");
    rig_free(rig);
}

/* The gateway that asked is gone before it is told. */
static void nobody_waits_for_the_answer(void)
{
    rig_t *rig = device_live();
    (void)ask(rig, SECOND);
    rig_disconnect(rig);
    rig_run(rig, 400);
    knows(rig, SECOND);
    int dial = comes_in(rig, 3);
    CHECK(dial >= 1 && are_keys(keys_in(rig), FIRST, SECOND));
    rig_free(rig);
}

/* While it was being kept the link was lost, and a gateway has come that knows the key that goes. */
static void the_session_is_of_another_key(void)
{
    rig_t *rig = device_live();
    CHECK(rekey(rig, SECOND) == FW_CODE_OK);
    knows(rig, SECOND);
    CHECK(comes_in(rig, 1) == 1);
    rig->device->flash.erase_gap_ms = 60000; /* as when the flash has had its share */
    (void)ask(rig, NONE);
    rig_run(rig, 20);
    knows(rig, FIRST);
    CHECK(comes_in(rig, 2) == 2);
    rig_run(rig, 120000);
    CHECK(are_keys(keys_in(rig), SECOND, NONE));
    CHECK_NOTE(!rig->up || fw_controller_link_state(rig->controller) != FW_LINK_LIVE,
               "its session has ended with it");
    knows(rig, SECOND);
    CHECK(comes_in(rig, 1) == 1);
    rig_free(rig);
}

static bool fail_to_program(void *ctx, uint32_t address, const uint32_t *words, size_t count)
{
    (void)ctx;
    (void)address;
    (void)words;
    (void)count;
    return false;
}

static void what_flash_does_not_take_does_not_hold(void)
{
    rig_t *rig = device_live();
    bool (*program)(void *, uint32_t, const uint32_t *, size_t) = rig->nor->port.program;
    rig->nor->port.program = fail_to_program;
    CHECK(rekey(rig, SECOND) == FW_CODE_INTERNAL);
    CHECK(are_keys(keys_in(rig), FIRST, NONE));
    rig->nor->port.program = program;
    CHECK(rekey(rig, SECOND) == FW_CODE_OK && are_keys(keys_in(rig), FIRST, SECOND));
    rig_free(rig);
}

/* ---- power ---- */

typedef struct {
    const char *name;
    int before[2]; /* current, next; a session of the next one where there is one */
    int asked;
    int after[2];
} change_t;

static rig_t *prepare(const change_t *change)
{
    rig_t *rig = device_live();
    if (change->before[1] != NONE) {
        CHECK(rekey(rig, change->before[1]) == FW_CODE_OK);
        knows(rig, change->before[1]);
        CHECK(comes_in(rig, 1) == 1);
    }
    rig_run(rig, 3000); /* whatever else is to be written */
    CHECK_NOTE(are_keys(keys_in(rig), change->before[0], change->before[1]), change->name);
    return rig;
}

/* After the cut: the old keys or the new ones, at each boot the same; the key that the gateway asked by
 * brings it in, and asking once more makes it the new ones. */
static void check_cut(const change_t *change, uint32_t operation, fw_nor_cut_t cut)
{
    char note[100];
    snprintf(note, sizeof note, "%s: cut %u in operation %u", change->name, (unsigned)cut,
             (unsigned)operation);
    rig_t *rig = prepare(change);
    fw_nor_cut_after(rig->nor, operation, cut);
    bool was_told = rekey(rig, change->asked) == FW_CODE_OK;
    CHECK_NOTE(was_told || rig->nor->is_off, note);
    rig_power_fails(rig);
    bool is_old = are_keys(keys_in(rig), change->before[0], change->before[1]);
    bool is_new = are_keys(keys_in(rig), change->after[0], change->after[1]);
    CHECK_NOTE(is_old || is_new, note);
    CHECK_NOTE(is_new || !was_told, note);
    rig_power_fails(rig);
    CHECK_NOTE(are_keys(keys_in(rig), change->after[0], change->after[1]) == is_new, note);

    CHECK_NOTE(comes_in(rig, 2) > 0, note);
    CHECK_NOTE(rekey(rig, change->asked) == FW_CODE_OK, note);
    CHECK_NOTE(are_keys(keys_in(rig), change->after[0], change->after[1]), note);
    knows(rig, change->after[1] != NONE ? change->after[1] : change->after[0]);
    CHECK_NOTE(comes_in(rig, 2) > 0, note);
    CHECK_NOTE(rig->nor->violations == 0u, note);
    rig_free(rig);
}

static void power_fails_in_every_operation(void)
{
    static const change_t changes[] = {
        {"a next key", {FIRST, NONE}, SECOND, {FIRST, SECOND}},
        {"the old key is forgotten", {FIRST, SECOND}, NONE, {SECOND, NONE}},
        {"one more follows", {FIRST, SECOND}, THIRD, {SECOND, THIRD}},
    };
    unsigned cuts = 0;
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        rig_t *rig = prepare(&changes[i]);
        uint32_t operations = rig->nor->operations;
        CHECK_NOTE(rekey(rig, changes[i].asked) == FW_CODE_OK, changes[i].name);
        operations = rig->nor->operations - operations;
        rig_free(rig);
        CHECK_NOTE(operations > 0u, changes[i].name);
        for (uint32_t operation = 0; operation < operations; operation++) {
            for (int cut = 0; cut < FW_NOR_CUTS; cut++) {
                check_cut(&changes[i], operation, (fw_nor_cut_t)cut);
                cuts++;
            }
        }
    }
    printf("rekey: %u cuts\n", cuts);
}

void test_rekey(void)
{
    every_change();
    only_the_gateway_may();
    the_next_key_has_the_first_turn();
    the_gateway_may_think_again();
    turns_and_waits();
    it_outlives_a_restart();
    nobody_waits_for_the_answer();
    the_session_is_of_another_key();
    what_flash_does_not_take_does_not_hold();
}

void test_rekey_power(void)
{
    power_fails_in_every_operation();
}
