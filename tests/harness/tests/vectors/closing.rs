//! What can be said only when all rows are through.
use crate::Stage;
use anyhow::{Result, ensure};
use secure_callbacks_harness::running::Running;
use secure_callbacks_harness::suite::Tests;
use std::sync::Arc;

impl Stage {
    /// The checks of the whole run; none where there was no proxy.
    pub(crate) fn close(self: &Arc<Self>, tests: &mut Tests<'_>) {
        if !self.running.was_used() {
            return;
        }
        type Check = fn(&Stage, &Running) -> Result<()>;
        let checks: [(&str, Check); 3] = [
            ("only_what_was_accepted_reached_the_upstream", Self::nothing_else_arrived),
            ("no_secret_and_no_token_in_any_log", Self::logs_are_clean),
            ("the_filter_never_failed", Self::no_crash),
        ];
        for (name, check) in checks {
            let stage = Arc::clone(self);
            tests.add(format!("{}end::{name}", self.over.label()), move || check(&stage, stage.running()?));
        }
    }

    fn nothing_else_arrived(&self, running: &Running) -> Result<()> {
        let sent = self.sent.lock().unwrap();
        for id in running.upstream.seen() {
            let due = sent.forwarded.get(&id).copied().unwrap_or(0);
            let row = sent.rows.get(&id).map_or("(no row)", String::as_str);
            let arrived = running.upstream.deliveries(&id);
            ensure!(due > 0 && arrived <= due, "{row}: something arrived ({arrived} deliveries), due were {due}");
        }
        let totals = running.upstream.totals();
        let due: usize = sent.forwarded.values().sum();
        ensure!(totals.without_id == 0 && totals.broken == 0, "requests that nobody sent: {totals:?}");
        ensure!(totals.requests <= due, "{} requests where {due} were due", totals.requests);
        Ok(())
    }

    fn logs_are_clean(&self, running: &Running) -> Result<()> {
        let log = running.proxy.log() + &running.proxy.access_log();
        for signature in &self.sent.lock().unwrap().signatures {
            ensure!(!log.contains(signature), "a log holds a token: {}", line_with(&log, signature));
        }
        for policy in self.vectors.policies.values() {
            for secret in secrets(policy) {
                ensure!(!log.contains(&secret), "a log holds a secret: {}", line_with(&log, &secret));
            }
        }
        Ok(())
    }

    fn no_crash(&self, running: &Running) -> Result<()> {
        let log = running.proxy.log();
        // nginx: a worker that died, or a panic caught by the module; Envoy: a trap in the VM.
        for sign in [
            "exited on signal",
            "panicked at",
            "a fault inside",
            "[alert]",
            "[crit]",
            "wasm trap",
            "Uncaught RuntimeError",
        ] {
            ensure!(!log.contains(sign), "{}", line_with(&log, sign));
        }
        Ok(())
    }
}

fn secrets(policy: &serde_json::Value) -> Vec<String> {
    let accounts = policy["accounts"].as_array().cloned().unwrap_or_default();
    let all = accounts.iter().flat_map(|account| account["secrets"].as_array().cloned().unwrap_or_default());
    all.filter_map(|secret| Some(secret.as_str()?.strip_prefix("text:")?.to_owned())).collect()
}

fn line_with<'a>(log: &'a str, text: &str) -> &'a str {
    log.lines().find(|line| line.contains(text)).unwrap_or_default()
}
