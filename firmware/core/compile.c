/*
 * compile.c: declarations and statements. Expressions are in expression.c.
 */
#include "compile_inside.h"

#include "code.h"

/* ---- errors ---- */

bool fw_compile_fail(fw_compiler_t *compiler, const fw_token_t *at, const char *expected,
                     const char *fix)
{
    if (!compiler->failed) {
        compiler->failed = true;
        compiler->error = (fw_script_error_t){
            .expected = at->kind == FW_TOKEN_BAD ? at->expected : expected,
            .fix = at->kind == FW_TOKEN_BAD ? NULL : fix,
            .line = at->line,
            .column = at->column,
            .at = at->at,
            .length = at->kind == FW_TOKEN_LINE ? 0u : at->length,
        };
    }
    return false;
}

static bool fail_clash(fw_compiler_t *compiler, const fw_token_t *at, const char *expected,
                       const char *fix, uint16_t other_line)
{
    fw_compile_fail(compiler, at, expected, fix);
    compiler->error.other_line = other_line;
    return false;
}

/* ---- tokens ---- */

void fw_compile_advance(fw_compiler_t *compiler)
{
    fw_lex_next(&compiler->lexer, &compiler->token);
}

bool fw_compile_at(const fw_compiler_t *compiler, const char *word)
{
    const fw_token_t *token = &compiler->token;
    size_t length = fw_string_length(word);
    return token->kind == FW_TOKEN_NAME && token->length == length &&
           fw_equal(compiler->lexer.source + token->at, (const uint8_t *)word, length);
}

bool fw_compile_accept(fw_compiler_t *compiler, const char *word)
{
    if (!fw_compile_at(compiler, word)) {
        return false;
    }
    fw_compile_advance(compiler);
    return true;
}

bool fw_compile_take(fw_compiler_t *compiler, uint8_t kind, const char *expected)
{
    if (compiler->token.kind != kind) {
        return fw_compile_fail(compiler, &compiler->token, expected, NULL);
    }
    fw_compile_advance(compiler);
    return true;
}

static bool at_line_end(const fw_compiler_t *compiler)
{
    return compiler->token.kind == FW_TOKEN_LINE || compiler->token.kind == FW_TOKEN_END;
}

static bool take_line_end(fw_compiler_t *compiler, const char *expected)
{
    if (!at_line_end(compiler)) {
        return fw_compile_fail(compiler, &compiler->token, expected, NULL);
    }
    return true;
}

/* ---- what is written ---- */

static void flush(fw_compiler_t *compiler)
{
    static const fw_token_t nowhere = {.line = 1, .column = 1};
    for (uint8_t i = 0; i < compiler->held_words; i++) {
        if (compiler->code_words == FW_SCRIPT_CODE_WORDS_MAX) {
            fw_compile_fail(compiler, &compiler->token, "the end: the program has 4 KB by here",
                            "make the script shorter");
            return;
        }
        if (!compiler->sink.code(compiler->sink.ctx, compiler->held[i])) {
            fw_compile_fail(compiler, &nowhere, "room to write the program", NULL);
            return;
        }
        compiler->code_words++;
    }
    compiler->held_words = 0;
}

void fw_compile_emit(fw_compiler_t *compiler, fw_op_t op, uint8_t a, uint8_t b, uint8_t c)
{
    flush(compiler);
    compiler->held[0] = fw_instruction(op, a, b, c);
    compiler->held_words = 1;
    compiler->operations++;
}

void fw_compile_emit_long(fw_compiler_t *compiler, fw_op_t op, const uint8_t cells[3],
                          uint32_t further)
{
    fw_compile_emit(compiler, op, cells[0], cells[1], cells[2]);
    compiler->held[1] = further;
    compiler->held_words = 2;
}

void fw_compile_emit_block(fw_compiler_t *compiler, fw_op_t op, const uint8_t cells[4])
{
    fw_compile_emit_long(compiler, op, cells,
                         (uint32_t)compiler->blocks | ((uint32_t)cells[3] << 8));
    compiler->blocks++;
}

static void write_table(fw_compiler_t *compiler, uint32_t word)
{
    if (compiler->table_words == FW_SCRIPT_TABLE_WORDS_MAX) {
        fw_compile_fail(compiler, &compiler->token, "the end: the script's names fill 4 KB by here",
                        "use shorter names");
        return;
    }
    if (!compiler->sink.table(compiler->sink.ctx, word)) {
        fw_compile_fail(compiler, &compiler->token, "room to write the program", NULL);
        return;
    }
    compiler->table_words++;
}

/* A record's head, the words that every kind of it has, and a name or text of the source behind
 * them, unless it is empty. */
static void write_text_record(fw_compiler_t *compiler, fw_record_tag_t tag, uint8_t a, uint8_t b,
                              const int32_t *words, uint8_t count, uint16_t text_at,
                              uint16_t text_length)
{
    uint32_t text_words = text_length == 0u ? 0u : 1u + (text_length + 3u) / 4u;
    uint32_t following = count + text_words;
    write_table(compiler, (uint32_t)tag | ((uint32_t)a << 8) | ((uint32_t)b << 16) |
                              (following << 24));
    for (uint8_t i = 0; i < count; i++) {
        write_table(compiler, (uint32_t)words[i]);
    }
    if (text_length == 0u) {
        return;
    }
    write_table(compiler, text_length);
    for (uint16_t at = 0; at < text_length; at = (uint16_t)(at + 4u)) {
        uint32_t word = 0;
        for (uint16_t i = 0; i < 4u && at + i < text_length; i++) {
            word |= (uint32_t)compiler->lexer.source[text_at + at + i] << (8u * i);
        }
        write_table(compiler, word);
    }
}

static void write_record(fw_compiler_t *compiler, fw_record_tag_t tag, uint8_t a, uint8_t b,
                         const int32_t *words, uint8_t count, const fw_symbol_t *symbol)
{
    uint16_t at = symbol == NULL ? 0u : symbol->at;
    uint16_t length = symbol == NULL ? 0u : symbol->length;
    write_text_record(compiler, tag, a, b, words, count, at, length);
}

/* ---- cells ---- */

static bool cells_left(fw_compiler_t *compiler)
{
    if (compiler->named >= compiler->least_temporary) {
        return fw_compile_fail(compiler, &compiler->token,
                               "the end: names and intermediate results fill all 256 cells",
                               "split long expressions, or use fewer names");
    }
    return true;
}

static uint8_t new_cell(fw_compiler_t *compiler)
{
    if (!cells_left(compiler)) {
        return 0;
    }
    return (uint8_t)compiler->named++;
}

uint8_t fw_compile_temporary(fw_compiler_t *compiler)
{
    uint16_t cell = (uint16_t)(FW_SCRIPT_CELLS - 1u - compiler->temporaries);
    if (cell < compiler->least_temporary) {
        compiler->least_temporary = cell;
    }
    if (compiler->named > cell) {
        cells_left(compiler);
        return (uint8_t)(FW_SCRIPT_CELLS - 1u);
    }
    compiler->temporaries++;
    return (uint8_t)cell;
}

uint8_t fw_compile_constant(fw_compiler_t *compiler, int32_t value)
{
    for (uint8_t i = 0; i < compiler->constants_count; i++) {
        if (compiler->constants[i] == value) {
            return compiler->constant_cells[i];
        }
    }
    if (compiler->constants_count == FW_SCRIPT_CONSTANTS_MAX) {
        fw_compile_fail(compiler, &compiler->token, "no further number: a script has 64 at most",
                        "give numbers that belong together one name");
        return 0;
    }
    uint8_t cell = new_cell(compiler);
    compiler->constants[compiler->constants_count] = value;
    compiler->constant_cells[compiler->constants_count] = cell;
    compiler->constants_count++;
    write_record(compiler, FW_RECORD_CONSTANT, cell, 0, &value, 1, NULL);
    return cell;
}

/* ---- names ---- */

static bool is_reserved(const fw_compiler_t *compiler)
{
    static const char *const words[] = {
        "in",   "out",  "var",   "retain", "param", "command", "if",    "else",  "end",
        "when", "and",  "or",    "not",    "mod",   "event",   "alarm", "state", "interlock",
        "refuse", "clear", "true", "false", "on",   "off",    "from",  "to",      "boot",  "online", "synced",
        "bool", "time",
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (fw_compile_at(compiler, words[i])) {
            return true;
        }
    }
    return fw_compile_is_function(compiler);
}

fw_symbol_t *fw_compile_find(fw_compiler_t *compiler, const fw_token_t *name)
{
    const uint8_t *source = compiler->lexer.source;
    for (uint8_t i = 0; i < compiler->symbols_count; i++) {
        fw_symbol_t *symbol = &compiler->symbols[i];
        if (symbol->kind < FW_SYMBOL_ARGUMENT && symbol->length == name->length &&
            fw_equal(source + symbol->at, source + name->at, name->length)) {
            return symbol;
        }
    }
    return NULL;
}

/* A part of a name, an argument or a state; NULL when the token is none of its. */
static const fw_symbol_t *find_part(const fw_compiler_t *compiler, uint8_t parent,
                                    const fw_token_t *name)
{
    const uint8_t *source = compiler->lexer.source;
    for (uint8_t i = 0; name->kind == FW_TOKEN_NAME && i < compiler->symbols_count; i++) {
        const fw_symbol_t *part = &compiler->symbols[i];
        if (part->kind >= FW_SYMBOL_ARGUMENT && part->parent == parent &&
            part->length == name->length &&
            fw_equal(source + part->at, source + name->at, name->length)) {
            return part;
        }
    }
    return NULL;
}

/* Another part of a name, which the token is. */
static fw_symbol_t *declare_part(fw_compiler_t *compiler, uint8_t parent, fw_symbol_kind_t kind,
                                 const char *expected)
{
    const fw_token_t name = compiler->token;
    if (name.kind != FW_TOKEN_NAME) {
        fw_compile_fail(compiler, &name, expected, NULL);
        return NULL;
    }
    const fw_symbol_t *other = find_part(compiler, parent, &name);
    if (other != NULL) {
        fail_clash(compiler, &name, "a name that is not taken", NULL, other->line);
        return NULL;
    }
    if (compiler->symbols_count == FW_SCRIPT_VARIABLES_MAX) {
        fw_compile_fail(compiler, &name, "no further name: a script has 128 at most", NULL);
        return NULL;
    }
    fw_symbol_t *symbol = &compiler->symbols[compiler->symbols_count++];
    *symbol = (fw_symbol_t){
        .at = name.at,
        .line = name.line,
        .length = (uint8_t)name.length,
        .kind = (uint8_t)kind,
        .parent = parent,
        .flag = FW_CELL_NONE,
    };
    fw_compile_advance(compiler);
    return symbol;
}

/* A flag's cell, made when it is first asked for. */
static uint8_t flag_cell(fw_compiler_t *compiler, uint8_t *cell, fw_flag_t flag, int32_t point)
{
    if (*cell == FW_CELL_NONE) {
        *cell = new_cell(compiler);
        write_record(compiler, FW_RECORD_FLAG, *cell, (uint8_t)flag, &point, 1, NULL);
    }
    return *cell;
}

/* Past a name, at the dot: its argument, or its flag. */
static bool read_member(fw_compiler_t *compiler, fw_symbol_t *symbol, fw_operand_t *value)
{
    fw_compile_advance(compiler);
    const fw_token_t member = compiler->token;
    uint8_t parent = (uint8_t)(symbol - compiler->symbols);
    bool has_bad = symbol->kind == FW_SYMBOL_INPUT;
    if ((has_bad && fw_compile_accept(compiler, "bad")) ||
        (symbol->confirms && fw_compile_accept(compiler, "fault"))) {
        fw_flag_t flag = has_bad ? FW_FLAG_BAD : FW_FLAG_FAULT;
        *value = (fw_operand_t){
            .cell = flag_cell(compiler, &symbol->flag, flag, symbol->cell),
            .type = FW_TYPE_BOOL,
        };
        return true;
    }
    const fw_symbol_t *part = find_part(compiler, parent, &member);
    if (part != NULL && part->kind == FW_SYMBOL_ARGUMENT) {
        *value = (fw_operand_t){.cell = part->cell, .type = part->type};
        fw_compile_advance(compiler);
        return true;
    }
    if (part != NULL) {
        uint8_t state = fw_compile_constant(compiler, part->cell);
        *value = (fw_operand_t){
            .cell = fw_compile_temporary(compiler),
            .type = FW_TYPE_BOOL,
            .is_temporary = true,
        };
        fw_compile_emit(compiler, FW_OP_EQUAL, value->cell, symbol->cell, state);
        fw_compile_advance(compiler);
        return true;
    }
    return fw_compile_fail(compiler, &member,
                           symbol->kind == FW_SYMBOL_COMMAND   ? "an argument of this command"
                           : symbol->kind == FW_SYMBOL_MACHINE ? "a state of this machine"
                           : symbol->kind == FW_SYMBOL_INPUT   ? "bad"
                           : symbol->confirms                  ? "fault"
                                                             : "no dot: this has no parts",
                           NULL);
}

bool fw_compile_name(fw_compiler_t *compiler, fw_operand_t *value)
{
    static const char *const flags[] = {
        [FW_FLAG_BOOT] = "boot", [FW_FLAG_ONLINE] = "online", [FW_FLAG_SYNCED] = "synced"};
    for (uint8_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (fw_compile_accept(compiler, flags[i])) {
            *value = (fw_operand_t){
                .cell = flag_cell(compiler, &compiler->flags[i], (fw_flag_t)i, FW_CELL_NONE),
                .type = FW_TYPE_BOOL,
            };
            return true;
        }
    }
    fw_symbol_t *symbol = fw_compile_find(compiler, &compiler->token);
    if (symbol == NULL) {
        return fw_compile_fail(compiler, &compiler->token, "a declared name",
                               "declare it above with `var`, `in` or `out`");
    }
    fw_compile_advance(compiler);
    if (compiler->token.kind == FW_TOKEN_DOT) {
        return read_member(compiler, symbol, value);
    }
    *value = (fw_operand_t){.cell = symbol->cell, .type = symbol->type};
    return true;
}

/* The name that is declared here. Its cell is given, its type not. */
static fw_symbol_t *declare(fw_compiler_t *compiler, fw_symbol_kind_t kind)
{
    const fw_token_t name = compiler->token;
    if (name.kind != FW_TOKEN_NAME || is_reserved(compiler)) {
        fw_compile_fail(compiler, &name, "a name",
                        name.kind == FW_TOKEN_NAME ? "this word is the language's own" : NULL);
        return NULL;
    }
    const fw_symbol_t *known = fw_compile_find(compiler, &name);
    if (known != NULL) {
        fail_clash(compiler, &name, "a name that is not taken", NULL, known->line);
        return NULL;
    }
    if (compiler->symbols_count == FW_SCRIPT_VARIABLES_MAX) {
        fw_compile_fail(compiler, &name, "no further name: a script has 128 at most", NULL);
        return NULL;
    }
    if (compiler->depth > 0u) {
        fw_compile_fail(compiler, &name, "a statement", "declare names above the `if`");
        return NULL;
    }
    fw_symbol_t *symbol = &compiler->symbols[compiler->symbols_count++];
    *symbol = (fw_symbol_t){
        .at = name.at,
        .line = name.line,
        .length = (uint8_t)name.length,
        .kind = (uint8_t)kind,
        .cell = new_cell(compiler),
        .flag = FW_CELL_NONE,
    };
    fw_compile_advance(compiler);
    return symbol;
}

/* ---- types and constants ---- */

static bool read_type(fw_compiler_t *compiler, uint8_t *type)
{
    static const char *const names[] = {
        [FW_TYPE_BOOL] = "bool", [FW_TYPE_INT] = "int", [FW_TYPE_NUM] = "num",
        [FW_TYPE_TIME] = "time"};
    for (uint8_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (fw_compile_accept(compiler, names[i])) {
            *type = i;
            return true;
        }
    }
    return fw_compile_fail(compiler, &compiler->token, "a type: bool, int, num or time", NULL);
}

/* A literal with its sign. */
static bool read_constant(fw_compiler_t *compiler, uint8_t *type, int32_t *value)
{
    bool negative = compiler->token.kind == FW_TOKEN_MINUS;
    if (negative) {
        fw_compile_advance(compiler);
    }
    const fw_token_t *token = &compiler->token;
    bool is_true = fw_compile_at(compiler, "true") || fw_compile_at(compiler, "on");
    bool is_false = fw_compile_at(compiler, "false") || fw_compile_at(compiler, "off");
    if (!negative && (is_true || is_false)) {
        *type = FW_TYPE_BOOL;
        *value = is_true ? 1 : 0;
    } else if (token->kind == FW_TOKEN_INT || token->kind == FW_TOKEN_NUM ||
               token->kind == FW_TOKEN_TIME) {
        *type = token->kind == FW_TOKEN_INT   ? FW_TYPE_INT
                : token->kind == FW_TOKEN_NUM ? FW_TYPE_NUM
                                              : FW_TYPE_TIME;
        *value = negative ? -token->value : token->value;
    } else {
        return fw_compile_fail(compiler, token, "a number, a time, true or false", NULL);
    }
    fw_compile_advance(compiler);
    return true;
}

/* The same, as a value of a type. */
static bool read_constant_of(fw_compiler_t *compiler, uint8_t type, int32_t *value)
{
    static const char *const expected[] = {
        [FW_TYPE_BOOL] = "true or false",
        [FW_TYPE_INT] = "a whole number",
        [FW_TYPE_NUM] = "a number from -2147483.647 to 2147483.647",
        [FW_TYPE_TIME] = "a time, such as 30s",
    };
    fw_token_t at = compiler->token;
    uint8_t found = 0;
    if (!read_constant(compiler, &found, value)) {
        return false;
    }
    if (found == FW_TYPE_INT && type == FW_TYPE_NUM) {
        if (!fw_compile_to_thousandths(value)) {
            return fw_compile_fail(compiler, &at, expected[type], NULL);
        }
        found = type;
    }
    return found == type || fw_compile_fail(compiler, &at, expected[type], NULL);
}

/* A range, `in a..b`, where one stands. */
static bool read_range(fw_compiler_t *compiler, uint8_t type, int32_t range[2])
{
    if (!fw_compile_accept(compiler, "in")) {
        return true;
    }
    fw_token_t at = compiler->token;
    if (!read_constant_of(compiler, type, &range[0]) ||
        !fw_compile_take(compiler, FW_TOKEN_TO, "`..`") ||
        !read_constant_of(compiler, type, &range[1])) {
        return false;
    }
    return range[0] <= range[1] ||
           fw_compile_fail(compiler, &at, "a range from the smaller to the larger", NULL);
}

/* ---- declarations ---- */

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
        if (!read_type(compiler, &symbol->type)) {
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
    if (!read_constant_of(compiler, FW_TYPE_NUM, from) ||
        !fw_compile_take(compiler, FW_TOKEN_TO, "`..`") ||
        !read_constant_of(compiler, FW_TYPE_NUM, to)) {
        return false;
    }
    return *from != *to || fw_compile_fail(compiler, &at, "two different numbers", NULL);
}

/* A time that is above 0. */
static bool read_time(fw_compiler_t *compiler, int32_t *ms)
{
    fw_token_t at = compiler->token;
    return read_constant_of(compiler, FW_TYPE_TIME, ms) &&
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
        return read_constant_of(compiler, type, &words[FW_INPUT_BAD_BELOW]);
    }
    if (fw_compile_accept(compiler, "above")) {
        return read_constant_of(compiler, type, &words[FW_INPUT_BAD_ABOVE]);
    }
    return fw_compile_fail(compiler, &compiler->token, "`below` or `above`", NULL);
}

/* The board knows no more pins, and status no more points. */
static bool count_point(fw_compiler_t *compiler)
{
    if (compiler->points == FW_POINTS_MAX) {
        return fw_compile_fail(compiler, &compiler->token,
                               "no further point: a script has 32 at most", NULL);
    }
    compiler->points++;
    return true;
}

static bool declare_input(fw_compiler_t *compiler)
{
    if (!count_point(compiler)) {
        return false;
    }
    fw_symbol_t *symbol = declare(compiler, FW_SYMBOL_INPUT);
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
    write_record(compiler, FW_RECORD_INPUT, symbol->cell, symbol->type, words, FW_INPUT_WORDS,
                 symbol);
    return take_line_end(compiler, symbol->type == FW_TYPE_BOOL
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

static bool declare_output(fw_compiler_t *compiler)
{
    if (!count_point(compiler)) {
        return false;
    }
    fw_symbol_t *symbol = declare(compiler, FW_SYMBOL_OUTPUT);
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
    } else if (!read_constant_of(compiler, symbol->type, &words[FW_OUTPUT_SAFE])) {
        return false;
    }
    while (read_output_option(compiler, symbol, words)) {
    }
    write_record(compiler, FW_RECORD_OUTPUT, symbol->cell, symbol->type, words, FW_OUTPUT_WORDS,
                 symbol);
    return take_line_end(compiler, "`confirm`, `linkloss`, `manual` or the end of the line");
}

/* `interlock a, b gap time` */
static bool declare_interlock(fw_compiler_t *compiler)
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
    if (!read_constant_of(compiler, FW_TYPE_TIME, &words[2])) {
        return false;
    }
    compiler->interlocks++;
    write_record(compiler, FW_RECORD_INTERLOCK, 0, count, words, 3, NULL);
    return take_line_end(compiler, "the end of the line");
}

static bool declare_variable(fw_compiler_t *compiler, fw_symbol_kind_t kind)
{
    fw_symbol_t *symbol = declare(compiler, kind);
    if (symbol == NULL) {
        return false;
    }
    int32_t words[4] = {0, symbol->line, INT32_MIN, INT32_MAX};
    bool has_type = compiler->token.kind == FW_TOKEN_COLON;
    if (has_type) {
        fw_compile_advance(compiler);
        if (!read_type(compiler, &symbol->type)) {
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
        if (!(has_type ? read_constant_of(compiler, symbol->type, &words[0])
                       : read_constant(compiler, &symbol->type, &words[0]))) {
            return false;
        }
    }
    fw_token_t at = compiler->token;
    if (kind == FW_SYMBOL_PARAMETER && !read_range(compiler, symbol->type, &words[2])) {
        return false;
    }
    if (words[0] < words[2] || words[0] > words[3]) {
        return fw_compile_fail(compiler, &at, "a range that holds the value", NULL);
    }
    fw_record_tag_t tag = kind == FW_SYMBOL_PARAMETER  ? FW_RECORD_PARAMETER
                          : kind == FW_SYMBOL_RETAINED ? FW_RECORD_RETAINED
                                                       : FW_RECORD_VARIABLE;
    write_record(compiler, tag, symbol->cell, symbol->type, words,
                 kind == FW_SYMBOL_PARAMETER ? 4 : 2, symbol);
    return take_line_end(compiler, "the end of the line");
}

/* ---- statements ---- */

static bool read_condition(fw_compiler_t *compiler, fw_operand_t *condition)
{
    fw_token_t at = compiler->token;
    if (!fw_compile_expression(compiler, condition)) {
        return false;
    }
    return condition->type == FW_TYPE_BOOL ||
           fw_compile_fail(compiler, &at, "a condition: something that is true or false", NULL);
}

/* One argument; its record comes after its command's, and so do the others': they are kept in the
 * symbols till then, and the ranges in `ranges`. */
static bool read_argument(fw_compiler_t *compiler, uint8_t parent, int32_t range[2])
{
    fw_symbol_t *symbol =
        declare_part(compiler, parent, FW_SYMBOL_ARGUMENT, "the name of an argument");
    if (symbol == NULL) {
        return false;
    }
    symbol->cell = new_cell(compiler);
    if (!fw_compile_take(compiler, FW_TOKEN_COLON, "`:` and a type") ||
        !read_type(compiler, &symbol->type)) {
        return false;
    }
    range[0] = symbol->type == FW_TYPE_BOOL || symbol->type == FW_TYPE_TIME ? 0 : INT32_MIN;
    range[1] = symbol->type == FW_TYPE_BOOL ? 1 : INT32_MAX;
    return symbol->type == FW_TYPE_BOOL || read_range(compiler, symbol->type, range);
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
    write_record(compiler, FW_RECORD_COMMAND, command->cell, count, &line, 1, command);
    for (uint8_t i = 0; i < count; i++) {
        const fw_symbol_t *argument = &compiler->symbols[parent + 1u + i];
        write_record(compiler, FW_RECORD_ARGUMENT, argument->cell, argument->type, ranges[i], 2,
                     argument);
    }
    return true;
}

static bool declare_command(fw_compiler_t *compiler)
{
    if (compiler->commands == FW_SCRIPT_COMMANDS_MAX) {
        return fw_compile_fail(compiler, &compiler->token,
                               "no further command: a script has 16 at most", NULL);
    }
    fw_symbol_t *symbol = declare(compiler, FW_SYMBOL_COMMAND);
    if (symbol == NULL || !read_arguments(compiler, symbol)) {
        return false;
    }
    uint8_t number = compiler->commands++;
    uint8_t arguments = (uint8_t)(compiler->symbols_count - 1u - (symbol - compiler->symbols));
    fw_compile_emit(compiler, FW_OP_OFFER, number, (uint8_t)(symbol->cell + 1u), arguments);
    fw_operand_t refuses = {.cell = fw_compile_constant(compiler, 0)};
    if (fw_compile_accept(compiler, "refuse")) {
        const fw_token_t text = compiler->token;
        if (!fw_compile_take(compiler, FW_TOKEN_STRING, "why it refuses, in quotes")) {
            return false;
        }
        write_text_record(compiler, FW_RECORD_REFUSAL, number, 0, NULL, 0, text.at, text.length);
        if (!fw_compile_accept(compiler, "when")) {
            return fw_compile_fail(compiler, &compiler->token, "`when` and a condition", NULL);
        }
        if (!read_condition(compiler, &refuses)) {
            return false;
        }
    }
    fw_compile_emit(compiler, FW_OP_TAKE, number, symbol->cell, refuses.cell);
    fw_compile_release(compiler, &refuses);
    return take_line_end(compiler, "`refuse`, an operator, or the end of the line");
}

/* Blocks run in every scan, so what is one stands in no branch. */
static bool stands_in_no_branch(fw_compiler_t *compiler)
{
    if (compiler->depth > 0u) {
        return fw_compile_fail(compiler, &compiler->token,
                               "no event and no alarm inside of an `if`: each has its `when`",
                               "move it below the `if`, and join the conditions with `and`");
    }
    if (compiler->blocks == FW_SCRIPT_BLOCKS_MAX) {
        return fw_compile_fail(compiler, &compiler->token,
                               "no further block: a script has 64 at most", NULL);
    }
    return true;
}

static bool take_event(fw_compiler_t *compiler)
{
    if (!stands_in_no_branch(compiler)) {
        return false;
    }
    if (compiler->events == FW_SCRIPT_EVENTS_MAX) {
        return fw_compile_fail(compiler, &compiler->token,
                               "no further event: a script has 32 at most", NULL);
    }
    int32_t words[2] = {compiler->token.line, 0};
    const fw_token_t text = compiler->token;
    uint8_t values = 0;
    if (!fw_compile_take(compiler, FW_TOKEN_STRING, "what happened, in quotes")) {
        return false;
    }
    while (!fw_compile_at(compiler, "when")) {
        fw_operand_t value;
        if (values > 0u && !fw_compile_take(compiler, FW_TOKEN_COMMA, "`,` or `when`")) {
            return false;
        }
        if (values == FW_SCRIPT_EVENT_VALUES_MAX) {
            return fw_compile_fail(compiler, &compiler->token,
                                   "`when`: an event has four values at most", NULL);
        }
        if (compiler->token.kind != FW_TOKEN_NAME) {
            return fw_compile_fail(compiler, &compiler->token, "a name, or `when`", NULL);
        }
        const fw_token_t name = compiler->token;
        if (!fw_compile_name(compiler, &value)) {
            return false;
        }
        if (value.is_temporary) {
            return fw_compile_fail(compiler, &name, "the name of a value, or `when`",
                                   "the machine itself is the number of its state");
        }
        words[1] |= (int32_t)((uint32_t)value.cell << (8u * values));
        values++;
    }
    fw_compile_advance(compiler);
    write_text_record(compiler, FW_RECORD_EVENT, compiler->events, values, words, 2, text.at,
                      text.length);
    fw_operand_t condition;
    if (!read_condition(compiler, &condition)) {
        return false;
    }
    const uint8_t cells[4] = {compiler->events, condition.cell, 0, 0};
    compiler->events++;
    fw_compile_emit_block(compiler, FW_OP_EVENT, cells);
    fw_compile_release(compiler, &condition);
    return take_line_end(compiler, "an operator, or the end of the line");
}

static bool read_level(fw_compiler_t *compiler, uint8_t *level)
{
    static const char *const levels[] = {
        [FW_ALARM_LOW] = "LOW", [FW_ALARM_MEDIUM] = "MEDIUM", [FW_ALARM_HIGH] = "HIGH"};
    for (uint8_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (fw_compile_accept(compiler, levels[i])) {
            *level = i;
            return true;
        }
    }
    return fw_compile_fail(compiler, &compiler->token, "how grave it is: LOW, MEDIUM or HIGH", NULL);
}

static bool take_alarm(fw_compiler_t *compiler)
{
    if (!stands_in_no_branch(compiler)) {
        return false;
    }
    if (compiler->alarms == FW_SCRIPT_ALARMS_MAX) {
        return fw_compile_fail(compiler, &compiler->token,
                               "no further alarm: a script has 16 at most", NULL);
    }
    const int32_t line = compiler->token.line;
    uint8_t level = 0;
    if (!read_level(compiler, &level)) {
        return false;
    }
    const fw_token_t text = compiler->token;
    if (!fw_compile_take(compiler, FW_TOKEN_STRING, "what is wrong, in quotes")) {
        return false;
    }
    write_text_record(compiler, FW_RECORD_ALARM, compiler->alarms, level, &line, 1, text.at,
                      text.length);
    if (!fw_compile_accept(compiler, "when")) {
        return fw_compile_fail(compiler, &compiler->token, "`when` and a condition", NULL);
    }
    fw_operand_t raised;
    fw_operand_t over;
    if (!read_condition(compiler, &raised)) {
        return false;
    }
    if (fw_compile_accept(compiler, "clear")) {
        if (!read_condition(compiler, &over)) {
            return false;
        }
    } else {
        over = (fw_operand_t){.cell = fw_compile_temporary(compiler), .is_temporary = true};
        fw_compile_emit(compiler, FW_OP_NOT, over.cell, raised.cell, 0);
    }
    const uint8_t cells[4] = {compiler->alarms, raised.cell, over.cell, 0};
    compiler->alarms++;
    fw_compile_emit_block(compiler, FW_OP_ALARM, cells);
    fw_compile_release(compiler, &over);
    fw_compile_release(compiler, &raised);
    return take_line_end(compiler, "an operator, `clear` or the end of the line");
}

/* From here on the branch that this is in decides. */
static void emit_branch(fw_compiler_t *compiler)
{
    if (compiler->depth == 0u) {
        fw_compile_emit(compiler, FW_OP_ALWAYS, 0, 0, 0);
    } else {
        fw_compile_emit(compiler, FW_OP_WHEN, compiler->branches[compiler->depth - 1u].taken, 0, 0);
    }
}

static bool begin_if(fw_compiler_t *compiler)
{
    if (compiler->depth == FW_BRANCH_DEPTH_MAX) {
        return fw_compile_fail(compiler, &compiler->token, "no further `if` inside of eight others",
                               "join conditions with `and`");
    }
    uint16_t line = compiler->token.line;
    fw_compile_advance(compiler);
    if (compiler->depth == 0u) {
        compiler->chains++;
    }
    fw_branch_t branch = {.line = line, .branch = ++compiler->branches_begun};
    branch.taken = fw_compile_temporary(compiler);
    branch.open = fw_compile_temporary(compiler);
    fw_operand_t condition;
    if (!read_condition(compiler, &condition) ||
        !take_line_end(compiler, "an operator, or the end of the line")) {
        return false;
    }
    fw_compile_emit(compiler, FW_OP_NOT, branch.open, condition.cell, 0);
    if (compiler->depth > 0u) {
        uint8_t outer = compiler->branches[compiler->depth - 1u].taken;
        fw_compile_emit(compiler, FW_OP_AND, branch.open, branch.open, outer);
        fw_compile_emit(compiler, FW_OP_AND, branch.taken, condition.cell, outer);
    } else {
        fw_compile_emit(compiler, FW_OP_MOVE, branch.taken, condition.cell, 0);
    }
    fw_compile_release(compiler, &condition);
    compiler->branches[compiler->depth++] = branch;
    emit_branch(compiler);
    return true;
}

static bool take_else(fw_compiler_t *compiler)
{
    if (compiler->depth == 0u) {
        return fw_compile_fail(compiler, &compiler->token, "a statement: there is no `if` here",
                               NULL);
    }
    fw_branch_t *branch = &compiler->branches[compiler->depth - 1u];
    if (branch->has_else) {
        return fail_clash(compiler, &compiler->token, "`end`: the `if` has its `else`", NULL,
                          branch->line);
    }
    fw_compile_advance(compiler);
    branch->branch = ++compiler->branches_begun;
    if (at_line_end(compiler)) {
        branch->has_else = true;
        fw_compile_emit(compiler, FW_OP_MOVE, branch->taken, branch->open, 0);
        emit_branch(compiler);
        return true;
    }
    if (!fw_compile_accept(compiler, "if")) {
        return fw_compile_fail(compiler, &compiler->token, "`if`, or the end of the line", NULL);
    }
    /* The condition belongs to no branch of this chain, and may hold blocks if the chain may. */
    compiler->depth--;
    emit_branch(compiler);
    fw_operand_t condition;
    if (!read_condition(compiler, &condition) ||
        !take_line_end(compiler, "an operator, or the end of the line")) {
        return false;
    }
    compiler->depth++;
    fw_compile_emit(compiler, FW_OP_AND, branch->taken, branch->open, condition.cell);
    /* Taken implies open: what stays open is the one without the other. */
    fw_compile_emit(compiler, FW_OP_DIFFERS, branch->open, branch->open, branch->taken);
    fw_compile_release(compiler, &condition);
    emit_branch(compiler);
    return true;
}

static bool take_end(fw_compiler_t *compiler)
{
    if (compiler->depth == 0u) {
        return fw_compile_fail(compiler, &compiler->token, "a statement: there is no `if` here",
                               NULL);
    }
    fw_compile_advance(compiler);
    compiler->depth--;
    compiler->temporaries = (uint8_t)(compiler->temporaries - 2u);
    emit_branch(compiler);
    return take_line_end(compiler, "the end of the line");
}

/* Rule 2: one statement assigns a name, a whole `if` counting as one. */
static bool claim(fw_compiler_t *compiler, fw_symbol_t *symbol, const fw_token_t *name)
{
    static const char *const refusals[] = {
        [FW_SYMBOL_INPUT] = "an output or a variable: this is an input",
        [FW_SYMBOL_PARAMETER] = "an output or a variable: this is a parameter",
        [FW_SYMBOL_MANUAL] = "an output or a variable: this output is switched by hand",
        [FW_SYMBOL_COMMAND] = "an output or a variable: this is a command",
        [FW_SYMBOL_MACHINE] = "an output or a variable: this is a state machine",
    };
    if (symbol->kind < sizeof(refusals) / sizeof(refusals[0]) && refusals[symbol->kind] != NULL) {
        const char *fix = symbol->kind == FW_SYMBOL_MANUAL ? "take away `manual`" : NULL;
        return fail_clash(compiler, name, refusals[symbol->kind], fix, symbol->line);
    }
    uint16_t chain = compiler->depth == 0u ? 0u : compiler->chains;
    uint16_t branch = compiler->depth == 0u ? 0u : compiler->branches[compiler->depth - 1u].branch;
    if (symbol->assigned_line != 0u &&
        (chain == 0u || symbol->chain != chain || symbol->branch == branch)) {
        return fail_clash(compiler, name, "a name that no other statement assigns",
                          "join the two with `or`, or put both into one `if`",
                          symbol->assigned_line);
    }
    symbol->assigned_line = name->line;
    symbol->chain = chain;
    symbol->branch = branch;
    return true;
}

/* Puts a result into a name's cell. */
static void store(fw_compiler_t *compiler, uint8_t cell, const fw_operand_t *value)
{
    bool is_held = compiler->held_words > 0u && value->is_temporary &&
                   ((compiler->held[0] >> 8) & 0xFFu) == value->cell;
    if (compiler->depth > 0u) {
        fw_compile_emit(compiler, FW_OP_SET, cell, value->cell, 0);
    } else if (is_held) {
        compiler->held[0] = (compiler->held[0] & ~0xFF00u) | ((uint32_t)cell << 8);
    } else {
        fw_compile_emit(compiler, FW_OP_MOVE, cell, value->cell, 0);
    }
}

static bool increase(fw_compiler_t *compiler, const fw_symbol_t *symbol, fw_operand_t *value)
{
    uint8_t sum = fw_compile_temporary(compiler);
    fw_compile_emit(compiler, FW_OP_ADD, sum, symbol->cell, value->cell);
    fw_operand_t result = {.cell = sum, .type = symbol->type, .is_temporary = true};
    if (!fw_compile_accept(compiler, "when")) {
        store(compiler, symbol->cell, &result);
    } else {
        fw_operand_t condition;
        if (!read_condition(compiler, &condition)) {
            return false;
        }
        uint8_t taken = condition.cell;
        if (compiler->depth > 0u) {
            taken = fw_compile_temporary(compiler);
            fw_compile_emit(compiler, FW_OP_AND, taken, condition.cell,
                            compiler->branches[compiler->depth - 1u].taken);
            compiler->temporaries--;
        }
        fw_compile_emit(compiler, FW_OP_WHEN, taken, 0, 0);
        fw_compile_emit(compiler, FW_OP_SET, symbol->cell, sum, 0);
        emit_branch(compiler);
        fw_compile_release(compiler, &condition);
    }
    fw_compile_release(compiler, &result);
    return true;
}

static bool assign(fw_compiler_t *compiler)
{
    const fw_token_t name = compiler->token;
    fw_symbol_t *symbol = fw_compile_find(compiler, &name);
    if (symbol == NULL) {
        return fw_compile_fail(compiler, &name, "a declared name, or a word of the language",
                               "declare it above with `var`, `in` or `out`");
    }
    fw_compile_advance(compiler);
    bool is_increase = compiler->token.kind == FW_TOKEN_INCREASE;
    if (!is_increase && compiler->token.kind != FW_TOKEN_ASSIGN) {
        const char *fix = compiler->token.kind == FW_TOKEN_IS ? "write `:=`" : NULL;
        return fw_compile_fail(compiler, &compiler->token, "`:=` or `+=`", fix);
    }
    if (!claim(compiler, symbol, &name)) {
        return false;
    }
    if (is_increase && symbol->type == FW_TYPE_BOOL) {
        return fw_compile_fail(compiler, &compiler->token, "`:=`, for this is true or false", NULL);
    }
    fw_compile_advance(compiler);
    fw_token_t at = compiler->token;
    fw_operand_t value;
    if (!fw_compile_expression(compiler, &value)) {
        return false;
    }
    if (!fw_compile_convert(compiler, &value, symbol->type)) {
        static const char *const expected[] = {
            [FW_TYPE_BOOL] = "a value that is true or false, as the name is",
            [FW_TYPE_INT] = "a whole number, as the name is",
            [FW_TYPE_NUM] = "a number, as the name is",
            [FW_TYPE_TIME] = "a time, as the name is",
        };
        const char *fix = symbol->type == FW_TYPE_INT && value.type == FW_TYPE_NUM
                              ? "round it with int( )"
                              : NULL;
        return fw_compile_fail(compiler, &at, expected[symbol->type], fix);
    }
    if (is_increase) {
        if (!increase(compiler, symbol, &value)) {
            return false;
        }
    } else {
        store(compiler, symbol->cell, &value);
    }
    fw_compile_release(compiler, &value);
    return take_line_end(compiler, is_increase ? "an operator, `when` or the end of the line"
                                               : "an operator, or the end of the line");
}

/* `state name: first, second`; its transitions follow, up to `end`. */
static bool begin_machine(fw_compiler_t *compiler)
{
    fw_symbol_t *symbol = declare(compiler, FW_SYMBOL_MACHINE);
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
            declare_part(compiler, parent, FW_SYMBOL_STATE, "the name of a state");
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
    write_record(compiler, FW_RECORD_MACHINE, symbol->cell, count, &line, 1, symbol);
    for (uint8_t i = 0; i < count; i++) {
        write_record(compiler, FW_RECORD_STATE, symbol->cell, i, NULL, 0,
                     &compiler->symbols[parent + 1u + i]);
    }
    const uint8_t cells[4] = {symbol->cell, 0, 0, 0};
    fw_compile_emit_block(compiler, FW_OP_STATES, cells);
    compiler->machine = parent;
    return take_line_end(compiler, "`,` or the end of the line");
}

static bool read_state(fw_compiler_t *compiler, uint8_t *value)
{
    const fw_symbol_t *state = find_part(compiler, compiler->machine, &compiler->token);
    if (state == NULL) {
        return fw_compile_fail(compiler, &compiler->token, "a state of this machine", NULL);
    }
    *value = state->cell;
    fw_compile_advance(compiler);
    return true;
}

/* A line within a machine: `from a to b when condition`, or its `end`. */
static bool transition(fw_compiler_t *compiler)
{
    const fw_symbol_t *machine = &compiler->symbols[compiler->machine];
    uint8_t from = FW_STATE_ANY;
    uint8_t to = 0;
    if (fw_compile_accept(compiler, "end")) {
        compiler->machine = FW_SYMBOL_NONE;
        return take_line_end(compiler, "the end of the line");
    }
    if (!fw_compile_accept(compiler, "from")) {
        return fail_clash(compiler, &compiler->token,
                          "`from`, or the `end` of the state machine", NULL, machine->line);
    }
    if (!fw_compile_accept(compiler, "any") && !read_state(compiler, &from)) {
        return false;
    }
    if (!fw_compile_accept(compiler, "to")) {
        return fw_compile_fail(compiler, &compiler->token, "`to` and a state", NULL);
    }
    if (!read_state(compiler, &to)) {
        return false;
    }
    if (!fw_compile_accept(compiler, "when")) {
        return fw_compile_fail(compiler, &compiler->token, "`when` and a condition", NULL);
    }
    fw_operand_t condition;
    if (!read_condition(compiler, &condition)) {
        return false;
    }
    const uint8_t cells[3] = {machine->cell, condition.cell, from};
    fw_compile_emit_long(compiler, FW_OP_STEP, cells,
                         (uint32_t)machine->flag | ((uint32_t)to << 8));
    fw_compile_release(compiler, &condition);
    return take_line_end(compiler, "an operator, or the end of the line");
}

static bool statement(fw_compiler_t *compiler)
{
    if (compiler->machine != FW_SYMBOL_NONE) {
        return transition(compiler);
    }
    if (compiler->token.kind != FW_TOKEN_NAME) {
        return fw_compile_fail(compiler, &compiler->token, "a declaration or a statement", NULL);
    }
    if (fw_compile_accept(compiler, "in")) {
        return declare_input(compiler);
    }
    if (fw_compile_accept(compiler, "out")) {
        return declare_output(compiler);
    }
    if (fw_compile_accept(compiler, "var")) {
        return declare_variable(compiler, FW_SYMBOL_VARIABLE);
    }
    if (fw_compile_accept(compiler, "retain")) {
        return declare_variable(compiler, FW_SYMBOL_RETAINED);
    }
    if (fw_compile_accept(compiler, "param")) {
        return declare_variable(compiler, FW_SYMBOL_PARAMETER);
    }
    if (fw_compile_accept(compiler, "interlock")) {
        return declare_interlock(compiler);
    }
    if (fw_compile_accept(compiler, "command")) {
        return declare_command(compiler);
    }
    if (fw_compile_accept(compiler, "state")) {
        return begin_machine(compiler);
    }
    if (fw_compile_accept(compiler, "event")) {
        return take_event(compiler);
    }
    if (fw_compile_accept(compiler, "alarm")) {
        return take_alarm(compiler);
    }
    if (fw_compile_at(compiler, "if")) {
        return begin_if(compiler);
    }
    if (fw_compile_at(compiler, "else")) {
        return take_else(compiler);
    }
    if (fw_compile_at(compiler, "end")) {
        return take_end(compiler);
    }
    return assign(compiler);
}

/* ---- from outside ---- */

bool fw_compile_begin(fw_compiler_t *compiler, const uint8_t *source, size_t length,
                      const fw_board_t *board, fw_program_sink_t sink)
{
    *compiler = (fw_compiler_t){
        .board = board,
        .sink = sink,
        .least_temporary = FW_SCRIPT_CELLS,
        .flags = {FW_CELL_NONE, FW_CELL_NONE, FW_CELL_NONE},
        .machine = FW_SYMBOL_NONE,
    };
    if (length > FW_SCRIPT_SOURCE_MAX) {
        const fw_token_t start = {.line = 1, .column = 1};
        return fw_compile_fail(compiler, &start, "a script of at most 8,192 bytes", NULL);
    }
    fw_lex_init(&compiler->lexer, source, (uint16_t)length);
    fw_compile_advance(compiler);
    return true;
}

fw_compile_state_t fw_compile_step(fw_compiler_t *compiler)
{
    while (!compiler->failed && compiler->token.kind == FW_TOKEN_LINE) {
        fw_compile_advance(compiler);
    }
    if (!compiler->failed && compiler->token.kind == FW_TOKEN_END) {
        if (compiler->machine != FW_SYMBOL_NONE) {
            fail_clash(compiler, &compiler->token, "`end`: a state machine is open",
                       "close it with `end`", compiler->symbols[compiler->machine].line);
        } else if (compiler->depth > 0u) {
            fail_clash(compiler, &compiler->token, "`end`: an `if` is open",
                       "close it with `end`", compiler->branches[compiler->depth - 1u].line);
        } else {
            fw_compile_emit(compiler, FW_OP_END, 0, 0, 0);
            flush(compiler);
        }
        return compiler->failed ? FW_COMPILE_FAILED : FW_COMPILE_DONE;
    }
    if (!compiler->failed) {
        (void)statement(compiler);
    }
    return compiler->failed ? FW_COMPILE_FAILED : FW_COMPILE_MORE;
}
