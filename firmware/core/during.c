/*
 * during.c: `during( )`, the condition that asks the clock and the sun. It costs a scan nothing:
 * whoever runs the program looks when a window may begin or end, and keeps the answer in a cell.
 */
#include "compile_inside.h"

/* `mon`, or `mon-fri`, which may go round the week's end; false and not failed when there is none. */
static bool read_days(fw_compiler_t *compiler, uint32_t *days)
{
    static const char *const names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
    uint8_t ends[2] = {7, 7};
    for (uint8_t at = 0; at < 2u; at++) {
        for (uint8_t i = 0; i < 7u && ends[at] == 7u; i++) {
            if (fw_compile_accept(compiler, names[i])) {
                ends[at] = i;
            }
        }
        if (ends[at] == 7u) {
            return at != 0u && fw_compile_fail(compiler, &compiler->token, "a day, such as fri", NULL);
        }
        if (at == 0u && compiler->token.kind != FW_TOKEN_MINUS) {
            ends[1] = ends[0];
            break;
        }
        if (at == 0u) {
            fw_compile_advance(compiler);
        }
    }
    for (uint8_t day = ends[0];; day = (uint8_t)((day + 1u) % 7u)) {
        *days |= 1u << day;
        if (day == ends[1]) {
            return true;
        }
    }
}

#define DAY_S 86400
#define NOON_S 43200
#define OFFSET_S_MAX NOON_S

/* An end of a window. */
typedef struct {
    fw_token_t at;
    int32_t seconds; /* as in FW_WINDOW_FROM */
    uint8_t base;    /* what they are counted from: fw_end_t */
    bool past_dash;  /* the `-` that stands between a window's ends has been read with it */
} end_t;

/* `+30m` or `-30m`, if one stands here. A `-` without a time is the one between the ends. */
static bool read_offset(fw_compiler_t *compiler, end_t *end)
{
    bool is_negative = compiler->token.kind == FW_TOKEN_MINUS;
    if (!is_negative && compiler->token.kind != FW_TOKEN_PLUS) {
        return true;
    }
    fw_compile_advance(compiler);
    const fw_token_t offset = compiler->token;
    if (is_negative && offset.kind != FW_TOKEN_TIME) {
        end->past_dash = true;
        return true;
    }
    if (!fw_compile_take(compiler, FW_TOKEN_TIME, "a time, such as 30m")) {
        return false;
    }
    end->seconds = is_negative ? -(offset.value / 1000) : offset.value / 1000;
    return (offset.value % 1000 == 0 && offset.value / 1000 <= OFFSET_S_MAX) ||
           fw_compile_fail(compiler, &offset, "a time of whole seconds, 12h at most", NULL);
}

/* `07:00`, or `sunrise` or `sunset` with an offset. */
static bool read_end(fw_compiler_t *compiler, end_t *end, const char *expected)
{
    bool is_sunrise = fw_compile_at(compiler, "sunrise");
    *end = (end_t){.at = compiler->token};
    if (!is_sunrise && !fw_compile_at(compiler, "sunset")) {
        end->seconds = end->at.value;
        return fw_compile_take(compiler, FW_TOKEN_CLOCK, expected);
    }
    if (compiler->place_line == 0u) {
        return fw_compile_fail(compiler, &end->at, "a time of day, or `place` above this line",
                               "add `place` with the degrees of latitude and longitude, such as "
                               "`place 52.5, 13.4`");
    }
    end->base = is_sunrise ? FW_END_SUNRISE : FW_END_SUNSET;
    fw_compile_advance(compiler);
    return read_offset(compiler, end);
}

/* Whether the window ends on the next day: when its end never comes after its beginning on the same
 * day, on which the sun rises before noon and sets after it. */
static bool is_overnight(const end_t *from, const end_t *to)
{
    static const int32_t earliest_s[] = {[FW_END_SUNRISE] = 0, [FW_END_SUNSET] = NOON_S};
    static const int32_t latest_s[] = {[FW_END_SUNRISE] = NOON_S, [FW_END_SUNSET] = DAY_S};
    if (from->base == to->base) {
        return to->seconds <= from->seconds;
    }
    int32_t begins_s = from->base == FW_END_CLOCK ? from->seconds : earliest_s[from->base];
    int32_t ends_s = to->base == FW_END_CLOCK ? to->seconds : latest_s[to->base];
    return ends_s <= begins_s;
}

/* `07:00-19:30`, with days before it or every day. */
static bool read_window(fw_compiler_t *compiler, int32_t *words)
{
    uint32_t days = 0;
    end_t from;
    end_t to;
    while (read_days(compiler, &days)) {
    }
    if (!read_end(compiler, &from,
                  "a time of day, such as 07:00 or sunset, or days before it")) {
        return false;
    }
    if (from.base == FW_END_CLOCK && from.seconds == DAY_S) {
        return fw_compile_fail(compiler, &from.at, "a time of day before 24:00", NULL);
    }
    if (!from.past_dash &&
        !fw_compile_take(compiler, FW_TOKEN_MINUS, "`-` and a time of day")) {
        return false;
    }
    if (!read_end(compiler, &to, "a time of day, such as 19:30 or sunset")) {
        return false;
    }
    if (to.past_dash) {
        return fw_compile_fail(compiler, &compiler->token, "a time, such as 30m", NULL);
    }
    if (from.base == to.base && from.seconds == to.seconds) {
        return fw_compile_fail(compiler, &to.at, "two different times of day", NULL);
    }
    uint32_t shape = days == 0u ? 0x7Fu : days;
    shape |= is_overnight(&from, &to) ? FW_WINDOW_OVERNIGHT : 0u;
    shape |= (uint32_t)from.base << FW_WINDOW_FROM_SHIFT | (uint32_t)to.base << FW_WINDOW_TO_SHIFT;
    words[FW_WINDOW_SHAPE] = (int32_t)shape;
    words[FW_WINDOW_FROM] = from.seconds;
    words[FW_WINDOW_TO] = to.seconds;
    return true;
}

bool fw_compile_during(fw_compiler_t *compiler, fw_operand_t *value)
{
    int32_t words[FW_DURING_WORDS + FW_WINDOWS_MAX * FW_WINDOW_WORDS] = {compiler->token.line, 0};
    uint8_t windows = 0;
    bool more = true;
    if (compiler->durings == FW_DURINGS_MAX) {
        return fw_compile_fail(compiler, &compiler->token,
                               "no further `during`: a script has 16 at most", NULL);
    }
    if (!fw_compile_take(compiler, FW_TOKEN_OPEN, "`(` and times of day")) {
        return false;
    }
    while (more && !fw_compile_at(compiler, "unsynced")) {
        if (windows == FW_WINDOWS_MAX) {
            return fw_compile_fail(compiler, &compiler->token,
                                   "`unsynced`: a `during` has eight windows at most", NULL);
        }
        if (!read_window(compiler,
                         words + FW_DURING_WORDS + (uint32_t)windows * FW_WINDOW_WORDS)) {
            return false;
        }
        windows++;
        more = compiler->token.kind == FW_TOKEN_COMMA;
        if (more) {
            fw_compile_advance(compiler);
        }
    }
    if (windows == 0u) {
        return fw_compile_fail(compiler, &compiler->token, "a time of day, such as 07:00", NULL);
    }
    if (!fw_compile_accept(compiler, "unsynced")) {
        return fw_compile_fail(compiler, &compiler->token,
                               "`,` and another window, or `unsynced` and what holds while the time "
                               "of day is not known",
                               "add `, unsynced off`");
    }
    if (!fw_compile_read_constant_of(compiler, FW_TYPE_BOOL, &words[FW_DURING_UNSYNCED]) ||
        !fw_compile_take(compiler, FW_TOKEN_CLOSE, "`)`")) {
        return false;
    }
    *value = (fw_operand_t){.cell = fw_compile_cell(compiler), .type = FW_TYPE_BOOL};
    compiler->causes[value->cell] = (uint32_t)1 << (16u + compiler->durings);
    compiler->durings++;
    compiler->windows = (uint8_t)(compiler->windows + windows);
    fw_compile_write_record(compiler, FW_RECORD_DURING, value->cell, windows, words,
                            (uint8_t)(FW_DURING_WORDS + windows * FW_WINDOW_WORDS), NULL);
    return true;
}
