//! The body of a request whose head is good, on its way to the verdict.

use secure_callbacks::verifier::UnixSeconds;
use secure_callbacks::{Authentic, Pending, Refused};

use super::Host;
use crate::native_hash::{self, NativeHash, Question};

/// The most of a body that is copied into the sandbox at once: its memory never shrinks.
const SLICE_BYTES: usize = 64 * 1024;

/// Why a body does not come to a good end.
pub(super) enum Problem {
    /// The core says no.
    Refused(Refused),
    /// Envoy does not hand it out: nobody can tell whether it is the one that was signed, and the sender may try again.
    Unreadable,
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// What is known of the body so far.
#[derive(Debug)]
pub(super) struct Body {
    pending: Pending,
    /// How much of it is there.
    received: usize,
    /// How much of that the core has hashed.
    hashed: usize,
}

impl Body {
    pub(super) fn new(pending: Pending) -> Self {
        Self { pending, received: 0, hashed: 0 }
    }

    /// `size` bytes are there by now.
    pub(super) fn grow(&mut self, size: usize, host: &impl Host, native: Option<NativeHash>) -> Result<(), Problem> {
        let ahead = u64::try_from(size.saturating_sub(self.hashed)).unwrap_or(u64::MAX);
        self.pending.check_length(ahead)?;
        self.received = size;
        // What Envoy hashes it hashes as a whole, at the end.
        if native.is_some() && size <= *native_hash::SIZES.end() {
            return Ok(());
        }
        self.hash(host)
    }

    /// It is complete.
    pub(super) fn end(
        mut self,
        host: &impl Host,
        native: Option<NativeHash>,
        now: UnixSeconds,
    ) -> Result<Authentic, Problem> {
        let size = self.received;
        match (native, self.pending.expected_hash()) {
            (Some(native), Some(expected)) if self.hashed == 0 && native_hash::SIZES.contains(&size) => {
                let mut question = Question::new(expected, size);
                each_slice(host, 0, size, &mut |slice| {
                    question.add(slice);
                    Ok(())
                })?;
                if native.confirms(host, &question) {
                    self.pending.body_matched();
                } else {
                    self.pending.body(question.body())?;
                }
            }
            _ => self.hash(host)?,
        }
        Ok(self.pending.end(now)?)
    }

    /// Has the core hash what is there.
    fn hash(&mut self, host: &impl Host) -> Result<(), Problem> {
        let Self { pending, hashed, received } = self;
        each_slice(host, *hashed, *received, &mut |slice| pending.body(slice))?;
        *hashed = *received;
        Ok(())
    }
}

/// Shows the bytes of the body from `start` to `end`.
fn each_slice(
    host: &impl Host,
    mut start: usize,
    end: usize,
    show: &mut dyn FnMut(&[u8]) -> Result<(), Refused>,
) -> Result<(), Problem> {
    while start < end {
        let most = end.saturating_sub(start).min(SLICE_BYTES);
        let slice = host.body(start, most).unwrap_or_default();
        // More than was asked for would be hashed and is perhaps not what goes on.
        if slice.is_empty() || slice.len() > most {
            return Err(Problem::Unreadable);
        }
        show(&slice)?;
        start = start.saturating_add(slice.len());
    }
    Ok(())
}
