//! What the kernel says of processes: CPU time to the nanosecond, resident memory.

use std::fs;

use anyhow::{Context, Result};

use crate::peers::Instance;
use crate::results::Footprint;

/// What the scheduler has counted of some processes, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Time {
    /// On a core.
    pub(crate) ran: u64,
    /// Ready to run, while something else had the core.
    pub(crate) waited: u64,
}

impl Time {
    /// All threads of these processes.
    pub(crate) fn of(pids: &[i32]) -> Result<Self> {
        let mut sum = Self::default();
        for pid in pids {
            for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
                let text = fs::read_to_string(thread?.path().join("schedstat"))?;
                let mut fields = text.split_whitespace();
                let mut next = || -> Result<u64> { Ok(fields.next().context("schedstat")?.parse()?) };
                sum.ran += next()?;
                sum.waited += next()?;
            }
        }
        Ok(sum)
    }

    /// What was added since. (A thread that has ended takes its time with it.)
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self { ran: self.ran.saturating_sub(earlier.ran), waited: self.waited.saturating_sub(earlier.waited) }
    }

    /// How much of its time it waited, from 0 to 1.
    pub(crate) fn share_waited(self) -> f64 {
        self.waited as f64 / (self.ran + self.waited).max(1) as f64
    }
}

/// Resident memory in KiB of these processes.
pub(crate) fn resident_kib(pids: &[i32]) -> Result<u64> {
    let mut sum = 0;
    for pid in pids {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        sum += line.trim().trim_end_matches(" kB").trim().parse::<u64>()?;
    }
    Ok(sum)
}

/// Memory now; the start is filled in later.
pub(crate) fn footprint(instance: &Instance) -> Result<Footprint> {
    let peer = instance.peer;
    Ok(Footprint {
        host: peer.host.name(),
        row: peer.name,
        title: peer.title,
        proxy_rss_kib: resident_kib(&instance.proxy_pids())?,
        helper_rss_kib: resident_kib(&instance.helper_pids())?,
        start_ms: instance.started_in.as_secs_f64() * 1e3,
    })
}
