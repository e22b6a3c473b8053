/*
 * host.c: sizes, fields and faults for the Rust wrapper. See host.h.
 */
#include "host.h"

size_t fw_host_controller_bytes(void)
{
    return sizeof(fw_controller_t);
}

size_t fw_host_controller_align(void)
{
    return _Alignof(fw_controller_t);
}

size_t fw_host_state_bytes(void)
{
    return sizeof(fw_controller_t) - FW_RECORD_BYTES_MAX - FW_RECORD_BUFFER_BYTES;
}

size_t fw_host_settings_bytes(void)
{
    return sizeof(fw_settings_t);
}

size_t fw_host_port_bytes(void)
{
    return sizeof(fw_port_t);
}

uint32_t fw_host_boot_id(const fw_controller_t *controller)
{
    return controller->status.boot_id;
}

uint32_t fw_host_sequence(const fw_controller_t *controller)
{
    return controller->status.sequence;
}

uint32_t fw_host_executed(const fw_controller_t *controller)
{
    return controller->commands.executed;
}

uint32_t fw_host_backoff_wait_ms(const fw_controller_t *controller)
{
    return controller->link.wait_ms;
}

void fw_host_forge_source(fw_controller_t *controller, uint32_t source)
{
    controller->settings.address = source;
}
