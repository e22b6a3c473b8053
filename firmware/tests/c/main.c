/*
 * main.c: runs the suites and prints the count.
 *
 *   core-tests [SEED [SUITE...]]
 *
 * The seed is that of everything random; without names all suites run.
 */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned long passed_count;
static unsigned long failed_count;
static uint64_t random_state;

/* After this many a broken build is understood, and the rest would only bury it. */
enum { FAILURES_PRINTED_MAX = 50 };

void check_that(bool holds, const char *file, int line, const char *text, const char *note)
{
    if (holds) {
        passed_count++;
        return;
    }
    failed_count++;
    if (failed_count <= FAILURES_PRINTED_MAX) {
        printf("%s:%d: does not hold: %s %s\n", file, line, text, note);
    }
}

void check_string(const char *found, const char *expected, const char *file, int line,
                  const char *note)
{
    if (strcmp(found, expected) == 0) {
        passed_count++;
        return;
    }
    failed_count++;
    if (failed_count <= FAILURES_PRINTED_MAX) {
        printf("%s:%d: expected %s and found %s: %s\n", file, line, expected, found, note);
    }
}

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    return -1;
}

uint8_t *bytes_from_hex(const char *hex, size_t *length)
{
    uint8_t *bytes = malloc(strlen(hex) / 2 + 1);
    size_t digits = 0;
    for (const char *at = hex; bytes != NULL && *at != '\0'; at++) {
        if (*at == ' ') {
            continue;
        }
        int digit = hex_digit(*at);
        if (digit < 0) {
            printf("expected hex: %s\n", hex);
            exit(2);
        }
        int high = digits % 2 == 0 ? 0 : bytes[digits / 2] * 16;
        bytes[digits / 2] = (uint8_t)(high + digit);
        digits++;
    }
    *length = digits / 2;
    uint8_t *exact = bytes_exact(bytes, *length);
    free(bytes);
    return exact;
}

uint8_t *bytes_exact(const uint8_t *bytes, size_t length)
{
    /* malloc(0) may give NULL; one byte may not be read, and no test reads it. */
    uint8_t *copy = malloc(length == 0 ? 1 : length);
    if (copy == NULL) {
        printf("expected memory for a test\n");
        exit(2);
    }
    if (length > 0) {
        memcpy(copy, bytes, length);
    }
    return copy;
}

void random_seed(uint64_t seed)
{
    random_state = seed * 2 + 1;
}

/* xorshift64*: its upper half is good enough for tests. */
uint32_t random_below(uint32_t bound)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    uint32_t high = (uint32_t)((random_state * 0x2545F4914F6CDD1Du) >> 32);
    return bound == 0 ? high : high % bound;
}

void random_fill(uint8_t *to, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        to[i] = (uint8_t)random_below(256);
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} suites[] = {
    {"frame", test_frame},       {"cbor", test_cbor},         {"noise", test_noise},
    {"records", test_records},   {"vectors", test_vectors},   {"link", test_link},
    {"commands", test_commands}, {"robust", test_robust},     {"storm", test_storm},
    {"script", test_script},     {"runner", test_runner},     {"zone", test_zone},
    {"storage", test_storage},   {"flash", test_flash},       {"stores", test_stores},
    {"update", test_update},     {"wear", test_wear},         {"sun", test_sun},
    {"events", test_events},     {"kept", test_kept},
    {"rekey", test_rekey},       {"rekey_power", test_rekey_power},
    {"http", test_http},         {"server", test_http_server}, {"json", test_json},
    {"api", test_api},           {"power", test_power},
    {"board", test_board},       {"x25519", test_x25519},
    {"device", test_device},     {"recorder", test_recorder},
    {"shadow", test_shadow},
    {"recording", test_recording},
    {"serial", test_serial},     {"serial_power", test_serial_power},
    {"esp8266", test_esp8266},
};

enum { SUITES = sizeof(suites) / sizeof(suites[0]) };

/* Whether a suite is among those that are named, or none is. */
static bool is_wanted(const char *suite, int count, char **names)
{
    bool is_named = count == 0;
    for (int i = 0; i < count; i++) {
        is_named = is_named || strcmp(names[i], suite) == 0;
    }
    return is_named;
}

static bool is_suite(const char *name)
{
    for (size_t i = 0; i < SUITES; i++) {
        if (strcmp(suites[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

int main(int count, char **arguments)
{
    uint64_t seed = count > 1 ? strtoull(arguments[1], NULL, 10) : 20260101u;
    for (int i = 2; i < count; i++) {
        if (!is_suite(arguments[i])) {
            printf("expected the name of a suite, not %s\n", arguments[i]);
            return 2;
        }
    }
    printf("seed %llu\n", (unsigned long long)seed);
    random_seed(seed);
    for (size_t i = 0; i < SUITES; i++) {
        if (is_wanted(suites[i].name, count > 2 ? count - 2 : 0, arguments + 2)) {
            suites[i].run();
        }
    }
    printf("%lu passed, %lu failed\n", passed_count, failed_count);
    return failed_count == 0 ? 0 : 1;
}
