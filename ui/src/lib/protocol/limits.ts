// The bounds of the wire, as docs/protocol.md section 10 sets them, and those that this page sets itself.

export const HEADER_BYTES = 16;
export const PAYLOAD_BYTES_MAX = 65_535;
/** Of one WebSocket message from a tool. */
export const MESSAGE_BYTES_MAX = HEADER_BYTES + PAYLOAD_BYTES_MAX;
/** Of one WebSocket message from the gateway. */
export const GATEWAY_MESSAGE_BYTES_MAX = 256 * 1024;
export const CBOR_DEPTH_MAX = 4;
export const INTEGER_MAX = Number.MAX_SAFE_INTEGER;
export const NAME_BYTES_MAX = 24;
export const TITLE_BYTES_MAX = 64;
export const TEXT_BYTES_MAX = 200;
export const TOKEN_BYTES_MAX = 128;
export const POINTS_MAX = 32;
export const STATUS_PAGES_MAX = 16;
export const ARGUMENTS_MAX = 4;
export const SIGNATURES_MAX = 16;
export const NAMES_MAX = 128;
export const LOG_ENTRIES_MAX = 64;
export const ANSWER_PAGES_MAX = 64;
export const TRANSFER_BYTES_MAX = 1_048_576;
export const TRANSFER_PIECE_BYTES_MAX = 896;
export const EVENT_VALUES_MAX = 4;
export const FORCE_MS_MAX = 24 * 3600 * 1000;
export const SUBSCRIBE_ADDRESSES_MAX = 256;
export const RECORD_BYTES_MIN = 264;
export const RECORD_BYTES_MAX = 65_535;
export const REQUEST_TIMEOUT_MS = 30_000;
export const EXPIRY_MS_MAX = 24 * 3600 * 1000;
export const PING_REPLY_TIMEOUT_MS = 10_000;
export const BACKOFF_MS_MIN = 1_000;
export const BACKOFF_MS_MAX = 60_000;
/** A session that was live this long starts its back-off anew. */
export const BACKOFF_RESET_AFTER_MS = 60_000;

/** Addresses below this one are controllers (and 0, the gateway); from here on tools. */
export const TOOL_ADDRESS_MIN = 0x8000_0000;
