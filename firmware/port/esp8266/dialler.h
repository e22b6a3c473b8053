/*
 * dialler.h: the steps of the one connection to the gateway, between what the core asks for and
 * what the SDK allows where.
 *
 *   idle ──dial──▶ (resolve) ──found──▶ (connect) ──connected──▶ open
 *     ▲                                                            │
 *     └───────────── (disconnect) ◀──────────hang up───────────────┘
 *
 * The core may dial and hang up from anywhere, also within a callback of the SDK, where nothing may
 * be ended; so both only take note, and a task of its own does what fw_dialler_next says. Answers
 * that come late, to what is no longer wanted, are told apart here.
 */
#ifndef FW_DIALLER_H
#define FW_DIALLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A connection that does not end is given up: the SDK's own patience is not known. */
#define FW_DIALLER_CLOSING_MS_MAX 30000u
/* host:port, as the configuration has it: the longest host, with its zero. */
#define FW_DIALLER_HOST_BYTES 65u

typedef enum {
    FW_DIALLER_NOTHING = 0,
    FW_DIALLER_RESOLVE,    /* then fw_dialler_found */
    FW_DIALLER_CONNECT,    /* then fw_dialler_connected or _closed */
    FW_DIALLER_DISCONNECT, /* then fw_dialler_closed */
    FW_DIALLER_TELL_LOST,  /* the core is to be told */
} fw_dialler_action_t;

/* All zero is idle. */
typedef struct {
    uint32_t closing_ms; /* when it began to close */
    uint8_t state;
    uint8_t gateway;     /* that is wanted, or was dialled last */
    bool is_wanted;      /* dialled, and not begun yet */
    bool is_lost;        /* the attempt failed, and the core does not know */
    bool must_close;
} fw_dialler_t;

/* What the core asks for. */
void fw_dialler_dial(fw_dialler_t *dialler, uint8_t gateway);
void fw_dialler_hang_up(fw_dialler_t *dialler);

/* What the task is to do now; to be asked until there is nothing, and again now and then. */
fw_dialler_action_t fw_dialler_next(fw_dialler_t *dialler, uint32_t now_ms);

/* The host's address is known, or cannot be. */
void fw_dialler_found(fw_dialler_t *dialler, bool is_found);
/* The SDK would not do what fw_dialler_next said. */
void fw_dialler_failed(fw_dialler_t *dialler);

/* Connected; true: the core is to be told. */
bool fw_dialler_connected(fw_dialler_t *dialler);
/* The connection, or the attempt, is over; true: the core is to be told. */
bool fw_dialler_closed(fw_dialler_t *dialler);

/* Whether the core's bytes may go out, and what comes in is the core's. */
bool fw_dialler_is_open(const fw_dialler_t *dialler);

/* Takes host:port apart. False: it is no such thing. */
bool fw_dialler_split(const char *text, char host[FW_DIALLER_HOST_BYTES], uint16_t *tcp_port);

#endif
