//! How the application treats a callback. The last segment of the path says it, so that no channel to the application
//! is needed but the one that is tested.
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the application does with one callback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Behaviour {
    /// 200 at once.
    #[default]
    Plain,
    /// 200 after 3 seconds, every time.
    Slow,
    /// The first delivery is not answered within the proxies' time-out; later ones are, at once.
    StuckOnce,
    /// The first delivery gets 503.
    FailOnce,
    /// The first delivery gets a reset connection.
    ResetOnce,
    /// The first delivery gets the head of a 200 and half the body, then a reset.
    HalfOnce,
}

/// What is done with one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The wait before it.
    pub delay: Duration,
    /// The status of the answer, `None` for a reset instead.
    pub status: Option<u16>,
    /// Whether the connection is reset in the middle of the answer's body.
    pub half: bool,
}

impl Behaviour {
    const NAMES: [(Self, &'static str); 6] = [
        (Self::Plain, "plain"),
        (Self::Slow, "slow"),
        (Self::StuckOnce, "stuck-once"),
        (Self::FailOnce, "fail-once"),
        (Self::ResetOnce, "reset-once"),
        (Self::HalfOnce, "half-once"),
    ];

    /// The last segment of the path.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(behaviour, _)| *behaviour == self).map_or("plain", |(_, name)| name)
    }

    /// What a request target asks for.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        let last = path.rsplit('/').next().unwrap_or_default();
        Self::NAMES.iter().find(|(_, name)| *name == last).map_or(Self::Plain, |(behaviour, _)| *behaviour)
    }

    /// What to do with the delivery of this number, from 1.
    #[must_use]
    pub fn step(self, number: usize) -> Step {
        let at_once = Step { delay: Duration::ZERO, status: Some(200), half: false };
        match self {
            Self::Slow => Step { delay: Duration::from_secs(3), ..at_once },
            _ if number > 1 => at_once,
            Self::Plain => at_once,
            Self::StuckOnce => Step { delay: Duration::from_secs(60), ..at_once },
            Self::FailOnce => Step { status: Some(503), ..at_once },
            Self::ResetOnce => Step { status: None, ..at_once },
            Self::HalfOnce => Step { half: true, ..at_once },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_find_back() {
        for (behaviour, name) in Behaviour::NAMES {
            assert_eq!(Behaviour::of_path(&format!("/callbacks/x/{name}")), behaviour);
            assert_eq!(behaviour.name(), name);
        }
        assert_eq!(Behaviour::of_path("/callbacks/x"), Behaviour::Plain);
    }
}
