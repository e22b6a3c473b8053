/*
 * test_sun.c: sunrise and sunset, against a table that was made elsewhere and against what must hold.
 */
#include "check.h"
#include "sun.h"

#include <stdio.h>
#include <stdlib.h>

#define DAY_S 86400

static void test_table(void)
{
    static const struct {
        int32_t latitude, longitude, day, rises_s, sets_s;
    } rows[] = {
#include "sun_table.h"
    };
    CHECK(sizeof(rows) / sizeof(rows[0]) > 200u);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const fw_place_t place = {rows[i].latitude, rows[i].longitude};
        fw_sun_t sun = fw_sun(&place, rows[i].day);
        char note[100];
        snprintf(note, sizeof(note), "%d %d on day %d: %d %d", place.latitude, place.longitude,
                 rows[i].day, sun.rises_s - rows[i].rises_s, sun.sets_s - rows[i].sets_s);
        CHECK_NOTE(abs(sun.rises_s - rows[i].rises_s) <= 10, note);
        CHECK_NOTE(abs(sun.sets_s - rows[i].sets_s) <= 10, note);
        CHECK(sun.day == rows[i].day);
    }
}

/* Above the polar circles the sun stays up in summer and down in winter. */
static void test_polar(void)
{
    static const struct {
        int32_t latitude;
        int32_t day; /* 2026-06-21 or 2026-12-21 */
        bool stays_up;
    } rows[] = {
        {69650, 20625, true},  {69650, 20808, false},  {-69650, 20625, false},
        {-69650, 20808, true}, {90000, 20625, true},   {90000, 20808, false},
        {-90000, 20808, true}, {-90000, 20625, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const fw_place_t place = {rows[i].latitude, 18960};
        fw_sun_t sun = fw_sun(&place, rows[i].day);
        fw_sun_t next = fw_sun(&place, rows[i].day + 1);
        int32_t noon_s = DAY_S / 2 - 18960 * 6 / 25;
        if (rows[i].stays_up) {
            CHECK(abs(sun.rises_s - (noon_s - DAY_S / 2)) < 180);
            CHECK(sun.sets_s == next.rises_s + DAY_S);
        } else {
            CHECK(abs(sun.rises_s - noon_s) < 180 && sun.sets_s == sun.rises_s);
        }
    }
}

/* Which of the sun's days is a date of the clock's. */
static void test_days(void)
{
    static const struct {
        int32_t longitude, offset_s, ahead;
    } rows[] = {
        {0, 0, 0},           {13400, 3600, 0},     {-157900, -36000, 0}, /* Honolulu */
        {179000, 43200, 0},  {-171800, 46800, -1}, /* Apia */
        {-157400, 50400, -1}, /* Kiritimati */     {179000, -43200, 1},
        {172900, 0, 0},      {-180000, 43201, -1}, {180000, 0, 1}, {-180000, 0, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const fw_place_t place = {0, rows[i].longitude};
        CHECK(fw_sun_day(&place, 20000, rows[i].offset_s) == 20000 + rows[i].ahead);
    }
}

/* What holds at any place and on any day, and from one day to the next. */
static void test_any(void)
{
    for (int round = 0; round < 20000; round++) {
        const fw_place_t place = {(int32_t)random_below(180001) - 90000,
                                  (int32_t)random_below(360001) - 180000};
        int32_t day = (int32_t)random_below(49700);
        fw_sun_t sun = fw_sun(&place, day);
        fw_sun_t next = fw_sun(&place, day + 1);
        /* The true sun is up to 17 minutes off the mean one. */
        int32_t noon_s = DAY_S / 2 - place.longitude * 6 / 25;
        char note[100];
        snprintf(note, sizeof(note), "%d %d on day %d", place.latitude, place.longitude, day);
        CHECK_NOTE(sun.rises_s <= sun.sets_s, note);
        CHECK_NOTE(sun.rises_s <= noon_s + 1020 && sun.sets_s >= noon_s - 1020, note);
        CHECK_NOTE(sun.rises_s >= noon_s - DAY_S / 2 - 1020, note);
        CHECK_NOTE(sun.sets_s <= noon_s + DAY_S / 2 + 1020, note);
        CHECK_NOTE(sun.sets_s <= next.rises_s + DAY_S, note);
        if (abs(place.latitude) <= 65000) {
            CHECK_NOTE(abs(next.rises_s - sun.rises_s) <= 240, note);
            CHECK_NOTE(abs(next.sets_s - sun.sets_s) <= 240, note);
        }
    }
}

static void test_almanac(void)
{
    const fw_place_t place = {52500, 13400};
    fw_almanac_t almanac;
    fw_almanac_open(&almanac, &place);
    for (int round = 0; round < 1000; round++) {
        int32_t day = (int32_t)random_below(8) - 4;
        fw_sun_t sun = fw_sun(&place, day);
        const fw_sun_t *known = fw_almanac_day(&almanac, day);
        CHECK(known->day == day && known->rises_s == sun.rises_s && known->sets_s == sun.sets_s);
        CHECK(fw_almanac_day(&almanac, day) == known);
    }
    CHECK(sizeof(almanac) == 56u);
}

void test_sun(void)
{
    test_table();
    test_polar();
    test_days();
    test_any();
    test_almanac();
}
