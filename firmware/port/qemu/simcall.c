/*
 * simcall.c: see simcall.h.
 */
#include "simcall.h"

enum {
    CALL_EXIT = 1,
    CALL_READ = 3,
    CALL_WRITE = 4,
    CALL_OPEN = 5,
    CALL_SELECT_ONE = 29,
    CALL_ARGUMENTS = 1000,
    CALL_ARGUMENTS_BYTES = 1001,
    CALL_ARGUMENTS_COPY = 1002,
};

enum { FOR_READ = 1, FOR_WRITE = 2 };

/* A command line is short; longer ones are refused. */
enum { ARGUMENT_WORDS = 256 };

static int32_t call(int32_t number, int32_t first, int32_t second, int32_t third)
{
    register int32_t a2 __asm__("a2") = number;
    register int32_t a3 __asm__("a3") = first;
    register int32_t a4 __asm__("a4") = second;
    register int32_t a5 __asm__("a5") = third;
    __asm__ volatile("simcall" : "+r"(a2), "+r"(a3) : "r"(a4), "r"(a5) : "memory");
    return a2;
}

static int32_t place(const void *pointer)
{
    return (int32_t)(uintptr_t)pointer;
}

void simcall_exit(int32_t status)
{
    for (;;) {
        call(CALL_EXIT, status, 0, 0);
    }
}

int32_t simcall_read(int32_t descriptor, void *into, size_t length)
{
    return call(CALL_READ, descriptor, place(into), (int32_t)length);
}

int32_t simcall_write(int32_t descriptor, const void *bytes, size_t length)
{
    return call(CALL_WRITE, descriptor, place(bytes), (int32_t)length);
}

int32_t simcall_open(const char *path)
{
    return call(CALL_OPEN, place(path), 0, 0);
}

bool simcall_ready(int32_t descriptor, bool to_write, uint32_t wait_ms)
{
    const uint32_t wait[2] = {wait_ms / 1000u, wait_ms % 1000u * 1000u};
    return call(CALL_SELECT_ONE, descriptor, to_write ? FOR_WRITE : FOR_READ, place(wait)) > 0;
}

bool simcall_arguments(const char **arguments, size_t most, size_t *found)
{
    static uint32_t words[ARGUMENT_WORDS];
    int32_t count = call(CALL_ARGUMENTS, 0, 0, 0);
    *found = 0;
    if (count < 2) {
        return true;
    }
    if (call(CALL_ARGUMENTS_BYTES, 0, 0, 0) > (int32_t)sizeof(words) || (size_t)count - 1u > most) {
        return false;
    }
    call(CALL_ARGUMENTS_COPY, place(words), 0, 0);
    for (; *found + 1u < (size_t)count; (*found)++) {
        arguments[*found] = (const char *)(uintptr_t)words[*found + 1u];
    }
    return true;
}

uint32_t simcall_cycles(void)
{
    uint32_t cycles;
    __asm__ volatile("rsr %0, ccount" : "=r"(cycles));
    return cycles;
}
