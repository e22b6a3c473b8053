/*
 * events.h: what a script says, `event` and `alarm`, on its way into the logbook and to the gateway.
 *
 * An event is noted in the scan in which it happens. An alarm is noted when it is raised and when it
 * is over; what was noted last is looked up in the logbook after a restart, so that an alarm that
 * stood before it stands after it, and one that is over by then is told to be. A script's blocks
 * begin anew with it, so the end of an alarm counts only FW_ALARM_SETTLE_MS after a start. Another
 * script's alarms are over when it runs no more.
 *
 * An event leaves room for alarms: once FW_EVENTS_UNREAD_MAX of both wait for the gateway, no
 * further event is noted, and of a script that says more than eight at once, and then one a second,
 * the rest is not heard. (For long it is less: a sector of flash each quarter of an hour holds some
 * 45.) What is missed is counted in the logbook. An alarm is never missed, but one that flaps is
 * told by how it stands: eight changes of all alarms at once, and then one each
 * FW_ALARM_EVERY_MS, in turns.
 *
 * An entry's words: seconds since 1970, 0 = not known; bits 0-15 of the script's generation, from 16
 * on the event's or alarm's number, from 24 on flags; bits 0-15 the alarms that stand after it, from
 * 16 on the values' types, from 24 on their count; the values.
 */
#ifndef FW_EVENTS_H
#define FW_EVENTS_H

#include "cbor.h"
#include "logbook.h"
#include "scripts.h"

#define FW_ALARM_SETTLE_MS 60000u
#define FW_EVENTS_UNREAD_MAX 16u
#define FW_EVENTS_AT_ONCE_MAX 8u
#define FW_EVENT_EVERY_MS 1000u
#define FW_ALARMS_AT_ONCE_MAX 8u
#define FW_ALARM_EVERY_MS 30000u

typedef struct {
    fw_scripts_t *scripts;
    fw_logbook_t *logbook;
    uint32_t start_ms;
    uint32_t earned_ms;  /* `events_allowed` is worked out up to here */
    uint32_t alarm_earned_ms;
    uint32_t noted_again; /* of the events up to `renumbered` */
    uint32_t seen;       /* how far the logbook had come when the link was told of it */
    uint32_t renumbered; /* events up to this one are noted again behind the others */
    uint16_t generation; /* of the script whose alarms `told` are; its lower half */
    uint16_t told;       /* alarms that are noted as raised: a bit each */
    uint16_t kept;       /* those of them that stood before the start, until FW_ALARM_SETTLE_MS */
    uint8_t events_allowed; /* that may be noted at once */
    uint8_t alarms_allowed; /* likewise, changes of alarms */
    uint8_t turn;           /* the alarm that is looked at first */
} fw_events_t;

/* After the scripts have been started, before the first scan. Both must outlive it. */
void fw_events_start(fw_events_t *events, fw_scripts_t *scripts, fw_logbook_t *logbook,
                     uint32_t now_ms);

/* After a scan: notes what it brought. `wall_s` is seconds since 1970, 0 = not known. */
void fw_events_note(fw_events_t *events, uint32_t wall_s, uint32_t now_ms);

/* Now and then: tells the link when the logbook may have something for it. */
void fw_events_poll(fw_events_t *events);

/* Writes the payload of the oldest event that has not arrived, as `happened` or `alarm`
 * (docs/protocol.md section 6); false if there is none in flash. The text is looked up in the script
 * that said it; if that is gone, the text says so. */
bool fw_events_write(fw_events_t *events, fw_cbor_writer_t *writer, uint32_t *number,
                     uint32_t now_ms);

/* The gateway has the event of that number, and `last` is its latest. That is this one, or a later
 * event of ours that it has answered before a power cut. If it is neither, then the flash that
 * counted is lost: whatever waits is noted again behind `last`, and leaves once that is in flash. */
void fw_events_arrived(fw_events_t *events, uint32_t number, uint32_t last, uint32_t now_ms);

#endif
