//! Every row of `tests/vectors` as real bytes through every real proxy: `vectors::<proxy>::<row>`.
//!
//! A row passes when status, code, reply and forwarded request are as the table says, and when of a refused callback
//! not one byte reached the application. That last thing is asked again of the whole run when all rows are through.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test-only code")]

mod checks;
mod closing;

use anyhow::{Context, Result, ensure};
use checks::{check_forwarded, check_reply};
use secure_callbacks_harness::clock::now;
use secure_callbacks_harness::ids;
use secure_callbacks_harness::lazy::Lazy;
use secure_callbacks_harness::proxy::{self, Proxy};
use secure_callbacks_harness::running::Running;
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::{self, Message, Reply};
use secure_callbacks_harness::suite::{Suite, Tests};
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_harness::upstream::{Answer, Gate};
use secure_callbacks_support::{Case, Expectation, Framing, Host, Rendered, Row, Vectors, load};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Rows at once: they mostly wait.
const THREADS: usize = 16;

fn main() {
    let mut suite = Suite::new("vectors", THREADS);
    let vectors = Arc::new(load().unwrap_or_else(|error| panic!("{error}")));
    let kinds = ProxyKind::all().into_iter();
    let stages: Vec<_> = kinds.map(|kind| Arc::new(Stage::new(kind, Arc::clone(&vectors)))).collect();
    for index in 0..vectors.rows.len() {
        // One row through all proxies, then the next: so they start side by side.
        stages.iter().for_each(|stage| stage.add(index, &mut suite.on(stage.kind)));
    }
    suite.run_and_close(stages, |stages, suite| {
        stages.iter().for_each(|stage| stage.close(&mut suite.on(stage.kind)));
    });
}

/// One proxy and all that went through it.
struct Stage {
    kind: ProxyKind,
    vectors: Arc<Vectors>,
    running: Lazy<Running>,
    sent: Mutex<Sent>,
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
        Self { kind, vectors, running: Lazy::default(), sent: Mutex::default() }
    }

    fn host(&self) -> Host {
        match self.kind {
            ProxyKind::Envoy => Host::Envoy,
            ProxyKind::EnvoyModule => Host::EnvoyModule,
            ProxyKind::Nginx(_) => Host::Nginx,
        }
    }

    fn running(&self) -> Result<&Running> {
        let start = async |upstream| Proxy::with_policies(self.kind, &self.vectors.policies, upstream).await;
        self.running.get(|| Running::start(start))
    }

    fn add(self: &Arc<Self>, index: usize, tests: &mut Tests<'_>) {
        let row = &self.vectors.rows[index];
        match row.expect_for(self.host()) {
            Err(reason) => tests.add_unless(Some(reason), &row.name, || Ok(())),
            Ok(case) => {
                let stage = Arc::clone(self);
                tests.add(&row.name, move || stage.run(&stage.vectors.rows[index], &case));
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
        outcome.with_context(|| format!("{} ({})\n{}", row.name, row.why, log_of(running, &id)))
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
        let reply = send(running, row, rendered).await?;
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
        let logged = logged_code(running, id, sending).await?;
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
        if let Ok(reply) = send(running, row, rendered).await {
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

async fn send(running: &Running, row: &Row, rendered: &Rendered) -> Result<Reply> {
    send::send(running.proxy.ports(&row.policy), &Message::from(rendered)).await
}

/// The code in the access log for the `sending`-th request with `id`.
async fn logged_code(running: &Running, id: &str, sending: usize) -> Result<String> {
    let line = running.proxy.nth_access_line(id, sending).await.context("no line in the access log")?;
    line.split(' ').nth(2).map(str::to_owned).context("no code in the access log")
}

fn log_of(running: &Running, id: &str) -> String {
    let log = running.proxy.log();
    proxy::tail(&log.lines().filter(|line| line.contains(id)).collect::<Vec<_>>().join("\n"))
}

fn row_exposes(vectors: &Vectors, row: &Row) -> bool {
    vectors.policies[&row.policy].get("expose_reason").and_then(serde_json::Value::as_bool) == Some(true)
}
