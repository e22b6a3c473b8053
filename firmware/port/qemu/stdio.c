/*
 * stdio.c: what picolibc asks of a machine, for tests and benchmarks under QEMU. No image has it.
 *
 * Output goes to QEMU's own, line by line; files are the host's, and are only read.
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
FILE *const stdin = &output;
FILE *const stdout = &output;
FILE *const stderr = &output;

/* The C library's, which has no header for them here. */
int open(const char *path, int flags, ...);
int close(int descriptor);
int read(int descriptor, void *into, size_t length);
int write(int descriptor, const void *bytes, size_t length);
long lseek(int descriptor, long offset, int whence);

int open(const char *path, int flags, ...)
{
    (void)flags;
    return simcall_open(path);
}

/* The run is short, and the host closes everything at its end. */
int close(int descriptor)
{
    (void)descriptor;
    return 0;
}

int read(int descriptor, void *into, size_t length)
{
    return simcall_read(descriptor, into, length);
}

int write(int descriptor, const void *bytes, size_t length)
{
    return simcall_write(descriptor, bytes, length);
}

long lseek(int descriptor, long offset, int whence)
{
    (void)descriptor;
    (void)offset;
    (void)whence;
    return -1;
}

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
