/*
 * http_host.c: see http_host.h.
 */
#include "http_host.h"

size_t fw_http_host_bytes(void)
{
    return sizeof(fw_http_host_t);
}

size_t fw_http_host_align(void)
{
    return _Alignof(fw_http_host_t);
}

void fw_http_host_init(fw_http_host_t *host, const fw_host_api_t *api,
                       fw_http_port_t port)
{
    fw_api_init(&host->api, api->controller, api->ctx);
    host->handler = fw_api_handler(&host->api);
    host->names = (fw_http_names_t){.other = "localhost"};
    host->port = port;
    fw_http_server_init(&host->server, &host->port, &host->handler, &host->names, &fw_page, 1);
}

uint8_t fw_http_host_opened(fw_http_host_t *host, uint32_t now_ms)
{
    return fw_http_server_opened(&host->server, now_ms);
}

void fw_http_host_receive(fw_http_host_t *host, uint8_t connection, const uint8_t *bytes,
                          size_t length, uint32_t now_ms)
{
    fw_http_server_receive(&host->server, connection, bytes, length, now_ms);
}

void fw_http_host_sent(fw_http_host_t *host, uint8_t connection, uint32_t now_ms)
{
    fw_http_server_sent(&host->server, connection, now_ms);
}

void fw_http_host_closed(fw_http_host_t *host, uint8_t connection)
{
    fw_http_server_closed(&host->server, connection);
}

uint32_t fw_http_host_poll(fw_http_host_t *host, uint32_t now_ms)
{
    fw_api_poll(&host->api, now_ms);
    return fw_http_server_poll(&host->server, now_ms);
}
