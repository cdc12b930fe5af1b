//! What the tests share: one proxy of each kind under a plain policy.
use anyhow::{Context, Result};
use secure_callbacks_harness::lazy::Lazy;
use secure_callbacks_harness::proxy::Proxy;
use secure_callbacks_harness::running::Running;
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::tools::ProxyKind;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The policy of the shared proxy, and of most others. The signer's default secret is in it.
pub(crate) const POLICY: &str = "plain";

/// The policy [`POLICY`].
pub(crate) fn policy() -> Value {
    secure_callbacks_support::policy(json!({ "expose_reason": true }))
}

/// One kind of proxy; the shared instance starts at its first use.
pub(crate) struct Stage {
    pub(crate) kind: ProxyKind,
    running: Lazy<Running>,
}

impl Stage {
    pub(crate) fn new(kind: ProxyKind) -> Self {
        Self { kind, running: Lazy::default() }
    }

    /// A test that uses the shared instance.
    pub(crate) fn test(self: &Arc<Self>, name: &str, tests: &mut Tests<'_>, test: fn(&Running) -> Result<()>) {
        let stage = Arc::clone(self);
        tests.add(name, move || {
            let running = stage.running.get(|| {
                let policies = BTreeMap::from([(POLICY.to_owned(), policy())]);
                let start = async |application| Proxy::with_policies(stage.kind, &policies, application).await;
                let running = Running::start(start)?;
                let ports = running.proxy.ports(POLICY);
                Ok(running.at(vec![ports]))
            })?;
            test(running).with_context(|| format!("the proxy's log ends so:\n{}", running.log_end()))
        });
    }
}
