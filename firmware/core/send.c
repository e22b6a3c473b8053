/*
 * send.c: what leaves.
 *
 * There is no outbound queue. One buffer holds one record; when the port has done with it, the next
 * is made of whatever is due at that moment, by urgency: announce, status pages, a ping, receipts,
 * answers, a delta; in every other record the delta goes before the answers. Receipts are bounded by
 * the commands in flight, answers only by how fast somebody asks: so they wait. A slow link so costs freshness, never memory.
 */
#include "inside.h"

/* Frames being packed, at their place in tx. */
typedef struct {
    uint8_t *at;
    size_t room;
    size_t used;
} bundle_t;

static fw_cbor_writer_t frame_begin(const bundle_t *bundle)
{
    fw_cbor_writer_t writer;
    size_t left = bundle->room - bundle->used;
    if (left > FW_HEADER_BYTES) {
        fw_cbor_writer_init(&writer, bundle->at + bundle->used + FW_HEADER_BYTES,
                            left - FW_HEADER_BYTES);
    } else {
        fw_cbor_writer_init(&writer, bundle->at, 0);
    }
    return writer;
}

/* Puts the header before the payload written since frame_begin; false if it did not fit. */
static bool frame_end(bundle_t *bundle, const fw_cbor_writer_t *writer, fw_frame_header_t header)
{
    if (writer->failed) {
        return false;
    }
    header.payload_bytes = (uint16_t)writer->length;
    fw_frame_header_encode(&header, bundle->at + bundle->used);
    bundle->used += FW_HEADER_BYTES + writer->length;
    return true;
}

static fw_frame_header_t header_to(const fw_controller_t *controller, fw_kind_t kind,
                                   uint32_t destination, uint32_t correlation)
{
    return (fw_frame_header_t){.kind = (uint8_t)kind,
                               .correlation = correlation,
                               .source = controller->settings.address,
                               .destination = destination};
}

static fw_status_time_t status_time(fw_controller_t *controller)
{
    fw_status_time_t time = {.uptime_ms = controller->uptime_ms};
    time.time_known = fw_clock_now(&controller->clock, fw_now(controller), &time.time);
    return time;
}

/* ---- one function for each thing that may be due ---- */

static bool add_error(fw_controller_t *controller, bundle_t *bundle)
{
    fw_link_t *link = &controller->link;
    fw_cbor_writer_t writer = frame_begin(bundle);
    fw_cbor_write_map(&writer, 2);
    fw_cbor_put_unsigned(&writer, FW_KEY_ERROR_CODE, link->closing_code);
    fw_cbor_put_string(&writer, FW_KEY_ERROR_TEXT, fw_code_name(link->closing_code));
    return frame_end(bundle, &writer,
                     header_to(controller, FW_KIND_ERROR, FW_ADDRESS_GATEWAY, 0));
}

static bool add_announce(fw_controller_t *controller, bundle_t *bundle)
{
    fw_link_t *link = &controller->link;
    const fw_settings_t *settings = &controller->settings;
    fw_cbor_writer_t writer = frame_begin(bundle);
    fw_cbor_write_map(&writer, 6);
    fw_cbor_put_unsigned(&writer, FW_KEY_VERB, FW_VERB_ANNOUNCE);
    fw_cbor_put_unsigned(&writer, FW_KEY_ANNOUNCE_BOOT_ID, controller->status.boot_id);
    fw_cbor_put_unsigned(&writer, FW_KEY_ANNOUNCE_FEATURES, FW_FEATURE_SCRIPT | (link->sealed ? FW_FEATURE_NOISE : 0u));
    fw_cbor_put_string(&writer, FW_KEY_ANNOUNCE_SOFTWARE, settings->software);
    fw_cbor_put_string(&writer, FW_KEY_ANNOUNCE_BOARD, settings->board);
    fw_cbor_put_unsigned(&writer, FW_KEY_ANNOUNCE_LAYOUT, controller->status.layout);
    link->announced = frame_end(bundle, &writer,
                                header_to(controller, FW_KIND_EVENT, FW_ADDRESS_GATEWAY, 0));
    return link->announced;
}

static bool add_page(fw_controller_t *controller, bundle_t *bundle)
{
    fw_link_t *link = &controller->link;
    fw_cbor_writer_t writer = frame_begin(bundle);
    bool more = false;
    size_t payload_bytes_max = link->record_bytes_max - FW_TAG_BYTES - FW_HEADER_BYTES;
    if (!fw_status_full_write(&controller->status, &controller->runner.points, status_time(controller),
                              payload_bytes_max, &writer, &more)) {
        return false;
    }
    fw_frame_header_t header =
        header_to(controller, FW_KIND_STATUS_FULL, FW_ADDRESS_GATEWAY, 0);
    header.flags = more ? FW_FLAG_MORE : 0u;
    (void)frame_end(bundle, &writer, header);
    if (!more && link->first_full) {
        link->first_full = false;
        link->state = FW_LINK_LIVE;
        link->since_ms = fw_now(controller);
    }
    return true;
}

/* `*next` is what a following page begins with; 0 = the answer is whole. */
static bool write_answer(fw_controller_t *controller, bundle_t *bundle, const fw_answer_t *answer,
                         uint32_t *next)
{
    fw_cbor_writer_t writer = frame_begin(bundle);
    fw_answer_write(controller, answer, &writer, next);
    fw_frame_header_t header = header_to(controller, (fw_kind_t)answer->kind, answer->destination,
                                         answer->correlation);
    header.flags = (uint8_t)((answer->kind == FW_KIND_PING ? FW_FLAG_REPLY : 0u) |
                             (*next != 0u ? FW_FLAG_MORE : 0u));
    return frame_end(bundle, &writer, header);
}

static bool add_answer(fw_controller_t *controller, bundle_t *bundle)
{
    fw_link_t *link = &controller->link;
    fw_answer_t *answer = &link->answers[link->answers_head];
    if (answer->verb == FW_VERB_SNAPSHOT && answer->code == FW_CODE_OK && !link->full_asked) {
        link->full_asked = true;
        fw_status_full_begin(&controller->status, &controller->runner.points);
        return add_page(controller, bundle);
    }
    uint32_t next = 0;
    bool written = write_answer(controller, bundle, answer, &next);
    if (!written && bundle->used == 0u && answer->code == FW_CODE_OK) {
        /* It does not fit even alone: say so, rather than block what waits behind it. */
        answer->code = FW_CODE_TOO_LARGE;
        written = write_answer(controller, bundle, answer, &next);
    }
    if (!written) {
        return false;
    }
    if (next != 0u) {
        answer->about = next; /* its next page is the next answer */
        return true;
    }
    link->full_asked = false;
    link->answers_head = (uint8_t)((link->answers_head + 1u) % FW_ANSWERS_MAX);
    link->answers_count--;
    return true;
}

static bool add_receipt(fw_controller_t *controller, bundle_t *bundle, uint8_t entry)
{
    fw_outcome_t *outcome = &controller->commands.outcomes[entry];
    fw_cbor_writer_t writer = frame_begin(bundle);
    fw_commands_receipt_write(outcome, &controller->runner.vm.program, &writer);
    if (!frame_end(bundle, &writer,
                   header_to(controller, FW_KIND_RECEIPT, outcome->source,
                             outcome->correlation))) {
        return false;
    }
    outcome->unsent = false;
    return true;
}

/* The oldest event that has not arrived, one at a time. */
static bool add_event(fw_controller_t *controller, bundle_t *bundle)
{
    fw_link_t *link = &controller->link;
    const fw_keeper_t *keeper = controller->keeper;
    bool may = keeper != NULL && link->state == FW_LINK_LIVE && link->has_event &&
               !link->event_waits && link->event == 0u;
    if (!may) {
        return false;
    }
    fw_cbor_writer_t writer = frame_begin(bundle);
    uint32_t number = 0;
    link->has_event = keeper->event(controller->keeper_ctx, &writer, &number);
    if (!link->has_event) {
        return false;
    }
    uint32_t correlation = fw_link_next_correlation(link);
    if (!frame_end(bundle, &writer,
                   header_to(controller, FW_KIND_EVENT, FW_ADDRESS_GATEWAY, correlation))) {
        return false;
    }
    link->event = number;
    link->event_correlation = correlation;
    link->event_ms = fw_now(controller);
    return true;
}

static bool add_ping(fw_controller_t *controller, bundle_t *bundle)
{
    fw_link_t *link = &controller->link;
    fw_cbor_writer_t writer = frame_begin(bundle);
    fw_cbor_write_map(&writer, 0);
    if (writer.failed) {
        return false;
    }
    link->ping_correlation = fw_link_next_correlation(link);
    link->ping_due = false;
    link->ping_open = true;
    return frame_end(bundle, &writer, header_to(controller, FW_KIND_PING, FW_ADDRESS_GATEWAY,
                                                link->ping_correlation));
}

static bool add_delta(fw_controller_t *controller, bundle_t *bundle)
{
    if (fw_status_delta_due_ms(&controller->status, &controller->runner.points, fw_now(controller)) !=
        0u) {
        return false;
    }
    fw_cbor_writer_t writer = frame_begin(bundle);
    return fw_status_delta_write(&controller->status, &controller->runner.points,
                                 status_time(controller), fw_now(controller), &writer) &&
           frame_end(bundle, &writer,
                     header_to(controller, FW_KIND_STATUS_DELTA, FW_ADDRESS_GATEWAY, 0));
}

/* Adds the most urgent frame; false when nothing is due, or it has no room here. */
static bool add_next(fw_controller_t *controller, bundle_t *bundle)
{
    fw_link_t *link = &controller->link;
    if (link->state == FW_LINK_CLOSING) {
        return bundle->used == 0u && link->closing_code != FW_CODE_OK &&
               add_error(controller, bundle);
    }
    if (!fw_link_open(link)) {
        return false;
    }
    if (!link->announced) {
        return add_announce(controller, bundle);
    }
    if (controller->status.full) {
        return add_page(controller, bundle);
    }
    /* Before the answers: whoever asks faster than they can leave must not end the link. */
    if (link->ping_due) {
        return add_ping(controller, bundle);
    }
    uint8_t entry = fw_commands_unsent(&controller->commands);
    if (entry != FW_OUTCOME_NONE) {
        return add_receipt(controller, bundle, entry);
    }
    if (add_event(controller, bundle)) {
        return true;
    }
    if (link->delta_first && add_delta(controller, bundle)) {
        return true;
    }
    if (link->answers_count > 0u) {
        return add_answer(controller, bundle);
    }
    return add_delta(controller, bundle);
}

/* ---- tx ---- */

/* Fills the empty tx with what is due; false if that is nothing. */
static bool fill(fw_controller_t *controller)
{
    fw_link_t *link = &controller->link;
    size_t prefix = link->sealed ? FW_RECORD_PREFIX_BYTES : 0u;
    /* Before the hello reply no size is agreed; an error frame then has the smallest. */
    size_t record = fw_link_open(link) ? link->record_bytes_max : FW_RECORD_BYTES_MIN;
    bundle_t bundle = {.at = link->tx + prefix, .room = record - FW_TAG_BYTES};
    link->delta_first = !link->delta_first;
    while (add_next(controller, &bundle)) {
        if (link->state == FW_LINK_CLOSING) {
            link->closing_code = FW_CODE_OK;
        }
    }
    if (bundle.used == 0u) {
        return false;
    }
    size_t bytes = bundle.used;
    if (link->sealed && fw_record_seal(&link->sending, link->tx, sizeof link->tx, bundle.used,
                                       record, &bytes) != FW_RECORD_OK) {
        fw_log(controller, FW_LOG_WARN, "this link has sent all the records it may");
        fw_link_close(controller, true);
        return false;
    }
    link->filled = (uint16_t)bytes;
    link->sent = 0;
    return true;
}

/* Hands tx to the port; false if it takes nothing now. */
static bool offer(fw_controller_t *controller)
{
    fw_link_t *link = &controller->link;
    int32_t taken = controller->port->send(controller->port->ctx, link->tx + link->sent,
                                           (size_t)(link->filled - link->sent));
    if (taken < 0) {
        fw_link_close(controller, true);
        return false;
    }
    if (taken == 0) {
        return false;
    }
    link->sent = (uint16_t)(link->sent + taken);
    link->port_busy = true;
    return true;
}

void fw_send_pump(fw_controller_t *controller)
{
    fw_link_t *link = &controller->link;
    while (link->state != FW_LINK_CLOSED && !link->port_busy) {
        if (link->sent == link->filled) {
            link->sent = 0;
            link->filled = 0;
            if (!fill(controller)) {
                if (link->state == FW_LINK_CLOSING && link->closing_code == FW_CODE_OK) {
                    fw_link_close(controller, true);
                }
                return;
            }
        }
        if (!offer(controller)) {
            return;
        }
    }
}

bool fw_send_greeting(fw_controller_t *controller)
{
    fw_link_t *link = &controller->link;
    fw_frame_reader_init(&link->frames, link->rx, sizeof link->message_2);
    bundle_t bundle = {.at = link->tx, .room = sizeof link->tx};
    fw_cbor_writer_t writer = frame_begin(&bundle);
    fw_cbor_write_map(&writer, 2);
    fw_cbor_put_unsigned(&writer, FW_KEY_HELLO_VERSION, FW_LINK_VERSION);
    fw_cbor_put_unsigned(&writer, FW_KEY_HELLO_RECORD_BYTES_MAX, controller->settings.record_bytes_max);
    if (!frame_end(&bundle, &writer,
                   header_to(controller, FW_KIND_HELLO, FW_ADDRESS_GATEWAY, 0))) {
        return false;
    }
    if (!controller->settings.clear) {
        uint8_t *frame = link->tx + bundle.used;
        fw_frame_header_t header =
            header_to(controller, FW_KIND_HANDSHAKE, FW_ADDRESS_GATEWAY, 0);
        header.payload_bytes = FW_NOISE_MESSAGE_1_BYTES;
        fw_frame_header_encode(&header, frame);
        link->is_next = link->tries_next;
        const uint8_t *key = fw_keys_choose(&controller->keys, link->is_next);
        if (fw_noise_start(&link->handshake, FW_NOISE_INITIATOR, key, link->tx, bundle.used,
                           &link->ephemeral) != FW_NOISE_OK ||
            fw_noise_write_message_1(&link->handshake, frame + FW_HEADER_BYTES) != FW_NOISE_OK) {
            return false;
        }
        bundle.used += FW_HEADER_BYTES + FW_NOISE_MESSAGE_1_BYTES;
    }
    link->filled = (uint16_t)bundle.used;
    link->sent = 0;
    return true;
}
