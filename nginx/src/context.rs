//! What is known of one callback under one policy, from the first check until its request ends.
//!
//! The request's pool keeps it, not nginx's own table of contexts: that is cleared by internal redirects, after which the
//! same token would be refused as its own replay.
#![forbid(unsafe_code)]

use core::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use ngx::allocator::AllocError;
use secure_callbacks::{Callback, Clearance, Code, FinalStatus, Identity, Reply, Settled, Verifier};

use crate::host::now;
use crate::host::request::Request;
use crate::policy::ActivePolicy;
use crate::shared_store::Ticket;

/// A callback under a policy. While nginx reads the body, its handlers run in between: nothing here is borrowed for
/// longer than one step.
pub(crate) struct Context {
    policy: Rc<ActivePolicy>,
    callback: RefCell<Callback>,
    /// How much of the body has come in.
    pub(crate) received: Cell<u64>,
    concluded: OnceCell<Concluded>,
    /// It waits for the shared store's answer.
    waits: RefCell<Option<Ticket>>,
    /// An interim answer has passed, and the final one is looked for after it.
    pub(crate) interim: Cell<Option<FinalStatus>>,
    /// The method that the callback came by, as nginx numbers it.
    pub(crate) method: usize,
    /// Whether an error has led it on since, with a status that stays whatever is answered.
    pub(crate) after_error: Cell<bool>,
    /// Whether the refusal's head has been added to the answer.
    pub(crate) head_added: Cell<bool>,
    /// Whether nginx's own page is to be replaced by the refusal: it came while nginx read the body.
    pub(crate) replaces_page: Cell<bool>,
}

/// What the checks came to.
pub(crate) struct Concluded {
    /// The verdict's code; `None` if there is no verdict.
    pub(crate) code: Option<Code>,
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
    /// It is refused with this status, without a reply of the core's.
    Fail(u16),
}

/// The leave to go on: made of the core's clearance only.
pub(crate) struct Passage {
    consents: bool,
}

impl Passage {
    /// `consents`: whether the callback passed, so that `satisfy any` asks nobody else.
    pub(crate) fn by(_: Clearance, consents: bool) -> Self {
        Self { consents }
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
            callback: RefCell::default(),
            received: Cell::new(0),
            concluded: OnceCell::new(),
            waits: RefCell::new(None),
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

    /// Tells the callback what happens to it. `tell` calls nothing of nginx's that calls back.
    pub(crate) fn tell<T>(&self, tell: impl FnOnce(&mut Callback, &Verifier) -> T) -> T {
        tell(&mut self.callback.borrow_mut(), self.policy.verifier())
    }

    /// Does with the reservation what the life of the callback came to, if it came to anything.
    pub(crate) fn settle(&self, settled: Option<Settled>) {
        if let Some(settled) = settled {
            self.policy.settle(&settled, now());
        }
    }

    /// It is held until the shared store answers, or (`None`) not any more.
    pub(crate) fn wait(&self, ticket: Option<Ticket>) {
        let before = self.waits.replace(ticket);
        drop(before);
    }

    /// The number that it waits with.
    pub(crate) fn waits(&self) -> Option<u64> {
        self.waits.borrow().as_ref().map(Ticket::number)
    }

    pub(crate) fn concluded(&self) -> Option<&Concluded> {
        self.concluded.get()
    }

    /// Concludes, once: what was concluded first stays.
    pub(crate) fn conclude(&self, concluded: Concluded) -> &Concluded {
        self.concluded.get_or_init(|| concluded)
    }
}

impl Drop for Context {
    /// The request is over: what no upstream has answered was not taken.
    fn drop(&mut self) {
        self.settle(self.tell(|callback, _| callback.gone()));
    }
}
