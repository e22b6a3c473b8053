/*
 * problem.h: everything that the controller's own page and its API can be told has gone wrong.
 *
 * A code is for programs and never changes; a message is for people. The HTTP server gives the
 * first ones, the API the rest; both are answered alike, as JSON.
 */
#ifndef FW_PROBLEM_H
#define FW_PROBLEM_H

#include <stdint.h>

/* X(NAME, HTTP status, code, message) */
#define FW_PROBLEM_LIST(X)                                                                         \
    X(NONE, 200, "ok", "")                                                                         \
    /* the parser's: the connection ends after the answer */                                       \
    X(MALFORMED, 400, "malformed", "this is not an HTTP/1.1 request")                              \
    X(FRAMING, 400, "bad_framing", "where the body ends is not clear")                             \
    X(HOST_MISSING, 400, "host_missing", "expected one Host header")                               \
    X(SLOW, 408, "too_slow", "the request did not come to its end in time")                        \
    X(BODY_LARGE, 413, "body_too_large", "a body may have 1024 bytes; send more in pieces")        \
    X(TARGET_LONG, 414, "target_too_long", "the path and query are too long")                      \
    X(EXPECTATION, 417, "unknown_expectation", "only 100-continue can be expected")                \
    X(HEAD_LARGE, 431, "head_too_large", "the headers are too long")                               \
    X(METHOD, 501, "unknown_method", "this method is not known here")                              \
    X(CODING, 501, "unknown_coding", "the only transfer coding known here is chunked")             \
    X(VERSION, 505, "unsupported_version", "only HTTP/1.1 is spoken here")                         \
    /* the server's */                                                                             \
    X(BODY_UNEXPECTED, 400, "body_unexpected", "a GET has no body")                                \
    X(FOREIGN, 403, "foreign_origin", "another site's page may change nothing here")               \
    X(UNMARKED, 403, "unmarked", "what changes something needs the header X-Switchyard: 1")        \
    X(NOT_FOUND, 404, "not_found", "there is nothing at this path")                                \
    X(NOT_ALLOWED, 405, "not_allowed", "this path does not take this method")                      \
    X(WRONG_HOST, 421, "wrong_host", "not this controller's name; use its IP address")             \
    X(BUSY, 503, "busy", "busy with another request; try again")                                   \
    /* the API's */                                                                                \
    X(BAD_JSON, 400, "bad_json", "expected a JSON object of plain fields; numbers are whole")      \
    X(BAD_FIELD, 400, "bad_field", "a field is missing or of the wrong kind")                      \
    X(OUT_OF_RANGE, 400, "out_of_range", "outside of its range")                                   \
    X(PASSWORD_LENGTH, 400, "password_length", "a password has 8 to 64 bytes")                     \
    X(NOT_LOGGED_IN, 401, "not_logged_in", "log in first")                                         \
    X(WRONG_PASSWORD, 401, "wrong_password", "this is not the password")                           \
    X(SETUP_NEEDED, 403, "setup_needed", "set a password first")                                   \
    X(SETUP_CLOSED, 403, "setup_closed", "set-up is over; restart the controller to begin again")  \
    X(SETUP_DONE, 409, "setup_done", "there is a password already")                                \
    X(UNKNOWN_POINT, 404, "unknown_point", "there is no such point")                               \
    X(UNKNOWN_COMMAND, 404, "unknown_command", "there is no such command")                         \
    X(UNKNOWN_NAME, 404, "unknown_name", "there is no such name")                                  \
    X(UNKNOWN_RECEIPT, 404, "unknown_receipt", "there is no such receipt")                         \
    X(NO_RECORDING, 404, "no_recording", "no scans were kept yet")                                 \
    X(NOT_MANUAL, 409, "not_manual", "the script drives this output")                              \
    X(REFUSED, 409, "refused_by_script", "the script refused it")                                  \
    X(WRONG_STATE, 409, "wrong_state", "not possible now")                                         \
    X(SCRIPT_ERROR, 422, "script_error", "the script has an error")                                \
    X(BAD_IMAGE, 422, "bad_image", "this is not an image for this controller")                     \
    X(WAIT, 429, "wait", "too many wrong passwords; wait a little")                                \
    X(STORE, 503, "store_unavailable", "it could not be stored")                                   \
    X(UNSUPPORTED, 501, "unsupported", "this controller cannot do that")                           \
    X(INTERNAL, 500, "internal", "a fault of the controller")

#define FW_PROBLEM_ENUM(name, status, code, message) FW_PROBLEM_##name,
typedef enum { FW_PROBLEM_LIST(FW_PROBLEM_ENUM) FW_PROBLEMS } fw_problem_t;
#undef FW_PROBLEM_ENUM

typedef struct {
    const char *code;
    const char *message;
    uint32_t status; /* read whole, for it lies in flash: see fw_word */
} fw_problem_text_t;

/* What to say of a problem. */
const fw_problem_text_t *fw_problem_text(fw_problem_t problem);

/* The reason phrase of a status that FW_PROBLEM_LIST holds, or of 100, 304. */
const char *fw_status_phrase(uint16_t status);

#endif
