/*
 * zone.c: see zone.h.
 */
#include "zone.h"

#define DAY_S 86400

/* ---- dates ---- */

/* Rounded down. */
static int64_t floor_divide(int64_t dividend, int64_t divisor)
{
    int64_t quotient = dividend / divisor;
    return quotient * divisor > dividend ? quotient - 1 : quotient;
}

static bool is_leap(int32_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* The first of January, in days from 1970. */
static int32_t year_begins(int32_t year)
{
    int32_t before = year - 1;
    int32_t centuries = before / 100;
    return (year - 1970) * 365 + (before / 4 - 492) - (centuries - 19) + (centuries / 4 - 4);
}

static int32_t year_of(int32_t day)
{
    /* Four years have 1461 days, but for some that end a century: a guess, and at most a year off. */
    int32_t year = 1970 + (day * 4 + 2) / 1461;
    while (year_begins(year) > day) {
        year--;
    }
    while (year_begins(year + 1) <= day) {
        year++;
    }
    return year;
}

uint8_t fw_weekday(int32_t day)
{
    int32_t weekday = (day + 4) % 7; /* 1970 began with a Thursday */
    return (uint8_t)(weekday < 0 ? weekday + 7 : weekday);
}

static int32_t days_before_month(int32_t year, uint8_t month)
{
    static const uint16_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    return before[month - 1u] + (month > 2u && is_leap(year) ? 1 : 0);
}

/* ---- rules ---- */

static int32_t day_of(const fw_zone_rule_t *rule, int32_t year)
{
    int32_t first = year_begins(year);
    if (rule->month == 0u && rule->week == 1u) {
        return first + rule->day - 1 + (rule->day > 59u && is_leap(year) ? 1 : 0);
    }
    if (rule->month == 0u) {
        return first + rule->day;
    }
    int32_t month = first + days_before_month(year, rule->month);
    int32_t next = first + (rule->month == 12u ? 365 + (is_leap(year) ? 1 : 0)
                                               : days_before_month(year, (uint8_t)(rule->month + 1u)));
    int32_t day = month + (rule->day + 7 - fw_weekday(month)) % 7 + 7 * (rule->week - 1);
    return day < next ? day : day - 7;
}

/* When daylight time begins and ends in a year. */
static int64_t begins_at(const fw_zone_t *zone, int32_t year)
{
    return (int64_t)day_of(&zone->begins, year) * DAY_S + zone->begins.time_s - zone->standard_s;
}

static int64_t ends_at(const fw_zone_t *zone, int32_t year)
{
    return (int64_t)day_of(&zone->ends, year) * DAY_S + zone->ends.time_s - zone->daylight_s;
}

/* The two changes of a year. */
typedef struct {
    int32_t year;
    int64_t begins;
    int64_t ends;
} season_t;

/* Those of the year of a moment, unless they are known already: a season is dear. */
static void look_up(const fw_zone_t *zone, int64_t utc, season_t *season)
{
    int32_t year = year_of((int32_t)floor_divide(utc + zone->standard_s, DAY_S));
    if (season->year != year) {
        *season = (season_t){year, begins_at(zone, year), ends_at(zone, year)};
    }
}

static bool is_daylight(const fw_zone_t *zone, int64_t utc, season_t *season)
{
    look_up(zone, utc, season);
    bool has_begun = utc >= season->begins;
    bool has_ended = utc >= season->ends;
    return season->begins < season->ends ? has_begun && !has_ended : has_begun || !has_ended;
}

int32_t fw_zone_offset(const fw_zone_t *zone, int64_t utc)
{
    season_t season = {0};
    return zone->has_daylight && is_daylight(zone, utc, &season) ? zone->daylight_s
                                                                 : zone->standard_s;
}

int32_t fw_zone_day(const fw_zone_t *zone, int64_t utc)
{
    return (int32_t)floor_divide(utc + fw_zone_offset(zone, utc), DAY_S);
}

int64_t fw_zone_moment(const fw_zone_t *zone, int32_t day, int32_t seconds)
{
    int64_t wall = (int64_t)day * DAY_S + seconds;
    int64_t standard = wall - zone->standard_s;
    int64_t daylight = wall - zone->daylight_s;
    if (!zone->has_daylight) {
        return standard;
    }
    season_t season = {0};
    bool may_be_standard = !is_daylight(zone, standard, &season);
    bool may_be_daylight = is_daylight(zone, daylight, &season);
    if (may_be_standard && may_be_daylight) {
        return standard < daylight ? standard : daylight;
    }
    if (may_be_standard || may_be_daylight) {
        return may_be_standard ? standard : daylight;
    }
    /* Jumped over: one of the two changes of the year lies between the two readings. */
    int64_t first = standard < daylight ? standard : daylight;
    int64_t last = standard < daylight ? daylight : standard;
    int64_t begins = begins_at(zone, year_of(day));
    return begins >= first && begins <= last ? begins : ends_at(zone, year_of(day));
}

/* ---- the text ---- */

typedef struct {
    fw_span_t text;
    size_t at;
} reader_t;

static uint8_t peek(const reader_t *reader)
{
    return reader->at < reader->text.length ? reader->text.bytes[reader->at] : 0u;
}

static bool accept(reader_t *reader, uint8_t byte)
{
    if (peek(reader) != byte) {
        return false;
    }
    reader->at++;
    return true;
}

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

/* A number from `least` to `most`. */
static bool read_number(reader_t *reader, int32_t least, int32_t most, int32_t *value)
{
    size_t from = reader->at;
    *value = 0;
    while (is_digit(peek(reader)) && reader->at - from < 4u) {
        *value = *value * 10 + (peek(reader) - '0');
        reader->at++;
    }
    return reader->at > from && *value >= least && *value <= most;
}

/* Three letters or more, or anything of letters, digits and signs within < and >. */
static bool read_name(reader_t *reader)
{
    bool is_quoted = accept(reader, '<');
    size_t from = reader->at;
    for (;;) {
        uint8_t byte = peek(reader);
        bool is_letter = (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
        if (!is_letter && !(is_quoted && (is_digit(byte) || byte == '+' || byte == '-'))) {
            break;
        }
        reader->at++;
    }
    bool is_long = reader->at - from >= 3u;
    return is_long && (!is_quoted || accept(reader, '>'));
}

/* [+-]hh[:mm[:ss]] */
static bool read_time(reader_t *reader, int32_t hours_most, int32_t *seconds)
{
    int32_t parts[3] = {0, 0, 0};
    bool is_negative = accept(reader, '-');
    if (!is_negative) {
        (void)accept(reader, '+');
    }
    if (!read_number(reader, 0, hours_most, &parts[0])) {
        return false;
    }
    for (size_t i = 1; i < 3u && accept(reader, ':'); i++) {
        if (!read_number(reader, 0, 59, &parts[i])) {
            return false;
        }
    }
    *seconds = parts[0] * 3600 + parts[1] * 60 + parts[2];
    if (is_negative) {
        *seconds = -*seconds;
    }
    return true;
}

static bool read_rule(reader_t *reader, fw_zone_rule_t *rule)
{
    int32_t numbers[3] = {0, 0, 0};
    *rule = (fw_zone_rule_t){.time_s = 7200};
    if (!accept(reader, ',')) {
        return false;
    }
    if (accept(reader, 'M')) {
        if (!read_number(reader, 1, 12, &numbers[0]) || !accept(reader, '.') ||
            !read_number(reader, 1, 5, &numbers[1]) || !accept(reader, '.') ||
            !read_number(reader, 0, 6, &numbers[2])) {
            return false;
        }
        rule->month = (uint8_t)numbers[0];
        rule->week = (uint8_t)numbers[1];
        rule->day = (uint16_t)numbers[2];
    } else {
        rule->week = accept(reader, 'J') ? 1u : 0u;
        if (!read_number(reader, rule->week, 365, &numbers[0])) {
            return false;
        }
        rule->day = (uint16_t)numbers[0];
    }
    /* Up to a week either way, as RFC 8536, 3.3.1 widens it. */
    return !accept(reader, '/') || read_time(reader, 167, &rule->time_s);
}

bool fw_zone_parse(fw_zone_t *zone, fw_span_t text)
{
    static const char usual_rules[] = ",M3.2.0,M11.1.0";
    reader_t reader = {.text = text};
    int32_t west_s = 0;
    fw_zone_t found = {0};
    *zone = (fw_zone_t){0};
    if (!read_name(&reader) || !read_time(&reader, 24, &west_s)) {
        return false;
    }
    found.standard_s = -west_s;
    found.daylight_s = found.standard_s;
    if (reader.at < text.length) {
        found.has_daylight = true;
        found.daylight_s = found.standard_s + 3600;
        if (!read_name(&reader)) {
            return false;
        }
        if (reader.at < text.length && peek(&reader) != ',') {
            if (!read_time(&reader, 24, &west_s)) {
                return false;
            }
            found.daylight_s = -west_s;
        }
        if (reader.at == text.length) {
            reader.text = (fw_span_t){(const uint8_t *)usual_rules, sizeof(usual_rules) - 1u};
            reader.at = 0;
        }
        if (!read_rule(&reader, &found.begins) || !read_rule(&reader, &found.ends) ||
            reader.at < reader.text.length) {
            return false;
        }
        found.has_daylight = found.daylight_s != found.standard_s;
    }
    *zone = found;
    return true;
}
