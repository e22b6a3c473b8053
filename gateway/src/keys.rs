//! A controller's keys: the one that it has, the one that follows it, and what is to be done about them
//! (`docs/protocol.md` §6.2, ADR 0022). Pure: who stores and sends is elsewhere.

use crate::store::ControllerKey;
use bytes::Bytes;
use snow::HandshakeState;
use std::time::Duration;
use switchyard_protocol::{
    Code,
    message::{LinkKey, Request, Time},
};

/// The one Noise protocol of this link version.
pub(crate) const NOISE: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2b";

/// The longest that an old key may be good as well: nobody goes back to a backup of before that.
pub const KEEP_OLD_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// The keys by which a controller may prove itself. Both come from the store, where they stay until the
/// controller has forgotten the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The one that it has had.
    pub current: ControllerKey,
    /// The one that it is to have.
    pub next: Option<NextKey>,
}

/// The key that follows a controller's current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextKey {
    /// The key.
    pub key: ControllerKey,
    /// From when on the current one may be forgotten: once no backup is wanted any more which has that one
    /// alone, or at once where it is in wrong hands.
    pub forget_from: Time,
}

/// One of a controller's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhichKey {
    /// [`Keys::current`].
    Current,
    /// [`Keys::next`].
    Next,
}

/// What replacing a key wants done, in a session that has just been proven or after an answer in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStep {
    /// Nothing, in this session.
    Rest,
    /// The controller may not have its next key yet: it is to be asked to take this one. After its ok the
    /// session may be ended, so that it dials by that one.
    Offer(NextKey),
    /// The controller has this one: it is to be asked to forget the current one. After its ok the store is
    /// told that this is the only one.
    Forget(ControllerKey),
}

impl From<ControllerKey> for Keys {
    fn from(current: ControllerKey) -> Self {
        Keys {
            current,
            next: None,
        }
    }
}

impl Keys {
    /// What is to be done with a controller that has proven itself by one of these.
    pub fn step(&self, proven: WhichKey, now: Time) -> KeyStep {
        match (self.next, proven) {
            (Some(next), WhichKey::Current) => KeyStep::Offer(next),
            (Some(next), WhichKey::Next) if next.forget_from <= now => KeyStep::Forget(next.key),
            _ => KeyStep::Rest,
        }
    }

    /// One of them.
    pub fn get(&self, which: WhichKey) -> Option<ControllerKey> {
        match which {
            WhichKey::Current => Some(self.current),
            WhichKey::Next => self.next.map(|next| next.key),
        }
    }

    /// Whether this is one of them.
    pub fn has(&self, key: &ControllerKey) -> bool {
        self.current == *key || self.next.is_some_and(|next| next.key == *key)
    }

    /// The keys once the controller has confirmed that it has forgotten the current one, or called off.
    #[must_use]
    pub fn settled(&self) -> Self {
        self.get(WhichKey::Next).unwrap_or(self.current).into()
    }

    /// Takes a controller's message 1 of which the prologue was said: which key it was made by, and the
    /// handshake that goes on from there. Whoever fails costs two tries, also where there is one key or no
    /// such controller: so the time that it takes tells nobody which addresses there are, or whose key is
    /// being replaced.
    ///
    /// # Errors
    /// [`Code::HandshakeFailed`].
    pub(crate) fn read_message_1(
        known: Option<&Keys>,
        prologue: &Bytes,
        message_1: &[u8],
    ) -> Result<(WhichKey, HandshakeState), Code> {
        let mut failure = Code::HandshakeFailed;
        for (key, which) in Self::to_try(known) {
            match responder(&key, prologue, message_1) {
                // By a key that is nobody's this is never reached, but for chance.
                Ok(noise) => {
                    let which = which.ok_or(Code::HandshakeFailed)?;
                    return Ok((which, noise));
                }
                Err(code) => failure = code,
            }
        }
        Err(failure)
    }

    /// Always two, and `None` beside those that nobody has. The current one is right nearly always.
    fn to_try(known: Option<&Keys>) -> [([u8; 32], Option<WhichKey>); 2] {
        let current = known.map(|keys| (keys.current, WhichKey::Current));
        let next = known.and_then(|keys| Some((keys.get(WhichKey::Next)?, WhichKey::Next)));
        [current, next].map(|known| match known {
            Some((key, which)) => (key.0, Some(which)),
            None => (rand::random(), None),
        })
    }
}

impl KeyStep {
    /// What the controller is to be asked.
    pub fn request(&self) -> Option<Request> {
        match self {
            KeyStep::Rest => None,
            KeyStep::Offer(next) => Some(Request::Rekey {
                key: Some(LinkKey(next.key.0)),
            }),
            KeyStep::Forget(_) => Some(Request::Rekey { key: None }),
        }
    }
}

/// A handshake that has taken message 1, which was made by this key.
fn responder(key: &[u8; 32], prologue: &[u8], message_1: &[u8]) -> Result<HandshakeState, Code> {
    let internal = |_: snow::Error| Code::Internal;
    let mut noise = NOISE
        .parse()
        .map(snow::Builder::new)
        .and_then(|builder| builder.prologue(prologue))
        .and_then(|builder| builder.psk(0, key))
        .and_then(snow::Builder::build_responder)
        .map_err(internal)?;
    let read = noise.read_message(message_1, &mut []);
    read.map_err(|_| Code::HandshakeFailed)?;
    Ok(noise)
}

#[cfg(test)]
mod tests {
    use super::*;
    use WhichKey::{Current, Next};

    const OLD: ControllerKey = ControllerKey([1; 32]);
    const NEW: ControllerKey = ControllerKey([2; 32]);
    const STRANGE: ControllerKey = ControllerKey([9; 32]);

    fn keys(next: Option<ControllerKey>) -> Keys {
        let next = next.map(|key| NextKey {
            key,
            forget_from: Time(1_000),
        });
        Keys { current: OLD, next }
    }

    fn message_1(key: ControllerKey, prologue: &[u8]) -> Vec<u8> {
        let mut message = [0; 48];
        let length = snow::Builder::new(NOISE.parse().unwrap())
            .prologue(prologue)
            .unwrap()
            .psk(0, &key.0)
            .unwrap()
            .build_initiator()
            .unwrap()
            .write_message(&[], &mut message)
            .unwrap();
        message[..length].to_vec()
    }

    #[test]
    fn a_message_tells_by_which_key_it_was_made() {
        let prologue = Bytes::from_static(b"hello");
        let refused = Err(Code::HandshakeFailed);
        let table = [
            (None, OLD, refused),
            (Some(keys(None)), OLD, Ok(Current)),
            (Some(keys(None)), NEW, refused),
            (Some(keys(Some(NEW))), OLD, Ok(Current)),
            (Some(keys(Some(NEW))), NEW, Ok(Next)),
            (Some(keys(Some(NEW))), STRANGE, refused),
            (Some(keys(Some(OLD))), OLD, Ok(Current)),
            (Some(keys(Some(NEW)).settled()), OLD, refused),
            (Some(keys(Some(NEW)).settled()), NEW, Ok(Current)),
        ];
        for (known, key, expected) in table {
            let message = message_1(key, &prologue);
            let read = Keys::read_message_1(known.as_ref(), &prologue, &message);
            assert_eq!(read.map(|(which, _)| which), expected, "{known:?}, {key:?}");
        }
        let other = Bytes::from_static(b"another hello");
        let message = message_1(OLD, &prologue);
        let read = Keys::read_message_1(Some(&keys(Some(NEW))), &other, &message);
        assert_eq!(read.map(|(which, _)| which), refused);
    }

    #[test]
    fn who_fails_costs_two_tries_whoever_it_is() {
        for known in [None, Some(keys(None)), Some(keys(Some(NEW)))] {
            let [first, second] = Keys::to_try(known.as_ref());
            assert_eq!(first.1, known.map(|_| Current));
            assert_eq!(
                second.1,
                known.and_then(|keys| keys.get(Next)).map(|_| Next)
            );
            assert_ne!(first.0, second.0);
            let others = Keys::to_try(known.as_ref());
            for (one, other) in [(first, others[0]), (second, others[1])] {
                assert_eq!(one.0 == other.0, one.1.is_some(), "nobody's are drawn anew");
            }
        }
    }

    #[test]
    fn every_step() {
        let (early, due) = (Time(999), Time(1_000));
        let next = keys(Some(NEW)).next.unwrap();
        let table = [
            (keys(None), Current, early, KeyStep::Rest),
            (keys(None), Current, due, KeyStep::Rest),
            (keys(Some(NEW)), Current, early, KeyStep::Offer(next)),
            (keys(Some(NEW)), Current, due, KeyStep::Offer(next)),
            (keys(Some(NEW)), Next, early, KeyStep::Rest),
            (keys(Some(NEW)), Next, due, KeyStep::Forget(NEW)),
        ];
        for (keys, proven, now, expected) in table {
            assert_eq!(keys.step(proven, now), expected);
        }
        assert_eq!(keys(Some(NEW)).settled(), Keys::from(NEW));
        assert_eq!(keys(None).settled(), Keys::from(OLD));
        let asked = |step: KeyStep| step.request().map(|request| request.encode());
        assert_eq!(asked(KeyStep::Rest), None);
        assert_eq!(
            asked(KeyStep::Forget(NEW)),
            Some(Request::Rekey { key: None }.encode())
        );
        let offer = KeyStep::Offer(next).request();
        let key = Some(LinkKey(NEW.0));
        assert_eq!(offer, Some(Request::Rekey { key }));
        assert!(!format!("{offer:?} {:?}", KeyStep::Offer(next)).contains('2'));
    }
}
