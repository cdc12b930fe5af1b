//! What a host is told.

use std::time::Duration;

use secure_callbacks::replay::shared::{Change, Operation};

/// Told of what happens, mostly on the store's thread: it must not block. A panic of it is caught and changes nothing.
pub trait Observer: Send + Sync {
    /// There are answers to [take](crate::Store::take), where there were none. Called on the store's thread: it wakes the
    /// host's event loop.
    fn answered(&self);

    /// A command is over; `elapsed` is since it was given. For metrics.
    fn called(&self, operation: Operation, outcome: Outcome, elapsed: Duration);

    /// The store is not asked any more, or it is again. For the log: `why` is one short line of ASCII, and holds no
    /// password, and of what the store sent only an error's code or the names in its certificate.
    fn changed(&self, change: Change, why: &str);
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The store has done it, whatever its answer.
    Answered,
    /// No answer in time.
    TimedOut,
    /// There is no connection, or it broke.
    Unreachable,
    /// The store answered with an error.
    Error,
    /// The store answered what no store answers.
    NotUnderstood,
    /// Not asked: it has failed too often lately.
    NotAsked,
    /// Not asked: too many wait already.
    QueueFull,
}

impl Outcome {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::Answered,
        Self::TimedOut,
        Self::Unreachable,
        Self::Error,
        Self::NotUnderstood,
        Self::NotAsked,
        Self::QueueFull,
    ];

    /// As metrics name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::Error => "error",
            Self::NotUnderstood => "not_understood",
            Self::NotAsked => "not_asked",
            Self::QueueFull => "queue_full",
        }
    }
}
