//! Sends requests byte by byte as a test wants them, and reads the replies.
use crate::wire::Fields;
use anyhow::{Context, Result, ensure};
use secure_callbacks_support::{Framing, Rendered};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};

pub mod http1;
pub mod http2;
pub mod http3;
pub mod tap;
pub mod tls;

/// How long a reply may take: longer is a failure, never a hang.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// One request.
#[derive(Clone, Debug)]
pub struct Message {
    /// `POST` and so on.
    pub method: String,
    /// The request target.
    pub path: String,
    /// The header fields in their order, without host, length and transfer coding: those follow from the framing.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// How the body goes out.
    pub framing: Framing,
    /// The body, in the pieces to send it in.
    pub chunks: Vec<Vec<u8>>,
    /// The trailers, where the framing has some.
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Message {
    /// A POST of `body` in one piece with its length; `token` goes behind `Bearer`.
    #[must_use]
    pub fn post(path: &str, body: &[u8], token: Option<&str>) -> Self {
        let mut headers = vec![(b"Content-Type".to_vec(), b"application/json".to_vec())];
        headers.extend(token.map(|token| (b"Authorization".to_vec(), format!("Bearer {token}").into_bytes())));
        Self {
            method: "POST".into(),
            path: path.into(),
            headers,
            framing: Framing::Length,
            chunks: if body.is_empty() { Vec::new() } else { vec![body.to_vec()] },
            trailers: Vec::new(),
        }
    }

    /// The same, framed so; a framing with trailers gets one.
    #[must_use]
    pub fn framed(self, framing: Framing) -> Self {
        let trailers =
            if framing.has_trailers() { vec![(b"x-checksum".to_vec(), b"none".to_vec())] } else { Vec::new() };
        Self { framing, trailers, ..self }
    }

    /// The same with one more header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        self
    }

    /// The same without the header fields of this name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name.as_bytes()));
        self
    }

    /// The whole body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        self.chunks.concat()
    }
}

impl From<&Rendered> for Message {
    fn from(row: &Rendered) -> Self {
        Self {
            method: row.method.clone(),
            path: row.path.clone(),
            headers: row.headers.clone(),
            framing: row.framing,
            chunks: row.chunks.clone(),
            trailers: row.trailers.clone(),
        }
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: Fields,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The `code` of a `problem+json` body, where the policy exposes it.
    #[must_use]
    pub fn code(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        Some(body.get("code")?.as_str()?.to_owned())
    }

    /// It has this status, and this code where the policy exposes it.
    pub fn is(&self, status: u16, code: &str) -> Result<()> {
        let as_due = self.status == status && self.code().as_deref() == Some(code);
        ensure!(as_due, "not {status} {code}: {} {}", self.status, self.text());
        Ok(())
    }

    /// The body as text, for messages.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends `message` over a connection of its own, to the HTTP/1.1 or the HTTP/2 port as its framing asks.
pub async fn send(ports: crate::proxy::Ports, message: &Message) -> Result<Reply> {
    let exchange = async {
        if message.framing.is_h2() {
            http2::send(ports.http2, message).await
        } else {
            http1::send(ports.http1, message).await
        }
    };
    tokio::time::timeout(PATIENCE, exchange).await.with_context(|| format!("no reply within {PATIENCE:?}"))?
}

/// The body of the 200 that a GET is answered with.
pub async fn get(address: SocketAddr, path: &str) -> Result<String> {
    let ask =
        Message { method: "GET".into(), headers: Vec::new(), ..Message::post(path, b"", None).framed(Framing::None) };
    let reply = send_to(address, &ask).await?;
    ensure!(reply.status == 200, "{path}: {} {}", reply.status, reply.text());
    Ok(reply.text())
}

/// Opens a TCP connection, from the address `from` of this machine where one is given.
pub async fn connect(from: Option<IpAddr>, to: SocketAddr) -> Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if let Some(from) = from {
        socket.bind(SocketAddr::new(from, 0)).with_context(|| format!("sending from {from}"))?;
    }
    let stream = socket.connect(to).await.with_context(|| format!("connecting to {to}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Like [`send`], for one address that speaks both.
pub async fn send_to(address: SocketAddr, message: &Message) -> Result<Reply> {
    send(crate::proxy::Ports { http1: address, http2: address, http3: None }, message).await
}
