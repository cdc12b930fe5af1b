//! A client that does no more than it must: write the bytes, read one reply.

use anyhow::{Context, Result, bail};
use bytes::{Buf, BytesMut};
use secure_callbacks_harness::wire::Glance;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::requests::Callback;

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
    pub(crate) async fn exchange(&mut self, callback: &Callback) -> Result<Glance> {
        self.stream.write_all(&callback.wire).await.context("sending")?;
        if !callback.rest.is_empty() {
            self.stream.write_all(&callback.rest).await.context("sending the body")?;
        }
        self.stream.flush().await?;
        loop {
            if let Some(reply) = Glance::at(&self.buffer)? {
                self.buffer.advance(reply.length);
                return Ok(reply);
            }
            if self.stream.read_buf(&mut self.buffer).await.context("reading the reply")? == 0 {
                bail!("the connection was closed instead of a reply");
            }
        }
    }
}
