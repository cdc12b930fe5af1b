//! One connection of the application, and what it writes down of a request.
use crate::write;
use secure_callbacks_containers::journal::{Entry, Received};
use secure_callbacks_harness::clock::now_ms;
use secure_callbacks_harness::upstream::{self, Incoming};
use secure_callbacks_support::token::payload_hash;
use std::collections::HashSet;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// A connection that writes down each id as soon as its bytes are there.
pub(crate) fn over(stream: TcpStream) -> Incoming<impl FnMut(&str)> {
    let mut glimpsed = HashSet::new();
    Incoming::new(stream, move |id: &str| {
        if glimpsed.insert(id.to_owned()) {
            write(&Entry::Glimpsed { at: now_ms(), id: id.to_owned() });
        }
    })
}

/// What is written down of a request.
pub(crate) fn received(request: upstream::Received) -> Received {
    let fields = request.headers.0.iter().chain(&request.trailers.0);
    let identity = fields
        .filter(|(name, _)| name.starts_with("x-callback-") || name == "x-ssl-client-subject-dn")
        .map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned()))
        .collect();
    let id = request.id().unwrap_or_default().to_owned();
    Received { at: now_ms(), id, number: 0, sha256: payload_hash(&request.body), identity, path: request.path }
}

/// Sends an answer, or its head and half its body.
pub(crate) async fn answer(stream: &mut TcpStream, status: u16, half: bool) -> std::io::Result<()> {
    let body = "answered by the application\n";
    let wire = format!("HTTP/1.1 {status} Answered\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let length = if half { wire.len() - body.len() / 2 } else { wire.len() };
    stream.write_all(&wire.as_bytes()[..length]).await?;
    if half {
        // Let the proxy take it first: a reset may overtake what is still in its queue.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Makes the coming close a reset.
pub(crate) fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}
