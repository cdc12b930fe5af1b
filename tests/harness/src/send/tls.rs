//! TLS to a proxy, with a client certificate where one is given.
use super::{Message, PATIENCE, Reply, connect, http1, http2};
use crate::certificates::{Authority, Identity};
use anyhow::{Context, Result};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, HandshakeKind, RootCertStore};

/// The protocol's version: exactly this one is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// The name that every server certificate must carry.
pub const SERVER_NAME: &str = "localhost";

/// A TLS client. It keeps its sessions: the second connection to a server resumes the first one's if the server lets
/// it. For a full handshake every time, make a client for each.
pub struct Client {
    config: Arc<ClientConfig>,
    from: Option<IpAddr>,
    name: &'static str,
    is_named: bool,
}

impl Client {
    /// One that trusts servers of `trusted`, and shows `identity` when asked for a certificate.
    pub fn new(trusted: &Authority, identity: Option<&Identity>, version: Version) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.certificate().clone())?;
        let versions = match version {
            Version::Tls12 => [&TLS12],
            Version::Tls13 => [&TLS13],
        };
        let builder = ClientConfig::builder_with_protocol_versions(&versions).with_root_certificates(roots);
        let config = match identity.map(Identity::parts) {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        };
        Ok(Self { config: Arc::new(config), from: None, name: SERVER_NAME, is_named: true })
    }

    /// The same, sending from this address of the machine.
    #[must_use]
    pub fn from(self, address: IpAddr) -> Self {
        Self { from: Some(address), ..self }
    }

    /// The same, which sends what it is given before the handshake is done, where an earlier session allows it.
    #[must_use]
    pub fn early(self) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.enable_early_data = true;
        Self { config: Arc::new(config), ..self }
    }

    /// The same, meaning the server `name`, which its certificate must carry; `is_named`: saying so in the handshake.
    /// Sessions are shared with `self`.
    #[must_use]
    pub fn to(&self, name: &'static str, is_named: bool) -> Self {
        Self { config: Arc::clone(&self.config), from: self.from, name, is_named }
    }

    /// Opens a connection that speaks `protocol` (an ALPN name). In TLS 1.3 a server that refuses the certificate says
    /// so only when the connection is first read.
    pub async fn open(&self, address: SocketAddr, protocol: &[u8]) -> Result<Session> {
        let stream = connect(self.from, address).await?;
        let connector = TlsConnector::from(Arc::new(self.offering(protocol))).early_data(self.config.enable_early_data);
        let handshake = connector.connect(ServerName::try_from(self.name)?, stream);
        let handshake = tokio::time::timeout(PATIENCE, handshake).await;
        let stream = handshake.context("no TLS handshake in time")?.context("the TLS handshake")?;
        let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        Ok(Session { stream, resumed })
    }

    /// Sends `message` over a connection of its own, in HTTP/1.1, as much of it before the handshake is done as goes;
    /// whether the proxy took that. It does not where no session of this client allows it.
    pub async fn send_early(&self, address: SocketAddr, message: &Message) -> Result<(Reply, bool)> {
        let exchange = async {
            let mut stream = self.open(address, b"http/1.1").await?.stream;
            stream.write_all(&http1::writes(message).concat()).await?;
            stream.flush().await?;
            let accepted = stream.get_ref().1.is_early_data_accepted();
            Ok((http1::Connection::over(stream).reply().await?, accepted))
        };
        tokio::time::timeout(PATIENCE, exchange).await.with_context(|| format!("no reply within {PATIENCE:?}"))?
    }

    /// Its configuration, offering this protocol and no other.
    pub(super) fn offering(&self, protocol: &[u8]) -> ClientConfig {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = vec![protocol.to_vec()];
        config.enable_sni = self.is_named;
        config
    }

    /// The server that it means.
    pub(super) fn server_name(&self) -> &'static str {
        self.name
    }

    /// Where it sends from, if it is told.
    pub(super) fn source(&self) -> Option<IpAddr> {
        self.from
    }

    /// Sends `message` over a connection of its own, as HTTP/1.1 or HTTP/2 as its framing asks.
    pub async fn send(&self, address: SocketAddr, message: &Message) -> Result<Reply> {
        Ok(self.exchange(address, message).await?.0)
    }

    /// Like [`Client::send`]; also says whether the connection resumed an earlier one's session.
    pub async fn exchange(&self, address: SocketAddr, message: &Message) -> Result<(Reply, bool)> {
        let exchange = async {
            if message.framing.is_h2() {
                let session = self.open(address, b"h2").await?;
                let connection = http2::Connection::over(session.stream).await?;
                Ok((connection.send(message).await?, session.resumed))
            } else {
                let session = self.open(address, b"http/1.1").await?;
                let connection = http1::Connection::over(session.stream);
                let reply = http1::exchange_over(connection, http1::writes(message), Duration::ZERO).await?;
                Ok((reply, session.resumed))
            }
        };
        tokio::time::timeout(PATIENCE, exchange).await.with_context(|| format!("no reply within {PATIENCE:?}"))?
    }
}

/// An open connection.
pub struct Session {
    /// What to speak over.
    pub stream: TlsStream<TcpStream>,
    /// Whether it took up an earlier connection's session, without certificates being sent again.
    pub resumed: bool,
}
