/*
 * test_esp8266.c: what the port to the chip decides without the SDK: crash loops, readings of the
 * ADC, frames to relays, who is connected to the page, the link's steps, and when Wi-Fi opens.
 */
#include "access.h"
#include "check.h"
#include "crashes.h"
#include "dialler.h"
#include "median.h"
#include "peers.h"
#include "relays.h"

#include <string.h>

/* ---- crashes ---- */

static void third_crash_within_a_minute(void)
{
    fw_crashes_t crashes;
    random_fill((uint8_t *)&crashes, sizeof crashes); /* as after power-on */
    CHECK(!fw_crashes_note(&crashes, false, 100));
    CHECK(!fw_crashes_note(&crashes, true, 1000));
    CHECK(!fw_crashes_note(&crashes, true, 20000));
    CHECK(fw_crashes_note(&crashes, true, 61000));
    CHECK(fw_crashes_note(&crashes, true, 80000)); /* the first is forgotten, three are left */
    CHECK(!fw_crashes_note(&crashes, true, 121001));
    CHECK(!fw_crashes_note(&crashes, true, 140001));
}

static void other_resets_begin_anew(void)
{
    fw_crashes_t crashes = {0};
    CHECK(!fw_crashes_note(&crashes, true, 1000));
    CHECK(!fw_crashes_note(&crashes, true, 2000));
    CHECK(!fw_crashes_note(&crashes, false, 3000));
    CHECK(!fw_crashes_note(&crashes, true, 4000));
    CHECK(!fw_crashes_note(&crashes, true, 5000));
    CHECK(fw_crashes_note(&crashes, true, 6000));
}

static void damaged_memory_is_no_crash(void)
{
    for (size_t byte = 0; byte < sizeof(fw_crashes_t); byte++) {
        fw_crashes_t crashes = {0};
        CHECK(!fw_crashes_note(&crashes, true, 1000));
        CHECK(!fw_crashes_note(&crashes, true, 2000));
        ((uint8_t *)&crashes)[byte] ^= (uint8_t)(1u + random_below(255));
        CHECK(!fw_crashes_note(&crashes, true, 3000));
    }
}

static void crashes_across_the_clocks_wrap(void)
{
    fw_crashes_t crashes = {0};
    CHECK(!fw_crashes_note(&crashes, true, UINT32_MAX - 10000u));
    CHECK(!fw_crashes_note(&crashes, true, UINT32_MAX));
    CHECK(fw_crashes_note(&crashes, true, 40000));
}

/* ---- the ADC ---- */

static void median_is_the_middle_one(void)
{
    for (unsigned round = 0; round < 500u; round++) {
        fw_median_t median = {.count = 0};
        uint16_t last[FW_MEDIAN_OF] = {0};
        unsigned count = 1u + random_below(12);
        for (unsigned i = 0; i < count; i++) {
            uint16_t reading = (uint16_t)random_below(round % 2u == 0u ? 4u : 1024u);
            last[i % FW_MEDIAN_OF] = reading;
            fw_median_put(&median, reading);
        }
        /* Slowly: sort, and take the middle. */
        unsigned held = count < FW_MEDIAN_OF ? count : FW_MEDIAN_OF;
        for (unsigned i = 0; i < held; i++) {
            for (unsigned k = i + 1u; k < held; k++) {
                if (last[k] < last[i]) {
                    uint16_t swapped = last[i];
                    last[i] = last[k];
                    last[k] = swapped;
                }
            }
        }
        CHECK(fw_median(&median) == last[held / 2u]);
    }
    const fw_median_t none = {.count = 0};
    CHECK(fw_median(&none) == 0);
}

static void readings_in_millivolts(void)
{
    CHECK(fw_adc_millivolts(0, 3300) == 0);
    CHECK(fw_adc_millivolts(1023, 3300) == 3300);
    CHECK(fw_adc_millivolts(512, 1000) == 500);
    CHECK(fw_adc_millivolts(2000, 1000) == 1000);
    CHECK(fw_adc_millivolts(700, 0) == 0);
}

/* ---- relays ---- */

static void relay_frames(void)
{
    static const uint8_t on_1[] = {0xA0, 1, 1, 0xA2};
    static const uint8_t off_8[] = {0xA0, 8, 0, 0xA8};
    fw_relays_t relays = {0};
    uint8_t frame[FW_RELAY_FRAME_BYTES];
    CHECK(!fw_relays_next(&relays, frame));
    fw_relays_set(&relays, 1, true);
    fw_relays_set(&relays, 8, false);
    fw_relays_set(&relays, 0, true);
    fw_relays_set(&relays, 9, true);
    CHECK(fw_relays_next(&relays, frame) && memcmp(frame, on_1, sizeof on_1) == 0);
    CHECK(fw_relays_next(&relays, frame) && memcmp(frame, off_8, sizeof off_8) == 0);
    CHECK(!fw_relays_next(&relays, frame));
    /* What changes twice is told once; one that never rests does not keep the others waiting. */
    fw_relays_set(&relays, 2, true);
    fw_relays_set(&relays, 2, false);
    CHECK(fw_relays_next(&relays, frame) && frame[1] == 2 && frame[2] == 0);
    CHECK(!fw_relays_next(&relays, frame));
    fw_relays_set(&relays, 1, false);
    fw_relays_set(&relays, 3, true);
    CHECK(fw_relays_next(&relays, frame) && frame[1] == 3);
    fw_relays_set(&relays, 3, false);
    CHECK(fw_relays_next(&relays, frame) && frame[1] == 1);
    CHECK(fw_relays_next(&relays, frame) && frame[1] == 3);
}

/* ---- peers ---- */

static void peers_by_ip_and_tcp_port(void)
{
    fw_peers_t peers = {.at = {{.ip = 0}}};
    CHECK(fw_peers_find(&peers, 0, 0) == NULL);
    CHECK(fw_peers_add(&peers, 0, 1) == NULL);
    for (uint8_t i = 0; i < FW_PEERS_MAX; i++) {
        fw_peer_t *peer = fw_peers_add(&peers, 7, (uint16_t)(100u + i));
        CHECK(peer != NULL && peer->connection == FW_PEER_REFUSED);
        peer->connection = i;
    }
    CHECK(fw_peers_add(&peers, 7, 99) == NULL);
    CHECK(fw_peers_find(&peers, 8, 100) == NULL && fw_peers_find(&peers, 7, 104) == NULL);
    fw_peer_t *second = fw_peers_find(&peers, 7, 101);
    CHECK(second != NULL && second == fw_peers_of(&peers, 1));
    CHECK(fw_peers_of(&peers, FW_PEER_REFUSED) == NULL);

    CHECK(fw_peers_to_close(&peers) == NULL);
    second->must_close = true;
    CHECK(fw_peers_to_close(&peers) == second);
    CHECK(fw_peers_to_close(&peers) == NULL);

    /* The same port anew takes the same place, as somebody new. */
    CHECK(fw_peers_add(&peers, 7, 101) == second && second->connection == FW_PEER_REFUSED);
    fw_peers_remove(second);
    CHECK(fw_peers_find(&peers, 7, 101) == NULL);
    CHECK(fw_peers_add(&peers, 9, 1) == second);
}

/* ---- the link's steps ---- */

static void dials_and_hangs_up(void)
{
    fw_dialler_t dialler = {.state = 0};
    CHECK(fw_dialler_next(&dialler, 0) == FW_DIALLER_NOTHING);
    fw_dialler_dial(&dialler, 1);
    CHECK(fw_dialler_next(&dialler, 0) == FW_DIALLER_RESOLVE && dialler.gateway == 1);
    CHECK(fw_dialler_next(&dialler, 0) == FW_DIALLER_NOTHING);
    fw_dialler_found(&dialler, true);
    CHECK(fw_dialler_next(&dialler, 0) == FW_DIALLER_CONNECT);
    CHECK(!fw_dialler_is_open(&dialler));
    CHECK(fw_dialler_connected(&dialler) && fw_dialler_is_open(&dialler));
    fw_dialler_hang_up(&dialler);
    CHECK(!fw_dialler_is_open(&dialler));
    /* Dialled anew before the old one has ended: it waits for that. */
    fw_dialler_dial(&dialler, 0);
    CHECK(fw_dialler_next(&dialler, 0) == FW_DIALLER_DISCONNECT);
    CHECK(fw_dialler_next(&dialler, 0) == FW_DIALLER_NOTHING);
    CHECK(!fw_dialler_closed(&dialler)); /* the core has hung up: it knows */
    CHECK(fw_dialler_next(&dialler, 0) == FW_DIALLER_RESOLVE && dialler.gateway == 0);
}

static void tells_what_the_core_does_not_know(void)
{
    fw_dialler_t dialler = {.state = 0};
    fw_dialler_dial(&dialler, 0);
    CHECK(fw_dialler_next(&dialler, 0) == FW_DIALLER_RESOLVE);
    fw_dialler_found(&dialler, false);
    CHECK(fw_dialler_next(&dialler, 0) == FW_DIALLER_TELL_LOST);
    CHECK(fw_dialler_next(&dialler, 0) == FW_DIALLER_NOTHING);

    fw_dialler_dial(&dialler, 0);
    CHECK(fw_dialler_next(&dialler, 0) == FW_DIALLER_RESOLVE);
    fw_dialler_failed(&dialler);
    CHECK(fw_dialler_next(&dialler, 0) == FW_DIALLER_TELL_LOST);

    fw_dialler_dial(&dialler, 0);
    CHECK(fw_dialler_next(&dialler, 0) == FW_DIALLER_RESOLVE);
    fw_dialler_found(&dialler, true);
    CHECK(fw_dialler_next(&dialler, 0) == FW_DIALLER_CONNECT);
    CHECK(fw_dialler_closed(&dialler)); /* refused */
    CHECK(fw_dialler_next(&dialler, 0) == FW_DIALLER_NOTHING);
}

static void late_answers_are_nobodys(void)
{
    fw_dialler_t dialler = {.state = 0};
    fw_dialler_dial(&dialler, 0);
    CHECK(fw_dialler_next(&dialler, 0) == FW_DIALLER_RESOLVE);
    fw_dialler_hang_up(&dialler);
    fw_dialler_found(&dialler, true);
    CHECK(fw_dialler_next(&dialler, 0) == FW_DIALLER_NOTHING);

    fw_dialler_dial(&dialler, 0);
    CHECK(fw_dialler_next(&dialler, 0) == FW_DIALLER_RESOLVE);
    fw_dialler_found(&dialler, true);
    CHECK(fw_dialler_next(&dialler, 0) == FW_DIALLER_CONNECT);
    fw_dialler_hang_up(&dialler); /* and the SDK connects all the same */
    CHECK(!fw_dialler_connected(&dialler));
    CHECK(fw_dialler_next(&dialler, 0) == FW_DIALLER_DISCONNECT);
    CHECK(!fw_dialler_connected(&dialler));

    /* An end that never comes is given up; the SDK's refusal to end it is one. */
    fw_dialler_dial(&dialler, 0);
    CHECK(fw_dialler_next(&dialler, FW_DIALLER_CLOSING_MS_MAX - 1u) == FW_DIALLER_NOTHING);
    CHECK(fw_dialler_next(&dialler, FW_DIALLER_CLOSING_MS_MAX) == FW_DIALLER_RESOLVE);
    fw_dialler_hang_up(&dialler);
    fw_dialler_failed(&dialler);
    CHECK(fw_dialler_next(&dialler, 0) == FW_DIALLER_NOTHING);
}

/* Whatever happens in whatever order: the core that dialled hears of an end, or can dial again, and
 * nothing is open that it has hung up. */
static void any_order_of_events(void)
{
    for (unsigned round = 0; round < 2000u; round++) {
        fw_dialler_t dialler = {.state = 0};
        bool is_up = false;      /* as the core sees it */
        bool is_dialling = false;
        uint32_t now_ms = 0;
        for (unsigned i = 0; i < 40u; i++) {
            now_ms += random_below(5000);
            switch (random_below(6)) {
            case 0:
                if (!is_up && !is_dialling) {
                    fw_dialler_dial(&dialler, (uint8_t)random_below(2));
                    is_dialling = true;
                }
                break;
            case 1:
                fw_dialler_hang_up(&dialler);
                is_up = is_dialling = false;
                break;
            case 2:
                fw_dialler_found(&dialler, random_below(2) == 0u);
                break;
            case 3:
                if (fw_dialler_connected(&dialler)) {
                    CHECK(is_dialling);
                    is_up = true;
                    is_dialling = false;
                }
                break;
            case 4:
                if (fw_dialler_closed(&dialler)) {
                    CHECK(is_up || is_dialling);
                    is_up = is_dialling = false;
                }
                break;
            default:
                if (fw_dialler_next(&dialler, now_ms) == FW_DIALLER_TELL_LOST) {
                    CHECK(is_dialling);
                    is_dialling = false;
                }
                break;
            }
            CHECK(fw_dialler_is_open(&dialler) == is_up);
        }
    }
}

static void splits_host_and_tcp_port(void)
{
    char host[FW_DIALLER_HOST_BYTES];
    uint16_t tcp_port = 0;
    CHECK(fw_dialler_split("yard.example:7400", host, &tcp_port) && tcp_port == 7400);
    CHECK_STRING(host, "yard.example", "host");
    CHECK(fw_dialler_split("a:65535", host, &tcp_port) && tcp_port == 65535);
    static const char *const wrong[] = {"",      "a",       ":1",      "a:",     "a:0", "a:65536",
                                        "a:1x",  "a:100000", "a b:1",   "\xC3\xA4:1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK_NOTE(!fw_dialler_split(wrong[i], host, &tcp_port), wrong[i]);
    }
    char longest[FW_DIALLER_HOST_BYTES + 3u];
    memset(longest, 'h', sizeof longest);
    memcpy(longest + FW_DIALLER_HOST_BYTES - 1u, ":9", 3);
    CHECK(fw_dialler_split(longest, host, &tcp_port) && strlen(host) == FW_DIALLER_HOST_BYTES - 1u);
    longest[FW_DIALLER_HOST_BYTES - 1u] = 'h';
    memcpy(longest + FW_DIALLER_HOST_BYTES, ":9", 3);
    CHECK(!fw_dialler_split(longest, host, &tcp_port));
}

/* ---- access ---- */

/* What becomes of a Wi-Fi of its own without a label's password, out of the network. */
static fw_access_change_t open_next(fw_access_t *access, uint32_t now_ms)
{
    return fw_access_next(access, false, false, now_ms);
}

static void an_open_wifi_closes_for_good(void)
{
    uint32_t begun_ms = UINT32_MAX - 1000u;
    fw_access_t access;
    fw_access_begin(&access, false, false, begun_ms);
    CHECK(access.is_open && !access.is_protected && fw_access_is_setup_open(&access));
    CHECK(open_next(&access, begun_ms + FW_ACCESS_OPEN_MS - 1u) == FW_ACCESS_STAYS);
    CHECK(open_next(&access, begun_ms + FW_ACCESS_OPEN_MS) == FW_ACCESS_CLOSES);
    CHECK(open_next(&access, begun_ms + FW_ACCESS_OPEN_MS + 1u) == FW_ACCESS_STAYS); /* told once */
    CHECK(!access.is_open && !fw_access_is_setup_open(&access));
    CHECK(open_next(&access, begun_ms) == FW_ACCESS_STAYS); /* a count later */
    CHECK(!access.is_open);
    /* Joining does not end it: whoever sets it up is on it. */
    fw_access_begin(&access, false, false, 0);
    CHECK(fw_access_next(&access, true, true, 1000) == FW_ACCESS_STAYS && access.is_open);
}

static void set_up_it_stays_closed(void)
{
    fw_access_t access;
    fw_access_begin(&access, true, false, 0);
    CHECK(!access.is_open && !fw_access_is_setup_open(&access));
    CHECK(open_next(&access, FW_ACCESS_OPEN_MS) == FW_ACCESS_STAYS);
    /* Power-on lets a first password be set, without a Wi-Fi of its own. */
    fw_access_begin(&access, true, true, 0);
    CHECK(!access.is_open && fw_access_is_setup_open(&access));
    CHECK(open_next(&access, FW_ACCESS_OPEN_MS) == FW_ACCESS_STAYS);
    CHECK(!fw_access_is_setup_open(&access));
}

/* Lost for five minutes, whenever that is, it opens with the label's password, and closes once it is back. */
static void a_lost_network_opens_for_the_label(void)
{
    fw_access_t access;
    fw_access_begin(&access, true, false, 0);
    uint32_t lost_ms = 0;
    for (unsigned round = 0; round < 3u; round++) {
        uint32_t open_ms = lost_ms + FW_ACCESS_LOST_MS;
        CHECK(fw_access_next(&access, false, true, open_ms - 1u) == FW_ACCESS_STAYS);
        CHECK(open_next(&access, open_ms) == FW_ACCESS_STAYS); /* not without a label */
        CHECK(fw_access_next(&access, false, true, open_ms) == FW_ACCESS_OPENS);
        CHECK(access.is_open && access.is_protected);
        CHECK(fw_access_next(&access, false, true, open_ms + 1u) == FW_ACCESS_STAYS);
        uint32_t later_ms = open_ms + 86400000u; /* it lasts */
        CHECK(fw_access_next(&access, false, true, later_ms) == FW_ACCESS_STAYS && access.is_open);
        CHECK(fw_access_next(&access, true, true, later_ms) == FW_ACCESS_CLOSES);
        CHECK(!access.is_open && !access.is_protected);
        lost_ms = later_ms + 3600000u;
        CHECK(fw_access_next(&access, true, true, lost_ms) == FW_ACCESS_STAYS);
    }
    /* Not set up in the ten minutes that were open to all. */
    fw_access_begin(&access, false, true, 0);
    CHECK(fw_access_next(&access, false, true, FW_ACCESS_LOST_MS) == FW_ACCESS_STAYS);
    CHECK(access.is_open && !access.is_protected);
    CHECK(fw_access_next(&access, false, true, FW_ACCESS_OPEN_MS) == FW_ACCESS_CLOSES);
    CHECK(fw_access_next(&access, false, true, FW_ACCESS_OPEN_MS + 10u) == FW_ACCESS_OPENS);
    CHECK(access.is_open && access.is_protected && fw_access_is_setup_open(&access));
}

static void joins_rarely_beside_a_guest(void)
{
    fw_access_t access;
    fw_access_begin(&access, false, true, 0);
    CHECK(!fw_access_must_join(&access, true, false, 0));
    CHECK(fw_access_must_join(&access, false, false, 0));
    CHECK(!fw_access_must_join(&access, false, false, FW_ACCESS_JOIN_MS - 1u));
    CHECK(!fw_access_must_join(&access, false, true, FW_ACCESS_JOIN_MS));
    CHECK(fw_access_must_join(&access, false, false, FW_ACCESS_JOIN_MS));
    CHECK(fw_access_must_join(&access, false, true, FW_ACCESS_JOIN_MS + FW_ACCESS_JOIN_BESIDE_MS));
}

void test_esp8266(void)
{
    third_crash_within_a_minute();
    other_resets_begin_anew();
    damaged_memory_is_no_crash();
    crashes_across_the_clocks_wrap();
    median_is_the_middle_one();
    readings_in_millivolts();
    relay_frames();
    peers_by_ip_and_tcp_port();
    dials_and_hangs_up();
    tells_what_the_core_does_not_know();
    late_answers_are_nobodys();
    any_order_of_events();
    splits_host_and_tcp_port();
    an_open_wifi_closes_for_good();
    set_up_it_stays_closed();
    a_lost_network_opens_for_the_label();
    joins_rarely_beside_a_guest();
}
