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
 * further event is noted, and a script that has more to say than one event a second, and eight at
 * once, is not heard out. Alarms are always noted. What is missed is counted in the logbook.
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

typedef struct {
    fw_scripts_t *scripts;
    fw_logbook_t *logbook;
    uint32_t start_ms;
    uint32_t earned_ms;  /* `allowed` is worked out up to here */
    uint32_t seen;       /* how far the logbook had come when the link was told of it */
    uint32_t renumbered; /* events up to this one are noted again behind the others */
    uint16_t generation; /* of the script whose alarms `told` are; its lower half */
    uint16_t told;       /* alarms that are noted as raised: a bit each */
    uint16_t kept;       /* those of them that stood before the start, until FW_ALARM_SETTLE_MS */
    uint8_t allowed;     /* events that may be noted at once */
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

/* The gateway has the event of that number, and `last` is its latest. A number that this controller
 * has not come to yet means that the flash that counted is lost: whatever waits is noted again
 * behind it. */
void fw_events_arrived(fw_events_t *events, uint32_t number, uint32_t last, uint32_t now_ms);

#endif
