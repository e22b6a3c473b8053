/*
 * scripts.h: a controller's scripts: the one that runs, the one that is brought, and the trial in between.
 *
 *   begin ──▶ write … ──▶ compile ──▶ keep, or try ──▶ (on trial) ──▶ keep, or go back
 *
 * A script is brought into the slot that is not active (slots.h), compiled from there, and runs once that is
 * safe in flash. On trial the one before stays whole, and comes back by itself when
 *
 * - the power fails, the watchdog bites, or anything else restarts the controller,
 * - a division by zero or the fault of a feedback says that the script is wrong,
 * - the gateway was there when the trial began, and then was away for three minutes.
 *
 * If none of that happens for FW_TRIAL_MS, and the gateway is there, the new one is kept. Without a gateway a
 * person has to keep it.
 *
 * Values that a script retains, and its parameters, go from the one to the other by name and type
 * (retain.h); a return brings back those of before the trial.
 *
 * What takes longer is begun by a call and ended by fw_scripts_poll; the caller asks again with the same call
 * until it no longer says FW_SCRIPTS_WAIT.
 */
#ifndef FW_SCRIPTS_H
#define FW_SCRIPTS_H

#include "compile.h"
#include "controller.h"
#include "retain.h"
#include "slots.h"

#define FW_TRIAL_MS 600000u
#define FW_TRIAL_AWAY_MS_MAX 180000u
/* How often values that are kept are looked at. */
#define FW_RETAIN_LOOK_MS 1000u

typedef enum {
    FW_SCRIPTS_OK = 0,
    FW_SCRIPTS_WAIT,         /* ask again */
    FW_SCRIPTS_WRONG_STATE,  /* not possible now: on trial, nothing was brought, or the like */
    FW_SCRIPTS_OUT_OF_RANGE, /* too long */
    FW_SCRIPTS_ERROR,        /* `error` says what is wrong */
    FW_SCRIPTS_FAULT,        /* flash has failed */
} fw_scripts_result_t;

/* What is being done, or was done last. */
typedef enum {
    FW_SCRIPTS_NOTHING = 0,
    FW_SCRIPTS_BEGIN,
    FW_SCRIPTS_COMPILE,
    FW_SCRIPTS_TRY,    /* run it on trial */
    FW_SCRIPTS_ACCEPT, /* run it for good */
    FW_SCRIPTS_KEEP,
    FW_SCRIPTS_REVERT,
} fw_scripts_work_t;

/* Why a trial ended by itself. */
typedef enum {
    FW_TRIAL_NOT_ENDED = 0,
    FW_TRIAL_PASSED,
    FW_TRIAL_FAULTED,
    FW_TRIAL_LOST_LINK,
} fw_trial_end_t;

typedef struct {
    fw_controller_t *controller;
    fw_slots_t *slots;
    fw_retain_t *retain;
    const fw_board_t *board;
    const fw_flash_port_t *flash;
    fw_compiler_t *compiler; /* its memory is others' too: see fw_device_work_t */
    fw_script_error_t error; /* of what was compiled last, if the result is FW_SCRIPTS_ERROR */
    char title[FW_TITLE_BYTES_MAX + 1u];
    uint8_t places[FW_SCRIPT_VARIABLES_MAX]; /* in `retain`, of each retained name and parameter */
    uint32_t generation; /* of the script that runs; 0 = none */
    uint32_t wanted_bytes;  /* of what is being brought */
    uint32_t written_bytes;
    uint32_t looked_ms;
    uint32_t trial_ms;      /* when the trial began */
    uint32_t away_ms;       /* since when the gateway is away in it */
    uint32_t faulty;        /* channels that bore a fault before it: a bit each */
    uint32_t cost;          /* of what was compiled last: of a scan at most, in instructions */
    uint16_t code_words;
    uint16_t table_words;
    uint16_t operations;    /* of a scan */
    uint8_t openings;       /* scripts that were begun to be brought; goes round */
    uint8_t compilations;   /* begun so far; goes round */
    uint8_t work;           /* fw_scripts_work_t */
    uint8_t step;           /* of it */
    uint8_t result;         /* fw_scripts_result_t of it; WAIT while it is being done */
    uint8_t state;          /* fw_script_state_t */
    uint8_t trial_end;      /* fw_trial_end_t of the last trial */
    bool is_compiled;       /* what was brought may be run */
    bool trial_had_link;
} fw_scripts_t;

/* Runs what is active; where there is nothing, or it was damaged, `source` is compiled and kept. All stores
 * must be settled, and nothing scans yet: it takes as long as it takes. `stopped`: safe mode, outputs stay
 * safe. All that is pointed to must be set in `scripts` before, and outlive it. */
void fw_scripts_start(fw_scripts_t *scripts, fw_span_t source, bool stopped, uint32_t now_ms);

/* A script of so many bytes is to be brought; one that was being brought is given up, which `openings`
 * tells whoever brought it. */
fw_scripts_result_t fw_scripts_begin(fw_scripts_t *scripts, uint32_t bytes);

/* Its next bytes. Those that were written already may come again; others than the next are WRONG_STATE. */
fw_scripts_result_t fw_scripts_write(fw_scripts_t *scripts, uint32_t at, fw_span_t bytes);

/* Whether more of it may be written. */
bool fw_scripts_is_bringing(const fw_scripts_t *scripts);

/* Compiles it; runs it on trial or for good; keeps what is on trial, or goes back. */
fw_scripts_result_t fw_scripts_do(fw_scripts_t *scripts, fw_scripts_work_t work);

/* Sets a parameter and sees that it is kept. OUT_OF_RANGE, or WRONG_STATE: there is none of that name. */
fw_scripts_result_t fw_scripts_adjust(fw_scripts_t *scripts, fw_span_t name, int32_t value);

/* The program of a version in a slot; false if this firmware cannot run it. */
bool fw_scripts_program(const fw_scripts_t *scripts, const fw_slot_view_t *view,
                        fw_program_t *program);

/* Whether something is being done. */
bool fw_scripts_is_working(const fw_scripts_t *scripts);

/* Whether the compiler's memory is in use. */
bool fw_scripts_is_compiling(const fw_scripts_t *scripts);

/* Goes on with what is being done, watches a trial, keeps values. Not while a scan is under way. */
void fw_scripts_poll(fw_scripts_t *scripts, uint32_t now_ms);

/* How much of a trial is left; 0: it waits for a person, or there is none. */
uint32_t fw_scripts_trial_left_ms(const fw_scripts_t *scripts, uint32_t now_ms);

/* Where the running script's text lies, and its length; NULL: there is none. */
const uint8_t *fw_scripts_source(const fw_scripts_t *scripts, uint16_t *length);

#endif
