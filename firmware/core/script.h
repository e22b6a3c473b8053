/*
 * script.h: what compiler and virtual machine share: types, instructions, and the compiled program.
 *
 * A program has no jumps. Every statement is worked through in every scan; inside a branch that is
 * not taken, values are worked out and not stored. So a scan costs the same each time, and its cost
 * is the sum of its instructions, known when the script is compiled. (Rule 3 of docs/script.md, every
 * block runs every scan, is then no rule that anything could break.)
 *
 * Values live in 256 cells of 32 bits: names and constants from the bottom, intermediate results
 * from the top. An instruction is one word or two, its operands are cells:
 *
 *   bits 0-7 operation, 8-15 `a` (mostly the result), 16-23 `b`, 24-31 `c`
 *
 * A program is two lists of 32-bit words, code and table, each only ever appended to: both can go
 * straight to flash while the script is read, and the chip, which cannot load bytes from flash, runs
 * them where they lie.
 */
#ifndef FW_SCRIPT_H
#define FW_SCRIPT_H

#include "bytes.h"
#include "config.h"

/* Rises when the meaning of code or table changes: what an older compiler made is not run, but compiled
 * anew from its source. */
#define FW_PROGRAM_FORMAT 2u

#define FW_SCRIPT_SOURCE_MAX 8192u
#define FW_SCRIPT_CODE_WORDS_MAX 1024u /* 4 KB */
#define FW_SCRIPT_TABLE_WORDS_MAX 1024u
#define FW_SCRIPT_VARIABLES_MAX FW_NAMES_MAX
#define FW_SCRIPT_BLOCKS_MAX 64u
#define FW_SCRIPT_CONSTANTS_MAX 64u
#define FW_SCRIPT_COMMANDS_MAX FW_SIGNATURES_MAX
#define FW_SCRIPT_EVENTS_MAX 32u
#define FW_SCRIPT_ALARMS_MAX 16u
#define FW_SCRIPT_EVENT_VALUES_MAX FW_EVENT_VALUES_MAX
#define FW_SCRIPT_STATES_MAX 32u /* of one machine */
#define FW_SCRIPT_CELLS 256u

/* num is thousandths, time is milliseconds. */
typedef enum {
    FW_TYPE_BOOL = 0,
    FW_TYPE_INT,
    FW_TYPE_NUM,
    FW_TYPE_TIME,
} fw_type_t;

typedef enum {
    FW_OP_END = 0,

    /* a = f(b, c) */
    FW_OP_MOVE, /* a = b, branch or not */
    FW_OP_NOT,
    FW_OP_AND,
    FW_OP_OR,
    FW_OP_NEGATE,
    FW_OP_ABS,
    FW_OP_ADD,
    FW_OP_SUBTRACT,
    FW_OP_MULTIPLY,     /* of whole numbers */
    FW_OP_MULTIPLY_NUM, /* one of them is thousandths */
    FW_OP_DIVIDE,
    FW_OP_DIVIDE_NUM, /* the result, or the divisor, is thousandths */
    FW_OP_MODULO,
    FW_OP_MIN,
    FW_OP_MAX,
    FW_OP_EQUAL,
    FW_OP_DIFFERS,
    FW_OP_BELOW,
    FW_OP_AT_MOST,
    FW_OP_INT_TO_NUM,
    FW_OP_NUM_TO_INT,

    /* Branches: from here on values are stored only if cell a is not 0; BOTH ends that. */
    FW_OP_WHEN,
    FW_OP_ALWAYS,
    FW_OP_SET, /* a = b, if the branch is taken: a's assignment number c */

    /* A command's call, if this scan has one for command a: OFFER puts its c arguments into the cells
     * from b on, and TAKE makes cell b true, or puts the old arguments back if cell c refuses. */
    FW_OP_OFFER,
    FW_OP_TAKE,

    /* Blocks: a second word has the instance in bits 0-7, further inputs in 8-15 and 16-23. */
    FW_OP_RISE,
    FW_OP_FALL,
    FW_OP_TOGGLE,
    FW_OP_TON,
    FW_OP_TOF,
    FW_OP_TP,
    FW_OP_BLINK,
    FW_OP_SR,
    FW_OP_RS,
    FW_OP_CTU,
    FW_OP_HYSTERESIS,
    FW_OP_FILTER,
    FW_OP_RUNTIME,
    FW_OP_SLEW,
    FW_OP_EVENT, /* number a, when b becomes true */
    FW_OP_ALARM, /* number a: raised by b, over when c */

    /* State machines, whose state is cell a; the second word has the instance in bits 0-7. */
    FW_OP_STATES, /* a scan of the machine begins */
    FW_OP_STEP,   /* from state c, or any if FW_STATE_ANY, to the one in bits 8-15, when b */
    FW_OP_AFTER,  /* a = the machine has been in its state for the time b */

    FW_OPS,
} fw_op_t;

static inline uint32_t fw_instruction(fw_op_t op, uint8_t a, uint8_t b, uint8_t c)
{
    return (uint32_t)op | ((uint32_t)a << 8) | ((uint32_t)b << 16) | ((uint32_t)c << 24);
}

/* Whether it keeps something from scan to scan, and so has a second word. */
static inline bool fw_op_is_block(uint8_t op)
{
    return op >= FW_OP_RISE && op <= FW_OP_AFTER;
}

#define FW_STATE_ANY 0xFFu

/*
 * The table: records of a head word (bits 0-7 tag, 8-15 `a`, 16-23 `b`, 24-31 words that follow) and
 * their words. A name is a word with its length, then its bytes, four to a word, lowest first.
 */
typedef enum {
    FW_RECORD_CONSTANT = 1, /* a: cell. Value */
    FW_RECORD_INPUT,        /* a: cell, b: type. fw_input_word_t, name */
    FW_RECORD_OUTPUT,       /* a: cell, b: type. fw_output_word_t, name */
    FW_RECORD_VARIABLE,     /* a: cell, b: type. Initial value, line, name */
    FW_RECORD_RETAINED,     /* the same */
    FW_RECORD_PARAMETER,    /* a: cell, b: type. Initial value, line, minimum, maximum, name */
    FW_RECORD_COMMAND,      /* a: cell, b: arguments. Line, name; its arguments' records follow */
    FW_RECORD_ARGUMENT,     /* a: cell, b: type. Minimum, maximum, name */
    FW_RECORD_REFUSAL,      /* a: command. Text: why it refuses */
    FW_RECORD_EVENT,        /* a: number, b: values. Line, their cells (a byte each), text */
    FW_RECORD_ALARM,        /* a: number, b: fw_alarm_level_t. Line, text */
    FW_RECORD_MACHINE,      /* a: cell, b: states. Line, name; its states' records follow */
    FW_RECORD_STATE,        /* a: the machine's cell, b: its value. Name */
    FW_RECORD_INTERLOCK,    /* b: outputs. Line, their cells (a byte each), gap in ms */
    FW_RECORD_DURING,       /* a: cell, b: windows. fw_during_word_t, then of each fw_window_word_t */
    FW_RECORD_FLAG,         /* a: cell, b: fw_flag_t. The cell of the point that it is of */
    FW_RECORD_ASSIGNMENT,   /* of an output. a: its cell, b: its number. Line, and what it hangs on in the
                             * same scan: a bit for each command, from 16 on for each `during` */
    FW_RECORD_FORMAT,       /* the first of all. a: FW_PROGRAM_FORMAT */
    FW_RECORD_COUNTER,      /* a: cell of a retained name that is only ever added to */
    FW_RECORD_COST,         /* the last of all. What a scan costs at most, in instructions of the chip */
    FW_RECORD_LINE,         /* a statement begins. a: words of code behind the one before, b: lines; or,
                             * where they are no bytes, one word: line, from 16 on the place in the code */
    FW_RECORD_PLACE,        /* Latitude and longitude, as in fw_place_t */
} fw_record_tag_t;

/* What a cell tells besides the values of points. */
typedef enum {
    FW_FLAG_BOOT = 0, /* this is the first scan */
    FW_FLAG_ONLINE,   /* the gateway is there */
    FW_FLAG_SYNCED,   /* the time of day is known */
    FW_FLAG_BAD,      /* of an input: it cannot be believed */
    FW_FLAG_FAULT,    /* of an output: its feedback disagrees */
} fw_flag_t;

typedef enum {
    FW_ALARM_LOW = 0,
    FW_ALARM_MEDIUM,
    FW_ALARM_HIGH,
} fw_alarm_level_t;

#define FW_CELL_NONE 0xFFu /* the first temporary: no name's */

/* The words of an input. */
typedef enum {
    FW_INPUT_CHANNEL = 0,
    FW_INPUT_LINE,
    FW_INPUT_DEBOUNCE_MS,
    FW_INPUT_RAW_FROM, /* what the pin gives, in thousandths, ... */
    FW_INPUT_RAW_TO,
    FW_INPUT_FROM, /* ... and what that stands for */
    FW_INPUT_TO,
    FW_INPUT_BAD_BELOW,
    FW_INPUT_BAD_ABOVE,
    FW_INPUT_WORDS,
} fw_input_word_t;

/* The words of an output. */
typedef enum {
    FW_OUTPUT_CHANNEL = 0,
    FW_OUTPUT_LINE,
    FW_OUTPUT_FLAGS,
    FW_OUTPUT_SAFE,
    FW_OUTPUT_FEEDBACK, /* an input's cell, or FW_CELL_NONE */
    FW_OUTPUT_WITHIN_MS,
    FW_OUTPUT_LINK_LOSS_MS, /* 0: it carries on */
    FW_OUTPUT_WORDS,
} fw_output_word_t;

/* The words of a `during`, and of each of its windows. */
typedef enum {
    FW_DURING_LINE = 0,
    FW_DURING_UNSYNCED, /* what holds while the time of day is not known */
    FW_DURING_WORDS,
} fw_during_word_t;

typedef enum {
    FW_WINDOW_SHAPE = 0, /* bits 0-6: the days on which it begins, Sunday first; and as below */
    FW_WINDOW_FROM,      /* seconds after midnight, or after (below 0: before) sunrise or sunset */
    FW_WINDOW_TO,
    FW_WINDOW_WORDS,
} fw_window_word_t;

/* What an end of a window is counted from. */
typedef enum {
    FW_END_CLOCK = 0,
    FW_END_SUNRISE,
    FW_END_SUNSET,
} fw_end_t;

#define FW_WINDOW_OVERNIGHT 0x80u /* it ends on the day after the one that it began on */
#define FW_WINDOW_FROM_SHIFT 8u   /* an fw_end_t each */
#define FW_WINDOW_TO_SHIFT 10u
#define FW_WINDOW_END_MASK 3u

#define FW_DURINGS_MAX 16u
#define FW_WINDOWS_MAX 8u

#define FW_INTERLOCK_OUTPUTS_MAX 4u
#define FW_INTERLOCKS_MAX 8u

/* Flags of an output. */
#define FW_OUTPUT_MANUAL 1u
#define FW_OUTPUT_HOLD 2u /* safe hold */

/* A compiled program, wherever it lies. */
typedef struct {
    const uint32_t *code;
    const uint32_t *table;
    uint16_t code_words;
    uint16_t table_words;
} fw_program_t;

#endif
