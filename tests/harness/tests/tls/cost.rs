//! What the certificate check costs: CPU time of the proxy for each callback on a kept-alive TLS connection, under
//! policies that ask for a certificate and under one that does not.
use crate::doors;
use crate::site::{Site, client};
use anyhow::{Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::people::Who;
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::http1;
use secure_callbacks_harness::send::tls::Version;
use secure_callbacks_harness::tools::ProxyKind;
use serde_json::json;
use std::time::Duration;

/// Connections side by side, so that a worker has something to do while the client works.
const CONNECTIONS: usize = 8;

/// Callbacks of one connection in one round.
const CALLBACKS: usize = 100;

/// Rounds of each kind, taken in turns so that a slow moment of the machine falls on all.
const ROUNDS: usize = 40;

/// The door that checks nothing of the certificate, and those to compare with it.
const DOORS: [&str; 5] = ["no-demand", "name", "subject", "fingerprint", "three-kinds"];

/// Measures and prints.
pub(crate) fn measure(kind: ProxyKind) -> Result<()> {
    let mut doors = doors::all();
    doors.retain(|door| DOORS.contains(&door.name));
    for door in &mut doors {
        // What the replay table costs, also when nothing comes, is not to be counted here.
        door.policy["replay"] = json!(false);
    }
    let site = Site::start(kind, doors)?;
    let mut rounds = DOORS.map(|_| Vec::new());
    // The first round warms up.
    for round in 0..=ROUNDS {
        for (door, rounds) in DOORS.iter().zip(&mut rounds) {
            let time = wait(one_round(&site, door))?;
            if round > 0 {
                rounds.push(time);
            }
        }
    }
    let times = rounds.map(quiet);
    println!("{}: CPU for one callback", site.proxy.kind.name());
    for (door, time) in DOORS.iter().zip(times) {
        println!("    {door:12} {time:6.1} µs  {:+5.1}", time - times[0]);
    }
    Ok(())
}

/// Microseconds for one callback.
async fn one_round(site: &Site, door: &str) -> Result<f64> {
    let dialer = client(Who::Sender, Version::Tls13)?;
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let session = dialer.open(site.address(door)?, b"http/1.1").await?;
        let wires: Vec<_> = (0..CALLBACKS).map(|_| Callback::new().wire()).collect();
        connections.push((http1::Connection::over(session.stream), wires));
    }
    let before = used(site)?;
    for number in 0..CALLBACKS {
        for (connection, wires) in &mut connections {
            connection.write(&wires[number]).await?;
        }
        for (connection, _) in &mut connections {
            let reply = connection.reply().await?;
            ensure!(reply.status == 200, "{} {}", reply.status, reply.text());
        }
    }
    Ok((used(site)? - before).as_secs_f64() * 1e6 / (CONNECTIONS * CALLBACKS) as f64)
}

/// What all workers have run: the kernel's clock for whole processes ticks in 10 ms.
fn used(site: &Site) -> Result<Duration> {
    Ok(site.proxy.worker_cpu()?.iter().sum())
}

/// The middle of the lower half: whoever else uses the machine only ever adds.
fn quiet(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 4]
}
