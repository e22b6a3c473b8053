/*
 * code.h: the numbers of the protocol by name: codes, kinds, flags, verbs, stages, payload keys.
 *
 * docs/protocol.md is where they are given out; a number changes there first, and never after a
 * release. Names are for people and for tests: programs go by the number.
 */
#ifndef FW_CODE_H
#define FW_CODE_H

#include <stdbool.h>
#include <stdint.h>

/* The registry of section 9, once: X(number, UPPER, lower). */
#define FW_CODE_LIST(X)                                                                            \
    X(0, OK, ok)                                                                                   \
    X(1, MALFORMED, malformed)                                                                     \
    X(2, UNSUPPORTED_VERSION, unsupported_version)                                                 \
    X(3, HANDSHAKE_FAILED, handshake_failed)                                                       \
    X(4, REPLAYED_HANDSHAKE, replayed_handshake)                                                   \
    X(5, BAD_RECORD, bad_record)                                                                   \
    X(6, BAD_TOKEN, bad_token)                                                                     \
    X(7, FORGED_SOURCE, forged_source)                                                             \
    X(8, TOO_LARGE, too_large)                                                                     \
    X(9, HANDSHAKE_TIMEOUT, handshake_timeout)                                                     \
    X(10, SILENT, silent)                                                                          \
    X(11, SLOW_PEER, slow_peer)                                                                    \
    X(12, REPLACED, replaced)                                                                      \
    X(13, SHUTTING_DOWN, shutting_down)                                                            \
    X(14, REVOKED, revoked)                                                                        \
    X(15, RATE_LIMITED, rate_limited)                                                              \
    X(32, UNKNOWN_ADDRESS, unknown_address)                                                        \
    X(33, OFFLINE, offline)                                                                        \
    X(34, FORBIDDEN, forbidden)                                                                    \
    X(35, UNSUPPORTED, unsupported)                                                                \
    X(36, WRONG_KIND, wrong_kind)                                                                  \
    X(37, BAD_FIELD, bad_field)                                                                    \
    X(38, BUSY, busy)                                                                              \
    X(39, NOT_GRANTED, not_granted)                                                                \
    X(40, STORE_UNAVAILABLE, store_unavailable)                                                    \
    X(41, TIMED_OUT, timed_out)                                                                    \
    X(42, INTERNAL, internal)                                                                      \
    X(64, EXPIRED, expired)                                                                        \
    X(65, STALE_CLOCK, stale_clock)                                                                \
    X(66, UNKNOWN_POINT, unknown_point)                                                            \
    X(67, UNKNOWN_COMMAND, unknown_command)                                                        \
    X(68, NOT_MANUAL, not_manual)                                                                  \
    X(69, OUT_OF_RANGE, out_of_range)                                                              \
    X(70, REFUSED_BY_SCRIPT, refused_by_script)                                                    \
    X(71, NOT_CONFIRMED, not_confirmed)                                                            \
    X(72, LINK_LOST, link_lost)                                                                    \
    X(73, REBOOTED, rebooted)                                                                      \
    X(74, WRONG_STATE, wrong_state)

#define FW_CODE_ENUM(number, upper, lower) FW_CODE_##upper = number,
typedef enum { FW_CODE_LIST(FW_CODE_ENUM) } fw_code_t;
#undef FW_CODE_ENUM

/* The registry's name of a code, or "unknown" for a number it does not hold. */
const char *fw_code_name(uint32_t code);

/* Kinds of frames (section 2.1). */
typedef enum {
    FW_KIND_HELLO = 0x01,
    FW_KIND_PING = 0x02,
    FW_KIND_ERROR = 0x03,
    FW_KIND_HANDSHAKE = 0x04,
    FW_KIND_QUERY = 0x10,
    FW_KIND_COMMAND = 0x11,
    FW_KIND_CONFIGURE = 0x12,
    FW_KIND_ADMIN = 0x13,
    FW_KIND_RESPONSE = 0x20,
    FW_KIND_EVENT = 0x21,
    FW_KIND_STATUS_FULL = 0x22,
    FW_KIND_STATUS_DELTA = 0x23,
    FW_KIND_RECEIPT = 0x24,
} fw_kind_t;

/* Whether the kind is in the table of section 2.1. */
bool fw_kind_known(uint8_t kind);

/* The flags that may stand on a kind (section 2.2); 0 for most, and for unknown kinds. */
uint8_t fw_kind_flags_allowed(uint8_t kind);

/* Whether the kind's payload carries a verb at key 2. */
bool fw_kind_carries_verb(uint8_t kind);

/* The kind's name as the table has it, with underscores; "unknown" for others. */
const char *fw_kind_name(uint8_t kind);

/* Flags (section 2.2). */
#define FW_FLAG_MORE 0x01u
#define FW_FLAG_REPLY 0x02u

/* Verbs (section 6). */
typedef enum {
    FW_VERB_IDENTIFY = 1,
    FW_VERB_DESCRIBE = 2,
    FW_VERB_SNAPSHOT = 3,
    FW_VERB_OUTCOME = 4,
    FW_VERB_SUBSCRIBE = 5,
    FW_VERB_UNSUBSCRIBE = 6,
    FW_VERB_LOOKUP = 7,
    FW_VERB_RECEIPT = 8,
    FW_VERB_PARAMETERS = 9,
    FW_VERB_VALUES = 10,
    FW_VERB_LOG = 11,
    FW_VERB_HEALTH = 12,
    FW_VERB_TRANSFER_READ = 13,
    FW_VERB_SET = 32,
    FW_VERB_CALL = 33,
    FW_VERB_ADJUST = 34,
    FW_VERB_ENROL = 64,
    FW_VERB_FORCE = 65,
    FW_VERB_RELEASE = 66,
    FW_VERB_TRANSFER_OPEN = 67,
    FW_VERB_TRANSFER_WRITE = 68,
    FW_VERB_TRANSFER_COMMIT = 69,
    FW_VERB_TRIAL = 70,
    FW_VERB_RESTART = 71,
    FW_VERB_REKEY = 96,
    FW_VERB_ANNOUNCE = 128,
    FW_VERB_PRESENCE = 129,
    FW_VERB_NOTE = 130,
    FW_VERB_HAPPENED = 131,
    FW_VERB_ALARM = 132,
} fw_verb_t;

/* Stages of a command (section 8). */
typedef enum {
    FW_STAGE_NONE = 0, /* never on the wire: nothing heard of the key */
    FW_STAGE_QUEUED = 1,
    FW_STAGE_SENT = 2,
    FW_STAGE_DELIVERED = 3,
    FW_STAGE_EXECUTED = 4,
    FW_STAGE_CONFIRMED = 5,
    FW_STAGE_EXPIRED = 16,
    FW_STAGE_REFUSED = 17,
    FW_STAGE_FAILED = 18,
    FW_STAGE_UNKNOWN = 19,
} fw_stage_t;

/* Types, flags and causes of points (section 7). */
typedef enum {
    FW_POINT_DIGITAL_INPUT = 0,
    FW_POINT_DIGITAL_OUTPUT = 1,
    FW_POINT_ANALOGUE_INPUT = 2,
    FW_POINT_ANALOGUE_OUTPUT = 3,
} fw_point_type_t;

#define FW_POINT_MANUAL 1u
#define FW_POINT_BAD 2u
#define FW_POINT_FAULT 4u
#define FW_POINT_FORCED 8u
#define FW_POINT_CONFIRM 16u

typedef enum {
    FW_CAUSE_BOOT = 0,
    FW_CAUSE_SCRIPT = 1,
    FW_CAUSE_COMMAND = 2,
    FW_CAUSE_SCHEDULE = 3,
    FW_CAUSE_LINK_LOSS = 4,
    FW_CAUSE_INPUT = 5,
    FW_CAUSE_TIMER = 6,
    FW_CAUSE_FORCE = 7,
    FW_CAUSE_SAFE = 8,
} fw_cause_kind_t;

/* What is written to a controller or read from it (section 6.1). */
typedef enum {
    FW_CONTENT_SCRIPT = 1,
    FW_CONTENT_FIRMWARE_MANIFEST = 2,
    FW_CONTENT_FIRMWARE_IMAGE = 3, /* the last that can be written */
    FW_CONTENT_RECORDING = 4,      /* which can only be read */
} fw_content_t;

/* How a controller stands with its script, why it restarted, and what kept it from scanning
 * (section 6.1). */
typedef enum {
    FW_SCRIPT_NONE = 0,
    FW_SCRIPT_KEPT = 1,
    FW_SCRIPT_ON_TRIAL = 2,
    FW_SCRIPT_SAFE_MODE = 3,
} fw_script_state_t;

typedef enum {
    FW_FIRMWARE_SETTLED = 0,
    FW_FIRMWARE_WAITING = 1, /* another one is whole, and is tried at the next restart */
    FW_FIRMWARE_ON_TRIAL = 2,
    FW_FIRMWARE_FELL_BACK = 3, /* from the one that was tried last */
} fw_firmware_state_t;

typedef enum {
    FW_RESET_POWER = 0,
    FW_RESET_WATCHDOG = 1,
    FW_RESET_EXCEPTION = 2,
    FW_RESET_COMMANDED = 3,
    FW_RESET_OTHER = 4,
} fw_reset_t;

typedef enum {
    FW_GAP_UNKNOWN = 0,
    FW_GAP_ERASE = 1,
    FW_GAP_HANDSHAKE = 2,
    FW_GAP_COMPILE = 3,
} fw_gap_cause_t;

/* Features announced as bits (section 11). */
#define FW_FEATURE_NOISE 1u
#define FW_FEATURE_BUILT_IN 2u
#define FW_FEATURE_SCRIPT 4u

/* What a peer says it is in the response to identify. */
#define FW_PEER_KIND_CONTROLLER 1u

/*
 * Payload keys. Each map has numbers of its own, so each has its own prefix.
 */
enum {
    /* requests, responses and events (section 6): the first keys of all of them */
    FW_KEY_REQUEST_KEY = 0,
    FW_KEY_REQUEST_EXPIRY = 1,
    FW_KEY_VERB = 2,
    FW_KEY_RESPONSE_CODE = 0,
    FW_KEY_RESPONSE_DETAIL = 1,

    FW_KEY_IDENTIFY_TITLE = 3,
    FW_KEY_IDENTIFY_SOFTWARE = 4,
    FW_KEY_IDENTIFY_PEER_KIND = 5,

    FW_KEY_DESCRIBE_BEHAVIOUR = 3,
    FW_KEY_DESCRIBE_COMMANDS = 4,

    FW_KEY_OUTCOME_KEY = 3, /* of the request; the rest are the response's */
    FW_KEY_OUTCOME_BOOT_ID = 3,
    FW_KEY_OUTCOME_STAGE = 4,
    FW_KEY_OUTCOME_REASON = 5,
    FW_KEY_OUTCOME_FINAL = 6,

    FW_KEY_SET_POINT = 3,
    FW_KEY_SET_VALUE = 4,
    FW_KEY_CALL_COMMAND = 3,
    FW_KEY_CALL_ARGUMENTS = 4,
    FW_KEY_ADJUST_PARAMETER = 3,
    FW_KEY_ADJUST_VALUE = 4,
    FW_KEY_COMMAND_WAIT = 5,

    FW_KEY_PARAMETERS_PARAMETERS = 3,
    FW_KEY_VALUES_FROM = 3, /* of the request; the rest are the response's */
    FW_KEY_VALUES_VALUES = 3,
    FW_KEY_VALUES_TOTAL = 4,
    FW_KEY_VALUE_NAME = 0, /* of a value and a parameter, the last two of a parameter alone */
    FW_KEY_VALUE_TYPE = 1,
    FW_KEY_VALUE_VALUE = 2,
    FW_KEY_VALUE_MIN = 3,
    FW_KEY_VALUE_MAX = 4,

    FW_KEY_LOG_BEFORE = 3, /* of the request */
    FW_KEY_LOG_ENTRIES = 3,
    FW_KEY_ENTRY_NUMBER = 0,
    FW_KEY_ENTRY_TIME = 1,
    FW_KEY_ENTRY_UPTIME_MS = 2,
    FW_KEY_ENTRY_ABOUT = 3,
    FW_KEY_ENTRY_VALUE = 4,
    FW_KEY_ENTRY_CAUSE = 5,

    FW_KEY_HEALTH_UPTIME_MS = 3,
    FW_KEY_HEALTH_BOOT_ID = 4,
    FW_KEY_HEALTH_RESET = 5,
    FW_KEY_HEALTH_FREE_BYTES = 6,
    FW_KEY_HEALTH_SCAN = 7,
    FW_KEY_HEALTH_SCRIPT = 8,
    FW_KEY_HEALTH_FIRMWARE = 9,
    FW_KEY_SCAN_LATE = 0,
    FW_KEY_SCAN_LONGEST_GAP_MS = 1,
    FW_KEY_SCAN_GAP_CAUSE = 2,
    FW_KEY_SCAN_COST_US = 3,
    FW_KEY_SCRIPT_STATE = 0,
    FW_KEY_SCRIPT_TRIAL_LEFT_MS = 1,
    FW_KEY_SCRIPT_TITLE = 2,
    FW_KEY_SCRIPT_DIGEST = 3,
    FW_KEY_SCRIPT_FAULTS = 4,
    FW_KEY_FIRMWARE_STATE = 0,
    FW_KEY_FIRMWARE_SLOT = 1,
    FW_KEY_FIRMWARE_VERSION = 2,
    FW_KEY_FIRMWARE_PROFILE = 3,

    FW_KEY_FORCE_POINT = 3,
    FW_KEY_FORCE_VALUE = 4,
    FW_KEY_FORCE_DURATION_MS = 5,
    FW_KEY_RELEASE_POINT = 3,

    FW_KEY_TRANSFER_READ_CONTENT = 3, /* of the request; the next three are the response's */
    FW_KEY_TRANSFER_READ_OFFSET = 4,
    FW_KEY_TRANSFER_READ_SIZE = 3,
    FW_KEY_TRANSFER_READ_BYTES = 4,
    FW_KEY_TRANSFER_READ_DIGEST = 5,
    FW_KEY_TRANSFER_OPEN_CONTENT = 3,
    FW_KEY_TRANSFER_OPEN_SIZE = 4,
    FW_KEY_TRANSFER_OPEN_DIGEST = 5,
    FW_KEY_TRANSFER_WRITE_OFFSET = 3,
    FW_KEY_TRANSFER_WRITE_BYTES = 4,
    FW_KEY_TRANSFER_NEXT = 3, /* of the response to either: the next byte */
    FW_KEY_TRANSFER_COMMIT_DIGEST = 3,
    FW_KEY_TRANSFER_COMMIT_KEEP = 4,
    FW_KEY_TRANSFER_COMMIT_FAULT = 3, /* of the response */
    FW_KEY_FAULT_LINE = 0,
    FW_KEY_FAULT_COLUMN = 1,
    FW_KEY_FAULT_EXPECTED = 2,
    FW_KEY_FAULT_FIX = 3,
    FW_KEY_FAULT_OTHER_LINE = 4,
    FW_KEY_TRIAL_KEEP = 3,
    FW_KEY_REKEY_KEY = 3,

    FW_KEY_ANNOUNCE_BOOT_ID = 3,
    FW_KEY_ANNOUNCE_FEATURES = 4,
    FW_KEY_ANNOUNCE_SOFTWARE = 5,
    FW_KEY_ANNOUNCE_BOARD = 6,
    FW_KEY_ANNOUNCE_LAYOUT = 7,

    FW_KEY_EVENT_NUMBER = 3, /* of happened and alarm */
    FW_KEY_EVENT_TIME = 4,
    FW_KEY_HAPPENED_TEXT = 5,
    FW_KEY_HAPPENED_VALUES = 6,
    FW_KEY_HAPPENED_TYPES = 7,
    FW_KEY_ALARM_LEVEL = 5,
    FW_KEY_ALARM_TEXT = 6,
    FW_KEY_ALARM_RAISED = 7,
    FW_KEY_ALARM_ALARM = 8,
    FW_KEY_EVENT_LAST = 3, /* of the response to either */

    /* controller hello, hello reply, ping reply (section 4) */
    FW_KEY_HELLO_VERSION = 0,
    FW_KEY_HELLO_RECORD_BYTES_MAX = 1,
    FW_KEY_HELLO_TIME = 2,
    FW_KEY_HELLO_PING_INTERVAL_MS = 3,
    FW_KEY_HELLO_ADDRESS = 4,
    FW_KEY_PING_TIME = 0,

    /* error frame (section 2.3) */
    FW_KEY_ERROR_CODE = 0,
    FW_KEY_ERROR_TEXT = 1,

    /* status (section 7) */
    FW_KEY_STATUS_BOOT_ID = 0,
    FW_KEY_STATUS_SEQUENCE = 1,
    FW_KEY_STATUS_PAGE = 2,
    FW_KEY_STATUS_PAGES = 3,
    FW_KEY_STATUS_UPTIME_MS = 4,
    FW_KEY_STATUS_TIME = 5,
    FW_KEY_STATUS_POINTS = 6,
    FW_KEY_STATUS_LAYOUT = 7,

    FW_KEY_POINT_INDEX = 0,
    FW_KEY_POINT_NAME = 1,
    FW_KEY_POINT_TYPE = 2,
    FW_KEY_POINT_VALUE = 3,
    FW_KEY_POINT_FLAGS = 4,
    FW_KEY_POINT_CAUSE = 5,

    FW_KEY_CAUSE_KIND = 0,
    FW_KEY_CAUSE_BY = 1,
    FW_KEY_CAUSE_REFERENCE = 2,

    /* receipt (section 8) */
    FW_KEY_RECEIPT_KEY = 0,
    FW_KEY_RECEIPT_STAGE = 1,
    FW_KEY_RECEIPT_AT = 2,
    FW_KEY_RECEIPT_REASON = 3,
    FW_KEY_RECEIPT_DETAIL = 4,
    FW_KEY_RECEIPT_FINAL = 5,
};

#endif
