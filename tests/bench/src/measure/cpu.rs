//! What the kernel says of processes: CPU time to the nanosecond, resident memory.

use std::fs;

use anyhow::{Context, Result};

use crate::peers::Instance;
use crate::results::Footprint;

/// CPU time in nanoseconds of all threads of these processes: the scheduler's own count.
pub(crate) fn nanoseconds(pids: &[i32]) -> Result<u64> {
    let mut sum = 0;
    for pid in pids {
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            sum += text.split_whitespace().next().context("schedstat")?.parse::<u64>()?;
        }
    }
    Ok(sum)
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
