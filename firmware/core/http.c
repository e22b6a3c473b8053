/*
 * http.c: see http.h.
 */
#include "http.h"

#include "text.h"

typedef enum {
    STATE_BEFORE = 0, /* the request line; an empty line before it is passed over */
    STATE_BEFORE_LF,
    STATE_METHOD,
    STATE_TARGET,
    STATE_VERSION,
    STATE_LINE_LF,
    STATE_NAME_FIRST, /* the first byte of a header line */
    STATE_NAME,
    STATE_VALUE_SPACE,
    STATE_VALUE,
    STATE_HEAD_LF,
    STATE_HEADED, /* the head is told at the next call */
    STATE_BODY,
    STATE_CHUNK_SIZE,
    STATE_CHUNK_EXTENSION,
    STATE_CHUNK_LF,
    STATE_CHUNK,
    STATE_CHUNK_END_CR,
    STATE_CHUNK_END_LF,
    STATE_TRAILER_FIRST,
    STATE_TRAILER,
    STATE_TRAILER_LF,
    STATE_END_LF,
    STATE_ENDED,
    STATE_FAILED,
} state_t;

typedef enum {
    FIELD_OTHER = 0,
    FIELD_HOST,
    FIELD_LENGTH,
    FIELD_CODING,
    FIELD_CONNECTION,
    FIELD_COOKIE,
    FIELD_ORIGIN,
    FIELD_MARK,
    FIELD_ETAG,
    FIELD_EXPECT,
    FIELDS,
} field_t;

static const char *const field_names[FIELDS] = {
    "",       "host",         "content-length", "transfer-encoding", "connection", "cookie",
    "origin", "x-switchyard", "if-none-match",  "expect",
};
static const char *const method_names[] = {"GET", "HEAD", "POST", "PUT"};
static const char cookie_name[] = "switchyard=";

/* `scanned` of a cookie: below this the bytes of its name that matched, from it on its digits. */
#define SCAN_DIGITS ((uint8_t)(sizeof(cookie_name) - 1u))
#define SCAN_PASS 0xFFu  /* up to the next ';' */
#define SCAN_SPACE 0xFEu /* behind a ';' */

void fw_http_start(fw_http_parser_t *parser)
{
    *parser = (fw_http_parser_t){.head = {.keeps = true}};
}

bool fw_http_has_begun(const fw_http_parser_t *parser)
{
    return parser->head_bytes > 0u;
}

static void fail(fw_http_parser_t *parser, fw_problem_t problem)
{
    parser->state = STATE_FAILED;
    parser->problem = (uint8_t)problem;
}

static fw_span_t line_of(const fw_http_parser_t *parser)
{
    return (fw_span_t){parser->line, parser->line_bytes};
}

static void line_start(fw_http_parser_t *parser)
{
    parser->line_bytes = 0;
    parser->line_long = false;
}

static void line_put(fw_http_parser_t *parser, uint8_t byte)
{
    if (parser->line_bytes == FW_HTTP_LINE_BYTES) {
        parser->line_long = true;
        return;
    }
    parser->line[parser->line_bytes++] = byte;
}

/* RFC 9110 section 5.6.2: what names and methods are made of. */
static bool is_token_byte(uint8_t byte)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    uint8_t lower = fw_lower(byte);
    if ((lower >= 'a' && lower <= 'z') || (byte >= '0' && byte <= '9')) {
        return true;
    }
    for (uint8_t i = 0; i < sizeof(others) - 1u; i++) {
        if (byte == (uint8_t)fw_string_byte(others, i)) {
            return true;
        }
    }
    return false;
}

/* ---- the request line ---- */

static void take_method(fw_http_parser_t *parser, uint8_t byte)
{
    if (byte != ' ') {
        line_put(parser, byte);
        if (!is_token_byte(byte)) {
            fail(parser, FW_PROBLEM_MALFORMED);
        } else if (parser->line_bytes > 16u) {
            fail(parser, FW_PROBLEM_METHOD);
        }
        return;
    }
    for (uint8_t i = 0; i < sizeof(method_names) / sizeof(method_names[0]); i++) {
        if (fw_text_is(line_of(parser), method_names[i])) {
            parser->head.method = i;
            parser->state = STATE_TARGET;
            line_start(parser);
            return;
        }
    }
    fail(parser, parser->line_bytes == 0u ? FW_PROBLEM_MALFORMED : FW_PROBLEM_METHOD);
}

/* `line_bytes` counts the target here. Its text ends in a zero, as a query does; the last byte of
 * `target` stays zero. */
static void take_target(fw_http_parser_t *parser, uint8_t byte)
{
    fw_http_head_t *head = &parser->head;
    if (byte == ' ' && parser->line_bytes > 0u) {
        if (head->query == 0u) {
            head->query = parser->line_bytes; /* the zero that ends the path: "" */
        }
        parser->state = STATE_VERSION;
        line_start(parser);
    } else if (byte <= ' ' || byte >= 0x7Fu || (parser->line_bytes == 0u && byte != '/')) {
        fail(parser, FW_PROBLEM_MALFORMED);
    } else if (parser->line_bytes == FW_HTTP_TARGET_BYTES - 1u) {
        fail(parser, FW_PROBLEM_TARGET_LONG);
    } else if (byte == '?' && head->query == 0u) {
        head->target[parser->line_bytes++] = '\0';
        head->query = parser->line_bytes;
    } else {
        head->target[parser->line_bytes++] = (char)byte;
    }
}

static void take_version(fw_http_parser_t *parser, uint8_t byte)
{
    if (byte != '\r') {
        line_put(parser, byte);
        if (parser->line_bytes > 8u || byte <= ' ') {
            fail(parser, FW_PROBLEM_MALFORMED);
        }
        return;
    }
    if (fw_text_is(line_of(parser), "HTTP/1.1")) {
        parser->state = STATE_LINE_LF;
    } else {
        bool is_version = parser->line_bytes == 8u &&
                          fw_text_is((fw_span_t){parser->line, 5}, "HTTP/");
        fail(parser, is_version ? FW_PROBLEM_VERSION : FW_PROBLEM_MALFORMED);
    }
}

/* ---- headers ---- */

static void take_name(fw_http_parser_t *parser, uint8_t byte)
{
    if (byte != ':') {
        if (is_token_byte(byte)) {
            line_put(parser, fw_lower(byte));
        } else {
            fail(parser, FW_PROBLEM_MALFORMED);
        }
        return;
    }
    parser->field = FIELD_OTHER;
    for (uint8_t i = 1; i < FIELDS && !parser->line_long; i++) {
        if (fw_text_is(line_of(parser), field_names[i])) {
            parser->field = i;
        }
    }
    parser->state = STATE_VALUE_SPACE;
    parser->scanned = 0;
    line_start(parser);
}

/* Looks for our cookie among others (RFC 6265 section 4.2); the first of that name counts. */
static void scan_cookie(fw_http_parser_t *parser, uint8_t byte)
{
    fw_http_head_t *head = &parser->head;
    if (byte == ';') {
        bool is_ours = parser->scanned == SCAN_DIGITS + 2u * FW_HTTP_TOKEN_BYTES;
        head->has_token = head->has_token || is_ours;
        parser->scanned = head->has_token ? SCAN_PASS : SCAN_SPACE;
        return;
    }
    if (parser->scanned == SCAN_PASS || (parser->scanned == SCAN_SPACE && byte == ' ')) {
        return;
    }
    if (parser->scanned == SCAN_SPACE) {
        parser->scanned = 0;
    }
    if (parser->scanned < SCAN_DIGITS) {
        bool fits = !head->has_token && byte == (uint8_t)fw_string_byte(cookie_name, parser->scanned);
        parser->scanned = fits ? (uint8_t)(parser->scanned + 1u) : SCAN_PASS;
        return;
    }
    uint8_t at = (uint8_t)(parser->scanned - SCAN_DIGITS);
    int32_t digit = fw_hex_digit(byte);
    if (digit < 0 || at == 2u * FW_HTTP_TOKEN_BYTES) {
        parser->scanned = SCAN_PASS;
        return;
    }
    head->token[at / 2u] = (uint8_t)(head->token[at / 2u] << 4 | (uint8_t)digit);
    parser->scanned++;
}

static void take_host(fw_http_parser_t *parser)
{
    fw_http_head_t *head = &parser->head;
    if (head->has_host) {
        fail(parser, FW_PROBLEM_HOST_MISSING);
        return;
    }
    head->has_host = true;
    if (parser->line_bytes < FW_HTTP_HOST_BYTES) {
        fw_copy((uint8_t *)head->host, parser->line, parser->line_bytes);
    }
}

static void take_length(fw_http_parser_t *parser)
{
    fw_http_head_t *head = &parser->head;
    uint32_t length = 0;
    if (parser->line_long || !fw_text_parse_u32(line_of(parser), &length)) {
        fail(parser, FW_PROBLEM_FRAMING);
        return;
    }
    if (head->has_length && head->body_bytes != length) {
        fail(parser, FW_PROBLEM_FRAMING);
        return;
    }
    head->has_length = true;
    head->body_bytes = length;
}

/* One of the words between commas. */
static bool list_holds(fw_span_t list, const char *word)
{
    size_t from = 0;
    for (size_t at = 0; at <= list.length; at++) {
        if (at < list.length && list.bytes[at] != ',') {
            continue;
        }
        size_t to = at;
        while (from < to && (list.bytes[from] == ' ' || list.bytes[from] == '\t')) {
            from++;
        }
        while (to > from && (list.bytes[to - 1u] == ' ' || list.bytes[to - 1u] == '\t')) {
            to--;
        }
        if (fw_text_is_any_case((fw_span_t){list.bytes + from, to - from}, word)) {
            return true;
        }
        from = at + 1u;
    }
    return false;
}

/* "01234567", with W/ before it or not (RFC 9110 section 13.1.2). */
static void take_etag(fw_http_parser_t *parser)
{
    fw_span_t text = line_of(parser);
    if (text.length > 2u && text.bytes[0] == 'W' && text.bytes[1] == '/') {
        text = (fw_span_t){text.bytes + 2, text.length - 2u};
    }
    bool is_ours = text.length == 10u && text.bytes[0] == '"' && text.bytes[9] == '"';
    uint32_t etag = 0;
    for (uint8_t i = 1; i < 9u && is_ours; i++) {
        int32_t digit = fw_hex_digit(text.bytes[i]);
        is_ours = digit >= 0;
        etag = etag << 4 | ((uint32_t)digit & 15u);
    }
    parser->head.has_etag = is_ours;
    parser->head.etag = etag;
}

static bool origin_is_host(const fw_http_parser_t *parser)
{
    fw_span_t origin = line_of(parser);
    if (parser->line_long || origin.length <= 7u || parser->head.host[0] == '\0' ||
        !fw_text_is_any_case((fw_span_t){origin.bytes, 7}, "http://")) {
        return false;
    }
    const char *host = parser->head.host;
    for (size_t i = 7; i < origin.length; i++) {
        if (host[i - 7u] == '\0' || fw_lower(origin.bytes[i]) != fw_lower((uint8_t)host[i - 7u])) {
            return false;
        }
    }
    return host[origin.length - 7u] == '\0';
}

/* A header line has ended; its value stands in `line`, without spaces around it. */
static void take_field(fw_http_parser_t *parser)
{
    fw_http_head_t *head = &parser->head;
    switch (parser->field) {
    case FIELD_HOST:
        take_host(parser);
        break;
    case FIELD_LENGTH:
        take_length(parser);
        break;
    case FIELD_CODING:
        if (parser->has_coding) {
            fail(parser, FW_PROBLEM_FRAMING);
        } else if (!fw_text_is_any_case(line_of(parser), "chunked")) {
            fail(parser, FW_PROBLEM_CODING);
        }
        parser->has_coding = true;
        head->is_chunked = true;
        break;
    case FIELD_CONNECTION:
        head->keeps = head->keeps && !list_holds(line_of(parser), "close");
        break;
    case FIELD_COOKIE:
        scan_cookie(parser, ';');
        break;
    case FIELD_ORIGIN:
        head->is_foreign = head->is_foreign || !origin_is_host(parser);
        break;
    case FIELD_MARK:
        head->is_marked = fw_text_is(line_of(parser), "1");
        break;
    case FIELD_ETAG:
        take_etag(parser);
        break;
    case FIELD_EXPECT:
        if (!fw_text_is_any_case(line_of(parser), "100-continue")) {
            fail(parser, FW_PROBLEM_EXPECTATION);
        }
        head->expects_continue = true;
        break;
    default:
        break;
    }
}

static void take_value(fw_http_parser_t *parser, uint8_t byte)
{
    if (byte == '\r') {
        while (parser->line_bytes > 0u && !parser->line_long &&
               (parser->line[parser->line_bytes - 1u] == ' ' ||
                parser->line[parser->line_bytes - 1u] == '\t')) {
            parser->line_bytes--;
        }
        parser->state = STATE_LINE_LF;
        take_field(parser);
    } else if ((byte < ' ' && byte != '\t') || byte == 0x7Fu) {
        fail(parser, FW_PROBLEM_MALFORMED);
    } else if (parser->field == FIELD_COOKIE) {
        scan_cookie(parser, byte);
    } else if (parser->field != FIELD_OTHER) {
        line_put(parser, byte);
    }
}

/* The empty line has come. What the body is, RFC 9112 section 6.3. */
static void take_head_end(fw_http_parser_t *parser)
{
    fw_http_head_t *head = &parser->head;
    if (!head->has_host) {
        fail(parser, FW_PROBLEM_HOST_MISSING);
    } else if (head->is_chunked && head->has_length) {
        fail(parser, FW_PROBLEM_FRAMING);
    } else if (head->body_bytes > FW_HTTP_BODY_BYTES_MAX) {
        fail(parser, FW_PROBLEM_BODY_LARGE);
    } else {
        parser->left = head->body_bytes;
        parser->state = STATE_HEADED;
    }
}

static void expect(fw_http_parser_t *parser, uint8_t byte, uint8_t wanted, state_t next)
{
    if (byte == wanted) {
        parser->state = (uint8_t)next;
    } else {
        fail(parser, FW_PROBLEM_MALFORMED);
    }
}

static void take_head_byte(fw_http_parser_t *parser, uint8_t byte)
{
    if (++parser->head_bytes > FW_HTTP_HEAD_BYTES_MAX) {
        fail(parser, FW_PROBLEM_HEAD_LARGE);
        return;
    }
    switch (parser->state) {
    case STATE_BEFORE:
        parser->state = byte == '\r' ? STATE_BEFORE_LF : STATE_METHOD;
        if (byte != '\r') {
            take_method(parser, byte);
        }
        break;
    case STATE_BEFORE_LF:
        expect(parser, byte, '\n', STATE_METHOD);
        break;
    case STATE_METHOD:
        take_method(parser, byte);
        break;
    case STATE_TARGET:
        take_target(parser, byte);
        break;
    case STATE_VERSION:
        take_version(parser, byte);
        break;
    case STATE_LINE_LF:
        expect(parser, byte, '\n', STATE_NAME_FIRST);
        break;
    case STATE_NAME_FIRST:
        if (byte == '\r') {
            parser->state = STATE_HEAD_LF;
            break;
        }
        line_start(parser);
        parser->state = STATE_NAME;
        if (byte == ':') {
            fail(parser, FW_PROBLEM_MALFORMED); /* a name is not empty; nor is a line folded */
        } else {
            take_name(parser, byte);
        }
        break;
    case STATE_NAME:
        take_name(parser, byte);
        break;
    case STATE_VALUE_SPACE:
        if (byte != ' ' && byte != '\t') {
            parser->state = STATE_VALUE;
            take_value(parser, byte);
        }
        break;
    case STATE_VALUE:
        take_value(parser, byte);
        break;
    default: /* STATE_HEAD_LF */
        expect(parser, byte, '\n', STATE_HEADED);
        if (parser->state == STATE_HEADED) {
            take_head_end(parser);
        }
        break;
    }
}

/* ---- chunks (RFC 9112 section 7.1) ---- */

static void take_size_end(fw_http_parser_t *parser)
{
    parser->body_seen = (uint16_t)(parser->body_seen + parser->left);
    if (parser->left == 0u) {
        parser->state = STATE_TRAILER_FIRST;
    } else if (parser->body_seen > FW_HTTP_BODY_BYTES_MAX) {
        fail(parser, FW_PROBLEM_BODY_LARGE);
    } else {
        parser->state = STATE_CHUNK;
    }
}

static void take_size(fw_http_parser_t *parser, uint8_t byte)
{
    int32_t digit = fw_hex_digit(byte);
    if (digit >= 0 && parser->digits < 8u) {
        parser->left = parser->left << 4 | (uint32_t)digit;
        parser->digits++;
        /* Checked here already, so that sums of sizes stay small. */
        if (parser->left > FW_HTTP_BODY_BYTES_MAX) {
            fail(parser, FW_PROBLEM_BODY_LARGE);
        }
    } else if (parser->digits == 0u) {
        fail(parser, FW_PROBLEM_FRAMING);
    } else if (byte == '\r') {
        parser->state = STATE_CHUNK_LF;
    } else if (byte == ';') {
        parser->digits = 0;
        parser->state = STATE_CHUNK_EXTENSION;
    } else {
        fail(parser, FW_PROBLEM_FRAMING);
    }
}

static void take_extension(fw_http_parser_t *parser, uint8_t byte)
{
    if (byte == '\r') {
        parser->state = STATE_CHUNK_LF;
    } else if (byte < ' ' || byte == 0x7Fu || ++parser->digits > FW_HTTP_EXTENSION_BYTES_MAX) {
        fail(parser, FW_PROBLEM_FRAMING);
    }
}

static void size_start(fw_http_parser_t *parser)
{
    parser->digits = 0;
    parser->left = 0;
}

static void take_chunk_byte(fw_http_parser_t *parser, uint8_t byte)
{
    switch (parser->state) {
    case STATE_CHUNK_SIZE:
        take_size(parser, byte);
        break;
    case STATE_CHUNK_EXTENSION:
        take_extension(parser, byte);
        break;
    case STATE_CHUNK_LF:
        expect(parser, byte, '\n', STATE_CHUNK);
        if (parser->state != STATE_FAILED) {
            take_size_end(parser);
        }
        break;
    case STATE_CHUNK_END_CR:
        expect(parser, byte, '\r', STATE_CHUNK_END_LF);
        break;
    case STATE_CHUNK_END_LF:
        expect(parser, byte, '\n', STATE_CHUNK_SIZE);
        size_start(parser);
        break;
    case STATE_TRAILER_FIRST:
        parser->state = byte == '\r' ? STATE_END_LF : STATE_TRAILER;
        if (byte != '\r' && !is_token_byte(byte)) {
            fail(parser, FW_PROBLEM_MALFORMED);
        }
        break;
    case STATE_TRAILER:
        if (byte == '\r') {
            parser->state = STATE_TRAILER_LF;
        } else if ((byte < ' ' && byte != '\t') || byte == 0x7Fu) {
            fail(parser, FW_PROBLEM_MALFORMED);
        } else if (++parser->head_bytes > FW_HTTP_HEAD_BYTES_MAX) {
            fail(parser, FW_PROBLEM_HEAD_LARGE);
        }
        break;
    case STATE_TRAILER_LF:
        expect(parser, byte, '\n', STATE_TRAILER_FIRST);
        break;
    default: /* STATE_END_LF */
        expect(parser, byte, '\n', STATE_ENDED);
        break;
    }
}

/* ---- the whole ---- */

/* Most of a head are values that nobody asks for: they are passed over without looking at what is
 * done with each byte. The byte that ends one, or is bad, goes the usual way. */
static void pass_value(fw_http_parser_t *parser, fw_span_t *input)
{
    bool is_cookie = parser->field == FIELD_COOKIE && parser->scanned == SCAN_PASS;
    size_t room = FW_HTTP_HEAD_BYTES_MAX - parser->head_bytes;
    size_t most = input->length < room ? input->length : room;
    const uint8_t *bytes = input->bytes;
    size_t length = 0;
    if (parser->field != FIELD_OTHER && !is_cookie) {
        return;
    }
    while (length < most && bytes[length] >= ' ' && bytes[length] != ';' &&
           bytes[length] != 0x7Fu) {
        length++;
    }
    parser->head_bytes = (uint16_t)(parser->head_bytes + length);
    input->bytes += length;
    input->length -= length;
}

static uint8_t take(fw_span_t *input)
{
    uint8_t byte = input->bytes[0];
    input->bytes++;
    input->length--;
    return byte;
}

static fw_http_event_t take_piece(fw_http_parser_t *parser, fw_span_t *input, fw_span_t *piece)
{
    size_t length = input->length < parser->left ? input->length : parser->left;
    *piece = (fw_span_t){input->bytes, length};
    input->bytes += length;
    input->length -= length;
    parser->left -= (uint32_t)length;
    if (parser->left == 0u) {
        parser->state = parser->state == STATE_BODY ? STATE_ENDED : STATE_CHUNK_END_CR;
    }
    return FW_HTTP_PIECE;
}

fw_http_event_t fw_http_read(fw_http_parser_t *parser, fw_span_t *input, fw_span_t *piece)
{
    for (;;) {
        if (parser->state == STATE_FAILED) {
            return FW_HTTP_FAILED;
        }
        if (parser->state == STATE_HEADED) {
            parser->state = parser->head.is_chunked ? STATE_CHUNK_SIZE
                            : parser->left > 0u     ? STATE_BODY
                                                    : STATE_ENDED;
            return FW_HTTP_HEADED;
        }
        if (parser->state == STATE_ENDED) {
            return FW_HTTP_END;
        }
        if (parser->state == STATE_VALUE) {
            pass_value(parser, input);
        }
        if (input->length == 0u) {
            return FW_HTTP_MORE;
        }
        if (parser->state == STATE_BODY || parser->state == STATE_CHUNK) {
            return take_piece(parser, input, piece);
        }
        if (parser->state < STATE_HEADED) {
            take_head_byte(parser, take(input));
        } else {
            take_chunk_byte(parser, take(input));
        }
    }
}

bool fw_http_query(const fw_http_head_t *head, const char *name, fw_span_t *value)
{
    const uint8_t *at = (const uint8_t *)head->target + head->query;
    size_t name_bytes = fw_string_length(name);
    size_t rest = fw_string_length((const char *)at);
    while (rest > 0u) {
        size_t pair = 0;
        while (pair < rest && at[pair] != '&') {
            pair++;
        }
        if (pair > name_bytes && at[name_bytes] == '=' &&
            fw_text_is((fw_span_t){at, name_bytes}, name)) {
            *value = (fw_span_t){at + name_bytes + 1u, pair - name_bytes - 1u};
            return true;
        }
        pair += pair < rest ? 1u : 0u;
        at += pair;
        rest -= pair;
    }
    return false;
}
