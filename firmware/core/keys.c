/*
 * keys.c: see keys.h.
 */
#include "keys.h"

const uint8_t *fw_keys_choose(const fw_keys_t *keys, bool is_next)
{
    return is_next ? keys->next : keys->current;
}

bool fw_keys_change(fw_keys_t *keys, bool is_next, const uint8_t *key)
{
    const uint8_t *proven = fw_keys_choose(keys, is_next);
    if (key == NULL ? !keys->has_next : fw_equal(key, proven, FW_LINK_KEY_BYTES)) {
        return false;
    }
    if (key != NULL && keys->has_next && !is_next &&
        fw_equal(key, keys->next, FW_LINK_KEY_BYTES)) {
        return false;
    }
    fw_keys_t changed = {.has_next = key != NULL};
    fw_copy(changed.current, proven, FW_LINK_KEY_BYTES);
    if (key != NULL) {
        fw_copy(changed.next, key, FW_LINK_KEY_BYTES);
    }
    *keys = changed;
    fw_keys_wipe(&changed);
    return true;
}

void fw_keys_wipe(fw_keys_t *keys)
{
    volatile uint8_t *bytes = (volatile uint8_t *)keys;
    for (size_t i = 0; i < sizeof *keys; i++) {
        bytes[i] = 0;
    }
}
