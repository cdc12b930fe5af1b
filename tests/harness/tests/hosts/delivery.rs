//! What becomes of a token once its callback is delivered, or could not be.
use crate::common::{POLICY, Stage};
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::clock::until;
use secure_callbacks_harness::running::Running;
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::{PATIENCE, http1};
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::upstream::{Answer, Delivery, Gate};
use secure_callbacks_support::Framing;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn add(stage: &Arc<Stage>, tests: &mut Tests<'_>) {
    stage.test("one_token_sent_at_once_is_accepted_once", tests, at_once);
    stage.test("a_failing_application_can_be_tried_again", tests, tried_again);
    stage.test("a_resetting_application_can_be_tried_again", tests, reset_then_again);
    stage.test("a_refusing_application_used_the_token_up", tests, answered_404);
    stage.test("the_access_log_names_the_verdict", tests, access_log);
    stage.test("a_refusal_is_one_line_in_the_log", tests, refusal_line);
}

/// Both workers get the same token at the same moment, on connections of their own.
fn at_once(running: &Running) -> Result<()> {
    const COPIES: usize = 40;
    let callback = Callback::new();
    // The application answers the one that it got when all others have their answers.
    let gate = Gate::default();
    running.upstream.script(&callback.id, [Answer::status(200).behind(&gate)]);
    let address = running.ports[0].http1;
    let copies = async {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..COPIES {
            let message = callback.message.clone();
            tasks.spawn(async move { http1::send(address, &message).await });
        }
        let mut outcomes = Vec::new();
        while let Some(reply) = tasks.join_next().await {
            let reply = reply??;
            outcomes.push(format!("{} {}", reply.status, reply.code().unwrap_or_default()));
            if outcomes.len() == COPIES - 1 {
                gate.open();
            }
        }
        anyhow::Ok(outcomes)
    };
    let outcomes = wait(async { tokio::time::timeout(PATIENCE, copies).await.context("no end of it")? })?;
    // Envoy's sandbox can't tell what is on its way from what was taken.
    let tells = running.proxy.kind.tells_what_is_on_its_way();
    let refusal = if tells { "503 replay_in_flight" } else { "401 replayed" };
    let (first, last) = outcomes.split_at(COPIES - 1);
    ensure!(first.iter().all(|outcome| outcome == refusal) && last == ["200 "], "{outcomes:?}");
    ensure!(running.upstream.deliveries(&callback.id) == 1, "delivered more than once");
    Ok(())
}

fn tried_again(running: &Running) -> Result<()> {
    let callback = Callback::new();
    running.upstream.script(&callback.id, [Answer::status(500), Answer::status(503), Answer::status(200)]);
    for due in [500, 503] {
        let reply = running.send(&callback)?;
        ensure!(reply.status == due, "status {} instead of the application's {due}: {}", reply.status, reply.text());
    }
    running.accepts(&callback, 3)?;
    running.knows(&callback)?;
    Ok(())
}

fn reset_then_again(running: &Running) -> Result<()> {
    let callback = Callback::new();
    running.upstream.script(&callback.id, [Answer::status(200).sent(Delivery::ResetBefore), Answer::status(200)]);
    let first = running.send(&callback)?;
    ensure!(matches!(first.status, 502 | 503), "status {}", first.status);
    running.accepts(&callback, 2)?;
    running.knows(&callback)?;
    Ok(())
}

/// Below 500 the application took it, whatever it thinks of it.
fn answered_404(running: &Running) -> Result<()> {
    let callback = Callback::new();
    running.upstream.script(&callback.id, [Answer::status(404)]);
    let first = running.send(&callback)?;
    ensure!(first.status == 404, "status {}", first.status);
    running.knows(&callback)?;
    ensure!(running.upstream.deliveries(&callback.id) == 1, "delivered twice");
    Ok(())
}

/// The fields after path and status: result, api_key, application_id, jti.
fn access_log(running: &Running) -> Result<()> {
    let (good, bad) = (Callback::new(), Callback::forged());
    let none = Callback::new().without_token().framed(Framing::Chunked);
    for callback in [&good, &bad, &none] {
        wait(http1::send(running.ports[0].http1, &callback.message))?;
    }
    let identity =
        |callback: &Callback| format!("a1b2c3d {} {}", secure_callbacks_support::token::APPLICATION_ID, callback.jti());
    for (callback, due) in [
        (&good, format!("200 accepted {}", identity(&good))),
        // The signature was good, so who sent it is known.
        (&bad, format!("401 payload_hash_mismatch {}", identity(&bad))),
        (&none, "401 token_missing - - -".to_owned()),
    ] {
        let line = wait(running.proxy.access_line(&callback.id)).unwrap_or_default();
        let fields = line.split_once(' ').map_or("", |(_, fields)| fields).trim();
        ensure!(fields == due, "{fields:?} instead of {due:?}");
    }
    Ok(())
}

fn refusal_line(running: &Running) -> Result<()> {
    let callback = Callback::forged();
    running.refuses_with(&callback, "payload_hash_mismatch")?;
    let lines = until(Duration::from_secs(2), || {
        let log = running.proxy.log();
        let lines: Vec<_> = log.lines().filter(|line| line.contains(callback.jti())).map(str::to_owned).collect();
        Ok((!lines.is_empty()).then_some(lines))
    })?;
    let lines = lines.context("no line about it")?;
    ensure!(lines.len() == 1, "{} lines about it: {lines:?}", lines.len());
    for part in [POLICY, "payload_hash_mismatch", "a1b2c3d", "127.0.0.1", "warn"] {
        ensure!(lines[0].contains(part), "no {part:?} in {:?}", lines[0]);
    }
    ensure!(!lines[0].contains("forged"), "the body is in {:?}", lines[0]);
    Ok(())
}
