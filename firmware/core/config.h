/*
 * config.h: every size of the core, in one place.
 *
 * The first half repeats the limits of docs/protocol.md section 10 and must not be changed by a
 * build. The second half are sizes a port may set with -D before this file is read: a chip takes
 * the defaults, a test may take smaller ones to reach the edges sooner.
 */
#ifndef FW_CONFIG_H
#define FW_CONFIG_H

/* ---- the wire contract ---- */

#define FW_LINK_VERSION 1u
#define FW_HEADER_BYTES 16u
#define FW_PAYLOAD_BYTES_MAX 65535u
#define FW_RECORD_BYTES_MIN 264u
#define FW_RECORD_BYTES_LIMIT 65535u
#define FW_CBOR_DEPTH_MAX 4u
#define FW_INTEGER_MAX 9007199254740991 /* 2^53 - 1: JavaScript holds it exactly */
#define FW_NAME_BYTES_MAX 24u
#define FW_TITLE_BYTES_MAX 64u
#define FW_TEXT_BYTES_MAX 200u
#define FW_POINTS_MAX 32u
#define FW_STATUS_PAGES_MAX 16u
#define FW_ARGUMENTS_MAX 4u
#define FW_SIGNATURES_MAX 16u
#define FW_NAMES_MAX 128u
#define FW_LOG_ENTRIES_MAX 64u
#define FW_ANSWER_PAGES_MAX 64u
#define FW_TRANSFER_BYTES_MAX 1048576u
#define FW_TRANSFER_PIECE_BYTES_MAX 896u
#define FW_EVENT_VALUES_MAX 4u
#define FW_FORCE_MS_MAX 86400000u
#define FW_OUTCOMES_KEPT 32u
#define FW_IN_FLIGHT_MAX 16u
#define FW_COMMAND_KEY_BYTES 16u
#define FW_EXPIRY_MS_MAX 86400000u
#define FW_CLOCK_STALE_AFTER_MS 900000u
#define FW_PING_INTERVAL_DEFAULT_MS 20000u
#define FW_PING_REPLY_TIMEOUT_MS 10000u
#define FW_HANDSHAKE_TIMEOUT_MS 15000u
#define FW_BACKOFF_MIN_MS 1000u
#define FW_BACKOFF_MAX_MS 60000u
#define FW_BACKOFF_RESET_AFTER_MS 60000u

/* Addresses (section 1): the gateway, and the last number a controller may have. */
#define FW_ADDRESS_GATEWAY 0u
#define FW_ADDRESS_CONTROLLER_MAX 0x7FFFFFFFu

/* ---- what a port may choose ---- */

/* Largest record this controller accepts and sends, length prefix not counted. The default holds a
 * 1 KiB payload, its header and the tag. */
#ifndef FW_RECORD_BYTES_MAX
#define FW_RECORD_BYTES_MAX 1056u
#endif

/* Points that a script may have. A chip's boards have fewer pins than a status may have points. */
#ifndef FW_SCRIPT_POINTS_MAX
#define FW_SCRIPT_POINTS_MAX FW_POINTS_MAX
#endif

/* A record is its plain frames and this much more. */
#define FW_TAG_BYTES 16u
#define FW_RECORD_PREFIX_BYTES 2u

/* Room for one record as it stands on the wire, and for the frames inside it. */
#define FW_RECORD_BUFFER_BYTES (FW_RECORD_PREFIX_BYTES + FW_RECORD_BYTES_MAX)
#define FW_FRAMES_BYTES_MAX (FW_RECORD_BYTES_MAX - FW_TAG_BYTES)

_Static_assert(FW_RECORD_BYTES_MAX >= FW_RECORD_BYTES_MIN, "an announce or one point must fit");
_Static_assert(FW_RECORD_BYTES_MAX <= FW_RECORD_BYTES_LIMIT, "a record's length is a u16");
_Static_assert(FW_SCRIPT_POINTS_MAX <= FW_POINTS_MAX, "a status tells of all points");

#endif
