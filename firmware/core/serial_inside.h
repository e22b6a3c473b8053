/*
 * serial_inside.h: what the files of the serial line tell each other. Not for others.
 */
#ifndef FW_SERIAL_INSIDE_H
#define FW_SERIAL_INSIDE_H

#include "serial.h"

/* ---- serial.c ---- */

/* Whether this line may do more than ask. */
bool fw_serial_may(fw_serial_t *serial);
/* Whether a page password is set. */
bool fw_serial_is_protected(fw_serial_t *serial);
/* May from now on, until it is idle for long. */
void fw_serial_unlock(fw_serial_t *serial);

/* The answer's memory for passwords. Nothing may go out, and what was answered last is gone. */
fw_serial_scratch_t *fw_serial_scratch(fw_serial_t *serial);

/* ---- serial_request.c ---- */

/* Goes on with a request; true once it is done, and answered. */
bool fw_serial_request(fw_serial_t *serial, fw_span_t data);

/* ---- serial_improv.c ---- */

/* The same with a command of the standard. */
bool fw_serial_improv(fw_serial_t *serial, fw_span_t data);
/* Looks whether the state is another one now. */
void fw_serial_improv_look(fw_serial_t *serial);
/* Tells an error, and a state that was not told yet; false: not now. */
bool fw_serial_improv_tell(fw_serial_t *serial);

#endif
