/*
 * commands.c: keys, queue, expiry and receipts. See commands.h.
 */
#include "commands.h"

void fw_commands_init(fw_commands_t *commands)
{
    commands->serial = 0;
    commands->executed = 0;
    commands->has_adjusted = false;
    commands->kept = 0;
    commands->head = 0;
    commands->queued = 0;
}

uint8_t fw_commands_find(const fw_commands_t *commands, const uint8_t key[FW_COMMAND_KEY_BYTES])
{
    for (uint8_t i = 0; i < commands->kept; i++) {
        if (fw_equal(commands->outcomes[i].key, key, FW_COMMAND_KEY_BYTES)) {
            return i;
        }
    }
    return FW_OUTCOME_NONE;
}

uint8_t fw_commands_find_serial(const fw_commands_t *commands, uint32_t serial)
{
    for (uint8_t i = 0; i < commands->kept; i++) {
        if (commands->outcomes[i].serial == serial) {
            return i;
        }
    }
    return FW_OUTCOME_NONE;
}

/* An entry for a new key: a free one, or the oldest that is final. */
static uint8_t entry_for_new(fw_commands_t *commands)
{
    if (commands->kept < FW_OUTCOMES_KEPT) {
        return commands->kept++;
    }
    uint8_t oldest = FW_OUTCOME_NONE;
    uint32_t age_most = 0;
    for (uint8_t i = 0; i < commands->kept; i++) {
        uint32_t age = commands->serial - commands->outcomes[i].serial;
        if (commands->outcomes[i].final && (oldest == FW_OUTCOME_NONE || age > age_most)) {
            oldest = i;
            age_most = age;
        }
    }
    return oldest;
}

static void advance(fw_outcome_t *outcome, const fw_commands_scene_t *scene, fw_stage_t stage,
                    fw_code_t reason, bool final)
{
    outcome->stage = (uint8_t)stage;
    outcome->reason = (uint8_t)reason;
    outcome->at = scene->time_known ? scene->time : 0u;
    outcome->final = final;
    outcome->unsent = !outcome->is_from_here;
}

fw_code_t fw_commands_resolve_set(const fw_commands_scene_t *scene, fw_span_t name, int64_t value,
                                  fw_queued_t *queued)
{
    uint8_t index = fw_points_find(scene->points, name);
    if (index == FW_POINT_NONE) {
        return FW_CODE_UNKNOWN_POINT;
    }
    const fw_point_t *point = &scene->points->at[index];
    if ((point->flags & FW_POINT_MANUAL) == 0u) {
        return FW_CODE_NOT_MANUAL;
    }
    bool is_within = fw_point_type_is_analogue(point->type)
                         ? value >= INT32_MIN && value <= INT32_MAX
                         : value == 0 || value == 1;
    if (!is_within) {
        return FW_CODE_OUT_OF_RANGE;
    }
    queued->kind = FW_COMMAND_SET;
    queued->index = index;
    queued->arguments[0] = (int32_t)value;
    return FW_CODE_OK;
}

fw_code_t fw_commands_resolve_adjust(const fw_commands_scene_t *scene, fw_span_t name,
                                     int64_t value, fw_queued_t *queued)
{
    uint16_t at = 0;
    fw_record_t record;
    while (fw_program_next_of(scene->program, &at, FW_RECORD_PARAMETER, &record)) {
        if (!fw_record_is(&record, name)) {
            continue;
        }
        if (value < (int32_t)record.words[2] || value > (int32_t)record.words[3]) {
            return FW_CODE_OUT_OF_RANGE;
        }
        queued->kind = FW_COMMAND_ADJUST;
        queued->index = record.a;
        queued->arguments[0] = (int32_t)value;
        return FW_CODE_OK;
    }
    return FW_CODE_UNKNOWN_POINT;
}

static bool find_command(const fw_program_t *program, fw_span_t name, fw_signature_t *signature)
{
    uint16_t at = 0;
    uint8_t number = 0;
    while (fw_program_next_command(program, &at, &number, signature)) {
        if (fw_record_is(&signature->record, name)) {
            return true;
        }
    }
    return false;
}

fw_code_t fw_commands_resolve_call(const fw_commands_scene_t *scene, fw_span_t name,
                                   const int64_t *arguments, uint8_t count, fw_queued_t *queued)
{
    fw_signature_t signature;
    if (!find_command(scene->program, name, &signature)) {
        return FW_CODE_UNKNOWN_COMMAND;
    }
    if (count != signature.arguments_count) {
        return FW_CODE_BAD_FIELD;
    }
    for (uint8_t i = 0; i < count; i++) {
        const uint32_t *range = signature.arguments[i].words;
        if (arguments[i] < (int32_t)range[0] || arguments[i] > (int32_t)range[1]) {
            return FW_CODE_OUT_OF_RANGE;
        }
        queued->arguments[i] = (int32_t)arguments[i];
    }
    queued->kind = FW_COMMAND_CALL;
    queued->index = signature.number;
    return FW_CODE_OK;
}

_Static_assert((int)FW_KEY_SET_POINT == (int)FW_KEY_ADJUST_PARAMETER &&
                   (int)FW_KEY_SET_VALUE == (int)FW_KEY_ADJUST_VALUE,
               "a set and an adjust look alike");

/* A name and a value: of a `set`, or of an `adjust`. */
static fw_code_t read_set(const fw_commands_scene_t *scene, const fw_cbor_map_t *payload,
                          bool is_adjust, fw_queued_t *queued)
{
    fw_span_t name;
    int64_t value = 0;
    if (fw_cbor_map_name(payload, FW_KEY_SET_POINT, &name) != FW_FIELD_PRESENT ||
        fw_cbor_map_integer(payload, FW_KEY_SET_VALUE, -FW_INTEGER_MAX, FW_INTEGER_MAX, &value) !=
            FW_FIELD_PRESENT) {
        return FW_CODE_BAD_FIELD;
    }
    return is_adjust ? fw_commands_resolve_adjust(scene, name, value, queued)
                     : fw_commands_resolve_set(scene, name, value, queued);
}

static fw_code_t read_call(const fw_commands_scene_t *scene, const fw_cbor_map_t *payload,
                           fw_queued_t *queued)
{
    fw_span_t name;
    fw_cbor_list_t list;
    int64_t arguments[FW_ARGUMENTS_MAX];
    uint8_t count = 0;
    if (fw_cbor_map_name(payload, FW_KEY_CALL_COMMAND, &name) != FW_FIELD_PRESENT ||
        fw_cbor_map_list(payload, FW_KEY_CALL_ARGUMENTS, FW_ARGUMENTS_MAX, &list) !=
            FW_FIELD_PRESENT) {
        return FW_CODE_BAD_FIELD;
    }
    fw_cbor_item_t item;
    while (fw_cbor_next(&list, &item)) {
        if (item.type != FW_CBOR_UNSIGNED && item.type != FW_CBOR_NEGATIVE) {
            return FW_CODE_BAD_FIELD;
        }
        arguments[count++] = item.integer; /* the list has no more than fit */
    }
    return fw_commands_resolve_call(scene, name, arguments, count, queued);
}

uint8_t fw_verb_kind(uint64_t verb)
{
    switch (verb) {
    case FW_VERB_IDENTIFY:
    case FW_VERB_DESCRIBE:
    case FW_VERB_SNAPSHOT:
    case FW_VERB_OUTCOME:
    case FW_VERB_SUBSCRIBE:
    case FW_VERB_UNSUBSCRIBE:
    case FW_VERB_LOOKUP:
    case FW_VERB_RECEIPT:
    case FW_VERB_PARAMETERS:
    case FW_VERB_VALUES:
    case FW_VERB_LOG:
    case FW_VERB_HEALTH:
    case FW_VERB_TRANSFER_READ:
        return FW_KIND_QUERY;
    case FW_VERB_SET:
    case FW_VERB_CALL:
    case FW_VERB_ADJUST:
        return FW_KIND_COMMAND;
    case FW_VERB_ENROL:
    case FW_VERB_FORCE:
    case FW_VERB_RELEASE:
    case FW_VERB_TRANSFER_OPEN:
    case FW_VERB_TRANSFER_WRITE:
    case FW_VERB_TRANSFER_COMMIT:
    case FW_VERB_TRIAL:
    case FW_VERB_RESTART:
        return FW_KIND_CONFIGURE;
    case FW_VERB_REKEY:
        return FW_KIND_ADMIN;
    case FW_VERB_ANNOUNCE:
    case FW_VERB_PRESENCE:
    case FW_VERB_NOTE:
    case FW_VERB_HAPPENED:
    case FW_VERB_ALARM:
        return FW_KIND_EVENT;
    default:
        return 0;
    }
}

fw_code_t fw_verb_read(const fw_cbor_map_t *payload, uint8_t kind, uint16_t *verb)
{
    uint64_t number = 0;
    *verb = 0;
    if (fw_cbor_map_unsigned(payload, FW_KEY_VERB, UINT16_MAX, &number) != FW_FIELD_PRESENT) {
        return FW_CODE_BAD_FIELD;
    }
    *verb = (uint16_t)number;
    uint8_t own = fw_verb_kind(number);
    if (own == 0u) {
        return FW_CODE_UNSUPPORTED;
    }
    return own == kind ? FW_CODE_OK : FW_CODE_WRONG_KIND;
}

/* Reads and checks what follows the verb, which is one for commands. */
static fw_code_t read_command(const fw_commands_scene_t *scene, const fw_cbor_map_t *payload,
                              uint16_t verb, fw_queued_t *queued)
{
    if (fw_cbor_map_unsigned(payload, FW_KEY_REQUEST_EXPIRY, (uint64_t)FW_INTEGER_MAX,
                             &queued->expiry) != FW_FIELD_PRESENT) {
        return FW_CODE_BAD_FIELD;
    }
    fw_code_t code = verb == FW_VERB_CALL
                         ? read_call(scene, payload, queued)
                         : read_set(scene, payload, verb == FW_VERB_ADJUST, queued);
    if (code == FW_CODE_OK && scene->time_known &&
        queued->expiry > scene->time + FW_EXPIRY_MS_MAX + FW_EXPIRY_SLACK_MS) {
        code = FW_CODE_OUT_OF_RANGE;
    }
    return code;
}

/* A command waits for its scan. */
static void enqueue(fw_commands_t *commands, const fw_commands_scene_t *scene, uint8_t entry,
                    fw_queued_t queued)
{
    queued.outcome = entry;
    uint8_t tail = (uint8_t)((commands->head + commands->queued) % FW_COMMAND_QUEUE);
    commands->queue[tail] = queued;
    commands->queued++;
    advance(&commands->outcomes[entry], scene, FW_STAGE_DELIVERED, FW_CODE_OK, false);
}

fw_code_t fw_commands_take(fw_commands_t *commands, const fw_commands_scene_t *scene,
                           const fw_frame_header_t *header, const fw_cbor_map_t *payload)
{
    fw_span_t key;
    uint16_t verb = 0;
    fw_code_t code = fw_verb_read(payload, FW_KIND_COMMAND, &verb);
    if (fw_cbor_map_bytes(payload, FW_KEY_REQUEST_KEY, FW_COMMAND_KEY_BYTES, FW_COMMAND_KEY_BYTES,
                          &key) != FW_FIELD_PRESENT) {
        return code != FW_CODE_OK ? code : FW_CODE_BAD_FIELD;
    }
    uint8_t entry = fw_commands_find(commands, key.bytes);
    if (entry != FW_OUTCOME_NONE) {
        /* Asked again: the latest receipt is repeated, to whoever asked last. */
        commands->outcomes[entry].source = header->source;
        commands->outcomes[entry].correlation = header->correlation;
        commands->outcomes[entry].unsent = true;
        return FW_CODE_OK;
    }
    fw_queued_t queued = {.kind = FW_COMMAND_CALL};
    if (code == FW_CODE_OK) {
        code = read_command(scene, payload, verb, &queued);
    }
    if (code == FW_CODE_OK && commands->queued == FW_COMMAND_QUEUE) {
        code = FW_CODE_BUSY;
    }
    entry = entry_for_new(commands);
    if (entry == FW_OUTCOME_NONE) {
        return FW_CODE_BUSY; /* all that are kept are under way: this one cannot be, so it has no receipt */
    }
    fw_outcome_t *outcome = &commands->outcomes[entry];
    fw_copy(outcome->key, key.bytes, FW_COMMAND_KEY_BYTES);
    outcome->source = header->source;
    outcome->correlation = header->correlation;
    outcome->serial = ++commands->serial;
    outcome->is_from_here = false;
    outcome->refused = FW_OUTCOME_NONE;
    if (code != FW_CODE_OK) {
        advance(outcome, scene, FW_STAGE_REFUSED, code, true);
        return FW_CODE_OK;
    }
    enqueue(commands, scene, entry, queued);
    return FW_CODE_OK;
}

uint32_t fw_commands_take_here(fw_commands_t *commands, const fw_commands_scene_t *scene,
                               uint32_t own_address, const fw_queued_t *queued)
{
    uint8_t entry = commands->queued == FW_COMMAND_QUEUE ? FW_OUTCOME_NONE : entry_for_new(commands);
    if (entry == FW_OUTCOME_NONE) {
        return 0;
    }
    fw_outcome_t *outcome = &commands->outcomes[entry];
    *outcome = (fw_outcome_t){
        .source = own_address,
        .serial = ++commands->serial,
        .is_from_here = true,
        .refused = FW_OUTCOME_NONE};
    fw_store_u32(outcome->key, outcome->serial);
    enqueue(commands, scene, entry, *queued);
    return outcome->serial;
}

bool fw_commands_next(fw_commands_t *commands, const fw_commands_scene_t *scene,
                      fw_execution_t *execution)
{
    while (commands->queued > 0u) {
        const fw_queued_t *queued = &commands->queue[commands->head];
        fw_outcome_t *outcome = &commands->outcomes[queued->outcome];
        commands->head = (uint8_t)((commands->head + 1u) % FW_COMMAND_QUEUE);
        commands->queued--;
        if (!scene->time_known && !outcome->is_from_here) {
            advance(outcome, scene, FW_STAGE_EXPIRED, FW_CODE_STALE_CLOCK, true);
            continue;
        }
        if (!outcome->is_from_here && scene->time > queued->expiry) {
            advance(outcome, scene, FW_STAGE_EXPIRED, FW_CODE_EXPIRED, true);
            continue;
        }
        execution->outcome = queued->outcome;
        commands->has_adjusted = commands->has_adjusted || queued->kind == FW_COMMAND_ADJUST;
        execution->command = (fw_command_t){
            .cause = {.kind = FW_CAUSE_COMMAND,
                      .by = outcome->source,
                      .reference = fw_load_u32(outcome->key)},
            .index = queued->index,
            .kind = queued->kind,
        };
        for (size_t i = 0; i < FW_ARGUMENTS_MAX; i++) {
            execution->command.arguments[i] = queued->arguments[i];
        }
        return true;
    }
    return false;
}

void fw_commands_finish(fw_commands_t *commands, const fw_commands_scene_t *scene,
                        const fw_execution_t *execution, fw_result_t result)
{
    fw_outcome_t *outcome = &commands->outcomes[execution->outcome];
    if (result == FW_RESULT_REFUSED) {
        outcome->refused = execution->command.index; /* only calls are refused */
        advance(outcome, scene, FW_STAGE_REFUSED, FW_CODE_REFUSED_BY_SCRIPT, true);
        return;
    }
    commands->executed++;
    advance(outcome, scene, FW_STAGE_EXECUTED, FW_CODE_OK, result == FW_RESULT_EXECUTED);
}

void fw_commands_settle(fw_commands_t *commands, const fw_commands_scene_t *scene, uint8_t entry,
                        bool confirmed)
{
    advance(&commands->outcomes[entry], scene, confirmed ? FW_STAGE_CONFIRMED : FW_STAGE_FAILED,
            confirmed ? FW_CODE_OK : FW_CODE_NOT_CONFIRMED, true);
}

void fw_commands_drop(fw_commands_t *commands, const fw_commands_scene_t *scene)
{
    for (; commands->queued > 0u; commands->queued--) {
        uint8_t entry = commands->queue[commands->head].outcome;
        advance(&commands->outcomes[entry], scene, FW_STAGE_REFUSED, FW_CODE_REFUSED_BY_SCRIPT,
                true);
        commands->head = (uint8_t)((commands->head + 1u) % FW_COMMAND_QUEUE);
    }
    for (uint8_t i = 0; i < commands->kept; i++) {
        commands->outcomes[i].refused = FW_OUTCOME_NONE; /* its number means another command now */
    }
}

void fw_commands_forget_receipts(fw_commands_t *commands)
{
    for (uint8_t i = 0; i < commands->kept; i++) {
        commands->outcomes[i].unsent = false;
    }
}

uint8_t fw_commands_unsent(const fw_commands_t *commands)
{
    uint8_t oldest = FW_OUTCOME_NONE;
    uint32_t age_most = 0;
    for (uint8_t i = 0; i < commands->kept; i++) {
        uint32_t age = commands->serial - commands->outcomes[i].serial;
        if (commands->outcomes[i].unsent && (oldest == FW_OUTCOME_NONE || age > age_most)) {
            oldest = i;
            age_most = age;
        }
    }
    return oldest;
}

/* What the script says when that command refuses. */
static bool refusal_of(const fw_outcome_t *outcome, const fw_program_t *program,
                       fw_record_t *record)
{
    uint16_t at = 0;
    while (outcome->refused != FW_OUTCOME_NONE &&
           fw_program_next_of(program, &at, FW_RECORD_REFUSAL, record)) {
        if (record->a == outcome->refused) {
            return true;
        }
    }
    return false;
}

void fw_commands_receipt_write(const fw_outcome_t *outcome, const fw_program_t *program,
                               fw_cbor_writer_t *writer)
{
    fw_record_t refusal;
    bool at = outcome->at != 0u;
    bool reason = outcome->reason != FW_CODE_OK;
    bool detail = outcome->reason == FW_CODE_REFUSED_BY_SCRIPT &&
                  refusal_of(outcome, program, &refusal);
    fw_cbor_write_map(writer, 3u + (at ? 1u : 0u) + (reason ? 1u : 0u) + (detail ? 1u : 0u));
    fw_cbor_put_bytes(writer, FW_KEY_RECEIPT_KEY, outcome->key, FW_COMMAND_KEY_BYTES);
    fw_cbor_put_unsigned(writer, FW_KEY_RECEIPT_STAGE, outcome->stage);
    if (at) {
        fw_cbor_put_unsigned(writer, FW_KEY_RECEIPT_AT, outcome->at);
    }
    if (reason) {
        fw_cbor_put_unsigned(writer, FW_KEY_RECEIPT_REASON, outcome->reason);
    }
    if (detail) {
        uint8_t text[FW_TITLE_BYTES_MAX];
        fw_span_t span = fw_record_text(&refusal, text, sizeof text);
        fw_cbor_put_text(writer, FW_KEY_RECEIPT_DETAIL, (const char *)span.bytes, span.length);
    }
    fw_cbor_put_bool(writer, FW_KEY_RECEIPT_FINAL, outcome->final);
}
