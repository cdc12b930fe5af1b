//! The table of verdicts: each code, its status, and what may follow from it.
//!
//! Forwarding takes a [`Clearance`], which only [`Verifier::conclude`](crate::Verifier::conclude) makes: from a
//! [`Verified`] callback, or from any other in report mode. So no host can forward by a slip.

use crate::identity::Identity;
use crate::replay::Reservation;
use crate::reply::Reply;

/// The code of a callback that passed every check.
pub const ACCEPTED: &str = "accepted";

/// Why a callback is refused: the caller's fault. The variants stand in the order of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rejection {
    /// The source address is in none of the policy's networks.
    SourceNotAllowed,
    /// The policy asks for a client certificate, and the client showed none.
    ClientCertificateMissing,
    /// The proxy did not validate the client's certificate.
    ClientCertificateUnverified,
    /// The certificate is none of those that the policy names.
    ClientCertificateMismatch,
    /// No header, or an empty one.
    TokenMissing,
    /// Not a three-part compact JWS in strict base64url (RFC 7515 section 7.1), or not one JSON object in a part.
    TokenMalformed,
    /// Anything but `HS256`, or a critical extension (`crit`, RFC 7515 section 4.1.11).
    AlgorithmNotAllowed,
    /// A claim that the policy asks for is not there.
    ClaimMissing,
    /// A claim of the wrong type or form.
    ClaimMalformed,
    /// No account has this `api_key`.
    AccountUnknown,
    /// None of the account's secrets made this signature.
    SignatureInvalid,
    /// `iss` is another.
    IssuerMismatch,
    /// The account's list does not have this `application_id`.
    ApplicationNotAllowed,
    /// `iat` is older than `max_age`, or `exp` is past.
    TokenExpired,
    /// `iat` or `nbf` is in the future.
    TokenNotYetValid,
    /// The body is larger than `max_body_size`.
    BodyTooLarge,
    /// The body's SHA-256 is not `payload_hash`.
    PayloadHashMismatch,
    /// The same callback was taken before (or is on its way, where the store can't tell).
    Replayed,
    /// The same callback is on its way to the application, whose answer is not known yet: the sender may try again.
    ReplayInFlight,
}

impl Rejection {
    /// Every rejection, for tables of metrics.
    pub const ALL: [Self; 19] = [
        Self::SourceNotAllowed,
        Self::ClientCertificateMissing,
        Self::ClientCertificateUnverified,
        Self::ClientCertificateMismatch,
        Self::TokenMissing,
        Self::TokenMalformed,
        Self::AlgorithmNotAllowed,
        Self::ClaimMissing,
        Self::ClaimMalformed,
        Self::AccountUnknown,
        Self::SignatureInvalid,
        Self::IssuerMismatch,
        Self::ApplicationNotAllowed,
        Self::TokenExpired,
        Self::TokenNotYetValid,
        Self::BodyTooLarge,
        Self::PayloadHashMismatch,
        Self::Replayed,
        Self::ReplayInFlight,
    ];

    /// The code and the HTTP status; `None` where the policy chooses the status.
    const fn row(self) -> (&'static str, Option<u16>) {
        match self {
            Self::SourceNotAllowed => ("source_not_allowed", Some(401)),
            Self::ClientCertificateMissing => ("client_certificate_missing", Some(401)),
            Self::ClientCertificateUnverified => ("client_certificate_unverified", Some(401)),
            Self::ClientCertificateMismatch => ("client_certificate_mismatch", Some(401)),
            Self::TokenMissing => ("token_missing", None),
            Self::TokenMalformed => ("token_malformed", Some(401)),
            Self::AlgorithmNotAllowed => ("algorithm_not_allowed", Some(401)),
            Self::ClaimMissing => ("claim_missing", Some(401)),
            Self::ClaimMalformed => ("claim_malformed", Some(401)),
            Self::AccountUnknown => ("account_unknown", Some(401)),
            Self::SignatureInvalid => ("signature_invalid", Some(401)),
            Self::IssuerMismatch => ("issuer_mismatch", Some(401)),
            Self::ApplicationNotAllowed => ("application_not_allowed", Some(401)),
            Self::TokenExpired => ("token_expired", Some(401)),
            Self::TokenNotYetValid => ("token_not_yet_valid", Some(401)),
            Self::BodyTooLarge => ("body_too_large", Some(413)),
            Self::PayloadHashMismatch => ("payload_hash_mismatch", Some(401)),
            Self::Replayed => ("replayed", Some(401)),
            Self::ReplayInFlight => ("replay_in_flight", Some(503)),
        }
    }

    /// The code, as logs, metrics and access logs show it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status, given what the policy says of a missing token.
    #[must_use]
    pub const fn status(self, missing_token_status: u16) -> u16 {
        match self.row().1 {
            Some(status) => status,
            None => missing_token_status,
        }
    }
}

/// Why an authentic callback can't be taken now: our fault. Answered 503, so that the sender tries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// No room to remember it, so a replay of it could not be refused.
    ReplayStoreFull,
    /// The store did not answer.
    ReplayStoreUnavailable,
}

impl Fault {
    /// Every fault, for tables of metrics.
    pub const ALL: [Self; 2] = [Self::ReplayStoreFull, Self::ReplayStoreUnavailable];

    /// The code, as logs, metrics and access logs show it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::ReplayStoreFull => "replay_store_full",
            Self::ReplayStoreUnavailable => "replay_store_unavailable",
        }
    }

    /// The HTTP status: 503 for every fault.
    #[must_use]
    pub const fn status(self) -> u16 {
        503
    }
}

/// Every code there is, `accepted` first: the values of the `result` label.
pub fn codes() -> impl Iterator<Item = &'static str> {
    core::iter::once(ACCEPTED)
        .chain(Rejection::ALL.into_iter().map(Rejection::code))
        .chain(Fault::ALL.into_iter().map(Fault::code))
}

/// A rejected callback, and who sent it, if its signature was good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which check failed.
    pub rejection: Rejection,
    /// The claims of a token whose signature was good.
    pub identity: Option<Identity>,
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        Self { rejection, identity: None }
    }
}

/// A callback that passed every check. Only the core can make one.
#[derive(Debug)]
pub struct Verified {
    pub(crate) identity: Identity,
    pub(crate) reservation: Option<Reservation>,
}

/// What the checks came to.
#[derive(Debug)]
pub enum Verdict {
    /// Every check passed.
    Accept(Verified),
    /// A check failed.
    Reject(Refused),
    /// Authentic, but it can't be taken now.
    Fail(Fault, Identity),
}

impl From<Refused> for Verdict {
    fn from(refused: Refused) -> Self {
        Self::Reject(refused)
    }
}

/// What the host does now, and what it records.
#[derive(Debug)]
pub struct Conclusion {
    /// `accepted`, or the code of what failed (in report mode too).
    pub code: &'static str,
    /// Whether the cause is a fault of ours: logged as an error rather than a warning.
    pub fault: bool,
    /// The claims of a token whose signature was good.
    pub identity: Option<Identity>,
    /// Forward, or reply.
    pub outcome: Outcome,
}

/// The two ways on from a verdict.
#[derive(Debug)]
pub enum Outcome {
    /// To the upstream.
    Forward(Clearance),
    /// Back to the caller; nothing reaches the upstream.
    Reply(Reply),
}

/// The permission to forward one callback. Only the core can make one.
#[derive(Debug)]
pub struct Clearance {
    pub(crate) reservation: Option<Reservation>,
}

impl Clearance {
    /// The reservation that the upstream's answer settles: kept below 500, released at 500 or more or at none.
    #[must_use]
    pub fn into_reservation(self) -> Option<Reservation> {
        self.reservation
    }
}
