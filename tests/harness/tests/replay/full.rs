//! A store without room.
use crate::site::{Plan, Site, policy};
use crate::stage::{Machine, Stage, Tests, share, sleep};
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::clock::now;
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_harness::upstream::Answer;
use serde_json::json;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn add(_: &Arc<Stage>, tests: &mut Tests<'_>) {
    tests.shared("a_full_store_refuses_and_forgets_nothing", small);
    tests.shared("a_full_store_of_many_windows_refuses_and_forgets_nothing", large);
    tests.sleeping("what_has_expired_makes_room", expired);
}

fn small(kind: ProxyKind) -> Result<()> {
    fill(kind, 5, 5..=5)
}

/// Above 128 a window may be full before the whole is. Nginx counts, and takes no more than the capacity; Envoy takes
/// what the windows hold, which is 2.5 times the capacity at most.
fn large(kind: ProxyKind) -> Result<()> {
    fill(kind, 300, 290..=if kind.is_nginx() { 300 } else { 750 })
}

/// The reply of a full store, and nothing of the callback behind the proxy.
fn is_full(site: &Site, callback: &Callback) -> Result<()> {
    let reply = site.send(callback)?;
    reply.is(503, "replay_store_full")?;
    let retry_after = reply.headers.text("retry-after");
    ensure!(retry_after.as_deref() == Some("5"), "Retry-After: {retry_after:?}");
    site.untouched(callback)
}

/// Fills a store of `capacity`, which must take as many as `due` says.
fn fill(kind: ProxyKind, capacity: usize, due: RangeInclusive<usize>) -> Result<()> {
    let site = Site::start(kind, Plan::of(policy(json!({ "replay_capacity": capacity }))))?;
    let mut taken = Vec::new();
    let refused = loop {
        let callback = Callback::new();
        if site.send(&callback)?.status != 200 {
            break callback;
        }
        taken.push(callback);
        ensure!(taken.len() <= *due.end(), "more than {} were taken for a capacity of {capacity}", due.end());
        if taken.len() == capacity / 2 {
            // It can be seen coming.
            site.entries_become(0, capacity as u64 / 2)?;
        }
    };
    ensure!(due.contains(&taken.len()), "only {} of {capacity} were taken", taken.len());
    is_full(&site, &refused)?;
    site.entries_become(0, taken.len() as u64)?;
    for callback in &taken {
        // A replay is known as one in a full store too.
        site.refuses(callback)?;
    }
    is_full(&site, &refused)
}

/// Room comes back when a callback is released, and when one has expired.
fn expired(kind: ProxyKind) -> Result<()> {
    let machine = share();
    let more = json!({ "replay_capacity": 2, "max_age": "3s", "leeway": "1s" });
    let site = Site::start(kind, Plan::of(policy(more)))?;
    let (kept, failing, late) = (Callback::new(), Callback::new(), Callback::new());
    site.upstream.script(&failing.id, [Answer::status(500), Answer::status(200)]);
    site.accepts(&kept, 1)?;
    ensure!(site.send(&failing)?.status == 500, "the application's answer did not come through");
    site.accepts(&late, 1).context("into the room of the released one")?;
    is_full(&site, &Callback::new())?;
    // The memory's length, and what the documentation allows for a place to be counted as free again.
    sleep(machine, Duration::from_secs(8));
    let next = Callback::signed("/callbacks/", |token| token.claim("iat", now()));
    site.accepts(&next, 1).context("into the room of an expired one")?;
    // What was forgotten is too old to be accepted.
    let reply = site.send(&kept)?;
    reply.is(401, "token_expired")?;
    Ok(())
}
