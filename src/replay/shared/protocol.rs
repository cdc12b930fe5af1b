//! What a shared store is asked, as Redis commands, and what its answers mean.
//!
//! A callback has one key. While its answer is not known its value names who has reserved it; afterwards it is [`KEPT`].
//! Values of both kinds go by themselves: after [`PENDING_SECONDS`](crate::replay::PENDING_SECONDS), or once the token
//! can't be accepted any more.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::replay::reservation::{PENDING_SECONDS, Reservation};
use crate::replay::store::Answer;
use crate::time::UnixSeconds;

/// The value of a callback that was taken.
const KEPT: &str = "kept";

/// What the value of one begins with that is on its way.
const PENDING: &str = "pending:";

/// Takes a reservation for good, if it is still ours, or has lapsed and nobody else has it.
const KEEP: &str = "local v = redis.call('GET', KEYS[1]) \
                    if v and v ~= ARGV[1] then return 0 end \
                    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) return 1";

/// Gives a reservation back, if it is still ours.
const RELEASE: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end \
                       return redis.call('DEL', KEYS[1])";

/// What a store is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Reserve a callback.
    Reserve,
    /// Remember that it was taken.
    Keep,
    /// Give it back.
    Release,
}

impl Operation {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Reserve, Self::Keep, Self::Release];

    /// As metrics name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Keep => "keep",
            Self::Release => "release",
        }
    }
}

/// One command: its words, as Redis takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What it does.
    pub operation: Operation,
    /// Its words, the command's name first.
    pub words: Vec<String>,
}

impl Command {
    /// The key that it is about: commands of one key must reach the store in the order in which they were given.
    #[must_use]
    pub fn key(&self) -> &str {
        let place = match self.operation {
            Operation::Reserve => 1,
            Operation::Keep | Operation::Release => 3,
        };
        self.words.get(place).map_or("", String::as_str)
    }

    /// What the answer to [`Operation::Reserve`] means: `before` is the value that was there.
    #[must_use]
    pub fn answer(&self, before: Option<&[u8]>) -> Answer {
        // A question that was asked twice, because a connection broke, meets its own reservation.
        let is_own = |value: &[u8]| self.words.get(2).is_some_and(|own| own.as_bytes() == value);
        match before {
            None => Answer::Fresh,
            Some(value) if is_own(value) => Answer::Fresh,
            Some(value) if value == KEPT.as_bytes() => Answer::Seen,
            Some(value) if value.starts_with(PENDING.as_bytes()) => Answer::InFlight,
            Some(_) => Answer::Unavailable,
        }
    }
}

/// How one policy of one process speaks of its callbacks.
#[derive(Debug)]
pub struct Protocol {
    keys: Box<str>,
    owner: Box<str>,
}

impl Protocol {
    /// Keys begin with `prefix` and the policy's name, so that policies of one name share a memory and others have their
    /// own. `process` is a number that no other process of the fleet has: a random one.
    #[must_use]
    pub fn new(prefix: &str, policy: &str, process: u64) -> Self {
        Self { keys: format!("{prefix}{policy}:").into(), owner: format!("{PENDING}{process:016x}").into() }
    }

    /// One atomic step: of any number at once for one key, one finds nothing there.
    #[must_use]
    pub fn reserve(&self, reservation: &Reservation) -> Command {
        let pending = (PENDING_SECONDS.saturating_mul(1000)).to_string();
        let words = ["SET", &self.key(reservation), &self.owner(reservation), "NX", "GET", "PX", &pending];
        Command { operation: Operation::Reserve, words: words.map(String::from).into() }
    }

    /// For as long as its token may be accepted.
    #[must_use]
    pub fn keep(&self, reservation: &Reservation, now: UnixSeconds) -> Command {
        // At least for a second: nothing is the other word for "for ever".
        let left = reservation.kept_until().saturating_sub(now).max(1).saturating_mul(1000).to_string();
        let words = ["EVAL", KEEP, "1", &self.key(reservation), &self.owner(reservation), KEPT, &left];
        Command { operation: Operation::Keep, words: words.map(String::from).into() }
    }

    /// If nobody else has it by now.
    #[must_use]
    pub fn release(&self, reservation: &Reservation) -> Command {
        let words = ["EVAL", RELEASE, "1", &self.key(reservation), &self.owner(reservation)];
        Command { operation: Operation::Release, words: words.map(String::from).into() }
    }

    fn key(&self, reservation: &Reservation) -> String {
        let key = u128::from_be_bytes(*reservation.key().bytes());
        format!("{}{key:032x}", self.keys)
    }

    fn owner(&self, reservation: &Reservation) -> String {
        format!("{}{:08x}", self.owner, reservation.owner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::Key;

    fn reservation(owner: u32) -> Reservation {
        Reservation::new(Key::new("a1b2c3d", "5b4bf2bb-4a5d-4a0d-8a9e-1f6b1a5b0c3e"), owner, 1000, 1330)
    }

    #[test]
    fn commands_are_as_redis_takes_them() {
        let protocol = Protocol::new("sc:", "video", 0xab);
        let key = "sc:video:cc0b1b8d9dd2a87bcd5f0ee08b7b3d50";
        let owner = "pending:00000000000000ab00000007";
        let reserve = protocol.reserve(&reservation(7));
        assert_eq!(reserve.words.len(), 7);
        assert_eq!(reserve.words[1].len(), key.len());
        assert!(!reserve.words.iter().any(|word| word.contains("5b4bf2bb")), "no claim is in it");
        assert_eq!(reserve.words[2..], [owner, "NX", "GET", "PX", "60000"]);
        let keep = protocol.keep(&reservation(7), 1010);
        assert_eq!(keep.words[2..], ["1", reserve.words[1].as_str(), owner, "kept", "320000"]);
        assert_eq!(protocol.keep(&reservation(7), 5000).words[6], "1000", "not for ever");
        let release = protocol.release(&reservation(7));
        assert_eq!([reserve.key(), keep.key(), release.key()], [reserve.words[1].as_str(); 3]);
        assert_eq!(protocol.release(&reservation(7)).words[3..], [reserve.words[1].as_str(), owner]);
        assert_ne!(Protocol::new("sc:", "voice", 0xab).reserve(&reservation(7)).words[1], reserve.words[1]);
    }

    #[test]
    fn answers_are_understood_or_not() {
        let command = Protocol::new("sc:", "video", 1).reserve(&reservation(7));
        for (before, due) in [
            (None, Answer::Fresh),
            (Some("kept"), Answer::Seen),
            (Some("pending:000000000000000200000007"), Answer::InFlight),
            (Some("pending:000000000000000100000007"), Answer::Fresh),
            (Some("pending:000000000000000100000008"), Answer::InFlight),
            (Some(""), Answer::Unavailable),
            (Some("OK"), Answer::Unavailable),
        ] {
            assert_eq!(command.answer(before.map(str::as_bytes)), due, "{before:?}");
        }
    }
}
