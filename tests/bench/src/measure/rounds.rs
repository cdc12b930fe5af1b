//! CPU time for one callback: in each round every row has its turn with every case, always in another order, so that a
//! slow moment of the machine falls on all.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::runtime::Runtime;

use super::machine::{self, Speed};
use super::{cpu::Time, median, plan, undisturbed};
use crate::load::full_speed::{self, Target, WARM_UP};
use crate::load::requests::{self, Kind};
use crate::peers::{Host, Instance, Site};
use crate::results::{Case, Cost, Sent, Transport};

/// How many rounds' worth of callbacks Envoy gets in the round that warms up.
const WASM_WARM_UP: usize = 4;

/// One row with one case.
struct Cell<'i> {
    instance: &'i Instance,
    case: Case,
    samples: Vec<Sample>,
}

struct Sample {
    proxy_us: f64,
    helper_us: f64,
    per_second: f64,
    /// How much of its time the proxy waited for its core.
    waited: f64,
}

/// Rounds at most.
const MOST: usize = 21;

/// Rounds at most in a quick run.
const MOST_QUICK: usize = 3;

/// Rounds that are taken however long they last.
const LEAST: usize = 5;

/// After this time the round under way is the last: a machine that others use too takes several times as long.
const ENOUGH: Duration = Duration::from_secs(7 * 60);

/// Takes the rounds, after one that only warms up. The speed of the machine is taken in each.
pub(crate) fn run(
    runtime: &Runtime,
    instances: &[Instance],
    site: &Site,
    quick: bool,
) -> Result<(Vec<Cost>, Vec<Speed>)> {
    let most = if quick { MOST_QUICK } else { MOST };
    // By case first: what is compared runs close together.
    let mut cells = BTreeMap::<Case, Vec<Cell<'_>>>::new();
    for instance in instances {
        for case in plan::cases(&instance.peer, quick) {
            cells.entry(case).or_default().push(Cell { instance, case, samples: Vec::new() });
        }
    }
    let start = Instant::now();
    let mut speeds = Vec::new();
    for round in 0..=most {
        if round > LEAST && start.elapsed() > ENOUGH {
            break;
        }
        let speed = machine::speed(site.pinned)?;
        if round > 0 {
            speeds.push(speed);
        }
        for cells in cells.values_mut() {
            let turn = round % cells.len().max(1);
            cells.rotate_left(turn);
            for cell in cells.iter_mut() {
                let peer = cell.instance.peer;
                // The engine under a wasm filter compiles in steps, as it is used.
                let repeat = if round == 0 && peer.host == Host::Envoy { WASM_WARM_UP } else { 1 };
                let sample = cell.measure(runtime, site, repeat * plan::count(&peer, cell.case, quick));
                let sample = sample.with_context(|| format!("{} {}, {}", peer.host.title(), peer.name, cell.case))?;
                if round > 0 {
                    cell.samples.push(sample);
                }
            }
            cells.rotate_right(turn);
        }
        let each = start.elapsed() / u32::try_from(round + 1).unwrap_or(u32::MAX);
        let left = each * u32::try_from(most - round).unwrap_or(0);
        let left = left.min(ENOUGH.saturating_sub(start.elapsed()).max(each * u32::from(round < LEAST)));
        println!("[cost {round}/{most}] at most {} s left", left.as_secs());
    }
    Ok((cells.into_values().flatten().map(Cell::into_cost).collect(), speeds))
}

impl Cell<'_> {
    fn measure(&self, runtime: &Runtime, site: &Site, count: usize) -> Result<Sample> {
        let Self { instance, case, .. } = self;
        let (kind, status) = match case.sent {
            Sent::Genuine => (Kind::Good, 200),
            Sent::Forged => (Kind::Forged, 401),
        };
        let target = match case.transport {
            Transport::Http1 => Target::Http1(instance.http1),
            Transport::Http2 => Target::Http2(instance.http2),
            Transport::MutualTls => Target::Tls(instance.tls, Rc::clone(&site.certificates.client)),
        };
        let callbacks = requests::make(WARM_UP + count, &requests::body(case.body_bytes), kind);
        let used = || Ok((Time::of(&instance.proxy_pids())?, Time::of(&instance.helper_pids())?));
        let (before, elapsed) = runtime.block_on(full_speed::send(&target, callbacks, status, used))?;
        let after = used()?;
        let (proxy, helper) = (after.0.since(before.0), after.1.since(before.1));
        let each = |time: Time| time.ran as f64 / 1e3 / count as f64;
        Ok(Sample {
            proxy_us: each(proxy),
            helper_us: each(helper),
            per_second: count as f64 / elapsed.as_secs_f64(),
            waited: proxy.share_waited(),
        })
    }

    fn into_cost(self) -> Cost {
        let peer = self.instance.peer;
        let all = |what: fn(&Sample) -> f64| self.samples.iter().map(what).collect::<Vec<_>>();
        let quiet = undisturbed(&self.samples, |sample| sample.proxy_us + sample.helper_us);
        let of = |what: fn(&Sample) -> f64| median(quiet.iter().map(|sample| what(sample)).collect());
        Cost {
            host: peer.host.name(),
            row: peer.name,
            title: peer.title,
            looks_at: peer.looks_at,
            case: self.case,
            proxy_us: of(|sample| sample.proxy_us),
            helper_us: of(|sample| sample.helper_us),
            total_us: of(|sample| sample.proxy_us + sample.helper_us),
            per_second: of(|sample| sample.per_second),
            rounds_us: all(|sample| sample.proxy_us + sample.helper_us),
            rounds_waited: all(|sample| sample.waited),
        }
    }
}
