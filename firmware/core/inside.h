/*
 * inside.h: what the four files of the controller tell each other. Not for ports.
 */
#ifndef FW_INSIDE_H
#define FW_INSIDE_H

#include "controller.h"

/* Millisecond counts wrap: compare by differences only. */
static inline uint32_t fw_since(uint32_t now_ms, uint32_t then_ms)
{
    return now_ms - then_ms;
}

static inline uint32_t fw_now(const fw_controller_t *controller)
{
    return controller->port->now_ms(controller->port->ctx);
}

/* ---- controller.c ---- */

fw_commands_scene_t fw_scene(fw_controller_t *controller);
void fw_log(const fw_controller_t *controller, fw_log_level_t level, const char *text);

/* ---- link.c ---- */

void fw_link_init(fw_controller_t *controller);
/* Runs the link's timers; returns the milliseconds until the next of them. */
uint32_t fw_link_poll(fw_controller_t *controller);
/* The other side broke a rule, or we give up: an error frame if it can leave, then the end. */
void fw_link_fail(fw_controller_t *controller, fw_code_t code);
/* The link is gone: forgets it and waits for the next attempt. `hang_up`: tell the port. */
void fw_link_close(fw_controller_t *controller, bool hang_up);
uint32_t fw_link_next_correlation(fw_link_t *link);
/* The event under way is told again, a while from now. */
void fw_link_tell_event_later(fw_controller_t *controller);
/* Whether frames may be exchanged. */
bool fw_link_open(const fw_link_t *link);

/* ---- send.c ---- */

/* Sends as much as there is to send and the port takes. */
void fw_send_pump(fw_controller_t *controller);
/* Puts hello, and message 1 unless the link is clear, into the empty tx. */
bool fw_send_greeting(fw_controller_t *controller);

/* ---- answer.c ---- */

/* A whole frame of a keyed or live link. */
void fw_answer_frame(fw_controller_t *controller, const fw_frame_t *frame);
/* Writes the fields of an answer's payload. Where not all fits, `*next` is what the following page begins
 * with; else 0. */
void fw_answer_write(const fw_controller_t *controller, const fw_answer_t *answer,
                     fw_cbor_writer_t *writer, uint32_t *next);

/* ---- tell.c ---- */

/* Forces, or releases; the code to answer with. */
fw_code_t fw_take_force(fw_controller_t *controller, const fw_cbor_map_t *payload);
fw_code_t fw_take_release(fw_controller_t *controller, const fw_cbor_map_t *payload);
/* Write the fields of an answer; how many. */
size_t fw_tell_parameters(const fw_controller_t *controller, fw_cbor_writer_t *writer,
                          uint32_t from, uint32_t *next);
size_t fw_tell_values(const fw_controller_t *controller, fw_cbor_writer_t *writer, uint32_t from);
size_t fw_tell_health(const fw_controller_t *controller, fw_cbor_writer_t *writer);

#endif
