/*
 * board.h: the boards that the firmware knows: their pins as scripts name them, and what each pin
 * does while the chip starts, before any of our code has run.
 *
 * A profile is data alone. The port drives pins by it, the compiler takes its names, and whoever
 * sets a board up is warned by fw_profile_warning. Facts of the pins are the chip's (its boot
 * straps and boot log), those of the boards their makers' drawings; none was checked on hardware.
 */
#ifndef FW_BOARD_H
#define FW_BOARD_H

#include "compile.h"

#define FW_BOARD_PINS_MAX 10u

/* How a pin's level gets out. */
typedef enum {
    FW_DRIVER_GPIO = 0,
    FW_DRIVER_GPIO16,   /* of the RTC's block, with registers of its own */
    FW_DRIVER_ADC,      /* the one analogue input */
    FW_DRIVER_UART_MCU, /* frames to a second controller, which switches the relays */
} fw_driver_t;

/* Who has the first serial port. */
typedef enum {
    FW_CONSOLE_UART0 = 0,
    FW_CONSOLE_UART0_10S, /* for ten seconds after a reset, then the relays' controller */
    FW_CONSOLE_NONE,
} fw_console_t;

/* How the flash chip is wired: what an image's header says. */
typedef enum {
    FW_FLASH_QIO = 0,
    FW_FLASH_QOUT,
    FW_FLASH_DIO,
    FW_FLASH_DOUT,
} fw_flash_mode_t;

/* What the chip does with a pin from power-up until our first instruction. */
typedef enum {
    FW_RESET_FLOATS = 0,  /* an input; a resistor decides */
    FW_RESET_STRAP_HIGH,  /* must be high for a normal start */
    FW_RESET_STRAP_LOW,   /* must be low */
    FW_RESET_BOOT_LOG,    /* the ROM prints on it: pulses for some 40 ms */
    FW_RESET_HIGH,        /* driven or pulled high */
} fw_level_at_reset_t;

typedef struct {
    fw_pin_t pin;       /* name and type, and as channel the pin's place among the profile's */
    uint8_t gpio;       /* the chip's number, or the relay's, from 1, behind UART_MCU */
    uint8_t driver;     /* fw_driver_t */
    bool is_active_low; /* 1 of the script is a low level */
} fw_board_pin_t;

typedef struct {
    const char *name;  /* what settings call it */
    const char *title; /* what people call it */
    const fw_board_pin_t *pins;
    uint32_t baud;          /* of the relays' controller; 0: there is none */
    uint16_t adc_full_mv;   /* at the pin of the board, for the ADC's 1023; 0: not wired */
    uint8_t pins_count;
    uint8_t console;        /* fw_console_t */
    uint8_t flash_mode;     /* fw_flash_mode_t */
} fw_profile_t;

/* The profile at a place, from 0; NULL behind the last one. */
const fw_profile_t *fw_profile_at(size_t at);

/* The profile of that name, or NULL. */
const fw_profile_t *fw_profile_find(fw_span_t name);

/* Its pins as the compiler wants them. `pins` has room for FW_BOARD_PINS_MAX and stays as long
 * as the board. */
fw_board_t fw_profile_board(const fw_profile_t *profile, fw_pin_t pins[FW_BOARD_PINS_MAX]);

/* What a pin of the chip does at a reset. */
fw_level_at_reset_t fw_reset_of(uint8_t gpio);

/* What a person should know of an output before it switches anything, or NULL. */
const char *fw_profile_warning(const fw_board_pin_t *pin);

#endif
