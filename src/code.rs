//! Every verdict, once: from its row in the two tables here come its text, its status, its severity and its place among
//! the counters.

/// Writes an enum of codes and what follows from each row, so that no row can be left out of anything.
macro_rules! codes {
    ($(#[$about:meta])* $name:ident: $($(#[$doc:meta])* $code:ident = $text:literal, $answer:expr;)*) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$doc])* $code,)*
        }

        impl $name {
            /// Every one, in the order of the table.
            pub const ALL: [Self; [$(Self::$code),*].len()] = [$(Self::$code),*];

            /// The code, as logs, metrics and access logs show it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$code => $text,)*
                }
            }

            /// The answer's status; `None` where the policy chooses it.
            pub(crate) const fn status(self) -> Option<Status> {
                match self {
                    $(Self::$code => $answer,)*
                }
            }
        }
    };
}

/// The statuses that a callback is answered with in the application's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// 401
    Unauthorized,
    /// 413
    ContentTooLarge,
    /// 503
    ServiceUnavailable,
}

impl Status {
    /// The number.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Unauthorized => 401,
            Self::ContentTooLarge => 413,
            Self::ServiceUnavailable => 503,
        }
    }

    /// What RFC 9110 calls it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Unauthorized => "Unauthorized",
            Self::ContentTooLarge => "Content Too Large",
            Self::ServiceUnavailable => "Service Unavailable",
        }
    }
}

const UNAUTHORIZED: Option<Status> = Some(Status::Unauthorized);
const UNAVAILABLE: Option<Status> = Some(Status::ServiceUnavailable);

codes! {
    /// Why a callback is refused: the caller's fault, or the caller's to send again.
    Rejection:
    /// The source address is in none of the policy's networks.
    SourceNotAllowed = "source_not_allowed", UNAUTHORIZED;
    /// The policy asks for a client certificate, and the client showed none.
    ClientCertificateMissing = "client_certificate_missing", UNAUTHORIZED;
    /// The proxy did not validate the client's certificate.
    ClientCertificateUnverified = "client_certificate_unverified", UNAUTHORIZED;
    /// The certificate is none of those that the policy names.
    ClientCertificateMismatch = "client_certificate_mismatch", UNAUTHORIZED;
    /// No header, or an empty one.
    TokenMissing = "token_missing", None;
    /// Not a three-part compact JWS in strict base64url (RFC 7515 section 7.1), or not one JSON object in a part.
    TokenMalformed = "token_malformed", UNAUTHORIZED;
    /// Anything but `HS256`, or a critical extension (`crit`, RFC 7515 section 4.1.11).
    AlgorithmNotAllowed = "algorithm_not_allowed", UNAUTHORIZED;
    /// A claim that the policy asks for is not there.
    ClaimMissing = "claim_missing", UNAUTHORIZED;
    /// A claim of the wrong type or form.
    ClaimMalformed = "claim_malformed", UNAUTHORIZED;
    /// No account has this `api_key`.
    AccountUnknown = "account_unknown", UNAUTHORIZED;
    /// None of the account's secrets made this signature.
    SignatureInvalid = "signature_invalid", UNAUTHORIZED;
    /// `iss` is not the policy's issuer.
    IssuerMismatch = "issuer_mismatch", UNAUTHORIZED;
    /// The account's list does not have this `application_id`.
    ApplicationNotAllowed = "application_not_allowed", UNAUTHORIZED;
    /// `iat` is older than `max_age`, or `exp` is past.
    TokenExpired = "token_expired", UNAUTHORIZED;
    /// `iat` or `nbf` is in the future.
    TokenNotYetValid = "token_not_yet_valid", UNAUTHORIZED;
    /// The body is larger than `max_body_size`.
    BodyTooLarge = "body_too_large", Some(Status::ContentTooLarge);
    /// The body's SHA-256 is not `payload_hash`.
    PayloadHashMismatch = "payload_hash_mismatch", UNAUTHORIZED;
    /// The same callback was taken before (or is on its way, where the store can't tell).
    Replayed = "replayed", UNAUTHORIZED;
    /// The same callback is on its way to the application, whose answer is not known yet: the sender may try again.
    ReplayInFlight = "replay_in_flight", UNAVAILABLE;
}

codes! {
    /// Why a callback can't be taken now: our fault. The sender tries again.
    Fault:
    /// No room to remember it, so a replay of it could not be refused.
    ReplayStoreFull = "replay_store_full", UNAVAILABLE;
    /// The store did not answer.
    ReplayStoreUnavailable = "replay_store_unavailable", UNAVAILABLE;
    /// The proxy could not give what the check needs (head, body, memory), or could not do what follows from it.
    ProxyFailed = "proxy_failed", UNAVAILABLE;
}

/// What the checks came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// Every check passed.
    Accepted,
    /// A check failed.
    Rejected(Rejection),
    /// It can't be told, or the callback can't be taken now.
    Failed(Fault),
}

/// How loudly a verdict is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Not at all: the access log has it.
    Silent,
    /// Somebody was refused.
    Warning,
    /// Something of ours is broken, or full.
    Error,
}

impl Code {
    /// How many there are: the size of a table of counters.
    pub const COUNT: usize = 1 + Rejection::ALL.len() + Fault::ALL.len();

    /// Every code there is, by [`Code::index`]: the values of the label `result`.
    pub fn all() -> impl Iterator<Item = Self> {
        let rejected = Rejection::ALL.into_iter().map(Self::Rejected);
        core::iter::once(Self::Accepted).chain(rejected).chain(Fault::ALL.into_iter().map(Self::Failed))
    }

    /// Its place among all, below [`Code::COUNT`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Accepted => 0,
            Self::Rejected(rejection) => 1 + rejection as usize,
            Self::Failed(fault) => 1 + Rejection::ALL.len() + fault as usize,
        }
    }

    /// The code, as logs, metrics and access logs show it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected(rejection) => rejection.as_str(),
            Self::Failed(fault) => fault.as_str(),
        }
    }

    /// How loudly it is logged.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::Accepted => Severity::Silent,
            Self::Rejected(_) => Severity::Warning,
            Self::Failed(_) => Severity::Error,
        }
    }

    /// The status of the answer if the callback is refused, given what the policy says of a missing token.
    pub(crate) const fn status(self, missing_token: Status) -> Status {
        let own = match self {
            // Never refused; if it were, this would be our fault.
            Self::Accepted => UNAVAILABLE,
            Self::Rejected(rejection) => rejection.status(),
            Self::Failed(fault) => fault.status(),
        };
        match own {
            Some(status) => status,
            None => missing_token,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn every_code_has_its_own_place_and_text() {
        let all: Vec<_> = Code::all().collect();
        assert_eq!(all.len(), Code::COUNT);
        for (place, code) in all.iter().enumerate() {
            assert_eq!(code.index(), place, "{code:?}");
            assert!(all.iter().filter(|other| other.as_str() == code.as_str()).count() == 1, "{code:?}");
        }
    }

    #[test]
    fn the_policy_chooses_the_status_of_a_missing_token_alone() {
        for code in Code::all() {
            let chosen = Status::ServiceUnavailable;
            let is_chosen = code.status(chosen) != code.status(Status::Unauthorized);
            assert_eq!(is_chosen, code == Code::Rejected(Rejection::TokenMissing), "{code:?}");
        }
    }
}
