//! A store that is not there, or that is there and does not answer.
use crate::site::Fleet;
use anyhow::{Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::tools::ProxyKind;
use serde_json::json;
use std::time::{Duration, Instant};

pub(crate) fn add(tests: &mut Tests<'_>) {
    let kind = tests.kind;
    tests.add("without_the_store_nothing_is_forwarded_and_everything_can_come_again", move || stopped(kind));
    tests.add("a_store_that_does_not_answer_costs_its_time_out_only_at_first", move || paused(kind));
    tests.add("on_failure_local_takes_callbacks_meanwhile", move || optional(kind));
    tests.add("a_store_that_comes_back_empty_is_asked_again", move || emptied(kind));
    tests.add("the_log_tells_of_a_change_once", move || told(kind));
}

/// Sends until it is accepted.
fn accepted_in_the_end(fleet: &Fleet, callback: &Callback) -> Result<()> {
    let begun = Instant::now();
    while fleet.is(0, callback, 503, Some("replay_store_unavailable")).is_ok() {
        ensure!(begun.elapsed() < Duration::from_secs(10), "the store is not asked again");
        std::thread::sleep(Duration::from_millis(100));
    }
    ensure!(fleet.upstream.deliveries(&callback.id) == 1);
    Ok(())
}

fn stopped(kind: ProxyKind) -> Result<()> {
    let mut fleet = Fleet::start(&[kind], json!({}))?;
    fleet.is(0, &Callback::new(), 200, None)?;
    fleet.redis.stop();
    let callbacks: Vec<_> = (0..8).map(|_| Callback::new()).collect();
    for callback in &callbacks {
        fleet.is(0, callback, 503, Some("replay_store_unavailable"))?;
        ensure!(!fleet.upstream.saw(&callback.id), "it was forwarded");
    }
    // What is not authentic is still refused as what it is.
    fleet.is(0, &Callback::forged(), 401, Some("payload_hash_mismatch"))?;
    fleet.redis.start_again()?;
    callbacks.iter().try_for_each(|callback| accepted_in_the_end(&fleet, callback))
}

fn paused(kind: ProxyKind) -> Result<()> {
    let fleet = Fleet::start(&[kind], json!({ "timeout": "400ms" }))?;
    fleet.is(0, &Callback::new(), 200, None)?;
    fleet.redis.pause(true)?;
    let times = (0..10).map(|_| {
        let begun = Instant::now();
        fleet.is(0, &Callback::new(), 503, Some("replay_store_unavailable")).map(|()| begun.elapsed())
    });
    let times = times.collect::<Result<Vec<_>>>();
    fleet.redis.pause(false)?;
    let times = times?;
    ensure!(times[0] >= Duration::from_millis(390), "it was not waited for: {times:?}");
    let quick = times.iter().filter(|time| **time < Duration::from_millis(100)).count();
    ensure!(quick >= 3, "the circuit did not open: {times:?}");
    accepted_in_the_end(&fleet, &Callback::new())
}

fn optional(kind: ProxyKind) -> Result<()> {
    let mut fleet = Fleet::start(&[kind], json!({ "on_failure": "local" }))?;
    fleet.redis.stop();
    for _ in 0..8 {
        let callback = Callback::new();
        fleet.is(0, &callback, 200, None)?;
        fleet.is(0, &callback, 401, Some("replayed"))?;
    }
    Ok(())
}

fn emptied(kind: ProxyKind) -> Result<()> {
    let mut fleet = Fleet::start(&[kind], json!({}))?;
    let callback = Callback::new();
    fleet.is(0, &callback, 200, None)?;
    fleet.redis.stop();
    fleet.redis.start_again()?;
    // The own table still knows it.
    fleet.is(0, &callback, 401, Some("replayed"))?;
    accepted_in_the_end(&fleet, &Callback::new())
}

fn told(kind: ProxyKind) -> Result<()> {
    let mut fleet = Fleet::start(&[kind], json!({}))?;
    fleet.redis.stop();
    for _ in 0..12 {
        fleet.is(0, &Callback::new(), 503, Some("replay_store_unavailable"))?;
    }
    fleet.redis.start_again()?;
    accepted_in_the_end(&fleet, &Callback::new())?;
    let log = fleet.members[0].proxy.log();
    for line in ["the replay store does not answer", "the replay store answers again"] {
        let count = log.matches(line).count();
        ensure!(count == 1, "{count} × {line:?} in {log}");
    }
    Ok(())
}
