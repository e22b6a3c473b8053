/*
 * replay.h: runs the scans of a recording (core/recorder.h, docs/recorder.md) again, on this machine. Never
 * part of a chip's image.
 *
 * A recording comes from outside: nothing in it is believed before it was looked at. Each of its segments
 * begins with a state, and what the scans before have led to must be that state; likewise the last one
 * the head's. So a replay proves itself, or says that it arrived elsewhere.
 */
#ifndef FW_REPLAY_H
#define FW_REPLAY_H

#include "recorder.h"

typedef enum {
    FW_REPLAY_SCAN = 0, /* one was run */
    FW_REPLAY_END,      /* all were, and all agrees */
    FW_REPLAY_NONE,     /* it is no recording */
    FW_REPLAY_FORMAT,   /* one of another format */
    FW_REPLAY_BROKEN,   /* it says what cannot be */
    FW_REPLAY_ELSEWHERE, /* the scans lead to another state */
} fw_replay_result_t;

/* What its head says. */
typedef struct {
    fw_recorded_t recorded;
    uint32_t now_ms; /* of the last scan */
    uint32_t digest; /* behind it */
    uint16_t used[2]; /* bytes of the older segment, 0 = there is none, and of the newer one */
    uint16_t scans[2];
    uint8_t format;
} fw_replay_head_t;

#define FW_REPLAY_SET_MAX 8u

typedef struct {
    fw_runner_t runner;
    fw_recorder_t recorder; /* what is known of the last scan */
    fw_replay_head_t head;
    const uint8_t *next; /* the first byte of the segment to come */
    const uint8_t *at;
    const uint8_t *end;
    uint8_t segment; /* 0 or 1, or 2: at the end */
    uint16_t scans;  /* of this segment, that are still to be run */
    /* Of the last scan: */
    fw_command_t command;
    bool has_command;
    uint8_t result;   /* fw_result_t */
    uint8_t what;     /* fw_tape_what_t */
    uint8_t set_count;
    uint8_t set_cells[FW_REPLAY_SET_MAX]; /* by hand before it; more of them are not told */
    uint32_t elapsed_ms;
} fw_replay_t;

size_t fw_replay_bytes(void);
size_t fw_replay_align(void);

/* Reads the head; END: it is good. */
fw_replay_result_t fw_replay_head(const uint8_t *bytes, size_t length, fw_replay_head_t *head);

/* Begins: the runner then stands where the recording begins. Bytes and program must outlive the replay.
 * END: it may go on. */
fw_replay_result_t fw_replay_begin(fw_replay_t *replay, const uint8_t *bytes, size_t length,
                                   const fw_program_t *program);

/* Runs the next scan. */
fw_replay_result_t fw_replay_next(fw_replay_t *replay);

/* ---- for the Rust wrapper ---- */

/* A recorder beside a runner of its own, as tests have it. */
size_t fw_host_recorder_bytes(void);
size_t fw_host_recorder_align(void);
/* What is recorded so far, as it would be kept; its length, 0: nothing yet. It may be gone on with. */
#define FW_HOST_RECORDING_BYTES_MAX (FW_RECORDER_HEAD_BYTES + 2u * FW_RECORDER_SEGMENT_BYTES)
size_t fw_host_recording(fw_recorder_t *recorder, const fw_runner_t *runner, uint32_t script_crc,
                         uint8_t *into, size_t room);

fw_runner_t *fw_replay_runner(fw_replay_t *replay);

/* The line that divided by zero last, once one has. */
uint16_t fw_replay_divided_line(const fw_replay_t *replay);

typedef struct {
    int32_t arguments[FW_ARGUMENTS_MAX];
    uint32_t now_ms;
    uint32_t elapsed_ms;
    uint32_t by; /* of the command */
    uint32_t reference;
    uint32_t forced;   /* outputs: a bit each */
    uint8_t command;   /* fw_command_kind_t; 0xFF: there was none */
    uint8_t index;
    uint8_t result;    /* fw_result_t */
    bool online;
    bool synced;
    uint8_t set_count;
    uint8_t set_cells[FW_REPLAY_SET_MAX];
} fw_replay_scan_t;

size_t fw_replay_scan_bytes(void);
void fw_replay_scan(const fw_replay_t *replay, fw_replay_scan_t *scan);

#endif
