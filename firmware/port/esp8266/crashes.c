/*
 * crashes.c: see crashes.h.
 */
#include "crashes.h"

#define MAGIC 0x43525348u
#define COUNT_MAX 2u

static uint32_t check_of(const fw_crashes_t *crashes)
{
    return ~(crashes->magic + crashes->count * 3u + crashes->at_ms[0] * 5u +
             crashes->at_ms[1] * 7u);
}

bool fw_crashes_note(fw_crashes_t *crashes, bool is_crash, uint32_t now_ms)
{
    bool is_known = crashes->magic == MAGIC && crashes->check == check_of(crashes) &&
                    crashes->count <= COUNT_MAX;
    if (!is_known || !is_crash) {
        *crashes = (fw_crashes_t){.magic = MAGIC};
    }
    bool is_third = false;
    if (is_crash && crashes->count < COUNT_MAX) {
        crashes->at_ms[crashes->count++] = now_ms;
    } else if (is_crash) {
        is_third = now_ms - crashes->at_ms[0] <= FW_CRASHES_WITHIN_MS;
        crashes->at_ms[0] = crashes->at_ms[1];
        crashes->at_ms[1] = now_ms;
    }
    crashes->check = check_of(crashes);
    return is_third;
}
