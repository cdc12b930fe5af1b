//! Every row of `tests/vectors` as real bytes through every real proxy: `vectors::<proxy>::<row>`.
//!
//! A row passes when status, code, reply and forwarded request are as the table says, and when of a refused callback
//! not one byte reached the application. That last thing is asked again of the whole run when all rows are through.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test-only code: stopping at the first surprise is what a test is for"
)]

mod checks;
mod closing;

use anyhow::{Context, Result, ensure};
use checks::{check_forwarded, check_reply};
use libtest_mimic::{Arguments, Failed, Trial};
use secure_callbacks_harness::ids;
use secure_callbacks_harness::proxy::{self, Proxy, envoy};
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::{self, Message, Reply};
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_harness::upstream::{Answer, Gate, Upstream};
use secure_callbacks_support::{Case, Expectation, Framing, Host, Rendered, Row, Vectors, load};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Rows at once: they mostly wait.
const THREADS: usize = 16;

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let vectors = Arc::new(load().unwrap_or_else(|error| panic!("{error}")));
    let stages: Vec<_> = ProxyKind::ALL.map(|kind| Arc::new(Stage::new(kind, Arc::clone(&vectors)))).into();
    let mut trials = Vec::new();
    for index in 0..vectors.rows.len() {
        // One row through all proxies, then the next: so they start side by side.
        trials.extend(stages.iter().map(|stage| stage.trial(index)));
    }
    let rows = libtest_mimic::run(&arguments, trials);
    let ends = stages.iter().flat_map(Stage::closing_trials).collect();
    let end = libtest_mimic::run(&arguments, ends);
    // The proxies end here; leaving through `exit` would drop nothing.
    drop(stages);
    let failed = rows.has_failed() || end.has_failed();
    proxy::finish(failed);
    if failed {
        std::process::exit(101);
    }
}

/// One proxy and all that went through it.
struct Stage {
    kind: ProxyKind,
    vectors: Arc<Vectors>,
    missing: Option<String>,
    running: OnceLock<Result<Running, String>>,
    sent: Mutex<Sent>,
}

struct Running {
    proxy: Proxy,
    upstream: Upstream,
}

#[derive(Default)]
struct Sent {
    /// Id to the number of deliveries that were due.
    forwarded: BTreeMap<String, usize>,
    /// Id to the row's name.
    rows: BTreeMap<String, String>,
    signatures: BTreeSet<String>,
}

impl Stage {
    fn new(kind: ProxyKind, vectors: Arc<Vectors>) -> Self {
        let missing = tools::find(kind).err().map(|error| format!("{error:#}"));
        Self { kind, vectors, missing, running: OnceLock::new(), sent: Mutex::default() }
    }

    fn host(&self) -> Host {
        match self.kind {
            ProxyKind::Envoy => Host::Envoy,
            ProxyKind::EnvoyModule => Host::EnvoyModule,
            ProxyKind::NginxDebian | ProxyKind::NginxStable => Host::Nginx,
        }
    }

    fn running(&self) -> Result<&Running> {
        let started = self.running.get_or_init(|| {
            wait(async {
                let upstream = Upstream::start().await?;
                let proxy = Proxy::with_policies(self.kind, &self.vectors.policies, upstream.address()).await?;
                Ok(Running { proxy, upstream })
            })
            .map_err(|error: anyhow::Error| format!("{error:#}"))
        });
        started.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
    }

    fn trial(self: &Arc<Self>, index: usize) -> Trial {
        let row = &self.vectors.rows[index];
        let name = format!("vectors::{}::{}", self.kind.name(), row.name);
        if let Some(missing) = self.missing.as_ref().filter(|_| tools::skipping_is_allowed()) {
            return Trial::test(name, || Ok(())).with_kind(missing.clone()).with_ignored_flag(true);
        }
        match row.expect_for(self.host()) {
            Err(reason) => Trial::test(name, || Ok(())).with_kind(reason.to_owned()).with_ignored_flag(true),
            Ok(case) => {
                let stage = Arc::clone(self);
                let run = move || stage.run(&stage.vectors.rows[index], &case).map_err(failed);
                let kind = self.kind;
                Trial::test(name, move || envoy::with(kind, run))
            }
        }
    }

    fn run(&self, row: &Row, case: &Case) -> Result<()> {
        let running = self.running()?;
        let id = ids::unique();
        let outcome: Result<()> = wait(async {
            // The rows before, the row, and the very same bytes again: all under one id, counted as they go.
            let before = row.render_before(now(), &id);
            let steps = before.len();
            for (index, (rendered, expect)) in before.iter().enumerate() {
                let step = self.once(running, row, rendered, expect, &id, index + 1).await;
                step.with_context(|| format!("what is sent before, number {}", index + 1))?;
            }
            let rendered = row.render(now(), &id);
            self.remember_signature(&rendered);
            let mut sent = steps + 1;
            if let Some(meanwhile) = &case.meanwhile {
                self.meanwhile(running, row, &rendered, (&case.expect, meanwhile), &id, sent).await?;
                sent += 1;
            } else {
                self.once(running, row, &rendered, &case.expect, &id, sent).await.context("first sending")?;
            }
            if let Some(again) = &case.again {
                self.once(running, row, &rendered, again, &id, sent + 1).await.context("sent again")?;
            }
            Ok(())
        });
        outcome.with_context(|| format!("{} ({})\n{}", row.name, row.why, running.log_of(&id)))
    }

    /// Sends, and once more before the upstream has answered: that one's line comes first in the access log.
    async fn meanwhile(
        &self,
        running: &Running,
        row: &Row,
        rendered: &Rendered,
        (first, meanwhile): (&Expectation, &Expectation),
        id: &str,
        sending: usize,
    ) -> Result<()> {
        let gate = Gate::default();
        running.upstream.script(id, [Answer::status(200).behind(&gate), Answer::status(200)]);
        let before = running.upstream.deliveries(id);
        let first = async { self.once(running, row, rendered, first, id, sending + 1).await.context("first sending") };
        let second = async {
            let arrived = running.upstream.arrives(id, before + 1).await;
            let outcome = self.once(running, row, rendered, meanwhile, id, sending).await.context("sent meanwhile");
            gate.open();
            ensure!(arrived, "the first sending does not reach the upstream");
            outcome
        };
        // What the first meets is no news where the second went wrong.
        let (first, second) = tokio::join!(first, second);
        second.and(first)
    }

    /// Sends once and checks all that can be seen; `sending` counts what went out under `id`, from 1.
    async fn once(
        &self,
        running: &Running,
        row: &Row,
        rendered: &Rendered,
        expect: &Expectation,
        id: &str,
        sending: usize,
    ) -> Result<()> {
        if self.kind.is_nginx() && rendered.framing == Framing::H2Trailers {
            return self.ended_by_nginx(running, row, rendered, id).await;
        }
        let expect = rendered.fill(expect);
        let nth = self.due(id, row, expect.forwarded());
        let reply = running.send(row, rendered).await?;
        // Another sending may have gone out since.
        let due = self.due_now(id);
        ensure!(reply.status == expect.status, "status {} instead of {}: {reply:?}", reply.status, expect.status);
        check_reply(&reply, &expect)?;
        if expect.forwarded() {
            let requests = running.upstream.requests(id);
            ensure!(requests.len() == due, "{} requests at the upstream instead of {due}", requests.len());
            check_forwarded(&requests[nth - 1], rendered, &expect)?;
        } else if row_exposes(&self.vectors, row) {
            let code = reply.code();
            ensure!(code == expect.code, "code {code:?} instead of {:?}: {}", expect.code, reply.text());
        }
        let logged = running.logged_code(id, sending).await.context("no line in the access log")?;
        ensure!(
            expect.code.as_deref().unwrap_or("-") == logged,
            "the access log says {logged:?} instead of {:?}",
            expect.code
        );
        ensure!(
            running.upstream.deliveries(id) == due && running.upstream.saw(id) == (due > 0),
            "the upstream saw {} deliveries instead of {due}",
            running.upstream.deliveries(id)
        );
        Ok(())
    }

    /// Nginx itself knows no trailers in HTTP/2: it ends the connection at them, whatever the callback is worth. A bad
    /// head is answered before that. Either way nothing may be forwarded.
    async fn ended_by_nginx(&self, running: &Running, row: &Row, rendered: &Rendered, id: &str) -> Result<()> {
        self.due(id, row, false);
        if let Ok(reply) = running.send(row, rendered).await {
            ensure!(reply.status >= 400, "status {}: {}", reply.status, reply.text());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        ensure!(!running.upstream.saw(id), "it reached the upstream");
        Ok(())
    }

    /// How many requests with `id` are due at the upstream, now that one more goes out.
    fn due(&self, id: &str, row: &Row, forwarded: bool) -> usize {
        let mut sent = self.sent.lock().unwrap();
        sent.rows.insert(id.to_owned(), row.name.clone());
        let due = sent.forwarded.entry(id.to_owned()).or_default();
        *due += usize::from(forwarded);
        *due
    }

    fn due_now(&self, id: &str) -> usize {
        self.sent.lock().unwrap().forwarded.get(id).copied().unwrap_or(0)
    }

    fn remember_signature(&self, rendered: &Rendered) {
        let signature = rendered.token.as_ref().and_then(|token| token.rsplit('.').next());
        // A short rest would be found in anything.
        if let Some(signature) = signature.filter(|signature| signature.len() >= 40) {
            self.sent.lock().unwrap().signatures.insert(signature.to_owned());
        }
    }
}

impl Running {
    async fn send(&self, row: &Row, rendered: &Rendered) -> Result<Reply> {
        send::send(self.proxy.ports(&row.policy), &Message::from(rendered)).await
    }

    /// The code in the access log for the `sending`-th request with `id`.
    async fn logged_code(&self, id: &str, sending: usize) -> Option<String> {
        for _ in 0..250 {
            let log = self.proxy.access_log();
            // A line is whole only with its end.
            let line = log.split_inclusive('\n').filter(|line| line.ends_with('\n') && line.contains(id));
            if let Some(line) = line.clone().nth(sending - 1) {
                return line.split(' ').nth(2).map(|code| code.trim().to_owned());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }

    fn log_of(&self, id: &str) -> String {
        let log = self.proxy.log();
        proxy::tail(&log.lines().filter(|line| line.contains(id)).collect::<Vec<_>>().join("\n"))
    }
}

fn row_exposes(vectors: &Vectors, row: &Row) -> bool {
    vectors.policies[&row.policy].get("expose_reason").and_then(serde_json::Value::as_bool) == Some(true)
}

fn failed(error: anyhow::Error) -> Failed {
    format!("{error:#}").into()
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
