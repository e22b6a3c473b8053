/*
 * nor.h: a megabyte of NOR flash that loses power at will, for tests and for this machine's port.
 *
 * It is harder than a chip. A program clears bits and never sets one; a second program of a word
 * between two erases, an operation off its boundaries or out of the chip is a violation: counted,
 * told, and refused. A cut falls into the operation it was set for and leaves what the pattern
 * says, among it bits that read differently from one read to the next until their sector is erased.
 * Words that an interrupted operation may have touched count as programmed, also where they read
 * blank.
 */
#ifndef FW_NOR_H
#define FW_NOR_H

#include "port.h"

#define FW_NOR_BYTES 0x100000u
#define FW_NOR_WORDS (FW_NOR_BYTES / 4u)
#define FW_NOR_SECTORS (FW_NOR_BYTES / 0x1000u)

/* What a cut leaves of the operation that it falls into. */
typedef enum {
    FW_NOR_CUT_BEFORE = 0,  /* nothing has happened yet */
    FW_NOR_CUT_AFTER,       /* all of it has, and nobody was told */
    FW_NOR_CUT_PREFIX,      /* the first bytes, and of the next one some bits */
    FW_NOR_CUT_SUBSET,      /* any bits */
    FW_NOR_CUT_PREFIX_WEAK, /* the first bytes, and the next few read differently each time */
    FW_NOR_CUT_SUBSET_WEAK, /* any bits, and any other read differently each time */
    FW_NOR_CUT_ALL_WEAK,    /* every bit that was to change reads differently each time */
    FW_NOR_CUT_LAST_WEAK,   /* all of it, but one word at the end reads differently each time */
    FW_NOR_CUT_GARBAGE,     /* of an erase: any content at all. Of a program: as SUBSET_WEAK */
    FW_NOR_CUTS,
} fw_nor_cut_t;

typedef struct {
    uint32_t cells[FW_NOR_WORDS];
    uint32_t weak[FW_NOR_WORDS];     /* bits that read differently each time */
    bool programmed[FW_NOR_WORDS];   /* since the sector's erase, or perhaps so */
    bool used[FW_NOR_SECTORS];       /* not as it came from the factory */
    uint32_t erases[FW_NOR_SECTORS];
    fw_flash_port_t port;            /* hand this to the core */
    uint64_t random;
    uint32_t operations;             /* programs and erases so far */
    uint32_t programs;
    uint32_t cut_at;                 /* the operation that power fails in; UINT32_MAX = none */
    fw_nor_cut_t cut;
    uint32_t weak_zero_percent;      /* how often a weak bit reads 0, until the next power-up */
    uint32_t violations;
    /* A worn-out sector's address, whose programs do not take; 0 = none, UINT32_MAX = all. */
    uint32_t refuse_programs_of;
    bool is_quiet;                   /* violations are not told */
    bool is_off;                     /* power has failed: everything is refused */
} fw_nor_t;

/* A chip from the factory. Large: keep it off the stack. */
void fw_nor_init(fw_nor_t *nor, uint64_t seed);

/* Makes `to` what `from` is, but for the violations counted on it. Both have been initialised. */
void fw_nor_copy(fw_nor_t *to, const fw_nor_t *from);

/* Power fails within the operation that comes after `more` further ones. */
void fw_nor_cut_after(fw_nor_t *nor, uint32_t more, fw_nor_cut_t cut);

/* Power is back, and no cut is set. */
void fw_nor_power_up(fw_nor_t *nor);

#endif
