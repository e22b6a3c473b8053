/*
 * test_http_server.c: the server under clients that are quick, slow, many, rude and gone.
 */
#include "check.h"
#include "http_rig.h"

#include <stdlib.h>
#include <string.h>

#define HOST "Host: 192.168.4.1\r\n"
#define MARKED HOST "X-Switchyard: 1\r\n"

/* ---- a handler that echoes ---- */

static struct {
    char path[FW_HTTP_TARGET_BYTES];
    char body[FW_HTTP_BODY_BYTES_MAX + 1];
    size_t body_bytes;
    uint32_t left;  /* of the answer */
    uint32_t waits; /* how often it does not know its answer yet */
    bool open;
    unsigned begun, ended;
} echo;

static fw_problem_t echo_admit(void *ctx, const fw_http_head_t *head, uint32_t now_ms)
{
    CHECK(ctx == &echo && now_ms == http_now_ms);
    if (strcmp(head->target, "/secret") == 0) {
        return FW_PROBLEM_NOT_LOGGED_IN;
    }
    return strncmp(head->target, "/api/", 5) == 0 ? FW_PROBLEM_NONE : FW_PROBLEM_NOT_FOUND;
}

static uint32_t number_of(const fw_http_head_t *head, const char *name)
{
    fw_span_t text;
    uint32_t number = 0;
    return fw_http_query(head, name, &text) && fw_text_parse_u32(text, &number) ? number : 0;
}

static void echo_begin(void *ctx, const fw_http_head_t *head)
{
    CHECK(ctx == &echo && !echo.open);
    unsigned begun = echo.begun + 1, ended = echo.ended;
    memset(&echo, 0, sizeof(echo));
    echo.begun = begun;
    echo.ended = ended;
    echo.open = true;
    strcpy(echo.path, head->target);
    echo.left = number_of(head, "bytes");
    echo.waits = number_of(head, "waits");
}

static void echo_body(void *ctx, const uint8_t *bytes, size_t length)
{
    CHECK(ctx == &echo && echo.open && echo.body_bytes + length <= FW_HTTP_BODY_BYTES_MAX);
    memcpy(echo.body + echo.body_bytes, bytes, length);
    echo.body_bytes += length;
}

static bool echo_answer(void *ctx, uint32_t now_ms, fw_http_answer_t *answer)
{
    static const uint8_t token[FW_HTTP_TOKEN_BYTES] = {0xab, 0xcd};
    CHECK(ctx == &echo && echo.open && now_ms == http_now_ms);
    if (echo.waits > 0) {
        echo.waits--;
        return false;
    }
    answer->content_type = "text/plain";
    if (strcmp(echo.path, "/api/token") == 0) {
        answer->token = token;
    } else if (strcmp(echo.path, "/api/forget") == 0) {
        answer->forgets_token = true;
        answer->status = 429;
        answer->retry_after_s = 7;
    }
    return true;
}

static size_t echo_piece(void *ctx, uint8_t *into, size_t room, bool *more)
{
    CHECK(ctx == &echo && echo.open && room >= 1024);
    if (echo.left > 0) {
        size_t length = echo.left < room ? echo.left : room;
        memset(into, 'x', length);
        echo.left -= (uint32_t)length;
        *more = echo.left > 0 || random_below(2) == 0;
        return length;
    }
    memcpy(into, echo.body, echo.body_bytes);
    *more = false;
    return echo.body_bytes;
}

static void echo_end(void *ctx)
{
    CHECK(ctx == &echo && echo.open);
    echo.open = false;
    echo.ended++;
}

static const fw_http_handler_t handler = {&echo,       echo_admit, echo_begin, echo_body,
                                          echo_answer, echo_piece, echo_end};
static fw_http_names_t names = {"pump-house", "example.test"};
static uint8_t page_bytes[5000];
static const fw_http_file_t files[] = {
    {"/", "text/html", "default-src 'none'", page_bytes, sizeof(page_bytes), 0x0badcafe, true},
    {"/tiny", "text/plain", "default-src 'none'", (const uint8_t *)"tiny", 4, 0x00c0ffee, false},
};

static void begin(void)
{
    memset(&echo, 0, sizeof(echo));
    memset(page_bytes, 'p', sizeof(page_bytes));
    web_start(&handler, &names, files, 2);
}

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

/* ---- one request ---- */

typedef struct {
    const char *request;
    int status;
    const char *body;
    bool stays; /* the connection does */
} row_t;

#define JSON(code, message) "{\"code\":\"" code "\",\"message\":\"" message "\"}"

static const row_t rows[] = {
    {"GET /tiny HTTP/1.1\r\n" HOST "\r\n", 200, "tiny", true},
    {"GET /tiny HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", 200, "tiny", false},
    {"GET /tiny HTTP/1.1\r\n" HOST "If-None-Match: \"00c0ffee\"\r\n\r\n", 304, "", true},
    {"GET /tiny HTTP/1.1\r\n" HOST "If-None-Match: \"00c0ffed\"\r\n\r\n", 200, "tiny", true},
    {"GET /api/x HTTP/1.1\r\n" HOST "\r\n", 200, "", true},
    {"GET /api/x?waits=3 HTTP/1.1\r\n" HOST "\r\n", 200, "", true},
    {"POST /api/x HTTP/1.1\r\n" MARKED "Content-Length: 5\r\n\r\nhello", 200, "hello", true},
    {"PUT /api/x HTTP/1.1\r\n" MARKED "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 200,
     "hi", true},
    {"POST /api/x HTTP/1.1\r\n" MARKED "\r\n", 200, "", true},
    {"POST /api/x HTTP/1.1\r\n" MARKED "Origin: http://192.168.4.1\r\nContent-Length: 1\r\n\r\nx",
     200, "x", true},
    /* refused */
    {"GET /nowhere HTTP/1.1\r\n" HOST "\r\n", 404,
     JSON("not_found", "there is nothing at this path"), true},
    {"GET /secret HTTP/1.1\r\n" HOST "\r\n", 401, JSON("not_logged_in", "log in first"), true},
    {"POST /secret HTTP/1.1\r\n" MARKED "Content-Length: 5\r\n\r\nhello", 401,
     JSON("not_logged_in", "log in first"), true},
    {"POST /secret HTTP/1.1\r\n" MARKED "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", 401,
     JSON("not_logged_in", "log in first"), false},
    {"POST /api/x HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", 403,
     JSON("unmarked", "what changes something needs the header X-Switchyard: 1"), true},
    {"POST /api/x HTTP/1.1\r\n" MARKED "Origin: http://evil.test\r\nContent-Length: 1\r\n\r\nx",
     403, JSON("foreign_origin", "another site's page may change nothing here"), true},
    {"GET /tiny HTTP/1.1\r\nHost: evil.test\r\n\r\n", 421,
     JSON("wrong_host", "not this controller's name; use its IP address"), true},
    {"POST /tiny HTTP/1.1\r\n" MARKED "\r\n", 405,
     JSON("not_allowed", "this path does not take this method"), true},
    {"GET /tiny HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx", 400,
     JSON("body_unexpected", "a GET has no body"), true},
    {"GET /tiny HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400,
     JSON("bad_framing", "where the body ends is not clear"), false},
    {"POST /api/x HTTP/1.1\r\n" MARKED "Content-Length: 2000\r\n\r\nx", 413,
     JSON("body_too_large", "a body may have 1024 bytes; send more in pieces"), false},
    {"POST /api/x HTTP/1.1\r\n" MARKED "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nx", 400,
     JSON("bad_framing", "where the body ends is not clear"), false},
    {"nonsense\r\n\r\n", 400, JSON("malformed", "this is not an HTTP/1.1 request"), false},
};

static void check_row(const row_t *row)
{
    size_t length = strlen(row->request);
    for (size_t cut = 0; cut <= length; cut++) {
        begin();
        web_client_t *client = web_open();
        web_push(client, row->request, cut);
        web_run();
        web_push(client, row->request + cut, length - cut);
        web_pass(100);
        const char *answer = web_take(client);
        CHECK_NOTE(web_status(answer) == row->status, row->request);
        CHECK_STRING(web_body(answer), row->body, row->request);
        CHECK(has(answer, "X-Content-Type-Options: nosniff\r\n"));
        CHECK(has(answer, "Connection: close\r\n") == !row->stays);
        web_say(client, "GET /tiny HTTP/1.1\r\n" HOST "\r\n");
        web_run();
        CHECK_NOTE(has(web_take(client), "tiny") == row->stays, row->request);
        web_pass(FW_HTTP_LINGER_MS);
        CHECK_NOTE(client->open == row->stays, row->request);
        CHECK(echo.begun == echo.ended && !client->held);
    }
}

static void test_head_method(void)
{
    begin();
    web_client_t *client = web_open();
    web_say(client, "HEAD / HTTP/1.1\r\n" HOST "\r\nHEAD /nowhere HTTP/1.1\r\n" HOST "\r\n");
    web_run();
    const char *answer = web_take(client);
    CHECK(has(answer, "HTTP/1.1 200 OK\r\n") && has(answer, "Content-Length: 5000\r\n\r\nHTTP/1.1 405"));
    CHECK(has(answer, "ETag: \"0badcafe\"\r\n") && has(answer, "Content-Encoding: gzip\r\n"));
    CHECK(has(answer, "Content-Security-Policy: default-src 'none'\r\n"));
    CHECK(strcmp(answer + strlen(answer) - 4, "\r\n\r\n") == 0);
}

static void test_hosts(void)
{
    static const char *const good[] = {
        "192.168.4.1", "0.0.0.0:80", "255.255.255.255:65535", "pump-house.local",
        "PUMP-HOUSE.LOCAL:8080", "example.test", "example.test:1",
    };
    static const char *const bad[] = {
        "", "192.168.4", "192.168.4.256", "192.168.4.1.5", "192.168.4.1.evil.test", "192.168.4.1:80x",
        "pump-house", "pump-house.local.evil.test", "xpump-house.local", "example.tes", "1.2.3.",
        "evil.test", "192.168..1", "[::1]", "00000.0.0.0", "localhost",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CHECK_NOTE(fw_http_host_is_ours(good[i], &names), good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_NOTE(!fw_http_host_is_ours(bad[i], &names), bad[i]);
    }
    fw_http_names_t none = {NULL, ""};
    CHECK(!fw_http_host_is_ours(".local", &none) && !fw_http_host_is_ours("", &none));
}

static void test_answers(void)
{
    begin();
    web_client_t *client = web_open();
    web_say(client, "POST /api/token HTTP/1.1\r\n" MARKED "\r\n");
    web_run();
    CHECK(has(web_take(client), "Set-Cookie: switchyard=abcd0000000000000000000000000000; Path=/; "
                                "HttpOnly; SameSite=Strict\r\n"));
    web_say(client, "POST /api/forget HTTP/1.1\r\n" MARKED "\r\n");
    web_run();
    const char *answer = web_take(client);
    CHECK(has(answer, "Set-Cookie: switchyard=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0\r\n"));
    CHECK(has(answer, "HTTP/1.1 429 Too Many Requests\r\n") && has(answer, "Retry-After: 7\r\n"));
    CHECK(has(answer, "Cache-Control: no-store\r\n"));

    /* Long ones come in pieces; a refused send is offered again. */
    web_say(client, "GET /api/x?bytes=30000 HTTP/1.1\r\n" HOST "\r\n");
    web_is_full = true;
    web_pass(1000);
    CHECK(client->got_bytes == 0);
    web_is_full = false;
    web_pass(1000);
    CHECK(strlen(web_body(web_take(client))) == 30000);
    web_say(client, "GET / HTTP/1.1\r\n" HOST "\r\n");
    web_run();
    CHECK(strlen(web_body(web_take(client))) == sizeof(page_bytes));

    /* Before the body is sent it may be asked whether it is wanted. */
    web_say(client, "POST /api/x HTTP/1.1\r\n" MARKED "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    web_run();
    CHECK_STRING(web_take(client), "HTTP/1.1 100 Continue\r\n\r\n", "continue");
    web_say(client, "ok");
    web_run();
    CHECK_STRING(web_body(web_take(client)), "ok", "after 100");
}

/* ---- several ---- */

/* Two in one push are answered in order; what comes behind them cannot be kept, and is told by the
 * end of the connection. Pushed one by one, and never while held, all are answered. */
static void test_pipelining(void)
{
    static const char one[] = "GET /api/x?bytes=3 HTTP/1.1\r\n" HOST "\r\n";
    char many[1024] = "";
    for (unsigned count = 1; count <= 5; count++) {
        begin();
        web_client_t *client = web_open();
        strcat(many, one);
        web_say(client, many);
        web_pass(FW_HTTP_LINGER_MS);
        unsigned answers = 0;
        const char *got = web_take(client);
        for (const char *at = got; (at = strstr(at, "HTTP/1.1 200")) != NULL; at++) {
            answers++;
        }
        CHECK(answers == (count > 2 ? 2 : count));
        CHECK(has(got, "Connection: close") == (count > 2) && client->open == (count <= 2));
        CHECK(echo.begun == answers && echo.ended == answers);
    }
    begin();
    web_client_t *client = web_open();
    for (unsigned i = 0; i < 5; i++) {
        for (size_t at = 0; at < sizeof(one) - 1; at++) {
            if (client->held) {
                web_run();
            }
            CHECK(!client->held);
            web_push(client, one + at, 1);
        }
    }
    web_run();
    CHECK(echo.ended == 5 && client->open && !client->held);
}

/* A second exchange waits for the first one if it has no body, and is told `busy` if it has one;
 * files need no exchange. */
static void test_turns(void)
{
    begin();
    web_client_t *a = web_open();
    web_client_t *b = web_open();
    web_client_t *c = web_open();
    web_client_t *d = web_open();
    CHECK(web_open() == NULL);
    web_say(a, "GET /api/x?waits=50&bytes=3 HTTP/1.1\r\n" HOST "\r\n");
    web_run();
    web_say(b, "GET /api/x?bytes=4 HTTP/1.1\r\n" HOST "\r\n");
    web_say(c, "POST /api/x HTTP/1.1\r\n" MARKED "Content-Length: 2\r\n\r\nhi");
    web_say(d, "GET / HTTP/1.1\r\n" HOST "\r\n");
    web_run();
    CHECK(a->got_bytes == 0 && b->got_bytes == 0);
    CHECK(web_status(web_take(c)) == 503);
    CHECK(strlen(web_body(web_take(d))) == sizeof(page_bytes));
    web_pass(1000);
    CHECK_STRING(web_body(web_take(a)), "xxx", "first");
    CHECK_STRING(web_body(web_take(b)), "xxxx", "second");
    web_say(c, "POST /api/x HTTP/1.1\r\n" MARKED "Content-Length: 2\r\n\r\nhi");
    web_run();
    CHECK_STRING(web_body(web_take(c)), "hi", "again");

    /* One who goes away gives the turn back, in every stage. */
    static const char *const stages[] = {
        "POST /api/x HTTP/1.1\r\n" MARKED "Content-Length: 2\r\n\r\n",
        "POST /api/x HTTP/1.1\r\n" MARKED "Content-Length: 2\r\n\r\nh",
        "GET /api/x?waits=1000 HTTP/1.1\r\n" HOST "\r\n",
        "GET /api/x?bytes=30000 HTTP/1.1\r\n" HOST "\r\n",
    };
    for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++) {
        web_is_silent = true;
        web_say(a, stages[i]);
        web_pass(20);
        web_leave(a);
        web_is_silent = false;
        CHECK(echo.begun == echo.ended);
        web_say(b, "GET /api/x?bytes=4 HTTP/1.1\r\n" HOST "\r\n");
        web_run();
        CHECK_STRING(web_body(web_take(b)), "xxxx", stages[i]);
        a = web_open();
        CHECK(a != NULL);
    }
}

/* ---- time ---- */

static void test_slow(void)
{
    /* A byte now and then. */
    static const char request[] = "GET /api/x HTTP/1.1\r\n" HOST "\r\n";
    begin();
    web_client_t *client = web_open();
    for (size_t i = 0; i < 8; i++) {
        CHECK(client->got_bytes == 0);
        web_push(client, request + i, 1);
        web_pass(1000);
    }
    CHECK(web_status(web_take(client)) == 408);
    web_pass(FW_HTTP_LINGER_MS);
    CHECK(!client->open);

    /* A body that does not come keeps others from their turn, and not for long. */
    begin();
    client = web_open();
    web_client_t *other = web_open();
    web_say(client, "POST /api/x HTTP/1.1\r\n" MARKED "Content-Length: 2\r\n\r\nh");
    web_say(other, request);
    web_pass(FW_HTTP_REQUEST_MS_MAX - 1);
    CHECK(client->got_bytes == 0 && other->got_bytes == 0);
    web_pass(1);
    web_run();
    CHECK(web_status(web_take(client)) == 408 && web_status(web_take(other)) == 200);

    /* Nobody acknowledges. */
    begin();
    client = web_open();
    other = web_open();
    web_is_silent = true;
    web_say(client, "GET / HTTP/1.1\r\n" HOST "\r\n");
    web_run();
    web_say(other, request);
    web_pass(FW_HTTP_STALL_MS_MAX - 1);
    CHECK(client->open && other->sending == 0);
    web_pass(1);
    CHECK(!client->open && client->at_once && other->sending > 0);

    /* A handler that never answers. */
    begin();
    client = web_open();
    web_say(client, "GET /api/x?waits=100000 HTTP/1.1\r\n" HOST "\r\n");
    web_pass(FW_HTTP_ANSWER_MS_MAX - 1);
    CHECK(client->open);
    web_pass(1);
    CHECK(!client->open && echo.ended == 1);
}

static void test_idle(void)
{
    begin();
    web_client_t *client = web_open();
    web_pass(FW_HTTP_IDLE_MS_MAX - 1);
    CHECK(client->open);
    web_say(client, "GET /tiny HTTP/1.1\r\n" HOST "\r\n");
    web_pass(FW_HTTP_IDLE_MS_MAX - 1);
    CHECK(client->open);
    web_pass(250);
    CHECK(!client->open && !client->at_once);

    /* When all are in use the one that is idle the longest goes. */
    begin();
    web_client_t *all[FW_HTTP_CONNECTIONS_MAX];
    for (size_t i = 0; i < FW_HTTP_CONNECTIONS_MAX; i++) {
        all[i] = web_open();
        web_pass(100);
    }
    web_say(all[0], "GET /tiny HTTP/1.1\r\n" HOST "\r\n");
    web_pass(FW_HTTP_IDLE_FULL_MS_MAX + 250);
    CHECK(all[0]->open && !all[1]->open && all[2]->open && all[3]->open);
    web_client_t *late = web_open();
    CHECK(late == all[1]);
    CHECK(web_open() == NULL);
    /* None goes that has begun a request. */
    begin();
    for (size_t i = 0; i < FW_HTTP_CONNECTIONS_MAX; i++) {
        all[i] = web_open();
        web_say(all[i], "GET ");
    }
    web_pass(FW_HTTP_REQUEST_MS_MAX - 250);
    for (size_t i = 0; i < FW_HTTP_CONNECTIONS_MAX; i++) {
        CHECK(all[i]->open);
    }
}

/* ---- weather ---- */

/* Clients that do as they like: the port's rules hold, exchanges begin and end in pairs, and in the
 * end a good request is answered. */
static void test_weather(void)
{
    begin();
    for (int round = 0; round < 60000; round++) {
        web_client_t *client = &clients[random_below(FW_HTTP_CONNECTIONS_MAX)];
        const char *request = rows[random_below(sizeof(rows) / sizeof(rows[0]))].request;
        size_t length = strlen(request);
        switch (random_below(8)) {
        case 0:
            (void)web_open();
            break;
        case 1:
            if (client->open && random_below(4) == 0) {
                web_leave(client);
            }
            break;
        case 2:
            web_is_silent = random_below(3) == 0;
            web_is_full = random_below(5) == 0;
            break;
        case 3:
            web_pass(random_below(random_below(20) == 0 ? 20000 : 60));
            break;
        default:
            if (client->open && !client->held) {
                web_push(client, request, random_below(4) == 0 ? random_below((uint32_t)length) : length);
            }
            break;
        }
        for (size_t i = 0; i < FW_HTTP_CONNECTIONS_MAX; i++) {
            if (clients[i].got_bytes > 40000) {
                clients[i].got_bytes = 0;
            }
        }
        CHECK(echo.begun - echo.ended <= 1);
    }
    web_is_silent = false;
    web_is_full = false;
    web_pass(FW_HTTP_IDLE_MS_MAX * 2);
    CHECK(echo.begun == echo.ended && echo.begun > 500);
    for (size_t i = 0; i < FW_HTTP_CONNECTIONS_MAX; i++) {
        CHECK(!clients[i].open);
    }
    web_client_t *client = web_open();
    web_say(client, "GET /tiny HTTP/1.1\r\n" HOST "\r\n");
    web_run();
    CHECK_STRING(web_body(web_take(client)), "tiny", "after the weather");
}

void test_http_server(void)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(&rows[i]);
    }
    test_head_method();
    test_hosts();
    test_answers();
    test_pipelining();
    test_turns();
    test_slow();
    test_idle();
    test_weather();
    CHECK(sizeof(fw_http_server_t) <= 2600);
}
