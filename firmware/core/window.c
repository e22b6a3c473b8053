/*
 * window.c: see window.h.
 */
#include "window.h"

#define DAY_S 86400

/* The clock's offset decides which of the sun's days is a local date's: no look holds over its change. */
static int64_t until_clock_is_set(const fw_look_t *look)
{
    int64_t before = look->utc;
    int64_t after = look->until - 1;
    if (fw_zone_offset(look->zone, after) == look->offset_s) {
        return look->until;
    }
    while (after - before > 1) {
        int64_t middle = before + (after - before) / 2;
        if (fw_zone_offset(look->zone, middle) == look->offset_s) {
            before = middle;
        } else {
            after = middle;
        }
    }
    return after;
}

void fw_look_begin(fw_look_t *look, const fw_zone_t *zone, fw_almanac_t *almanac, int64_t utc)
{
    int32_t today = fw_zone_day(zone, utc);
    *look = (fw_look_t){
        .zone = zone,
        .almanac = almanac,
        .utc = utc,
        .until = fw_zone_moment(zone, today + 1, 0), /* other days count then */
        .today = today,
        .offset_s = fw_zone_offset(zone, utc),
    };
    look->until = until_clock_is_set(look);
}

/* When an end falls on a local date. */
static int64_t moment_of(const fw_look_t *look, uint32_t base, int32_t seconds, int32_t day)
{
    if (base == FW_END_CLOCK) {
        return fw_zone_moment(look->zone, day, seconds);
    }
    int32_t suns_day = fw_sun_day(&look->almanac->place, day, look->offset_s);
    const fw_sun_t *sun = fw_almanac_day(look->almanac, suns_day);
    int32_t event_s = base == FW_END_SUNRISE ? sun->rises_s : sun->sets_s;
    return (int64_t)suns_day * DAY_S + event_s + seconds;
}

/* Whether that is still to come; what was looked at stays as it is until then. */
static bool is_ahead(fw_look_t *look, int64_t moment)
{
    if (moment > look->utc && moment < look->until) {
        look->until = moment;
    }
    return moment > look->utc;
}

/* Half-open, and of the day that it begins on. */
bool fw_window_holds(fw_look_t *look, const uint32_t *window)
{
    uint32_t shape = window[FW_WINDOW_SHAPE];
    uint32_t from = shape >> FW_WINDOW_FROM_SHIFT & FW_WINDOW_END_MASK;
    uint32_t to = shape >> FW_WINDOW_TO_SHIFT & FW_WINDOW_END_MASK;
    int32_t nights = (shape & FW_WINDOW_OVERNIGHT) != 0u ? 1 : 0;
    /* With offsets of up to 12 hours a window by the sun may still hold the day after its end's, or
     * already the day before its own; and where the clock is put back over midnight, tomorrow may have
     * begun. */
    for (int32_t day = look->today - nights - 1; day <= look->today + 1; day++) {
        if ((shape >> fw_weekday(day) & 1u) == 0u ||
            is_ahead(look, moment_of(look, from, (int32_t)window[FW_WINDOW_FROM], day))) {
            continue;
        }
        if (is_ahead(look, moment_of(look, to, (int32_t)window[FW_WINDOW_TO], day + nights))) {
            return true;
        }
    }
    return false;
}
