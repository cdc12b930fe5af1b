//! Every row of `tests/vectors` as real bytes through every real proxy: `vectors::<proxy>::<row>`, and where it speaks
//! HTTP/3 once more over that: `vectors::<proxy>::http3::<row>`.
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
use secure_callbacks_harness::people::{People, Who};
use secure_callbacks_harness::proxy::{self, Proxy};
use secure_callbacks_harness::running::Running;
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::tls::Version;
use secure_callbacks_harness::send::{self, Message, Reply, http3};
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
    let both = |kind: ProxyKind| [Some(Over::Tcp), kind.has_http3().then_some(Over::Quic)].into_iter().flatten();
    let all = ProxyKind::all().into_iter().flat_map(|kind| both(kind).map(move |over| (kind, over)));
    let stages: Vec<_> = all.map(|(kind, over)| Arc::new(Stage::new(kind, over, Arc::clone(&vectors)))).collect();
    for index in 0..vectors.rows.len() {
        // One row through all proxies, then the next: so they start side by side.
        stages.iter().for_each(|stage| stage.add(index, &mut suite.on(stage.kind)));
    }
    suite.run_and_close(stages, |stages, suite| {
        stages.iter().for_each(|stage| stage.close(&mut suite.on(stage.kind)));
    });
}

/// What a row goes over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    /// HTTP/1.1 or HTTP/2, as its framing says.
    Tcp,
    /// HTTP/3: with length, pieces and trailers as the framing has them.
    Quic,
}

impl Over {
    /// What the names of its tests begin with.
    fn label(self) -> &'static str {
        if self == Self::Quic { "http3::" } else { "" }
    }
}

/// One proxy and all that went through it. What is remembered over one version of HTTP is known in all: each has a proxy of
/// its own.
struct Stage {
    kind: ProxyKind,
    over: Over,
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

/// Why a row can't be sent over HTTP/3, if it can't.
fn unsayable_over_quic(row: &Row) -> Option<&'static str> {
    if row.request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
        return Some("HTTP/3 has no Connection header");
    }
    row.request.query.as_deref().is_some_and(|query| query.contains('#')).then_some("the client leaves a fragment out")
}

impl Stage {
    fn new(kind: ProxyKind, over: Over, vectors: Arc<Vectors>) -> Self {
        Self { kind, over, vectors, running: Lazy::default(), sent: Mutex::default() }
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
        let name = format!("{}{}", self.over.label(), row.name);
        let unsayable = || if self.over == Over::Quic { unsayable_over_quic(row) } else { None };
        match row.expect_for(self.host()).and_then(|case| unsayable().map_or(Ok(case), Err)) {
            Err(reason) => tests.add_unless(Some(reason), name, || Ok(())),
            Ok(case) => {
                let stage = Arc::clone(self);
                tests.add(name, move || stage.run(&stage.vectors.rows[index], &case));
            }
        }
    }

    fn run(&self, row: &Row, case: &Case) -> Result<()> {
        let run = Run { stage: self, running: self.running()?, row, id: &ids::unique() };
        wait(run.whole(case)).with_context(|| format!("{} ({})\n{}", row.name, row.why, log_of(run.running, run.id)))
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

/// One row on its way: what is sent before it, itself, and the very same bytes again, all under one id and counted as they
/// go.
struct Run<'r> {
    stage: &'r Stage,
    running: &'r Running,
    row: &'r Row,
    id: &'r str,
}

impl Run<'_> {
    async fn whole(&self, case: &Case) -> Result<()> {
        let before = self.row.render_before(now(), self.id);
        let steps = before.len();
        for (index, (rendered, expect)) in before.iter().enumerate() {
            let step = self.once(rendered, expect, index + 1).await;
            step.with_context(|| format!("what is sent before, number {}", index + 1))?;
        }
        let rendered = self.row.render(now(), self.id);
        self.stage.remember_signature(&rendered);
        let mut sent = steps + 1;
        if let Some(meanwhile) = &case.meanwhile {
            self.meanwhile(&rendered, (&case.expect, meanwhile), sent).await?;
            sent += 1;
        } else {
            self.once(&rendered, &case.expect, sent).await.context("first sending")?;
        }
        if let Some(again) = &case.again {
            self.once(&rendered, again, sent + 1).await.context("sent again")?;
        }
        Ok(())
    }

    /// Sends, and once more before the upstream has answered: that one's line comes first in the access log.
    async fn meanwhile(
        &self,
        rendered: &Rendered,
        (first, meanwhile): (&Expectation, &Expectation),
        sending: usize,
    ) -> Result<()> {
        let (upstream, id) = (&self.running.upstream, self.id);
        let gate = Gate::default();
        upstream.script(id, [Answer::status(200).behind(&gate), Answer::status(200)]);
        let before = upstream.deliveries(id);
        let first = async { self.once(rendered, first, sending + 1).await.context("first sending") };
        let second = async {
            let arrived = upstream.arrives(id, before + 1).await;
            let outcome = self.once(rendered, meanwhile, sending).await.context("sent meanwhile");
            gate.open();
            ensure!(arrived, "the first sending does not reach the upstream");
            outcome
        };
        // What the first meets is no news where the second went wrong.
        let (first, second) = tokio::join!(first, second);
        second.and(first)
    }

    /// Sends once and checks all that can be seen; `sending` counts what went out under the id, from 1.
    async fn once(&self, rendered: &Rendered, expect: &Expectation, sending: usize) -> Result<()> {
        let Self { stage, running, row, id } = self;
        if stage.kind.is_nginx() && rendered.framing == Framing::H2Trailers && stage.over == Over::Tcp {
            return self.ended_by_nginx(rendered).await;
        }
        let expect = rendered.fill(expect);
        let nth = stage.due(id, row, expect.forwarded());
        let reply = self.send(rendered).await?;
        // Another sending may have gone out since.
        let due = stage.due_now(id);
        ensure!(reply.status == expect.status, "status {} instead of {}: {reply:?}", reply.status, expect.status);
        check_reply(&reply, &expect)?;
        if expect.forwarded() {
            let requests = running.upstream.requests(id);
            ensure!(requests.len() == due, "{} requests at the upstream instead of {due}", requests.len());
            check_forwarded(&requests[nth - 1], rendered, &expect)?;
        } else if row_exposes(&stage.vectors, row) {
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
    async fn ended_by_nginx(&self, rendered: &Rendered) -> Result<()> {
        self.stage.due(self.id, self.row, false);
        if let Ok(reply) = self.send(rendered).await {
            ensure!(reply.status >= 400, "status {}: {}", reply.status, reply.text());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        ensure!(!self.running.upstream.saw(self.id), "it reached the upstream");
        Ok(())
    }

    async fn send(&self, rendered: &Rendered) -> Result<Reply> {
        let (ports, message) = (self.running.proxy.ports(&self.row.policy), Message::from(rendered));
        match self.stage.over {
            Over::Tcp => send::send(ports, &message).await,
            Over::Quic => {
                let client = People::get().client(Who::Nobody, Version::Tls13)?;
                http3::send(&client, ports.http3.context("no HTTP/3")?, &message).await
            }
        }
    }
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
