//! Protected locations whose error log hides what is refused there: refusals are logged at level `warn`, and nginx's own
//! level is `error`, so that somebody who tries a policy in report mode would see nothing and believe that all is well.
#![forbid(unsafe_code)]

use std::string::String;
use std::vec::Vec;

use crate::host::conf::Place;
use crate::host::cycle::{Cycle, ErrorLog};

/// The protected locations. Their logs' levels are known only when the whole configuration is read.
#[derive(Debug, Default)]
pub(crate) struct Protected(Vec<Location>);

/// A location under a policy.
#[derive(Debug)]
pub(crate) struct Location {
    /// Its own name.
    pub(crate) name: String,
    /// The policy's.
    pub(crate) policy: String,
    /// Where it says so, or what it inherits from.
    pub(crate) place: Place,
    /// Where its refusals are logged.
    pub(crate) log: ErrorLog,
}

impl Protected {
    pub(crate) fn add(&mut self, location: Location) {
        self.0.push(location);
    }

    /// Warns of what nobody would see, once for each line that protects something.
    pub(crate) fn warn_of_silence(&self, cycle: Cycle<'_>) {
        let mut warned: Vec<&Place> = Vec::new();
        for Location { name, policy, place, log } in &self.0 {
            if log.hides_warnings(cycle) && !warned.contains(&place) {
                warned.push(place);
                let advice = "give \"error_log\" the level \"warn\"";
                let line = format_args!("refusals by policy \"{policy}\" are not logged for location {name}: {advice}");
                cycle.warn(place, line);
            }
        }
    }
}
