//! The machine: its cores shared out, its speed, and what runs on it.

use std::fs;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use secure_callbacks_harness::tools::{self, ProxyKind};
use sha2::{Digest, Sha256};

use crate::results::About;

/// All cores that this program has, as `taskset` has them. Before [`share_cores`].
pub(crate) fn all_cores() -> Result<String> {
    let cores = sched_getaffinity(None)?;
    let numbers = (0..CpuSet::MAX_CPU).filter(|core| cores.is_set(*core)).map(|core| core.to_string());
    Ok(numbers.collect::<Vec<_>>().join(","))
}

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
    // Such as `<program>  version: <hash>/1.40.0/Clean/RELEASE/BoringSSL`.
    let envoy =
        envoy.rsplit("version: ").next().and_then(|parts| parts.split('/').nth(1)).unwrap_or_default().to_owned();
    let nginx = tools::program(ProxyKind::system_nginx())?;
    let nginx = said(&nginx.display().to_string(), &["-v"]);
    let nginx = nginx.rsplit('/').next().unwrap_or_default().to_owned();
    let rust = said("rustc", &["--version"]).split(' ').nth(1).unwrap_or_default().to_owned();
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
        versions: vec![("Envoy".into(), envoy), ("Nginx".into(), nginx), ("Rust".into(), rust)],
        rounds: 0,
        replay_capacity,
        sha256_mib_us: 0.0,
        core_share: 0.0,
    })
}

/// How fast the proxies' core is at this moment.
#[derive(Clone, Copy)]
pub(crate) struct Speed {
    /// CPU time for SHA-256 of 1 MiB by the crate that ours uses, natively.
    pub(crate) sha256_mib_us: f64,
    /// How much CPU time a busy loop gets for its wall time: less than all of it where others use the machine.
    pub(crate) core_share: f64,
}

/// Takes the speed on the core of the proxies.
pub(crate) fn speed(core: Option<usize>) -> Result<Speed> {
    std::thread::spawn(move || {
        if let Some(core) = core {
            let mut cores = CpuSet::new();
            cores.set(core);
            sched_setaffinity(None, &cores)?;
        }
        let (start, before) = (Instant::now(), thread_time());
        while start.elapsed() < Duration::from_millis(60) {
            black_box(start.elapsed());
        }
        let core_share = (thread_time() - before).as_secs_f64() / start.elapsed().as_secs_f64();

        let body = vec![0x5a_u8; 1 << 20];
        let before = thread_time();
        for _ in 0..SHA256_ROUNDS {
            black_box(Sha256::digest(black_box(&body)));
        }
        let sha256_mib_us = (thread_time() - before).as_secs_f64() * 1e6 / f64::from(SHA256_ROUNDS);
        Ok(Speed { sha256_mib_us, core_share: core_share.min(1.0) })
    })
    .join()
    .map_err(|_| anyhow!("the thread that takes the speed stopped"))?
}

/// Bodies of 1 MiB that are hashed at once.
const SHA256_ROUNDS: u32 = 16;

/// CPU time of this thread. (Its `schedstat` is as old as the last tick while it runs.)
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
