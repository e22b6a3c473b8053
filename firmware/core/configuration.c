/*
 * configuration.c: see configuration.h.
 */
#include "configuration.h"

#include "zone.h"

/* Numbers of entries: a text's is its own, from 1. */
enum {
    ENTRY_FIRST_TEXT = 1,
    ENTRY_ADDRESS = 32,
    ENTRY_KEY = 33,
    ENTRY_VERIFIER = 34,
    ENTRY_LABEL = 35,
    ENTRY_NEXT_KEY = 36,
};

static const uint8_t others[] = {ENTRY_ADDRESS, ENTRY_KEY, ENTRY_VERIFIER, ENTRY_LABEL,
                                 ENTRY_NEXT_KEY};

void fw_configuration_clear(fw_configuration_t *configuration)
{
    fw_fill((uint8_t *)configuration, 0, sizeof *configuration);
    const fw_span_t utc = {.bytes = (const uint8_t *)"UTC0", .length = 4};
    fw_configuration_set(configuration, FW_TEXT_ZONE, utc);
}

static bool is_printable(fw_span_t text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (text.bytes[i] < 0x20u || text.bytes[i] == 0x7Fu) {
            return false;
        }
    }
    return true;
}

/* A name for mDNS: letters, digits and hyphens, none at either end (RFC 1123, section 2.1). */
static bool is_host_label(fw_span_t text)
{
    for (size_t i = 0; i < text.length; i++) {
        uint8_t byte = text.bytes[i];
        bool is_word = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
                       (byte >= 'A' && byte <= 'Z');
        bool is_hyphen = byte == '-' && i > 0u && i + 1u < text.length;
        if (!is_word && !is_hyphen) {
            return false;
        }
    }
    return text.length <= FW_NAME_BYTES_MAX;
}

/* host:port */
static bool is_gateway(fw_span_t text)
{
    size_t colon = text.length;
    while (colon > 0u && text.bytes[colon - 1u] != ':') {
        colon--;
    }
    uint32_t tcp_port = 0;
    for (size_t i = colon; i < text.length; i++) {
        if (text.bytes[i] < '0' || text.bytes[i] > '9' || i - colon >= 5u) {
            return false;
        }
        tcp_port = tcp_port * 10u + (uint32_t)(text.bytes[i] - '0');
    }
    for (size_t i = 0; i + 1u < colon; i++) {
        if (text.bytes[i] == ' ' || text.bytes[i] == '/' || text.bytes[i] == '@') {
            return false;
        }
    }
    return colon > 1u && tcp_port > 0u && tcp_port <= UINT16_MAX;
}

bool fw_text_setting_is_good(fw_text_setting_t which, fw_span_t text)
{
    fw_zone_t zone;
    if (text.length > FW_TEXT_SETTING_BYTES_MAX || !is_printable(text)) {
        return false;
    }
    if (which == FW_TEXT_ZONE) {
        return fw_zone_parse(&zone, text);
    }
    if (text.length == 0u) {
        return true;
    }
    switch (which) {
    case FW_TEXT_HOST:
        return is_host_label(text);
    case FW_TEXT_WIFI:
        return text.length <= FW_WIFI_NAME_BYTES_MAX;
    case FW_TEXT_WIFI_PASSWORD:
        return text.length >= 8u; /* as WPA2 has it; 64 are the key itself */
    case FW_TEXT_GATEWAY_1:
    case FW_TEXT_GATEWAY_2:
        return is_gateway(text);
    default:
        return true;
    }
}

void fw_configuration_set(fw_configuration_t *configuration, fw_text_setting_t which,
                          fw_span_t text)
{
    char *into = configuration->texts[which];
    fw_fill((uint8_t *)into, 0, FW_TEXT_SETTING_BYTES_MAX + 1u);
    fw_copy((uint8_t *)into, text.bytes, text.length);
}

bool fw_label_is_good(fw_span_t password)
{
    bool fits = password.length >= FW_LABEL_BYTES_MIN && password.length <= FW_LABEL_BYTES_MAX;
    if (password.length > 0u && !fits) {
        return false;
    }
    for (size_t i = 0; i < password.length; i++) {
        if (password.bytes[i] <= ' ' || password.bytes[i] > '~') {
            return false;
        }
    }
    return true;
}

bool fw_configuration_set_label(fw_configuration_t *configuration, fw_span_t password)
{
    if (!fw_label_is_good(password)) {
        return false;
    }
    fw_fill((uint8_t *)configuration->label, 0, sizeof configuration->label);
    fw_copy((uint8_t *)configuration->label, password.bytes, password.length);
    return true;
}

/* ---- in flash ---- */

/* The number and bytes of an entry; an empty one is not written. */
static fw_span_t entry(const fw_configuration_t *configuration, uint8_t at, uint8_t address[4],
                       uint8_t *number)
{
    if (at < FW_TEXTS) {
        *number = (uint8_t)(ENTRY_FIRST_TEXT + at);
        return (fw_span_t){(const uint8_t *)configuration->texts[at],
                           fw_string_length(configuration->texts[at])};
    }
    *number = others[at - FW_TEXTS];
    switch (*number) {
    case ENTRY_ADDRESS:
        fw_store_u32(address, configuration->address);
        return (fw_span_t){address, configuration->address == 0u ? 0u : 4u};
    case ENTRY_KEY:
        return (fw_span_t){configuration->keys.current,
                           configuration->address == 0u ? 0u : FW_LINK_KEY_BYTES};
    case ENTRY_NEXT_KEY:
        return (fw_span_t){configuration->keys.next,
                           configuration->keys.has_next ? FW_LINK_KEY_BYTES : 0u};
    case ENTRY_LABEL:
        return (fw_span_t){(const uint8_t *)configuration->label,
                           fw_string_length(configuration->label)};
    default:
        return (fw_span_t){configuration->verifier,
                           configuration->has_verifier ? FW_PASSWORD_CHECK_BYTES : 0u};
    }
}

size_t fw_configuration_write(const fw_configuration_t *configuration, uint8_t *at, uint8_t *into,
                              size_t room)
{
    size_t used = 0;
    for (; *at < FW_TEXTS + sizeof others; (*at)++) {
        uint8_t address[4];
        uint8_t number = 0;
        fw_span_t bytes = entry(configuration, *at, address, &number);
        if (bytes.length == 0u) {
            continue;
        }
        if (used + 2u + bytes.length > room) {
            break;
        }
        into[used] = number;
        into[used + 1u] = (uint8_t)bytes.length;
        fw_copy(into + used + 2u, bytes.bytes, bytes.length);
        used += 2u + bytes.length;
    }
    return used;
}

static void take_entry(fw_configuration_t *configuration, uint8_t number, fw_span_t bytes)
{
    uint8_t text = (uint8_t)(number - ENTRY_FIRST_TEXT);
    if (text < FW_TEXTS) {
        if (fw_text_setting_is_good((fw_text_setting_t)text, bytes)) {
            fw_configuration_set(configuration, (fw_text_setting_t)text, bytes);
        }
    } else if (number == ENTRY_ADDRESS && bytes.length == 4u) {
        configuration->address = fw_load_u32(bytes.bytes);
    } else if (number == ENTRY_KEY && bytes.length == FW_LINK_KEY_BYTES) {
        fw_copy(configuration->keys.current, bytes.bytes, bytes.length);
    } else if (number == ENTRY_NEXT_KEY && bytes.length == FW_LINK_KEY_BYTES) {
        fw_copy(configuration->keys.next, bytes.bytes, bytes.length);
        configuration->keys.has_next = true;
    } else if (number == ENTRY_VERIFIER && bytes.length == FW_PASSWORD_CHECK_BYTES) {
        fw_copy(configuration->verifier, bytes.bytes, bytes.length);
        configuration->has_verifier = true;
    } else if (number == ENTRY_LABEL) {
        (void)fw_configuration_set_label(configuration, bytes);
    }
}

bool fw_configuration_read(fw_configuration_t *configuration, fw_span_t bytes)
{
    fw_configuration_clear(configuration);
    size_t at = 0;
    while (at < bytes.length) {
        if (bytes.length - at < 2u || bytes.length - at - 2u < bytes.bytes[at + 1u]) {
            fw_configuration_clear(configuration);
            return false;
        }
        fw_span_t value = {bytes.bytes + at + 2u, bytes.bytes[at + 1u]};
        take_entry(configuration, bytes.bytes[at], value);
        at += 2u + value.length;
    }
    if (configuration->address == 0u || configuration->address > FW_ADDRESS_CONTROLLER_MAX) {
        configuration->address = 0;
    }
    return true;
}
