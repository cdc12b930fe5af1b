//! Latency at a constant rate: half of what the plain proxy of the same host could do in this run.

use anyhow::{Context, Result};

use super::{median, percentile, undisturbed};
use crate::load::requests::{self, Kind};
use crate::load::steady;
use crate::peers::Instance;
use crate::results::{Case, Cost, Latency};

/// A row whose top rate is not above the wanted one by this factor would only show its queue.
const HEADROOM: f64 = 1.1;

/// Callbacks of one round at most: all rounds together must fit into what the check for replays remembers.
const MOST_CALLBACKS: f64 = 3_500.0;

/// Measures every row that can keep up.
pub(crate) fn run(instances: &[Instance], costs: &[Cost], quick: bool) -> Result<Vec<Latency>> {
    let (rounds, seconds) = if quick { (3, 0.2) } else { (15, 0.5) };
    let top = |host: &str, row: &str| {
        costs.iter().find(|cost| cost.host == host && cost.row == row && cost.case == Case::COMMON)
    };
    let body = requests::body(Case::COMMON.body_bytes);
    let mut rows = Vec::new();
    for instance in instances {
        let peer = instance.peer;
        let of = |row| top(peer.host.name(), row).map_or(0.0, |cost| cost.per_second);
        let rate = of("plain") / 2.0;
        rows.push((instance, rate, of(peer.name) >= rate * HEADROOM, Vec::new()));
    }
    for round in 0..rounds {
        for (instance, rate, keeps_up, found) in &mut rows {
            if !*keeps_up {
                continue;
            }
            let count = (*rate * seconds).min(MOST_CALLBACKS) as usize;
            let callbacks = requests::make(count, &body, Kind::Good);
            let latencies = steady::send(instance.http1, &callbacks, *rate)
                .with_context(|| format!("{} {} at a constant rate", instance.peer.host.title(), instance.peer.name))?;
            let micros: Vec<_> = latencies.iter().map(|latency| latency.as_secs_f64() * 1e6).collect();
            found.push([0.5, 0.99, 0.999].map(|part| percentile(micros.clone(), part)));
        }
        println!("[latency {}/{rounds}]", round + 1);
    }
    let latencies = rows.into_iter().map(|(instance, rate, _, found)| {
        let quiet = undisturbed(&found, |[_, p99, _]| *p99);
        let middle = |what: fn(&[f64; 3]) -> f64| {
            (!quiet.is_empty()).then(|| median(quiet.iter().map(|percentiles| what(percentiles)).collect()))
        };
        Latency {
            host: instance.peer.host.name(),
            row: instance.peer.name,
            title: instance.peer.title,
            rate_per_second: rate,
            p50_us: middle(|[p50, _, _]| *p50),
            p99_us: middle(|[_, p99, _]| *p99),
            p999_us: middle(|[_, _, p999]| *p999),
            rounds_p99_us: found.iter().map(|[_, p99, _]| *p99).collect(),
        }
    });
    Ok(latencies.collect())
}
