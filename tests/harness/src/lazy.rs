//! What many tests share and the first of them makes: a proxy, mostly.
use anyhow::{Result, anyhow};
use std::sync::OnceLock;

/// Made at its first use; if that fails, it fails for all.
pub struct Lazy<T>(OnceLock<Result<T, String>>);

impl<T> Default for Lazy<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Lazy<T> {
    /// Not made yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// What `make` makes, once.
    pub fn get(&self, make: impl FnOnce() -> Result<T>) -> Result<&T> {
        let made = self.0.get_or_init(|| make().map_err(|error| format!("{error:#}")));
        made.as_ref().map_err(|error| anyhow!("{error}"))
    }

    /// Whether anybody has asked for it.
    #[must_use]
    pub fn was_used(&self) -> bool {
        self.0.get().is_some()
    }
}
