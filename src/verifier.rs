//! The one order of checks. What follows what is decided here and nowhere else:
//!
//! ```text
//! head complete   source address → client certificate → token present, well formed, HS256 → account → signature → iss, iat, exp, nbf, application,
//!                 form of payload_hash and jti, payload hash of a GET's query where the policy says so, announced length
//! each chunk      count against max_body_size, feed SHA-256
//! end of body     payload hash → age → reservation (last, so that only authentic callbacks take room)
//! ```

use crate::certificate::{Connection, NotGiven};
use crate::claim::{Claim, Reason};
use crate::code::{Fault, Rejection};
use crate::identity::{Identity, is_plain};
use crate::lifetime::Lifetime;
use crate::payload::{PayloadCheck, RequestLine, parse_payload_hash};
use crate::policy::{Account, PayloadHashRule, Policy};
use crate::replay::{Key, Reservation};
use crate::time::UnixSeconds;
use crate::token::{self, Claims, Token, TokenField};
use crate::verdict::{Refused, Verdict, Verified};

/// What the core asks of a request's head.
#[derive(Clone, Copy)]
pub struct RequestHead<'r> {
    /// The header that [`Policy::token_header`] names.
    pub token: TokenField<&'r [u8]>,
    /// The length that the head announces, in bytes, if it does.
    pub content_length: Option<u64>,
    /// What is asked for; needed only if [`Policy::hashes_query`].
    pub line: Option<RequestLine<'r>>,
    /// The connection it came on.
    pub connection: &'r dyn Connection,
}

/// Verifies callbacks by one policy.
#[derive(Debug)]
pub struct Verifier {
    policy: Policy,
}

impl Verifier {
    /// A verifier for a validated policy.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        token::install_provider();
        Self { policy }
    }

    /// The policy it verifies by.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Checks all that a request's head can tell.
    ///
    /// # Errors
    /// The verdict, if it falls here: by the first check that failed, or that could not be made.
    pub fn start(&self, head: &RequestHead<'_>, now: UnixSeconds) -> Result<Pending, Verdict> {
        match self.check_connection(head.connection) {
            Ok(None) => self.check_token(head, now).map_err(Verdict::Reject),
            Ok(Some(rejection)) => Err(Verdict::Reject(rejection.into())),
            Err(NotGiven) => Err(Verdict::Fail(Fault::ProxyFailed, None)),
        }
    }

    fn check_token(&self, head: &RequestHead<'_>, now: UnixSeconds) -> Result<Pending, Refused> {
        let value = match head.token {
            TokenField::Absent => return Err(Rejection::TokenMissing.into()),
            TokenField::Repeated => return Err(Rejection::TokenMalformed.into()),
            TokenField::Once(value) => value,
        };
        let token = Token::parse(token::from_header(value, self.policy.token_header_is_authorization())?)?;
        let claims = token.claims()?;
        let account = self.policy.account(claims.api_key()?);
        let keys = account.map(Account::keys).unwrap_or_default();
        let signed = token::signed_by(&token, keys, self.policy.spare_keys(account))?;
        let account = account.ok_or(Claim::ApiKey.fails(Rejection::AccountUnknown))?;
        if !signed {
            return Err(Rejection::SignatureInvalid.into());
        }
        // From here on the claims are the sender's own words.
        let identity =
            Identity::new(account.api_key(), claims.application_id().ok(), claims.jti().ok(), claims.iat().ok());
        match self.check_claims(account, &claims, head, now) {
            Ok(Terms { payload, lifetime, replay }) => Ok(Pending { payload, identity, lifetime, replay }),
            Err(reason) => Err(Refused::of(identity, reason)),
        }
    }

    /// Where it comes from, before anything that it says. Each is asked only if the policy does.
    fn check_connection(&self, connection: &dyn Connection) -> Result<Option<Rejection>, NotGiven> {
        if let Some(networks) = self.policy.source_addresses()
            && !connection.source().is_some_and(|source| networks.contain(source))
        {
            return Ok(Some(Rejection::SourceNotAllowed));
        }
        match self.policy.client_certificate() {
            Some(rule) => rule.check(connection),
            None => Ok(None),
        }
    }

    fn check_claims(
        &self,
        account: &Account,
        claims: &Claims<'_>,
        head: &RequestHead<'_>,
        now: UnixSeconds,
    ) -> Result<Terms, Reason> {
        let policy = &self.policy;
        if claims.iss()? != policy.issuer() {
            return Err(Claim::Iss.fails(Rejection::IssuerMismatch));
        }
        let lifetime = Lifetime::of(claims, policy, now)?;
        if let Some(applications) = account.applications() {
            let application = claims.application_id()?;
            if !applications.iter().any(|allowed| allowed.as_ref() == application) {
                return Err(Claim::ApplicationId.fails(Rejection::ApplicationNotAllowed));
            }
        }
        let expected_hash = match (policy.payload_hash(), claims.payload_hash()) {
            (PayloadHashRule::Ignored, _) => None,
            (_, Err(malformed)) => return Err(malformed),
            (PayloadHashRule::Required, Ok(None)) => return Err(Claim::PayloadHash.missing()),
            (PayloadHashRule::WhenPresent, Ok(None)) => None,
            (_, Ok(Some(text))) => Some(parse_payload_hash(text)?),
        };
        let replay = match policy.replay() {
            false => None,
            true => {
                let jti = claims.jti()?;
                if !is_plain(jti) {
                    return Err(Claim::Jti.malformed());
                }
                // The longest that any token read now can stay acceptable, were the clock set back by as much as leeway.
                let kept_until = now.saturating_add(policy.max_age()).saturating_add(policy.leeway());
                Some(ReplayTerms { key: Key::new(account.api_key(), jti), kept_until })
            }
        };
        let mut payload = PayloadCheck::new(policy.max_body_size(), expected_hash);
        if policy.hashes_query() {
            payload.take_query(head.line)?;
        }
        payload.check_length(head.content_length.unwrap_or_default())?;
        Ok(Terms { payload, lifetime, replay })
    }
}

/// What the claims leave to be checked at the end.
struct Terms {
    payload: PayloadCheck,
    lifetime: Lifetime,
    replay: Option<ReplayTerms>,
}

#[derive(Debug)]
struct ReplayTerms {
    key: Key,
    kept_until: UnixSeconds,
}

/// A callback whose head is good; its body is awaited.
#[derive(Debug)]
pub struct Pending {
    payload: PayloadCheck,
    identity: Identity,
    lifetime: Lifetime,
    replay: Option<ReplayTerms>,
}

impl Pending {
    /// Checks a length that is known before its bytes are: how many are still to be taken.
    ///
    /// # Errors
    /// [`Rejection::BodyTooLarge`]; behind a query that was hashed, [`Rejection::PayloadHashMismatch`].
    pub fn check_length(&self, ahead: u64) -> Result<(), Refused> {
        self.payload.check_length(ahead).map_err(|reason| refused(reason, &self.identity))
    }

    /// Takes the next bytes of the body.
    ///
    /// # Errors
    /// As [`Pending::check_length`], as soon as it is known.
    pub fn body(&mut self, chunk: &[u8]) -> Result<(), Refused> {
        self.payload.update(chunk).map_err(|reason| refused(reason, &self.identity))
    }

    /// The body is over: with the head, with the last chunk or with the trailers.
    ///
    /// The token must still be good: otherwise somebody could hold a body back for longer than a callback is remembered,
    /// and have it accepted again.
    ///
    /// # Errors
    /// [`Rejection::PayloadHashMismatch`], [`Rejection::TokenExpired`].
    pub fn end(self, now: UnixSeconds) -> Result<Authentic, Refused> {
        let Self { payload, identity, lifetime, replay } = self;
        let authentic = Authentic { identity, lifetime, replay };
        match payload.finish() {
            Err(reason) => Err(authentic.refuse(reason)),
            Ok(()) if authentic.is_too_old(now) => Err(authentic.refuse_as_expired()),
            Ok(()) => Ok(authentic),
        }
    }

    /// Who sent it.
    pub(crate) fn into_identity(self) -> Identity {
        self.identity
    }
}

fn refused(reason: Reason, identity: &Identity) -> Refused {
    Refused::of(identity.clone(), reason)
}

/// An authentic callback: the token is good and the body is the one it was signed for. Whether it was accepted before is
/// still to be asked.
#[derive(Debug)]
pub struct Authentic {
    identity: Identity,
    lifetime: Lifetime,
    replay: Option<ReplayTerms>,
}

impl Authentic {
    /// What to reserve; `None` if the policy does not ask. `owner` tells this reservation from a later one of the same
    /// callback, so that only its own answer releases it.
    #[must_use]
    pub fn reservation(&self, owner: u32, now: UnixSeconds) -> Option<Reservation> {
        self.replay.as_ref().map(|terms| Reservation::new(terms.key, owner, now, terms.kept_until))
    }

    /// Whether its token has become too old meanwhile.
    pub(crate) fn is_too_old(&self, now: UnixSeconds) -> bool {
        self.lifetime.is_over(now)
    }

    /// The verdict on a callback whose reservation, if the policy asks for one, was made. Without it the store counts as
    /// unavailable.
    pub(crate) fn accept(self, reserved: Option<&Reservation>) -> Verdict {
        let Self { identity, replay, .. } = self;
        match replay {
            Some(terms) if reserved.is_none_or(|reservation| reservation.key() != terms.key) => {
                Verdict::Fail(Fault::ReplayStoreUnavailable, Some(identity))
            }
            _ => Verdict::Accept(Verified { identity }),
        }
    }

    /// Who sent it.
    pub(crate) fn into_identity(self) -> Identity {
        self.identity
    }

    pub(crate) fn refuse(self, reason: impl Into<Reason>) -> Refused {
        Refused::of(self.identity, reason)
    }

    pub(crate) fn refuse_as_expired(self) -> Refused {
        let reason = self.lifetime.expired();
        self.refuse(reason)
    }

    pub(crate) fn fail(self, fault: Fault) -> Verdict {
        Verdict::Fail(fault, Some(self.identity))
    }
}
