/*
 * journal.c: see journal.h; section 3 of docs/storage.md has the layout.
 */
#include "journal.h"

#define MAGIC 0x314A5753u /* "SWJ1" */
#define SEAL_1 0x3C96A5D2u
#define SEAL_2 0xA56D3C1Bu

/* A record's words, seals and all. */
enum {
    FRAME_WORDS = 4,
    IMAGE_WORDS = FW_JOURNAL_WORDS_MAX + FRAME_WORDS,
    BODY_WORDS = IMAGE_WORDS - 2,
    TRIES_MAX = 4,
};

/* What a sector's end record says of it. */
typedef enum {
    SECTOR_VOID = 0, /* nothing whole */
    SECTOR_LOOSE,    /* whole, and not sealed as far as one can read */
    SECTOR_SEALED,   /* by its first seal */
    SECTOR_FIRM,     /* by both */
} sector_t;

typedef struct {
    sector_t state;
    uint32_t sequence; /* 0 = no header */
    uint16_t end;      /* behind the last record that counts */
    bool is_doubtful;  /* healing is due, for a record behind the end record */
} scan_t;

static uint32_t address_of(const fw_journal_t *journal, uint8_t sector, uint16_t offset)
{
    return journal->address + sector * FW_SECTOR_BYTES + offset;
}

static uint16_t bytes_of(uint8_t count)
{
    return (uint16_t)(4u * (count + (uint32_t)FRAME_WORDS));
}

/* Kind and count, and both inverted: a torn one is found out before its length is believed. */
static uint32_t head_of(uint8_t kind, uint8_t count)
{
    uint32_t head = kind | (uint32_t)count << 8;
    return head | (~head & 0xFFFFu) << 16;
}

/* Over the sector's number too, lest a remnant of an older one be taken for a record of this. */
static uint32_t crc_of(uint32_t sequence, const uint32_t *head_and_payload, uint8_t count)
{
    return fw_crc32(fw_crc32(0, &sequence, 1), head_and_payload, count + (size_t)1u);
}

static uint32_t header_crc(const fw_journal_t *journal, uint32_t sequence)
{
    uint32_t words[3] = {MAGIC, sequence, journal->address};
    return fw_crc32(0, words, 3);
}

/* ---- reading ---- */

/* The head at a place, if a record may stand there. */
static bool read_head(fw_journal_t *journal, uint8_t sector, uint16_t at, uint8_t *kind,
                      uint8_t *count)
{
    uint32_t head = 0;
    if (at + bytes_of(0) > FW_SECTOR_BYTES ||
        !fw_flash_read(journal->flash, address_of(journal, sector, at), &head, 1)) {
        return false;
    }
    *kind = (uint8_t)head;
    *count = (uint8_t)(head >> 8);
    return head == head_of(*kind, *count) && *count <= FW_JOURNAL_WORDS_MAX &&
           at + bytes_of(*count) <= FW_SECTOR_BYTES;
}

/* What a record's seals say of it, as if it were a sector; SECTOR_VOID if it is none. Reads each
 * word once: another time it may differ. */
static sector_t judge(fw_journal_t *journal, uint8_t sector, uint32_t sequence, uint16_t at,
                      uint8_t *kind, uint8_t *count)
{
    uint32_t image[IMAGE_WORDS];
    if (!read_head(journal, sector, at, kind, count) ||
        !fw_flash_read(journal->flash, address_of(journal, sector, at), image,
                       (size_t)*count + FRAME_WORDS)) {
        return SECTOR_VOID;
    }
    uint8_t words = *count;
    if (image[0] != head_of(*kind, words) || image[words + 1] != crc_of(sequence, image, words)) {
        return SECTOR_VOID;
    }
    if (image[words + 2] != SEAL_1) {
        return SECTOR_LOOSE;
    }
    return image[words + 3] == SEAL_2 ? SECTOR_FIRM : SECTOR_SEALED;
}

static scan_t scan_sector(fw_journal_t *journal, uint8_t sector)
{
    scan_t scan = {.state = SECTOR_VOID};
    uint32_t header[3];
    if (!fw_flash_read(journal->flash, address_of(journal, sector, 0), header, 3) ||
        header[0] != MAGIC || header[2] != header_crc(journal, header[1])) {
        return scan;
    }
    scan.sequence = header[1];
    uint16_t at = FW_JOURNAL_HEADER_BYTES;
    uint8_t kind = 0;
    uint8_t count = 0;
    for (;;) {
        sector_t record = judge(journal, sector, scan.sequence, at, &kind, &count);
        bool is_carried = scan.state == SECTOR_VOID;
        if (record == SECTOR_VOID || (!is_carried && record == SECTOR_LOOSE)) {
            scan.is_doubtful = !is_carried && record == SECTOR_LOOSE;
            return scan;
        }
        at = (uint16_t)(at + bytes_of(count));
        if (is_carried && kind == FW_JOURNAL_END) {
            scan.state = record;
        }
        scan.end = at;
        if (scan.state == SECTOR_LOOSE || (!is_carried && record == SECTOR_SEALED)) {
            /* Behind this nothing was ever programmed. */
            scan.is_doubtful = !is_carried;
            return scan;
        }
    }
}

void fw_journal_open(fw_journal_t *journal, fw_flash_t *flash, uint32_t address, uint8_t sectors,
                     fw_journal_carry_t carry, void *owner)
{
    *journal = (fw_journal_t){
        .flash = flash,
        .carry = carry,
        .owner = owner,
        .address = address,
        .sectors = sectors,
        .current = FW_JOURNAL_NONE,
        .keeper = FW_JOURNAL_NONE,
        .turns = FW_JOURNAL_TURNS_MAX,
    };
    scan_t scans[FW_JOURNAL_SECTORS_MAX];
    uint32_t held = 0;
    for (uint8_t i = 0; i < sectors; i++) {
        scans[i] = scan_sector(journal, i);
        if (scans[i].sequence > journal->sequence) {
            journal->sequence = scans[i].sequence;
        }
        if (scans[i].state >= SECTOR_SEALED && scans[i].sequence > held) {
            held = scans[i].sequence;
            journal->current = i;
        }
    }
    uint32_t kept = 0;
    for (uint8_t i = 0; i < sectors; i++) {
        if (scans[i].state == SECTOR_LOOSE && scans[i].sequence > held) {
            journal->must_rewrite = true;
        }
        if (scans[i].state >= SECTOR_SEALED && scans[i].sequence < held &&
            scans[i].sequence > kept) {
            kept = scans[i].sequence;
            journal->keeper = i;
        }
    }
    if (journal->current != FW_JOURNAL_NONE) {
        const scan_t *scan = &scans[journal->current];
        bool is_firm = scan->state == SECTOR_FIRM;
        journal->end = scan->end;
        journal->keeper = is_firm ? FW_JOURNAL_NONE : journal->keeper;
        journal->must_rewrite = journal->must_rewrite || !is_firm || scan->is_doubtful;
    }
    journal->was_settled = !journal->must_rewrite;
}

bool fw_journal_next(fw_journal_t *journal, uint16_t *at, fw_journal_record_t *record)
{
    if (*at == 0u) {
        *at = FW_JOURNAL_HEADER_BYTES;
    }
    if (journal->current == FW_JOURNAL_NONE || *at >= journal->end) {
        return false;
    }
    if (!read_head(journal, journal->current, *at, &record->kind, &record->count) ||
        !fw_flash_read(journal->flash, address_of(journal, journal->current, (uint16_t)(*at + 4u)),
                       record->words, record->count)) {
        return false;
    }
    *at = (uint16_t)(*at + bytes_of(record->count));
    return true;
}

/* ---- writing ---- */

/* Programs a record's body at a place of a sector. */
static bool program(fw_journal_t *journal, uint8_t sector, uint16_t at,
                    const fw_journal_record_t *record)
{
    uint32_t image[BODY_WORDS];
    size_t words = record->count;
    image[0] = head_of(record->kind, record->count);
    for (size_t i = 0; i < words; i++) {
        image[i + 1u] = record->words[i];
    }
    image[words + 1u] = crc_of(journal->sequence, image, record->count);
    return fw_flash_program(journal->flash, address_of(journal, sector, at), image, words + 2u);
}

static bool program_seal(fw_journal_t *journal, uint8_t sector, uint16_t end, uint32_t seal)
{
    uint16_t at = (uint16_t)(end - (seal == SEAL_1 ? 8u : 4u));
    return fw_flash_program(journal->flash, address_of(journal, sector, at), &seal, 1);
}

bool fw_journal_has_room(const fw_journal_t *journal, uint8_t words)
{
    return journal->is_open && fw_journal_is_idle(journal) &&
           journal->end + bytes_of(words) <= FW_SECTOR_BYTES;
}

bool fw_journal_append(fw_journal_t *journal, uint8_t kind, const uint32_t *words, uint8_t count)
{
    fw_journal_record_t record = {.kind = kind, .count = count};
    for (uint8_t i = 0; i < count; i++) {
        record.words[i] = words[i];
    }
    journal->has_failed = false;
    if (!program(journal, journal->current, journal->end, &record)) {
        journal->was_settled = false;
        fw_journal_rewrite(journal);
        return false;
    }
    journal->end = (uint16_t)(journal->end + bytes_of(count));
    journal->phase = FW_JOURNAL_SEAL_1;
    return true;
}

void fw_journal_put(fw_journal_t *journal, uint8_t kind, const uint32_t *words, uint8_t count)
{
    if (!fw_journal_has_room(journal, count)) {
        fw_journal_rewrite(journal);
        return;
    }
    (void)fw_journal_append(journal, kind, words, count);
}

void fw_journal_rewrite(fw_journal_t *journal)
{
    journal->must_rewrite = true;
    journal->has_failed = false;
    journal->is_open = false;
    journal->tries = 0;
}

/* A sector that may be erased: the next one round, further ones if that has failed. */
static uint8_t choose_target(const fw_journal_t *journal)
{
    uint8_t from = journal->current == FW_JOURNAL_NONE ? (uint8_t)(journal->sectors - 1u)
                                                       : journal->current;
    uint8_t free[FW_JOURNAL_SECTORS_MAX];
    uint8_t count = 0;
    for (uint8_t i = 1; i <= journal->sectors; i++) {
        uint8_t sector = (uint8_t)((from + i) % journal->sectors);
        if (sector != journal->current && sector != journal->keeper) {
            free[count++] = sector;
        }
    }
    return free[journal->tries % count];
}

/* Flash has failed. A change that would not be sealed goes into a new sector; if that is it,
 * another one is tried, until it has been enough. */
static void fail(fw_journal_t *journal)
{
    bool was_change = journal->phase == FW_JOURNAL_SEAL_1 || journal->phase == FW_JOURNAL_SEAL_2;
    journal->phase = FW_JOURNAL_IDLE;
    journal->was_settled = false;
    if (was_change) {
        fw_journal_rewrite(journal);
        return;
    }
    journal->tries++;
    journal->must_rewrite = journal->tries < TRIES_MAX;
    journal->has_failed = !journal->must_rewrite;
}

static void earn_turns(fw_journal_t *journal, uint32_t now_ms)
{
    if (!journal->has_time || journal->turns >= FW_JOURNAL_TURNS_MAX) {
        journal->has_time = true;
        journal->turned_ms = now_ms;
        return;
    }
    uint32_t earned = (now_ms - journal->turned_ms) / FW_JOURNAL_TURN_MS;
    uint32_t missing = FW_JOURNAL_TURNS_MAX - (uint32_t)journal->turns;
    journal->turned_ms += earned * FW_JOURNAL_TURN_MS;
    journal->turns = (uint8_t)(journal->turns + (earned < missing ? earned : missing));
}

/* Erases the target. How long that has to wait; 0 = it is done. */
static uint32_t erase(fw_journal_t *journal, uint32_t now_ms)
{
    earn_turns(journal, now_ms);
    if (journal->turns == 0u) {
        return FW_JOURNAL_TURN_MS - (now_ms - journal->turned_ms);
    }
    uint32_t wait_ms = fw_flash_erase_wait_ms(journal->flash, now_ms);
    if (wait_ms > 0u) {
        return wait_ms;
    }
    journal->target = choose_target(journal);
    journal->turns--;
    journal->phase = FW_JOURNAL_HEADER;
    if (!fw_flash_erase(journal->flash, address_of(journal, journal->target, 0))) {
        fail(journal);
    }
    return 0;
}

static bool write_header(fw_journal_t *journal)
{
    journal->sequence++;
    journal->into = FW_JOURNAL_HEADER_BYTES;
    journal->carried = 0;
    uint32_t words[3] = {MAGIC, journal->sequence, header_crc(journal, journal->sequence)};
    return fw_flash_program(journal->flash, address_of(journal, journal->target, 0), words, 3);
}

/* The next record of the owner's state, or behind the last the end record. */
static bool carry_on(fw_journal_t *journal, fw_journal_phase_t *then)
{
    fw_journal_record_t record;
    bool is_end = !journal->carry(journal->owner, journal->carried, &record);
    if (is_end) {
        record.kind = FW_JOURNAL_END;
        record.count = 0;
    }
    uint16_t bytes = bytes_of(record.count);
    if (journal->into + bytes > FW_SECTOR_BYTES ||
        !program(journal, journal->target, journal->into, &record)) {
        return false;
    }
    journal->into = (uint16_t)(journal->into + bytes);
    journal->carried++;
    *then = is_end ? FW_JOURNAL_END_SEAL_1 : FW_JOURNAL_CARRY;
    return true;
}

static bool finish_opening(fw_journal_t *journal)
{
    if (!program_seal(journal, journal->target, journal->into, SEAL_2)) {
        return false;
    }
    journal->current = journal->target;
    journal->keeper = FW_JOURNAL_NONE;
    journal->end = journal->into;
    journal->is_open = true;
    journal->must_rewrite = false;
    journal->tries = 0;
    return true;
}

uint32_t fw_journal_step(fw_journal_t *journal, uint32_t now_ms)
{
    bool is_well = true;
    fw_journal_phase_t then = FW_JOURNAL_IDLE;
    switch (journal->phase) {
    case FW_JOURNAL_IDLE:
        if (!journal->must_rewrite) {
            earn_turns(journal, now_ms);
            return FW_FLASH_NEVER;
        }
        journal->phase = FW_JOURNAL_ERASE;
        return erase(journal, now_ms);
    case FW_JOURNAL_ERASE:
        return erase(journal, now_ms);
    case FW_JOURNAL_HEADER:
        is_well = write_header(journal);
        then = FW_JOURNAL_CARRY;
        break;
    case FW_JOURNAL_CARRY:
        is_well = carry_on(journal, &then);
        break;
    case FW_JOURNAL_END_SEAL_1:
        is_well = program_seal(journal, journal->target, journal->into, SEAL_1);
        then = FW_JOURNAL_END_SEAL_2;
        break;
    case FW_JOURNAL_END_SEAL_2:
        is_well = finish_opening(journal);
        break;
    case FW_JOURNAL_SEAL_1:
        is_well = program_seal(journal, journal->current, journal->end, SEAL_1);
        then = FW_JOURNAL_SEAL_2;
        break;
    default:
        is_well = program_seal(journal, journal->current, journal->end, SEAL_2);
        break;
    }
    if (is_well) {
        journal->phase = (uint8_t)then;
    } else {
        fail(journal);
    }
    journal->was_settled = journal->was_settled || fw_journal_is_settled(journal);
    return fw_journal_is_idle(journal) ? FW_FLASH_NEVER : 0u;
}
