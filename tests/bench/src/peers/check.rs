//! Before a row is timed: it accepts what is good, and refuses what it promises to refuse.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::send::tls::Client;
use tokio::net::TcpStream;

use super::{Checks, Helper, Instance, Site};
use crate::load::http1::Connection;
use crate::load::requests::{self, Kind};
use crate::results::Case;

/// Sends one callback of each kind, over plain HTTP/1.1, and over TLS where the row has it.
pub(crate) async fn check(instance: &Instance, site: &Site, with_tls: bool) -> Result<()> {
    let peer = instance.peer;
    for (kind, passes) in [
        (Kind::Good, true),
        (Kind::Forged, peer.checks == Checks::Nothing),
        (Kind::ChangedBody, peer.checks != Checks::TokenAndBody),
    ] {
        for tls in [false, true] {
            if tls && !with_tls {
                continue;
            }
            let client = tls.then(|| site.certificates.client.as_ref());
            let before = site.arrived();
            let status = send(if tls { instance.tls } else { instance.http1 }, client, kind).await?;
            let expected = if passes { 200 } else { 401 };
            let (host, name) = (peer.host.title(), peer.name);
            ensure!(status == expected, "{host} {name}: {kind:?} was answered {status} instead of {expected}");
            if !matches!(peer.helper, Some(Helper::Application { .. })) {
                let arrived = site.arrived() - before;
                ensure!(
                    arrived == u64::from(passes),
                    "{host} {name}: {kind:?} reached the application {arrived} times"
                );
            }
        }
    }
    Ok(())
}

async fn send(address: SocketAddr, client: Option<&Client>, kind: Kind) -> Result<u16> {
    let body = requests::body(Case::COMMON.body_bytes);
    let callback = requests::make(1, &body, kind).pop().context("no callback")?;
    let reply = match client {
        Some(client) => Connection::over(client.open(address, b"http/1.1").await?.stream).exchange(&callback).await?,
        None => Connection::over(TcpStream::connect(address).await?).exchange(&callback).await?,
    };
    Ok(reply.status)
}
