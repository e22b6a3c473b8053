/*
 * noise.h: the controller link's cipher (docs/protocol.md section 4.1):
 * Noise_NNpsk0_25519_ChaChaPoly_BLAKE2b, then records.
 *
 * The controller is the initiator. The responder is here too, so that both ends can be tested in C
 * and a host tool can stand in for a gateway. Built over Monocypher's primitives.
 *
 * X25519 takes a chip a fifth of a second, so the two of them stand alone, as calls that do nothing
 * else: fw_noise_ephemeral_prepare (before dialling) and fw_noise_agree. Whoever has something to do
 * meanwhile takes them in slices (x25519.h), by the calls named after them: _begin, then _slice until
 * that is true. All others are short.
 *
 *     initiator                                   responder
 *     fw_noise_ephemeral_prepare      LONG        fw_noise_ephemeral_prepare      LONG
 *     fw_noise_start(INITIATOR)                   fw_noise_start(RESPONDER)
 *     fw_noise_write_message_1  --48 bytes-->     fw_noise_read_message_1
 *                                                 fw_noise_agree                  LONG
 *     fw_noise_read_message_2_key <--48 + n--     fw_noise_write_message_2
 *     fw_noise_agree                  LONG        fw_noise_split
 *     fw_noise_read_message_2
 *     fw_noise_split
 *
 * Every call out of turn, and every call after a failure, is FW_NOISE_OUT_OF_TURN: a handshake
 * that failed cannot be taken further. Secrets are wiped as soon as they are used up.
 */
#ifndef FW_NOISE_H
#define FW_NOISE_H

#include "bytes.h"
#include "code.h"
#include "config.h"
#include "frame.h"
#include "x25519.h"

#define FW_NOISE_KEY_BYTES 32u
#define FW_NOISE_HASH_BYTES 64u
#define FW_NOISE_MESSAGE_1_BYTES 48u
/* Message 2 without its payload. */
#define FW_NOISE_MESSAGE_2_BYTES_MIN 48u

typedef enum {
    FW_NOISE_OK = 0,
    FW_NOISE_OUT_OF_TURN, /* the call does not belong here, or the handshake has failed before */
    FW_NOISE_BAD_LENGTH,  /* the message cannot be one */
    FW_NOISE_BAD_MESSAGE, /* it does not authenticate: another key, another prologue, or changed */
    FW_NOISE_NO_ROOM,     /* the caller's buffer is too small; nothing was written */
} fw_noise_fault_t;

/* The fault's name in snake case; "ok" for none. */
const char *fw_noise_fault_name(fw_noise_fault_t fault);

/* A key pair for one handshake. Used once, then wiped. */
typedef struct {
    uint8_t secret[FW_NOISE_KEY_BYTES];
    uint8_t public_key[FW_NOISE_KEY_BYTES];
    bool ready;
} fw_noise_ephemeral_t;

/* LONG. Makes the pair from 32 bytes of a true random source, which the caller wipes. */
void fw_noise_ephemeral_prepare(fw_noise_ephemeral_t *pair,
                                const uint8_t random[FW_NOISE_KEY_BYTES]);

/* The same in slices; the pair is not ready before the last. `work` is the caller's memory. */
void fw_noise_ephemeral_begin(fw_noise_ephemeral_t *pair, const uint8_t random[FW_NOISE_KEY_BYTES],
                              fw_x25519_t *work);
bool fw_noise_ephemeral_slice(fw_noise_ephemeral_t *pair, fw_x25519_t *work);

void fw_noise_ephemeral_wipe(fw_noise_ephemeral_t *pair);

typedef enum { FW_NOISE_INITIATOR = 0, FW_NOISE_RESPONDER = 1 } fw_noise_role_t;

/* A handshake on its way. Nothing in it is for the caller. */
typedef struct {
    uint8_t chaining_key[FW_NOISE_HASH_BYTES];
    uint8_t hash[FW_NOISE_HASH_BYTES];
    uint8_t key[FW_NOISE_KEY_BYTES];
    uint8_t role;
    uint8_t step;
    uint8_t remote[FW_NOISE_KEY_BYTES];
    fw_noise_ephemeral_t pair;
} fw_noise_handshake_t;

/*
 * Begins a handshake. `prologue` is the hello frame, header and payload, byte for byte. `pair` is
 * moved in: it is wiped here, so that it cannot serve twice; one that is not ready is OUT_OF_TURN.
 */
fw_noise_fault_t fw_noise_start(fw_noise_handshake_t *handshake, fw_noise_role_t role,
                                const uint8_t psk[FW_NOISE_KEY_BYTES], const uint8_t *prologue,
                                size_t prologue_bytes, fw_noise_ephemeral_t *pair);

/* Initiator: message 1, whose payload is empty. */
fw_noise_fault_t fw_noise_write_message_1(fw_noise_handshake_t *handshake,
                                          uint8_t out[FW_NOISE_MESSAGE_1_BYTES]);

/* Responder: message 1; BAD_MESSAGE if the other side does not know the same key and prologue. */
fw_noise_fault_t fw_noise_read_message_1(fw_noise_handshake_t *handshake, const uint8_t *message,
                                         size_t message_bytes);

/* Initiator: takes the other side's public key out of message 2; the first step of reading it. */
fw_noise_fault_t fw_noise_read_message_2_key(fw_noise_handshake_t *handshake,
                                             const uint8_t *message, size_t message_bytes);

/* LONG. The shared secret; both sides, each in its turn as drawn above. */
fw_noise_fault_t fw_noise_agree(fw_noise_handshake_t *handshake);

/* The same in slices; every other call meanwhile is out of turn. `work` is the caller's memory. The
 * last slice hashes as well, and so does whatever comes next: where slices matter, that it was the last
 * is told by one call more, which does nothing else. */
fw_noise_fault_t fw_noise_agree_begin(fw_noise_handshake_t *handshake, fw_x25519_t *work);
bool fw_noise_agree_slice(fw_noise_handshake_t *handshake, fw_x25519_t *work);

/* Responder: message 2 with its payload. Needs 48 + payload_bytes in `out`. */
fw_noise_fault_t fw_noise_write_message_2(fw_noise_handshake_t *handshake, const uint8_t *payload,
                                          size_t payload_bytes, uint8_t *out, size_t capacity,
                                          size_t *message_bytes);

/*
 * Initiator: the payload of message 2, the same message whose key was taken before. `payload` has
 * room for message_bytes - 48, and may be the message's own buffer from byte 32 on.
 */
fw_noise_fault_t fw_noise_read_message_2(fw_noise_handshake_t *handshake, const uint8_t *message,
                                         size_t message_bytes, uint8_t *payload, size_t capacity,
                                         size_t *payload_bytes);

/* ---- records ---- */

/* What can be wrong with records. INCOMPLETE is no fault. */
typedef enum {
    FW_RECORD_OK = 0,
    FW_RECORD_INCOMPLETE, /* more bytes are needed */
    FW_RECORD_BAD,        /* does not decrypt */
    FW_RECORD_TOO_LARGE,  /* longer than was agreed, or a frame in it that no such record holds */
    FW_RECORD_MALFORMED,  /* shorter than 17 bytes, or not whole, valid frames */
    FW_RECORD_EXHAUSTED,  /* 2^32 records were sent: the link must be closed and dialled again */
} fw_record_fault_t;

/* "ok", "incomplete", "bad_record", "too_large", "malformed", "exhausted". */
const char *fw_record_fault_name(fw_record_fault_t fault);

/* What an error frame says of it; ok for OK, INCOMPLETE and EXHAUSTED. */
fw_code_t fw_record_fault_code(fw_record_fault_t fault);

/* One direction's key and the number of the next record, up to 2^32. */
typedef struct {
    uint8_t key[FW_NOISE_KEY_BYTES];
    uint64_t next;
} fw_cipher_t;

/* Ends a handshake: the keys for both directions. The handshake is wiped. */
fw_noise_fault_t fw_noise_split(fw_noise_handshake_t *handshake, fw_cipher_t *sending,
                                fw_cipher_t *receiving);

/* Forgets everything, at any time. */
void fw_noise_wipe(fw_noise_handshake_t *handshake);
void fw_noise_work_wipe(fw_x25519_t *work);
void fw_cipher_wipe(fw_cipher_t *cipher);

/*
 * Seals a record in place. The caller has put whole frames, `frames_bytes` of them, at
 * buffer + FW_RECORD_PREFIX_BYTES; the length goes before and the tag behind. On OK the record to
 * send is buffer[0 .. *record_bytes). TOO_LARGE if frames and tag exceed `record_bytes_max` (or
 * the buffer), MALFORMED if there are no frames: the buffer and the cipher are then untouched.
 */
fw_record_fault_t fw_record_seal(fw_cipher_t *cipher, uint8_t *buffer, size_t capacity,
                                 size_t frames_bytes, size_t record_bytes_max,
                                 size_t *record_bytes);

/* Records out of a stream that arrives split anywhere, opened in the caller's buffer. */
typedef struct {
    fw_cipher_t *cipher;     /* the caller's, for the receiving direction */
    uint8_t *buffer;         /* the caller's; holds one record without its length prefix */
    size_t record_bytes_max; /* as agreed, and no more than the buffer holds */
    size_t held;             /* bytes gathered, prefix included */
    size_t body_bytes;       /* length of the record being gathered, once known */
    size_t frames_bytes;     /* of an opened record; 0 while none is open */
    size_t taken;            /* of them, handed out already */
    fw_record_fault_t fault; /* OK, or what the stream was refused for: it stays refused */
} fw_record_reader_t;

/* `record_bytes_max` is cut to `capacity`, the buffer's size. */
void fw_record_reader_init(fw_record_reader_t *reader, fw_cipher_t *cipher, uint8_t *buffer,
                           size_t capacity, size_t record_bytes_max);

/*
 * Pushes bytes in. Returns
 *   OK          - a record is open and all of it is whole, valid frames: take them with
 *                 fw_record_reader_frame before the next push (those not taken are lost); bytes
 *                 after the record are not consumed: push them again, from `*used` on;
 *   INCOMPLETE  - everything was consumed and no record is whole yet;
 *   any other   - the stream is refused, now and for every later push. A record is taken whole or
 *                 not at all: no frame of a refused one is handed out.
 */
fw_record_fault_t fw_record_reader_push(fw_record_reader_t *reader, const uint8_t *bytes,
                                        size_t length, size_t *used);

/* The next frame of the open record; false when there are no more. */
bool fw_record_reader_frame(fw_record_reader_t *reader, fw_frame_t *frame);

#endif
