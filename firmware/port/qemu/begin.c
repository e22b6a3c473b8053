/*
 * begin.c: from the first instruction to main, and the end at a fault.
 *
 * Nothing is to be cleared or copied: QEMU loads the ELF file into memory that is zero.
 */
#include "simcall.h"

enum { STATUS_FAULT = 70, ARGUMENTS_MAX = 40 };

int main(int count, char **arguments);

/* Called by start.S. */
_Noreturn void fw_begin(void);
_Noreturn void fw_fault(uint32_t cause, uint32_t at, uint32_t address);

void fw_begin(void)
{
    const char *arguments[ARGUMENTS_MAX] = {"firmware"};
    static const char too_many[] = "too many arguments\n";
    size_t count = 1;
    if (!simcall_arguments(arguments + 1, ARGUMENTS_MAX - 1, &count)) {
        simcall_write(2, too_many, sizeof(too_many) - 1u);
        simcall_exit(STATUS_FAULT);
    }
    simcall_exit(main((int)count + 1, (char **)arguments));
}

static void say_hex(const char *what, size_t length, uint32_t value)
{
    char digits[9];
    for (int i = 0; i < 8; i++) {
        uint32_t digit = (value >> (28 - 4 * i)) & 15u;
        digits[i] = (char)(digit < 10u ? '0' + digit : 'a' + digit - 10u);
    }
    digits[8] = '\n';
    simcall_write(2, what, length);
    simcall_write(2, digits, sizeof(digits));
}

void fw_fault(uint32_t cause, uint32_t at, uint32_t address)
{
    say_hex("fault: exception ", 17, cause);
    say_hex("  at ", 5, at);
    say_hex("  address ", 10, address);
    simcall_exit(STATUS_FAULT);
}
