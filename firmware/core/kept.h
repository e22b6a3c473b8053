/*
 * kept.h: what device_kept.c remembers of what is asked for from afar: transfers, trials, digests, keys
 * (keeper.h; docs/protocol.md section 6.1).
 *
 * One transfer at a time, of whichever tool opened it last. What is written goes to where the local
 * page's uploads go: so either of them ends the other's.
 */
#ifndef FW_KEPT_H
#define FW_KEPT_H

#include "code.h"
#include "keeper.h"

#define FW_DIGEST_BYTES 32u
/* How long a script runs before its digest is worked out unasked. */
#define FW_DIGEST_PATIENCE_MS 10000u
/* Entries of the log in one answer: each is looked up in flash. */
#define FW_LOG_ENTRIES_TOLD 8u

/* What is being done for the answer that is owed. */
typedef enum {
    FW_KEPT_NOTHING = 0,
    FW_KEPT_OPEN,    /* of a script: the slot is being erased */
    FW_KEPT_VERIFY,  /* what was written is held to its digest */
    FW_KEPT_COMPILE,
    FW_KEPT_RUN,     /* kept, or on trial */
    FW_KEPT_BEGIN,   /* of firmware: the manifest */
    FW_KEPT_MAKE_ROOM, /* flash is made ready for the next piece of an image */
    FW_KEPT_FINISH,  /* of firmware: the image is checked */
    FW_KEPT_TRIAL,
    FW_KEPT_READ,    /* the digest of what is read */
    FW_KEPT_REKEY,   /* the settings are being saved */
} fw_kept_work_t;

typedef struct {
    const char *detail;   /* of the last refusal, or NULL */
    const char *expected; /* of the last commit: what the compiler missed; NULL = nothing */
    const char *fix;
    const uint8_t *hashing; /* where the bytes lie that are hashed */
    uint32_t owner;       /* of the transfer */
    uint32_t size;
    uint32_t generation;  /* of the script that `digest` is of; 0 = it is not known */
    uint32_t recording_generation; /* likewise, of the recording */
    uint16_t line;        /* where `expected` is */
    uint16_t column;
    uint16_t other_line;
    uint16_t hashed;      /* bytes so far */
    uint8_t announced[FW_DIGEST_BYTES]; /* of what is written */
    uint8_t digest[FW_DIGEST_BYTES];    /* of the script that runs */
    uint8_t recording[FW_DIGEST_BYTES]; /* of the recording in flash */
    uint8_t content;      /* fw_content_t of what is written; 0 = there is no transfer */
    uint8_t read;         /* fw_content_t of what is read */
    uint8_t work;         /* fw_kept_work_t */
    uint8_t compiled;     /* scripts, when the hash was begun */
    uint8_t opening;      /* of the script that is written (scripts.h) */
    bool keeps;           /* of a commit, or of a trial's end */
    bool is_hashing;
} fw_kept_t;

#endif
