/*
 * byte_loads.c: a plugin of QEMU that ends the emulator when the core loads less than a word out of flash.
 *
 *   -plugin libbyte_loads.so,code=FROM-TO,flash=FROM-TO[,flash=FROM-TO …]     (hexadecimal addresses)
 *
 * A chip faults there; QEMU does not. `code` is where the core's instructions lie: tests and the C library may
 * load what they like. `flash` is where constants lie, and what a test calls a flash chip.
 *
 * Built for this machine, by no header: Debian ships none. What follows is as QEMU 7.2 has it, version 1 of the
 * interface, which later ones still take.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the interface ---- */

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
struct qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*on_translated_t)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*on_access_t)(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t address,
                            void *instruction);
/* Of reads alone 7.2 does not tell; but those instructions only read. */
enum { NO_REGISTERS = 0, READS_AND_WRITES = 3 };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, on_translated_t callback);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, on_access_t callback, int flags,
                                      int which, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t at);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

#define EXPORTED __attribute__((visibility("default")))
EXPORTED int qemu_plugin_version = 1;
EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info, int count,
                                 char **arguments);

/* ---- ours ---- */

#define RANGES_MAX 4u

typedef struct {
    uint64_t from, to;
} range_t;

static range_t code;
static range_t flash[RANGES_MAX];
static unsigned ranges;

static bool is_in(const range_t *range, uint64_t address)
{
    return address >= range->from && address < range->to;
}

static void on_access(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t address,
                      void *instruction)
{
    (void)cpu;
    (void)info;
    for (unsigned i = 0; i < ranges; i++) {
        if (is_in(&flash[i], address)) {
            fprintf(stderr, "less than a word is loaded out of flash, %#llx, by the code at %#llx\n",
                    (unsigned long long)address, (unsigned long long)(uintptr_t)instruction);
            exit(3);
        }
    }
}

/* L8UI, L16UI and L16SI (Xtensa ISA, format RRI8): op0 is 2, and r tells which. */
static bool is_byte_load(const uint8_t *bytes)
{
    uint8_t r = bytes[1] >> 4;
    return (bytes[0] & 0xFu) == 2u && (r == 0u || r == 1u || r == 9u);
}

static void on_translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    size_t count = qemu_plugin_tb_n_insns(tb);
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uint64_t address = qemu_plugin_insn_vaddr(insn);
        if (is_in(&code, address) && is_byte_load(qemu_plugin_insn_data(insn))) {
            qemu_plugin_register_vcpu_mem_cb(insn, on_access, NO_REGISTERS,
                                             READS_AND_WRITES, (void *)(uintptr_t)address);
        }
    }
}

static bool read_range(const char *text, range_t *range)
{
    char *end = NULL;
    range->from = strtoull(text, &end, 16);
    if (*end != '-') {
        return false;
    }
    range->to = strtoull(end + 1, &end, 16);
    return *end == '\0' && range->from < range->to;
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info, int count,
                        char **arguments)
{
    (void)info;
    for (int i = 0; i < count; i++) {
        bool is_good = false;
        if (strncmp(arguments[i], "code=", 5) == 0) {
            is_good = read_range(arguments[i] + 5, &code);
        } else if (strncmp(arguments[i], "flash=", 6) == 0 && ranges < RANGES_MAX) {
            is_good = read_range(arguments[i] + 6, &flash[ranges++]);
        }
        if (!is_good) {
            fprintf(stderr, "expected code=FROM-TO and flash=FROM-TO, not %s\n", arguments[i]);
            return 1;
        }
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translated);
    return 0;
}
