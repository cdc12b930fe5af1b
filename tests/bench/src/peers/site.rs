//! What all rows share: the application behind them, certificates, and where programs and modules are.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use secure_callbacks_harness::certificates::{Authority, Identity};
use secure_callbacks_harness::people::{named, sender};
use secure_callbacks_harness::send::tls::{Client, SERVER_NAME, Version};
use secure_callbacks_harness::tools::{self, ProxyKind};
use tokio::net::TcpListener;

use crate::server::{self, Answer};

/// Everything around the rows.
pub(crate) struct Site {
    /// The port of the application behind the proxies.
    pub(crate) upstream: u16,
    /// How many requests have reached it.
    pub(crate) arrived: Arc<AtomicU64>,
    pub(crate) certificates: Certificates,
    pub(crate) replay_capacity: u32,
    /// A second less than ours remembers each callback.
    pub(crate) max_age: &'static str,
    /// Where proxies run: alone on the first core, if there are others for the rest.
    pub(crate) pinned: Option<usize>,
    /// Where they run instead, as `taskset` has it.
    pub(crate) cores: Option<String>,
    /// Run under valgrind, which counts instructions once it is told to.
    pub(crate) counts: bool,
    /// Another `dist` of ours to measure beside this one.
    pub(crate) against: Option<PathBuf>,
    pub(crate) skipped: RefCell<Vec<(String, String)>>,
}

/// What the proxies show and trust over TLS, and what the sender shows.
pub(crate) struct Certificates {
    pub(crate) authority: Authority,
    pub(crate) server: Identity,
    pub(crate) client: Rc<Client>,
}

impl Site {
    /// Starts the application.
    pub(crate) fn start(replay_capacity: u32, pinned: Option<usize>, against: Option<PathBuf>) -> Result<Self> {
        let authority = Authority::root("benchmark");
        let server = authority.issue(&named(SERVER_NAME));
        let client = Rc::new(Client::new(&authority, Some(&authority.issue(&sender())), Version::Tls13)?);
        let arrived = Arc::new(AtomicU64::new(0));
        Ok(Self {
            upstream: application(Arc::clone(&arrived))?,
            arrived,
            certificates: Certificates { authority, server, client },
            replay_capacity,
            max_age: "300s",
            pinned,
            cores: None,
            counts: false,
            against: against.map(std::path::absolute).transpose()?,
            skipped: RefCell::default(),
        })
    }

    /// How many requests have reached the application.
    pub(crate) fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }
}

/// The application that is not measured: takes everything, answers 200. On a thread of its own; its port.
pub(crate) fn application(arrived: Arc<AtomicU64>) -> Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("application".into()).spawn(move || {
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener)?;
            server::serve(listener, move |_| {
                arrived.fetch_add(1, Ordering::Relaxed);
                Answer::Ok
            })
            .await
        })
    })?;
    Ok(port)
}

/// Where `tests/bench/peers` is.
pub(crate) fn peers_directory() -> PathBuf {
    tools::root().join("tests/bench/peers")
}

/// Debian's packages of the Lua and njs modules, unpacked by `cargo xtask bench`.
pub(crate) fn debian() -> PathBuf {
    tools::target().join("tools/bench-nginx")
}

/// The Python environment, made by `cargo xtask bench`.
pub(crate) fn python() -> PathBuf {
    tools::target().join("tools/bench-python/bin/python")
}

/// The filters that check nothing.
pub(crate) fn bench_filters() -> PathBuf {
    tools::target().join("dist/bench_filters.wasm")
}

/// Our filter or module for this proxy; the one in `other`, a copy of `target/dist`, if there is one.
pub(crate) fn filter_module(kind: ProxyKind, other: Option<&Path>) -> Result<PathBuf> {
    let module = tools::find(kind).map(|tools| tools.filter).context("our own module")?;
    match other {
        Some(other) => Ok(other.join(module.strip_prefix(tools::target().join("dist"))?)),
        None => Ok(module),
    }
}
