/*
 * test_storm.c: whole controllers in long, repeatable weather: frames good and bad, bytes nobody
 * would send, a port that takes much, little, nothing or fails, links that come and go, and a clock
 * that leaps. The rig holds every frame to the protocol; at the end of each life the sun comes out,
 * every command has ended, and the last status is the truth.
 */
#include "check.h"
#include "rig.h"

#include <stdlib.h>

enum { LIVES = 120, STEPS = 250 };

static uint32_t sent_keys;

static void storm_command(rig_t *rig)
{
    static const char *const names[] = {"pulse", "enable", "ramp", "RL1", "nothing"};
    static const int64_t corners[] = {-1, 0, 1, 2, 100, 60000, 100000, FW_INTEGER_MAX};
    /* Mostly a new key; now and then one of the last few again. */
    uint32_t number = random_below(4) == 0 && sent_keys > 4 ? sent_keys - random_below(4)
                                                             : ++sent_keys;
    uint64_t expiry = rig_time(rig) + random_below(300);
    if (random_below(3) != 0) {
        expiry += 3600000;
    }
    const char *name = names[random_below(5)];
    if (random_below(2) == 0) {
        rig_set(rig, number, expiry, random_below(4) == 0 ? name : "RL1",
                corners[random_below(8)]);
        return;
    }
    int64_t arguments[FW_ARGUMENTS_MAX];
    for (size_t i = 0; i < FW_ARGUMENTS_MAX; i++) {
        arguments[i] = corners[random_below(8)];
    }
    rig_call(rig, number, expiry, name, arguments, random_below(FW_ARGUMENTS_MAX + 1u));
}

static void storm_frame(rig_t *rig)
{
    static const uint8_t kinds[] = {FW_KIND_PING,     FW_KIND_QUERY,    FW_KIND_COMMAND,
                                    FW_KIND_CONFIGURE, FW_KIND_ADMIN,   FW_KIND_RESPONSE,
                                    FW_KIND_EVENT,    FW_KIND_STATUS_FULL, FW_KIND_RECEIPT};
    uint8_t payload[64];
    size_t length = random_below(sizeof payload);
    random_fill(payload, length);
    if (length > 3 && random_below(2) == 0) {
        payload[0] = 0xa1;
        payload[1] = 0x02;
        payload[2] = (uint8_t)random_below(24);
        length = 3;
    }
    rig_send(rig, kinds[random_below(sizeof kinds)], 0,
             random_below(30) == 0 ? 0u : RIG_TOOL, payload, length);
}

static void storm_noise(rig_t *rig)
{
    uint8_t bytes[200];
    size_t length = random_below(sizeof bytes);
    random_fill(bytes, length);
    rig_bytes(rig, bytes, length);
}

static void storm_weather(rig_t *rig)
{
    rig->held = random_below(3) == 0;
    rig->withheld = random_below(3) == 0;
    rig->lost = random_below(20) == 0;
    rig->send_max = random_below(2) == 0 ? SIZE_MAX : 1u + random_below(40);
    rig->split = random_below(2) == 0 ? SIZE_MAX : 1u + random_below(20);
    rig->answers_pings = random_below(10) != 0;
    rig->feedback = random_below(4) != 0;
}

/* A message 2, now and then spoilt, when the controller has dialled. */
static void storm_greet(rig_t *rig)
{
    bool lost = rig->lost;
    bool held = rig->held;
    size_t send_max = rig->send_max;
    rig->lost = rig->held = rig->withheld = false;
    rig->send_max = SIZE_MAX;
    rig_hello(rig);
    rig->lost = lost;
    rig->held = held;
    rig->send_max = send_max;
    if (random_below(8) == 0) {
        storm_noise(rig);
        rig_disconnect(rig);
        return;
    }
    rig_reply_t reply = rig_reply(rig);
    bool spoilt = !rig->settings.clear && random_below(10) == 0;
    rig_answer_hello(rig, &reply, spoilt ? (int)random_below(80) : -1);
    if (random_below(8) != 0) {
        rig_agree(rig); /* jumps are long: else hardly one would be in time */
    }
}

static void storm_step(rig_t *rig)
{
    fw_link_state_t state = fw_controller_link_state(rig->controller);
    bool open = rig->open && (state == FW_LINK_KEYED || state == FW_LINK_LIVE);
    switch (random_below(12)) {
    case 0:
        storm_weather(rig);
        break;
    case 1:
        rig->inputs[random_below(FW_CHANNELS)] = (int32_t)random_below(0);
        fw_controller_input_changed(rig->controller);
        break;
    case 2:
        rig_jump(rig, random_below(40) == 0 ? random_below(0) % 2000000u : random_below(1500));
        break;
    case 3:
        if (random_below(10) == 0) {
            rig_disconnect(rig);
        } else if (random_below(10) == 0) {
            storm_noise(rig);
        }
        break;
    case 4:
        rig_release(rig);
        break;
    case 5:
    case 6:
        if (open) {
            storm_frame(rig);
        }
        break;
    case 7:
    case 8:
    case 9:
        if (open) {
            storm_command(rig);
        }
        break;
    default:
        rig_jump(rig, 1u + random_below(20));
        break;
    }
    if (fw_controller_link_state(rig->controller) == FW_LINK_DIALLING && !rig->up) {
        storm_greet(rig);
    }
}

static void sunshine(rig_t *rig)
{
    rig->held = rig->withheld = rig->lost = false;
    rig->answers_pings = rig->feedback = true;
    rig->send_max = rig->split = SIZE_MAX;
    rig_disconnect(rig);
    rig_connect(rig);
    rig_run(rig, 3000);
    const fw_controller_t *controller = rig->controller;
    CHECK(fw_controller_link_state(controller) == FW_LINK_LIVE);
    CHECK(controller->commands.queued == 0 && controller->commands.kept <= FW_OUTCOMES_KEPT);
    CHECK(controller->commands.executed <= sent_keys);
    for (uint8_t i = 0; i < controller->commands.kept; i++) {
        CHECK_NOTE(controller->commands.outcomes[i].final, "every command ends");
    }
    /* A ramp may still run: once it stands, what was told is what is. */
    rig_run(rig, 1100);
    rig_query(rig, FW_VERB_SNAPSHOT);
    for (uint8_t i = 0; i < controller->runner.points.count; i++) {
        CHECK(rig->values[i] == controller->runner.points.at[i].value);
    }
}

void test_storm(void)
{
    for (unsigned life = 0; life < LIVES; life++) {
        /* X25519 is slow under the sanitizers: every third life pays for it. */
        bool clear = life % 3 != 0;
        uint16_t record_bytes_max = random_below(2) == 0 ? FW_RECORD_BYTES_MIN : 0;
        sent_keys = 0;
        rig_t *rig = rig_new(built_in[life % 4u], clear, record_bytes_max);
        for (unsigned step = 0; step < STEPS; step++) {
            storm_step(rig);
        }
        sunshine(rig);
        rig_free(rig);
    }
}
