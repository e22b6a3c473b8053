/*
 * x25519.h: X25519 (RFC 7748) in slices, so that scans go on meanwhile.
 *
 * All of it takes a chip some 10 million instructions, a fifth of a second and more. A slice is less
 * than 100,000 of them, 2 ms at 80 MHz; FW_X25519_SLICES of them are the whole. What is computed, and
 * in how many slices, depends on no secret.
 */
#ifndef FW_X25519_H
#define FW_X25519_H

#include <stdbool.h>
#include <stdint.h>

#define FW_X25519_BYTES 32u

/* Whether the first slice is the whole: a host has no scan that would have to wait for it. */
#ifndef FW_X25519_AT_ONCE
#define FW_X25519_AT_ONCE 0
#endif

#define FW_X25519_SLICES (FW_X25519_AT_ONCE ? 1u : 144u)

/* A multiplication on its way; all of it is secret. Points are told by X / Z, elements of the field as
 * Monocypher has them. */
typedef struct {
    int32_t x1[10]; /* the point that is multiplied */
    int32_t x2[10]; /* the multiple by the bits so far */
    int32_t z2[10];
    int32_t x3[10]; /* the same, and the point once more */
    int32_t z3[10];
    int32_t t0[10];
    int32_t t1[10];
    uint8_t scalar[FW_X25519_BYTES];
    uint16_t done; /* bits of the scalar, then squarings of the inversion */
    uint8_t swap;  /* 2 and 3 stand for each other, if 1 */
} fw_x25519_t;

/* Begins. `point` NULL is the base point, whose multiple is the public key of `secret`. */
void fw_x25519_begin(fw_x25519_t *work, const uint8_t secret[FW_X25519_BYTES],
                     const uint8_t *point);

/* One slice. True: `shared` has the result, and the work is wiped. */
bool fw_x25519_slice(fw_x25519_t *work, uint8_t shared[FW_X25519_BYTES]);

#endif
