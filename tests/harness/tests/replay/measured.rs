//! Figures: many callbacks, the memory they leave, and what remembering them costs. The limits here have room for a
//! machine that does other things too; the figures are printed.
use crate::pour;
use crate::site::{Plan, Site, policy};
use crate::stage::{Machine, Stage, Tests};
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::tools::ProxyKind;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) fn add(_: &Arc<Stage>, tests: &mut Tests<'_>) {
    if tests.kind == ProxyKind::system_nginx() {
        // The same module: one nginx is enough.
        return;
    }
    tests.alone("a_hundred_thousand_callbacks_leave_memory_flat", hundred_thousand);
    tests.alone("what_remembering_costs", cost);
}

/// More than are sent, so that none is refused for want of room.
const CAPACITY: usize = 131_072;

fn hundred_thousand(kind: ProxyKind) -> Result<()> {
    const BATCH: usize = 10_000;
    const BATCHES: usize = 10;
    /// Batches until everything that grows to a size has it.
    const WARM: usize = 2;
    let site = Site::start(kind, Plan::of(policy(json!({ "replay_capacity": CAPACITY }))))?;
    let address = site.ports[0].http1;
    let mut samples = Vec::new();
    let mut readings = Vec::new();
    let start = Instant::now();
    for batch in 0..BATCHES {
        let mut callbacks = pour::render(BATCH);
        let requests: Vec<_> = callbacks.iter().map(|(_, request)| request.as_slice()).collect();
        let statuses = pour::pour(address, &requests)?;
        let refused = statuses.iter().filter(|status| **status != 200).count();
        ensure!(refused == 0, "batch {batch}: {refused} of {BATCH} were not accepted");
        let once = callbacks.iter().all(|(callback, _)| site.upstream.deliveries(&callback.id) == 1);
        ensure!(once, "batch {batch}: not each was delivered once");
        callbacks.truncate(100);
        samples.extend(callbacks);
        readings.push(Memory::of(&site)?);
    }
    let took = start.elapsed();
    let requests: Vec<_> = samples.iter().map(|(_, request)| request.as_slice()).collect();
    let again = pour::pour(address, &requests)?;
    ensure!(again.iter().all(|status| *status == 401), "a replay was let through");
    site.entries_become(0, (BATCH * BATCHES) as u64)?;
    let (warm, end) = (&readings[WARM - 1], &readings[BATCHES - 1]);
    println!(
        "{}: {} callbacks in {took:.1?}; after {} of them {warm}, at the end {end}",
        kind.name(),
        BATCH * BATCHES,
        BATCH * WARM,
    );
    let grown = (end.own + end.shared).saturating_sub(warm.own + warm.shared);
    ensure!(grown < 6 * 1024, "{grown} KiB more after {} callbacks", BATCH * (BATCHES - WARM));
    Ok(())
}

/// Resident memory in KiB.
struct Memory {
    /// Of the workers, each its own.
    own: u64,
    /// What they share, once.
    shared: u64,
}

impl Memory {
    fn of(site: &Site) -> Result<Self> {
        let mut memory = Self { own: 0, shared: 0 };
        for worker in site.proxy.workers() {
            let status = std::fs::read_to_string(format!("/proc/{worker}/status"))?;
            let field = |name: &str| -> Result<u64> {
                let line = status.lines().find_map(|line| line.strip_prefix(name)).context("status")?;
                Ok(line.trim_start_matches(':').trim().trim_end_matches(" kB").parse()?)
            };
            memory.own += field("RssAnon")?;
            memory.shared = memory.shared.max(field("RssShmem")?);
        }
        Ok(memory)
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} KiB and {} KiB shared", self.own, self.shared)
    }
}

/// Short rounds, by turns with replay on and off, so that what else the machine does falls on both alike.
fn cost(kind: ProxyKind) -> Result<()> {
    const REQUESTS: usize = 500;
    const ROUNDS: usize = 50;
    /// The first ones fill caches and tables.
    const WARM: usize = 5;
    // In microseconds of CPU for each request, on a quiet machine: what remembering may cost, and what the request costs
    // without it.
    let (aim, quiet) = if kind.is_nginx() { (1.5, 20.0) } else { (4.0, 60.0) };
    let policies = vec![policy(json!({ "replay_capacity": CAPACITY })), policy(json!({ "replay": "off" }))];
    let site = Site::start(kind, Plan { policies, ..Plan::of(json!({})) })?;
    let callbacks = pour::render(REQUESTS * (WARM + ROUNDS));
    let mut used = [Vec::new(), Vec::new()];
    for (round, callbacks) in callbacks.chunks(REQUESTS).enumerate() {
        let requests: Vec<_> = callbacks.iter().map(|(_, request)| request.as_slice()).collect();
        // Each goes first as often as the other.
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for index in order {
            let before: Duration = site.proxy.worker_cpu()?.iter().sum();
            let statuses = pour::pour(site.ports[index].http1, &requests)?;
            let after: Duration = site.proxy.worker_cpu()?.iter().sum();
            ensure!(statuses.iter().all(|status| *status == 200), "not all were accepted");
            if round >= WARM {
                used[index].push((after - before).as_secs_f64() * 1e6 / REQUESTS as f64);
            }
        }
    }
    let difference = median(used[0].iter().zip(&used[1]).map(|(on, off)| on - off).collect());
    let [on, off] = used.map(median);
    // How much more than on a quiet machine the same work takes now.
    let slowness = (off / quiet).max(1.0);
    println!(
        "{}: CPU for each request, median of {ROUNDS} rounds: {on:.1} µs with replay on, {off:.1} µs with replay off, \
         {difference:+.1} µs (aim: {aim} µs on a quiet machine; this one is {slowness:.1} times as slow now)",
        kind.name()
    );
    ensure!(difference < 3.0 * aim * slowness, "{difference:.1} µs more");
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
