/*
 * link_esp.c: the connection to the gateway, by espconn. When what may be done: dialler.h.
 *
 * One send is outstanding at a time; its bytes stay where they are until the SDK says `sent`, for
 * it is not asked to copy. What comes in is valid during the callback only, and is consumed there.
 */
#include "dialler.h"
#include "esp.h"
#include "sdk.h"

/* In RAM, as all that the SDK is handed. */
static struct {
    fw_dialler_t dialler;
    struct espconn connection;
    esp_tcp tcp;
    ip_addr_t ip;
    char host[FW_DIALLER_HOST_BYTES];
    bool is_configured; /* anew, and the task has not looked yet */
} outgoing;

/* ---- what the SDK tells ---- */

static void on_found(const char *name, ip_addr_t *ip, void *arg)
{
    (void)arg;
    /* The answer to an earlier question may come late, and be of another host. */
    size_t length = fw_string_length(outgoing.host);
    if (ip != NULL && (fw_string_length(name) != length ||
                       !fw_equal((const uint8_t *)name, (const uint8_t *)outgoing.host, length))) {
        return;
    }
    if (ip != NULL) {
        outgoing.ip = *ip;
    }
    fw_dialler_found(&outgoing.dialler, ip != NULL);
    fw_esp_wake();
}

static void on_connected(void *arg)
{
    (void)arg;
    espconn_set_opt(&outgoing.connection, ESPCONN_NODELAY);
    if (fw_dialler_connected(&outgoing.dialler)) {
        fw_controller_connected(&fw_esp_device.controller);
    }
    fw_esp_wake();
}

static void on_closed(void *arg)
{
    (void)arg;
    if (fw_dialler_closed(&outgoing.dialler)) {
        fw_controller_disconnected(&fw_esp_device.controller);
    }
    fw_esp_wake();
}

static void on_failed(void *arg, sint8 error)
{
    (void)error;
    on_closed(arg);
}

static void on_received(void *arg, char *bytes, unsigned short length)
{
    (void)arg;
    if (fw_dialler_is_open(&outgoing.dialler)) {
        fw_controller_receive(&fw_esp_device.controller, (const uint8_t *)bytes, length);
    }
}

static void on_sent(void *arg)
{
    (void)arg;
    if (fw_dialler_is_open(&outgoing.dialler)) {
        fw_controller_sent(&fw_esp_device.controller);
    }
}

/* ---- what the core asks for ---- */

int32_t fw_esp_link_send(const uint8_t *bytes, size_t length)
{
    if (!fw_dialler_is_open(&outgoing.dialler)) {
        return -1;
    }
    sint8 result =
        espconn_send(&outgoing.connection, (uint8 *)(uintptr_t)bytes, (uint16)length);
    if (result == ESPCONN_OK) {
        return (int32_t)length;
    }
    /* Without memory, or with too much under way, later is better. */
    return result == ESPCONN_MEM || result == ESPCONN_MAXNUM ? 0 : -1;
}

void fw_esp_link_dial(uint8_t gateway)
{
    fw_dialler_dial(&outgoing.dialler, gateway);
    fw_esp_wake();
}

void fw_esp_link_hang_up(void)
{
    fw_dialler_hang_up(&outgoing.dialler);
    fw_esp_wake();
}

void fw_esp_link_configured(void)
{
    outgoing.is_configured = true;
    fw_esp_wake();
}

/* ---- the task ---- */

/* host:port of the gateway that is dialled. */
static const char *gateway_text(void)
{
    return fw_esp_device.configuration.texts[outgoing.dialler.gateway == 0u ? FW_TEXT_GATEWAY_1
                                                                            : FW_TEXT_GATEWAY_2];
}

/* A link to what is no gateway any more is over. */
static void look_at_configuration(void)
{
    char host[FW_DIALLER_HOST_BYTES];
    uint16_t tcp_port = 0;
    outgoing.is_configured = false;
    bool is_same = fw_dialler_split(gateway_text(), host, &tcp_port) &&
                   tcp_port == (uint16_t)outgoing.tcp.remote_port &&
                   fw_string_length(host) == fw_string_length(outgoing.host) &&
                   fw_equal((const uint8_t *)host, (const uint8_t *)outgoing.host,
                            fw_string_length(host));
    if (!is_same && fw_dialler_is_open(&outgoing.dialler)) {
        fw_dialler_hang_up(&outgoing.dialler);
        fw_controller_disconnected(&fw_esp_device.controller);
    }
}

static void resolve(void)
{
    const fw_configuration_t *configuration = &fw_esp_device.configuration;
    const char *text = gateway_text();
    uint16_t tcp_port = 0;
    bool is_enrolled = configuration->address != 0u;
    if (!is_enrolled || !fw_dialler_split(text, outgoing.host, &tcp_port)) {
        fw_dialler_failed(&outgoing.dialler);
        return;
    }
    outgoing.tcp.remote_port = tcp_port;
    sint8 result =
        espconn_gethostbyname(&outgoing.connection, outgoing.host, &outgoing.ip, on_found);
    if (result == ESPCONN_OK) {
        fw_dialler_found(&outgoing.dialler, true);
    } else if (result != ESPCONN_INPROGRESS) {
        fw_dialler_failed(&outgoing.dialler);
    }
}

static void connect(void)
{
    uint32_t ip = outgoing.ip.addr;
    for (uint8_t i = 0; i < 4u; i++) {
        outgoing.tcp.remote_ip[i] = (uint8_t)(ip >> (8u * i));
    }
    outgoing.tcp.local_port = (int)espconn_port();
    outgoing.connection.type = ESPCONN_TCP;
    outgoing.connection.state = ESPCONN_NONE;
    if (espconn_connect(&outgoing.connection) != ESPCONN_OK) {
        fw_dialler_failed(&outgoing.dialler);
    }
}

void fw_esp_link_work(void)
{
    fw_dialler_action_t action;
    if (outgoing.is_configured) {
        look_at_configuration();
    }
    while ((action = fw_dialler_next(&outgoing.dialler, fw_esp_now_ms())) != FW_DIALLER_NOTHING) {
        switch (action) {
        case FW_DIALLER_RESOLVE:
            resolve();
            break;
        case FW_DIALLER_CONNECT:
            connect();
            break;
        case FW_DIALLER_DISCONNECT:
            if (espconn_disconnect(&outgoing.connection) != ESPCONN_OK) {
                fw_dialler_failed(&outgoing.dialler);
            }
            break;
        default:
            fw_controller_disconnected(&fw_esp_device.controller);
            break;
        }
    }
}

void fw_esp_link_begin(void)
{
    outgoing.connection.type = ESPCONN_TCP;
    outgoing.connection.proto.tcp = &outgoing.tcp;
    espconn_regist_connectcb(&outgoing.connection, on_connected);
    espconn_regist_reconcb(&outgoing.connection, on_failed);
    espconn_regist_disconcb(&outgoing.connection, on_closed);
    espconn_regist_recvcb(&outgoing.connection, on_received);
    espconn_regist_sentcb(&outgoing.connection, on_sent);
}
