/*
 * whole_rig.c: see whole_rig.h.
 */
#include "whole_rig.h"

#include "check.h"

#include <string.h>

#include "monocypher-ed25519.h"

fw_device_t whole;
fw_nor_t whole_nor;
fw_device_setup_t whole_setup;
uint32_t whole_now_ms;
int32_t whole_inputs[FW_CHANNELS], whole_outputs[FW_CHANNELS];
bool whole_setup_is_open;
unsigned whole_restarts;

const char whole_script[] =
    "# Pump house: fill the tank, and look after the house.\n"
    "in   door  = DI1 debounce 30ms\n"
    "in   run   = DI2\n"
    "in   level : num = AI0 bad below -5\n"
    "out  pump  = RL1 safe off confirm run within 2s\n"
    "out  fan   = RL2 safe hold\n"
    "out  lamp  = RL3 safe off\n"
    "out  spare = RL4 safe off manual\n"
    "retain runs : int\n"
    "param  high  : num = 80 in 50..95\n"
    "param  low   : num = 20 in 5..45\n"
    "param  delay : time = 30s in 1s..10m\n"
    "command boost(t: time in 1s..10m) refuse \"tank full\" when level > 90\n"
    "state house: idle, busy\n"
    "  from idle to busy when door\n"
    "  from busy to idle when not door\n"
    "end\n"
    "\n"
    "pump := hysteresis(level, low, high) or tp(boost, boost.t)\n"
    "fan  := tof(pump, delay)\n"
    "lamp := house.busy\n"
    "runs += 1 when rise(pump)\n"
    "alarm HIGH \"High water\" when ton(level > 95, 10s) clear level < 70\n";

/* ---- the machine ---- */

static int32_t take_nothing(void *ctx, const uint8_t *bytes, size_t length)
{
    (void)ctx;
    (void)bytes;
    (void)length;
    return 0;
}

static uint32_t tell_now(void *ctx)
{
    (void)ctx;
    return whole_now_ms;
}

static void fill_random(void *ctx, uint8_t *into, size_t length)
{
    (void)ctx;
    random_fill(into, length);
}

static void no_log(void *ctx, fw_log_level_t level, const char *text)
{
    (void)ctx;
    (void)level;
    (void)text;
}

static void no_dial(void *ctx, uint8_t gateway)
{
    (void)ctx;
    (void)gateway;
}

static void no_link(void *ctx)
{
    (void)ctx;
}

static int32_t read_pin(void *ctx, uint8_t channel)
{
    (void)ctx;
    return whole_inputs[channel];
}

static void write_pin(void *ctx, uint8_t channel, int32_t value)
{
    (void)ctx;
    whole_outputs[channel] = value;
}

static void tell_radio(void *ctx, fw_radio_t *radio)
{
    (void)ctx;
    *radio = (fw_radio_t){.ip = 0xC0A80401u, .rssi_dbm = -61, .state = FW_API_WIFI_JOINED};
}

static void take_configuration(void *ctx, const fw_configuration_t *configuration)
{
    (void)ctx;
    CHECK(configuration == &whole.configuration);
}

static bool look_around(void *ctx)
{
    (void)ctx;
    return true;
}

static bool tell_network(void *ctx, uint16_t at, fw_api_network_t *network)
{
    static const char *const names[] = {"Pump yard", "Workshop \"B\""};
    (void)ctx;
    if (at >= 2u) {
        return false;
    }
    *network = (fw_api_network_t){.rssi_dbm = (int8_t)(-48 - at), .is_secured = at == 0u};
    network->ssid_bytes = (uint8_t)strlen(names[at]);
    memcpy(network->ssid, names[at], network->ssid_bytes);
    return true;
}

static uint32_t free_bytes(void *ctx)
{
    (void)ctx;
    return 12345;
}

static bool setup_is_open(void *ctx)
{
    (void)ctx;
    return whole_setup_is_open;
}

static void restart(void *ctx)
{
    (void)ctx;
    whole_restarts++;
}

/* ---- the board ---- */

static const fw_pin_t pins[] = {
    {"DI1", FW_POINT_DIGITAL_INPUT, FW_CHANNEL_DI1},
    {"DI2", FW_POINT_DIGITAL_INPUT, FW_CHANNEL_DI2},
    {"AI0", FW_POINT_ANALOGUE_INPUT, FW_CHANNEL_AI0},
    {"AO1", FW_POINT_ANALOGUE_OUTPUT, FW_CHANNEL_AO1},
    {"RL1", FW_POINT_DIGITAL_OUTPUT, FW_CHANNEL_RL1},
    {"RL2", FW_POINT_DIGITAL_OUTPUT, FW_CHANNEL_RL2},
    {"RL3", FW_POINT_DIGITAL_OUTPUT, FW_CHANNEL_RL3},
    {"RL4", FW_POINT_DIGITAL_OUTPUT, FW_CHANNEL_RL4},
};
const fw_board_t whole_board = {pins, sizeof(pins) / sizeof(pins[0])};
static const fw_port_t port = {
    .send = take_nothing,
    .now_ms = tell_now,
    .random = fill_random,
    .log = no_log,
    .dial = no_dial,
    .hang_up = no_link,
    .read_input = read_pin,
    .write_output = write_pin,
};
const fw_machine_t whole_machine = {
    .radio = tell_radio,
    .configured = take_configuration,
    .look_around = look_around,
    .network = tell_network,
    .free_bytes = free_bytes,
    .setup_is_open = setup_is_open,
    .restart = restart,
};
static const uint8_t nobodys_key[32] = {0};

uint8_t whole_boot(void)
{
    fw_nor_power_up(&whole_nor);
    memset(whole_outputs, 0, sizeof(whole_outputs));
    uint8_t slot = fw_device_boot(&whole, &whole_setup);
    CHECK(fw_device_init(&whole));
    return slot;
}

void whole_begin(void)
{
    whole_now_ms = UINT32_MAX - 5000u; /* the count wraps in most tests */
    whole_setup_is_open = true;
    whole_restarts = 0;
    memset(whole_inputs, 0, sizeof(whole_inputs));
    whole_inputs[FW_CHANNEL_AI0] = 50000;
    fw_nor_init(&whole_nor, random_below(0));
    whole_setup = (fw_device_setup_t){
        .port = &port,
        .flash = &whole_nor.port,
        .machine = &whole_machine,
        .board = &whole_board,
        .identity = {.profile = "rig", .public_key = nobodys_key, .version = 1, .slot = 1},
        .software = "core-tests",
        .board_title = "rig, 4 relays",
        .first_script = {(const uint8_t *)whole_script, strlen(whole_script)},
        .settings = {.title = "No. 7", .address = 7, .gateways = 1},
    };
    whole_boot();
}

void whole_pass(uint32_t ms)
{
    for (uint32_t passed = 0; passed < ms; passed += 10u) {
        whole_now_ms += 10u;
        CHECK(fw_device_poll(&whole) > 0u);
    }
}

void whole_configure(fw_text_setting_t which, const char *text)
{
    fw_api_change_t change = {.verifier = NULL};
    change.texts[which] = (fw_span_t){(const uint8_t *)text, strlen(text)};
    uint8_t wrong = FW_SETTINGS;
    fw_api_result_t result = FW_API_WAIT;
    for (int tries = 0; tries < 500 && result == FW_API_WAIT; tries++) {
        result = fw_device_api.change_settings(&whole, &change, &wrong);
        whole_pass(10);
    }
    CHECK_NOTE(result == FW_PROBLEM_NONE, text);
}

void whole_work(fw_scripts_work_t work)
{
    fw_scripts_result_t result = FW_SCRIPTS_WAIT;
    while ((result = fw_scripts_do(&whole.scripts, work)) == FW_SCRIPTS_WAIT) {
        whole_pass(10);
    }
    CHECK_NOTE(result == FW_SCRIPTS_OK,
               result == FW_SCRIPTS_ERROR ? whole.scripts.error.expected : "");
}

void whole_bring(const char *text, fw_scripts_work_t then)
{
    fw_scripts_t *scripts = &whole.scripts;
    fw_scripts_result_t result = FW_SCRIPTS_WAIT;
    const fw_span_t source = {(const uint8_t *)text, strlen(text)};
    while ((result = fw_scripts_begin(scripts, (uint32_t)source.length)) == FW_SCRIPTS_WAIT) {
        whole_pass(10);
    }
    CHECK(result == FW_SCRIPTS_OK && fw_scripts_write(scripts, 0, source) == FW_SCRIPTS_OK);
    whole_work(FW_SCRIPTS_COMPILE);
    if (then != FW_SCRIPTS_COMPILE) {
        whole_work(then);
    }
}

void whole_release(uint8_t *release, uint8_t slot, uint32_t image_bytes,
                   const uint8_t secret_key[64])
{
    uint8_t *image = release + WHOLE_RELEASE_HEAD_BYTES;
    random_fill(image, image_bytes);
    memset(release, 0, WHOLE_RELEASE_HEAD_BYTES);
    memcpy(release, "SWF1", 4);
    release[4] = slot;
    fw_store_u32(release + 8, 2);
    fw_store_u32(release + 16, image_bytes);
    memcpy(release + 20, "rig", 3);
    crypto_blake2b(release + 40, 32, image, image_bytes);
    crypto_ed25519_sign(release + FW_MANIFEST_BYTES, secret_key, release, FW_MANIFEST_BYTES);
}
