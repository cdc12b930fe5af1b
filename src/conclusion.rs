//! From a verdict to what is done: the only file in the program that can make a [`Clearance`].

use crate::claim::Claim;
use crate::code::{Code, Fault, Rejection};
use crate::identity::Identity;
use crate::policy::{Mode, Policy};
use crate::reply::Reply;
use crate::verdict::{Refused, Verdict, Verified};

/// The permission to forward one callback.
#[derive(Debug)]
pub struct Clearance(());

/// What the host does now, and what it records.
#[derive(Debug)]
pub struct Conclusion {
    /// What the checks came to, in report mode too.
    pub code: Code,
    /// The claims of a token whose signature was good.
    pub identity: Option<Identity>,
    /// The claim that decided a refusal, if one did.
    pub claim: Option<Claim>,
    /// Forward, or reply.
    pub outcome: Outcome,
}

/// The two ways on from a verdict.
#[derive(Debug)]
pub enum Outcome {
    /// To the application.
    Forward(Clearance),
    /// Back to the caller; nothing reaches the application.
    Reply(Reply),
}

impl Policy {
    /// Turns a verdict into what the host does, by the policy's mode.
    pub(crate) fn conclude(&self, verdict: Verdict) -> Conclusion {
        let (code, identity, claim) = match verdict {
            Verdict::Accept(Verified { identity }) => {
                let outcome = Outcome::Forward(Clearance(()));
                return Conclusion { code: Code::Accepted, identity: Some(identity), claim: None, outcome };
            }
            Verdict::Reject(Refused { rejection, identity, claim }) => (Code::Rejected(rejection), identity, claim),
            Verdict::Fail(fault, identity) => (Code::Failed(fault), identity, None),
        };
        let outcome = match self.mode() {
            Mode::Report => Outcome::Forward(Clearance(())),
            Mode::Enforce => Outcome::Reply(self.reply(code)),
        };
        Conclusion { code, identity, claim, outcome }
    }

    /// The conclusion where a callback can't be forwarded as it must be, after a fault of the host's own or because its
    /// identity headers would be the caller's: in report mode too it is refused.
    #[must_use]
    pub fn conclude_not_forwarded(&self, identity: Option<Identity>) -> Conclusion {
        let code = Code::Failed(Fault::ProxyFailed);
        Conclusion { code, identity, claim: None, outcome: Outcome::Reply(self.reply(code)) }
    }

    fn reply(&self, code: Code) -> Reply {
        let challenges = self.challenges();
        let challenge = if code == Code::Rejected(Rejection::TokenMissing) {
            &challenges.token_missing
        } else {
            &challenges.token_invalid
        };
        Reply::new(code.status(self.missing_token_status()), challenge, self.expose_reason().then_some(code))
    }
}
