/*
 * access.h: when the controller's own Wi-Fi is open, when a first password may be set, and when the
 * network is to be tried again.
 *
 * A controller that is not set up opens its own Wi-Fi for ten minutes after a start, to anybody. Later,
 * and once it is set up, it does so only where it has not been in the network for five minutes, and for
 * whoever knows the password on its label, until it is in the network again. While somebody is on it, the search for a network that is not there is
 * rare: each search leaves the channel that he is on.
 */
#ifndef FW_ACCESS_H
#define FW_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#define FW_ACCESS_OPEN_MS 600000u
#define FW_ACCESS_LOST_MS 300000u
#define FW_ACCESS_JOIN_MS 10000u
#define FW_ACCESS_JOIN_BESIDE_MS 60000u

typedef struct {
    uint32_t begun_ms;
    uint32_t tried_ms;  /* when the network was tried last */
    uint32_t joined_ms; /* when it was in it last, or began */
    bool is_open;       /* its own Wi-Fi */
    bool is_protected;  /* and asks for the label's password */
    bool is_early;      /* the first ten minutes after power-on */
    bool has_tried;
} fw_access_t;

/* What becomes of its own Wi-Fi. */
typedef enum {
    FW_ACCESS_STAYS = 0,
    FW_ACCESS_OPENS, /* protected */
    FW_ACCESS_CLOSES,
} fw_access_change_t;

/* `is_set_up`: a network and a password are. */
void fw_access_begin(fw_access_t *access, bool is_set_up, bool is_power_on, uint32_t now_ms);

/* What is to be done now; told once. `has_label`: its password is known. To be asked at least once a
 * day. */
fw_access_change_t fw_access_next(fw_access_t *access, bool is_joined, bool has_label,
                                  uint32_t now_ms);

/* Whether a first password may be set, if there is none. */
bool fw_access_is_setup_open(const fw_access_t *access);

/* True: join the network now. `is_joined` also while an attempt is under way. */
bool fw_access_must_join(fw_access_t *access, bool is_joined, bool has_guests, uint32_t now_ms);

#endif
