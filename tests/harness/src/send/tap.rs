//! Somebody on the way between a client and a proxy, who keeps what the client sends before it has heard anything, and can
//! send that again: who captures a connection that begins with early data has a whole request in it.
use anyhow::{Context, Result};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// How long the proxy's first answer is held: until then the client has sent what it sends by itself, and QUIC does not
/// think yet that it was lost.
const HELD: Duration = Duration::from_millis(300);

const ANYWHERE: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// One connection that is listened to.
pub struct Tap {
    /// Where the client is to connect to.
    pub address: SocketAddr,
    proxy: SocketAddr,
    flight: Arc<Flight>,
    tasks: JoinSet<Result<()>>,
}

/// What the client sent before it was answered, in its pieces.
#[derive(Default)]
struct Flight {
    pieces: Mutex<Vec<Vec<u8>>>,
    answered: AtomicBool,
}

impl Flight {
    fn keep(&self, piece: &[u8]) {
        if !self.answered.load(Ordering::SeqCst) {
            self.pieces.lock().unwrap_or_else(PoisonError::into_inner).push(piece.to_vec());
        }
    }

    async fn hold_the_answer(&self) {
        if !self.answered.load(Ordering::SeqCst) {
            tokio::time::sleep(HELD).await;
            self.answered.store(true, Ordering::SeqCst);
        }
    }
}

impl Tap {
    /// One that listens to a connection over TCP.
    pub async fn of_tcp(proxy: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(ANYWHERE).await?;
        let (address, flight, mut tasks) = (listener.local_addr()?, Arc::<Flight>::default(), JoinSet::new());
        let kept = Arc::clone(&flight);
        tasks.spawn(async move {
            let (mut from_client, mut to_client) = listener.accept().await?.0.into_split();
            let (mut from_proxy, mut to_proxy) = TcpStream::connect(proxy).await?.into_split();
            let up = async {
                let mut piece = [0; 16 * 1024];
                loop {
                    let length = from_client.read(&mut piece).await?;
                    kept.keep(&piece[..length]);
                    to_proxy.write_all(&piece[..length]).await?;
                    if length == 0 {
                        return to_proxy.shutdown().await;
                    }
                }
            };
            let down = async {
                let mut piece = [0; 16 * 1024];
                loop {
                    let length = from_proxy.read(&mut piece).await?;
                    kept.hold_the_answer().await;
                    to_client.write_all(&piece[..length]).await?;
                    if length == 0 {
                        return to_client.shutdown().await;
                    }
                }
            };
            tokio::try_join!(up, down)?;
            Ok(())
        });
        Ok(Self { address, proxy, flight, tasks })
    }

    /// One that listens to a connection over UDP.
    pub async fn of_udp(proxy: SocketAddr) -> Result<Self> {
        let (near, far) = (UdpSocket::bind(ANYWHERE).await?, UdpSocket::bind(ANYWHERE).await?);
        far.connect(proxy).await?;
        let (address, flight, mut tasks) = (near.local_addr()?, Arc::<Flight>::default(), JoinSet::new());
        let kept = Arc::clone(&flight);
        tasks.spawn(async move {
            let client = Mutex::new(None);
            let up = async {
                let mut datagram = [0; 64 * 1024];
                loop {
                    let (length, from) = near.recv_from(&mut datagram).await?;
                    *client.lock().unwrap_or_else(PoisonError::into_inner) = Some(from);
                    kept.keep(&datagram[..length]);
                    far.send(&datagram[..length]).await?;
                }
            };
            let down = async {
                let mut datagram = [0; 64 * 1024];
                loop {
                    let length = far.recv(&mut datagram).await?;
                    kept.hold_the_answer().await;
                    let to = *client.lock().unwrap_or_else(PoisonError::into_inner);
                    near.send_to(&datagram[..length], to.context("nobody has asked")?).await?;
                }
            };
            // Neither ends but by an error.
            tokio::select! { ended = up => ended, ended = down => ended }
        });
        Ok(Self { address, proxy, flight, tasks })
    }

    /// Lets the connection go, so that what follows is none of it.
    pub fn end(&mut self) {
        self.tasks.abort_all();
    }

    /// Sends what was kept over a new connection, which stays open as long as what is returned.
    pub async fn send_again_over_tcp(&self) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(self.proxy).await?;
        stream.write_all(&self.kept().concat()).await?;
        Ok(stream)
    }

    /// Sends the datagrams that were kept, from another port.
    pub async fn send_again_over_udp(&self) -> Result<UdpSocket> {
        let socket = UdpSocket::bind(ANYWHERE).await?;
        for datagram in self.kept() {
            socket.send_to(&datagram, self.proxy).await?;
        }
        Ok(socket)
    }

    fn kept(&self) -> Vec<Vec<u8>> {
        self.flight.pieces.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
