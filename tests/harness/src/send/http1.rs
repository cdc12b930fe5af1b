//! HTTP/1.1 as exact bytes.
use super::{Message, PATIENCE, Reply};
use crate::wire::{BodyReader, ResponseHead};
use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use secure_callbacks_support::Framing;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

/// What a connection runs over: TCP, or TLS over it.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The writes that make up `message`: the head, each piece of the body, the end of a chunked one.
#[must_use]
pub fn writes(message: &Message) -> Vec<Vec<u8>> {
    let chunked = matches!(message.framing, Framing::Chunked | Framing::ChunkedTrailers);
    let mut head = format!("{} {} HTTP/1.1\r\nHost: localhost\r\n", message.method, message.path).into_bytes();
    for (name, value) in &message.headers {
        line(&mut head, name, value);
    }
    match message.framing {
        Framing::Length => line(&mut head, b"Content-Length", message.body().len().to_string().as_bytes()),
        _ if chunked => line(&mut head, b"Transfer-Encoding", b"chunked"),
        _ => {}
    }
    head.extend_from_slice(b"\r\n");
    let mut writes = vec![head];
    if !chunked {
        writes.extend(message.chunks.iter().cloned());
        return writes;
    }
    for chunk in &message.chunks {
        let mut write = format!("{:x}\r\n", chunk.len()).into_bytes();
        write.extend_from_slice(chunk);
        write.extend_from_slice(b"\r\n");
        writes.push(write);
    }
    let mut end = b"0\r\n".to_vec();
    for (name, value) in &message.trailers {
        line(&mut end, name, value);
    }
    end.extend_from_slice(b"\r\n");
    writes.push(end);
    writes
}

fn line(head: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [name, b": ", value, b"\r\n"] {
        head.extend_from_slice(part);
    }
}

/// Sends `message` over a connection of its own.
pub async fn send(address: SocketAddr, message: &Message) -> Result<Reply> {
    exchange(address, writes(message), Duration::ZERO).await
}

/// Sends these exact bytes over a connection of its own, with `pause` between the writes, and reads one reply. A proxy
/// may refuse before it has read all, so writing goes on beside reading and may fail.
pub async fn exchange(address: SocketAddr, writes: Vec<Vec<u8>>, pause: Duration) -> Result<Reply> {
    exchange_over(Connection::open(address).await?, writes, pause).await
}

/// Like [`exchange`], over this connection.
pub async fn exchange_over(connection: Connection, writes: Vec<Vec<u8>>, pause: Duration) -> Result<Reply> {
    let (mut reader, mut writer) = connection.split();
    let writing = tokio::spawn(async move {
        for write in writes {
            if writer.write(&write).await.is_err() {
                break;
            }
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
        // Kept open: closing this half would tell the proxy that the client is gone.
        writer
    });
    let reply = reader.reply().await;
    writing.abort();
    reply
}

/// A connection for tests that need more than one exchange.
pub struct Connection {
    reader: Reader,
    writer: Writer,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        Ok(Self::over(super::connect(None, address).await?))
    }

    /// Speaks over a stream that is open already, also a TLS one.
    #[must_use]
    pub fn over(stream: impl Stream + 'static) -> Self {
        let (reader, writer) = tokio::io::split(Box::new(stream) as Box<dyn Stream>);
        Self { reader: Reader { stream: reader, buffer: BytesMut::new() }, writer: Writer { stream: writer } }
    }

    /// Both directions apart.
    #[must_use]
    pub fn split(self) -> (Reader, Writer) {
        (self.reader, self.writer)
    }

    /// Writes these bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write(bytes).await
    }

    /// Reads the next reply.
    pub async fn reply(&mut self) -> Result<Reply> {
        self.reader.reply().await
    }

    /// Whether the proxy closes the connection within `patience`; what it still sends is dropped.
    pub async fn is_closed_within(&mut self, patience: Duration) -> bool {
        let mut rest = [0; 4096];
        let drain = async { while self.reader.stream.read(&mut rest).await.is_ok_and(|read| read > 0) {} };
        tokio::time::timeout(patience, drain).await.is_ok()
    }
}

/// The sending half.
pub struct Writer {
    stream: WriteHalf<Box<dyn Stream>>,
}

impl Writer {
    /// Writes these bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await?;
        // TLS keeps a buffer of its own.
        Ok(self.stream.flush().await?)
    }
}

/// The receiving half.
pub struct Reader {
    stream: ReadHalf<Box<dyn Stream>>,
    buffer: BytesMut,
}

impl Reader {
    /// Reads the next final reply: `100 Continue` and the like are passed over.
    pub async fn reply(&mut self) -> Result<Reply> {
        self.reply_within(PATIENCE).await
    }

    /// The same, with another patience.
    pub async fn reply_within(&mut self, patience: Duration) -> Result<Reply> {
        loop {
            let reply = self.any_reply_within(patience).await?;
            if reply.status >= 200 {
                return Ok(reply);
            }
        }
    }

    /// Reads the next reply, an interim one too.
    pub async fn any_reply(&mut self) -> Result<Reply> {
        self.any_reply_within(PATIENCE).await
    }

    async fn any_reply_within(&mut self, patience: Duration) -> Result<Reply> {
        let read = tokio::time::timeout(patience, self.read_reply()).await;
        read.with_context(|| format!("no reply within {patience:?}"))?
    }

    async fn read_reply(&mut self) -> Result<Reply> {
        let head = loop {
            if let Some(head) = ResponseHead::take(&mut self.buffer)? {
                break head;
            }
            if self.stream.read_buf(&mut self.buffer).await.context("reading the reply")? == 0 {
                bail!("the connection was closed instead of a reply; before that: {:?}", self.buffer);
            }
        };
        let mut body = BodyReader::of_response(&head)?;
        while !body.take(&mut self.buffer)? {
            if self.stream.read_buf(&mut self.buffer).await.context("reading the reply's body")? == 0 {
                if body.ends_with_the_connection() {
                    break;
                }
                bail!("the reply's body ended early, after {} bytes", body.body.len());
            }
        }
        Ok(Reply { status: head.status, headers: head.headers, body: body.body })
    }
}
