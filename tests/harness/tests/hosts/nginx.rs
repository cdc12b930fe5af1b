//! What only Nginx has, beside redirects: where bodies are kept, who else decides about access, variables, reload.
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::clock::until;
use secure_callbacks_harness::proxy::{self, Directory, nginx};
use secure_callbacks_harness::running::{Nginx, Running};
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send;
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_support::Framing;
use secure_callbacks_support::token::SECRET;
use std::time::Duration;

pub(crate) fn add(tests: &mut Tests<'_>) {
    let kind = tests.kind;
    let mut test = |name: &str, test: fn(ProxyKind) -> Result<()>| {
        tests.add(name, move || test(kind));
    };
    test("bodies_in_temporary_files_are_verified", temporary_files);
    test("bodies_without_request_buffering_are_verified", without_buffering);
    test("allow_and_deny_answer_first", deny_first);
    test("satisfy_any_warns", satisfy_any);
    test("a_location_can_be_switched_off", switched_off);
    test("variables_reach_headers", variables);
    test("metrics_count_by_policy_and_result", metrics);
    test("a_reload_forgets_no_callback", reload);
    test("a_killed_worker_forgets_no_callback", killed_worker);
}

/// The policy block that the servers here use.
pub(crate) fn policy_block() -> String {
    format!("    secure_callbacks_policy video {{ account a1b2c3d secret=text:{SECRET}; expose_reason on; }}\n")
}

/// A location under that policy.
pub(crate) const PROTECTED: &str = "location / { secure_callbacks video; proxy_pass http://app; }";

/// An nginx with one server of this content.
pub(crate) fn start(kind: ProxyKind, server: &str) -> Result<Running> {
    Nginx::new(kind, policy_block(), server)?.start()
}

/// Good and forged bodies of several sizes and framings through one server.
fn all_framings(kind: ProxyKind, server: &str) -> Result<()> {
    let running = start(kind, server)?;
    for size in [1, 900, 5_000, 300_000] {
        for framing in [Framing::Length, Framing::Chunked, Framing::ChunkedTrailers, Framing::H2, Framing::H2NoLength] {
            let body: Vec<u8> = (0..size).map(|index| b'a' + (index % 23) as u8).collect();
            let mut callback = Callback::with_body(&body).framed(framing);
            callback.message.chunks = body.chunks(4096).map(<[u8]>::to_vec).collect();
            running.accepts(&callback, 1)?;
            let mut forged = Callback::with_body(&body).framed(framing);
            // The very last byte is another one.
            if let Some(byte) = forged.message.chunks.iter_mut().last().and_then(|chunk| chunk.last_mut()) {
                *byte = b'!';
            }
            running.refuses_with(&forged, "payload_hash_mismatch")?;
        }
    }
    Ok(())
}

fn temporary_files(kind: ProxyKind) -> Result<()> {
    all_framings(kind, &format!("client_body_buffer_size 1k; client_body_in_file_only clean; {PROTECTED}"))
}

fn without_buffering(kind: ProxyKind) -> Result<()> {
    all_framings(kind, &format!("client_body_buffer_size 1k; proxy_request_buffering off; {PROTECTED}"))
}

fn deny_first(kind: ProxyKind) -> Result<()> {
    let running = start(kind, "location / { secure_callbacks video; deny all; proxy_pass http://app; }")?;
    for callback in [Callback::new(), Callback::forged()] {
        let reply = running.send(&callback)?;
        ensure!(reply.status == 403, "status {}", reply.status);
        running.untouched(&callback)?;
    }
    Ok(())
}

fn satisfy_any(kind: ProxyKind) -> Result<()> {
    let module = tools::find(kind)?.filter;
    let with = |satisfy: &str| {
        let server = format!(
            "    server {{ listen 127.0.0.1:1; {satisfy} location / {{ secure_callbacks video; allow all; return 200; }} }}\n"
        );
        let config = nginx::config(Some(&module), &[], &(policy_block() + &server));
        proxy::check_nginx(kind, &Directory::new("check")?, &config, &Vec::new())
    };
    let outcome = with("satisfy any;")?;
    ensure!(outcome.success, "it is a warning, not an error: {}", outcome.output);
    let warned = |output: &str| output.lines().any(|line| line.contains("[warn]") && line.contains("satisfy"));
    ensure!(warned(&outcome.output), "no warning: {}", outcome.output);
    ensure!(!warned(&with("satisfy all;")?.output), "a warning about satisfy all");
    Ok(())
}

fn switched_off(kind: ProxyKind) -> Result<()> {
    let running = start(
        kind,
        "secure_callbacks video;
         location / { proxy_pass http://app; }
         location /open/ { secure_callbacks off; proxy_pass http://app; }",
    )?;
    let inherited = Callback::forged();
    running.refuses_with(&inherited, "payload_hash_mismatch")?;
    let mut open = Callback::forged();
    open.message.path = open.message.path.replace("/callbacks/", "/open/");
    running.arrived(&open, &running.send(&open)?, 1)
}

fn variables(kind: ProxyKind) -> Result<()> {
    let running = start(
        kind,
        "location / {
            secure_callbacks video;
            add_header X-Result $secure_callbacks_result always;
            proxy_set_header X-Jti $secure_callbacks_jti;
            proxy_pass http://app;
         }",
    )?;
    let (good, bad) = (Callback::new(), Callback::forged());
    let reply = running.send(&good)?;
    running.accepted(&good, &reply, 1)?;
    ensure!(reply.headers.text("x-result").as_deref() == Some("accepted"), "{:?}", reply.headers);
    let forwarded = running.upstream.requests(&good.id)[0].headers.text("x-jti");
    ensure!(forwarded.as_deref() == good.token.jti(), "{forwarded:?}");
    let reply = running.send(&bad)?;
    ensure!(reply.headers.text("x-result").as_deref() == Some("payload_hash_mismatch"), "{:?}", reply.headers);
    Ok(())
}

fn metrics(kind: ProxyKind) -> Result<()> {
    let running = start(kind, &format!("{PROTECTED} location = /metrics {{ secure_callbacks_metrics; }}"))?;
    // Enough to have gone through both workers.
    for _ in 0..10 {
        running.send(&Callback::new())?;
        running.send(&Callback::forged())?;
    }
    let metrics = wait(send::get(running.ports[0].http1, "/metrics"))?;
    for line in [
        "secure_callbacks_requests_total{policy=\"video\",result=\"accepted\"} 10",
        "secure_callbacks_requests_total{policy=\"video\",result=\"payload_hash_mismatch\"} 10",
        "secure_callbacks_replay_entries{policy=\"video\"} 10",
    ] {
        ensure!(metrics.lines().any(|other| other == line), "no {line:?} in:\n{metrics}");
    }
    Ok(())
}

fn reload(kind: ProxyKind) -> Result<()> {
    let running = start(kind, PROTECTED)?;
    let callback = Callback::new();
    running.accepts(&callback, 1)?;
    let before = running.proxy.workers();
    running.proxy.reload()?;
    new_workers(&running, &before)?;
    replayed(&running, &callback)
}

fn killed_worker(kind: ProxyKind) -> Result<()> {
    let running = start(kind, PROTECTED)?;
    let callback = Callback::new();
    running.accepts(&callback, 1)?;
    let before = running.proxy.workers();
    for worker in &before {
        running.proxy.kill_worker(*worker)?;
    }
    new_workers(&running, &before)?;
    replayed(&running, &callback)
}

/// Waits until two workers run that are none of `before`.
fn new_workers(running: &Running, before: &[i32]) -> Result<()> {
    let new = |now: Vec<i32>| now.len() == 2 && now.iter().all(|worker| !before.contains(worker));
    let came = until(Duration::from_secs(5), || Ok(new(running.proxy.workers()).then_some(())))?;
    came.with_context(|| format!("no new workers: {before:?}, {:?}", running.proxy.workers()))
}

fn replayed(running: &Running, callback: &Callback) -> Result<()> {
    running.knows(callback)?;
    ensure!(running.upstream.deliveries(&callback.id) == 1, "delivered twice");
    let next = Callback::new();
    running.accepts(&next, 1)
}
