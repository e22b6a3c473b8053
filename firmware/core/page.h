/*
 * page.h: the controller's own page, which a build makes of ui/controller and puts beside the core.
 */
#ifndef FW_PAGE_H
#define FW_PAGE_H

#include "http_server.h"

/* The one file that the HTTP server has. */
extern const fw_http_file_t fw_page;

#endif
