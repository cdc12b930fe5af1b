//! `--memory`: whether a proxy grows with what it has seen.

use anyhow::Result;
use comfy_table::{Table, presets};

use super::{cpu, machine};
use crate::load::full_speed::{self, Target, WARM_UP};
use crate::load::requests::{self, Kind};
use crate::peers::{self, Host, Instance, Site};
use crate::results::Case;

/// What the growth is counted from: by then every buffer and every page of the table is in use.
const FIRST: usize = 10_000;

/// Callbacks made and sent at once.
const STEP: usize = 10_000;

/// The growth that still counts as none.
const MOST: f64 = 0.01;

/// Sends `count` callbacks through each of ours; the answer is whether memory stayed as it was.
pub(crate) fn run(count: usize) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Room for all of them, should they all come within the time that callbacks are remembered; and twice that, because a
    // table that is nearly full refuses here and there.
    let capacity = u32::try_from(2 * (count + FIRST))?;
    let site = Site::start(capacity, machine::share_cores()?, None)?;
    let body = requests::body(Case::COMMON.body_bytes);
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["proxy", "callbacks", "resident then, KiB", "callbacks", "resident then, KiB", "growth", "met"]);
    let mut all_met = true;
    for peer in peers::catalogue().into_iter().filter(|peer| peer.is_ours() && peer.host != Host::Application) {
        let instance = Instance::start(peer, &site)?;
        let target = Target::Http1(instance.http1);
        let mut sent = 0;
        let mut first = 0;
        while sent < count {
            let callbacks = requests::make(STEP.max(WARM_UP), &body, Kind::Good);
            sent += callbacks.len();
            runtime.block_on(full_speed::send(&target, callbacks, 200, || Ok(())))?;
            if sent == FIRST {
                first = cpu::resident_kib(&instance.proxy_pids())?;
            }
            if sent.is_multiple_of(10 * STEP) {
                println!("{}, {}: {sent} of {count}", peer.host.title(), peer.title);
            }
        }
        let last = cpu::resident_kib(&instance.proxy_pids())?;
        let growth = (last as f64 - first as f64) / first as f64;
        let met = growth <= MOST;
        all_met &= met;
        table.add_row([
            format!("{}, {}", peer.host.title(), peer.title),
            FIRST.to_string(),
            first.to_string(),
            sent.to_string(),
            last.to_string(),
            format!("{:+.2} %", growth * 100.0),
            if met { "yes" } else { "NO" }.to_owned(),
        ]);
    }
    println!("{table}");
    Ok(all_met)
}
