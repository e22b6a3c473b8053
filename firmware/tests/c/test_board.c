/*
 * test_board.c: the table of boards: every profile can be used as it stands, and warns where it
 * must.
 */
#include "board.h"
#include "check.h"
#include "code.h"

#include <string.h>

static fw_span_t span(const char *text)
{
    return (fw_span_t){(const uint8_t *)text, strlen(text)};
}

/* One pin of a profile: its channel, and that its name and its place on the chip are its own. */
static void check_pin(const fw_profile_t *profile, uint8_t at)
{
    const fw_board_pin_t *pin = &profile->pins[at];
    CHECK_NOTE(pin->pin.channel == at, profile->name);
    CHECK_NOTE((pin->driver == FW_DRIVER_ADC) == (pin->pin.type == FW_POINT_ANALOGUE_INPUT),
               profile->name);
    CHECK_NOTE((pin->driver == FW_DRIVER_GPIO16) == (pin->gpio == 16u), profile->name);
    CHECK_NOTE(pin->driver != FW_DRIVER_UART_MCU || profile->baud != 0u, profile->name);
    CHECK_NOTE(pin->driver != FW_DRIVER_ADC || profile->adc_full_mv != 0u, profile->name);
    /* 6 to 11 are wired to the flash chip. */
    CHECK_NOTE(pin->driver != FW_DRIVER_GPIO || pin->gpio < 6u || pin->gpio > 11u, profile->name);
    for (uint8_t other = 0; other < at; other++) {
        const fw_board_pin_t *before = &profile->pins[other];
        CHECK_NOTE(strcmp(before->pin.name, pin->pin.name) != 0, profile->name);
        bool is_chips = before->driver != FW_DRIVER_UART_MCU && pin->driver != FW_DRIVER_UART_MCU;
        CHECK_NOTE(!is_chips || before->gpio != pin->gpio, profile->name);
    }
}

void test_board(void)
{
    size_t count = 0;
    const fw_profile_t *profile;
    while ((profile = fw_profile_at(count)) != NULL) {
        fw_pin_t pins[FW_BOARD_PINS_MAX];
        fw_board_t board = fw_profile_board(profile, pins);
        CHECK_NOTE(board.count == profile->pins_count && board.count > 0u, profile->name);
        CHECK_NOTE(fw_profile_find(span(profile->name)) == profile, profile->name);
        CHECK_NOTE(profile->console == FW_CONSOLE_UART0 || profile->baud != 0u, profile->name);
        for (uint8_t at = 0; at < profile->pins_count; at++) {
            check_pin(profile, at);
        }
        count++;
    }
    CHECK(count == 9);
    CHECK(fw_profile_find(span("sonoff")) == NULL);

    static const struct {
        fw_board_pin_t pin;
        const char *warns; /* a word of it */
    } rows[] = {
        {{{"RL1", FW_POINT_DIGITAL_OUTPUT, 0}, 0, FW_DRIVER_GPIO, false}, "is on while"},
        {{{"RL1", FW_POINT_DIGITAL_OUTPUT, 0}, 0, FW_DRIVER_GPIO, true}, "does not start"},
        {{{"RL1", FW_POINT_DIGITAL_OUTPUT, 0}, 15, FW_DRIVER_GPIO, false}, "does not start"},
        {{{"RL1", FW_POINT_DIGITAL_OUTPUT, 0}, 15, FW_DRIVER_GPIO, true}, "is on while"},
        {{{"RL1", FW_POINT_DIGITAL_OUTPUT, 0}, 1, FW_DRIVER_GPIO, false}, "flutters"},
        {{{"RL1", FW_POINT_DIGITAL_OUTPUT, 0}, 16, FW_DRIVER_GPIO16, false}, "high at reset"},
        {{{"RL1", FW_POINT_DIGITAL_OUTPUT, 0}, 16, FW_DRIVER_GPIO16, true}, NULL},
        {{{"RL1", FW_POINT_DIGITAL_OUTPUT, 0}, 12, FW_DRIVER_GPIO, false}, NULL},
        {{{"DI1", FW_POINT_DIGITAL_INPUT, 0}, 0, FW_DRIVER_GPIO, true}, NULL},
        {{{"RL1", FW_POINT_DIGITAL_OUTPUT, 0}, 1, FW_DRIVER_UART_MCU, false}, NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *warning = fw_profile_warning(&rows[i].pin);
        CHECK((warning == NULL) == (rows[i].warns == NULL));
        CHECK(warning == NULL || strstr(warning, rows[i].warns) != NULL);
    }
}
