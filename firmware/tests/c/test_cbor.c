/*
 * test_cbor.c: every fault and the order among them, the readers, the writer.
 */
#include "cbor.h"
#include "check.h"

#include <stdlib.h>
#include <string.h>

/* Faults by example. Where a row breaks several rules, it says which one must be named. */
static void faults(void)
{
    static const struct {
        const char *hex;
        const char *expected;
    } rows[] = {
        {"a0", "ok"},
        {"a1 00 01", "ok"},
        {"a3 00 f4 01 f5 02 f6", "ok"},
        {"a1 00 1b 001fffffffffffff", "ok"},
        {"a1 00 3b 001ffffffffffffe", "ok"},
        {"a1 1b 001fffffffffffff 00", "ok"},
        {"a1 00 81 a1 00 a1 00 01", "ok"},
        {"a1 00 40", "ok"},
        {"a1 00 60", "ok"},
        {"a1 00 80", "ok"},
        {"a1 00 a0", "ok"},
        {"a2 17 00 18 18 00", "ok"},
        /* truncated */
        {"", "truncated"},
        {"a1", "truncated"},
        {"a1 00", "truncated"},
        {"a1 18", "truncated"},
        {"a1 00 19 01", "truncated"},
        {"a1 00 42 00", "truncated"},
        {"a1 00 62 61", "truncated"},
        {"a1 00 82 00", "truncated"},
        {"b8", "truncated"},
        {"bb ffffffffffffffff", "truncated"},
        {"a1 00 9b ffffffffffffffff 00", "truncated"},
        {"a1 00 bb ffffffffffffffff 00 00", "truncated"},
        {"a1 00 5b ffffffffffffffff 00", "truncated"},
        {"a1 00 5b 8000000000000000 00", "truncated"},
        {"a1 00 7b ffffffffffffffff ff", "truncated"}, /* before bad_text */
        {"a1 00 fa 0000", "truncated"},                 /* before forbidden_type */
        {"a1 00 d8", "truncated"},
        {"a1 00 f8", "truncated"},
        /* trailing */
        {"a0 00", "trailing"},
        {"a1 00 00 ff", "trailing"},
        /* not_a_map, on the first byte alone */
        {"00", "not_a_map"},
        {"80", "not_a_map"},
        {"ff", "not_a_map"},
        {"9f", "not_a_map"},
        {"c0 a0", "not_a_map"},
        {"1c", "not_a_map"},
        {"18", "not_a_map"},
        /* indefinite */
        {"bf", "indefinite"},
        {"bf ff", "indefinite"},
        {"a1 00 9f ff", "indefinite"},
        {"a1 00 5f ff", "indefinite"},
        {"a1 00 7f ff", "indefinite"},
        {"a1 00 ff", "indefinite"},
        {"a1 1f 00", "indefinite"},
        {"a1 00 df", "indefinite"}, /* before forbidden_type for the tag */
        /* not_shortest */
        {"b8 01 00 00", "not_shortest"},
        {"a1 00 18 17", "not_shortest"},
        {"a1 00 19 00ff", "not_shortest"},
        {"a1 00 1a 0000ffff", "not_shortest"},
        {"a1 00 1b 00000000ffffffff", "not_shortest"},
        {"a1 00 38 17", "not_shortest"},
        {"a1 00 58 01 00", "not_shortest"},
        {"a1 00 78 01 61", "not_shortest"},
        {"a1 00 98 01 00", "not_shortest"},
        {"a1 18 17 00", "not_shortest"},
        {"a2 01 00 18 00 00", "not_shortest"}, /* before key_order */
        {"a1 00 58 05", "not_shortest"},        /* before truncated body */
        {"a1 00 81 81 81 98 01 00", "not_shortest"}, /* before too_deep */
        /* forbidden_type */
        {"bc", "forbidden_type"},
        {"a1 00 1c", "forbidden_type"},
        {"a1 00 1d", "forbidden_type"},
        {"a1 00 1e", "forbidden_type"},
        {"a1 00 fc", "forbidden_type"},
        {"a1 1e 00", "forbidden_type"},
        {"a1 00 c0 00", "forbidden_type"},
        {"a1 00 d8 01 00", "forbidden_type"}, /* not not_shortest */
        {"a1 00 f7", "forbidden_type"},
        {"a1 00 e0", "forbidden_type"},
        {"a1 00 f3", "forbidden_type"},
        {"a1 00 f8 14", "forbidden_type"},
        {"a1 00 f8 ff", "forbidden_type"},
        {"a1 00 f9 0000", "forbidden_type"},
        {"a1 00 fa 00000000", "forbidden_type"},
        {"a1 00 fb 0000000000000000", "forbidden_type"},
        /* integer_range */
        {"a1 00 1b 0020000000000000", "integer_range"},
        {"a1 00 3b 001fffffffffffff", "integer_range"},
        {"a1 00 3b ffffffffffffffff", "integer_range"},
        {"a1 1b 0020000000000000 00", "integer_range"},
        /* bad_key, before anything else about the key but truncated */
        {"a1 20 00", "bad_key"},
        {"a1 40 00", "bad_key"},
        {"a1 60 00", "bad_key"},
        {"a1 80 00", "bad_key"},
        {"a1 a0 00", "bad_key"},
        {"a1 f6 00", "bad_key"},
        {"a1 ff", "bad_key"},
        {"a1 fc", "bad_key"},
        {"a1 78", "bad_key"},
        {"a1 c1", "bad_key"},
        {"a1 00 a1 61 61 00", "bad_key"},
        /* key_order */
        {"a2 01 00 00 00", "key_order"},
        {"a2 01 00 01 00", "key_order"},
        {"a2 18 18 00 17 00", "key_order"},
        {"a2 01 00 00", "key_order"}, /* before the value is found missing */
        {"a1 00 a2 05 00 05 00", "key_order"},
        {"a2 05 a1 09 00 06 00", "ok"}, /* each map has its own order */
        {"a2 05 a1 00 00 05 00", "key_order"},
        /* too_deep */
        {"a1 00 81 81 80", "ok"},
        {"a1 00 81 81 81 00", "ok"},
        {"a1 00 81 81 81 80", "too_deep"},
        {"a1 00 81 81 81 a0", "too_deep"},
        {"a1 00 a1 00 a1 00 a1 00 a0", "too_deep"},
        {"a1 00 81 81 81 9b ffffffffffffffff", "too_deep"},
        /* bad_text */
        {"a1 00 61 ff", "bad_text"},
        {"a1 00 61 80", "bad_text"},
        {"a1 00 62 c0 80", "bad_text"},
        {"a1 00 62 c1 bf", "bad_text"},
        {"a1 00 62 c2 80", "ok"},
        {"a1 00 63 e0 9f bf", "bad_text"},
        {"a1 00 63 e0 a0 80", "ok"},
        {"a1 00 63 ed 9f bf", "ok"},
        {"a1 00 63 ed a0 80", "bad_text"},
        {"a1 00 63 ef bf bf", "ok"},
        {"a1 00 64 f0 8f bf bf", "bad_text"},
        {"a1 00 64 f0 90 80 80", "ok"},
        {"a1 00 64 f4 8f bf bf", "ok"},
        {"a1 00 64 f4 90 80 80", "bad_text"},
        {"a1 00 64 f5 80 80 80", "bad_text"},
        {"a1 00 62 e2 82", "bad_text"}, /* the sequence goes on beyond the text */
        {"a1 00 63 e2 28 a1", "bad_text"},
        {"a1 00 41 ff", "ok"}, /* bytes may be anything */
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        size_t length = 0;
        uint8_t *bytes = bytes_from_hex(rows[row].hex, &length);
        CHECK_STRING(fw_cbor_fault_name(fw_cbor_check(bytes, length)), rows[row].expected,
                     rows[row].hex);
        free(bytes);
    }
}

/* The example of section 12, field by field, and at every length. */
static void command_example(void)
{
    size_t length = 0;
    uint8_t *bytes = bytes_from_hex("a5 0050 00112233445566778899aabbccddeeff"
                                    "01 1b000001a3185c5000 02 1820 03 63524c31 04 01",
                                    &length);
    fw_cbor_map_t map;
    CHECK(length == 39);
    CHECK(fw_cbor_open(bytes, length, &map) == FW_CBOR_OK && map.count == 5);
    fw_span_t span;
    CHECK(fw_cbor_map_bytes(&map, FW_COMMAND_KEY_BYTES, 16, 16, &span) == FW_FIELD_ABSENT);
    CHECK(fw_cbor_map_bytes(&map, 0, 16, 16, &span) == FW_FIELD_PRESENT);
    CHECK(span.length == 16 && span.bytes[0] == 0 && span.bytes[15] == 0xff);
    CHECK(fw_cbor_map_bytes(&map, 0, 17, 32, &span) == FW_FIELD_BAD);
    CHECK(fw_cbor_map_bytes(&map, 0, 0, 15, &span) == FW_FIELD_BAD);
    uint64_t wide = 0;
    CHECK(fw_cbor_map_unsigned(&map, 1, FW_INTEGER_MAX, &wide) == FW_FIELD_PRESENT);
    CHECK(wide == 1800000000000u);
    uint32_t narrow = 5;
    CHECK(fw_cbor_map_u32(&map, 1, &narrow) == FW_FIELD_BAD && narrow == 5);
    CHECK(fw_cbor_map_u32(&map, 2, &narrow) == FW_FIELD_PRESENT && narrow == 32);
    CHECK(fw_cbor_map_name(&map, 3, &span) == FW_FIELD_PRESENT);
    CHECK(span.length == 3 && memcmp(span.bytes, "RL1", 3) == 0);
    CHECK(fw_cbor_map_title(&map, 3, &span) == FW_FIELD_PRESENT);
    CHECK(fw_cbor_map_text(&map, 3, &span) == FW_FIELD_PRESENT);
    int64_t value = 0;
    CHECK(fw_cbor_map_integer(&map, 4, -1000, 1000, &value) == FW_FIELD_PRESENT && value == 1);
    CHECK(fw_cbor_map_integer(&map, 4, 2, 1000, &value) == FW_FIELD_BAD);
    bool truth = false;
    CHECK(fw_cbor_map_bool(&map, 4, &truth) == FW_FIELD_BAD);
    CHECK(fw_cbor_map_bool(&map, 5, &truth) == FW_FIELD_ABSENT);
    fw_cbor_list_t list;
    CHECK(fw_cbor_map_list(&map, 0, 4, &list) == FW_FIELD_BAD);
    for (size_t cut = 0; cut < length; cut++) {
        uint8_t *part = bytes_exact(bytes, cut);
        CHECK(fw_cbor_open(part, cut, &map) == FW_CBOR_TRUNCATED);
        free(part);
    }
    free(bytes);
}

/* Lists, maps inside them, unknown keys passed over whatever they hold, null as another type. */
static void nested_fields(void)
{
    size_t length = 0;
    uint8_t *bytes = bytes_from_hex("a6 00 82 a2 00 01 03 39 03e7 a1 00 02"
                                    "01 83 f4 a1 07 82 00 01 42 aabb"
                                    "02 f5 03 f4 04 f6 18 64 a1 00 07",
                                    &length);
    fw_cbor_map_t map;
    CHECK(fw_cbor_open(bytes, length, &map) == FW_CBOR_OK);
    fw_cbor_list_t list;
    CHECK(fw_cbor_map_list(&map, 0, 1, &list) == FW_FIELD_BAD);
    CHECK(fw_cbor_map_list(&map, 0, 2, &list) == FW_FIELD_PRESENT);
    fw_cbor_item_t item;
    fw_cbor_map_t point;
    int64_t value = 0;
    uint32_t index = 0;
    CHECK(fw_cbor_next(&list, &item) && fw_cbor_item_map(&item, &point));
    CHECK(fw_cbor_map_u32(&point, 0, &index) == FW_FIELD_PRESENT && index == 1);
    CHECK(fw_cbor_map_integer(&point, 3, -FW_INTEGER_MAX, 0, &value) == FW_FIELD_PRESENT);
    CHECK(value == -1000);
    uint64_t wide = 0;
    CHECK(fw_cbor_map_unsigned(&point, 3, 10, &wide) == FW_FIELD_BAD);
    CHECK(fw_cbor_next(&list, &item) && fw_cbor_item_map(&item, &point) && point.count == 1);
    CHECK(!fw_cbor_next(&list, &item));
    bool truth = false;
    CHECK(fw_cbor_map_bool(&map, 2, &truth) == FW_FIELD_PRESENT && truth);
    CHECK(fw_cbor_map_bool(&map, 3, &truth) == FW_FIELD_PRESENT && !truth);
    CHECK(fw_cbor_map_bool(&map, 4, &truth) == FW_FIELD_BAD);
    CHECK(fw_cbor_map_map(&map, 100, &point) == FW_FIELD_PRESENT && point.count == 1);
    CHECK(fw_cbor_map_map(&map, 101, &point) == FW_FIELD_ABSENT);
    CHECK(fw_cbor_map_map(&map, 0, &point) == FW_FIELD_BAD);
    free(bytes);
}

static fw_span_t span_of(const char *text)
{
    return (fw_span_t){.bytes = (const uint8_t *)text, .length = strlen(text)};
}

static void ranges(void)
{
    CHECK(fw_name_valid(span_of("RL1")));
    CHECK(fw_name_valid(span_of("_")));
    CHECK(fw_name_valid(span_of("abcdefghijklmnopqrstuvwx")));
    CHECK(!fw_name_valid(span_of("abcdefghijklmnopqrstuvwxy")));
    CHECK(!fw_name_valid(span_of("")));
    CHECK(!fw_name_valid(span_of("1st")));
    CHECK(!fw_name_valid(span_of("a-b")));
    CHECK(!fw_name_valid(span_of("\xc3\xa4")));
    CHECK(fw_title_valid(span_of("Pump 1, \xc3\xbc")));
    CHECK(!fw_title_valid(span_of("")));
    CHECK(!fw_title_valid(span_of("a\nb")));
    CHECK(!fw_title_valid(span_of("a\x7f")));
    CHECK(!fw_title_valid(span_of("a\xc2\x85")));
    CHECK(fw_title_valid(span_of("a\xc2\xa0")));
    char title[66];
    memset(title, 'x', sizeof title);
    CHECK(fw_title_valid((fw_span_t){(const uint8_t *)title, 64}));
    CHECK(!fw_title_valid((fw_span_t){(const uint8_t *)title, 65}));
    CHECK(fw_text_valid((fw_span_t){NULL, 0}));
    CHECK(fw_text_valid((fw_span_t){NULL, 200}));
    CHECK(!fw_text_valid((fw_span_t){NULL, 201}));
}

/* Shortest heads at every edge, and the same number back. */
static void integers_written(void)
{
    static const struct {
        int64_t value;
        size_t length;
    } rows[] = {
        {0, 1},          {23, 1},          {24, 2},          {255, 2},
        {256, 3},        {65535, 3},       {65536, 5},       {4294967295, 5},
        {4294967296, 9}, {FW_INTEGER_MAX, 9},
        {-1, 1},         {-24, 1},         {-25, 2},         {-256, 2},
        {-257, 3},       {-65536, 3},      {-65537, 5},      {-4294967296, 5},
        {-4294967297, 9}, {-FW_INTEGER_MAX, 9},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        uint8_t buffer[16];
        fw_cbor_writer_t writer;
        fw_cbor_writer_init(&writer, buffer, sizeof buffer);
        fw_cbor_write_map(&writer, 1);
        fw_cbor_write_unsigned(&writer, 7);
        fw_cbor_write_integer(&writer, rows[row].value);
        CHECK(!writer.failed && writer.length == 2 + rows[row].length);
        fw_cbor_map_t map;
        int64_t value = 0;
        CHECK(fw_cbor_open(buffer, writer.length, &map) == FW_CBOR_OK);
        CHECK(fw_cbor_map_integer(&map, 7, -FW_INTEGER_MAX, FW_INTEGER_MAX, &value) ==
              FW_FIELD_PRESENT);
        CHECK(value == rows[row].value);
    }
    uint8_t buffer[16];
    fw_cbor_writer_t writer;
    fw_cbor_writer_init(&writer, buffer, sizeof buffer);
    fw_cbor_write_integer(&writer, FW_INTEGER_MAX + 1);
    CHECK(writer.failed && writer.length == 0);
    fw_cbor_writer_init(&writer, buffer, sizeof buffer);
    fw_cbor_write_integer(&writer, -FW_INTEGER_MAX - 1);
    CHECK(writer.failed && writer.length == 0);
}

static void message_write(fw_cbor_writer_t *writer)
{
    size_t mark = fw_cbor_map_begin(writer);
    fw_cbor_write_unsigned(writer, 0);
    fw_cbor_write_bytes(writer, (const uint8_t *)"0123456789abcdef", 16);
    fw_cbor_write_unsigned(writer, 1);
    size_t inner = fw_cbor_array_begin(writer);
    fw_cbor_write_string(writer, "RL1");
    fw_cbor_write_null(writer);
    fw_cbor_write_bool(writer, true);
    fw_cbor_array_end(writer, inner, 3);
    fw_cbor_write_unsigned(writer, 300);
    fw_cbor_write_integer(writer, -5);
    fw_cbor_map_end(writer, mark, 3);
}

/* A writer with too little room fails, writes no byte beyond, and leaves a prefix. */
static void writer_without_room(void)
{
    uint8_t whole[64];
    fw_cbor_writer_t writer;
    fw_cbor_writer_init(&writer, whole, sizeof whole);
    message_write(&writer);
    size_t length = writer.length;
    CHECK(!writer.failed && fw_cbor_check(whole, length) == FW_CBOR_OK);
    for (size_t capacity = 0; capacity < length; capacity++) {
        uint8_t *small = bytes_exact(whole, capacity);
        fw_cbor_writer_init(&writer, small, capacity);
        message_write(&writer);
        CHECK(writer.failed && writer.length <= capacity);
        free(small);
    }
    fw_cbor_writer_init(&writer, whole, sizeof whole);
    size_t mark = fw_cbor_map_begin(&writer);
    fw_cbor_map_end(&writer, mark, 24);
    CHECK(writer.failed);
}

void test_cbor(void)
{
    faults();
    command_example();
    nested_fields();
    ranges();
    integers_written();
    writer_without_room();
}
