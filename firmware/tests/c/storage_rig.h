/*
 * storage_rig.h: a controller's stores on flash that loses power, and the search for a cut that
 * hurts.
 */
#ifndef FW_STORAGE_RIG_H
#define FW_STORAGE_RIG_H

#include "check.h"
#include "logbook.h"
#include "nor.h"
#include "retain.h"
#include "slots.h"
#include "update.h"

/* Which stores a boot opens. */
enum { OPENS_SLOTS = 1, OPENS_RETAIN = 2, OPENS_LOGBOOK = 4, OPENS_UPDATE = 8 };

/* There is one, so that the stores' pointers to each other stay good when it is copied and put
 * back. */
typedef struct {
    fw_flash_t flash;
    fw_slots_t slots;
    fw_retain_t retain;
    fw_logbook_t logbook;
    fw_update_t update;
    fw_update_identity_t identity;
    uint32_t now_ms;
    uint32_t opens;
} device_t;

extern device_t device;
extern fw_nor_t nor;

/* A chip from the factory and a first boot. */
void device_new(uint32_t opens);

/* Fresh RAM: opens the stores and steps them until they may be read. False if power failed. */
bool device_boot(void);

/* Steps all open stores until none has anything to do, the clock following what they say. False if
 * power failed. Ends after a few minutes of the clock, whatever still waits then. */
bool device_rest(void);

/* A state is a number from 1 on, and -1 is no state that there may be. Actions return false if
 * power failed before they were told that it was done. */
typedef struct {
    const char *name;
    uint32_t opens;
    bool (*prepare)(void); /* on a new chip: state 1 */
    bool (*act)(void);     /* to state 2: this is what is cut */
    bool (*go_on)(void);   /* from any of the two to state 3 */
    int (*look)(void);     /* after a boot */
    bool goes_on_from_1;   /* `go_on` is two changes, by way of state 1 */
} scenario_t;

/* Cuts `act` within each of its operations, once right after `prepare` and once in a boot after it,
 * in every way that nor.h knows; then cuts the recovery as well, and the change after that. After
 * every cut the state is the old or the new one, the same after each further boot, and can be
 * changed. */
void check_scenario(const scenario_t *scenario);

/* How many boots after a cut check_scenario has looked at. */
extern uint32_t cuts_checked;

#endif
