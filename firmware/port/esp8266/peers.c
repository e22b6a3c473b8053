/*
 * peers.c: see peers.h.
 */
#include "peers.h"

#include <stddef.h>

fw_peer_t *fw_peers_find(fw_peers_t *peers, uint32_t ip, uint16_t tcp_port)
{
    for (uint8_t i = 0; i < FW_PEERS_MAX; i++) {
        fw_peer_t *peer = &peers->at[i];
        if (peer->ip != 0u && peer->ip == ip && peer->tcp_port == tcp_port) {
            return peer;
        }
    }
    return NULL;
}

fw_peer_t *fw_peers_add(fw_peers_t *peers, uint32_t ip, uint16_t tcp_port)
{
    fw_peer_t *peer = fw_peers_find(peers, ip, tcp_port);
    for (uint8_t i = 0; i < FW_PEERS_MAX && peer == NULL; i++) {
        peer = peers->at[i].ip == 0u ? &peers->at[i] : NULL;
    }
    if (peer != NULL && ip != 0u) {
        *peer = (fw_peer_t){.ip = ip, .tcp_port = tcp_port, .connection = FW_PEER_REFUSED};
        return peer;
    }
    return NULL;
}

fw_peer_t *fw_peers_of(fw_peers_t *peers, uint8_t connection)
{
    for (uint8_t i = 0; i < FW_PEERS_MAX && connection != FW_PEER_REFUSED; i++) {
        if (peers->at[i].ip != 0u && peers->at[i].connection == connection) {
            return &peers->at[i];
        }
    }
    return NULL;
}

fw_peer_t *fw_peers_to_close(fw_peers_t *peers)
{
    for (uint8_t i = 0; i < FW_PEERS_MAX; i++) {
        fw_peer_t *peer = &peers->at[i];
        if (peer->ip != 0u && peer->must_close) {
            peer->must_close = false;
            return peer;
        }
    }
    return NULL;
}

void fw_peers_remove(fw_peer_t *peer)
{
    *peer = (fw_peer_t){.ip = 0};
}
