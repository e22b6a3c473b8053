/*
 * access.c: see access.h.
 */
#include "access.h"

void fw_access_begin(fw_access_t *access, bool is_set_up, bool is_power_on, uint32_t now_ms)
{
    *access = (fw_access_t){
        .begun_ms = now_ms,
        .joined_ms = now_ms,
        .is_open = !is_set_up,
        .is_early = is_power_on,
    };
}

fw_access_change_t fw_access_next(fw_access_t *access, bool is_joined, bool has_label,
                                  uint32_t now_ms)
{
    bool is_over = access->is_protected && is_joined;
    if (now_ms - access->begun_ms >= FW_ACCESS_OPEN_MS) {
        access->is_early = false;
        is_over = is_over || !access->is_protected;
    }
    if (is_joined) {
        access->joined_ms = now_ms;
    }
    if (access->is_open && is_over) {
        access->is_open = false;
        access->is_protected = false;
        return FW_ACCESS_CLOSES;
    }
    bool is_lost = now_ms - access->joined_ms >= FW_ACCESS_LOST_MS;
    if (!access->is_open && is_lost && has_label) {
        access->is_open = true;
        access->is_protected = true;
        return FW_ACCESS_OPENS;
    }
    return FW_ACCESS_STAYS;
}

bool fw_access_is_setup_open(const fw_access_t *access)
{
    return access->is_open || access->is_early;
}

bool fw_access_must_join(fw_access_t *access, bool is_joined, bool has_guests, uint32_t now_ms)
{
    uint32_t pause_ms = has_guests ? FW_ACCESS_JOIN_BESIDE_MS : FW_ACCESS_JOIN_MS;
    if (is_joined || (access->has_tried && now_ms - access->tried_ms < pause_ms)) {
        return false;
    }
    access->has_tried = true;
    access->tried_ms = now_ms;
    return true;
}
