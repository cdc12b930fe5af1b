//! Workers that die and configurations that change under load: no callback is delivered again after the application
//! answered it below 500, and none stays refused that was never so answered.
//!
//! The sender tries again as Vonage may: the same token after a 5xx or a lost connection, and never after a 401. One that
//! died with a worker gets 503 until its reservation lapses, and is then accepted.
use crate::pour;
use crate::site::{Plan, Site, policy};
use crate::stage::{Machine, Stage, Tests, share, sleep};
use anyhow::{Context, Result, bail, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::{Reply, http1};
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_harness::upstream::{Answer, Delivery};
use serde_json::{Value, json};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn add(_: &Arc<Stage>, tests: &mut Tests<'_>) {
    tests.shared("changes_of_the_configuration_under_load_lose_nothing", configured);
    if tests.kind.is_nginx() {
        tests.sleeping("killed_workers_under_load_lose_nothing", killed);
        tests.shared("a_worker_killed_with_the_lock_blocks_nobody", killed_with_the_lock);
    }
}

/// Callbacks on their way at once.
const SENDERS: usize = 12;

/// How long the load lasts.
const LOAD: Duration = Duration::from_secs(5);

/// What became of one sender's callbacks.
#[derive(Default)]
struct Tally {
    /// The application's answer came back.
    delivered: Vec<Callback>,
    /// Refused as a replay after an earlier try ended without an answer: the sender has given up.
    refused: Vec<Callback>,
    /// Told that it is on its way, after an earlier try ended without an answer: the sender will try again.
    waiting: Vec<Callback>,
    /// Tries that ended without an answer.
    lost: usize,
}

/// Sends for [`LOAD`] and calls `disturb` again and again meanwhile.
fn under_load(site: &Site, mut disturb: impl FnMut(usize) -> Result<()>) -> Result<Tally> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(|| send_until(site, &stop))).collect();
        let start = Instant::now();
        let mut disturbed = Ok(());
        for turn in 0.. {
            thread::sleep(Duration::from_millis(400));
            if start.elapsed() > LOAD || disturbed.is_err() {
                break;
            }
            disturbed = disturb(turn);
        }
        stop.store(true, Ordering::Relaxed);
        let mut sum = Tally::default();
        for sender in senders {
            let tally = sender.join().expect("a sender")?;
            sum.delivered.extend(tally.delivered);
            sum.refused.extend(tally.refused);
            sum.waiting.extend(tally.waiting);
            sum.lost += tally.lost;
        }
        disturbed?;
        ensure!(sum.delivered.len() > 200, "only {} callbacks in all: no load", sum.delivered.len());
        Ok(sum)
    })
}

fn send_until(site: &Site, stop: &AtomicBool) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut line = None;
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) {
        let callback = Callback::new();
        let taken = Answer::status(200).after(Duration::from_millis(5));
        turn += 1;
        match turn % 10 {
            3 => site.upstream.script(&callback.id, [Answer::status(503), taken]),
            6 => site.upstream.script(&callback.id, [Answer::status(200).sent(Delivery::ResetBefore), taken]),
            _ => site.upstream.script(&callback.id, [taken]),
        }
        deliver(site, callback, &mut line, &mut tally)?;
        if turn % 4 == 0
            && let Some(delivered) = tally.delivered.last()
            && let Ok(reply) = wait(exchange(site, delivered, &mut line))
        {
            ensure!(reply.code().as_deref() == Some("replayed"), "a replay met {} {}", reply.status, reply.text());
        }
    }
    Ok(tally)
}

/// One callback, until it is answered below 500, or has to wait for longer than a load can.
fn deliver(site: &Site, callback: Callback, line: &mut Option<http1::Connection>, tally: &mut Tally) -> Result<()> {
    for _ in 0..300 {
        match wait(exchange(site, &callback, line)) {
            Ok(reply) if reply.status == 200 => {
                tally.delivered.push(callback);
                return Ok(());
            }
            Ok(reply) if reply.code().as_deref() == Some("replayed") => {
                tally.refused.push(callback);
                return Ok(());
            }
            Ok(reply) if reply.code().as_deref() == Some("replay_in_flight") => {
                ensure!(reply.status == 503, "{} {}", reply.status, reply.text());
                tally.waiting.push(callback);
                return Ok(());
            }
            Ok(reply) if reply.status >= 500 => {}
            Ok(reply) => bail!("an answer that nobody gave: {} {}", reply.status, reply.text()),
            Err(_) => {
                *line = None;
                tally.lost += 1;
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
    bail!("no end of failures; the proxy's log: {}", site.log_end())
}

async fn exchange(site: &Site, callback: &Callback, line: &mut Option<http1::Connection>) -> Result<Reply> {
    let mut connection = match line.take() {
        Some(connection) => connection,
        None => http1::Connection::open(site.ports[0].http1).await?,
    };
    connection.write(&callback.wire()).await?;
    let reply = connection.reply().await?;
    // One that the proxy is about to close is of no further use.
    if reply.headers.text("connection").as_deref() != Some("close") {
        *line = Some(connection);
    }
    Ok(reply)
}

/// Every delivered callback was answered once, and so was every one that the sender gave up; returns those that wait.
fn account(site: &Site, tally: Tally) -> Result<Vec<Callback>> {
    for callback in tally.delivered.iter().chain(&tally.refused) {
        let answered = site.upstream.answered(&callback.id);
        ensure!(answered == 1, "delivered or given up, and answered {answered} times below 500");
    }
    // Each is refused from now on.
    for callback in tally.delivered.iter().step_by(tally.delivered.len().div_ceil(200)) {
        site.refuses(callback)?;
    }
    Ok(tally.waiting)
}

fn configured(kind: ProxyKind) -> Result<()> {
    // Every other change goes on with the memory of the one before.
    let capacity = |turn: usize| [50_000, 50_000, 70_000, 70_000, 60_000, 60_000][turn % 6];
    let next = |turn: usize| -> Value {
        policy(json!({ "realm": format!("hooks-{turn}"), "replay_capacity": capacity(turn) }))
    };
    let site = Site::start(kind, Plan::of(next(0)))?;
    let tally = under_load(&site, |turn| site.reconfigure(&[next(turn + 1)]))?;
    let waiting = account(&site, tally)?;
    ensure!(waiting.is_empty(), "{} callbacks wait for nothing", waiting.len());
    Ok(())
}

fn killed(kind: ProxyKind) -> Result<()> {
    let machine = share();
    let site = Site::start(kind, Plan::of(policy(json!({ "replay_capacity": 100_000 }))))?;
    let tally = under_load(&site, |turn| {
        let workers = site.proxy.workers();
        workers.get(turn % 2).map_or(Ok(()), |worker| site.proxy.kill_worker(*worker))
    })?;
    ensure!(tally.lost > 0, "no connection was lost: nothing was killed");
    let waiting = account(&site, tally)?;
    for callback in &waiting {
        site.is_on_its_way(callback)?;
    }
    sleep(machine, Duration::from_secs(62));
    for callback in &waiting {
        // An answer that only the dead worker had can't be known of.
        let lost = site.upstream.answered(&callback.id);
        let mut tally = Tally::default();
        deliver(&site, callback.clone(), &mut None, &mut tally)?;
        ensure!(tally.delivered.len() == 1, "still held back after its lapse");
        ensure!(lost <= 1 && site.upstream.answered(&callback.id) == lost + 1, "answered more than once");
        site.refuses(callback)?;
    }
    println!("{}: {} callbacks waited for their dead worker's reservation", kind.name(), waiting.len());
    Ok(())
}

/// Stops workers under load until one is found with the lock in its hands, and kills that one.
fn killed_with_the_lock(kind: ProxyKind) -> Result<()> {
    let site = Site::start(kind, Plan::of(policy(json!({ "replay_capacity": 100_000 }))))?;
    let requests = pour::render(64);
    let requests: Vec<_> = requests.iter().map(|(_, request)| request.as_slice()).collect();
    let stop = AtomicBool::new(false);
    let caught = thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // Replays, mostly: each takes the lock. The connections to a killed worker fail.
                let _ = pour::pour(site.ports[0].http1, &requests);
            }
        });
        let caught = catch_holder(&site);
        if let Ok(worker) = &caught {
            let _ = site.proxy.kill_worker(*worker);
        }
        stop.store(true, Ordering::Relaxed);
        caught
    })?;
    for _ in 0..20 {
        let callback = Callback::new();
        site.accepts(&callback, 1)?;
        site.refuses(&callback)?;
    }
    ensure!(site.entries(0)?.is_some(), "no gauge");
    ensure!(!site.proxy.workers().contains(&caught), "the worker was not killed");
    Ok(())
}

fn catch_holder(site: &Site) -> Result<i32> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        for worker in site.proxy.workers() {
            site.proxy.stop_worker(worker)?;
            while !is_stopped(worker)? {
                thread::yield_now();
            }
            let found = holds_a_lock(worker);
            if matches!(found, Ok(true)) {
                return Ok(worker);
            }
            site.proxy.resume_worker(worker)?;
            found?;
            thread::sleep(Duration::from_micros(300));
        }
    }
    bail!("no worker was stopped with the lock in its hands")
}

fn is_stopped(pid: i32) -> Result<bool> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    Ok(stat.rsplit_once(") ").context("stat")?.1.starts_with('T'))
}

/// A zone begins with its slab pool, and that one with its lock: the process id of who holds it.
fn holds_a_lock(pid: i32) -> Result<bool> {
    let memory = std::fs::File::open(format!("/proc/{pid}/mem"))?;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    for line in maps.lines().filter(|line| line.contains("/dev/zero")) {
        let start = u64::from_str_radix(line.split_once('-').context("maps")?.0, 16)?;
        let mut lock = [0; 8];
        memory.read_exact_at(&mut lock, start)?;
        if i64::from_ne_bytes(lock) == i64::from(pid) {
            return Ok(true);
        }
    }
    Ok(false)
}
