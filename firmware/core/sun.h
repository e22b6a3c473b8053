/*
 * sun.h: when the sun rises and sets at a place.
 *
 * Whole numbers only, for the chip has no floating point. Up to 65 degrees of latitude and from
 * 2000 to 2099 the moments are within 10 seconds of those of NOAA's formula for the upper limb and
 * the usual refraction, a zenith of 90.833 degrees.
 */
#ifndef FW_SUN_H
#define FW_SUN_H

#include "bytes.h"

/* In thousandths of a degree. */
typedef struct {
    int32_t latitude;  /* north of the equator, -90,000 ... 90,000 */
    int32_t longitude; /* east of Greenwich, -180,000 ... 180,000 */
} fw_place_t;

/* One of the sun's days at a place, from one of its midnights to the next. Its number is the date
 * by the mean sun there, counted from 1970-01-01: near the date line the clock may have another. */
typedef struct {
    int32_t day;
    int32_t rises_s; /* after 00:00 UTC of the date of that number; may lie on another one */
    int32_t sets_s;
} fw_sun_t;

/* The sun's day around noon of a local date, by a clock that is so far ahead of UTC. */
int32_t fw_sun_day(const fw_place_t *place, int32_t day, int32_t offset_s);

/* That day. A sun that stays up rises at midnight and sets at the next one, so of two such days one
 * begins where the other ends; a sun that stays down rises and sets at noon. */
fw_sun_t fw_sun(const fw_place_t *place, int32_t day);

#define FW_ALMANAC_DAYS 4u

/* The days of a place that were asked for last, each worked out once. */
typedef struct {
    fw_place_t place;
    fw_sun_t days[FW_ALMANAC_DAYS];
} fw_almanac_t;

void fw_almanac_open(fw_almanac_t *almanac, const fw_place_t *place);

/* Good until the next is asked for. */
const fw_sun_t *fw_almanac_day(fw_almanac_t *almanac, int32_t day);

#endif
