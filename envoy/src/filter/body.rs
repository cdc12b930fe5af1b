//! The body of a request, on its way into the core.

use secure_callbacks::{Callback, Step, Verifier};

use crate::host::Host;

/// The most of a body that is asked for at once: in a sandbox it is copied, and a sandbox's memory never shrinks.
const SLICE_BYTES: usize = 64 * 1024;

/// Why a body does not come to a good end.
pub(super) enum Problem {
    /// The core says what to do instead.
    Step(Step),
    /// Envoy does not hand it out: nobody can tell whether it is the one that was signed, and the sender may try again.
    Unreadable,
}

/// How much of the body the core has seen.
#[derive(Debug, Default)]
pub(super) struct Body {
    seen: usize,
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
        verifier: &Verifier,
    ) -> Result<(), Problem> {
        let ahead = u64::try_from(size.saturating_sub(self.seen)).unwrap_or(u64::MAX);
        held(callback.length_ahead(verifier, ahead))?;
        if !callback.takes_body() {
            return Err(Problem::Step(Step::Hold));
        }
        while self.seen < size {
            let most = size.saturating_sub(self.seen).min(SLICE_BYTES);
            let (mut shown, mut step) = (0_usize, Step::Hold);
            let read = host.body(self.seen, most, &mut |piece| {
                shown = shown.saturating_add(piece.len());
                if matches!(step, Step::Hold) {
                    step = callback.body(verifier, piece);
                }
            });
            // More than was asked for is perhaps not what goes on.
            if read.is_err() || shown == 0 || shown > most {
                return Err(Problem::Unreadable);
            }
            held(step)?;
            self.seen = self.seen.saturating_add(shown);
        }
        Ok(())
    }
}
