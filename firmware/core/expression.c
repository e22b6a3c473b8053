/*
 * expression.c: expressions, by two stacks: of operands, and of operators that wait for theirs.
 * There is no recursion: how deep an expression may nest is the size of the stacks.
 */
#include "compile_inside.h"

#define OPERANDS_MAX 24u
#define OPERATORS_MAX 32u
#define ARGUMENTS_MAX 3u

/* What a function takes and gives: b, i, n (num), t; x a number, whole or not, and y that or a time:
 * all such arguments of one call are of one type, and so is the result. */
typedef struct {
    const char *name;
    const char *takes;
    const char *expected; /* of its arguments */
    uint32_t op; /* read whole, for it lies in flash: see fw_word */
    uint32_t gives;
} fw_function_t;

enum { CALL_INT = FW_OPS, CALL_NUM, CALL_SECONDS, CALL_LIMIT, CALL_AFTER };

static const fw_function_t functions[] = {
    {"rise", "b", "rise(condition)", FW_OP_RISE, 'b'},
    {"fall", "b", "fall(condition)", FW_OP_FALL, 'b'},
    {"toggle", "b", "toggle(condition)", FW_OP_TOGGLE, 'b'},
    {"ton", "bt", "ton(condition, time)", FW_OP_TON, 'b'},
    {"tof", "bt", "tof(condition, time)", FW_OP_TOF, 'b'},
    {"tp", "bt", "tp(condition, time)", FW_OP_TP, 'b'},
    {"blink", "btt", "blink(condition, time on, time off)", FW_OP_BLINK, 'b'},
    {"sr", "bb", "sr(set, reset)", FW_OP_SR, 'b'},
    {"rs", "bb", "rs(set, reset)", FW_OP_RS, 'b'},
    {"ctu", "bbi", "ctu(count, reset, limit)", FW_OP_CTU, 'b'},
    {"hysteresis", "xxx", "hysteresis(number, on at, off at)", FW_OP_HYSTERESIS, 'b'},
    {"filter", "nt", "filter(number, time)", FW_OP_FILTER, 'n'},
    {"slew", "nn", "slew(number, most a second)", FW_OP_SLEW, 'n'},
    {"runtime", "bi", "runtime(condition, seconds so far)", FW_OP_RUNTIME, 'i'},
    {"min", "yy", "min(a, b), both numbers or both times", FW_OP_MIN, 'y'},
    {"max", "yy", "max(a, b), both numbers or both times", FW_OP_MAX, 'y'},
    {"limit", "yyy", "limit(value, low, high), all numbers or all times", CALL_LIMIT, 'y'},
    {"abs", "y", "abs(number)", FW_OP_ABS, 'y'},
    {"int", "n", "int(number)", CALL_INT, 'i'},
    {"num", "i", "num(whole number)", CALL_NUM, 'n'},
    {"seconds", "t", "seconds(time)", CALL_SECONDS, 'n'},
    {"after", "t", "after(time)", CALL_AFTER, 'b'},
};

static uint8_t op_of(const fw_function_t *function)
{
    return (uint8_t)fw_word(&function->op);
}

/* Operators, by how closely they bind. */
typedef enum {
    MARK = 0, /* an open parenthesis, of a call if `function` is set */
    OR,
    AND,
    NOT,
    COMPARE,
    SUM,
    PRODUCT,
    NEGATE,
} fw_binding_t;

/* As much of a token as an error tells: many of them wait at once. */
typedef struct {
    uint16_t line;
    uint16_t column;
    uint16_t at;
    uint16_t length;
} fw_source_place_t;

typedef struct {
    const fw_function_t *function;
    fw_source_place_t at;
    uint8_t binding;
    uint8_t sort;      /* fw_token_kind_t of a sign; of a word, 0 */
    uint8_t arguments; /* of a call, so far */
} fw_operator_t;

typedef struct {
    fw_compiler_t *compiler;
    fw_operand_t operands[OPERANDS_MAX];
    fw_operator_t operators[OPERATORS_MAX];
    uint8_t operands_count;
    uint8_t operators_count;
} fw_expression_t;

static fw_source_place_t place_of(const fw_token_t *token)
{
    return (fw_source_place_t){token->line, token->column, token->at, token->length};
}

/* What is wrong with an operator, or with what it is applied to. Always false. */
static bool fail_at(fw_compiler_t *compiler, const fw_source_place_t *place, const char *expected,
                    const char *fix)
{
    const fw_token_t token = {
        .kind = FW_TOKEN_NAME,
        .line = place->line,
        .column = place->column,
        .at = place->at,
        .length = place->length,
    };
    return fw_compile_fail(compiler, &token, expected, fix);
}

static const char too_deep[] = "a shorter expression";
static const char split_it[] = "give a part of it a name with `var`";

/* ---- operands ---- */

bool fw_compile_to_thousandths(int32_t *value)
{
    if (*value > INT32_MAX / 1000 || *value < INT32_MIN / 1000) {
        return false;
    }
    *value *= 1000;
    return true;
}

void fw_compile_release(fw_compiler_t *compiler, const fw_operand_t *operand)
{
    if (operand->is_temporary) {
        compiler->temporaries--;
    }
}

bool fw_compile_convert(fw_compiler_t *compiler, fw_operand_t *operand, uint8_t type)
{
    if (operand->type == type) {
        return true;
    }
    if (operand->type != FW_TYPE_INT || type != FW_TYPE_NUM) {
        return false;
    }
    if (operand->is_constant) {
        if (!fw_compile_to_thousandths(&operand->value)) {
            return false;
        }
        operand->cell = fw_compile_constant(compiler, operand->value);
    } else {
        uint8_t from = operand->cell;
        if (!operand->is_temporary) {
            operand->cell = fw_compile_temporary(compiler);
            operand->is_temporary = true;
        }
        fw_compile_emit(compiler, FW_OP_INT_TO_NUM, operand->cell, from, 0);
    }
    operand->type = FW_TYPE_NUM;
    return true;
}

static bool push(fw_expression_t *expression, fw_operand_t operand, const fw_token_t *at)
{
    if (expression->operands_count == OPERANDS_MAX) {
        return fw_compile_fail(expression->compiler, at, too_deep, split_it);
    }
    expression->operands[expression->operands_count++] = operand;
    return true;
}

static bool push_constant(fw_expression_t *expression, uint8_t type, int32_t value,
                          const fw_token_t *at)
{
    fw_operand_t operand = {
        .cell = fw_compile_constant(expression->compiler, value),
        .value = value,
        .type = type,
        .is_constant = true,
    };
    return push(expression, operand, at);
}

/* The number that the token is, and goes past it. A sign before it is part of it. */
static bool push_number(fw_expression_t *expression, bool is_negative)
{
    const fw_token_t token = expression->compiler->token;
    uint8_t type = 0;
    int32_t value = 0;
    return fw_compile_read_number(expression->compiler, is_negative, &type, &value) &&
           push_constant(expression, type, value, &token);
}

/* Takes `count` operands off, which come back in `taken`, and puts a result in their place. */
static fw_operand_t *take(fw_expression_t *expression, uint8_t count)
{
    expression->operands_count = (uint8_t)(expression->operands_count - count);
    return &expression->operands[expression->operands_count];
}

static void give(fw_expression_t *expression, const fw_operand_t *taken, uint8_t count,
                 uint8_t type)
{
    fw_compiler_t *compiler = expression->compiler;
    for (uint8_t i = 0; i < count; i++) {
        fw_compile_release(compiler, &taken[i]);
    }
    expression->operands[expression->operands_count++] = (fw_operand_t){
        .cell = fw_compile_temporary(compiler),
        .type = type,
        .is_temporary = true,
    };
}

static uint8_t result_cell(const fw_expression_t *expression)
{
    return expression->operands[expression->operands_count - 1u].cell;
}

/* ---- operators ---- */

static bool is_number(const fw_operand_t *operand)
{
    return operand->type == FW_TYPE_INT || operand->type == FW_TYPE_NUM;
}

/* Makes two numbers of one type. */
static bool join(fw_compiler_t *compiler, fw_operand_t *a, fw_operand_t *b)
{
    if (!is_number(a) || !is_number(b)) {
        return a->type == b->type;
    }
    uint8_t type = a->type == b->type ? a->type : (uint8_t)FW_TYPE_NUM;
    return fw_compile_convert(compiler, a, type) && fw_compile_convert(compiler, b, type);
}

static bool apply_sum(fw_expression_t *expression, const fw_operator_t *operator_)
{
    fw_operand_t *pair = take(expression, 2);
    if (pair[0].type == FW_TYPE_BOOL || !join(expression->compiler, &pair[0], &pair[1])) {
        return fail_at(expression->compiler, &operator_->at,
                               "two numbers, or two times, around this", NULL);
    }
    fw_operand_t taken[2] = {pair[0], pair[1]};
    fw_op_t op = operator_->sort == FW_TOKEN_PLUS ? FW_OP_ADD : FW_OP_SUBTRACT;
    give(expression, taken, 2, taken[0].type);
    fw_compile_emit(expression->compiler, op, result_cell(expression), taken[0].cell,
                    taken[1].cell);
    return true;
}

static bool apply_product(fw_expression_t *expression, const fw_operator_t *operator_)
{
    fw_compiler_t *compiler = expression->compiler;
    fw_operand_t *pair = take(expression, 2);
    bool is_times = operator_->sort == FW_TOKEN_TIMES;
    bool is_over = operator_->sort == FW_TOKEN_OVER;
    uint8_t a = pair[0].type;
    uint8_t b = pair[1].type;
    fw_op_t op = is_times ? FW_OP_MULTIPLY : is_over ? FW_OP_DIVIDE : FW_OP_MODULO;
    fw_op_t op_num = is_times ? FW_OP_MULTIPLY_NUM : FW_OP_DIVIDE_NUM;
    uint8_t type = FW_TYPE_INT;
    bool fits = true;
    if (a == FW_TYPE_INT && b == FW_TYPE_INT) {
        /* As it is. */
    } else if (!is_times && !is_over) {
        fits = false;
    } else if (is_number(&pair[0]) && is_number(&pair[1])) {
        fits = join(compiler, &pair[0], &pair[1]);
        type = FW_TYPE_NUM;
        op = op_num;
    } else if (a == FW_TYPE_TIME && is_number(&pair[1])) {
        type = FW_TYPE_TIME;
        op = b == FW_TYPE_NUM ? op_num : op;
    } else if (is_times && b == FW_TYPE_TIME && is_number(&pair[0])) {
        type = FW_TYPE_TIME;
        op = a == FW_TYPE_NUM ? op_num : op;
    } else if (is_over && a == FW_TYPE_TIME && b == FW_TYPE_TIME) {
        type = FW_TYPE_NUM;
        op = op_num;
    } else {
        fits = false;
    }
    if (!fits) {
        return fail_at(compiler, &operator_->at,
                               is_times  ? "two numbers, or a time and a number, around this"
                               : is_over ? "two numbers, two times, or a time over a number"
                                         : "two whole numbers around this",
                               NULL);
    }
    fw_operand_t taken[2] = {pair[0], pair[1]};
    give(expression, taken, 2, type);
    fw_compile_emit(compiler, op, result_cell(expression), taken[0].cell, taken[1].cell);
    return true;
}

static bool apply_compare(fw_expression_t *expression, const fw_operator_t *operator_)
{
    fw_operand_t *pair = take(expression, 2);
    bool orders = operator_->sort != FW_TOKEN_IS && operator_->sort != FW_TOKEN_DIFFERS;
    if (!join(expression->compiler, &pair[0], &pair[1]) ||
        (orders && pair[0].type == FW_TYPE_BOOL)) {
        return fail_at(expression->compiler, &operator_->at,
                               orders ? "two numbers, or two times, around this"
                                      : "two values of one type around this",
                               NULL);
    }
    fw_operand_t taken[2] = {pair[0], pair[1]};
    give(expression, taken, 2, FW_TYPE_BOOL);
    uint8_t a = taken[0].cell;
    uint8_t b = taken[1].cell;
    fw_op_t op = FW_OP_EQUAL;
    switch (operator_->sort) {
    case FW_TOKEN_DIFFERS:
        op = FW_OP_DIFFERS;
        break;
    case FW_TOKEN_BELOW:
    case FW_TOKEN_ABOVE:
        op = FW_OP_BELOW;
        break;
    case FW_TOKEN_AT_MOST:
    case FW_TOKEN_AT_LEAST:
        op = FW_OP_AT_MOST;
        break;
    default:
        break;
    }
    bool swaps = operator_->sort == FW_TOKEN_ABOVE || operator_->sort == FW_TOKEN_AT_LEAST;
    fw_compile_emit(expression->compiler, op, result_cell(expression), swaps ? b : a,
                    swaps ? a : b);
    return true;
}

static bool apply_logic(fw_expression_t *expression, const fw_operator_t *operator_)
{
    uint8_t count = operator_->binding == NOT ? 1u : 2u;
    fw_operand_t *operands = take(expression, count);
    fw_operand_t taken[2] = {operands[0], operands[count - 1u]};
    if (taken[0].type != FW_TYPE_BOOL || taken[1].type != FW_TYPE_BOOL) {
        return fail_at(expression->compiler, &operator_->at,
                               count == 1u ? "a condition after this"
                                           : "a condition on both sides of this",
                               NULL);
    }
    fw_op_t op = operator_->binding == NOT ? FW_OP_NOT
                 : operator_->binding == AND ? FW_OP_AND
                                             : FW_OP_OR;
    give(expression, taken, count, FW_TYPE_BOOL);
    fw_compile_emit(expression->compiler, op, result_cell(expression), taken[0].cell,
                    count == 1u ? 0u : taken[1].cell);
    return true;
}

static bool apply_negate(fw_expression_t *expression, const fw_operator_t *operator_)
{
    fw_operand_t *operand = take(expression, 1);
    if (operand->type == FW_TYPE_BOOL) {
        return fail_at(expression->compiler, &operator_->at,
                               "a number or a time after this", "write `not`");
    }
    fw_operand_t taken = *operand;
    give(expression, &taken, 1, taken.type);
    fw_compile_emit(expression->compiler, FW_OP_NEGATE, result_cell(expression), taken.cell, 0);
    return true;
}

/* Gives its operands to the operator that was pushed last. */
static bool apply(fw_expression_t *expression)
{
    const fw_operator_t *operator_ = &expression->operators[--expression->operators_count];
    switch (operator_->binding) {
    case NEGATE:
        return apply_negate(expression, operator_);
    case PRODUCT:
        return apply_product(expression, operator_);
    case SUM:
        return apply_sum(expression, operator_);
    case COMPARE:
        return apply_compare(expression, operator_);
    default:
        return apply_logic(expression, operator_);
    }
}

/* ---- calls ---- */

/* Brings the arguments to the types that the function takes; the type of its x and y, if it has any. */
static bool fit(fw_compiler_t *compiler, const fw_function_t *function, fw_operand_t *arguments,
                uint8_t count, uint8_t *common)
{
    *common = FW_TYPE_INT;
    for (uint8_t i = 0; i < count; i++) {
        char takes = fw_string_byte(function->takes, i);
        if (takes == 'x' || takes == 'y') {
            bool is_time = arguments[i].type == FW_TYPE_TIME;
            if (arguments[i].type == FW_TYPE_BOOL || (is_time && takes == 'x')) {
                return false;
            }
            if (arguments[i].type > *common) {
                *common = arguments[i].type;
            }
        }
    }
    for (uint8_t i = 0; i < count; i++) {
        char takes = fw_string_byte(function->takes, i);
        uint8_t type = takes == 'b'   ? FW_TYPE_BOOL
                       : takes == 'i' ? FW_TYPE_INT
                       : takes == 'n' ? FW_TYPE_NUM
                       : takes == 't' ? FW_TYPE_TIME
                                      : *common;
        if (!fw_compile_convert(compiler, &arguments[i], type)) {
            return false;
        }
    }
    return true;
}

static bool apply_call(fw_expression_t *expression)
{
    fw_compiler_t *compiler = expression->compiler;
    const fw_operator_t call = expression->operators[--expression->operators_count];
    const fw_function_t *function = call.function;
    uint8_t count = call.arguments;
    fw_operand_t *on_stack = take(expression, count);
    uint8_t common = 0;
    if (count != fw_string_length(function->takes) ||
        !fit(compiler, function, on_stack, count, &common)) {
        return fail_at(compiler, &call.at, function->expected, NULL);
    }
    bool is_block = op_of(function) < FW_OPS && fw_op_is_block(op_of(function));
    if (op_of(function) == CALL_AFTER && compiler->machine == FW_SYMBOL_NONE) {
        return fail_at(compiler, &call.at,
                               "no `after` here: it belongs into a state machine's transition",
                               "use `ton` for how long something is true");
    }
    if (is_block && compiler->depth > 0u) {
        return fail_at(compiler, &call.at,
                               "no block inside of an `if`: a block runs in every scan",
                               "give it a name with `var`, and move it above the `if`");
    }
    if (is_block && compiler->blocks == FW_SCRIPT_BLOCKS_MAX) {
        return fail_at(compiler, &call.at, "no further block: a script has 64 at most",
                               NULL);
    }
    fw_operand_t taken[ARGUMENTS_MAX] = {0};
    for (uint8_t i = 0; i < count; i++) {
        taken[i] = on_stack[i];
    }
    uint32_t gives = fw_word(&function->gives);
    uint8_t type = gives == 'b'   ? FW_TYPE_BOOL
                   : gives == 'i' ? FW_TYPE_INT
                   : gives == 'n' ? FW_TYPE_NUM
                                            : common;
    /* Above the operands: the result may lie in any of their cells, so only the last instruction that
     * reads them may write it. */
    uint8_t between = 0;
    if (op_of(function) == CALL_LIMIT) {
        between = fw_compile_temporary(compiler);
        if (compiler->failed) {
            return false;
        }
        compiler->temporaries--;
    }
    give(expression, taken, count, type);
    uint8_t result = result_cell(expression);
    switch (op_of(function)) {
    case CALL_INT:
        fw_compile_emit(compiler, FW_OP_NUM_TO_INT, result, taken[0].cell, 0);
        break;
    case CALL_NUM:
    case CALL_SECONDS: /* fitting has made the number; and milliseconds are thousandths of seconds */
        fw_compile_emit(compiler, op_of(function) == CALL_NUM ? FW_OP_INT_TO_NUM : FW_OP_MOVE, result,
                        taken[0].cell, 0);
        break;
    case CALL_AFTER: {
        const uint8_t cells[3] = {result, taken[0].cell, 0};
        fw_compile_emit_long(compiler, FW_OP_AFTER, cells,
                             compiler->symbols[compiler->machine].flag);
        break;
    }
    case CALL_LIMIT:
        fw_compile_emit(compiler, FW_OP_MIN, between, taken[0].cell, taken[2].cell);
        fw_compile_emit(compiler, FW_OP_MAX, result, between, taken[1].cell);
        break;
    default:
        if (is_block) {
            const uint8_t cells[4] = {result, taken[0].cell, taken[1].cell, taken[2].cell};
            fw_compile_emit_block(compiler, (fw_op_t)op_of(function), cells);
        } else {
            fw_compile_emit(compiler, (fw_op_t)op_of(function), result, taken[0].cell, taken[1].cell);
        }
    }
    return true;
}

/* ---- reading ---- */

static const fw_function_t *find_function(const fw_compiler_t *compiler)
{
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        if (fw_compile_at(compiler, functions[i].name)) {
            return &functions[i];
        }
    }
    return NULL;
}

bool fw_compile_is_function(const fw_compiler_t *compiler)
{
    return find_function(compiler) != NULL;
}

static bool push_operator(fw_expression_t *expression, fw_operator_t operator_)
{
    if (expression->operators_count == OPERATORS_MAX) {
        return fail_at(expression->compiler, &operator_.at, too_deep, split_it);
    }
    expression->operators[expression->operators_count++] = operator_;
    return true;
}

/* Where a value begins: true when `more` of it must follow. */
static bool read_operand(fw_expression_t *expression, bool *more)
{
    fw_compiler_t *compiler = expression->compiler;
    const fw_token_t token = compiler->token;
    fw_operator_t operator_ = {.at = place_of(&token)};
    *more = true;
    if (token.kind == FW_TOKEN_OPEN) {
        fw_compile_advance(compiler);
        return push_operator(expression, operator_);
    }
    if (token.kind == FW_TOKEN_MINUS || fw_compile_at(compiler, "not")) {
        operator_.binding = token.kind == FW_TOKEN_MINUS ? NEGATE : NOT;
        fw_compile_advance(compiler);
        if (token.kind == FW_TOKEN_MINUS && fw_compile_at_number(compiler)) {
            *more = false;
            return push_number(expression, true);
        }
        return push_operator(expression, operator_);
    }
    if (fw_compile_accept(compiler, "during")) {
        fw_operand_t value;
        *more = false;
        return fw_compile_during(compiler, &value) && push(expression, value, &token);
    }
    const fw_function_t *function = find_function(compiler);
    if (function != NULL) {
        operator_.function = function;
        operator_.arguments = 1;
        fw_compile_advance(compiler);
        return fw_compile_take(compiler, FW_TOKEN_OPEN, function->expected) &&
               push_operator(expression, operator_);
    }
    *more = false;
    bool is_true = fw_compile_at(compiler, "true") || fw_compile_at(compiler, "on");
    bool is_false = fw_compile_at(compiler, "false") || fw_compile_at(compiler, "off");
    bool pushed = false;
    if (is_true || is_false) {
        pushed = push_constant(expression, FW_TYPE_BOOL, is_true ? 1 : 0, &token);
    } else if (fw_compile_at_number(compiler)) {
        return push_number(expression, false);
    } else if (token.kind == FW_TOKEN_NAME) {
        fw_operand_t value;
        return fw_compile_name(compiler, &value) && push(expression, value, &token);
    } else {
        return fw_compile_fail(compiler, &token, "a value: a name, a number or a call", NULL);
    }
    fw_compile_advance(compiler);
    return pushed;
}

/* The operator that stands here; binding MARK when none does. */
static fw_operator_t find_operator(const fw_compiler_t *compiler)
{
    fw_operator_t operator_ = {.at = place_of(&compiler->token), .sort = compiler->token.kind};
    switch (compiler->token.kind) {
    case FW_TOKEN_PLUS:
    case FW_TOKEN_MINUS:
        operator_.binding = SUM;
        break;
    case FW_TOKEN_TIMES:
    case FW_TOKEN_OVER:
        operator_.binding = PRODUCT;
        break;
    case FW_TOKEN_IS:
    case FW_TOKEN_DIFFERS:
    case FW_TOKEN_BELOW:
    case FW_TOKEN_AT_MOST:
    case FW_TOKEN_ABOVE:
    case FW_TOKEN_AT_LEAST:
        operator_.binding = COMPARE;
        break;
    default:
        operator_.binding = fw_compile_at(compiler, "or")    ? OR
                            : fw_compile_at(compiler, "and") ? AND
                            : fw_compile_at(compiler, "mod") ? PRODUCT
                                                             : MARK;
    }
    return operator_;
}

/* Applies what binds at least as closely, down to the last open parenthesis. */
static bool settle(fw_expression_t *expression, uint8_t binding)
{
    while (expression->operators_count > 0u &&
           expression->operators[expression->operators_count - 1u].binding >= binding) {
        if (!apply(expression)) {
            return false;
        }
    }
    return true;
}

/* After a value: an operator, a comma or a closing parenthesis. `ends` when nothing of these. */
static bool read_operator(fw_expression_t *expression, bool *wants_operand, bool *ends)
{
    fw_compiler_t *compiler = expression->compiler;
    fw_operator_t operator_ = find_operator(compiler);
    *wants_operand = true;
    if (operator_.binding != MARK) {
        fw_compile_advance(compiler);
        if (!settle(expression, operator_.binding)) {
            return false;
        }
        return push_operator(expression, operator_);
    }
    if (!settle(expression, OR)) {
        return false;
    }
    if (expression->operators_count == 0u) {
        *ends = true;
        return true;
    }
    fw_operator_t *mark = &expression->operators[expression->operators_count - 1u];
    if (compiler->token.kind == FW_TOKEN_COMMA && mark->function != NULL) {
        if (mark->arguments == fw_string_length(mark->function->takes)) {
            return fw_compile_fail(compiler, &compiler->token, mark->function->expected, NULL);
        }
        mark->arguments++;
        fw_compile_advance(compiler);
        return true;
    }
    if (compiler->token.kind != FW_TOKEN_CLOSE) {
        return fw_compile_fail(compiler, &compiler->token,
                               mark->function != NULL ? mark->function->expected
                                                      : "an operator, or `)`",
                               NULL);
    }
    fw_compile_advance(compiler);
    *wants_operand = false;
    if (mark->function != NULL) {
        return apply_call(expression);
    }
    expression->operators_count--;
    return true;
}

bool fw_compile_expression(fw_compiler_t *compiler, fw_operand_t *result)
{
    fw_expression_t expression;
    expression.compiler = compiler;
    expression.operands_count = 0;
    expression.operators_count = 0;
    bool wants_operand = true;
    bool ends = false;
    while (!ends) {
        bool works = wants_operand ? read_operand(&expression, &wants_operand)
                                   : read_operator(&expression, &wants_operand, &ends);
        if (!works || compiler->failed) {
            return false;
        }
    }
    *result = expression.operands[0];
    return true;
}
