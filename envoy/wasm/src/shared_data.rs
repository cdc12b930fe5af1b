//! Envoy's shared data, which all workers see and which outlives a configuration update: what is asked of it, and how a
//! value is changed in one atomic step.

/// Part of every key: another number if the meaning of the bytes changes.
const FORMAT: &str = "1";

/// How often a change is tried before the store counts as unavailable. Each loss means that another worker's change to
/// the same key went through, so this many in a row takes more workers than a machine has.
const MOST_TRIES: usize = 64;

/// A stamp no key has: to swap it fails on every key that exists, and makes one that does not. That is how a key is made
/// once only. Envoy counts stamps up from 1, through all keys, so one has this value for a moment in 2^32 changes.
const ABSENT: u32 = u32::MAX;

/// Shared data could not be read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedDataFailed;

/// How a compare-and-swap ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// The new value is there.
    Done,
    /// The stamp has changed meanwhile; nothing was written.
    Lost,
}

/// Values by key, each with a stamp that changes with the value.
pub trait SharedData {
    /// A value and its stamp, which is never 0; `None` if there is no such key.
    ///
    /// # Errors
    /// If the host can't tell.
    fn load(&self, key: &str) -> Result<Option<(Vec<u8>, u32)>, SharedDataFailed>;

    /// Sets the value if the stamp is still this one, or if the key does not exist.
    ///
    /// # Errors
    /// If the host can't do it.
    fn swap(&self, key: &str, value: &[u8], stamp: u32) -> Result<Swap, SharedDataFailed>;
}

/// The key of something that belongs to a policy.
pub(crate) fn key(policy: &str, part: &str) -> String {
    format!("secure_callbacks/{FORMAT}/{policy}/{part}")
}

/// Changes a value in one atomic step. `change` makes the new value of the present one, or `None` to leave it, and says
/// what came of it. `None` if that could not be done.
pub(crate) fn update<A>(
    data: &impl SharedData,
    key: &str,
    change: impl Fn(Option<Vec<u8>>) -> Option<(A, Option<Vec<u8>>)>,
) -> Option<A> {
    for _ in 0..MOST_TRIES {
        let (present, stamp) = match data.load(key).ok()? {
            // Stamp 0 would overwrite whatever is there.
            Some((_, 0)) => return None,
            Some((bytes, stamp)) => (Some(bytes), stamp),
            None => (None, ABSENT),
        };
        let (answer, changed) = change(present)?;
        match changed {
            None => return Some(answer),
            Some(value) => {
                if data.swap(key, &value, stamp).ok()? == Swap::Done {
                    return Some(answer);
                }
            }
        }
    }
    None
}

/// Makes a key, unless it is there; `None` if that could not be done.
pub(crate) fn make(data: &impl SharedData, key: &str, value: &[u8]) -> Option<()> {
    data.swap(key, value, ABSENT).ok().map(|_| ())
}

/// Whether this is news: the value under the key was another so far. Many workers read one configuration, and each
/// would say the same about it.
pub(crate) fn is_news(data: &impl SharedData, key: &str, value: &[u8]) -> bool {
    update(data, key, |known| {
        let news = known.as_deref() != Some(value);
        Some((news, news.then(|| value.to_vec())))
    })
    .unwrap_or(true)
}
