//! One command after the other for each key: a release is not sent before the reservation that it follows is over.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// Who is the last in line, for each key that somebody is in line for.
#[derive(Default)]
pub(crate) struct Turns(Mutex<Lines>);

#[derive(Default)]
struct Lines {
    last: HashMap<Box<str>, (u64, oneshot::Receiver<()>)>,
    given: u64,
}

/// A place in the line of one key, from when it was taken until this is dropped.
pub(crate) struct Turn {
    turns: Arc<Turns>,
    key: Box<str>,
    number: u64,
    /// Ends when the one before is over.
    before: Option<oneshot::Receiver<()>>,
    /// Tells the one behind, by being dropped.
    _over: oneshot::Sender<()>,
}

impl Turns {
    /// The next place in the line of this key.
    pub(crate) fn next(self: &Arc<Self>, key: &str) -> Turn {
        let (over, behind) = oneshot::channel();
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.given += 1;
        let number = lines.given;
        let before = lines.last.insert(key.into(), (number, behind)).map(|(_, before)| before);
        Turn { turns: Arc::clone(self), key: key.into(), number, before, _over: over }
    }
}

impl Turn {
    /// Waits until those before are over. May be begun again after it was given up.
    pub(crate) async fn comes(&mut self) {
        if let Some(before) = &mut self.before {
            // Nothing is ever sent: it ends with an error.
            before.await.unwrap_or_default();
            self.before = None;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut lines = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody came behind.
        if let Entry::Occupied(last) = lines.last.entry(std::mem::take(&mut self.key))
            && last.get().0 == self.number
        {
            last.remove();
        }
    }
}
