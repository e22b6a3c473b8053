/*
 * radio_esp.c: Wi-Fi as a station, the controller's own access point, what networks there are, and
 * what it announces itself as. When what is done: access.h.
 *
 * Only the SDK's `_current` calls are made: nothing but our own settings decides, and the SDK's
 * flash is not written. What it is handed lies in RAM, strings above all.
 */
#include "access.h"
#include "esp.h"
#include "sdk.h"

#define NETWORKS_MAX 8u
#define ACCESS_POINT_CHANNEL 6
#define GUESTS_MAX 2
#define BEACON_MS 100
#define HOST_BYTES 24u
#define HTTP_TCP_PORT 80

enum { LOOKED_NOTHING = 0, LOOKING, LOOKED };

static struct {
    fw_access_t access;
    fw_api_network_t networks[NETWORKS_MAX];
    uint32_t announced_ip; /* 0: nothing */
    char own_host[HOST_BYTES];
    char own_name[HOST_BYTES]; /* of the access point */
    char service[5];
    uint8_t networks_count;
    uint8_t looking;
    bool has_begun;
    bool is_joining;
} radio = {.service = "http"};

static size_t copy_text(uint8_t *into, size_t room, const char *text)
{
    size_t length = fw_string_length(text);
    length = length < room ? length : room;
    fw_copy(into, (const uint8_t *)text, length);
    return length;
}

/* ---- names ---- */

/* `prefix` and the last six digits of the MAC address. */
static void name_after_mac(char into[HOST_BYTES], const char *prefix)
{
    static const char digits[] = "0123456789abcdef";
    uint8 mac[6] = {0};
    wifi_get_macaddr(STATION_IF, mac);
    size_t at = copy_text((uint8_t *)into, HOST_BYTES - 7u, prefix);
    for (uint8_t i = 3; i < 6u; i++) {
        into[at++] = digits[mac[i] >> 4];
        into[at++] = digits[mac[i] & 15u];
    }
    into[at] = '\0';
}

/* Where the setting lies, which is RAM; or our own. */
static char *host_name(void)
{
    char *set = fw_esp_device.configuration.texts[FW_TEXT_HOST];
    return set[0] != '\0' ? set : radio.own_host;
}

const char *fw_esp_radio_host(void)
{
    return host_name();
}

/* ---- announcing ---- */

static void announce(uint32_t ip)
{
    if (ip == radio.announced_ip) {
        return;
    }
    if (radio.announced_ip != 0u) {
        espconn_mdns_close();
    }
    radio.announced_ip = ip;
    if (ip != 0u) {
        struct mdns_info info = {
            .host_name = host_name(),
            .server_name = radio.service,
            .server_port = HTTP_TCP_PORT,
            .ipAddr = ip,
        };
        espconn_mdns_init(&info); /* copies all of it */
    }
}

static uint32_t station_ip(void)
{
    struct ip_info info = {.ip = {0}};
    bool is_joined = wifi_station_get_connect_status() == STATION_GOT_IP;
    return is_joined && wifi_get_ip_info(STATION_IF, &info) ? info.ip.addr : 0u;
}

/* ---- the access point ---- */

static void set_mode(void)
{
    uint8 mode = radio.access.is_open ? STATIONAP_MODE : STATION_MODE;
    if (wifi_get_opmode() != mode) {
        wifi_set_opmode_current(mode);
    }
}

static void open_access_point(void)
{
    struct softap_config config = {
        .channel = ACCESS_POINT_CHANNEL,
        .authmode = radio.access.is_protected ? AUTH_WPA2_PSK : AUTH_OPEN,
        .max_connection = GUESTS_MAX,
        .beacon_interval = BEACON_MS,
    };
    config.ssid_len = (uint8)copy_text(config.ssid, sizeof config.ssid, radio.own_name);
    if (radio.access.is_protected) {
        copy_text(config.password, sizeof config.password, fw_esp_device.configuration.label);
    }
    wifi_softap_set_config_current(&config);
}

/* ---- the station ---- */

/* Leaves the network for another one, if it is one. */
static void configure_station(void)
{
    struct station_config before = {.channel = 0};
    struct station_config config = {.channel = 0};
    const fw_configuration_t *set = &fw_esp_device.configuration;
    copy_text(config.ssid, sizeof config.ssid, set->texts[FW_TEXT_WIFI]);
    copy_text(config.password, sizeof config.password, set->texts[FW_TEXT_WIFI_PASSWORD]);
    wifi_station_set_hostname(host_name());
    wifi_station_get_config(&before);
    if (!fw_equal(before.ssid, config.ssid, sizeof config.ssid) ||
        !fw_equal(before.password, config.password, sizeof config.password)) {
        wifi_station_disconnect();
        wifi_station_set_config_current(&config);
        radio.access.has_tried = false;
        radio.is_joining = false;
    }
}

static bool has_network(void)
{
    return fw_esp_device.configuration.texts[FW_TEXT_WIFI][0] != '\0';
}

static void on_event(System_Event_t *event)
{
    switch (event->event) {
    case EVENT_STAMODE_GOT_IP:
        announce(station_ip());
        break;
    case EVENT_STAMODE_DISCONNECTED:
        announce(0);
        radio.is_joining = false;
        break;
    case EVENT_STAMODE_DHCP_TIMEOUT:
        radio.is_joining = false;
        break;
    default:
        break;
    }
}

void fw_esp_radio_off(void)
{
    wifi_station_set_auto_connect(0);
    wifi_set_opmode_current(NULL_MODE);
}

void fw_esp_radio_begin(bool is_power_on)
{
    bool is_set_up = has_network() && fw_esp_device.configuration.has_verifier;
    name_after_mac(radio.own_host, "switchyard-");
    name_after_mac(radio.own_name, "Switchyard-");
    fw_access_begin(&radio.access, is_set_up, is_power_on, fw_esp_now_ms());
    wifi_set_event_handler_cb(on_event);
    set_mode();
    wifi_set_sleep_type(NONE_SLEEP_T); /* the mains pay, and answers come at once */
    wifi_station_set_reconnect_policy(0);
    if (radio.access.is_open) {
        open_access_point();
    }
    configure_station();
    radio.has_begun = true;
}

void fw_esp_radio_configured(void)
{
    if (radio.has_begun) {
        announce(0);
        configure_station();
        announce(station_ip());
    }
}

void fw_esp_radio_poll(void)
{
    if (!radio.has_begun) {
        return;
    }
    uint32_t now_ms = fw_esp_now_ms();
    bool is_joined = wifi_station_get_connect_status() == STATION_GOT_IP;
    bool has_label = fw_esp_device.configuration.label[0] != '\0';
    fw_access_change_t change = fw_access_next(&radio.access, is_joined, has_label, now_ms);
    if (change != FW_ACCESS_STAYS) {
        set_mode();
    }
    if (change == FW_ACCESS_OPENS) {
        open_access_point();
    }
    bool is_busy = !has_network() || radio.is_joining || radio.looking == LOOKING || is_joined;
    bool has_guests = radio.access.is_open && wifi_softap_get_station_num() != 0u;
    if (fw_access_must_join(&radio.access, is_busy, has_guests, now_ms)) {
        radio.is_joining = wifi_station_connect() != 0u;
    }
    fw_esp_time_poll(is_joined);
}

/* ---- what the page asks ---- */

void fw_esp_radio_tell(fw_radio_t *told)
{
    static const uint8_t states[] = {
        [STATION_IDLE] = FW_API_WIFI_DOWN,
        [STATION_CONNECTING] = FW_API_WIFI_JOINING,
        [STATION_WRONG_PASSWORD] = FW_API_WIFI_WRONG_PASSWORD,
        [STATION_NO_AP_FOUND] = FW_API_WIFI_NOT_FOUND,
        [STATION_CONNECT_FAIL] = FW_API_WIFI_DOWN,
        [STATION_GOT_IP] = FW_API_WIFI_JOINED,
    };
    uint8 status = wifi_station_get_connect_status();
    uint32_t ip = station_ip();
    *told = (fw_radio_t){
        .ip = (ip & 0xFFu) << 24 | (ip & 0xFF00u) << 8 | (ip >> 8 & 0xFF00u) | ip >> 24,
        .state = status < sizeof states ? states[status] : (uint8_t)FW_API_WIFI_DOWN,
        .is_access_point = radio.access.is_open,
    };
    if (told->state == FW_API_WIFI_JOINED) {
        told->rssi_dbm = wifi_station_get_rssi();
    }
}

bool fw_esp_radio_is_setup_open(void)
{
    return fw_access_is_setup_open(&radio.access);
}

/* The strongest first, and of many only those. */
static void keep_network(const struct bss_info *found)
{
    uint8_t at = radio.networks_count;
    while (at > 0u && radio.networks[at - 1u].rssi_dbm < found->rssi) {
        at--;
    }
    if (at == NETWORKS_MAX) {
        return;
    }
    if (radio.networks_count < NETWORKS_MAX) {
        radio.networks_count++;
    }
    for (uint8_t i = (uint8_t)(radio.networks_count - 1u); i > at; i--) {
        radio.networks[i] = radio.networks[i - 1u];
    }
    fw_api_network_t *network = &radio.networks[at];
    *network = (fw_api_network_t){
        .rssi_dbm = found->rssi,
        .is_secured = found->authmode != AUTH_OPEN,
    };
    network->ssid_bytes = found->ssid_len < FW_SSID_BYTES_MAX ? found->ssid_len : FW_SSID_BYTES_MAX;
    fw_copy(network->ssid, found->ssid, network->ssid_bytes);
}

static void on_looked(void *arg, STATUS status)
{
    radio.networks_count = 0;
    if (status == OK) {
        for (const struct bss_info *found = arg; found != NULL; found = found->next.stqe_next) {
            keep_network(found);
        }
    }
    radio.looking = LOOKED;
}

bool fw_esp_radio_look_around(void)
{
    if (radio.looking == LOOKED) {
        radio.looking = LOOKED_NOTHING;
        return true;
    }
    if (radio.looking == LOOKED_NOTHING) {
        struct scan_config config = {.ssid = NULL};
        radio.looking = LOOKING;
        if (wifi_station_scan(&config, on_looked) == 0u) {
            radio.networks_count = 0; /* busy with joining, say */
            radio.looking = LOOKED;
        }
    }
    return false;
}

bool fw_esp_radio_network(uint16_t at, fw_api_network_t *network)
{
    if (at >= radio.networks_count) {
        return false;
    }
    *network = radio.networks[at];
    return true;
}
