/*
 * pair.h: two ends of a link for the tests, with keys that are prepared once.
 */
#ifndef FW_TEST_PAIR_H
#define FW_TEST_PAIR_H

#include "noise.h"

#define REPLY_BYTES_MAX 64u

/* Everything a handshake exchanges, and what both sides end up with. */
typedef struct {
    uint8_t psk[FW_NOISE_KEY_BYTES];
    uint8_t prologue[32];
    uint8_t reply[REPLY_BYTES_MAX];
    size_t reply_bytes;
    uint8_t message_1[FW_NOISE_MESSAGE_1_BYTES];
    uint8_t message_2[FW_NOISE_MESSAGE_2_BYTES_MIN + REPLY_BYTES_MAX];
    size_t message_2_bytes;
    fw_cipher_t controller_sends, controller_receives;
    fw_cipher_t gateway_sends, gateway_receives;
} link_pair_t;

/* Runs a whole handshake between two roles of ours with fixed keys. */
void link_pair_make(link_pair_t *pair);

/* A copy of a prepared key pair: X25519 is the slow part, and tests want hundreds. */
fw_noise_ephemeral_t controller_ephemeral(void);
fw_noise_ephemeral_t gateway_ephemeral(void);

/* Puts a valid frame with a counting payload at `to` and returns its length. */
size_t link_frame_put(uint8_t *to, uint32_t correlation, uint16_t payload_bytes);

#endif
