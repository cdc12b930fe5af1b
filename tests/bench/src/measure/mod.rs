//! The run: rounds in which every row has its turn, then latency, memory and starts.

mod cpu;
pub(crate) mod growth;
pub(crate) mod instructions;
mod latency;
mod machine;
mod plan;
mod rounds;
mod starts;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::tools::{self, ProxyKind};

use crate::options::Options;
use crate::peers::{self, Host, Instance, Peer, Site};
use crate::results::Results;

/// What is remembered if a policy does not say: the table that an operator has.
const DEFAULT_REPLAY_CAPACITY: u32 = 65_536;

/// A benchmark sends more in five minutes than that table holds. Tokens are made just before they are sent, so this is time
/// enough.
const MAX_AGE: &str = "5s";

/// Runs everything that the options ask for.
pub(crate) fn run(options: &Options) -> Result<Results> {
    let begun = Instant::now();
    let all_cores = machine::all_cores()?;
    let pinned = machine::share_cores()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let site = Site::start(DEFAULT_REPLAY_CAPACITY, pinned, options.against.clone())?;
    let site = Site { max_age: MAX_AGE, ..site };
    let mut about = machine::about(DEFAULT_REPLAY_CAPACITY)?;
    println!("{}, {} cores, {}", about.processor, about.cores, about.kernel);
    let instances = start(&wanted(options)?, &site)?;
    for instance in &instances {
        let with_tls = instance.peer.has_transports();
        runtime.block_on(peers::check(instance, &site, with_tls))?;
    }
    println!("{} rows, each seen to accept and to refuse as it should", instances.len());

    let (costs, speeds) = rounds::run(&runtime, &instances, &site, options.quick)?;
    about.rounds = speeds.len();
    about.sha256_mib_us = median(speeds.iter().map(|speed| speed.sha256_mib_us).collect());
    about.core_share = median(speeds.iter().map(|speed| speed.core_share).collect());
    println!(
        "SHA-256 of 1 MiB: {:.0} µs; a busy loop got {:.0} % of the proxies' core",
        about.sha256_mib_us,
        about.core_share * 100.0
    );
    let latencies = latency::run(&instances, &costs, options.quick)?;
    let mut footprints = Vec::new();
    for instance in &instances {
        footprints.push(cpu::footprint(instance)?);
    }
    let rows: Vec<_> = instances.iter().map(|instance| instance.peer).collect();
    drop(instances);
    let starts = Site { cores: Some(all_cores), ..Site::start(DEFAULT_REPLAY_CAPACITY, pinned, None)? };
    starts::run(&rows, &starts, &mut footprints, options.quick)?;

    let wasm = rows.iter().any(|row| row.host == Host::Envoy && row.is_ours());
    let wasm = wasm.then(|| tools::find(ProxyKind::Envoy)).transpose()?;
    let wasm_bytes = wasm.map(|tools| std::fs::metadata(tools.filter)).transpose()?.map(|file| file.len());
    println!("done in {} s\n", begun.elapsed().as_secs());
    Ok(Results { about, costs, latencies, footprints, wasm_bytes, skipped: site.skipped.into_inner() })
}

/// The rows that the options name, with the plain one of each host.
fn wanted(options: &Options) -> Result<Vec<Peer>> {
    let mut all = peers::catalogue();
    all.retain(|peer| !peer.is_other_build() || options.against.is_some());
    let named: Vec<_> = all.iter().filter(|peer| peer.is_meant(&options.only)).copied().collect();
    ensure!(!named.is_empty(), "no row has such a name");
    let is_with = |peer: &Peer| named.iter().any(|named| named.host == peer.host);
    let wanted = all.into_iter().filter(|peer| {
        is_with(peer)
            && (peer.is_plain() || named.iter().any(|named| named.name == peer.name && named.host == peer.host))
    });
    Ok(wanted.collect())
}

/// Starts the rows. One that can't be had is named and left out; the plain ones and ours must be there.
fn start(peers: &[Peer], site: &Site) -> Result<Vec<Instance>> {
    let mut instances = Vec::new();
    for peer in peers {
        match Instance::start(*peer, site) {
            Ok(instance) => instances.push(instance),
            Err(problem) if !peer.is_plain() && !peer.is_ours() => {
                let name = format!("{} {}", peer.host.title(), peer.name);
                let reason = problem.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
                let reason = reason.lines().take(2).collect::<Vec<_>>().join(" ");
                println!("skipped: {name}: {reason}");
                site.skipped.borrow_mut().push((name, reason));
            }
            Err(problem) => return Err(problem).with_context(|| format!("{} {}", peer.host.title(), peer.name)),
        }
    }
    Ok(instances)
}

/// The one in the middle, or the mean of the two there; 0 of nothing.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(0.0);
    f64::midpoint(at(values.len().saturating_sub(1) / 2), at(values.len() / 2))
}

/// The half of the rounds in which this figure was lowest. Whatever else the machine does can only add to a figure, so
/// these are the rounds that it disturbed least; over them the same figures come out again in the next run.
pub(crate) fn undisturbed<S>(samples: &[S], figure: impl Fn(&S) -> f64) -> Vec<&S> {
    let mut sorted: Vec<_> = samples.iter().collect();
    sorted.sort_by(|one, other| figure(one).total_cmp(&figure(other)));
    sorted.truncate(samples.len().div_ceil(2));
    sorted
}

/// The value below which this part of all lies (nearest rank); 0 of nothing.
pub(crate) fn percentile(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (part * values.len() as f64).ceil().max(1.0) as usize;
    values.get(rank - 1).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_what_their_names_say() {
        let values: Vec<f64> = (1..=1000).map(f64::from).collect();
        assert_eq!(percentile(values.clone(), 0.99).to_bits(), 990.0_f64.to_bits());
        assert_eq!(percentile(values.clone(), 0.999).to_bits(), 999.0_f64.to_bits());
        assert_eq!(median(values).to_bits(), 500.5_f64.to_bits());
        assert_eq!(undisturbed(&[0.4, 0.1, 0.3], |figure| *figure), [&0.1, &0.3]);
        assert_eq!(median(vec![-3.0, -1.0, -2.0]).to_bits(), (-2.0_f64).to_bits());
    }
}
