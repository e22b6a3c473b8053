/*
 * registers.h: the chip's registers that the port uses itself, by address.
 *
 * So pins and console need no header of the SDK, and are compiled and checked wherever the compiler
 * is.
 */
#ifndef FW_REGISTERS_H
#define FW_REGISTERS_H

#include <stdint.h>

#define FW_REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

/* General pins 0 to 15, a bit each. */
#define FW_GPIO_SET FW_REGISTER(0x60000304u)     /* write 1: high */
#define FW_GPIO_CLEAR FW_REGISTER(0x60000308u)   /* write 1: low */
#define FW_GPIO_DRIVE FW_REGISTER(0x60000310u)   /* write 1: output */
#define FW_GPIO_RELEASE FW_REGISTER(0x60000314u) /* write 1: input */
#define FW_GPIO_IN FW_REGISTER(0x60000318u)

/* What each pin's pad is connected to. */
#define FW_PAD(offset) FW_REGISTER(0x60000800u + (offset))
#define FW_PAD_FUNCTION_MASK 0x130u /* bits 4, 5 and 8 */
#define FW_PAD_FUNCTION_SHIFT 4u
#define FW_PAD_PULL_UP 0x80u

/* Pin 16, which belongs to the clock that runs on through sleep. */
#define FW_RTC_GPIO_OUT FW_REGISTER(0x60000768u)
#define FW_RTC_GPIO_DRIVE FW_REGISTER(0x60000774u)
#define FW_RTC_GPIO_IN FW_REGISTER(0x6000078Cu)
#define FW_RTC_GPIO_CONFIG FW_REGISTER(0x60000790u)
#define FW_RTC_PAD FW_REGISTER(0x600007A0u)
#define FW_RTC_PAD_MASK 0x43u
#define FW_RTC_PAD_GPIO 0x01u

/* The first serial port. */
#define FW_UART_FIFO FW_REGISTER(0x60000000u)
#define FW_UART_CAUSES FW_REGISTER(0x60000008u)  /* of the interrupt, a bit each */
#define FW_UART_ENABLED FW_REGISTER(0x6000000Cu) /* causes that interrupt */
#define FW_UART_CLEAR FW_REGISTER(0x60000010u)   /* write 1: it is seen to */
#define FW_UART_WHEN FW_REGISTER(0x60000024u)    /* how full, and how long silent */
#define FW_UART_CAUSE_FULL (1u << 0)
#define FW_UART_CAUSE_OVERFLOW (1u << 4)
#define FW_UART_CAUSE_SILENT (1u << 8)
#define FW_UART_WHEN_FULL_MASK 0x7Fu
#define FW_UART_WHEN_SILENT_SHIFT 24u /* in bytes' times */
#define FW_UART_WHEN_SILENT_MASK (0x7Fu << 24)
#define FW_UART_WHEN_SILENT_ON (1u << 31)
#define FW_UART_RECEIVED_MASK 0xFFu /* of the status: bytes that came */
#define FW_UART_DIVIDER FW_REGISTER(0x60000014u)
#define FW_UART_STATUS FW_REGISTER(0x6000001Cu)
#define FW_UART_SENDING_SHIFT 16u
#define FW_UART_SENDING_MASK 0xFFu
#define FW_UART_FIFO_BYTES 128u
#define FW_UART_CLOCK_HZ 80000000u

#endif
