//! What the checks can come to, with who sent the callback.

use crate::claim::{Claim, Reason};
use crate::code::{Code, Fault, Rejection};
use crate::identity::Identity;

/// A rejected callback, and who sent it, if its signature was good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which check failed.
    pub rejection: Rejection,
    /// The claims of a token whose signature was good.
    pub identity: Option<Identity>,
    /// The claim that decided, if one did.
    pub claim: Option<Claim>,
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        Reason::from(rejection).into()
    }
}

impl From<Reason> for Refused {
    fn from(Reason { rejection, claim }: Reason) -> Self {
        Self { rejection, identity: None, claim }
    }
}

impl Refused {
    /// A callback of this sender's.
    pub(crate) fn of(identity: Identity, reason: impl Into<Reason>) -> Self {
        let Reason { rejection, claim } = reason.into();
        Self { rejection, identity: Some(identity), claim }
    }
}

/// A callback that passed every check. Only the verifier makes one.
#[derive(Debug)]
pub struct Verified {
    pub(crate) identity: Identity,
}

/// What the checks came to.
#[derive(Debug)]
pub enum Verdict {
    /// Every check passed.
    Accept(Verified),
    /// A check failed.
    Reject(Refused),
    /// It can't be told, or the callback can't be taken now.
    Fail(Fault, Option<Identity>),
}

impl Verdict {
    /// Its code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Accept(_) => Code::Accepted,
            Self::Reject(refused) => Code::Rejected(refused.rejection),
            Self::Fail(fault, _) => Code::Failed(*fault),
        }
    }
}

impl From<Refused> for Verdict {
    fn from(refused: Refused) -> Self {
        Self::Reject(refused)
    }
}
