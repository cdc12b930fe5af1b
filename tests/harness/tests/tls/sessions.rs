//! Connections: resumed sessions, and several callbacks on one.
use crate::rows::{Due, check, logged};
use crate::site::{Site, client};
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::people::{SENDER_SUBJECT, Who};
use secure_callbacks_harness::send::tls::Version;
use secure_callbacks_harness::send::{http1, http2};
use secure_callbacks_harness::tools::ProxyKind;
use std::future::Future;
use std::pin::Pin;

/// A test of connections.
pub(crate) type Test = for<'s> fn(&'s Site, Version) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 's>>;

/// A test that starts proxies of its own.
pub(crate) type KindTest = fn(ProxyKind, Version) -> Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// All of them, by name.
pub(crate) const TESTS: [(&str, Test); 6] = [
    ("resumed_session_keeps_the_certificate", |site, version| {
        Box::pin(resumed(site, version, "name", Who::Sender, Due::Accepted(Some(SENDER_SUBJECT))))
    }),
    ("resumed_session_keeps_the_fingerprint", |site, version| {
        Box::pin(resumed(site, version, "three-kinds", Who::Sender, Due::Accepted(Some(SENDER_SUBJECT))))
    }),
    ("resumed_session_keeps_the_wrong_name", |site, version| {
        Box::pin(resumed(site, version, "name", Who::OtherName, Due::Refused("client_certificate_mismatch")))
    }),
    ("resumed_session_has_no_certificate_if_it_had_none", |site, version| {
        Box::pin(resumed(site, version, "name", Who::Nobody, Due::Refused("client_certificate_missing")))
    }),
    ("several_on_one_connection", |site, version| Box::pin(kept_alive(site, version))),
    ("several_on_one_http2_connection", |site, version| Box::pin(shared(site, version))),
];

/// The first connection is a full handshake and the later ones resume it; each gets the same verdict.
async fn resumed(site: &Site, version: Version, door: &str, who: Who, due: Due) -> Result<()> {
    let client = client(who, version)?;
    for (nth, expected) in [false, true, true].into_iter().enumerate() {
        let callback = Callback::new();
        let (reply, resumed) = client.exchange(site.address(door)?, &callback.message).await?;
        ensure!(resumed == expected, "connection {nth}: resumed: {resumed}");
        check(site, &callback, Ok(reply), due).with_context(|| format!("connection {nth}"))?;
    }
    Ok(())
}

async fn kept_alive(site: &Site, version: Version) -> Result<()> {
    let session = client(Who::Sender, version)?.open(site.address("three-kinds")?, b"http/1.1").await?;
    let mut connection = http1::Connection::over(session.stream);
    for _ in 0..5 {
        let callback = Callback::new();
        connection.write(&callback.wire()).await?;
        let reply = connection.reply().await;
        check(site, &callback, reply, Due::Accepted(Some(SENDER_SUBJECT)))?;
        let result = logged(site, &callback).await?;
        ensure!(result == "accepted", "the access log says {result:?}");
    }
    Ok(())
}

async fn shared(site: &Site, version: Version) -> Result<()> {
    let session = client(Who::Sender, version)?.open(site.address("three-kinds")?, b"h2").await?;
    let connection = http2::Connection::over(session.stream).await?;
    let mut streams = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let connection = connection.clone();
        let callback = Callback::new().framed(secure_callbacks_support::Framing::H2);
        streams.spawn(async move {
            let reply = connection.send(&callback.message).await;
            (callback, reply)
        });
    }
    while let Some(stream) = streams.join_next().await {
        let (callback, reply) = stream?;
        check(site, &callback, reply, Due::Accepted(Some(SENDER_SUBJECT)))?;
    }
    Ok(())
}
