/*
 * shadow.c: see shadow.h.
 */
#include "shadow.h"

bool fw_shadow_find(const fw_program_t *program, uint16_t line, fw_statement_t *statement)
{
    bool is_there = false;
    *statement = (fw_statement_t){.line = 0};
    do {
        is_there = fw_program_next_statement(program, statement);
    } while (is_there && statement->line < line);
    return is_there;
}

void fw_shadow_begin(fw_shadow_t *shadow, const fw_statement_t *statement, uint32_t now_ms)
{
    shadow->at = *statement;
    shadow->touched_ms = now_ms;
    shadow->state = FW_SHADOW_WAITING;
    shadow->has_copy = false;
}

void fw_shadow_take(fw_shadow_t *shadow, const fw_vm_t *vm, uint32_t now_ms,
                    const fw_vm_call_t *call)
{
    if (shadow->state != FW_SHADOW_WAITING) {
        return;
    }
    shadow->vm = *vm;
    if (call != NULL) {
        shadow->call = *call;
    }
    fw_vm_walk_begin(&shadow->walk, &shadow->vm, now_ms, call != NULL ? &shadow->call : NULL);
    shadow->has_copy = true;
}

/* How many words of a statement only say which branch it is in. `else if` and `end` belong to the branch
 * around, and begin by saying so; `else` to the one that it begins, which is all that it says. */
static uint16_t opening_words(const fw_program_t *program, uint16_t begins)
{
    const uint32_t *code = program->code + begins;
    if (begins + 1u >= program->code_words) {
        return 0; /* there is an end at least behind each */
    }
    uint32_t first = fw_word(code);
    uint32_t op = first & 0xFFu;
    if (op == FW_OP_WHEN || op == FW_OP_ALWAYS) {
        return 1;
    }
    bool is_else = op == FW_OP_MOVE &&
                   (fw_word(code + 1) & 0xFFFFu) == ((first & 0xFF00u) | FW_OP_WHEN);
    return is_else ? 2 : 0;
}

/* Runs what comes before the statement. Whether it is reached. */
static bool reach(fw_shadow_t *shadow)
{
    uint16_t begins = shadow->at.begins;
    uint16_t opening = opening_words(&shadow->vm.program, begins);
    return fw_vm_walk(&shadow->walk, &shadow->vm, (uint16_t)(begins + opening));
}

void fw_shadow_look(fw_shadow_t *shadow, uint32_t now_ms)
{
    if (shadow->state != FW_SHADOW_WAITING || !shadow->has_copy) {
        return;
    }
    shadow->has_copy = false;
    if (reach(shadow)) {
        shadow->state = FW_SHADOW_STOPPED;
        shadow->touched_ms = now_ms;
    }
}

bool fw_shadow_step(fw_shadow_t *shadow, uint32_t now_ms)
{
    if (shadow->state != FW_SHADOW_STOPPED) {
        return false;
    }
    bool is_reached = false;
    shadow->touched_ms = now_ms;
    while (!is_reached && fw_program_next_statement(&shadow->vm.program, &shadow->at)) {
        is_reached = reach(shadow);
    }
    if (!is_reached) {
        (void)fw_vm_walk(&shadow->walk, &shadow->vm, shadow->vm.program.code_words);
        shadow->at.line = 0;
        shadow->state = FW_SHADOW_ENDED;
    }
    return true;
}

bool fw_shadow_is_over(const fw_shadow_t *shadow, uint32_t now_ms)
{
    return now_ms - shadow->touched_ms >= FW_SHADOW_MS;
}
