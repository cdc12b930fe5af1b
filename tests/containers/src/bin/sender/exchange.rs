//! One attempt to deliver a callback over TLS: exact bytes out, one reply in, with Vonage's patience.
use anyhow::{Context, Result};
use secure_callbacks_containers::load::Attempt;
use secure_callbacks_containers::tls::Dialer;
use secure_callbacks_harness::clock::now_ms;
use secure_callbacks_harness::send::{Reply, http1};
use std::time::Duration;

/// How long Vonage waits for a connection.
pub(crate) const CONNECT: Duration = Duration::from_secs(3);
/// How long Vonage waits for the response.
const RESPONSE: Duration = Duration::from_secs(15);

/// Sends `bytes` over a connection of its own.
pub(crate) async fn attempt(dialer: &Dialer, bytes: &[u8]) -> Attempt {
    let at = now_ms();
    match exchange(dialer, bytes).await {
        Ok(reply) => Attempt { at, status: Some(reply.status), says: reply.code().unwrap_or_default() },
        Err(error) => Attempt { at, status: None, says: format!("{error:#}") },
    }
}

async fn exchange(dialer: &Dialer, bytes: &[u8]) -> Result<Reply> {
    let stream = tokio::time::timeout(CONNECT, dialer.open()).await.context("no connection")??;
    let (mut reader, mut writer) = http1::Connection::over(stream).split();
    let whole = async {
        // A proxy may refuse before it has read all: the reply tells, not the write.
        let _ = writer.write(bytes).await;
        reader.reply_within(RESPONSE).await
    };
    tokio::time::timeout(RESPONSE, whole).await.context("no response")?
}
