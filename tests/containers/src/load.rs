//! The order that `containers` gives to `sender`, and what comes back: one JSON text each way.
use crate::behaviour::Behaviour;
use serde::{Deserialize, Serialize};

/// A way to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Through {
    /// The service `envoy`.
    Envoy,
    /// The service `envoy-module`.
    EnvoyModule,
    /// The service `nginx`.
    Nginx,
}

impl Through {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Envoy, Self::EnvoyModule, Self::Nginx];

    /// What people call it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Envoy => "Envoy",
            Self::EnvoyModule => "Envoy, module",
            Self::Nginx => "Nginx",
        }
    }

    /// The service's name in the Compose file, and its host name.
    #[must_use]
    pub fn service(self) -> &'static str {
        match self {
            Self::Envoy => "envoy",
            Self::EnvoyModule => "envoy-module",
            Self::Nginx => "nginx",
        }
    }
}

/// The port on which each proxy takes callbacks, HTTP/1.1 and HTTP/2 over TLS.
pub const PORT: u16 = 8443;

/// What to send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Through which proxy.
    pub through: Through,
    /// For how long new callbacks are sent, in seconds.
    pub seconds: u64,
    /// How many a second.
    pub per_second: u64,
    /// The behaviours asked of the application, in turn.
    pub behaviours: Vec<Behaviour>,
    /// For how long a callback is sent again, in seconds from its first sending. At a 401 the sender gives up at once, as
    /// Vonage may: whoever answers so to an event that was not taken has lost it.
    pub patience: u64,
    /// Callbacks whose sender goes away while the application has them, and then sends them again.
    pub leaving: usize,
    /// Callbacks whose sender vanishes in the middle of the body, and then sends them whole with the same token.
    pub vanishing: usize,
    /// Callbacks that come at one byte a second.
    pub crawling: usize,
    /// Connections that never send anything.
    pub idle: usize,
}

/// Every so many callbacks one is forged.
pub const FORGED_EVERY: u64 = 8;

/// What kind of callback it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Signed as Vonage signs.
    Genuine,
    /// Genuine, but its sender vanished in the middle of the first attempt.
    Vanishing,
    /// Genuine, but its sender went away while the application had the first attempt.
    Leaving,
    /// With a wrong secret, or another body.
    Forged,
    /// Never whole: one byte a second until the end.
    Crawling,
}

/// What an attempt says whose sender vanished on purpose.
pub const VANISHED: &str = "vanished";
/// What an attempt says whose sender left on purpose.
pub const LEFT: &str = "left";

/// One callback and its attempts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sent {
    /// The id in its path.
    pub id: String,
    /// What it was.
    pub kind: Kind,
    /// The SHA-256 of its body.
    pub sha256: String,
    /// Each attempt, in order.
    pub attempts: Vec<Attempt>,
}

/// One attempt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began, in milliseconds since 1970.
    pub at: u64,
    /// The status of the reply; `None` if none came whole.
    pub status: Option<u16>,
    /// The code of a refusal, or why no reply came.
    pub says: String,
}

impl Sent {
    /// Whether the last attempt was taken.
    #[must_use]
    pub fn accepted(&self) -> bool {
        self.attempts.last().is_some_and(|attempt| matches!(attempt.status, Some(200..=299)))
    }
}

/// What came of an order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Every callback.
    pub sent: Vec<Sent>,
    /// How many idle connections were open at once.
    pub idle: usize,
}
