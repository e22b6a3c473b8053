/*
 * pins.c: inputs and outputs as the board's profile has them.
 */
#include "esp.h"
#include "median.h"
#include "registers.h"
#include "relays.h"

/* One struct, so that what lies in RAM is seen at a glance. */
static struct {
    const fw_profile_t *profile;
    fw_relays_t relays;
    fw_median_t adc;
} pins;

/* Where each pin's pad is set up; 6 to 11 are wired to the flash chip. */
static const uint8_t pads[16] = {0x34, 0x18, 0x38, 0x14, 0x3C, 0x40, 0,    0,
                                 0,    0,    0,    0,    0x04, 0x08, 0x0C, 0x10};

/* The pad's function that is the general pin: 0 on these, 3 on the others. */
static bool is_general_at_first(uint8_t gpio)
{
    return gpio == 0u || gpio == 2u || gpio == 4u || gpio == 5u;
}

static void connect_pad(uint8_t gpio, bool pulls_up)
{
    uint32_t function = is_general_at_first(gpio) ? 0u : 3u;
    uint32_t pad = FW_PAD(pads[gpio]) & ~(FW_PAD_FUNCTION_MASK | FW_PAD_PULL_UP);
    FW_PAD(pads[gpio]) =
        pad | function << FW_PAD_FUNCTION_SHIFT | (pulls_up ? FW_PAD_PULL_UP : 0u);
}

static void write_pin(const fw_board_pin_t *pin, bool is_on)
{
    bool is_high = is_on != pin->is_active_low;
    switch (pin->driver) {
    case FW_DRIVER_GPIO16:
        FW_RTC_GPIO_OUT = (FW_RTC_GPIO_OUT & ~1u) | (is_high ? 1u : 0u);
        break;
    case FW_DRIVER_UART_MCU:
        fw_relays_set(&pins.relays, pin->gpio, is_on);
        break;
    default:
        if (is_high) {
            FW_GPIO_SET = 1u << pin->gpio;
        } else {
            FW_GPIO_CLEAR = 1u << pin->gpio;
        }
        break;
    }
}

/* The level first, then the pin: so it goes straight from what it floats at to what is safe. */
static void begin_output(const fw_board_pin_t *pin)
{
    write_pin(pin, false);
    if (pin->driver == FW_DRIVER_GPIO16) {
        FW_RTC_PAD = (FW_RTC_PAD & ~FW_RTC_PAD_MASK) | FW_RTC_PAD_GPIO;
        FW_RTC_GPIO_CONFIG &= ~1u;
        FW_RTC_GPIO_DRIVE |= 1u;
    } else if (pin->driver == FW_DRIVER_GPIO) {
        FW_GPIO_DRIVE = 1u << pin->gpio;
        connect_pad(pin->gpio, false);
    }
}

static void begin_input(const fw_board_pin_t *pin)
{
    if (pin->driver == FW_DRIVER_GPIO) {
        FW_GPIO_RELEASE = 1u << pin->gpio;
        /* A contact to ground needs something to pull it up. */
        connect_pad(pin->gpio, pin->is_active_low);
    } else if (pin->driver == FW_DRIVER_GPIO16) {
        FW_RTC_PAD = (FW_RTC_PAD & ~FW_RTC_PAD_MASK) | FW_RTC_PAD_GPIO;
        FW_RTC_GPIO_CONFIG &= ~1u;
        FW_RTC_GPIO_DRIVE &= ~1u;
    }
}

void fw_esp_pins_begin(const fw_profile_t *profile)
{
    pins.profile = profile;
    for (uint8_t i = 0; i < profile->pins_count; i++) {
        const fw_board_pin_t *pin = &profile->pins[i];
        if (pin->pin.type == FW_POINT_DIGITAL_OUTPUT) {
            begin_output(pin);
        }
    }
    for (uint8_t i = 0; i < profile->pins_count; i++) {
        const fw_board_pin_t *pin = &profile->pins[i];
        if (pin->pin.type == FW_POINT_DIGITAL_INPUT) {
            begin_input(pin);
        }
    }
}

int32_t fw_esp_pins_read(uint8_t channel)
{
    if (channel >= pins.profile->pins_count) {
        return 0;
    }
    const fw_board_pin_t *pin = &pins.profile->pins[channel];
    if (pin->driver == FW_DRIVER_ADC) {
        return fw_adc_millivolts(fw_median(&pins.adc), pins.profile->adc_full_mv);
    }
    uint32_t level = pin->driver == FW_DRIVER_GPIO16 ? FW_RTC_GPIO_IN : FW_GPIO_IN >> pin->gpio;
    return ((level & 1u) != 0u) != pin->is_active_low ? 1 : 0;
}

void fw_esp_pins_write(uint8_t channel, int32_t value)
{
    if (channel < pins.profile->pins_count) {
        write_pin(&pins.profile->pins[channel], value != 0);
    }
}

void fw_esp_pins_poll(void)
{
    fw_relays_t next = pins.relays;
    uint8_t frame[FW_RELAY_FRAME_BYTES];
    if (fw_relays_next(&next, frame) && fw_esp_console_bytes(frame, sizeof frame)) {
        pins.relays = next;
    }
}

bool fw_esp_pins_button(void)
{
    for (uint8_t i = 0; i < pins.profile->pins_count; i++) {
        const fw_board_pin_t *pin = &pins.profile->pins[i];
        bool is_gpio0 = pin->driver == FW_DRIVER_GPIO && pin->gpio == 0u;
        if (is_gpio0 && pin->pin.type == FW_POINT_DIGITAL_OUTPUT) {
            return false;
        }
    }
    return (FW_GPIO_IN & 1u) == 0u;
}

bool fw_esp_pins_have_adc(void)
{
    return pins.profile->adc_full_mv != 0u;
}

void fw_esp_pins_take_adc(uint16_t reading)
{
    fw_median_put(&pins.adc, reading);
}
