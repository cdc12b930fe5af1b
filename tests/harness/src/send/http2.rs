//! HTTP/2 with prior knowledge.
use super::http1::Stream;
use super::{Message, Reply};
use crate::wire::Fields;
use anyhow::{Context, Result};
use bytes::Bytes;
use h2::SendStream;
use h2::client::{self, SendRequest};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use secure_callbacks_support::Framing;
use std::net::SocketAddr;
use tokio::task::AbortHandle;

/// Sends `message` over a connection of its own.
pub async fn send(address: SocketAddr, message: &Message) -> Result<Reply> {
    Connection::open(address).await?.send(message).await
}

/// A connection that carries any number of requests, also at once: clones share it.
#[derive(Clone)]
pub struct Connection {
    requests: SendRequest<Bytes>,
    _driver: std::sync::Arc<Driver>,
}

struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        Self::over(super::connect(None, address).await?).await
    }

    /// Speaks over a stream that is open already, also a TLS one.
    pub async fn over(stream: impl Stream + 'static) -> Result<Self> {
        let (requests, connection) = client::handshake(stream).await.context("the HTTP/2 handshake")?;
        let driver = tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Self { requests, _driver: std::sync::Arc::new(Driver(driver.abort_handle())) })
    }

    /// Sends `message` and reads the reply.
    pub async fn send(&self, message: &Message) -> Result<Reply> {
        let (response, mut body) = self.start(message).await?;
        let sending = async {
            // A refusal may reset the stream while the body is on its way; the reply tells.
            let _ = send_body(message, &mut body).await;
        };
        let (reply, ()) = tokio::join!(read(response), sending);
        reply
    }

    /// Sends the head only. Dropping the stream resets it.
    pub async fn start(&self, message: &Message) -> Result<(client::ResponseFuture, SendStream<Bytes>)> {
        let bodyless = message.framing == Framing::H2HeadersOnly;
        let mut requests = self.requests.clone().ready().await.context("a stream")?;
        Ok(requests.send_request(head(message, "http")?, bodyless)?)
    }
}

/// The head as both newer versions of HTTP have it.
pub(super) fn head(message: &Message, scheme: &str) -> Result<Request<()>> {
    let uri = format!("{scheme}://localhost{}", message.path);
    let mut request = Request::builder().method(message.method.as_str()).uri(uri).body(())?;
    *request.headers_mut() = header_map(&message.headers)?;
    if message.framing.has_length() {
        request.headers_mut().insert(http::header::CONTENT_LENGTH, message.body().len().into());
    }
    Ok(request)
}

/// The fields as both have them.
pub(super) fn header_map(fields: &[(Vec<u8>, Vec<u8>)]) -> Result<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(HeaderName::from_bytes(name)?, HeaderValue::from_bytes(value)?);
    }
    Ok(map)
}

/// Sends the pieces of the body, and the trailers where the framing has some.
async fn send_body(message: &Message, stream: &mut SendStream<Bytes>) -> Result<()> {
    if message.framing == Framing::H2HeadersOnly {
        return Ok(());
    }
    for chunk in &message.chunks {
        send_data(stream, chunk).await?;
    }
    if message.framing.has_trailers() {
        stream.send_trailers(header_map(&message.trailers)?)?;
    } else {
        stream.send_data(Bytes::new(), true)?;
    }
    Ok(())
}

/// Sends `bytes` as the peer's window allows, without ending the stream.
pub async fn send_data(stream: &mut SendStream<Bytes>, bytes: &[u8]) -> Result<()> {
    let mut rest = Bytes::copy_from_slice(bytes);
    while !rest.is_empty() {
        stream.reserve_capacity(rest.len());
        let window = std::future::poll_fn(|context| stream.poll_capacity(context)).await.context("stream ended")??;
        stream.send_data(rest.split_to(window.min(rest.len())), false)?;
    }
    Ok(())
}

/// Reads a whole reply.
pub async fn read(response: client::ResponseFuture) -> Result<Reply> {
    let (head, mut stream) = response.await.context("the HTTP/2 reply")?.into_parts();
    let headers = fields(&head.headers);
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data.context("the HTTP/2 reply's body")?;
        stream.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    Ok(Reply { status: head.status.as_u16(), headers, body })
}

/// The fields of a reply as both have them.
pub(super) fn fields(map: &HeaderMap) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in map {
        fields.push(name.as_str(), value.as_bytes());
    }
    fields
}
