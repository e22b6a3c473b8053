/*
 * rig.h: a whole controller with a scripted port under it and a scripted gateway at the other end.
 *
 * The clock is the test's. Everything handed across is of exact size and on the heap, so that the
 * address sanitizer sees one byte too far; and whatever comes out is held to the protocol by the
 * rig itself, in every test: whole deterministic payloads, the own source, announce and full status
 * first, deltas without a gap, receipts that only advance and end once.
 */
#ifndef FW_TEST_RIG_H
#define FW_TEST_RIG_H

#include "device.h"
#include "nor.h"
#include "script_rig.h"

#define RIG_ADDRESS 100042u
#define RIG_TOOL 0xC0000001u
#define RIG_EPOCH_MS 1800000000000u /* gateway time at the rig's zero */
#define RIG_KEYS_MAX 4096u
#define RIG_FRAMES_MAX 512u

/* What the gateway's hello reply says; rig_reply gives a good one. */
typedef struct {
    uint64_t version, record_bytes_max, time, ping_interval_ms, address;
} rig_reply_t;

typedef struct {
    fw_frame_header_t header;
    uint8_t *payload; /* on the heap */
} rig_frame_t;

typedef struct {
    fw_controller_t *controller; /* on the heap; the device's, if there is one */
    fw_device_t *device;         /* on the heap, or NULL */
    fw_nor_t *nor;
    fw_device_setup_t setup;
    unsigned restarts;
    fw_port_t port;
    fw_settings_t settings;
    fw_keys_t keys;
    uint64_t elapsed_ms;
    uint32_t base_ms; /* the port's count at the rig's zero */
    bool is_slow;     /* each reading of that count finds a millisecond more */
    int32_t inputs[FW_CHANNELS], outputs[FW_CHANNELS];
    bool feedback; /* DI2 is wired to RL1 */

    /* the port's link */
    unsigned dials, hang_ups;
    uint8_t gateway;  /* dialled last */
    bool up;
    bool held;        /* send takes nothing */
    bool withheld;    /* what send took is not given back */
    bool lost;        /* send fails */
    size_t send_max;  /* taken of one offer */
    size_t split;     /* bytes to the controller come in pieces of this size */
    size_t behind;    /* bytes that come with message 2, behind it */
    const uint8_t *lent; /* where the core must leave the bytes alone */
    uint8_t *lent_copy;
    size_t lent_bytes;
    uint8_t *wire; /* left the controller, and not read yet */
    size_t wire_bytes;

    /* the gateway */
    uint8_t key[FW_LINK_KEY_BYTES]; /* that it knows */
    bool open; /* the hello reply is sent */
    bool answers_pings;
    bool absorbing;
    fw_cipher_t sends, receives;
    uint8_t *reading;
    fw_record_reader_t records;
    fw_frame_reader_t plain;
    rig_frame_t frames[RIG_FRAMES_MAX];
    size_t frames_count;
    uint32_t correlation;  /* of the last frame to the controller */
    uint32_t asked_before; /* the same when the session began */
    /* of events and alarms: told as the gateway would, unless it is to be silent or to refuse */
    bool ignores_events;
    fw_code_t event_code;
    uint32_t event_last;   /* the latest number; 0 = none yet */
    unsigned events;       /* that were passed on */

    /* what was told so far */
    unsigned session_frames;
    uint32_t boot_id, sequence;
    unsigned page;
    bool full_known;
    int64_t values[FW_POINTS_MAX];
    uint8_t stages[RIG_KEYS_MAX]; /* by the number in the key's first bytes */
    bool ended[RIG_KEYS_MAX];
} rig_t;

/* A controller just started that runs a built-in script; `record_bytes_max` 0 is the most. */
rig_t *rig_new(const char *script, bool clear, uint16_t record_bytes_max);
/* A rig without a controller. */
rig_t *rig_blank(bool clear, uint16_t record_bytes_max);
/* A whole device on a chip from the factory (device.h), whose first script this text is; and the same
 * device again after its power has failed. */
rig_t *rig_device(const char *text);
void rig_power_fails(rig_t *rig);
/* The same as rig_new, and live. */
rig_t *rig_live(const char *script, bool clear, uint16_t record_bytes_max);
void rig_free(rig_t *rig);

/* Moves the clock and polls once; or in scans of 10 ms. */
void rig_jump(rig_t *rig, uint32_t ms);
void rig_run(rig_t *rig, uint32_t ms);
/* Lets the port give bytes back and the gateway read, until nothing moves. */
void rig_drain(rig_t *rig);
/* The port gives back what it holds, once, even if it withholds. */
void rig_release(rig_t *rig);
uint64_t rig_time(const rig_t *rig);

void rig_await_dial(rig_t *rig);
rig_reply_t rig_reply(const rig_t *rig);
/* Connects after the dial, up to what the controller says first. */
void rig_hello(rig_t *rig);
/* Answers it. On the Noise link `spoil` names a byte of message 2 to change, or is -1. */
void rig_answer_hello(rig_t *rig, const rig_reply_t *reply, int spoil);
/* Whether the controller has said hello by the key that the gateway knows; and what it is told if not. */
bool rig_is_known(const rig_t *rig);
void rig_refuse(rig_t *rig, fw_code_t code);
/* Lets the controller compute what it was answered. */
void rig_agree(rig_t *rig);
void rig_connect(rig_t *rig);
/* The port tells that the link is gone. */
void rig_disconnect(rig_t *rig);

/* Raw bytes to the controller, in pieces. */
void rig_bytes(rig_t *rig, const uint8_t *bytes, size_t length);
/* Whole frames, as a record or in clear. */
void rig_plain(rig_t *rig, const uint8_t *frames, size_t length);
/* One frame to the controller; returns its correlation id. */
uint32_t rig_send(rig_t *rig, uint8_t kind, uint8_t flags, uint32_t source,
                  const uint8_t *payload, size_t length);
/* A request with a verb and no field. */
uint32_t rig_query(rig_t *rig, uint16_t verb);
void rig_key(uint8_t key[FW_COMMAND_KEY_BYTES], uint32_t number);
uint32_t rig_set(rig_t *rig, uint32_t key, uint64_t expiry, const char *point, int64_t value);
uint32_t rig_adjust(rig_t *rig, uint32_t key, uint64_t expiry, const char *parameter,
                    int64_t value);
uint32_t rig_call(rig_t *rig, uint32_t key, uint64_t expiry, const char *command,
                  const int64_t *arguments, size_t count);

/* The first frame that came with this kind, and with this correlation id unless that is 0. */
const rig_frame_t *rig_find(const rig_t *rig, uint8_t kind, uint32_t correlation);
/* An unsigned field; UINT64_MAX if there is none. */
uint64_t rig_field(const rig_frame_t *frame, uint64_t key);
size_t rig_count(const rig_t *rig, uint8_t kind);
void rig_forget(rig_t *rig);
/* Whether the link ended, and the error frame that came bore this code. */
bool rig_failed(rig_t *rig, fw_code_t code);

#endif
