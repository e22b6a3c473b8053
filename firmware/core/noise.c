/*
 * noise.c: Noise_NNpsk0_25519_ChaChaPoly_BLAKE2b and the records behind it.
 *
 * The names follow the Noise specification (revision 34): MixHash, MixKey, MixKeyAndHash, HKDF are
 * mix_hash, mix_key, mix_key_and_hash, hkdf here. In this pattern every key of the handshake seals
 * one message only, so its nonce is always 0; the records count theirs.
 *
 * Monocypher's own one-call AEAD is XChaCha20 with a long nonce. What Noise wants is the RFC 8439
 * construction with nonce 0000 and a 64-bit little-endian counter: crypto_aead_init_ietf and one
 * single crypto_aead_write give exactly that (its second write would go on with another key, which
 * is why a context never lives longer than one message here).
 */
#include "noise.h"

#include "monocypher.h"

#define HMAC_BLOCK_BYTES 128u
#define RECORDS_MAX ((uint64_t)1 << 32)
#define RECORD_BYTES_LEAST (FW_TAG_BYTES + 1u)

_Static_assert(FW_NOISE_MESSAGE_1_BYTES == FW_NOISE_KEY_BYTES + FW_TAG_BYTES,
               "message 1 is a public key and an empty, sealed payload");
_Static_assert(FW_NOISE_MESSAGE_2_BYTES_MIN == FW_NOISE_KEY_BYTES + FW_TAG_BYTES,
               "message 2 is a public key and a sealed payload");

/* Where a handshake stands. A wiped one is all zeros: STEP_OVER refuses everything. */
enum {
    STEP_OVER = 0,
    STEP_START,
    STEP_SENT_1,
    STEP_HAS_KEY, /* the other side's public key is known, the shared secret is not */
    STEP_AGREEING,
    STEP_AGREED,
    STEP_DONE,
};

static const char protocol_name[] = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2b";
_Static_assert(sizeof protocol_name - 1 <= FW_NOISE_HASH_BYTES,
               "a name that fits is padded, not hashed");

const char *fw_noise_fault_name(fw_noise_fault_t fault)
{
    switch (fault) {
    case FW_NOISE_OK:
        return "ok";
    case FW_NOISE_OUT_OF_TURN:
        return "out_of_turn";
    case FW_NOISE_BAD_LENGTH:
        return "bad_length";
    case FW_NOISE_BAD_MESSAGE:
        return "bad_message";
    case FW_NOISE_NO_ROOM:
        return "no_room";
    }
    return "unknown";
}

const char *fw_record_fault_name(fw_record_fault_t fault)
{
    switch (fault) {
    case FW_RECORD_OK:
        return "ok";
    case FW_RECORD_INCOMPLETE:
        return "incomplete";
    case FW_RECORD_BAD:
        return "bad_record";
    case FW_RECORD_TOO_LARGE:
        return "too_large";
    case FW_RECORD_MALFORMED:
        return "malformed";
    case FW_RECORD_EXHAUSTED:
        return "exhausted";
    }
    return "unknown";
}

fw_code_t fw_record_fault_code(fw_record_fault_t fault)
{
    switch (fault) {
    case FW_RECORD_BAD:
        return FW_CODE_BAD_RECORD;
    case FW_RECORD_TOO_LARGE:
        return FW_CODE_TOO_LARGE;
    case FW_RECORD_MALFORMED:
        return FW_CODE_MALFORMED;
    case FW_RECORD_OK:
    case FW_RECORD_INCOMPLETE:
    case FW_RECORD_EXHAUSTED:
        break;
    }
    return FW_CODE_OK;
}

/* ---- sealing one message ---- */

static void aead_begin(crypto_aead_ctx *aead, const uint8_t key[FW_NOISE_KEY_BYTES],
                       uint64_t counter)
{
    uint8_t nonce[12] = {0};
    for (size_t i = 0; i < 8; i++) {
        nonce[4 + i] = (uint8_t)(counter >> (8 * i));
    }
    crypto_aead_init_ietf(aead, key, nonce);
}

/* Seals `text` in place; the tag goes behind it. */
static void aead_seal(const uint8_t key[FW_NOISE_KEY_BYTES], uint64_t counter, fw_span_t ad,
                      uint8_t *text, size_t length)
{
    crypto_aead_ctx aead;
    aead_begin(&aead, key, counter);
    crypto_aead_write(&aead, text, text + length, ad.bytes, ad.length, text, length);
    crypto_wipe(&aead, sizeof aead);
}

/* Opens `length` bytes and the tag behind them into `text`, which may be the same place. Nothing
 * is written if they do not authenticate. */
static bool aead_open(const uint8_t key[FW_NOISE_KEY_BYTES], uint64_t counter, fw_span_t ad,
                      uint8_t *text, const uint8_t *sealed, size_t length)
{
    crypto_aead_ctx aead;
    aead_begin(&aead, key, counter);
    int differs = crypto_aead_read(&aead, text, sealed + length, ad.bytes, ad.length, sealed,
                                   length);
    crypto_wipe(&aead, sizeof aead);
    return differs == 0;
}

/* ---- hashing ---- */

/* HMAC (RFC 2104) with BLAKE2b, over `data` and one more byte; a zero `last` stands for none. The
 * key is always a hash, so it never exceeds the block and is never hashed first. */
static void hmac(uint8_t out[FW_NOISE_HASH_BYTES], const uint8_t key[FW_NOISE_HASH_BYTES],
                 const uint8_t *data, size_t length, uint8_t last)
{
    uint8_t block[HMAC_BLOCK_BYTES];
    uint8_t inner[FW_NOISE_HASH_BYTES];
    crypto_blake2b_ctx hash;

    fw_fill(block, 0x36, sizeof block);
    for (size_t i = 0; i < FW_NOISE_HASH_BYTES; i++) {
        block[i] ^= key[i];
    }
    crypto_blake2b_init(&hash, sizeof inner);
    crypto_blake2b_update(&hash, block, sizeof block);
    crypto_blake2b_update(&hash, data, length);
    if (last != 0) {
        crypto_blake2b_update(&hash, &last, 1);
    }
    crypto_blake2b_final(&hash, inner); /* wipes its state */

    for (size_t i = 0; i < sizeof block; i++) {
        block[i] ^= 0x36 ^ 0x5c;
    }
    crypto_blake2b_init(&hash, FW_NOISE_HASH_BYTES);
    crypto_blake2b_update(&hash, block, sizeof block);
    crypto_blake2b_update(&hash, inner, sizeof inner);
    crypto_blake2b_final(&hash, out);
    crypto_wipe(block, sizeof block);
    crypto_wipe(inner, sizeof inner);
}

/* Noise's HKDF: two outputs, or three unless `third` is NULL. `first` may be the chaining key. */
static void hkdf(const uint8_t chaining_key[FW_NOISE_HASH_BYTES], const uint8_t *material,
                 size_t length, uint8_t first[FW_NOISE_HASH_BYTES],
                 uint8_t second[FW_NOISE_HASH_BYTES], uint8_t *third)
{
    uint8_t temporary[FW_NOISE_HASH_BYTES];
    hmac(temporary, chaining_key, material, length, 0);
    hmac(first, temporary, NULL, 0, 1);
    hmac(second, temporary, first, FW_NOISE_HASH_BYTES, 2);
    if (third != NULL) {
        hmac(third, temporary, second, FW_NOISE_HASH_BYTES, 3);
    }
    crypto_wipe(temporary, sizeof temporary);
}

static void mix_hash(fw_noise_handshake_t *handshake, const uint8_t *data, size_t length)
{
    crypto_blake2b_ctx hash;
    crypto_blake2b_init(&hash, FW_NOISE_HASH_BYTES);
    crypto_blake2b_update(&hash, handshake->hash, FW_NOISE_HASH_BYTES);
    crypto_blake2b_update(&hash, data, length);
    crypto_blake2b_final(&hash, handshake->hash);
}

static void mix_key(fw_noise_handshake_t *handshake, const uint8_t material[FW_NOISE_KEY_BYTES])
{
    uint8_t key[FW_NOISE_HASH_BYTES];
    hkdf(handshake->chaining_key, material, FW_NOISE_KEY_BYTES, handshake->chaining_key, key,
         NULL);
    fw_copy(handshake->key, key, FW_NOISE_KEY_BYTES);
    crypto_wipe(key, sizeof key);
}

static void mix_key_and_hash(fw_noise_handshake_t *handshake,
                             const uint8_t material[FW_NOISE_KEY_BYTES])
{
    uint8_t mixed[FW_NOISE_HASH_BYTES];
    uint8_t key[FW_NOISE_HASH_BYTES];
    hkdf(handshake->chaining_key, material, FW_NOISE_KEY_BYTES, handshake->chaining_key, mixed,
         key);
    mix_hash(handshake, mixed, sizeof mixed);
    fw_copy(handshake->key, key, FW_NOISE_KEY_BYTES);
    crypto_wipe(mixed, sizeof mixed);
    crypto_wipe(key, sizeof key);
}

/* A public key, mixed in as a pattern with a PSK does it. */
static void mix_public_key(fw_noise_handshake_t *handshake, const uint8_t key[FW_NOISE_KEY_BYTES])
{
    mix_hash(handshake, key, FW_NOISE_KEY_BYTES);
    mix_key(handshake, key);
}

/* EncryptAndHash in place, tag behind. */
static void seal_and_hash(fw_noise_handshake_t *handshake, uint8_t *text, size_t length)
{
    fw_span_t ad = {.bytes = handshake->hash, .length = FW_NOISE_HASH_BYTES};
    aead_seal(handshake->key, 0, ad, text, length);
    mix_hash(handshake, text, length + FW_TAG_BYTES);
}

/* DecryptAndHash. The hash takes the sealed bytes, so it is drawn before they may be overwritten. */
static bool open_and_hash(fw_noise_handshake_t *handshake, uint8_t *text, const uint8_t *sealed,
                          size_t length)
{
    uint8_t before[FW_NOISE_HASH_BYTES];
    fw_copy(before, handshake->hash, sizeof before);
    fw_span_t ad = {.bytes = before, .length = sizeof before};
    mix_hash(handshake, sealed, length + FW_TAG_BYTES);
    return aead_open(handshake->key, 0, ad, text, sealed, length);
}

/* ---- the handshake ---- */

void fw_noise_ephemeral_begin(fw_noise_ephemeral_t *pair, const uint8_t random[FW_NOISE_KEY_BYTES],
                              fw_x25519_t *work)
{
    pair->ready = false;
    fw_copy(pair->secret, random, FW_NOISE_KEY_BYTES);
    fw_x25519_begin(work, pair->secret, NULL);
}

bool fw_noise_ephemeral_slice(fw_noise_ephemeral_t *pair, fw_x25519_t *work)
{
    pair->ready = fw_x25519_slice(work, pair->public_key);
    return pair->ready;
}

void fw_noise_ephemeral_prepare(fw_noise_ephemeral_t *pair,
                                const uint8_t random[FW_NOISE_KEY_BYTES])
{
    fw_x25519_t work;
    fw_noise_ephemeral_begin(pair, random, &work);
    while (!fw_noise_ephemeral_slice(pair, &work)) {
    }
}

void fw_noise_ephemeral_wipe(fw_noise_ephemeral_t *pair)
{
    crypto_wipe(pair, sizeof *pair);
}

void fw_noise_wipe(fw_noise_handshake_t *handshake)
{
    crypto_wipe(handshake, sizeof *handshake);
}

void fw_noise_work_wipe(fw_x25519_t *work)
{
    crypto_wipe(work, sizeof *work);
}

/* Ends a handshake that cannot be saved; what it knew is gone. */
static fw_noise_fault_t fail(fw_noise_handshake_t *handshake, fw_noise_fault_t fault)
{
    fw_noise_wipe(handshake);
    return fault;
}

static bool in_turn(const fw_noise_handshake_t *handshake, fw_noise_role_t role, uint8_t step)
{
    return handshake->role == (uint8_t)role && handshake->step == step;
}

fw_noise_fault_t fw_noise_start(fw_noise_handshake_t *handshake, fw_noise_role_t role,
                                const uint8_t psk[FW_NOISE_KEY_BYTES], const uint8_t *prologue,
                                size_t prologue_bytes, fw_noise_ephemeral_t *pair)
{
    crypto_wipe(handshake, sizeof *handshake);
    if (!pair->ready) {
        return FW_NOISE_OUT_OF_TURN;
    }
    handshake->role = (uint8_t)role;
    handshake->pair = *pair;
    fw_noise_ephemeral_wipe(pair);
    fw_copy(handshake->hash, (const uint8_t *)protocol_name, sizeof protocol_name - 1);
    fw_copy(handshake->chaining_key, handshake->hash, FW_NOISE_HASH_BYTES);
    mix_hash(handshake, prologue, prologue_bytes);
    /* psk0: the key is the first token of message 1, for both sides alike. */
    mix_key_and_hash(handshake, psk);
    handshake->step = STEP_START;
    return FW_NOISE_OK;
}

fw_noise_fault_t fw_noise_write_message_1(fw_noise_handshake_t *handshake,
                                          uint8_t out[FW_NOISE_MESSAGE_1_BYTES])
{
    if (!in_turn(handshake, FW_NOISE_INITIATOR, STEP_START)) {
        return fail(handshake, FW_NOISE_OUT_OF_TURN);
    }
    fw_copy(out, handshake->pair.public_key, FW_NOISE_KEY_BYTES);
    mix_public_key(handshake, handshake->pair.public_key);
    seal_and_hash(handshake, out + FW_NOISE_KEY_BYTES, 0);
    handshake->step = STEP_SENT_1;
    return FW_NOISE_OK;
}

fw_noise_fault_t fw_noise_read_message_1(fw_noise_handshake_t *handshake, const uint8_t *message,
                                         size_t message_bytes)
{
    if (!in_turn(handshake, FW_NOISE_RESPONDER, STEP_START)) {
        return fail(handshake, FW_NOISE_OUT_OF_TURN);
    }
    if (message_bytes != FW_NOISE_MESSAGE_1_BYTES) {
        return fail(handshake, FW_NOISE_BAD_LENGTH);
    }
    uint8_t nothing = 0;
    fw_copy(handshake->remote, message, FW_NOISE_KEY_BYTES);
    mix_public_key(handshake, handshake->remote);
    if (!open_and_hash(handshake, &nothing, message + FW_NOISE_KEY_BYTES, 0)) {
        return fail(handshake, FW_NOISE_BAD_MESSAGE);
    }
    /* The token e of message 2 comes before its ee. */
    mix_public_key(handshake, handshake->pair.public_key);
    handshake->step = STEP_HAS_KEY;
    return FW_NOISE_OK;
}

fw_noise_fault_t fw_noise_read_message_2_key(fw_noise_handshake_t *handshake,
                                             const uint8_t *message, size_t message_bytes)
{
    if (!in_turn(handshake, FW_NOISE_INITIATOR, STEP_SENT_1)) {
        return fail(handshake, FW_NOISE_OUT_OF_TURN);
    }
    if (message_bytes < FW_NOISE_MESSAGE_2_BYTES_MIN) {
        return fail(handshake, FW_NOISE_BAD_LENGTH);
    }
    fw_copy(handshake->remote, message, FW_NOISE_KEY_BYTES);
    mix_public_key(handshake, handshake->remote);
    handshake->step = STEP_HAS_KEY;
    return FW_NOISE_OK;
}

fw_noise_fault_t fw_noise_agree_begin(fw_noise_handshake_t *handshake, fw_x25519_t *work)
{
    if (handshake->step != STEP_HAS_KEY) {
        return fail(handshake, FW_NOISE_OUT_OF_TURN);
    }
    fw_x25519_begin(work, handshake->pair.secret, handshake->remote);
    crypto_wipe(handshake->pair.secret, sizeof handshake->pair.secret);
    handshake->step = STEP_AGREEING;
    return FW_NOISE_OK;
}

bool fw_noise_agree_slice(fw_noise_handshake_t *handshake, fw_x25519_t *work)
{
    uint8_t shared[FW_NOISE_KEY_BYTES];
    if (handshake->step != STEP_AGREEING || !fw_x25519_slice(work, shared)) {
        return handshake->step == STEP_AGREED;
    }
    /* An all-zero result is let through, as the specification advises: the other side proved that
     * it knows the key before this, or will have to. */
    mix_key(handshake, shared);
    crypto_wipe(shared, sizeof shared);
    handshake->step = STEP_AGREED;
    return FW_X25519_AT_ONCE != 0;
}

fw_noise_fault_t fw_noise_agree(fw_noise_handshake_t *handshake)
{
    fw_x25519_t work;
    fw_noise_fault_t fault = fw_noise_agree_begin(handshake, &work);
    while (fault == FW_NOISE_OK && !fw_noise_agree_slice(handshake, &work)) {
    }
    return fault;
}

fw_noise_fault_t fw_noise_write_message_2(fw_noise_handshake_t *handshake, const uint8_t *payload,
                                          size_t payload_bytes, uint8_t *out, size_t capacity,
                                          size_t *message_bytes)
{
    if (!in_turn(handshake, FW_NOISE_RESPONDER, STEP_AGREED)) {
        return fail(handshake, FW_NOISE_OUT_OF_TURN);
    }
    if (capacity < FW_NOISE_MESSAGE_2_BYTES_MIN ||
        payload_bytes > capacity - FW_NOISE_MESSAGE_2_BYTES_MIN) {
        return FW_NOISE_NO_ROOM;
    }
    uint8_t *sealed = out + FW_NOISE_KEY_BYTES;
    fw_copy(sealed, payload, payload_bytes);
    fw_copy(out, handshake->pair.public_key, FW_NOISE_KEY_BYTES);
    seal_and_hash(handshake, sealed, payload_bytes);
    *message_bytes = FW_NOISE_MESSAGE_2_BYTES_MIN + payload_bytes;
    handshake->step = STEP_DONE;
    return FW_NOISE_OK;
}

fw_noise_fault_t fw_noise_read_message_2(fw_noise_handshake_t *handshake, const uint8_t *message,
                                         size_t message_bytes, uint8_t *payload, size_t capacity,
                                         size_t *payload_bytes)
{
    if (!in_turn(handshake, FW_NOISE_INITIATOR, STEP_AGREED)) {
        return fail(handshake, FW_NOISE_OUT_OF_TURN);
    }
    if (message_bytes < FW_NOISE_MESSAGE_2_BYTES_MIN) {
        return fail(handshake, FW_NOISE_BAD_LENGTH);
    }
    size_t length = message_bytes - FW_NOISE_MESSAGE_2_BYTES_MIN;
    if (length > capacity) {
        return FW_NOISE_NO_ROOM;
    }
    /* The payload was bound to the key taken before; this must be the same message. */
    if (!fw_equal(message, handshake->remote, FW_NOISE_KEY_BYTES) ||
        !open_and_hash(handshake, payload, message + FW_NOISE_KEY_BYTES, length)) {
        return fail(handshake, FW_NOISE_BAD_MESSAGE);
    }
    *payload_bytes = length;
    handshake->step = STEP_DONE;
    return FW_NOISE_OK;
}

fw_noise_fault_t fw_noise_split(fw_noise_handshake_t *handshake, fw_cipher_t *sending,
                                fw_cipher_t *receiving)
{
    if (handshake->step != STEP_DONE) {
        return fail(handshake, FW_NOISE_OUT_OF_TURN);
    }
    uint8_t from_initiator[FW_NOISE_HASH_BYTES];
    uint8_t from_responder[FW_NOISE_HASH_BYTES];
    hkdf(handshake->chaining_key, NULL, 0, from_initiator, from_responder, NULL);
    bool initiator = handshake->role == FW_NOISE_INITIATOR;
    fw_copy(sending->key, initiator ? from_initiator : from_responder, FW_NOISE_KEY_BYTES);
    fw_copy(receiving->key, initiator ? from_responder : from_initiator, FW_NOISE_KEY_BYTES);
    sending->next = 0;
    receiving->next = 0;
    crypto_wipe(from_initiator, sizeof from_initiator);
    crypto_wipe(from_responder, sizeof from_responder);
    fw_noise_wipe(handshake);
    return FW_NOISE_OK;
}

/* ---- records ---- */

void fw_cipher_wipe(fw_cipher_t *cipher)
{
    crypto_wipe(cipher, sizeof *cipher);
}

fw_record_fault_t fw_record_seal(fw_cipher_t *cipher, uint8_t *buffer, size_t capacity,
                                 size_t frames_bytes, size_t record_bytes_max,
                                 size_t *record_bytes)
{
    const size_t around = FW_RECORD_PREFIX_BYTES + FW_TAG_BYTES;
    if (frames_bytes == 0) {
        return FW_RECORD_MALFORMED;
    }
    size_t limit = record_bytes_max < FW_RECORD_BYTES_LIMIT ? record_bytes_max
                                                            : FW_RECORD_BYTES_LIMIT;
    if (limit < FW_TAG_BYTES || frames_bytes > limit - FW_TAG_BYTES || capacity < around ||
        frames_bytes > capacity - around) {
        return FW_RECORD_TOO_LARGE;
    }
    if (cipher->next >= RECORDS_MAX) {
        return FW_RECORD_EXHAUSTED;
    }
    fw_span_t no_ad = {0};
    fw_store_u16(buffer, (uint16_t)(frames_bytes + FW_TAG_BYTES));
    aead_seal(cipher->key, cipher->next, no_ad, buffer + FW_RECORD_PREFIX_BYTES, frames_bytes);
    cipher->next++;
    *record_bytes = frames_bytes + around;
    return FW_RECORD_OK;
}

void fw_record_reader_init(fw_record_reader_t *reader, fw_cipher_t *cipher, uint8_t *buffer,
                           size_t capacity, size_t record_bytes_max)
{
    *reader = (fw_record_reader_t){
        .cipher = cipher,
        .buffer = buffer,
        .record_bytes_max = record_bytes_max < capacity ? record_bytes_max : capacity,
    };
}

/* Opens the gathered record and proves that it is whole, valid frames to its last byte. */
static fw_record_fault_t record_open(fw_record_reader_t *reader)
{
    size_t frames_bytes = reader->body_bytes - FW_TAG_BYTES;
    fw_span_t no_ad = {0};
    if (reader->cipher->next >= RECORDS_MAX ||
        !aead_open(reader->cipher->key, reader->cipher->next, no_ad, reader->buffer,
                   reader->buffer, frames_bytes)) {
        return FW_RECORD_BAD;
    }
    reader->cipher->next++;
    for (size_t at = 0; at < frames_bytes;) {
        fw_frame_t frame;
        size_t frame_bytes = 0;
        fw_frame_fault_t fault =
            fw_frame_take(reader->buffer + at, frames_bytes - at,
                          reader->record_bytes_max - FW_TAG_BYTES, &frame, &frame_bytes);
        if (fault != FW_FRAME_OK) {
            return fault == FW_FRAME_TOO_LARGE ? FW_RECORD_TOO_LARGE : FW_RECORD_MALFORMED;
        }
        at += frame_bytes;
    }
    reader->frames_bytes = frames_bytes;
    return FW_RECORD_OK;
}

/* One byte of the length prefix; judges the length once it is whole. */
static fw_record_fault_t prefix_push(fw_record_reader_t *reader, uint8_t byte)
{
    reader->body_bytes = (reader->body_bytes << 8) | byte;
    reader->held++;
    if (reader->held < FW_RECORD_PREFIX_BYTES) {
        return FW_RECORD_OK;
    }
    if (reader->body_bytes < RECORD_BYTES_LEAST) {
        return FW_RECORD_MALFORMED;
    }
    return reader->body_bytes > reader->record_bytes_max ? FW_RECORD_TOO_LARGE : FW_RECORD_OK;
}

fw_record_fault_t fw_record_reader_push(fw_record_reader_t *reader, const uint8_t *bytes,
                                        size_t length, size_t *used)
{
    *used = 0;
    reader->frames_bytes = 0;
    reader->taken = 0;
    while (reader->fault == FW_RECORD_OK && *used < length) {
        if (reader->held < FW_RECORD_PREFIX_BYTES) {
            reader->fault = prefix_push(reader, bytes[*used]);
            *used += 1;
            continue;
        }
        size_t gathered = reader->held - FW_RECORD_PREFIX_BYTES;
        size_t step = reader->body_bytes - gathered;
        if (step > length - *used) {
            step = length - *used;
        }
        fw_copy(reader->buffer + gathered, bytes + *used, step);
        reader->held += step;
        *used += step;
        if (gathered + step == reader->body_bytes) {
            reader->fault = record_open(reader);
            reader->held = 0;
            reader->body_bytes = 0;
            if (reader->fault == FW_RECORD_OK) {
                return FW_RECORD_OK;
            }
        }
    }
    return reader->fault == FW_RECORD_OK ? FW_RECORD_INCOMPLETE : reader->fault;
}

bool fw_record_reader_frame(fw_record_reader_t *reader, fw_frame_t *frame)
{
    size_t frame_bytes = 0;
    if (reader->taken >= reader->frames_bytes ||
        fw_frame_take(reader->buffer + reader->taken, reader->frames_bytes - reader->taken,
                      SIZE_MAX, frame, &frame_bytes) != FW_FRAME_OK) {
        return false;
    }
    reader->taken += frame_bytes;
    return true;
}
