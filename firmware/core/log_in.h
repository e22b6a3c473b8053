/*
 * log_in.h: who may use the controller's own page: one password, a few sessions, and a delay that
 * grows with wrong guesses.
 *
 * What is kept of the password is a verifier: a salt, and a BLAKE2b hash of the password repeated
 * many times, so that a copy of the flash does not give the password away cheaply. The chip
 * cannot afford what a server would spend: 960 rounds of one block each are about 8.5 million
 * instructions (by the measured 71,000 for 8 blocks), 12 rounds a slice, so that a log-in takes
 * 80 slices: 0.8 s at one every 10 ms, while scans go on. The password itself crosses the local
 * network unencrypted: whoever can listen there can have it, and docs/http-controller.md says so.
 */
#ifndef FW_LOG_IN_H
#define FW_LOG_IN_H

#include "bytes.h"

#define FW_PASSWORD_BYTES_MIN 8u
#define FW_PASSWORD_BYTES_MAX 64u
#define FW_SALT_BYTES 16u
#define FW_VERIFIER_HASH_BYTES 32u
/* As it is stored: salt, rounds (u16, big-endian), hash. */
#define FW_VERIFIER_BYTES (FW_SALT_BYTES + 2u + FW_VERIFIER_HASH_BYTES)
#define FW_VERIFIER_ROUNDS 960u
#define FW_VERIFIER_ROUNDS_A_SLICE 12u

#define FW_SESSIONS_MAX 4u
#define FW_SESSION_NONE 0xFFu
#define FW_SESSION_TOKEN_BYTES 16u
#define FW_SESSION_IDLE_MS_MAX 1800000u

/* So many wrong passwords cost nothing; each further one doubles the wait, from 2 s up to a minute.
 * It counts for the whole controller, since whoever guesses can have many IP addresses, and never
 * locks anybody out for good. A quarter of an hour without a guess forgives one. */
#define FW_GUESSES_FREE 3u
#define FW_GUESS_WAIT_MS_MIN 2000u
#define FW_GUESS_WAIT_MS_MAX 60000u
#define FW_GUESS_FORGIVEN_MS 900000u

typedef struct {
    uint8_t token[FW_SESSION_TOKEN_BYTES];
    uint32_t used_ms;
    bool is_open;
} fw_session_t;

/* Fields are log_in.c's own. */
typedef struct {
    fw_session_t sessions[FW_SESSIONS_MAX];
    uint32_t guessed_ms; /* when the last wrong password came, or one was forgiven */
    uint8_t guesses;     /* wrong ones that are not forgiven */
    /* the password being stretched */
    uint16_t rounds_left;
    uint16_t rounds;
    uint8_t salt[FW_SALT_BYTES];
    uint8_t hash[FW_VERIFIER_HASH_BYTES];
} fw_log_in_t;

void fw_log_in_init(fw_log_in_t *log_in);

/* Ends what has expired, forgives what is forgiven. To be called at least once a day, so that a
 * wrapped count cannot make an old session look new. */
void fw_log_in_poll(fw_log_in_t *log_in, uint32_t now_ms);

/* The session of a token, which is used by that; FW_SESSION_NONE. Takes as long for every token. */
uint8_t fw_session_find(fw_log_in_t *log_in, const uint8_t *token, uint32_t now_ms);

/* Opens a session with a token from a cryptographic source; when there are too many, the one that
 * was not used for the longest ends. */
uint8_t fw_session_open(fw_log_in_t *log_in, const uint8_t *token, uint32_t now_ms);
const uint8_t *fw_session_token(const fw_log_in_t *log_in, uint8_t session);

/* Ends one, or all but one (FW_SESSION_NONE: all). */
void fw_session_close(fw_log_in_t *log_in, uint8_t session);
void fw_session_close_others(fw_log_in_t *log_in, uint8_t session);

/* How long no password is taken; 0 = now. */
uint32_t fw_guess_wait_ms(const fw_log_in_t *log_in, uint32_t now_ms);
void fw_guess_wrong(fw_log_in_t *log_in, uint32_t now_ms);
void fw_guess_right(fw_log_in_t *log_in);

/* Begins to stretch a password: against a stored verifier, or for a new one, with a new salt. */
void fw_stretch_check(fw_log_in_t *log_in, fw_span_t password, const uint8_t *verifier);
void fw_stretch_new(fw_log_in_t *log_in, fw_span_t password, const uint8_t *salt);
/* One slice; true when it is done. */
bool fw_stretch_step(fw_log_in_t *log_in);
/* Whether the result is that of a verifier, in constant time; or the result, to be stored. Either
 * wipes it. */
bool fw_stretch_matches(fw_log_in_t *log_in, const uint8_t *verifier);
void fw_stretch_verifier(fw_log_in_t *log_in, uint8_t *verifier);

#endif
