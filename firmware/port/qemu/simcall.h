/*
 * simcall.h: what QEMU does for a program on its simulated board: the `simcall` instruction, number
 * in a2, arguments in a3 to a5, result in a2. Descriptors 0 to 2 are QEMU's own standard streams.
 */
#ifndef FW_SIMCALL_H
#define FW_SIMCALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ends the run; this is QEMU's exit status. */
_Noreturn void simcall_exit(int32_t status);

/* Bytes read or written; 0 = the other side has closed; negative = an error. May block. */
int32_t simcall_read(int32_t descriptor, void *into, size_t length);
int32_t simcall_write(int32_t descriptor, const void *bytes, size_t length);

/* Opens a file for reading; negative = there is none. */
int32_t simcall_open(const char *path);

/* Whether a read, or else a write, would not block; waits for that so long at most. */
bool simcall_ready(int32_t descriptor, bool to_write, uint32_t wait_ms);

/* The command line after the image's name: -semihosting-config arg=... . Fills up to `most`
 * pointers to strings that stay, and tells their number. False: there are more, and none is told. */
bool simcall_arguments(const char **arguments, size_t most, size_t *found);

/* Cycles at the 40 MHz of QEMU's LX106. Without -icount they follow the real clock; with -icount
 * shift=0, where an instruction takes 1 ns, one passes each 25 instructions. Wraps after 107 s. */
uint32_t simcall_cycles(void);

#define SIMCALL_CYCLES_EACH_MS 40000u

#endif
