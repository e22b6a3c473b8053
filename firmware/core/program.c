/*
 * program.c: see program.h.
 */
#include "program.h"

#include "text.h"

/* ---- records ---- */

/* How many words of a record come before its name. */
static uint32_t words_before_name(const fw_record_t *record, uint32_t following)
{
    switch (record->tag) {
    case FW_RECORD_DURING:
        return FW_DURING_WORDS + (uint32_t)record->b * FW_WINDOW_WORDS;
    case FW_RECORD_INPUT:
        return FW_INPUT_WORDS;
    case FW_RECORD_OUTPUT:
        return FW_OUTPUT_WORDS;
    case FW_RECORD_INTERLOCK:
        return 3;
    case FW_RECORD_VARIABLE:
    case FW_RECORD_RETAINED:
    case FW_RECORD_ARGUMENT:
    case FW_RECORD_EVENT:
    case FW_RECORD_ASSIGNMENT:
    case FW_RECORD_PLACE:
        return 2;
    case FW_RECORD_PARAMETER:
        return 4;
    case FW_RECORD_REFUSAL:
    case FW_RECORD_STATE:
    case FW_RECORD_FORMAT:
    case FW_RECORD_COUNTER:
        return 0;
    case FW_RECORD_LINE:
        return following;
    default:
        return 1;
    }
}

bool fw_program_next(const fw_program_t *program, uint16_t *at, fw_record_t *record)
{
    if (*at >= program->table_words) {
        return false;
    }
    uint32_t head = fw_word(program->table + *at);
    uint32_t following = head >> 24;
    *record = (fw_record_t){
        .words = program->table + *at + 1u,
        .tag = (uint8_t)head,
        .a = (uint8_t)(head >> 8),
        .b = (uint8_t)(head >> 16),
    };
    uint32_t before = words_before_name(record, following);
    if (following < before || *at + 1u + following > program->table_words) {
        return false;
    }
    if (following > before) {
        record->name = record->words + before;
        if (1u + (record->name[0] + 3u) / 4u > following - before) {
            return false;
        }
    }
    *at = (uint16_t)(*at + 1u + following);
    return true;
}

bool fw_program_is_current(const fw_program_t *program)
{
    uint16_t at = 0;
    fw_record_t record;
    return fw_program_next(program, &at, &record) && record.tag == FW_RECORD_FORMAT &&
           record.a == FW_PROGRAM_FORMAT;
}

bool fw_program_next_of(const fw_program_t *program, uint16_t *at, fw_record_tag_t tag,
                        fw_record_t *record)
{
    while (*at < program->table_words && (fw_word(program->table + *at) & 0xFFu) != (uint32_t)tag) {
        *at = (uint16_t)(*at + 1u + (fw_word(program->table + *at) >> 24));
    }
    return fw_program_next(program, at, record);
}

uint32_t fw_program_cost(const fw_program_t *program)
{
    uint16_t at = 0;
    fw_record_t record;
    bool is_told = fw_program_next_of(program, &at, FW_RECORD_COST, &record);
    return is_told ? record.words[0] : 0u;
}

static uint8_t text_byte(const fw_record_t *record, size_t at)
{
    return (uint8_t)(fw_word(record->name + 1u + at / 4u) >> (8u * (at % 4u)));
}

bool fw_record_is(const fw_record_t *record, fw_span_t name)
{
    if (record->name == NULL || record->name[0] != name.length) {
        return false;
    }
    for (size_t i = 0; i < name.length; i++) {
        if (text_byte(record, i) != name.bytes[i]) {
            return false;
        }
    }
    return true;
}

fw_span_t fw_record_text(const fw_record_t *record, uint8_t *into, size_t capacity)
{
    fw_span_t text = {.bytes = into, .length = record->name == NULL ? 0u : record->name[0]};
    if (text.length > capacity) {
        text.length = capacity;
    }
    for (size_t i = 0; i < text.length; i++) {
        into[i] = text_byte(record, i);
    }
    return text;
}

/* ---- commands ---- */

bool fw_program_next_command(const fw_program_t *program, uint16_t *at, uint8_t *number,
                             fw_signature_t *signature)
{
    fw_record_t record;
    do {
        if (!fw_program_next(program, at, &record)) {
            return false;
        }
    } while (record.tag != FW_RECORD_COMMAND);
    *signature = (fw_signature_t){.record = record, .number = (*number)++};
    for (uint8_t i = 0; i < record.b && i < FW_ARGUMENTS_MAX; i++) {
        if (!fw_program_next(program, at, &signature->arguments[i])) {
            return false;
        }
        signature->arguments_count++;
    }
    return true;
}

bool fw_program_refusal(const fw_program_t *program, uint16_t at, fw_record_t *record)
{
    while (fw_program_next(program, &at, record) && record->tag != FW_RECORD_COMMAND) {
        if (record->tag == FW_RECORD_REFUSAL) {
            return true;
        }
    }
    return false;
}

static void put_name(fw_text_t *text, const fw_record_t *record)
{
    for (size_t i = 0; record->name != NULL && i < record->name[0]; i++) {
        fw_text_byte(text, text_byte(record, i));
    }
}

/* Thousandths, with no more places than they have. */
static void put_thousandths(fw_text_t *text, uint32_t value)
{
    fw_text_number(text, value / 1000u);
    uint32_t rest = value % 1000u;
    if (rest != 0u) {
        fw_text_byte(text, '.');
    }
    for (uint32_t place = 100; rest != 0u; place /= 10u) {
        fw_text_byte(text, (uint8_t)('0' + rest / place));
        rest %= place;
    }
}

/* In the largest unit that it is a whole number of. */
static void put_time(fw_text_t *text, uint32_t milliseconds)
{
    static const struct {
        uint32_t milliseconds;
        const char *name;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    size_t unit = milliseconds == 0u ? 3u : 0u;
    while (milliseconds % units[unit].milliseconds != 0u) {
        unit++;
    }
    fw_text_number(text, milliseconds / units[unit].milliseconds);
    fw_text_string(text, units[unit].name);
}

static void put_value(fw_text_t *text, int32_t value, uint8_t type)
{
    uint32_t size = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
    if (value < 0) {
        fw_text_byte(text, '-');
    }
    if (type == FW_TYPE_NUM) {
        put_thousandths(text, size);
    } else if (type == FW_TYPE_TIME) {
        put_time(text, size);
    } else {
        fw_text_number(text, size);
    }
}

/* The range that an argument has when the script says none. */
static bool is_limited(const fw_record_t *argument)
{
    int32_t minimum = (int32_t)argument->words[0];
    int32_t maximum = (int32_t)argument->words[1];
    return argument->b == FW_TYPE_BOOL ? minimum != 0 || maximum != 1
                                       : minimum != INT32_MIN || maximum != INT32_MAX;
}

static void put_signature(fw_text_t *text, const fw_signature_t *signature, uint8_t ranges)
{
    static const char *const types[] = {
        [FW_TYPE_BOOL] = "bool", [FW_TYPE_INT] = "int", [FW_TYPE_NUM] = "num",
        [FW_TYPE_TIME] = "time"};
    put_name(text, &signature->record);
    fw_text_byte(text, '(');
    for (uint8_t i = 0; i < signature->arguments_count; i++) {
        const fw_record_t *argument = &signature->arguments[i];
        fw_text_string(text, i > 0u ? ", " : "");
        put_name(text, argument);
        fw_text_string(text, ": ");
        fw_text_string(text, types[argument->b % (FW_TYPE_TIME + 1u)]);
        if (i < ranges && is_limited(argument)) {
            fw_text_string(text, " in ");
            put_value(text, (int32_t)argument->words[0], argument->b);
            fw_text_string(text, "..");
            put_value(text, (int32_t)argument->words[1], argument->b);
        }
    }
    fw_text_byte(text, ')');
}

/* Without any range: a name each, with `: time` and `, ` to each of the arguments. */
_Static_assert(FW_NAME_BYTES_MAX + 2u + FW_ARGUMENTS_MAX * (FW_NAME_BYTES_MAX + 8u) <=
                   FW_TEXT_BYTES_MAX,
               "a signature without ranges must fit");

size_t fw_signature_text(const fw_signature_t *signature, uint8_t bytes[FW_TEXT_BYTES_MAX])
{
    fw_text_t text;
    uint8_t ranges = signature->arguments_count;
    do {
        fw_text_init(&text, bytes, FW_TEXT_BYTES_MAX);
        put_signature(&text, signature, ranges);
    } while (text.full && ranges-- > 0u);
    return text.length;
}

/* ---- causes ---- */

bool fw_program_assignment(const fw_program_t *program, uint16_t at, uint8_t cell, uint8_t number,
                           fw_assignment_t *assignment)
{
    fw_record_t record;
    while (fw_program_next_of(program, &at, FW_RECORD_ASSIGNMENT, &record)) {
        if (record.a == cell && record.b == number) {
            *assignment = (fw_assignment_t){
                .line = (uint16_t)record.words[0],
                .commands = (uint16_t)record.words[1],
                .schedules = (uint16_t)(record.words[1] >> 16),
            };
            return true;
        }
    }
    return false;
}

/* ---- lines ---- */

bool fw_program_next_statement(const fw_program_t *program, fw_statement_t *statement)
{
    fw_record_t record;
    if (!fw_program_next_of(program, &statement->at, FW_RECORD_LINE, &record)) {
        return false;
    }
    if (record.a == 0u && record.b == 0u) {
        statement->line = (uint16_t)record.words[0];
        statement->begins = (uint16_t)(record.words[0] >> 16);
    } else {
        statement->line = (uint16_t)(statement->line + record.b);
        statement->begins = (uint16_t)(statement->begins + record.a);
    }
    return true;
}

uint16_t fw_program_line(const fw_program_t *program, uint16_t place, uint16_t *next)
{
    uint16_t found = 0;
    fw_statement_t statement = {.line = 0};
    *next = program->code_words;
    while (fw_program_next_statement(program, &statement)) {
        if (statement.begins > place) {
            *next = statement.begins;
            break;
        }
        found = statement.line;
    }
    return found;
}
