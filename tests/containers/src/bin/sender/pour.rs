//! A load of callbacks, each sent again until it is taken or refused: what Vonage does, with shorter waits. At a refusal
//! this sender always gives up, which Vonage may.
use crate::SECRET;
use crate::exchange::{self, CONNECT};
use anyhow::Result;
use secure_callbacks_containers::behaviour::Behaviour;
use secure_callbacks_containers::certificates::Holder;
use secure_callbacks_containers::load::{Attempt, FORGED_EVERY, Kind, LEFT, Order, Outcome, PORT, Sent, VANISHED};
use secure_callbacks_containers::tls::Dialer;
use secure_callbacks_harness::clock::now;
use secure_callbacks_harness::clock::now_ms;
use secure_callbacks_harness::ids;
use secure_callbacks_harness::send::{Message, http1};
use secure_callbacks_support::token::payload_hash;
use secure_callbacks_support::{Sample, Token, sample};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::client::TlsStream;

/// The first wait before a callback is sent again; Vonage's is 5 s.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait; Vonage's is 15 minutes.
const LONGEST_WAIT: Duration = Duration::from_secs(4);
/// When a vanishing sender is gone.
const VANISHING_AFTER: Duration = Duration::from_millis(200);
/// When a leaving sender is gone: the application has the callback by then, and takes two seconds more.
const LEAVING_AFTER: Duration = Duration::from_secs(1);
/// How many idle connections are opened side by side.
const OPENERS: usize = 25;
/// For how long they are opened.
const IDLE_PATIENCE: Duration = Duration::from_secs(30);

const SAMPLES: [Sample; 7] = [
    Sample::Session,
    Sample::Stream,
    Sample::Archive,
    Sample::Sip,
    Sample::Composer,
    Sample::Broadcast,
    Sample::Captions,
];

/// Carries out `order`; ends when every callback is taken or given up.
pub(crate) async fn run(order: Order) -> Result<Outcome> {
    let order = Arc::new(order);
    let dialer = Dialer::new(order.through.service(), PORT, Holder::Sender, "http/1.1")?;
    // Held open to the end. Opened before the load: what is tried is how callbacks fare beside them, not beside five
    // hundred handshakes at once.
    let idle = open_idle(&dialer, order.idle).await;
    let end = Instant::now() + Duration::from_secs(order.seconds);
    let mut running = JoinSet::new();
    let crowd = [(Kind::Crawling, order.crawling), (Kind::Vanishing, order.vanishing), (Kind::Leaving, order.leaving)];
    for kind in crowd.into_iter().flat_map(|(kind, count)| vec![kind; count]) {
        running.spawn(callback(dialer.clone(), Arc::clone(&order), kind, 0, end));
    }
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(order.per_second.max(1))?);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = 0;
    while Instant::now() < end {
        ticks.tick().await;
        number += 1;
        let kind = if number % FORGED_EVERY == 0 { Kind::Forged } else { Kind::Genuine };
        running.spawn(callback(dialer.clone(), Arc::clone(&order), kind, number, end));
    }
    let sent = running.join_all().await;
    Ok(Outcome { sent, idle: idle.len() })
}

/// One callback, from its making to its end.
async fn callback(dialer: Dialer, order: Arc<Order>, kind: Kind, number: u64, end: Instant) -> Sent {
    let id = ids::unique();
    let turn = usize::try_from(number).unwrap_or(0);
    let body = sample(SAMPLES[turn % SAMPLES.len()]);
    let behaviour = match kind {
        Kind::Genuine => order.behaviours.get(turn % order.behaviours.len().max(1)).copied().unwrap_or_default(),
        Kind::Leaving => Behaviour::Slow,
        _ => Behaviour::Plain,
    };
    let token = Token::valid(body, now()).secret(SECRET);
    let (token, body) = match kind {
        Kind::Forged if turn.is_multiple_of(2) => (token.secret("a-secret-that-is-not-the-accounts"), body),
        Kind::Forged => (token, b"{\"event\":\"forged\"}".as_slice()),
        _ => (token, body),
    };
    let path = format!("/callbacks/{id}/{}", behaviour.name());
    let bytes = http1::writes(&Message::post(&path, body, Some(&token.sign()))).concat();
    let mut sent = Sent { id, kind, sha256: payload_hash(body), attempts: Vec::new() };
    match kind {
        Kind::Forged => sent.attempts.push(exchange::attempt(&dialer, &bytes).await),
        Kind::Crawling => sent.attempts.push(crawl(&dialer, &bytes, end).await),
        Kind::Vanishing => {
            let beginning = &bytes[..bytes.len() - body.len() / 2];
            sent.attempts.push(go_after(&dialer, beginning, VANISHING_AFTER, VANISHED).await);
            until_taken(&dialer, &order, &bytes, &mut sent.attempts).await;
        }
        Kind::Leaving => {
            sent.attempts.push(go_after(&dialer, &bytes, LEAVING_AFTER, LEFT).await);
            sleep(FIRST_WAIT).await;
            until_taken(&dialer, &order, &bytes, &mut sent.attempts).await;
        }
        Kind::Genuine => until_taken(&dialer, &order, &bytes, &mut sent.attempts).await,
    }
    sent
}

/// The same bytes again and again, the same token with them, until they are taken or refused, or patience ends.
async fn until_taken(dialer: &Dialer, order: &Order, bytes: &[u8], attempts: &mut Vec<Attempt>) {
    let first = Instant::now();
    let mut wait = FIRST_WAIT;
    loop {
        let attempt = exchange::attempt(dialer, bytes).await;
        let status = attempt.status;
        attempts.push(attempt);
        let ended = matches!(status, Some(200..=299 | 400..=499));
        if ended || first.elapsed() >= Duration::from_secs(order.patience) {
            return;
        }
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Sends this much, waits a little, then is gone.
async fn go_after(dialer: &Dialer, bytes: &[u8], wait: Duration, says: &str) -> Attempt {
    let at = now_ms();
    let gone = async {
        let mut stream = dialer.open().await?;
        stream.write_all(bytes).await?;
        stream.flush().await?;
        sleep(wait).await;
        anyhow::Ok(())
    };
    let says = gone.await.map_or_else(|error| format!("{error:#}"), |()| says.into());
    Attempt { at, status: None, says }
}

/// One byte a second, to the end of the load.
async fn crawl(dialer: &Dialer, bytes: &[u8], end: Instant) -> Attempt {
    let at = now_ms();
    let slow = async {
        let mut stream = dialer.open().await?;
        for byte in bytes {
            if Instant::now() >= end {
                break;
            }
            stream.write_all(&[*byte]).await?;
            stream.flush().await?;
            sleep(Duration::from_secs(1)).await;
        }
        anyhow::Ok(())
    };
    let says = slow.await.map_or_else(|error| format!("{error:#}"), |()| "never whole".into());
    Attempt { at, status: None, says }
}

/// Opens `count` connections that say nothing; fewer if they do not come about in time.
async fn open_idle(dialer: &Dialer, count: usize) -> Vec<TlsStream<TcpStream>> {
    let mut openers = JoinSet::new();
    for opener in 0..OPENERS.min(count) {
        let (dialer, share) = (dialer.clone(), count / OPENERS + usize::from(opener < count % OPENERS));
        openers.spawn(async move {
            let mut open = Vec::new();
            let last = Instant::now() + IDLE_PATIENCE;
            while open.len() < share && Instant::now() < last {
                if let Ok(Ok(stream)) = timeout(CONNECT, dialer.open()).await {
                    open.push(stream);
                }
            }
            open
        });
    }
    openers.join_all().await.into_iter().flatten().collect()
}
