/*
 * flash_esp.c: the flash chip, by the SDK's functions.
 *
 * They feed the watchdog, and stop the cache while they work: nothing that lies in flash runs
 * meanwhile, interrupts aside, which lie in IRAM.
 */
#include "esp.h"
#include "sdk.h"

/* Where the first megabyte is read as memory. A second one never is: all of ours lies below it. */
#define MAPPED 0x40200000u
#define MAPPED_BYTES 0x100000u

static bool is_ours(uint32_t address, size_t words)
{
    return address % 4u == 0u && address < MAPPED_BYTES && words <= (MAPPED_BYTES - address) / 4u;
}

static bool flash_read(void *ctx, uint32_t address, uint32_t *into, size_t words)
{
    (void)ctx;
    return is_ours(address, words) &&
           spi_flash_read(address, into, words * 4u) == SPI_FLASH_RESULT_OK;
}

static bool flash_program(void *ctx, uint32_t address, const uint32_t *words, size_t count)
{
    (void)ctx;
    /* The SDK only reads what it is given, and does not say so. */
    return is_ours(address, count) &&
           spi_flash_write(address, (uint32_t *)(uintptr_t)words, count * 4u) ==
               SPI_FLASH_RESULT_OK;
}

static const uint32_t *flash_map(void *ctx, uint32_t address)
{
    (void)ctx;
    return (const uint32_t *)(uintptr_t)(MAPPED + address);
}

static bool flash_erase(void *ctx, uint32_t address)
{
    (void)ctx;
    return is_ours(address, FW_SECTOR_BYTES / 4u) && address % FW_SECTOR_BYTES == 0u &&
           spi_flash_erase_sector((uint16_t)(address / FW_SECTOR_BYTES)) == SPI_FLASH_RESULT_OK;
}

const fw_flash_port_t fw_esp_flash = {
    .read = flash_read,
    .program = flash_program,
    .map = flash_map,
    .erase = flash_erase,
};
