//! What went wrong, in words that anybody may read.

use secure_callbacks::replay::shared::Outcome;
use std::error::Error;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerErrorKind};


/// As much as is told of one failure.
const LONGEST_WHY: usize = 200;

/// As long as the word with which an error of Redis begins may be.
const LONGEST_CODE: usize = 24;

/// Errors that the same command would meet again. Others pass: a server that loads, or has become a replica, or is full.
const FOR_GOOD: [&str; 4] = ["ERR", "NOAUTH", "NOPERM", "WRONGTYPE"];

/// A command that the store has not done, or may not have done.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) outcome: Outcome,
    /// One line. Nothing of what the store wrote but the code of an error (servers repeat in their errors what they were
    /// sent), and the names in its certificate.
    pub(crate) why: String,
    /// The connection is of no use any more.
    pub(crate) ends_connection: bool,
    /// The same command may go through later.
    pub(crate) may_pass: bool,
}

impl Failure {
    pub(crate) fn timed_out() -> Self {
        Self { outcome: Outcome::TimedOut, why: "no answer in time".into(), ends_connection: false, may_pass: true }
    }

    pub(crate) fn not_understood() -> Self {
        let why = "it answers what no Redis answers".into();
        Self { outcome: Outcome::NotUnderstood, why, ends_connection: true, may_pass: true }
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        let kind = error.kind();
        let outcome = match kind {
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => return Self::not_understood(),
            ErrorKind::Io if error.is_timeout() => Outcome::TimedOut,
            ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::AuthenticationFailed => Outcome::Error,
            _ => Outcome::Unreachable,
        };
        let why = match (error.code(), inner(&error)) {
            (Some(code), _) => format!("its error {}", plain(code)),
            (None, Some(inner)) => line(&inner.to_string()),
            (None, None) if kind == ErrorKind::Io => "the connection broke".into(),
            (None, None) => error.category().into(),
        };
        // Behind the name of a server that has become a replica another one may answer by now.
        let is_replica = kind == ErrorKind::Server(ServerErrorKind::ReadOnly);
        let ends_connection = outcome != Outcome::Error || error.is_unrecoverable_error() || is_replica;
        let may_pass = !error.code().is_some_and(|code| FOR_GOOD.contains(&code));
        Self { outcome, why, ends_connection, may_pass }
    }
}

/// A code as Redis writes them: what is not one is not repeated.
fn plain(code: &str) -> &str {
    let is_code = code.len() <= LONGEST_CODE && code.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_code { code } else { "(unknown)" }
}

/// What the system says of it, or the TLS library.
fn inner(error: &RedisError) -> Option<&(dyn Error + Send + Sync)> {
    error.source()?.downcast_ref::<Arc<dyn Error + Send + Sync>>().map(Arc::as_ref)
}

/// The beginning of a text, as a line of a log may hold it.
fn line(text: &str) -> String {
    text.chars().map(|char| if char.is_ascii_graphic() { char } else { ' ' }).take(LONGEST_WHY).collect()
}
