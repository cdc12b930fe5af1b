//! The life of a callback that passes several proxies.
use crate::site::Fleet;
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::http1;
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_harness::upstream::{Answer, Gate};
use serde_json::json;
use std::time::{Duration, Instant};

pub(crate) fn add(tests: &mut Tests<'_>, kinds: &[ProxyKind]) {
    let kind = tests.kind;
    for other in kinds.iter().copied() {
        let name = other.name();
        tests.add(format!("what_it_took_is_refused_by_{name}"), move || taken(kind, other));
        tests.add(format!("what_failed_here_gets_through_at_{name}"), move || failed(kind, other));
        tests.add(format!("what_is_on_its_way_is_told_apart_by_{name}"), move || in_flight(kind, other));
        tests.add(format!("a_sender_that_hung_up_gets_through_at_{name}"), move || hung_up(kind, other));
    }
    tests.add("a_restart_forgets_nothing", move || restarted(kind));
    tests.add("keys_are_hashes_and_go_by_themselves", move || keys(kind));
    tests.add("what_was_taken_elsewhere_is_asked_for_once", move || asked_once(kind));
}

fn taken(one: ProxyKind, other: ProxyKind) -> Result<()> {
    let fleet = Fleet::start(&[one, other], json!({}))?;
    for framed in [true, false] {
        // With a body, and with one that ends with the head.
        let callback = if framed { Callback::new() } else { Callback::with_body(b"") };
        fleet.is(0, &callback, 200, None)?;
        fleet.is(1, &callback, 401, Some("replayed"))?;
        fleet.is(0, &callback, 401, Some("replayed"))?;
        ensure!(fleet.upstream.deliveries(&callback.id) == 1);
    }
    Ok(())
}

/// The retry of an event that the application did not take goes wherever it goes.
fn failed(one: ProxyKind, other: ProxyKind) -> Result<()> {
    let fleet = Fleet::start(&[one, other], json!({}))?;
    let callback = Callback::new();
    fleet.upstream.script(&callback.id, [Answer::status(500), Answer::status(503), Answer::status(200)]);
    fleet.is(0, &callback, 500, None)?;
    fleet.is(1, &callback, 503, None)?;
    fleet.is(0, &callback, 200, None)?;
    fleet.is(1, &callback, 401, Some("replayed"))?;
    ensure!(fleet.upstream.deliveries(&callback.id) == 3);
    Ok(())
}

fn in_flight(one: ProxyKind, other: ProxyKind) -> Result<()> {
    let fleet = Fleet::start(&[one, other], json!({}))?;
    let callback = Callback::new();
    let gate = Gate::default();
    fleet.upstream.script(&callback.id, [Answer::status(200).behind(&gate)]);
    let mut connection = wait(open(&fleet, &callback))?;
    ensure!(wait(fleet.upstream.arrives(&callback.id, 1)), "it did not arrive");
    fleet.is(1, &callback, 503, Some("replay_in_flight"))?;
    gate.open();
    let reply = wait(connection.reply())?;
    ensure!(reply.status == 200, "{}", reply.status);
    settled(&fleet, 1, &callback)
}

/// The application has answered, and the store hears of it in a moment.
fn settled(fleet: &Fleet, index: usize, callback: &Callback) -> Result<()> {
    let begun = Instant::now();
    while fleet.is(index, callback, 503, Some("replay_in_flight")).is_ok() && begun.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(20));
    }
    fleet.is(index, callback, 401, Some("replayed"))
}

async fn open(fleet: &Fleet, callback: &Callback) -> Result<http1::Connection> {
    let mut connection = http1::Connection::open(fleet.members[0].address()).await?;
    connection.write(&callback.wire()).await?;
    Ok(connection)
}

/// The sender hangs up while the application is at work; its retry goes to another proxy.
fn hung_up(one: ProxyKind, other: ProxyKind) -> Result<()> {
    let fleet = Fleet::start(&[one, other], json!({}))?;
    let callback = Callback::new();
    let late = Answer::status(500).after(Duration::from_secs(30));
    fleet.upstream.script(&callback.id, [late, Answer::status(200)]);
    let connection = wait(open(&fleet, &callback))?;
    ensure!(wait(fleet.upstream.arrives(&callback.id, 1)), "it did not arrive");
    drop(connection);
    let begun = Instant::now();
    while fleet.is(1, &callback, 503, Some("replay_in_flight")).is_ok() && begun.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(20));
    }
    ensure!(fleet.upstream.deliveries(&callback.id) == 2, "{}", fleet.upstream.deliveries(&callback.id));
    fleet.is(0, &callback, 401, Some("replayed"))
}

fn restarted(kind: ProxyKind) -> Result<()> {
    let mut fleet = Fleet::start(&[kind], json!({}))?;
    let callback = Callback::new();
    fleet.is(0, &callback, 200, None)?;
    fleet.restart(0)?;
    fleet.is(0, &callback, 401, Some("replayed"))
}

fn keys(kind: ProxyKind) -> Result<()> {
    let fleet = Fleet::start(&[kind], json!({ "prefix": "other-prefix:" }))?;
    let callback = Callback::new();
    fleet.is(0, &callback, 200, None)?;
    let key = fleet.redis.ask(&["EVAL", "return {ok = redis.call('KEYS', '*')[1]}", "0"])?;
    let hash = key.strip_prefix("+other-prefix:video:").with_context(|| key.clone())?;
    ensure!(hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
    // As long as its token may be accepted: max_age and leeway. That it was taken is told in a moment.
    let begun = Instant::now();
    let mut left = 0;
    while left <= 60 && begun.elapsed() < Duration::from_secs(2) {
        left = fleet.redis.ask(&["TTL", &format!("other-prefix:video:{hash}")])?.trim_start_matches(':').parse()?;
    }
    ensure!((300..=330).contains(&left), "{left} s");
    Ok(())
}

/// The own table remembers what the store has said: of a replay that comes again and again the store hears once.
fn asked_once(kind: ProxyKind) -> Result<()> {
    let fleet = Fleet::start(&[kind, kind], json!({}))?;
    let callback = Callback::new();
    fleet.is(0, &callback, 200, None)?;
    fleet.is(1, &callback, 401, Some("replayed"))?;
    let calls = "return {ok = redis.call('INFO', 'commandstats'):match('cmdstat_set:calls=(%d+)')}";
    let commands = || fleet.redis.ask(&["EVAL", calls, "0"]);
    let before = commands()?;
    for _ in 0..5 {
        fleet.is(1, &callback, 401, Some("replayed"))?;
    }
    ensure!(commands()? == before, "the store was asked again");
    Ok(())
}
