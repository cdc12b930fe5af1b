//! Identical callbacks in flight together.
use crate::pour;
use crate::site::{Plan, Site, policy};
use crate::stage::{Machine, Stage, Tests};
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send;
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_harness::upstream::{Answer, Gate};
use secure_callbacks_support::Framing;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn add(stage: &Arc<Stage>, tests: &mut Tests<'_>) {
    stage.test("copies_in_both_protocols_reach_the_application_once", tests, both_protocols);
    stage.test("copies_of_one_that_fails_leave_it_to_the_next", tests, first_fails);
    tests.alone("a_thousand_copies_at_once_are_accepted_once", thousand);
}

/// Sends the copies together and counts them: answered with `status` by the application, held back as on their way, and
/// all others. The application answers, with `status`, once all but one have their replies. The copies have ids of their
/// own.
fn together(site: &Site, copies: &[Callback], status: u16) -> Result<[usize; 3]> {
    let gate = Gate::default();
    for copy in copies {
        site.upstream.script(&copy.id, [Answer::status(status).behind(&gate)]);
    }
    // Envoy's sandbox can't tell what is on its way from what was taken.
    let held_back = if site.kind.tells_what_is_on_its_way() { (503, "replay_in_flight") } else { (401, "replayed") };
    let ports = site.ports[0];
    wait(async {
        let mut tasks = tokio::task::JoinSet::new();
        for copy in copies {
            let message = copy.message.clone();
            tasks.spawn(async move { send::send(ports, &message).await });
        }
        let (mut counts, mut replies) = ([0; 3], 0);
        while let Some(reply) = tasks.join_next().await {
            let reply = reply??;
            let code = reply.code();
            counts[match code.as_deref() {
                None if reply.status == status => 0,
                Some(code) if (reply.status, code) == held_back => 1,
                _ => 2,
            }] += 1;
            replies += 1;
            if replies + 1 == copies.len() {
                gate.open();
            }
        }
        Ok(counts)
    })
}

fn copies(callback: &Callback) -> Vec<Callback> {
    let framings = [Framing::Length, Framing::H2, Framing::Chunked, Framing::H2NoLength];
    (0..40).map(|turn| callback.copy().framed(framings[turn % framings.len()])).collect()
}

fn both_protocols(site: &Site) -> Result<()> {
    let copies = copies(&Callback::new());
    let counts = together(site, &copies, 200)?;
    ensure!(counts == [1, 39, 0], "accepted, held back, other: {counts:?}");
    let deliveries: usize = copies.iter().map(|copy| site.upstream.deliveries(&copy.id)).sum();
    ensure!(deliveries == 1, "{deliveries} deliveries");
    Ok(())
}

/// The copies that were held back while the first was on its way cost the event nothing.
fn first_fails(site: &Site) -> Result<()> {
    let callback = Callback::new();
    let copies = copies(&callback);
    let counts = together(site, &copies, 500)?;
    ensure!(counts == [1, 39, 0], "failed, held back, other: {counts:?}");
    site.accepts(&callback, 1)?;
    site.refuses(&callback)
}

fn thousand(kind: ProxyKind) -> Result<()> {
    const COPIES: usize = 1000;
    const ROUNDS: usize = 20;
    let site = Site::start(kind, Plan::of(policy(json!({}))))?;
    let before = site.proxy.worker_cpu()?;
    for round in 0..ROUNDS {
        let callback = Callback::new();
        if round % 2 == 1 {
            site.upstream.script(&callback.id, [Answer::status(200).after(Duration::from_millis(100))]);
        }
        let request = callback.wire();
        let statuses =
            pour::at_once(site.ports[0].http1, &request, COPIES).with_context(|| format!("round {round}"))?;
        let count = |status| statuses.iter().filter(|other| **other == status).count();
        // Those that came before the answer, in Nginx, and those that came after it.
        let (on_its_way, replayed) = (count(503), count(401));
        ensure!(
            count(200) == 1
                && on_its_way + replayed == COPIES - 1
                && (kind.tells_what_is_on_its_way() || on_its_way == 0),
            "round {round}: {} accepted, {on_its_way} on their way, {replayed} replayed",
            count(200)
        );
        ensure!(site.upstream.deliveries(&callback.id) == 1, "round {round}: delivered more than once");
    }
    // With all of them on one worker it would prove little.
    let after = site.proxy.worker_cpu()?;
    let busy =
        before.iter().zip(&after).filter(|(before, after)| **after - **before > Duration::from_millis(20)).count();
    ensure!(busy == 2, "the copies did not go to two workers: {before:?}, {after:?}");
    Ok(())
}
