/*
 * compile.c: statements, one after the other.
 */
#include "compile_inside.h"

#include "cost.h"

/* ---- statements ---- */

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
    fw_compile_write_text(compiler, FW_RECORD_EVENT, compiler->events, values, words, 2, text.at,
                      text.length);
    fw_operand_t condition;
    if (!fw_compile_read_condition(compiler, &condition)) {
        return false;
    }
    const uint8_t cells[4] = {compiler->events, condition.cell, 0, 0};
    compiler->events++;
    fw_compile_emit_block(compiler, FW_OP_EVENT, cells);
    fw_compile_release(compiler, &condition);
    return fw_compile_take_line_end(compiler, "an operator, or the end of the line");
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
    return fw_compile_fail(compiler, &compiler->token, "how grave it is: LOW, MEDIUM or HIGH",
                           NULL);
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
    fw_compile_write_text(compiler, FW_RECORD_ALARM, compiler->alarms, level, &line, 1, text.at,
                      text.length);
    if (!fw_compile_accept(compiler, "when")) {
        return fw_compile_fail(compiler, &compiler->token, "`when` and a condition", NULL);
    }
    fw_operand_t raised;
    fw_operand_t over;
    if (!fw_compile_read_condition(compiler, &raised)) {
        return false;
    }
    if (fw_compile_accept(compiler, "clear")) {
        if (!fw_compile_read_condition(compiler, &over)) {
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
    return fw_compile_take_line_end(compiler, "an operator, `clear` or the end of the line");
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
    branch.first = branch.branch;
    branch.taken = fw_compile_temporary(compiler);
    branch.open = fw_compile_temporary(compiler);
    fw_operand_t condition;
    if (!fw_compile_read_condition(compiler, &condition) ||
        !fw_compile_take_line_end(compiler, "an operator, or the end of the line")) {
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
        return fw_compile_clash(compiler, &compiler->token, "`end`: the `if` has its `else`", NULL,
                          branch->line);
    }
    fw_compile_advance(compiler);
    branch->branch = ++compiler->branches_begun;
    if (fw_compile_at_line_end(compiler)) {
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
    if (!fw_compile_read_condition(compiler, &condition) ||
        !fw_compile_take_line_end(compiler, "an operator, or the end of the line")) {
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

/* What an `if` has assigned in any of its branches, the branch around it has assigned. */
static void lift(fw_compiler_t *compiler, uint16_t first, uint16_t around)
{
    for (uint8_t i = 0; i < compiler->symbols_count; i++) {
        fw_symbol_t *symbol = &compiler->symbols[i];
        if (symbol->assigned_line != 0u && symbol->branch >= first) {
            symbol->branch = around;
        }
    }
}

static bool take_end(fw_compiler_t *compiler)
{
    if (compiler->depth == 0u) {
        return fw_compile_fail(compiler, &compiler->token, "a statement: there is no `if` here",
                               NULL);
    }
    fw_compile_advance(compiler);
    compiler->depth--;
    if (compiler->depth > 0u) {
        lift(compiler, compiler->branches[compiler->depth].first,
             compiler->branches[compiler->depth - 1u].branch);
    }
    compiler->temporaries = (uint8_t)(compiler->temporaries - 2u);
    emit_branch(compiler);
    return fw_compile_take_line_end(compiler, "the end of the line");
}

/* Whether the statement stands in that branch, or in one within it. */
static bool is_within(const fw_compiler_t *compiler, uint16_t branch)
{
    for (uint8_t i = 0; i < compiler->depth; i++) {
        if (compiler->branches[i].branch == branch) {
            return true;
        }
    }
    return false;
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
        return fw_compile_clash(compiler, name, refusals[symbol->kind], fix, symbol->line);
    }
    uint16_t chain = compiler->depth == 0u ? 0u : compiler->chains;
    uint16_t branch = compiler->depth == 0u ? 0u : compiler->branches[compiler->depth - 1u].branch;
    if (symbol->assigned_line != 0u &&
        (chain == 0u || symbol->chain != chain || is_within(compiler, symbol->branch))) {
        return fw_compile_clash(compiler, name, "a name that no other statement assigns",
                          "join the two with `or`, or put both into one `if`",
                          symbol->assigned_line);
    }
    symbol->assigned_line = name->line;
    symbol->chain = chain;
    symbol->branch = branch;
    return true;
}

/* Puts a result into a name's cell. */
static void store(fw_compiler_t *compiler, fw_symbol_t *symbol, const fw_operand_t *value)
{
    uint8_t cell = symbol->cell;
    uint32_t causes = compiler->causes[value->cell];
    uint8_t number =
        fw_compile_trace_assignment(compiler, symbol, symbol->assigned_line, causes);
    bool is_held = compiler->held_words > 0u && value->is_temporary &&
                   ((compiler->held[0] >> 8) & 0xFFu) == value->cell;
    if (compiler->depth > 0u) {
        compiler->causes[cell] |= compiler->causes[compiler->branches[compiler->depth - 1u].taken];
        fw_compile_emit(compiler, FW_OP_SET, cell, value->cell, number);
    } else if (is_held) {
        compiler->held[0] = (compiler->held[0] & ~0xFF00u) | ((uint32_t)cell << 8);
        compiler->causes[cell] = causes;
    } else {
        fw_compile_emit(compiler, FW_OP_MOVE, cell, value->cell, 0);
    }
}

static bool increase(fw_compiler_t *compiler, fw_symbol_t *symbol, fw_operand_t *value)
{
    uint8_t sum = fw_compile_temporary(compiler);
    fw_compile_emit(compiler, FW_OP_ADD, sum, symbol->cell, value->cell);
    fw_operand_t result = {.cell = sum, .type = symbol->type, .is_temporary = true};
    if (!fw_compile_accept(compiler, "when")) {
        store(compiler, symbol, &result);
    } else {
        fw_operand_t condition;
        if (!fw_compile_read_condition(compiler, &condition)) {
            return false;
        }
        uint8_t taken = condition.cell;
        if (compiler->depth > 0u) {
            taken = fw_compile_temporary(compiler);
            fw_compile_emit(compiler, FW_OP_AND, taken, condition.cell,
                            compiler->branches[compiler->depth - 1u].taken);
            compiler->temporaries--;
        }
        uint32_t causes = compiler->causes[sum] | compiler->causes[taken];
        uint8_t number =
            fw_compile_trace_assignment(compiler, symbol, symbol->assigned_line, causes);
        fw_compile_emit(compiler, FW_OP_WHEN, taken, 0, 0);
        fw_compile_emit(compiler, FW_OP_SET, symbol->cell, sum, number);
        compiler->causes[symbol->cell] |= causes;
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
        if (symbol->kind == FW_SYMBOL_RETAINED) {
            fw_compile_write_record(compiler, FW_RECORD_COUNTER, symbol->cell, 0, NULL, 0, NULL);
        }
        if (!increase(compiler, symbol, &value)) {
            return false;
        }
    } else {
        store(compiler, symbol, &value);
    }
    fw_compile_release(compiler, &value);
    return fw_compile_take_line_end(compiler, is_increase
                                                  ? "an operator, `when` or the end of the line"
                                                  : "an operator, or the end of the line");
}

static bool read_state(fw_compiler_t *compiler, uint8_t *value)
{
    const fw_symbol_t *state = fw_compile_find_part(compiler, compiler->machine, &compiler->token);
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
        return fw_compile_take_line_end(compiler, "the end of the line");
    }
    if (!fw_compile_accept(compiler, "from")) {
        return fw_compile_clash(compiler, &compiler->token,
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
    if (!fw_compile_read_condition(compiler, &condition)) {
        return false;
    }
    const uint8_t cells[3] = {machine->cell, condition.cell, from};
    fw_compile_emit_long(compiler, FW_OP_STEP, cells,
                         (uint32_t)machine->flag | ((uint32_t)to << 8));
    fw_compile_release(compiler, &condition);
    return fw_compile_take_line_end(compiler, "an operator, or the end of the line");
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
        return fw_compile_declare_input(compiler);
    }
    if (fw_compile_accept(compiler, "out")) {
        return fw_compile_declare_output(compiler);
    }
    if (fw_compile_accept(compiler, "var")) {
        return fw_compile_declare_variable(compiler, FW_SYMBOL_VARIABLE);
    }
    if (fw_compile_accept(compiler, "retain")) {
        return fw_compile_declare_variable(compiler, FW_SYMBOL_RETAINED);
    }
    if (fw_compile_accept(compiler, "param")) {
        return fw_compile_declare_variable(compiler, FW_SYMBOL_PARAMETER);
    }
    if (fw_compile_accept(compiler, "interlock")) {
        return fw_compile_declare_interlock(compiler);
    }
    if (fw_compile_at(compiler, "place")) {
        return fw_compile_declare_place(compiler);
    }
    if (fw_compile_accept(compiler, "command")) {
        return fw_compile_declare_command(compiler);
    }
    if (fw_compile_accept(compiler, "state")) {
        return fw_compile_declare_machine(compiler);
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
    fw_compile_write_record(compiler, FW_RECORD_FORMAT, FW_PROGRAM_FORMAT, 0, NULL, 0, NULL);
    return !compiler->failed;
}

/* Where its code begins, if there is any. The first statement is told whole. */
static void tell_line(fw_compiler_t *compiler, uint16_t begins, uint16_t line)
{
    if (compiler->code_words + compiler->held_words == begins) {
        return;
    }
    uint32_t words = (uint32_t)begins - compiler->told_code;
    uint32_t lines = (uint32_t)line - compiler->told_line;
    if (compiler->told_line == 0u || words > UINT8_MAX || lines > UINT8_MAX ||
        words + lines == 0u) {
        const int32_t whole = (int32_t)(line | (uint32_t)begins << 16);
        fw_compile_write_record(compiler, FW_RECORD_LINE, 0, 0, &whole, 1, NULL);
    } else {
        fw_compile_write_record(compiler, FW_RECORD_LINE, (uint8_t)words, (uint8_t)lines, NULL, 0,
                                NULL);
    }
    compiler->told_code = begins;
    compiler->told_line = line;
}

/* What the scan costs around the script, at its worst: every output changes, and the clock is looked at. */
static void add_up(fw_compiler_t *compiler)
{
    const fw_token_t start = {.line = 1, .column = 1};
    uint32_t change = FW_COST_OUTPUT_CHANGE;
    if (compiler->chooses) {
        change += (uint32_t)(compiler->records - compiler->first_assignment) * FW_COST_RECORD;
    }
    compiler->cost += FW_COST_SCAN + FW_COST_RUNNER + FW_COST_RECORDER;
    compiler->cost += compiler->named * FW_COST_RECORDED_CELL;
    compiler->cost += compiler->blocks * FW_COST_RECORDED_BLOCK;
    compiler->cost += compiler->points * FW_COST_RECORDED_POINT;
    compiler->cost += compiler->interlocks * FW_COST_INTERLOCK;
    compiler->cost += compiler->durings == 0u ? 0u : FW_COST_LOOK;
    compiler->cost += compiler->windows * FW_COST_WINDOW;
    compiler->cost += compiler->place_line == 0u ? 0u : FW_COST_SUN;
    for (uint8_t i = 0; i < compiler->symbols_count; i++) {
        const fw_symbol_t *symbol = &compiler->symbols[i];
        if (symbol->kind == FW_SYMBOL_INPUT) {
            compiler->cost += symbol->type == FW_TYPE_BOOL ? FW_COST_DIGITAL_INPUT
                                                           : FW_COST_ANALOGUE_INPUT;
        } else if (symbol->kind == FW_SYMBOL_OUTPUT || symbol->kind == FW_SYMBOL_MANUAL) {
            compiler->cost += FW_COST_OUTPUT + change;
        }
    }
    if (compiler->cost > FW_SCAN_INSTRUCTIONS_MAX) {
        fw_compile_fail(compiler, &start, "a script whose scan takes 5 ms at most on the chip",
                        "fewer divisions, products of fractions, filter( ) and slew( ), or fewer "
                        "outputs");
        return;
    }
    const int32_t cost = (int32_t)compiler->cost;
    fw_compile_write_record(compiler, FW_RECORD_COST, 0, 0, &cost, 1, NULL);
}

fw_compile_state_t fw_compile_step(fw_compiler_t *compiler)
{
    while (!compiler->failed && compiler->token.kind == FW_TOKEN_LINE) {
        fw_compile_advance(compiler);
    }
    if (!compiler->failed && compiler->token.kind == FW_TOKEN_END) {
        if (compiler->machine != FW_SYMBOL_NONE) {
            fw_compile_clash(compiler, &compiler->token, "`end`: a state machine is open",
                       "close it with `end`", compiler->symbols[compiler->machine].line);
        } else if (compiler->depth > 0u) {
            fw_compile_clash(compiler, &compiler->token, "`end`: an `if` is open",
                       "close it with `end`", compiler->branches[compiler->depth - 1u].line);
        } else {
            fw_compile_emit(compiler, FW_OP_END, 0, 0, 0);
            fw_compile_flush(compiler);
            add_up(compiler);
        }
        return compiler->failed ? FW_COMPILE_FAILED : FW_COMPILE_DONE;
    }
    if (!compiler->failed) {
        uint16_t begins = (uint16_t)(compiler->code_words + compiler->held_words);
        uint16_t line = compiler->token.line;
        (void)statement(compiler);
        tell_line(compiler, begins, line);
    }
    return compiler->failed ? FW_COMPILE_FAILED : FW_COMPILE_MORE;
}
