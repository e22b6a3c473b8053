/*
 * http_rig.h: a port and clients for the HTTP server: connections whose bytes are remembered, an
 * acknowledgement when the test says so, and rules of the port that are checked at every call.
 */
#ifndef FW_TEST_HTTP_RIG_H
#define FW_TEST_HTTP_RIG_H

#include "http_server.h"

typedef struct {
    uint8_t number;   /* what the server calls it */
    bool open;
    bool held;
    bool closing;     /* the server wants its end, and has not been told of it */
    bool at_once;     /* how it wants it */
    size_t sending;   /* bytes on their way: the server's buffer must not change */
    const uint8_t *from;
    char got[65536];  /* what the client has received */
    size_t got_bytes;
} web_client_t;

extern fw_http_server_t server;
extern web_client_t clients[FW_HTTP_CONNECTIONS_MAX];
extern uint32_t http_now_ms;
/* Nothing is acknowledged while this is set; nothing is taken while that is. */
extern bool web_is_silent;
extern bool web_is_full;

/* A server with these around it, and no connection. */
void web_start(const fw_http_handler_t *handler, const fw_http_names_t *names,
               const fw_http_file_t *files, uint8_t files_count);

/* NULL: refused. */
web_client_t *web_open(void);

/* Pushes bytes in, from a copy that is gone afterwards. */
void web_push(web_client_t *client, const char *bytes, size_t length);
void web_say(web_client_t *client, const char *text);

/* The client goes away. */
void web_leave(web_client_t *client);

/* Polls and acknowledges until the server wants to be left alone. */
void web_run(void);

/* The same for so long, as often as the server wants to be polled. */
void web_pass(uint32_t ms);

/* What the client has received, chunks and all; forgets it. */
const char *web_take(web_client_t *client);

/* The body of the first answer in a text, its chunks joined; and its status. */
const char *web_body(const char *answer);
int web_status(const char *answer);

#endif
