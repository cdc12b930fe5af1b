//! What the proxies do around the check, as `docs/operations.md` tells it.
use crate::common::{POLICY, Stage, policy};
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::proxy::envoy;
use secure_callbacks_harness::running::{Envoy, Nginx, Running};
use secure_callbacks_harness::send::http1;
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_support::nginx_block;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn add(stage: &Arc<Stage>, tests: &mut Tests<'_>) {
    let kind = stage.kind;
    if kind.is_nginx() {
        tests.add("limit_req_by_the_api_key_never_limits", move || limit_req(kind));
        tests.add("a_coarse_clock_misjudges_ages", move || timer_resolution(kind));
    } else {
        stage.test("a_refusal_of_grpc_is_a_200_and_nothing_is_forwarded", tests, grpc);
        tests.add("who_waits_for_100_gets_it_from_envoy_alone", expect_continue);
    }
}

/// An nginx under `policy`; `zones` stands in its `http` and `location` in its location.
fn start_nginx(kind: ProxyKind, policy: &Value, main: &str, zones: &str, location: &str) -> Result<Running> {
    let http = zones.to_owned() + &nginx_block(POLICY, policy);
    let server = format!("location / {{ secure_callbacks {POLICY}; {location} proxy_pass http://app; }}");
    Nginx { instead: Some(["worker_processes 2;", main]), ..Nginx::new(kind, http, server)? }.start()
}

/// It runs before the check, when the variable is empty, and an empty key is not counted.
fn limit_req(kind: ProxyKind) -> Result<()> {
    for (key, due) in [("$secure_callbacks_api_key", [200, 200, 200]), ("$binary_remote_addr", [200, 503, 503])] {
        let zones = format!("    limit_req_zone {key} zone=callbacks:1m rate=1r/m;\n");
        let running = start_nginx(kind, &policy(), "worker_processes 2;", &zones, "limit_req zone=callbacks;")?;
        for due in due {
            let status = running.send(&Callback::new())?.status;
            ensure!(status == due, "{key}: {status} instead of {due}");
        }
    }
    Ok(())
}

/// Nginx's clock stands still, and a token's age is read from it.
fn timer_resolution(kind: ProxyKind) -> Result<()> {
    let mut short = policy();
    short["max_age"] = json!("2s");
    short["leeway"] = json!("1s");
    for (main, coarse) in [("worker_processes 1;", false), ("worker_processes 1; timer_resolution 30s;", true)] {
        let running = start_nginx(kind, &short, main, "", "")?;
        let early = Callback::new();
        std::thread::sleep(Duration::from_secs(4));
        let late = Callback::new();
        let old = running.send(&early)?;
        let new = running.send(&late)?;
        let found = [&old, &new].map(|reply| reply.code().unwrap_or_else(|| reply.status.to_string()));
        let due = if coarse { ["200", "token_not_yet_valid"] } else { ["token_expired", "200"] };
        ensure!(found == due, "{main} {found:?}");
    }
    Ok(())
}

/// Envoy turns every reply of its own to gRPC into a 200 with a status of gRPC's.
fn grpc(running: &Running) -> Result<()> {
    let large = vec![b'x'; 1024 * 1024 + 1];
    for (mut callback, status) in [(Callback::forged(), "16"), (Callback::with_body(&large), "2")] {
        callback.message = callback.message.without("content-type").header("content-type", "application/grpc");
        let reply = running.send(&callback)?;
        let told = reply.headers.text("grpc-status");
        // A module can't say what becomes of the status in gRPC: Envoy says `OK`.
        let status = if running.proxy.kind == ProxyKind::EnvoyModule { "0" } else { status };
        ensure!((reply.status, told.as_deref()) == (200, Some(status)), "{} {told:?}", reply.status);
        running.untouched(&callback)?;
    }
    Ok(())
}

/// Envoy answers 100 before the filter runs. With `proxy_100_continue` that is the application's to say, and the head does
/// not go there before the body has come.
fn expect_continue() -> Result<()> {
    for (asks_the_application, due) in [(false, true), (true, false)] {
        let settings = json!({ "proxy_100_continue": asks_the_application });
        let filter = envoy::filter(&policy(), envoy::Form::Struct, &[]);
        let running = Envoy { settings, ..Envoy::new([filter])? }.start()?;
        let head = http1::writes(&Callback::new().header("Expect", "100-continue").message).swap_remove(0);
        let mut stream = TcpStream::connect(running.ports[0].http1)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(&head)?;
        let mut answer = [0; 64];
        let came = stream.read(&mut answer).unwrap_or(0);
        let answer = answer.get(..came).context("what came")?;
        ensure!(answer.starts_with(b"HTTP/1.1 100 ") == due, "{:?}", String::from_utf8_lossy(answer));
        ensure!(due || came == 0, "another answer: {:?}", String::from_utf8_lossy(answer));
        drop(running);
    }
    Ok(())
}
