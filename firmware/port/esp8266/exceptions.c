/*
 * exceptions.c: the net under the rule that flash is read by whole words.
 *
 * A narrower load from there raises an exception. The SDK (v3) has a handler that makes the load up
 * out of words; ours counts before it does. The count is to stay 0: what is ours never does it (see
 * crates/xtask, `firmware`), so somebody handed the SDK a pointer into flash.
 *
 * In IRAM, for it may come while flash cannot be read.
 */
#include "esp.h"

/* LoadStoreErrorCause of the instruction set. */
#define CAUSE_NARROW_LOAD 3

/* The SDK's frame of whatever was interrupted: handed on as it is. */
typedef void handler_t(void *frame, int cause);

/* In the chip's ROM. Sets a handler and gives the one before. */
handler_t *_xtos_set_exception_handler(int cause, handler_t *handler);

static handler_t *handler_before;
static volatile uint32_t narrow_loads;

static __attribute__((section(".iram.text"))) void count_narrow_load(void *frame, int cause)
{
    narrow_loads++;
    handler_before(frame, cause);
}

void fw_esp_exceptions_begin(void)
{
    handler_t *before = _xtos_set_exception_handler(CAUSE_NARROW_LOAD, count_narrow_load);
    if (before == NULL) {
        /* No SDK that we know: nobody would make the load up. */
        _xtos_set_exception_handler(CAUSE_NARROW_LOAD, before);
        return;
    }
    handler_before = before;
}

uint32_t fw_esp_narrow_loads(void)
{
    return narrow_loads;
}
