//! What only Nginx has, beside redirects: where bodies are kept, who else decides about access, variables, reload.
use crate::common::{Callback, Running, Stage, Test, accepted, arrived, refused, untouched};
use anyhow::{Result, ensure};
use secure_callbacks_harness::proxy::{self, Directory, Ports, Proxy, nginx};
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::{self, Message};
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_harness::upstream::Upstream;
use secure_callbacks_support::Framing;
use secure_callbacks_support::token::SECRET;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn add(stage: &Arc<Stage>, tests: &mut Vec<Test>) {
    let kind = stage.kind;
    let mut test = |name: &str, test: fn(ProxyKind) -> Result<()>| {
        tests.push((name.to_owned(), Box::new(move || test(kind))));
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

/// An nginx with one server of this content.
pub(crate) fn start(kind: ProxyKind, server: &str) -> Result<(Running, Ports)> {
    let module = tools::find(kind)?.filter;
    wait(async {
        let upstream = Upstream::start().await?;
        let ports = Ports::new(kind)?;
        let listen = nginx::listen(kind, ports.http1, ports.http2);
        let http =
            nginx::upstream(upstream.address()) + &policy_block() + &format!("    server {{ {listen} {server} }}\n");
        let config = nginx::config(Some(&module), &[], &http);
        let proxy = Proxy::nginx(kind, Directory::new("nginx")?, &config, &Vec::new()).await?;
        Ok((Running { proxy, upstream }, ports))
    })
}

/// Good and forged bodies of several sizes and framings through one server.
fn all_framings(kind: ProxyKind, server: &str) -> Result<()> {
    let (running, ports) = start(kind, server)?;
    for size in [1, 900, 5_000, 300_000] {
        for framing in [Framing::Length, Framing::Chunked, Framing::ChunkedTrailers, Framing::H2, Framing::H2NoLength] {
            let body: Vec<u8> = (0..size).map(|index| b'a' + (index % 23) as u8).collect();
            let mut callback = Callback::with_body(&body);
            callback.message = callback.message.framed(framing);
            callback.message.chunks = body.chunks(4096).map(<[u8]>::to_vec).collect();
            let reply = wait(send::send(ports, &callback.message))?;
            accepted(&running.upstream, &callback, &reply, 1)?;
            let mut forged = Callback::with_body(&body);
            forged.message = forged.message.framed(framing);
            // The very last byte is another one.
            if let Some(byte) = forged.message.chunks.iter_mut().last().and_then(|chunk| chunk.last_mut()) {
                *byte = b'!';
            }
            let reply = wait(send::send(ports, &forged.message))?;
            refused(&running.upstream, &forged, &reply, "payload_hash_mismatch")?;
        }
    }
    Ok(())
}

fn temporary_files(kind: ProxyKind) -> Result<()> {
    all_framings(
        kind,
        "client_body_buffer_size 1k; client_body_in_file_only clean;
         location / { secure_callbacks video; proxy_pass http://app; }",
    )
}

fn without_buffering(kind: ProxyKind) -> Result<()> {
    all_framings(
        kind,
        "client_body_buffer_size 1k; proxy_request_buffering off;
         location / { secure_callbacks video; proxy_pass http://app; }",
    )
}

fn deny_first(kind: ProxyKind) -> Result<()> {
    let (running, ports) = start(kind, "location / { secure_callbacks video; deny all; proxy_pass http://app; }")?;
    for callback in [Callback::new(), Callback::forged()] {
        let reply = wait(send::send(ports, &callback.message))?;
        ensure!(reply.status == 403, "status {}", reply.status);
        untouched(&running.upstream, &callback)?;
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
    let (running, ports) = start(
        kind,
        "secure_callbacks video;
         location / { proxy_pass http://app; }
         location /open/ { secure_callbacks off; proxy_pass http://app; }",
    )?;
    let inherited = Callback::forged();
    let reply = wait(send::send(ports, &inherited.message))?;
    refused(&running.upstream, &inherited, &reply, "payload_hash_mismatch")?;
    let mut open = Callback::forged();
    open.message.path = open.message.path.replace("/callbacks/", "/open/");
    arrived(&running.upstream, &open, &wait(send::send(ports, &open.message))?, 1)
}

fn variables(kind: ProxyKind) -> Result<()> {
    let (running, ports) = start(
        kind,
        "location / {
            secure_callbacks video;
            add_header X-Result $secure_callbacks_result always;
            proxy_set_header X-Jti $secure_callbacks_jti;
            proxy_pass http://app;
         }",
    )?;
    let (good, bad) = (Callback::new(), Callback::forged());
    let reply = wait(send::send(ports, &good.message))?;
    accepted(&running.upstream, &good, &reply, 1)?;
    ensure!(reply.headers.text("x-result").as_deref() == Some("accepted"), "{:?}", reply.headers);
    let forwarded = running.upstream.requests(&good.id)[0].headers.text("x-jti");
    ensure!(forwarded.as_deref() == good.token.jti(), "{forwarded:?}");
    let reply = wait(send::send(ports, &bad.message))?;
    ensure!(reply.headers.text("x-result").as_deref() == Some("payload_hash_mismatch"), "{:?}", reply.headers);
    Ok(())
}

fn metrics(kind: ProxyKind) -> Result<()> {
    let (_running, ports) = start(
        kind,
        "location / { secure_callbacks video; proxy_pass http://app; }
         location = /metrics { secure_callbacks_metrics; }",
    )?;
    // Enough to have gone through both workers.
    for _ in 0..10 {
        wait(send::send(ports, &Callback::new().message))?;
        wait(send::send(ports, &Callback::forged().message))?;
    }
    let mut ask = Message::post("/metrics", b"", None).framed(Framing::None);
    ask.method = "GET".into();
    let metrics = wait(send::send(ports, &ask))?.text();
    for line in [
        "secure_callbacks_requests_total{policy=\"video\",result=\"accepted\"} 10",
        "secure_callbacks_requests_total{policy=\"video\",result=\"payload_hash_mismatch\"} 10",
        "secure_callbacks_replay_entries{policy=\"video\"} 10",
    ] {
        ensure!(metrics.lines().any(|other| other == line), "no {line:?} in:\n{metrics}");
    }
    Ok(())
}

const PROTECTED: &str = "location / { secure_callbacks video; proxy_pass http://app; }";

fn reload(kind: ProxyKind) -> Result<()> {
    let (running, ports) = start(kind, PROTECTED)?;
    let callback = Callback::new();
    accepted(&running.upstream, &callback, &wait(send::send(ports, &callback.message))?, 1)?;
    let before = running.proxy.workers();
    running.proxy.reload()?;
    new_workers(&running, &before)?;
    replayed(&running, ports, &callback)
}

fn killed_worker(kind: ProxyKind) -> Result<()> {
    let (running, ports) = start(kind, PROTECTED)?;
    let callback = Callback::new();
    accepted(&running.upstream, &callback, &wait(send::send(ports, &callback.message))?, 1)?;
    let before = running.proxy.workers();
    for worker in &before {
        running.proxy.kill_worker(*worker)?;
    }
    new_workers(&running, &before)?;
    replayed(&running, ports, &callback)
}

/// Waits until two workers run that are none of `before`.
fn new_workers(running: &Running, before: &[i32]) -> Result<()> {
    for _ in 0..200 {
        std::thread::sleep(Duration::from_millis(25));
        let now = running.proxy.workers();
        if now.len() == 2 && now.iter().all(|worker| !before.contains(worker)) {
            return Ok(());
        }
    }
    anyhow::bail!("no new workers: {before:?}, {:?}", running.proxy.workers())
}

fn replayed(running: &Running, ports: Ports, callback: &Callback) -> Result<()> {
    let again = wait(send::send(ports, &callback.message))?;
    ensure!(again.code().as_deref() == Some("replayed"), "{} {}", again.status, again.text());
    ensure!(running.upstream.deliveries(&callback.id) == 1, "delivered twice");
    let next = Callback::new();
    accepted(&running.upstream, &next, &wait(send::send(ports, &next.message))?, 1)
}
