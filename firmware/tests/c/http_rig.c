/*
 * http_rig.c: see http_rig.h.
 */
#include "http_rig.h"

#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

fw_http_server_t server;
web_client_t clients[FW_HTTP_CONNECTIONS_MAX];
uint32_t http_now_ms;
bool web_is_silent;
bool web_is_full;
/* `close` may only come from within a poll. */
static bool is_polling;

static web_client_t *client_of(uint8_t connection)
{
    CHECK(connection < FW_HTTP_CONNECTIONS_MAX && clients[connection].open);
    return &clients[connection];
}

static bool web_send(void *ctx, uint8_t connection, const uint8_t *bytes, size_t length)
{
    web_client_t *client = client_of(connection);
    CHECK(ctx == clients && is_polling && length > 0 && client->sending == 0 && !client->closing);
    if (web_is_full) {
        return false;
    }
    CHECK(client->got_bytes + length < sizeof(client->got));
    memcpy(client->got + client->got_bytes, bytes, length);
    client->sending = length;
    client->from = bytes;
    return true;
}

static void web_close(void *ctx, uint8_t connection, bool at_once)
{
    web_client_t *client = client_of(connection);
    CHECK(ctx == clients && is_polling && !client->closing);
    client->closing = true;
    client->at_once = at_once;
}

static void web_hold(void *ctx, uint8_t connection, bool held)
{
    web_client_t *client = client_of(connection);
    CHECK(ctx == clients && client->held != held);
    client->held = held;
}

void web_start(const fw_http_handler_t *handler, const fw_http_names_t *names,
               const fw_http_file_t *files, uint8_t files_count)
{
    static const fw_http_port_t port = {clients, web_send, web_close, web_hold};
    memset(clients, 0, sizeof(clients));
    web_is_silent = false;
    web_is_full = false;
    /* The count goes round in the middle of every test. */
    http_now_ms = (uint32_t)-3000;
    fw_http_server_init(&server, &port, handler, names, files, files_count);
}

web_client_t *web_open(void)
{
    uint8_t number = fw_http_server_opened(&server, http_now_ms);
    if (number == FW_HTTP_NOBODY) {
        return NULL;
    }
    CHECK(number < FW_HTTP_CONNECTIONS_MAX && !clients[number].open);
    clients[number] = (web_client_t){.number = number, .open = true};
    return &clients[number];
}

void web_push(web_client_t *client, const char *bytes, size_t length)
{
    uint8_t *copy = bytes_exact((const uint8_t *)bytes, length);
    fw_http_server_receive(&server, client->number, copy, length, http_now_ms);
    free(copy);
}

void web_say(web_client_t *client, const char *text)
{
    web_push(client, text, strlen(text));
}

void web_leave(web_client_t *client)
{
    client->open = false;
    client->sending = 0;
    fw_http_server_closed(&server, client->number);
}

/* The other side has what was sent, which nobody has touched meanwhile. */
static bool acknowledge(web_client_t *client)
{
    if (client->sending == 0 || web_is_silent) {
        return false;
    }
    CHECK(memcmp(client->got + client->got_bytes, client->from, client->sending) == 0);
    client->got_bytes += client->sending;
    client->sending = 0;
    fw_http_server_sent(&server, client->number, http_now_ms);
    return true;
}

static uint32_t turn(void)
{
    is_polling = true;
    uint32_t wait_ms = fw_http_server_poll(&server, http_now_ms);
    is_polling = false;
    for (size_t i = 0; i < FW_HTTP_CONNECTIONS_MAX; i++) {
        if (clients[i].closing) {
            web_leave(&clients[i]);
        } else if (clients[i].open && acknowledge(&clients[i])) {
            wait_ms = 0;
        }
    }
    return wait_ms;
}

void web_run(void)
{
    int turns = 0;
    while (turn() == 0) {
        CHECK(turns < 1000);
        if (turns++ >= 1000) {
            return;
        }
    }
}

void web_pass(uint32_t ms)
{
    uint32_t until = http_now_ms + ms;
    while (http_now_ms != until) {
        uint32_t wait_ms = turn();
        uint32_t left_ms = until - http_now_ms;
        http_now_ms += wait_ms < left_ms ? wait_ms : left_ms;
    }
    web_run();
}

const char *web_take(web_client_t *client)
{
    client->got[client->got_bytes] = '\0';
    client->got_bytes = 0;
    return client->got;
}

int web_status(const char *answer)
{
    return strncmp(answer, "HTTP/1.1 ", 9) == 0 ? atoi(answer + 9) : 0;
}

const char *web_body(const char *answer)
{
    static char body[65536];
    const char *at = strstr(answer, "\r\n\r\n");
    if (at == NULL) {
        return "no answer";
    }
    bool is_chunked = strstr(answer, "Transfer-Encoding: chunked") != NULL &&
                      strstr(answer, "Transfer-Encoding: chunked") < at;
    const char *length_at = strstr(answer, "Content-Length: ");
    at += 4;
    size_t length = 0;
    if (!is_chunked) {
        length = length_at != NULL && length_at < at ? (size_t)atoi(length_at + 16) : 0;
        CHECK(strlen(at) >= length);
        memcpy(body, at, length);
        body[length] = '\0';
        return body;
    }
    for (;;) {
        char *end = NULL;
        size_t chunk = strtoul(at, &end, 16);
        CHECK(end == at + 3 || (chunk == 0 && end == at + 1));
        CHECK(strncmp(end, "\r\n", 2) == 0);
        at = end + 2;
        if (chunk == 0 || strlen(at) < chunk + 2) {
            CHECK(chunk == 0 && strncmp(at, "\r\n", 2) == 0);
            break;
        }
        memcpy(body + length, at, chunk);
        length += chunk;
        at += chunk;
        CHECK(strncmp(at, "\r\n", 2) == 0);
        at += 2;
    }
    body[length] = '\0';
    return body;
}
