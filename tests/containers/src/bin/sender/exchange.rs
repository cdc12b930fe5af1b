//! One attempt to deliver a callback over TLS: exact bytes out, one reply in, with Vonage's patience.
use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use secure_callbacks_containers::load::Attempt;
use secure_callbacks_containers::tls::Dialer;
use secure_callbacks_harness::clock::now_ms;
use secure_callbacks_harness::send::Reply;
use secure_callbacks_harness::wire::{BodyReader, ResponseHead};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

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
    let (mut reader, mut writer) = tokio::io::split(stream);
    let whole = async {
        // A proxy may refuse before it has read all: the reply tells, not the write.
        let _ = writer.write_all(bytes).await;
        let _ = writer.flush().await;
        reply(&mut reader).await
    };
    tokio::time::timeout(RESPONSE, whole).await.context("no response")?
}

async fn reply(stream: &mut ReadHalf<TlsStream<TcpStream>>) -> Result<Reply> {
    let mut buffer = BytesMut::new();
    let head = loop {
        if let Some(head) = ResponseHead::take(&mut buffer)? {
            if head.status >= 200 {
                break head;
            }
            continue;
        }
        if stream.read_buf(&mut buffer).await.context("reading the reply")? == 0 {
            bail!("closed instead of a reply");
        }
    };
    let mut body = BodyReader::of_response(&head)?;
    while !body.take(&mut buffer)? {
        let read = stream.read_buf(&mut buffer).await;
        if !matches!(read, Ok(1..)) {
            if body.ends_with_the_connection() {
                break;
            }
            bail!("the reply {} ended early", head.status);
        }
    }
    Ok(Reply { status: head.status, headers: head.headers, body: body.body })
}
