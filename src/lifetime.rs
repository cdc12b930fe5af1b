//! How long a token is good: `iat`, `exp` and `nbf` against `max_age` and `leeway` (RFC 7519 sections 4.1.4 to 4.1.6).

use crate::claim::{Claim, Reason};
use crate::code::Rejection;
use crate::policy::Policy;
use crate::time::UnixSeconds;
use crate::token::Claims;

/// The life of a token that is good now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetime {
    /// The last second in which it is good.
    last: UnixSeconds,
    /// The claim that this comes from.
    by: Claim,
}

impl Lifetime {
    /// Reads the three claims.
    pub(crate) fn of(claims: &Claims<'_>, policy: &Policy, now: UnixSeconds) -> Result<Self, Reason> {
        let leeway = policy.leeway();
        let (iat, exp, nbf) = (claims.iat()?, claims.exp()?, claims.nbf()?);
        let mut life = Self { last: iat.saturating_add(policy.max_age()), by: Claim::Iat };
        // `exp` itself is past already; `iat` and `nbf` count with their second.
        if let Some(last) = exp.map(|exp| exp.saturating_add(leeway).saturating_sub(1))
            && last < life.last
        {
            life = Self { last, by: Claim::Exp };
        }
        if life.is_over(now) {
            return Err(life.expired());
        }
        let latest = now.saturating_add(leeway);
        if iat > latest {
            return Err(Claim::Iat.fails(Rejection::TokenNotYetValid));
        }
        if nbf.is_some_and(|nbf| nbf > latest) {
            return Err(Claim::Nbf.fails(Rejection::TokenNotYetValid));
        }
        Ok(life)
    }

    pub(crate) fn is_over(self, now: UnixSeconds) -> bool {
        now > self.last
    }

    /// What to refuse it for once it is over.
    pub(crate) fn expired(self) -> Reason {
        self.by.fails(Rejection::TokenExpired)
    }
}
