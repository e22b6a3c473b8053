/*
 * answer.c: frames of an open link, and the answers to queries (docs/protocol.md section 6).
 *
 * An answer is noted here and written by send.c when there is room, from the state of that moment.
 */
#include "inside.h"

/* ---- noting ---- */

static void note(fw_controller_t *controller, fw_kind_t kind, const fw_frame_header_t *header,
                 uint16_t verb, fw_code_t code, uint32_t about)
{
    fw_link_t *link = &controller->link;
    if (header->correlation == 0u) {
        return; /* it wants no answer */
    }
    uint8_t room = header->source == FW_ADDRESS_GATEWAY ? FW_ANSWERS_MAX
                                                         : FW_ANSWERS_OF_TOOLS_MAX;
    if (link->answers_count >= room) {
        fw_log(controller, FW_LOG_WARN, "too many requests at once, one is dropped");
        return;
    }
    uint8_t tail = (uint8_t)((link->answers_head + link->answers_count) % FW_ANSWERS_MAX);
    link->answers[tail] = (fw_answer_t){.correlation = header->correlation,
                                        .destination = header->source,
                                        .about = about,
                                        .verb = verb,
                                        .kind = (uint8_t)kind,
                                        .code = (uint8_t)code};
    link->answers_count++;
}

/* ---- requests ---- */

static void take_outcome(fw_controller_t *controller, const fw_frame_header_t *header,
                         const fw_cbor_map_t *payload)
{
    fw_span_t key;
    if (fw_cbor_map_bytes(payload, FW_KEY_OUTCOME_KEY, FW_COMMAND_KEY_BYTES, FW_COMMAND_KEY_BYTES,
                          &key) != FW_FIELD_PRESENT) {
        note(controller, FW_KIND_RESPONSE, header, FW_VERB_OUTCOME, FW_CODE_BAD_FIELD, 0);
        return;
    }
    uint8_t entry = fw_commands_find(&controller->commands, key.bytes);
    uint32_t serial = entry == FW_OUTCOME_NONE ? 0u : controller->commands.outcomes[entry].serial;
    note(controller, FW_KIND_RESPONSE, header, FW_VERB_OUTCOME, FW_CODE_OK, serial);
}

/* Verbs about what is kept in flash. */
static bool is_of_keeper(uint16_t verb)
{
    return verb == FW_VERB_LOG || verb == FW_VERB_TRANSFER_READ ||
           (verb >= FW_VERB_TRANSFER_OPEN && verb <= FW_VERB_RESTART);
}

/* A request that takes longer has the one place for such until it is answered. */
static uint8_t take_kept(fw_controller_t *controller, const fw_frame_header_t *header,
                         const fw_cbor_map_t *payload, uint16_t verb, uint32_t *about)
{
    const fw_keeper_t *keeper = controller->keeper;
    fw_link_t *link = &controller->link;
    if (keeper == NULL) {
        return FW_CODE_UNSUPPORTED;
    }
    if (link->is_late) {
        return FW_CODE_BUSY;
    }
    uint8_t code = keeper->take(controller->keeper_ctx, header, verb, payload, about);
    if (code == FW_ANSWER_LATER) {
        link->is_late = true;
        link->late = (fw_answer_t){
            .correlation = header->correlation,
            .destination = header->source,
            .about = *about,
            .verb = verb};
    }
    return code;
}

/* Only the gateway may change keys: one of a tool's is a key that no gateway knows. Over the clear link
 * everybody would read it. */
static uint8_t take_rekey(fw_controller_t *controller, const fw_frame_header_t *header,
                          const fw_cbor_map_t *payload, uint32_t *about)
{
    fw_span_t key = {.bytes = NULL};
    if (header->source != FW_ADDRESS_GATEWAY) {
        return FW_CODE_NOT_GRANTED;
    }
    if (!controller->link.sealed) {
        return FW_CODE_UNSUPPORTED;
    }
    if (fw_cbor_map_bytes(payload, FW_KEY_REKEY_KEY, FW_LINK_KEY_BYTES, FW_LINK_KEY_BYTES, &key) ==
        FW_FIELD_BAD) {
        return FW_CODE_BAD_FIELD;
    }
    if (controller->keeper != NULL) {
        return take_kept(controller, header, payload, FW_VERB_REKEY, about);
    }
    fw_keys_t keys = controller->keys;
    if (fw_keys_change(&keys, controller->link.is_next, key.bytes)) {
        fw_controller_rekeyed(controller, &keys);
    } else {
        fw_controller_rekeyed_again(controller);
    }
    fw_keys_wipe(&keys);
    return FW_CODE_OK;
}

/* What is answered later, and what is done at once. */
static uint8_t take_inside(fw_controller_t *controller, const fw_frame_header_t *header,
                           const fw_cbor_map_t *payload, uint16_t verb, uint32_t *about)
{
    uint64_t from = 0;
    switch (verb) {
    case FW_VERB_IDENTIFY:
    case FW_VERB_DESCRIBE:
    case FW_VERB_SNAPSHOT:
    case FW_VERB_PARAMETERS:
    case FW_VERB_HEALTH:
        return FW_CODE_OK;
    case FW_VERB_VALUES:
        if (fw_cbor_map_unsigned(payload, FW_KEY_VALUES_FROM, UINT32_MAX, &from) == FW_FIELD_BAD) {
            return FW_CODE_BAD_FIELD;
        }
        *about = (uint32_t)from;
        return FW_CODE_OK;
    case FW_VERB_FORCE:
        return (uint8_t)fw_take_force(controller, payload);
    case FW_VERB_RELEASE:
        return (uint8_t)fw_take_release(controller, payload);
    case FW_VERB_REKEY:
        return take_rekey(controller, header, payload, about);
    default:
        return is_of_keeper(verb) ? take_kept(controller, header, payload, verb, about)
                                  : FW_CODE_UNSUPPORTED; /* a verb for gateways */
    }
}

static void take_verb(fw_controller_t *controller, const fw_frame_header_t *header,
                      const fw_cbor_map_t *payload)
{
    uint16_t verb = 0;
    fw_code_t code = fw_verb_read(payload, header->kind, &verb);
    if (code == FW_CODE_OK && verb == FW_VERB_OUTCOME) {
        take_outcome(controller, header, payload);
        return;
    }
    uint32_t about = 0;
    uint8_t answer = (uint8_t)code;
    if (code == FW_CODE_OK) {
        answer = take_inside(controller, header, payload, verb, &about);
    }
    if (answer != FW_ANSWER_LATER) {
        note(controller, FW_KIND_RESPONSE, header, verb, (fw_code_t)answer, about);
    }
}

static void take_request(fw_controller_t *controller, const fw_frame_t *frame)
{
    fw_cbor_map_t payload;
    if (fw_cbor_open(frame->payload, frame->header.payload_bytes, &payload) != FW_CBOR_OK) {
        /* Gateways route by header: a tool's bad payload must not cost us our link. */
        if (frame->header.source == FW_ADDRESS_GATEWAY) {
            fw_link_fail(controller, FW_CODE_MALFORMED);
        } else {
            note(controller, FW_KIND_RESPONSE, &frame->header, 0, FW_CODE_MALFORMED, 0);
        }
        return;
    }
    if (frame->header.kind != FW_KIND_COMMAND) {
        take_verb(controller, &frame->header, &payload);
        return;
    }
    fw_commands_scene_t scene = fw_scene(controller);
    fw_code_t code = fw_commands_take(&controller->commands, &scene, &frame->header, &payload);
    if (code != FW_CODE_OK) {
        uint16_t verb = 0;
        (void)fw_verb_read(&payload, FW_KIND_COMMAND, &verb);
        note(controller, FW_KIND_RESPONSE, &frame->header, verb, code, 0);
    }
}

/* ---- the link's own frames ---- */

static void take_ping(fw_controller_t *controller, const fw_frame_t *frame)
{
    fw_link_t *link = &controller->link;
    fw_cbor_map_t payload;
    uint64_t time = 0;
    if (fw_cbor_open(frame->payload, frame->header.payload_bytes, &payload) != FW_CBOR_OK) {
        fw_link_fail(controller, FW_CODE_MALFORMED);
        return;
    }
    if ((frame->header.flags & FW_FLAG_REPLY) == 0u) {
        note(controller, FW_KIND_PING, &frame->header, 0, FW_CODE_OK, 0);
        return;
    }
    if (!link->ping_open || frame->header.correlation != link->ping_correlation) {
        return;
    }
    link->ping_open = false;
    if (fw_cbor_map_unsigned(&payload, FW_KEY_PING_TIME, (uint64_t)FW_INTEGER_MAX, &time) ==
        FW_FIELD_PRESENT) {
        fw_clock_hear(&controller->clock, fw_now(controller), time);
    }
}

/* The gateway says why it will close; waiting for that would only cost time. */
static void take_error(fw_controller_t *controller, const fw_frame_t *frame)
{
    fw_cbor_map_t payload;
    uint64_t code = UINT16_MAX;
    if (fw_cbor_open(frame->payload, frame->header.payload_bytes, &payload) == FW_CBOR_OK) {
        (void)fw_cbor_map_unsigned(&payload, FW_KEY_ERROR_CODE, UINT16_MAX, &code);
    }
    fw_log(controller, FW_LOG_WARN, "the gateway ends the link:");
    fw_log(controller, FW_LOG_WARN, fw_code_name((uint32_t)code));
    fw_link_close(controller, true);
}

/* The gateway has an event, wants it later, or never. */
static void take_response(fw_controller_t *controller, const fw_frame_t *frame)
{
    fw_link_t *link = &controller->link;
    fw_cbor_map_t payload;
    uint64_t code = FW_CODE_MALFORMED;
    uint32_t last = 0;
    if (link->event == 0u || frame->header.correlation != link->event_correlation) {
        return;
    }
    if (fw_cbor_open(frame->payload, frame->header.payload_bytes, &payload) != FW_CBOR_OK) {
        fw_link_fail(controller, FW_CODE_MALFORMED);
        return;
    }
    (void)fw_cbor_map_unsigned(&payload, FW_KEY_RESPONSE_CODE, UINT8_MAX, &code);
    if (code == FW_CODE_BUSY || code == FW_CODE_STORE_UNAVAILABLE) {
        fw_link_tell_event_later(controller);
        return;
    }
    bool has_arrived = code == FW_CODE_OK &&
                       fw_cbor_map_u32(&payload, FW_KEY_EVENT_LAST, &last) == FW_FIELD_PRESENT;
    if (!has_arrived) {
        fw_log(controller, FW_LOG_WARN, "the gateway does not take an event, it is given up");
    }
    uint32_t number = link->event;
    link->event = 0;
    controller->keeper->event_arrived(controller->keeper_ctx, number, has_arrived ? last : number);
}

void fw_controller_answer(fw_controller_t *controller, fw_code_t code, uint32_t about)
{
    fw_link_t *link = &controller->link;
    if (!link->is_late) {
        return; /* the link that it was for is gone */
    }
    link->is_late = false;
    const fw_frame_header_t header = {.correlation = link->late.correlation,
                                      .source = link->late.destination};
    note(controller, FW_KIND_RESPONSE, &header, link->late.verb, code, about);
}

void fw_controller_tell_events(fw_controller_t *controller)
{
    controller->link.has_event = true;
}

void fw_answer_frame(fw_controller_t *controller, const fw_frame_t *frame)
{
    const fw_frame_header_t *header = &frame->header;
    bool gateway = header->source == FW_ADDRESS_GATEWAY;
    if (header->destination != controller->settings.address) {
        fw_log(controller, FW_LOG_WARN, "a frame for another address came here");
        return;
    }
    switch (header->kind) {
    case FW_KIND_QUERY:
    case FW_KIND_COMMAND:
    case FW_KIND_CONFIGURE:
    case FW_KIND_ADMIN:
        take_request(controller, frame);
        break;
    case FW_KIND_PING:
        if (gateway) {
            take_ping(controller, frame);
        }
        break;
    case FW_KIND_ERROR:
        if (gateway) {
            take_error(controller, frame);
        }
        break;
    case FW_KIND_HELLO:
    case FW_KIND_HANDSHAKE:
        fw_link_fail(controller, FW_CODE_MALFORMED);
        break;
    case FW_KIND_RESPONSE:
        if (gateway) {
            take_response(controller, frame);
        }
        break;
    default:
        break; /* events, status and receipts: nothing here asks for them */
    }
}

/* ---- writing ---- */

static void write_identify(const fw_controller_t *controller, fw_cbor_writer_t *writer)
{
    fw_cbor_put_string(writer, FW_KEY_IDENTIFY_TITLE, controller->settings.title);
    fw_cbor_put_string(writer, FW_KEY_IDENTIFY_SOFTWARE, controller->settings.software);
    fw_cbor_put_unsigned(writer, FW_KEY_IDENTIFY_PEER_KIND, FW_PEER_KIND_CONTROLLER);
}

static void write_describe(const fw_controller_t *controller, fw_cbor_writer_t *writer)
{
    const fw_program_t *program = &controller->runner.vm.program;
    fw_cbor_put_string(writer, FW_KEY_DESCRIBE_BEHAVIOUR, controller->script_title);
    fw_cbor_write_unsigned(writer, FW_KEY_DESCRIBE_COMMANDS);
    size_t mark = fw_cbor_array_begin(writer);
    uint16_t at = 0;
    uint8_t number = 0;
    fw_signature_t signature;
    while (fw_program_next_command(program, &at, &number, &signature)) {
        uint8_t text[FW_TEXT_BYTES_MAX];
        fw_cbor_write_text(writer, (const char *)text, fw_signature_text(&signature, text));
    }
    fw_cbor_array_end(writer, mark, number);
}

/* Returns the number of pairs written. */
static size_t write_outcome(const fw_controller_t *controller, const fw_answer_t *answer,
                            fw_cbor_writer_t *writer)
{
    fw_cbor_put_unsigned(writer, FW_KEY_OUTCOME_BOOT_ID, controller->status.boot_id);
    uint8_t entry = FW_OUTCOME_NONE;
    if (answer->about != 0u) {
        entry = fw_commands_find_serial(&controller->commands, answer->about);
    }
    if (entry == FW_OUTCOME_NONE) {
        return 1;
    }
    const fw_outcome_t *outcome = &controller->commands.outcomes[entry];
    bool reason = outcome->reason != FW_CODE_OK;
    fw_cbor_put_unsigned(writer, FW_KEY_OUTCOME_STAGE, outcome->stage);
    if (reason) {
        fw_cbor_put_unsigned(writer, FW_KEY_OUTCOME_REASON, outcome->reason);
    }
    fw_cbor_put_bool(writer, FW_KEY_OUTCOME_FINAL, outcome->final);
    return reason ? 4u : 3u;
}

void fw_answer_write(const fw_controller_t *controller, const fw_answer_t *answer,
                     fw_cbor_writer_t *writer, uint32_t *next)
{
    *next = 0;
    size_t mark = fw_cbor_map_begin(writer);
    size_t pairs = 0;
    if (answer->kind == FW_KIND_RESPONSE) {
        const fw_keeper_t *keeper = controller->keeper;
        bool is_kept = keeper != NULL && is_of_keeper(answer->verb);
        const char *detail = is_kept && answer->code != FW_CODE_OK
                                 ? keeper->detail(controller->keeper_ctx, answer)
                                 : NULL;
        fw_cbor_put_unsigned(writer, FW_KEY_RESPONSE_CODE, answer->code);
        if (detail != NULL) {
            fw_cbor_put_string(writer, FW_KEY_RESPONSE_DETAIL, detail);
        }
        fw_cbor_put_unsigned(writer, FW_KEY_VERB, answer->verb);
        pairs = detail != NULL ? 3u : 2u;
        if (answer->code != FW_CODE_OK) {
            /* The fields of a verb stand only beside code 0. */
        } else if (is_kept) {
            pairs += keeper->tell(controller->keeper_ctx, answer, writer);
        } else if (answer->verb == FW_VERB_IDENTIFY) {
            write_identify(controller, writer);
            pairs += 3u;
        } else if (answer->verb == FW_VERB_DESCRIBE) {
            write_describe(controller, writer);
            pairs += 2u;
        } else if (answer->verb == FW_VERB_OUTCOME) {
            pairs += write_outcome(controller, answer, writer);
        } else if (answer->verb == FW_VERB_PARAMETERS) {
            pairs += fw_tell_parameters(controller, writer, answer->about, next);
        } else if (answer->verb == FW_VERB_VALUES) {
            pairs += fw_tell_values(controller, writer, answer->about);
        } else if (answer->verb == FW_VERB_HEALTH) {
            pairs += fw_tell_health(controller, writer);
        }
    }
    fw_cbor_map_end(writer, mark, pairs);
}
