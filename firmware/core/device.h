/*
 * device.h: a controller with all that is around it: what it keeps in flash, its scripts' lives, why its
 * outputs changed, and all that its page asks for (api.h).
 *
 * A port that has flash drives this instead of controller.h: fw_device_poll where it would have called
 * fw_controller_poll, and the controller's other calls as before, on `device->controller`. Memory is the
 * caller's: one fw_device_t, which stays where it is.
 */
#ifndef FW_DEVICE_H
#define FW_DEVICE_H

#include "api.h"
#include "configuration.h"
#include "controller.h"
#include "events.h"
#include "kept.h"
#include "logbook.h"
#include "scripts.h"
#include "update.h"

/* What a radio tells. */
typedef struct {
    uint32_t ip; /* 192.168.4.1 is 0xC0A80401; 0 = none */
    int8_t rssi_dbm;
    uint8_t state;        /* fw_api_wifi_t */
    bool is_access_point; /* its own Wi-Fi is open */
} fw_radio_t;

/* What it asks of the machine, besides port.h. */
typedef struct {
    void *ctx;
    void (*radio)(void *ctx, fw_radio_t *radio);
    /* Wi-Fi or gateways have been set anew: to be joined, to be dialled. */
    void (*configured)(void *ctx, const fw_configuration_t *configuration);
    /* Looks for networks; false: still looking. Then they are walked from 0 on. */
    bool (*look_around)(void *ctx);
    bool (*network)(void *ctx, uint16_t at, fw_api_network_t *network);
    uint32_t (*free_bytes)(void *ctx);
    /* Whether a first password may be set. */
    bool (*setup_is_open)(void *ctx);
    /* The chip's own number, FW_HARDWARE_BYTES_MAX at most; its length. NULL: nobody knows it. */
    uint8_t (*hardware)(void *ctx, uint8_t *into);
    /* Does not return, or does so only where nobody minds. */
    void (*restart)(void *ctx);
} fw_machine_t;

/* What never changes while it runs. Strings and what is pointed to stay. */
typedef struct {
    const fw_port_t *port;
    const fw_flash_port_t *flash;
    const fw_machine_t *machine;
    const fw_board_t *board;
    fw_update_identity_t identity;
    const char *software;
    const char *board_title;
    fw_span_t first_script; /* for a controller that has none */
    fw_settings_t settings; /* of the controller, where the configuration does not know: tests, the host */
    uint8_t reset;          /* fw_reset_t */
    bool is_crashing;       /* three exception or watchdog resets within a minute: safe mode */
} fw_device_setup_t;

/* What has the same memory, one at a time: scans are recorded while nothing is compiled, no digest is worked
 * out and nobody looks into a scan. */
typedef union {
    fw_compiler_t compiler;
    fw_recorder_t recorder;
    fw_shadow_t shadow; /* as long as the runner has it */
    crypto_blake2b_ctx hash;
} fw_device_work_t;

/* A recording on its way into flash. */
typedef struct {
    uint32_t divisions;    /* by zero, as of the last look */
    uint32_t faults;       /* of feedbacks: a bit each */
    uint32_t began_ms;     /* when the recording was ended */
    uint32_t kept_ms;      /* when the last one was that a fault has ended */
    uint32_t asked_ms;     /* and the last that somebody asked for */
    uint16_t written;      /* bytes */
    uint16_t generation;   /* of the slot, once it is in flash; its lower half */
    uint8_t step;
    uint8_t compilations;  /* when it was ended: another one takes the memory */
    bool has_divided;      /* by zero, since the script was started, and that was told */
    bool has_kept;         /* since boot */
    bool was_asked;
    bool is_of_fault;      /* and nobody asked for it */
    bool has_failed;       /* the last one: flash has */
} fw_dump_t;

/* A recording that a fault ends is kept unless one was within an hour; what somebody asks for, unless they
 * did within a minute. */
#define FW_DUMP_GAP_MS 3600000u
#define FW_DUMP_ASKED_GAP_MS 60000u
/* How long it waits for a save that nobody goes on with. */
#define FW_DUMP_PATIENCE_MS 30000u

#define FW_RESTART_DELAY_MS 500u
#define FW_CONFIRM_LINK_MS 60000u
#define FW_CONFIRM_RUN_MS 300000u
/* How long a new image may run without its gateway. The board's own Wi-Fi, where it is set up, opens
 * earlier: people may yet mend what keeps it off. */
#define FW_CONFIRM_AWAY_MS 600000u
/* By this a millisecond's count becomes one of 16 seconds, of which a byte tells more than an hour: there
 * is no room for more. */
#define FW_MET_SHIFT 14u

typedef struct {
    const fw_device_setup_t *setup;
    fw_controller_t controller;
    fw_flash_t flash;
    fw_slots_t slots;
    fw_retain_t retain;
    fw_logbook_t logbook;
    fw_update_t update;
    fw_scripts_t scripts;
    fw_configuration_t configuration;
    fw_events_t events;
    fw_kept_t kept;
    fw_device_work_t work;
    fw_dump_t dump;
    uint32_t restart_ms;       /* when it was asked for */
    uint32_t logged_scans;     /* scans whose changes are in the logbook */
    /* The firmware that is being uploaded: manifest, signature, image. */
    uint32_t image_bytes;
    uint32_t image_at; /* bytes that came so far */
    uint8_t image_head[FW_MANIFEST_BYTES + FW_SIGNATURE_BYTES];
    uint8_t page_opening; /* of the script that the page brings (scripts.h) */
    bool is_image_begun;
    bool is_image_checking;
    uint8_t saving;            /* of the settings: a step */
    uint8_t entry;             /* of the settings: the next to be written */
    uint8_t turn;              /* of the stores: whose it is to take a step */
    bool must_restart : 1;
    bool save_failed : 1;      /* and nobody was told yet */
    uint8_t met;               /* when its gateway was there last, or nobody missed it: see FW_MET_SHIFT */
} fw_device_t;

/* First of all: counts this boot where new firmware is on trial (update.h), and tells the slot that
 * is to run. If that is another than the identity's, the port switches and restarts. Of the setup
 * only port, flash and identity must be complete yet; it must outlive the device. */
uint8_t fw_device_boot(fw_device_t *device, const fw_device_setup_t *setup);

/* Then: opens the other stores, reads what is set up, and runs the script; nothing scans meanwhile.
 * False if the settings are wrong. */
bool fw_device_init(fw_device_t *device);

/* In place of fw_controller_poll: a scan, the link, then a slice of everything else. Returns the milliseconds
 * until it must be called again. */
uint32_t fw_device_poll(fw_device_t *device);

/* Keeps the last scans (recorder.h) in flash, where fw_slots_active(…, FW_PAIR_DUMP, …) has them once
 * fw_device_is_dumping no longer says so. Nothing is recorded meanwhile. False: one is being kept, or was
 * asked for within the last minute, or there is nothing yet. */
bool fw_device_dump_now(fw_device_t *device);
bool fw_device_is_dumping(const fw_device_t *device);

/* What an API is given, with a device. */
extern const fw_api_controller_t fw_device_api;

#endif
