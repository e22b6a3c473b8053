/*
 * http_host.h: the HTTP server, the API and the page in one piece, for the Rust wrapper. Never part
 * of a chip's image.
 */
#ifndef FW_HTTP_HOST_H
#define FW_HTTP_HOST_H

#include "device_host.h"
#include "page.h"

typedef struct {
    fw_http_server_t server;
    fw_api_t api;
    fw_http_handler_t handler;
    fw_http_names_t names;
    fw_http_port_t port;
} fw_http_host_t;

size_t fw_http_host_bytes(void);
size_t fw_http_host_align(void);

/* Joins the parts. `api` and the port's ctx must outlive the whole, which stays where it is.
 * Its own machine may open the page as localhost. */
void fw_http_host_init(fw_http_host_t *host, const fw_host_api_t *api,
                       fw_http_port_t port);

/* As the functions of the server. */
uint8_t fw_http_host_opened(fw_http_host_t *host, uint32_t now_ms);
void fw_http_host_receive(fw_http_host_t *host, uint8_t connection, const uint8_t *bytes,
                          size_t length, uint32_t now_ms);
void fw_http_host_sent(fw_http_host_t *host, uint8_t connection, uint32_t now_ms);
void fw_http_host_closed(fw_http_host_t *host, uint8_t connection);
uint32_t fw_http_host_poll(fw_http_host_t *host, uint32_t now_ms);

#endif
