/*
 * points.h: inputs and outputs as the yard sees them: a value, flags and the cause of the value.
 *
 * They are those that the script declares, in its order. Whoever changes a point says why; the point
 * remembers that it changed, for the next delta, and, being an output, that it is yet to be driven.
 */
#ifndef FW_POINTS_H
#define FW_POINTS_H

#include "code.h"
#include "program.h"

/* Why a point has its value. */
typedef struct {
    uint32_t by;        /* address; with FW_CAUSE_COMMAND */
    uint32_t reference; /* first 4 bytes of the command's key, or the script's line */
    uint8_t kind;       /* fw_cause_kind_t */
} fw_cause_t;

typedef struct {
    fw_record_t record; /* of the program's table: the name, the cell, the channel */
    fw_cause_t cause;
    int32_t value; /* 0 and 1, or thousandths */
    uint8_t type;  /* fw_point_type_t */
    uint8_t flags;
} fw_point_t;

typedef struct {
    uint32_t changed;  /* one bit a point: differs from what the last delta or full status said */
    uint32_t undriven; /* outputs whose value the port has not been given yet */
    uint8_t count;
    fw_point_t at[FW_SCRIPT_POINTS_MAX];
} fw_points_t;

#define FW_POINT_NONE 0xFFu

/* The program's points: inputs 0, outputs as `safe` says, cause boot; every output is to be driven. The
 * program must outlive them. */
void fw_points_init(fw_points_t *points, const fw_program_t *program);

/* Gives a point a value; true if it differs from the old one. The cause is that of the change, so
 * an equal value leaves the older cause standing. */
bool fw_points_set(fw_points_t *points, uint8_t index, int32_t value, fw_cause_t cause);

/* Raises or lowers one flag. The cause stays: it explains the value. */
void fw_points_flag(fw_points_t *points, uint8_t index, uint8_t flag, bool raised);

/* The index of that name, or of what lies in that cell; or FW_POINT_NONE. */
uint8_t fw_points_find(const fw_points_t *points, fw_span_t name);
uint8_t fw_points_find_cell(const fw_points_t *points, uint8_t cell);

/* The pin behind a point: what the port knows it by. */
uint8_t fw_point_channel(const fw_point_t *point);

bool fw_point_type_is_output(uint8_t type);
bool fw_point_type_is_analogue(uint8_t type);

/* A number that changes with the set of points: FNV-1a over names, types and their order. */
uint32_t fw_points_layout(const fw_points_t *points);

#endif
