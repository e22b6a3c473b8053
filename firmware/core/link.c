/*
 * link.c: the link's states, its timers and what comes in (docs/protocol.md sections 4.1, 4.3 and
 * 4.4).
 */
#include "inside.h"

/* The gateway names an interval; these bound what we make of it. Below, pings would be all that a
 * link carries; above, the clock, which pings keep, would be stale before the next one. */
#define PING_INTERVAL_MS_LEAST 10u
#define PING_INTERVAL_MS_MOST (FW_CLOCK_STALE_AFTER_MS / 3u)

static uint32_t random_u32(const fw_controller_t *controller)
{
    uint8_t bytes[4];
    controller->port->random(controller->port->ctx, bytes, sizeof bytes);
    return fw_load_u32(bytes);
}

bool fw_link_open(const fw_link_t *link)
{
    return link->state == FW_LINK_KEYED || link->state == FW_LINK_LIVE;
}

uint32_t fw_link_next_correlation(fw_link_t *link)
{
    link->correlation++;
    if (link->correlation == 0u) {
        link->correlation = 1;
    }
    return link->correlation;
}

void fw_link_tell_event_later(fw_controller_t *controller)
{
    fw_link_t *link = &controller->link;
    link->event = 0;
    link->has_event = true;
    link->event_waits = true;
    link->event_ms = fw_now(controller);
}

/* `is_second`: of the two keys the other one has its turn, and that is no attempt more. */
static void wait_for_next(fw_controller_t *controller, bool is_second)
{
    fw_link_t *link = &controller->link;
    uint32_t random = random_u32(controller);
    link->state = FW_LINK_CLOSED;
    link->since_ms = fw_now(controller);
    link->wait_ms = is_second ? fw_backoff_least_ms(random)
                              : fw_backoff_next_ms(&controller->backoff, random);
}

void fw_link_init(fw_controller_t *controller)
{
    controller->link.correlation = random_u32(controller);
    controller->link.has_event = true; /* of before the start */
    controller->link.tries_next = controller->keys.has_next;
    wait_for_next(controller, false);
}

/* ---- the end of a link ---- */

static void forget_handshake(fw_link_t *link)
{
    fw_noise_wipe(&link->handshake);
    fw_noise_work_wipe(&link->work);
}

/* Whether hello and message 1 are with the gateway, and it has yet to prove that it knows the key. */
static bool is_proving(const fw_link_t *link)
{
    return link->state == FW_LINK_GREETING || link->state == FW_LINK_AGREEING;
}

/* Whose turn it is of two keys: while none is refused, the one that was good last. The reason that a
 * refusal gives is anybody's word yet, so it is not looked at. True: the same gateway is asked once more,
 * by the other key. */
static bool take_turns(fw_controller_t *controller)
{
    fw_link_t *link = &controller->link;
    bool is_refused = link->was_refused && controller->keys.has_next;
    link->is_second = is_refused && !link->is_second;
    if (is_refused) {
        link->tries_next = !link->tries_next;
    }
    return link->is_second;
}

void fw_link_close(fw_controller_t *controller, bool hang_up)
{
    fw_link_t *link = &controller->link;
    if (link->state != FW_LINK_CLOSING) {
        link->was_refused = is_proving(link);
    }
    if (link->state == FW_LINK_LIVE &&
        fw_since(fw_now(controller), link->since_ms) >= FW_BACKOFF_RESET_AFTER_MS) {
        fw_backoff_reset(&controller->backoff);
    }
    forget_handshake(link);
    fw_cipher_wipe(&link->sending);
    fw_cipher_wipe(&link->receiving);
    link->sealed = false;
    link->sent = 0;
    link->filled = 0;
    link->port_busy = false;
    link->answers_count = 0;
    link->is_late = false;
    link->event = 0;
    link->event_waits = false;
    link->has_event = true; /* what was under way is told again */
    link->full_asked = false;
    link->ping_due = false;
    link->ping_open = false;
    controller->status.full = false;
    bool is_second = take_turns(controller);
    if (!is_second) {
        fw_backoff_alternate(&controller->backoff, controller->settings.gateways);
    }
    wait_for_next(controller, is_second);
    if (hang_up) {
        controller->port->hang_up(controller->port->ctx);
    }
}

void fw_link_fail(fw_controller_t *controller, fw_code_t code)
{
    fw_link_t *link = &controller->link;
    if (link->state == FW_LINK_CLOSED || link->state == FW_LINK_CLOSING) {
        return;
    }
    fw_log(controller, FW_LOG_WARN, fw_code_name((uint32_t)code));
    if (!fw_link_open(link)) {
        forget_handshake(link);
    }
    link->was_refused = is_proving(link);
    link->state = FW_LINK_CLOSING;
    link->closing_code = (uint8_t)code;
    link->since_ms = fw_now(controller);
    /* The error frame itself leaves by the next pump, behind what is half sent. */
}

void fw_controller_rekeyed(fw_controller_t *controller, const fw_keys_t *keys)
{
    fw_link_t *link = &controller->link;
    const uint8_t *proven = fw_keys_choose(&controller->keys, link->is_next);
    bool is_current = fw_equal(proven, keys->current, FW_LINK_KEY_BYTES);
    bool is_next = !is_current && keys->has_next &&
                   fw_equal(proven, keys->next, FW_LINK_KEY_BYTES);
    controller->keys = *keys;
    link->is_next = is_next;
    link->tries_next = keys->has_next;
    fw_log(controller, FW_LOG_INFO, keys->has_next ? "a new key is tried with the next dial"
                                                   : "one key is left");
    if (!is_current && !is_next) {
        /* While it was being kept, another session began, of the key that goes. */
        fw_link_fail(controller, FW_CODE_REVOKED);
    }
}

void fw_controller_rekeyed_again(fw_controller_t *controller)
{
    /* It may have been refused since, by a gateway that was just ending. */
    controller->link.tries_next = controller->keys.has_next;
}

/* ---- timers ---- */

static void begin_to_prepare(fw_controller_t *controller)
{
    fw_link_t *link = &controller->link;
    uint8_t random[FW_NOISE_KEY_BYTES];
    controller->port->random(controller->port->ctx, random, sizeof random);
    fw_noise_ephemeral_begin(&link->ephemeral, random, &link->work);
    for (size_t i = 0; i < sizeof random; i++) {
        ((volatile uint8_t *)random)[i] = 0;
    }
    link->state = FW_LINK_PREPARING;
}

static void dial(fw_controller_t *controller)
{
    fw_link_t *link = &controller->link;
    if (controller->backoff.gateway >= controller->settings.gateways) {
        controller->backoff.gateway = 0; /* fewer are set up than there were */
    }
    link->state = FW_LINK_DIALLING;
    link->since_ms = fw_now(controller);
    controller->port->dial(controller->port->ctx, controller->backoff.gateway);
}

/* Milliseconds until something is due about events. */
static uint32_t event_poll(fw_controller_t *controller, uint32_t now_ms)
{
    fw_link_t *link = &controller->link;
    uint32_t elapsed = fw_since(now_ms, link->event_ms);
    if (link->event != 0u) {
        if (elapsed < FW_EVENT_ANSWER_MS) {
            return FW_EVENT_ANSWER_MS - elapsed;
        }
        fw_link_tell_event_later(controller);
        return FW_EVENT_AGAIN_MS;
    }
    if (link->event_waits) {
        if (elapsed < FW_EVENT_AGAIN_MS) {
            return FW_EVENT_AGAIN_MS - elapsed;
        }
        link->event_waits = false;
    }
    return FW_WAKE_MS_MAX; /* the pump takes what there is */
}

/* Once the wait is over, makes a pair of keys, a slice each time, and dials with it. */
static uint32_t closed_poll(fw_controller_t *controller, uint32_t elapsed_ms)
{
    fw_link_t *link = &controller->link;
    if (link->state == FW_LINK_CLOSED) {
        if (controller->settings.gateways == 0u) {
            return FW_WAKE_MS_MAX;
        }
        if (elapsed_ms < link->wait_ms) {
            return link->wait_ms - elapsed_ms;
        }
        if (!controller->settings.clear && !link->ephemeral.ready) {
            begin_to_prepare(controller);
        }
    }
    if (link->state == FW_LINK_PREPARING) {
        if (!fw_noise_ephemeral_slice(&link->ephemeral, &link->work)) {
            return FW_SCAN_INTERVAL_MS;
        }
        if (controller->settings.gateways == 0u) { /* not any more; the pair keeps */
            link->state = FW_LINK_CLOSED;
            return FW_WAKE_MS_MAX;
        }
    }
    dial(controller);
    return FW_HANDSHAKE_TIMEOUT_MS;
}

static uint32_t ping_poll(fw_controller_t *controller, uint32_t now_ms)
{
    fw_link_t *link = &controller->link;
    if (fw_since(now_ms, link->since_ms) >= FW_BACKOFF_RESET_AFTER_MS) {
        fw_backoff_reset(&controller->backoff);
    }
    uint32_t elapsed = fw_since(now_ms, link->ping_at_ms);
    if (!link->ping_due && !link->ping_open) {
        if (elapsed < link->ping_interval_ms) {
            return link->ping_interval_ms - elapsed;
        }
        link->ping_due = true;
        link->ping_at_ms = now_ms;
        return FW_PING_REPLY_TIMEOUT_MS;
    }
    if (elapsed < FW_PING_REPLY_TIMEOUT_MS) {
        return FW_PING_REPLY_TIMEOUT_MS - elapsed;
    }
    fw_log(controller, FW_LOG_WARN, "no reply to a ping");
    fw_link_close(controller, true);
    return link->wait_ms;
}

static uint32_t agree(fw_controller_t *controller);

uint32_t fw_link_poll(fw_controller_t *controller)
{
    fw_link_t *link = &controller->link;
    uint32_t now_ms = fw_now(controller);
    uint32_t elapsed = fw_since(now_ms, link->since_ms);
    uint32_t limit_ms = FW_HANDSHAKE_TIMEOUT_MS;
    switch (link->state) {
    case FW_LINK_CLOSED:
    case FW_LINK_PREPARING:
        return closed_poll(controller, elapsed);
    case FW_LINK_LIVE: {
        uint32_t event_ms = event_poll(controller, now_ms);
        uint32_t ping_ms = ping_poll(controller, now_ms);
        return ping_ms < event_ms ? ping_ms : event_ms;
    }
    case FW_LINK_CLOSING:
        limit_ms = FW_CLOSING_MS;
        break;
    default:
        break;
    }
    if (elapsed < limit_ms) {
        return link->state == FW_LINK_AGREEING ? agree(controller) : limit_ms - elapsed;
    }
    if (link->state != FW_LINK_CLOSING) {
        fw_log(controller, FW_LOG_WARN, "no session within the time allowed");
    }
    fw_link_close(controller, true);
    return link->wait_ms;
}

/* ---- the handshake ---- */

static uint32_t within(uint32_t value, uint32_t least, uint32_t most)
{
    if (value < least) {
        return least;
    }
    return value > most ? most : value;
}

/* The gateway's hello reply, whichever way it came: the link is keyed. */
static void take_hello_reply(fw_controller_t *controller, const uint8_t *payload, size_t length)
{
    fw_link_t *link = &controller->link;
    fw_cbor_map_t map;
    uint64_t version = 0;
    uint64_t record_bytes_max = 0;
    uint64_t time = 0;
    uint32_t ping_interval_ms = 0;
    uint32_t address = 0;
    if (fw_cbor_open(payload, length, &map) != FW_CBOR_OK ||
        fw_cbor_map_unsigned(&map, FW_KEY_HELLO_VERSION, UINT32_MAX, &version) !=
            FW_FIELD_PRESENT) {
        fw_link_fail(controller, FW_CODE_MALFORMED);
        return;
    }
    if (version != FW_LINK_VERSION) {
        fw_link_fail(controller, FW_CODE_UNSUPPORTED_VERSION);
        return;
    }
    if (fw_cbor_map_unsigned(&map, FW_KEY_HELLO_RECORD_BYTES_MAX,
                             controller->settings.record_bytes_max,
                             &record_bytes_max) != FW_FIELD_PRESENT ||
        fw_cbor_map_unsigned(&map, FW_KEY_HELLO_TIME, (uint64_t)FW_INTEGER_MAX, &time) !=
            FW_FIELD_PRESENT ||
        fw_cbor_map_u32(&map, FW_KEY_HELLO_PING_INTERVAL_MS, &ping_interval_ms) !=
            FW_FIELD_PRESENT ||
        fw_cbor_map_u32(&map, FW_KEY_HELLO_ADDRESS, &address) != FW_FIELD_PRESENT ||
        record_bytes_max < FW_RECORD_BYTES_MIN || address != controller->settings.address) {
        fw_link_fail(controller, FW_CODE_MALFORMED);
        return;
    }
    uint32_t now_ms = fw_now(controller);
    fw_clock_hear(&controller->clock, now_ms, time);
    link->record_bytes_max = (uint16_t)record_bytes_max;
    link->ping_interval_ms = within(ping_interval_ms, PING_INTERVAL_MS_LEAST,
                                    PING_INTERVAL_MS_MOST);
    link->ping_at_ms = now_ms;
    link->state = FW_LINK_KEYED;
    link->since_ms = now_ms;
    link->announced = false;
    link->first_full = true;
    fw_commands_forget_receipts(&controller->commands);
    fw_status_full_begin(&controller->status, &controller->runner.points);
    if (controller->settings.clear) {
        /* Frames keep to what a record would hold. */
        fw_frame_reader_init(&link->frames, link->rx, link->record_bytes_max - FW_TAG_BYTES);
    } else {
        fw_record_reader_init(&link->records, &link->receiving, link->rx, sizeof link->rx,
                              link->record_bytes_max);
        link->sealed = true;
    }
}

/* Message 2, whose frame has been in rx since the secret began to be computed. The payload is opened
 * where it lies. */
static void open_message_2(fw_controller_t *controller)
{
    fw_link_t *link = &controller->link;
    const uint8_t *message = link->rx + FW_HEADER_BYTES;
    uint8_t *payload = link->rx + FW_HEADER_BYTES + FW_NOISE_KEY_BYTES;
    size_t payload_bytes = 0;
    fw_frame_header_t header;
    (void)fw_frame_header_decode(link->rx, &header);
    if (fw_noise_read_message_2(&link->handshake, message, header.payload_bytes, payload,
                                header.payload_bytes, &payload_bytes) != FW_NOISE_OK ||
        fw_noise_split(&link->handshake, &link->sending, &link->receiving) != FW_NOISE_OK) {
        fw_link_fail(controller, FW_CODE_HANDSHAKE_FAILED);
        return;
    }
    take_hello_reply(controller, payload, payload_bytes);
}

/* A slice of the shared secret; behind the last one, message 2 is read. */
static uint32_t agree(fw_controller_t *controller)
{
    fw_link_t *link = &controller->link;
    if (fw_noise_agree_slice(&link->handshake, &link->work)) {
        open_message_2(controller);
    }
    return FW_SCAN_INTERVAL_MS;
}

static void take_message_2(fw_controller_t *controller, const fw_frame_t *frame)
{
    fw_link_t *link = &controller->link;
    if (fw_noise_read_message_2_key(&link->handshake, frame->payload,
                                    frame->header.payload_bytes) != FW_NOISE_OK ||
        fw_noise_agree_begin(&link->handshake, &link->work) != FW_NOISE_OK) {
        fw_link_fail(controller, FW_CODE_HANDSHAKE_FAILED);
        return;
    }
    link->state = FW_LINK_AGREEING;
    (void)agree(controller);
}

static void take_greeting_frame(fw_controller_t *controller, const fw_frame_t *frame)
{
    const fw_frame_header_t *header = &frame->header;
    bool clear = controller->settings.clear;
    if (header->kind == FW_KIND_ERROR) {
        fw_answer_frame(controller, frame);
    } else if (header->source != FW_ADDRESS_GATEWAY ||
               header->destination != controller->settings.address) {
        fw_link_fail(controller, FW_CODE_MALFORMED);
    } else if (!clear && header->kind == FW_KIND_HANDSHAKE) {
        take_message_2(controller, frame);
    } else if (clear && header->kind == FW_KIND_HELLO && header->flags == FW_FLAG_REPLY) {
        take_hello_reply(controller, frame->payload, header->payload_bytes);
    } else {
        fw_link_fail(controller, FW_CODE_MALFORMED);
    }
}

/* ---- what comes in ---- */

static size_t receive_frames(fw_controller_t *controller, const uint8_t *bytes, size_t length)
{
    fw_link_t *link = &controller->link;
    size_t used = 0;
    fw_frame_t frame;
    fw_frame_fault_t fault = fw_frame_reader_push(&link->frames, bytes, length, &used, &frame);
    if (fault == FW_FRAME_OK) {
        if (link->state == FW_LINK_GREETING) {
            take_greeting_frame(controller, &frame);
        } else {
            fw_answer_frame(controller, &frame);
        }
    } else if (fault != FW_FRAME_INCOMPLETE) {
        fw_link_fail(controller, fw_frame_fault_code(fault));
    }
    return used;
}

static size_t receive_records(fw_controller_t *controller, const uint8_t *bytes, size_t length)
{
    fw_link_t *link = &controller->link;
    size_t used = 0;
    fw_record_fault_t fault = fw_record_reader_push(&link->records, bytes, length, &used);
    if (fault == FW_RECORD_OK) {
        fw_frame_t frame;
        while (fw_link_open(link) && fw_record_reader_frame(&link->records, &frame)) {
            fw_answer_frame(controller, &frame);
        }
    } else if (fault != FW_RECORD_INCOMPLETE) {
        fw_link_fail(controller, fw_record_fault_code(fault));
    }
    return used;
}

void fw_controller_receive(fw_controller_t *controller, const uint8_t *bytes, size_t length)
{
    fw_link_t *link = &controller->link;
    /* What follows the end of a link is not read. */
    while (length > 0u && (link->state == FW_LINK_GREETING || fw_link_open(link))) {
        size_t used = link->sealed ? receive_records(controller, bytes, length)
                                   : receive_frames(controller, bytes, length);
        bytes += used;
        length -= used;
    }
    if (length > 0u && link->state == FW_LINK_AGREEING) {
        /* The gateway may say nothing more before our first record, and rx has no room for it. */
        fw_link_fail(controller, FW_CODE_MALFORMED);
    }
    fw_send_pump(controller);
}
