/*
 * stdio.c: what picolibc asks of a machine, for tests and benchmarks under QEMU. No image has it.
 */
#include "simcall.h"

#include <stdio.h>
#include <stdlib.h>

enum { STANDARD_OUTPUT = 1, LINE_BYTES = 256, STATUS_ABORTED = 71 };

static char line[LINE_BYTES];
static size_t length;

static int flush(FILE *file)
{
    (void)file;
    simcall_write(STANDARD_OUTPUT, line, length);
    length = 0;
    return 0;
}

static int put(char byte, FILE *file)
{
    line[length++] = byte;
    if (length == sizeof(line) || byte == '\n') {
        flush(file);
    }
    return byte;
}

static FILE output = FDEV_SETUP_STREAM(put, NULL, flush, _FDEV_SETUP_WRITE);
FILE *const stdout = &output;
FILE *const stderr = &output;

void _exit(int status)
{
    flush(&output);
    simcall_exit(status);
}

void abort(void)
{
    flush(&output);
    simcall_exit(STATUS_ABORTED);
}
