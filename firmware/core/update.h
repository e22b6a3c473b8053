/*
 * update.h: new firmware, from a signed manifest to a confirmed boot, or back.
 *
 * The image goes into the slot that does not run, sector by sector; how far it has come is in a
 * journal (journal.h), so that after a cut it goes on where it was. Everything is read back. Then:
 *
 *   NONE ──begin──▶ WRITING ──finish──▶ PENDING ──boot──▶ TRIAL ──confirm──▶ CONFIRMED
 *   (all but TRIAL                      │                  │
 *    begin anew, too)                   └────three boots that do not end so────▶ FALLEN_BACK
 *
 * PENDING: the image is whole and its signature is good; the caller restarts into it. Each boot
 * counts itself before anything else: fw_update_open, steps until fw_update_is_settled, then
 * fw_update_boot_slot tells which slot is to run. If that is another than the one that does, the
 * port has to switch and restart. An image that dies before it has counted cannot fall back.
 *
 * Signatures are Ed25519 (RFC 8032) over the manifest:
 *
 *   0  "SWF1"   4 slot, u8, 1 or 2   5 three zeros   8 version, u32   12 lowest version that may
 *   follow, u32   16 length, u32   20 profile, 20 bytes, filled up with zeros   40 BLAKE2b-256
 *
 * Integers are big-endian. `lowest version` is raised for good when the image is confirmed.
 */
#ifndef FW_UPDATE_H
#define FW_UPDATE_H

#include "journal.h"
#include "monocypher.h"

#define FW_MANIFEST_BYTES 72u
#define FW_SIGNATURE_BYTES 64u
#define FW_PROFILE_BYTES_MAX 20u
#define FW_UPDATE_BOOTS_MAX 3u

typedef enum {
    FW_UPDATE_NONE = 0,
    FW_UPDATE_WRITING,
    FW_UPDATE_PENDING,
    FW_UPDATE_TRIAL,
    FW_UPDATE_CONFIRMED,
    FW_UPDATE_FALLEN_BACK,
} fw_update_phase_t;

typedef enum {
    FW_UPDATE_OK = 0,
    FW_UPDATE_BUSY,          /* an erase or a record is under way, or the phase has no use of it */
    FW_UPDATE_MALFORMED,     /* not a manifest */
    FW_UPDATE_OTHER_PROFILE, /* for another board */
    FW_UPDATE_OTHER_SLOT,    /* linked for the slot that runs */
    FW_UPDATE_TOO_LARGE,     /* empty, not in words, or longer than a slot */
    FW_UPDATE_TOO_OLD,       /* below the lowest version that may follow */
    FW_UPDATE_BAD_OFFSET,    /* not where the image has come to, or past its end */
    FW_UPDATE_INCOMPLETE,    /* bytes are missing */
    FW_UPDATE_BAD_HASH,      /* what was written is not what the manifest says */
    FW_UPDATE_BAD_SIGNATURE,
    FW_UPDATE_FAULT,         /* flash has failed */
} fw_update_answer_t;

/* What runs, and whom it believes. */
typedef struct {
    const char *profile;        /* at most FW_PROFILE_BYTES_MAX */
    const uint8_t *public_key;  /* 32 bytes; NULL: it believes nobody, and takes no update */
    uint32_t version;
    uint8_t slot;               /* that the running image is linked for: 1 or 2 */
} fw_update_identity_t;

typedef enum {
    FW_UPDATE_STEP_IDLE = 0,
    FW_UPDATE_STEP_ERASE, /* the sector that is written next */
    FW_UPDATE_STEP_READY, /* for bytes */
    FW_UPDATE_STEP_HASH,
    FW_UPDATE_STEP_SIGNATURE,
} fw_update_step_t;

typedef struct {
    fw_journal_t journal;
    const fw_update_identity_t *identity;
    fw_flash_stream_t stream;
    crypto_blake2b_ctx hash;
    uint32_t length;   /* of the image */
    uint32_t version;
    uint32_t lowest;   /* version that may be installed */
    uint32_t hashed;   /* bytes so far */
    uint16_t sectors;  /* whole in flash */
    uint8_t slot;      /* that the image is for */
    uint8_t phase;     /* fw_update_phase_t */
    uint8_t boots;     /* of the new image, or attempts at one */
    uint8_t tries;     /* at erasing a sector */
    uint8_t step;      /* fw_update_step_t */
    uint8_t boot_slot; /* that is to run */
    uint8_t result;    /* fw_update_answer_t of the last finish */
} fw_update_t;

/* Reads the state and counts this boot if it is one of a new image. The identity must outlive
 * it. */
void fw_update_open(fw_update_t *update, fw_flash_t *flash, const fw_update_identity_t *identity);

static inline bool fw_update_is_settled(const fw_update_t *update)
{
    return fw_journal_is_settled(&update->journal);
}

/* The slot that is to run; another than the identity's means: switch and restart. */
uint8_t fw_update_boot_slot(const fw_update_t *update);

/* Begins to write, or goes on if this very manifest was being written. Busy: step, and ask
 * again. */
fw_update_answer_t fw_update_begin(fw_update_t *update, const uint8_t manifest[FW_MANIFEST_BYTES],
                                   const uint8_t signature[FW_SIGNATURE_BYTES]);

/* The offset at which bytes are wanted. */
uint32_t fw_update_offset(const fw_update_t *update);

/* Takes bytes from the front, at most a slice's worth a call; `taken` tells how many. Busy: a
 * sector is being erased or recorded; step. */
fw_update_answer_t fw_update_write(fw_update_t *update, uint32_t offset, const uint8_t *bytes,
                                   size_t length, size_t *taken);

/* Begins to check what was written. Step until the phase is PENDING and settled, or `result` says
 * why not; then the phase is NONE. */
fw_update_answer_t fw_update_finish(fw_update_t *update);

/* Gives up an image that is being written, or waits for its boot. */
fw_update_answer_t fw_update_abort(fw_update_t *update);

/* This boot is good. Settled, it will not fall back. */
fw_update_answer_t fw_update_confirm(fw_update_t *update);

/* At most one erase or program, or a slice of hashing, or the one check of a signature (about
 * 0.3 s). How long it may be left alone then. */
uint32_t fw_update_step(fw_update_t *update, uint32_t now_ms);

#endif
