//! A client that does no more than it must: write the bytes, read one reply.

use anyhow::{Context, Result, bail};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::requests::Callback;

/// More header fields than any reply here has.
const MOST_HEADERS: usize = 32;

/// What the client needs to know of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Whether the proxy closes the connection now.
    pub(crate) closes: bool,
}

/// A kept connection.
pub(crate) struct Connection<S> {
    stream: S,
    buffer: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, buffer: BytesMut::with_capacity(8 * 1024) }
    }

    /// Sends one callback and reads the reply to its end.
    pub(crate) async fn exchange(&mut self, callback: &Callback) -> Result<Reply> {
        self.stream.write_all(&callback.wire).await.context("sending")?;
        if !callback.rest.is_empty() {
            self.stream.write_all(&callback.rest).await.context("sending the body")?;
        }
        self.stream.flush().await?;
        loop {
            if let Some((reply, length)) = parse(&self.buffer)? {
                self.buffer.advance(length);
                return Ok(reply);
            }
            if self.stream.read_buf(&mut self.buffer).await.context("reading the reply")? == 0 {
                bail!("the connection was closed instead of a reply");
            }
        }
    }
}

/// The reply at the start of `bytes` and its length, if it is there whole.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Reply, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head_length) = head.parse(bytes)? else { return Ok(None) };
    let named = |name: &str| head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    let body_length: usize = match named("content-length") {
        Some(header) => std::str::from_utf8(header.value)?.parse().context("Content-Length")?,
        None => bail!("a reply without a length"),
    };
    let length = head_length + body_length;
    if bytes.len() < length {
        return Ok(None);
    }
    let closes = named("connection").is_some_and(|header| header.value.eq_ignore_ascii_case(b"close"));
    Ok(Some((Reply { status: head.code.context("a reply without a status")?, closes }, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_read_when_it_is_whole() {
        let wire = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\nConnection: close\r\n\r\nno";
        for cut in 0..wire.len() {
            assert_eq!(parse(&wire[..cut]).unwrap(), None, "{cut}");
        }
        assert_eq!(parse(wire).unwrap(), Some((Reply { status: 401, closes: true }, wire.len())));
    }
}
