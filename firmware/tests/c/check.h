/*
 * check.h: the tests' own harness: count what holds and what does not, and say where.
 */
#ifndef FW_TEST_CHECK_H
#define FW_TEST_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Counts a check. A failed one prints place and text; `note` tells which row of a table it was. */
void check_that(bool holds, const char *file, int line, const char *text, const char *note);
void check_string(const char *found, const char *expected, const char *file, int line,
                  const char *note);

#define CHECK(condition) check_that((condition), __FILE__, __LINE__, #condition, "")
#define CHECK_NOTE(condition, note) check_that((condition), __FILE__, __LINE__, #condition, note)
#define CHECK_STRING(found, expected, note)                                                        \
    check_string((found), (expected), __FILE__, __LINE__, (note))

/* Bytes from hex, spaces ignored. Exactly as many as there are, from the heap, so that the address
 * sanitizer sees a read one byte too far. Free with free. Dies on bad hex. */
uint8_t *bytes_from_hex(const char *hex, size_t *length);

/* A copy of exactly `length` bytes, from the heap, for the same reason. */
uint8_t *bytes_exact(const uint8_t *bytes, size_t length);

/* Pseudo-random numbers that are the same in every run of the same seed. */
void random_seed(uint64_t seed);
uint32_t random_below(uint32_t bound);
void random_fill(uint8_t *to, size_t length);

/* The suites, one a file. */
void test_frame(void);
void test_cbor(void);
void test_x25519(void);
void test_noise(void);
void test_records(void);
void test_vectors(void);
void test_robust(void);
void test_link(void);
void test_commands(void);
void test_storm(void);
void test_script(void);
void test_zone(void);
void test_sun(void);
void test_runner(void);
void test_http(void);
void test_http_server(void);
void test_json(void);
void test_api(void);
void test_recorder(void);
void test_shadow(void);
void test_recording(void);
void test_flash(void);
void test_stores(void);
void test_board(void);
void test_esp8266(void);
void test_storage(void);
void test_device(void);
void test_update(void);
void test_events(void);
void test_kept(void);
void test_rekey(void);
void test_rekey_power(void);
void test_wear(void);
void test_power(void);
void test_serial(void);
void test_serial_power(void);

#endif
