//! Requests that have no end: an upgrade is judged at its head, as a request with an empty body.
use crate::common::policy;
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::proxy::envoy;
use secure_callbacks_harness::running::{Envoy, Running};
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::{Message, http1};
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::upstream::Answer;
use secure_callbacks_support::{Framing, merged};
use serde_json::json;
use std::time::Duration;

pub(crate) fn add(tests: &mut Tests<'_>) {
    tests.add("an_upgrade_has_a_verdict_at_once", at_once);
    tests.add("a_header_that_asks_for_an_upgrade_refuses_nothing", header_alone);
}

/// Far less than `stream_idle_timeout`.
const AT_ONCE: Duration = Duration::from_secs(3);

fn upgrading(callback: &Callback) -> Message {
    let message = callback.message.clone().framed(Framing::None);
    Message { method: "GET".into(), chunks: Vec::new(), ..message }
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Sec-WebSocket-Version", "13")
}

fn at_once() -> Result<()> {
    let reporting = merged(policy(), &json!({ "mode": "report", "name": "reporting" }));
    let filters = [policy(), reporting].map(|policy| envoy::filter(&policy, envoy::Form::Struct, &[]));
    let settings = json!({ "upgrade_configs": [{ "upgrade_type": "websocket" }] });
    let running = Envoy { settings, ..Envoy::new(filters)? }.start()?;
    let send = |running: &Running, port: usize, callback: &Callback, status: u16| {
        running.upstream.script(&callback.id, [Answer { body: Vec::new(), ..Answer::status(status) }]);
        let exchange = async {
            let mut connection = http1::Connection::open(running.ports[port].http1).await?;
            connection.write(&http1::writes(&upgrading(callback)).concat()).await?;
            let (mut reader, _writer) = connection.split();
            reader.any_reply().await
        };
        let reply = wait(async { tokio::time::timeout(AT_ONCE, exchange).await.context("held")? });
        reply.with_context(|| running.log_end())
    };
    // Of an empty body, and of one that an upgrade does not have.
    let (good, forged) = (Callback::with_body(b""), Callback::new());
    let reply = send(&running, 0, &good, 101)?;
    ensure!(reply.status == 101, "{} {}", reply.status, reply.text());
    ensure!(running.upstream.deliveries(&good.id) == 1, "not delivered");
    let again = send(&running, 0, &good, 101)?;
    ensure!(again.code().as_deref() == Some("replayed"), "101 is final: {} {}", again.status, again.text());
    // An application that does not change the protocol has answered, too.
    let declined = Callback::with_body(b"");
    let answered = send(&running, 0, &declined, 200)?;
    ensure!(answered.status == 200, "{} {}", answered.status, answered.text());
    let again = send(&running, 0, &declined, 200)?;
    ensure!(again.code().as_deref() == Some("replayed"), "after 200: {} {}", again.status, again.text());
    running.refused(&forged, &send(&running, 0, &forged, 101)?, "payload_hash_mismatch")?;
    for callback in [Callback::with_body(b""), Callback::new()] {
        let reply = send(&running, 1, &callback, 101)?;
        ensure!(reply.status == 101, "in report mode: {} {}", reply.status, reply.text());
    }
    Ok(())
}

/// Java's client asks for HTTP/2 so with every POST; Envoy takes the header out where no upgrade is configured.
fn header_alone() -> Result<()> {
    for settings in [json!({}), json!({ "upgrade_configs": [{ "upgrade_type": "websocket" }] })] {
        let filter = envoy::filter(&policy(), envoy::Form::Struct, &[]);
        let envoy = Envoy { settings: settings.clone(), ..Envoy::new([filter])? };
        let running = envoy.start()?;
        let callback = Callback::new().header("Connection", "Upgrade, HTTP2-Settings").header("Upgrade", "h2c");
        let exchange = http1::send(running.ports[0].http1, &callback.message);
        let reply = wait(async { tokio::time::timeout(AT_ONCE, exchange).await.context("held")? })?;
        running.accepted(&callback, &reply, 1).with_context(|| settings.to_string())?;
    }
    Ok(())
}
