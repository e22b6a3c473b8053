/*
 * board.c: see board.h.
 */
#include "board.h"

#include "code.h"

_Static_assert(FW_BOARD_PINS_MAX <= FW_SCRIPT_POINTS_MAX, "a script may use every pin");

/* Rows: the channel, which is the place in the table, the name, and the chip's pin. */
#define INPUT(at, name, gpio) {{name, FW_POINT_DIGITAL_INPUT, at}, gpio, FW_DRIVER_GPIO, false}
/* A button or contact to ground, against the pull-up. */
#define CONTACT(at, name, gpio) {{name, FW_POINT_DIGITAL_INPUT, at}, gpio, FW_DRIVER_GPIO, true}
#define RELAY(at, name, gpio) {{name, FW_POINT_DIGITAL_OUTPUT, at}, gpio, FW_DRIVER_GPIO, false}
#define RELAY_LOW(at, name, gpio) {{name, FW_POINT_DIGITAL_OUTPUT, at}, gpio, FW_DRIVER_GPIO, true}
#define RELAY_16(at, name) {{name, FW_POINT_DIGITAL_OUTPUT, at}, 16, FW_DRIVER_GPIO16, false}
#define RELAY_MCU(at, name, relay) \
    {{name, FW_POINT_DIGITAL_OUTPUT, at}, relay, FW_DRIVER_UART_MCU, false}
#define ADC(at) {{"AI0", FW_POINT_ANALOGUE_INPUT, at}, 17, FW_DRIVER_ADC, false}

static const fw_board_pin_t esp01s_relay[] = {RELAY_LOW(0, "RL1", 0), CONTACT(1, "DI1", 2)};
static const fw_board_pin_t esp12f_1[] = {RELAY(0, "RL1", 5), CONTACT(1, "DI1", 0),
                                          INPUT(2, "DI2", 4), ADC(3)};
static const fw_board_pin_t esp12f_2[] = {RELAY(0, "RL1", 5), RELAY(1, "RL2", 4),
                                          CONTACT(2, "DI1", 0), INPUT(3, "DI2", 12), ADC(4)};
static const fw_board_pin_t esp12f_4[] = {RELAY_16(0, "RL1"),   RELAY(1, "RL2", 14),
                                          RELAY(2, "RL3", 12),  RELAY(3, "RL4", 13),
                                          CONTACT(4, "DI1", 0), INPUT(5, "DI2", 5),
                                          INPUT(6, "DI3", 4),   ADC(7)};
static const fw_board_pin_t esp12f_8[] = {
    RELAY_16(0, "RL1"),  RELAY(1, "RL2", 14), RELAY(2, "RL3", 12), RELAY(3, "RL4", 13),
    RELAY(4, "RL5", 15), RELAY(5, "RL6", 0),  RELAY(6, "RL7", 4),  RELAY(7, "RL8", 5),
    ADC(8)};
static const fw_board_pin_t serial_mcu_4[] = {RELAY_MCU(0, "RL1", 1), RELAY_MCU(1, "RL2", 2),
                                              RELAY_MCU(2, "RL3", 3), RELAY_MCU(3, "RL4", 4),
                                              CONTACT(4, "DI1", 0)};
static const fw_board_pin_t sonoff_basic[] = {RELAY(0, "RL1", 12), CONTACT(1, "DI1", 0),
                                              RELAY_LOW(2, "LED", 13), INPUT(3, "DI2", 14)};
static const fw_board_pin_t dev_board[] = {
    RELAY(0, "RL1", 5),   RELAY(1, "RL2", 4),   RELAY(2, "RL3", 14),  RELAY(3, "RL4", 12),
    CONTACT(4, "DI1", 0), CONTACT(5, "DI2", 13), ADC(6),
};

#define PINS(table) .pins = (table), .pins_count = sizeof(table) / sizeof((table)[0])

static const fw_profile_t profiles[] = {
    {.name = "esp01s-relay", .title = "ESP-01S relay",
     PINS(esp01s_relay), .flash_mode = FW_FLASH_DOUT},
    {.name = "esp12f-relay-1", .title = "ESP-12F, 1 relay", PINS(esp12f_1), .adc_full_mv = 1000,
     .flash_mode = FW_FLASH_DOUT},
    {.name = "esp12f-relay-2", .title = "ESP-12F, 2 relays", PINS(esp12f_2), .adc_full_mv = 1000,
     .flash_mode = FW_FLASH_DOUT},
    {.name = "esp12f-relay-4", .title = "ESP-12F, 4 relays", PINS(esp12f_4), .adc_full_mv = 1000,
     .flash_mode = FW_FLASH_DOUT},
    {.name = "esp12f-relay-8", .title = "ESP-12F, 8 relays", PINS(esp12f_8), .adc_full_mv = 1000,
     .flash_mode = FW_FLASH_DOUT},
    {.name = "serial-relay-4", .title = "4 relays behind a serial controller", PINS(serial_mcu_4),
     .baud = 115200, .console = FW_CONSOLE_UART0_10S, .flash_mode = FW_FLASH_DOUT},
    {.name = "sonoff-basic", .title = "Sonoff Basic",
     PINS(sonoff_basic), .flash_mode = FW_FLASH_DOUT},
    {.name = "nodemcu", .title = "NodeMCU", PINS(dev_board), .adc_full_mv = 3300,
     .flash_mode = FW_FLASH_DOUT},
    {.name = "wemos-d1", .title = "Wemos D1", PINS(dev_board), .adc_full_mv = 3200,
     .flash_mode = FW_FLASH_DOUT},
};

const fw_profile_t *fw_profile_at(size_t at)
{
    return at < sizeof(profiles) / sizeof(profiles[0]) ? &profiles[at] : NULL;
}

const fw_profile_t *fw_profile_find(fw_span_t name)
{
    for (size_t at = 0; at < sizeof(profiles) / sizeof(profiles[0]); at++) {
        const char *known = profiles[at].name;
        if (fw_string_length(known) == name.length &&
            fw_equal((const uint8_t *)known, name.bytes, name.length)) {
            return &profiles[at];
        }
    }
    return NULL;
}

fw_board_t fw_profile_board(const fw_profile_t *profile, fw_pin_t pins[FW_BOARD_PINS_MAX])
{
    uint8_t count = 0;
    while (count < profile->pins_count && count < FW_BOARD_PINS_MAX) {
        pins[count] = profile->pins[count].pin;
        count++;
    }
    return (fw_board_t){pins, count};
}

fw_level_at_reset_t fw_reset_of(uint8_t gpio)
{
    switch (gpio) {
    case 0:
    case 2: /* prints the ROM's log as well, on some boards */
        return FW_RESET_STRAP_HIGH;
    case 15:
        return FW_RESET_STRAP_LOW;
    case 1:
        return FW_RESET_BOOT_LOG;
    case 3:
    case 16:
        return FW_RESET_HIGH;
    default:
        return FW_RESET_FLOATS;
    }
}

const char *fw_profile_warning(const fw_board_pin_t *pin)
{
    bool is_switched =
        pin->pin.type == FW_POINT_DIGITAL_OUTPUT && pin->driver != FW_DRIVER_UART_MCU;
    if (!is_switched) {
        return NULL;
    }
    switch (fw_reset_of(pin->gpio)) {
    case FW_RESET_STRAP_HIGH:
        return pin->is_active_low
                   ? "a boot strap: the chip does not start while something holds it low"
                                  : "a boot strap: it is on while the chip starts";
    case FW_RESET_STRAP_LOW:
        return pin->is_active_low ? "a boot strap: it is on while the chip starts"
                   : "a boot strap: the chip does not start while something holds it high";
    case FW_RESET_BOOT_LOG:
        return "the boot log: it flutters while the chip starts";
    case FW_RESET_HIGH:
        return pin->is_active_low ? NULL : "high at reset: it is on while the chip starts";
    default:
        return NULL;
    }
}
