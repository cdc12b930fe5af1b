//! The tables: the demo's lines and the vectors' rows, each compared with what reached the application; and what the
//! containers are not allowed to do.
use crate::engine::docker;
use crate::site::{SERVICES, Site};
use anyhow::{Context, Result};
use comfy_table::{Table, presets};
use secure_callbacks_containers::journal::{Entry, Received};
use secure_callbacks_containers::load::Through;
use secure_callbacks_containers::replies::Line;

/// The demo's table over mutual TLS through every proxy; how many checks it made.
pub(crate) async fn demo(site: &Site, wrong: &mut Vec<String>) -> Result<usize> {
    let mut columns = Vec::new();
    for through in Through::ALL {
        columns.push(lines(site, "table", through).await?);
    }
    let journal = site.journal().await?;
    let mut table = Table::new();
    let proxies = Through::ALL.map(Through::title);
    let headings = ["callback"].into_iter().chain(proxies).chain(["reached the application"]);
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(headings);
    for (row, case) in columns[0].iter().enumerate() {
        let arrived: Vec<_> = columns.iter().map(|column| arrived(&column[row], &journal)).collect();
        let all = if arrived.iter().all(|one| *one == arrived[0]) {
            arrived[0].clone()
        } else {
            let each = proxies.iter().zip(&arrived).map(|(proxy, arrived)| format!("{proxy}: {arrived}"));
            each.collect::<Vec<_>>().join("; ")
        };
        let came = columns.iter().map(|column| column[row].came.clone());
        table.add_row([case.name.clone()].into_iter().chain(came).chain([all]));
    }
    let mut checks = 0;
    for (through, column) in Through::ALL.into_iter().zip(&columns) {
        checks += compare(through, column, &journal, wrong);
    }
    println!("{table}");
    Ok(checks)
}

/// What the application says of one line.
fn arrived(line: &Line, journal: &[Entry]) -> String {
    let of_line = || journal.iter().filter(|entry| entry.id() == line.id);
    let bodies: Vec<_> = of_line()
        .filter_map(|entry| match entry {
            Entry::Received(received) => Some(received.sha256 == line.sha256),
            _ => None,
        })
        .collect();
    match bodies[..] {
        [] if of_line().next().is_some() => "something".into(),
        [] => "nothing".into(),
        [true] => "once, byte for byte".into(),
        [false] => "once, changed".into(),
        _ => format!("{} times", bodies.len()),
    }
}

/// The vectors' main rows over mutual TLS through every proxy; how many checks it made.
pub(crate) async fn rows(site: &Site, wrong: &mut Vec<String>) -> Result<usize> {
    let mut checks = 0;
    for through in Through::ALL {
        let lines = lines(site, "rows", through).await?;
        let journal = site.journal().await?;
        let before = wrong.len();
        checks += compare(through, &lines, &journal, wrong);
        let bad = wrong.len() - before;
        println!("vectors through {}: {} sendings over mutual TLS, {bad} wrong", through.service(), lines.len());
    }
    Ok(checks)
}

async fn lines(site: &Site, command: &str, through: Through) -> Result<Vec<Line>> {
    let said = site.sender(&[command, through.service()]).await?;
    serde_json::from_str(&said).context("what the sender reports")
}

fn compare(through: Through, lines: &[Line], journal: &[Entry], wrong: &mut Vec<String>) -> usize {
    for (index, line) in lines.iter().enumerate() {
        let mut bad = |problem: String| wrong.push(format!("{} through {}: {problem}", line.name, through.service()));
        if line.came != line.due {
            bad(format!("{} instead of {}", line.came, line.due));
        }
        let last_of_id = lines[index + 1..].iter().all(|later| later.id != line.id);
        let received: Vec<&Received> = journal
            .iter()
            .filter_map(|entry| match entry {
                Entry::Received(received) if received.id == line.id => Some(received),
                _ => None,
            })
            .collect();
        let glimpsed = journal.iter().any(|entry| entry.id() == line.id);
        if last_of_id && received.len() != line.deliveries {
            bad(format!("{} deliveries instead of {}", received.len(), line.deliveries));
        }
        if last_of_id && line.deliveries == 0 && glimpsed {
            bad("bytes of it reached the application".into());
        }
        let forwarded = line.due.starts_with('2');
        let Some(arrived) = received.get(line.deliveries.wrapping_sub(1)).filter(|_| forwarded) else { continue };
        if arrived.sha256 != line.sha256 {
            bad("it arrived with another body".into());
        }
        for (name, due) in &line.identity {
            let copies = || arrived.identity.iter().filter(|(key, value)| key == name && !value.is_empty());
            let due = due.as_deref().unwrap_or("");
            if copies().any(|(_, value)| value != due) || (!due.is_empty() && copies().count() != 1) {
                bad(format!("{name} is {:?} instead of {due:?}", copies().collect::<Vec<_>>()));
            }
        }
    }
    lines.len()
}

/// That every container is what it says: no root, nothing writable, no capability; and that the application cannot be
/// reached from outside.
pub(crate) async fn hardened(site: &Site, wrong: &mut Vec<String>) -> Result<usize> {
    let format = "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.State.Health.Status}}";
    for service in SERVICES {
        let said = docker(&["inspect", "--format", format, &site.container(service).await?]).await?.output;
        if said.trim() != "10001:10001 true [ALL] healthy" {
            wrong.push(format!("the container {service} is not what it should be: {}", said.trim()));
        }
    }
    let app = format!("{}.10:8080", Site::inside());
    for service in ["envoy", "envoy-module"] {
        if site.shell(service, &format!("exec 3<>/dev/tcp/{}", app.replace(':', "/"))).await.is_err() {
            wrong.push(format!("the container {service} cannot reach the application"));
        }
    }
    if site.sender(&["reach", &app]).await.is_ok() {
        wrong.push("the sender reaches the application without a proxy".into());
    }
    println!("containers: user 10001, read-only, no capabilities; the sender cannot reach the application itself");
    Ok(SERVICES.len() + 3)
}
