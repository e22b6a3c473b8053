/*
 * test_zone.c: local time. The moments are those at which glibc changes its clock by the same texts.
 */
#include "check.h"
#include "zone.h"

#include <string.h>

static fw_span_t span(const char *text)
{
    return (fw_span_t){(const uint8_t *)text, strlen(text)};
}

typedef struct {
    const char *zone;
    int64_t at;
    int32_t before, after;
} change_t;

static const change_t changes[] = {
        {"CET-1CEST,M3.5.0,M10.5.0/3", 1774746000, 3600, 7200},
        {"CET-1CEST,M3.5.0,M10.5.0/3", 1792890000, 7200, 3600},
        {"CET-1CEST,M3.5.0,M10.5.0/3", 2090451600, 3600, 7200},
        {"CET-1CEST,M3.5.0,M10.5.0/3", 2108595600, 7200, 3600},
        {"EST5EDT,M3.2.0,M11.1.0", 1772953200, -18000, -14400},
        {"EST5EDT,M3.2.0,M11.1.0", 1793512800, -14400, -18000},
        {"EST5EDT,M3.2.0,M11.1.0", 2088658800, -18000, -14400},
        {"EST5EDT,M3.2.0,M11.1.0", 2109218400, -14400, -18000},
        {"AEST-10AEDT,M10.1.0,M4.1.0/3", 1775318400, 39600, 36000},
        {"AEST-10AEDT,M10.1.0,M4.1.0/3", 1791043200, 36000, 39600},
        {"AEST-10AEDT,M10.1.0,M4.1.0/3", 2091024000, 39600, 36000},
        {"AEST-10AEDT,M10.1.0,M4.1.0/3", 2106748800, 36000, 39600},
        {"IST-1GMT0,M10.5.0,M3.5.0/1", 1774746000, 0, 3600},
        {"IST-1GMT0,M10.5.0,M3.5.0/1", 1792890000, 3600, 0},
        {"IST-1GMT0,M10.5.0,M3.5.0/1", 2090451600, 0, 3600},
        {"IST-1GMT0,M10.5.0,M3.5.0/1", 2108595600, 3600, 0},
        {"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 1775314800, 39600, 37800},
        {"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 1791041400, 37800, 39600},
        {"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 2091020400, 39600, 37800},
        {"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 2106747000, 37800, 39600},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", 1774746000, -7200, -3600},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", 1792890000, -3600, -7200},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", 2090451600, -7200, -3600},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", 2108595600, -3600, -7200},
};

/* Around one change: the offsets, and what the clock jumps over or passes twice. */
static void check_change(const change_t *change)
{
    fw_zone_t zone;
    CHECK_NOTE(fw_zone_parse(&zone, span(change->zone)), change->zone);
    CHECK_NOTE(fw_zone_offset(&zone, change->at - 1) == change->before, change->zone);
    CHECK_NOTE(fw_zone_offset(&zone, change->at) == change->after, change->zone);
    int64_t wall_before = change->at + change->before;
    int64_t wall_after = change->at + change->after;
    int64_t low = wall_before < wall_after ? wall_before : wall_after;
    int64_t high = wall_before < wall_after ? wall_after : wall_before;
    int64_t last = 0;
    for (int64_t wall = low - 7200; wall <= high + 7200; wall += 300) {
        int32_t day = (int32_t)(wall / 86400);
        int64_t moment = fw_zone_moment(&zone, day, (int32_t)(wall % 86400));
        int64_t expected = wall - (wall < low    ? change->before
                                   : wall >= high ? change->after
                                                  : change->before);
        if (wall >= low && wall < high && wall_after > wall_before) {
            expected = change->at; /* jumped over */
        }
        CHECK_NOTE(moment == expected, change->zone);
        CHECK_NOTE(moment >= last, change->zone);
        last = moment;
    }
}

void test_zone(void)
{
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        check_change(&changes[i]);
    }

    fw_zone_t zone;
    static const struct {
        const char *text;
        int32_t standard_s, daylight_s;
    } good[] = {
        {"UTC0", 0, 0},          {"CST-8", 28800, 28800}, {"<+0330>-3:30", 12600, 12600},
        {"NST3:30:15", -12615, -12615}, {"EST5EDT", -18000, -14400},
        {"AAA-1BBB-3,J60,300/4", 3600, 10800},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CHECK_NOTE(fw_zone_parse(&zone, span(good[i].text)), good[i].text);
        CHECK_NOTE(zone.standard_s == good[i].standard_s && zone.daylight_s == good[i].daylight_s,
                   good[i].text);
    }
    static const char *const wrong[] = {
        "", "UTC", "CE-1", "CET", "CET-25", "CET-1CEST,", "CET-1CEST,M3.5.0", "CET-1CEST,M13.1.0,M1.1.0",
        "CET-1CEST,M3.6.0,M10.5.0", "CET-1CEST,M3.5.7,M10.5.0", "CET-1CEST,M3.5.0,M10.5.0/168",
        "CET-1CEST,M3.5.0,M10.5.0x", "<CET-1", "CET-1CEST,J0,J1", "Europe/Berlin", "CET-1:60",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        CHECK_NOTE(!fw_zone_parse(&zone, span(wrong[i])), wrong[i]);
        CHECK(fw_zone_offset(&zone, 1800000000) == 0); /* UTC */
    }

    /* Julian days: J60 is 1 March in every year, 59 is 29 February in one that has it. */
    CHECK(fw_zone_parse(&zone, span("AAA0BBB,J60/0,J300/0")));
    CHECK(fw_zone_offset(&zone, 1835481600 - 1) == 0 && fw_zone_offset(&zone, 1835481600) == 3600);
    CHECK(fw_zone_parse(&zone, span("AAA0BBB,59/0,300/0")));
    CHECK(fw_zone_offset(&zone, 1835395200 - 1) == 0 && fw_zone_offset(&zone, 1835395200) == 3600);

    CHECK(fw_weekday(0) == 4 && fw_weekday(20783) == 4 && fw_weekday(-1) == 3);
    for (int round = 0; round < 20000; round++) {
        const change_t *change = &changes[random_below(sizeof(changes) / sizeof(changes[0]))];
        CHECK(fw_zone_parse(&zone, span(change->zone)));
        int64_t utc = (int64_t)random_below(UINT32_MAX);
        int32_t day = fw_zone_day(&zone, utc);
        int32_t seconds = (int32_t)(utc + fw_zone_offset(&zone, utc) - (int64_t)day * 86400);
        int64_t first = fw_zone_moment(&zone, day, seconds);
        CHECK(seconds >= 0 && seconds < 86400);
        CHECK(first == utc || (first < utc && fw_zone_offset(&zone, first) !=
                                                  fw_zone_offset(&zone, utc)));
        /* Any bytes are no zone, or one that can be asked. */
        uint8_t noise[24];
        size_t length = random_below(sizeof(noise));
        for (size_t i = 0; i < length; i++) {
            noise[i] = (uint8_t)"ABCM,./:-+<>J0123459"[random_below(20)];
        }
        (void)fw_zone_parse(&zone, (fw_span_t){noise, length});
        (void)fw_zone_moment(&zone, (int32_t)random_below(40000), (int32_t)random_below(86401));
    }
}
