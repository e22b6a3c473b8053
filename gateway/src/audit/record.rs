//! One audit record, and its bytes: what the chain's hashes are made of, and what a store may keep.

use std::net::IpAddr;
use switchyard_protocol::{
    Address, Code,
    message::{Key, Stage, Time, Title},
};

/// What a record tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum AuditWhat {
    /// A command was accepted.
    Accepted = 1,
    /// A command was refused, or had expired, when it came; or a command or change was not allowed.
    Refused = 2,
    /// An accepted command came to `stage`; with `is_final`, that was its end.
    Reached = 3,
    /// A change was asked for.
    Asked = 4,
    /// A change was answered: `code` says how.
    Answered = 5,
    /// `count` records are missing here.
    Lost = 6,
    /// The gateway started; `code` is ok when it goes on with all that the one before knew.
    Started = 7,
}

impl AuditWhat {
    /// Every one.
    pub const ALL: &'static [AuditWhat] = &[
        AuditWhat::Accepted,
        AuditWhat::Refused,
        AuditWhat::Reached,
        AuditWhat::Asked,
        AuditWhat::Answered,
        AuditWhat::Lost,
        AuditWhat::Started,
    ];

    /// The one of a number in a record's bytes.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|it| *it as u8 == number)
    }

    /// The stable lowercase name.
    pub const fn name(self) -> &'static str {
        match self {
            AuditWhat::Accepted => "accepted",
            AuditWhat::Refused => "refused",
            AuditWhat::Reached => "reached",
            AuditWhat::Asked => "asked",
            AuditWhat::Answered => "answered",
            AuditWhat::Lost => "lost",
            AuditWhat::Started => "started",
        }
    }
}

/// Who did what, from where, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// When the gateway wrote it down.
    pub time: Time,
    /// What sort of thing.
    pub what: AuditWhat,
    /// Which account.
    pub account: Option<Title>,
    /// By which tool's address.
    pub tool: Option<Address>,
    /// From which IP address.
    pub ip: Option<IpAddr>,
    /// Whom it was for: a controller, or [`Address::GATEWAY`].
    pub target: Option<Address>,
    /// A command's key.
    pub key: Option<Key>,
    /// A request's correlation id, by which its answer is found.
    pub correlation: Option<u32>,
    /// How far a command came.
    pub stage: Option<Stage>,
    /// Whether that was its end.
    pub is_final: bool,
    /// How a request was answered, or why something was refused or ended so.
    pub code: Option<Code>,
    /// The records that are missing, of [`AuditWhat::Lost`].
    pub count: u64,
    /// What was asked for, in words: `set RL1 = 1`. 256 bytes at most, as the journal's reader makes it.
    pub text: String,
}

/// Bytes that are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the bytes of an audit record")]
pub struct MalformedRecord;

impl AuditRecord {
    /// One that tells nothing but when.
    pub fn new(time: Time, what: AuditWhat) -> Self {
        AuditRecord {
            time,
            what,
            account: None,
            tool: None,
            ip: None,
            target: None,
            key: None,
            correlation: None,
            stage: None,
            is_final: false,
            code: None,
            count: 0,
            text: String::new(),
        }
    }

    /// The canonical bytes: the same record always gives the same, and two records never do.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128);
        bytes.push(self.what as u8);
        bytes.extend(self.time.0.to_be_bytes());
        let account = self.account.as_ref().map(|it| it.as_str().as_bytes());
        put(&mut bytes, account);
        put(&mut bytes, self.tool.map(|it| it.0.to_be_bytes()));
        match self.ip {
            None => put(&mut bytes, None::<[u8; 0]>),
            Some(IpAddr::V4(ip)) => put(&mut bytes, Some(ip.octets())),
            Some(IpAddr::V6(ip)) => put(&mut bytes, Some(ip.octets())),
        }
        put(&mut bytes, self.target.map(|it| it.0.to_be_bytes()));
        put(&mut bytes, self.key.map(|it| it.0));
        put(&mut bytes, self.correlation.map(u32::to_be_bytes));
        put(&mut bytes, self.stage.map(|it| [it as u8]));
        bytes.push(u8::from(self.is_final));
        put(&mut bytes, self.code.map(|it| [it.number()]));
        bytes.extend(self.count.to_be_bytes());
        put(&mut bytes, Some(self.text.as_bytes()));
        bytes
    }

    /// Reads what [`encode`](Self::encode) made.
    ///
    /// # Errors
    /// [`MalformedRecord`] for anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedRecord> {
        Self::read(&mut { bytes }).ok_or(MalformedRecord)
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let [what] = fixed(bytes)?;
        let time = Time(u64::from_be_bytes(fixed(bytes)?));
        let account = match take(bytes)? {
            Some(text) => Some(Title::new(std::str::from_utf8(text).ok()?).ok()?),
            None => None,
        };
        let tool = field(bytes)?.map(u32::from_be_bytes).map(Address);
        let ip = match take(bytes)? {
            None => None,
            Some(octets) => Some(match octets.len() {
                4 => IpAddr::from(<[u8; 4]>::try_from(octets).ok()?),
                _ => IpAddr::from(<[u8; 16]>::try_from(octets).ok()?),
            }),
        };
        let target = field(bytes)?.map(u32::from_be_bytes).map(Address);
        let key = field(bytes)?.map(Key);
        let correlation = field(bytes)?.map(u32::from_be_bytes);
        let stage = match field(bytes)? {
            Some([number]) => Some(Stage::from_number(number)?),
            None => None,
        };
        let is_final = match fixed(bytes)? {
            [0] => false,
            [1] => true,
            _ => return None,
        };
        let code = field(bytes)?.map(|[number]| Code::from_number(number));
        let count = u64::from_be_bytes(fixed(bytes)?);
        let text = std::str::from_utf8(take(bytes)??).ok()?.to_owned();
        bytes.is_empty().then_some(())?;
        Some(AuditRecord {
            time,
            what: AuditWhat::from_number(what)?,
            account,
            tool,
            ip,
            target,
            key,
            correlation,
            stage,
            is_final,
            code,
            count,
            text,
        })
    }
}

/// A field that may be absent: its length and one more in two bytes, or 0.
fn put(bytes: &mut Vec<u8>, field: Option<impl AsRef<[u8]>>) {
    let Some(field) = field else {
        return bytes.extend([0, 0]);
    };
    let field = field.as_ref();
    let field = &field[..field.len().min(usize::from(u16::MAX) - 1)];
    bytes.extend((field.len() as u16 + 1).to_be_bytes());
    bytes.extend(field);
}

fn fixed<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

fn take<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = u16::from_be_bytes(fixed(bytes)?);
    let Some(length) = length.checked_sub(1) else {
        return Some(None);
    };
    let (taken, rest) = bytes.split_at_checked(usize::from(length))?;
    *bytes = rest;
    Some(Some(taken))
}

fn field<const N: usize>(bytes: &mut &[u8]) -> Option<Option<[u8; N]>> {
    match take(bytes)? {
        None => Some(None),
        Some(taken) => Some(Some(taken.try_into().ok()?)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::{collection::vec, option::of, prelude::*};

    pub(in crate::audit) fn plain(what: AuditWhat, text: &str) -> AuditRecord {
        AuditRecord {
            text: text.into(),
            ..AuditRecord::new(Time(1), what)
        }
    }

    fn record() -> impl Strategy<Value = AuditRecord> {
        let account = "[a-z][a-z €]{0,9}".prop_map(|text| Title::new(&text).unwrap());
        let who = (
            of(account),
            of(any::<u32>().prop_map(Address)),
            of(any::<IpAddr>()),
            of(any::<u32>().prop_map(Address)),
        );
        let what = (
            of(any::<[u8; 16]>().prop_map(Key)),
            of(any::<u32>()),
            of(proptest::sample::select(Stage::ALL)),
            any::<bool>(),
            of(any::<u8>().prop_map(Code::from_number)),
            any::<u64>(),
            ".{0,40}",
        );
        let sort = proptest::sample::select(AuditWhat::ALL);
        (any::<u64>(), sort, who, what).prop_map(|(time, sort, who, what)| {
            let (account, tool, ip, target) = who;
            let (key, correlation, stage, is_final, code, count, text) = what;
            AuditRecord {
                time: Time(time),
                what: sort,
                account,
                tool,
                ip,
                target,
                key,
                correlation,
                stage,
                is_final,
                code,
                count,
                text,
            }
        })
    }

    pub(in crate::audit) fn records(
        count: std::ops::Range<usize>,
    ) -> impl Strategy<Value = Vec<AuditRecord>> {
        vec(record(), count)
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(record in record()) {
            let bytes = record.encode();
            prop_assert_eq!(AuditRecord::decode(&bytes), Ok(record));
            for cut in 0..bytes.len() {
                prop_assert_eq!(AuditRecord::decode(&bytes[..cut]), Err(MalformedRecord));
            }
        }

        #[test]
        fn nothing_panics(bytes in vec(any::<u8>(), 0..80)) {
            let _ = AuditRecord::decode(&bytes);
        }
    }
}
