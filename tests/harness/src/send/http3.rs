//! HTTP/3, over QUIC.
use super::http2::{fields, head, header_map};
use super::tls::Client;
use super::{Message, PATIENCE, Reply};
use anyhow::{Context, Result};
use bytes::{Buf, Bytes};
use h3::client::{self, RequestStream, SendRequest};
use h3_quinn::{BidiStream, OpenStreams, RecvStream, SendStream};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connecting, Endpoint};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::task::AbortHandle;

/// The one protocol that is offered.
const PROTOCOL: &[u8] = b"h3";

/// Sends `message` over a connection of its own.
pub async fn send(client: &Client, address: SocketAddr, message: &Message) -> Result<Reply> {
    let exchange = async { Connection::open(client, address).await?.send(message).await };
    tokio::time::timeout(PATIENCE, exchange).await.with_context(|| format!("no reply within {PATIENCE:?}"))?
}

/// Sends `message` over a connection of its own before its handshake is done, and tells whether the proxy took it so.
/// `None`: the client knows no session in which it may.
pub async fn send_early(client: &Client, address: SocketAddr, message: &Message) -> Result<Option<(Reply, bool)>> {
    let exchange = async {
        let (endpoint, connecting) = connect(client, address)?;
        let Ok((quic, accepted)) = connecting.into_0rtt() else { return Ok(None) };
        let reply = Connection::over(endpoint, quic).await?.send(message).await?;
        Ok(Some((reply, accepted.await)))
    };
    tokio::time::timeout(PATIENCE, exchange).await.with_context(|| format!("no reply within {PATIENCE:?}"))?
}

fn connect(client: &Client, address: SocketAddr) -> Result<(Endpoint, Connecting)> {
    let from = client.source().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let endpoint = Endpoint::client(SocketAddr::new(from, 0)).with_context(|| format!("sending from {from}"))?;
    let config = QuicClientConfig::try_from(client.offering(PROTOCOL)).context("a client of QUIC")?;
    let connecting = endpoint.connect_with(ClientConfig::new(Arc::new(config)), address, client.server_name())?;
    Ok((endpoint, connecting))
}

/// A connection that carries any number of requests, also at once: clones share it.
#[derive(Clone)]
pub struct Connection {
    requests: SendRequest<OpenStreams, Bytes>,
    _quic: Arc<Quic>,
}

/// Ends with the last clone.
struct Quic {
    connection: quinn::Connection,
    driver: AbortHandle,
    // What sends and receives lives as long as this.
    _endpoint: Endpoint,
}

impl Drop for Quic {
    fn drop(&mut self) {
        self.driver.abort();
        self.connection.close(0u32.into(), b"");
    }
}

/// The sending half of a request.
pub type Sending = RequestStream<SendStream<Bytes>, Bytes>;

/// Its receiving half.
pub type Receiving = RequestStream<RecvStream, Bytes>;

impl Connection {
    /// Connects.
    pub async fn open(client: &Client, address: SocketAddr) -> Result<Self> {
        let (endpoint, connecting) = connect(client, address)?;
        let quic = connecting.await.context("the QUIC handshake")?;
        Self::over(endpoint, quic).await
    }

    async fn over(endpoint: Endpoint, quic: quinn::Connection) -> Result<Self> {
        let connection = h3_quinn::Connection::new(quic.clone());
        // Frames of reserved types behind a body are refused by some versions of nginx itself, 1.28.3 among them.
        let mut builder = client::builder();
        let (mut driver, requests) = builder.send_grease(false).build(connection).await.context("HTTP/3")?;
        let driver = tokio::spawn(async move {
            let _ = driver.wait_idle().await;
        });
        let quic = Quic { connection: quic, driver: driver.abort_handle(), _endpoint: endpoint };
        Ok(Self { requests, _quic: Arc::new(quic) })
    }

    /// Sends `message` and reads the reply.
    pub async fn send(&self, message: &Message) -> Result<Reply> {
        let (mut sending, mut receiving) = self.start(message).await?;
        let body = async {
            // A refusal may stop the stream while the body is on its way; the reply tells.
            let _ = send_body(message, &mut sending).await;
        };
        let (reply, ()) = tokio::join!(read(&mut receiving), body);
        reply
    }

    /// Sends the head only.
    pub async fn start(&self, message: &Message) -> Result<(Sending, Receiving)> {
        let stream: RequestStream<BidiStream<Bytes>, Bytes> =
            self.requests.clone().send_request(head(message, "https")?).await.context("a stream")?;
        Ok(stream.split())
    }
}

/// Sends the pieces of the body, each in a frame of its own, and the trailers where the framing has some.
async fn send_body(message: &Message, stream: &mut Sending) -> Result<()> {
    for chunk in &message.chunks {
        stream.send_data(Bytes::copy_from_slice(chunk)).await?;
    }
    if message.framing.has_trailers() {
        stream.send_trailers(header_map(&message.trailers)?).await?;
    }
    Ok(stream.finish().await?)
}

/// Reads a whole reply.
async fn read(stream: &mut Receiving) -> Result<Reply> {
    let head = stream.recv_response().await.context("the HTTP/3 reply")?;
    let mut body = Vec::new();
    while let Some(mut data) = stream.recv_data().await.context("the HTTP/3 reply's body")? {
        body.extend_from_slice(&data.copy_to_bytes(data.remaining()));
    }
    Ok(Reply { status: head.status().as_u16(), headers: fields(head.headers()), body })
}
