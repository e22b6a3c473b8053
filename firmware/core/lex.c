/*
 * lex.c: see lex.h.
 */
#include "lex.h"

#include "cbor.h"

/* The largest number, in the unit of its kind: with a sign before it, 32 bits hold it. */
#define WHOLE_MAX 2147483648u

void fw_lex_init(fw_lexer_t *lexer, const uint8_t *source, uint16_t length)
{
    *lexer = (fw_lexer_t){.source = source, .length = length, .line = 1};
}

/* The byte so far ahead; 0 past the end, and for a 0 in the text, which is no better. */
static uint8_t peek(const fw_lexer_t *lexer, uint16_t ahead)
{
    uint32_t at = (uint32_t)lexer->at + ahead;
    return at < lexer->length ? lexer->source[at] : 0u;
}

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_letter(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_';
}

static void bad(fw_token_t *token, const char *expected)
{
    token->kind = FW_TOKEN_BAD;
    token->expected = expected;
}

static void skip(fw_lexer_t *lexer)
{
    for (;;) {
        uint8_t byte = peek(lexer, 0);
        if (byte == '#') {
            while (lexer->at < lexer->length && peek(lexer, 0) != '\n') {
                lexer->at++;
            }
        } else if (byte == '\n' && lexer->depth > 0u) {
            lexer->at++;
            lexer->line++;
            lexer->line_at = lexer->at;
        } else if (byte == ' ' || byte == '\t' || byte == '\r') {
            lexer->at++;
        } else {
            return;
        }
    }
}

/* Digits; false when they are more than 32 bits hold. */
static bool read_whole(fw_lexer_t *lexer, uint32_t *value)
{
    bool fits = true;
    *value = 0;
    while (is_digit(peek(lexer, 0))) {
        uint32_t digit = (uint32_t)(peek(lexer, 0) - '0');
        if (*value > (WHOLE_MAX - digit) / 10u) {
            fits = false;
        } else {
            *value = *value * 10u + digit;
        }
        lexer->at++;
    }
    return fits;
}

/* The milliseconds of a unit, which is passed over; 0 when there is none. */
static uint32_t read_unit(fw_lexer_t *lexer)
{
    static const struct {
        char text[3];
        uint32_t ms;
    } units[] = {{"ms", 1u}, {"s", 1000u}, {"m", 60000u}, {"h", 3600000u}, {"d", 86400000u}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        uint16_t length = (uint16_t)fw_string_length(units[i].text);
        bool same = true;
        for (uint16_t at = 0; at < length; at++) {
            same = same && peek(lexer, at) == (uint8_t)units[i].text[at];
        }
        if (same && !is_letter(peek(lexer, length)) && !is_digit(peek(lexer, length))) {
            lexer->at = (uint16_t)(lexer->at + length);
            return units[i].ms;
        }
    }
    return 0;
}

static void read_clock(fw_lexer_t *lexer, fw_token_t *token, uint32_t hours)
{
    uint32_t minutes = 0;
    lexer->at++;
    uint16_t from = lexer->at;
    bool fits = read_whole(lexer, &minutes);
    if (!fits || lexer->at - from != 2 || minutes > 59u || hours > 24u ||
        (hours == 24u && minutes > 0u)) {
        bad(token, "a time of day from 00:00 to 24:00");
        return;
    }
    token->kind = FW_TOKEN_CLOCK;
    token->value = (int32_t)(hours * 3600u + minutes * 60u);
}

const char *fw_lex_bound(uint8_t kind)
{
    return kind == FW_TOKEN_TIME  ? "a time of at most 24 days"
           : kind == FW_TOKEN_NUM ? "a number of at most 2147483.647"
                                  : "a number of at most 2147483647";
}

static void read_number(fw_lexer_t *lexer, fw_token_t *token)
{
    uint32_t whole = 0;
    uint32_t thousandths = 0;
    bool fits = read_whole(lexer, &whole);
    bool has_point = false;
    if (peek(lexer, 0) == ':' && is_digit(peek(lexer, 1))) {
        read_clock(lexer, token, fits ? whole : 99u);
        return;
    }
    if (peek(lexer, 0) == '.' && is_digit(peek(lexer, 1))) {
        uint32_t weight = 100;
        has_point = true;
        lexer->at++;
        while (is_digit(peek(lexer, 0))) {
            thousandths += (uint32_t)(peek(lexer, 0) - '0') * weight;
            if (weight == 0u && peek(lexer, 0) != '0') {
                bad(token, "at most three decimals");
                return;
            }
            weight /= 10u;
            lexer->at++;
        }
    }
    uint32_t unit = read_unit(lexer);
    if (is_letter(peek(lexer, 0))) {
        bad(token, "a number, or one with a unit: ms, s, m, h or d");
        return;
    }
    uint64_t value = whole;
    if (unit != 0u) {
        value = (uint64_t)whole * unit + (uint64_t)thousandths * unit / 1000u;
        token->kind = FW_TOKEN_TIME;
    } else if (has_point) {
        value = (uint64_t)whole * 1000u + thousandths;
        token->kind = FW_TOKEN_NUM;
    } else {
        token->kind = FW_TOKEN_INT;
    }
    if (!fits || value > WHOLE_MAX) {
        bad(token, fw_lex_bound(token->kind));
        return;
    }
    token->value = value == WHOLE_MAX ? INT32_MIN : (int32_t)value;
}

static void read_string(fw_lexer_t *lexer, fw_token_t *token)
{
    lexer->at++;
    token->at = lexer->at;
    while (lexer->at < lexer->length && peek(lexer, 0) != '"' && peek(lexer, 0) != '\n') {
        lexer->at++;
    }
    token->length = (uint16_t)(lexer->at - token->at);
    token->kind = FW_TOKEN_STRING;
    if (peek(lexer, 0) != '"') {
        bad(token, "the closing quote on the same line");
        return;
    }
    lexer->at++;
    if (token->length > FW_TITLE_BYTES_MAX) {
        bad(token, "a text of at most 64 bytes");
    }
}

/* Signs, the longer before the shorter. */
static void read_sign(fw_lexer_t *lexer, fw_token_t *token)
{
    static const struct {
        char text[3];
        uint8_t kind;
    } signs[] = {
        {":=", FW_TOKEN_ASSIGN}, {"+=", FW_TOKEN_INCREASE}, {"<>", FW_TOKEN_DIFFERS},
        {"<=", FW_TOKEN_AT_MOST}, {">=", FW_TOKEN_AT_LEAST}, {"..", FW_TOKEN_TO},
        {"=", FW_TOKEN_IS},       {"<", FW_TOKEN_BELOW},     {">", FW_TOKEN_ABOVE},
        {"+", FW_TOKEN_PLUS},     {"-", FW_TOKEN_MINUS},     {"*", FW_TOKEN_TIMES},
        {"/", FW_TOKEN_OVER},     {"(", FW_TOKEN_OPEN},      {")", FW_TOKEN_CLOSE},
        {",", FW_TOKEN_COMMA},    {":", FW_TOKEN_COLON},     {".", FW_TOKEN_DOT},
    };
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        const char *text = signs[i].text;
        if (peek(lexer, 0) == (uint8_t)text[0] &&
            (text[1] == '\0' || peek(lexer, 1) == (uint8_t)text[1])) {
            token->kind = signs[i].kind;
            lexer->at = (uint16_t)(lexer->at + fw_string_length(text));
            if (token->kind == FW_TOKEN_OPEN && lexer->depth < UINT8_MAX) {
                lexer->depth++;
            } else if (token->kind == FW_TOKEN_CLOSE && lexer->depth > 0u) {
                lexer->depth--;
            }
            return;
        }
    }
    lexer->at++;
    bad(token, "a name, a number, a text in quotes or a sign of the language");
}

void fw_lex_next(fw_lexer_t *lexer, fw_token_t *token)
{
    skip(lexer);
    *token = (fw_token_t){
        .at = lexer->at,
        .line = lexer->line,
        .column = (uint16_t)(lexer->at - lexer->line_at + 1u),
    };
    uint8_t byte = peek(lexer, 0);
    if (lexer->at >= lexer->length) {
        token->kind = FW_TOKEN_END;
    } else if (byte == '\n') {
        token->kind = FW_TOKEN_LINE;
        lexer->at++;
        lexer->line++;
        lexer->line_at = lexer->at;
    } else if (is_letter(byte)) {
        while (is_letter(peek(lexer, 0)) || is_digit(peek(lexer, 0))) {
            lexer->at++;
        }
        token->kind = FW_TOKEN_NAME;
        if (lexer->at - token->at > (int32_t)FW_NAME_BYTES_MAX) {
            bad(token, "a name of at most 24 letters, digits and underscores");
        }
    } else if (is_digit(byte)) {
        read_number(lexer, token);
    } else if (byte == '"') {
        read_string(lexer, token);
        return;
    } else {
        read_sign(lexer, token);
    }
    token->length = (uint16_t)(lexer->at - token->at);
}

void fw_script_title(fw_span_t source, char title[FW_TITLE_BYTES_MAX + 1u])
{
    static const char fallback[] = "script";
    size_t from = 0;
    size_t length = 0;
    bool is_comment = source.length > 0u && source.bytes[0] == '#';
    while (from < source.length && (source.bytes[from] == '#' || source.bytes[from] == ' ')) {
        from++;
    }
    while (is_comment && from + length < source.length && source.bytes[from + length] >= 0x20u &&
           source.bytes[from + length] != 0x7Fu && length < FW_TITLE_BYTES_MAX) {
        length++;
    }
    /* Not in the middle of a character. */
    while (length > 0u && from + length < source.length &&
           (source.bytes[from + length] & 0xC0u) == 0x80u) {
        length--;
    }
    fw_fill((uint8_t *)title, 0, FW_TITLE_BYTES_MAX + 1u);
    fw_copy((uint8_t *)title, source.bytes + from, length);
    if (!fw_title_valid((fw_span_t){(const uint8_t *)title, length})) {
        fw_copy((uint8_t *)title, (const uint8_t *)fallback, sizeof fallback);
    }
}
