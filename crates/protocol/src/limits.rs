//! Every bound of the protocol, with the reason beside it (`docs/protocol.md` §10).
//!
//! What an installation may want to change (queue depths, numbers of connections) is a setting of
//! the gateway instead.

use std::time::Duration;

/// Bytes of a frame's header: two octets, a `u16` and three `u32`.
pub const HEADER_BYTES: usize = 16;
/// The largest payload: what the header's `u16` can say.
pub const PAYLOAD_BYTES_MAX: usize = 65_535;
/// The largest WebSocket message from a tool: one frame of the largest size.
pub const TOOL_MESSAGE_BYTES_MAX: usize = HEADER_BYTES + PAYLOAD_BYTES_MAX;
/// The largest WebSocket message from the gateway: a poll round's frames for one tool.
pub const GATEWAY_MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// The default largest record of the controller link: a 1 KiB payload, its header and the tag,
/// which an ESP8266 has to hold twice.
pub const RECORD_BYTES_MAX_DEFAULT: usize = 1_056;
/// The smallest `record_bytes_max` that a controller may ask for: an announce, or one point, fits.
pub const RECORD_BYTES_MIN: usize = 264;
/// Bytes of a record's authentication tag.
pub const RECORD_TAG_BYTES: usize = 16;
/// Nesting of CBOR: a fixed stack in the controller.
pub const CBOR_DEPTH_MAX: usize = 4;
/// The largest magnitude of an integer: what a JavaScript number holds exactly.
pub const INTEGER_MAX: i64 = (1 << 53) - 1;
/// Bytes of a point's or command's name.
pub const NAME_BYTES_MAX: usize = 24;
/// Bytes of a title: a label's line.
pub const TITLE_BYTES_MAX: usize = 64;
/// Bytes of a detail, a note or a signature.
pub const TEXT_BYTES_MAX: usize = 200;
/// A script's source, in bytes: what a controller has room for.
pub const SCRIPT_SOURCE_BYTES_MAX: usize = 8_192;
/// Bytes of a log-in token.
pub const TOKEN_BYTES_MAX: usize = 128;
/// Points of one controller: 16 relays and their inputs.
pub const POINTS_MAX: usize = 32;
/// Pages of one full status: 32 points of 80 bytes in the smallest records.
pub const STATUS_PAGES_MAX: usize = 16;
/// Arguments of one call.
pub const ARGUMENTS_MAX: usize = 4;
/// Signatures in one describe response.
pub const SIGNATURES_MAX: usize = 16;
/// Names of one script, and so the parameters and values that a controller can tell of.
pub const NAMES_MAX: usize = 128;
/// Lines of a controller's log in one response.
pub const LOG_ENTRIES_MAX: usize = 64;
/// Pages of one response: parameters with the longest names in the smallest records.
pub const ANSWER_PAGES_MAX: usize = 64;
/// Bytes of what is written to a controller or read from it: no image for 1 MiB of flash is larger.
pub const TRANSFER_BYTES_MAX: u32 = 1_048_576;
/// Bytes of it in one frame: what the default record carries, with room for keys to come.
pub const TRANSFER_PIECE_BYTES_MAX: usize = 896;
/// Values that an event takes along.
pub const EVENT_VALUES_MAX: usize = 4;
/// Events and alarms of one controller that a gateway takes in a second: more than a person reads.
pub const EVENTS_PER_SECOND_MAX: u32 = 10;
/// How long an output may be forced: a longer need is a new script.
pub const FORCE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Addresses in one subscribe; further subscribes add.
pub const SUBSCRIBE_ADDRESSES_MAX: usize = 256;
/// Sites that one account has roles at by name: more are one role everywhere. A search among them is
/// ten steps, and a table of them 8 KiB.
pub const SITES_PER_ACCOUNT_MAX: usize = 1_024;
/// Outcomes that a controller remembers: twice what can be in flight.
pub const OUTCOMES_KEPT: usize = 32;
/// Commands sent to one controller and not ended.
pub const IN_FLIGHT_MAX: usize = 16;
/// Commands waiting for one controller that is away: a pump's morning, not a week's backlog.
pub const WAITING_MAX: usize = 16;
/// Requests open at one controller.
pub const OPEN_REQUESTS_MAX: usize = 64;
/// How long a request may stay open: a slow controller's handshake and a scan.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How far ahead an expiry may lie: later than tomorrow is a schedule, not a command.
pub const EXPIRY_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How long after its expiry a command in flight is given up as unknown: the controller judges
/// the expiry, so its answer may come a little after it.
pub const EXPIRY_GRACE: Duration = Duration::from_secs(30);
/// How long a controller trusts its estimate of the time: a crystal of 50 ppm is off by 45 ms then.
pub const CLOCK_STALE_AFTER: Duration = Duration::from_secs(15 * 60);
/// How often a peer pings: under the usual 30 s of a home router's address translation.
pub const PING_INTERVAL_DEFAULT: Duration = Duration::from_secs(20);
/// How long a peer waits for a ping's reply before it takes the link for dead.
pub const PING_REPLY_TIMEOUT: Duration = Duration::from_secs(10);
/// Ping intervals of silence after which the gateway ends a link.
pub const SILENT_INTERVALS: u32 = 3;
/// How long a controller may take from connecting to its first record: it computes X25519 twice at
/// 80 MHz, in slices.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a peer may leave its queue untouched.
pub const SLOW_PEER_TIMEOUT: Duration = Duration::from_secs(30);
/// The first wait before dialling again.
pub const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// The longest wait before dialling again.
pub const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// The link version spoken here.
pub const LINK_VERSION: u64 = 1;
