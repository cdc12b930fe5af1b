//! `--instructions`: how many instructions a proxy takes for a callback, its own code and all. Valgrind counts them while
//! real callbacks pass; the kernel's part is not in it, nor that of a program beside the proxy.
//!
//! Valgrind's processor has no SHA instructions, so SHA-256 counts as plain code, in the proxies as in the sandbox.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use comfy_table::{Table, presets};
use tokio::runtime::Runtime;

use super::{DEFAULT_REPLAY_CAPACITY, machine, wanted};
use crate::load::full_speed::{self, Target, WARM_UP};
use crate::load::requests::{self, Kind};
use crate::options::Options;
use crate::peers::{self, Checks, Host, Instance, Peer, Site};
use crate::results::Case;

/// Callbacks before the counting, which fill caches and have code compiled.
const BEFORE: usize = 100;

/// What ours may add at most, as a part of what `jwt_authn` adds, which looks at no body.
const MOST: [(&str, f64); 2] = [("ours", 1.30), ("module", 0.65)];

/// Counts for each row that the options name, and prints the table.
///
/// With `--check` the answer is whether every bound is kept that these rows tell about.
pub(crate) fn run(options: &Options, count: usize) -> Result<bool> {
    ensure!(
        Command::new("valgrind").arg("--version").output().is_ok(),
        "valgrind is missing: `apt-get install valgrind`"
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let pinned = machine::share_cores()?;
    let site = Site { counts: true, ..Site::start(DEFAULT_REPLAY_CAPACITY, pinned, options.against.clone())? };
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["proxy", "row", "accept", "added", "refuse"]);
    let mut counted = Vec::new();
    let mut plain = 0;
    for peer in wanted(options)?.into_iter().filter(|peer| peer.host != Host::Application) {
        let row = count_row(&runtime, peer, &site, count);
        let (accept, refuse) = row.with_context(|| format!("{} {}", peer.host.title(), peer.name))?;
        let added = if peer.is_plain() { "–".to_owned() } else { format!("{:+}", accept - plain) };
        if peer.is_plain() {
            plain = accept;
        }
        counted.push(((peer.host, peer.name), accept - plain));
        let refuse = refuse.map_or("–".to_owned(), |refuse| refuse.to_string());
        table.add_row([peer.host.title().to_owned(), peer.title.to_owned(), accept.to_string(), added, refuse]);
        println!("{}, {}: counted", peer.host.title(), peer.title);
    }
    println!("\nInstructions a callback of {} bytes, over {count} callbacks\n{table}", Case::COMMON.body_bytes);
    let added = |row| counted.iter().find(|(name, _)| *name == (Host::Envoy, row)).map(|(_, added)| *added as f64);
    let mut all_kept = true;
    for (row, most) in MOST {
        let Some((ours, theirs)) = added(row).zip(added("jwt_authn")) else { continue };
        let ratio = ours / theirs;
        let kept = ratio <= most;
        all_kept &= kept;
        println!("{row} / jwt_authn: {ratio:.2}, at most {most:.2}: {}", if kept { "met" } else { "MISSED" });
    }
    Ok(all_kept || !options.check)
}

/// Of one row: accepting, and refusing if it does.
fn count_row(runtime: &Runtime, peer: Peer, site: &Site, count: usize) -> Result<(i64, Option<i64>)> {
    let instance = Instance::start(peer, site)?;
    runtime.block_on(peers::check(&instance, site, false))?;
    let mut counter = Counter::start(&instance)?;
    let accept = count_kind(runtime, &instance, &mut counter, Kind::Good, count)?;
    let refuse = peer.checks != Checks::Nothing;
    let refuse = refuse.then(|| count_kind(runtime, &instance, &mut counter, Kind::Forged, count)).transpose()?;
    Ok((accept, refuse))
}

fn count_kind(runtime: &Runtime, instance: &Instance, counter: &mut Counter, kind: Kind, count: usize) -> Result<i64> {
    let (body, target) = (requests::body(Case::COMMON.body_bytes), Target::Http1(instance.http1));
    let status = if kind == Kind::Good { 200 } else { 401 };
    let send = |callbacks, begin: &mut dyn FnMut() -> Result<Instant>| {
        runtime.block_on(full_speed::send(&target, requests::make(callbacks, &body, kind), status, begin))
    };
    send(BEFORE + WARM_UP, &mut || Ok(Instant::now()))?;
    let (began, _) = send(count + WARM_UP, &mut || {
        counter.take()?;
        Ok(Instant::now())
    })?;
    let took = began.elapsed();
    let busy = counter.take()?;
    // What the proxy does by itself in that time: timers, and ours counts what it remembers.
    std::thread::sleep(took);
    let idle = counter.take()?;
    Ok((i64::try_from(busy)? - i64::try_from(idle)?) / i64::try_from(count)?)
}

/// The counts of the processes that do a proxy's work.
struct Counter {
    pids: Vec<i32>,
    directory: PathBuf,
    taken: usize,
}

impl Counter {
    fn start(instance: &Instance) -> Result<Self> {
        let counter = Self { pids: instance.proxy_pids(), directory: instance.directory.clone(), taken: 0 };
        ensure!(!counter.pids.is_empty(), "no process to count");
        counter.tell("--instr=on")?;
        Ok(counter)
    }

    fn tell(&self, what: &str) -> Result<()> {
        for pid in &self.pids {
            let said = Command::new("callgrind_control").arg(what).arg(pid.to_string()).output()?;
            ensure!(said.status.success(), "callgrind_control: {}", String::from_utf8_lossy(&said.stderr));
        }
        Ok(())
    }

    /// What was counted since the last time.
    fn take(&mut self) -> Result<u64> {
        self.tell("--dump")?;
        self.taken += 1;
        self.pids.iter().try_fold(0, |sum, pid| {
            let file = self.directory.join(format!("callgrind.out.{pid}.{}", self.taken));
            let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
            Ok(sum + totals(&text).context("a dump without its totals")?)
        })
    }
}

/// The sum at the end of callgrind's file.
fn totals(dump: &str) -> Option<u64> {
    dump.lines().rev().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_read_from_the_end_of_a_dump() {
        assert_eq!(totals("events: Ir\nfn=(1)\n1 5\ntotals: 7\n"), Some(7));
        assert_eq!(totals("events: Ir\ntotals:\n"), None);
    }
}
