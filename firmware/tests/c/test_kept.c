/*
 * test_kept.c: what is asked of a device from afar about its flash: log, transfers, trials, restart.
 */
#include "check.h"
#include "monocypher-ed25519.h"
#include "rig.h"
#include "whole_rig.h"

#include <string.h>

static const char first[] = "# The first.\n"
                            "in  door = DI1\n"
                            "out lamp = RL1 safe off\n"
                            "lamp := door\n";
static const char second[] = "# The second.\n"
                             "in  door = DI1\n"
                             "out lamp = RL1 safe off\n"
                             "# It is on when the door is shut, and off when it is open.\n"
                             "lamp := not door\n";
static const char wrong[] = "in door = DI1\n"
                            "out lamp = RL1 safe off\n"
                            "lamp := dor\n";

static rig_t *rig;
static uint32_t tool; /* who asks */

static void begin(void)
{
    rig = rig_device(first);
    tool = RIG_TOOL;
    rig_connect(rig);
    rig_run(rig, 500);
    CHECK(fw_controller_link_state(rig->controller) == FW_LINK_LIVE);
    rig_forget(rig);
}

/* ---- asking ---- */

static uint8_t request[FW_FRAMES_BYTES_MAX];

static fw_cbor_writer_t request_begin(uint16_t verb, size_t fields)
{
    fw_cbor_writer_t writer;
    fw_cbor_writer_init(&writer, request, sizeof request);
    fw_cbor_write_map(&writer, 1u + fields);
    fw_cbor_write_unsigned(&writer, FW_KEY_VERB);
    fw_cbor_write_unsigned(&writer, verb);
    return writer;
}

static uint32_t request_send(const fw_cbor_writer_t *writer, bool is_query)
{
    CHECK(!writer->failed);
    return rig_send(rig, is_query ? FW_KIND_QUERY : FW_KIND_CONFIGURE, 0, tool, request,
                    writer->length);
}

/* The answer, when it comes; NULL if it does not within half a minute. */
static const rig_frame_t *await(uint32_t correlation)
{
    const rig_frame_t *answer = NULL;
    for (int i = 0; i < 3000 && answer == NULL; i++) {
        rig_run(rig, 10);
        answer = rig_find(rig, FW_KIND_RESPONSE, correlation);
    }
    CHECK(answer != NULL);
    return answer;
}

static fw_code_t code_of(const rig_frame_t *answer)
{
    return (fw_code_t)rig_field(answer, FW_KEY_RESPONSE_CODE);
}

static void digest_of(const void *bytes, size_t length, uint8_t digest[FW_DIGEST_BYTES])
{
    crypto_blake2b(digest, FW_DIGEST_BYTES, bytes, length);
}

static uint32_t send_open(fw_content_t content, const void *bytes, size_t length)
{
    uint8_t digest[FW_DIGEST_BYTES];
    digest_of(bytes, length, digest);
    fw_cbor_writer_t writer = request_begin(FW_VERB_TRANSFER_OPEN, 3);
    fw_cbor_write_unsigned(&writer, FW_KEY_TRANSFER_OPEN_CONTENT);
    fw_cbor_write_unsigned(&writer, content);
    fw_cbor_write_unsigned(&writer, FW_KEY_TRANSFER_OPEN_SIZE);
    fw_cbor_write_unsigned(&writer, length);
    fw_cbor_write_unsigned(&writer, FW_KEY_TRANSFER_OPEN_DIGEST);
    fw_cbor_write_bytes(&writer, digest, sizeof digest);
    return request_send(&writer, false);
}

/* The next byte that is wanted, or how it was refused. */
static uint64_t open_transfer(fw_content_t content, const void *bytes, size_t length,
                              fw_code_t *code)
{
    const rig_frame_t *answer = await(send_open(content, bytes, length));
    *code = code_of(answer);
    return rig_field(answer, FW_KEY_TRANSFER_NEXT);
}

static const rig_frame_t *write_piece(size_t offset, const void *bytes, size_t length)
{
    fw_cbor_writer_t writer = request_begin(FW_VERB_TRANSFER_WRITE, 2);
    fw_cbor_write_unsigned(&writer, FW_KEY_TRANSFER_WRITE_OFFSET);
    fw_cbor_write_unsigned(&writer, offset);
    fw_cbor_write_unsigned(&writer, FW_KEY_TRANSFER_WRITE_BYTES);
    fw_cbor_write_bytes(&writer, (const uint8_t *)bytes, length);
    return await(request_send(&writer, false));
}

/* Writes on from there, as tools do. */
static void write_all(const uint8_t *bytes, size_t length, size_t from, size_t piece)
{
    for (size_t at = from, tries = 0; at < length && tries < 2000u; tries++) {
        const rig_frame_t *answer =
            write_piece(at, bytes + at, length - at < piece ? length - at : piece);
        CHECK(code_of(answer) == FW_CODE_OK);
        uint64_t next = rig_field(answer, FW_KEY_TRANSFER_NEXT);
        CHECK(next >= at && next <= length);
        at = (size_t)next;
        rig_forget(rig);
    }
}

static const rig_frame_t *commit(const void *bytes, size_t length, bool keeps)
{
    uint8_t digest[FW_DIGEST_BYTES];
    digest_of(bytes, length, digest);
    fw_cbor_writer_t writer = request_begin(FW_VERB_TRANSFER_COMMIT, 2);
    fw_cbor_write_unsigned(&writer, FW_KEY_TRANSFER_COMMIT_DIGEST);
    fw_cbor_write_bytes(&writer, digest, sizeof digest);
    fw_cbor_write_unsigned(&writer, FW_KEY_TRANSFER_COMMIT_KEEP);
    fw_cbor_write_bool(&writer, keeps);
    return await(request_send(&writer, false));
}

static const rig_frame_t *put_script(const char *text, bool keeps)
{
    fw_code_t code = FW_CODE_INTERNAL;
    size_t length = strlen(text);
    CHECK(open_transfer(FW_CONTENT_SCRIPT, text, length, &code) == 0u && code == FW_CODE_OK);
    write_all((const uint8_t *)text, length, 0, 50);
    return commit(text, length, keeps);
}

static const rig_frame_t *end_trial(bool keeps)
{
    fw_cbor_writer_t writer = request_begin(FW_VERB_TRIAL, 1);
    fw_cbor_write_unsigned(&writer, FW_KEY_TRIAL_KEEP);
    fw_cbor_write_bool(&writer, keeps);
    return await(request_send(&writer, false));
}

static const rig_frame_t *read_piece(fw_content_t content, size_t offset)
{
    fw_cbor_writer_t writer = request_begin(FW_VERB_TRANSFER_READ, 2);
    fw_cbor_write_unsigned(&writer, FW_KEY_TRANSFER_READ_CONTENT);
    fw_cbor_write_unsigned(&writer, content);
    fw_cbor_write_unsigned(&writer, FW_KEY_TRANSFER_READ_OFFSET);
    fw_cbor_write_unsigned(&writer, offset);
    return await(request_send(&writer, true));
}

static bool field(const rig_frame_t *frame, uint64_t key, fw_cbor_item_t *item)
{
    fw_cbor_map_t map;
    return frame != NULL &&
           fw_cbor_open(frame->payload, frame->header.payload_bytes, &map) == FW_CBOR_OK &&
           fw_cbor_map_find(&map, key, item);
}

/* Reads all of it, and holds it to its digest. */
static size_t read_all(fw_content_t content, uint8_t *into, size_t room)
{
    size_t at = 0;
    uint64_t size = 1;
    uint8_t digest[FW_DIGEST_BYTES];
    fw_cbor_item_t item;
    for (int pieces = 0; at < size && pieces < 200; pieces++) {
        const rig_frame_t *answer = read_piece(content, at);
        CHECK(code_of(answer) == FW_CODE_OK);
        size = rig_field(answer, FW_KEY_TRANSFER_READ_SIZE);
        CHECK(field(answer, FW_KEY_TRANSFER_READ_BYTES, &item) && size <= room);
        memcpy(into + at, item.span.bytes, item.span.length);
        at += item.span.length;
        digest_of(into, at, digest);
        CHECK(field(answer, FW_KEY_TRANSFER_READ_DIGEST, &item));
        CHECK(at < size || memcmp(item.span.bytes, digest, sizeof digest) == 0);
        rig_forget(rig);
    }
    return at;
}

/* What runs, by its first line. */
static bool runs(const char *title)
{
    return strcmp(rig->controller->script_title, title) == 0;
}

static const rig_frame_t *ask_log(uint32_t before)
{
    fw_cbor_writer_t writer = request_begin(FW_VERB_LOG, before != 0u ? 1u : 0u);
    if (before != 0u) {
        fw_cbor_write_unsigned(&writer, FW_KEY_LOG_BEFORE);
        fw_cbor_write_unsigned(&writer, before);
    }
    return await(request_send(&writer, true));
}

/* ---- scripts ---- */

static void check_kept(void)
{
    begin();
    const rig_frame_t *answer = put_script(second, true);
    fw_cbor_item_t item;
    CHECK(code_of(answer) == FW_CODE_OK && !field(answer, FW_KEY_TRANSFER_COMMIT_FAULT, &item));
    CHECK(runs("The second.") && rig->device->scripts.state == FW_SCRIPT_KEPT);
    rig_run(rig, 1000);
    CHECK(rig->outputs[FW_CHANNEL_RL1] == 1);

    uint8_t text[sizeof second];
    uint8_t digest[FW_DIGEST_BYTES];
    CHECK(read_all(FW_CONTENT_SCRIPT, text, sizeof text) == strlen(second));
    CHECK(memcmp(text, second, strlen(second)) == 0);
    digest_of(second, strlen(second), digest);
    CHECK(rig->controller->condition.digest != NULL);
    CHECK(memcmp(rig->controller->condition.digest, digest, sizeof digest) == 0);
    rig_power_fails(rig);
    CHECK(runs("The second."));
    rig_connect(rig);
    rig_run(rig, FW_DIGEST_PATIENCE_MS + 1000u);
    CHECK(rig->controller->condition.digest != NULL);
    CHECK(memcmp(rig->controller->condition.digest, digest, sizeof digest) == 0);
    rig_free(rig);
}

static void check_trial(void)
{
    begin();
    CHECK(code_of(end_trial(true)) == FW_CODE_WRONG_STATE);
    CHECK(code_of(put_script(second, false)) == FW_CODE_OK);
    CHECK(runs("The second.") && rig->device->scripts.state == FW_SCRIPT_ON_TRIAL);
    fw_code_t code = FW_CODE_OK;
    (void)open_transfer(FW_CONTENT_SCRIPT, first, strlen(first), &code);
    CHECK(code == FW_CODE_WRONG_STATE); /* the other slot is the way back */
    CHECK(code_of(end_trial(false)) == FW_CODE_OK);
    CHECK(runs("The first.") && rig->device->scripts.state == FW_SCRIPT_KEPT);
    CHECK(code_of(put_script(second, false)) == FW_CODE_OK);
    CHECK(code_of(end_trial(true)) == FW_CODE_OK);
    CHECK(runs("The second.") && rig->device->scripts.state == FW_SCRIPT_KEPT);
    CHECK(code_of(end_trial(false)) == FW_CODE_WRONG_STATE);
    rig_free(rig);
}

static void check_fault(void)
{
    begin();
    const rig_frame_t *answer = put_script(wrong, true);
    fw_cbor_item_t item;
    fw_cbor_map_t fault;
    uint64_t line = 0;
    uint64_t column = 0;
    fw_span_t expected;
    CHECK(code_of(answer) == FW_CODE_OK && field(answer, FW_KEY_TRANSFER_COMMIT_FAULT, &item));
    CHECK(fw_cbor_item_map(&item, &fault));
    CHECK(fw_cbor_map_unsigned(&fault, FW_KEY_FAULT_LINE, 99, &line) == FW_FIELD_PRESENT);
    CHECK(fw_cbor_map_unsigned(&fault, FW_KEY_FAULT_COLUMN, 99, &column) == FW_FIELD_PRESENT);
    CHECK(fw_cbor_map_text(&fault, FW_KEY_FAULT_EXPECTED, &expected) == FW_FIELD_PRESENT);
    CHECK(line == 3u && column == 9u && expected.length > 0u);
    CHECK(runs("The first.") && rig->device->scripts.state == FW_SCRIPT_KEPT);
    CHECK(code_of(put_script(second, true)) == FW_CODE_OK && runs("The second."));
    rig_free(rig);
}

static fw_shadow_state_t shadow_state(void)
{
    uint16_t line = 0;
    return (fw_shadow_state_t)fw_device_api.shadow(rig->device, &line);
}

/* Somebody looks into a scan, whose memory a digest needs that nobody knows yet. */
static void look_into_scan(void)
{
    for (int tries = 0; tries < 100 && rig->controller->recorder == NULL; tries++) {
        rig_run(rig, 10);
    }
    CHECK(fw_device_api.breakpoint(rig->device, 0) == FW_PROBLEM_NONE);
    rig_run(rig, 100);
    CHECK(shadow_state() == FW_SHADOW_STOPPED);
    rig->device->kept.generation = 0;
}

/* A digest that nobody asks for waits for it; one that is asked for does not. */
static void check_shadow(void)
{
    begin();
    look_into_scan();
    rig_run(rig, FW_DIGEST_PATIENCE_MS + 1000u);
    CHECK(shadow_state() == FW_SHADOW_STOPPED && rig->device->kept.generation == 0u);
    uint8_t text[sizeof first];
    CHECK(read_all(FW_CONTENT_SCRIPT, text, sizeof text) == strlen(first));
    CHECK(shadow_state() == FW_SHADOW_NONE);

    look_into_scan();
    CHECK(code_of(put_script(wrong, true)) == FW_CODE_OK && runs("The first."));
    CHECK(shadow_state() == FW_SHADOW_NONE);
    rig_run(rig, FW_DIGEST_PATIENCE_MS + 1000u);
    CHECK(rig->device->kept.generation == rig->device->scripts.generation);
    CHECK(rig->controller->recorder != NULL);
    rig_free(rig);
}

/* What was written stays while the link is away, and another tool may go on with it. */
static void check_resume(void)
{
    begin();
    fw_code_t code = FW_CODE_INTERNAL;
    size_t length = strlen(second);
    CHECK(open_transfer(FW_CONTENT_SCRIPT, second, length, &code) == 0u && code == FW_CODE_OK);
    CHECK(rig_field(write_piece(0, second, 33), FW_KEY_TRANSFER_NEXT) == 33u);
    CHECK(rig_field(write_piece(40, second + 40, 5), FW_KEY_TRANSFER_NEXT) == 33u);
    CHECK(rig_field(write_piece(0, second, 33), FW_KEY_TRANSFER_NEXT) == 33u);
    CHECK(code_of(write_piece(33, request, 896)) == FW_CODE_OUT_OF_RANGE);
    CHECK(code_of(commit(second, length, true)) == FW_CODE_WRONG_STATE); /* bytes are missing */
    rig_disconnect(rig);
    rig_connect(rig);
    rig_run(rig, 1000);
    tool = RIG_TOOL + 1u;
    CHECK(code_of(write_piece(33, second + 33, 5)) == FW_CODE_WRONG_STATE); /* not its own */
    CHECK(open_transfer(FW_CONTENT_SCRIPT, second, length, &code) == 33u && code == FW_CODE_OK);
    tool = RIG_TOOL;
    CHECK(code_of(write_piece(33, second + 33, 5)) == FW_CODE_WRONG_STATE); /* no longer its own */
    tool = RIG_TOOL + 1u;
    write_all((const uint8_t *)second, length, 33, 20);
    CHECK(code_of(commit(first, strlen(first), true)) == FW_CODE_WRONG_STATE);
    CHECK(code_of(commit(second, length, true)) == FW_CODE_OK && runs("The second."));
    CHECK(code_of(commit(second, length, true)) == FW_CODE_WRONG_STATE);

    /* Another content begins anew; and what does not have the digest is not run. */
    CHECK(open_transfer(FW_CONTENT_SCRIPT, second, length, &code) == 0u && code == FW_CODE_OK);
    char spoilt[sizeof second];
    memcpy(spoilt, second, sizeof second);
    spoilt[3] = 't';
    write_all((const uint8_t *)spoilt, length, 0, 50);
    CHECK(code_of(commit(second, length, true)) == FW_CODE_WRONG_STATE);
    CHECK(runs("The second."));
    rig_free(rig);
}

static void check_limits(void)
{
    static uint8_t long_script[FW_SCRIPT_SOURCE_MAX + 1u];
    memset(long_script, ' ', sizeof long_script);
    begin();
    fw_code_t code = FW_CODE_OK;
    (void)open_transfer(FW_CONTENT_SCRIPT, long_script, sizeof long_script, &code);
    CHECK(code == FW_CODE_OUT_OF_RANGE);
    (void)open_transfer(FW_CONTENT_RECORDING, first, sizeof first, &code);
    CHECK(code == FW_CODE_BAD_FIELD);
    CHECK(code_of(write_piece(0, first, 1)) == FW_CODE_WRONG_STATE);
    CHECK(code_of(read_piece(FW_CONTENT_FIRMWARE_IMAGE, 0)) == FW_CODE_BAD_FIELD);
    const rig_frame_t *nothing = read_piece(FW_CONTENT_RECORDING, 0);
    CHECK(code_of(nothing) == FW_CODE_OK);
    CHECK(rig_field(nothing, FW_KEY_TRANSFER_READ_SIZE) == 0u);
    const rig_frame_t *past = read_piece(FW_CONTENT_SCRIPT, UINT32_MAX);
    fw_cbor_item_t item;
    CHECK(code_of(past) == FW_CODE_OK && field(past, FW_KEY_TRANSFER_READ_BYTES, &item));
    CHECK(item.span.length == 0u);

    /* The longest script there is, of which nothing is wasted. */
    memcpy(long_script, first, strlen(first));
    CHECK(open_transfer(FW_CONTENT_SCRIPT, long_script, FW_SCRIPT_SOURCE_MAX, &code) == 0u);
    /* While that is under way, whatever takes time has to wait; what does not, has not. */
    uint32_t opening = send_open(FW_CONTENT_SCRIPT, first, strlen(first));
    uint32_t busy = send_open(FW_CONTENT_SCRIPT, second, strlen(second));
    uint32_t health = rig_query(rig, FW_VERB_HEALTH);
    CHECK(code_of(await(busy)) == FW_CODE_BUSY && code_of(await(health)) == FW_CODE_OK);
    CHECK(code_of(await(opening)) == FW_CODE_OK);
    CHECK(open_transfer(FW_CONTENT_SCRIPT, long_script, FW_SCRIPT_SOURCE_MAX, &code) == 0u);
    write_all(long_script, FW_SCRIPT_SOURCE_MAX, 0, FW_TRANSFER_PIECE_BYTES_MAX);
    CHECK(code_of(commit(long_script, FW_SCRIPT_SOURCE_MAX, true)) == FW_CODE_OK);
    static uint8_t back[FW_SCRIPT_SOURCE_MAX];
    CHECK(read_all(FW_CONTENT_SCRIPT, back, sizeof back) == sizeof back);
    CHECK(memcmp(back, long_script, sizeof back) == 0);
    rig_free(rig);
}

static fw_api_result_t page_begin(uint32_t bytes)
{
    return fw_device_api.upload_begin(rig->device, FW_UPLOAD_SCRIPT, bytes);
}

/* The page and a tool bring a script at once: each ends the other's, and no byte gets into the wrong one. */
static void check_page(void)
{
    begin();
    fw_code_t code = FW_CODE_INTERNAL;
    size_t length = strlen(second);
    CHECK(open_transfer(FW_CONTENT_SCRIPT, second, length, &code) == 0u && code == FW_CODE_OK);
    for (int i = 0; i < 300 && page_begin((uint32_t)length) == FW_API_WAIT; i++) {
        rig_run(rig, 10);
    }
    CHECK(code_of(write_piece(0, second, 30)) == FW_CODE_WRONG_STATE);
    const fw_span_t piece = {(const uint8_t *)first, 20};
    CHECK(fw_device_api.upload_write(rig->device, FW_UPLOAD_SCRIPT, 0, piece) == FW_PROBLEM_NONE);
    /* A tool's opening that is refused ends nobody's; one that is not ends the page's. */
    static const uint8_t long_script[FW_SCRIPT_SOURCE_MAX + 1u];
    (void)open_transfer(FW_CONTENT_SCRIPT, long_script, sizeof long_script, &code);
    CHECK(code == FW_CODE_OUT_OF_RANGE);
    CHECK(fw_device_api.upload_write(rig->device, FW_UPLOAD_SCRIPT, 20, piece) == FW_PROBLEM_NONE);
    CHECK(open_transfer(FW_CONTENT_SCRIPT, second, length, &code) == 0u && code == FW_CODE_OK);
    CHECK(fw_device_api.upload_write(rig->device, FW_UPLOAD_SCRIPT, 40, piece) ==
          FW_PROBLEM_WRONG_STATE);
    write_all((const uint8_t *)second, length, 0, 50);
    CHECK(code_of(commit(second, length, true)) == FW_CODE_OK && runs("The second."));

    /* Both begin at once: in the end one of them has it, and the other one is told. */
    uint32_t opening = send_open(FW_CONTENT_SCRIPT, first, strlen(first));
    fw_api_result_t result = FW_API_WAIT;
    for (int i = 0; i < 1000 && (result == FW_API_WAIT ||
                                 rig_find(rig, FW_KIND_RESPONSE, opening) == NULL);
         i++) {
        result = result == FW_API_WAIT ? page_begin(100) : result;
        rig_run(rig, 10);
    }
    CHECK(result != FW_API_WAIT && rig_find(rig, FW_KIND_RESPONSE, opening) != NULL);
    rig_free(rig);
}

/* A script comes while a recording is on its way into flash: each gets there, whichever is first. */
static void check_recording(void)
{
    for (uint32_t wait_ms = 0; wait_ms < 700u; wait_ms += 10u) {
        begin();
        rig_run(rig, 1000);
        CHECK(fw_device_dump_now(rig->device));
        rig_run(rig, wait_ms + 1u);
        CHECK(code_of(put_script(second, true)) == FW_CODE_OK && runs("The second."));
        rig_run(rig, 20000);
        CHECK(!fw_device_is_dumping(rig->device));
        CHECK(rig->controller->recorder != NULL);
        rig_free(rig);
    }
    begin();
    rig_run(rig, 1000);
    CHECK(fw_device_dump_now(rig->device));
    rig_run(rig, 3000);
    static uint8_t recording[FW_SECTOR_BYTES];
    size_t length = read_all(FW_CONTENT_RECORDING, recording, sizeof recording);
    CHECK(length > 0u && memcmp(recording, "SWRC", 4) == 0);
    rig_free(rig);
}

/* ---- firmware ---- */

enum { IMAGE_BYTES = 10000, HEAD_BYTES = WHOLE_RELEASE_HEAD_BYTES };

static uint8_t release[HEAD_BYTES + IMAGE_BYTES], public_key[32], secret_key[64];
static uint8_t *const head = release;
static uint8_t *const image = release + HEAD_BYTES;

static void make_release(uint8_t slot)
{
    whole_release(release, slot, IMAGE_BYTES, secret_key);
}

static const rig_frame_t *put_head(void)
{
    fw_code_t code = FW_CODE_INTERNAL;
    CHECK(open_transfer(FW_CONTENT_FIRMWARE_MANIFEST, head, HEAD_BYTES, &code) == 0u);
    CHECK(code == FW_CODE_OK);
    write_all(head, HEAD_BYTES, 0, 100);
    return commit(head, HEAD_BYTES, false);
}

static bool has_detail(const rig_frame_t *answer, const char *part)
{
    fw_cbor_item_t item;
    char text[128] = "";
    if (field(answer, FW_KEY_RESPONSE_DETAIL, &item) && item.span.length < sizeof text) {
        memcpy(text, item.span.bytes, item.span.length);
    }
    return strstr(text, part) != NULL;
}

static void check_firmware(void)
{
    uint8_t seed[32];
    fw_code_t code = FW_CODE_OK;
    random_fill(seed, sizeof seed);
    crypto_ed25519_key_pair(secret_key, public_key, seed);
    begin();
    rig->setup.identity.public_key = public_key;
    make_release(1);
    (void)open_transfer(FW_CONTENT_FIRMWARE_IMAGE, image, IMAGE_BYTES, &code);
    CHECK(code == FW_CODE_WRONG_STATE); /* no manifest yet */
    const rig_frame_t *answer = put_head();
    CHECK(code_of(answer) == FW_CODE_OUT_OF_RANGE && has_detail(answer, "other image"));
    make_release(2);
    CHECK(code_of(put_head()) == FW_CODE_OK);
    CHECK(open_transfer(FW_CONTENT_FIRMWARE_IMAGE, image, IMAGE_BYTES, &code) == 0u);
    CHECK(code == FW_CODE_OK);
    write_all(image, 6000, 0, FW_TRANSFER_PIECE_BYTES_MAX);
    CHECK(code_of(commit(image, IMAGE_BYTES, false)) == FW_CODE_WRONG_STATE); /* half of it */

    /* After a power cut whole sectors are still there. */
    rig_power_fails(rig);
    rig_connect(rig);
    rig_run(rig, 1000);
    CHECK(code_of(put_head()) == FW_CODE_OK);
    CHECK(open_transfer(FW_CONTENT_FIRMWARE_IMAGE, image, IMAGE_BYTES, &code) == 4096u);
    write_all(image, IMAGE_BYTES, 4096, FW_TRANSFER_PIECE_BYTES_MAX);
    CHECK(code_of(commit(image, IMAGE_BYTES, false)) == FW_CODE_OK);
    CHECK(rig->device->update.phase == FW_UPDATE_PENDING);
    fw_cbor_writer_t writer = request_begin(FW_VERB_RESTART, 0);
    CHECK(code_of(await(request_send(&writer, false))) == FW_CODE_OK && rig->restarts == 0u);
    rig_run(rig, 2u * FW_RESTART_DELAY_MS);
    CHECK(rig->restarts == 1u);
    rig_free(rig);

    /* Signed by somebody else. */
    begin();
    rig->setup.identity.public_key = public_key;
    head[FW_MANIFEST_BYTES] ^= 1u;
    CHECK(code_of(put_head()) == FW_CODE_OK);
    CHECK(open_transfer(FW_CONTENT_FIRMWARE_IMAGE, image, IMAGE_BYTES, &code) == 0u);
    write_all(image, IMAGE_BYTES, 0, FW_TRANSFER_PIECE_BYTES_MAX);
    answer = commit(image, IMAGE_BYTES, false);
    CHECK(code_of(answer) == FW_CODE_OUT_OF_RANGE && has_detail(answer, "signed"));
    CHECK(rig->device->update.phase == FW_UPDATE_NONE);
    rig_free(rig);
}

/* The page and a tool send the same image, and the page has its check begun first: the tool is answered, too. */
static void check_image_checked_by_page(void)
{
    fw_code_t code = FW_CODE_INTERNAL;
    begin();
    rig->setup.identity.public_key = public_key;
    make_release(2);
    CHECK(code_of(put_head()) == FW_CODE_OK);
    CHECK(open_transfer(FW_CONTENT_FIRMWARE_IMAGE, image, IMAGE_BYTES, &code) == 0u);
    write_all(image, IMAGE_BYTES, 0, FW_TRANSFER_PIECE_BYTES_MAX);
    fw_api_compiled_t nothing;
    CHECK(fw_device_api.upload_end(rig->device, FW_UPLOAD_FIRMWARE, &nothing) == FW_API_WAIT);
    CHECK(code_of(commit(image, IMAGE_BYTES, false)) == FW_CODE_OK);
    CHECK(rig->device->update.phase == FW_UPDATE_PENDING);
    CHECK(rig->device->kept.work == FW_KEPT_NOTHING && code_of(ask_log(0)) == FW_CODE_OK);

    /* What waits for a restart is given up by whoever begins with another one. */
    static const uint8_t other[FW_MANIFEST_BYTES + FW_SIGNATURE_BYTES] = {0};
    rig_run(rig, 1000);
    CHECK(open_transfer(FW_CONTENT_FIRMWARE_MANIFEST, other, sizeof other, &code) == 0u);
    CHECK(code == FW_CODE_OK && rig->device->update.phase == FW_UPDATE_NONE);
    rig_free(rig);
}

static bool refuse_erase(void *ctx, uint32_t address)
{
    (void)ctx;
    (void)address;
    return false;
}

/* A sector that does not erase is not tried for ever, and whoever waits for it is told. */
static void check_worn_sector(void)
{
    fw_code_t code = FW_CODE_INTERNAL;
    begin();
    rig->setup.identity.public_key = public_key;
    make_release(2);
    CHECK(code_of(put_head()) == FW_CODE_OK);
    CHECK(open_transfer(FW_CONTENT_FIRMWARE_IMAGE, image, IMAGE_BYTES, &code) == 0u);
    rig->nor->port.erase = refuse_erase;
    const rig_frame_t *answer = write_piece(0, image, 100);
    size_t at = (size_t)rig_field(answer, FW_KEY_TRANSFER_NEXT);
    for (int i = 0; i < 60 && code_of(answer) == FW_CODE_OK; i++) {
        answer = write_piece(at, image + at, 100);
        at = code_of(answer) == FW_CODE_OK ? (size_t)rig_field(answer, FW_KEY_TRANSFER_NEXT) : at;
    }
    CHECK(code_of(answer) == FW_CODE_INTERNAL && has_detail(answer, "flash"));
    CHECK(rig->device->update.phase == FW_UPDATE_NONE && code_of(ask_log(0)) == FW_CODE_OK);
    rig_free(rig);
}

/* ---- the log ---- */

static void check_log(void)
{
    begin();
    for (int i = 0; i < 20; i++) {
        rig->inputs[FW_CHANNEL_DI1] = i % 2 == 0;
        fw_controller_input_changed(rig->controller);
        rig_run(rig, 1000);
    }
    uint32_t before = 0;
    size_t seen = 0;
    size_t told = 1;
    for (int i = 0; i < 20 && told > 0u; i++) {
        const rig_frame_t *answer = ask_log(before);
        fw_cbor_map_t map;
        fw_cbor_map_t entry;
        fw_cbor_map_t cause;
        fw_cbor_list_t list;
        fw_cbor_item_t item;
        CHECK(code_of(answer) == FW_CODE_OK);
        CHECK(fw_cbor_open(answer->payload, answer->header.payload_bytes, &map) == FW_CBOR_OK);
        CHECK(fw_cbor_map_list(&map, FW_KEY_LOG_ENTRIES, 64, &list) == FW_FIELD_PRESENT);
        for (told = 0; fw_cbor_next(&list, &item); told++) {
            uint64_t number = 0;
            uint64_t kind = 0;
            uint64_t line = 0;
            int64_t value = 0;
            fw_span_t about;
            CHECK(fw_cbor_item_map(&item, &entry));
            CHECK(fw_cbor_map_unsigned(&entry, FW_KEY_ENTRY_NUMBER, UINT32_MAX, &number) ==
                  FW_FIELD_PRESENT);
            CHECK(fw_cbor_map_text(&entry, FW_KEY_ENTRY_ABOUT, &about) == FW_FIELD_PRESENT);
            CHECK(about.length == 4u && memcmp(about.bytes, "lamp", 4) == 0);
            CHECK(fw_cbor_map_integer(&entry, FW_KEY_ENTRY_VALUE, 0, 1, &value) ==
                  FW_FIELD_PRESENT);
            CHECK(value == (seen % 2u == 0u ? 0 : 1));
            CHECK(fw_cbor_map_map(&entry, FW_KEY_ENTRY_CAUSE, &cause) == FW_FIELD_PRESENT);
            CHECK(fw_cbor_map_unsigned(&cause, FW_KEY_CAUSE_KIND, 8, &kind) == FW_FIELD_PRESENT);
            CHECK(fw_cbor_map_unsigned(&cause, FW_KEY_CAUSE_REFERENCE, 99, &line) ==
                  FW_FIELD_PRESENT);
            CHECK(kind == FW_CAUSE_SCRIPT && line == 4u);
            CHECK(before == 0u || number < before);
            before = (uint32_t)number;
            seen++;
        }
        rig_forget(rig);
    }
    CHECK(seen == 20u);
    rig_free(rig);
}

void test_kept(void)
{
    check_kept();
    check_trial();
    check_fault();
    check_shadow();
    check_resume();
    check_limits();
    check_page();
    check_recording();
    check_firmware();
    check_image_checked_by_page();
    check_worn_sector();
    check_log();
}
