/*
 * user_main.c: the start on the chip, the 10 ms of the scan, and the one task of the port.
 *
 * The SDK calls user_pre_init before its radio runs, user_init behind that, and on_ready once all
 * of it is up. In the first two it has taken 5 KB of the stack itself, so there is little done in
 * them: outputs go to their safe levels, and a boot of new firmware is counted.
 *
 * From then on a timer scans every 10 ms, ahead of all else. The link's steps, the page's server
 * and the ends of connections are done by a task, which is posted whenever something happened.
 */
#include "crashes.h"
#include "esp.h"
#include "sdk.h"

#define SCAN_MS 10
#define ADC_MS 100u
#define REPORT_MS 60000u
#define TASK_PRIORITY USER_TASK_PRIO_1
/* One message is under way at most. */
#define TASK_QUEUE 2u
/* Counted in words; the first 64 are the SDK's. */
#define RTC_MEMORY_OURS 64
/* Of system_upgrade_reboot: go to the other slot. */
#define UPGRADE_FINISHED 2

/* The SDK's entry points, and what it restarts with before its timers run; no header declares
 * them. */
void user_pre_init(void);
void user_init(void);
void system_restart_local(void);

/* By the linker: its address is the slot that this image is linked for. */
extern const uint8_t fw_esp_slot[];

#ifdef FW_UPDATE_KEY
/* Of whoever may make updates. */
static const uint8_t update_key[32] = {FW_UPDATE_KEY};
#define UPDATE_KEY update_key
#else
#define UPDATE_KEY NULL
#endif

fw_device_t fw_esp_device;

static struct {
    const fw_profile_t *profile;
    fw_pin_t pins[FW_BOARD_PINS_MAX];
    fw_board_t board;
    fw_device_setup_t setup;
    os_timer_t timer;
    os_event_t queue[TASK_QUEUE];
    uint32_t counted_us; /* of the SDK's clock, up to which time is counted */
    uint32_t rest_us;
    uint32_t now_ms;
    uint32_t http_ms;    /* when the page's server has more to do */
    uint32_t adc_ms;
    uint32_t reported_ms;
    uint32_t reported_loads;
    bool is_posted;
} chip;

/* ---- the port ---- */

uint32_t fw_esp_now_ms(void)
{
    uint32_t us = system_get_time();
    chip.rest_us += us - chip.counted_us;
    chip.counted_us = us;
    chip.now_ms += chip.rest_us / 1000u;
    chip.rest_us %= 1000u;
    return chip.now_ms;
}

static uint32_t now_ms(void *ctx)
{
    (void)ctx;
    return fw_esp_now_ms();
}

static int32_t send_bytes(void *ctx, const uint8_t *bytes, size_t length)
{
    (void)ctx;
    return fw_esp_link_send(bytes, length);
}

static void fill_random(void *ctx, uint8_t *into, size_t length)
{
    (void)ctx;
    os_get_random(into, length);
}

static void log_line(void *ctx, fw_log_level_t level, const char *text)
{
    (void)ctx;
    if (level != FW_LOG_DEBUG) {
        fw_esp_console_line(text, fw_esp_now_ms());
    }
}

static void dial(void *ctx, uint8_t gateway)
{
    (void)ctx;
    fw_esp_link_dial(gateway);
}

static void hang_up(void *ctx)
{
    (void)ctx;
    fw_esp_link_hang_up();
}

static int32_t read_input(void *ctx, uint8_t channel)
{
    (void)ctx;
    return fw_esp_pins_read(channel);
}

static void write_output(void *ctx, uint8_t channel, int32_t value)
{
    (void)ctx;
    fw_esp_pins_write(channel, value);
}

static const fw_port_t port = {
    .send = send_bytes,
    .now_ms = now_ms,
    .random = fill_random,
    .log = log_line,
    .dial = dial,
    .hang_up = hang_up,
    .read_input = read_input,
    .write_output = write_output,
};

/* ---- the machine ---- */

static uint8_t running_slot(void)
{
    return (uint8_t)(uintptr_t)fw_esp_slot;
}

/* The loader runs the other slot from the next start on. The SDK restarts by a timer. */
static void switch_slot(void)
{
    system_upgrade_flag_set(UPGRADE_FINISHED);
    system_upgrade_reboot();
}

static void machine_radio(void *ctx, fw_radio_t *radio)
{
    (void)ctx;
    fw_esp_radio_tell(radio);
}

static void machine_configured(void *ctx, const fw_configuration_t *configuration)
{
    (void)ctx;
    (void)configuration;
    fw_esp_radio_configured();
    fw_esp_link_configured();
}

static bool machine_look_around(void *ctx)
{
    (void)ctx;
    return fw_esp_radio_look_around();
}

static bool machine_network(void *ctx, uint16_t at, fw_api_network_t *network)
{
    (void)ctx;
    return fw_esp_radio_network(at, network);
}

static uint32_t machine_free_bytes(void *ctx)
{
    (void)ctx;
    return system_get_free_heap_size();
}

static bool machine_setup_is_open(void *ctx)
{
    (void)ctx;
    return fw_esp_radio_is_setup_open();
}

static uint8_t machine_hardware(void *ctx, uint8_t *into)
{
    (void)ctx;
    uint8 mac[6] = {0};
    wifi_get_macaddr(STATION_IF, mac);
    fw_copy(into, mac, sizeof mac);
    return sizeof mac;
}

static void machine_restart(void *ctx)
{
    (void)ctx;
    const fw_update_t *update = &fw_esp_device.update;
    if (update->phase == FW_UPDATE_PENDING && update->slot != running_slot()) {
        switch_slot();
    } else {
        system_restart();
    }
}

static const fw_machine_t machine = {
    .radio = machine_radio,
    .configured = machine_configured,
    .look_around = machine_look_around,
    .network = machine_network,
    .free_bytes = machine_free_bytes,
    .setup_is_open = machine_setup_is_open,
    .hardware = machine_hardware,
    .restart = machine_restart,
};

/* ---- the scan, and the task ---- */

void fw_esp_wake(void)
{
    if (!chip.is_posted) {
        chip.is_posted = system_os_post(TASK_PRIORITY, 0, 0) != 0u;
    }
}

static void on_task(os_event_t *event)
{
    (void)event;
    chip.is_posted = false;
    fw_esp_link_work();
    uint32_t wait_ms = fw_esp_http_work();
    chip.http_ms = fw_esp_now_ms() + wait_ms;
    if (wait_ms == 0u) {
        fw_esp_wake();
    }
}

/* What should never happen is at least told. */
static void report(uint32_t at_ms)
{
    uint32_t loads = fw_esp_narrow_loads();
    if (at_ms - chip.reported_ms >= REPORT_MS && loads != chip.reported_loads) {
        chip.reported_ms = at_ms;
        chip.reported_loads = loads;
        fw_esp_console_line("flash was read by less than words", at_ms);
    }
}

static void on_scan(void *arg)
{
    (void)arg;
    fw_esp_console_poll(fw_esp_now_ms());
    fw_device_poll(&fw_esp_device);
    fw_esp_pins_poll();
    uint32_t at_ms = fw_esp_now_ms();
    if (fw_esp_pins_have_adc() && at_ms - chip.adc_ms >= ADC_MS) {
        chip.adc_ms = at_ms;
        fw_esp_pins_take_adc(system_adc_read());
    }
    fw_esp_radio_poll();
    report(at_ms);
    if ((int32_t)(at_ms - chip.http_ms) >= 0) {
        fw_esp_wake(); /* also what could not be posted before */
    }
}

/* ---- the start ---- */

/* Kept through every reset but power-on. The clock goes on, in about 6 us, told as us by 2^12. */
static bool note_crash(uint32_t reason)
{
    fw_crashes_t crashes;
    uint64_t us = (uint64_t)system_get_rtc_time() * system_rtc_clock_cali_proc() >> 12;
    bool is_crash = reason == REASON_WDT_RST || reason == REASON_SOFT_WDT_RST ||
                    reason == REASON_EXCEPTION_RST;
    system_rtc_mem_read(RTC_MEMORY_OURS, &crashes, sizeof crashes);
    bool is_crashing = fw_crashes_note(&crashes, is_crash, (uint32_t)(us / 1000u));
    system_rtc_mem_write(RTC_MEMORY_OURS, &crashes, sizeof crashes);
    return is_crashing;
}

static uint8_t reset_of(uint32_t reason)
{
    switch (reason) {
    case REASON_DEFAULT_RST:
        return FW_RESET_POWER;
    case REASON_WDT_RST:
    case REASON_SOFT_WDT_RST:
        return FW_RESET_WATCHDOG;
    case REASON_EXCEPTION_RST:
        return FW_RESET_EXCEPTION;
    case REASON_SOFT_RESTART:
        return FW_RESET_COMMANDED;
    default:
        return FW_RESET_OTHER;
    }
}

/* Where the SDK keeps its own: at the end of the chip, as the header's size nibble says. */
static bool register_partitions(void)
{
    uint32_t map = system_get_flash_size_map();
    uint32_t end = map == FLASH_SIZE_8M_MAP_512_512    ? 0x100000u
                   : map == FLASH_SIZE_32M_MAP_512_512 ? 0x400000u
                                                       : 0u;
    const partition_item_t table[] = {
        {SYSTEM_PARTITION_BOOTLOADER, FW_LAYOUT_BOOT, FW_SECTOR_BYTES},
        {SYSTEM_PARTITION_OTA_1, FW_LAYOUT_USER1, FW_IMAGE_BYTES_MAX},
        {SYSTEM_PARTITION_OTA_2, FW_LAYOUT_USER2, FW_IMAGE_BYTES_MAX},
        {SYSTEM_PARTITION_RF_CAL, end - 5u * FW_SECTOR_BYTES, FW_SECTOR_BYTES},
        {SYSTEM_PARTITION_PHY_DATA, end - 4u * FW_SECTOR_BYTES, FW_SECTOR_BYTES},
        {SYSTEM_PARTITION_SYSTEM_PARAMETER, end - 3u * FW_SECTOR_BYTES, 3u * FW_SECTOR_BYTES},
    };
    return end != 0u &&
           system_partition_table_regist(table, sizeof table / sizeof table[0], map) != 0u;
}

static void on_ready(void)
{
    const struct rst_info *info = system_get_rst_info();
    uint32_t reason = info->reason;
    chip.setup.reset = reset_of(reason);
    chip.setup.is_crashing = note_crash(reason);
    if (!fw_device_init(&fw_esp_device)) {
        fw_esp_console_line("the settings are out of their range", fw_esp_now_ms());
        return; /* outputs stay safe */
    }
    fw_esp_link_begin();
    fw_esp_radio_begin(reason == REASON_DEFAULT_RST);
    system_os_task(on_task, TASK_PRIORITY, chip.queue, TASK_QUEUE);
    fw_esp_http_begin();
    fw_esp_console_serve();
    os_timer_setfn(&chip.timer, on_scan, NULL);
    os_timer_arm(&chip.timer, SCAN_MS, 1);
}

/* In IRAM, for the SDK may print while flash cannot be read. */
static __attribute__((section(".iram.text"))) void put_nothing(char character)
{
    (void)character;
}

void user_pre_init(void)
{
    static const char name[] = FW_PROFILE;
    chip.profile = fw_profile_find((fw_span_t){(const uint8_t *)name, sizeof name - 1u});
    fw_esp_pins_begin(chip.profile);
    fw_esp_exceptions_begin();
    if (!register_partitions()) {
        return; /* an image for another size of chip: the SDK stops, with outputs safe */
    }
    chip.board = fw_profile_board(chip.profile, chip.pins);
    chip.setup = (fw_device_setup_t){
        .port = &port,
        .flash = &fw_esp_flash,
        .machine = &machine,
        .board = &chip.board,
        .identity = {.profile = chip.profile->name,
                     .public_key = UPDATE_KEY,
                     .version = FW_VERSION,
                     .slot = running_slot()},
        .software = FW_SOFTWARE,
        .board_title = chip.profile->title,
        /* Until it is enrolled: the core wants an address, and link_esp.c dials nobody. */
        .settings = {.title = chip.profile->title,
                     .address = FW_ADDRESS_CONTROLLER_MAX,
                     .gateways = 1},
    };
    if (fw_device_boot(&fw_esp_device, &chip.setup) != running_slot()) {
        switch_slot();
        system_restart_local(); /* its timers do not run yet */
    }
}

void user_init(void)
{
    system_set_os_print(0);
    os_install_putc1(put_nothing);
    fw_esp_console_begin(chip.profile, fw_esp_now_ms());
    fw_esp_radio_off();
    system_init_done_cb(on_ready);
}
