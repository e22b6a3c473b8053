/*
 * access.h: when the controller's own Wi-Fi is open, when a first password may be set, and when the
 * network is to be tried again.
 *
 * A controller that is not set up opens its own Wi-Fi for ten minutes after a start, and never
 * again until the next one. While somebody is on it, the search for a network that is not there is
 * rare: each search leaves the channel that he is on.
 */
#ifndef FW_ACCESS_H
#define FW_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#define FW_ACCESS_OPEN_MS 600000u
#define FW_ACCESS_JOIN_MS 10000u
#define FW_ACCESS_JOIN_BESIDE_MS 60000u

typedef struct {
    uint32_t begun_ms;
    uint32_t tried_ms; /* when the network was tried last */
    bool is_open;      /* its own Wi-Fi */
    bool is_early;     /* the first ten minutes after power-on */
    bool has_tried;
} fw_access_t;

/* `is_set_up`: a network and a password are. */
void fw_access_begin(fw_access_t *access, bool is_set_up, bool is_power_on, uint32_t now_ms);

/* True: its own Wi-Fi is to be closed now. To be asked at least once a day. */
bool fw_access_must_close(fw_access_t *access, uint32_t now_ms);

/* Whether a first password may be set, if there is none. */
bool fw_access_is_setup_open(const fw_access_t *access);

/* True: join the network now. `is_joined` also while an attempt is under way. */
bool fw_access_must_join(fw_access_t *access, bool is_joined, bool has_guests, uint32_t now_ms);

#endif
