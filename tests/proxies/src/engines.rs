//! The engines of a shared replay store that tests run, as a suite of Debian's has them.

use std::path::{Path, PathBuf};

/// One engine. It is unpacked under the clone's `target`, and not installed.
#[derive(Debug, PartialEq, Eq)]
pub struct Engine {
    /// As its packages and its programs begin.
    pub name: &'static str,
    /// Debian's suite, whose libraries it runs with.
    pub suite: &'static str,
}

/// The oldest that has what is asked of it, in the oldest Debian that tests run on; and the other one.
pub const ENGINES: [Engine; 2] =
    [Engine { name: "redis", suite: "bookworm" }, Engine { name: "valkey", suite: "trixie" }];

impl Engine {
    /// Its directory.
    #[must_use]
    pub fn home(&self, target: &Path) -> PathBuf {
        target.join("tools").join(format!("{}-{}", self.name, self.suite))
    }

    /// One of its programs: `server` or `cli`.
    #[must_use]
    pub fn program(&self, target: &Path, role: &str) -> PathBuf {
        self.home(target).join(format!("{}-{role}", self.name))
    }
}
