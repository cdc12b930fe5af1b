//! The claims that a policy may ask about, and a check of one that failed: for the operator's log alone, which may tell the
//! names before the signature is good, and no value.

use crate::code::Rejection;

/// Writes the enum of claims and their names, so that neither lacks one.
macro_rules! claims {
    ($($(#[$doc:meta])* $claim:ident = $name:literal,)*) => {
        /// A claim that a policy may ask about (RFC 7519 section 4, and Vonage's own).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Claim {
            $($(#[$doc])* $claim,)*
        }

        impl Claim {
            /// How many there are.
            pub(crate) const COUNT: usize = [$(Self::$claim),*].len();

            /// The one of this name.
            pub(crate) fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$claim),)*
                    _ => None,
                }
            }

            /// Its name in a token.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$claim => $name,)*
                }
            }
        }
    };
}

claims! {
    /// When the token was issued.
    Iat = "iat",
    /// When it ends.
    Exp = "exp",
    /// When it begins.
    Nbf = "nbf",
    /// Who issued it.
    Iss = "iss",
    /// The account.
    ApiKey = "api_key",
    /// The application.
    ApplicationId = "application_id",
    /// The token's own id.
    Jti = "jti",
    /// The SHA-256 of the payload.
    PayloadHash = "payload_hash",
}

/// A check that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reason {
    pub(crate) rejection: Rejection,
    /// The claim that is missing, malformed, or not what it must be, if it is about one.
    pub(crate) claim: Option<Claim>,
}

impl From<Rejection> for Reason {
    fn from(rejection: Rejection) -> Self {
        Self { rejection, claim: None }
    }
}

impl Claim {
    /// It is not what it must be.
    pub(crate) const fn fails(self, rejection: Rejection) -> Reason {
        Reason { rejection, claim: Some(self) }
    }

    pub(crate) const fn missing(self) -> Reason {
        self.fails(Rejection::ClaimMissing)
    }

    pub(crate) const fn malformed(self) -> Reason {
        self.fails(Rejection::ClaimMalformed)
    }
}
