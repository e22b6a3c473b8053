/*
 * recorder.h: the last scans, such that a host can run them again: what each of them was given, and from
 * time to time all that outlives a scan.
 *
 * Two segments in turn. Each begins with a checkpoint, the state behind some scan, and goes on with what
 * the scans after it were given, mostly one byte each. A segment ends after 64 scans, or when little room
 * is left; then the other one is begun anew. So there are 64 to 127 scans, and fewer only where much
 * happens in each. docs/recorder.md has the bytes.
 *
 * What a scan works out is not recorded: the same core works it out again. Nor is the time of day: what a
 * script knows of it are its `during`, and those are told.
 */
#ifndef FW_RECORDER_H
#define FW_RECORDER_H

#include "runner.h"

#define FW_RECORDER_FORMAT 1u
#define FW_RECORDER_SCANS 64u
#define FW_RECORDER_SEGMENT_BYTES 1776u
#define FW_RECORDER_HEAD_BYTES 56u
#define FW_RECORDER_SUM_AT 52u /* in the head: the sum of all bytes before and behind it */
#define FW_RECORDER_SUM_BEGIN 2166136261u

/* A cell that was set by hand, in place of a scan's first byte. */
#define FW_TAPE_CELL 0xFFu
/* Bit 7 of a scan's first byte: a second one has bits of what follows. The others are the milliseconds
 * since the scan before, if these are no more than this. */
#define FW_TAPE_MORE 0x80u
#define FW_TAPE_MS_MAX 126u

/* What a scan brings besides its time, in this order. */
typedef enum {
    FW_TAPE_LONG = 1,       /* milliseconds since the scan before */
    FW_TAPE_INPUTS = 2,     /* those that read differently */
    FW_TAPE_COMMAND = 4,
    FW_TAPE_FORCES = 8,     /* places that have changed */
    FW_TAPE_DURINGS = 16,   /* those that began or ended */
    FW_TAPE_ONLINE = 32,    /* the gateway is there or away now */
    FW_TAPE_SYNCED = 64,    /* the time of day is known or unknown now */
    FW_TAPE_LEFT_OUT = 128, /* scans before it may have been left out: FW_SKIPS_SCANS */
} fw_tape_what_t;

/* How a scan found the world, in bits. */
#define FW_TAPE_IS_ONLINE 1u
#define FW_TAPE_IS_SYNCED 2u
#define FW_TAPE_IS_STOPPED 4u
#define FW_TAPE_HAS_SCANNED 8u /* of a checkpoint: the script has run */
#define FW_TAPE_LEAVES_OUT 16u /* of no checkpoint: hosts and chips differ by it */
/* The bit of a point's override that says that its feedback disagrees. */
#define FW_TAPE_DISAGREES 0x80u

/* Why a recording was kept. */
typedef enum {
    FW_RECORDED_ON_REQUEST = 1,
    FW_RECORDED_DIVISION, /* by zero */
    FW_RECORDED_FEEDBACK, /* did not follow its output */
} fw_recorded_why_t;

#define FW_RECORDED_ON_TRIAL 1u /* bit of fw_recorded_t.flags */

/* What the head of a kept recording says besides the recorder's own. */
typedef struct {
    uint64_t uptime_ms;
    uint32_t script_crc; /* of source, code and table: fw_slot_t */
    uint32_t generation;
    uint32_t boot_id;
    uint32_t time_s; /* since 1970; 0 = not known */
    uint16_t line;   /* of the statement that is at fault; 0 = none */
    uint8_t why;     /* fw_recorded_why_t */
    uint8_t flags;
    uint8_t point; /* FW_POINT_NONE, or the output whose feedback did not follow */
} fw_recorded_t;

/* Where numbers go, each of at most 5 bytes: less room than that is none. */
typedef struct {
    uint8_t *at;
    const uint8_t *end;
    uint32_t *digest; /* NULL; or bytes only count in this, and `at` stays */
} fw_tape_t;

typedef struct {
    uint32_t used;  /* bytes; 0 = nothing is recorded here. Of the current one `tape` tells */
    uint32_t scans; /* behind the checkpoint */
    uint8_t bytes[FW_RECORDER_SEGMENT_BYTES];
} fw_segment_t;

/* Fields that each scan looks at are words: the chip is quickest with these. */
typedef struct {
    fw_tape_t tape;        /* behind the last byte of the current segment */
    fw_segment_t *current; /* NULL: nothing is recorded */
    uint32_t kept[FW_SCRIPT_CELLS / 32u]; /* cells that outlive a scan: a bit each */
    uint32_t inputs;       /* points: a bit each */
    uint32_t digital;
    uint32_t now_ms;       /* what follows is as it was in the last scan */
    uint32_t bits;         /* FW_TAPE_IS_… */
    uint32_t forced;
    int32_t raw[FW_SCRIPT_POINTS_MAX]; /* of inputs; digital ones have two levels */
    fw_force_t forces[FW_FORCES_MAX];
    uint32_t waits; /* scans that are not looked at: the state has no room */
    uint8_t head[FW_RECORDER_HEAD_BYTES]; /* once it is ended */
    fw_segment_t segments[2];
} fw_recorder_t;

/* Begins anew, with the next scan of that runner. */
void fw_recorder_begin(fw_recorder_t *recorder, const fw_runner_t *runner);

/* Behind each scan, with what the scan was given. `recorder` may be NULL: nothing is recorded. */
void fw_recorder_note(fw_recorder_t *recorder, const fw_runner_t *runner,
                      const fw_runner_scan_t *scan);

/* A cell was set by hand since the last scan. Also with NULL. */
void fw_recorder_set(fw_recorder_t *recorder, uint8_t cell, int32_t value);

/* Ends the recording: writes the head, behind which nothing may be noted until it begins anew. False if
 * there is nothing. */
bool fw_recorder_end(fw_recorder_t *recorder, const fw_runner_t *runner,
                     const fw_recorded_t *recorded);

/* The ended recording's bytes from `at` on, as many as lie together; none at its end. */
fw_span_t fw_recorder_piece(const fw_recorder_t *recorder, uint32_t at);

/* ---- what a replay needs too ---- */

/* The cells that outlive a scan: those of names. Constants never change, and what lies between is worked
 * out anew in each scan. */
void fw_recorder_find_kept(uint32_t kept[FW_SCRIPT_CELLS / 32u], const fw_program_t *program);

/* Goes on with a sum: FNV-1a, of 32 bits. */
uint32_t fw_recorder_sum(uint32_t sum, const uint8_t *bytes, size_t length);

/* A number that tells one state from another: the checkpoint that would be written now. */
uint32_t fw_recorder_digest(const fw_recorder_t *recorder, const fw_runner_t *runner);

#endif
