//! The vectors' main rows over mutual TLS: those of the policy `default` that fit the containers' `max_body_size`.
use crate::table::{REFUSED, SUBJECT, ports, words};
use anyhow::{Result, anyhow};
use secure_callbacks_containers::behaviour::Behaviour;
use secure_callbacks_containers::certificates::Holder;
use secure_callbacks_containers::load::Through;
use secure_callbacks_containers::replies::Line;
use secure_callbacks_harness::clock::now;
use secure_callbacks_harness::ids;
use secure_callbacks_harness::people::SENDER_SUBJECT;
use secure_callbacks_harness::proxy::Ports;
use secure_callbacks_harness::send::{self, Message};
use secure_callbacks_support::token::payload_hash;
use secure_callbacks_support::{Expectation, Framing, Host, Rendered, Row, load_from};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Where `tests/vectors` is mounted.
const VECTORS: &str = "/vectors";
/// `max_body_size` of the containers' policy, which is the demo's.
const MAX_BODY_SIZE: usize = 64 * 1024;
/// When the application has what it takes 3 seconds for, and the same bytes are sent once more.
const ARRIVED_AFTER: Duration = Duration::from_secs(1);
/// Rows at once: they mostly wait.
const AT_ONCE: usize = 8;

pub(crate) async fn run(through: Through) -> Result<Vec<Line>> {
    let vectors = load_from(Path::new(VECTORS)).map_err(|error| anyhow!("{error}"))?;
    let ports = ports(through, Holder::Sender).await?;
    let mut rows: Vec<Row> = vectors.rows.into_iter().filter(|row| row.policy == "default").collect();
    rows.reverse();
    let rows = Arc::new(std::sync::Mutex::new(rows));
    let mut runners = JoinSet::new();
    for _ in 0..AT_ONCE {
        let rows = Arc::clone(&rows);
        runners.spawn(async move {
            let mut lines = Vec::new();
            loop {
                let next = rows.lock().unwrap().pop();
                let Some(row) = next else { return lines };
                lines.extend(run_row(through, ports, &row).await);
            }
        });
    }
    Ok(runners.join_all().await.concat())
}

/// The sendings of one row, each a line.
async fn run_row(through: Through, ports: Ports, row: &Row) -> Vec<Line> {
    let host = match through {
        Through::Envoy => Host::Envoy,
        Through::EnvoyModule => Host::EnvoyModule,
        Through::Nginx => Host::Nginx,
    };
    let Ok(case) = row.expect_for(host) else { return Vec::new() };
    let id = ids::unique();
    let mut sendings: Vec<(Rendered, Expectation)> = row.render_before(now(), &id);
    let mut rendered = row.render(now(), &id);
    if case.meanwhile.is_some() {
        // The application takes 3 seconds then, and no token is over the path.
        rendered.path = format!("{}/{}", rendered.path, Behaviour::Slow.name());
    }
    let first = sendings.len();
    sendings.push((rendered.clone(), case.expect));
    let together = case.meanwhile.is_some();
    sendings.extend(case.meanwhile.into_iter().chain(case.again).map(|expect| (rendered.clone(), expect)));
    if sendings.iter().any(|(rendered, _)| rendered.body().len() > MAX_BODY_SIZE) {
        return Vec::new();
    }
    let mut replies = Vec::new();
    for (index, (rendered, _)) in sendings.iter().enumerate() {
        let message = Message::from(rendered);
        if together && index == first {
            let later = async {
                sleep(ARRIVED_AFTER).await;
                send::send(ports, &message).await
            };
            replies.extend(<[_; 2]>::from(tokio::join!(send::send(ports, &message), later)));
        } else if !(together && index == first + 1) {
            replies.push(send::send(ports, &message).await);
        }
    }
    let mut deliveries = 0;
    let mut lines = Vec::new();
    for ((rendered, expect), reply) in sendings.into_iter().zip(replies) {
        let expect = rendered.fill(&expect);
        let ended = through == Through::Nginx && rendered.framing == Framing::H2Trailers;
        deliveries += usize::from(expect.forwarded() && !ended);
        let due = if ended {
            REFUSED.to_owned()
        } else {
            format!("{} {}", expect.status, expect.code.as_deref().unwrap_or("-"))
        };
        let came = match reply {
            Ok(reply) if ended && reply.status >= 400 => REFUSED.into(),
            Ok(reply) => words(&reply),
            Err(_) if ended => REFUSED.into(),
            Err(error) => format!("no reply: {error:#}"),
        };
        let identity = expect.upstream_headers.clone().into_iter();
        lines.push(Line {
            name: row.name.clone(),
            due,
            came,
            id: id.clone(),
            sha256: payload_hash(&rendered.body()),
            deliveries,
            // The tables know no client certificate; here there is one. The application writes down no other headers.
            identity: identity
                .filter(|(name, _)| name.starts_with("x-callback-"))
                .chain([(SUBJECT.to_owned(), Some(SENDER_SUBJECT.to_owned()))])
                .collect(),
        });
    }
    lines
}
