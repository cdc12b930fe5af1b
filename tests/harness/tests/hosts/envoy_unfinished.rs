//! Heads whose bodies never come, as many as anybody cares to send: a worker goes on taking good callbacks, and nothing
//! that piles up is worked off at once.
use crate::common::policy;
use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::proxy::envoy;
use secure_callbacks_harness::running::{Envoy, Running};
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::{http1, http2};
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_support::Framing;
use serde_json::json;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub(crate) fn add(tests: &mut Tests<'_>) {
    tests.add("ten_thousand_unfinished_heads_hold_up_nobody_http1", || hold_up_nobody(by_http1));
    tests.add("ten_thousand_unfinished_heads_hold_up_nobody_http2", || hold_up_nobody(by_http2));
}

/// How many heads wait at once, on one worker.
const HEADS: usize = 10_000;

/// Streams on one HTTP/2 connection.
const STREAMS: usize = 500;

/// When Envoy gives up on a request whose body does not come.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(25);

/// How long a good callback takes at most, on a machine with much else to do.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Sends [`HEADS`] heads, runs the good callbacks beside them, and reads what each head was answered.
type Pile = fn(&Running) -> Result<Vec<u16>>;

fn hold_up_nobody(pile: Pile) -> Result<()> {
    open_enough()?;
    let settings = json!({
        "request_timeout": format!("{}s", REQUEST_TIMEOUT.as_secs()),
        "stream_idle_timeout": "60s",
        "http2_protocol_options": { "max_concurrent_streams": STREAMS },
    });
    let filter = envoy::filter(&policy(), envoy::Form::Struct, &[]);
    let running = Envoy { settings, workers: 1, ..Envoy::new([filter])? }.start()?;
    let answers = pile(&running).with_context(|| running.log_end())?;
    let odd: Vec<_> = answers.iter().filter(|status| **status != 408).collect();
    ensure!(odd.is_empty() && answers.len() == HEADS, "{} answers, {} others: {odd:?}", answers.len(), odd.len());
    // The sandbox is the one that it was, and the worker takes callbacks.
    good_ones(&running)?;
    let log = running.proxy.log();
    for sign in ["stack size", "wasm trap", "Uncaught", "VM is reloaded", "in wasm"] {
        ensure!(!log.contains(sign), "{sign}: {}", running.log_end());
    }
    Ok(())
}

/// Good callbacks go through meanwhile, each at once.
fn good_ones(running: &Running) -> Result<()> {
    for framing in [Framing::Length, Framing::H2] {
        for _ in 0..20 {
            let callback = Callback::new().framed(framing);
            let sent = secure_callbacks_harness::send::send(running.ports[0], &callback.message);
            let answered = async { tokio::time::timeout(AT_ONCE, sent).await.context("a good callback waits")? };
            let reply = wait(answered)?;
            running.accepted(&callback, &reply, 1)?;
        }
    }
    Ok(())
}

/// A head that is refused and announces a body.
fn refused_head() -> Callback {
    Callback::new().without_token()
}

fn by_http1(running: &Running) -> Result<Vec<u16>> {
    /// A process may not have enough open files for the heads of two hosts.
    static ONE_HOST_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_HOST_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut waiting = wait(async {
        let mut waiting = Vec::with_capacity(HEADS);
        for _ in 0..HEADS {
            let mut connection = http1::Connection::open(running.ports[0].http1).await?;
            connection.write(&http1::writes(&refused_head().message)[0]).await?;
            waiting.push(connection);
        }
        anyhow::Ok(waiting)
    })?;
    good_ones(running)?;
    // Longer than any tick of the filter's.
    std::thread::sleep(Duration::from_secs(3));
    good_ones(running)?;
    // One whose body does come is refused by the filter itself.
    wait(async {
        let mut late = http1::Connection::open(running.ports[0].http1).await?;
        late.write(&refused_head().wire()).await?;
        late.reply().await?.is(401, "token_missing")
    })?;
    std::thread::sleep(REQUEST_TIMEOUT);
    wait(async {
        let mut answers = Vec::with_capacity(HEADS);
        for connection in &mut waiting {
            answers.push(connection.reply().await?.status);
        }
        Ok(answers)
    })
}

fn by_http2(running: &Running) -> Result<Vec<u16>> {
    let (connections, waiting) = wait(async {
        let (mut connections, mut waiting) = (Vec::new(), Vec::with_capacity(HEADS));
        for _ in 0..HEADS / STREAMS {
            let connection = http2::Connection::open(running.ports[0].http2).await?;
            for _ in 0..STREAMS {
                let callback = refused_head().framed(Framing::H2);
                waiting.push(connection.start(&callback.message).await?);
            }
            connections.push(connection);
        }
        anyhow::Ok((connections, waiting))
    })?;
    good_ones(running)?;
    std::thread::sleep(Duration::from_secs(3));
    good_ones(running)?;
    let answers = wait(async {
        let mut answers = Vec::with_capacity(HEADS);
        let until = tokio::time::Instant::now() + REQUEST_TIMEOUT + Duration::from_secs(15);
        for (response, _stream) in waiting {
            answers.push(tokio::time::timeout_at(until, http2::read(response)).await.context("no answer")??.status);
        }
        anyhow::Ok(answers)
    })?;
    drop(connections);
    Ok(answers)
}

/// As many open files as the system allows: this process and the proxy, which inherits the limit, have one each for
/// every connection.
fn open_enough() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    let needed = HEADS as u64 + 2_000;
    ensure!(maximum.is_none_or(|most| most >= needed), "{needed} open files are needed, {maximum:?} allowed");
    Ok(())
}
