//! What a host is told.

use std::time::Duration;

use secure_callbacks::replay::shared::{Change, Operation, Outcome};

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
