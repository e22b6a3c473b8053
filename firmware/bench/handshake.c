/*
 * handshake.c: what a handshake costs on the chip's instruction set.
 *
 * Prints a line for each part: its name, then instructions of the average call of it and of the
 * dearest one, and the calls of one handshake.
 */
#include "frame.h"
#include "measure.h"
#include "noise.h"

#include <stdio.h>

enum { REPLY_BYTES = 32 };

typedef struct {
    const char *name;
    uint32_t calls;
    uint32_t total; /* cycles */
    uint32_t dearest;
} part_t;

static part_t ephemeral = {.name = "ephemeral"};
static part_t agreement = {.name = "agreement"};
static part_t message_1 = {.name = "message_1"};
static part_t message_2_key = {.name = "message_2_key"};
static part_t message_2 = {.name = "message_2"};

/* Calls, and counts what that took. */
#define MEASURE(part, call)                                                                        \
    do {                                                                                           \
        uint32_t before = simcall_cycles();                                                        \
        call;                                                                                      \
        count(part, simcall_cycles() - before);                                                    \
    } while (0)

static void count(part_t *part, uint32_t cycles)
{
    part->calls++;
    part->total += cycles;
    part->dearest = cycles > part->dearest ? cycles : part->dearest;
}

static void tell(const part_t *part)
{
    printf("%s %lu %lu %lu\n", part->name,
           (unsigned long)(measure_instructions(part->total) / part->calls),
           (unsigned long)measure_instructions(part->dearest), (unsigned long)part->calls);
}

static bool greet(fw_noise_handshake_t *controller, uint8_t message[FW_NOISE_MESSAGE_1_BYTES])
{
    static const uint8_t random[FW_NOISE_KEY_BYTES] = {0x5A, 0xC3};
    static const uint8_t psk[FW_NOISE_KEY_BYTES] = {1};
    static const uint8_t hello[FW_HEADER_BYTES + 8u] = {2};
    static fw_noise_ephemeral_t pair;
    static fw_x25519_t work;
    fw_noise_fault_t fault;
    fw_noise_ephemeral_begin(&pair, random, &work);
    for (bool is_done = false; !is_done;) {
        MEASURE(&ephemeral, is_done = fw_noise_ephemeral_slice(&pair, &work));
    }
    MEASURE(&message_1,
            fault = fw_noise_start(controller, FW_NOISE_INITIATOR, psk, hello, sizeof hello, &pair);
            fault = fault == FW_NOISE_OK ? fw_noise_write_message_1(controller, message) : fault);
    return fault == FW_NOISE_OK;
}

/* Message 2, as a gateway makes it with the same key. */
static size_t answer(const uint8_t *message, uint8_t *reply, size_t capacity)
{
    static const uint8_t random[FW_NOISE_KEY_BYTES] = {0x33, 0x99};
    static const uint8_t psk[FW_NOISE_KEY_BYTES] = {1};
    static const uint8_t hello[FW_HEADER_BYTES + 8u] = {2};
    static const uint8_t payload[REPLY_BYTES];
    static fw_noise_handshake_t gateway;
    fw_noise_ephemeral_t pair;
    size_t length = 0;
    fw_noise_ephemeral_prepare(&pair, random);
    bool is_good =
        fw_noise_start(&gateway, FW_NOISE_RESPONDER, psk, hello, sizeof hello, &pair) ==
            FW_NOISE_OK &&
        fw_noise_read_message_1(&gateway, message, FW_NOISE_MESSAGE_1_BYTES) == FW_NOISE_OK &&
        fw_noise_agree(&gateway) == FW_NOISE_OK &&
        fw_noise_write_message_2(&gateway, payload, sizeof payload, reply, capacity, &length) ==
            FW_NOISE_OK;
    return is_good ? length : 0u;
}

static bool finish(fw_noise_handshake_t *controller, uint8_t *reply, size_t length)
{
    static fw_x25519_t work;
    static fw_cipher_t sending, receiving;
    fw_noise_fault_t fault;
    size_t payload_bytes = 0;
    MEASURE(&message_2_key, fault = fw_noise_read_message_2_key(controller, reply, length));
    if (fault != FW_NOISE_OK || fw_noise_agree_begin(controller, &work) != FW_NOISE_OK) {
        return false;
    }
    for (bool is_done = false; !is_done;) {
        MEASURE(&agreement, is_done = fw_noise_agree_slice(controller, &work));
    }
    MEASURE(&message_2,
            fault = fw_noise_read_message_2(controller, reply, length, reply + FW_NOISE_KEY_BYTES,
                                            length, &payload_bytes);
            fault = fault == FW_NOISE_OK ? fw_noise_split(controller, &sending, &receiving) : fault);
    return fault == FW_NOISE_OK && payload_bytes == REPLY_BYTES;
}

int main(void)
{
    static fw_noise_handshake_t controller;
    uint8_t message[FW_NOISE_MESSAGE_1_BYTES];
    uint8_t reply[FW_NOISE_MESSAGE_2_BYTES_MIN + REPLY_BYTES];
    size_t length = 0;
    if (!measure_check() || !greet(&controller, message) ||
        (length = answer(message, reply, sizeof reply)) == 0u ||
        !finish(&controller, reply, length)) {
        printf("expected a handshake\n");
        return 1;
    }
    const part_t *const parts[] = {&ephemeral, &message_1, &message_2_key, &agreement, &message_2};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        tell(parts[i]);
    }
    return 0;
}
