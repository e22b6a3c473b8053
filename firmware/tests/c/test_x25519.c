/*
 * test_x25519.c: X25519 in slices gives what Monocypher gives in one go, and what RFC 7748 says, and
 * leaves nothing behind.
 */
#include "check.h"
#include "monocypher.h"
#include "x25519.h"

#include <stdlib.h>
#include <string.h>

enum { PAIRS = 3000, ROUNDS = 1000 };

/* Slice by slice; between two of them it may lie elsewhere. */
static void multiply(const uint8_t *secret, const uint8_t *point, uint8_t result[FW_X25519_BYTES])
{
    static const fw_x25519_t nothing;
    fw_x25519_t places[2];
    fw_x25519_begin(&places[0], secret, point);
    unsigned slice = 0;
    bool is_done = false;
    while (!is_done && slice < FW_X25519_SLICES) {
        fw_x25519_t *work = &places[(slice + 1u) % 2u];
        *work = places[slice % 2u];
        memset(&places[slice % 2u], 0xA5, sizeof *work);
        is_done = fw_x25519_slice(work, result);
        slice++;
    }
    CHECK(is_done && slice == FW_X25519_SLICES);
    CHECK(memcmp(&places[slice % 2u], &nothing, sizeof nothing) == 0);
}

static void check_multiply(const uint8_t *secret, const uint8_t *point)
{
    uint8_t result[FW_X25519_BYTES];
    uint8_t expected[FW_X25519_BYTES];
    multiply(secret, point, result);
    crypto_x25519(expected, secret, point);
    CHECK(memcmp(result, expected, sizeof result) == 0);
}

/* Section 5.2: two pairs, and what comes of feeding results back. */
static void the_rfcs_vectors(void)
{
    static const char *const vectors[][3] = {
        {"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
         "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
         "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
        {"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
         "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
         "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        size_t length = 0;
        uint8_t *secret = bytes_from_hex(vectors[i][0], &length);
        uint8_t *point = bytes_from_hex(vectors[i][1], &length);
        uint8_t *expected = bytes_from_hex(vectors[i][2], &length);
        uint8_t result[FW_X25519_BYTES];
        multiply(secret, point, result);
        CHECK(memcmp(result, expected, sizeof result) == 0);
        free(secret);
        free(point);
        free(expected);
    }
    size_t length = 0;
    uint8_t *after_one = bytes_from_hex(
        "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079", &length);
    uint8_t *after_all = bytes_from_hex(
        "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51", &length);
    uint8_t secret[FW_X25519_BYTES] = {9};
    uint8_t point[FW_X25519_BYTES] = {9};
    for (unsigned round = 1; round <= ROUNDS; round++) {
        uint8_t result[FW_X25519_BYTES];
        multiply(secret, point, result);
        memcpy(point, secret, sizeof point);
        memcpy(secret, result, sizeof secret);
        CHECK(round != 1u || memcmp(secret, after_one, sizeof secret) == 0);
    }
    CHECK(memcmp(secret, after_all, sizeof secret) == 0);
    free(after_one);
    free(after_all);
}

/* Points of low order, of which every multiple by a trimmed scalar is zero; and numbers that are above
 * the field's, or have the bit that means nothing. */
static void odd_points(void)
{
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        static const uint8_t zero[FW_X25519_BYTES];
        size_t length = 0;
        uint8_t *point = bytes_from_hex(points[i], &length);
        for (unsigned top = 0; top < 2u; top++) {
            uint8_t secret[FW_X25519_BYTES];
            uint8_t result[FW_X25519_BYTES];
            random_fill(secret, sizeof secret);
            point[31] ^= (uint8_t)(top << 7);
            multiply(secret, point, result);
            CHECK(memcmp(result, zero, sizeof result) == 0);
            check_multiply(secret, point);
        }
        free(point);
    }
    for (unsigned above = 0; above < 64u; above++) {
        uint8_t secret[FW_X25519_BYTES];
        uint8_t point[FW_X25519_BYTES];
        random_fill(secret, sizeof secret);
        memset(point, 0xFF, sizeof point);
        point[0] = (uint8_t)(0xE0u + above / 2u);
        point[31] = above % 2u == 0u ? 0x7F : 0xFF;
        check_multiply(secret, point);
    }
}

static void any_pair(void)
{
    for (unsigned pair = 0; pair < PAIRS; pair++) {
        uint8_t secret[FW_X25519_BYTES];
        uint8_t point[FW_X25519_BYTES];
        random_fill(secret, sizeof secret);
        random_fill(point, sizeof point);
        if (pair % 8u == 0u) {
            memset(secret, pair % 16u == 0u ? 0x00 : 0xFF, sizeof secret);
        }
        check_multiply(secret, point);
    }
}

static void the_base_point(void)
{
    uint8_t secret[FW_X25519_BYTES];
    uint8_t result[FW_X25519_BYTES];
    uint8_t expected[FW_X25519_BYTES];
    random_fill(secret, sizeof secret);
    multiply(secret, NULL, result);
    crypto_x25519_public_key(expected, secret);
    CHECK(memcmp(result, expected, sizeof result) == 0);
}

void test_x25519(void)
{
    the_rfcs_vectors();
    odd_points();
    any_pair();
    the_base_point();
}
