//! What only Envoy has: its own settings around the filter.
use crate::common::{Stage, policy};
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::proxy::envoy;
use secure_callbacks_harness::running::{Envoy, Running};
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send;
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_support::{Framing, merged};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

pub(crate) fn add(stage: &Arc<Stage>, tests: &mut Tests<'_>) {
    if tests.kind == ProxyKind::Envoy {
        tests.add("without_the_stop_iteration_flag_nothing_is_forwarded", without_the_flag);
        tests.add("with_the_stop_iteration_flag_nothing_is_said_of_it", with_the_flag);
    }
    tests.add("two_policies_share_a_sandbox_and_not_their_memory", two_policies);
    tests.add("large_bodies_are_told_apart_by_every_bit", large_bodies);
    stage.test("metrics_count_by_policy_and_result", tests, metrics);
}

/// The flag can't be read by the filter. Left out, callbacks fail, good ones too, but none slips through.
fn without_the_flag() -> Result<()> {
    let mut filter = envoy::filter(&policy(), envoy::Form::Struct, &[]);
    filter["typed_config"]["config"]["allow_on_headers_stop_iteration"] = json!(false);
    let settings = json!({ "stream_idle_timeout": "1s" });
    let running = Envoy { settings, ..Envoy::new([filter])? }.start()?;
    for framing in [Framing::Length, Framing::ChunkedTrailers, Framing::H2Trailers] {
        for callback in [Callback::new(), Callback::forged()].map(|callback| callback.framed(framing)) {
            if let Ok(reply) = running.send(&callback) {
                ensure!(reply.status >= 400, "{framing:?}: status {}", reply.status);
            }
            running.untouched(&callback)?;
        }
    }
    // Each worker says it once.
    let said = running.proxy.log().matches("is allow_on_headers_stop_iteration set").count();
    ensure!((1..=2).contains(&said), "said {said} times:\n{}", running.proxy.log());
    Ok(())
}

/// With the flag no request gives the warning: neither one that is taken or refused, nor a head whose body never comes.
fn with_the_flag() -> Result<()> {
    let filter = envoy::filter(&policy(), envoy::Form::Struct, &[]);
    let settings = json!({ "stream_idle_timeout": "1s" });
    let running = Envoy { settings, ..Envoy::new([filter])? }.start()?;
    for framing in [Framing::Length, Framing::ChunkedTrailers, Framing::H2Trailers] {
        let mut unsigned = Callback::new();
        unsigned.message.headers.clear();
        for callback in [Callback::new(), Callback::forged(), unsigned].map(|callback| callback.framed(framing)) {
            running.send(&callback)?;
        }
    }
    let token = Callback::new().token.sign();
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\ncontent-length: 5\r\n\r\n");
    let mut client = TcpStream::connect(running.ports[0].http1)?;
    client.write_all(head.as_bytes())?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    let log = running.proxy.log();
    ensure!(!log.contains("allow_on_headers_stop_iteration"), "{log}");
    Ok(())
}

/// The same token is good once for each policy: what is remembered belongs to the policy.
fn two_policies() -> Result<()> {
    let filters = ["first", "second"]
        .map(|name| envoy::filter(&merged(policy(), &json!({ "name": name })), envoy::Form::Struct, &[]));
    let running = Envoy::new(filters)?.start()?;
    let callback = Callback::new();
    for (index, port) in running.ports.iter().enumerate() {
        let reply = wait(send::send(*port, &callback.message))?;
        running.accepted(&callback, &reply, index + 1)?;
    }
    for port in &running.ports {
        wait(send::send(*port, &callback.message))?.is(401, "replayed")?;
    }
    Ok(())
}

/// Bodies that come in many pieces, each known from one that differs by a bit.
fn large_bodies() -> Result<()> {
    let filter = envoy::filter(&policy(), envoy::Form::Struct, &[]);
    let running = Envoy::new([filter])?.start()?;
    for size in [16 * 1024, 64 * 1024, 300_000, 1024 * 1024] {
        let body: Vec<u8> = (0..size).map(|at: usize| b'a' + u8::try_from(at % 26).unwrap()).collect();
        for framing in [Framing::Length, Framing::Chunked, Framing::ChunkedTrailers, Framing::H2] {
            for changed in [None, Some(0), Some(size / 2), Some(size - 1)] {
                let mut callback = Callback::with_body(&body).framed(framing);
                if let Some(at) = changed {
                    let mut other = body.clone();
                    other[at] ^= 1;
                    callback.message.chunks = vec![other];
                }
                let reply = running.send(&callback)?;
                let verdict = match changed {
                    None => running.accepted(&callback, &reply, 1),
                    Some(_) => running.refused(&callback, &reply, "payload_hash_mismatch"),
                };
                verdict.with_context(|| format!("{size} bytes, {framing:?}, changed at {changed:?}"))?;
            }
        }
    }
    Ok(())
}

fn metrics(running: &Running) -> Result<()> {
    let callback = Callback::new();
    running.accepts(&callback, 1)?;
    let admin = running.proxy.admin().context("an admin port")?;
    let stats = wait(send::get(admin, "/stats/prometheus"))?;
    let line = stats.lines().find(|line| line.starts_with("secure_callbacks_requests_total{"));
    let labelled = stats.lines().any(|line| {
        line.starts_with("secure_callbacks_requests_total{")
            && line.contains("policy=\"plain\"")
            && line.contains("result=\"accepted\"")
    });
    ensure!(labelled, "no such line; the first of that name: {line:?}");
    Ok(())
}
