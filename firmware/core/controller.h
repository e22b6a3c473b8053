/*
 * controller.h: one controller, whole: its scan, its link to the gateway, its answers.
 *
 * The port drives it: it calls the functions below when something happened, and fw_controller_poll
 * at least as often as that asks for. All of them run to their end without waiting, and none may be
 * called from within a port function. Memory is the caller's: one fw_controller_t, which stays
 * where it is.
 *
 *   closed --> preparing --dial--> dialling --connected--> greeting --message 2--> agreeing
 *      ^                                                                              |
 *      '--- any error, silence, or the port's `disconnected` --- live <--full status-- keyed
 *
 * Preparing and agreeing are the two halves of a handshake that take long: a slice of them goes with
 * each poll. The clear link leaves both out.
 *
 * Losing the link changes nothing but the link: the scan carries on.
 *
 * The struct is open so that its size is known; its fields are for controller.c, link.c, send.c and
 * answer.c alone.
 */
#ifndef FW_CONTROLLER_H
#define FW_CONTROLLER_H

#include "backoff.h"
#include "clock.h"
#include "commands.h"
#include "keeper.h"
#include "keys.h"
#include "noise.h"
#include "port.h"
#include "recorder.h"
#include "status.h"
#include "update.h"

/* Whether the clear link can be asked for. Release firmware is built without it. */
#ifndef FW_CLEAR_LINK
#define FW_CLEAR_LINK 0
#endif

#define FW_GATEWAYS_MAX 2u
/* Answers that wait for room in the link. More requests than this in one go are dropped, and their
 * askers time out. Room for the gateway's outcome queries after a lost link is kept free of tools',
 * so that nobody's flood can leave a command unresolved. */
#ifndef FW_ANSWERS_OF_TOOLS_MAX
#define FW_ANSWERS_OF_TOOLS_MAX 24u
#endif
#define FW_ANSWERS_MAX (FW_ANSWERS_OF_TOOLS_MAX + FW_IN_FLIGHT_MAX)
/* How long an event waits for its answer, and then, or when the gateway asks for it, to be told again. */
#define FW_EVENT_ANSWER_MS 10000u
#define FW_EVENT_AGAIN_MS 2000u
/* How long an error frame may wait for the link before it is given up. */
#define FW_CLOSING_MS 1000u
/* A hello reply: a map of five numbers. */
#define FW_HELLO_REPLY_BYTES_MAX (1u + 5u * (1u + 9u))
/* The longest frame with message 2 that is read: what the work on it leaves of rx. */
#define FW_MESSAGE_2_FRAME_BYTES_MAX ((FW_RECORD_BYTES_MAX - sizeof(fw_x25519_t)) / 4u * 4u)
/* What fw_controller_poll returns at most. */
#define FW_WAKE_MS_MAX 60000u

/* Strings live as long as the controller. */
typedef struct {
    const char *title;    /* what `identify` says */
    const char *software;
    const char *board;
    const char *zone;     /* local time, see zone.h; NULL = UTC */
    const fw_keys_t *keys; /* read at the start alone; NULL = none, for who dials nobody, or in clear */
    uint32_t address;
    uint32_t boot_id;    /* 0 = take a random one */
    uint16_t record_bytes_max; /* FW_RECORD_BYTES_MIN … FW_RECORD_BYTES_MAX; 0 = the most */
    uint8_t gateways;    /* at most FW_GATEWAYS_MAX; 0 = nobody is dialled */
    bool clear;          /* lab only, and only where FW_CLEAR_LINK is 1 */
} fw_settings_t;

typedef enum {
    FW_LINK_CLOSED = 0, /* waits for its next attempt */
    FW_LINK_PREPARING,  /* the pair of keys for it is being made */
    FW_LINK_DIALLING,
    FW_LINK_GREETING, /* hello and message 1 sent */
    FW_LINK_AGREEING, /* message 2 is here, and the shared secret is being computed */
    FW_LINK_KEYED,    /* the gateway has proven that it knows the key */
    FW_LINK_LIVE,     /* announce and full status are sent */
    FW_LINK_CLOSING,  /* an error frame is to leave first */
} fw_link_state_t;

typedef struct {
    fw_answer_t answers[FW_ANSWERS_MAX];
    fw_answer_t late;       /* the keeper's, while `is_late` */
    uint32_t event;         /* number of the event under way; 0 = none */
    uint32_t event_correlation;
    uint32_t event_ms;      /* when it was told, or is told no earlier than FW_EVENT_AGAIN_MS later */
    uint32_t since_ms;      /* when the state began */
    uint32_t wait_ms;       /* closed: until the next attempt */
    uint32_t ping_interval_ms;
    uint32_t ping_at_ms;    /* when the last one was sent, or fell due */
    uint32_t ping_correlation;
    uint32_t correlation;   /* of the next frame of ours that wants an answer */
    uint16_t record_bytes_max;
    uint16_t sent;          /* of tx: handed to the port */
    uint16_t filled;        /* of tx */
    uint8_t answers_head;
    uint8_t answers_count;
    uint8_t state;
    uint8_t closing_code;
    bool sealed;       /* frames go in records: the handshake is done, and the link not clear */
    bool delta_first;  /* of the record being made: a due delta goes before answers */
    bool full_asked;   /* the snapshot at the head of the answers has begun its full status */
    bool announced;
    bool ping_due;
    bool ping_open;    /* the reply is awaited */
    bool port_busy;    /* the port holds bytes of tx until it says `sent` */
    bool first_full;   /* the session's own full status is not written yet */
    bool is_late;      /* a request is under way with the keeper */
    bool has_event;    /* the keeper may have one to tell */
    bool event_waits;  /* it is told again later */
    bool is_next;      /* this attempt or session is of the next key (keys.h) */
    bool tries_next;   /* the next attempt is to be */
    bool is_second;    /* that one is for the other key, at the same gateway */
    bool was_refused;  /* closing: the gateway did not prove that it knows the key */
    fw_noise_ephemeral_t ephemeral;
    fw_noise_handshake_t handshake;
    fw_cipher_t sending;
    fw_cipher_t receiving;
    fw_frame_reader_t frames;
    fw_record_reader_t records;
    union {
        uint8_t rx[FW_RECORD_BYTES_MAX];
        /* While it prepares nothing comes in; while it agrees, message 2 waits at the beginning, and
         * the gateway sends nothing behind it. Not in tx: what the port was handed of that may still
         * be sent again. */
        struct {
            uint8_t message_2[FW_MESSAGE_2_FRAME_BYTES_MAX];
            fw_x25519_t work;
        };
    };
    uint8_t tx[FW_RECORD_BUFFER_BYTES];
} fw_link_t;

_Static_assert(sizeof(((fw_link_t *)NULL)->rx) >=
                   offsetof(fw_link_t, work) - offsetof(fw_link_t, rx) + sizeof(fw_x25519_t),
               "the work on a handshake takes no memory of its own");
_Static_assert(FW_MESSAGE_2_FRAME_BYTES_MAX >=
                   FW_HEADER_BYTES + FW_NOISE_MESSAGE_2_BYTES_MIN + FW_HELLO_REPLY_BYTES_MAX,
               "every message 2 has room");

/* What health tells that the controller does not know by itself: whoever is around it says so. */
typedef struct {
    const uint8_t *digest; /* of the script's source; NULL = not known yet */
    const fw_update_t *update; /* NULL = its firmware is not replaced through the link */
    uint32_t trial_left_ms;
    uint32_t free_bytes; /* 0 = nobody knows */
    uint8_t reset;  /* fw_reset_t */
    uint8_t script; /* fw_script_state_t */
} fw_condition_t;

typedef struct {
    fw_settings_t settings;
    const fw_port_t *port;
    const fw_keeper_t *keeper; /* NULL = nothing is kept */
    void *keeper_ctx;
    const char *script_title;
    fw_condition_t condition;
    fw_recorder_t *recorder; /* that notes scans; NULL: none. Whoever starts a script lets go of it */
    fw_runner_t runner;
    fw_zone_t zone;
    uint64_t uptime_ms;
    uint32_t counted_ms; /* uptime is counted up to here */
    uint32_t scanned_ms; /* the last scan's beginning */
    uint32_t scans;          /* since boot */
    uint32_t driven;         /* outputs changed since whoever reads this cleared it: a bit each */
    uint32_t late_scans;     /* that came 10 ms late or later, since boot */
    uint32_t longest_gap_ms; /* between two scans */
    bool input_news;     /* the port says that an input changed */
    uint8_t gap_cause;   /* fw_gap_cause_t of the longest */
    uint8_t stall;       /* fw_gap_cause_t, by whoever has held the next scan up and knows it */
    fw_keys_t keys;
    fw_backoff_t backoff;
    fw_clock_t clock;
    fw_status_t status;
    fw_commands_t commands;
    fw_link_t link;
} fw_controller_t;

/* False if a setting is out of its range; the controller is then not usable. `port` must outlive
 * the controller. No script runs yet, and so there is no point. */
bool fw_controller_init(fw_controller_t *controller, const fw_settings_t *settings,
                        const fw_port_t *port);

/* Runs a script from the next poll on, which reads its inputs and drives its outputs. `title` is what the
 * yard calls it. Both must stay until another one runs. What the one before had still to do is over: its
 * outputs are safe, what waited to be executed is refused, what waited for a feedback has failed. */
void fw_controller_run(fw_controller_t *controller, const fw_program_t *program, const char *title);

/* Local time from now on; false if the text is no zone, and nothing changes. NULL is UTC. */
bool fw_controller_set_zone(fw_controller_t *controller, const char *zone);

/* Scans when 10 ms have passed since the last scan, runs all timers, sends what is to be sent.
 * Returns the milliseconds until it must be called again: 10 at most while anything moves, much
 * longer while nothing does, so that thousands of idle controllers cost nothing. A chip may call it
 * every 10 ms regardless. */
uint32_t fw_controller_poll(fw_controller_t *controller);

/* An input may have changed: the next poll should come soon, and will scan as soon as it may. */
void fw_controller_input_changed(fw_controller_t *controller);

/* The time of day, in milliseconds since 1970, from elsewhere than the gateway: schedules go by it while
 * no gateway has told its own for 15 minutes (fw_clock_tell). May be told at any time, and often. */
void fw_controller_tell_time(fw_controller_t *controller, uint64_t time);

/* The port's answers to `dial`. Disconnected also tells of a link lost later. */
void fw_controller_connected(fw_controller_t *controller);
void fw_controller_disconnected(fw_controller_t *controller);

/* The bytes taken by the last `send` are no longer needed. */
void fw_controller_sent(fw_controller_t *controller);

/* Bytes came in, split anywhere. All are consumed. */
void fw_controller_receive(fw_controller_t *controller, const uint8_t *bytes, size_t length);

/* The answer that the keeper owes, if it still does: its code, and what it is about. */
void fw_controller_answer(fw_controller_t *controller, fw_code_t code, uint32_t about);

/* The keys have changed, and that is kept. A session of a key that is none of them any more ends. */
void fw_controller_rekeyed(fw_controller_t *controller, const fw_keys_t *keys);
/* A change was asked for that changes nothing: the next key, where there is one, has the first turn again. */
void fw_controller_rekeyed_again(fw_controller_t *controller);

/* The keeper has events that have not arrived. */
void fw_controller_tell_events(fw_controller_t *controller);

/* Wipes keys. The link is not hung up. */
void fw_controller_end(fw_controller_t *controller);

fw_link_state_t fw_controller_link_state(const fw_controller_t *controller);

#endif
