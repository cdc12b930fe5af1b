//! What counts as the same callback, and where.
use crate::site::{OTHER_API_KEY, OTHER_SECRET, Plan, Site, policy};
use crate::stage::{Machine, Stage, Tests};
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::clock::now;
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send;
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_harness::upstream::{Answer, Delivery};
use secure_callbacks_support::{Framing, Token};
use serde_json::json;
use std::sync::Arc;

pub(crate) fn add(stage: &Arc<Stage>, tests: &mut Tests<'_>) {
    stage.test("a_replay_is_refused_in_every_framing", tests, every_framing);
    stage.test("another_jti_with_the_same_body_is_another_callback", tests, other_jti);
    stage.test("another_account_with_the_same_jti_is_another_callback", tests, other_account);
    stage.test("another_body_with_the_same_jti_is_the_same_callback", tests, same_jti);
    stage.test("a_forgery_does_not_use_the_token_up", tests, forgery_first);
    tests.shared("replay_off_lets_a_token_through_twice", off);
    tests.shared("two_policies_remember_apart", two_policies);
    tests.shared("a_killed_proxy_has_forgotten_all_and_loses_nothing", killed);
    tests.shared("report_mode_lets_replays_through_and_names_them", report);
}

/// Whatever carried it first.
fn every_framing(site: &Site) -> Result<()> {
    let mut framings =
        vec![Framing::Length, Framing::Chunked, Framing::ChunkedTrailers, Framing::H2, Framing::H2NoLength];
    if !site.kind.is_nginx() {
        // Nginx itself knows no trailers in HTTP/2 and ends the connection at them.
        framings.push(Framing::H2Trailers);
    }
    for first in &framings {
        let callback = Callback::new();
        site.accepts(&callback.framed(*first), 1).with_context(|| format!("first, {first:?}"))?;
        for again in &framings {
            site.refuses(&callback.framed(*again)).with_context(|| format!("{again:?} after {first:?}"))?;
        }
    }
    Ok(())
}

fn other_jti(site: &Site) -> Result<()> {
    for _ in 0..3 {
        let callback = Callback::new();
        site.accepts(&callback, 1)?;
        site.refuses(&callback)?;
    }
    Ok(())
}

fn other_account(site: &Site) -> Result<()> {
    let first = Callback::new();
    let jti = first.jti().to_owned();
    let second = Callback::signed("/callbacks/", |token| {
        token.claim("jti", jti).claim("api_key", OTHER_API_KEY).secret(OTHER_SECRET)
    });
    site.accepts(&first, 1)?;
    site.accepts(&second, 1)?;
    site.refuses(&first)?;
    site.refuses(&second)
}

/// One `jti` is one callback, also if its token is signed anew for another body.
fn same_jti(site: &Site) -> Result<()> {
    let first = Callback::new();
    let second = Callback::made("/callbacks/", b"{}", |token| token.claim("jti", first.jti()).claim("iat", now() - 5));
    site.accepts(&first, 1)?;
    site.refuses(&second)
}

/// Only authentic callbacks are remembered: nobody can use up a token by sending it with another body, or a `jti` by
/// guessing it.
fn forgery_first(site: &Site) -> Result<()> {
    let callback = Callback::new();
    let body = callback.clone().with_other_body(b"{\"forged\":true}");
    let signature = Callback::signed("/callbacks/", |token| {
        token.claim("jti", callback.jti()).secret("a-secret-that-is-none-of-theirs")
    });
    for (forged, due) in [(body, "payload_hash_mismatch"), (signature, "signature_invalid")] {
        let reply = site.send(&forged)?;
        reply.is(401, due)?;
    }
    site.accepts(&callback, 1)
}

fn off(kind: ProxyKind) -> Result<()> {
    let site = Site::start(kind, Plan::of(policy(json!({ "replay": "off" }))))?;
    let callbacks = [Callback::new(), Callback::signed("/callbacks/", |token: Token| token.without("jti"))];
    for callback in callbacks {
        for times in 1..=3 {
            site.accepts(&callback, times)?;
        }
    }
    ensure!(site.entries(0)?.unwrap_or(0) == 0, "something is remembered");
    Ok(())
}

fn two_policies(kind: ProxyKind) -> Result<()> {
    // Small, so that Envoy counts it at once and not a part a second.
    let small = || policy(json!({ "replay_capacity": 1000 }));
    let site = Site::start(kind, Plan { policies: vec![small(), small()], ..Plan::of(json!({})) })?;
    let callback = Callback::new();
    for times in 1..=2 {
        let reply = wait(send::send(site.ports[times - 1], &callback.message))?;
        site.accepted(&callback, &reply, times)?;
    }
    for index in 0..2 {
        let reply = wait(send::send(site.ports[index], &callback.message))?;
        reply.is(401, "replayed")?;
        site.entries_become(index, 1)?;
    }
    Ok(())
}

/// What it had under way can be sent again at once, and what was taken once more, as the page says; a forgery can't.
fn killed(kind: ProxyKind) -> Result<()> {
    let plan = || Plan::of(policy(json!({})));
    let site = Site::start(kind, plan())?;
    let (taken, lost) = (Callback::new(), Callback::new());
    site.accepts(&taken, 1)?;
    site.refuses(&taken)?;
    site.upstream.script(&lost.id, [Answer::status(200).sent(Delivery::Never), Answer::status(200)]);
    let connection = site.begin(&lost)?;
    let site = site.killed_and_started_anew(plan())?;
    drop(connection);
    for callback in [&lost, &taken] {
        site.send(&callback.clone().with_other_body(b"{\"forged\":true}"))?.is(401, "payload_hash_mismatch")?;
        site.accepts(callback, 2)?;
        site.refuses(callback)?;
    }
    Ok(())
}

fn report(kind: ProxyKind) -> Result<()> {
    let site = Site::start(kind, Plan::of(policy(json!({ "mode": "report", "replay_capacity": 2 }))))?;
    let verdict = |callback: &Callback, times: usize| -> Result<String> {
        let reply = site.send(callback)?;
        ensure!(reply.status == 200, "status {}: {}", reply.status, reply.text());
        let requests = site.upstream.requests(&callback.id);
        ensure!(requests.len() == times, "{} deliveries instead of {times}", requests.len());
        Ok(requests[times - 1].headers.text("x-callback-verified").unwrap_or_default())
    };
    let (first, failing, third) = (Callback::new(), Callback::new(), Callback::new());
    let mut found = vec![verdict(&first, 1)?, verdict(&first, 2)?];
    // A replay that the application fails does not make the first delivery forgotten.
    site.upstream.script(&first.id, [Answer::status(500), Answer::status(200)]);
    ensure!(site.send(&first)?.status == 500, "the replay was held back");
    found.push(verdict(&first, 4)?);
    found.push(verdict(&failing, 1)?);
    found.push(verdict(&third, 1)?);
    ensure!(found == ["accepted", "replayed", "replayed", "accepted", "replay_store_full"], "{found:?}");
    Ok(())
}
