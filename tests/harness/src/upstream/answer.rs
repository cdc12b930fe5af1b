//! What the upstream answers, and how it goes wrong when a test wants it to.
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// What holds answers back until a test opens it: however busy the machine, a callback is on its way for as long as the
/// test wants it to be.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// Lets every answer go that waits behind it, and all later ones.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    async fn opened(&self) {
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

/// How an answer goes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// Whole.
    #[default]
    Whole,
    /// The connection is reset instead.
    ResetBefore,
    /// The head and half of the body go out, then the connection is reset.
    ResetMiddle,
    /// Nothing ever comes.
    Never,
}

/// One scripted answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Further header fields.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How long to wait before it.
    pub delay: Duration,
    /// What has to open before it.
    pub gate: Option<Gate>,
    /// Whether it goes out whole.
    pub delivery: Delivery,
    /// Statuses of interim answers that go before it. The connection is closed after an answer with some: an older nginx
    /// takes the first for the answer, and what follows for its body, which has no other end.
    pub interim: Vec<u16>,
}

impl Answer {
    /// A plain answer with `status`.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: b"answered by the application\n".to_vec(),
            delay: Duration::ZERO,
            gate: None,
            delivery: Delivery::Whole,
            interim: Vec::new(),
        }
    }

    /// The same, but only after `delay`.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// The same, but only once `gate` is open.
    #[must_use]
    pub fn behind(self, gate: &Gate) -> Self {
        Self { gate: Some(gate.clone()), ..self }
    }

    /// The same, but sent so.
    #[must_use]
    pub fn sent(self, delivery: Delivery) -> Self {
        Self { delivery, ..self }
    }

    /// The same, behind interim answers.
    #[must_use]
    pub fn after_interim(self, interim: &[u16]) -> Self {
        Self { interim: interim.to_vec(), ..self }
    }
}

/// How long an interim answer is the latest.
const BETWEEN: Duration = Duration::from_millis(30);

/// Sends one answer, and calls `count` if there is someone to take its head; false when the connection is over.
pub(super) async fn reply(stream: &mut TcpStream, answer: &Answer, count: impl FnOnce()) -> bool {
    if !answer.delay.is_zero() {
        tokio::time::sleep(answer.delay).await;
    }
    if let Some(gate) = &answer.gate {
        gate.opened().await;
    }
    for status in &answer.interim {
        if stream.write_all(format!("HTTP/1.1 {status} Interim\r\nX-Interim: yes\r\n\r\n").as_bytes()).await.is_err() {
            return false;
        }
        tokio::time::sleep(BETWEEN).await;
    }
    let mut wire = format!("HTTP/1.1 {} Answered\r\nContent-Length: {}\r\n", answer.status, answer.body.len());
    for (name, value) in &answer.headers {
        wire.push_str(&format!("{name}: {value}\r\n"));
    }
    wire.push_str("\r\n");
    let mut wire = wire.into_bytes();
    wire.extend_from_slice(&answer.body);
    match answer.delivery {
        Delivery::Whole => {
            begin(stream, count).await && stream.write_all(&wire).await.is_ok() && answer.interim.is_empty()
        }
        Delivery::Never => {
            // Until the proxy gives up; what it still sends is of no interest.
            let mut rest = [0; 4096];
            while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
            false
        }
        Delivery::ResetBefore => reset(stream),
        Delivery::ResetMiddle => {
            let half = wire.len() - answer.body.len() / 2;
            if begin(stream, count).await {
                let _ = stream.write_all(&wire[..half]).await;
                // Let the proxy take it first: a reset may overtake what is still in its queue.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            reset(stream)
        }
    }
}

/// Counts the answer unless the proxy has closed the connection: writing into a closed one would succeed.
async fn begin(stream: &TcpStream, count: impl FnOnce()) -> bool {
    let seen = tokio::time::timeout(Duration::ZERO, stream.peek(&mut [0])).await;
    let is_open = !matches!(seen, Ok(Ok(0) | Err(_)));
    if is_open {
        count();
    }
    is_open
}

/// Makes the coming close a reset instead of a clean end.
fn reset(stream: &TcpStream) -> bool {
    let _ = stream.set_zero_linger();
    false
}
