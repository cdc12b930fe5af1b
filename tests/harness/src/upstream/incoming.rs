//! One connection of an application that records: requests as they come in. Every byte is looked through for ids (see
//! [`crate::ids`]) before anything is parsed, so that half a head counts as much as a whole request when the question is
//! whether anything of a refused callback came through.
use crate::ids;
use crate::wire::{BodyReader, Fields, RequestHead};
use anyhow::{Result, ensure};
use bytes::BytesMut;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// `POST` and so on.
    pub method: String,
    /// The request target.
    pub path: String,
    /// Every header field, every copy.
    pub headers: Fields,
    /// The body, byte for byte.
    pub body: Vec<u8>,
    /// The trailers of a chunked body.
    pub trailers: Fields,
}

impl Received {
    /// The id in its path, or in a header field.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        let in_headers = || self.headers.0.iter().find_map(|(_, value)| ids::find(value).next());
        ids::find(self.path.as_bytes()).next().or_else(in_headers)
    }
}

/// A connection, and who is told of the ids on it, some of them more than once.
pub struct Incoming<G> {
    /// What is answered on.
    pub stream: TcpStream,
    glimpse: G,
    buffer: BytesMut,
    /// The end of what was looked through, so that an id cut by a read is found too.
    scanned: Vec<u8>,
    reading: Option<(RequestHead, BodyReader)>,
}

impl<G: FnMut(&str)> Incoming<G> {
    /// A connection that was just accepted.
    pub fn new(stream: TcpStream, glimpse: G) -> Self {
        let _ = stream.set_nodelay(true);
        Self { stream, glimpse, buffer: BytesMut::new(), scanned: Vec::new(), reading: None }
    }

    /// The next whole request; `None` at a clean end.
    pub async fn next_request(&mut self) -> Result<Option<Received>> {
        loop {
            if let Some(received) = self.take().await? {
                return Ok(Some(received));
            }
            if !self.read().await? {
                let between = self.buffer.is_empty() && self.reading.is_none();
                ensure!(between, "the connection ended inside a request");
                return Ok(None);
            }
        }
    }

    /// Whether the proxy closes the connection within `delay`; what it sends meanwhile is kept.
    pub async fn gone_within(&mut self, delay: Duration) -> bool {
        let closed = async { while self.read().await.is_ok_and(|more| more) {} };
        tokio::time::timeout(delay, closed).await.is_ok()
    }

    async fn read(&mut self) -> Result<bool> {
        let before = self.buffer.len();
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Ok(false);
        }
        self.scanned.extend_from_slice(&self.buffer[before..]);
        ids::find(&self.scanned).for_each(&mut self.glimpse);
        let done = self.scanned.len().saturating_sub(ids::LENGTH - 1);
        self.scanned.drain(..done);
        Ok(true)
    }

    async fn take(&mut self) -> Result<Option<Received>> {
        if self.reading.is_none() {
            let Some(head) = RequestHead::take(&mut self.buffer)? else { return Ok(None) };
            if head.headers.first("expect").is_some() {
                self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            }
            let body = BodyReader::of_request(&head.headers)?;
            self.reading = Some((head, body));
        }
        if let Some((_, body)) = &mut self.reading
            && !body.take(&mut self.buffer)?
        {
            return Ok(None);
        }
        Ok(self.reading.take().map(|(head, body)| Received {
            method: head.method,
            path: head.path,
            headers: head.headers,
            body: body.body,
            trailers: body.trailers,
        }))
    }
}
