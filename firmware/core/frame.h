/*
 * frame.h: the 16-byte header, and whole frames out of a stream (docs/protocol.md section 2).
 *
 * Nothing here looks into a payload: see cbor.h. Memory is the caller's.
 */
#ifndef FW_FRAME_H
#define FW_FRAME_H

#include "bytes.h"
#include "code.h"
#include "config.h"

/* What can be wrong with a frame. INCOMPLETE is no fault: more bytes are needed. */
typedef enum {
    FW_FRAME_OK = 0,
    FW_FRAME_INCOMPLETE,   /* the stream has not brought the frame's end yet */
    FW_FRAME_UNKNOWN_KIND, /* the kind is not in the table */
    FW_FRAME_BAD_FLAGS,    /* a reserved bit, or a flag on a kind that does not allow it */
    FW_FRAME_TOO_LARGE,    /* header and payload exceed what the receiver takes */
} fw_frame_fault_t;

/* The fault's own name in snake case: "ok", "incomplete", "unknown_kind", "bad_flags",
 * "too_large". */
const char *fw_frame_fault_name(fw_frame_fault_t fault);

/* What an error frame says of the fault: malformed, or too_large. OK and INCOMPLETE give ok. */
fw_code_t fw_frame_fault_code(fw_frame_fault_t fault);

/* The header, field by field in wire order. */
typedef struct {
    uint8_t kind;
    uint8_t flags;
    uint16_t payload_bytes;
    uint32_t correlation;
    uint32_t source;
    uint32_t destination;
} fw_frame_header_t;

/* A whole frame; the payload is borrowed from the buffer it was found in. */
typedef struct {
    fw_frame_header_t header;
    const uint8_t *payload; /* header.payload_bytes of them */
} fw_frame_t;

/* Tests kind and flags, in this order: FW_FRAME_OK, UNKNOWN_KIND or BAD_FLAGS. */
fw_frame_fault_t fw_frame_header_check(const fw_frame_header_t *header);

/* Writes the header. What it writes is not checked: the caller is our own code. */
void fw_frame_header_encode(const fw_frame_header_t *header, uint8_t out[FW_HEADER_BYTES]);

/* Reads the header and checks it. `header` is filled in even if the check fails. */
fw_frame_fault_t fw_frame_header_decode(const uint8_t in[FW_HEADER_BYTES],
                                        fw_frame_header_t *header);

/*
 * Takes the frame at the start of `bytes`. On OK, `frame->payload` points into `bytes` and
 * `*frame_bytes` is the length of header and payload; to walk several frames, go on after it.
 * Faults are found as soon as the header is there; INCOMPLETE if `length` ends before the frame.
 * `frame_bytes_max` bounds header plus payload.
 */
fw_frame_fault_t fw_frame_take(const uint8_t *bytes, size_t length, size_t frame_bytes_max,
                               fw_frame_t *frame, size_t *frame_bytes);

/*
 * Whole frames out of a stream that arrives split anywhere. The buffer bounds the frame: one whose
 * header and payload do not fit is refused as TOO_LARGE before any of its payload is stored.
 */
typedef struct {
    uint8_t *buffer; /* the caller's; must outlive the reader */
    size_t capacity; /* at least FW_HEADER_BYTES */
    size_t held;     /* bytes of the frame being gathered */
    size_t wanted;   /* header alone, then header and payload */
    fw_frame_fault_t fault; /* OK, or what the stream was refused for: it stays refused */
} fw_frame_reader_t;

void fw_frame_reader_init(fw_frame_reader_t *reader, uint8_t *buffer, size_t capacity);

/*
 * Pushes bytes in. Returns
 *   OK          - a frame is whole and in `frame` (valid until the next push); bytes after it are
 *                 not consumed: push them again, from `*used` on;
 *   INCOMPLETE  - everything was consumed and no frame is whole yet;
 *   any other   - the stream is refused, now and for every later push.
 * `*used` is always set. A zero-length push is allowed and yields INCOMPLETE.
 */
fw_frame_fault_t fw_frame_reader_push(fw_frame_reader_t *reader, const uint8_t *bytes,
                                      size_t length, size_t *used, fw_frame_t *frame);

/* Whether a frame has begun and not ended: a stream must not close here. */
bool fw_frame_reader_mid_frame(const fw_frame_reader_t *reader);

#endif
