/*
 * device_settings.c: what is set up on a device is read and changed, and who it is (api.h). All that is
 * changed is asked for again until it is in flash.
 */
#include "device_inside.h"
#include "text.h"

#include "monocypher.h"

_Static_assert((int)FW_SETTINGS == (int)FW_TEXTS && (int)FW_SETTING_ZONE == (int)FW_TEXT_ZONE &&
                   FW_SETTING_BYTES_MAX == FW_TEXT_SETTING_BYTES_MAX &&
                   FW_VERIFIER_BYTES == FW_PASSWORD_CHECK_BYTES,
               "the API's settings are the configuration's texts");

uint8_t fw_device_setting(void *ctx, fw_setting_t which, uint8_t into[FW_SETTING_BYTES_MAX])
{
    fw_device_t *device = ctx;
    const char *text = device->configuration.texts[which];
    uint8_t length = (uint8_t)fw_string_length(text);
    if (which != FW_SETTING_WIFI_PASSWORD) {
        fw_copy(into, (const uint8_t *)text, length);
    }
    return length;
}

/* A change is asked for again until it is in flash: `is_made` if the configuration has it already, and else
 * it may be made now if the answer is FW_API_WAIT and `may_make`. */
static fw_api_result_t change(fw_device_t *device, bool is_made, bool *may_make)
{
    *may_make = false;
    if (device->saving != 0u) {
        return FW_API_WAIT;
    }
    if (device->save_failed) {
        device->save_failed = false;
        return FW_PROBLEM_STORE;
    }
    *may_make = !is_made;
    return is_made ? FW_PROBLEM_NONE : FW_API_WAIT;
}

/* Whether all of it can be; else `wrong` tells what cannot. */
static bool is_good(const fw_api_change_t *wanted, uint8_t *wrong)
{
    for (uint8_t i = 0; i < FW_SETTINGS; i++) {
        const fw_span_t *text = &wanted->texts[i];
        if (text->bytes != NULL && !fw_text_setting_is_good((fw_text_setting_t)i, *text)) {
            *wrong = i;
            return false;
        }
    }
    *wrong = FW_SETTINGS;
    return wanted->label.bytes == NULL || fw_label_is_good(wanted->label);
}

static bool is_so(const fw_configuration_t *configuration, const fw_api_change_t *wanted)
{
    for (uint8_t i = 0; i < FW_SETTINGS; i++) {
        if (wanted->texts[i].bytes != NULL &&
            !fw_text_is(wanted->texts[i], configuration->texts[i])) {
            return false;
        }
    }
    if (wanted->label.bytes != NULL && !fw_text_is(wanted->label, configuration->label)) {
        return false;
    }
    return wanted->verifier == NULL ||
           (configuration->has_verifier &&
            fw_equal(configuration->verifier, wanted->verifier, FW_VERIFIER_BYTES));
}

static void make_so(fw_configuration_t *configuration, const fw_api_change_t *wanted)
{
    for (uint8_t i = 0; i < FW_SETTINGS; i++) {
        if (wanted->texts[i].bytes != NULL) {
            fw_configuration_set(configuration, (fw_text_setting_t)i, wanted->texts[i]);
        }
    }
    if (wanted->label.bytes != NULL) {
        (void)fw_configuration_set_label(configuration, wanted->label);
    }
    if (wanted->verifier != NULL) {
        fw_copy(configuration->verifier, wanted->verifier, FW_VERIFIER_BYTES);
        configuration->has_verifier = true;
    }
}

fw_api_result_t fw_device_change_settings(void *ctx, const fw_api_change_t *wanted,
                                          uint8_t *wrong)
{
    fw_device_t *device = ctx;
    bool may_make = false;
    if (!is_good(wanted, wrong)) {
        return FW_PROBLEM_OUT_OF_RANGE;
    }
    fw_api_result_t result = change(device, is_so(&device->configuration, wanted), &may_make);
    if (may_make) {
        make_so(&device->configuration, wanted);
        fw_device_save_settings(device);
    }
    return result;
}

fw_api_result_t fw_device_enrol(void *ctx, uint32_t address, const uint8_t *key)
{
    fw_device_t *device = ctx;
    fw_configuration_t *configuration = &device->configuration;
    fw_keys_t *keys = &configuration->keys;
    bool may_make = false;
    if (address > FW_ADDRESS_CONTROLLER_MAX) {
        return FW_PROBLEM_OUT_OF_RANGE;
    }
    bool is_made = configuration->address == address && !keys->has_next &&
                   (address == 0u || crypto_verify32(keys->current, key) == 0);
    fw_api_result_t result = change(device, is_made, &may_make);
    if (may_make) {
        fw_keys_wipe(keys);
        configuration->address = address;
        if (address != 0u) {
            fw_copy(keys->current, key, FW_LINK_KEY_BYTES);
        }
        fw_device_save_settings(device);
    }
    return result;
}

bool fw_device_verifier(void *ctx, uint8_t into[FW_VERIFIER_BYTES])
{
    const fw_device_t *device = ctx;
    fw_copy(into, device->configuration.verifier, FW_VERIFIER_BYTES);
    return device->configuration.has_verifier;
}
