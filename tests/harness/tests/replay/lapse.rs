//! Time: a reservation that nobody settles lapses after 60 seconds, and a body that is held back ages with its token.
use crate::site::{Plan, Site, policy};
use crate::stage::{Machine, Stage, Tests, share, sleep};
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::http1;
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_harness::upstream::{Answer, Delivery};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) fn add(_: &Arc<Stage>, tests: &mut Tests<'_>) {
    tests.sleeping("a_reservation_without_an_answer_lapses", slow_application);
    tests.sleeping("a_body_held_back_does_not_outlive_the_memory", held_back);
    if tests.kind.is_nginx() {
        tests.sleeping("the_reservation_of_a_killed_worker_lapses", killed_worker);
    }
}

/// What a reservation may take to lapse: 60 s, and the rest of a second on either side.
const LAPSE: Duration = Duration::from_millis(62_000);

/// An application that takes more than a minute. That the callback is delivered again then is documented; what must
/// not be is that it stays refused.
fn slow_application(kind: ProxyKind) -> Result<()> {
    let machine = share();
    let site = Site::start(kind, Plan::of(policy(json!({}))))?;
    let callback = Callback::new();
    site.upstream.script(&callback.id, [Answer::status(200).after(Duration::from_secs(67)), Answer::status(200)]);
    let mut connection = site.begin(&callback)?;
    let start = Instant::now();
    site.is_on_its_way(&callback)?;
    sleep(machine, Duration::from_secs(56));
    // On a machine that is too busy for that the moment is gone.
    if start.elapsed() < Duration::from_secs(58) {
        site.is_on_its_way(&callback).context("before the lapse")?;
    }
    std::thread::sleep(LAPSE.saturating_sub(start.elapsed()));
    site.accepts(&callback, 2)?;
    site.refuses(&callback)?;
    std::thread::sleep(Duration::from_secs(67).saturating_sub(start.elapsed()));
    // The late answer does no harm to what the second delivery made.
    ensure!(wait(connection.reply())?.status == 200, "the late answer did not come through");
    site.refuses(&callback)?;
    Ok(())
}

fn killed_worker(kind: ProxyKind) -> Result<()> {
    let machine = share();
    let site = Site::start(kind, Plan::of(policy(json!({}))))?;
    let (lost, taken) = (Callback::new(), Callback::new());
    site.accepts(&taken, 1)?;
    site.upstream.script(&lost.id, [Answer::status(200).sent(Delivery::Never), Answer::status(200)]);
    let connection = site.begin(&lost)?;
    let start = Instant::now();
    for worker in site.proxy.workers() {
        site.proxy.kill_worker(worker)?;
    }
    drop(connection);
    // New workers, which know what the dead ones had reserved, and that no answer to it is known: a sender that gives up
    // at a 401 goes on.
    std::thread::sleep(Duration::from_millis(500));
    site.is_on_its_way(&lost)?;
    site.refuses(&taken)?;
    site.entries_become(0, 2)?;
    sleep(machine, LAPSE.saturating_sub(start.elapsed()));
    site.accepts(&lost, 2)?;
    site.refuses(&lost)?;
    site.refuses(&taken)?;
    Ok(())
}

/// By the time their bodies end, what was remembered of the callback has expired; the token has, too.
fn held_back(kind: ProxyKind) -> Result<()> {
    let _machine = share();
    let site = Site::start(kind, Plan::of(policy(json!({ "max_age": "3s", "leeway": "0s" }))))?;
    let (callback, start) = (Callback::new(), Instant::now());
    site.accepts(&callback, 1)?;
    let wire = callback.wire();
    let (last, all_but_last) = wire.split_last().context("a request")?;
    let mut connections = Vec::new();
    for _ in 0..4 {
        let mut connection = wait(http1::Connection::open(site.ports[0].http1))?;
        wait(connection.write(all_but_last))?;
        connections.push(connection);
    }
    ensure!(start.elapsed() < Duration::from_secs(2), "too slow a machine: the heads came too late");
    std::thread::sleep(Duration::from_secs(5).saturating_sub(start.elapsed()));
    for mut connection in connections {
        wait(connection.write(&[*last]))?;
        let reply = wait(connection.reply())?;
        reply.is(401, "token_expired")?;
    }
    ensure!(site.upstream.deliveries(&callback.id) == 1, "delivered again");
    Ok(())
}
