/*
 * libc.c: what the SDK's libraries want of their own C library and picolibc does not have.
 *
 * They look characters up in newlib's table, by a pointer that newlib exports: entry c + 1 has the
 * class of character c. Only the parsing of IP addresses does so, which asks for digits and spaces.
 * It lies in RAM, for the SDK loads bytes of it.
 */
#include <stdint.h>

#define UPPER 0x01
#define LOWER 0x02
#define DIGIT 0x04
#define SPACE 0x08
#define HEX 0x40

/* Up to the last character that has a class. */
static char classes[129] = {
    ['\t' + 1] = SPACE, ['\n' + 1] = SPACE, ['\v' + 1] = SPACE, ['\f' + 1] = SPACE,
    ['\r' + 1] = SPACE, [' ' + 1] = SPACE,
    ['0' + 1] = DIGIT,  ['1' + 1] = DIGIT,  ['2' + 1] = DIGIT,  ['3' + 1] = DIGIT,
    ['4' + 1] = DIGIT,  ['5' + 1] = DIGIT,  ['6' + 1] = DIGIT,  ['7' + 1] = DIGIT,
    ['8' + 1] = DIGIT,  ['9' + 1] = DIGIT,
    ['A' + 1] = UPPER | HEX, ['B' + 1] = UPPER | HEX, ['C' + 1] = UPPER | HEX,
    ['D' + 1] = UPPER | HEX, ['E' + 1] = UPPER | HEX, ['F' + 1] = UPPER | HEX,
    ['a' + 1] = LOWER | HEX, ['b' + 1] = LOWER | HEX, ['c' + 1] = LOWER | HEX,
    ['d' + 1] = LOWER | HEX, ['e' + 1] = LOWER | HEX, ['f' + 1] = LOWER | HEX,
};

extern char *__ctype_ptr__;
char *__ctype_ptr__ = classes;
