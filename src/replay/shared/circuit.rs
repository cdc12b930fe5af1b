//! Whether a shared store is asked at all: one that does not answer is not to add its time-out to every request.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

/// So many failures in a row, and it is not asked any more.
const MOST_FAILURES: u32 = 5;

/// How often one that is not asked any more is asked all the same, to find out whether it answers again.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// What has changed: worth a line in the log, which single failures are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It has failed too often, and is not asked any more.
    Opened,
    /// It answers again.
    Closed,
}

impl Change {
    /// The line for the log. `is_optional`: callbacks are taken meanwhile.
    #[must_use]
    pub fn line(self, policy: &str, why: &str, is_optional: bool) -> String {
        let meanwhile = match is_optional {
            true => "meanwhile this proxy's own table has to do",
            false => "until it answers, callbacks are refused with 503",
        };
        match self {
            Self::Opened => {
                format!("secure_callbacks: policy {policy}: the replay store does not answer ({why}): {meanwhile}")
            }
            Self::Closed => format!("secure_callbacks: policy {policy}: the replay store answers again"),
        }
    }
}

/// Counts failures in a row. Times are of any clock that does not go back.
#[derive(Debug, Clone, Copy, Default)]
pub struct Circuit {
    failures: u32,
    /// When it is asked next, while it is open.
    next_probe: Duration,
}

impl Circuit {
    /// Whether the store is not asked now, but for probes.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.failures >= MOST_FAILURES
    }

    /// Whether it may be asked now. Of an open circuit one question a second passes.
    pub fn may_ask(&mut self, now: Duration) -> bool {
        if !self.is_open() {
            return true;
        }
        if now < self.next_probe {
            return false;
        }
        self.next_probe = now.saturating_add(PROBE_EVERY);
        true
    }

    /// It has answered.
    pub fn succeeded(&mut self) -> Option<Change> {
        let was_open = self.is_open();
        self.failures = 0;
        was_open.then_some(Change::Closed)
    }

    /// It has not, or not so that anybody could understand it.
    pub fn failed(&mut self, now: Duration) -> Option<Change> {
        let was_open = self.is_open();
        self.failures = self.failures.saturating_add(1);
        let opened = !was_open && self.is_open();
        if opened {
            self.next_probe = now.saturating_add(PROBE_EVERY);
        }
        opened.then_some(Change::Opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn five_failures_in_a_row_open_it() {
        let mut circuit = Circuit::default();
        for _ in 0..3 {
            for _ in 0..4 {
                assert_eq!(circuit.failed(millis(0)), None);
            }
            assert_eq!(circuit.succeeded(), None, "four are none");
        }
        for nth in 1..=5 {
            assert!(circuit.may_ask(millis(0)));
            assert_eq!(circuit.failed(millis(0)), (nth == 5).then_some(Change::Opened));
        }
        assert!(circuit.is_open());
    }

    #[test]
    fn an_open_one_lets_one_question_a_second_through() {
        let mut circuit = Circuit::default();
        for _ in 0..5 {
            circuit.failed(millis(100));
        }
        assert!(!circuit.may_ask(millis(100)) && !circuit.may_ask(millis(1099)));
        assert!(circuit.may_ask(millis(1100)) && !circuit.may_ask(millis(1100)), "one");
        assert_eq!(circuit.failed(millis(1350)), None, "it was open before");
        assert!(!circuit.may_ask(millis(2099)) && circuit.may_ask(millis(2100)));
        assert_eq!(circuit.succeeded(), Some(Change::Closed));
        assert!(circuit.may_ask(millis(2100)) && circuit.may_ask(millis(2100)));
        assert_eq!(circuit.succeeded(), None);
    }
}
