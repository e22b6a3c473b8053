/*
 * update.c: see update.h; section 7 of docs/storage.md has the records.
 */
#include "update.h"

#include "monocypher-ed25519.h"

/* Kinds of records. */
enum {
    KIND_MANIFEST = 1, /* manifest and signature: an image begins */
    KIND_PROGRESS = 2, /* sectors that are whole */
    KIND_PHASE = 3,    /* phase and boots, lowest version */
    KINDS = 3,
};

enum {
    MANIFEST_WORDS = (FW_MANIFEST_BYTES + FW_SIGNATURE_BYTES) / 4,
    HASH_BYTES = 32,
    HASH_PIECE_BYTES = 128,
    AT_SLOT = 4,
    AT_VERSION = 8,
    AT_LOWEST = 12,
    AT_LENGTH = 16,
    AT_PROFILE = 20,
    AT_HASH = 40,
};

_Static_assert(MANIFEST_WORDS <= FW_JOURNAL_WORDS_MAX, "a manifest and its signature are a record");
_Static_assert(AT_PROFILE + FW_PROFILE_BYTES_MAX == AT_HASH, "the profile ends at the hash");
_Static_assert(AT_HASH + HASH_BYTES == FW_MANIFEST_BYTES, "the hash is the manifest's end");
_Static_assert(FW_FLASH_SLICE_BYTES % HASH_PIECE_BYTES == 0, "a slice is whole pieces");

/* Manifest and signature as they lie in a record. */
typedef struct {
    uint8_t bytes[FW_MANIFEST_BYTES + FW_SIGNATURE_BYTES];
} signed_t;

static uint8_t other(uint8_t slot)
{
    return slot == 1u ? 2u : 1u;
}

static uint32_t address_of(const fw_update_t *update)
{
    return update->slot == 2u ? FW_LAYOUT_USER2 : FW_LAYOUT_USER1;
}

/* ---- the manifest ---- */

static void words_to_signed(const uint32_t *words, signed_t *to)
{
    for (size_t i = 0; i < sizeof to->bytes; i++) {
        to->bytes[i] = (uint8_t)(words[i / 4u] >> (8u * (i % 4u)));
    }
}

static void signed_to_words(const signed_t *from, uint32_t words[MANIFEST_WORDS])
{
    for (size_t i = 0; i < MANIFEST_WORDS; i++) {
        const uint8_t *at = from->bytes + 4u * i;
        words[i] = at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    }
}

static bool is_profile(const uint8_t *field, const char *profile)
{
    size_t length = fw_string_length(profile);
    for (size_t i = 0; i < FW_PROFILE_BYTES_MAX; i++) {
        uint8_t expected = i < length ? (uint8_t)profile[i] : 0u;
        if (field[i] != expected) {
            return false;
        }
    }
    return length <= FW_PROFILE_BYTES_MAX;
}

static fw_update_answer_t check_manifest(const fw_update_t *update, const uint8_t *manifest)
{
    static const uint8_t magic[AT_SLOT] = {'S', 'W', 'F', '1'};
    if (update->identity->public_key == NULL) {
        return FW_UPDATE_BAD_SIGNATURE;
    }
    uint8_t slot = manifest[AT_SLOT];
    uint32_t version = fw_load_u32(manifest + AT_VERSION);
    uint32_t length = fw_load_u32(manifest + AT_LENGTH);
    bool has_zeros = manifest[5] == 0u && manifest[6] == 0u && manifest[7] == 0u;
    if (!fw_equal(manifest, magic, sizeof magic) || (slot != 1u && slot != 2u) || !has_zeros ||
        fw_load_u32(manifest + AT_LOWEST) > version) {
        return FW_UPDATE_MALFORMED;
    }
    if (!is_profile(manifest + AT_PROFILE, update->identity->profile)) {
        return FW_UPDATE_OTHER_PROFILE;
    }
    if (slot == update->identity->slot) {
        return FW_UPDATE_OTHER_SLOT;
    }
    if (length == 0u || length % 4u != 0u || length > FW_IMAGE_BYTES_MAX) {
        return FW_UPDATE_TOO_LARGE;
    }
    return version < update->lowest ? FW_UPDATE_TOO_OLD : FW_UPDATE_OK;
}

/* The state of an image of which nothing has been written. */
static void load_manifest(fw_update_t *update, const uint8_t *manifest)
{
    update->phase = FW_UPDATE_WRITING;
    update->slot = manifest[AT_SLOT];
    update->version = fw_load_u32(manifest + AT_VERSION);
    update->length = fw_load_u32(manifest + AT_LENGTH);
    update->sectors = 0;
    update->boots = 0;
}

/* The newest in the journal. */
static bool find_manifest(fw_update_t *update, fw_journal_record_t *found)
{
    fw_journal_record_t record;
    bool has_found = false;
    uint16_t at = 0;
    while (fw_journal_next(&update->journal, &at, &record)) {
        if (record.kind == KIND_MANIFEST && record.count == MANIFEST_WORDS) {
            *found = record;
            has_found = true;
        }
    }
    return has_found;
}

/* ---- records ---- */

static void phase_to_words(const fw_update_t *update, uint32_t words[2])
{
    words[0] = update->phase | (uint32_t)update->boots << 8;
    words[1] = update->lowest;
}

static bool carry(void *owner, uint16_t at, fw_journal_record_t *record)
{
    fw_update_t *update = owner;
    /* Without an image there is only the phase to tell. */
    uint16_t kind = (uint16_t)(at + (update->phase == FW_UPDATE_NONE ? KIND_PHASE : KIND_MANIFEST));
    if (kind == KIND_MANIFEST) {
        return find_manifest(update, record);
    }
    record->kind = (uint8_t)kind;
    if (kind == KIND_PROGRESS) {
        record->count = 1;
        record->words[0] = update->sectors;
    } else {
        record->count = 2;
        phase_to_words(update, record->words);
    }
    return kind <= KINDS;
}

static void record_phase(fw_update_t *update)
{
    uint32_t words[2];
    phase_to_words(update, words);
    fw_journal_put(&update->journal, KIND_PHASE, words, 2);
}

static void load_record(fw_update_t *update, const fw_journal_record_t *record)
{
    if (record->kind == KIND_MANIFEST && record->count == MANIFEST_WORDS) {
        signed_t whole;
        words_to_signed(record->words, &whole);
        load_manifest(update, whole.bytes);
    } else if (record->kind == KIND_PROGRESS) {
        update->sectors = (uint16_t)record->words[0];
    } else if (record->kind == KIND_PHASE) {
        update->phase = (uint8_t)record->words[0];
        update->boots = (uint8_t)(record->words[0] >> 8);
        update->lowest = record->words[1];
    }
}

/* ---- boot ---- */

/* Counts a boot, and decides which slot is to run. The count is in flash before the image does
 * anything else; a switch is only attempted so often, lest a loader that does not follow make the
 * controller restart for ever. */
static void count_boot(fw_update_t *update)
{
    const fw_update_identity_t *identity = update->identity;
    bool is_new = identity->slot == update->slot && identity->version == update->version;
    bool is_pending = update->phase == FW_UPDATE_PENDING;
    update->boot_slot = identity->slot;
    if (update->phase == FW_UPDATE_FALLEN_BACK && is_new) {
        update->boot_slot = other(update->slot);
    }
    if (!is_pending && update->phase != FW_UPDATE_TRIAL) {
        return;
    }
    if (is_new && is_pending) {
        update->phase = FW_UPDATE_TRIAL;
        update->boots = 1;
    } else if (update->boots >= FW_UPDATE_BOOTS_MAX || (!is_new && !is_pending)) {
        update->phase = FW_UPDATE_FALLEN_BACK;
        update->boot_slot = is_new ? other(update->slot) : identity->slot;
    } else {
        update->boots++;
        update->boot_slot = update->slot;
    }
    record_phase(update);
}

void fw_update_open(fw_update_t *update, fw_flash_t *flash, const fw_update_identity_t *identity)
{
    *update = (fw_update_t){.identity = identity};
    fw_journal_open(&update->journal, flash, FW_LAYOUT_UPDATE, FW_LAYOUT_UPDATE_SECTORS, carry,
                    update);
    uint16_t at = 0;
    fw_journal_record_t record;
    while (fw_journal_next(&update->journal, &at, &record)) {
        load_record(update, &record);
    }
    count_boot(update);
}

uint8_t fw_update_boot_slot(const fw_update_t *update)
{
    return update->boot_slot;
}

/* ---- writing ---- */

static void go_on_at_sector(fw_update_t *update)
{
    fw_flash_stream_begin(&update->stream, address_of(update));
    update->stream.taken = update->sectors * FW_SECTOR_BYTES;
    bool is_whole = update->stream.taken >= update->length;
    update->stream.taken = is_whole ? update->length : update->stream.taken;
    update->step = is_whole ? FW_UPDATE_STEP_READY : FW_UPDATE_STEP_ERASE;
}

fw_update_answer_t fw_update_begin(fw_update_t *update, const uint8_t manifest[FW_MANIFEST_BYTES],
                                   const uint8_t signature[FW_SIGNATURE_BYTES])
{
    if (!fw_journal_is_idle(&update->journal) || update->phase == FW_UPDATE_TRIAL ||
        update->step >= FW_UPDATE_STEP_HASH) {
        return FW_UPDATE_BUSY;
    }
    fw_update_answer_t answer = check_manifest(update, manifest);
    if (answer != FW_UPDATE_OK) {
        return answer;
    }
    signed_t whole;
    uint32_t words[MANIFEST_WORDS];
    fw_copy(whole.bytes, manifest, FW_MANIFEST_BYTES);
    fw_copy(whole.bytes + FW_MANIFEST_BYTES, signature, FW_SIGNATURE_BYTES);
    signed_to_words(&whole, words);

    fw_journal_record_t record;
    bool is_same = update->phase == FW_UPDATE_WRITING && find_manifest(update, &record);
    for (size_t i = 0; is_same && i < MANIFEST_WORDS; i++) {
        is_same = record.words[i] == words[i];
    }
    if (is_same) {
        if (update->step == FW_UPDATE_STEP_IDLE) {
            go_on_at_sector(update);
        }
        return FW_UPDATE_OK;
    }
    /* The manifest is kept nowhere but in its record, so there must be room for that already. */
    if (!fw_journal_has_room(&update->journal, MANIFEST_WORDS)) {
        fw_journal_rewrite(&update->journal);
        return FW_UPDATE_BUSY;
    }
    if (!fw_journal_append(&update->journal, KIND_MANIFEST, words, MANIFEST_WORDS)) {
        return FW_UPDATE_FAULT;
    }
    load_manifest(update, manifest);
    update->result = FW_UPDATE_OK;
    go_on_at_sector(update);
    return FW_UPDATE_OK;
}

uint32_t fw_update_offset(const fw_update_t *update)
{
    return update->stream.taken;
}

fw_update_answer_t fw_update_write(fw_update_t *update, uint32_t offset, const uint8_t *bytes,
                                   size_t length, size_t *taken)
{
    *taken = 0;
    if (update->step != FW_UPDATE_STEP_READY || !fw_journal_is_idle(&update->journal)) {
        return FW_UPDATE_BUSY;
    }
    if (offset != update->stream.taken || length > update->length - offset) {
        return FW_UPDATE_BAD_OFFSET;
    }
    size_t room = FW_SECTOR_BYTES - offset % FW_SECTOR_BYTES;
    if (!fw_flash_stream_write(update->journal.flash, &update->stream, bytes,
                               length < room ? length : room, taken)) {
        /* The sector is erased once more, and wanted from its beginning. */
        *taken = 0;
        go_on_at_sector(update);
        return FW_UPDATE_FAULT;
    }
    bool is_sector_whole = update->stream.taken % FW_SECTOR_BYTES == 0u;
    if (*taken > 0u && (is_sector_whole || update->stream.taken == update->length)) {
        update->sectors++;
        uint32_t word = update->sectors;
        fw_journal_put(&update->journal, KIND_PROGRESS, &word, 1);
        go_on_at_sector(update);
    }
    return FW_UPDATE_OK;
}

/* ---- the end ---- */

fw_update_answer_t fw_update_finish(fw_update_t *update)
{
    if (update->step != FW_UPDATE_STEP_READY && update->step != FW_UPDATE_STEP_ERASE) {
        return FW_UPDATE_BUSY;
    }
    if (update->stream.taken != update->length) {
        return FW_UPDATE_INCOMPLETE;
    }
    crypto_blake2b_init(&update->hash, HASH_BYTES);
    update->hashed = 0;
    update->result = FW_UPDATE_OK;
    update->step = FW_UPDATE_STEP_HASH;
    return FW_UPDATE_OK;
}

/* A new phase ends whatever was being written or checked. */
static fw_update_answer_t enter(fw_update_t *update, fw_update_phase_t phase)
{
    update->step = FW_UPDATE_STEP_IDLE;
    update->phase = (uint8_t)phase;
    record_phase(update);
    return FW_UPDATE_OK;
}

fw_update_answer_t fw_update_abort(fw_update_t *update)
{
    bool has_image = update->phase == FW_UPDATE_WRITING || update->phase == FW_UPDATE_PENDING;
    if (!fw_journal_is_idle(&update->journal) || !has_image) {
        return FW_UPDATE_BUSY;
    }
    return enter(update, FW_UPDATE_NONE);
}

fw_update_answer_t fw_update_confirm(fw_update_t *update)
{
    fw_journal_record_t record;
    if (!fw_journal_is_idle(&update->journal) || update->phase != FW_UPDATE_TRIAL ||
        !find_manifest(update, &record)) {
        return FW_UPDATE_BUSY;
    }
    signed_t whole;
    words_to_signed(record.words, &whole);
    uint32_t lowest = fw_load_u32(whole.bytes + AT_LOWEST);
    update->lowest = lowest > update->lowest ? lowest : update->lowest;
    return enter(update, FW_UPDATE_CONFIRMED);
}

static void hash_next(fw_update_t *update)
{
    uint8_t piece[HASH_PIECE_BYTES];
    for (size_t done = 0; done < FW_FLASH_SLICE_BYTES; done += sizeof piece) {
        uint32_t left = update->length - update->hashed;
        size_t length = left < sizeof piece ? left : sizeof piece;
        if (!fw_flash_read_bytes(update->journal.flash, address_of(update) + update->hashed, piece,
                                 length)) {
            update->result = FW_UPDATE_FAULT;
            (void)enter(update, FW_UPDATE_NONE);
            return;
        }
        crypto_blake2b_update(&update->hash, piece, length);
        update->hashed += (uint32_t)length;
    }
    if (update->hashed == update->length) {
        update->step = FW_UPDATE_STEP_SIGNATURE;
    }
}

/* A function of its own, and kept so: below it lies the deepest call of all, which its record must not
 * stand on top of. */
__attribute__((noinline)) static bool read_signed(fw_update_t *update, signed_t *whole)
{
    fw_journal_record_t record;
    if (!find_manifest(update, &record)) {
        return false;
    }
    words_to_signed(record.words, whole);
    return true;
}

_Static_assert(HASH_BYTES == 32, "a key is as long");

static fw_update_answer_t check_signature(fw_update_t *update)
{
    signed_t whole;
    uint8_t hash[HASH_BYTES];
    crypto_blake2b_final(&update->hash, hash);
    if (!read_signed(update, &whole)) {
        return FW_UPDATE_FAULT;
    }
    if (!fw_equal(hash, whole.bytes + AT_HASH, HASH_BYTES)) {
        return FW_UPDATE_BAD_HASH;
    }
    /* The key may lie in flash, which Monocypher's copying must not see. */
    uint8_t *public_key = hash;
    fw_copy(public_key, update->identity->public_key, sizeof hash);
    bool is_good = crypto_ed25519_check(whole.bytes + FW_MANIFEST_BYTES, public_key, whole.bytes,
                                        FW_MANIFEST_BYTES) == 0;
    return is_good ? FW_UPDATE_OK : FW_UPDATE_BAD_SIGNATURE;
}

/* How often a sector that does not erase is tried, each time at the cost of scans. */
#define ERASE_TRIES_MAX 8u

uint32_t fw_update_step(fw_update_t *update, uint32_t now_ms)
{
    if (!fw_journal_is_idle(&update->journal)) {
        uint32_t wait_ms = fw_journal_step(&update->journal, now_ms);
        return fw_journal_is_idle(&update->journal) ? 0u : wait_ms;
    }
    uint32_t wait_ms = 0;
    switch (update->step) {
    case FW_UPDATE_STEP_ERASE:
        wait_ms = fw_flash_erase_wait_ms(update->journal.flash, now_ms);
        if (wait_ms > 0u) {
            return wait_ms;
        }
        if (fw_flash_erase(update->journal.flash, address_of(update) + update->stream.taken)) {
            update->step = FW_UPDATE_STEP_READY;
            update->tries = 0;
            return FW_FLASH_NEVER;
        }
        update->tries++;
        if (update->tries >= ERASE_TRIES_MAX) {
            update->result = FW_UPDATE_FAULT;
            (void)enter(update, FW_UPDATE_NONE);
        }
        return FW_ERASE_GAP_MS;
    case FW_UPDATE_STEP_HASH:
        hash_next(update);
        return 0;
    case FW_UPDATE_STEP_SIGNATURE:
        update->result = (uint8_t)check_signature(update);
        (void)enter(update, update->result == FW_UPDATE_OK ? FW_UPDATE_PENDING : FW_UPDATE_NONE);
        return 0;
    default:
        return FW_FLASH_NEVER;
    }
}
