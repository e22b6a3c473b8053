/*
 * device_kept.c: what a device does for its link (keeper.h): the log, transfers, trials, keys, restart.
 *
 * A request is judged at once. What takes longer is remembered as work, and the answer follows when
 * it is done: so a tool sends its next piece when there is room for it, and not before.
 */
#include "device_inside.h"
#include "inside.h"

/* Hashed in one poll: about half a millisecond of a chip's time. */
#define HASH_SLICE_BYTES 256u
#define HEAD_BYTES (FW_MANIFEST_BYTES + FW_SIGNATURE_BYTES)
/* Where a manifest has the digest of its image (update.h). */
#define MANIFEST_DIGEST 40u
/* What stands around the bytes of a piece that is read: heads, size and digest. */
#define PIECE_AROUND_BYTES 64u
/* A piece shorter than this is worth a record of its own. */
#define PIECE_BYTES_MIN 128u
/* An `about` of a piece: where it begins, and above that what it is of. */
#define CONTENT_SHIFT 24u

static uint8_t refuse(fw_kept_t *kept, fw_code_t code, const char *detail)
{
    kept->detail = detail;
    return (uint8_t)code;
}

static uint8_t begin_work(fw_kept_t *kept, fw_kept_work_t work)
{
    kept->work = (uint8_t)work;
    kept->is_hashing = false;
    return FW_ANSWER_LATER;
}

/* ---- digests ---- */

/* What can be read lies there; nothing if there is none. */
static fw_span_t content_of(const fw_device_t *device, uint8_t content, uint32_t *generation)
{
    fw_slot_view_t view = {.generation = 0};
    fw_pair_t pair = content == FW_CONTENT_SCRIPT ? FW_PAIR_SCRIPT : FW_PAIR_DUMP;
    bool is_there = fw_slots_active(&device->slots, pair, &view);
    *generation = view.generation;
    return is_there ? fw_device_source(device, &view) : (fw_span_t){NULL, 0};
}

/* Goes on with a hash; from the beginning, if a script was compiled meanwhile, which took the memory, or if
 * other bytes are meant now. True once it is in `digest`. */
static bool hash_step(fw_device_t *device, fw_span_t bytes, uint8_t digest[FW_DIGEST_BYTES])
{
    fw_kept_t *kept = &device->kept;
    const fw_scripts_t *scripts = &device->scripts;
    /* A script that is to be compiled would take the recording's memory next. */
    bool is_recorded = kept->work == FW_KEPT_VERIFY ? !fw_device_drop_recording(device)
                                                    : fw_device_is_dumping(device);
    /* Nobody looks into a shadow any more once somebody else wants something; what nobody asks for waits. */
    bool is_shadow = device->controller.runner.shadow != NULL && kept->work == FW_KEPT_NOTHING;
    bool is_taken = is_recorded || is_shadow ||
                    (fw_scripts_is_working(scripts) && scripts->work == FW_SCRIPTS_COMPILE);
    if (is_taken) {
        return false;
    }
    device->controller.recorder = NULL; /* which had the memory till now, ... */
    device->controller.runner.shadow = NULL; /* ... or this */
    if (!kept->is_hashing || kept->compiled != scripts->compilations ||
        kept->hashing != bytes.bytes) {
        kept->is_hashing = true;
        kept->hashing = bytes.bytes;
        kept->compiled = scripts->compilations;
        kept->hashed = 0;
        crypto_blake2b_init(&device->work.hash, FW_DIGEST_BYTES);
    }
    /* Out of flash by words: the library reads bytes. */
    uint8_t slice[HASH_SLICE_BYTES];
    size_t left = bytes.length - kept->hashed;
    size_t length = left < sizeof slice ? left : sizeof slice;
    fw_copy(slice, bytes.bytes + kept->hashed, length);
    crypto_blake2b_update(&device->work.hash, slice, length);
    kept->hashed = (uint16_t)(kept->hashed + length);
    if (kept->hashed < bytes.length) {
        return false;
    }
    crypto_blake2b_final(&device->work.hash, digest);
    kept->is_hashing = false;
    return true;
}

/* ---- a script comes ---- */

static uint8_t code_of(fw_kept_t *kept, fw_scripts_result_t result)
{
    switch (result) {
    case FW_SCRIPTS_OK:
        return FW_CODE_OK;
    case FW_SCRIPTS_WAIT:
        return FW_ANSWER_LATER;
    case FW_SCRIPTS_WRONG_STATE:
        return refuse(kept, FW_CODE_WRONG_STATE, NULL);
    case FW_SCRIPTS_OUT_OF_RANGE:
        return refuse(kept, FW_CODE_OUT_OF_RANGE, "expected a script of at most 8,192 bytes");
    default:
        return refuse(kept, FW_CODE_INTERNAL, "the flash has failed");
    }
}

static uint8_t begin_script(fw_device_t *device)
{
    fw_kept_t *kept = &device->kept;
    return code_of(kept, fw_device_begin_script(device, kept->size, &kept->opening));
}

/* Whether the script that is being brought is the tool's, and not the page's. */
static bool is_brought(const fw_device_t *device)
{
    return device->kept.opening == device->scripts.openings &&
           fw_scripts_is_bringing(&device->scripts);
}

static uint8_t write_script(fw_device_t *device, uint32_t offset, fw_span_t bytes, uint32_t *next)
{
    fw_scripts_t *scripts = &device->scripts;
    if (!is_brought(device)) {
        return refuse(&device->kept, FW_CODE_WRONG_STATE, "another script was begun in between");
    }
    uint8_t code = FW_CODE_OK;
    if (offset == scripts->written_bytes) {
        code = code_of(&device->kept, fw_scripts_write(scripts, offset, bytes));
    }
    *next = scripts->written_bytes;
    return code;
}

/* What was written is the script that is meant. */
static uint8_t verify_script(fw_device_t *device)
{
    fw_kept_t *kept = &device->kept;
    fw_slots_t *slots = &device->slots;
    uint8_t digest[FW_DIGEST_BYTES];
    fw_slot_view_t view;
    fw_slots_answer_t ended = slots->pair == FW_PAIR_SCRIPT ? fw_slots_end_source(slots)
                                                             : FW_SLOTS_BUSY;
    if (ended == FW_SLOTS_FAULT) {
        return refuse(kept, FW_CODE_INTERNAL, "the flash has failed");
    }
    if (ended != FW_SLOTS_OK || kept->opening != device->scripts.openings) {
        return refuse(kept, FW_CODE_WRONG_STATE, "something else was saved in between");
    }
    fw_slots_written(slots, &view);
    if (!hash_step(device, fw_device_source(device, &view), digest)) {
        return FW_ANSWER_LATER;
    }
    if (!fw_equal(digest, kept->announced, FW_DIGEST_BYTES)) {
        fw_slots_abort(slots);
        return refuse(kept, FW_CODE_WRONG_STATE, "the bytes have another digest");
    }
    return begin_work(kept, FW_KEPT_COMPILE);
}

static uint8_t compile_script(fw_device_t *device)
{
    fw_kept_t *kept = &device->kept;
    fw_scripts_result_t result = fw_scripts_do(&device->scripts, FW_SCRIPTS_COMPILE);
    if (result == FW_SCRIPTS_ERROR) {
        const fw_script_error_t *error = &device->scripts.error;
        kept->expected = error->expected;
        kept->fix = error->fix;
        kept->line = error->line;
        kept->column = error->column;
        kept->other_line = error->other_line;
        return FW_CODE_OK;
    }
    return result == FW_SCRIPTS_OK ? begin_work(kept, FW_KEPT_RUN) : code_of(kept, result);
}

static uint8_t run_script(fw_device_t *device)
{
    fw_scripts_work_t how = device->kept.keeps ? FW_SCRIPTS_ACCEPT : FW_SCRIPTS_TRY;
    return code_of(&device->kept, fw_scripts_do(&device->scripts, how));
}

/* ---- firmware comes ---- */

static uint8_t update_code(fw_kept_t *kept, fw_update_answer_t answer)
{
    static const char *const details[] = {
        [FW_UPDATE_MALFORMED] = "expected a signed manifest",
        [FW_UPDATE_OTHER_PROFILE] = "it is for another board",
        [FW_UPDATE_OTHER_SLOT] = "it is linked for the slot that runs: send the other image",
        [FW_UPDATE_TOO_LARGE] = "expected an image in words that fits its slot",
        [FW_UPDATE_TOO_OLD] = "it is older than this controller may go back to",
        [FW_UPDATE_BAD_HASH] = "the image is not the manifest's",
        [FW_UPDATE_BAD_SIGNATURE] = "nobody that this controller trusts has signed it",
        [FW_UPDATE_FAULT] = "the flash has failed",
    };
    switch (answer) {
    case FW_UPDATE_OK:
        return FW_CODE_OK;
    case FW_UPDATE_BUSY:
        return FW_ANSWER_LATER;
    case FW_UPDATE_BAD_OFFSET:
    case FW_UPDATE_INCOMPLETE:
        return refuse(kept, FW_CODE_WRONG_STATE, NULL);
    case FW_UPDATE_FAULT:
        return refuse(kept, FW_CODE_INTERNAL, details[answer]);
    default:
        return refuse(kept, FW_CODE_OUT_OF_RANGE, details[answer]);
    }
}

static uint8_t write_manifest(fw_device_t *device, uint32_t offset, fw_span_t bytes, uint32_t *next)
{
    if (offset == device->image_at) {
        fw_copy(device->image_head + offset, bytes.bytes, bytes.length);
        device->image_at += (uint32_t)bytes.length;
    }
    *next = device->image_at;
    return FW_CODE_OK;
}

static uint8_t begin_image(fw_device_t *device)
{
    fw_kept_t *kept = &device->kept;
    const fw_update_t *update = &device->update;
    fw_update_answer_t answer = fw_update_begin(&device->update, device->image_head,
                                                device->image_head + FW_MANIFEST_BYTES);
    if (answer == FW_UPDATE_BUSY && update->phase == FW_UPDATE_TRIAL) {
        return refuse(kept, FW_CODE_WRONG_STATE, "the firmware that runs is itself on trial");
    }
    if (answer == FW_UPDATE_OK) {
        device->is_image_begun = true;
        device->image_bytes = HEAD_BYTES + update->length;
        device->image_at = HEAD_BYTES + fw_update_offset(update);
    }
    return answer == FW_UPDATE_BUSY && kept->work != FW_KEPT_BEGIN
               ? begin_work(kept, FW_KEPT_BEGIN)
               : update_code(kept, answer);
}

static uint8_t commit_manifest(fw_device_t *device)
{
    uint8_t digest[FW_DIGEST_BYTES];
    crypto_blake2b(digest, sizeof digest, device->image_head, HEAD_BYTES);
    if (!fw_equal(digest, device->kept.announced, FW_DIGEST_BYTES)) {
        return refuse(&device->kept, FW_CODE_WRONG_STATE, "the bytes have another digest");
    }
    return begin_image(device);
}

/* Whether that is the image that a manifest was committed for. */
static bool is_awaited(const fw_device_t *device, uint32_t size, const uint8_t *digest)
{
    const fw_update_t *update = &device->update;
    return device->is_image_begun && update->phase == FW_UPDATE_WRITING && size == update->length &&
           fw_equal(device->image_head + MANIFEST_DIGEST, digest, FW_DIGEST_BYTES);
}

static bool is_image_awaited(const fw_device_t *device)
{
    return is_awaited(device, device->kept.size, device->kept.announced);
}

static uint8_t make_room(fw_device_t *device)
{
    const fw_update_t *update = &device->update;
    bool is_whole = fw_update_offset(update) == update->length;
    bool is_ready = update->step == FW_UPDATE_STEP_READY && fw_journal_is_idle(&update->journal);
    if (update->phase != FW_UPDATE_WRITING && update->result != FW_UPDATE_OK) {
        return update_code(&device->kept, (fw_update_answer_t)update->result);
    }
    if (update->phase != FW_UPDATE_WRITING) {
        return refuse(&device->kept, FW_CODE_WRONG_STATE, "the update was given up in between");
    }
    return is_whole || is_ready ? FW_CODE_OK : FW_ANSWER_LATER;
}

static uint8_t write_image(fw_device_t *device, uint32_t offset, fw_span_t bytes, uint32_t *next)
{
    fw_kept_t *kept = &device->kept;
    fw_update_t *update = &device->update;
    size_t done = 0;
    fw_update_answer_t answer = FW_UPDATE_OK;
    while (offset + done == fw_update_offset(update) && done < bytes.length &&
           answer == FW_UPDATE_OK) {
        size_t taken = 0;
        answer = fw_update_write(update, offset + (uint32_t)done, bytes.bytes + done,
                                 bytes.length - done, &taken);
        done += taken;
    }
    *next = fw_update_offset(update);
    device->image_at = HEAD_BYTES + *next;
    if (answer != FW_UPDATE_OK && answer != FW_UPDATE_BUSY) {
        return update_code(kept, answer);
    }
    return make_room(device) == FW_ANSWER_LATER ? begin_work(kept, FW_KEPT_MAKE_ROOM) : FW_CODE_OK;
}

/* It is checked once, whoever has begun that. */
static uint8_t commit_image(fw_device_t *device)
{
    fw_kept_t *kept = &device->kept;
    fw_update_answer_t answer = fw_update_finish(&device->update);
    if (answer != FW_UPDATE_OK && answer != FW_UPDATE_BUSY) {
        return update_code(kept, answer);
    }
    device->is_image_checking = true;
    return begin_work(kept, FW_KEPT_FINISH);
}

static uint8_t finish_image(fw_device_t *device)
{
    fw_update_t *update = &device->update;
    bool has_passed = update->phase == FW_UPDATE_PENDING && fw_update_is_settled(update);
    if (!has_passed && update->phase != FW_UPDATE_NONE) {
        return FW_ANSWER_LATER;
    }
    device->is_image_begun = false;
    return has_passed ? (uint8_t)FW_CODE_OK
                      : update_code(&device->kept, (fw_update_answer_t)update->result);
}

/* ---- transfers ---- */

/* Whether what was begun before is this very thing, and still there. */
static bool goes_on(const fw_device_t *device, uint8_t content, uint32_t size, fw_span_t digest)
{
    const fw_kept_t *kept = &device->kept;
    const fw_scripts_t *scripts = &device->scripts;
    bool is_same = kept->content == content && kept->size == size &&
                   fw_equal(kept->announced, digest.bytes, FW_DIGEST_BYTES);
    return is_same && content == FW_CONTENT_SCRIPT && scripts->wanted_bytes == size &&
           is_brought(device);
}

/* Whether that can be written now; if not, why. */
static uint8_t judge_open(fw_device_t *device, uint8_t content, uint32_t size, fw_span_t digest)
{
    fw_kept_t *kept = &device->kept;
    switch (content) {
    case FW_CONTENT_SCRIPT:
        if (device->scripts.state == FW_SCRIPT_ON_TRIAL) {
            return refuse(kept, FW_CODE_WRONG_STATE,
                          "a script is on trial: keep it, or go back, first");
        }
        return size <= FW_SCRIPT_SOURCE_MAX ? (uint8_t)FW_CODE_OK
                                            : code_of(kept, FW_SCRIPTS_OUT_OF_RANGE);
    case FW_CONTENT_FIRMWARE_MANIFEST:
        return size == HEAD_BYTES ? (uint8_t)FW_CODE_OK
                                  : refuse(kept, FW_CODE_OUT_OF_RANGE,
                                           "expected 72 bytes of manifest, 64 of signature");
    default:
        return is_awaited(device, size, digest.bytes)
                   ? (uint8_t)FW_CODE_OK
                   : refuse(kept, FW_CODE_WRONG_STATE,
                            "expected the image that the manifest tells of");
    }
}

static uint8_t take_open(fw_device_t *device, uint32_t source, const fw_cbor_map_t *payload,
                         uint32_t *next)
{
    fw_kept_t *kept = &device->kept;
    uint64_t content = 0;
    uint64_t size = 0;
    fw_span_t digest;
    if (fw_cbor_map_unsigned(payload, FW_KEY_TRANSFER_OPEN_CONTENT, FW_CONTENT_FIRMWARE_IMAGE,
                             &content) != FW_FIELD_PRESENT ||
        fw_cbor_map_unsigned(payload, FW_KEY_TRANSFER_OPEN_SIZE, FW_TRANSFER_BYTES_MAX, &size) !=
            FW_FIELD_PRESENT ||
        fw_cbor_map_bytes(payload, FW_KEY_TRANSFER_OPEN_DIGEST, FW_DIGEST_BYTES, FW_DIGEST_BYTES,
                          &digest) != FW_FIELD_PRESENT ||
        content == 0u || size == 0u) {
        return FW_CODE_BAD_FIELD;
    }
    if (goes_on(device, (uint8_t)content, (uint32_t)size, digest)) {
        kept->owner = source;
        *next = device->scripts.written_bytes;
        return FW_CODE_OK;
    }
    uint8_t code = judge_open(device, (uint8_t)content, (uint32_t)size, digest);
    if (code != FW_CODE_OK) {
        return code; /* what was begun before stays */
    }
    const fw_update_t *update = &device->update;
    bool is_checked = update->step >= FW_UPDATE_STEP_HASH;
    if (content == FW_CONTENT_FIRMWARE_MANIFEST &&
        (is_checked || (update->phase == FW_UPDATE_PENDING &&
                        fw_update_abort(&device->update) != FW_UPDATE_OK))) {
        return FW_CODE_BUSY; /* what waits for a restart is given up first */
    }
    kept->content = (uint8_t)content;
    kept->owner = source;
    kept->size = (uint32_t)size;
    fw_copy(kept->announced, digest.bytes, FW_DIGEST_BYTES);
    if (content == FW_CONTENT_SCRIPT) {
        code = begin_script(device);
    } else if (content == FW_CONTENT_FIRMWARE_MANIFEST) {
        device->image_at = 0;
        device->is_image_begun = false;
        device->is_image_checking = false;
    } else {
        *next = fw_update_offset(&device->update);
    }
    return code == FW_ANSWER_LATER ? begin_work(kept, FW_KEPT_OPEN) : code;
}

static bool is_of(const fw_kept_t *kept, uint32_t source)
{
    return kept->content != 0u && kept->owner == source;
}

static uint8_t take_write(fw_device_t *device, uint32_t source, const fw_cbor_map_t *payload,
                          uint32_t *next)
{
    fw_kept_t *kept = &device->kept;
    uint32_t offset = 0;
    fw_span_t bytes;
    if (fw_cbor_map_u32(payload, FW_KEY_TRANSFER_WRITE_OFFSET, &offset) != FW_FIELD_PRESENT ||
        fw_cbor_map_bytes(payload, FW_KEY_TRANSFER_WRITE_BYTES, 1, FW_TRANSFER_PIECE_BYTES_MAX,
                          &bytes) != FW_FIELD_PRESENT) {
        return FW_CODE_BAD_FIELD;
    }
    if (!is_of(kept, source)) {
        return refuse(kept, FW_CODE_WRONG_STATE, NULL);
    }
    if (offset > kept->size || bytes.length > kept->size - offset) {
        return refuse(kept, FW_CODE_OUT_OF_RANGE, "it goes past the end that was announced");
    }
    switch (kept->content) {
    case FW_CONTENT_SCRIPT:
        return write_script(device, offset, bytes, next);
    case FW_CONTENT_FIRMWARE_MANIFEST:
        return write_manifest(device, offset, bytes, next);
    default:
        return is_image_awaited(device) ? write_image(device, offset, bytes, next)
                                        : refuse(kept, FW_CODE_WRONG_STATE, NULL);
    }
}

static uint8_t take_commit(fw_device_t *device, uint32_t source, const fw_cbor_map_t *payload)
{
    fw_kept_t *kept = &device->kept;
    fw_span_t digest;
    if (fw_cbor_map_bytes(payload, FW_KEY_TRANSFER_COMMIT_DIGEST, FW_DIGEST_BYTES, FW_DIGEST_BYTES,
                          &digest) != FW_FIELD_PRESENT ||
        fw_cbor_map_bool(payload, FW_KEY_TRANSFER_COMMIT_KEEP, &kept->keeps) != FW_FIELD_PRESENT) {
        return FW_CODE_BAD_FIELD;
    }
    uint8_t content = kept->content;
    bool is_whole =
        content == FW_CONTENT_SCRIPT
            ? is_brought(device) && device->scripts.written_bytes == kept->size
        : content == FW_CONTENT_FIRMWARE_MANIFEST
            ? !device->is_image_begun && device->image_at == HEAD_BYTES
            : is_image_awaited(device) && fw_update_offset(&device->update) == kept->size;
    if (!is_of(kept, source) || !is_whole ||
        !fw_equal(digest.bytes, kept->announced, FW_DIGEST_BYTES)) {
        return refuse(kept, FW_CODE_WRONG_STATE, NULL);
    }
    kept->content = 0; /* whatever comes of it, it begins anew */
    kept->expected = NULL;
    return content == FW_CONTENT_SCRIPT              ? begin_work(kept, FW_KEPT_VERIFY)
           : content == FW_CONTENT_FIRMWARE_MANIFEST ? commit_manifest(device)
                                                     : commit_image(device);
}

static uint8_t take_read(fw_device_t *device, const fw_cbor_map_t *payload, uint32_t *about)
{
    fw_kept_t *kept = &device->kept;
    uint64_t content = 0;
    uint64_t offset = 0;
    if (fw_cbor_map_unsigned(payload, FW_KEY_TRANSFER_READ_CONTENT, FW_CONTENT_RECORDING,
                             &content) != FW_FIELD_PRESENT ||
        fw_cbor_map_unsigned(payload, FW_KEY_TRANSFER_READ_OFFSET, UINT32_MAX, &offset) !=
            FW_FIELD_PRESENT ||
        (content != FW_CONTENT_SCRIPT && content != FW_CONTENT_RECORDING)) {
        return FW_CODE_BAD_FIELD;
    }
    offset = offset < FW_TRANSFER_BYTES_MAX ? offset : FW_TRANSFER_BYTES_MAX; /* past any end */
    *about = (uint32_t)offset | (uint32_t)content << CONTENT_SHIFT;
    uint32_t generation = 0;
    (void)content_of(device, (uint8_t)content, &generation);
    uint32_t known = content == FW_CONTENT_SCRIPT ? kept->generation : kept->recording_generation;
    if (known == generation && generation != 0u) {
        return FW_CODE_OK;
    }
    kept->read = (uint8_t)content;
    return begin_work(kept, FW_KEPT_READ);
}

/* ---- the rest ---- */

static uint8_t take_log(const fw_cbor_map_t *payload, uint32_t *about)
{
    *about = UINT32_MAX;
    return fw_cbor_map_u32(payload, FW_KEY_LOG_BEFORE, about) == FW_FIELD_BAD ? FW_CODE_BAD_FIELD
                                                                             : FW_CODE_OK;
}

static uint8_t end_trial(fw_device_t *device)
{
    fw_scripts_work_t how = device->kept.keeps ? FW_SCRIPTS_KEEP : FW_SCRIPTS_REVERT;
    return code_of(&device->kept, fw_scripts_do(&device->scripts, how));
}

static uint8_t take_trial(fw_device_t *device, const fw_cbor_map_t *payload)
{
    fw_kept_t *kept = &device->kept;
    if (fw_cbor_map_bool(payload, FW_KEY_TRIAL_KEEP, &kept->keeps) != FW_FIELD_PRESENT) {
        return FW_CODE_BAD_FIELD;
    }
    uint8_t code = end_trial(device);
    return code == FW_ANSWER_LATER ? begin_work(kept, FW_KEPT_TRIAL) : code;
}

/* A change of keys is in flash before it holds, and before anybody is told: the link has judged the
 * request. A device that had its address and key from its setup has them in flash from now on. */
static uint8_t take_rekey(fw_device_t *device, const fw_cbor_map_t *payload)
{
    fw_controller_t *controller = &device->controller;
    fw_keys_t keys = controller->keys;
    fw_span_t key = {.bytes = NULL};
    (void)fw_cbor_map_bytes(payload, FW_KEY_REKEY_KEY, FW_LINK_KEY_BYTES, FW_LINK_KEY_BYTES, &key);
    bool is_busy = device->saving != 0u;
    bool changes = !is_busy && fw_keys_change(&keys, controller->link.is_next, key.bytes);
    if (changes) {
        device->configuration.keys = keys;
        device->configuration.address = controller->settings.address;
        fw_device_save_settings(device);
    } else if (!is_busy) {
        fw_controller_rekeyed_again(controller);
    }
    fw_keys_wipe(&keys);
    return changes   ? begin_work(&device->kept, FW_KEPT_REKEY)
           : is_busy ? (uint8_t)FW_CODE_BUSY
                     : (uint8_t)FW_CODE_OK;
}

static uint8_t end_rekey(fw_device_t *device)
{
    if (device->saving != 0u) {
        return FW_ANSWER_LATER;
    }
    if (device->save_failed) {
        device->save_failed = false;
        return FW_CODE_INTERNAL;
    }
    fw_controller_rekeyed(&device->controller, &device->configuration.keys);
    return FW_CODE_OK;
}

static uint8_t take(void *ctx, const fw_frame_header_t *header, uint16_t verb,
                    const fw_cbor_map_t *payload, uint32_t *about)
{
    fw_device_t *device = ctx;
    device->kept.detail = NULL;
    bool is_busy = device->kept.work != FW_KEPT_NOTHING; /* for a link that is gone */
    switch (is_busy ? 0u : verb) {
    case 0:
        return FW_CODE_BUSY;
    case FW_VERB_LOG:
        return take_log(payload, about);
    case FW_VERB_TRANSFER_READ:
        return take_read(device, payload, about);
    case FW_VERB_TRANSFER_OPEN:
        return take_open(device, header->source, payload, about);
    case FW_VERB_TRANSFER_WRITE:
        return take_write(device, header->source, payload, about);
    case FW_VERB_TRANSFER_COMMIT:
        return take_commit(device, header->source, payload);
    case FW_VERB_TRIAL:
        return take_trial(device, payload);
    case FW_VERB_REKEY:
        return take_rekey(device, payload);
    default:
        fw_device_restart(device);
        return FW_CODE_OK;
    }
}

/* ---- work ---- */

static uint8_t read_step(fw_device_t *device)
{
    fw_kept_t *kept = &device->kept;
    bool is_script = kept->read == FW_CONTENT_SCRIPT;
    uint32_t generation = 0;
    const fw_span_t bytes = content_of(device, kept->read, &generation);
    bool is_known = hash_step(device, bytes, is_script ? kept->digest : kept->recording);
    if (is_known && is_script) {
        kept->generation = generation;
    } else if (is_known) {
        kept->recording_generation = generation;
    }
    return is_known ? FW_CODE_OK : FW_ANSWER_LATER;
}

static uint8_t work_step(fw_device_t *device, uint32_t *about)
{
    fw_kept_t *kept = &device->kept;
    switch (kept->work) {
    case FW_KEPT_OPEN:
        *about = 0;
        return begin_script(device);
    case FW_KEPT_VERIFY:
        return verify_script(device);
    case FW_KEPT_COMPILE:
        return compile_script(device);
    case FW_KEPT_RUN:
        return run_script(device);
    case FW_KEPT_BEGIN:
        return begin_image(device);
    case FW_KEPT_MAKE_ROOM:
        *about = fw_update_offset(&device->update);
        return make_room(device);
    case FW_KEPT_FINISH:
        return finish_image(device);
    case FW_KEPT_TRIAL:
        return end_trial(device);
    case FW_KEPT_REKEY:
        return end_rekey(device);
    default:
        return read_step(device);
    }
}

/* The digest of the script that runs is told with the controller's health: it is worked out while nobody
 * asks for anything. Not of one that has just begun, for its memory is the recorder's, and faults come early. */
static bool know_script(fw_device_t *device)
{
    fw_kept_t *kept = &device->kept;
    const fw_scripts_t *scripts = &device->scripts;
    uint32_t now_ms = fw_now(&device->controller);
    bool is_due = kept->generation != scripts->generation && scripts->generation != 0u &&
                  !fw_scripts_is_working(scripts) &&
                  fw_since(now_ms, scripts->trial_ms) >= FW_DIGEST_PATIENCE_MS;
    kept->is_hashing = kept->is_hashing && is_due;
    uint32_t generation = 0;
    const fw_span_t bytes = content_of(device, FW_CONTENT_SCRIPT, &generation);
    if (is_due && hash_step(device, bytes, kept->digest)) {
        kept->generation = generation;
    }
    return is_due;
}

bool fw_device_kept_step(fw_device_t *device)
{
    fw_kept_t *kept = &device->kept;
    fw_controller_t *controller = &device->controller;
    if (kept->work == FW_KEPT_NOTHING) {
        return know_script(device);
    }
    uint32_t about = controller->link.late.about;
    uint8_t code = work_step(device, &about);
    if (code != FW_ANSWER_LATER) {
        kept->work = FW_KEPT_NOTHING;
        kept->is_hashing = false;
        fw_controller_answer(controller, (fw_code_t)code, about);
    }
    return true;
}

/* ---- answers ---- */

static size_t tell_piece(const fw_device_t *device, const fw_answer_t *answer,
                         fw_cbor_writer_t *writer)
{
    const fw_kept_t *kept = &device->kept;
    uint8_t content = (uint8_t)(answer->about >> CONTENT_SHIFT);
    uint32_t offset = answer->about & (((uint32_t)1 << CONTENT_SHIFT) - 1u);
    uint32_t generation = 0;
    fw_span_t whole = content_of(device, content, &generation);
    size_t left = offset < whole.length ? whole.length - offset : 0u;
    size_t room = writer->capacity - writer->length;
    room = room > PIECE_AROUND_BYTES ? room - PIECE_AROUND_BYTES : 0u;
    room = room < FW_TRANSFER_PIECE_BYTES_MAX ? room : FW_TRANSFER_PIECE_BYTES_MAX;
    size_t length = left < room ? left : room;
    if (length < left && length < PIECE_BYTES_MIN) {
        writer->failed = true;
        return 0;
    }
    fw_cbor_put_unsigned(writer, FW_KEY_TRANSFER_READ_SIZE, whole.length);
    fw_cbor_put_bytes(writer, FW_KEY_TRANSFER_READ_BYTES, length > 0u ? whole.bytes + offset : NULL, length);
    fw_cbor_put_bytes(writer, FW_KEY_TRANSFER_READ_DIGEST, content == FW_CONTENT_SCRIPT ? kept->digest : kept->recording,
                        FW_DIGEST_BYTES);
    return 3;
}

static void tell_entry(fw_cbor_writer_t *writer, const fw_api_why_t *why)
{
    fw_cbor_write_map(writer, why->time_ms != 0u ? 6u : 5u);
    fw_cbor_put_unsigned(writer, FW_KEY_ENTRY_NUMBER, why->number);
    if (why->time_ms != 0u) {
        fw_cbor_put_unsigned(writer, FW_KEY_ENTRY_TIME, why->time_ms);
    }
    fw_cbor_put_unsigned(writer, FW_KEY_ENTRY_UPTIME_MS, why->uptime_ms);
    fw_cbor_put_string(writer, FW_KEY_ENTRY_ABOUT, why->name);
    fw_cbor_put_integer(writer, FW_KEY_ENTRY_VALUE, why->value);
    fw_cbor_write_unsigned(writer, FW_KEY_ENTRY_CAUSE);
    fw_status_write_cause(writer, &why->cause);
}

/* The newest first, as many as fit. */
static size_t tell_log(fw_device_t *device, const fw_answer_t *answer, fw_cbor_writer_t *writer)
{
    fw_api_why_t why;
    uint32_t before = answer->about;
    fw_cbor_write_unsigned(writer, FW_KEY_LOG_ENTRIES);
    size_t mark = fw_cbor_array_begin(writer);
    size_t count = 0;
    while (count < FW_LOG_ENTRIES_TOLD && fw_device_why(device, before, &why)) {
        fw_cbor_writer_t with = *writer;
        tell_entry(&with, &why);
        if (with.failed) {
            writer->failed = count == 0u; /* not here: there is no room for any */
            break;
        }
        *writer = with;
        before = why.number;
        count++;
    }
    fw_cbor_array_end(writer, mark, count);
    return 1;
}

static size_t tell_fault(const fw_kept_t *kept, fw_cbor_writer_t *writer)
{
    size_t pairs = 3u + (kept->fix != NULL ? 1u : 0u) + (kept->other_line != 0u ? 1u : 0u);
    if (kept->expected == NULL) {
        return 0;
    }
    fw_cbor_put_map(writer, FW_KEY_TRANSFER_COMMIT_FAULT, pairs);
    fw_cbor_put_unsigned(writer, FW_KEY_FAULT_LINE, kept->line);
    fw_cbor_put_unsigned(writer, FW_KEY_FAULT_COLUMN, kept->column);
    fw_cbor_put_string(writer, FW_KEY_FAULT_EXPECTED, kept->expected);
    if (kept->fix != NULL) {
        fw_cbor_put_string(writer, FW_KEY_FAULT_FIX, kept->fix);
    }
    if (kept->other_line != 0u) {
        fw_cbor_put_unsigned(writer, FW_KEY_FAULT_OTHER_LINE, kept->other_line);
    }
    return 1;
}

static size_t tell(void *ctx, const fw_answer_t *answer, fw_cbor_writer_t *writer)
{
    fw_device_t *device = ctx;
    switch (answer->verb) {
    case FW_VERB_LOG:
        return tell_log(device, answer, writer);
    case FW_VERB_TRANSFER_READ:
        return tell_piece(device, answer, writer);
    case FW_VERB_TRANSFER_OPEN:
    case FW_VERB_TRANSFER_WRITE:
        fw_cbor_put_unsigned(writer, FW_KEY_TRANSFER_NEXT, answer->about);
        return 1;
    case FW_VERB_TRANSFER_COMMIT:
        return tell_fault(&device->kept, writer);
    default:
        return 0;
    }
}

static const char *detail(void *ctx, const fw_answer_t *answer)
{
    const fw_device_t *device = ctx;
    (void)answer;
    return device->kept.detail;
}

static bool event(void *ctx, fw_cbor_writer_t *writer, uint32_t *number)
{
    fw_device_t *device = ctx;
    return fw_events_write(&device->events, writer, number, fw_now(&device->controller));
}

static void event_arrived(void *ctx, uint32_t number, uint32_t last)
{
    fw_device_t *device = ctx;
    fw_events_arrived(&device->events, number, last, fw_now(&device->controller));
}

void fw_device_lend(fw_device_t *device)
{
    static const fw_keeper_t keeper = {
        .take = take,
        .tell = tell,
        .detail = detail,
        .event = event,
        .event_arrived = event_arrived,
    };
    device->controller.keeper = &keeper;
    device->controller.keeper_ctx = device;
}
