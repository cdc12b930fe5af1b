//! One connection of the application: requests in, answers out. Bytes are looked through for ids before anything is
//! parsed, so that half a forged callback is noticed too.
use crate::write;
use anyhow::{Result, bail};
use bytes::BytesMut;
use secure_callbacks_containers::journal::{Entry, Received};
use secure_callbacks_harness::clock::now_ms;
use secure_callbacks_harness::ids;
use secure_callbacks_harness::wire::{BodyReader, RequestHead};
use secure_callbacks_support::token::payload_hash;
use std::collections::HashSet;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
    /// The end of what was looked through, so that an id cut by a read is found too.
    scanned: Vec<u8>,
    glimpsed: HashSet<String>,
    reading: Option<(RequestHead, BodyReader)>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        let buffer = BytesMut::new();
        Ok(Self { stream, buffer, scanned: Vec::new(), glimpsed: HashSet::new(), reading: None })
    }

    /// The next whole request; `None` at the end.
    pub(crate) async fn next_request(&mut self) -> Result<Option<Received>> {
        loop {
            if let Some(received) = self.take().await? {
                return Ok(Some(received));
            }
            if !self.read().await? {
                return Ok(None);
            }
        }
    }

    /// Whether the proxy closes the connection within `delay`; what it sends meanwhile is kept.
    pub(crate) async fn gone_within(&mut self, delay: Duration) -> bool {
        let closed = async { while self.read().await.is_ok_and(|more| more) {} };
        tokio::time::timeout(delay, closed).await.is_ok()
    }

    /// Sends an answer, or its head and half its body.
    pub(crate) async fn answer(&mut self, status: u16, half: bool) -> Result<()> {
        let body = "answered by the application\n";
        let wire = format!("HTTP/1.1 {status} Answered\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let length = if half { wire.len() - body.len() / 2 } else { wire.len() };
        self.stream.write_all(&wire.as_bytes()[..length]).await?;
        if half {
            // Let the proxy take it first: a reset may overtake what is still in its queue.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Makes the coming close a reset.
    pub(crate) fn reset(&self) {
        let _ = self.stream.set_zero_linger();
    }

    async fn read(&mut self) -> Result<bool> {
        let before = self.buffer.len();
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Ok(false);
        }
        self.scanned.extend_from_slice(&self.buffer[before..]);
        for id in ids::find(&self.scanned) {
            if self.glimpsed.insert(id.to_owned()) {
                write(&Entry::Glimpsed { at: now_ms(), id: id.to_owned() });
            }
        }
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
        let Some((_, body)) = &mut self.reading else { bail!("no request is being read") };
        if !body.take(&mut self.buffer)? {
            return Ok(None);
        }
        Ok(self.reading.take().map(|(head, body)| {
            let fields = head.headers.0.iter().chain(&body.trailers.0);
            let identity = fields
                .filter(|(name, _)| name.starts_with("x-callback-") || name == "x-ssl-client-subject-dn")
                .map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned()))
                .collect();
            let id = ids::find(head.path.as_bytes()).next().unwrap_or_default().to_owned();
            Received { at: now_ms(), id, number: 0, sha256: payload_hash(&body.body), identity, path: head.path }
        }))
    }
}
