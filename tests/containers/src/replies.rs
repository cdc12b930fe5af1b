//! One reply, as `sender` reports it to `containers` for the tables.
use serde::{Deserialize, Serialize};

/// One line of the demo's table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// What was sent.
    pub name: String,
    /// What was due, as `status code`.
    pub due: String,
    /// What came, likewise.
    pub came: String,
    /// The id in the path.
    pub id: String,
    /// The SHA-256 of the body.
    pub sha256: String,
    /// How many deliveries are due.
    pub deliveries: usize,
    /// The identity headers that are due at the application, where the line says so: names and values, `None` for
    /// absent or empty.
    pub identity: Vec<(String, Option<String>)>,
}
