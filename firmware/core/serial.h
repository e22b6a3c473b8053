/*
 * serial.h: a controller on its serial line (docs/serial.md): the commands of the Improv Serial standard, by
 * which any such tool tells a board its Wi-Fi, and requests of ours for everything else that is set up.
 *
 * It asks the controller by the table that the page's API has (api.h). The port pushes in what comes, and
 * polls it; one thing is worked on at a time, in slices, and answered when it is done. What takes its answer's
 * memory meanwhile, as a password that is stretched, is why nothing begins while an answer goes out.
 */
#ifndef FW_SERIAL_H
#define FW_SERIAL_H

#include "api.h"
#include "serial_line.h"

/* After so long without a request a protected board is locked again. */
#define FW_SERIAL_IDLE_MS_MAX 300000u
/* Whoever holds the board's button for so long unlocks it. */
#define FW_SERIAL_BUTTON_MS 10000u
/* How long a network may take to be joined. */
#define FW_SERIAL_JOIN_MS_MAX 30000u
/* What Wi-Fi says so soon after it was told another network may be about the one before. */
#define FW_SERIAL_JOIN_MS_MIN 500u
/* Work that does not end. */
#define FW_SERIAL_WORK_MS_MAX 60000u

/* What passwords are worked on with, in the memory of the answer. */
typedef struct {
    fw_log_in_t log_in;
    uint8_t verifier[FW_VERIFIER_BYTES];
} fw_serial_scratch_t;

/* Fields are serial.c's own. */
typedef struct {
    const fw_api_controller_t *controller;
    void *ctx; /* the controller's */
    fw_serial_line_t line;
    uint32_t now_ms;
    uint32_t since_ms;   /* when the work on the packet began, or its last wait */
    uint32_t used_ms;    /* when it was unlocked, or asked for something */
    uint32_t looked_ms;  /* when Wi-Fi was */
    uint32_t button_ms;  /* when the button was pressed */
    uint32_t guessed_ms; /* as fw_log_in_t has it */
    uint32_t answered;   /* the checksum of the request whose answer is in `line` */
    uint16_t cursor;     /* of a list that is told */
    uint8_t guesses;
    uint8_t step;        /* of the work; 0: it has not begun */
    uint8_t state;       /* of Improv, as it was told last */
    uint8_t error;       /* of Improv, that is to be told, or FW_SERIAL_NO_ERROR_DUE */
    bool has_answered;   /* and it can be given again */
    bool is_state_due;
    bool is_provisioning;
    bool is_unlocked;
    bool is_pressed;
} fw_serial_t;

/* Nobody is to be told of an error. */
#define FW_SERIAL_NO_ERROR_DUE 0xFEu

/* `controller` and port must outlive it. What goes out first is the line by which a flasher knows the firmware. */
void fw_serial_init(fw_serial_t *serial, const fw_api_controller_t *controller, void *ctx,
                    const fw_serial_port_t *port, uint32_t now_ms);

/* Bytes came in, split anywhere. All are consumed. */
void fw_serial_receive(fw_serial_t *serial, const uint8_t *bytes, size_t length, uint32_t now_ms);

/* A slice of work. To be called every 10 ms or so; the milliseconds until it must be. */
uint32_t fw_serial_poll(fw_serial_t *serial, uint32_t now_ms);

/* A line of the log. It never breaks a packet, and is left out where there is no room for it. */
void fw_serial_log(fw_serial_t *serial, const char *text);

/* How the board's button stands; to be told at each poll, where there is one. */
void fw_serial_button(fw_serial_t *serial, bool is_pressed, uint32_t now_ms);

/* Whether a packet is on its way in, is being worked on, or on its way out: nobody else should write, and the
 * line not be given to others. */
bool fw_serial_is_busy(const fw_serial_t *serial);

#endif
