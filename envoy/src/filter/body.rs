//! The body of a request, on its way into the core.

use secure_callbacks::{Callback, Step};

use super::Host;
use crate::native_hash::{self, Question};
use crate::protection::Protection;

/// The most of a body that is copied into the sandbox at once: its memory never shrinks.
const SLICE_BYTES: usize = 64 * 1024;

/// Why a body does not come to a good end.
pub(super) enum Problem {
    /// The core says what to do instead.
    Step(Step),
    /// Envoy does not hand it out: nobody can tell whether it is the one that was signed, and the sender may try again.
    Unreadable,
}

/// What is known of the body so far.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// How much of it is there.
    received: usize,
    /// How much of that the core has hashed.
    hashed: usize,
}

/// Whether the core holds the request; otherwise what it says.
fn held(step: Step) -> Result<(), Problem> {
    match step {
        Step::Hold => Ok(()),
        step => Err(Problem::Step(step)),
    }
}

impl Body {
    /// `size` bytes are there by now.
    pub(super) fn grow(
        &mut self,
        size: usize,
        callback: &mut Callback,
        host: &impl Host,
        protection: &Protection,
    ) -> Result<(), Problem> {
        let ahead = u64::try_from(size.saturating_sub(self.hashed)).unwrap_or(u64::MAX);
        held(callback.length_ahead(protection.verifier(), ahead))?;
        if !callback.takes_body() {
            return Err(Problem::Step(Step::Hold));
        }
        self.received = size;
        // What Envoy hashes it hashes as a whole, at the end.
        if protection.native_hash().is_some() && size <= *native_hash::SIZES.end() {
            return Ok(());
        }
        self.hash(callback, host, protection)
    }

    /// It is complete.
    pub(super) fn end(
        &mut self,
        callback: &mut Callback,
        host: &impl Host,
        protection: &Protection,
    ) -> Result<(), Problem> {
        let size = self.received;
        match (protection.native_hash(), callback.expected_hash()) {
            (Some(native), Some(expected)) if self.hashed == 0 && native_hash::SIZES.contains(&size) => {
                let mut question = Question::new(expected, size);
                each_slice(host, 0, size, &mut |slice| {
                    question.add(slice);
                    Ok(())
                })?;
                if native.confirms(host, &question) {
                    callback.body_matched();
                    return Ok(());
                }
                held(callback.body(protection.verifier(), question.body()))
            }
            _ => self.hash(callback, host, protection),
        }
    }

    /// Has the core hash what is there.
    fn hash(&mut self, callback: &mut Callback, host: &impl Host, protection: &Protection) -> Result<(), Problem> {
        each_slice(host, self.hashed, self.received, &mut |slice| held(callback.body(protection.verifier(), slice)))?;
        self.hashed = self.received;
        Ok(())
    }
}

/// Shows the bytes of the body from `start` to `end`.
fn each_slice(
    host: &impl Host,
    mut start: usize,
    end: usize,
    show: &mut dyn FnMut(&[u8]) -> Result<(), Problem>,
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
