/*
 * program.h: reading a compiled program's table: what a script declares, by whom it is called and why
 * its outputs change.
 */
#ifndef FW_PROGRAM_H
#define FW_PROGRAM_H

#include "script.h"

/* A record of the table. */
typedef struct {
    const uint32_t *words; /* that follow the head */
    const uint32_t *name;  /* NULL: it has none. A length, then bytes, four to a word */
    /* In one word, none of them a whole byte of it: the chip reads words fast, and bytes slowly. */
    uint32_t tag : 9; /* fw_record_tag_t */
    uint32_t a : 8;
    uint32_t b : 8;
} fw_record_t;

/* The record at `*at`, which goes on to the next one; false at the end, and where there is no whole
 * record. Begin with 0. */
bool fw_program_next(const fw_program_t *program, uint16_t *at, fw_record_t *record);

/* Whether this firmware's compiler made it. */
bool fw_program_is_current(const fw_program_t *program);

/* The same, of those with this tag alone: the others are passed over, which costs little. */
bool fw_program_next_of(const fw_program_t *program, uint16_t *at, fw_record_tag_t tag,
                        fw_record_t *record);

/* What a scan costs at most, in instructions of the chip; 0 = it does not say. */
uint32_t fw_program_cost(const fw_program_t *program);

/* Whether a record bears this name. */
bool fw_record_is(const fw_record_t *record, fw_span_t name);

/* The name or text of a record, as much of it as there is room for; nothing if it has none. */
fw_span_t fw_record_text(const fw_record_t *record, uint8_t *into, size_t capacity);

/* A command of the script. Bools are 0 and 1, times milliseconds, fractions thousandths. */
typedef struct {
    fw_record_t record;
    fw_record_t arguments[FW_ARGUMENTS_MAX]; /* whose first two words are minimum and maximum */
    uint8_t number;                          /* in the order of the script */
    uint8_t arguments_count;
} fw_signature_t;

/* Looks for the next command from `*at` on, as fw_program_next does. `*number` counts them: begin with
 * 0. False when there is none left. */
bool fw_program_next_command(const fw_program_t *program, uint16_t *at, uint8_t *number,
                             fw_signature_t *signature);

/* Looks up why the script refuses the command that `at` stands behind, as fw_program_next_command left
 * it; false when it never does. The text is the record's. */
bool fw_program_refusal(const fw_program_t *program, uint16_t at, fw_record_t *record);

/* Writes a signature as people read it, such as `boost(t: time in 1s..10m)`, at most
 * FW_TEXT_BYTES_MAX bytes: where the ranges take it past that, the last of them are left out. Returns
 * its length. */
size_t fw_signature_text(const fw_signature_t *signature, uint8_t text[FW_TEXT_BYTES_MAX]);

/* Why an assignment gave its output a value. */
typedef struct {
    uint16_t line;      /* of the assignment */
    uint16_t commands;  /* that it hangs on in the same scan: a bit each */
    uint16_t schedules; /* likewise, each a `during` */
} fw_assignment_t;

/* Looks up assignment `number` of the output in that cell, from `at` on, where the first of them stands;
 * false when the script has none. */
bool fw_program_assignment(const fw_program_t *program, uint16_t at, uint8_t cell, uint8_t number,
                           fw_assignment_t *assignment);

/* A statement that has code. */
typedef struct {
    uint16_t line;
    uint16_t begins; /* its first word of code */
    uint16_t at;     /* of the table: where the next one is looked for */
} fw_statement_t;

/* Goes on to the next statement, in the order of code and lines; false if there is none. Begin with all
 * fields 0. */
bool fw_program_next_statement(const fw_program_t *program, fw_statement_t *statement);

/* The line of the statement that the code at `at` belongs to; 0 if it belongs to none. `*next` is where
 * the next statement begins, or the end of the code. */
uint16_t fw_program_line(const fw_program_t *program, uint16_t at, uint16_t *next);

#endif
