/*
 * window.h: a look at the clock: which windows of a `during` hold, and for how long nothing changes.
 */
#ifndef FW_WINDOW_H
#define FW_WINDOW_H

#include "script.h"
#include "sun.h"
#include "zone.h"

/* A look at one moment. Times are seconds since 1970 in UTC. */
typedef struct {
    const fw_zone_t *zone;
    fw_almanac_t *almanac; /* of the script's place; a window of clock times alone does not ask it */
    int64_t utc;
    int64_t until;    /* before which the windows that were looked at stay as they are */
    int32_t today;    /* the local date */
    int32_t offset_s; /* of the clock, east of UTC */
} fw_look_t;

void fw_look_begin(fw_look_t *look, const fw_zone_t *zone, fw_almanac_t *almanac, int64_t utc);

/* Whether a window, fw_window_word_t, holds. */
bool fw_window_holds(fw_look_t *look, const uint32_t *window);

#endif
