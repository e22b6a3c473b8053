/*
 * keys.h: the keys by which a controller and its gateway know each other, and how one follows another
 * (docs/protocol.md section 6.2, ADR 0022).
 *
 * There is one key, and while it is being replaced a second: the next one. Both are good. The controller
 * tries the next one first, and the other where the gateway refuses that; so whichever of the two a
 * gateway still knows, the controller comes in. Whoever asks for a change has just proven that it knows
 * the key of its session, and that key always stays.
 *
 *             rekey(n)                            rekey(), in a session of n
 *   { k } ───────────────▶ { k, next n } ───────────────────────────────────▶ { n }
 *     ▲                      │       │
 *     └──────────────────────┘       └── rekey(m), in a session of n ──▶ { n, next m }
 *      rekey(), in a session of k
 */
#ifndef FW_KEYS_H
#define FW_KEYS_H

#include "bytes.h"

#define FW_LINK_KEY_BYTES 32u

/* All of it is secret. */
typedef struct {
    uint8_t current[FW_LINK_KEY_BYTES];
    uint8_t next[FW_LINK_KEY_BYTES]; /* while there is one */
    bool has_next;
} fw_keys_t;

/* The key to prove oneself with. */
const uint8_t *fw_keys_choose(const fw_keys_t *keys, bool is_next);

/*
 * What a gateway asks for in a session of the next key, or of the current one: that key becomes the current
 * one, and `key` the next; NULL: there is no next. False, and nothing changes: that is how it was, or `key`
 * is the session's own. So to ask again does no harm.
 */
bool fw_keys_change(fw_keys_t *keys, bool is_next, const uint8_t *key);

/* Overwrites them, also where nobody reads them any more. */
void fw_keys_wipe(fw_keys_t *keys);

#endif
