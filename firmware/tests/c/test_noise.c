/*
 * test_noise.c: the handshake, both roles against each other: it works, and nothing that was
 * changed, cut, or out of turn does. That it is the Noise everybody else speaks, the Rust tests
 * prove against another implementation; the known answer below repeats one of its transcripts.
 */
#include "check.h"
#include "noise.h"
#include "pair.h"

#include <stdlib.h>
#include <string.h>

static fw_noise_ephemeral_t ephemeral_make(uint8_t fill)
{
    fw_noise_ephemeral_t made;
    uint8_t random[FW_NOISE_KEY_BYTES];
    memset(random, fill, sizeof random);
    fw_noise_ephemeral_prepare(&made, random);
    return made;
}

fw_noise_ephemeral_t controller_ephemeral(void)
{
    static fw_noise_ephemeral_t pair;
    if (!pair.ready) {
        pair = ephemeral_make(0x11);
    }
    return pair;
}

fw_noise_ephemeral_t gateway_ephemeral(void)
{
    static fw_noise_ephemeral_t pair;
    if (!pair.ready) {
        pair = ephemeral_make(0x22);
    }
    return pair;
}

/* A controller whose message 1 is out. */
static fw_noise_handshake_t controller_begun(const link_pair_t *pair,
                                             uint8_t message[FW_NOISE_MESSAGE_1_BYTES])
{
    fw_noise_handshake_t controller;
    fw_noise_ephemeral_t ephemeral = controller_ephemeral();
    CHECK(fw_noise_start(&controller, FW_NOISE_INITIATOR, pair->psk, pair->prologue,
                         sizeof pair->prologue, &ephemeral) == FW_NOISE_OK);
    CHECK(fw_noise_write_message_1(&controller, message) == FW_NOISE_OK);
    return controller;
}

static fw_noise_handshake_t gateway_begun(const link_pair_t *pair)
{
    fw_noise_handshake_t gateway;
    fw_noise_ephemeral_t ephemeral = gateway_ephemeral();
    CHECK(fw_noise_start(&gateway, FW_NOISE_RESPONDER, pair->psk, pair->prologue,
                         sizeof pair->prologue, &ephemeral) == FW_NOISE_OK);
    return gateway;
}

void link_pair_make(link_pair_t *pair)
{
    memset(pair, 0, sizeof *pair);
    memset(pair->psk, 0x42, sizeof pair->psk);
    memset(pair->prologue, 0x07, sizeof pair->prologue);
    pair->reply_bytes = 40;
    for (size_t i = 0; i < pair->reply_bytes; i++) {
        pair->reply[i] = (uint8_t)i;
    }
    fw_noise_handshake_t controller = controller_begun(pair, pair->message_1);
    fw_noise_handshake_t gateway = gateway_begun(pair);
    CHECK(fw_noise_read_message_1(&gateway, pair->message_1, FW_NOISE_MESSAGE_1_BYTES) ==
          FW_NOISE_OK);
    CHECK(fw_noise_agree(&gateway) == FW_NOISE_OK);
    CHECK(fw_noise_write_message_2(&gateway, pair->reply, pair->reply_bytes, pair->message_2,
                                   sizeof pair->message_2,
                                   &pair->message_2_bytes) == FW_NOISE_OK);
    uint8_t reply[REPLY_BYTES_MAX];
    size_t reply_bytes = 0;
    CHECK(fw_noise_read_message_2_key(&controller, pair->message_2, pair->message_2_bytes) ==
          FW_NOISE_OK);
    CHECK(fw_noise_agree(&controller) == FW_NOISE_OK);
    CHECK(fw_noise_read_message_2(&controller, pair->message_2, pair->message_2_bytes, reply,
                                  sizeof reply, &reply_bytes) == FW_NOISE_OK);
    CHECK(reply_bytes == pair->reply_bytes && memcmp(reply, pair->reply, reply_bytes) == 0);
    CHECK(fw_noise_split(&controller, &pair->controller_sends, &pair->controller_receives) ==
          FW_NOISE_OK);
    CHECK(fw_noise_split(&gateway, &pair->gateway_sends, &pair->gateway_receives) == FW_NOISE_OK);
}

static bool all_zero(const void *from, size_t length)
{
    const uint8_t *bytes = from;
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static void both_sides_agree(const link_pair_t *pair)
{
    CHECK(memcmp(pair->controller_sends.key, pair->gateway_receives.key, FW_NOISE_KEY_BYTES) == 0);
    CHECK(memcmp(pair->controller_receives.key, pair->gateway_sends.key, FW_NOISE_KEY_BYTES) == 0);
    CHECK(memcmp(pair->controller_sends.key, pair->controller_receives.key,
                 FW_NOISE_KEY_BYTES) != 0);
    CHECK(pair->message_2_bytes == FW_NOISE_MESSAGE_2_BYTES_MIN + pair->reply_bytes);
    /* Neither key and neither reply stands in the clear. */
    CHECK(memcmp(pair->message_2 + FW_NOISE_KEY_BYTES, pair->reply, pair->reply_bytes) != 0);
}

/* X25519 of RFC 7748, section 5.2 (one iteration from 9), through the door that the handshake uses. */
static void ephemeral_of_the_rfc(void)
{
    size_t length = 0;
    uint8_t *secret = bytes_from_hex(
        "0900000000000000000000000000000000000000000000000000000000000000", &length);
    uint8_t *expected = bytes_from_hex(
        "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079", &length);
    fw_noise_ephemeral_t pair;
    fw_noise_ephemeral_prepare(&pair, secret);
    CHECK(memcmp(pair.public_key, expected, FW_NOISE_KEY_BYTES) == 0);
    fw_noise_ephemeral_wipe(&pair);
    CHECK(all_zero(&pair, sizeof pair));
    free(secret);
    free(expected);
}

/* Every bit of message 1, of the prologue and of the key. */
static void message_1_changed(link_pair_t *pair)
{
    struct {
        uint8_t *at;
        size_t length;
    } parts[] = {
        {pair->message_1, sizeof pair->message_1},
        {pair->prologue, sizeof pair->prologue},
        {pair->psk, sizeof pair->psk},
    };
    for (size_t part = 0; part < 3; part++) {
        for (size_t bit = 0; bit < parts[part].length * 8; bit++) {
            uint8_t mask = (uint8_t)(1u << (bit % 8));
            parts[part].at[bit / 8] ^= mask;
            fw_noise_handshake_t gateway = gateway_begun(pair);
            CHECK(fw_noise_read_message_1(&gateway, pair->message_1, FW_NOISE_MESSAGE_1_BYTES) ==
                  FW_NOISE_BAD_MESSAGE);
            CHECK(all_zero(&gateway, sizeof gateway));
            CHECK(fw_noise_agree(&gateway) == FW_NOISE_OUT_OF_TURN);
            parts[part].at[bit / 8] ^= mask;
        }
    }
}

static fw_noise_fault_t message_2_read(const link_pair_t *pair, const uint8_t *message,
                                       size_t length)
{
    uint8_t message_1[FW_NOISE_MESSAGE_1_BYTES];
    fw_noise_handshake_t controller = controller_begun(pair, message_1);
    fw_noise_fault_t fault = fw_noise_read_message_2_key(&controller, message, length);
    if (fault == FW_NOISE_OK) {
        fault = fw_noise_agree(&controller);
    }
    uint8_t reply[REPLY_BYTES_MAX];
    size_t reply_bytes = 0;
    if (fault == FW_NOISE_OK) {
        fault = fw_noise_read_message_2(&controller, message, length, reply, sizeof reply,
                                        &reply_bytes);
    }
    if (fault != FW_NOISE_OK) {
        CHECK(all_zero(&controller, sizeof controller));
        CHECK(reply_bytes == 0);
    }
    return fault;
}

/* Every bit of message 2. One bit of the key is without meaning to X25519: the hash minds it. */
static void message_2_changed(const link_pair_t *pair)
{
    uint8_t message[sizeof pair->message_2];
    memcpy(message, pair->message_2, sizeof message);
    CHECK(message_2_read(pair, message, pair->message_2_bytes) == FW_NOISE_OK);
    for (size_t bit = 0; bit < pair->message_2_bytes * 8; bit++) {
        uint8_t mask = (uint8_t)(1u << (bit % 8));
        message[bit / 8] ^= mask;
        CHECK(message_2_read(pair, message, pair->message_2_bytes) == FW_NOISE_BAD_MESSAGE);
        message[bit / 8] ^= mask;
    }
}

static void messages_cut(const link_pair_t *pair)
{
    for (size_t length = 0; length < FW_NOISE_MESSAGE_1_BYTES; length++) {
        uint8_t *cut = bytes_exact(pair->message_1, length);
        fw_noise_handshake_t gateway = gateway_begun(pair);
        CHECK(fw_noise_read_message_1(&gateway, cut, length) == FW_NOISE_BAD_LENGTH);
        free(cut);
    }
    uint8_t longer[FW_NOISE_MESSAGE_1_BYTES + 1] = {0};
    memcpy(longer, pair->message_1, FW_NOISE_MESSAGE_1_BYTES);
    fw_noise_handshake_t gateway = gateway_begun(pair);
    CHECK(fw_noise_read_message_1(&gateway, longer, sizeof longer) == FW_NOISE_BAD_LENGTH);
    for (size_t length = 0; length < pair->message_2_bytes; length++) {
        uint8_t *cut = bytes_exact(pair->message_2, length);
        fw_noise_fault_t expected = length < FW_NOISE_MESSAGE_2_BYTES_MIN ? FW_NOISE_BAD_LENGTH
                                                                          : FW_NOISE_BAD_MESSAGE;
        CHECK(message_2_read(pair, cut, length) == expected);
        free(cut);
    }
}

/* The key was taken from one message and the payload comes in another, which bears the same
 * payload behind another key: it is not the message that was agreed upon. */
static void message_2_swapped(const link_pair_t *pair)
{
    uint8_t message[sizeof pair->message_2];
    uint8_t reply[REPLY_BYTES_MAX];
    size_t reply_bytes = 0;
    fw_noise_handshake_t controller = controller_begun(pair, message);
    memcpy(message, pair->message_2, sizeof message);
    CHECK(fw_noise_read_message_2_key(&controller, message, pair->message_2_bytes) ==
          FW_NOISE_OK);
    CHECK(fw_noise_agree(&controller) == FW_NOISE_OK);
    message[0] ^= 1;
    CHECK(fw_noise_read_message_2(&controller, message, pair->message_2_bytes, reply,
                                  sizeof reply, &reply_bytes) == FW_NOISE_BAD_MESSAGE);
}

/* An old answer does not open a new handshake: each has its own keys. */
static void message_2_replayed(const link_pair_t *pair)
{
    fw_noise_ephemeral_t other = ephemeral_make(0x33);
    fw_noise_handshake_t controller;
    uint8_t message_1[FW_NOISE_MESSAGE_1_BYTES];
    uint8_t reply[REPLY_BYTES_MAX];
    size_t reply_bytes = 0;
    CHECK(fw_noise_start(&controller, FW_NOISE_INITIATOR, pair->psk, pair->prologue,
                         sizeof pair->prologue, &other) == FW_NOISE_OK);
    CHECK(fw_noise_write_message_1(&controller, message_1) == FW_NOISE_OK);
    CHECK(fw_noise_read_message_2_key(&controller, pair->message_2, pair->message_2_bytes) ==
          FW_NOISE_OK);
    CHECK(fw_noise_agree(&controller) == FW_NOISE_OK);
    CHECK(fw_noise_read_message_2(&controller, pair->message_2, pair->message_2_bytes, reply,
                                  sizeof reply, &reply_bytes) == FW_NOISE_BAD_MESSAGE);
}

/* Rooms that are too small, calls out of turn, a key pair used twice, the payload in place. */
static void turns_and_room(const link_pair_t *pair)
{
    uint8_t message_1[FW_NOISE_MESSAGE_1_BYTES];
    uint8_t message_2[sizeof pair->message_2];
    uint8_t reply[REPLY_BYTES_MAX];
    size_t length = 0;
    fw_cipher_t sending, receiving;
    fw_noise_ephemeral_t ephemeral = controller_ephemeral();
    fw_noise_handshake_t controller = controller_begun(pair, message_1);
    CHECK(fw_noise_start(&controller, FW_NOISE_INITIATOR, pair->psk, NULL, 0, &ephemeral) ==
          FW_NOISE_OK);
    CHECK(all_zero(&ephemeral, sizeof ephemeral));
    CHECK(fw_noise_start(&controller, FW_NOISE_INITIATOR, pair->psk, NULL, 0, &ephemeral) ==
          FW_NOISE_OUT_OF_TURN);
    CHECK(fw_noise_write_message_1(&controller, message_1) == FW_NOISE_OUT_OF_TURN);

    controller = controller_begun(pair, message_1);
    CHECK(fw_noise_read_message_1(&controller, message_1, sizeof message_1) ==
          FW_NOISE_OUT_OF_TURN);
    controller = controller_begun(pair, message_1);
    CHECK(fw_noise_split(&controller, &sending, &receiving) == FW_NOISE_OUT_OF_TURN);
    controller = controller_begun(pair, message_1);
    CHECK(fw_noise_read_message_2(&controller, pair->message_2, pair->message_2_bytes, reply,
                                  sizeof reply, &length) == FW_NOISE_OUT_OF_TURN);

    fw_noise_handshake_t gateway = gateway_begun(pair);
    CHECK(fw_noise_read_message_1(&gateway, pair->message_1, sizeof pair->message_1) ==
          FW_NOISE_OK);
    CHECK(fw_noise_agree(&gateway) == FW_NOISE_OK);
    CHECK(fw_noise_write_message_2(&gateway, pair->reply, pair->reply_bytes, message_2,
                                   pair->message_2_bytes - 1, &length) == FW_NOISE_NO_ROOM);
    CHECK(fw_noise_write_message_2(&gateway, pair->reply, pair->reply_bytes, message_2, 47,
                                   &length) == FW_NOISE_NO_ROOM);
    CHECK(fw_noise_write_message_2(&gateway, pair->reply, pair->reply_bytes, message_2,
                                   pair->message_2_bytes, &length) == FW_NOISE_OK);
    CHECK(memcmp(message_2, pair->message_2, pair->message_2_bytes) == 0);

    controller = controller_begun(pair, message_1);
    CHECK(fw_noise_read_message_2_key(&controller, message_2, length) == FW_NOISE_OK);
    CHECK(fw_noise_agree(&controller) == FW_NOISE_OK);
    size_t reply_bytes = 0;
    CHECK(fw_noise_read_message_2(&controller, message_2, length, reply, pair->reply_bytes - 1,
                                  &reply_bytes) == FW_NOISE_NO_ROOM);
    uint8_t *in_place = message_2 + FW_NOISE_KEY_BYTES;
    CHECK(fw_noise_read_message_2(&controller, message_2, length, in_place, pair->reply_bytes,
                                  &reply_bytes) == FW_NOISE_OK);
    CHECK(memcmp(in_place, pair->reply, pair->reply_bytes) == 0);
    CHECK(fw_noise_split(&controller, &sending, &receiving) == FW_NOISE_OK);
    CHECK(memcmp(&sending, &pair->controller_sends, sizeof sending) == 0);
    CHECK(all_zero(&controller, sizeof controller));
}

void test_noise(void)
{
    link_pair_t pair;
    ephemeral_of_the_rfc();
    link_pair_make(&pair);
    both_sides_agree(&pair);
    message_1_changed(&pair);
    message_2_changed(&pair);
    messages_cut(&pair);
    message_2_swapped(&pair);
    message_2_replayed(&pair);
    turns_and_room(&pair);
}
