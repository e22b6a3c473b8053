/*
 * test_power.c: power fails within each flash operation of what a whole device does: a script that is kept,
 * one on trial, settings, retained values, new firmware from its upload to the boot that confirms it.
 *
 * Each operation is cut in every way that nor.h knows, and half of the recoveries once more. Then it has the
 * old or the new state, runs its script, and can be changed again.
 */
#include "check.h"
#include "whole_rig.h"

#include "monocypher-ed25519.h"

#include <stdio.h>
#include <string.h>

/* One that there may not be, the old, the new, and the one that a further change makes. */
enum { NEITHER = 0, OLD, NEW, LATER };

/* A second cut falls into one of so many operations; 50 s of asking again are for ever. */
enum { RECOVERY_OPERATIONS = 8, TRIES_MAX = 5000 };

typedef struct {
    const char *name;
    void (*prepare)(void); /* on a new device: OLD */
    bool (*act)(void);     /* false: power failed before it was told to be done */
    bool (*go_on)(void);   /* to LATER */
    int (*look)(void);
    bool is_lost; /* a restart ends it: always OLD again */
} change_t;

/* The state before the change, to go back to. The device's pointers to itself stay good: there is one. */
static struct {
    fw_nor_t nor;
    fw_device_t device;
    uint32_t now_ms;
    uint8_t loader_slot;
} before;

/* The slot that the loader boots. */
static uint8_t loader_slot;
static uint32_t cuts_checked;

/* ---- lives ---- */

/* What lies in a slot says of itself which one that is, and has its number as its version. */
static void run_slot(uint8_t slot)
{
    loader_slot = slot;
    whole_setup.identity.slot = slot;
    whole_setup.identity.version = slot;
}

/* Starts it, as often as the loader is told to take the other slot. False if power fails meanwhile. */
static bool start(void)
{
    for (int restarts = 0; restarts < 8; restarts++) {
        memset(whole_outputs, 0, sizeof(whole_outputs));
        uint8_t slot = fw_device_boot(&whole, &whole_setup);
        if (whole_nor.is_off) {
            return false;
        }
        if (slot == loader_slot) {
            bool is_good = fw_device_init(&whole);
            CHECK(is_good || whole_nor.is_off);
            return !whole_nor.is_off;
        }
        run_slot(slot);
    }
    CHECK_NOTE(false, "restarts for ever");
    return false;
}

static bool power_up(void)
{
    fw_nor_power_up(&whole_nor);
    return start();
}

static void pass(uint32_t ms, uint32_t step_ms)
{
    fw_controller_input_changed(&whole.controller);
    for (uint32_t passed = 0; passed < ms && !whole_nor.is_off; passed += step_ms) {
        whole_now_ms += step_ms;
        CHECK(fw_device_poll(&whole) > 0u);
    }
}

/* Asks again until it no longer says that it waits. */
static bool done(fw_api_result_t (*ask)(void))
{
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        fw_api_result_t result = ask();
        if (whole_nor.is_off) {
            return false;
        }
        if (result != FW_API_WAIT) {
            CHECK(result == FW_PROBLEM_NONE);
            return result == FW_PROBLEM_NONE;
        }
        pass(10, 10);
    }
    CHECK_NOTE(false, "waits for ever");
    return false;
}

/* Asks it to restart, and is there when it does. */
static bool restart(void)
{
    unsigned restarts = whole_restarts;
    fw_device_api.restart(&whole);
    for (int tries = 0; tries < TRIES_MAX && whole_restarts == restarts; tries++) {
        pass(10, 10);
        if (whole_nor.is_off) {
            return false;
        }
    }
    CHECK(whole_restarts == restarts + 1u);
    return true;
}

/* Every script here has the lamp follow the door. */
static bool runs_a_script(void)
{
    bool follows = true;
    for (int32_t door = 1; door >= 0; door--) {
        whole_inputs[FW_CHANNEL_DI1] = door;
        pass(100, 10);
        follows = follows && whole_outputs[FW_CHANNEL_RL3] == door;
    }
    return follows;
}

/* ---- what is asked for ---- */

static struct {
    fw_upload_t what;
    const uint8_t *bytes;
    size_t length;
    size_t at;
} upload;

static fw_api_result_t begin_upload(void)
{
    return fw_device_api.upload_begin(&whole, upload.what, (uint32_t)upload.length);
}

static fw_api_result_t write_piece(void)
{
    size_t left = upload.length - upload.at;
    const fw_span_t piece = {upload.bytes + upload.at, left < 700u ? left : 700u};
    return fw_device_api.upload_write(&whole, upload.what, (uint32_t)upload.at, piece);
}

static fw_api_result_t end_upload(void)
{
    fw_api_compiled_t compiled;
    return fw_device_api.upload_end(&whole, upload.what, &compiled);
}

static bool send(fw_upload_t what, const void *bytes, size_t length)
{
    upload.what = what;
    upload.bytes = bytes;
    upload.length = length;
    if (!done(begin_upload)) {
        return false;
    }
    for (upload.at = 0; upload.at < length; upload.at += 700u) {
        if (!done(write_piece)) {
            return false;
        }
    }
    return done(end_upload);
}

static fw_api_result_t begin_trial(void)
{
    return fw_device_api.trial(&whole, FW_TRIAL_BEGIN);
}

static fw_api_result_t commit_trial(void)
{
    return fw_device_api.trial(&whole, FW_TRIAL_COMMIT);
}

static int32_t value_of(const char *name)
{
    fw_api_value_t value;
    uint16_t cursor = 0;
    while (fw_device_api.value(&whole, &cursor, &value)) {
        if (strcmp(value.name, name) == 0) {
            return value.value;
        }
    }
    return INT32_MIN;
}

/* ---- scripts ---- */

static const char new_script[] =
    "# New house\n"
    "in   door = DI1\n"
    "out  lamp = RL3 safe off\n"
    "retain runs : int\n"
    "lamp := door\n";

static const char later_script[] =
    "# Later house\n"
    "in   door = DI1\n"
    "out  lamp = RL3 safe off\n"
    "out  busy = RL4 safe off\n"
    "retain runs : int\n"
    "lamp := door\n"
    "busy := runs > 0\n";

static bool keep(const char *script)
{
    return send(FW_UPLOAD_SCRIPT, script, strlen(script)) && done(begin_trial) && done(commit_trial);
}

/* The pump of the rig's script has run once, and that is kept. */
static void prepare_script(void)
{
    pass(100, 10); /* the first scan has no edges */
    whole_inputs[FW_CHANNEL_AI0] = 10000;
    pass(100, 10);
    whole_inputs[FW_CHANNEL_AI0] = 50000;
    CHECK(restart() && start());}

static bool keep_new(void)
{
    return keep(new_script);
}

static bool try_new(void)
{
    return send(FW_UPLOAD_SCRIPT, new_script, strlen(new_script)) && done(begin_trial);
}

static bool keep_later(void)
{
    return keep(later_script);
}

/* Whichever it is, what was retained is still known. */
static int which_script(void)
{
    static const char *const scripts[] = {[OLD] = whole_script, new_script, later_script};
    char text[FW_SCRIPT_SOURCE_MAX];
    size_t length = fw_device_api.source(&whole, 0, (uint8_t *)text, sizeof(text));
    for (int state = OLD; state <= LATER; state++) {
        if (strlen(scripts[state]) == length && memcmp(text, scripts[state], length) == 0) {
            return value_of("runs") == 1 ? state : NEITHER;
        }
    }
    return NEITHER;
}

/* ---- retained values ---- */

/* Counts up and down alike: what is kept of the one must be of the other. */
static const char counting_script[] =
    "# Counting house\n"
    "in   door = DI1\n"
    "in   run  = DI2\n"
    "out  lamp = RL3 safe off\n"
    "retain up   : int\n"
    "retain down : int\n"
    "var begins  : bool\n"
    "lamp   := door\n"
    "begins := rise(run)\n"
    "up += 1 when begins\n"
    "if begins\n"
    "  down := down - 1\n"
    "end\n";

static bool count_to(int32_t up)
{
    while (value_of("up") < up && !whole_nor.is_off) {
        whole_inputs[FW_CHANNEL_DI2] = 1;
        pass(50, 10);
        whole_inputs[FW_CHANNEL_DI2] = 0;
        pass(50, 10);
    }
    return !whole_nor.is_off && restart();
}

static void prepare_count(void)
{
    CHECK(keep(counting_script) && count_to(OLD) && start());
}

static bool count_to_new(void)
{
    return count_to(NEW);
}

static bool count_to_later(void)
{
    return count_to(LATER);
}

static int which_count(void)
{
    int32_t up = value_of("up");
    return up >= OLD && up <= LATER && value_of("down") == -up ? (int)up : NEITHER;
}

/* ---- settings ---- */

static const struct {
    const char *name, *host, *zone;
} settings[] = {
    [OLD] = {"Pump house", "pump-house", "CET-1CEST,M3.5.0,M10.5.0/3"},
    [NEW] = {"House of the pumps, by the river", "river", "UTC0"},
    [LATER] = {"Shed", "shed", "EST5EDT,M3.2.0,M11.1.0"},
};
static int wanted_settings;

static fw_api_result_t ask_for_settings(void)
{
    fw_api_change_t change = {.verifier = NULL};
    const char *const texts[FW_SETTINGS] = {
        [FW_SETTING_NAME] = settings[wanted_settings].name,
        [FW_SETTING_HOST] = settings[wanted_settings].host,
        [FW_SETTING_ZONE] = settings[wanted_settings].zone,
    };
    for (int i = 0; i < FW_SETTINGS; i++) {
        if (texts[i] != NULL) {
            change.texts[i] = (fw_span_t){(const uint8_t *)texts[i], strlen(texts[i])};
        }
    }
    uint8_t wrong = FW_SETTINGS;
    return fw_device_api.change_settings(&whole, &change, &wrong);
}

static bool set_up_as(int state)
{
    wanted_settings = state;
    return done(ask_for_settings);
}

static void prepare_settings(void)
{
    CHECK(set_up_as(OLD));
}

static bool set_up_new(void)
{
    return set_up_as(NEW);
}

static bool set_up_later(void)
{
    return set_up_as(LATER);
}

static int which_settings(void)
{
    const fw_configuration_t *found = &whole.configuration;
    for (int state = OLD; state <= LATER; state++) {
        if (strcmp(found->texts[FW_TEXT_NAME], settings[state].name) == 0 &&
            strcmp(found->texts[FW_TEXT_HOST], settings[state].host) == 0 &&
            strcmp(found->texts[FW_TEXT_ZONE], settings[state].zone) == 0) {
            return state;
        }
    }
    return NEITHER;
}

/* ---- firmware ---- */

enum { IMAGE_BYTES = 4096 + 600 };

static uint8_t release[WHOLE_RELEASE_HEAD_BYTES + IMAGE_BYTES];
static uint8_t public_key[32];

static void prepare_firmware(void)
{
    uint8_t secret_key[64];
    uint8_t seed[32];
    random_fill(seed, sizeof(seed));
    crypto_ed25519_key_pair(secret_key, public_key, seed);
    whole_release(release, 2, IMAGE_BYTES, secret_key);
    whole_setup.identity.public_key = public_key;
}

static bool is_confirmed(void)
{
    return whole.update.phase == FW_UPDATE_CONFIRMED && fw_update_is_settled(&whole.update);
}

/* Sends what is missing, restarts into it, and runs until it is there for good. */
static bool update_firmware(void)
{
    if (loader_slot == 1u &&
        !(send(FW_UPLOAD_FIRMWARE, release, sizeof(release)) && restart() && start())) {
        return false;
    }
    for (uint32_t passed_ms = 0; passed_ms < 2u * FW_CONFIRM_RUN_MS && !is_confirmed();) {
        pass(1000, 1000);
        if (whole_nor.is_off) {
            return false;
        }
        passed_ms += 1000u;
    }
    CHECK(is_confirmed());
    return true;
}

static int which_firmware(void)
{
    static uint8_t image[IMAGE_BYTES];
    if (loader_slot == 1u) {
        return OLD;
    }
    bool is_whole = fw_flash_read_bytes(&whole.flash, FW_LAYOUT_USER2, image, IMAGE_BYTES) &&
                    memcmp(image, release + WHOLE_RELEASE_HEAD_BYTES, IMAGE_BYTES) == 0;
    bool is_on_trial = whole.update.phase == FW_UPDATE_TRIAL;
    return !is_whole ? NEITHER : is_confirmed() ? LATER : is_on_trial ? NEW : NEITHER;
}

/* ---- every cut ---- */

static void remember(void)
{
    fw_nor_copy(&before.nor, &whole_nor);
    before.device = whole;
    before.now_ms = whole_now_ms;
    before.loader_slot = loader_slot;
}

static void go_back(void)
{
    fw_nor_copy(&whole_nor, &before.nor);
    whole_nor.random = (uint64_t)random_below(0) * 2u + 1u;
    whole = before.device;
    whole_now_ms = before.now_ms;
    run_slot(before.loader_slot);
}

/* Power comes back; half the times it fails once more while it starts. */
static void recover(const char *note)
{
    fw_nor_power_up(&whole_nor);
    if (random_below(2) == 0) {
        fw_nor_cut_after(&whole_nor, random_below(RECOVERY_OPERATIONS),
                         (fw_nor_cut_t)random_below(FW_NOR_CUTS));
        if (start()) {
            pass(500, 10);
        }
    }
    CHECK_NOTE(power_up(), note);
}

static void cut_at(const change_t *change, uint32_t operation, fw_nor_cut_t cut)
{
    char note[100];
    snprintf(note, sizeof(note), "%s: cut %u in operation %u", change->name, (unsigned)cut,
             (unsigned)operation);
    go_back();
    fw_nor_cut_after(&whole_nor, operation, cut);
    bool was_told = change->act();
    CHECK_NOTE(whole_nor.is_off || was_told, note);
    recover(note);
    int seen = change->look();
    CHECK_NOTE(seen != NEITHER, note);
    CHECK_NOTE(seen == OLD || !change->is_lost, note);
    CHECK_NOTE(seen != OLD || !was_told || change->is_lost, note);
    CHECK_NOTE(runs_a_script(), note);
    CHECK_NOTE(change->go_on(), note);
    CHECK_NOTE(power_up(), note);
    CHECK_NOTE(change->look() == LATER, note);
    CHECK_NOTE(runs_a_script(), note);
    cuts_checked++;
}

static void check_change(const change_t *change)
{
    whole_begin();
    run_slot(1);
    change->prepare();
    CHECK_NOTE(change->look() == OLD, change->name);
    pass(2000, 10); /* whatever is still to be written */
    remember();
    uint32_t operations = whole_nor.operations;
    CHECK_NOTE(change->act(), change->name);
    CHECK_NOTE(change->look() >= NEW, change->name);
    operations = whole_nor.operations - operations;
    CHECK_NOTE(operations > 0u, change->name);
    for (uint32_t operation = 0; operation < operations; operation++) {
        for (int cut = 0; cut < FW_NOR_CUTS; cut++) {
            cut_at(change, operation, (fw_nor_cut_t)cut);
        }
    }
    CHECK_NOTE(whole_nor.violations == 0u, change->name);
}

void test_power(void)
{
    static const change_t changes[] = {
        {"a script is kept", prepare_script, keep_new, keep_later, which_script, false},
        {"a script on trial", prepare_script, try_new, keep_later, which_script, true},
        {"retained values", prepare_count, count_to_new, count_to_later, which_count, false},
        {"settings", prepare_settings, set_up_new, set_up_later, which_settings, false},
        {"firmware", prepare_firmware, update_firmware, update_firmware, which_firmware, false},
    };
    fw_nor_init(&before.nor, 1);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        check_change(&changes[i]);
    }
    printf("power: %u cuts of a whole device\n", (unsigned)cuts_checked);
}
