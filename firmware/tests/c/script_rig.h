/*
 * script_rig.h: a script from its text to a machine that runs it, for the suites about scripts.
 *
 * The board has DI1, DI2, RL1 to RL3, AI0 and AO1: a part of what the virtual board has.
 */
#ifndef FW_TEST_SCRIPT_RIG_H
#define FW_TEST_SCRIPT_RIG_H

#include "compile.h"
#include "vm.h"

extern fw_compiler_t compiler;
extern fw_vm_t vm;
extern uint32_t now_ms;

/* Compiles; what is wrong with the text stands in `compiler`. */
bool compile(const char *text);

/* The names of the built-in scripts. */
extern const char *const built_in[4];

/* Compiles a built-in script by its file's name, once; it stays to the end. */
const fw_program_t *program_of(const char *name);

/* Compiles, which must succeed, and starts the machine. The count goes round in every test. */
void start(const char *text);

/* What a name of the started script holds; NULL: there is none. */
int32_t *cell(const char *name);

/* A scan so much later, without a call. */
void scan(uint32_t after_ms);

#endif
