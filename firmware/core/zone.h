/*
 * zone.h: local time by a POSIX TZ string (POSIX.1-2017, 8.3), such as "CET-1CEST,M3.5.0,M10.5.0/3".
 *
 * Times are seconds since 1970 in UTC, days are local dates counted from 1970-01-01. Years from 1970 to
 * 2105 are told right.
 */
#ifndef FW_ZONE_H
#define FW_ZONE_H

#include "bytes.h"

/* When a clock is changed, in the local time before it is. */
typedef struct {
    int32_t time_s; /* after midnight; may lie on another day */
    uint16_t day;   /* M: of the week, 0 = Sunday. J: of the year from 1, 29 February never counted. n:
                     * from 0, counted */
    uint8_t month;  /* M: from 1; 0 for the others */
    uint8_t week;   /* M: from 1; 5 = the last. Else 1 for J */
} fw_zone_rule_t;

typedef struct {
    int32_t standard_s; /* east of UTC */
    int32_t daylight_s;
    fw_zone_rule_t begins; /* daylight time */
    fw_zone_rule_t ends;
    bool has_daylight;
} fw_zone_t;

/* False when the text is no zone; the zone is then UTC. Without a rule daylight time follows that of
 * the United States, as elsewhere. */
bool fw_zone_parse(fw_zone_t *zone, fw_span_t text);

/* Seconds east of UTC at a moment. */
int32_t fw_zone_offset(const fw_zone_t *zone, int64_t utc);

/* The moment of a wall clock time on a day. One that the clock passes twice is the first; one that it
 * jumps over is the jump. */
int64_t fw_zone_moment(const fw_zone_t *zone, int32_t day, int32_t seconds);

/* The local date of a moment. */
int32_t fw_zone_day(const fw_zone_t *zone, int64_t utc);

/* 0 = Sunday. */
uint8_t fw_weekday(int32_t day);

#endif
