//! TLS to a proxy, with a client certificate.
use crate::certificates::{self, Holder};
use anyhow::{Context, Result, anyhow};
use std::path::Path;
use std::sync::Arc;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Where the volume with the certificates is mounted.
pub const FOLDER: &str = "/certificates";

/// Opens connections to one proxy.
#[derive(Clone)]
pub struct Dialer {
    host: String,
    port: u16,
    connector: TlsConnector,
}

impl Dialer {
    /// To `host`, as `holder`, offering `protocol` (`http/1.1` or `h2`).
    pub fn new(host: &str, port: u16, holder: Holder, protocol: &str) -> Result<Self> {
        let folder = Path::new(FOLDER);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(folder.join("authority.pem")).map_err(|why| anyhow!("{why:?}"))?)?;
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let mut config = match certificates::file(holder) {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let read = |why| anyhow!("the certificate {file}: {why:?}");
                let certificate = CertificateDer::from_pem_file(folder.join(format!("{file}.pem"))).map_err(read)?;
                let key = PrivateKeyDer::from_pem_file(folder.join(format!("{file}.key"))).map_err(read)?;
                builder.with_client_auth_cert(vec![certificate], key)?
            }
        };
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        // Every connection proves itself anew, so that a proxy that was restarted cannot be talked to on old terms.
        config.resumption = tokio_rustls::rustls::client::Resumption::disabled();
        Ok(Self { host: host.to_owned(), port, connector: TlsConnector::from(Arc::new(config)) })
    }

    /// One connection. The name is looked up each time: a container may come back elsewhere.
    pub async fn open(&self) -> Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(self.host.clone())?;
        self.connector.connect(name, stream).await.context("the TLS handshake")
    }

    /// A plain port on loopback that leads through TLS: for senders that speak no TLS themselves.
    pub async fn plain_port(self) -> Result<std::net::SocketAddr> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((mut plain, _)) = listener.accept().await {
                let dialer = self.clone();
                tokio::spawn(async move {
                    if let Ok(mut secured) = dialer.open().await {
                        let _ = copy_bidirectional(&mut plain, &mut secured).await;
                    }
                });
            }
        });
        Ok(address)
    }
}
