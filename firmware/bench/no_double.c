/*
 * no_double.c: the arithmetic of doubles that Debian's libgcc for the LX106 lacks and Lua's library
 * names. With 32-bit numbers nothing reaches it; should anything, the run ends rather than count
 * wrongly.
 */
#include <stdlib.h>

/* The compiler's names, which no header declares. */
double __adddf3(double a, double b);
double __subdf3(double a, double b);
double __muldf3(double a, double b);
double __divdf3(double a, double b);
double __floatsidf(int value);

double __adddf3(double a, double b)
{
    (void)a;
    (void)b;
    abort();
}

double __subdf3(double a, double b)
{
    (void)a;
    (void)b;
    abort();
}

double __muldf3(double a, double b)
{
    (void)a;
    (void)b;
    abort();
}

double __divdf3(double a, double b)
{
    (void)a;
    (void)b;
    abort();
}

double __floatsidf(int value)
{
    (void)value;
    abort();
}
