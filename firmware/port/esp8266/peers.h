/*
 * peers.h: who is connected to the controller's own page.
 *
 * The SDK hands a server's callbacks now this struct, now that; the peer's IP address and TCP port
 * in it are all that tells connections apart. A connection may only be ended by a task of its own,
 * so that it is to be ended is noted here.
 */
#ifndef FW_PEERS_H
#define FW_PEERS_H

#include <stdbool.h>
#include <stdint.h>

/* The SDK takes this many for the server; one of its five is the gateway's. */
#define FW_PEERS_MAX 4u

/* What a peer that was refused has in place of a connection. */
#define FW_PEER_REFUSED 0xFFu

typedef struct {
    uint32_t ip; /* as the SDK has it; 0: nobody */
    uint16_t tcp_port;
    uint8_t connection; /* of the HTTP server, or FW_PEER_REFUSED */
    bool must_close;
    bool at_once; /* what was sent need not arrive */
} fw_peer_t;

/* All zero: nobody. */
typedef struct {
    fw_peer_t at[FW_PEERS_MAX];
} fw_peers_t;

/* Notes who came; NULL when there is no room. One who is here already has come anew: its place is
 * given to it once more, and whatever connection it had is the caller's to end. */
fw_peer_t *fw_peers_add(fw_peers_t *peers, uint32_t ip, uint16_t tcp_port);

/* NULL: no such peer. */
fw_peer_t *fw_peers_find(fw_peers_t *peers, uint32_t ip, uint16_t tcp_port);
fw_peer_t *fw_peers_of(fw_peers_t *peers, uint8_t connection);

/* The next one that is to be closed, which is noted as done; NULL: there is none. */
fw_peer_t *fw_peers_to_close(fw_peers_t *peers);

void fw_peers_remove(fw_peer_t *peer);

#endif
