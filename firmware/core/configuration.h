/*
 * configuration.h: what a person has set up on a controller, and how it lies in flash.
 *
 * In flash it is a list of entries: a number, a length, bytes; what has no entry is empty. Numbers are never
 * used anew for something else, and one that is not known is left out, so that older and newer firmware read
 * each other's.
 */
#ifndef FW_CONFIGURATION_H
#define FW_CONFIGURATION_H

#include "bytes.h"
#include "config.h"
#include "keys.h"

#define FW_TEXT_SETTING_BYTES_MAX 64u
#define FW_WIFI_NAME_BYTES_MAX 32u
#define FW_PASSWORD_CHECK_BYTES 50u /* a verifier, see log_in.h */
#define FW_LABEL_BYTES_MIN 8u       /* as WPA2 has it */
#define FW_LABEL_BYTES_MAX 24u

/* Texts that a person sets. */
typedef enum {
    FW_TEXT_NAME = 0,      /* what people call it */
    FW_TEXT_HOST,          /* what it announces itself as on the local network */
    FW_TEXT_WIFI,          /* the network's name */
    FW_TEXT_WIFI_PASSWORD, /* secret */
    FW_TEXT_GATEWAY_1,     /* host:port */
    FW_TEXT_GATEWAY_2,
    FW_TEXT_ZONE,          /* POSIX TZ */
    FW_TEXTS,
} fw_text_setting_t;

typedef struct {
    char texts[FW_TEXTS][FW_TEXT_SETTING_BYTES_MAX + 1u]; /* with a zero at the end */
    uint32_t address;                      /* 0: not enrolled */
    fw_keys_t keys;                        /* secret */
    uint8_t verifier[FW_PASSWORD_CHECK_BYTES];
    bool has_verifier;                     /* a password is set */
    char label[FW_LABEL_BYTES_MAX + 1u];   /* secret: what its own Wi-Fi asks for, printed on its label */
} fw_configuration_t;

/* Every text, number and key as entries, and their heads. */
#define FW_CONFIGURATION_BYTES_MAX                                                                 \
    (FW_TEXTS * (2u + FW_TEXT_SETTING_BYTES_MAX) + 6u + 2u * (2u + FW_LINK_KEY_BYTES) + 2u +       \
     FW_PASSWORD_CHECK_BYTES + 2u + FW_LABEL_BYTES_MAX)

/* Nothing is set, but for the zone, which is UTC. */
void fw_configuration_clear(fw_configuration_t *configuration);

/* Whether a text may be set to this: it fits, has no control characters, and is what it is to be. An empty
 * one is good but for the zone's. */
bool fw_text_setting_is_good(fw_text_setting_t which, fw_span_t text);

/* Sets one that is good. */
void fw_configuration_set(fw_configuration_t *configuration, fw_text_setting_t which,
                          fw_span_t text);

/* Whether it can be the label's password: 8 to 24 characters of ASCII without a space, or empty. */
bool fw_label_is_good(fw_span_t password);

/* Sets the label's password, as provisioning does; nothing reads it back. False: it cannot be that. */
bool fw_configuration_set_label(fw_configuration_t *configuration, fw_span_t password);

/* Writes entry number `*at` on, as many as fit; the bytes written, 0 at the end. Begin with 0. */
size_t fw_configuration_write(const fw_configuration_t *configuration, uint8_t *at, uint8_t *into,
                              size_t room);

/* Reads what was written. False: it is no such list, and the configuration is then as cleared. What is not
 * good any more is left out. */
bool fw_configuration_read(fw_configuration_t *configuration, fw_span_t bytes);

#endif
