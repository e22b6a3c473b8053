/*
 * compile_base.c: what declarations, statements and expressions are compiled with: errors, tokens,
 * what is written, cells, names and constants.
 */
#include "compile_inside.h"

#include "code.h"
#include "cost.h"

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

bool fw_compile_clash(fw_compiler_t *compiler, const fw_token_t *at, const char *expected,
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

bool fw_compile_at_line_end(const fw_compiler_t *compiler)
{
    return compiler->token.kind == FW_TOKEN_LINE || compiler->token.kind == FW_TOKEN_END;
}

bool fw_compile_take_line_end(fw_compiler_t *compiler, const char *expected)
{
    if (!fw_compile_at_line_end(compiler)) {
        return fw_compile_fail(compiler, &compiler->token, expected, NULL);
    }
    return true;
}

/* ---- what is written ---- */

static uint32_t cost_of(fw_op_t op)
{
    static const uint32_t costs[FW_OPS] = {
#define ENTRY(op, instructions) [op] = (instructions),
        FW_OP_COSTS(ENTRY)
#undef ENTRY
    };
    return costs[op];
}

void fw_compile_flush(fw_compiler_t *compiler)
{
    const fw_token_t nowhere = {.line = 1, .column = 1};
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
    fw_compile_flush(compiler);
    compiler->held[0] = fw_instruction(op, a, b, c);
    compiler->held_words = 1;
    compiler->operations++;
    compiler->cost += cost_of(op);
    const uint8_t cells[4] = {a, b, c, 0};
    if (!fw_op_is_block((uint8_t)op)) {
        fw_compile_trace(compiler, op, cells);
    }
}

void fw_compile_emit_long(fw_compiler_t *compiler, fw_op_t op, const uint8_t cells[3],
                          uint32_t further)
{
    fw_compile_emit(compiler, op, cells[0], cells[1], cells[2]);
    compiler->held[1] = further;
    compiler->held_words = 2;
    const uint8_t traced[4] = {cells[0], cells[1], cells[2], (uint8_t)(further >> 8)};
    fw_compile_trace(compiler, op, traced);
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
void fw_compile_write_text(fw_compiler_t *compiler, fw_record_tag_t tag, uint8_t a, uint8_t b,
                              const int32_t *words, uint8_t count, uint16_t text_at,
                              uint16_t text_length)
{
    compiler->records++;
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
            size_t place = (size_t)text_at + at + i;
            char byte = fw_string_byte((const char *)compiler->lexer.source, place);
            word |= (uint32_t)(uint8_t)byte << (8u * i);
        }
        write_table(compiler, word);
    }
}

void fw_compile_write_record(fw_compiler_t *compiler, fw_record_tag_t tag, uint8_t a, uint8_t b,
                         const int32_t *words, uint8_t count, const fw_symbol_t *symbol)
{
    uint16_t at = symbol == NULL ? 0u : symbol->at;
    uint16_t length = symbol == NULL ? 0u : symbol->length;
    fw_compile_write_text(compiler, tag, a, b, words, count, at, length);
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

uint8_t fw_compile_cell(fw_compiler_t *compiler)
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
    uint8_t cell = fw_compile_cell(compiler);
    compiler->constants[compiler->constants_count] = value;
    compiler->constant_cells[compiler->constants_count] = cell;
    compiler->constants_count++;
    fw_compile_write_record(compiler, FW_RECORD_CONSTANT, cell, 0, &value, 1, NULL);
    return cell;
}

/* ---- names ---- */

static bool is_reserved(const fw_compiler_t *compiler)
{
    static const char *const words[] = {
        "in",   "out",  "var",   "retain", "param", "command", "if",    "else",  "end",
        "when", "and",  "or",    "not",    "mod",   "event",   "alarm", "state", "interlock",
        "refuse", "clear", "true", "false", "on", "off", "from", "to", "boot", "online", "synced",
        "bool", "time", "during", "unsynced", "place", "sunrise", "sunset",
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
const fw_symbol_t *fw_compile_find_part(const fw_compiler_t *compiler, uint8_t parent,
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
/* Enters the name that the token is, and goes past it. `known` bears it already, or is NULL. */
static fw_symbol_t *enter(fw_compiler_t *compiler, fw_symbol_kind_t kind, const fw_symbol_t *known)
{
    const fw_token_t name = compiler->token;
    if (known != NULL) {
        fw_compile_clash(compiler, &name, "a name that is not taken", NULL, known->line);
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
        .flag = FW_CELL_NONE,
    };
    fw_compile_advance(compiler);
    return symbol;
}

fw_symbol_t *fw_compile_declare_part(fw_compiler_t *compiler, uint8_t parent, fw_symbol_kind_t kind,
                                     const char *expected)
{
    const fw_token_t *name = &compiler->token;
    if (name->kind != FW_TOKEN_NAME) {
        fw_compile_fail(compiler, name, expected, NULL);
        return NULL;
    }
    fw_symbol_t *symbol = enter(compiler, kind, fw_compile_find_part(compiler, parent, name));
    if (symbol != NULL) {
        symbol->parent = parent;
    }
    return symbol;
}

/* A flag's cell, made when it is first asked for. */
static uint8_t flag_cell(fw_compiler_t *compiler, uint8_t *cell, fw_flag_t flag, int32_t point)
{
    if (*cell == FW_CELL_NONE) {
        *cell = fw_compile_cell(compiler);
        fw_compile_write_record(compiler, FW_RECORD_FLAG, *cell, (uint8_t)flag, &point, 1, NULL);
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
    const fw_symbol_t *part = fw_compile_find_part(compiler, parent, &member);
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
fw_symbol_t *fw_compile_declare(fw_compiler_t *compiler, fw_symbol_kind_t kind)
{
    const fw_token_t name = compiler->token;
    if (name.kind != FW_TOKEN_NAME || is_reserved(compiler)) {
        fw_compile_fail(compiler, &name, "a name",
                        name.kind == FW_TOKEN_NAME ? "this word is the language's own" : NULL);
        return NULL;
    }
    if (compiler->depth > 0u) {
        fw_compile_fail(compiler, &name, "a statement", "declare names above the `if`");
        return NULL;
    }
    fw_symbol_t *symbol = enter(compiler, kind, fw_compile_find(compiler, &name));
    if (symbol != NULL) {
        symbol->cell = fw_compile_cell(compiler);
    }
    return symbol;
}

/* ---- types and constants ---- */

bool fw_compile_read_type(fw_compiler_t *compiler, uint8_t *type)
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

bool fw_compile_at_number(const fw_compiler_t *compiler)
{
    uint8_t kind = compiler->token.kind;
    return kind == FW_TOKEN_INT || kind == FW_TOKEN_NUM || kind == FW_TOKEN_TIME;
}

bool fw_compile_read_number(fw_compiler_t *compiler, bool is_negative, uint8_t *type,
                            int32_t *value)
{
    const fw_token_t *token = &compiler->token;
    bool is_least = token->value == INT32_MIN;
    if (is_least && !is_negative) {
        return fw_compile_fail(compiler, token, fw_lex_bound(token->kind), NULL);
    }
    *type = token->kind == FW_TOKEN_INT   ? FW_TYPE_INT
            : token->kind == FW_TOKEN_NUM ? FW_TYPE_NUM
                                          : FW_TYPE_TIME;
    *value = is_negative && !is_least ? -token->value : token->value;
    fw_compile_advance(compiler);
    return true;
}

/* A literal with its sign. */
bool fw_compile_read_constant(fw_compiler_t *compiler, uint8_t *type, int32_t *value)
{
    bool negative = compiler->token.kind == FW_TOKEN_MINUS;
    if (negative) {
        fw_compile_advance(compiler);
    }
    const fw_token_t *token = &compiler->token;
    bool is_true = fw_compile_at(compiler, "true") || fw_compile_at(compiler, "on");
    bool is_false = fw_compile_at(compiler, "false") || fw_compile_at(compiler, "off");
    if (fw_compile_at_number(compiler)) {
        return fw_compile_read_number(compiler, negative, type, value);
    }
    if (negative || !(is_true || is_false)) {
        return fw_compile_fail(compiler, token, "a number, a time, true or false", NULL);
    }
    *type = FW_TYPE_BOOL;
    *value = is_true ? 1 : 0;
    fw_compile_advance(compiler);
    return true;
}

/* The same, as a value of a type. */
bool fw_compile_read_constant_of(fw_compiler_t *compiler, uint8_t type, int32_t *value)
{
    static const char *const expected[] = {
        [FW_TYPE_BOOL] = "true or false",
        [FW_TYPE_INT] = "a whole number",
        [FW_TYPE_NUM] = "a number from -2147483.647 to 2147483.647",
        [FW_TYPE_TIME] = "a time, such as 30s",
    };
    fw_token_t at = compiler->token;
    uint8_t found = 0;
    if (!fw_compile_read_constant(compiler, &found, value)) {
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
bool fw_compile_read_range(fw_compiler_t *compiler, uint8_t type, int32_t range[2])
{
    if (!fw_compile_accept(compiler, "in")) {
        return true;
    }
    fw_token_t at = compiler->token;
    if (!fw_compile_read_constant_of(compiler, type, &range[0]) ||
        !fw_compile_take(compiler, FW_TOKEN_TO, "`..`") ||
        !fw_compile_read_constant_of(compiler, type, &range[1])) {
        return false;
    }
    return range[0] <= range[1] ||
           fw_compile_fail(compiler, &at, "a range from the smaller to the larger", NULL);
}

bool fw_compile_read_condition(fw_compiler_t *compiler, fw_operand_t *condition)
{
    fw_token_t at = compiler->token;
    if (!fw_compile_expression(compiler, condition)) {
        return false;
    }
    return condition->type == FW_TYPE_BOOL ||
           fw_compile_fail(compiler, &at, "a condition: something that is true or false", NULL);
}
