//! How tests share a proxy, and the machine.
use crate::site::{Plan, Site, policy};
use anyhow::{Context, Result};
use secure_callbacks_harness::lazy::Lazy;
use secure_callbacks_harness::tools::ProxyKind;
use serde_json::json;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

pub(crate) use secure_callbacks_harness::suite::Tests;

/// How a test uses the machine.
pub(crate) trait Machine {
    /// A test that shares the machine with others.
    fn shared(&mut self, name: &str, test: fn(ProxyKind) -> Result<()>);

    /// A test that does nothing for most of its time. Until then it is to [`share`] the machine.
    fn sleeping(&mut self, name: &str, test: fn(ProxyKind) -> Result<()>);

    /// A test that others would disturb.
    fn alone(&mut self, name: &str, test: fn(ProxyKind) -> Result<()>);
}

impl Machine for Tests<'_> {
    fn shared(&mut self, name: &str, test: fn(ProxyKind) -> Result<()>) {
        let kind = self.kind;
        self.add(name, move || {
            let _machine = share();
            test(kind)
        });
    }

    fn sleeping(&mut self, name: &str, test: fn(ProxyKind) -> Result<()>) {
        let kind = self.kind;
        self.add(name, move || test(kind));
    }

    fn alone(&mut self, name: &str, test: fn(ProxyKind) -> Result<()>) {
        let kind = self.kind;
        self.add(name, move || {
            let _machine = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
            test(kind)
        });
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
    site: Lazy<Site>,
}

impl Stage {
    pub(crate) fn new(kind: ProxyKind) -> Self {
        Self { kind, site: Lazy::default() }
    }

    /// A test that uses the shared instance.
    pub(crate) fn test(self: &Arc<Self>, name: &str, tests: &mut Tests<'_>, test: fn(&Site) -> Result<()>) {
        let stage = Arc::clone(self);
        tests.add(name, move || {
            let _machine = share();
            let site = stage.site.get(|| Site::start(stage.kind, Plan::of(policy(json!({})))))?;
            test(site).with_context(|| format!("the proxy's log ends so:\n{}", site.log_end()))
        });
    }
}
