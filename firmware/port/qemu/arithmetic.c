/*
 * arithmetic.c: what the compiler calls to divide, which the chip has in its ROM and Debian's
 * libgcc for the LX106 lacks. Long division in base 2 from the first digit that matters; QEMU is to
 * cost as many instructions as the ROM, within reason, so nothing here is clever.
 */
#include <stddef.h>
#include <stdint.h>

/* The compiler's names, which no header declares. */
uint32_t __udivsi3(uint32_t dividend, uint32_t divisor);
uint32_t __umodsi3(uint32_t dividend, uint32_t divisor);
int32_t __divsi3(int32_t dividend, int32_t divisor);
int32_t __modsi3(int32_t dividend, int32_t divisor);
int64_t __muldi3(int64_t a, int64_t b);
uint64_t __udivdi3(uint64_t dividend, uint64_t divisor);
uint64_t __umoddi3(uint64_t dividend, uint64_t divisor);
int64_t __divdi3(int64_t dividend, int64_t divisor);
int64_t __moddi3(int64_t dividend, int64_t divisor);

/* By 0 everything is 0 and the rest all: no program of ours asks. */
static uint32_t divide(uint32_t dividend, uint32_t divisor, uint32_t *rest)
{
    uint32_t quotient = 0;
    if (divisor != 0u && dividend >= divisor) {
        int steps = __builtin_clz(divisor) - __builtin_clz(dividend);
        divisor <<= steps;
        for (; steps >= 0; steps--) {
            quotient <<= 1;
            if (dividend >= divisor) {
                dividend -= divisor;
                quotient |= 1u;
            }
            divisor >>= 1;
        }
    }
    *rest = dividend;
    return quotient;
}

static int leading_zeros(uint64_t value)
{
    uint32_t high = (uint32_t)(value >> 32);
    return high != 0u ? __builtin_clz(high) : 32 + __builtin_clz((uint32_t)value);
}

static uint64_t divide_long(uint64_t dividend, uint64_t divisor, uint64_t *rest)
{
    if ((dividend | divisor) >> 32 == 0u) {
        uint32_t short_rest;
        uint32_t quotient = divide((uint32_t)dividend, (uint32_t)divisor, &short_rest);
        *rest = short_rest;
        return quotient;
    }
    uint64_t quotient = 0;
    if (divisor != 0u && dividend >= divisor) {
        int steps = leading_zeros(divisor) - leading_zeros(dividend);
        divisor <<= steps;
        for (; steps >= 0; steps--) {
            quotient <<= 1;
            if (dividend >= divisor) {
                dividend -= divisor;
                quotient |= 1u;
            }
            divisor >>= 1;
        }
    }
    *rest = dividend;
    return quotient;
}

static uint32_t magnitude(int32_t value)
{
    return value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
}

static uint64_t magnitude_long(int64_t value)
{
    return value < 0 ? 0u - (uint64_t)value : (uint64_t)value;
}

uint32_t __udivsi3(uint32_t dividend, uint32_t divisor)
{
    uint32_t rest;
    return divide(dividend, divisor, &rest);
}

uint32_t __umodsi3(uint32_t dividend, uint32_t divisor)
{
    uint32_t rest;
    divide(dividend, divisor, &rest);
    return rest;
}

int32_t __divsi3(int32_t dividend, int32_t divisor)
{
    uint32_t rest;
    uint32_t quotient = divide(magnitude(dividend), magnitude(divisor), &rest);
    return (int32_t)((dividend < 0) != (divisor < 0) ? 0u - quotient : quotient);
}

int32_t __modsi3(int32_t dividend, int32_t divisor)
{
    uint32_t rest;
    divide(magnitude(dividend), magnitude(divisor), &rest);
    return (int32_t)(dividend < 0 ? 0u - rest : rest);
}

uint64_t __udivdi3(uint64_t dividend, uint64_t divisor)
{
    uint64_t rest;
    return divide_long(dividend, divisor, &rest);
}

uint64_t __umoddi3(uint64_t dividend, uint64_t divisor)
{
    uint64_t rest;
    divide_long(dividend, divisor, &rest);
    return rest;
}

int64_t __divdi3(int64_t dividend, int64_t divisor)
{
    uint64_t rest;
    uint64_t quotient = divide_long(magnitude_long(dividend), magnitude_long(divisor), &rest);
    return (int64_t)((dividend < 0) != (divisor < 0) ? 0u - quotient : quotient);
}

int64_t __moddi3(int64_t dividend, int64_t divisor)
{
    uint64_t rest;
    divide_long(magnitude_long(dividend), magnitude_long(divisor), &rest);
    return (int64_t)(dividend < 0 ? 0u - rest : rest);
}

/* The LX106 multiplies words to words, and half words to words. */
static uint64_t multiply(uint32_t a, uint32_t b)
{
    uint32_t low = (a & 0xFFFFu) * (b & 0xFFFFu);
    uint32_t middle = (a >> 16) * (b & 0xFFFFu);
    uint32_t other = (a & 0xFFFFu) * (b >> 16);
    uint32_t high = (a >> 16) * (b >> 16);
    uint32_t sum = middle + other;
    high += sum < middle ? 0x10000u : 0u;
    uint32_t whole = low + (sum << 16);
    high += (sum >> 16) + (whole < low ? 1u : 0u);
    return ((uint64_t)high << 32) | whole;
}

int64_t __muldi3(int64_t a, int64_t b)
{
    uint64_t product = multiply((uint32_t)a, (uint32_t)b);
    uint32_t high = (uint32_t)((uint64_t)a >> 32) * (uint32_t)b +
                    (uint32_t)a * (uint32_t)((uint64_t)b >> 32);
    return (int64_t)(product + ((uint64_t)high << 32));
}
