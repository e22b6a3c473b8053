/*
 * test_link.c: a whole controller and its link: greeting, records, pings, pages, back-pressure, and
 * every way in which a link ends.
 */
#include "check.h"
#include "host.h"
#include "pair.h"
#include "rig.h"

#include <stdlib.h>
#include <string.h>

static fw_link_state_t state(const rig_t *rig)
{
    return fw_controller_link_state(rig->controller);
}

/* Both links, whole and byte by byte, with a port that takes little at a time. */
static void a_session_begins_and_answers(void)
{
    for (unsigned round = 0; round < 8; round++) {
        rig_t *rig = rig_new("ramp", (round & 1u) != 0u, 0);
        rig->split = (round & 2u) != 0u ? 1 : SIZE_MAX;
        rig->send_max = (round & 4u) != 0u ? 7 : SIZE_MAX;
        rig_connect(rig);
        rig_run(rig, 50);
        CHECK(state(rig) == FW_LINK_LIVE);
        CHECK(rig_count(rig, FW_KIND_EVENT) == 1 && rig_count(rig, FW_KIND_STATUS_FULL) == 1);
        const fw_verb_t verbs[] = {FW_VERB_IDENTIFY, FW_VERB_DESCRIBE, FW_VERB_SNAPSHOT};
        for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
            uint32_t asked = rig_query(rig, (uint16_t)verbs[i]);
            const rig_frame_t *answer = rig_find(rig, FW_KIND_RESPONSE, asked);
            CHECK(rig_field(answer, FW_KEY_RESPONSE_CODE) == FW_CODE_OK);
            CHECK(rig_field(answer, FW_KEY_VERB) == (uint64_t)verbs[i]);
            CHECK(answer != NULL && answer->header.destination == RIG_TOOL);
        }
        CHECK(rig_count(rig, FW_KIND_STATUS_FULL) == 2);
        /* A ping of the gateway's, and one without payload, which is malformed. */
        const uint8_t empty_map = 0xa0;
        uint32_t asked = rig_send(rig, FW_KIND_PING, 0, 0, &empty_map, 1);
        const rig_frame_t *reply = rig_find(rig, FW_KIND_PING, asked);
        CHECK(reply != NULL && reply->header.flags == FW_FLAG_REPLY);
        rig_send(rig, FW_KIND_PING, 0, 0, &empty_map, 0);
        CHECK(rig_failed(rig, FW_CODE_MALFORMED));
        rig_free(rig);
    }
}

static void a_reply_is_judged(void)
{
    for (unsigned row = 0; row < 9; row++) {
        rig_t *rig = rig_new("latch", true, 512);
        rig_await_dial(rig);
        rig_hello(rig);
        rig_reply_t reply = rig_reply(rig);
        fw_code_t code = FW_CODE_MALFORMED;
        switch (row) {
        case 0:
            reply.version = 2;
            code = FW_CODE_UNSUPPORTED_VERSION;
            break;
        case 1:
            reply.address = 5;
            break;
        case 2:
            reply.record_bytes_max = 513;
            break;
        case 3:
            reply.record_bytes_max = 263;
            break;
        case 4:
            reply.ping_interval_ms = (uint64_t)UINT32_MAX + 1u;
            break;
        case 5:
            code = FW_CODE_OK;
            reply.ping_interval_ms = 0;
            break;
        case 6:
            code = FW_CODE_OK;
            reply.ping_interval_ms = UINT32_MAX;
            break;
        case 7:
            code = FW_CODE_OK;
            reply.time = (uint64_t)FW_INTEGER_MAX;
            break;
        default:
            code = FW_CODE_OK;
            reply.time = 0;
            break;
        }
        rig_answer_hello(rig, &reply, -1);
        rig_agree(rig);
        rig_run(rig, 100);
        if (code != FW_CODE_OK) {
            CHECK(rig_failed(rig, code));
        } else {
            CHECK(state(rig) == FW_LINK_LIVE && rig->full_known);
        }
        rig_free(rig);
    }
}

/* Whatever interval the gateway names: no flood, and the clock is kept. */
static void pings_stay_within_reason(void)
{
    const uint64_t intervals[] = {0, 20000, UINT32_MAX};
    const size_t least[] = {50, 0, 0};
    const size_t most[] = {110, 0, 0};
    for (size_t i = 0; i < 3; i++) {
        rig_t *rig = rig_new("latch", true, 0);
        rig_await_dial(rig);
        rig_hello(rig);
        rig_reply_t reply = rig_reply(rig);
        reply.ping_interval_ms = intervals[i];
        rig_answer_hello(rig, &reply, -1);
        rig_agree(rig);
        rig_run(rig, 10);
        rig_forget(rig);
        rig_run(rig, 1000);
        size_t pings = rig_count(rig, FW_KIND_PING);
        CHECK(pings >= least[i] && pings <= most[i]);
        /* An hour later a command still finds a clock that is not stale. */
        for (unsigned second = 0; second < 3600; second++) {
            rig_jump(rig, 1000);
        }
        rig_set(rig, 1, rig_time(rig) + 1000, "RL1", 1);
        rig_run(rig, 20);
        CHECK(state(rig) == FW_LINK_LIVE && rig->stages[1] == FW_STAGE_EXECUTED);
        rig_free(rig);
    }
}

static void a_spoilt_message_2_is_refused(void)
{
    for (int spoil = 0; spoil < 80; spoil += 13) {
        rig_t *rig = rig_new("latch", false, 0);
        rig_await_dial(rig);
        rig_hello(rig);
        rig_reply_t reply = rig_reply(rig);
        rig_answer_hello(rig, &reply, spoil);
        rig_agree(rig);
        CHECK(rig_failed(rig, FW_CODE_HANDSHAKE_FAILED));
        rig_connect(rig);
        rig_run(rig, 10);
        CHECK(state(rig) == FW_LINK_LIVE);
        rig_free(rig);
    }
}

static bool is_wiped(const void *from, size_t length)
{
    const uint8_t *bytes = from;
    size_t zeros = 0;
    while (zeros < length && bytes[zeros] == 0u) {
        zeros++;
    }
    return zeros == length;
}

/* Nothing of a handshake is left, nor of what was computed for it. */
static bool has_forgotten(const rig_t *rig)
{
    const fw_link_t *link = &rig->controller->link;
    return is_wiped(&link->handshake, sizeof link->handshake) &&
           is_wiped(&link->work, sizeof link->work) &&
           is_wiped(&link->sending, sizeof link->sending) &&
           is_wiped(&link->receiving, sizeof link->receiving);
}

/* A slice of the handshake with each scan, of which none is left out, and none is late. */
static void scans_go_on_during_a_handshake(void)
{
    rig_t *rig = rig_new("latch", false, 0);
    fw_controller_t *controller = rig->controller;
    while (state(rig) != FW_LINK_PREPARING) {
        rig_jump(rig, FW_SCAN_INTERVAL_MS);
    }
    unsigned slices = 1;
    for (; state(rig) == FW_LINK_PREPARING && slices <= FW_X25519_SLICES; slices++) {
        uint32_t scans = controller->scans;
        rig->elapsed_ms += FW_SCAN_INTERVAL_MS;
        uint32_t wake_ms = fw_controller_poll(controller);
        CHECK(controller->scans == scans + 1u);
        CHECK(wake_ms == FW_SCAN_INTERVAL_MS || state(rig) == FW_LINK_DIALLING);
    }
    CHECK(state(rig) == FW_LINK_DIALLING && slices == FW_X25519_SLICES);
    rig_hello(rig);
    rig_reply_t reply = rig_reply(rig);
    rig_answer_hello(rig, &reply, -1);
    CHECK(state(rig) == FW_LINK_AGREEING);
    for (slices = 1; state(rig) == FW_LINK_AGREEING && slices <= FW_X25519_SLICES + 1u; slices++) {
        uint32_t scans = controller->scans;
        rig->inputs[FW_CHANNEL_DI1] ^= 1;
        rig_jump(rig, FW_SCAN_INTERVAL_MS);
        CHECK(controller->scans == scans + 1u);
        CHECK(controller->runner.points.at[0].value == rig->inputs[FW_CHANNEL_DI1]);
    }
    CHECK(state(rig) == FW_LINK_LIVE && slices == FW_X25519_SLICES + 1u);
    CHECK(controller->late_scans == 0u && controller->longest_gap_ms == 0u);
    rig_free(rig);
}

/* Wherever it ends, and whoever ends it, nothing is left, and the next one succeeds. */
static void a_handshake_cut_short_is_forgotten(void)
{
    const unsigned slices[] = {0, 1, FW_X25519_SLICES / 2u, FW_X25519_SLICES - 1u};
    for (unsigned row = 0; row < 12u; row++) {
        rig_t *rig = rig_new("latch", false, 0);
        rig_await_dial(rig);
        rig_hello(rig);
        rig_reply_t reply = rig_reply(rig);
        rig_answer_hello(rig, &reply, -1);
        for (unsigned i = 0; i < slices[row % 4u]; i++) {
            rig_jump(rig, FW_SCAN_INTERVAL_MS);
        }
        CHECK(state(rig) == FW_LINK_AGREEING && !has_forgotten(rig));
        if (row < 4u) {
            rig_disconnect(rig);
        } else if (row < 8u) {
            rig_jump(rig, FW_HANDSHAKE_TIMEOUT_MS); /* the rest of it is too late */
            CHECK(rig->hang_ups == 1u);
        } else {
            const uint8_t record[] = {0, 17};
            rig->open = false;
            rig_bytes(rig, record, 1u + row % 2u);
            CHECK(rig_failed(rig, FW_CODE_MALFORMED));
        }
        CHECK(state(rig) == FW_LINK_CLOSED && has_forgotten(rig));
        rig_connect(rig);
        rig_run(rig, 10);
        CHECK(state(rig) == FW_LINK_LIVE);
        rig_free(rig);
    }
}

/* What comes behind message 2 in the same piece; and a message 2 that leaves no room for the work. */
static void message_2_comes_alone_and_fits(void)
{
    rig_t *rig = rig_new("latch", false, 0);
    rig_await_dial(rig);
    rig_hello(rig);
    rig_reply_t reply = rig_reply(rig);
    rig->behind = 1;
    rig_answer_hello(rig, &reply, -1);
    CHECK(rig_failed(rig, FW_CODE_MALFORMED) && has_forgotten(rig));
    rig_free(rig);

    for (size_t more = 0; more < 2u; more++) {
        rig = rig_new("latch", false, 0);
        rig_await_dial(rig);
        rig_hello(rig);
        rig->wire_bytes = 0;
        uint8_t frame[FW_RECORD_BYTES_MAX] = {0};
        size_t length = FW_MESSAGE_2_FRAME_BYTES_MAX + more;
        fw_frame_header_t header = {.kind = FW_KIND_HANDSHAKE,
                                    .payload_bytes = (uint16_t)(length - FW_HEADER_BYTES),
                                    .destination = RIG_ADDRESS};
        random_fill(frame, sizeof frame);
        fw_frame_header_encode(&header, frame);
        rig_bytes(rig, frame, length);
        CHECK(state(rig) == (more == 0u ? FW_LINK_AGREEING : FW_LINK_CLOSED));
        rig_agree(rig);
        CHECK(rig_failed(rig, more == 0u ? FW_CODE_HANDSHAKE_FAILED : FW_CODE_TOO_LARGE));
        CHECK(has_forgotten(rig));
        rig_free(rig);
    }
}

/* A gateway that has another key: its answer is computed, and refused. */
static void another_key_is_refused(void)
{
    link_pair_t pair;
    link_pair_make(&pair);
    rig_t *rig = rig_new("latch", false, 0);
    rig_await_dial(rig);
    rig_hello(rig);
    rig->wire_bytes = 0;
    uint8_t frame[FW_HEADER_BYTES + sizeof pair.message_2];
    fw_frame_header_t header = {.kind = FW_KIND_HANDSHAKE,
                                .payload_bytes = (uint16_t)pair.message_2_bytes,
                                .destination = RIG_ADDRESS};
    fw_frame_header_encode(&header, frame);
    memcpy(frame + FW_HEADER_BYTES, pair.message_2, pair.message_2_bytes);
    rig_bytes(rig, frame, FW_HEADER_BYTES + pair.message_2_bytes);
    rig_agree(rig);
    CHECK(rig_failed(rig, FW_CODE_HANDSHAKE_FAILED) && has_forgotten(rig));
    rig_free(rig);
}

/* While keys are made there is no link to tell of; and the gateway may have gone out of the settings. */
static void keys_are_made_apart(void)
{
    rig_t *rig = rig_new("latch", false, 0);
    const uint8_t byte = 0;
    while (state(rig) != FW_LINK_PREPARING) {
        rig_jump(rig, FW_SCAN_INTERVAL_MS);
    }
    fw_controller_receive(rig->controller, &byte, 1);
    fw_controller_connected(rig->controller);
    fw_controller_disconnected(rig->controller);
    CHECK(state(rig) == FW_LINK_PREPARING);
    rig->settings.gateways = rig->controller->settings.gateways = 0;
    rig_run(rig, 60000);
    CHECK(state(rig) == FW_LINK_CLOSED && rig->dials == 0u);
    rig->settings.gateways = rig->controller->settings.gateways = 1;
    rig_jump(rig, FW_SCAN_INTERVAL_MS);
    CHECK(state(rig) == FW_LINK_DIALLING && rig->dials == 1u);
    /* The pair keeps when nobody answers: the next attempt dials at once. */
    fw_controller_disconnected(rig->controller);
    rig_jump(rig, rig->controller->link.wait_ms);
    CHECK(state(rig) == FW_LINK_DIALLING && rig->dials == 2u);
    fw_controller_disconnected(rig->controller);
    fw_controller_end(rig->controller);
    CHECK(has_forgotten(rig));
    CHECK(is_wiped(&rig->controller->link.ephemeral, sizeof rig->controller->link.ephemeral));
    rig_free(rig);
}

/* What has no place in a greeting. */
static void a_strange_greeting_ends(void)
{
    for (unsigned row = 0; row < 5; row++) {
        rig_t *rig = rig_new("latch", false, 0);
        rig_await_dial(rig);
        rig_hello(rig);
        rig->wire_bytes = 0;
        fw_frame_header_t header = {.kind = FW_KIND_HANDSHAKE, .destination = RIG_ADDRESS};
        uint8_t bytes[FW_HEADER_BYTES + 47] = {0};
        fw_code_t code = FW_CODE_MALFORMED;
        switch (row) {
        case 0:
            header.payload_bytes = 47;
            code = FW_CODE_HANDSHAKE_FAILED;
            break;
        case 1:
            header.kind = FW_KIND_QUERY;
            break;
        case 2:
            header.source = RIG_TOOL;
            break;
        case 3:
            header.kind = 0x77;
            break;
        default:
            header.payload_bytes = UINT16_MAX;
            code = FW_CODE_TOO_LARGE;
            break;
        }
        fw_frame_header_encode(&header, bytes);
        rig_bytes(rig, bytes, FW_HEADER_BYTES + (row == 0 ? 47u : 0u));
        CHECK(rig_failed(rig, code));
        rig_free(rig);
    }
}

/* Seals one frame whose header announces more than there is. */
static void send_announcing(rig_t *rig, uint16_t payload_bytes)
{
    uint8_t frame[FW_HEADER_BYTES + 4] = {0};
    fw_frame_header_t header = {.kind = FW_KIND_QUERY,
                                .payload_bytes = payload_bytes,
                                .source = RIG_TOOL,
                                .destination = RIG_ADDRESS};
    fw_frame_header_encode(&header, frame);
    rig_plain(rig, frame, sizeof frame);
}

static void a_bad_record_ends_by_name(void)
{
    for (unsigned row = 0; row < 8; row++) {
        rig_t *rig = rig_live("latch", false, row < 6 ? 264 : 0);
        fw_code_t code = FW_CODE_MALFORMED;
        uint8_t bytes[FW_RECORD_PREFIX_BYTES + 40] = {0, 40};
        switch (row) {
        case 0:
            rig_bytes(rig, bytes, sizeof bytes);
            code = FW_CODE_BAD_RECORD;
            break;
        case 1:
            fw_store_u16(bytes, 265);
            rig_bytes(rig, bytes, FW_RECORD_PREFIX_BYTES);
            code = FW_CODE_TOO_LARGE;
            break;
        case 2:
            fw_store_u16(bytes, 16);
            rig_bytes(rig, bytes, FW_RECORD_PREFIX_BYTES);
            break;
        case 3:
            send_announcing(rig, 264 - 32); /* the most that a record holds, but it is not there */
            break;
        case 4:
            send_announcing(rig, 264 - 31);
            code = FW_CODE_TOO_LARGE;
            break;
        case 5:
            send_announcing(rig, UINT16_MAX);
            code = FW_CODE_TOO_LARGE;
            break;
        case 6:
            rig_send(rig, FW_KIND_HANDSHAKE, 0, 0, bytes, 8);
            break;
        default:
            rig_send(rig, FW_KIND_QUERY, 0, 0, bytes, 1);
            break;
        }
        CHECK(rig_failed(rig, code));
        rig_free(rig);
    }
    /* The clear link keeps to the same sizes. */
    rig_t *rig = rig_live("latch", true, 264);
    send_announcing(rig, 264 - 31);
    CHECK(rig_failed(rig, FW_CODE_TOO_LARGE));
    rig_free(rig);
}

/* A tool's bad payload is answered; the gateway's own, before this, ended the link. */
static void a_tool_cannot_cut(void)
{
    rig_t *rig = rig_live("latch", false, 0);
    const uint8_t kinds[] = {FW_KIND_QUERY, FW_KIND_COMMAND, FW_KIND_CONFIGURE, FW_KIND_ADMIN};
    const uint8_t array = 0x80;
    for (size_t i = 0; i < sizeof kinds; i++) {
        uint32_t asked = rig_send(rig, kinds[i], 0, RIG_TOOL, &array, 1);
        CHECK(rig_field(rig_find(rig, FW_KIND_RESPONSE, asked), FW_KEY_RESPONSE_CODE) ==
              FW_CODE_MALFORMED);
    }
    /* These want nothing of us, whoever sends them. */
    const uint8_t ignored[] = {FW_KIND_RESPONSE, FW_KIND_EVENT, FW_KIND_STATUS_FULL,
                               FW_KIND_STATUS_DELTA, FW_KIND_RECEIPT, FW_KIND_PING, FW_KIND_ERROR};
    for (size_t i = 0; i < sizeof ignored; i++) {
        rig_send(rig, ignored[i], 0, RIG_TOOL, &array, 1);
    }
    CHECK(state(rig) == FW_LINK_LIVE);
    rig_free(rig);
}

static void the_gateways_error_ends(void)
{
    rig_t *rig = rig_live("latch", false, 0);
    const uint8_t replaced[] = {0xa2, 0x00, 0x0c, 0x01, 0x60};
    rig_send(rig, FW_KIND_ERROR, 0, 0, replaced, sizeof replaced);
    CHECK(state(rig) == FW_LINK_CLOSED && rig->hang_ups == 1);
    CHECK(rig_find(rig, FW_KIND_ERROR, 0) == NULL);
    rig_free(rig);
}

/* Silence, and a port that fails, in each state; the gateways are dialled in turn. */
static void each_state_ends_in_time(void)
{
    rig_t *rig = rig_new("latch", false, 0);
    rig_await_dial(rig);
    CHECK(rig->gateway == 0);
    rig_run(rig, 14900);
    CHECK(state(rig) == FW_LINK_DIALLING);
    rig_run(rig, 200);
    CHECK(state(rig) == FW_LINK_CLOSED);
    rig_await_dial(rig);
    CHECK(rig->gateway == 1);
    rig_hello(rig);
    rig_run(rig, 15100);
    CHECK(state(rig) == FW_LINK_CLOSED);

    rig_await_dial(rig);
    rig->lost = true;
    rig_hello(rig);
    CHECK(state(rig) == FW_LINK_CLOSED);
    rig->lost = false;

    /* Keyed, and nothing leaves any more. */
    rig_await_dial(rig);
    rig_hello(rig);
    rig->held = true;
    rig_reply_t reply = rig_reply(rig);
    rig_answer_hello(rig, &reply, -1);
    rig_agree(rig);
    CHECK(state(rig) == FW_LINK_KEYED || state(rig) == FW_LINK_LIVE);
    rig_run(rig, 45000);
    CHECK(state(rig) < FW_LINK_GREETING);
    rig->held = false;
    rig_free(rig);

    /* Live, and no reply to a ping. */
    rig = rig_live("latch", false, 0);
    rig->answers_pings = false;
    rig_run(rig, 29900);
    CHECK(state(rig) == FW_LINK_LIVE);
    rig_run(rig, 200);
    CHECK(state(rig) != FW_LINK_LIVE);

    /* An error frame that cannot leave is given up. */
    rig_disconnect(rig);
    rig_connect(rig);
    rig_run(rig, 10);
    rig->held = true;
    const uint8_t short_record[] = {0, 1};
    rig_bytes(rig, short_record, sizeof short_record);
    CHECK(state(rig) == FW_LINK_CLOSING);
    rig_run(rig, FW_CLOSING_MS + 10);
    CHECK(state(rig) != FW_LINK_CLOSING);
    rig->held = false;
    rig_free(rig);
}

/* The smallest record makes pages of the largest status, and answers still fit or say so. */
static void the_smallest_record(void)
{
    for (unsigned kind = 0; kind < 4u; kind++) {
        rig_t *rig = rig_live(built_in[kind], (kind & 1u) != 0u, FW_RECORD_BYTES_MIN);
        for (uint16_t verb = 1; verb <= 3; verb++) {
            uint32_t asked = rig_query(rig, verb);
            CHECK(rig_find(rig, FW_KIND_RESPONSE, asked) != NULL);
        }
        CHECK(state(rig) == FW_LINK_LIVE);
        rig_free(rig);
    }
}

/* Nothing is queued without a bound, and a flood of questions does not silence a ping. */
static void a_link_that_takes_no_more(void)
{
    rig_t *rig = rig_live("latch", false, 264);
    rig->withheld = true;
    for (unsigned i = 0; i < 200; i++) {
        rig_query(rig, FW_VERB_IDENTIFY);
        rig->inputs[FW_CHANNEL_DI1] = (int32_t)(i & 1u);
        fw_controller_input_changed(rig->controller);
        rig_jump(rig, 10);
    }
    rig->withheld = false;
    rig_drain(rig);
    size_t answers = rig_count(rig, FW_KIND_RESPONSE);
    CHECK(answers >= FW_ANSWERS_OF_TOOLS_MAX && answers <= FW_ANSWERS_OF_TOOLS_MAX + 4u);
    rig_run(rig, 20);
    CHECK(rig->values[0] == rig->inputs[FW_CHANNEL_DI1]);

    /* One record leaves every 200 ms, and more is asked in between than it holds. A command, an
     * input and the gateway's own question still come through within a few records. */
    uint32_t asked = 0;
    for (unsigned turn = 0; turn < 400 && state(rig) == FW_LINK_LIVE; turn++) {
        if (turn % 100 == 50) {
            const uint8_t identify[] = {0xa1, 0x02, 0x01};
            rig_forget(rig);
            rig_set(rig, turn, rig_time(rig) + 5000, "RL1", 1);
            rig->inputs[FW_CHANNEL_DI1] ^= 1;
            asked = rig_send(rig, FW_KIND_QUERY, 0, 0, identify, sizeof identify);
        } else if (turn % 100 == 58) {
            CHECK(rig->ended[turn - 8] && rig->values[0] == rig->inputs[FW_CHANNEL_DI1]);
            CHECK(rig_find(rig, FW_KIND_RESPONSE, asked) != NULL);
        }
        rig->withheld = true;
        for (unsigned i = 0; i < FW_ANSWERS_MAX; i++) {
            rig_query(rig, FW_VERB_IDENTIFY);
        }
        rig_release(rig);
        rig_jump(rig, 200);
    }
    CHECK_NOTE(state(rig) == FW_LINK_LIVE, "a flood of questions");
    rig->withheld = false;
    rig_free(rig);
}

/* 32 points, each as large as it can be, in pages and in deltas, at every size of record. */
static void the_largest_status(void)
{
    for (size_t room = FW_RECORD_BYTES_MIN - 32u; room <= FW_FRAMES_BYTES_MAX; room++) {
        uint8_t *zeros = calloc(1, room);
        uint8_t *page = bytes_exact(zeros, room);
        free(zeros);
        int32_t pages = 0;
        int32_t deltas = 0;
        for (int32_t count = 1; pages < count; pages++) {
            size_t length = fw_host_status_sample(pages, page, room);
            rig_frame_t frame = {.header = {.payload_bytes = (uint16_t)length}, .payload = page};
            CHECK(fw_cbor_check(page, length) == FW_CBOR_OK);
            CHECK(rig_field(&frame, FW_KEY_STATUS_PAGE) == (uint64_t)pages);
            count = (int32_t)rig_field(&frame, FW_KEY_STATUS_PAGES);
            CHECK(count <= (int32_t)FW_STATUS_PAGES_MAX);
        }
        for (size_t length; (length = fw_host_status_sample(-1 - deltas, page, room)) > 0;) {
            CHECK(fw_cbor_check(page, length) == FW_CBOR_OK);
            deltas++;
        }
        CHECK(pages >= 2 && deltas <= pages && (deltas >= 2 || room > 900));
        free(page);
    }
}

/* The last record of a direction is used, and the link is then dialled anew. */
static void records_run_out(void)
{
    rig_t *rig = rig_live("latch", false, 0);
    rig->controller->link.sending.next = rig->receives.next = UINT32_MAX;
    uint32_t asked = rig_query(rig, FW_VERB_IDENTIFY);
    CHECK(rig_find(rig, FW_KIND_RESPONSE, asked) != NULL && state(rig) == FW_LINK_LIVE);
    rig_query(rig, FW_VERB_IDENTIFY);
    CHECK(state(rig) == FW_LINK_CLOSED && rig->hang_ups == 1);
    rig_connect(rig);
    rig_run(rig, 10);
    CHECK(state(rig) == FW_LINK_LIVE);
    rig_free(rig);
}

/* Correlation ids skip 0, and calls that come at the wrong time change nothing. */
static void odd_moments(void)
{
    rig_t *rig = rig_live("latch", true, 0);
    rig->controller->link.correlation = UINT32_MAX;
    rig_run(rig, 20010);
    const rig_frame_t *ping = rig_find(rig, FW_KIND_PING, 0);
    CHECK(ping != NULL && ping->header.correlation == 1);
    fw_controller_connected(rig->controller);
    fw_controller_sent(rig->controller);
    fw_controller_receive(rig->controller, NULL, 0);
    CHECK(state(rig) == FW_LINK_LIVE);
    /* A frame for somebody else. */
    uint8_t frame[FW_HEADER_BYTES];
    fw_frame_header_t header = {.kind = FW_KIND_QUERY, .source = RIG_TOOL, .destination = 7};
    fw_frame_header_encode(&header, frame);
    rig_plain(rig, frame, sizeof frame);
    CHECK(state(rig) == FW_LINK_LIVE);
    rig_disconnect(rig);
    fw_controller_connected(rig->controller);
    fw_controller_sent(rig->controller);
    fw_controller_receive(rig->controller, frame, sizeof frame);
    fw_controller_disconnected(rig->controller);
    CHECK(state(rig) == FW_LINK_CLOSED);
    rig_free(rig);
}

/* Where scans are left out none is late, however long nothing happens, nor one that a hand brings on. */
static void scans_left_out_are_not_late(void)
{
    rig_t *rig = rig_live("latch", false, 0);
    rig_run(rig, 120000);
    CHECK(fw_runner_force(&rig->controller->runner, 1, 1, 60000, rig->port.now_ms(rig)));
    rig_run(rig, 120000);
    CHECK(rig->controller->late_scans == 0 && rig->controller->longest_gap_ms == 0);
    rig_free(rig);
}

/* Gateways come and go with the settings. */
static void nobody_is_dialled_without_a_gateway(void)
{
    rig_t *rig = rig_new("latch", false, 0);
    rig_await_dial(rig);
    rig_run(rig, 15050);
    CHECK(state(rig) == FW_LINK_CLOSED && rig->dials == 1); /* the second one is next */
    rig->settings.gateways = rig->controller->settings.gateways = 0;
    rig_run(rig, 300000);
    CHECK(state(rig) == FW_LINK_CLOSED && rig->dials == 1);
    rig->settings.gateways = rig->controller->settings.gateways = 1;
    rig_await_dial(rig);
    CHECK(rig->gateway == 0 && rig->dials == 2);
    rig_free(rig);
}

static void settings_are_judged(void)
{
    rig_t *rig = rig_new("latch", false, 0);
    for (unsigned row = 0; row < 6; row++) {
        fw_settings_t settings = rig->settings;
        switch (row) {
        case 0:
            settings.address = 0;
            break;
        case 1:
            settings.address = FW_ADDRESS_CONTROLLER_MAX + 1u;
            break;
        case 2:
            settings.record_bytes_max = FW_RECORD_BYTES_MIN - 1u;
            break;
        case 3:
            settings.record_bytes_max = FW_RECORD_BYTES_MAX + 1u;
            break;
        case 4:
            settings.gateways = FW_GATEWAYS_MAX + 1u;
            break;
        default:
            settings.zone = "Nowhere/At_All";
            break;
        }
        fw_controller_t other;
        CHECK(!fw_controller_init(&other, &settings, &rig->port));
    }
    rig_free(rig);
}

void test_link(void)
{
    a_session_begins_and_answers();
    a_reply_is_judged();
    pings_stay_within_reason();
    a_spoilt_message_2_is_refused();
    scans_go_on_during_a_handshake();
    a_handshake_cut_short_is_forgotten();
    message_2_comes_alone_and_fits();
    another_key_is_refused();
    keys_are_made_apart();
    a_strange_greeting_ends();
    a_bad_record_ends_by_name();
    a_tool_cannot_cut();
    the_gateways_error_ends();
    each_state_ends_in_time();
    the_smallest_record();
    a_link_that_takes_no_more();
    the_largest_status();
    records_run_out();
    odd_moments();
    scans_left_out_are_not_late();
    nobody_is_dialled_without_a_gateway();
    settings_are_judged();
}
