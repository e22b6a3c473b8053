/*
 * x25519.c: see x25519.h.
 *
 * The arithmetic of the field is Monocypher's, whose functions for it are not public: so this is
 * where all of monocypher.c is compiled, once for everybody, and no build compiles it apart.
 */
#include "x25519.h"

/* Not ours to judge. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#include "monocypher.c"
#pragma GCC diagnostic pop

enum { BITS = 255, SQUARINGS = 254 };

/* What a slice may cost, counted in squarings of the inversion with their share of multiplications. A
 * bit of the scalar costs as much as eight or nine of them. */
enum { SLICE_COST = FW_X25519_AT_ONCE ? INT32_MAX : 16, BIT_COST = 8 };

_Static_assert(FW_X25519_AT_ONCE ||
                   FW_X25519_SLICES ==
                       (BITS * BIT_COST + SQUARINGS + SLICE_COST - 1) / SLICE_COST,
               "as many slices as x25519.h says");

void fw_x25519_begin(fw_x25519_t *work, const uint8_t secret[FW_X25519_BYTES],
                     const uint8_t *point)
{
    static const uint8_t base[FW_X25519_BYTES] = {9};
    crypto_eddsa_trim_scalar(work->scalar, secret);
    fe_frombytes(work->x1, point == NULL ? base : point);
    fe_1(work->x2);
    fe_0(work->z2);
    fe_copy(work->x3, work->x1);
    fe_1(work->z3);
    work->done = 0;
    work->swap = 0;
}

/* The ladder's step of RFC 7748, section 5, whose names the comments have. The points are swapped without
 * a branch, for that depends on the secret. The last bit of a trimmed scalar is 0, so in the end they
 * stand as they should. */
static void ladder_step(fw_x25519_t *work, int bit)
{
    fe_cswap(work->x2, work->x3, work->swap ^ bit);
    fe_cswap(work->z2, work->z3, work->swap ^ bit);
    work->swap = (uint8_t)bit;
    fe_add(work->t0, work->x2, work->z2);     /* A */
    fe_sub(work->t1, work->x2, work->z2);     /* B */
    fe_add(work->x2, work->x3, work->z3);     /* C */
    fe_sub(work->z2, work->x3, work->z3);     /* D */
    fe_mul(work->z2, work->z2, work->t0);     /* DA */
    fe_mul(work->x2, work->x2, work->t1);     /* CB */
    fe_sq(work->t0, work->t0);                /* AA */
    fe_sq(work->t1, work->t1);                /* BB */
    fe_add(work->x3, work->z2, work->x2);
    fe_sub(work->z3, work->z2, work->x2);
    fe_mul(work->x2, work->t0, work->t1);
    fe_sub(work->t1, work->t0, work->t1);     /* E */
    fe_sq(work->z3, work->z3);
    fe_mul_small(work->z2, work->t1, 121665);
    fe_sq(work->x3, work->x3);
    fe_add(work->z2, work->z2, work->t0);
    fe_mul(work->z3, work->z3, work->x1);
    fe_mul(work->z2, work->z2, work->t1);
}

/* 1 / z2 grows in t0: z2 to the power of 2^255 - 21, which is 250 ones and then 01011. Each squaring
 * moves the exponent so far one bit up. Of the ones, the first ten come one by one, and then ten at
 * a time out of t1. */
static void inversion_step(fw_x25519_t *work, int squaring)
{
    if (squaring == 0) {
        fe_copy(work->t0, work->z2);
    }
    fe_sq(work->t0, work->t0);
    bool is_one_of_ten = squaring < 9;
    bool is_in_tail = squaring >= 249;
    if (is_one_of_ten || (is_in_tail && squaring != 249 && squaring != 251)) {
        fe_mul(work->t0, work->t0, work->z2);
    } else if (!is_in_tail && squaring % 10 == 8) {
        fe_mul(work->t0, work->t0, work->t1);
    }
    if (squaring == 8) {
        fe_copy(work->t1, work->t0);
    }
}

bool fw_x25519_slice(fw_x25519_t *work, uint8_t shared[FW_X25519_BYTES])
{
    for (int32_t cost = 0; cost < SLICE_COST && work->done < BITS + SQUARINGS; work->done++) {
        if (work->done < BITS) {
            ladder_step(work, scalar_bit(work->scalar, BITS - 1 - work->done));
            cost += BIT_COST;
        } else {
            inversion_step(work, work->done - BITS);
            cost++;
        }
    }
    if (work->done < BITS + SQUARINGS) {
        return false;
    }
    fe_mul(work->x2, work->x2, work->t0);
    fe_tobytes(shared, work->x2);
    crypto_wipe(work, sizeof *work);
    return true;
}
