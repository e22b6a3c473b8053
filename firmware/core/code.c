/*
 * code.c: names of codes and kinds, and what each kind allows.
 */
#include "code.h"

const char *fw_code_name(uint32_t code)
{
#define FW_CODE_CASE(number, upper, lower)                                                         \
    case number:                                                                                   \
        return #lower;
    switch (code) {
        FW_CODE_LIST(FW_CODE_CASE)
    default:
        return "unknown";
    }
#undef FW_CODE_CASE
}

const char *fw_kind_name(uint8_t kind)
{
    switch (kind) {
    case FW_KIND_HELLO:
        return "hello";
    case FW_KIND_PING:
        return "ping";
    case FW_KIND_ERROR:
        return "error";
    case FW_KIND_HANDSHAKE:
        return "handshake";
    case FW_KIND_QUERY:
        return "query";
    case FW_KIND_COMMAND:
        return "command";
    case FW_KIND_CONFIGURE:
        return "configure";
    case FW_KIND_ADMIN:
        return "admin";
    case FW_KIND_RESPONSE:
        return "response";
    case FW_KIND_EVENT:
        return "event";
    case FW_KIND_STATUS_FULL:
        return "status_full";
    case FW_KIND_STATUS_DELTA:
        return "status_delta";
    case FW_KIND_RECEIPT:
        return "receipt";
    default:
        return "unknown";
    }
}

bool fw_kind_known(uint8_t kind)
{
    return (kind >= FW_KIND_HELLO && kind <= FW_KIND_HANDSHAKE) ||
           (kind >= FW_KIND_QUERY && kind <= FW_KIND_ADMIN) ||
           (kind >= FW_KIND_RESPONSE && kind <= FW_KIND_RECEIPT);
}

uint8_t fw_kind_flags_allowed(uint8_t kind)
{
    switch (kind) {
    case FW_KIND_RESPONSE:
    case FW_KIND_STATUS_FULL:
        return FW_FLAG_MORE;
    case FW_KIND_HELLO:
    case FW_KIND_PING:
        return FW_FLAG_REPLY;
    default:
        return 0;
    }
}

bool fw_kind_carries_verb(uint8_t kind)
{
    return (kind >= FW_KIND_QUERY && kind <= FW_KIND_ADMIN) || kind == FW_KIND_RESPONSE ||
           kind == FW_KIND_EVENT;
}
