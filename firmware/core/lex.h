/*
 * lex.h: a script's text as tokens (docs/script.md, "Grammar").
 */
#ifndef FW_LEX_H
#define FW_LEX_H

#include "script.h"

typedef enum {
    FW_TOKEN_END = 0, /* of the script */
    FW_TOKEN_LINE,    /* of a line */
    FW_TOKEN_NAME,
    FW_TOKEN_INT,     /* value: the number */
    FW_TOKEN_NUM,     /* value: thousandths */
    FW_TOKEN_TIME,    /* value: milliseconds */
    FW_TOKEN_CLOCK,   /* value: seconds since midnight */
    FW_TOKEN_STRING,
    FW_TOKEN_ASSIGN,     /* := */
    FW_TOKEN_INCREASE,   /* += */
    FW_TOKEN_IS,         /* = */
    FW_TOKEN_DIFFERS,    /* <> */
    FW_TOKEN_BELOW,      /* < */
    FW_TOKEN_AT_MOST,    /* <= */
    FW_TOKEN_ABOVE,      /* > */
    FW_TOKEN_AT_LEAST,   /* >= */
    FW_TOKEN_PLUS,
    FW_TOKEN_MINUS,
    FW_TOKEN_TIMES,
    FW_TOKEN_OVER,
    FW_TOKEN_OPEN,
    FW_TOKEN_CLOSE,
    FW_TOKEN_COMMA,
    FW_TOKEN_COLON,
    FW_TOKEN_DOT,
    FW_TOKEN_TO, /* .. */
    FW_TOKEN_BAD, /* nothing that a script may hold; `expected` says why */
} fw_token_kind_t;

typedef struct {
    const char *expected; /* of FW_TOKEN_BAD */
    int32_t value; /* INT32_MIN: one more than there is, which is a number only behind a sign */
    uint16_t at; /* its first byte's offset in the source */
    uint16_t length; /* bytes; of a string without its quotes, which `at` is behind */
    uint16_t line;   /* from 1 */
    uint16_t column; /* from 1, in bytes */
    uint8_t kind;
} fw_token_t;

typedef struct {
    const uint8_t *source;
    uint16_t length;
    uint16_t at;
    uint16_t line;
    uint16_t line_at; /* where the line begins */
    uint8_t depth;    /* of open parentheses: inside of them a line's end is no end */
} fw_lexer_t;

/* `length` is at most FW_SCRIPT_SOURCE_MAX. */
void fw_lex_init(fw_lexer_t *lexer, const uint8_t *source, uint16_t length);

/* What to expect instead of a number of this kind that is too large. */
const char *fw_lex_bound(uint8_t kind);

/* The next token. Spaces and comments are passed over. */
void fw_lex_next(fw_lexer_t *lexer, fw_token_t *token);

/* What a script is called: its first line, where that is a comment; else `script`. Ends in a zero. */
void fw_script_title(fw_span_t source, char title[FW_TITLE_BYTES_MAX + 1u]);

#endif
