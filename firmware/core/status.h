/*
 * status.h: full status in pages, and deltas with gapless sequence numbers (docs/protocol.md
 * section 7).
 *
 * Nothing is queued. A delta is made when the link takes it, and holds every point that changed
 * since the one before: so a slow link makes deltas merge, and never makes a gap. The caller offers
 * a buffer; what did not fit is asked for again.
 */
#ifndef FW_STATUS_H
#define FW_STATUS_H

#include "cbor.h"
#include "points.h"

/* Deltas that hold analogue points alone come no faster than this; a ramp changes every scan. */
#define FW_STATUS_ANALOGUE_INTERVAL_MS 100u

typedef struct {
    uint32_t boot_id;
    uint32_t sequence;   /* of the last delta written */
    uint32_t layout;
    uint32_t delta_at_ms; /* when that was */
    uint8_t page;         /* next to write, while `full` */
    bool full;            /* a full status is under way: deltas wait for its last page */
} fw_status_t;

/* What a status frame says of time. */
typedef struct {
    uint64_t uptime_ms;
    uint64_t time;
    bool time_known;
} fw_status_time_t;

void fw_status_init(fw_status_t *status, uint32_t boot_id, const fw_points_t *points,
                    uint32_t now_ms);

/* Other points take the place of those before: a full status tells them all. */
void fw_status_relayout(fw_status_t *status, fw_points_t *points);

/* Starts a full status, anew if one is under way. It holds all changes up to each page's writing,
 * so what changed before it needs no delta. */
void fw_status_full_begin(fw_status_t *status, fw_points_t *points);

/* Writes a cause as its map. */
void fw_status_write_cause(fw_cbor_writer_t *writer, const fw_cause_t *cause);

/* Writes the next page into `writer`. `payload_bytes_max` settles how points are split into pages
 * and must be the same for all pages of one status. True if it fitted: then `*more` says whether
 * further pages follow. False leaves everything as it was. */
bool fw_status_full_write(fw_status_t *status, const fw_points_t *points, fw_status_time_t time,
                          size_t payload_bytes_max, fw_cbor_writer_t *writer, bool *more);

/* Milliseconds until a delta wants to go: 0 = now, UINT32_MAX = nothing has changed. */
uint32_t fw_status_delta_due_ms(const fw_status_t *status, const fw_points_t *points,
                                uint32_t now_ms);

/* Writes a delta of as many changed points as fit; the others stay changed, for the next one. False
 * if not even one fitted: everything is then as it was. */
bool fw_status_delta_write(fw_status_t *status, fw_points_t *points, fw_status_time_t time,
                           uint32_t now_ms, fw_cbor_writer_t *writer);

#endif
