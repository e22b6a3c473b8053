/*
 * stand_in.h: a controller for the API to talk to, while the real one is being built: it lives in
 * memory, compiles and runs real scripts, and its inputs move by themselves.
 *
 * Used by the API's tests in C, by the page's rehearsal, and by `cargo run --example built-in-page`.
 * Never part of a chip's image.
 */
#ifndef FW_STAND_IN_H
#define FW_STAND_IN_H

#include "api.h"
#include "compile.h"
#include "runner.h"

#define STAND_IN_WHYS 64u
#define STAND_IN_RECEIPTS 8u

typedef struct {
    uint8_t source[FW_SCRIPT_SOURCE_MAX];
    uint32_t code[FW_SCRIPT_CODE_WORDS_MAX];
    uint32_t table[FW_SCRIPT_TABLE_WORDS_MAX];
    uint16_t source_bytes;
    uint16_t code_words;
    uint16_t table_words;
    uint16_t operations;
} stand_in_slot_t;

typedef struct {
    uint32_t receipt;
    fw_api_outcome_t outcome;
} stand_in_receipt_t;

typedef struct {
    stand_in_slot_t slots[2];
    fw_compiler_t compiler;
    fw_runner_t runner;
    uint8_t running;      /* slot */
    bool is_written;      /* the other slot holds a compiled script */
    bool is_compiling;
    bool is_on_trial;
    uint32_t trial_ms;    /* when it began */
    uint32_t upload_bytes[2];
    uint32_t upload_written[2];
    uint8_t update;       /* fw_api_update_t */
    uint8_t first_byte;   /* of the image */
    uint8_t waits;        /* asks before what is under way is done */

    uint32_t now_ms;
    uint64_t uptime_ms;
    uint64_t began_ms;    /* wall clock at the start; 0 = not known */
    uint32_t boot_id;
    int32_t raw[FW_POINTS_MAX];
    int32_t levels[FW_POINTS_MAX]; /* of the outputs, forced or not */
    fw_cause_t causes[FW_POINTS_MAX];
    int32_t forced[FW_POINTS_MAX];
    uint32_t force_left_ms[FW_POINTS_MAX]; /* 0: it is not */
    bool is_input_fixed;  /* inputs stay as a test has put them */

    fw_vm_call_t call;
    uint32_t call_receipt; /* 0: none waits */
    stand_in_receipt_t receipts[STAND_IN_RECEIPTS];
    uint32_t receipts_given;

    fw_api_why_t whys[STAND_IN_WHYS];
    uint32_t why_last;

    uint8_t settings[FW_SETTINGS][FW_SETTING_BYTES_MAX];
    uint8_t setting_bytes[FW_SETTINGS];
    uint8_t verifier[FW_VERIFIER_BYTES];
    bool has_verifier;
    bool is_setup_open;
    bool is_store_broken;
    uint32_t looked_ms;
    bool is_looking;
    uint64_t random_state;
    uint32_t restarts;
    fw_api_controller_t interface;
} stand_in_t;

/* A controller with a script that runs, and no password. `seed` is for its random numbers;
 * `began_ms` is the wall clock, or 0. */
void stand_in_init(stand_in_t *stand_in, uint64_t seed, uint64_t began_ms, uint32_t now_ms);

/* What the API is given. */
const fw_api_controller_t *stand_in_interface(stand_in_t *stand_in);

/* A scan; to be called every 10 ms. */
void stand_in_scan(stand_in_t *stand_in, uint32_t now_ms);

/* For Rust, which keeps room for it, for the API and for the server. */
size_t stand_in_bytes(void);

#endif
