/*
 * compile_inside.h: what the files of the compiler tell each other.
 */
#ifndef FW_COMPILE_INSIDE_H
#define FW_COMPILE_INSIDE_H

#include "compile.h"

typedef enum {
    FW_SYMBOL_INPUT = 0,
    FW_SYMBOL_PARAMETER,
    FW_SYMBOL_MANUAL, /* an output that is switched by hand */
    FW_SYMBOL_COMMAND,
    FW_SYMBOL_MACHINE,
    FW_SYMBOL_OUTPUT,
    FW_SYMBOL_VARIABLE,
    FW_SYMBOL_RETAINED,
    /* Parts, found by both names: an argument of a command, and a state of a machine, whose cell is
     * its value. */
    FW_SYMBOL_ARGUMENT,
    FW_SYMBOL_STATE,
} fw_symbol_kind_t;

/* A value that an instruction may use. */
typedef struct {
    int32_t value; /* of a constant */
    uint8_t cell;
    uint8_t type;
    bool is_temporary;
    bool is_constant;
} fw_operand_t;

/* ---- compile_base.c ---- */

/* Notes what is wrong, if nothing was before. Always false. */
bool fw_compile_fail(fw_compiler_t *compiler, const fw_token_t *at, const char *expected,
                     const char *fix);
/* The same, of two that exclude each other. */
bool fw_compile_clash(fw_compiler_t *compiler, const fw_token_t *at, const char *expected,
                      const char *fix, uint16_t other_line);
void fw_compile_advance(fw_compiler_t *compiler);
/* Whether the token is this word; and if it is, goes past it. */
bool fw_compile_at(const fw_compiler_t *compiler, const char *word);
bool fw_compile_accept(fw_compiler_t *compiler, const char *word);
bool fw_compile_take(fw_compiler_t *compiler, uint8_t kind, const char *expected);
bool fw_compile_at_line_end(const fw_compiler_t *compiler);
bool fw_compile_take_line_end(fw_compiler_t *compiler, const char *expected);
/* Writes the instruction that is held back. */
void fw_compile_flush(fw_compiler_t *compiler);
void fw_compile_emit(fw_compiler_t *compiler, fw_op_t op, uint8_t a, uint8_t b, uint8_t c);
/* With a second word. */
void fw_compile_emit_long(fw_compiler_t *compiler, fw_op_t op, const uint8_t cells[3],
                          uint32_t further);
/* The result and three inputs; the instance is the next one. */
void fw_compile_emit_block(fw_compiler_t *compiler, fw_op_t op, const uint8_t cells[4]);
/* A record's head, the words that every kind of it has, and a text of the source behind them, unless it
 * is empty; or a symbol's name, unless there is none. */
void fw_compile_write_text(fw_compiler_t *compiler, fw_record_tag_t tag, uint8_t a, uint8_t b,
                           const int32_t *words, uint8_t count, uint16_t text_at,
                           uint16_t text_length);
void fw_compile_write_record(fw_compiler_t *compiler, fw_record_tag_t tag, uint8_t a, uint8_t b,
                             const int32_t *words, uint8_t count, const fw_symbol_t *symbol);
/* A cell for a name or constant. */
uint8_t fw_compile_cell(fw_compiler_t *compiler);
/* A free cell, the next from the top; released in the reverse order. */
uint8_t fw_compile_temporary(fw_compiler_t *compiler);
uint8_t fw_compile_constant(fw_compiler_t *compiler, int32_t value);
fw_symbol_t *fw_compile_find(fw_compiler_t *compiler, const fw_token_t *name);
/* The value of the name that the token is, with what follows it after a dot. */
bool fw_compile_name(fw_compiler_t *compiler, fw_operand_t *value);

/* The name that is declared here, in a cell of its own; its type is still to be said. NULL: failed. */
fw_symbol_t *fw_compile_declare(fw_compiler_t *compiler, fw_symbol_kind_t kind);
/* A part of a name, an argument or a state; NULL when the token is none of its. */
const fw_symbol_t *fw_compile_find_part(const fw_compiler_t *compiler, uint8_t parent,
                                        const fw_token_t *name);
/* Another part of a name, which the token is; it has no cell yet. NULL: failed. */
fw_symbol_t *fw_compile_declare_part(fw_compiler_t *compiler, uint8_t parent, fw_symbol_kind_t kind,
                                     const char *expected);
bool fw_compile_read_type(fw_compiler_t *compiler, uint8_t *type);
/* Whether the token is a number or time; and its value, if a sign stood before it less than 0. */
bool fw_compile_at_number(const fw_compiler_t *compiler);
bool fw_compile_read_number(fw_compiler_t *compiler, bool is_negative, uint8_t *type,
                            int32_t *value);
/* A literal with its sign; and the same as a value of a type. */
bool fw_compile_read_constant(fw_compiler_t *compiler, uint8_t *type, int32_t *value);
bool fw_compile_read_constant_of(fw_compiler_t *compiler, uint8_t type, int32_t *value);
/* A range, `in a..b`, where one stands. */
bool fw_compile_read_range(fw_compiler_t *compiler, uint8_t type, int32_t range[2]);
/* An expression that is true or false. It is to be released. */
bool fw_compile_read_condition(fw_compiler_t *compiler, fw_operand_t *condition);

/* ---- causes.c ---- */

/* What the result of an instruction hangs on. `inputs` are the cells that it reads. */
void fw_compile_trace(fw_compiler_t *compiler, fw_op_t op, const uint8_t cells[4]);
/* A name takes a value that lies in a cell, in the branch that is open. Returns the assignment's number:
 * 0 outside of all branches, where it is the only one. */
uint8_t fw_compile_trace_assignment(fw_compiler_t *compiler, fw_symbol_t *symbol, uint16_t line,
                                    uint32_t causes);

/* ---- declare.c: each past its first word, but for `place` ---- */

bool fw_compile_declare_input(fw_compiler_t *compiler);
bool fw_compile_declare_output(fw_compiler_t *compiler);
bool fw_compile_declare_variable(fw_compiler_t *compiler, fw_symbol_kind_t kind);
bool fw_compile_declare_interlock(fw_compiler_t *compiler);
bool fw_compile_declare_place(fw_compiler_t *compiler);
bool fw_compile_declare_command(fw_compiler_t *compiler);
bool fw_compile_declare_machine(fw_compiler_t *compiler);

/* ---- during.c ---- */

/* Past the word `during`. The value is a cell of its own. */
bool fw_compile_during(fw_compiler_t *compiler, fw_operand_t *value);

/* ---- expression.c ---- */

/* Compiles an expression, as far as it goes. The result is to be released. */
bool fw_compile_expression(fw_compiler_t *compiler, fw_operand_t *result);
void fw_compile_release(fw_compiler_t *compiler, const fw_operand_t *operand);
/* Makes it a value of that type; false if it is none. Whole numbers become thousandths. */
bool fw_compile_convert(fw_compiler_t *compiler, fw_operand_t *operand, uint8_t type);
/* False when the number is too large. */
bool fw_compile_to_thousandths(int32_t *value);
/* Whether the token is a function's name. */
bool fw_compile_is_function(const fw_compiler_t *compiler);

#endif
