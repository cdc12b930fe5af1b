//! The machine: its cores shared out, its speed, and what runs on it.

use std::fs;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use secure_callbacks_harness::tools::{self, ProxyKind};
use sha2::{Digest, Sha256};

use super::{cpu, median};
use crate::results::About;

/// Takes all cores but the first for this program, and returns that one, for the proxies. `None` on a single core.
pub(crate) fn share_cores() -> Result<Option<usize>> {
    // Threads inherit it: senders wake as punctually as the kernel can.
    fs::write("/proc/self/timerslack_ns", "1").ok();
    let mut cores = sched_getaffinity(None)?;
    let Some(first) = (0..CpuSet::MAX_CPU).find(|core| cores.is_set(*core)) else { return Ok(None) };
    if cores.count() < 2 {
        return Ok(None);
    }
    cores.unset(first);
    sched_setaffinity(None, &cores)?;
    Ok(Some(first))
}

/// Everything that figures must be read with.
pub(crate) fn about(replay_capacity: u32) -> Result<About> {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(tools::root()).output();
        let output = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
        String::from_utf8_lossy(&output).trim().to_owned()
    };
    let processor = fs::read_to_string("/proc/cpuinfo")?;
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let envoy = tools::program(ProxyKind::Envoy)?;
    let envoy = said(&envoy.display().to_string(), &["--version"]);
    // Such as `envoy  version: <hash>/1.40.0/Clean/RELEASE/BoringSSL`.
    let envoy = envoy.split('/').nth(1).unwrap_or_default().to_owned();
    let nginx = tools::program(ProxyKind::NginxDebian)?;
    let nginx = said(&nginx.display().to_string(), &["-v"]);
    let nginx = nginx.rsplit('/').next().unwrap_or_default().to_owned();
    let mut commit = said("git", &["rev-parse", "--short=12", "HEAD"]);
    if !said("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty() {
        commit.push_str(" with changes");
    }
    Ok(About {
        date: said("date", &["--utc", "+%Y-%m-%d"]),
        commit,
        processor: processor.trim_start_matches([' ', '\t', ':']).to_owned(),
        cores: fs::read_dir("/sys/devices/system/cpu")?
            .flatten()
            .filter(|entry| {
                let name = entry.file_name();
                let number = name.to_str().and_then(|name| name.strip_prefix("cpu"));
                number.is_some_and(|number| number.parse::<u32>().is_ok())
            })
            .count(),
        kernel: format!("Linux {}", fs::read_to_string("/proc/sys/kernel/osrelease")?.trim()),
        versions: vec![
            ("Envoy".into(), envoy),
            ("Nginx".into(), nginx),
            ("Rust".into(), said("rustc", &["--version"])),
        ],
        rounds: 0,
        replay_capacity,
        sha256_mib_us: sha256_mib_us(),
        core_share: core_share()?,
    })
}

/// SHA-256 of 1 MiB by the crate that ours uses, natively.
fn sha256_mib_us() -> f64 {
    let body = vec![0x5a_u8; 1 << 20];
    let times = (0..21).map(|_| {
        let start = Instant::now();
        black_box(Sha256::digest(black_box(&body)));
        start.elapsed().as_secs_f64() * 1e6
    });
    median(times.collect())
}

/// How much CPU time a busy loop gets for its wall time: less than all of it where others use the machine.
fn core_share() -> Result<f64> {
    let pid = i32::try_from(std::process::id()).context("a process id")?;
    let (start, before) = (Instant::now(), cpu::nanoseconds(&[pid])?);
    while start.elapsed() < Duration::from_millis(300) {
        black_box(start.elapsed());
    }
    let used = Duration::from_nanos(cpu::nanoseconds(&[pid])? - before);
    Ok((used.as_secs_f64() / start.elapsed().as_secs_f64()).min(1.0))
}
