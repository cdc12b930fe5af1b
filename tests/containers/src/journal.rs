//! What the application writes down, one JSON line each on its standard output: the engine keeps those lines over stops
//! and kills of the container, and no file system has to be writable.
use serde::{Deserialize, Serialize};

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// Bytes with this id arrived for the first time on a connection, whole request or not.
    Glimpsed {
        /// When, in milliseconds since 1970.
        at: u64,
        /// The id.
        id: String,
    },
    /// A whole request arrived. Written before the answer.
    Received(Received),
    /// An answer went out.
    Answered {
        /// When, in milliseconds since 1970.
        at: u64,
        /// The id.
        id: String,
        /// Which delivery of that id, from 1.
        number: usize,
        /// The status.
        status: u16,
    },
}

/// A whole request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Received {
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// The id; empty if it had none.
    pub id: String,
    /// Which delivery of that id to this run of the application, from 1.
    pub number: usize,
    /// The request target.
    pub path: String,
    /// The SHA-256 of the body.
    pub sha256: String,
    /// The identity headers and trailers, names in lower case, every copy.
    pub identity: Vec<(String, String)>,
}

impl Entry {
    /// The id it is about.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Glimpsed { id, .. } | Self::Answered { id, .. } => id,
            Self::Received(received) => &received.id,
        }
    }
}

/// The entries among the lines of a log; other lines are passed over.
#[must_use]
pub fn read(log: &str) -> Vec<Entry> {
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
