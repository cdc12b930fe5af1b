//! The client in a container of its own: it stands where Vonage stands, outside, with a client certificate.
//!
//! Its container idles in `sender wait`; `containers` runs the other commands in it and reads their standard output.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test-only code")]

mod exchange;
mod pour;
mod rows;
mod table;

use anyhow::{Context, Result, bail};
use secure_callbacks_containers::certificates;
use secure_callbacks_containers::load::Through;
use secure_callbacks_containers::tls::FOLDER;
use serde::Serialize;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};

/// The signature secret of the account, which both proxies have: see `tests/docker/compose.yaml`.
const SECRET: &str = secure_callbacks_support::token::SECRET;

const USAGE: &str = "usage: sender wait | certificates | check | load ORDER | table PROXY | rows PROXY | reach ADDRESS";

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sender: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["wait"] => {
            signal(SignalKind::terminate())?.recv().await;
            Ok(())
        }
        ["certificates"] => certificates::make(Path::new(FOLDER)),
        ["check"] => {
            std::fs::read(Path::new(FOLDER).join("complete")).context("no certificates")?;
            Ok(())
        }
        ["load", order] => print(&pour::run(serde_json::from_str(order).context("the order")?).await?),
        ["table", proxy] => print(&table::run(through(proxy)?).await?),
        ["rows", proxy] => print(&rows::run(through(proxy)?).await?),
        ["reach", address] => reach(address.parse().context("the address")?).await,
        _ => bail!("{USAGE}"),
    }
}

fn through(proxy: &str) -> Result<Through> {
    Through::ALL.into_iter().find(|through| through.service() == proxy).with_context(|| format!("no proxy {proxy:?}"))
}

fn print(value: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}

/// Fails unless a connection can be made: the application must not be reachable from here.
async fn reach(address: SocketAddr) -> Result<()> {
    tokio::time::timeout(Duration::from_secs(2), TcpStream::connect(address)).await.context("no answer")??;
    Ok(())
}
