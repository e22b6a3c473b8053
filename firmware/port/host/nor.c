/*
 * nor.c: see nor.h.
 */
#include "nor.h"

#include <stdio.h>
#include <string.h>

enum { SECTOR_BYTES = 0x1000, SECTOR_WORDS = SECTOR_BYTES / 4 };

#define BLANK 0xFFFFFFFFu

static uint32_t draw(fw_nor_t *nor)
{
    nor->random ^= nor->random >> 12;
    nor->random ^= nor->random << 25;
    nor->random ^= nor->random >> 27;
    return (uint32_t)((nor->random * 0x2545F4914F6CDD1Du) >> 32);
}

static void violate(fw_nor_t *nor, const char *what, uint32_t address)
{
    if (nor->violations++ < 10u && !nor->is_quiet) {
        printf("flash: %s at 0x%05X, operation %u\n", what, (unsigned)address,
               (unsigned)nor->operations);
    }
}

/* ---- reading ---- */

/* Each bit 0 with the odds that this power-up has drawn for weak ones. */
static uint32_t draw_weak(fw_nor_t *nor)
{
    if (nor->weak_zero_percent == 0u || nor->weak_zero_percent >= 100u) {
        return nor->weak_zero_percent == 0u ? BLANK : 0u;
    }
    uint32_t bits = 0;
    for (uint32_t i = 0; i < 32u; i++) {
        bits |= (uint32_t)(draw(nor) % 100u >= nor->weak_zero_percent) << i;
    }
    return bits;
}

static bool is_range(fw_nor_t *nor, uint32_t address, size_t words)
{
    bool is_good = address % 4u == 0u && address <= FW_NOR_BYTES &&
                   words <= (FW_NOR_BYTES - address) / 4u;
    if (!is_good) {
        violate(nor, "not on words of the chip", address);
    }
    return is_good;
}

static bool nor_read(void *ctx, uint32_t address, uint32_t *into, size_t words)
{
    fw_nor_t *nor = ctx;
    if (nor->is_off || !is_range(nor, address, words)) {
        return false;
    }
    for (size_t i = 0; i < words; i++) {
        size_t at = address / 4u + i;
        uint32_t weak = nor->weak[at];
        into[i] = weak == 0u ? nor->cells[at] : (nor->cells[at] & ~weak) | (draw_weak(nor) & weak);
    }
    return true;
}

/* Weak bits read as they were before here; what may be mapped has none. */
static const uint32_t *nor_map(void *ctx, uint32_t address)
{
    fw_nor_t *nor = ctx;
    return nor->cells + address / 4u;
}

/* ---- programs ---- */

/* The mask of bits in word `at` of the bytes before `bytes`, counted from word 0's first byte. */
static uint32_t mask_before(size_t at, size_t bytes)
{
    if (bytes <= at * 4u) {
        return 0;
    }
    size_t within = bytes - at * 4u;
    return within >= 4u ? BLANK : (1u << (8u * within)) - 1u;
}

/* What a cut leaves of one word whose bits `change` were to change: bits that have, and bits that
 * nobody can tell. `from_byte` is where a prefix ends. */
static void tear(fw_nor_t *nor, size_t at, size_t count, size_t prefix_bytes, uint32_t change,
                 uint32_t *done, uint32_t *weak)
{
    uint32_t before = mask_before(at, prefix_bytes);
    uint32_t next = mask_before(at, prefix_bytes + 1u) & ~before;
    uint32_t few = mask_before(at, prefix_bytes + 6u) & ~before;
    *done = 0;
    *weak = 0;
    switch (nor->cut) {
    case FW_NOR_CUT_PREFIX:
        *done = change & (before | (next & draw(nor)));
        break;
    case FW_NOR_CUT_SUBSET:
        *done = change & draw(nor);
        break;
    case FW_NOR_CUT_PREFIX_WEAK:
        *done = change & before;
        *weak = change & few;
        break;
    case FW_NOR_CUT_SUBSET_WEAK:
    case FW_NOR_CUT_GARBAGE:
        *done = change & draw(nor);
        *weak = change & ~*done & draw(nor);
        break;
    case FW_NOR_CUT_ALL_WEAK:
        *weak = change;
        break;
    case FW_NOR_CUT_LAST_WEAK:
        *weak = at + 1u == count ? change : 0u;
        *done = change & ~*weak;
        break;
    default: /* before: nothing */
        break;
    }
}

/* Counts an operation. True if power fails within it. */
static bool count_operation(fw_nor_t *nor)
{
    return nor->operations++ == nor->cut_at;
}

static bool nor_program(void *ctx, uint32_t address, const uint32_t *words, size_t count)
{
    fw_nor_t *nor = ctx;
    if (nor->is_off || !is_range(nor, address, count)) {
        return false;
    }
    bool is_cut = count_operation(nor);
    nor->programs++;
    bool is_worn = nor->refuse_programs_of == UINT32_MAX ||
                   (nor->refuse_programs_of != 0u &&
                    address / SECTOR_BYTES == nor->refuse_programs_of / SECTOR_BYTES);
    size_t prefix_bytes = draw(nor) % (count * 4u + 1u);
    for (size_t i = 0; i < count; i++) {
        size_t at = address / 4u + i;
        nor->used[at / SECTOR_WORDS] = true;
        if (nor->programmed[at]) {
            violate(nor, "second program of a word", address + (uint32_t)i * 4u);
            return false;
        }
        uint32_t change = nor->cells[at] & ~words[i];
        uint32_t done = is_worn ? change & ~1u : change;
        uint32_t weak = 0;
        if (is_cut && nor->cut != FW_NOR_CUT_AFTER) {
            tear(nor, i, count, prefix_bytes, change, &done, &weak);
        }
        nor->cells[at] &= ~done;
        nor->weak[at] = weak;
        nor->programmed[at] = true;
    }
    nor->is_off = is_cut;
    return !is_cut;
}

/* ---- erases ---- */

static bool nor_erase(void *ctx, uint32_t address)
{
    fw_nor_t *nor = ctx;
    if (nor->is_off || !is_range(nor, address, SECTOR_WORDS)) {
        return false;
    }
    if (address % SECTOR_BYTES != 0u) {
        violate(nor, "erase off a sector's beginning", address);
        return false;
    }
    bool is_cut = count_operation(nor);
    nor->erases[address / SECTOR_BYTES]++;
    nor->used[address / SECTOR_BYTES] = true;
    size_t first = address / 4u;
    size_t prefix_bytes = draw(nor) % (SECTOR_BYTES + 1u);
    for (size_t i = 0; i < SECTOR_WORDS; i++) {
        uint32_t change = ~nor->cells[first + i];
        uint32_t done = change;
        uint32_t weak = 0;
        if (is_cut && nor->cut == FW_NOR_CUT_GARBAGE) {
            /* The chip clears a sector before it sets it. */
            nor->cells[first + i] = draw(nor);
            weak = draw(nor) & draw(nor);
            done = 0;
        } else if (is_cut && nor->cut != FW_NOR_CUT_AFTER) {
            tear(nor, i, SECTOR_WORDS, prefix_bytes, change, &done, &weak);
        }
        nor->cells[first + i] |= done;
        nor->weak[first + i] = weak;
        nor->programmed[first + i] = is_cut;
    }
    nor->is_off = is_cut;
    return !is_cut;
}

/* ---- life ---- */

void fw_nor_init(fw_nor_t *nor, uint64_t seed)
{
    memset(nor, 0, sizeof *nor);
    memset(nor->cells, 0xFF, sizeof nor->cells);
    nor->port = (fw_flash_port_t){
        .ctx = nor, .read = nor_read, .program = nor_program, .map = nor_map, .erase = nor_erase};
    nor->random = seed * 2u + 1u;
    nor->weak_zero_percent = 50;
    nor->cut_at = UINT32_MAX;
}

void fw_nor_copy(fw_nor_t *to, const fw_nor_t *from)
{
    for (size_t i = 0; i < FW_NOR_SECTORS; i++) {
        size_t first = i * SECTOR_WORDS;
        if (from->used[i] || to->used[i]) {
            memcpy(to->cells + first, from->cells + first, SECTOR_BYTES);
            memcpy(to->weak + first, from->weak + first, SECTOR_BYTES);
            memcpy(to->programmed + first, from->programmed + first, SECTOR_WORDS * sizeof(bool));
        }
    }
    memcpy(to->used, from->used, sizeof to->used);
    memcpy(to->erases, from->erases, sizeof to->erases);
    to->random = from->random;
    to->operations = from->operations;
    to->programs = from->programs;
    to->cut_at = from->cut_at;
    to->cut = from->cut;
    to->weak_zero_percent = from->weak_zero_percent;
    to->refuse_programs_of = from->refuse_programs_of;
    to->is_off = from->is_off;
}

void fw_nor_cut_after(fw_nor_t *nor, uint32_t more, fw_nor_cut_t cut)
{
    nor->cut_at = nor->operations + more;
    nor->cut = cut;
}

void fw_nor_power_up(fw_nor_t *nor)
{
    static const uint32_t odds[] = {0, 100, 50, 2, 98};
    nor->weak_zero_percent = odds[draw(nor) % (sizeof odds / sizeof odds[0])];
    nor->cut_at = UINT32_MAX;
    nor->is_off = false;
}
