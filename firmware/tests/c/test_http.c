/*
 * test_http.c: reading requests: what is kept of them, what is refused, and that it makes no difference
 * where they are cut.
 */
#include "check.h"
#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST "Host: 192.168.4.1\r\n"

/* What reading came to, in words: requests, their bodies, and how it ended. */
typedef struct {
    char text[2048];
    size_t length;
} story_t;

static void tell(story_t *story, const char *text, size_t length)
{
    if (story->length + length < sizeof(story->text)) {
        memcpy(story->text + story->length, text, length);
        story->length += length;
    }
    story->text[story->length] = '\0';
}

static void tell_head(story_t *story, const fw_http_head_t *head)
{
    static const char *const methods[] = {"GET", "HEAD", "POST", "PUT"};
    char line[400];
    int length = snprintf(line, sizeof(line), "[%s %s?%s host=%s%s%s%s%s%s%s%s]", methods[head->method],
                          head->target, head->target + head->query, head->host,
                          head->keeps ? "" : " close", head->is_marked ? " marked" : "",
                          head->is_foreign ? " foreign" : "", head->expects_continue ? " expects" : "",
                          head->is_chunked ? " chunked" : "", head->has_token ? " token=" : "",
                          head->has_etag ? " etag" : "");
    tell(story, line, (size_t)length);
    for (size_t i = 0; i < FW_HTTP_TOKEN_BYTES && head->has_token; i++) {
        snprintf(line, sizeof(line), "%02x", head->token[i]);
        tell(story, line, 2);
    }
}

/* Reads pieces of a stream; false once it has failed. */
static bool read_on(fw_http_parser_t *parser, const uint8_t *bytes, size_t length, story_t *story)
{
    /* From the heap, so that a read too far is seen. */
    uint8_t *copy = bytes_exact(bytes, length);
    fw_span_t input = {copy, length};
    fw_http_event_t event = FW_HTTP_MORE;
    do {
        fw_span_t piece = {0};
        event = fw_http_read(parser, &input, &piece);
        switch (event) {
        case FW_HTTP_HEADED:
            tell_head(story, &parser->head);
            break;
        case FW_HTTP_PIECE:
            tell(story, (const char *)piece.bytes, piece.length);
            break;
        case FW_HTTP_END:
            tell(story, ".", 1);
            fw_http_start(parser);
            break;
        case FW_HTTP_FAILED:
            tell(story, "!", 1);
            tell(story, fw_problem_text(parser->problem)->code,
                 strlen(fw_problem_text(parser->problem)->code));
            break;
        default:
            break;
        }
    } while (event != FW_HTTP_MORE && event != FW_HTTP_FAILED);
    CHECK(event == FW_HTTP_FAILED || input.length == 0);
    free(copy);
    return event != FW_HTTP_FAILED;
}

static void read_whole(const char *text, size_t length, story_t *story)
{
    fw_http_parser_t parser;
    fw_http_start(&parser);
    *story = (story_t){.length = 0};
    (void)read_on(&parser, (const uint8_t *)text, length, story);
}

/* Cut in two and in three at every place, and into single bytes. */
static void check_cuts(const char *text, size_t length, const char *expected)
{
    for (size_t first = 0; first <= length; first++) {
        for (size_t second = first; second <= length; second += 1 + length / 16) {
            size_t ends[3] = {first, second, length};
            fw_http_parser_t parser;
            fw_http_start(&parser);
            story_t story = {.length = 0};
            size_t at = 0;
            for (size_t i = 0; i < 3; i++) {
                if (!read_on(&parser, (const uint8_t *)text + at, ends[i] - at, &story)) {
                    break;
                }
                at = ends[i];
            }
            CHECK_STRING(story.text, expected, text);
        }
    }
    fw_http_parser_t parser;
    fw_http_start(&parser);
    story_t story = {.length = 0};
    for (size_t at = 0; at < length; at++) {
        if (!read_on(&parser, (const uint8_t *)text + at, 1, &story)) {
            break;
        }
    }
    CHECK_STRING(story.text, expected, text);
}

typedef struct {
    const char *text;
    const char *story;
} row_t;

static const row_t rows[] = {
    {"GET / HTTP/1.1\r\n" HOST "\r\n", "[GET /? host=192.168.4.1]."},
    {"\r\nHEAD /a?b=1&c HTTP/1.1\r\nhOsT:x\r\n\r\n", "[HEAD /a?b=1&c host=x]."},
    {"GET / HTTP/1.1\r\nHost: \t x \t\r\nConnection: close\r\n\r\n", "[GET /? host=x close]."},
    {"GET / HTTP/1.1\r\n" HOST "Connection: Keep-Alive , CLOSE\r\n\r\n",
     "[GET /? host=192.168.4.1 close]."},
    {"GET / HTTP/1.1\r\nHost:\r\n\r\n", "[GET /? host=]."},
    {"GET / HTTP/1.1\r\n" HOST "X: \x80\xff\t!\r\nEmpty:\r\n\r\n", "[GET /? host=192.168.4.1]."},
    /* bodies */
    {"POST /a HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello",
     "[POST /a? host=192.168.4.1]hello."},
    {"PUT /a HTTP/1.1\r\n" HOST "Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
     "[PUT /a? host=192.168.4.1]hi."},
    {"POST /a HTTP/1.1\r\n" HOST "\r\n", "[POST /a? host=192.168.4.1]."},
    {"POST /a HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
     "[POST /a? host=192.168.4.1 expects]x."},
    {"POST /a HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n"
     "00A;x=\"y\"\r\n0123456789\r\n0;z\r\nTrailer: t\r\n\r\n",
     "[POST /a? host=192.168.4.1 chunked]abc0123456789."},
    /* several in a row */
    {"GET /1 HTTP/1.1\r\n" HOST "\r\nPOST /2 HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx"
     "GET /3 HTTP/1.1\r\n" HOST "\r\n",
     "[GET /1? host=192.168.4.1].[POST /2? host=192.168.4.1]x.[GET /3? host=192.168.4.1]."},
    /* cookies, origin, mark */
    {"GET / HTTP/1.1\r\n" HOST "Cookie: switchyard=00112233445566778899aAbBcCdDeEfF\r\n\r\n",
     "[GET /? host=192.168.4.1 token=]00112233445566778899aabbccddeeff."},
    {"GET / HTTP/1.1\r\n" HOST "Cookie: a=switchyard=1; xswitchyard=2;"
     "  switchyard=00112233445566778899aabbccddeeff; switchyard=ff\r\n\r\n",
     "[GET /? host=192.168.4.1 token=]00112233445566778899aabbccddeeff."},
    {"GET / HTTP/1.1\r\n" HOST "Cookie: switchyard=00112233445566778899aabbccddeef\r\n\r\n",
     "[GET /? host=192.168.4.1]."},
    {"GET / HTTP/1.1\r\n" HOST "Cookie: switchyard=00112233445566778899aabbccddeeff0\r\n\r\n",
     "[GET /? host=192.168.4.1]."},
    {"GET / HTTP/1.1\r\n" HOST "Origin: HTTP://192.168.4.1\r\nX-Switchyard: 1\r\n\r\n",
     "[GET /? host=192.168.4.1 marked]."},
    {"GET / HTTP/1.1\r\n" HOST "Origin: http://192.168.4.1:80\r\nX-Switchyard: 2\r\n\r\n",
     "[GET /? host=192.168.4.1 foreign]."},
    {"GET / HTTP/1.1\r\n" HOST "Origin: http://192.168.4\r\n\r\n",
     "[GET /? host=192.168.4.1 foreign]."},
    {"GET / HTTP/1.1\r\n" HOST "Origin: https://192.168.4.1\r\n\r\n",
     "[GET /? host=192.168.4.1 foreign]."},
    {"GET / HTTP/1.1\r\n" HOST "Origin: null\r\n\r\n", "[GET /? host=192.168.4.1 foreign]."},
    {"GET / HTTP/1.1\r\nOrigin: http://x\r\nHost: x\r\n\r\n", "[GET /? host=x foreign]."},
    {"GET / HTTP/1.1\r\n" HOST "If-None-Match: W/\"0123abCD\"\r\n\r\n",
     "[GET /? host=192.168.4.1 etag]."},
    {"GET / HTTP/1.1\r\n" HOST "If-None-Match: \"0123abCD\r\n\r\n", "[GET /? host=192.168.4.1]."},
    /* what is dangerous */
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
     "!bad_framing"},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
     "!bad_framing"},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
     "!bad_framing"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 4\r\n\r\n", "!bad_framing"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3, 3\r\n\r\n", "!bad_framing"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: +3\r\n\r\n", "!bad_framing"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", "!bad_framing"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 4294967297\r\n\r\n", "!bad_framing"},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", "!unknown_coding"},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n", "!unknown_coding"},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n\r\n", "!malformed"},
    {"GET / HTTP/1.1\r\n" HOST " folded\r\n\r\n", "!malformed"},
    {"GET / HTTP/1.1\r\n" HOST "\tfolded\r\n\r\n", "!malformed"},
    {"GET / HTTP/1.1\n" HOST "\r\n", "!malformed"},
    {"GET / HTTP/1.1\r\nHost: x\n\r\n", "!malformed"},
    {"GET / HTTP/1.1\r\nHost: x\rY: z\r\n\r\n", "!malformed"},
    {"GET / HTTP/1.1\r\n" HOST "\n", "!malformed"},
    {"GET / HTTP/1.1\r\n" HOST ": x\r\n\r\n", "!malformed"},
    {"GET / HTTP/1.1\r\n" HOST "no colon\r\n\r\n", "!malformed"},
    {"GET / HTTP/1.1\r\n" HOST "A: \x01\r\n\r\n", "!malformed"},
    {"GET / HTTP/1.1\r\n" HOST "A: \x7f\r\n\r\n", "!malformed"},
    {"GET / HTTP/1.1\r\n\r\n", "!host_missing"},
    {"GET / HTTP/1.1\r\n" HOST HOST "\r\n", "!host_missing"},
    {"GET  / HTTP/1.1\r\n" HOST "\r\n", "!malformed"},
    {"GET http://x/ HTTP/1.1\r\n" HOST "\r\n", "!malformed"},
    {"GET / HTTP/1.1 \r\n" HOST "\r\n", "!malformed"},
    {"GET /\x80 HTTP/1.1\r\n" HOST "\r\n", "!malformed"},
    {" GET / HTTP/1.1\r\n" HOST "\r\n", "!malformed"},
    {"\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", "!malformed"},
    {"\x16\x03\x01", "!malformed"},
    {"GET / HTTP/1.0\r\n" HOST "\r\n", "!unsupported_version"},
    {"GET / http/1.1\r\n" HOST "\r\n", "!malformed"},
    {"PRI * HTTP/2.0\r\n", "!unknown_method"},
    {"DELETE / HTTP/1.1\r\n", "!unknown_method"},
    {"get / HTTP/1.1\r\n", "!unknown_method"},
    {"ABCDEFGHIJKLMNOPQ", "!unknown_method"},
    {"POST / HTTP/1.1\r\n" HOST "Expect: tea\r\n\r\n", "!unknown_expectation"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 1025\r\n\r\n", "!body_too_large"},
#define CHUNKED "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
#define CHUNKED_STORY "[POST /? host=192.168.4.1 chunked]"
    {CHUNKED "\r\n", CHUNKED_STORY "!bad_framing"},
    {CHUNKED "g\r\n", CHUNKED_STORY "!bad_framing"},
    {CHUNKED "-1\r\n", CHUNKED_STORY "!bad_framing"},
    {CHUNKED "0x1\r\n", CHUNKED_STORY "!bad_framing"},
    {CHUNKED "1 \r\n", CHUNKED_STORY "!bad_framing"},
    {CHUNKED "1\na\r\n", CHUNKED_STORY "!bad_framing"},
    {CHUNKED "1;\n", CHUNKED_STORY "!bad_framing"},
    {CHUNKED "000000001\r\n", CHUNKED_STORY "!bad_framing"},
    {CHUNKED "401\r\n", CHUNKED_STORY "!body_too_large"},
    {CHUNKED "FFFFFFFFF\r\n", CHUNKED_STORY "!body_too_large"},
    {CHUNKED "1\r\nab\r\n", CHUNKED_STORY "a!malformed"},
    {CHUNKED "1\r\na\n0\r\n\r\n", CHUNKED_STORY "a!malformed"},
    {CHUNKED "0\r\n:\r\n\r\n", CHUNKED_STORY "!malformed"},
    {CHUNKED "0\r\nA: \x01\r\n\r\n", CHUNKED_STORY "!malformed"},
    {CHUNKED "0\r\n\n", CHUNKED_STORY "!malformed"},
};

static void test_rows(void)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        story_t story;
        size_t length = strlen(rows[i].text);
        read_whole(rows[i].text, length, &story);
        CHECK_STRING(story.text, rows[i].story, rows[i].text);
        check_cuts(rows[i].text, length, rows[i].story);
    }
    story_t story;
    static const char zero[] = "GET / HTTP/1.1\r\n" HOST "A: \0\r\n\r\n";
    read_whole(zero, sizeof(zero) - 1, &story);
    CHECK_STRING(story.text, "!malformed", "a zero");
}

/* Each limit holds what it says, and one more is refused. */
static void test_limits(void)
{
    char text[8192];
    char filler[6000];
    story_t story;
    memset(filler, 'a', sizeof(filler));
    for (int over = 0; over < 2; over++) {
        int path = (int)FW_HTTP_TARGET_BYTES - 2 + over;
        int length = snprintf(text, sizeof(text), "GET /%.*s HTTP/1.1\r\n" HOST "\r\n", path, filler);
        read_whole(text, (size_t)length, &story);
        CHECK((strcmp(story.text, "!target_too_long") == 0) == (over == 1));
        CHECK((story.text[0] == '[') == (over == 0));

        int head = (int)FW_HTTP_HEAD_BYTES_MAX - (int)strlen("GET / HTTP/1.1\r\n" HOST "A:\r\n\r\n") + over;
        length = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" HOST "A:%.*s\r\n\r\n", head, filler);
        read_whole(text, (size_t)length, &story);
        CHECK_STRING(story.text, over ? "!head_too_large" : "[GET /? host=192.168.4.1].", "head");

        int host = (int)FW_HTTP_HOST_BYTES - 1 + over;
        length = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: %.*s\r\n\r\n", host, filler);
        read_whole(text, (size_t)length, &story);
        CHECK((strcmp(story.text, "[GET /? host=].") == 0) == (over == 1));

        length = snprintf(text, sizeof(text), CHUNKED "3ff\r\n%.*s\r\n%d\r\n%.*s\r\n0\r\n\r\n", 0x3ff,
                          filler, 1 + over, 1 + over, filler);
        read_whole(text, (size_t)length, &story);
        const char *end = story.text + story.length - (over ? 15 : 1);
        CHECK_STRING(end, over ? "!body_too_large" : ".", "chunks together");

        length = snprintf(text, sizeof(text), CHUNKED "1;%.*s\r\na\r\n0\r\n\r\n", 64 + over, filler);
        read_whole(text, (size_t)length, &story);
        CHECK_STRING(story.text, over ? CHUNKED_STORY "!bad_framing" : CHUNKED_STORY "a.", "extension");

        length = snprintf(text, sizeof(text), CHUNKED "0\r\n%.*s\r\n\r\n", 3000 + over * 3000, filler);
        read_whole(text, (size_t)length, &story);
        CHECK_STRING(story.text, over ? CHUNKED_STORY "!head_too_large" : CHUNKED_STORY ".", "trailer");
    }
}

static void test_query(void)
{
    static const char text[] = "GET /p?at=12&b=&c&atx=3&at=4 HTTP/1.1\r\n" HOST "\r\n";
    fw_http_parser_t parser;
    fw_http_start(&parser);
    fw_span_t input = {(const uint8_t *)text, sizeof(text) - 1};
    fw_span_t piece;
    CHECK(fw_http_read(&parser, &input, &piece) == FW_HTTP_HEADED);
    fw_span_t value = {0};
    CHECK(fw_http_query(&parser.head, "at", &value) && value.length == 2 && value.bytes[1] == '2');
    CHECK(fw_http_query(&parser.head, "b", &value) && value.length == 0);
    CHECK(fw_http_query(&parser.head, "atx", &value) && value.length == 1);
    CHECK(!fw_http_query(&parser.head, "c", &value));
    CHECK(!fw_http_query(&parser.head, "a", &value));
    CHECK(!fw_http_query(&parser.head, "tx", &value));
}

/* Whatever comes: it ends, it tells the same however it is cut, and reads not one byte too far. */
static void test_mutations(void)
{
    for (int round = 0; round < 20000; round++) {
        char text[512];
        const char *row = rows[random_below(sizeof(rows) / sizeof(rows[0]))].text;
        size_t length = strlen(row);
        memcpy(text, row, length);
        for (uint32_t changes = random_below(4) + 1; changes > 0; changes--) {
            size_t at = random_below((uint32_t)length);
            switch (random_below(3)) {
            case 0:
                text[at] = (char)random_below(256);
                break;
            case 1: /* a piece is missing */
                if (length > 1) {
                    memmove(text + at, text + at + 1, length - at - 1);
                    length--;
                }
                break;
            default: /* a piece comes twice */
                if (length < sizeof(text)) {
                    memmove(text + at + 1, text + at, length - at);
                    length++;
                }
                break;
            }
        }
        story_t whole;
        read_whole(text, length, &whole);
        story_t cut = {.length = 0};
        fw_http_parser_t parser;
        fw_http_start(&parser);
        for (size_t at = 0; at < length;) {
            size_t bytes = random_below(40) + 1;
            bytes = bytes < length - at ? bytes : length - at;
            if (!read_on(&parser, (const uint8_t *)text + at, bytes, &cut)) {
                break;
            }
            at += bytes;
        }
        CHECK_STRING(cut.text, whole.text, "mutated");
    }
}

void test_http(void)
{
    test_rows();
    test_limits();
    test_query();
    test_mutations();
}
