//! What only Envoy has: its own settings around the filter.
use crate::common::{Callback, POLICY, Running, Stage, Test, accepted, policy, refused, untouched};
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::proxy::{Directory, Ports, Proxy, envoy};
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::{self, Message};
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_harness::upstream::Upstream;
use secure_callbacks_support::Framing;
use serde_json::{Value, json};
use std::sync::Arc;

/// What most tests have Envoy log.
pub(crate) const LEVELS: &str = "wasm:warning";

pub(crate) fn add(stage: &Arc<Stage>, tests: &mut Vec<Test>) {
    if stage.kind == ProxyKind::Envoy {
        tests.push(("without_the_stop_iteration_flag_nothing_is_forwarded".into(), Box::new(without_the_flag)));
    }
    tests.push(("two_policies_share_a_sandbox_and_not_their_memory".into(), Box::new(two_policies)));
    tests.push(("large_bodies_are_told_apart_by_every_bit".into(), Box::new(large_bodies)));
    stage.test("metrics_count_by_policy_and_result", tests, metrics);
}

/// Starts an Envoy with one listener for each filter; `levels` as its argument has them.
pub(crate) fn start(filters: Vec<Value>, settings: &Value, levels: &str) -> Result<(Running, Vec<Ports>)> {
    tools::find(ProxyKind::Envoy)?;
    wait(async {
        let upstream = Upstream::start().await?;
        let (mut listeners, mut ports) = (Vec::new(), Vec::new());
        for filter in filters {
            let port = Ports::new(ProxyKind::Envoy)?;
            let mut listener = envoy::Listener::new(port.http1, upstream.address(), filter);
            listener.settings = settings.clone();
            listeners.push(listener);
            ports.push(port);
        }
        let proxy = Proxy::envoy_logging(Directory::new("envoy")?, &listeners, &Vec::new(), levels).await?;
        Ok((Running { proxy, upstream }, ports))
    })
}

/// The flag can't be read by the filter. Left out, callbacks fail, good ones too, but none slips through.
fn without_the_flag() -> Result<()> {
    let mut filter = envoy::filter(&policy(), envoy::Form::Struct, &[]);
    filter["typed_config"]["config"]["allow_on_headers_stop_iteration"] = json!(false);
    let (running, ports) = start(vec![filter], &json!({ "stream_idle_timeout": "1s" }), LEVELS)?;
    for framing in [Framing::Length, Framing::ChunkedTrailers, Framing::H2Trailers] {
        for mut callback in [Callback::new(), Callback::forged()] {
            callback.message = callback.message.framed(framing);
            if let Ok(reply) = wait(send::send(ports[0], &callback.message)) {
                ensure!(reply.status >= 400, "{framing:?}: status {}", reply.status);
            }
            untouched(&running.upstream, &callback)?;
        }
    }
    Ok(())
}

/// The same token is good once for each policy: what is remembered belongs to the policy.
fn two_policies() -> Result<()> {
    let filters = ["first", "second"].map(|name| {
        let mut policy = policy();
        policy["name"] = json!(name);
        envoy::filter(&policy, envoy::Form::Struct, &[])
    });
    let (running, ports) = start(filters.into(), &json!({}), LEVELS)?;
    let callback = Callback::new();
    for (index, port) in ports.iter().enumerate() {
        let reply = wait(send::send(*port, &callback.message))?;
        accepted(&running.upstream, &callback, &reply, index + 1)?;
    }
    for port in ports {
        let reply = wait(send::send(port, &callback.message))?;
        ensure!(reply.code().as_deref() == Some("replayed"), "{} {}", reply.status, reply.text());
    }
    Ok(())
}

/// Bodies that come in many pieces, each known from one that differs by a bit.
fn large_bodies() -> Result<()> {
    let filter = envoy::filter(&policy(), envoy::Form::Struct, &[]);
    let (running, ports) = start(vec![filter], &json!({}), LEVELS)?;
    for size in [16 * 1024, 64 * 1024, 300_000, 1024 * 1024] {
        let body: Vec<u8> = (0..size).map(|at: usize| b'a' + u8::try_from(at % 26).unwrap()).collect();
        for framing in [Framing::Length, Framing::Chunked, Framing::ChunkedTrailers, Framing::H2] {
            for changed in [None, Some(0), Some(size / 2), Some(size - 1)] {
                let mut callback = Callback::with_body(&body);
                callback.message = callback.message.framed(framing);
                if let Some(at) = changed {
                    let mut other = body.clone();
                    other[at] ^= 1;
                    callback.message.chunks = vec![other];
                }
                let reply = wait(send::send(ports[0], &callback.message))?;
                let verdict = match changed {
                    None => accepted(&running.upstream, &callback, &reply, 1),
                    Some(_) => refused(&running.upstream, &callback, &reply, "payload_hash_mismatch"),
                };
                verdict.with_context(|| format!("{size} bytes, {framing:?}, changed at {changed:?}"))?;
            }
        }
    }
    Ok(())
}

fn metrics(running: &Running) -> Result<()> {
    let callback = Callback::new();
    accepted(&running.upstream, &callback, &wait(send::send(running.proxy.ports(POLICY), &callback.message))?, 1)?;
    let admin = running.proxy.admin().context("an admin port")?;
    let mut ask = Message::post("/stats/prometheus", b"", None).framed(Framing::None);
    ask.method = "GET".into();
    let stats = wait(send::send_to(admin, &ask))?.text();
    let line = stats.lines().find(|line| line.starts_with("secure_callbacks_requests_total{"));
    let labelled = stats.lines().any(|line| {
        line.starts_with("secure_callbacks_requests_total{")
            && line.contains("policy=\"plain\"")
            && line.contains("result=\"accepted\"")
    });
    ensure!(labelled, "no such line; the first of that name: {line:?}");
    Ok(())
}
