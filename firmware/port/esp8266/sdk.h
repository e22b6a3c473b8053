/*
 * sdk.h: the SDK's headers, beside the language's own.
 *
 * They define their own `bool`, as a byte. It goes by another name here, and `bool` is the
 * language's again afterwards; what the SDK returns is 0 or 1 either way.
 */
#ifndef FW_SDK_H
#define FW_SDK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#undef bool
#undef true
#undef false
#define bool sdk_bool_t
#include "osapi.h"
#include "user_interface.h"

#include "espconn.h"
#include "sntp.h"
#include "spi_flash.h"
#undef bool
#undef true
#undef false
#define bool _Bool
#define true 1
#define false 0

#endif
