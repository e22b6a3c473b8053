/*
 * http.h: reading HTTP/1.1 requests (RFC 9112), byte by byte, split anywhere.
 *
 * Only what this server uses of a head is kept; all else is checked for form and passed over, so a
 * browser may send kilobytes of headers and a connection still costs 232 bytes. Strict where
 * leniency has let requests be smuggled: a line ends in CR LF, no line is folded, a body has one
 * length. Only the origin form of a target is taken (a path): no proxy stands before a controller.
 */
#ifndef FW_HTTP_H
#define FW_HTTP_H

#include "bytes.h"
#include "config.h"
#include "problem.h"

/* Path, a zero, query, a zero. */
#define FW_HTTP_TARGET_BYTES 64u
/* A name of 24 bytes, ".local", a colon, and a number of 5 digits; or an IPv4 address and that. */
#define FW_HTTP_HOST_BYTES 48u
/* What is kept of a line: "http://" and a host. */
#define FW_HTTP_LINE_BYTES (FW_HTTP_HOST_BYTES + 7u)
/* Of a head, from its first byte to its last: what browsers send is about 600, cookies aside. */
#define FW_HTTP_HEAD_BYTES_MAX 4096u
/* Of a whole body. Longer things come in pieces, a request each: there is room for one piece. */
#define FW_HTTP_BODY_BYTES_MAX 1024u
#define FW_HTTP_TOKEN_BYTES 16u
/* Bytes beside the digits in a chunk's size line: extensions, which nobody sends. */
#define FW_HTTP_EXTENSION_BYTES_MAX 64u

typedef enum {
    FW_HTTP_GET = 0,
    FW_HTTP_HEAD,
    FW_HTTP_POST,
    FW_HTTP_PUT,
} fw_http_method_t;

/* What is kept of a request. */
typedef struct {
    uint32_t body_bytes; /* by Content-Length; 0 if chunked */
    uint32_t etag;       /* If-None-Match, where it has the form of ours: 8 hexadecimal digits */
    uint8_t token[FW_HTTP_TOKEN_BYTES]; /* the cookie `switchyard`, 32 hexadecimal digits */
    char host[FW_HTTP_HOST_BYTES];      /* "" if it was too long to be ours */
    char target[FW_HTTP_TARGET_BYTES];  /* the path, then at `query` what follows the '?', or "" */
    uint8_t query;
    uint8_t method; /* fw_http_method_t */
    bool has_token;
    bool has_etag;
    bool has_length;
    bool has_host;
    bool is_chunked;
    bool expects_continue;
    bool keeps;      /* the connection is to stay open */
    bool is_marked;  /* X-Switchyard is there, which no other site's page can send unasked */
    bool is_foreign; /* Origin is there, and not "http://" and the Host that stood before it */
} fw_http_head_t;

/* Fields are the parser's own, but for `head` and `problem`. */
typedef struct {
    fw_http_head_t head;
    uint32_t left;      /* of the body, or of the chunk */
    uint16_t body_seen; /* bytes of a chunked body */
    uint16_t head_bytes;
    uint8_t line[FW_HTTP_LINE_BYTES];
    uint8_t line_bytes;
    uint8_t state;
    uint8_t field;   /* which header's value is being read */
    uint8_t scanned; /* of a cookie: how far its name, or its token, has come */
    uint8_t digits;  /* of a chunk's size; then bytes of its extensions */
    uint8_t problem; /* fw_problem_t, once it has failed */
    bool line_long;  /* the line was longer than what is kept */
    bool has_coding; /* Transfer-Encoding was there */
} fw_http_parser_t;

typedef enum {
    FW_HTTP_MORE = 0, /* the input is used up */
    FW_HTTP_HEADED,   /* the head is complete */
    FW_HTTP_PIECE,    /* a piece of the body, within the input */
    FW_HTTP_END,      /* the request is complete; what is left of the input is the next one's */
    FW_HTTP_FAILED,   /* `problem` says why; nothing further can be understood */
} fw_http_event_t;

/* Ready for the first byte of a request. */
void fw_http_start(fw_http_parser_t *parser);

/* Whether a request has begun. */
bool fw_http_has_begun(const fw_http_parser_t *parser);

/* Reads on until something is to be told; takes what it has read off the front of `input`. Call
 * again until FW_HTTP_MORE; after FW_HTTP_END begin anew with fw_http_start. */
fw_http_event_t fw_http_read(fw_http_parser_t *parser, fw_span_t *input, fw_span_t *piece);

/* The value of `name=` in a head's query; false if it is not there. */
bool fw_http_query(const fw_http_head_t *head, const char *name, fw_span_t *value);

#endif
