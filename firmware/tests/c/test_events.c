/*
 * test_events.c: what a script says reaches the gateway once, whatever happens to link and power.
 */
#include "check.h"
#include "rig.h"

#include <string.h>

static const char script[] =
    "# Events and alarms.\n"
    "in  level : num = AI0\n"
    "in  door = DI1\n"
    "var doors : int\n"
    "event \"door opened\" doors, level, door when rise(door)\n"
    "alarm HIGH \"High water\" when ton(level > 80, 1s) clear level < 70\n"
    "alarm LOW \"Door open\" when door\n"
    "doors += 1 when rise(door)\n";

static rig_t *rig;

static void begin(bool connects)
{
    rig = rig_device(script);
    rig->inputs[FW_CHANNEL_AI0] = 50000;
    rig_run(rig, 100);
    if (connects) {
        rig_connect(rig);
        rig_run(rig, 100);
        CHECK(fw_controller_link_state(rig->controller) == FW_LINK_LIVE);
    }
}

static void set_level(int32_t thousandths)
{
    rig->inputs[FW_CHANNEL_AI0] = thousandths;
    fw_controller_input_changed(rig->controller);
}

static void set_door(int32_t level)
{
    rig->inputs[FW_CHANNEL_DI1] = level;
    fw_controller_input_changed(rig->controller);
}

/* The last event frame that came; NULL: none. */
static const rig_frame_t *last_event(void)
{
    const rig_frame_t *last = NULL;
    for (size_t i = 0; i < rig->frames_count; i++) {
        const rig_frame_t *frame = &rig->frames[i];
        bool is_event = frame->header.kind == FW_KIND_EVENT &&
                        rig_field(frame, FW_KEY_VERB) != FW_VERB_ANNOUNCE;
        last = is_event ? frame : last;
    }
    return last;
}

static bool is_text(const rig_frame_t *frame, uint64_t key, const char *expected)
{
    fw_cbor_map_t map;
    fw_span_t text;
    return frame != NULL &&
           fw_cbor_open(frame->payload, frame->header.payload_bytes, &map) == FW_CBOR_OK &&
           fw_cbor_map_text(&map, key, &text) == FW_FIELD_PRESENT &&
           text.length == strlen(expected) && memcmp(text.bytes, expected, text.length) == 0;
}

static bool is_raised(const rig_frame_t *frame)
{
    fw_cbor_map_t map;
    bool raised = false;
    CHECK(frame != NULL &&
          fw_cbor_open(frame->payload, frame->header.payload_bytes, &map) == FW_CBOR_OK &&
          fw_cbor_map_bool(&map, FW_KEY_ALARM_RAISED, &raised) == FW_FIELD_PRESENT);
    return raised;
}

static void check_values(const rig_frame_t *frame, uint64_t key, const int64_t *expected)
{
    fw_cbor_map_t map;
    fw_cbor_list_t list;
    fw_cbor_item_t item;
    CHECK(frame != NULL &&
          fw_cbor_open(frame->payload, frame->header.payload_bytes, &map) == FW_CBOR_OK &&
          fw_cbor_map_list(&map, key, FW_EVENT_VALUES_MAX, &list) == FW_FIELD_PRESENT);
    for (size_t i = 0; fw_cbor_next(&list, &item); i++) {
        CHECK(item.integer == expected[i]);
    }
}

/* An alarm is told with its level, once raised and once over; an event with its values. */
static void check_told(void)
{
    begin(true);
    CHECK(rig->events == 0u);
    set_level(85500);
    rig_run(rig, 900);
    CHECK(rig->events == 0u);
    rig_run(rig, 500);
    CHECK(rig->events == 1u);
    const rig_frame_t *frame = last_event();
    CHECK(rig_field(frame, FW_KEY_VERB) == FW_VERB_ALARM);
    CHECK(rig_field(frame, FW_KEY_ALARM_LEVEL) == FW_ALARM_HIGH);
    CHECK(rig_field(frame, FW_KEY_ALARM_ALARM) == 0u && is_raised(frame));
    CHECK(is_text(frame, FW_KEY_ALARM_TEXT, "High water"));
    CHECK(rig_field(frame, FW_KEY_EVENT_TIME) / 1000u >= RIG_EPOCH_MS / 1000u);
    rig_run(rig, 5000);
    set_level(60000);
    rig_run(rig, 500);
    CHECK(rig->events == 2u && !is_raised(last_event()));

    rig_forget(rig);
    set_level(61250);
    set_door(1);
    rig_run(rig, 2600);
    CHECK(rig->events == 4u); /* the event, and the second alarm */
    const rig_frame_t *event = NULL;
    for (size_t i = 0; i < rig->frames_count; i++) {
        bool is_it = rig->frames[i].header.kind == FW_KIND_EVENT &&
                     rig_field(&rig->frames[i], FW_KEY_VERB) == FW_VERB_HAPPENED;
        event = is_it ? &rig->frames[i] : event;
    }
    CHECK(is_text(event, FW_KEY_HAPPENED_TEXT, "door opened"));
    check_values(event, FW_KEY_HAPPENED_VALUES, (const int64_t[]){1, 61250, 1});
    check_values(event, FW_KEY_HAPPENED_TYPES,
                 (const int64_t[]){FW_TYPE_INT, FW_TYPE_NUM, FW_TYPE_BOOL});
    rig_free(rig);
}

/* What happened while the gateway was away comes in order when it is back, also after a restart, and
 * nothing comes twice. */
static void check_offline(void)
{
    begin(false);
    for (int i = 0; i < 3; i++) {
        set_door(1);
        rig_run(rig, 3000);
        set_door(0);
        rig_run(rig, 3000);
    }
    rig_power_fails(rig);
    rig_connect(rig);
    rig_run(rig, 3000);
    CHECK(rig->events == 9u); /* three times: opened, alarm, over */
    rig_run(rig, 120000);
    CHECK(rig->events == 9u);
    rig_power_fails(rig);
    rig_forget(rig);
    rig_connect(rig);
    rig_run(rig, 120000);
    CHECK(rig->events == 9u && last_event() == NULL);
    rig_free(rig);
}

/* Answers that are lost, late, or say later: the event comes again under its number. */
static void check_again(void)
{
    begin(true);
    rig->ignores_events = true;
    set_level(90000);
    rig_run(rig, 2000);
    const rig_frame_t *frame = last_event();
    uint64_t number = rig_field(frame, FW_KEY_EVENT_NUMBER);
    uint32_t correlation = frame == NULL ? 0u : frame->header.correlation;
    rig_forget(rig);
    rig_run(rig, FW_EVENT_ANSWER_MS - 3000u);
    CHECK(last_event() == NULL);
    rig_run(rig, 3000u + FW_EVENT_AGAIN_MS);
    CHECK(rig_field(last_event(), FW_KEY_EVENT_NUMBER) == number);
    CHECK(last_event() != NULL && last_event()->header.correlation != correlation);

    rig->ignores_events = false;
    rig->event_code = FW_CODE_BUSY;
    rig_disconnect(rig);
    rig_connect(rig);
    rig_run(rig, 3u * FW_EVENT_AGAIN_MS);
    CHECK(rig->events == 0u && rig_field(last_event(), FW_KEY_EVENT_NUMBER) == number);
    CHECK(rig_count(rig, FW_KIND_EVENT) <= 8u); /* no sooner than in two seconds */
    rig->event_code = FW_CODE_OK;
    rig_run(rig, FW_EVENT_AGAIN_MS + 100u);
    CHECK(rig->events == 1u);

    /* One that the gateway will never take is given up, and the next one comes. */
    rig->event_code = FW_CODE_BAD_FIELD;
    set_level(60000);
    rig_run(rig, 1000);
    rig->event_code = FW_CODE_OK;
    set_door(1);
    rig_run(rig, 3000);
    CHECK(rig->events == 3u);
    rig_free(rig);
}

/* An alarm that stood before a restart stands, and is told to be over if it is, but not before blocks
 * have had time to say so again. */
static void check_restart(void)
{
    begin(true);
    set_level(90000);
    rig_run(rig, 3000);
    CHECK(rig->events == 1u);
    set_level(75000); /* between the two limits */
    rig_run(rig, 1000);
    rig_power_fails(rig);
    rig_connect(rig);
    rig_run(rig, 2u * FW_ALARM_SETTLE_MS);
    CHECK(rig->events == 1u);
    CHECK((rig->controller->runner.vm.alarms & 1u) != 0u);
    rig_power_fails(rig);
    set_level(60000);
    rig_connect(rig);
    rig_run(rig, FW_ALARM_SETTLE_MS / 2u);
    CHECK(rig->events == 1u);
    rig_run(rig, FW_ALARM_SETTLE_MS);
    CHECK(rig->events == 2u && !is_raised(last_event()));
    rig_free(rig);
}

/* A gateway that knows a later number than this flash has ever given out: all that waits is told
 * behind it, in order. */
static void check_lost_count(void)
{
    begin(false);
    set_door(1);
    rig_run(rig, 3000);
    set_door(0);
    rig_run(rig, 3000);
    uint32_t before = rig->device->logbook.last + 1000u;
    rig->event_last = before;
    rig_connect(rig);
    rig_run(rig, 5000);
    CHECK(rig->events == 3u && rig->event_last > before);
    CHECK(is_text(last_event(), FW_KEY_ALARM_TEXT, "Door open") && !is_raised(last_event()));
    rig_power_fails(rig);
    rig_connect(rig);
    rig_run(rig, 5000);
    CHECK(rig->events == 3u);
    rig_free(rig);

    /* And the power fails at every moment of that: nothing is lost. */
    for (uint32_t cut_ms = 10; cut_ms < 2500u; cut_ms += 70u) {
        begin(false);
        set_door(1);
        rig_run(rig, 3000);
        set_door(0);
        rig_run(rig, 3000);
        rig->event_last = rig->device->logbook.last + 1000u;
        rig_connect(rig);
        rig_run(rig, cut_ms);
        rig_power_fails(rig);
        rig_connect(rig);
        rig_run(rig, 8000);
        CHECK(rig->events >= 3u && rig->events <= 6u);
        CHECK(fw_logbook_unread(&rig->device->logbook) == 0u);
        rig_free(rig);
    }
}

/* A gateway that knows earlier numbers, of a life before, takes these as they are; and one that has a later
 * one of ours, which it answered before a cut, has this one too. */
static void check_other_numbers(void)
{
    begin(false);
    set_door(1);
    rig_run(rig, 3000);
    fw_logbook_entry_t newest;
    CHECK(fw_logbook_newest_event(&rig->device->logbook, &newest));
    rig->event_last = newest.number;
    rig_connect(rig);
    rig_run(rig, 5000);
    CHECK(rig->events == 0u && fw_logbook_unread(&rig->device->logbook) == 0u);
    rig_free(rig);
    begin(false);
    set_door(1);
    rig_run(rig, 3000);
    rig->event_last = rig->device->logbook.last - 50u;
    rig_connect(rig);
    rig_run(rig, 5000);
    CHECK(rig->events == 2u);
    rig_free(rig);
}

/* One alarm flaps for as long as it likes: another one is told within a minute and a half, and flash lasts. */
static void check_flapping(void)
{
    begin(true);
    for (uint32_t second = 0; second < 3600u; second++) {
        set_door(second % 2u == 0u);
        rig_run(rig, 1000);
    }
    CHECK(rig->device->logbook.journal.turns + 1u >= FW_LOGBOOK_TURNS_KEPT);
    unsigned before = rig->events;
    set_level(90000);
    rig_forget(rig);
    bool is_told = false;
    for (uint32_t second = 0; second < 90u && !is_told; second++) {
        set_door(second % 2u == 0u);
        rig_run(rig, 1000);
        for (size_t i = 0; i < rig->frames_count; i++) {
            is_told = is_told || is_text(&rig->frames[i], FW_KEY_ALARM_TEXT, "High water");
        }
    }
    CHECK(is_told && rig->events > before);
    /* What flapped is told by how it stands in the end. */
    set_door(0);
    rig_run(rig, 3u * FW_ALARM_EVERY_MS);
    CHECK((rig->device->events.told & 2u) == 0u);
    rig_free(rig);
}

/* However much a script talks, alarms come through. */
static void check_talkative(void)
{
    static const char chatter[] = "in level : num = AI0\n"
                                  "out lamp = RL1 safe off\n"
                                  "lamp := blink(true, 50ms, 50ms)\n"
                                  "event \"on\" when rise(lamp)\n"
                                  "alarm HIGH \"High water\" when level > 80\n";
    rig = rig_device(chatter);
    rig->inputs[FW_CHANNEL_AI0] = 50000;
    rig_run(rig, 3u * 3600u * 1000u / 10u);
    CHECK(rig->device->logbook.lost > 100u);
    CHECK(rig->device->logbook.journal.turns <= FW_LOGBOOK_TURNS_KEPT);
    set_level(90000);
    rig_run(rig, 3000);
    rig_connect(rig);
    rig_run(rig, 10000);
    CHECK(rig->events >= FW_EVENTS_UNREAD_MAX && rig->events <= FW_LOGBOOK_EVENTS_KEPT);
    bool has_alarm = false;
    for (size_t i = 0; i < rig->frames_count; i++) {
        has_alarm = has_alarm || is_text(&rig->frames[i], FW_KEY_ALARM_TEXT, "High water");
    }
    CHECK(has_alarm);
    rig_free(rig);
}

void test_events(void)
{
    check_told();
    check_offline();
    check_again();
    check_restart();
    check_lost_count();
    check_other_numbers();
    check_flapping();
    check_talkative();
}
