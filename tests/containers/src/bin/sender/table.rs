//! The demo's table over mutual TLS.
use crate::SECRET;
use anyhow::Result;
use secure_callbacks_containers::certificates::Holder;
use secure_callbacks_containers::load::{PORT, Through};
use secure_callbacks_containers::replies::Line;
use secure_callbacks_containers::tls::Dialer;
use secure_callbacks_harness::cases;
use secure_callbacks_harness::clock::now;
use secure_callbacks_harness::ids;
use secure_callbacks_harness::people::SENDER_SUBJECT;
use secure_callbacks_harness::proxy::Ports;
use secure_callbacks_harness::send::{self, Reply};
use secure_callbacks_support::token::payload_hash;

/// The header with the subject of a validated certificate.
pub(crate) const SUBJECT: &str = "x-ssl-client-subject-dn";

/// What a line comes to when no reply is due that a table could name.
pub(crate) const REFUSED: &str = "refused";

/// Plain ports on loopback that lead to the proxy as `holder`.
pub(crate) async fn ports(through: Through, holder: Holder) -> Result<Ports> {
    let dial = |protocol| Dialer::new(through.service(), PORT, holder, protocol);
    Ok(Ports { http1: dial("http/1.1")?.plain_port().await?, http2: dial("h2")?.plain_port().await?, http3: None })
}

/// Status and code as the tables write them.
pub(crate) fn words(reply: &Reply) -> String {
    let code = match reply.status {
        200..=299 => "accepted".into(),
        _ => reply.code().unwrap_or_else(|| "-".into()),
    };
    format!("{} {code}", reply.status)
}

pub(crate) async fn run(through: Through) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for case in cases::all() {
        // Here everything is over TLS: what the demo sends in the clear too.
        let holder = case.holder.unwrap_or(Holder::Sender);
        let ports = ports(through, holder).await?;
        let id = ids::unique();
        let message = case.message(&format!("/callbacks/{id}"), now(), SECRET);
        let accepted = case.expected.status == 200;
        let mut deliveries = usize::from(accepted);
        if case.replayed {
            send::send(ports, &message).await?;
            deliveries += 1;
        }
        let ended = case.ended_by_tls || (case.ended_by_nginx && through == Through::Nginx);
        let due = if ended { REFUSED.into() } else { format!("{} {}", case.expected.status, case.expected.code) };
        let came = match send::send(ports, &message).await {
            Ok(reply) if ended && reply.status >= 400 => REFUSED.into(),
            Ok(reply) => words(&reply),
            Err(_) if ended => REFUSED.into(),
            Err(error) => format!("no reply: {error:#}"),
        };
        let subject = (SUBJECT.to_owned(), Some(SENDER_SUBJECT.to_owned()));
        let identity = if accepted { vec![subject] } else { Vec::new() };
        let sha256 = payload_hash(&message.body());
        lines.push(Line { name: case.name.to_owned(), due, came, id, sha256, deliveries, identity });
    }
    Ok(lines)
}
