//! What is known of one callback under one policy, from the first check until its request ends.
//!
//! The request's pool keeps it, not nginx's own table of contexts: that is cleared by internal redirects, after which the
//! same token would be refused as its own replay.
#![forbid(unsafe_code)]

use core::cell::{Cell, OnceCell};
use std::rc::Rc;

use ngx::allocator::AllocError;
use secure_callbacks::{Clearance, FinalStatus, Identity, Pending, Reply, Reservation};

use crate::host::request::Request;
use crate::policy::ActivePolicy;
use crate::settle;

/// A callback under a policy. While nginx reads the body, its handlers run in between: nothing here is borrowed for
/// longer than one step.
pub(crate) struct Context {
    policy: Rc<ActivePolicy>,
    /// The head is good and the body is awaited.
    pub(crate) pending: Cell<Option<Pending>>,
    /// How much of the body has come in.
    pub(crate) received: Cell<u64>,
    concluded: OnceCell<Concluded>,
    /// Still to be settled by the upstream's answer.
    pub(crate) reservation: Cell<Option<Reservation>>,
    /// An interim answer has passed, and the final one is looked for behind it.
    pub(crate) interim: Cell<Option<FinalStatus>>,
    /// The method that the callback came by, as nginx numbers it.
    pub(crate) method: usize,
    /// Whether an error has led it on since, with a status that stays whatever is answered.
    pub(crate) after_error: Cell<bool>,
    /// Whether the refusal's head has been added to the answer.
    pub(crate) head_added: Cell<bool>,
    /// Whether nginx's own page is to be replaced by the refusal: the body grew too large while nginx read it.
    pub(crate) replaces_page: Cell<bool>,
}

/// What the checks came to.
pub(crate) struct Concluded {
    /// The verdict's code; `None` if there is no verdict.
    pub(crate) code: Option<&'static str>,
    /// Who sent the callback, if its signature was good.
    pub(crate) identity: Option<Identity>,
    /// What happens to the request.
    pub(crate) next: Next,
}

/// What happens to a request.
pub(crate) enum Next {
    /// It goes on.
    Pass(Passage),
    /// It is answered here.
    Refuse(Reply),
    /// It can't be checked: answered with this status.
    Fail(u16),
}

/// The leave to go on: made of the core's clearance only.
pub(crate) struct Passage {
    consents: bool,
}

impl Passage {
    /// `consents`: whether the callback passed, so that `satisfy any` asks nobody else.
    pub(crate) fn by(clearance: Clearance, consents: bool) -> (Self, Option<Reservation>) {
        (Self { consents }, clearance.into_reservation())
    }

    pub(crate) fn consents(&self) -> bool {
        self.consents
    }
}

impl Context {
    /// Begins to check a request by a policy.
    pub(crate) fn begin<'r>(request: Request<'r>, policy: &Rc<ActivePolicy>) -> Result<&'r Self, AllocError> {
        request.keep(Self {
            policy: Rc::clone(policy),
            pending: Cell::new(None),
            received: Cell::new(0),
            concluded: OnceCell::new(),
            reservation: Cell::new(None),
            interim: Cell::new(None),
            method: request.method(),
            after_error: Cell::new(false),
            head_added: Cell::new(false),
            replaces_page: Cell::new(false),
        })
    }

    /// The contexts of a request, the latest first.
    pub(crate) fn all(request: Request<'_>) -> impl Iterator<Item = &Self> {
        request.kept::<Self>()
    }

    /// The context under this policy.
    pub(crate) fn under<'r>(request: Request<'r>, policy: &Rc<ActivePolicy>) -> Option<&'r Self> {
        Self::all(request).find(|context| Rc::ptr_eq(&context.policy, policy))
    }

    pub(crate) fn policy(&self) -> &ActivePolicy {
        &self.policy
    }

    /// Whether the answer is still to say what becomes of the callback.
    pub(crate) fn has_reservation(&self) -> bool {
        let reservation = self.reservation.take();
        let has = reservation.is_some();
        self.reservation.set(reservation);
        has
    }

    pub(crate) fn concluded(&self) -> Option<&Concluded> {
        self.concluded.get()
    }

    /// Concludes, once: what was concluded first stays.
    pub(crate) fn conclude(&self, concluded: Concluded) -> &Concluded {
        self.pending.take();
        self.concluded.get_or_init(|| concluded)
    }

    /// The request can't be checked.
    pub(crate) fn fail(&self, status: u16) -> &Concluded {
        self.conclude(Concluded { code: None, identity: None, next: Next::Fail(status) })
    }
}

impl Drop for Context {
    /// The request is over: what no upstream has answered was not taken.
    fn drop(&mut self) {
        settle::unanswered(self);
    }
}
