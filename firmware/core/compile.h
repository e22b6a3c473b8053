/*
 * compile.h: from a script's text to a program, a statement at a time.
 *
 * The controller compiles what is typed into its own page while it goes on scanning, so a compiler is
 * stepped: fw_compile_step takes one statement and returns. It keeps no text but the source, which
 * must stay where it is, and writes words to a sink as they come.
 */
#ifndef FW_COMPILE_H
#define FW_COMPILE_H

#include "lex.h"

/* A pin of the board, as a script names it. */
typedef struct {
    const char *name;
    uint8_t type;    /* fw_point_type_t */
    uint8_t channel; /* what the port knows it by */
} fw_pin_t;

typedef struct {
    const fw_pin_t *pins;
    uint8_t count;
} fw_board_t;

/* Where the program goes. False when it cannot be written: the compiler then fails. */
typedef struct {
    void *ctx;
    bool (*code)(void *ctx, uint32_t word);
    bool (*table)(void *ctx, uint32_t word);
} fw_program_sink_t;

/* What is wrong with a script, in words that stand in flash. */
typedef struct {
    const char *expected; /* what should stand there */
    const char *fix;      /* what to do about it, or NULL */
    uint16_t line;
    uint16_t column;
    uint16_t at; /* the text found: its place in the source, and its bytes (0 = a line's end) */
    uint16_t length;
    uint16_t other_line; /* where the other one stands, of two that exclude each other; or 0 */
} fw_script_error_t;

typedef enum {
    FW_COMPILE_MORE = 0,
    FW_COMPILE_DONE,
    FW_COMPILE_FAILED,
} fw_compile_state_t;

typedef struct {
    uint16_t at; /* the name's place in the source */
    uint16_t line;
    uint16_t assigned_line; /* 0 = nowhere yet */
    uint16_t chain;         /* the outermost `if` that it is assigned in; 0 = none */
    uint16_t branch;        /* and the branch; once an `if` has ended, the one that is around it */
    uint8_t length;
    uint8_t cell;
    uint8_t kind;
    uint8_t type;
    uint8_t parent; /* of an argument or state: the number among the symbols of what it is of */
    bool confirms;  /* an output with a feedback */
    uint8_t assignments; /* in branches, so far */
    uint8_t flag;   /* of an input or output: the cell of its `bad` or `fault`, or FW_CELL_NONE. Of a
                     * machine: its instance */
} fw_symbol_t;

typedef struct {
    uint16_t line;   /* of the `if` */
    uint8_t taken;   /* cell: this branch is */
    uint8_t open;    /* cell: no branch before it was */
    uint16_t branch; /* numbered through the script */
    uint16_t first;  /* the number of its first branch */
    bool has_else;
} fw_branch_t;

#define FW_BRANCH_DEPTH_MAX 8u
#define FW_SYMBOL_NONE 0xFFu

typedef struct {
    fw_lexer_t lexer;
    fw_token_t token;
    const fw_board_t *board;
    fw_program_sink_t sink;
    fw_script_error_t error;
    fw_symbol_t symbols[FW_SCRIPT_VARIABLES_MAX];
    int32_t constants[FW_SCRIPT_CONSTANTS_MAX];
    uint8_t constant_cells[FW_SCRIPT_CONSTANTS_MAX];
    fw_branch_t branches[FW_BRANCH_DEPTH_MAX];
    uint32_t causes[FW_SCRIPT_CELLS]; /* what a cell hangs on: the bits of FW_RECORD_ASSIGNMENT */
    uint32_t held[2]; /* the last instruction, whose result may yet be put elsewhere */
    uint16_t code_words;
    uint16_t table_words;
    uint16_t operations; /* of a scan */
    uint32_t cost;       /* of a scan at most, in instructions of the chip (cost.h); whole when done */
    uint16_t records;    /* of the table */
    uint16_t first_assignment; /* the record from which causes are looked up; 0 = there is none */
    bool chooses;        /* an output has several assignments */
    uint16_t told_code;  /* where the last statement with code begins */
    uint16_t told_line;
    uint16_t named;      /* cells in use from the bottom */
    uint16_t chains;     /* outermost `if`s so far */
    uint16_t branches_begun;
    uint16_t place_line; /* 0 = none yet */
    uint16_t least_temporary; /* the lowest cell that was used from the top */
    uint8_t flags[3]; /* cells of `boot`, `online` and `synced`, or FW_CELL_NONE */
    uint8_t machine; /* the symbol whose transitions are being read, or FW_SYMBOL_NONE */
    uint8_t commands;
    uint8_t events;
    uint8_t alarms;
    uint8_t points;
    uint8_t interlocks;
    uint8_t durings;
    uint8_t windows; /* of all of them */
    uint8_t symbols_count;
    uint8_t constants_count;
    uint8_t blocks;
    uint8_t held_words;
    uint8_t temporaries; /* cells in use from the top */
    uint8_t depth;       /* of branches */
    bool failed;
} fw_compiler_t;

/* False when the source is too long, which `error` tells. The board must outlive the compiler. */
bool fw_compile_begin(fw_compiler_t *compiler, const uint8_t *source, size_t length,
                      const fw_board_t *board, fw_program_sink_t sink);

/* Compiles one statement. Once it is done or failed there is nothing more to call. */
fw_compile_state_t fw_compile_step(fw_compiler_t *compiler);

#endif
