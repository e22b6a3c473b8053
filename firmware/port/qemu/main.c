/*
 * main.c: the controller under QEMU: the core on the chip's instruction set, over one byte stream.
 *
 *   qemu-system-xtensa ... -semihosting-config enable=on,target=native,arg=x,arg=NAME=VALUE...
 *
 * Settings are words of the command line: `address=100042`, `key=` and 64 hexadecimal digits, and
 * `script=` with the path of what it is to do, which is compiled here. The link is QEMU's own
 * standard input and output, which whoever starts it has connected to a gateway: `dial` finds it
 * there, and the run ends with the link. Standard error has the log. The board is a plant of its
 * own: an output is remembered, DI2 and AI0 read RL1 and AO1 back, and the other inputs stay off.
 */
#include "code.h"
#include "compile.h"
#include "controller.h"
#include "simcall.h"

enum { LINK_IN = 0, LINK_OUT = 1, LOG = 2, RECEIVE_BYTES = 1460 };

enum {
    STATUS_ENDED = 0,
    STATUS_SETTINGS = 64,
    STATUS_NO_RANDOM = 65,
    STATUS_SECOND_DIAL = 66,
    STATUS_SCRIPT = 67,
};

static const fw_pin_t pins[] = {
    {"DI1", FW_POINT_DIGITAL_INPUT, FW_CHANNEL_DI1},
    {"DI2", FW_POINT_DIGITAL_INPUT, FW_CHANNEL_DI2},
    {"DI3", FW_POINT_DIGITAL_INPUT, FW_CHANNEL_DI3},
    {"DI4", FW_POINT_DIGITAL_INPUT, FW_CHANNEL_DI4},
    {"RL1", FW_POINT_DIGITAL_OUTPUT, FW_CHANNEL_RL1},
    {"RL2", FW_POINT_DIGITAL_OUTPUT, FW_CHANNEL_RL2},
    {"RL3", FW_POINT_DIGITAL_OUTPUT, FW_CHANNEL_RL3},
    {"RL4", FW_POINT_DIGITAL_OUTPUT, FW_CHANNEL_RL4},
    {"AI0", FW_POINT_ANALOGUE_INPUT, FW_CHANNEL_AI0},
    {"AO1", FW_POINT_ANALOGUE_OUTPUT, FW_CHANNEL_AO1},
};
static const fw_board_t pins_of_board = {pins, sizeof(pins) / sizeof(pins[0])};

/* What lies in flash on the chip, and so takes none of its RAM. */
#define IN_SLOT __attribute__((section(".slot")))

typedef struct {
    int32_t levels[FW_CHANNELS];
    uint32_t cycles; /* of the counter, up to which time is counted */
    uint32_t cycles_rest;
    uint32_t now_ms;
    int32_t random;
    bool dialling;
    bool dialled;
    bool has_sent;
    bool over;
} board_t;

static fw_controller_t controller;
static fw_compiler_t compiler;
static board_t board;
static IN_SLOT uint8_t source[FW_SCRIPT_SOURCE_MAX];
static IN_SLOT uint32_t code[FW_SCRIPT_CODE_WORDS_MAX];
static IN_SLOT uint32_t table[FW_SCRIPT_TABLE_WORDS_MAX];
static fw_program_t program = {.code = code, .table = table};
static uint8_t received[RECEIVE_BYTES];

/* ---- the port ---- */

static int32_t send_bytes(void *ctx, const uint8_t *bytes, size_t length)
{
    (void)ctx;
    int32_t taken = simcall_write(LINK_OUT, bytes, length);
    board.has_sent = taken > 0;
    return taken;
}

static uint32_t now_ms(void *ctx)
{
    (void)ctx;
    uint32_t cycles = simcall_cycles();
    board.cycles_rest += cycles - board.cycles;
    board.cycles = cycles;
    board.now_ms += board.cycles_rest / SIMCALL_CYCLES_EACH_MS;
    board.cycles_rest %= SIMCALL_CYCLES_EACH_MS;
    return board.now_ms;
}

static void fill_random(void *ctx, uint8_t *into, size_t length)
{
    (void)ctx;
    if (simcall_read(board.random, into, length) != (int32_t)length) {
        simcall_exit(STATUS_NO_RANDOM);
    }
}

static void write_log(const char *text)
{
    simcall_write(LOG, text, fw_string_length(text));
    simcall_write(LOG, "\n", 1);
}

static void log_line(void *ctx, fw_log_level_t level, const char *text)
{
    (void)ctx;
    (void)level;
    write_log(text);
}

static void dial(void *ctx, uint8_t gateway)
{
    (void)ctx;
    (void)gateway;
    if (board.dialled) {
        simcall_exit(STATUS_SECOND_DIAL);
    }
    board.dialling = true;
    board.dialled = true;
}

static void hang_up(void *ctx)
{
    (void)ctx;
    board.over = true;
}

static int32_t read_input(void *ctx, uint8_t channel)
{
    (void)ctx;
    switch (channel) {
    case FW_CHANNEL_DI2:
        return board.levels[FW_CHANNEL_RL1];
    case FW_CHANNEL_AI0:
        return board.levels[FW_CHANNEL_AO1];
    default:
        return 0;
    }
}

static void write_output(void *ctx, uint8_t channel, int32_t value)
{
    (void)ctx;
    board.levels[channel] = value;
}

static const fw_port_t port = {
    .send = send_bytes,
    .now_ms = now_ms,
    .random = fill_random,
    .log = log_line,
    .dial = dial,
    .hang_up = hang_up,
    .read_input = read_input,
    .write_output = write_output,
};

/* ---- settings ---- */

/* What follows `name=` in a word, or NULL. */
static const char *value_of(const char *word, const char *name)
{
    while (*name != '\0' && *word == *name) {
        word++;
        name++;
    }
    return *name == '\0' && *word == '=' ? word + 1 : NULL;
}

static bool read_number(const char *digits, uint32_t *number)
{
    *number = 0;
    for (; *digits >= '0' && *digits <= '9'; digits++) {
        *number = *number * 10u + (uint32_t)(*digits - '0');
    }
    return *digits == '\0';
}

static bool read_hex(const char *digits, uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < 2u * length; i++) {
        uint8_t digit = (uint8_t)digits[i];
        bool is_letter = digit >= 'a' && digit <= 'f';
        if (!is_letter && (digit < '0' || digit > '9')) {
            return false;
        }
        digit = (uint8_t)(is_letter ? digit - 'a' + 10 : digit - '0');
        bytes[i / 2u] = (uint8_t)((bytes[i / 2u] << 4) | digit);
    }
    return digits[2u * length] == '\0';
}

static fw_keys_t keys;

static bool read_settings(fw_settings_t *settings, const char **script, int count, char **words)
{
    bool good = true;
    for (int i = 1; i < count; i++) {
        const char *value;
        if ((value = value_of(words[i], "address")) != NULL) {
            good = read_number(value, &settings->address) && good;
        } else if ((value = value_of(words[i], "key")) != NULL) {
            good = read_hex(value, keys.current, FW_LINK_KEY_BYTES) && good;
        } else if ((value = value_of(words[i], "script")) != NULL) {
            *script = value;
        } else {
            good = false;
        }
    }
    return good;
}

/* ---- the script ---- */

static bool put_code(void *ctx, uint32_t word)
{
    (void)ctx;
    code[program.code_words++] = word;
    return true;
}

static bool put_table(void *ctx, uint32_t word)
{
    (void)ctx;
    table[program.table_words++] = word;
    return true;
}

static bool compile(const char *path)
{
    static const fw_program_sink_t sink = {NULL, put_code, put_table};
    int32_t file = simcall_open(path);
    int32_t length = file < 0 ? -1 : simcall_read(file, source, sizeof(source));
    if (length < 0) {
        write_log("expected the script's file");
        return false;
    }
    fw_compile_state_t state = FW_COMPILE_FAILED;
    if (fw_compile_begin(&compiler, source, (size_t)length, &pins_of_board, sink)) {
        do {
            state = fw_compile_step(&compiler);
        } while (state == FW_COMPILE_MORE);
    }
    if (state != FW_COMPILE_DONE) {
        write_log("expected, in the script:");
        write_log(compiler.error.expected);
    }
    return state == FW_COMPILE_DONE;
}

/* ---- the run ---- */

/* What happened since the last poll; waits for it as long as the core may be left alone. */
static void hear(uint32_t wait_ms)
{
    if (board.dialling) {
        board.dialling = false;
        fw_controller_connected(&controller);
    } else if (board.has_sent) {
        board.has_sent = false;
        fw_controller_sent(&controller);
    } else if (simcall_ready(LINK_IN, false, wait_ms)) {
        int32_t length = simcall_read(LINK_IN, received, sizeof(received));
        if (length > 0) {
            fw_controller_receive(&controller, received, (size_t)length);
        } else {
            fw_controller_disconnected(&controller);
            board.over = true;
        }
    }
}

int main(int count, char **words)
{
    fw_settings_t settings = {
        .title = "LX106 under QEMU", .software = "qemu", .board = "qemu", .keys = &keys,
        .gateways = 1};
    board.random = simcall_open("/dev/urandom");
    board.cycles = simcall_cycles();
    if (board.random < 0) {
        return STATUS_NO_RANDOM;
    }
    const char *script = NULL;
    if (!read_settings(&settings, &script, count, words) || script == NULL ||
        !fw_controller_init(&controller, &settings, &port)) {
        write_log("expected address=NUMBER key=64-HEX-DIGITS script=PATH");
        return STATUS_SETTINGS;
    }
    if (!compile(script)) {
        return STATUS_SCRIPT;
    }
    fw_controller_run(&controller, &program, "a script");
    bool was_live = false;
    while (!board.over) {
        hear(fw_controller_poll(&controller));
        bool is_live = fw_controller_link_state(&controller) == FW_LINK_LIVE;
        if (is_live && !was_live) {
            write_log("on line");
        }
        was_live = is_live;
    }
    fw_controller_end(&controller);
    return STATUS_ENDED;
}
