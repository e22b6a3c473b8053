/*
 * log_in.c: see log_in.h.
 */
#include "log_in.h"

#include "monocypher.h"

void fw_log_in_init(fw_log_in_t *log_in)
{
    *log_in = (fw_log_in_t){0};
}

/* ---- sessions ---- */

void fw_log_in_poll(fw_log_in_t *log_in, uint32_t now_ms)
{
    for (uint8_t i = 0; i < FW_SESSIONS_MAX; i++) {
        const fw_session_t *session = &log_in->sessions[i];
        if (session->is_open && now_ms - session->used_ms >= FW_SESSION_IDLE_MS_MAX) {
            fw_session_close(log_in, i);
        }
    }
    if (log_in->guesses > 0u && now_ms - log_in->guessed_ms >= FW_GUESS_FORGIVEN_MS) {
        log_in->guesses--;
        log_in->guessed_ms = now_ms;
    }
}

uint8_t fw_session_find(fw_log_in_t *log_in, const uint8_t *token, uint32_t now_ms)
{
    fw_log_in_poll(log_in, now_ms);
    uint8_t found = FW_SESSION_NONE;
    for (uint8_t i = 0; i < FW_SESSIONS_MAX; i++) {
        fw_session_t *session = &log_in->sessions[i];
        bool is_same = crypto_verify16(session->token, token) == 0;
        if (is_same && session->is_open) {
            found = i;
        }
    }
    if (found != FW_SESSION_NONE) {
        log_in->sessions[found].used_ms = now_ms;
    }
    return found;
}

uint8_t fw_session_open(fw_log_in_t *log_in, const uint8_t *token, uint32_t now_ms)
{
    uint8_t chosen = 0;
    for (uint8_t i = 1; i < FW_SESSIONS_MAX && log_in->sessions[chosen].is_open; i++) {
        const fw_session_t *session = &log_in->sessions[i];
        if (!session->is_open ||
            now_ms - session->used_ms > now_ms - log_in->sessions[chosen].used_ms) {
            chosen = i;
        }
    }
    fw_session_t *session = &log_in->sessions[chosen];
    fw_copy(session->token, token, FW_SESSION_TOKEN_BYTES);
    session->used_ms = now_ms;
    session->is_open = true;
    return chosen;
}

const uint8_t *fw_session_token(const fw_log_in_t *log_in, uint8_t session)
{
    return log_in->sessions[session].token;
}

void fw_session_close(fw_log_in_t *log_in, uint8_t session)
{
    if (session < FW_SESSIONS_MAX) {
        crypto_wipe(&log_in->sessions[session], sizeof(log_in->sessions[session]));
    }
}

void fw_session_close_others(fw_log_in_t *log_in, uint8_t session)
{
    for (uint8_t i = 0; i < FW_SESSIONS_MAX; i++) {
        if (i != session) {
            fw_session_close(log_in, i);
        }
    }
}

/* ---- guesses ---- */

uint32_t fw_guess_wait_ms(const fw_log_in_t *log_in, uint32_t now_ms)
{
    if (log_in->guesses < FW_GUESSES_FREE) {
        return 0;
    }
    uint32_t wait_ms = FW_GUESS_WAIT_MS_MIN;
    for (uint8_t i = FW_GUESSES_FREE; i < log_in->guesses && wait_ms < FW_GUESS_WAIT_MS_MAX; i++) {
        wait_ms *= 2u;
    }
    wait_ms = wait_ms < FW_GUESS_WAIT_MS_MAX ? wait_ms : FW_GUESS_WAIT_MS_MAX;
    uint32_t passed_ms = now_ms - log_in->guessed_ms;
    return passed_ms < wait_ms ? wait_ms - passed_ms : 0u;
}

void fw_guess_wrong(fw_log_in_t *log_in, uint32_t now_ms)
{
    log_in->guessed_ms = now_ms;
    if (log_in->guesses < UINT8_MAX) {
        log_in->guesses++;
    }
}

void fw_guess_right(fw_log_in_t *log_in)
{
    log_in->guesses = 0;
}

/* ---- the verifier ---- */

/* hash = BLAKE2b(hash, salt), once more. One block. */
static void stretch_once(fw_log_in_t *log_in, const uint8_t *bytes, size_t length)
{
    crypto_blake2b_ctx hasher;
    crypto_blake2b_init(&hasher, FW_VERIFIER_HASH_BYTES);
    crypto_blake2b_update(&hasher, log_in->salt, FW_SALT_BYTES);
    crypto_blake2b_update(&hasher, bytes, length);
    crypto_blake2b_final(&hasher, log_in->hash);
}

static void stretch_begin(fw_log_in_t *log_in, fw_span_t password, const uint8_t *salt,
                          uint16_t rounds)
{
    fw_copy(log_in->salt, salt, FW_SALT_BYTES);
    log_in->rounds = rounds;
    log_in->rounds_left = rounds;
    stretch_once(log_in, password.bytes, password.length);
}

void fw_stretch_check(fw_log_in_t *log_in, fw_span_t password, const uint8_t *verifier)
{
    stretch_begin(log_in, password, verifier, fw_load_u16(verifier + FW_SALT_BYTES));
}

void fw_stretch_new(fw_log_in_t *log_in, fw_span_t password, const uint8_t *salt)
{
    stretch_begin(log_in, password, salt, FW_VERIFIER_ROUNDS);
}

bool fw_stretch_step(fw_log_in_t *log_in)
{
    for (uint8_t i = 0; i < FW_VERIFIER_ROUNDS_A_SLICE && log_in->rounds_left > 0u; i++) {
        log_in->rounds_left--;
        stretch_once(log_in, log_in->hash, FW_VERIFIER_HASH_BYTES);
    }
    return log_in->rounds_left == 0u;
}

bool fw_stretch_matches(fw_log_in_t *log_in, const uint8_t *verifier)
{
    bool is_same = crypto_verify32(log_in->hash, verifier + FW_SALT_BYTES + 2u) == 0;
    crypto_wipe(log_in->hash, sizeof(log_in->hash));
    return is_same;
}

void fw_stretch_verifier(fw_log_in_t *log_in, uint8_t *verifier)
{
    fw_copy(verifier, log_in->salt, FW_SALT_BYTES);
    fw_store_u16(verifier + FW_SALT_BYTES, log_in->rounds);
    fw_copy(verifier + FW_SALT_BYTES + 2u, log_in->hash, FW_VERIFIER_HASH_BYTES);
    crypto_wipe(log_in->hash, sizeof(log_in->hash));
}
