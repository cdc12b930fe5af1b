//! Requests to Nginx without a head. Its phases, filters and variables run all the same, before it has made what a head
//! would have filled: HTTP/0.9, and a line that it can't read where `error_page` leads into a protected location.
use crate::nginx::PROTECTED;
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::clock::until;
use secure_callbacks_harness::ids;
use secure_callbacks_harness::running::{Nginx, Running};
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::{self, PATIENCE};
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_support::token::SECRET;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) fn add(tests: &mut Tests<'_>) {
    let kind = tests.kind;
    for mode in ["report", "enforce"] {
        tests.add(format!("http_0_9_is_checked_in_{mode}_mode"), move || old(kind, mode));
        let name = format!("what_is_no_request_is_checked_on_its_error_page_in_{mode}_mode");
        tests.add(name, move || refused_lines(kind, mode));
    }
    tests.add("http_0_9_asks_for_metrics", move || metrics(kind));
}

/// Lines at which Nginx gives up before there is a head: no method, a version that nobody knows, too long.
fn lines() -> [Vec<u8>; 4] {
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(40_000));
    [
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n".to_vec(),
        b"get me\r\n\r\n".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        long.into_bytes(),
    ]
}

/// An nginx under a policy in this mode that asks for all that a head has, every variable of the module logged, added to
/// the answer and sent on.
fn start(kind: ProxyKind, mode: &str, server: &str) -> Result<Running> {
    let policy = format!("account a1b2c3d secret=text:{SECRET}; mode {mode}; payload query; expose_reason on;");
    let server = format!(
        "add_header X-Result \"$secure_callbacks_result $secure_callbacks_api_key $secure_callbacks_jti\" always;
        proxy_set_header X-Application $secure_callbacks_application_id;
        {server}"
    );
    let policy = format!("    secure_callbacks_policy video {{ {policy} }}\n");
    let running = Nginx::new(kind, policy, server)?.start()?;
    // They come right after the master is ready.
    until(PATIENCE, || Ok((running.proxy.workers().len() == 2).then_some(())))?.context("no two workers")?;
    Ok(running)
}

/// Sends these bytes, and returns all that comes until the connection is closed.
fn exchange(address: SocketAddr, bytes: &[u8]) -> Result<String> {
    let exchange = async {
        let mut stream = send::connect(None, address).await?;
        stream.write_all(bytes).await?;
        let mut answer = Vec::new();
        // A worker that dies resets the connection: what came until then is judged, and the worker below.
        stream.read_to_end(&mut answer).await.ok();
        anyhow::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    wait(async { tokio::time::timeout(PATIENCE, exchange).await.context("the connection stays open")? })
}

/// The workers are those of before, and a callback passes.
fn unharmed(running: &Running, workers: &[i32]) -> Result<()> {
    let callback = Callback::new();
    running.accepts(&callback, 1)?;
    let log = running.proxy.log();
    ensure!(!log.contains("exited on signal"), "a worker died: {log}");
    ensure!(running.proxy.workers() == workers, "other workers: {workers:?}, {:?}", running.proxy.workers());
    Ok(())
}

/// What reached the application under `id` is as the mode has it: with the verdict, or not at all.
fn judged(running: &Running, id: &str, mode: &str, times: usize) -> Result<()> {
    let requests = running.upstream.requests(id);
    let due = if mode == "report" { times } else { 0 };
    ensure!(requests.len() == due, "{} requests reached the application instead of {due}", requests.len());
    for request in requests {
        let verdict = request.headers.text("x-callback-verified");
        ensure!(verdict.as_deref() == Some("token_missing"), "X-Callback-Verified: {verdict:?}");
    }
    Ok(())
}

fn old(kind: ProxyKind, mode: &str) -> Result<()> {
    let running = start(kind, mode, PROTECTED)?;
    let workers = running.proxy.workers();
    for times in 1..=4 {
        let id = ids::unique();
        let answer = exchange(running.ports[0].http1, format!("GET /callbacks/{id}\n").as_bytes())?;
        judged(&running, &id, mode, 1).with_context(|| format!("number {times}, answered {answer:?}"))?;
        ensure!(answer.contains("token_missing") == (mode == "enforce"), "{answer:?}");
        let line = wait(running.proxy.access_line(&id)).context("no line in the access log")?;
        ensure!(line.contains("token_missing"), "{line}");
    }
    unharmed(&running, &workers)
}

fn refused_lines(kind: ProxyKind, mode: &str) -> Result<()> {
    let id = ids::unique();
    let page = format!("/callbacks/{id}");
    let running = start(kind, mode, &format!("error_page 400 414 505 {page}; {PROTECTED}"))?;
    let workers = running.proxy.workers();
    for (sent, line) in lines().iter().enumerate() {
        let answer = exchange(running.ports[0].http1, line)?;
        let begin = String::from_utf8_lossy(&line[..line.len().min(20)]).into_owned();
        judged(&running, &id, mode, sent + 1).with_context(|| format!("after {begin:?}, answered {answer:?}"))?;
        ensure!(answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 505"), "{begin:?}: {answer:?}");
    }
    unharmed(&running, &workers)
}

fn metrics(kind: ProxyKind) -> Result<()> {
    let running = start(kind, "report", &format!("{PROTECTED} location = /metrics {{ secure_callbacks_metrics; }}"))?;
    let workers = running.proxy.workers();
    let answer = exchange(running.ports[0].http1, b"GET /metrics\n")?;
    ensure!(answer.contains("\nsecure_callbacks_requests_total"), "{answer:?}");
    unharmed(&running, &workers)
}
