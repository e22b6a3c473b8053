/*
 * layout.h: what lies where in the first megabyte of the flash chip (docs/storage.md, section 1).
 *
 * The map is the same for chips of 1 MB and of 4 MB; only the SDK's own sectors differ, and they
 * are the port's. Addresses are in bytes from the chip's first.
 */
#ifndef FW_LAYOUT_H
#define FW_LAYOUT_H

#define FW_SECTOR_BYTES 0x1000u

#define FW_LAYOUT_BOOT 0x00000u
#define FW_LAYOUT_USER1 0x01000u
#define FW_LAYOUT_USER2 0x81000u
#define FW_IMAGE_BYTES_MAX 0x6A000u

#define FW_LAYOUT_SCRIPT 0x6B000u /* two slots */
#define FW_LAYOUT_SCRIPT_SLOT_BYTES 0x4000u
#define FW_LAYOUT_SETTINGS 0x73000u /* two slots */
#define FW_LAYOUT_SETTINGS_SLOT_BYTES 0x1000u
#define FW_LAYOUT_RETAIN 0x75000u
#define FW_LAYOUT_RETAIN_SECTORS 4u
#define FW_LAYOUT_LOG 0x79000u
#define FW_LAYOUT_LOG_SECTORS 4u
#define FW_LAYOUT_DUMP 0x7D000u /* two slots */
#define FW_LAYOUT_DUMP_SLOT_BYTES 0x1000u
#define FW_LAYOUT_SPARE 0x7F000u
#define FW_LAYOUT_UPDATE 0xEB000u
#define FW_LAYOUT_UPDATE_SECTORS 4u
#define FW_LAYOUT_SLOTS 0xEF000u
#define FW_LAYOUT_SLOTS_SECTORS 4u
#define FW_LAYOUT_OURS_END 0xFB000u /* from here on the SDK's, on a chip of 1 MB */

_Static_assert(FW_LAYOUT_USER1 + FW_IMAGE_BYTES_MAX == FW_LAYOUT_SCRIPT, "user1 ends there");
_Static_assert(FW_LAYOUT_SCRIPT + 2u * FW_LAYOUT_SCRIPT_SLOT_BYTES == FW_LAYOUT_SETTINGS,
               "scripts");
_Static_assert(FW_LAYOUT_SETTINGS + 2u * FW_LAYOUT_SETTINGS_SLOT_BYTES == FW_LAYOUT_RETAIN,
               "settings");
_Static_assert(FW_LAYOUT_RETAIN + FW_LAYOUT_RETAIN_SECTORS * FW_SECTOR_BYTES == FW_LAYOUT_LOG,
               "retained values");
_Static_assert(FW_LAYOUT_LOG + FW_LAYOUT_LOG_SECTORS * FW_SECTOR_BYTES == FW_LAYOUT_DUMP, "log");
_Static_assert(FW_LAYOUT_DUMP + 2u * FW_LAYOUT_DUMP_SLOT_BYTES == FW_LAYOUT_SPARE, "dumps");
_Static_assert(FW_LAYOUT_SPARE + 2u * FW_SECTOR_BYTES == FW_LAYOUT_USER2, "spare");
_Static_assert(FW_LAYOUT_USER2 + FW_IMAGE_BYTES_MAX == FW_LAYOUT_UPDATE, "user2 ends there");
_Static_assert(FW_LAYOUT_UPDATE + FW_LAYOUT_UPDATE_SECTORS * FW_SECTOR_BYTES == FW_LAYOUT_SLOTS,
               "update");
_Static_assert(FW_LAYOUT_SLOTS + FW_LAYOUT_SLOTS_SECTORS * FW_SECTOR_BYTES <= FW_LAYOUT_OURS_END,
               "states of slots");
/* The chip's loader and its cache map want an image's end below the half megabyte it begins in. */
_Static_assert(FW_LAYOUT_USER2 - FW_LAYOUT_USER1 == 0x80000u, "both links differ by this only");

#endif
