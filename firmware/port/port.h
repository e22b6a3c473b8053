/* What the core asks of the machine under it. One port: one struct of functions and its own ctx.
 *
 * Nothing here blocks. Input is not asked for but pushed in: fw_controller_receive() consumes all
 * that it is given, for espconn's buffers live only as long as its callback.
 */
#ifndef FW_PORT_H
#define FW_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum fw_log_level {
    FW_LOG_ERROR = 0,
    FW_LOG_WARN = 1,
    FW_LOG_INFO = 2,
    FW_LOG_DEBUG = 3,
} fw_log_level_t;

typedef struct fw_port {
    /* Handed back to every function below, untouched. */
    void *ctx;

    /* Offers bytes to the open link. Returns how many were taken, from the front; 0 = none now, try
     * later; negative = the link is lost. The core leaves the taken bytes where they are until
     * fw_controller_sent() says that the port has done with them, and sends nothing meanwhile. */
    int32_t (*send)(void *ctx, const uint8_t *bytes, size_t len);

    /* A monotonic millisecond count that wraps at 2^32. Never the wall clock. */
    uint32_t (*now_ms)(void *ctx);

    /* Fills `into` from a cryptographic source: ephemeral keys come from here. */
    void (*random)(void *ctx, uint8_t *into, size_t len);

    /* One line, no secrets, no line end. */
    void (*log)(void *ctx, fw_log_level_t level, const char *text);

    /* Starts to connect to the gateway of that index (0 or 1). The answer comes later, as
     * fw_controller_connected() or fw_controller_disconnected(). Must not call back at once. */
    void (*dial)(void *ctx, uint8_t gateway);

    /* Drops the link or the attempt. What was handed to `send` before should still leave. The port
     * need not answer: the core has already forgotten the link. May be called from inside a receive:
     * a port whose stack forbids closing there posts itself a task. */
    void (*hang_up)(void *ctx);

    /* The level of an input: 0 or 1 for a digital one, thousandths for an analogue one. */
    int32_t (*read_input)(void *ctx, uint8_t channel);

    /* Sets an output; called at the end of a scan, only when the value changed. */
    void (*write_output)(void *ctx, uint8_t channel, int32_t value);
} fw_port_t;

/* The flash chip. Every call is synchronous and returns false if the chip refused. Addresses count
 * from the chip's first byte and are multiples of four, and so are the lengths, told in words. A
 * word's lowest byte lies at the lowest address. All pointers but `map`'s are to RAM. */
typedef struct fw_flash_port {
    /* Handed back to every function below, untouched. */
    void *ctx;

    bool (*read)(void *ctx, uint32_t address, uint32_t *into, size_t words);

    /* Never called twice for a word between two erases. */
    bool (*program)(void *ctx, uint32_t address, const uint32_t *words, size_t count);

    /* Where the processor finds what lies at `address`, to run or to hand out as it stands. On the
     * chip only whole words may be loaded from there. Good until the sector is erased. */
    const uint32_t *(*map)(void *ctx, uint32_t address);

    /* Erases the 4 KB sector that begins at `address`. Stalls everything for 45 to 400 ms. */
    bool (*erase)(void *ctx, uint32_t address);
} fw_flash_port_t;

/* Channels of the virtual board. A board profile maps its own to pins. */
enum {
    FW_CHANNEL_DI1 = 0,
    FW_CHANNEL_DI2 = 1,
    FW_CHANNEL_RL1 = 2,
    FW_CHANNEL_AI0 = 3,
    FW_CHANNEL_AO1 = 4,
    FW_CHANNEL_DI3 = 5,
    FW_CHANNEL_DI4 = 6,
    FW_CHANNEL_RL2 = 7,
    FW_CHANNEL_RL3 = 8,
    FW_CHANNEL_RL4 = 9,
    FW_CHANNELS = 10,
};

#endif
