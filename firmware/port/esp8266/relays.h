/*
 * relays.h: relays behind a second controller, which takes frames on the serial line:
 *
 *   A0   relay, from 1   1 = on, 0 = off   the three summed, as a byte
 *
 * It does not answer, and is known to lose frames that come in a row: so there is one frame at a
 * time, one in a scan, and a relay that is switched twice meanwhile is told the last level only.
 */
#ifndef FW_RELAYS_H
#define FW_RELAYS_H

#include <stdbool.h>
#include <stdint.h>

#define FW_RELAYS_MAX 8u
#define FW_RELAY_FRAME_BYTES 4u

/* A bit for each, the first relay's the lowest. All zero: off, and nobody is to be told. */
typedef struct {
    uint8_t on;
    uint8_t untold;
    uint8_t last; /* that was told something: the next one comes first */
} fw_relays_t;

/* Sets a relay, from 1 on, and has it told even if it was so: the other controller may have been
 * on while we were not. Others than 1 to FW_RELAYS_MAX are left alone. */
void fw_relays_set(fw_relays_t *relays, uint8_t relay, bool is_on);

/* The next frame to be sent, each relay in its turn; false: there is none. */
bool fw_relays_next(fw_relays_t *relays, uint8_t frame[FW_RELAY_FRAME_BYTES]);

#endif
