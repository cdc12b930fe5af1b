//! Changes of the configuration while the proxy runs: `nginx -s reload`, and Envoy's discovery of filters.
use crate::site::{Plan, Site, policy};
use crate::stage::{Machine, Stage, Tests};
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_harness::upstream::Answer;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn add(_: &Arc<Stage>, tests: &mut Tests<'_>) {
    tests.shared("the_same_capacity_again_forgets_nothing", |kind| change(kind, &[1000, 1000]));
    tests.shared("a_larger_capacity_forgets_nothing", |kind| change(kind, &[1000, 5000, 70_000]));
    tests.shared("a_smaller_capacity_forgets_nothing", |kind| change(kind, &[5000, 1000, 100]));
    tests.shared("a_capacity_that_comes_back_forgets_nothing", |kind| change(kind, &[100, 5000, 100, 5000]));
    tests.shared("a_capacity_too_small_forgets_nothing", too_small);
    tests.shared("a_policy_that_asks_again_forgets_nothing", asks_again);
    tests.shared("other_fields_can_change_without_forgetting", other_fields);
    tests.shared("a_callback_on_its_way_stays_reserved", |kind| on_its_way(kind, 1000));
    tests.shared("a_callback_on_its_way_stays_reserved_in_another_capacity", |kind| on_its_way(kind, 5000));
    tests.shared("a_wrong_configuration_changes_nothing", wrong);
}

fn capacity(capacity: usize) -> Value {
    policy(json!({ "replay_capacity": capacity }))
}

/// Goes through the capacities; with each, what was accepted with any of those before stays refused.
fn change(kind: ProxyKind, capacities: &[usize]) -> Result<()> {
    let site = Site::start(kind, Plan::of(capacity(capacities[0])))?;
    let mut taken: Vec<Callback> = Vec::new();
    for (step, now) in capacities.iter().enumerate() {
        if step > 0 {
            let mut next = capacity(*now);
            // Envoy does not even reload what is the same to the byte.
            next["realm"] = json!(format!("step-{step}"));
            site.reconfigure(&[next])?;
        }
        for callback in &taken {
            site.refuses(callback).with_context(|| format!("with {now} as step {step} of {capacities:?}"))?;
        }
        for _ in 0..20 {
            let callback = Callback::new();
            site.accepts(&callback, 1)?;
            // Whichever worker or table has it.
            site.refuses(&callback)?;
            taken.push(callback);
        }
        // A released one can come again, whatever tables there are.
        let failing = Callback::new();
        site.upstream.script(&failing.id, [Answer::status(500), Answer::status(200)]);
        ensure!(site.send(&failing)?.status == 500, "the application's answer did not come through");
        site.accepts(&failing, 2)?;
        taken.push(failing);
    }
    Ok(())
}

/// Nginx keeps the configuration that remembers; Envoy remembers in the table before, and takes no more for now.
fn too_small(kind: ProxyKind) -> Result<()> {
    let site = Site::start(kind, Plan::of(capacity(100)))?;
    let taken: Vec<_> = (0..30).map(|_| Callback::new()).collect();
    for callback in &taken {
        site.accepts(callback, 1)?;
    }
    let was_taken = site.try_reconfigure(&[capacity(10)])?;
    ensure!(was_taken != kind.is_nginx(), "the configuration was taken: {was_taken}");
    for callback in &taken {
        site.refuses(callback)?;
    }
    if kind.is_nginx() {
        let log = site.proxy.log();
        let named = log.lines().any(|line| line.contains("[emerg]") && line.contains("replay_capacity"));
        ensure!(named, "the log does not name the field: {}", site.log_end());
        site.accepts(&Callback::new(), 1)?;
    }
    Ok(())
}

/// What was accepted before a time with `replay off` is remembered after it.
fn asks_again(kind: ProxyKind) -> Result<()> {
    let site = Site::start(kind, Plan::of(capacity(1000)))?;
    let callback = Callback::new();
    site.accepts(&callback, 1)?;
    site.reconfigure(&[policy(json!({ "replay": "off" }))])?;
    for next in [1000, 5000] {
        let before = site.proxy.workers();
        site.reconfigure(&[capacity(next)])?;
        if site.kind.is_nginx() {
            // The first time, those that do not ask.
            site.without(&before)?;
        }
        site.refuses(&callback)?;
    }
    Ok(())
}

fn other_fields(kind: ProxyKind) -> Result<()> {
    let site = Site::start(kind, Plan::of(capacity(1000)))?;
    let callback = Callback::new();
    site.accepts(&callback, 1)?;
    for more in [
        json!({ "max_age": "10m", "leeway": "1m" }),
        json!({ "mode": "enforce", "max_body_size": "4k", "realm": "hooks" }),
        json!({ "max_age": "4m" }),
    ] {
        let mut next = policy(more);
        next["replay_capacity"] = json!(1000);
        site.reconfigure(&[next])?;
        site.refuses(&callback)?;
    }
    Ok(())
}

/// The requests that were open at the change end under the configuration they began with.
fn on_its_way(kind: ProxyKind, next: usize) -> Result<()> {
    let delay = Duration::from_secs(3);
    let site = Site::start(kind, Plan::of(capacity(1000)))?;
    let (taken, failing) = (Callback::new(), Callback::new());
    site.upstream.script(&taken.id, [Answer::status(200).after(delay)]);
    site.upstream.script(&failing.id, [Answer::status(500).after(delay), Answer::status(200)]);
    let mut connections = [site.begin(&taken)?, site.begin(&failing)?];
    site.reconfigure(&[policy(json!({ "replay_capacity": next, "realm": "hooks" }))])?;
    site.is_on_its_way(&taken)?;
    site.is_on_its_way(&failing)?;
    for (connection, due) in connections.iter_mut().zip([200, 500]) {
        let reply = wait(connection.reply())?;
        ensure!(reply.status == due, "{} instead of {due}", reply.status);
    }
    site.refuses(&taken)?;
    site.accepts(&failing, 2)
}

fn wrong(kind: ProxyKind) -> Result<()> {
    let site = Site::start(kind, Plan::of(capacity(1000)))?;
    let callback = Callback::new();
    site.accepts(&callback, 1)?;
    ensure!(!site.try_reconfigure(&[policy(json!({ "replay_capacity": 0 }))])?, "it was taken");
    site.refuses(&callback)?;
    site.accepts(&Callback::new(), 1)
}
