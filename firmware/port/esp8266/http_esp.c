/*
 * http_esp.c: the controller's own page, by espconn's server: connections, the HTTP server, the
 * API.
 *
 * Some callbacks are handed the server's struct, some one of the connection's own: both have the
 * peer's IP address and TCP port in them, which alone tell who is meant. For a call to the SDK they
 * are set in the server's struct.
 */
#include "api.h"
#include "esp.h"
#include "page.h"
#include "peers.h"
#include "sdk.h"

#define TCP_PORT 80
/* Below this much heap nobody is let in: the link to the gateway needs it. */
#define HEAP_BYTES_MIN 10240u
/* The SDK's own time-out; longer than any of the HTTP server's, which end a connection properly. */
#define IDLE_S 180u

_Static_assert(FW_PEERS_MAX == FW_HTTP_CONNECTIONS_MAX, "each connection has a peer");
_Static_assert(IDLE_S * 1000u > FW_HTTP_IDLE_MS_MAX + FW_HTTP_ANSWER_MS_MAX, "ours comes first");

static struct {
    struct espconn listener;
    esp_tcp tcp;
    fw_peers_t peers;
    fw_http_server_t server;
    fw_api_t api;
    fw_http_handler_t handler;
    fw_http_names_t names;
} page;

/* ---- who is meant ---- */

static void mean(const fw_peer_t *peer)
{
    for (uint8_t i = 0; i < 4u; i++) {
        page.tcp.remote_ip[i] = (uint8_t)(peer->ip >> (8u * i));
    }
    page.tcp.remote_port = peer->tcp_port;
    /* What the last call left there must not be taken for this connection's. */
    page.listener.state = ESPCONN_CONNECT;
}

static uint32_t ip_of(const esp_tcp *tcp)
{
    return (uint32_t)tcp->remote_ip[0] | (uint32_t)tcp->remote_ip[1] << 8 |
           (uint32_t)tcp->remote_ip[2] << 16 | (uint32_t)tcp->remote_ip[3] << 24;
}

static fw_peer_t *peer_of(void *arg)
{
    const struct espconn *connection = arg;
    const esp_tcp *tcp = connection->proto.tcp;
    return fw_peers_find(&page.peers, ip_of(tcp), (uint16_t)tcp->remote_port);
}

/* ---- what the HTTP server asks for ---- */

static bool http_send(void *ctx, uint8_t connection, const uint8_t *bytes, size_t length)
{
    (void)ctx;
    const fw_peer_t *peer = fw_peers_of(&page.peers, connection);
    if (peer == NULL) {
        return false;
    }
    mean(peer);
    return espconn_send(&page.listener, (uint8 *)(uintptr_t)bytes, (uint16)length) == ESPCONN_OK;
}

static void http_close(void *ctx, uint8_t connection, bool at_once)
{
    (void)ctx;
    fw_peer_t *peer = fw_peers_of(&page.peers, connection);
    if (peer != NULL) {
        peer->must_close = true;
        peer->at_once = at_once;
        fw_esp_wake();
    }
}

static void http_hold(void *ctx, uint8_t connection, bool held)
{
    (void)ctx;
    const fw_peer_t *peer = fw_peers_of(&page.peers, connection);
    if (peer != NULL) {
        mean(peer);
        (void)(held ? espconn_recv_hold(&page.listener) : espconn_recv_unhold(&page.listener));
    }
}

static const fw_http_port_t http_port = {
    .send = http_send, .close = http_close, .hold = http_hold};

/* ---- what the SDK tells ---- */

static void on_received(void *arg, char *bytes, unsigned short length)
{
    const fw_peer_t *peer = peer_of(arg);
    if (peer != NULL && peer->connection != FW_PEER_REFUSED) {
        fw_http_server_receive(&page.server, peer->connection, (const uint8_t *)bytes, length,
                               fw_esp_now_ms());
        fw_esp_wake();
    }
}

static void on_sent(void *arg)
{
    const fw_peer_t *peer = peer_of(arg);
    if (peer != NULL && peer->connection != FW_PEER_REFUSED) {
        fw_http_server_sent(&page.server, peer->connection, fw_esp_now_ms());
        fw_esp_wake();
    }
}

static void forget(fw_peer_t *peer)
{
    if (peer != NULL) {
        uint8_t connection = peer->connection;
        fw_peers_remove(peer);
        if (connection != FW_PEER_REFUSED) {
            fw_http_server_closed(&page.server, connection);
        }
        fw_esp_wake();
    }
}

static void on_closed(void *arg)
{
    forget(peer_of(arg));
}

static void on_failed(void *arg, sint8 error)
{
    (void)error;
    forget(peer_of(arg));
}

static void on_connected(void *arg)
{
    struct espconn *connection = arg;
    const esp_tcp *tcp = connection->proto.tcp;
    forget(peer_of(arg)); /* the same port anew: the end of the last one was missed */
    fw_peer_t *peer = fw_peers_add(&page.peers, ip_of(tcp), (uint16_t)tcp->remote_port);
    if (peer == NULL) {
        return; /* the SDK let in more than it was told to: its time-out ends this one */
    }
    espconn_set_opt(connection, ESPCONN_REUSEADDR); /* no memory for connections that are over */
    if (system_get_free_heap_size() >= HEAP_BYTES_MIN) {
        peer->connection = fw_http_server_opened(&page.server, fw_esp_now_ms());
    }
    peer->must_close = peer->connection == FW_PEER_REFUSED;
    peer->at_once = peer->must_close;
    fw_esp_wake();
}

/* ---- the task ---- */

static void close_some(void)
{
    fw_peer_t *peer;
    while ((peer = fw_peers_to_close(&page.peers)) != NULL) {
        mean(peer);
        sint8 result =
            peer->at_once ? espconn_abort(&page.listener) : espconn_disconnect(&page.listener);
        if (result == ESPCONN_ARG) {
            forget(peer); /* the SDK knows of no such connection: nothing more will come */
        }
    }
}

uint32_t fw_esp_http_work(void)
{
    close_some();
    page.names.local = fw_esp_radio_host();
    uint32_t now_ms = fw_esp_now_ms();
    fw_api_poll(&page.api, now_ms);
    return fw_http_server_poll(&page.server, now_ms);
}

void fw_esp_http_begin(void)
{
    _Static_assert(FW_PEER_REFUSED == FW_HTTP_NOBODY, "what the server says of whom it refuses");
    fw_api_init(&page.api, &fw_device_api, &fw_esp_device);
    page.handler = fw_api_handler(&page.api);
    fw_http_server_init(&page.server, &http_port, &page.handler, &page.names, &fw_page, 1);
    page.tcp.local_port = TCP_PORT;
    page.listener.type = ESPCONN_TCP;
    page.listener.proto.tcp = &page.tcp;
    espconn_regist_connectcb(&page.listener, on_connected);
    espconn_regist_reconcb(&page.listener, on_failed);
    espconn_regist_disconcb(&page.listener, on_closed);
    espconn_regist_recvcb(&page.listener, on_received);
    espconn_regist_sentcb(&page.listener, on_sent);
    espconn_accept(&page.listener);
    espconn_tcp_set_max_con_allow(&page.listener, FW_PEERS_MAX);
    espconn_regist_time(&page.listener, IDLE_S, 0);
}
