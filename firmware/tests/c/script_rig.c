/*
 * script_rig.c: see script_rig.h.
 */
#include "script_rig.h"

#include "check.h"
#include "code.h"
#include "port.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const fw_pin_t pins[] = {
    {"DI1", FW_POINT_DIGITAL_INPUT, FW_CHANNEL_DI1},
    {"DI2", FW_POINT_DIGITAL_INPUT, FW_CHANNEL_DI2},
    {"RL1", FW_POINT_DIGITAL_OUTPUT, FW_CHANNEL_RL1},
    {"RL2", FW_POINT_DIGITAL_OUTPUT, FW_CHANNEL_RL2},
    {"AI0", FW_POINT_ANALOGUE_INPUT, FW_CHANNEL_AI0},
    {"AO1", FW_POINT_ANALOGUE_OUTPUT, FW_CHANNEL_AO1},
    {"RL3", FW_POINT_DIGITAL_OUTPUT, FW_CHANNEL_RL3},
};
static const fw_board_t board = {pins, sizeof(pins) / sizeof(pins[0])};

typedef struct {
    uint32_t code[FW_SCRIPT_CODE_WORDS_MAX];
    uint32_t table[FW_SCRIPT_TABLE_WORDS_MAX];
    uint16_t code_words;
    uint16_t table_words;
} image_t;

static bool put_code(void *ctx, uint32_t word)
{
    image_t *image = ctx;
    image->code[image->code_words++] = word;
    return true;
}

static bool put_table(void *ctx, uint32_t word)
{
    image_t *image = ctx;
    image->table[image->table_words++] = word;
    return true;
}

fw_compiler_t compiler;
static image_t image;
fw_vm_t vm;
uint32_t now_ms;

bool compile(const char *text)
{
    size_t length = 0;
    uint8_t *source = bytes_exact((const uint8_t *)text, length = strlen(text));
    image.code_words = 0;
    image.table_words = 0;
    fw_program_sink_t sink = {&image, put_code, put_table};
    fw_compile_state_t state = FW_COMPILE_FAILED;
    if (fw_compile_begin(&compiler, source, length, &board, sink)) {
        do {
            state = fw_compile_step(&compiler);
        } while (state == FW_COMPILE_MORE);
    }
    free(source);
    return state == FW_COMPILE_DONE;
}

const char *const built_in[4] = {"latch", "pulse", "follow", "ramp"};

const fw_program_t *program_of(const char *name)
{
    static struct {
        char name[32];
        image_t image;
        fw_program_t program;
    } known[8];
    size_t at = 0;
    while (at < 8u && known[at].name[0] != '\0' && strcmp(known[at].name, name) != 0) {
        at++;
    }
    CHECK(at < 8u);
    if (known[at].name[0] == '\0') {
        char path[512];
        char text[FW_SCRIPT_SOURCE_MAX + 1u] = {0};
        snprintf(path, sizeof path, "%s/%s.script", FW_SCRIPTS, name);
        FILE *file = fopen(path, "r");
        CHECK_NOTE(file != NULL && fread(text, 1, sizeof text - 1u, file) > 0u, path);
        fclose(file);
        CHECK_NOTE(compile(text), path);
        snprintf(known[at].name, sizeof known[at].name, "%s", name);
        known[at].image = image;
        known[at].program = (fw_program_t){known[at].image.code, known[at].image.table,
                                           image.code_words, image.table_words};
    }
    return &known[at].program;
}

int32_t *cell(const char *name)
{
    uint16_t at = 0;
    fw_record_t record;
    fw_span_t span = {(const uint8_t *)name, strlen(name)};
    while (fw_program_next(&vm.program, &at, &record)) {
        if (fw_record_is(&record, span)) {
            return &vm.cells[record.a];
        }
    }
    return NULL;
}

void start(const char *text)
{
    bool compiled = compile(text);
    if (!compiled) {
        printf("line %u:%u: expected %s\n", compiler.error.line, compiler.error.column,
               compiler.error.expected);
    }
    CHECK_NOTE(compiled, text);
    fw_program_t program = {image.code, image.table, image.code_words, image.table_words};
    fw_vm_start(&vm, &program);
    /* The count goes round in the middle of every test. */
    now_ms = (uint32_t)-60000;
}

void scan(uint32_t after_ms)
{
    now_ms += after_ms;
    CHECK(fw_vm_scan(&vm, now_ms, NULL) == FW_VM_NO_CALL);
}
