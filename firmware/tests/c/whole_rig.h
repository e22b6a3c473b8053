/*
 * whole_rig.h: a whole device over a flash chip that can lose its power, its wires in the test's hands.
 *
 * The board has DI1, DI2, AI0, AO1 and RL1 to RL4. Its first script is that of a pump house.
 */
#ifndef FW_TEST_WHOLE_RIG_H
#define FW_TEST_WHOLE_RIG_H

#include "device.h"
#include "nor.h"

extern fw_device_t whole;
extern fw_nor_t whole_nor;
extern fw_device_setup_t whole_setup;
extern uint32_t whole_now_ms;
extern int32_t whole_inputs[FW_CHANNELS], whole_outputs[FW_CHANNELS];
extern bool whole_setup_is_open;
extern unsigned whole_restarts;

extern const char whole_script[];

/* A chip from the factory, and a device on it; or another life of the one that was, which tells
 * the slot that is to run. */
void whole_begin(void);
uint8_t whole_boot(void);

/* Polls every 10 ms for so long. */
void whole_pass(uint32_t ms);

/* Sets a text, as provisioning does, and waits until it is kept. */
void whole_configure(fw_text_setting_t which, const char *text);

/* Brings a script past the page and compiles it; and then has that done with it, unless that is COMPILE. */
void whole_bring(const char *text, fw_scripts_work_t then);
void whole_work(fw_scripts_work_t work);

/* Makes version 2 of this board's firmware for a slot: manifest, signature, and an image of so many random
 * bytes. */
enum { WHOLE_RELEASE_HEAD_BYTES = FW_MANIFEST_BYTES + FW_SIGNATURE_BYTES };
void whole_release(uint8_t *release, uint8_t slot, uint32_t image_bytes,
                   const uint8_t secret_key[64]);

/* What is around it. Of the machine only `configured` and `restart` tell a test anything. */
extern const fw_machine_t whole_machine;
extern const fw_board_t whole_board;

#endif
