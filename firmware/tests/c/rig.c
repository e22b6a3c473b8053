/*
 * rig.c: the scripted port and gateway, and what they hold a controller to. See rig.h.
 */
#include "rig.h"

#include "check.h"
#include "pair.h"

#include <stdlib.h>
#include <string.h>

#define WIRE_BYTES_MAX 65536u

/* ---- the port ---- */

static int32_t port_send(void *ctx, const uint8_t *bytes, size_t length)
{
    rig_t *rig = ctx;
    CHECK(rig->up && length > 0);
    CHECK_NOTE(rig->lent == NULL, "nothing is offered before `sent`");
    if (rig->lost) {
        return -1;
    }
    if (rig->held) {
        return 0;
    }
    rig->lent_bytes = length < rig->send_max ? length : rig->send_max;
    rig->lent = bytes;
    rig->lent_copy = bytes_exact(bytes, rig->lent_bytes);
    return (int32_t)rig->lent_bytes;
}

static uint32_t port_now_ms(void *ctx)
{
    rig_t *rig = ctx;
    rig->elapsed_ms += rig->is_slow ? 1u : 0u;
    return rig->base_ms + (uint32_t)rig->elapsed_ms;
}

static void port_random(void *ctx, uint8_t *into, size_t length)
{
    (void)ctx;
    random_fill(into, length);
}

static void port_log(void *ctx, fw_log_level_t level, const char *text)
{
    (void)ctx;
    CHECK(level <= FW_LOG_DEBUG && strlen(text) > 0);
}

static void port_dial(void *ctx, uint8_t gateway)
{
    rig_t *rig = ctx;
    CHECK(!rig->up && gateway < rig->settings.gateways);
    rig->dials++;
    rig->gateway = gateway;
}

/* Bytes that were taken leave, or are lost with the link. */
static void give_back(rig_t *rig, bool leave)
{
    if (rig->lent == NULL) {
        return;
    }
    if (leave && rig->wire_bytes + rig->lent_bytes <= WIRE_BYTES_MAX) {
        memcpy(rig->wire + rig->wire_bytes, rig->lent_copy, rig->lent_bytes);
        rig->wire_bytes += rig->lent_bytes;
    }
    free(rig->lent_copy);
    rig->lent_copy = NULL;
    rig->lent = NULL;
}

static void port_hang_up(void *ctx)
{
    rig_t *rig = ctx;
    give_back(rig, true);
    rig->hang_ups++;
    rig->up = false;
}

static int32_t port_read_input(void *ctx, uint8_t channel)
{
    const rig_t *rig = ctx;
    CHECK(channel < FW_CHANNELS);
    return rig->inputs[channel];
}

static void port_write_output(void *ctx, uint8_t channel, int32_t value)
{
    rig_t *rig = ctx;
    CHECK(channel < FW_CHANNELS);
    rig->outputs[channel] = value;
}

/* ---- life ---- */

rig_t *rig_blank(bool clear, uint16_t record_bytes_max)
{
    rig_t *rig = calloc(1, sizeof *rig);
    uint8_t *wire = malloc(WIRE_BYTES_MAX);
    uint8_t *reading = malloc(FW_RECORD_BYTES_MAX);
    if (rig == NULL || wire == NULL || reading == NULL) {
        abort();
    }
    rig->wire = wire;
    rig->reading = reading;
    rig->send_max = SIZE_MAX;
    rig->split = SIZE_MAX;
    rig->feedback = true;
    rig->answers_pings = true;
    rig->correlation = 1000;
    rig->base_ms = UINT32_MAX - 5000u; /* the count wraps in every test that lasts longer */
    rig->port = (fw_port_t){.ctx = rig,
                            .send = port_send,
                            .now_ms = port_now_ms,
                            .random = port_random,
                            .log = port_log,
                            .dial = port_dial,
                            .hang_up = port_hang_up,
                            .read_input = port_read_input,
                            .write_output = port_write_output};
    rig->settings = (fw_settings_t){.title = "No. 100042",
                                    .software = "core-tests",
                                    .board = "rig",
                                    .address = RIG_ADDRESS,
                                    .record_bytes_max = record_bytes_max,
                                    .gateways = 2,
                                    .clear = clear};
    memset(rig->key, 0x5a, sizeof rig->key);
    memcpy(rig->keys.current, rig->key, sizeof rig->key);
    rig->settings.keys = &rig->keys;
    return rig;
}

rig_t *rig_new(const char *script, bool clear, uint16_t record_bytes_max)
{
    rig_t *rig = rig_blank(clear, record_bytes_max);
    rig->controller = calloc(1, sizeof *rig->controller);
    if (rig->controller == NULL) {
        abort();
    }
    CHECK(fw_controller_init(rig->controller, &rig->settings, &rig->port));
    fw_controller_run(rig->controller, program_of(script), script);
    return rig;
}

rig_t *rig_live(const char *script, bool clear, uint16_t record_bytes_max)
{
    rig_t *rig = rig_new(script, clear, record_bytes_max);
    rig_connect(rig);
    rig_run(rig, 10);
    CHECK(fw_controller_link_state(rig->controller) == FW_LINK_LIVE);
    rig_forget(rig);
    return rig;
}

void rig_free(rig_t *rig)
{
    rig_forget(rig);
    give_back(rig, false);
    fw_controller_end(rig->controller);
    if (rig->device != NULL) {
        free(rig->device);
        free(rig->nor);
    } else {
        free(rig->controller);
    }
    free(rig->wire);
    free(rig->reading);
    free(rig);
}

uint64_t rig_time(const rig_t *rig)
{
    return RIG_EPOCH_MS + rig->elapsed_ms;
}

/* ---- what the controller says ---- */

uint64_t rig_field(const rig_frame_t *frame, uint64_t key)
{
    fw_cbor_map_t map;
    uint64_t value = UINT64_MAX;
    if (frame != NULL &&
        fw_cbor_open(frame->payload, frame->header.payload_bytes, &map) == FW_CBOR_OK) {
        (void)fw_cbor_map_unsigned(&map, key, UINT64_MAX, &value);
    }
    return value;
}

static void watch_points(rig_t *rig, const rig_frame_t *frame)
{
    fw_cbor_map_t map, point;
    fw_cbor_list_t list;
    fw_cbor_item_t item;
    CHECK(fw_cbor_open(frame->payload, frame->header.payload_bytes, &map) == FW_CBOR_OK &&
          fw_cbor_map_list(&map, FW_KEY_STATUS_POINTS, FW_POINTS_MAX, &list) == FW_FIELD_PRESENT);
    while (fw_cbor_next(&list, &item)) {
        uint64_t index = FW_POINTS_MAX;
        int64_t value = 0;
        CHECK(fw_cbor_item_map(&item, &point) &&
              fw_cbor_map_unsigned(&point, FW_KEY_POINT_INDEX, FW_POINTS_MAX - 1, &index) ==
                  FW_FIELD_PRESENT &&
              fw_cbor_map_integer(&point, FW_KEY_POINT_VALUE, -FW_INTEGER_MAX, FW_INTEGER_MAX,
                                  &value) == FW_FIELD_PRESENT);
        if (index < FW_POINTS_MAX) {
            rig->values[index] = value;
        }
    }
}

static void watch_status(rig_t *rig, const rig_frame_t *frame)
{
    uint32_t sequence = (uint32_t)rig_field(frame, FW_KEY_STATUS_SEQUENCE);
    bool full = frame->header.kind == FW_KIND_STATUS_FULL;
    CHECK(frame->header.destination == FW_ADDRESS_GATEWAY);
    CHECK(rig_field(frame, FW_KEY_STATUS_BOOT_ID) == rig->controller->status.boot_id);
    if (full) {
        bool more = (frame->header.flags & FW_FLAG_MORE) != 0u;
        CHECK(rig_field(frame, FW_KEY_STATUS_PAGE) == rig->page);
        CHECK(more == (rig->page + 1u < rig_field(frame, FW_KEY_STATUS_PAGES)));
        rig->page = more ? rig->page + 1u : 0u;
        rig->full_known = rig->full_known || !more;
    } else {
        CHECK(rig->full_known && rig->page == 0u && sequence == rig->sequence + 1u);
    }
    rig->sequence = sequence;
    watch_points(rig, frame);
}

static void watch_receipt(rig_t *rig, const rig_frame_t *frame)
{
    fw_cbor_map_t map;
    fw_span_t key = {0};
    bool final = false;
    CHECK(fw_cbor_open(frame->payload, frame->header.payload_bytes, &map) == FW_CBOR_OK &&
          fw_cbor_map_bytes(&map, FW_KEY_RECEIPT_KEY, FW_COMMAND_KEY_BYTES, FW_COMMAND_KEY_BYTES,
                            &key) == FW_FIELD_PRESENT &&
          fw_cbor_map_bool(&map, FW_KEY_RECEIPT_FINAL, &final) == FW_FIELD_PRESENT);
    uint64_t stage = rig_field(frame, FW_KEY_RECEIPT_STAGE);
    uint32_t number = key.length == 0 ? RIG_KEYS_MAX : fw_load_u32(key.bytes);
    if (number >= RIG_KEYS_MAX) {
        return;
    }
    CHECK(stage >= rig->stages[number] && stage <= FW_STAGE_FAILED);
    CHECK_NOTE(!rig->ended[number] || (final && stage == rig->stages[number]),
               "an end is repeated at most");
    rig->stages[number] = (uint8_t)stage;
    rig->ended[number] = final;
}

static void answer_ping(rig_t *rig, uint32_t correlation);
static void take_event(rig_t *rig, const rig_frame_t *frame);

static void watch(rig_t *rig, const fw_frame_t *frame)
{
    if (rig->frames_count == RIG_FRAMES_MAX) {
        rig_forget(rig);
    }
    rig_frame_t *kept = &rig->frames[rig->frames_count++];
    kept->header = frame->header;
    kept->payload = bytes_exact(frame->payload, frame->header.payload_bytes);
    uint8_t kind = kept->header.kind;
    CHECK(kept->header.source == RIG_ADDRESS);
    CHECK(fw_cbor_check(kept->payload, kept->header.payload_bytes) == FW_CBOR_OK);
    rig->session_frames++;
    if (kind == FW_KIND_ERROR) {
        return;
    }
    if (rig->session_frames == 1u) {
        CHECK(kind == FW_KIND_EVENT && rig_field(kept, FW_KEY_VERB) == FW_VERB_ANNOUNCE);
        return;
    }
    CHECK(kind == FW_KIND_STATUS_FULL || rig->full_known);
    if (kind == FW_KIND_STATUS_FULL || kind == FW_KIND_STATUS_DELTA) {
        watch_status(rig, kept);
    } else if (kind == FW_KIND_RECEIPT) {
        watch_receipt(rig, kept);
    } else if (kind == FW_KIND_PING && kept->header.flags == 0u && rig->answers_pings && rig->up) {
        answer_ping(rig, kept->header.correlation);
    } else if (kind == FW_KIND_EVENT) {
        take_event(rig, kept);
    } else {
        CHECK(kind == FW_KIND_RESPONSE || kind == FW_KIND_PING);
        CHECK_NOTE(kept->header.correlation > rig->asked_before ||
                       (kind == FW_KIND_PING && kept->header.flags == 0u),
                   "an answer belongs to its own session");
    }
}

/* The gateway reads everything that left. */
static void absorb(rig_t *rig)
{
    if (!rig->open || rig->absorbing) {
        return;
    }
    /* Answers to pings may bring more: it then goes behind. */
    rig->absorbing = true;
    while (rig->wire_bytes > 0) {
        size_t length = rig->wire_bytes;
        uint8_t *bytes = bytes_exact(rig->wire, length);
        rig->wire_bytes = 0;
        for (size_t at = 0; at < length;) {
            size_t used = 0;
            fw_frame_t frame;
            if (rig->settings.clear) {
                fw_frame_fault_t fault =
                    fw_frame_reader_push(&rig->plain, bytes + at, length - at, &used, &frame);
                CHECK(fault == FW_FRAME_OK || fault == FW_FRAME_INCOMPLETE);
                if (fault == FW_FRAME_OK) {
                    watch(rig, &frame);
                }
            } else {
                fw_record_fault_t fault =
                    fw_record_reader_push(&rig->records, bytes + at, length - at, &used);
                CHECK(fault == FW_RECORD_OK || fault == FW_RECORD_INCOMPLETE);
                while (fw_record_reader_frame(&rig->records, &frame)) {
                    watch(rig, &frame);
                }
            }
            at += used > 0 ? used : length;
        }
        free(bytes);
    }
    rig->absorbing = false;
}

void rig_release(rig_t *rig)
{
    if (rig->lent != NULL) {
        CHECK_NOTE(memcmp(rig->lent, rig->lent_copy, rig->lent_bytes) == 0,
                   "lent bytes stay as they are");
        give_back(rig, true);
        fw_controller_sent(rig->controller);
    }
}

void rig_drain(rig_t *rig)
{
    while (rig->lent != NULL && !rig->withheld) {
        rig_release(rig);
    }
    absorb(rig);
}

void rig_jump(rig_t *rig, uint32_t ms)
{
    rig->elapsed_ms += ms;
    if (rig->feedback && rig->inputs[FW_CHANNEL_DI2] != rig->outputs[FW_CHANNEL_RL1]) {
        rig->inputs[FW_CHANNEL_DI2] = rig->outputs[FW_CHANNEL_RL1];
        fw_controller_input_changed(rig->controller);
    }
    uint32_t wake_ms = rig->device != NULL ? fw_device_poll(rig->device)
                                           : fw_controller_poll(rig->controller);
    CHECK(wake_ms >= 1u && wake_ms <= FW_WAKE_MS_MAX);
    rig_drain(rig);
}

void rig_run(rig_t *rig, uint32_t ms)
{
    for (; ms > FW_SCAN_INTERVAL_MS; ms -= FW_SCAN_INTERVAL_MS) {
        rig_jump(rig, FW_SCAN_INTERVAL_MS);
    }
    rig_jump(rig, ms);
}

/* ---- the gateway speaks ---- */

void rig_await_dial(rig_t *rig)
{
    unsigned before = rig->dials;
    for (unsigned turn = 0; turn < 7000 && rig->dials == before; turn++) {
        rig_jump(rig, FW_SCAN_INTERVAL_MS);
    }
    CHECK(rig->dials == before + 1u);
}

rig_reply_t rig_reply(const rig_t *rig)
{
    uint16_t most = rig->settings.record_bytes_max;
    return (rig_reply_t){.version = 1,
                         .record_bytes_max = most == 0u ? FW_RECORD_BYTES_MAX : most,
                         .time = rig_time(rig),
                         .ping_interval_ms = 20000,
                         .address = RIG_ADDRESS};
}

void rig_hello(rig_t *rig)
{
    rig->up = true;
    rig->open = false;
    rig->wire_bytes = 0;
    fw_controller_connected(rig->controller);
    rig_drain(rig);
}

static size_t write_reply(uint8_t *to, size_t capacity, const rig_reply_t *reply)
{
    const uint64_t fields[] = {reply->version, reply->record_bytes_max, reply->time,
                               reply->ping_interval_ms, reply->address};
    fw_cbor_writer_t writer;
    fw_cbor_writer_init(&writer, to, capacity);
    fw_cbor_write_map(&writer, 5);
    for (uint64_t key = 0; key < 5; key++) {
        fw_cbor_write_unsigned(&writer, key);
        fw_cbor_write_unsigned(&writer, fields[key]);
    }
    CHECK(!writer.failed);
    return writer.length;
}

/* Message 2 for the hello and message 1 on the wire. */
static size_t write_message_2(rig_t *rig, const fw_frame_t *message_1, size_t hello_bytes,
                              const uint8_t *reply, size_t reply_bytes, uint8_t *to,
                              size_t capacity)
{
    fw_noise_handshake_t handshake;
    fw_noise_ephemeral_t ephemeral = gateway_ephemeral();
    size_t bytes = 0;
    CHECK(fw_noise_start(&handshake, FW_NOISE_RESPONDER, rig->key, rig->wire,
                         hello_bytes, &ephemeral) == FW_NOISE_OK);
    CHECK(fw_noise_read_message_1(&handshake, message_1->payload,
                                  message_1->header.payload_bytes) == FW_NOISE_OK);
    CHECK(fw_noise_agree(&handshake) == FW_NOISE_OK);
    CHECK(fw_noise_write_message_2(&handshake, reply, reply_bytes, to, capacity, &bytes) ==
          FW_NOISE_OK);
    CHECK(fw_noise_split(&handshake, &rig->sends, &rig->receives) == FW_NOISE_OK);
    return bytes;
}

void rig_answer_hello(rig_t *rig, const rig_reply_t *reply, int spoil)
{
    fw_frame_t hello, message_1;
    size_t hello_bytes = 0;
    size_t message_bytes = 0;
    CHECK(fw_frame_take(rig->wire, rig->wire_bytes, SIZE_MAX, &hello, &hello_bytes) ==
          FW_FRAME_OK);
    CHECK(hello.header.kind == FW_KIND_HELLO && hello.header.source == RIG_ADDRESS);
    uint8_t frame[256] = {0};
    uint8_t plain[64];
    size_t length = write_reply(plain, sizeof plain, reply);
    if (rig->settings.clear) {
        memcpy(frame + FW_HEADER_BYTES, plain, length);
    } else {
        CHECK(fw_frame_take(rig->wire + hello_bytes, rig->wire_bytes - hello_bytes, SIZE_MAX,
                            &message_1, &message_bytes) == FW_FRAME_OK);
        CHECK(message_1.header.kind == FW_KIND_HANDSHAKE);
        length = write_message_2(rig, &message_1, hello_bytes, plain, length,
                                 frame + FW_HEADER_BYTES, sizeof frame - FW_HEADER_BYTES);
        if (spoil >= 0) {
            frame[FW_HEADER_BYTES + (size_t)spoil % length] ^= 1u;
        }
    }
    CHECK(rig->wire_bytes == hello_bytes + message_bytes);
    fw_frame_header_t header = {.kind = rig->settings.clear ? FW_KIND_HELLO : FW_KIND_HANDSHAKE,
                                .flags = rig->settings.clear ? FW_FLAG_REPLY : 0u,
                                .payload_bytes = (uint16_t)length,
                                .destination = RIG_ADDRESS};
    fw_frame_header_encode(&header, frame);
    rig->wire_bytes = 0;
    rig->session_frames = 0;
    rig->asked_before = rig->correlation;
    rig->page = 0;
    rig->full_known = false;
    fw_frame_reader_init(&rig->plain, rig->reading, FW_RECORD_BYTES_MAX);
    fw_record_reader_init(&rig->records, &rig->receives, rig->reading, FW_RECORD_BYTES_MAX,
                          (size_t)reply->record_bytes_max);
    /* After a spoilt message 2 there are no records: rig_failed reads what is said in clear. */
    rig->open = spoil < 0 && rig->behind == 0;
    rig_bytes(rig, frame, FW_HEADER_BYTES + length + rig->behind);
}

bool rig_is_known(const rig_t *rig)
{
    fw_frame_t hello, message_1;
    size_t hello_bytes = 0;
    size_t message_bytes = 0;
    fw_noise_handshake_t handshake;
    fw_noise_ephemeral_t ephemeral = gateway_ephemeral();
    CHECK(fw_frame_take(rig->wire, rig->wire_bytes, SIZE_MAX, &hello, &hello_bytes) ==
              FW_FRAME_OK &&
          fw_frame_take(rig->wire + hello_bytes, rig->wire_bytes - hello_bytes, SIZE_MAX,
                        &message_1, &message_bytes) == FW_FRAME_OK);
    CHECK(fw_noise_start(&handshake, FW_NOISE_RESPONDER, rig->key, rig->wire, hello_bytes,
                         &ephemeral) == FW_NOISE_OK);
    fw_noise_fault_t fault = fw_noise_read_message_1(&handshake, message_1.payload,
                                                     message_1.header.payload_bytes);
    CHECK(fault == FW_NOISE_OK || fault == FW_NOISE_BAD_MESSAGE);
    return fault == FW_NOISE_OK;
}

void rig_refuse(rig_t *rig, fw_code_t code)
{
    uint8_t frame[FW_HEADER_BYTES + 8u];
    fw_cbor_writer_t writer;
    fw_cbor_writer_init(&writer, frame + FW_HEADER_BYTES, sizeof frame - FW_HEADER_BYTES);
    fw_cbor_write_map(&writer, 1);
    fw_cbor_write_unsigned(&writer, FW_KEY_ERROR_CODE);
    fw_cbor_write_unsigned(&writer, code);
    fw_frame_header_t header = {.kind = FW_KIND_ERROR,
                                .payload_bytes = (uint16_t)writer.length,
                                .destination = RIG_ADDRESS};
    fw_frame_header_encode(&header, frame);
    rig->wire_bytes = 0;
    rig_bytes(rig, frame, FW_HEADER_BYTES + writer.length);
    CHECK(fw_controller_link_state(rig->controller) == FW_LINK_CLOSED && !rig->up);
}

void rig_agree(rig_t *rig)
{
    for (unsigned slice = 1; slice <= FW_X25519_SLICES; slice++) {
        if (fw_controller_link_state(rig->controller) == FW_LINK_AGREEING) {
            rig_jump(rig, FW_SCAN_INTERVAL_MS);
        }
    }
    CHECK(fw_controller_link_state(rig->controller) != FW_LINK_AGREEING);
}

void rig_connect(rig_t *rig)
{
    rig_await_dial(rig);
    rig_hello(rig);
    rig_reply_t reply = rig_reply(rig);
    rig_answer_hello(rig, &reply, -1);
    rig_agree(rig);
}

void rig_disconnect(rig_t *rig)
{
    give_back(rig, false);
    rig->up = false;
    rig->open = false;
    rig->wire_bytes = 0;
    fw_controller_disconnected(rig->controller);
}

void rig_bytes(rig_t *rig, const uint8_t *bytes, size_t length)
{
    for (size_t at = 0; at < length;) {
        size_t piece = length - at < rig->split ? length - at : rig->split;
        uint8_t *exact = bytes_exact(bytes + at, piece);
        fw_controller_receive(rig->controller, exact, piece);
        free(exact);
        at += piece;
    }
    rig_drain(rig);
}

void rig_plain(rig_t *rig, const uint8_t *frames, size_t length)
{
    if (rig->settings.clear) {
        rig_bytes(rig, frames, length);
        return;
    }
    uint8_t record[FW_RECORD_BUFFER_BYTES];
    size_t bytes = 0;
    CHECK(length <= FW_FRAMES_BYTES_MAX);
    memcpy(record + FW_RECORD_PREFIX_BYTES, frames, length);
    CHECK(fw_record_seal(&rig->sends, record, sizeof record, length, FW_RECORD_BYTES_MAX,
                         &bytes) == FW_RECORD_OK);
    rig_bytes(rig, record, bytes);
}

static void send_frame(rig_t *rig, fw_frame_header_t header, const uint8_t *payload)
{
    uint8_t frame[FW_FRAMES_BYTES_MAX];
    CHECK(FW_HEADER_BYTES + (size_t)header.payload_bytes <= sizeof frame);
    header.destination = RIG_ADDRESS;
    fw_frame_header_encode(&header, frame);
    memcpy(frame + FW_HEADER_BYTES, payload, header.payload_bytes);
    rig_plain(rig, frame, FW_HEADER_BYTES + (size_t)header.payload_bytes);
}

uint32_t rig_send(rig_t *rig, uint8_t kind, uint8_t flags, uint32_t source,
                  const uint8_t *payload, size_t length)
{
    uint32_t correlation = ++rig->correlation;
    send_frame(rig,
               (fw_frame_header_t){.kind = kind,
                                   .flags = flags,
                                   .payload_bytes = (uint16_t)length,
                                   .correlation = correlation,
                                   .source = source},
               payload);
    return correlation;
}

static void answer_ping(rig_t *rig, uint32_t correlation)
{
    uint8_t payload[16];
    fw_cbor_writer_t writer;
    fw_cbor_writer_init(&writer, payload, sizeof payload);
    fw_cbor_write_map(&writer, 1);
    fw_cbor_write_unsigned(&writer, FW_KEY_PING_TIME);
    fw_cbor_write_unsigned(&writer, rig_time(rig));
    send_frame(rig,
               (fw_frame_header_t){.kind = FW_KIND_PING,
                                   .flags = FW_FLAG_REPLY,
                                   .payload_bytes = (uint16_t)writer.length,
                                   .correlation = correlation},
               payload);
}

/* As gateways do (docs/protocol.md section 6.1). */
static void take_event(rig_t *rig, const rig_frame_t *frame)
{
    uint64_t verb = rig_field(frame, FW_KEY_VERB);
    uint32_t number = (uint32_t)rig_field(frame, FW_KEY_EVENT_NUMBER);
    CHECK(verb == FW_VERB_HAPPENED || verb == FW_VERB_ALARM);
    CHECK(frame->header.correlation != 0u && number != 0u);
    if (rig->ignores_events || !rig->up) {
        return;
    }
    bool is_ok = rig->event_code == FW_CODE_OK;
    if (is_ok && (rig->event_last == 0u || (int32_t)(number - rig->event_last) > 0)) {
        rig->event_last = number;
        rig->events++;
    }
    uint8_t payload[24];
    fw_cbor_writer_t writer;
    fw_cbor_writer_init(&writer, payload, sizeof payload);
    fw_cbor_write_map(&writer, is_ok ? 3u : 2u);
    fw_cbor_write_unsigned(&writer, FW_KEY_RESPONSE_CODE);
    fw_cbor_write_unsigned(&writer, rig->event_code);
    fw_cbor_write_unsigned(&writer, FW_KEY_VERB);
    fw_cbor_write_unsigned(&writer, verb);
    if (is_ok) {
        fw_cbor_write_unsigned(&writer, FW_KEY_EVENT_LAST);
        fw_cbor_write_unsigned(&writer, rig->event_last);
    }
    send_frame(rig,
               (fw_frame_header_t){.kind = FW_KIND_RESPONSE,
                                   .payload_bytes = (uint16_t)writer.length,
                                   .correlation = frame->header.correlation},
               payload);
}

uint32_t rig_query(rig_t *rig, uint16_t verb)
{
    uint8_t payload[8];
    fw_cbor_writer_t writer;
    fw_cbor_writer_init(&writer, payload, sizeof payload);
    fw_cbor_write_map(&writer, 1);
    fw_cbor_write_unsigned(&writer, FW_KEY_VERB);
    fw_cbor_write_unsigned(&writer, verb);
    return rig_send(rig, FW_KIND_QUERY, 0, RIG_TOOL, payload, writer.length);
}

void rig_key(uint8_t key[FW_COMMAND_KEY_BYTES], uint32_t number)
{
    memset(key, 0xee, FW_COMMAND_KEY_BYTES);
    fw_store_u32(key, number);
}

static fw_cbor_writer_t command_begin(uint8_t *payload, size_t capacity, uint32_t number,
                                      uint64_t expiry, fw_verb_t verb)
{
    uint8_t key[FW_COMMAND_KEY_BYTES];
    rig_key(key, number);
    fw_cbor_writer_t writer;
    fw_cbor_writer_init(&writer, payload, capacity);
    fw_cbor_write_map(&writer, 5);
    fw_cbor_write_unsigned(&writer, FW_KEY_REQUEST_KEY);
    fw_cbor_write_bytes(&writer, key, sizeof key);
    fw_cbor_write_unsigned(&writer, FW_KEY_REQUEST_EXPIRY);
    fw_cbor_write_unsigned(&writer, expiry);
    fw_cbor_write_unsigned(&writer, FW_KEY_VERB);
    fw_cbor_write_unsigned(&writer, verb);
    return writer;
}

/* A name and a value. */
static uint32_t send_value(rig_t *rig, uint32_t key, uint64_t expiry, uint16_t verb,
                           const char *name, int64_t value)
{
    uint8_t payload[96];
    fw_cbor_writer_t writer = command_begin(payload, sizeof payload, key, expiry, verb);
    fw_cbor_write_unsigned(&writer, FW_KEY_SET_POINT);
    fw_cbor_write_string(&writer, name);
    fw_cbor_write_unsigned(&writer, FW_KEY_SET_VALUE);
    fw_cbor_write_integer(&writer, value);
    CHECK(!writer.failed);
    return rig_send(rig, FW_KIND_COMMAND, 0, RIG_TOOL, payload, writer.length);
}

uint32_t rig_set(rig_t *rig, uint32_t key, uint64_t expiry, const char *point, int64_t value)
{
    return send_value(rig, key, expiry, FW_VERB_SET, point, value);
}

uint32_t rig_adjust(rig_t *rig, uint32_t key, uint64_t expiry, const char *parameter,
                    int64_t value)
{
    return send_value(rig, key, expiry, FW_VERB_ADJUST, parameter, value);
}

uint32_t rig_call(rig_t *rig, uint32_t key, uint64_t expiry, const char *command,
                  const int64_t *arguments, size_t count)
{
    uint8_t payload[128];
    fw_cbor_writer_t writer = command_begin(payload, sizeof payload, key, expiry, FW_VERB_CALL);
    fw_cbor_write_unsigned(&writer, FW_KEY_CALL_COMMAND);
    fw_cbor_write_string(&writer, command);
    fw_cbor_write_unsigned(&writer, FW_KEY_CALL_ARGUMENTS);
    fw_cbor_write_array(&writer, count);
    for (size_t i = 0; i < count; i++) {
        fw_cbor_write_integer(&writer, arguments[i]);
    }
    CHECK(!writer.failed);
    return rig_send(rig, FW_KIND_COMMAND, 0, RIG_TOOL, payload, writer.length);
}

/* ---- looking back ---- */

const rig_frame_t *rig_find(const rig_t *rig, uint8_t kind, uint32_t correlation)
{
    for (size_t i = 0; i < rig->frames_count; i++) {
        const fw_frame_header_t *header = &rig->frames[i].header;
        if (header->kind == kind && (correlation == 0 || header->correlation == correlation)) {
            return &rig->frames[i];
        }
    }
    return NULL;
}

size_t rig_count(const rig_t *rig, uint8_t kind)
{
    size_t count = 0;
    for (size_t i = 0; i < rig->frames_count; i++) {
        count += rig->frames[i].header.kind == kind ? 1u : 0u;
    }
    return count;
}

void rig_forget(rig_t *rig)
{
    for (size_t i = 0; i < rig->frames_count; i++) {
        free(rig->frames[i].payload);
    }
    rig->frames_count = 0;
}

bool rig_failed(rig_t *rig, fw_code_t code)
{
    rig_drain(rig);
    fw_frame_t frame;
    size_t frame_bytes = 0;
    if (!rig->open && fw_frame_take(rig->wire, rig->wire_bytes, SIZE_MAX, &frame, &frame_bytes) ==
                          FW_FRAME_OK) {
        watch(rig, &frame);
    }
    return fw_controller_link_state(rig->controller) == FW_LINK_CLOSED && !rig->up &&
           rig_field(rig_find(rig, FW_KIND_ERROR, 0), FW_KEY_ERROR_CODE) == (uint64_t)code;
}
