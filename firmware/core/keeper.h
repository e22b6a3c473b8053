/*
 * keeper.h: what the link asks of whoever keeps things in flash: the log, scripts, firmware, events.
 *
 * A controller alone keeps nothing, and answers `unsupported`. The device (device.h) that a board is
 * lends itself to its controller by filling one of these.
 */
#ifndef FW_KEEPER_H
#define FW_KEEPER_H

#include "cbor.h"
#include "code.h"
#include "frame.h"

/* Besides an fw_code_t: the answer comes later, by fw_controller_answer. */
#define FW_ANSWER_LATER 0xFFu

/* An answer to give: everything that will be needed when there is room for it. */
typedef struct {
    uint32_t correlation;
    uint32_t destination;
    uint32_t about; /* outcome: its serial, 0 = never heard of; values, log, pieces: from where on */
    uint16_t verb;
    uint8_t kind; /* FW_KIND_PING or FW_KIND_RESPONSE */
    uint8_t code;
} fw_answer_t;

/* Every function returns at once. `ctx` is the controller's `keeper_ctx`. */
typedef struct {
    /* Takes a request of a verb that the controller itself does not know: what to answer, or
     * FW_ANSWER_LATER, with which one request at a time may be under way. `*about` goes into the
     * answer. */
    uint8_t (*take)(void *ctx, const fw_frame_header_t *header, uint16_t verb,
                    const fw_cbor_map_t *payload, uint32_t *about);
    /* Writes the fields of an answer that is OK, and tells how many. What does not fit is told by
     * the writer's `failed`: it is asked again with more room. */
    size_t (*tell)(void *ctx, const fw_answer_t *answer, fw_cbor_writer_t *writer);
    /* Why an answer is not OK, or NULL. */
    const char *(*detail)(void *ctx, const fw_answer_t *answer);
    /* Writes the payload of the oldest event that has not arrived, and its number; false if there
     * is none. */
    bool (*event)(void *ctx, fw_cbor_writer_t *writer, uint32_t *number);
    /* The gateway has that event, and `last` is the latest number that it has; or it never will. */
    void (*event_arrived)(void *ctx, uint32_t number, uint32_t last);
} fw_keeper_t;

#endif
