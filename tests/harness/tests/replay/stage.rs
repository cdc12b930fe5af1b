//! How tests share a proxy, and the machine.
use crate::site::{Plan, Site, policy};
use anyhow::{Context, Result};
use secure_callbacks_harness::tools::ProxyKind;
use serde_json::json;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

/// A named test.
pub(crate) type Test = (String, Box<dyn FnOnce() -> Result<()> + Send>);

/// Tests in the making.
#[derive(Default)]
pub(crate) struct Tests(pub(crate) Vec<Test>);

impl Tests {
    /// A test that shares the machine with others.
    pub(crate) fn add(&mut self, name: &str, kind: ProxyKind, test: fn(ProxyKind) -> Result<()>) {
        let body = move || {
            let _machine = share();
            test(kind)
        };
        self.0.push((name.to_owned(), Box::new(body)));
    }

    /// A test that does nothing for most of its time. Until then it is to [`share`] the machine.
    pub(crate) fn sleeping(&mut self, name: &str, kind: ProxyKind, test: fn(ProxyKind) -> Result<()>) {
        self.0.push((name.to_owned(), Box::new(move || test(kind))));
    }

    /// A test that others would disturb.
    pub(crate) fn alone(&mut self, name: &str, kind: ProxyKind, test: fn(ProxyKind) -> Result<()>) {
        let body = move || {
            let _machine = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
            test(kind)
        };
        self.0.push((name.to_owned(), Box::new(body)));
    }
}

static MACHINE: RwLock<()> = RwLock::new(());

/// Keeps tests away that want the machine for themselves.
pub(crate) fn share() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// Gives the machine back and sleeps. The few requests after that disturb nobody, and what they wait for has its time.
pub(crate) fn sleep(machine: RwLockReadGuard<'static, ()>, time: Duration) {
    drop(machine);
    std::thread::sleep(time);
}

/// One kind of proxy; the shared instance starts at its first use.
pub(crate) struct Stage {
    pub(crate) kind: ProxyKind,
    site: OnceLock<Result<Site, String>>,
}

impl Stage {
    pub(crate) fn new(kind: ProxyKind) -> Self {
        Self { kind, site: OnceLock::new() }
    }

    /// A test that uses the shared instance.
    pub(crate) fn test(self: &Arc<Self>, name: &str, tests: &mut Tests, test: fn(&Site) -> Result<()>) {
        let stage = Arc::clone(self);
        let body = move || {
            let _machine = share();
            let site = stage.site()?;
            test(site).with_context(|| format!("the proxy's log ends so:\n{}", site.log_end()))
        };
        tests.0.push((name.to_owned(), Box::new(body)));
    }

    fn site(&self) -> Result<&Site> {
        let start = || Site::start(self.kind, Plan::of(policy(json!({})))).map_err(|error| format!("{error:#}"));
        self.site.get_or_init(start).as_ref().map_err(|error| anyhow::anyhow!("{error}"))
    }
}
