/*
 * test_flash.c: the flash under the stores: the model, checksums, streams, pauses, worn sectors,
 * ageing; and what a journal promises of wear.
 */
#include "storage_rig.h"

#include <string.h>

enum { ADDRESS = FW_LAYOUT_SPARE };

/* ---- the model itself: it must find what it is there to find ---- */

/* How many violations one call made. */
static uint32_t violations_of(bool (*call)(void))
{
    uint32_t before = nor.violations;
    nor.is_quiet = true;
    CHECK(!call());
    nor.is_quiet = false;
    uint32_t made = nor.violations - before;
    nor.violations = before;
    return made;
}

static bool program_twice(void)
{
    uint32_t word = 0xFFFFFFFFu;
    return nor.port.program(&nor, ADDRESS, &word, 1);
}

static bool program_off_words(void)
{
    uint32_t word = 0;
    return nor.port.program(&nor, ADDRESS + 2u, &word, 1);
}

static bool program_past_the_end(void)
{
    uint32_t words[2] = {0, 0};
    return nor.port.program(&nor, FW_NOR_BYTES - 4u, words, 2);
}

static bool erase_off_sectors(void)
{
    return nor.port.erase(&nor, ADDRESS + 4u);
}

static void check_model(void)
{
    device_new(0);
    uint32_t word = 0x0F0F0F0Fu;
    uint32_t found = 0;
    CHECK(nor.port.read(&nor, ADDRESS, &found, 1) && found == FW_FLASH_BLANK);
    CHECK(nor.port.program(&nor, ADDRESS, &word, 1));
    CHECK(violations_of(program_twice) == 1u);
    CHECK(violations_of(program_off_words) == 1u);
    CHECK(violations_of(program_past_the_end) == 1u);
    CHECK(violations_of(erase_off_sectors) == 1u);
    CHECK(nor.port.erase(&nor, ADDRESS) && nor.port.program(&nor, ADDRESS, &word, 1));
    CHECK(nor.port.read(&nor, ADDRESS, &found, 1) && found == word);
    CHECK(nor.erases[ADDRESS / FW_SECTOR_BYTES] == 1u);

    /* A cut stops everything, and may leave a word that reads differently twice. */
    nor.port.erase(&nor, ADDRESS);
    fw_nor_cut_after(&nor, 0, FW_NOR_CUT_ALL_WEAK);
    word = 0;
    CHECK(!nor.port.program(&nor, ADDRESS, &word, 1) && nor.is_off);
    CHECK(!nor.port.read(&nor, ADDRESS, &found, 1));
    bool has_differed = false;
    uint32_t first = 0;
    for (int i = 0; i < 50; i++) {
        fw_nor_power_up(&nor);
        CHECK(nor.port.read(&nor, ADDRESS, &found, 1));
        first = i == 0 ? found : first;
        has_differed = has_differed || found != first;
    }
    CHECK(has_differed);
}

/* ---- flash.h ---- */

static void check_checksum(void)
{
    device_new(0);
    /* "12345678" */
    uint32_t words[2] = {0x34333231u, 0x38373635u};
    CHECK(fw_crc32(0, words, 2) == 0x9AE0DAAFu);
    CHECK(fw_crc32(fw_crc32(0, words, 1), words + 1, 1) == 0x9AE0DAAFu);
    uint32_t crc = 0;
    CHECK(fw_flash_program(&device.flash, ADDRESS, words, 2));
    CHECK(fw_flash_crc32(&device.flash, ADDRESS, 7, &crc) && crc == 0x9AE0DAAFu);
}

/* Bytes in pieces of every length arrive as they were, filled up with 0xFF. */
static void check_stream(void)
{
    uint8_t bytes[700];
    uint8_t found[704];
    random_fill(bytes, sizeof bytes);
    for (size_t piece = 1; piece < 700u; piece += piece < 12u ? 1u : 97u) {
        device_new(0);
        size_t length = sizeof bytes - piece % 4u;
        fw_flash_stream_t stream;
        fw_flash_stream_begin(&stream, ADDRESS);
        for (size_t at = 0; at < length;) {
            size_t taken = 0;
            size_t offered = length - at < piece ? length - at : piece;
            CHECK(fw_flash_stream_write(&device.flash, &stream, bytes + at, offered, &taken));
            CHECK(taken > 0u && taken <= FW_FLASH_SLICE_BYTES + 3u);
            at += taken;
        }
        CHECK(fw_flash_stream_end(&device.flash, &stream));
        CHECK(fw_flash_read_bytes(&device.flash, ADDRESS, found, sizeof found));
        CHECK(memcmp(found, bytes, length) == 0);
        for (size_t at = length; at < sizeof found; at++) {
            CHECK(found[at] == 0xFFu);
        }
        CHECK(fw_flash_read_bytes(&device.flash, ADDRESS + 5u, found, 9));
        CHECK(memcmp(found, bytes + 5, 9) == 0);
    }
    CHECK(nor.violations == 0u);
}

static void check_pauses(void)
{
    device_new(0);
    fw_flash_t *flash = &device.flash;
    uint32_t now_ms = UINT32_MAX - 300u;
    CHECK(fw_flash_erase_wait_ms(flash, now_ms) == 0u);
    CHECK(fw_flash_erase(flash, ADDRESS));
    /* The erase itself took 400 ms; the pause begins behind it. */
    now_ms += 400u;
    CHECK(fw_flash_erase_wait_ms(flash, now_ms) == FW_ERASE_GAP_MS);
    CHECK(fw_flash_erase_wait_ms(flash, now_ms + 150u) == FW_ERASE_GAP_MS - 150u);
    CHECK(fw_flash_erase_wait_ms(flash, now_ms + 200u) == 0u);
    CHECK(fw_flash_erase_wait_ms(flash, now_ms + 100u) == 0u);
    flash->erase_gap_ms = 0;
    CHECK(fw_flash_erase(flash, ADDRESS));
    CHECK(fw_flash_erase_wait_ms(flash, now_ms) == 0u);
}

/* Two stores that both want to erase take turns. */
static void check_shared_pauses(void)
{
    device_new(OPENS_RETAIN | OPENS_LOGBOOK);
    uint32_t from_ms = device.now_ms;
    uint32_t words[FW_LOGBOOK_ENTRY_WORDS] = {0};
    (void)fw_logbook_add(&device.logbook, FW_LOGBOOK_CAUSE, words, device.now_ms);
    fw_logbook_save_now(&device.logbook);
    CHECK(fw_retain_bind(&device.retain, 7, false, 1) == 0u);
    CHECK(device_rest());
    CHECK(device.now_ms - from_ms >= FW_ERASE_GAP_MS);
    CHECK(nor.erases[FW_LAYOUT_RETAIN / FW_SECTOR_BYTES] == 1u);
    CHECK(nor.erases[FW_LAYOUT_LOG / FW_SECTOR_BYTES] == 1u);
}

/* ---- journal.h ---- */

static fw_journal_t journal;
static uint32_t state;

static bool carry(void *owner, uint16_t at, fw_journal_record_t *record)
{
    *record = (fw_journal_record_t){.kind = 1, .count = 1, .words = {*(uint32_t *)owner}};
    return at == 0u;
}

static bool rest(void)
{
    for (int i = 0; i < 100; i++) {
        uint32_t wait_ms = fw_journal_step(&journal, device.now_ms);
        if (nor.is_off || wait_ms == FW_FLASH_NEVER) {
            return !nor.is_off;
        }
        device.now_ms += wait_ms;
    }
    CHECK_NOTE(false, "the journal never comes to rest");
    return false;
}

static void open_journal(uint8_t sectors)
{
    fw_journal_open(&journal, &device.flash, ADDRESS, sectors, carry, &state);
    uint16_t at = 0;
    fw_journal_record_t record;
    state = 0;
    while (fw_journal_next(&journal, &at, &record)) {
        state = record.kind == 1u ? record.words[0] : state;
    }
}

static bool put(uint32_t value)
{
    state = value;
    fw_journal_put(&journal, 1, &state, 1);
    return rest();
}

static bool is_blank(uint32_t sector)
{
    uint32_t word = 0;
    (void)nor.port.read(&nor, ADDRESS + sector * FW_SECTOR_BYTES, &word, 1);
    return word == FW_FLASH_BLANK;
}

/* A worn sector is stepped over; the only good copies are not touched in the attempt. */
static void check_worn(void)
{
    device_new(0);
    open_journal(4);
    nor.refuse_programs_of = ADDRESS;
    CHECK(put(5) && fw_journal_is_settled(&journal) && journal.current == 1u);
    open_journal(4);
    CHECK(state == 5u);

    /* In a sector that is open, the change goes into the next one. */
    CHECK(put(6) && journal.current == 2u);
    nor.refuse_programs_of = ADDRESS + 2u * FW_SECTOR_BYTES;
    CHECK(put(7) && fw_journal_is_settled(&journal) && journal.current == 3u);
    open_journal(4);
    CHECK(state == 7u);

    /* Three sectors: the second, half sealed, holds; the first stands in for it; the third is
     * worn. */
    device_new(0);
    open_journal(3);
    CHECK(put(1));
    open_journal(3);
    fw_nor_cut_after(&nor, 5, FW_NOR_CUT_BEFORE);
    CHECK(!put(2));
    fw_nor_power_up(&nor);
    fw_flash_init(&device.flash, &nor.port);
    open_journal(3);
    CHECK(state == 2u && !fw_journal_is_settled(&journal));
    nor.refuse_programs_of = ADDRESS + 2u * FW_SECTOR_BYTES;
    CHECK(rest() && journal.has_failed);
    CHECK(!is_blank(0) && !is_blank(1));
    open_journal(3);
    CHECK(state == 2u);
    nor.refuse_programs_of = 0;
    CHECK(rest() && fw_journal_is_settled(&journal));
    CHECK(nor.violations == 0u);
}

/* A bit that has turned over in a sealed record: what comes before it still holds. */
static void check_aged(void)
{
    device_new(0);
    open_journal(4);
    CHECK(put(1) && put(2) && put(3));
    nor.cells[(ADDRESS + journal.end - 16u) / 4u] ^= 0x100u;
    open_journal(4);
    CHECK(state == 2u);
    CHECK(rest() && put(4));
    open_journal(4);
    CHECK(state == 4u);
}

/* The worked example of docs/storage.md, section 9, word for word. */
static void check_example(void)
{
    static const uint32_t expected[] = {
        0x314A5753u, 0x00000001u, 0x3E307D25u, /* header */
        0xFDFE0201u, 0xF82B724Eu, 0x0000002Au, 0x75660763u, 0xFFFFFFFFu, 0xFFFFFFFFu, /* carried */
        0xFF80007Fu, 0x8C5518FBu, 0x3C96A5D2u, 0xA56D3C1Bu, /* end record */
        0xFDFE0201u, 0xF82B724Eu, 0x0000002Bu, 0xCDDA6006u, 0x3C96A5D2u, 0xA56D3C1Bu, /* change */
        0xFFFFFFFFu,
    };
    device_new(OPENS_RETAIN);
    fw_span_t name = {.bytes = (const uint8_t *)"runs", .length = 4};
    uint8_t at = fw_retain_bind(&device.retain, fw_retain_key(name, 1), true, 42);
    CHECK(device_rest());
    CHECK(fw_retain_put(&device.retain, at, 43));
    fw_retain_save_now(&device.retain);
    CHECK(device_rest());
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        CHECK(nor.cells[FW_LAYOUT_RETAIN / 4u + i] == expected[i]);
    }
}

/* Wear: sixteen sectors at once, then one every quarter of an hour, however often it is asked. */
static void check_turns(void)
{
    device_new(0);
    open_journal(4);
    state = 1;
    uint32_t from_ms = device.now_ms;
    for (uint32_t i = 0; i < FW_JOURNAL_TURNS_MAX; i++) {
        fw_journal_rewrite(&journal);
        CHECK(rest());
    }
    CHECK(device.now_ms - from_ms < FW_JOURNAL_TURN_MS);
    fw_journal_rewrite(&journal);
    CHECK(rest());
    uint32_t passed_ms = device.now_ms - from_ms;
    CHECK(passed_ms >= FW_JOURNAL_TURN_MS && passed_ms < FW_JOURNAL_TURN_MS + 1000u);
    /* A quiet hour earns four more, and a quiet year no more than sixteen. */
    device.now_ms += 3600000u;
    (void)fw_journal_step(&journal, device.now_ms);
    CHECK(journal.turns == 4u);
    for (int i = 0; i < 365; i++) {
        device.now_ms += 86400000u;
        (void)fw_journal_step(&journal, device.now_ms);
    }
    CHECK(journal.turns == FW_JOURNAL_TURNS_MAX);
}

void test_flash(void)
{
    check_model();
    check_checksum();
    check_stream();
    check_pauses();
    check_shared_pauses();
    check_worn();
    check_aged();
    check_turns();
    check_example();
}
