//! The demo: the example configurations in real proxies, before an application that records what reaches it. Every
//! sample callback and every kind of forgery goes through each; one table says what came of each.
//!
//! `demo` runs it once; `demo --keep` leaves all running; `demo send [session|archive|sip|composer]` prints `curl`
//! commands that carry a freshly signed callback. `cargo xtask demo` builds what is needed and starts this.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test-only code")]

mod holders;
mod site;

use anyhow::{Result, bail};
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use secure_callbacks_harness::cases::{self, Case};
use secure_callbacks_harness::clock::now;
use secure_callbacks_harness::send::{self, Message, Reply};
use secure_callbacks_harness::{ids, runtime};
use secure_callbacks_support::{Sample, Token, sample};
use site::{Site, Through};
use std::process::ExitCode;
use std::time::Duration;

/// The signature secret of the demo's account. The example configurations read it from outside.
const SECRET: &str = "a-signature-secret-just-for-the-demo";

/// Instead of a verdict, where Nginx does not get as far as the module.
const ENDED_BY_NGINX: &str = "ended by Nginx itself";

/// Instead of a verdict, where the proxy's own TLS ends it: Envoy in the handshake, Nginx with a 400 of its own.
const ENDED_BY_TLS: &str = "ended by the proxy's TLS";

const USAGE: &str = "usage: demo [--keep] | demo send [session|archive|sip|composer]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => runtime::wait(run(false)),
        ["--keep"] => runtime::wait(run(true)),
        ["send"] => print_commands("session"),
        ["send", name] => print_commands(name),
        ["--help" | "-h"] => {
            println!("{USAGE}");
            Ok(true)
        }
        _ => Err(anyhow::anyhow!("{USAGE}")),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What came of one case in one proxy.
struct Seen {
    /// Status and code.
    verdict: String,
    arrived: Arrived,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Arrived {
    ByteForByte,
    Changed,
    Nothing,
    Something,
}

impl Arrived {
    fn text(self) -> &'static str {
        match self {
            Self::ByteForByte => "yes, byte for byte",
            Self::Changed => "CHANGED",
            Self::Nothing => "nothing",
            Self::Something => "SOMETHING",
        }
    }
}

async fn run(keep: bool) -> Result<bool> {
    println!(
        "starting Envoy with envoy/envoy.yaml, Envoy with envoy/module/envoy.yaml, Nginx with nginx/nginx.conf, and an \
         application behind them"
    );
    let site = Site::start().await?;
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    // A terminal that is too narrow, or says it has no width, gets long lines rather than one letter a line.
    if table.width().is_some_and(|width| width >= 80) {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    let proxies = Through::ALL.map(Through::name);
    let headings = ["what was sent"].into_iter().chain(proxies).chain(["reached the application"]);
    table.set_header(headings.map(heading));
    let (mut checks, mut wrong) = (0, Vec::new());
    for case in cases::all() {
        let mut row = vec![Cell::new(case.name)];
        let mut arrived = Vec::new();
        for through in Through::ALL {
            let seen = attempt(&site, through, &case).await?;
            checks += 2;
            let (verdict, due) = (seen.verdict, due_words(&case, through));
            if verdict != due {
                wrong.push(format!("{} through {}: {verdict} instead of {due}", case.name, through.name()));
            }
            let due_arrival = if case.expected.accepted() { Arrived::ByteForByte } else { Arrived::Nothing };
            if seen.arrived != due_arrival {
                wrong.push(format!("{} through {}: reached: {}", case.name, through.name(), seen.arrived.text()));
            }
            row.push(coloured(Cell::new(verdict), case.expected.accepted()));
            arrived.push(seen.arrived);
        }
        let text = if arrived.iter().all(|one| *one == arrived[0]) {
            arrived[0].text().to_owned()
        } else {
            let each = proxies.iter().zip(&arrived).map(|(proxy, arrived)| format!("{proxy}: {}", arrived.text()));
            each.collect::<Vec<_>>().join("; ")
        };
        row.push(Cell::new(text));
        table.add_row(row);
    }
    // Late bytes count too.
    tokio::time::sleep(Duration::from_millis(300)).await;
    checks += 1;
    wrong.extend(site.unexpected());
    println!("{table}");
    if keep {
        print_kept();
    }
    for line in &wrong {
        println!("wrong: {line}");
    }
    if wrong.is_empty() {
        println!("demo: {checks} checks, all as expected");
    } else {
        println!("demo: {checks} checks, {} not as expected", wrong.len());
    }
    if keep {
        // Until Ctrl-C: the proxies end with this program.
        std::future::pending::<()>().await;
    }
    Ok(wrong.is_empty())
}

/// Sends one case through one proxy; the code comes from the proxy's access log, since the replies keep it to
/// themselves.
async fn attempt(site: &Site, through: Through, case: &Case) -> Result<Seen> {
    let id = ids::unique();
    let path = format!("/callbacks/{id}");
    let message = case.message(&path, now(), SECRET);
    let mut sendings = 1;
    if case.replayed {
        let first = deliver(site, through, case, &message).await?;
        if first.status != 200 {
            bail!("{}: the first sending through {} got {}", case.name, through.name(), first.status);
        }
        sendings = 2;
    }
    let due = site.upstream.deliveries(&id);
    let verdict = match deliver(site, through, case, &message).await {
        Ok(reply) if case.ended_by_tls && through == Through::Nginx && reply.status == 400 => ENDED_BY_TLS.to_owned(),
        Err(_) if case.ended_by_tls && through != Through::Nginx => ENDED_BY_TLS.to_owned(),
        Ok(reply) => format!("{} {}", reply.status, site.logged_code(through, &id, sendings).await),
        Err(_) if case.ended_by_nginx && through == Through::Nginx => ENDED_BY_NGINX.to_owned(),
        Err(error) => format!("no reply: {error:#}"),
    };
    site.sent(&id, due + usize::from(case.expected.accepted()));
    let requests = site.upstream.requests(&id);
    let arrived = match requests.get(due) {
        Some(request) if case.is_untouched(request) => Arrived::ByteForByte,
        Some(_) => Arrived::Changed,
        None if due == 0 && site.upstream.saw(&id) => Arrived::Something,
        None => Arrived::Nothing,
    };
    Ok(Seen { verdict, arrived })
}

/// Sends it as the case has it: in the clear, or over TLS with somebody's certificate.
async fn deliver(site: &Site, through: Through, case: &Case, message: &Message) -> Result<Reply> {
    match case.holder {
        None => send::send(through.ports(), message).await,
        Some(holder) => site.holders.client(holder)?.send(through.tls(), message).await,
    }
}

fn heading(text: &str) -> Cell {
    Cell::new(text).add_attribute(Attribute::Bold)
}

fn coloured(cell: Cell, accepted: bool) -> Cell {
    cell.fg(if accepted { Color::Green } else { Color::Yellow })
}

fn print_kept() {
    println!(
        "Running until Ctrl-C: Envoy on 18081 (metrics on 18084), Envoy with the module on 18085 (metrics on 18086), Nginx \
         on 18082 and 18083 (HTTP/2); with TLS on 18443, 18445 and 18444."
    );
    println!(
        "Logs: target/demo/envoy/output.log, target/demo/envoy-module/output.log, target/demo/nginx/logs/access.log. More \
         callbacks, freshly signed:"
    );
    println!("    cargo xtask demo send archive\n");
    let _ = print_commands("session");
}

/// Prints commands that send one genuine callback to each proxy. Each carries a token of its own: either is good once,
/// for five minutes.
fn print_commands(name: &str) -> Result<bool> {
    let body = match name {
        "session" => sample(Sample::Session),
        "archive" => sample(Sample::Archive),
        "sip" => sample(Sample::Sip),
        "composer" => sample(Sample::Composer),
        _ => bail!("no sample {name:?}; {USAGE}"),
    };
    for through in Through::ALL {
        let token = Token::valid(body, now()).secret(SECRET).sign();
        let message = Message::post(&format!("/callbacks/{name}"), body, Some(&token));
        println!("# {}: accepted once within 5 minutes, then refused as stale or replayed", through.name());
        println!("curl -i http://{}{} \\", through.ports().http1, message.path);
        for (name, value) in &message.headers {
            println!("  -H '{}: {}' \\", String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        }
        println!("  --data-binary '{}'", String::from_utf8_lossy(body));
        println!("# or over TLS, as the holder of the sender's certificate: the same with");
        println!("#   https://localhost:{}{} --cacert target/demo/tls/root.pem \\", through.tls().port(), message.path);
        println!("#   --cert target/demo/tls/sender.pem --key target/demo/tls/sender.key\n");
    }
    Ok(true)
}

/// What the table must say.
fn due_words(case: &Case, through: Through) -> String {
    if case.ended_by_tls {
        return ENDED_BY_TLS.to_owned();
    }
    if case.ended_by_nginx && through == Through::Nginx {
        return ENDED_BY_NGINX.to_owned();
    }
    format!("{} {}", case.expected.status, case.expected.code)
}
