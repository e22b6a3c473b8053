/*
 * time_esp.c: the time of day, by SNTP, for a controller whom no gateway tells it.
 *
 * The SDK asks the servers by itself, and counts seconds in between. It is begun once the network was
 * joined, and never ended: its count would stand still then, and be taken for the time at the next
 * join.
 */
#include "esp.h"
#include "sdk.h"

/* In RAM, where the SDK goes on to read the names. */
static struct {
    char servers[2][15];
    uint32_t told_s;
    bool has_begun;
} sntp = {.servers = {"0.pool.ntp.org", "1.pool.ntp.org"}};

static void begin(void)
{
    sntp.has_begun = true;
    sntp_set_timezone(0); /* else the time is China's */
    for (uint8_t i = 0; i < sizeof sntp.servers / sizeof sntp.servers[0]; i++) {
        sntp_setservername(i, sntp.servers[i]);
    }
    sntp_init();
}

void fw_esp_time_poll(bool is_joined)
{
    if (!is_joined) {
        return;
    }
    if (!sntp.has_begun) {
        begin();
    }
    uint32_t now_s = sntp_get_current_timestamp(); /* 0: nobody has answered yet */
    if (now_s != 0u && now_s != sntp.told_s) {
        sntp.told_s = now_s;
        fw_controller_tell_time(&fw_esp_device.controller, (uint64_t)now_s * 1000u);
    }
}
