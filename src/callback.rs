//! The life of one callback: a host tells what happens to it, and is told what to do. No I/O and no clock.
//!
//! ```text
//! Fresh ──head──▶ Body ──end of body──▶ Reserving ──the stores' answers──▶ Cleared ──answer──▶ Over
//!   └───────────────┴───── a verdict without a reservation ──────────────────┘  └─ refused, gone ─▶ Over
//! ```
//!
//! A reservation is made in the proxy's own table, and then in the shared store, if the policy has one: what the table has
//! seen is refused without asking anybody.
//!
//! What is decided here and nowhere else: what may follow what; that nothing is forwarded without a [`Clearance`]; that a
//! reservation is settled exactly once, by the application's own final answer or by its absence; that a token is young
//! enough when the verdict falls, also after a store that answered late.
//!
//! [`Clearance`]: crate::Clearance

#[cfg(test)]
mod tests;

use core::mem;

use crate::claim::Claim;
use crate::code::{Fault, Rejection};
use crate::conclusion::{Conclusion, Outcome};
use crate::identity::Identity;
use crate::replay::{Answer, Reservation, Settled};
use crate::settlement::{AnsweredBy, Settlement, settlement};
use crate::time::UnixSeconds;
use crate::verdict::{Refused, Verdict};
use crate::verifier::{Authentic, Pending, RequestHead, Verifier};

/// What a host does next.
#[derive(Debug)]
pub enum Step {
    /// Nothing goes on: more of the request, or the store's answer, is awaited; or the request is over.
    Hold,
    /// Reserve this in the proxy's own table, and tell [`Callback::reserved`].
    Reserve(Reservation),
    /// Reserve this in the shared store too, and tell [`Callback::reserved`] once it has answered. Nothing goes on until
    /// then. What a store is told of one reservation must reach it in the order in which it was told.
    ReserveShared(Reservation),
    /// The verdict: record it, and forward or reply.
    Conclude(Conclusion),
    /// It was forwarded: what follows goes the same way.
    Continue,
}

#[derive(Debug)]
enum Stage {
    /// Nothing was seen yet.
    Fresh,
    /// The head is good; the body is awaited.
    Body(Pending),
    /// All is good; the answer of this store is awaited.
    Reserving(Authentic, Reservation, Store),
    /// It is refused, and nobody waits for the shared store's answer any more: what it may have reserved is to be released.
    GivenUp(Reservation),
    /// It may go on; the reservation, if there is one, waits for the application's answer.
    Cleared(Option<Reservation>),
    /// It was refused, or its request is gone.
    Over,
}

/// Which store is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Store {
    Own,
    Shared,
}

/// One callback under one policy.
#[derive(Debug)]
pub struct Callback(Stage);

impl Default for Callback {
    fn default() -> Self {
        Self(Stage::Fresh)
    }
}

impl Callback {
    /// The head is complete.
    pub fn head(&mut self, verifier: &Verifier, head: &RequestHead<'_>, now: UnixSeconds) -> Step {
        if !matches!(self.0, Stage::Fresh) {
            return self.out_of_order(verifier);
        }
        match verifier.start(head, now) {
            Ok(pending) => {
                self.0 = Stage::Body(pending);
                Step::Hold
            }
            Err(verdict) => self.conclude(verifier, verdict),
        }
    }

    /// A length is known before its bytes are: how many are still to be taken.
    pub fn length_ahead(&mut self, verifier: &Verifier, bytes: u64) -> Step {
        self.with_body(verifier, |pending| pending.check_length(bytes))
    }

    /// More of the body.
    pub fn body(&mut self, verifier: &Verifier, chunk: &[u8]) -> Step {
        self.with_body(verifier, |pending| pending.body(chunk))
    }

    /// Whether more of the body is of any use.
    #[must_use]
    pub fn takes_body(&self) -> bool {
        matches!(self.0, Stage::Body(_))
    }

    /// The body is over: with the head, with the last chunk or with the trailers. `owner` tells this reservation from a
    /// later one of the same callback.
    pub fn end_of_body(&mut self, verifier: &Verifier, owner: u32, now: UnixSeconds) -> Step {
        let pending = match mem::replace(&mut self.0, Stage::Over) {
            Stage::Body(pending) => pending,
            other => {
                self.0 = other;
                return self.out_of_order(verifier);
            }
        };
        let authentic = match pending.end(now) {
            Ok(authentic) => authentic,
            Err(refused) => return self.conclude(verifier, refused.into()),
        };
        match authentic.reservation(owner, now) {
            None => self.conclude(verifier, authentic.accept(None)),
            Some(reservation) => {
                self.0 = Stage::Reserving(authentic, reservation, Store::Own);
                Step::Reserve(reservation)
            }
        }
    }

    /// The store that was asked has answered, at once or later. What comes back beside the step is for the stores.
    pub fn reserved(&mut self, verifier: &Verifier, answer: Answer, now: UnixSeconds) -> (Step, Option<Settled>) {
        let (authentic, reservation, store) = match mem::replace(&mut self.0, Stage::Over) {
            Stage::Reserving(authentic, reservation, store) => (authentic, reservation, store),
            other => {
                self.0 = other;
                return (Step::Hold, None);
            }
        };
        let shared = verifier.policy().shared_store();
        let settled = match (store, answer) {
            (Store::Own, Answer::Fresh) => Some(Settled::ReleaseHere(reservation)),
            (Store::Own, _) => None,
            (Store::Shared, Answer::Seen) => Some(Settled::KeepHere(reservation)),
            (Store::Shared, Answer::InFlight | Answer::Full) => Some(Settled::ReleaseHere(reservation)),
            // Of a store that has not answered nobody knows what it has done.
            (Store::Shared, Answer::Fresh | Answer::Unavailable) => Some(Settled::Release(reservation)),
        };
        if authentic.is_too_old(now) {
            return (self.conclude(verifier, authentic.refuse_as_expired().into()), settled);
        }
        let verdict = match (store, answer, shared) {
            (Store::Own, Answer::Fresh, Some(_)) => {
                self.0 = Stage::Reserving(authentic, reservation, Store::Shared);
                return (Step::ReserveShared(reservation), None);
            }
            (Store::Shared, Answer::Unavailable, Some(shared)) if shared.is_optional() => {
                authentic.accept(Some(&reservation))
            }
            (_, Answer::Fresh, _) => authentic.accept(Some(&reservation)),
            (_, Answer::Seen, _) => authentic.refuse(Rejection::Replayed).into(),
            (_, Answer::InFlight, _) => authentic.refuse(Rejection::ReplayInFlight).into(),
            (_, Answer::Full, _) => authentic.fail(Fault::ReplayStoreFull),
            (_, Answer::Unavailable, _) => authentic.fail(Fault::ReplayStoreUnavailable),
        };
        let accepted = matches!(verdict, Verdict::Accept(_));
        let step = self.conclude(verifier, verdict);
        match &mut self.0 {
            Stage::Cleared(waiting) if accepted => {
                *waiting = Some(reservation);
                (step, None)
            }
            _ => (step, settled),
        }
    }

    /// Whether [`Callback::answered`] has anything to settle.
    #[must_use]
    pub fn awaits_answer(&self) -> bool {
        matches!(self.0, Stage::Cleared(Some(_)))
    }

    /// An answer is on its way back to the sender. What comes back is for the store; `None`: nothing is settled by it.
    pub fn answered(&mut self, status: u16, by: impl FnOnce() -> AnsweredBy) -> Option<Settled> {
        let Stage::Cleared(waiting) = &mut self.0 else { return None };
        let settled = match settlement(status, by) {
            Settlement::Keep => Settled::Keep,
            Settlement::Release => Settled::Release,
            Settlement::Wait => return None,
        };
        waiting.take().map(settled)
    }

    /// The request is over: what nobody has answered was not taken. What comes back is for the store.
    pub fn gone(&mut self) -> Option<Settled> {
        match mem::replace(&mut self.0, Stage::Over) {
            // It follows the question, so that it finds what that has made.
            Stage::Reserving(_, reservation, _) | Stage::GivenUp(reservation) => Some(Settled::Release(reservation)),
            Stage::Cleared(waiting) => waiting.map(Settled::Release),
            Stage::Fresh | Stage::Body(_) | Stage::Over => None,
        }
    }

    /// A fault of the host's own came over a callback that went on: what became of it can't be told. Its reservation is
    /// neither kept nor released, and lapses.
    pub fn abandoned(&mut self) {
        self.0 = Stage::Over;
    }

    /// The host can't give what the check needs: nobody can tell what the callback is worth.
    pub fn failed(&mut self, verifier: &Verifier) -> Step {
        match mem::replace(&mut self.0, Stage::Over) {
            Stage::Fresh => self.conclude(verifier, Verdict::Fail(Fault::ProxyFailed, None)),
            Stage::Body(pending) => {
                let identity = pending.into_identity();
                self.conclude(verifier, Verdict::Fail(Fault::ProxyFailed, Some(identity)))
            }
            // Whoever waits for the store is answered now, in report mode too: what is reserved later belongs to nobody.
            Stage::Reserving(authentic, reservation, _) => {
                self.0 = Stage::GivenUp(reservation);
                let identity = authentic.into_identity();
                Step::Conclude(verifier.policy().conclude_not_forwarded(Some(identity)))
            }
            other => {
                self.0 = other;
                self.out_of_order(verifier)
            }
        }
    }

    /// The body can't come to its end any more, and the request goes on without it, to an error page: what was signed is
    /// not what goes on.
    pub fn body_lost(&mut self, verifier: &Verifier) -> Step {
        match mem::replace(&mut self.0, Stage::Over) {
            Stage::Body(pending) => {
                let reason = Claim::PayloadHash.fails(Rejection::PayloadHashMismatch);
                self.conclude(verifier, Refused::of(pending.into_identity(), reason).into())
            }
            other => {
                self.0 = other;
                Step::Hold
            }
        }
    }

    /// It was cleared, and the host could not forward it as it must be: its identity headers are not set. In report mode
    /// too it is refused. What comes back beside the step is for the store.
    pub fn not_forwarded(&mut self, verifier: &Verifier, identity: Option<Identity>) -> (Step, Option<Settled>) {
        match mem::replace(&mut self.0, Stage::Over) {
            Stage::Cleared(waiting) => {
                let step = Step::Conclude(verifier.policy().conclude_not_forwarded(identity));
                (step, waiting.map(Settled::Release))
            }
            other => {
                self.0 = other;
                (Step::Hold, None)
            }
        }
    }

    fn with_body(&mut self, verifier: &Verifier, take: impl FnOnce(&mut Pending) -> Result<(), Refused>) -> Step {
        let Stage::Body(pending) = &mut self.0 else { return self.out_of_order(verifier) };
        match take(pending) {
            Ok(()) => Step::Hold,
            Err(refused) => self.conclude(verifier, refused.into()),
        }
    }

    /// What follows the verdict passes or stays, as the verdict was; what comes before the head is no callback.
    #[inline(never)]
    fn out_of_order(&mut self, verifier: &Verifier) -> Step {
        match self.0 {
            Stage::Cleared(_) => Step::Continue,
            Stage::Over | Stage::Reserving(..) | Stage::GivenUp(_) => Step::Hold,
            Stage::Fresh | Stage::Body(_) => self.conclude(verifier, Verdict::Fail(Fault::ProxyFailed, None)),
        }
    }

    /// Not put into each of the many places that end here: the filter is to stay small.
    #[inline(never)]
    fn conclude(&mut self, verifier: &Verifier, verdict: Verdict) -> Step {
        let conclusion = verifier.policy().conclude(verdict);
        self.0 = match conclusion.outcome {
            Outcome::Forward(_) => Stage::Cleared(None),
            Outcome::Reply(_) => Stage::Over,
        };
        Step::Conclude(conclusion)
    }
}
