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

/// Up to this size a body is shown to the core when it is whole: what was held back until then is what goes on. Of a larger
/// one every piece is shown as it comes, so that its end does not keep a worker busy for long.
const SHOWN_WHOLE: usize = 1024 * 1024;

/// What is known of the body.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// How much of it is there.
    received: usize,
    /// How much of that the core has seen.
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
        if size < self.received {
            return Err(Problem::Unreadable);
        }
        let ahead = u64::try_from(size.saturating_sub(self.seen)).unwrap_or(u64::MAX);
        held(callback.length_ahead(verifier, ahead))?;
        if !callback.takes_body() {
            return Err(Problem::Step(Step::Hold));
        }
        self.received = size;
        if size > SHOWN_WHOLE { self.show(callback, host, verifier) } else { Ok(()) }
    }

    /// It is complete: shows the core what it has not seen.
    pub(super) fn show(
        &mut self,
        callback: &mut Callback,
        host: &impl Host,
        verifier: &Verifier,
    ) -> Result<(), Problem> {
        while callback.takes_body() && self.seen < self.received {
            let most = self.received.saturating_sub(self.seen).min(SLICE_BYTES);
            let (mut shown, mut step) = (0_usize, Step::Hold);
            let read = host.body(self.seen, most, &mut |piece| {
                shown = shown.saturating_add(piece.len());
                // More than was asked for is perhaps not what goes on.
                if shown <= most && matches!(step, Step::Hold) {
                    step = callback.body(verifier, piece);
                }
            });
            held(step)?;
            if read.is_err() || shown == 0 || shown > most {
                return Err(Problem::Unreadable);
            }
            self.seen = self.seen.saturating_add(shown);
        }
        Ok(())
    }
}
