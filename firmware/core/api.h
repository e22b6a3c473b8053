/*
 * api.h: the JSON API under /api/, which the controller's own page speaks, and what it asks of the
 * controller. The serial line asks for its share by the same table (serial.h).
 *
 * docs/http-controller.md is its reference. Whoever joins the parts fills an fw_api_controller_t;
 * the API knows nothing else of points, scripts, flash or radio. Every function there returns at
 * once: what takes longer answers FW_API_WAIT and is asked again, with the same arguments, every
 * 10 ms or so. If the client leaves meanwhile it is not asked again.
 *
 * Values are what they are in a script: 0 and 1, whole numbers, thousandths (num), milliseconds
 * (time). Analogue points are thousandths.
 */
#ifndef FW_API_H
#define FW_API_H

#include "code.h"
#include "http_server.h"
#include "json.h"
#include "log_in.h"
#include "points.h"
#include "script.h"
#include "shadow.h"

/* A result: an fw_problem_t, FW_PROBLEM_NONE = done, or "ask me again". */
typedef uint8_t fw_api_result_t;
#define FW_API_WAIT 0xFFu

#define FW_API_NAME_BYTES (FW_NAME_BYTES_MAX + 1u)
#define FW_SETTING_BYTES_MAX 64u
#define FW_SSID_BYTES_MAX 32u
/* How long an answer waits for a command's outcome. */
#define FW_API_OUTCOME_MS_MAX 2000u

/* ---- what the controller shows ---- */

typedef enum {
    FW_API_LINK_DOWN = 0, /* waits to dial again */
    FW_API_LINK_OPENING,
    FW_API_LINK_LIVE,
    FW_API_LINK_NONE, /* no gateway is set */
} fw_api_link_t;

typedef enum {
    FW_API_WIFI_DOWN = 0,
    FW_API_WIFI_JOINING,
    FW_API_WIFI_JOINED,
    FW_API_WIFI_WRONG_PASSWORD,
    FW_API_WIFI_NOT_FOUND,
} fw_api_wifi_t;

/* What the longest gap between two scans was for. */
typedef enum {
    FW_API_GAP_NONE = 0,
    FW_API_GAP_ERASE,
    FW_API_GAP_HANDSHAKE,
    FW_API_GAP_HTTP,
    FW_API_GAP_RADIO,
    FW_API_GAP_OTHER,
} fw_api_gap_t;

typedef enum {
    FW_API_SCRIPT_NONE = 0,
    FW_API_SCRIPT_RUNS,    /* committed */
    FW_API_SCRIPT_ON_TRIAL,
    FW_API_SCRIPT_STOPPED, /* safe mode: outputs are safe */
} fw_api_script_t;

typedef enum {
    FW_API_UPDATE_NONE = 0,
    FW_API_UPDATE_WRITING,
    FW_API_UPDATE_WRITTEN, /* checked; a restart runs it */
    FW_API_UPDATE_ON_TRIAL,
    FW_API_UPDATE_FELL_BACK, /* the new image failed, the old one runs */
} fw_api_update_t;

typedef struct {
    const char *board;
    const char *software;
    const char *profile; /* of the firmware, as its manifest has it */
    uint64_t uptime_ms;
    uint64_t time_ms; /* since 1970; 0 = not known */
    uint32_t address;
    uint32_t enrolled; /* the address that is set up, which the next start takes; 0 = none */
    uint32_t version;
    uint32_t boot_id;
    uint32_t free_bytes;
    uint32_t ip; /* 192.168.4.1 is 0xC0A80401; 0 = none */
    uint32_t script_hash;
    uint32_t trial_left_ms; /* 0: it waits for a person */
    uint32_t why_last;      /* number of the newest entry of the why-log; 0 = none */
    uint32_t late_scans;
    uint32_t longest_gap_ms;
    uint32_t scan_us; /* that a scan of the script takes at most on the chip */
    uint32_t update_bytes;
    uint32_t update_written_bytes;
    uint16_t operations;     /* of a scan */
    uint16_t divisions_by_zero;
    int8_t rssi_dbm;
    uint8_t link;    /* fw_api_link_t */
    uint8_t gateway; /* 0 or 1 */
    uint8_t wifi;    /* fw_api_wifi_t */
    uint8_t longest_gap; /* fw_api_gap_t */
    uint8_t slot;        /* that it runs from */
    uint8_t reset;       /* fw_reset_t */
    uint8_t script;      /* fw_api_script_t */
    uint8_t update;      /* fw_api_update_t */
    bool is_access_point; /* its own Wi-Fi is open */
} fw_api_status_t;

typedef struct {
    char name[FW_API_NAME_BYTES];
    char pin[FW_API_NAME_BYTES];
    fw_cause_t cause;
    int32_t value;
    uint32_t force_left_ms; /* while FW_POINT_FORCED */
    uint8_t type;           /* fw_point_type_t */
    uint8_t flags;          /* FW_POINT_MANUAL … FW_POINT_CONFIRM */
} fw_api_point_t;

typedef struct {
    char name[FW_API_NAME_BYTES];
    int32_t min;
    int32_t max;
    uint8_t type; /* fw_type_t */
} fw_api_argument_t;

typedef struct {
    char name[FW_API_NAME_BYTES];
    char refusal[FW_TITLE_BYTES_MAX + 1u]; /* why the script refuses it when it does; may be empty */
    uint8_t count;
    fw_api_argument_t arguments[FW_ARGUMENTS_MAX];
} fw_api_command_t;

typedef enum {
    FW_API_VARIABLE = 0,
    FW_API_RETAINED,
    FW_API_PARAMETER,
    FW_API_MACHINE,
    FW_API_ALARM, /* value: it is raised */
    FW_API_INPUT, /* this and what follows: of a shadow alone */
    FW_API_OUTPUT,
    FW_API_COMMAND, /* value: it is called in this scan */
} fw_api_value_kind_t;

typedef struct {
    char name[FW_API_NAME_BYTES];
    char state[FW_API_NAME_BYTES]; /* of a machine */
    int32_t value;
    int32_t min; /* of a parameter */
    int32_t max;
    uint16_t line;
    uint8_t kind; /* fw_api_value_kind_t */
    uint8_t type; /* fw_type_t */
} fw_api_value_t;

typedef struct {
    char name[FW_API_NAME_BYTES];
    fw_cause_t cause;
    uint64_t time_ms; /* since 1970; 0 = was not known */
    uint64_t uptime_ms;
    uint32_t boot_id;
    uint32_t number;
    int32_t value;
    uint8_t type; /* fw_point_type_t */
    bool is_of_other_script; /* `name` is a pin's, and the line is none of the running script */
} fw_api_why_t;

typedef struct {
    uint8_t ssid[FW_SSID_BYTES_MAX];
    uint8_t ssid_bytes;
    int8_t rssi_dbm;
    bool is_secured;
} fw_api_network_t;

typedef struct {
    uint8_t stage;  /* fw_stage_t */
    uint8_t reason; /* fw_code_t */
    bool is_final;
} fw_api_outcome_t;

/* What came of a script. */
typedef struct {
    const char *expected; /* in flash; NULL: there is no error */
    const char *fix;      /* or NULL */
    uint16_t line;
    uint16_t column;
    uint16_t length; /* of the text that is wrong */
    uint16_t other_line;
    uint16_t operations;
    uint16_t code_words;
    uint16_t table_words;
    uint32_t scan_us; /* at most, on the chip */
} fw_api_compiled_t;

typedef enum {
    FW_SETTING_NAME = 0,
    FW_SETTING_HOST, /* announced by mDNS, without ".local" */
    FW_SETTING_WIFI,
    FW_SETTING_WIFI_PASSWORD,
    FW_SETTING_GATEWAY_1, /* host:port */
    FW_SETTING_GATEWAY_2,
    FW_SETTING_ZONE, /* POSIX TZ */
    FW_SETTINGS,
} fw_setting_t;

/* What is to be changed; what has no bytes stays. */
typedef struct {
    fw_span_t texts[FW_SETTINGS];
    fw_span_t label;         /* what its own Wi-Fi asks for; empty: nobody may */
    const uint8_t *verifier; /* of the page's password: FW_VERIFIER_BYTES */
} fw_api_change_t;

/* A chip's own number, and how long one may be. */
#define FW_HARDWARE_BYTES_MAX 8u

typedef enum {
    FW_UPLOAD_SCRIPT = 0,
    FW_UPLOAD_FIRMWARE,
} fw_upload_t;

typedef enum {
    FW_TRIAL_BEGIN = 0,
    FW_TRIAL_COMMIT,
    FW_TRIAL_REVERT,
} fw_trial_t;

/* What the API asks of the controller. Lists are walked by a cursor that begins at 0 and that only
 * the controller understands; false: there are no more. */
typedef struct {
    void (*status)(void *ctx, fw_api_status_t *status);
    bool (*point)(void *ctx, uint16_t *cursor, fw_api_point_t *point);
    bool (*command)(void *ctx, uint16_t *cursor, fw_api_command_t *command);
    bool (*value)(void *ctx, uint16_t *cursor, fw_api_value_t *value);
    /* The newest entry with a number below `before`. */
    bool (*why)(void *ctx, uint32_t before, fw_api_why_t *why);
    /* Bytes of the script's source from `at` on; 0 at its end. */
    size_t (*source)(void *ctx, uint32_t at, uint8_t *into, size_t room);

    /* The same of the kept recording (docs/recorder.md). */
    size_t (*recording)(void *ctx, uint32_t at, uint8_t *into, size_t room);
    /* Keeps the last scans; `begins` when it is asked for the first time. FW_PROBLEM_BUSY: not now. */
    fw_api_result_t (*keep_recording)(void *ctx, bool begins);

    /* Looks into a scan (shadow.h): stops a copy of one before the first statement from that line on, goes
     * on to the next statement, lets the copy go. FW_PROBLEM_OUT_OF_RANGE: no such statement;
     * FW_PROBLEM_BUSY: its memory is in use; FW_PROBLEM_WRONG_STATE: no script runs, nothing is stopped. */
    fw_api_result_t (*breakpoint)(void *ctx, uint16_t line);
    fw_api_result_t (*step)(void *ctx);
    void (*let_go)(void *ctx);
    /* Its fw_shadow_state_t, and the line that it stands at or waits for; 0: none. */
    uint8_t (*shadow)(void *ctx, uint16_t *line);
    /* What names hold there; none while it waits. */
    bool (*shadow_value)(void *ctx, uint16_t *cursor, fw_api_value_t *value);

    /* Switches a manual output, calls a command: `receipt` names what `outcome` tells of. */
    fw_api_result_t (*set)(void *ctx, fw_span_t point, int32_t value, uint32_t *receipt);
    fw_api_result_t (*call)(void *ctx, fw_span_t command, const int32_t *arguments, uint8_t count,
                            uint32_t *receipt);
    bool (*outcome)(void *ctx, uint32_t receipt, fw_api_outcome_t *outcome);
    /* Holds an output for so long; 0: lets it go. */
    fw_api_result_t (*force)(void *ctx, fw_span_t point, int32_t value, uint32_t for_ms);
    fw_api_result_t (*parameter)(void *ctx, fw_span_t name, int32_t value);

    /* An upload of so many bytes begins (what was begun before is given up), its pieces come in
     * order, it ends. A piece that begins elsewhere than the last one ended is
     * FW_PROBLEM_WRONG_STATE; one that was written already may come again, its answer having been
     * lost. The end compiles a script (FW_PROBLEM_SCRIPT_ERROR, told in `compiled`), or checks an
     * image (FW_PROBLEM_BAD_IMAGE). */
    fw_api_result_t (*upload_begin)(void *ctx, fw_upload_t what, uint32_t bytes);
    fw_api_result_t (*upload_write)(void *ctx, fw_upload_t what, uint32_t at, fw_span_t piece);
    fw_api_result_t (*upload_end)(void *ctx, fw_upload_t what, fw_api_compiled_t *compiled);
    /* Begins a trial of the uploaded script, makes it stay, or brings the old one back. */
    fw_api_result_t (*trial)(void *ctx, fw_trial_t what);

    /* Copies a setting, and gives its length. Of FW_SETTING_WIFI_PASSWORD nothing is copied; any
     * length but 0 says that it is set. */
    uint8_t (*setting)(void *ctx, fw_setting_t which, uint8_t into[FW_SETTING_BYTES_MAX]);
    /* Changes all of it or nothing; FW_PROBLEM_OUT_OF_RANGE: `wrong` is the text that cannot be, or
     * FW_SETTINGS: the label is it. */
    fw_api_result_t (*change_settings)(void *ctx, const fw_api_change_t *change, uint8_t *wrong);
    /* Who it is from the next start on: an address and a key of FW_LINK_KEY_BYTES, or 0: nobody. */
    fw_api_result_t (*enrol)(void *ctx, uint32_t address, const uint8_t *key);
    /* Looks for networks. Once done they are walked by `network`. */
    fw_api_result_t (*look_around)(void *ctx);
    bool (*network)(void *ctx, uint16_t *cursor, fw_api_network_t *network);
    /* The password's verifier; false: none is set, and the controller awaits its set-up. */
    bool (*verifier)(void *ctx, uint8_t into[FW_VERIFIER_BYTES]);
    /* Whether a first password may be set: in the first minutes after power-on, or by whoever is on
     * the controller's own Wi-Fi. */
    bool (*setup_is_open)(void *ctx);
    /* The chip's own number; its length, 0 where nobody knows it. */
    uint8_t (*hardware)(void *ctx, uint8_t into[FW_HARDWARE_BYTES_MAX]);
    /* How Wi-Fi does (fw_api_wifi_t), and the IP address: a part of the status, for who asks often. */
    uint8_t (*wifi)(void *ctx, uint32_t *ip);
    /* While something comes in that an erase would lose, none begins. */
    void (*hold_erases)(void *ctx, bool held);
    /* In half a second or so, that the answer may leave. */
    void (*restart)(void *ctx);
    void (*random)(void *ctx, uint8_t *into, size_t length);
} fw_api_controller_t;

/* ---- the API ---- */

struct fw_api_route;

/* Fields are the API's own. */
typedef struct {
    const fw_api_controller_t *controller;
    void *ctx; /* the controller's */
    const struct fw_api_route *route;
    fw_http_answer_t *answer; /* while work is done */
    fw_log_in_t log_in;
    fw_json_object_t fields;
    fw_api_compiled_t compiled;
    uint32_t now_ms;
    uint32_t since_ms; /* when the work on the request began */
    uint32_t number;   /* the query's `at`, `before` or `receipt`; then how far the answer is */
    uint32_t wait_ms;  /* to be told with a problem */
    uint16_t body_bytes;
    uint16_t cursor;
    uint8_t step; /* of the work, then of the answer */
    uint8_t problem;
    uint8_t session;
    uint8_t wrong; /* setting, or FW_SETTINGS */
    bool has_number;
    bool comma;
    uint8_t body[FW_HTTP_BODY_BYTES_MAX];
} fw_api_t;

/* `controller` must outlive the API. */
void fw_api_init(fw_api_t *api, const fw_api_controller_t *controller, void *ctx);

/* What the HTTP server is given. The API must outlive it, and stay where it is. */
fw_http_handler_t fw_api_handler(fw_api_t *api);

/* Ends sessions that have expired. To be called at least once a day. */
void fw_api_poll(fw_api_t *api, uint32_t now_ms);

#endif
