/*
 * test_update.c: firmware updates: what is refused, every cut, going on after one, and boots on
 * trial.
 */
#include "storage_rig.h"

#include <stdlib.h>
#include <string.h>

#include "monocypher-ed25519.h"

enum { IMAGE_BYTES = 2 * 4096 + 812, OLD_VERSION = 5 };

static uint8_t secret_key[64];
static uint8_t public_key[32];

static uint8_t image_byte(uint32_t version, uint32_t at)
{
    return (uint8_t)(version * 59u + at * 11u + at / 256u);
}

static void make_image(uint32_t version, uint8_t *image)
{
    for (uint32_t i = 0; i < IMAGE_BYTES; i++) {
        image[i] = image_byte(version, i);
    }
}

typedef struct {
    uint8_t manifest[FW_MANIFEST_BYTES];
    uint8_t signature[FW_SIGNATURE_BYTES];
} release_t;

static void sign(release_t *release)
{
    crypto_ed25519_sign(release->signature, secret_key, release->manifest, FW_MANIFEST_BYTES);
}

static release_t release_of(uint32_t version, uint8_t slot)
{
    release_t release = {.manifest = {'S', 'W', 'F', '1'}};
    static uint8_t image[IMAGE_BYTES];
    make_image(version, image);
    release.manifest[4] = slot;
    fw_store_u32(release.manifest + 8, version);
    fw_store_u32(release.manifest + 12, version - 1u);
    fw_store_u32(release.manifest + 16, IMAGE_BYTES);
    memcpy(release.manifest + 20, "yard4", 5);
    crypto_blake2b(release.manifest + 40, 32, image, IMAGE_BYTES);
    sign(&release);
    return release;
}

static void new_device(void)
{
    uint8_t seed[32];
    random_fill(seed, sizeof seed);
    crypto_ed25519_key_pair(secret_key, public_key, seed);
    device.identity = (fw_update_identity_t){
        .profile = "yard4", .public_key = public_key, .version = OLD_VERSION, .slot = 1};
    device_new(OPENS_UPDATE);
}

static fw_update_answer_t begin(const release_t *release)
{
    fw_update_answer_t answer = FW_UPDATE_BUSY;
    for (int i = 0; i < 3 && answer == FW_UPDATE_BUSY && !nor.is_off; i++) {
        answer = fw_update_begin(&device.update, release->manifest, release->signature);
        (void)device_rest();
    }
    return answer;
}

/* Sends what is wanted of the image, `image_version`'s, and finishes. Counts the bytes sent. */
static bool send(uint32_t image_version, uint32_t *sent)
{
    static uint8_t image[IMAGE_BYTES];
    make_image(image_version, image);
    while (fw_update_offset(&device.update) < IMAGE_BYTES) {
        size_t taken = 0;
        uint32_t at = fw_update_offset(&device.update);
        size_t piece = IMAGE_BYTES - at < 149u ? IMAGE_BYTES - at : 149u;
        if (fw_update_write(&device.update, at, image + at, piece, &taken) != FW_UPDATE_OK &&
            !device_rest()) {
            return false;
        }
        *sent += (uint32_t)taken;
        if (nor.is_off) {
            return false;
        }
    }
    /* A look at what another asks while the last sector is being recorded. */
    return fw_update_finish(&device.update) == FW_UPDATE_OK && device_rest();
}

static bool install(uint32_t version)
{
    release_t release = release_of(version, 2);
    uint32_t sent = 0;
    fw_update_answer_t answer = begin(&release);
    CHECK(answer == FW_UPDATE_OK || nor.is_off);
    return !nor.is_off && send(version, &sent) && device.update.phase == FW_UPDATE_PENDING;
}

static bool is_image_whole(uint32_t version)
{
    static uint8_t found[IMAGE_BYTES];
    bool is_good = fw_flash_read_bytes(&device.flash, FW_LAYOUT_USER2, found, IMAGE_BYTES);
    for (uint32_t i = 0; is_good && i < IMAGE_BYTES; i++) {
        is_good = found[i] == image_byte(version, i);
    }
    return is_good;
}

/* ---- every cut ---- */

static bool nothing(void)
{
    return true;
}

static bool install_6(void)
{
    return install(6);
}

static bool install_7(void)
{
    return install(7);
}

static int install_state(void)
{
    if (device.update.phase == FW_UPDATE_NONE || device.update.phase == FW_UPDATE_WRITING) {
        return 1;
    }
    int state = device.update.version == 6u ? 2 : 3;
    return is_image_whole(device.update.version) ? state : -1;
}

/* ---- going on ---- */

/* Cut again and again while it is installed, an image is sent again only in part. */
static void check_resume(void)
{
    new_device();
    release_t release = release_of(6, 2);
    uint32_t sent = 0;
    uint32_t cuts = 0;
    for (;;) {
        if (cuts < 40u) {
            fw_nor_cut_after(&nor, 15u + random_below(45), (fw_nor_cut_t)random_below(FW_NOR_CUTS));
        }
        fw_update_answer_t answer = begin(&release);
        CHECK(answer == FW_UPDATE_OK || nor.is_off);
        uint32_t from = fw_update_offset(&device.update);
        CHECK(nor.is_off || from % FW_SECTOR_BYTES == 0u || from == IMAGE_BYTES);
        if (!nor.is_off && send(6, &sent)) {
            break;
        }
        cuts++;
        fw_nor_power_up(&nor);
        CHECK(device_boot());
    }
    CHECK(device.update.phase == FW_UPDATE_PENDING && is_image_whole(6));
    CHECK(cuts > 0u);
    CHECK(sent <= IMAGE_BYTES + cuts * FW_SECTOR_BYTES);
    CHECK(nor.violations == 0u);

    /* Within one run, a second sender goes on within the sector. */
    new_device();
    CHECK(begin(&release) == FW_UPDATE_OK);
    uint8_t bytes[100] = {0};
    size_t taken = 0;
    CHECK(fw_update_write(&device.update, 0, bytes, sizeof bytes, &taken) == FW_UPDATE_OK);
    CHECK(taken == sizeof bytes);
    CHECK(begin(&release) == FW_UPDATE_OK);
    CHECK(fw_update_offset(&device.update) == 100u);
    CHECK(fw_update_write(&device.update, 0, bytes, sizeof bytes, &taken) == FW_UPDATE_BAD_OFFSET);
    CHECK(fw_update_write(&device.update, 100, bytes, IMAGE_BYTES, &taken) == FW_UPDATE_BAD_OFFSET);
    CHECK(fw_update_finish(&device.update) == FW_UPDATE_INCOMPLETE);
}

/* ---- refusals ---- */

static void refuses_manifest(size_t at, uint8_t value, fw_update_answer_t expected,
                             const char *note)
{
    new_device();
    release_t release = release_of(6, 2);
    release.manifest[at] = value;
    sign(&release);
    CHECK_NOTE(begin(&release) == expected, note);
    CHECK_NOTE(device.update.phase == FW_UPDATE_NONE, note);
}

static void check_refusals(void)
{
    refuses_manifest(0, 'X', FW_UPDATE_MALFORMED, "magic");
    refuses_manifest(4, 0, FW_UPDATE_MALFORMED, "slot 0");
    refuses_manifest(4, 3, FW_UPDATE_MALFORMED, "slot 3");
    refuses_manifest(4, 1, FW_UPDATE_OTHER_SLOT, "the slot that runs");
    refuses_manifest(6, 1, FW_UPDATE_MALFORMED, "what must be zero");
    refuses_manifest(12, 1, FW_UPDATE_MALFORMED, "lowest version above the version");
    refuses_manifest(16, 1, FW_UPDATE_TOO_LARGE, "longer than a slot");
    refuses_manifest(19, 1, FW_UPDATE_TOO_LARGE, "not in words");
    refuses_manifest(24, '5', FW_UPDATE_OTHER_PROFILE, "another board");
    refuses_manifest(25, 'x', FW_UPDATE_OTHER_PROFILE, "a longer name");

    new_device();
    release_t release = release_of(6, 2);
    uint32_t sent = 0;
    CHECK(begin(&release) == FW_UPDATE_OK);
    CHECK(!send(7, &sent) || device.update.phase != FW_UPDATE_PENDING);
    CHECK(device.update.result == FW_UPDATE_BAD_HASH && device.update.phase == FW_UPDATE_NONE);

    new_device();
    release.signature[5] ^= 1u;
    device.identity.public_key = NULL;
    CHECK(begin(&release) == FW_UPDATE_BAD_SIGNATURE);
    device.identity.public_key = public_key;
    CHECK(begin(&release) == FW_UPDATE_OK);
    CHECK(send(6, &sent));
    CHECK(device.update.result == FW_UPDATE_BAD_SIGNATURE && device.update.phase == FW_UPDATE_NONE);
    CHECK(fw_update_abort(&device.update) == FW_UPDATE_BUSY);
    CHECK(fw_update_confirm(&device.update) == FW_UPDATE_BUSY);
    CHECK(fw_update_finish(&device.update) == FW_UPDATE_BUSY);
}

/* RFC 8032, section 7.1, test 1: the signature scheme is that one and no other. */
static void check_scheme(void)
{
    size_t length = 0;
    uint8_t *key = bytes_from_hex(
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", &length);
    uint8_t *signature = bytes_from_hex(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        &length);
    CHECK(crypto_ed25519_check(signature, key, NULL, 0) == 0);
    free(key);
    free(signature);
}

/* ---- boots ---- */

/* The slot that the loader boots, and how often the new image has begun to run. */
static uint8_t loader_slot;
static uint32_t new_boots;

/* One restart, with a cut after `more` operations, and all that follow from it: the loader boots
 * what it is told to. */
static void restart(uint32_t more, fw_nor_cut_t cut)
{
    for (int i = 0; i < 12; i++) {
        device.identity.slot = loader_slot;
        device.identity.version = loader_slot == 1u ? OLD_VERSION : 6u;
        new_boots += loader_slot == 2u;
        fw_nor_power_up(&nor);
        if (i == 0) {
            fw_nor_cut_after(&nor, more, cut);
        }
        if (!device_boot()) {
            continue;
        }
        nor.cut_at = UINT32_MAX;
        if (fw_update_boot_slot(&device.update) == loader_slot) {
            return;
        }
        loader_slot = fw_update_boot_slot(&device.update);
    }
    CHECK_NOTE(false, "restarts for ever");
}

static void check_falls_back(uint32_t more, fw_nor_cut_t cut)
{
    new_device();
    loader_slot = 1;
    new_boots = 0;
    CHECK(install(6));
    for (int i = 0; i < 8; i++) {
        restart(i == (int)(more % 5u) ? more / 5u : UINT32_MAX / 2u, cut);
    }
    CHECK(loader_slot == 1u);
    CHECK(device.update.phase == FW_UPDATE_FALLEN_BACK);
    /* Of two boots around a cut, one may not have been counted. */
    CHECK(new_boots >= FW_UPDATE_BOOTS_MAX && new_boots <= FW_UPDATE_BOOTS_MAX + 2u);
    /* And a next one is taken. */
    CHECK(install(7));
}

static void check_confirms(uint32_t more, fw_nor_cut_t cut)
{
    new_device();
    loader_slot = 1;
    CHECK(install(6));
    restart(UINT32_MAX / 2u, cut);
    restart(UINT32_MAX / 2u, cut);
    CHECK(loader_slot == 2u && device.update.phase == FW_UPDATE_TRIAL);
    fw_nor_cut_after(&nor, more, cut);
    CHECK(fw_update_confirm(&device.update) == FW_UPDATE_OK);
    bool was_told = device_rest();
    bool was_confirmed = false;
    for (int i = 0; i < 6; i++) {
        restart(UINT32_MAX / 2u, cut);
        bool is_confirmed = device.update.phase == FW_UPDATE_CONFIRMED;
        CHECK(i == 0 || is_confirmed == was_confirmed);
        was_confirmed = is_confirmed;
    }
    CHECK(was_confirmed || !was_told);
    CHECK(loader_slot == (was_confirmed ? 2u : 1u));
    if (was_confirmed) {
        /* Its manifest says that nothing older than 5 may follow. */
        release_t old = release_of(4, 1);
        release_t good = release_of(5, 1);
        CHECK(begin(&old) == FW_UPDATE_TOO_OLD);
        CHECK(begin(&good) == FW_UPDATE_OK);
    }
}

/* A loader that stays where it is must not make the controller restart for ever. */
static void check_stubborn_loader(void)
{
    new_device();
    CHECK(install(6));
    for (int i = 0; i < 6; i++) {
        fw_nor_power_up(&nor);
        CHECK(device_boot());
        CHECK(fw_update_boot_slot(&device.update) == (i < 3 ? 2u : 1u));
    }
    CHECK(device.update.phase == FW_UPDATE_FALLEN_BACK);
}

/* Somebody else has put the old image back in charge: that ends the trial. */
static void check_old_image_on_trial(void)
{
    new_device();
    loader_slot = 1;
    CHECK(install(6));
    restart(UINT32_MAX / 2u, FW_NOR_CUT_BEFORE);
    CHECK(loader_slot == 2u && device.update.phase == FW_UPDATE_TRIAL);
    loader_slot = 1;
    restart(UINT32_MAX / 2u, FW_NOR_CUT_BEFORE);
    CHECK(loader_slot == 1u && device.update.phase == FW_UPDATE_FALLEN_BACK);
}

void test_update(void)
{
    check_scheme();
    check_refusals();
    check_resume();
    new_device();
    scenario_t whole = {
        .name = "update",
        .opens = OPENS_UPDATE,
        .prepare = nothing,
        .act = install_6,
        .go_on = install_7,
        .look = install_state,
        .goes_on_from_1 = true,
    };
    check_scenario(&whole);
    for (uint32_t more = 0; more < 60u; more++) {
        for (int i = 0; i < 3; i++) {
            check_falls_back(more, (fw_nor_cut_t)random_below(FW_NOR_CUTS));
        }
    }
    for (uint32_t more = 0; more < 4u; more++) {
        for (int cut = 0; cut < FW_NOR_CUTS; cut++) {
            check_confirms(more, (fw_nor_cut_t)cut);
        }
    }
    check_stubborn_loader();
    check_old_image_on_trial();
    CHECK(nor.violations == 0u);
}
