//! What becomes of a token once its callback is delivered, or could not be.
use crate::common::{Callback, POLICY, Running, Stage, Test, accepted, refused};
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::{PATIENCE, http1};
use secure_callbacks_harness::upstream::{Answer, Delivery, Gate};
use secure_callbacks_support::Framing;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn add(stage: &Arc<Stage>, tests: &mut Vec<Test>) {
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
    let address = running.proxy.ports(POLICY).http1;
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
    let address = running.proxy.ports(POLICY).http1;
    for due in [500, 503] {
        let reply = wait(http1::send(address, &callback.message))?;
        ensure!(reply.status == due, "status {} instead of the application's {due}: {}", reply.status, reply.text());
    }
    accepted(&running.upstream, &callback, &wait(http1::send(address, &callback.message))?, 3)?;
    let again = wait(http1::send(address, &callback.message))?;
    ensure!(again.code().as_deref() == Some("replayed"), "{} {}", again.status, again.text());
    Ok(())
}

fn reset_then_again(running: &Running) -> Result<()> {
    let callback = Callback::new();
    running.upstream.script(&callback.id, [Answer::status(200).sent(Delivery::ResetBefore), Answer::status(200)]);
    let address = running.proxy.ports(POLICY).http1;
    let first = wait(http1::send(address, &callback.message))?;
    ensure!(matches!(first.status, 502 | 503), "status {}", first.status);
    accepted(&running.upstream, &callback, &wait(http1::send(address, &callback.message))?, 2)?;
    let again = wait(http1::send(address, &callback.message))?;
    ensure!(again.code().as_deref() == Some("replayed"), "{} {}", again.status, again.text());
    Ok(())
}

/// Below 500 the application took it, whatever it thinks of it.
fn answered_404(running: &Running) -> Result<()> {
    let callback = Callback::new();
    running.upstream.script(&callback.id, [Answer::status(404)]);
    let address = running.proxy.ports(POLICY).http1;
    let first = wait(http1::send(address, &callback.message))?;
    ensure!(first.status == 404, "status {}", first.status);
    let again = wait(http1::send(address, &callback.message))?;
    ensure!(again.code().as_deref() == Some("replayed"), "{} {}", again.status, again.text());
    ensure!(running.upstream.deliveries(&callback.id) == 1, "delivered twice");
    Ok(())
}

/// The fields after path and status: result, api_key, application_id, jti.
fn access_log(running: &Running) -> Result<()> {
    let ports = running.proxy.ports(POLICY);
    let (good, bad, mut none) = (Callback::new(), Callback::forged(), Callback::new());
    none.message.headers.retain(|(name, _)| name != b"Authorization");
    none.message = none.message.framed(Framing::Chunked);
    for callback in [&good, &bad, &none] {
        wait(http1::send(ports.http1, &callback.message))?;
    }
    let identity = |callback: &Callback| {
        let jti = callback.token.jti().unwrap_or_default().to_owned();
        format!("a1b2c3d {} {jti}", secure_callbacks_support::token::APPLICATION_ID)
    };
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
    let reply = wait(http1::send(running.proxy.ports(POLICY).http1, &callback.message))?;
    refused(&running.upstream, &callback, &reply, "payload_hash_mismatch")?;
    let jti = callback.token.jti().unwrap_or_default().to_owned();
    let lines = wait(async {
        for _ in 0..100 {
            let log = running.proxy.log();
            let lines: Vec<_> = log.lines().filter(|line| line.contains(&jti)).map(str::to_owned).collect();
            if !lines.is_empty() {
                return lines;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Vec::new()
    });
    ensure!(lines.len() == 1, "{} lines about it: {lines:?}", lines.len());
    for part in [POLICY, "payload_hash_mismatch", "a1b2c3d", "127.0.0.1", "warn"] {
        ensure!(lines[0].contains(part), "no {part:?} in {:?}", lines[0]);
    }
    ensure!(!lines[0].contains("forged"), "the body is in {:?}", lines[0]);
    Ok(())
}
