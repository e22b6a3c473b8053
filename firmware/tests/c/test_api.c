/*
 * test_api.c: the API over the whole server, before a whole device.
 */
#include "check.h"
#include "whole_rig.h"
#include "http_rig.h"

#include "monocypher-ed25519.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static fw_api_controller_t asked;
static fw_api_t api;
static fw_http_handler_t handler;
static fw_http_names_t names;
static web_client_t *client;
static char cookie[128];

/* As a port does it: a scan every 10 ms, and the server polled in between. */
static void pass(uint32_t ms)
{
    for (uint32_t passed = 0; passed < ms; passed += 10) {
        web_pass(10);
        whole_pass(10);
    }
}

static void begin(void)
{
    whole_begin();
    whole_configure(FW_TEXT_NAME, "Pump house 3");
    whole_configure(FW_TEXT_HOST, "pump-house-3");
    whole_configure(FW_TEXT_WIFI, "Pump yard");
    whole_configure(FW_TEXT_WIFI_PASSWORD, "very secret");
    whole_configure(FW_TEXT_GATEWAY_1, "gateway.example:7400");
    whole_configure(FW_TEXT_ZONE, "CET-1CEST,M3.5.0,M10.5.0/3");
    asked = fw_device_api;
    fw_api_init(&api, &asked, &whole);
    handler = fw_api_handler(&api);
    web_start(&handler, &names, NULL, 0);
    client = web_open();
    cookie[0] = '\0';
    pass(20);
}

static void keep_cookie(const char *answer)
{
    const char *at = strstr(answer, "Set-Cookie: switchyard=");
    if (at != NULL) {
        snprintf(cookie, sizeof(cookie), "Cookie: %.*s\r\n", 11 + 32, at + 12);
        if (strstr(at, "Max-Age=0") != NULL) {
            cookie[0] = '\0';
        }
    }
}

/* Sends a request, waits for its answer, and returns it. */
static const char *ask_bytes(const char *method, const char *path, const void *body, size_t bytes)
{
    static char request[4096];
    int length = snprintf(request, sizeof(request),
                          "%s %s HTTP/1.1\r\nHost: 192.168.4.1\r\nX-Switchyard: 1\r\n%s"
                          "Content-Length: %zu\r\n\r\n",
                          method, path, cookie, bytes);
    memcpy(request + length, body, bytes);
    length += (int)bytes;
    if (strcmp(method, "GET") == 0) {
        length = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: 192.168.4.1\r\n%s\r\n",
                          path, cookie);
    }
    if (!client->open) {
        client = web_open(); /* it was idle for too long */
    }
    web_push(client, request, (size_t)length);
    for (int tries = 0; tries < 500; tries++) {
        pass(10);
        client->got[client->got_bytes] = '\0';
        if (strstr(client->got, "0\r\n\r\n") != NULL || strstr(client->got, "\"}") != NULL) {
            break;
        }
    }
    const char *answer = web_take(client);
    keep_cookie(answer);
    return answer;
}

static const char *ask(const char *method, const char *path, const char *body)
{
    return ask_bytes(method, path, body, strlen(body));
}

/* Asks, and checks the status and that the body holds a text. */
static void expect(const char *method, const char *path, const char *body, int status,
                   const char *part)
{
    const char *answer = ask(method, path, body);
    char note[3000];
    snprintf(note, sizeof(note), "%s %s %s: %.2400s", method, path, body, answer);
    CHECK_NOTE(web_status(answer) == status, note);
    CHECK_NOTE(strstr(web_body(answer), part) != NULL, note);
}

static void set_up(void)
{
    begin();
    expect("POST", "/api/setup", "{\"password\":\"correct horse\"}", 200, "{}");
    CHECK(cookie[0] != '\0');
}

static void test_access(void)
{
    begin();
    expect("GET", "/api/session", "", 200, "\"state\":\"setup\"");
    expect("GET", "/api/status", "", 403, "setup_needed");
    expect("POST", "/api/login", "{\"password\":\"correct horse\"}", 403, "setup_needed");
    expect("POST", "/api/setup", "{\"password\":\"short\"}", 400, "password_length");
    expect("POST", "/api/setup", "{}", 400, "bad_field");
    whole_setup_is_open = false;
    expect("GET", "/api/session", "", 200, "\"state\":\"setup_closed\"");
    expect("POST", "/api/setup", "{\"password\":\"correct horse\"}", 403, "setup_closed");
    whole_setup_is_open = true;
    whole_nor.is_off = true;
    expect("POST", "/api/setup", "{\"password\":\"correct horse\"}", 503, "store_unavailable");
    CHECK(cookie[0] == '\0' && !whole.configuration.has_verifier);
    whole_nor.is_off = false;
    expect("POST", "/api/setup", "{\"password\":\"correct horse\"}", 200, "{}");
    expect("GET", "/api/session", "", 200, "\"state\":\"open\",\"name\":\"Pump house 3\"");
    expect("POST", "/api/setup", "{\"password\":\"another one\"}", 409, "setup_done");
    expect("GET", "/api/status", "", 200, "\"board\":\"rig, 4 relays\"");
    expect("GET", "/api/nothing", "", 404, "not_found");
    expect("POST", "/api/status", "", 405, "not_allowed");

    char old[sizeof(cookie)];
    strcpy(old, cookie);
    expect("POST", "/api/logout", "", 200, "{}");
    CHECK(cookie[0] == '\0');
    expect("GET", "/api/status", "", 401, "not_logged_in");
    strcpy(cookie, old);
    expect("GET", "/api/status", "", 401, "not_logged_in");
    expect("GET", "/api/session", "", 200, "\"state\":\"login\"");
    expect("POST", "/api/login", "{\"password\":\"correct horsf\"}", 401, "wrong_password");
    expect("POST", "/api/login", "{\"password\":\"x\"}", 401, "wrong_password");
    expect("POST", "/api/login", "{\"password\":\"correct horse\"}", 200, "{}");
    CHECK(strcmp(cookie, old) != 0);
    /* Every other path says the same to a stranger, but for what does not exist. */
    cookie[0] = '\0';
    static const char *const closed[] = {"live", "commands", "why", "script", "settings", "outcome"};
    for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++) {
        char path[40];
        snprintf(path, sizeof(path), "/api/%s", closed[i]);
        expect("GET", path, "", 401, "not_logged_in");
    }
    expect("POST", "/api/restart", "", 401, "not_logged_in");
    expect("PUT", "/api/update?at=0", "x", 401, "not_logged_in");
    CHECK(whole_restarts == 0);
}

/* A log-in takes time, and only in slices, while scans go on. */
static void test_slices(void)
{
    set_up();
    uint32_t began_ms = http_now_ms;
    expect("POST", "/api/login", "{\"password\":\"correct horse\"}", 200, "{}");
    uint32_t took_ms = http_now_ms - began_ms;
    /* The rig polls up to twice in 10 ms. */
    uint32_t slices = FW_VERIFIER_ROUNDS / FW_VERIFIER_ROUNDS_A_SLICE;
    CHECK(took_ms >= slices * 5 - 20 && took_ms <= slices * 10 + 50);
}

static void test_guesses(void)
{
    set_up();
    static const uint32_t waits_s[] = {0, 0, 2, 4, 8, 16, 32, 60, 60};
    for (size_t i = 0; i < sizeof(waits_s) / sizeof(waits_s[0]); i++) {
        char wait[40];
        snprintf(wait, sizeof(wait), "\"wait_ms\":%u", (unsigned)waits_s[i] * 1000);
        const char *answer = ask("POST", "/api/login", "{\"password\":\"wrong password\"}");
        CHECK(web_status(answer) == 401);
        CHECK((strstr(answer, wait) != NULL) == (waits_s[i] > 0));
        CHECK((strstr(answer, "Retry-After: ") != NULL) == (waits_s[i] > 0));
        if (waits_s[i] == 0) {
            continue;
        }
        /* Meanwhile even the right one is not looked at; it costs no time to say so. */
        uint32_t began_ms = http_now_ms;
        expect("POST", "/api/login", "{\"password\":\"correct horse\"}", 429, "\"code\":\"wait\"");
        CHECK(http_now_ms - began_ms < 100);
        expect("GET", "/api/session", "", 200, "\"wait_ms\":");
        pass(waits_s[i] * 1000);
    }
    /* Nobody is locked out for good. */
    expect("POST", "/api/login", "{\"password\":\"correct horse\"}", 200, "{}");
    expect("GET", "/api/session", "", 200, "\"wait_ms\":0");
    expect("POST", "/api/login", "{\"password\":\"wrong password\"}", 401, "wrong_password");
    /* A guess is forgiven after a while. */
    fw_log_in_t log_in;
    fw_log_in_init(&log_in);
    for (int i = 0; i < 5; i++) {
        fw_guess_wrong(&log_in, (uint32_t)-5);
    }
    CHECK(fw_guess_wait_ms(&log_in, (uint32_t)-5) == 8000);
    CHECK(fw_guess_wait_ms(&log_in, 5) == 7990);
    fw_log_in_poll(&log_in, FW_GUESS_FORGIVEN_MS - 6);
    CHECK(log_in.guesses == 5);
    fw_log_in_poll(&log_in, FW_GUESS_FORGIVEN_MS - 5);
    CHECK(log_in.guesses == 4);
    for (int i = 0; i < 300; i++) {
        fw_guess_wrong(&log_in, 0);
    }
    CHECK(fw_guess_wait_ms(&log_in, 0) == FW_GUESS_WAIT_MS_MAX);
}

static void test_sessions(void)
{
    fw_log_in_t log_in;
    fw_log_in_init(&log_in);
    uint8_t token[FW_SESSION_TOKEN_BYTES] = {0};
    CHECK(fw_session_find(&log_in, token, 0) == FW_SESSION_NONE); /* an empty place is no session */
    uint32_t now = (uint32_t)-1000;
    for (uint8_t i = 0; i < FW_SESSIONS_MAX; i++) {
        token[0] = i;
        CHECK(fw_session_open(&log_in, token, now + i * 1000u) == i);
    }
    token[0] = 0;
    CHECK(fw_session_find(&log_in, token, now + 5000) == 0);
    token[0] = 9; /* takes the place of number 1, which was not used for the longest */
    CHECK(fw_session_open(&log_in, token, now + 6000) == 1);
    token[0] = 1;
    CHECK(fw_session_find(&log_in, token, now + 6000) == FW_SESSION_NONE);
    token[0] = 2;
    CHECK(fw_session_find(&log_in, token, now + 2000 + FW_SESSION_IDLE_MS_MAX - 1) == 2);
    CHECK(fw_session_find(&log_in, token, now + 2000 + 2 * FW_SESSION_IDLE_MS_MAX - 1) ==
          FW_SESSION_NONE);
    token[0] = 3;
    fw_session_close_others(&log_in, 3);
    CHECK(!log_in.sessions[0].is_open && !log_in.sessions[1].is_open);

    /* A new password ends all sessions but the one that set it. */
    set_up();
    char first[sizeof(cookie)];
    strcpy(first, cookie);
    cookie[0] = '\0';
    expect("POST", "/api/login", "{\"password\":\"correct horse\"}", 200, "{}");
    expect("POST", "/api/password", "{\"current\":\"wrong one\",\"password\":\"new password\"}", 401,
           "wrong_password");
    expect("POST", "/api/password", "{\"current\":\"correct horse\",\"password\":\"new\"}", 400,
           "password_length");
    expect("POST", "/api/password", "{\"current\":\"correct horse\",\"password\":\"new password\"}",
           200, "{}");
    expect("GET", "/api/status", "", 200, "board");
    strcpy(cookie, first);
    expect("GET", "/api/status", "", 401, "not_logged_in");
    expect("POST", "/api/login", "{\"password\":\"correct horse\"}", 401, "wrong_password");
    expect("POST", "/api/login", "{\"password\":\"new password\"}", 200, "{}");
    /* The body, which held it, is wiped. */
    for (size_t i = 0; i < sizeof(api.body); i++) {
        CHECK(api.body[i] == 0);
    }
}

static void test_points(void)
{
    set_up();
    whole_inputs[FW_CHANNEL_AI0] = 50000;
    pass(20);
    expect("GET", "/api/live", "", 200,
           "{\"name\":\"level\",\"pin\":\"AI0\",\"type\":\"analogue_input\",\"value\":50000,"
           "\"cause\":{\"kind\":\"input\"}}");
    expect("GET", "/api/live", "", 200, "{\"name\":\"house\",\"kind\":\"machine\",\"type\":\"int\","
                                        "\"value\":0,\"line\":14,\"state\":\"idle\"}");
    expect("GET", "/api/live", "", 200,
           "{\"name\":\"delay\",\"kind\":\"parameter\",\"type\":\"time\",\"value\":30000,\"line\":12,"
           "\"min\":1000,\"max\":600000}");
    expect("GET", "/api/live", "", 200, "{\"name\":\"High water\",\"kind\":\"alarm\"");
    expect("GET", "/api/commands", "", 200,
           "{\"commands\":[{\"name\":\"boost\",\"arguments\":[{\"name\":\"t\",\"type\":\"time\","
           "\"min\":1000,\"max\":600000}],\"refusal\":\"tank full\"}]}");

    expect("POST", "/api/set", "{\"point\":\"spare\",\"value\":1}", 200,
           "\"stage\":\"executed\",\"reason\":\"ok\",\"final\":true");
    expect("GET", "/api/live", "", 200, "{\"name\":\"spare\",\"pin\":\"RL4\","
                                        "\"type\":\"digital_output\",\"value\":1,\"manual\":true,"
                                        "\"cause\":{\"kind\":\"command\"");
    expect("POST", "/api/set", "{\"point\":\"pump\",\"value\":1}", 409, "not_manual");
    expect("POST", "/api/set", "{\"point\":\"none\",\"value\":1}", 404, "unknown_point");
    expect("POST", "/api/set", "{\"point\":\"spare\",\"value\":2}", 400, "out_of_range");
    expect("POST", "/api/set", "{\"point\":\"spare\"}", 400, "bad_field");
    expect("POST", "/api/set", "{\"point\":\"spare\",\"value\":true}", 400, "bad_field");
    expect("POST", "/api/set", "[]", 400, "bad_json");

    expect("POST", "/api/call", "{\"command\":\"boost\",\"arguments\":[5000]}", 200, "executed");
    expect("GET", "/api/live", "", 200, "{\"name\":\"pump\",\"pin\":\"RL1\","
                                        "\"type\":\"digital_output\",\"value\":1,\"confirm\":true,"
                                        "\"cause\":{\"kind\":\"command\"");
    expect("POST", "/api/call", "{\"command\":\"boost\",\"arguments\":[5]}", 400, "out_of_range");
    expect("POST", "/api/call", "{\"command\":\"boost\",\"arguments\":[]}", 400, "bad_field");
    expect("POST", "/api/call", "{\"command\":\"boost\",\"arguments\":[1,2,3,4,5]}", 400, "bad_field");
    expect("POST", "/api/call", "{\"command\":\"boast\",\"arguments\":[5000]}", 404,
           "unknown_command");
    whole_inputs[FW_CHANNEL_AI0] = 95000;
    pass(20);
    expect("POST", "/api/call", "{\"command\":\"boost\",\"arguments\":[5000]}", 200,
           "\"stage\":\"refused\",\"reason\":\"refused_by_script\"");
    expect("GET", "/api/outcome?receipt=1", "", 200, "\"receipt\":1,\"stage\":\"executed\"");
    expect("GET", "/api/outcome?receipt=99", "", 404, "unknown_receipt");
    expect("GET", "/api/outcome", "", 400, "bad_field");

    expect("POST", "/api/force", "{\"point\":\"lamp\",\"value\":1,\"for_ms\":60000}", 200, "{}");
    expect("GET", "/api/live", "", 200, "\"forced\":true,\"force_left_ms\":");
    expect("POST", "/api/force", "{\"point\":\"lamp\",\"value\":1,\"for_ms\":0}", 400, "out_of_range");
    expect("POST", "/api/unforce", "{\"point\":\"lamp\"}", 200, "{}");
    CHECK(strstr(ask("GET", "/api/live", ""), "forced") == NULL);

    expect("POST", "/api/parameter", "{\"name\":\"delay\",\"value\":45000}", 200, "{}");
    expect("GET", "/api/live", "", 200, "\"value\":45000,\"line\":12");
    expect("POST", "/api/parameter", "{\"name\":\"delay\",\"value\":1}", 400, "out_of_range");
    expect("POST", "/api/parameter", "{\"name\":\"pump\",\"value\":1}", 404, "unknown_name");
    expect("GET", "/api/why", "", 200, "\"name\":\"lamp\",\"type\":\"digital_output\",\"value\":0,"
                                       "\"cause\":{\"kind\":\"force\"}}");
    fw_logbook_entry_t first;
    char path[40];
    char entry[60];
    CHECK(fw_logbook_cause_after(&whole.logbook, 0, &first));
    snprintf(path, sizeof(path), "/api/why?before=%u", (unsigned)first.number);
    expect("GET", path, "", 200, "{\"entries\":[]}");
    snprintf(path, sizeof(path), "/api/why?before=%u", (unsigned)first.number + 1u);
    snprintf(entry, sizeof(entry), "{\"entries\":[{\"number\":%u,", (unsigned)first.number);
    expect("GET", path, "", 200, entry);
}

/* A script's way: pieces, its end, a trial. */
static void upload(const char *text)
{
    char line[2048];
    size_t length = strlen(text);
    snprintf(line, sizeof(line), "{\"bytes\":%zu}", length);
    expect("POST", "/api/script/begin", line, 200, "{}");
    for (size_t at = 0; at < length; at += 1000) {
        char path[40];
        size_t piece = length - at < 1000 ? length - at : 1000;
        snprintf(path, sizeof(path), "/api/script?at=%zu", at);
        snprintf(line, sizeof(line), "%.*s", (int)piece, text + at);
        expect("PUT", path, line, 200, "{}");
        expect("PUT", path, line, 200, "{}"); /* its answer was lost */
    }
}

static void test_scripts(void)
{
    set_up();
    const char *answer = ask("GET", "/api/script", "");
    CHECK(strstr(answer, "Content-Type: text/plain; charset=utf-8\r\n") != NULL);
    char old[FW_SCRIPT_SOURCE_MAX + 1];
    strcpy(old, web_body(answer));
    CHECK(strncmp(whole.controller.script_title, "Pump house: fill", 16) == 0);
    CHECK(strncmp(old, "# Pump house", 12) == 0 && strcmp(old, whole_script) == 0);

    expect("POST", "/api/script/begin", "{\"bytes\":8193}", 400, "out_of_range");
    expect("POST", "/api/script/begin", "{\"bytes\":-1}", 400, "out_of_range");
    expect("POST", "/api/trial/begin", "", 409, "wrong_state");
    upload("in door = DI1\nout lamp = RL1 safe off\nlamp := dor\n");
    expect("PUT", "/api/script?at=7", "xx", 200, "{}");
    expect("PUT", "/api/script?at=5000", "xx", 409, "wrong_state");
    expect("PUT", "/api/script", "xx", 400, "bad_field");
    expect("POST", "/api/script/end", "", 422, "\"line\":3,\"column\":9,\"length\":3,\"expected\":");
    expect("POST", "/api/trial/begin", "", 409, "wrong_state");

    /* The longest there can be. */
    char text[FW_SCRIPT_SOURCE_MAX + 1];
    memset(text, '#', FW_SCRIPT_SOURCE_MAX);
    text[FW_SCRIPT_SOURCE_MAX] = '\0';
    static const char head[] = "in door = DI1\nout lamp = RL1 safe off\nlamp := door\n";
    memcpy(text, head, sizeof(head) - 1);
    upload(text);
    expect("POST", "/api/script/end", "", 200, "{\"operations\":");
    expect("POST", "/api/trial/begin", "", 200, "{}");
    expect("GET", "/api/status", "", 200, "\"script\":\"on_trial\"");
    CHECK(strlen(web_body(ask("GET", "/api/script", ""))) == FW_SCRIPT_SOURCE_MAX);
    expect("POST", "/api/script/begin", "{\"bytes\":1}", 409, "wrong_state");
    expect("POST", "/api/trial/revert", "", 200, "{}");
    CHECK_STRING(web_body(ask("GET", "/api/script", "")), old, "reverted");
    upload(head);
    expect("POST", "/api/script/end", "", 200, "{\"operations\":");
    expect("POST", "/api/trial/begin", "", 200, "{}");
    expect("POST", "/api/trial/commit", "", 200, "{}");
    expect("POST", "/api/trial/commit", "", 409, "wrong_state");
    CHECK_STRING(web_body(ask("GET", "/api/script", "")), head, "committed");
    CHECK(strcmp(whole.controller.script_title, "script") == 0); /* it does not begin with a comment */

    /* Names and lines are of the script that ran then. */
    whole_inputs[FW_CHANNEL_DI1] = 1;
    pass(20);
    expect("GET", "/api/why", "", 200, "\"name\":\"lamp\",\"type\":\"digital_output\",\"value\":1,"
                                       "\"cause\":{\"kind\":\"script\",\"reference\":3}}");
    upload("out lamp = RL2 safe off\nlamp := true\n");
    expect("POST", "/api/script/end", "", 200, "{\"operations\":");
    expect("POST", "/api/trial/begin", "", 200, "{}");
    expect("GET", "/api/why", "", 200, "\"name\":\"RL1\",\"type\":\"digital_output\",\"value\":1,"
                                       "\"cause\":{\"kind\":\"script\",\"reference\":3},"
                                       "\"other_script\":true}");
}

static void test_last_scans(void)
{
    set_up();
    expect("GET", "/api/recording", "", 404, "no_recording");
    pass(1000);
    expect("POST", "/api/recording", "", 200, "{}");
    CHECK(!fw_device_is_dumping(&whole));
    const char *answer = ask("GET", "/api/recording", "");
    CHECK(web_status(answer) == 200 && strstr(answer, "SWRC") != NULL);
    CHECK(strstr(answer, "Content-Type: application/octet-stream\r\n") != NULL);
    expect("POST", "/api/recording", "", 503, "busy");
    cookie[0] = '\0';
    expect("GET", "/api/recording", "", 401, "not_logged_in");
}

static void test_shadow_of_scan(void)
{
    set_up();
    pass(1000);
    expect("GET", "/api/shadow", "", 200, "{\"state\":\"none\",\"line\":0,\"values\":[]}");
    expect("POST", "/api/step", "", 409, "wrong_state");
    expect("POST", "/api/breakpoint", "{\"line\":\"19\"}", 400, "bad_field");
    expect("POST", "/api/breakpoint", "{\"line\":-1}", 400, "out_of_range");
    expect("POST", "/api/breakpoint", "{\"line\":65536}", 400, "out_of_range");
    expect("POST", "/api/breakpoint", "{\"line\":99}", 400, "out_of_range");
    expect("POST", "/api/breakpoint", "{}", 200, "\"line\":13,\"values\":[");
    expect("POST", "/api/breakpoint", "{\"line\":18}", 200, "\"line\":19,\"values\":[");
    whole_inputs[FW_CHANNEL_AI0] = 10000;
    pass(20);
    expect("POST", "/api/breakpoint", "{\"line\":20}", 200, "");
    expect("GET", "/api/shadow", "", 200, "{\"state\":\"stopped\",\"line\":20,\"values\":[");
    expect("GET", "/api/shadow", "", 200,
           "{\"name\":\"pump\",\"kind\":\"output\",\"type\":\"bool\",\"value\":1,\"line\":5}");
    expect("GET", "/api/shadow", "", 200,
           "{\"name\":\"level\",\"kind\":\"input\",\"type\":\"num\",\"value\":10000,\"line\":4}");
    expect("GET", "/api/shadow", "", 200,
           "{\"name\":\"boost\",\"kind\":\"command\",\"type\":\"bool\",\"value\":0,\"line\":13}");
    CHECK(strstr(ask("GET", "/api/live", ""), "\"kind\":\"output\"") == NULL);
    expect("POST", "/api/step", "", 200, "{\"state\":\"stopped\",\"line\":21,\"values\":[");
    expect("POST", "/api/shadow/release", "", 200, "{\"state\":\"none\",\"line\":0,\"values\":[]}");
    cookie[0] = '\0';
    expect("POST", "/api/breakpoint", "{}", 401, "not_logged_in");
    expect("GET", "/api/shadow", "", 401, "not_logged_in");
}

enum { IMAGE_BYTES = 5000, IMAGE_HEAD_BYTES = WHOLE_RELEASE_HEAD_BYTES };

static void send_release(const uint8_t *release, size_t from)
{
    for (size_t at = from; at < IMAGE_HEAD_BYTES + IMAGE_BYTES; at += 999) {
        char path[40];
        size_t piece = IMAGE_HEAD_BYTES + IMAGE_BYTES - at;
        snprintf(path, sizeof(path), "/api/update?at=%zu", at);
        const char *answer = ask_bytes("PUT", path, release + at, piece < 999 ? piece : 999);
        CHECK_NOTE(web_status(answer) == 200, answer);
    }
}

static void test_updates(void)
{
    static uint8_t release[IMAGE_HEAD_BYTES + IMAGE_BYTES];
    static uint8_t public_key[32];
    uint8_t secret_key[64];
    uint8_t seed[32];
    char begin_body[40];
    random_fill(seed, sizeof(seed));
    crypto_ed25519_key_pair(secret_key, public_key, seed);
    whole_release(release, 2, IMAGE_BYTES, secret_key);
    snprintf(begin_body, sizeof(begin_body), "{\"bytes\":%d}", IMAGE_HEAD_BYTES + IMAGE_BYTES);
    set_up();
    whole_setup.identity.public_key = public_key;
    expect("POST", "/api/update/begin", "{\"bytes\":99999999}", 400, "out_of_range");
    expect("POST", "/api/update/begin", "{\"bytes\":136}", 400, "out_of_range");
    expect("POST", "/api/update/begin", begin_body, 200, "{}");
    expect("PUT", "/api/update?at=1", "x", 409, "wrong_state");
    expect("POST", "/api/update/end", "", 409, "wrong_state");
    release[20] = 'R'; /* for another board */
    CHECK(web_status(ask_bytes("PUT", "/api/update?at=0", release, 999)) == 422);
    release[20] = 'r';
    expect("POST", "/api/update/begin", begin_body, 200, "{}");
    send_release(release, 0);
    expect("GET", "/api/status", "", 200,
           "\"update\":\"writing\",\"update_bytes\":5136,\"update_written_bytes\":5136");
    expect("POST", "/api/update/end", "", 200, "{}");
    expect("GET", "/api/status", "", 200, "\"update\":\"written\"");
    expect("POST", "/api/restart", "", 200, "{}");
    pass(1000);
    CHECK(whole_restarts == 1);

    /* It is tried in the other slot, and kept once it has run. */
    CHECK(whole_boot() == 2);
    whole_setup.identity.slot = 2;
    whole_setup.identity.version = 2;
    CHECK(whole_boot() == 2);
    CHECK(whole.update.phase == FW_UPDATE_TRIAL);
    whole_pass(FW_CONFIRM_AWAY_MS + 30000);
    CHECK(whole.update.phase == FW_UPDATE_TRIAL); /* its gateway has not been there */
    CHECK(whole_restarts > 1); /* so that it comes to its third boot, and back */
    whole_configure(FW_TEXT_GATEWAY_1, "");
    whole_pass(5000);
    CHECK(whole.update.phase == FW_UPDATE_CONFIRMED);

    /* One bit in the image that is not as signed. */
    set_up();
    whole_setup.identity.public_key = public_key;
    release[IMAGE_HEAD_BYTES + 3000] ^= 1;
    expect("POST", "/api/update/begin", begin_body, 200, "{}");
    send_release(release, 0);
    expect("POST", "/api/update/end", "", 422, "bad_image");
}

static void test_settings(void)
{
    set_up();
    const char *body = web_body(ask("GET", "/api/settings", ""));
    CHECK_STRING(body,
                 "{\"name\":\"Pump house 3\",\"host\":\"pump-house-3\",\"wifi\":\"Pump yard\","
                 "\"has_wifi_password\":true,\"gateway_1\":\"gateway.example:7400\","
                 "\"gateway_2\":\"\",\"zone\":\"CET-1CEST,M3.5.0,M10.5.0/3\"}", "settings");
    expect("POST", "/api/settings", "{\"name\":\"H\\u00fcgel\",\"wifi_password\":\"new secret\"}", 200,
           "{}");
    CHECK(strcmp(whole.configuration.texts[FW_TEXT_WIFI_PASSWORD], "new secret") == 0);
    expect("GET", "/api/settings", "", 200, "\"name\":\"H\xc3\xbcgel\",\"host\":\"pump-house-3\"");
    CHECK(strstr(web_body(ask("GET", "/api/settings", "")), "secret") == NULL);
    /* All or none, and the wrong one is named. */
    expect("POST", "/api/settings", "{\"name\":\"Other\",\"zone\":\"Europe\"}", 400,
           "\"field\":\"zone\"");
    expect("GET", "/api/settings", "", 200, "\"name\":\"H\xc3\xbcgel\"");
    char text[120];
    snprintf(text, sizeof(text), "{\"gateway_2\":\"%065d\"}", 1);
    expect("POST", "/api/settings", text, 400, "\"field\":\"gateway_2\"");
    whole_setup.settings.gateways = 0;
    expect("POST", "/api/settings", "{\"gateway_1\":\"\"}", 200, "{}");
    pass(FW_HANDSHAKE_TIMEOUT_MS + 100u); /* of a dial that had begun */
    expect("GET", "/api/status", "", 200, "\"link\":\"none\"");
    whole_nor.is_off = true;
    expect("POST", "/api/settings", "{\"name\":\"Other\"}", 503, "store_unavailable");
    expect("POST", "/api/networks", "", 200,
           "{\"networks\":[{\"wifi\":\"Pump yard\",\"rssi_dbm\":-48,\"secured\":true},"
           "{\"wifi\":\"Workshop \\\"B\\\"\"");
}

/* As much of everything as there can be fits through the pieces. */
static bool many_points(void *ctx, uint16_t *cursor, fw_api_point_t *point)
{
    (void)ctx;
    memset(point->name, 'n', FW_NAME_BYTES_MAX);
    memset(point->pin, 'p', FW_NAME_BYTES_MAX);
    point->type = FW_POINT_ANALOGUE_OUTPUT;
    point->value = INT32_MIN;
    point->flags = 31;
    point->force_left_ms = UINT32_MAX;
    point->cause = (fw_cause_t){UINT32_MAX, UINT32_MAX, FW_CAUSE_LINK_LOSS};
    return (*cursor)++ < FW_POINTS_MAX;
}

static bool many_values(void *ctx, uint16_t *cursor, fw_api_value_t *value)
{
    (void)ctx;
    memset(value->name, 'n', FW_NAME_BYTES_MAX);
    memset(value->state, 's', FW_NAME_BYTES_MAX);
    value->kind = *cursor % 2 == 0 ? FW_API_PARAMETER : FW_API_MACHINE;
    value->type = FW_TYPE_TIME;
    value->value = value->min = value->max = INT32_MIN;
    value->line = UINT16_MAX;
    return (*cursor)++ < FW_SCRIPT_VARIABLES_MAX;
}

static bool many_commands(void *ctx, uint16_t *cursor, fw_api_command_t *command)
{
    (void)ctx;
    memset(command->name, 'n', FW_NAME_BYTES_MAX);
    memset(command->refusal, 1, FW_TITLE_BYTES_MAX);
    command->count = FW_ARGUMENTS_MAX;
    for (size_t i = 0; i < FW_ARGUMENTS_MAX; i++) {
        memset(command->arguments[i].name, 'a', FW_NAME_BYTES_MAX);
        command->arguments[i].min = command->arguments[i].max = INT32_MIN;
    }
    return (*cursor)++ < FW_SCRIPT_COMMANDS_MAX;
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++) {
        count++;
    }
    return count;
}

static void test_largest(void)
{
    set_up();
    asked.point = many_points;
    asked.value = many_values;
    asked.command = many_commands;
    const char *body = web_body(ask("GET", "/api/live", ""));
    CHECK(count_of(body, "\"pin\":") == FW_POINTS_MAX);
    CHECK(count_of(body, "\"line\":65535") == FW_SCRIPT_VARIABLES_MAX);
    CHECK(strcmp(body + strlen(body) - 3, "}]}") == 0 && strstr(body, ",]") == NULL);
    CHECK(strstr(body, "}{") == NULL && strstr(body, ",,") == NULL && strstr(body, "[,") == NULL);
    for (uint8_t i = 0; i < FW_TEXTS; i++) {
        memset(whole.configuration.texts[i], 1, FW_TEXT_SETTING_BYTES_MAX);
    }
    body = web_body(ask("GET", "/api/settings", ""));
    CHECK(count_of(body, "\\u0001") == (FW_SETTINGS - 1) * FW_SETTING_BYTES_MAX);
    CHECK(body[strlen(body) - 1] == '}');
    body = web_body(ask("GET", "/api/commands", ""));
    CHECK(count_of(body, "\"arguments\":") == FW_SCRIPT_COMMANDS_MAX);
    CHECK(strcmp(body + strlen(body) - 3, "}]}") == 0 && strstr(body, "}{") == NULL);
}

void test_api(void)
{
    test_access();
    test_slices();
    test_guesses();
    test_sessions();
    test_points();
    test_scripts();
    test_last_scans();
    test_shadow_of_scan();
    test_updates();
    test_settings();
    test_largest();
    CHECK(sizeof(fw_api_t) <= 1400);
}
