//! The smallest HTTP/1.1 server that will do, for the application behind the proxies and for the service that some of
//! them ask: kept connections, bodies by their length, one fixed answer or another.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// More header fields than any proxy here sends.
const MOST_HEADERS: usize = 64;

/// A whole request.
pub(crate) struct Request<'r> {
    pub(crate) headers: &'r [httparse::Header<'r>],
    pub(crate) body: &'r [u8],
}

/// The answer to a request.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    Ok,
    Unauthorized,
}

impl Answer {
    fn wire(self) -> &'static [u8] {
        match self {
            Self::Ok => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            Self::Unauthorized => b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno",
        }
    }
}

/// What decides the answers.
pub(crate) trait Handler: Fn(&Request<'_>) -> Answer + Send + Sync + 'static {}

impl<F: Fn(&Request<'_>) -> Answer + Send + Sync + 'static> Handler for F {}

/// Serves for ever.
pub(crate) async fn serve(listener: TcpListener, handler: impl Handler) -> Result<()> {
    let handler = Arc::new(handler);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let handler = Arc::clone(&handler);
        // A connection that breaks concerns its proxy alone.
        tokio::spawn(async move { connection(stream, handler.as_ref()).await.ok() });
    }
}

async fn connection(mut stream: TcpStream, handler: &impl Handler) -> Result<()> {
    let mut buffer = BytesMut::with_capacity(16 * 1024);
    loop {
        let (used, answer) = loop {
            if let Some(answered) = answer(&buffer, handler)? {
                break answered;
            }
            buffer.reserve(64 * 1024);
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        buffer.advance(used);
        stream.write_all(answer.wire()).await?;
    }
}

/// The answer to the request at the start of `bytes`, and its length, if it is there whole.
fn answer(bytes: &[u8], handler: &impl Handler) -> Result<Option<(usize, Answer)>> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head_length) = head.parse(bytes)? else { return Ok(None) };
    let named = |name: &str| head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    if named("transfer-encoding").is_some() {
        bail!("a body in chunks is not expected here");
    }
    let body_length = match named("content-length") {
        None => 0,
        Some(header) => std::str::from_utf8(header.value)?.parse().context("Content-Length")?,
    };
    let end = head_length + body_length;
    let Some(body) = bytes.get(head_length..end) else { return Ok(None) };
    Ok(Some((end, handler(&Request { headers: head.headers, body }))))
}
