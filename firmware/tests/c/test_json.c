/*
 * test_json.c: JSON read and written, and numbers in text.
 */
#include "check.h"
#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What was read, in words. */
static void tell(const fw_json_object_t *object, char *story, size_t room)
{
    static const char *const kinds[] = {"null", "bool", "number", "text", "array"};
    size_t length = 0;
    story[0] = '\0';
    for (uint8_t i = 0; i < object->count; i++) {
        const fw_json_field_t *field = &object->fields[i];
        length += (size_t)snprintf(story + length, room - length, "%.*s %s %.*s;", field->name_bytes,
                                   (const char *)object->bytes + field->name, kinds[field->kind],
                                   field->value_bytes, (const char *)object->bytes + field->value);
    }
}

typedef struct {
    const char *text;
    const char *story; /* NULL: it is refused */
} row_t;

static const row_t rows[] = {
    {"{}", ""},
    {" \t\r\n{ } \n", ""},
    {"{\"a\":1,\"b\":-2147483648 , \"c\":\"x\"}", "a number 1;b number -2147483648;c text x;"},
    {"{\"a\":true,\"b\":false,\"c\":null,\"d\":0}", "a bool true;b bool false;c null null;d number 0;"},
    {"{\"a\":[],\"b\":[ ],\"c\":[1,-2 , 3]}", "a array ;b array  ;c array 1,-2 , 3;"},
    {"{\"\\u0061\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "a text \"\\/\b\f\n\r\t;"},
    {"{\"a\":\"\\u00e9\\u6C34\\ud83d\\ude00\"}", "a text \xc3\xa9\xe6\xb0\xb4\xf0\x9f\x98\x80;"},
    {"{\"a\":\"\xc3\xa9\xe6\xb0\xb4\xf0\x9f\x98\x80\x7f\"}",
     "a text \xc3\xa9\xe6\xb0\xb4\xf0\x9f\x98\x80\x7f;"},
    {"{\"a\":2147483647}", "a number 2147483647;"},
    {"", NULL},
    {"[]", NULL},
    {"1", NULL},
    {"{", NULL},
    {"{}x", NULL},
    {"{}{}", NULL},
    {"{a:1}", NULL},
    {"{\"a\"}", NULL},
    {"{\"a\":}", NULL},
    {"{\"a\":1,}", NULL},
    {"{,\"a\":1}", NULL},
    {"{\"a\":1 \"b\":2}", NULL},
    {"{\"a\":1,\"a\":2}", NULL},
    {"{\"a\":{}}", NULL},
    {"{\"a\":[[]]}", NULL},
    {"{\"a\":[1,]}", NULL},
    {"{\"a\":[1 2]}", NULL},
    {"{\"a\":[\"x\"]}", NULL},
    {"{\"a\":[1}", NULL},
    {"{\"a\":01}", NULL},
    {"{\"a\":-}", NULL},
    {"{\"a\":+1}", NULL},
    {"{\"a\":1.5}", NULL},
    {"{\"a\":1e3}", NULL},
    {"{\"a\":2147483648}", NULL},
    {"{\"a\":-2147483649}", NULL},
    {"{\"a\":99999999999999999999}", NULL},
    {"{\"a\":tru}", NULL},
    {"{\"a\":nullx}", NULL},
    {"{\"a\":\"x}", NULL},
    {"{\"a\":\"\\x\"}", NULL},
    {"{\"a\":\"\\u12g4\"}", NULL},
    {"{\"a\":\"\\u0000\"}", NULL},
    {"{\"a\":\"\\ud800\"}", NULL},
    {"{\"a\":\"\\udc00\\ud800\"}", NULL},
    {"{\"a\":\"\\ud800x\"}", NULL},
    {"{\"a\":\"\\udc00\\udc00\"}", NULL},
    {"{\"a\":\"\\ud800\\u0041\"}", NULL},
    {"{\"a\":\"\n\"}", NULL},
    {"{\"a\":\"\x80\"}", NULL},
    {"{\"a\":\"\xc0\xaf\"}", NULL},
    {"{\"a\":\"\xe0\x80\xaf\"}", NULL},
    {"{\"a\":\"\xed\xa0\x80\"}", NULL},
    {"{\"a\":\"\xf0\x80\x80\x80\"}", NULL},
    {"{\"a\":\"\xf4\x90\x80\x80\"}", NULL},
    {"{\"a\":\"\xc3\"}", NULL},
    {"{\"a\":\"\xc3", NULL},
    {"{\"a\":0,\"b\":0,\"c\":0,\"d\":0,\"e\":0,\"f\":0,\"g\":0,\"h\":0,\"i\":0,\"j\":0,\"k\":0,\"l\":0,"
     "\"m\":0}", NULL},
};

static void test_rows(void)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t length = strlen(rows[i].text);
        uint8_t *copy = bytes_exact((const uint8_t *)rows[i].text, length);
        fw_json_object_t object;
        bool is_good = fw_json_read(&object, copy, length);
        CHECK_NOTE(is_good == (rows[i].story != NULL), rows[i].text);
        char story[400];
        if (is_good && rows[i].story != NULL) {
            tell(&object, story, sizeof(story));
            CHECK_STRING(story, rows[i].story, rows[i].text);
        }
        free(copy);
        /* No beginning of it reads too far, or is taken for the whole. */
        for (size_t cut = 0; cut < length; cut++) {
            copy = bytes_exact((const uint8_t *)rows[i].text, cut);
            bool is_whole = fw_json_read(&object, copy, cut);
            CHECK_NOTE(!is_whole || rows[i].story == NULL || rows[i].text[cut] == ' ' ||
                           rows[i].text[cut] == '\n', rows[i].text);
            free(copy);
        }
    }
}

static void test_fields(void)
{
    char text[] = "{\"n\":-7,\"t\":\"hi\",\"l\":[3, -4,5],\"e\":[],\"z\":null}";
    fw_json_object_t object;
    CHECK(fw_json_read(&object, (uint8_t *)text, sizeof(text) - 1));
    int32_t number = 0;
    fw_span_t span = {0};
    CHECK(fw_json_number_of(&object, "n", &number) && number == -7);
    CHECK(!fw_json_number_of(&object, "t", &number) && !fw_json_number_of(&object, "x", &number));
    CHECK(fw_json_text_of(&object, "t", &span) && fw_text_is(span, "hi"));
    CHECK(!fw_json_text_of(&object, "n", &span) && !fw_json_text_of(&object, "z", &span));
    int32_t numbers[3];
    uint8_t count = 3;
    CHECK(fw_json_numbers_of(&object, "l", numbers, &count) && count == 3);
    CHECK(numbers[0] == 3 && numbers[1] == -4 && numbers[2] == 5);
    count = 2;
    CHECK(!fw_json_numbers_of(&object, "l", numbers, &count));
    count = 3;
    CHECK(fw_json_numbers_of(&object, "e", numbers, &count) && count == 0);
}

static void test_writing(void)
{
    static const char expected[] =
        "{\"a\":\"x\\\"\\\\\\u000a\xc3\xa9\",\"b\":[1,-9223372036854775808,true],\"c\":{},\"d\":false}";
    uint8_t bytes[sizeof(expected)];
    for (size_t room = 0; room < sizeof(expected); room++) {
        fw_json_t json = {.comma = false};
        fw_text_init(&json.text, bytes, room);
        fw_json_open(&json, NULL, '{');
        fw_json_string(&json, "a", "x\"\\\n\xc3\xa9");
        fw_json_open(&json, "b", '[');
        fw_json_number(&json, NULL, 1);
        fw_json_number(&json, NULL, INT64_MIN);
        fw_json_bool(&json, NULL, true);
        fw_json_close(&json, ']');
        fw_json_open(&json, "c", '{');
        fw_json_close(&json, '}');
        fw_json_bool(&json, "d", false);
        fw_json_close(&json, '}');
        CHECK(json.text.full == (room < sizeof(expected) - 1));
        CHECK(json.text.length == room && memcmp(bytes, expected, room) == 0);
    }
}

static void test_numbers(void)
{
    static const struct {
        const char *text;
        uint32_t number;
        bool is_good;
    } numbers[] = {
        {"0", 0, true},   {"4294967295", UINT32_MAX, true}, {"4294967296", 0, false},
        {"", 0, false},   {"-1", 0, false},                 {"1x", 0, false},
        {"007", 7, true}, {"99999999999", 0, false},        {" 1", 0, false},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        uint32_t number = 0;
        fw_span_t text = {(const uint8_t *)numbers[i].text, strlen(numbers[i].text)};
        CHECK_NOTE(fw_text_parse_u32(text, &number) == numbers[i].is_good, numbers[i].text);
        CHECK_NOTE(number == numbers[i].number, numbers[i].text);
    }
    CHECK(fw_text_is((fw_span_t){(const uint8_t *)"ab", 2}, "ab"));
    CHECK(!fw_text_is((fw_span_t){(const uint8_t *)"ab", 2}, "abc"));
    CHECK(!fw_text_is((fw_span_t){(const uint8_t *)"a\0b", 3}, "a"));
    CHECK(fw_text_is_any_case((fw_span_t){(const uint8_t *)"aB", 2}, "ab"));
}

/* What is written is read again; and no noise does harm. */
static void test_random(void)
{
    for (int round = 0; round < 20000; round++) {
        uint8_t text[24];
        size_t length = random_below(sizeof(text));
        for (size_t i = 0; i < length; i++) {
            text[i] = (uint8_t)(1 + random_below(127));
        }
        uint8_t bytes[200];
        fw_json_t json = {.comma = false};
        fw_text_init(&json.text, bytes, sizeof(bytes));
        int32_t number = (int32_t)random_below(UINT32_MAX);
        fw_json_open(&json, NULL, '{');
        fw_json_span(&json, "t", (fw_span_t){text, length});
        fw_json_number(&json, "n", number);
        fw_json_close(&json, '}');
        fw_json_object_t object;
        fw_span_t span = {0};
        int32_t found = 0;
        CHECK(fw_json_read(&object, bytes, json.text.length));
        CHECK(fw_json_text_of(&object, "t", &span) && span.length == length);
        CHECK(memcmp(span.bytes, text, length) == 0);
        CHECK(fw_json_number_of(&object, "n", &found) && found == number);

        const char *row = rows[random_below(sizeof(rows) / sizeof(rows[0]))].text;
        size_t row_bytes = strlen(row);
        uint8_t *copy = bytes_exact((const uint8_t *)row, row_bytes);
        for (size_t i = 0; i < 2 && row_bytes > 0; i++) {
            copy[random_below((uint32_t)row_bytes)] = (uint8_t)random_below(256);
        }
        (void)fw_json_read(&object, copy, row_bytes);
        free(copy);
    }
}

void test_json(void)
{
    test_rows();
    test_fields();
    test_writing();
    test_numbers();
    test_random();
}
