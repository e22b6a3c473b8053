/*
 * http_server.h: the controller's own HTTP server, between a port's connections and the API.
 *
 * Made for a stack that pushes bytes in and has one outstanding send for each connection. The port
 * calls opened, receive, sent and closed from its callbacks: they only take note, and consume all
 * that they are given. All answering is done by fw_http_server_poll, a slice at a time; it alone
 * calls `send` and `close`, so a port never closes within a callback.
 *
 * Memory is small because things are shared. One transmit buffer serves all connections in turn.
 * Files (the page) need no more than a place to go on from. What the handler answers is an
 * exchange, and there is one at a time: a request without a body waits for its turn, one with a
 * body is answered `busy` when it is not its turn, for there is no room to keep the body.
 *
 * A client may send its next request before the answer to the last. One is read ahead; what comes
 * behind that in the same push cannot be kept, and the connection ends after the answers to what
 * was kept, as RFC 9112 section 9.3.2 allows.
 */
#ifndef FW_HTTP_SERVER_H
#define FW_HTTP_SERVER_H

#include "http.h"
#include "text.h"

#define FW_HTTP_CONNECTIONS_MAX 4u
/* One TCP segment. A page of 20 KB goes in 14 of them. */
#ifndef FW_HTTP_TRANSMIT_BYTES
#define FW_HTTP_TRANSMIT_BYTES 1460u
#endif
/* From the first byte of a request to its last. */
#define FW_HTTP_REQUEST_MS_MAX 8000u
/* Between requests; and when all connections are in use. */
#define FW_HTTP_IDLE_MS_MAX 60000u
#define FW_HTTP_IDLE_FULL_MS_MAX 2000u
/* A send that nobody acknowledges, and an answer that does not come. */
#define FW_HTTP_STALL_MS_MAX 8000u
#define FW_HTTP_ANSWER_MS_MAX 30000u
/* After the last answer: the client may close first, so that the answer is not lost in a reset. */
#define FW_HTTP_LINGER_MS 1000u
/* What poll returns while a handler works on an answer: a scan comes between its slices. */
#define FW_HTTP_SLICE_MS 10u

/* What the server asks of the machine under it. Connections are 0 … 3. */
typedef struct {
    void *ctx;
    /* Offers bytes. True: they are taken, and stay where they are until fw_http_server_sent or
     * fw_http_server_closed. False: not now; they are offered again. */
    bool (*send)(void *ctx, uint8_t connection, const uint8_t *bytes, size_t length);
    /* Ends a connection; fw_http_server_closed follows, not from within. `at_once`: what was sent
     * need not arrive. */
    void (*close)(void *ctx, uint8_t connection, bool at_once);
    /* Stops or lets go what comes in. Bytes that were received already may still be pushed. */
    void (*hold)(void *ctx, uint8_t connection, bool held);
} fw_http_port_t;

/* Something that always stands ready, in flash. */
typedef struct {
    const char *path;
    const char *content_type;
    const char *policy; /* Content-Security-Policy */
    const uint8_t *bytes;
    uint32_t length;
    uint32_t etag; /* changes with the bytes */
    uint32_t is_gzip; /* a word, for it lies in flash */
} fw_http_file_t;

/* The head of an answer that a handler gives. */
typedef struct {
    const char *content_type;
    const uint8_t *token; /* a cookie to set, FW_HTTP_TOKEN_BYTES; NULL: none */
    uint16_t status;
    uint16_t retry_after_s; /* 0: not said */
    bool forgets_token;     /* the cookie is to be deleted */
} fw_http_answer_t;

/* What answers to all that is no file. Between begin and end there is no other begin. */
typedef struct {
    void *ctx;
    /* Whether a request may be made at all, by its head alone; FW_PROBLEM_NONE, or the answer. */
    fw_problem_t (*admit)(void *ctx, const fw_http_head_t *head, uint32_t now_ms);
    /* An admitted request begins. `head` is valid during the call. */
    void (*begin)(void *ctx, const fw_http_head_t *head);
    void (*body)(void *ctx, const uint8_t *bytes, size_t length);
    /* The request is complete. False: the answer is not known yet, ask again. A slice of work. */
    bool (*answer)(void *ctx, uint32_t now_ms, fw_http_answer_t *answer);
    /* Writes the next piece of the answer's body and tells whether more follow. `room` is 1,024 or
     * more. */
    size_t (*piece)(void *ctx, uint8_t *into, size_t room, bool *more);
    /* The exchange is over: answered, or the client has gone. */
    void (*end)(void *ctx);
} fw_http_handler_t;

/* The names that a browser may know us by, besides an IPv4 address. They may change at any time;
 * NULL or "" is no name. */
typedef struct {
    const char *local; /* announced by mDNS, without ".local" */
    const char *other;
} fw_http_names_t;

typedef struct {
    fw_http_parser_t parser;
    const fw_http_file_t *file; /* being answered */
    uint32_t at;                /* bytes of it that are sent */
    uint32_t since_ms;          /* when it last got anywhere */
    uint32_t begun_ms;          /* when the request that is being read began */
    uint8_t input;
    uint8_t output;
    uint8_t problem; /* of the request that is being read, or waits: it is refused */
    uint8_t said;    /* the problem that is being answered */
    bool keeps;      /* after the answer that is under way */
    bool is_head;    /* the answer goes without its body */
    bool head_sent;  /* the answer's head is sent */
    bool finished;   /* what was sent last was the answer's end */
    bool continues;  /* "100 Continue" is due */
    bool dropped;    /* bytes were thrown away: nothing more can be read */
    bool is_held;
} fw_http_connection_t;

/* Fields are the server's own. */
typedef struct {
    const fw_http_port_t *port;
    const fw_http_handler_t *handler;
    const fw_http_names_t *names;
    const fw_http_file_t *files;
    fw_http_connection_t connections[FW_HTTP_CONNECTIONS_MAX];
    fw_http_answer_t answer; /* of the exchange */
    uint32_t now_ms;  /* as of the last call */
    uint32_t sent_ms; /* when transmit was filled */
    uint16_t filled; /* of transmit; 0 = free */
    uint8_t files_count;
    uint8_t exchange; /* the connection that has it, or FW_HTTP_NOBODY */
    uint8_t sender;   /* whose bytes are in transmit */
    uint8_t next;     /* whose turn it is to be looked at first */
    bool is_taken;    /* the port has the bytes */
    bool is_answered; /* the exchange's answer is known */
    uint8_t transmit[FW_HTTP_TRANSMIT_BYTES];
} fw_http_server_t;

#define FW_HTTP_NOBODY 0xFFu

/* All that is pointed to must outlive the server. */
void fw_http_server_init(fw_http_server_t *server, const fw_http_port_t *port,
                         const fw_http_handler_t *handler, const fw_http_names_t *names,
                         const fw_http_file_t *files, uint8_t files_count);

/* Somebody has connected: the number of the connection, or FW_HTTP_NOBODY: refuse him. */
uint8_t fw_http_server_opened(fw_http_server_t *server, uint32_t now_ms);

/* Bytes came in, split anywhere. All are consumed. */
void fw_http_server_receive(fw_http_server_t *server, uint8_t connection, const uint8_t *bytes,
                            size_t length, uint32_t now_ms);

/* The bytes of the last send are with the other side. */
void fw_http_server_sent(fw_http_server_t *server, uint8_t connection, uint32_t now_ms);

/* The connection is gone, whoever ended it. */
void fw_http_server_closed(fw_http_server_t *server, uint8_t connection);

/* A slice of work. Returns the milliseconds until the next: 0 = there is more to do now, once
 * others have had their turn. To be called soon after each of the above. */
uint32_t fw_http_server_poll(fw_http_server_t *server, uint32_t now_ms);

/* Whether a Host header names us: an IPv4 address or one of our names, and a TCP port or none. */
bool fw_http_host_is_ours(const char *host, const fw_http_names_t *names);

#endif
