/*
 * declare.c: declarations: what a script's names are.
 */
#include "compile_inside.h"

#include "code.h"

/* ---- inputs, outputs and variables ---- */

static const fw_pin_t *read_pin(fw_compiler_t *compiler, bool is_output)
{
    const fw_token_t *token = &compiler->token;
    for (uint8_t i = 0; i < compiler->board->count; i++) {
        const fw_pin_t *pin = &compiler->board->pins[i];
        bool drives = pin->type == FW_POINT_DIGITAL_OUTPUT || pin->type == FW_POINT_ANALOGUE_OUTPUT;
        if (fw_compile_at(compiler, pin->name) && drives == is_output) {
            fw_compile_advance(compiler);
            return pin;
        }
    }
    fw_compile_fail(compiler, token,
                    is_output ? "an output of this board" : "an input of this board", NULL);
    return NULL;
}

static bool is_analogue(const fw_pin_t *pin)
{
    return pin->type == FW_POINT_ANALOGUE_INPUT || pin->type == FW_POINT_ANALOGUE_OUTPUT;
}

/* `: type`, where it stands, and `= pin`. */
static const fw_pin_t *read_point(fw_compiler_t *compiler, fw_symbol_t *symbol)
{
    bool is_output = symbol->kind == FW_SYMBOL_OUTPUT;
    bool has_type = compiler->token.kind == FW_TOKEN_COLON;
    fw_token_t at = compiler->token;
    if (has_type) {
        fw_compile_advance(compiler);
        at = compiler->token;
        if (!fw_compile_read_type(compiler, &symbol->type)) {
            return NULL;
        }
    }
    if (!fw_compile_take(compiler, FW_TOKEN_IS, "`=` and a pin of the board")) {
        return NULL;
    }
    const fw_pin_t *pin = read_pin(compiler, is_output);
    if (pin == NULL) {
        return NULL;
    }
    uint8_t type = is_analogue(pin) ? FW_TYPE_NUM : FW_TYPE_BOOL;
    if (has_type && symbol->type != type) {
        fw_compile_fail(compiler, &at,
                        type == FW_TYPE_NUM ? "num, for this pin is analogue"
                                            : "bool, for this pin is digital",
                        NULL);
        return NULL;
    }
    symbol->type = type;
    return pin;
}

/* `a..b`, from other than to. */
static bool read_span(fw_compiler_t *compiler, int32_t *from, int32_t *to)
{
    fw_token_t at = compiler->token;
    if (!fw_compile_read_constant_of(compiler, FW_TYPE_NUM, from) ||
        !fw_compile_take(compiler, FW_TOKEN_TO, "`..`") ||
        !fw_compile_read_constant_of(compiler, FW_TYPE_NUM, to)) {
        return false;
    }
    return *from != *to || fw_compile_fail(compiler, &at, "two different numbers", NULL);
}

/* A time that is above 0. */
static bool read_time(fw_compiler_t *compiler, int32_t *ms)
{
    fw_token_t at = compiler->token;
    return fw_compile_read_constant_of(compiler, FW_TYPE_TIME, ms) &&
           (*ms > 0 || fw_compile_fail(compiler, &at, "a time above 0", NULL));
}

/* One option of an input; false when there is none, or it is wrong. */
static bool read_input_option(fw_compiler_t *compiler, uint8_t type, int32_t *words)
{
    if (type == FW_TYPE_BOOL) {
        return fw_compile_accept(compiler, "debounce") &&
               read_time(compiler, &words[FW_INPUT_DEBOUNCE_MS]);
    }
    if (fw_compile_accept(compiler, "scale")) {
        if (!read_span(compiler, &words[FW_INPUT_RAW_FROM], &words[FW_INPUT_RAW_TO])) {
            return false;
        }
        if (!fw_compile_accept(compiler, "to")) {
            return fw_compile_fail(compiler, &compiler->token, "`to` and what that stands for",
                                   NULL);
        }
        return read_span(compiler, &words[FW_INPUT_FROM], &words[FW_INPUT_TO]);
    }
    if (!fw_compile_accept(compiler, "bad")) {
        return false;
    }
    if (fw_compile_accept(compiler, "below")) {
        return fw_compile_read_constant_of(compiler, type, &words[FW_INPUT_BAD_BELOW]);
    }
    if (fw_compile_accept(compiler, "above")) {
        return fw_compile_read_constant_of(compiler, type, &words[FW_INPUT_BAD_ABOVE]);
    }
    return fw_compile_fail(compiler, &compiler->token, "`below` or `above`", NULL);
}

/* The board knows no more pins, and status no more points. */
static bool count_point(fw_compiler_t *compiler)
{
    if (compiler->points == FW_SCRIPT_POINTS_MAX) {
        return fw_compile_fail(compiler, &compiler->token,
                               "no further point: a script has 32 at most", NULL);
    }
    compiler->points++;
    return true;
}

bool fw_compile_declare_input(fw_compiler_t *compiler)
{
    if (!count_point(compiler)) {
        return false;
    }
    fw_symbol_t *symbol = fw_compile_declare(compiler, FW_SYMBOL_INPUT);
    const fw_pin_t *pin = symbol == NULL ? NULL : read_point(compiler, symbol);
    if (pin == NULL) {
        return false;
    }
    int32_t words[FW_INPUT_WORDS] = {
        [FW_INPUT_CHANNEL] = pin->channel,
        [FW_INPUT_LINE] = symbol->line,
        [FW_INPUT_RAW_TO] = 1000,
        [FW_INPUT_TO] = 1000,
        [FW_INPUT_BAD_BELOW] = INT32_MIN,
        [FW_INPUT_BAD_ABOVE] = INT32_MAX,
    };
    while (read_input_option(compiler, symbol->type, words)) {
    }
    fw_compile_write_record(compiler, FW_RECORD_INPUT, symbol->cell, symbol->type, words,
                            FW_INPUT_WORDS, symbol);
    return fw_compile_take_line_end(compiler, symbol->type == FW_TYPE_BOOL
                                       ? "`debounce`, or the end of the line"
                                       : "`scale`, `bad` or the end of the line");
}

/* One option of an output behind its `safe`; likewise. */
static bool read_output_option(fw_compiler_t *compiler, fw_symbol_t *symbol, int32_t *words)
{
    if (fw_compile_accept(compiler, "manual")) {
        words[FW_OUTPUT_FLAGS] |= (int32_t)FW_OUTPUT_MANUAL;
        symbol->kind = FW_SYMBOL_MANUAL;
        return true;
    }
    if (fw_compile_accept(compiler, "linkloss")) {
        return (fw_compile_accept(compiler, "safe") && fw_compile_accept(compiler, "after"))
                   ? read_time(compiler, &words[FW_OUTPUT_LINK_LOSS_MS])
                   : fw_compile_fail(compiler, &compiler->token, "`linkloss safe after` and a time",
                                     NULL);
    }
    if (!fw_compile_accept(compiler, "confirm")) {
        return false;
    }
    const fw_token_t name = compiler->token;
    const fw_symbol_t *feedback = fw_compile_find(compiler, &name);
    if (name.kind != FW_TOKEN_NAME || feedback == NULL || feedback->kind != FW_SYMBOL_INPUT ||
        feedback->type != FW_TYPE_BOOL || symbol->type != FW_TYPE_BOOL) {
        return fw_compile_fail(compiler, &name, "a digital input, for a digital output", NULL);
    }
    fw_compile_advance(compiler);
    words[FW_OUTPUT_FEEDBACK] = feedback->cell;
    symbol->confirms = true;
    return fw_compile_accept(compiler, "within")
               ? read_time(compiler, &words[FW_OUTPUT_WITHIN_MS])
               : fw_compile_fail(compiler, &compiler->token, "`within` and a time", NULL);
}

bool fw_compile_declare_output(fw_compiler_t *compiler)
{
    if (!count_point(compiler)) {
        return false;
    }
    fw_symbol_t *symbol = fw_compile_declare(compiler, FW_SYMBOL_OUTPUT);
    const fw_pin_t *pin = symbol == NULL ? NULL : read_point(compiler, symbol);
    if (pin == NULL) {
        return false;
    }
    int32_t words[FW_OUTPUT_WORDS] = {
        [FW_OUTPUT_CHANNEL] = pin->channel,
        [FW_OUTPUT_LINE] = symbol->line,
        [FW_OUTPUT_FEEDBACK] = FW_CELL_NONE,
    };
    if (!fw_compile_accept(compiler, "safe")) {
        return fw_compile_fail(compiler, &compiler->token, "`safe` and a value: what this output "
                                                           "does when the script does not run",
                               "add `safe off` or `safe hold`");
    }
    if (fw_compile_accept(compiler, "hold")) {
        words[FW_OUTPUT_FLAGS] |= (int32_t)FW_OUTPUT_HOLD;
    } else if (!fw_compile_read_constant_of(compiler, symbol->type, &words[FW_OUTPUT_SAFE])) {
        return false;
    }
    while (read_output_option(compiler, symbol, words)) {
    }
    fw_compile_write_record(compiler, FW_RECORD_OUTPUT, symbol->cell, symbol->type, words,
                            FW_OUTPUT_WORDS, symbol);
    return fw_compile_take_line_end(compiler, "`confirm`, `linkloss`, `manual` or the end of "
                                              "the line");
}

/* `interlock a, b gap time` */
bool fw_compile_declare_interlock(fw_compiler_t *compiler)
{
    int32_t words[3] = {compiler->token.line, 0, 0};
    uint8_t count = 0;
    if (compiler->interlocks == FW_INTERLOCKS_MAX) {
        return fw_compile_fail(compiler, &compiler->token,
                               "no further interlock: a script has 8 at most", NULL);
    }
    if (compiler->depth > 0u) {
        return fw_compile_fail(compiler, &compiler->token, "a statement",
                               "interlocks hold always: move it above the `if`");
    }
    do {
        if (count > 0u) {
            fw_compile_advance(compiler);
        }
        const fw_token_t name = compiler->token;
        const fw_symbol_t *symbol = fw_compile_find(compiler, &name);
        bool is_output = symbol != NULL && symbol->type == FW_TYPE_BOOL &&
                         (symbol->kind == FW_SYMBOL_OUTPUT || symbol->kind == FW_SYMBOL_MANUAL);
        if (name.kind != FW_TOKEN_NAME || !is_output) {
            return fw_compile_fail(compiler, &name, "a digital output", NULL);
        }
        if (count == FW_INTERLOCK_OUTPUTS_MAX) {
            return fw_compile_fail(compiler, &name, "`gap`: an interlock has four outputs at most",
                                   NULL);
        }
        for (uint8_t i = 0; i < count; i++) {
            if (((uint32_t)words[1] >> (8u * i) & 0xFFu) == symbol->cell) {
                return fw_compile_fail(compiler, &name, "another output", NULL);
            }
        }
        words[1] |= (int32_t)((uint32_t)symbol->cell << (8u * count));
        count++;
        fw_compile_advance(compiler);
    } while (compiler->token.kind == FW_TOKEN_COMMA);
    if (count < 2u) {
        return fw_compile_fail(compiler, &compiler->token, "`,` and another output", NULL);
    }
    if (!fw_compile_accept(compiler, "gap")) {
        return fw_compile_fail(compiler, &compiler->token, "`,`, or `gap` and a time", NULL);
    }
    const fw_token_t gap = compiler->token;
    if (!fw_compile_read_constant_of(compiler, FW_TYPE_TIME, &words[2])) {
        return false;
    }
    if (words[2] < 0) {
        return fw_compile_fail(compiler, &gap, "a time that is not below 0", NULL);
    }
    compiler->interlocks++;
    fw_compile_write_record(compiler, FW_RECORD_INTERLOCK, 0, count, words, 3, NULL);
    return fw_compile_take_line_end(compiler, "the end of the line");
}

/* One coordinate, in degrees. */
static bool read_degrees(fw_compiler_t *compiler, int32_t most, const char *expected,
                         int32_t *value)
{
    const fw_token_t at = compiler->token;
    if (at.kind != FW_TOKEN_MINUS && at.kind != FW_TOKEN_INT && at.kind != FW_TOKEN_NUM) {
        return fw_compile_fail(compiler, &at, expected, NULL);
    }
    return fw_compile_read_constant_of(compiler, FW_TYPE_NUM, value) &&
           ((*value >= -most && *value <= most) ||
            fw_compile_fail(compiler, &at, expected, NULL));
}

/* `place latitude, longitude` */
bool fw_compile_declare_place(fw_compiler_t *compiler)
{
    int32_t words[2] = {0, 0};
    const fw_token_t place = compiler->token;
    if (compiler->place_line != 0u) {
        return fw_compile_clash(compiler, &place, "no second place: a controller has one", NULL,
                                compiler->place_line);
    }
    if (compiler->depth > 0u) {
        return fw_compile_fail(compiler, &place, "a statement",
                               "a place holds always: move it above the `if`");
    }
    fw_compile_advance(compiler);
    if (!read_degrees(compiler, 90000, "a latitude from -90 to 90 degrees, north above 0",
                      &words[0]) ||
        !fw_compile_take(compiler, FW_TOKEN_COMMA, "`,` and the longitude") ||
        !read_degrees(compiler, 180000, "a longitude from -180 to 180 degrees, east above 0",
                      &words[1])) {
        return false;
    }
    compiler->place_line = place.line;
    fw_compile_write_record(compiler, FW_RECORD_PLACE, 0, 0, words, 2, NULL);
    return fw_compile_take_line_end(compiler, "the end of the line");
}

bool fw_compile_declare_variable(fw_compiler_t *compiler, fw_symbol_kind_t kind)
{
    fw_symbol_t *symbol = fw_compile_declare(compiler, kind);
    if (symbol == NULL) {
        return false;
    }
    int32_t words[4] = {0, symbol->line, INT32_MIN, INT32_MAX};
    bool has_type = compiler->token.kind == FW_TOKEN_COLON;
    if (has_type) {
        fw_compile_advance(compiler);
        if (!fw_compile_read_type(compiler, &symbol->type)) {
            return false;
        }
    }
    bool has_value = compiler->token.kind == FW_TOKEN_IS;
    if (!has_value && (!has_type || kind == FW_SYMBOL_PARAMETER)) {
        return fw_compile_fail(compiler, &compiler->token,
                               has_type ? "`=` and a value" : "`: type` or `= value`", NULL);
    }
    if (has_value) {
        fw_compile_advance(compiler);
        if (!(has_type ? fw_compile_read_constant_of(compiler, symbol->type, &words[0])
                       : fw_compile_read_constant(compiler, &symbol->type, &words[0]))) {
            return false;
        }
    }
    fw_token_t at = compiler->token;
    if (kind == FW_SYMBOL_PARAMETER && !fw_compile_read_range(compiler, symbol->type, &words[2])) {
        return false;
    }
    if (words[0] < words[2] || words[0] > words[3]) {
        return fw_compile_fail(compiler, &at, "a range that holds the value", NULL);
    }
    fw_record_tag_t tag = kind == FW_SYMBOL_PARAMETER  ? FW_RECORD_PARAMETER
                          : kind == FW_SYMBOL_RETAINED ? FW_RECORD_RETAINED
                                                       : FW_RECORD_VARIABLE;
    fw_compile_write_record(compiler, tag, symbol->cell, symbol->type, words,
                 kind == FW_SYMBOL_PARAMETER ? 4 : 2, symbol);
    return fw_compile_take_line_end(compiler, "the end of the line");
}

/* ---- commands and state machines ---- */

/* One argument; its record comes after its command's, and so do the others': they are kept in the
 * symbols till then, and the ranges in `ranges`. */
static bool read_argument(fw_compiler_t *compiler, uint8_t parent, int32_t range[2])
{
    fw_symbol_t *symbol =
        fw_compile_declare_part(compiler, parent, FW_SYMBOL_ARGUMENT, "the name of an argument");
    if (symbol == NULL) {
        return false;
    }
    symbol->cell = fw_compile_cell(compiler);
    if (!fw_compile_take(compiler, FW_TOKEN_COLON, "`:` and a type") ||
        !fw_compile_read_type(compiler, &symbol->type)) {
        return false;
    }
    range[0] = symbol->type == FW_TYPE_BOOL || symbol->type == FW_TYPE_TIME ? 0 : INT32_MIN;
    range[1] = symbol->type == FW_TYPE_BOOL ? 1 : INT32_MAX;
    return symbol->type == FW_TYPE_BOOL || fw_compile_read_range(compiler, symbol->type, range);
}

static bool read_arguments(fw_compiler_t *compiler, const fw_symbol_t *command)
{
    int32_t ranges[FW_ARGUMENTS_MAX][2];
    uint8_t count = 0;
    uint8_t parent = (uint8_t)(command - compiler->symbols);
    if (compiler->token.kind == FW_TOKEN_OPEN) {
        do {
            fw_compile_advance(compiler);
            if (count == FW_ARGUMENTS_MAX) {
                return fw_compile_fail(compiler, &compiler->token,
                                       "`)`: a command has four arguments at most", NULL);
            }
            if (!read_argument(compiler, parent, ranges[count])) {
                return false;
            }
            count++;
        } while (compiler->token.kind == FW_TOKEN_COMMA);
        if (!fw_compile_take(compiler, FW_TOKEN_CLOSE, "`,` or `)`")) {
            return false;
        }
    }
    const int32_t line = command->line;
    fw_compile_write_record(compiler, FW_RECORD_COMMAND, command->cell, count, &line, 1, command);
    for (uint8_t i = 0; i < count; i++) {
        const fw_symbol_t *argument = &compiler->symbols[parent + 1u + i];
        fw_compile_write_record(compiler, FW_RECORD_ARGUMENT, argument->cell, argument->type,
                                ranges[i], 2, argument);
    }
    return true;
}

bool fw_compile_declare_command(fw_compiler_t *compiler)
{
    if (compiler->commands == FW_SCRIPT_COMMANDS_MAX) {
        return fw_compile_fail(compiler, &compiler->token,
                               "no further command: a script has 16 at most", NULL);
    }
    fw_symbol_t *symbol = fw_compile_declare(compiler, FW_SYMBOL_COMMAND);
    if (symbol == NULL || !read_arguments(compiler, symbol)) {
        return false;
    }
    uint8_t number = compiler->commands++;
    uint8_t arguments = (uint8_t)(compiler->symbols_count - (symbol + 1 - compiler->symbols));
    fw_compile_emit(compiler, FW_OP_OFFER, number, (uint8_t)(symbol->cell + 1u), arguments);
    fw_operand_t refuses = {.cell = fw_compile_constant(compiler, 0)};
    if (fw_compile_accept(compiler, "refuse")) {
        const fw_token_t text = compiler->token;
        if (!fw_compile_take(compiler, FW_TOKEN_STRING, "why it refuses, in quotes")) {
            return false;
        }
        fw_compile_write_text(compiler, FW_RECORD_REFUSAL, number, 0, NULL, 0, text.at,
                              text.length);
        if (!fw_compile_accept(compiler, "when")) {
            return fw_compile_fail(compiler, &compiler->token, "`when` and a condition", NULL);
        }
        if (!fw_compile_read_condition(compiler, &refuses)) {
            return false;
        }
    }
    fw_compile_emit(compiler, FW_OP_TAKE, number, symbol->cell, refuses.cell);
    fw_compile_release(compiler, &refuses);
    return fw_compile_take_line_end(compiler, "`refuse`, an operator, or the end of the line");
}

/* `state name: first, second`; its transitions follow, up to `end`. */
bool fw_compile_declare_machine(fw_compiler_t *compiler)
{
    fw_symbol_t *symbol = fw_compile_declare(compiler, FW_SYMBOL_MACHINE);
    if (symbol == NULL || !fw_compile_take(compiler, FW_TOKEN_COLON, "`:` and its states")) {
        return false;
    }
    if (compiler->blocks == FW_SCRIPT_BLOCKS_MAX) {
        return fw_compile_fail(compiler, &compiler->token,
                               "no further block: a script has 64 at most", NULL);
    }
    uint8_t parent = (uint8_t)(symbol - compiler->symbols);
    uint8_t count = 0;
    symbol->type = FW_TYPE_INT;
    symbol->flag = compiler->blocks;
    for (;;) {
        if (count == FW_SCRIPT_STATES_MAX) {
            return fw_compile_fail(compiler, &compiler->token,
                                   "no further state: a machine has 32 at most", NULL);
        }
        fw_symbol_t *state =
            fw_compile_declare_part(compiler, parent, FW_SYMBOL_STATE, "the name of a state");
        if (state == NULL) {
            return false;
        }
        state->cell = count++;
        if (compiler->token.kind != FW_TOKEN_COMMA) {
            break;
        }
        fw_compile_advance(compiler);
    }
    const int32_t line = symbol->line;
    fw_compile_write_record(compiler, FW_RECORD_MACHINE, symbol->cell, count, &line, 1, symbol);
    for (uint8_t i = 0; i < count; i++) {
        fw_compile_write_record(compiler, FW_RECORD_STATE, symbol->cell, i, NULL, 0,
                     &compiler->symbols[parent + 1u + i]);
    }
    const uint8_t cells[4] = {symbol->cell, 0, 0, 0};
    fw_compile_emit_block(compiler, FW_OP_STATES, cells);
    compiler->machine = parent;
    return fw_compile_take_line_end(compiler, "`,` or the end of the line");
}
