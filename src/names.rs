//! The names that others rely on: of the header fields that the application gets, of the values in the access log, and
//! of the metrics. Each host writes them in its own way; none has them twice.

/// The names of the identity headers, in lower case. A copy that comes from outside, as header or as trailer, is never
/// passed on.
pub const IDENTITY_HEADERS: [&str; 6] = [
    "x-callback-verified",
    "x-callback-api-key",
    "x-callback-application-id",
    "x-callback-jti",
    "x-callback-iat",
    "x-ssl-client-subject-dn",
];

/// Whether an application might take a field of this name for one of [`IDENTITY_HEADERS`]. CGI and its successors give it
/// variables, and gateways fold names likewise: case is lost, and what is no letter or digit (`_`, `.`) counts as `-`.
#[must_use]
pub fn is_identity_header(name: &[u8]) -> bool {
    let same = |(byte, ours): (&u8, &u8)| {
        let folded = if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
        folded == *ours
    };
    IDENTITY_HEADERS.iter().any(|ours| ours.len() == name.len() && name.iter().zip(ours.as_bytes()).all(same))
}

/// The metric of requests by policy and result.
pub const REQUESTS_TOTAL: &str = "secure_callbacks_requests_total";

/// The metric of callbacks that are remembered, by policy.
pub const REPLAY_ENTRIES: &str = "secure_callbacks_replay_entries";

/// The metric of what a shared store was asked, by policy, operation and outcome.
pub const REPLAY_STORE_CALLS_TOTAL: &str = "secure_callbacks_replay_store_calls_total";

/// The metric of how long its answers took, by policy: a histogram.
pub const REPLAY_STORE_MILLISECONDS: &str = "secure_callbacks_replay_store_milliseconds";

/// The metric of whether it is not asked now, by policy: 1 or 0.
pub const REPLAY_STORE_OPEN: &str = "secure_callbacks_replay_store_open";

/// A value of the access log: a variable in Nginx, filter state in Envoy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLogValue {
    /// The verdict's code.
    Result,
    /// The account, of a token whose signature was good; so are the next two.
    ApiKey,
    /// The application.
    ApplicationId,
    /// The token's own id.
    Jti,
}

impl AccessLogValue {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Result, Self::ApiKey, Self::ApplicationId, Self::Jti];

    /// Its name, without what a host puts before it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Result => "secure_callbacks_result",
            Self::ApiKey => "secure_callbacks_api_key",
            Self::ApplicationId => "secure_callbacks_application_id",
            Self::Jti => "secure_callbacks_jti",
        }
    }
}
