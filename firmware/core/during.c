/*
 * during.c: `during( )`, the condition that asks the clock. It costs a scan nothing: whoever runs the
 * program looks once a second, and keeps the answer in a cell.
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

/* `07:00-19:30`, with days before it or every day. */
static bool read_window(fw_compiler_t *compiler, int32_t *words)
{
    uint32_t days = 0;
    while (read_days(compiler, &days)) {
    }
    words[FW_WINDOW_DAYS] = days == 0u ? 0x7F : (int32_t)days;
    const fw_token_t from = compiler->token;
    words[FW_WINDOW_FROM] = from.value;
    if (!fw_compile_take(compiler, FW_TOKEN_CLOCK, "a time of day, such as 07:00, or days before it") ||
        !fw_compile_take(compiler, FW_TOKEN_MINUS, "`-` and a time of day")) {
        return false;
    }
    const fw_token_t to = compiler->token;
    words[FW_WINDOW_TO] = to.value;
    if (!fw_compile_take(compiler, FW_TOKEN_CLOCK, "a time of day, such as 19:30")) {
        return false;
    }
    return (from.value != to.value && from.value < 86400) ||
           fw_compile_fail(compiler, &to, "two different times of day", NULL);
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
    fw_compile_write_record(compiler, FW_RECORD_DURING, value->cell, windows, words,
                            (uint8_t)(FW_DURING_WORDS + windows * FW_WINDOW_WORDS), NULL);
    return true;
}
