/*
 * compile_inside.h: what the two files of the compiler tell each other.
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
    uint16_t line; /* where it stands */
    uint16_t column;
    uint8_t cell;
    uint8_t type;
    bool is_temporary;
    bool is_constant;
} fw_operand_t;

/* ---- compile.c ---- */

/* Notes what is wrong, if nothing was before. Always false. */
bool fw_compile_fail(fw_compiler_t *compiler, const fw_token_t *at, const char *expected,
                     const char *fix);
void fw_compile_advance(fw_compiler_t *compiler);
/* Whether the token is this word; and if it is, goes past it. */
bool fw_compile_at(const fw_compiler_t *compiler, const char *word);
bool fw_compile_accept(fw_compiler_t *compiler, const char *word);
bool fw_compile_take(fw_compiler_t *compiler, uint8_t kind, const char *expected);
void fw_compile_emit(fw_compiler_t *compiler, fw_op_t op, uint8_t a, uint8_t b, uint8_t c);
/* With a second word. */
void fw_compile_emit_long(fw_compiler_t *compiler, fw_op_t op, const uint8_t cells[3],
                          uint32_t further);
/* The result and three inputs; the instance is the next one. */
void fw_compile_emit_block(fw_compiler_t *compiler, fw_op_t op, const uint8_t cells[4]);
/* A free cell, the next from the top; released in the reverse order. */
uint8_t fw_compile_temporary(fw_compiler_t *compiler);
uint8_t fw_compile_constant(fw_compiler_t *compiler, int32_t value);
fw_symbol_t *fw_compile_find(fw_compiler_t *compiler, const fw_token_t *name);
/* The value of the name that the token is, with what follows it after a dot. */
bool fw_compile_name(fw_compiler_t *compiler, fw_operand_t *value);

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
