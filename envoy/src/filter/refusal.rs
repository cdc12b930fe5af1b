//! How a request is answered instead of forwarded: at once, or at its end. Envoy closes an HTTP/1.1 connection on which
//! it answers before the whole request has come: the next callback then pays for a connection, and over TLS for a
//! handshake. The body of a callback is short, and most often there already, so the answer waits for it. For how long is
//! Envoy's to say, as for any request whose body does not come (`request_timeout`, `stream_idle_timeout`): with a clock of
//! the filter's own, all that wait would be answered in one call, and each answer is made inside the one before.

use secure_callbacks::{Policy, Reply};

use crate::host::{Flow, Host, Response};

/// The longest body that is waited for: more than callbacks have, and little enough to lie in Envoy's buffers meanwhile.
const LONGEST: u64 = 16 * 1024;

/// Whether to wait for a body of this length. One without a length may go on for ever, and one that the policy does not
/// take is refused before it is there.
pub(super) fn waits_for(content_length: Option<u64>, policy: &Policy) -> bool {
    content_length.is_some_and(|length| length <= LONGEST.min(policy.max_body_size()))
}

/// Whether a body is longer than any that is waited for.
pub(super) fn is_long(size: usize) -> bool {
    u64::try_from(size).is_ok_and(|size| size > LONGEST)
}

/// A whole answer, kept until it is due.
#[derive(Debug)]
pub(super) struct Refusal {
    reply: Reply,
    code: &'static str,
}

impl Refusal {
    pub(super) fn new(reply: Reply, code: &'static str) -> Self {
        Self { reply, code }
    }

    /// Answers the caller. If that fails, the request stays held until the proxy gives up on it.
    pub(super) fn send(&self, host: &impl Host) -> Flow {
        let Self { reply, code } = self;
        let response =
            Response { status: reply.status(), headers: reply.headers().collect(), body: reply.body(), details: code };
        if host.reply(&response).is_err() {
            log::error!("secure_callbacks: the answer could not be sent; the request stays held");
        }
        Flow::Hold
    }
}
