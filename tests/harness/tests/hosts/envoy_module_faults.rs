//! A fault of the module's own, in a build of it that panics where a request asks for that: the request does not go on, the
//! operator is told, Envoy lives, and a callback that the application may have is not given to it again.
use crate::common::policy;
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::clock::until;
use secure_callbacks_harness::lazy::Lazy;
use secure_callbacks_harness::proxy::envoy;
use secure_callbacks_harness::running::{Envoy, Running};
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::{self, Reply, http1};
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_harness::upstream::{Answer, Delivery};
use secure_callbacks_support::token::SECRET;
use secure_callbacks_support::{Framing, merged};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub(crate) fn add(tests: &mut Tests<'_>) {
    tests.add("a_fault_on_the_way_is_refused_and_the_callback_can_come_again", on_the_way);
    tests.add("a_fault_at_the_answer_does_not_release_the_callback", at_the_answer);
    tests.add("a_fault_at_the_end_does_not_release_the_callback", at_the_end);
    tests.add("what_is_given_out_has_no_faults_on_request", given_out);
}

/// The header that asks for a fault, and where in `envoy/module/src/host.rs` it is.
const HEADER: &str = "x-fault";

/// The module that panics on request, built at its first use.
fn faulty() -> Result<&'static Path> {
    static FOLDER: Lazy<PathBuf> = Lazy::new();
    FOLDER.get(build).map(PathBuf::as_path)
}

fn build() -> Result<PathBuf> {
    let target = tools::target().join("envoy-module-faults");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    // Optimized as the one that is given out, whose panics have to be caught just so.
    let built = Command::new(cargo)
        .current_dir(tools::root())
        .args(["build", "--release", "-p", "secure-callbacks-envoy-module", "--features", "faults", "--target-dir"])
        .arg(&target)
        .output()?;
    ensure!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let folder = target.join("dist");
    std::fs::create_dir_all(&folder)?;
    let (made, named) = ("release/libsecure_callbacks_envoy_module.so", "libsecure_callbacks.so");
    std::fs::copy(target.join(made), folder.join(named))?;
    Ok(folder)
}

/// An Envoy with that module.
struct Site {
    running: Running,
    process: Vec<i32>,
}

impl Site {
    fn start(mode: &str) -> Result<Self> {
        let policy = merged(policy(), &json!({ "mode": mode }));
        let filter = envoy::filter(&policy, envoy::Form::Struct, &[]);
        let search = ("ENVOY_DYNAMIC_MODULES_SEARCH_PATH".into(), faulty()?.display().to_string());
        let running = Envoy { environment: vec![search], ..Envoy::new([filter])? }.start()?;
        let process = running.proxy.workers();
        Ok(Self { running, process })
    }

    /// How many faults were counted.
    fn counted(&self) -> Result<u64> {
        let stats = wait(send::get(self.running.proxy.admin().context("an admin port")?, "/stats/prometheus"))?;
        let series = "secure_callbacks_requests_total{policy=\"default\",result=\"proxy_failed\"} ";
        let value = stats.lines().find_map(|line| line.strip_prefix(series)).with_context(|| format!("no {series}"))?;
        Ok(value.parse()?)
    }

    /// Sends it with a fault in this call.
    fn fail(&self, callback: &Callback, call: &str) -> Result<Reply> {
        self.running.send(&callback.clone().header(HEADER, call))
    }

    /// One fault more was counted than `before`, and logged: with `line`, and with its place, and without what it was about.
    fn told(&self, before: u64, callback: &Callback, line: &str) -> Result<()> {
        let came = until(Duration::from_secs(5), || Ok((self.counted()? > before).then_some(())))?;
        ensure!(came.is_some() && self.counted()? == before + 1, "{} faults after {before}", self.counted()?);
        let log = self.running.proxy.log();
        let told = log.lines().filter(|logged| logged.contains(line)).count();
        ensure!(told == 1, "{line:?} is {told} times in:\n{log}");
        let places = log.matches("[critical][dynamic_modules]").count();
        ensure!(places as u64 == before + 1 && log.contains("a fault inside, at envoy/module/src/"), "{places}: {log}");
        let token = callback.token.sign();
        for secret in [&token, SECRET, "as asked for"] {
            ensure!(!log.contains(secret), "{secret} is in the log");
        }
        ensure!(self.running.proxy.workers() == self.process, "another process");
        Ok(())
    }

    /// Whoever sends it again is asked to wait, and the application does not get it.
    fn is_held(&self, callback: &Callback, deliveries: usize) -> Result<()> {
        self.running.send(callback)?.is(503, "replay_in_flight")?;
        let delivered = self.running.upstream.deliveries(&callback.id);
        ensure!(delivered == deliveries, "{delivered} deliveries");
        Ok(())
    }
}

/// On the head, on the body, at the trailers, and when everything is good and reserved.
fn on_the_way() -> Result<()> {
    let calls = [
        ("each_field", Framing::Length),
        ("body", Framing::Length),
        ("body", Framing::H2),
        ("each_trailer", Framing::ChunkedTrailers),
        ("add_header", Framing::Length),
        ("add_header", Framing::ChunkedTrailers),
    ];
    for mode in ["enforce", "report"] {
        let site = Site::start(mode)?;
        for (before, (call, framing)) in calls.into_iter().enumerate() {
            let callback = Callback::new().framed(framing);
            let at = || format!("{mode}, {call}, {framing:?}");
            let reply = site.fail(&callback, call).with_context(at)?;
            reply.is(503, "proxy_failed").with_context(at)?;
            let retry = reply.headers.text("retry-after");
            ensure!(retry.as_deref() == Some("5"), "{}: Retry-After: {retry:?}", at());
            site.running.untouched(&callback).with_context(at)?;
            let path = &callback.message.path;
            let line = format!("path={path}");
            site.told(before as u64, &callback, &line).with_context(at)?;
            let log = site.running.proxy.log();
            let line = log.lines().find(|logged| logged.contains(&line)).unwrap_or_default();
            let due = "[error][dynamic_modules]";
            let words = "callback refused: policy=default code=proxy_failed api_key=- jti=- source=127.0.0.1:";
            ensure!(line.contains(due) && line.contains(words), "{}: {line}", at());
            let access = wait(site.running.proxy.access_line(&callback.id)).context("the access log")?;
            ensure!(access.contains(" 503 proxy_failed"), "{}: {access}", at());
            // Nothing of it was given away, so nothing is remembered.
            site.running.accepts(&callback, 1).with_context(at)?;
        }
    }
    Ok(())
}

/// Before the answer is looked at, and when it was and the reservation is to be kept: the sender has the application's
/// answer. Nobody knows whether it was taken, so it is held until the reservation lapses.
fn at_the_answer() -> Result<()> {
    for call in ["response_status", "settle"] {
        let site = Site::start("enforce")?;
        let callback = Callback::new();
        let reply = site.fail(&callback, call)?;
        site.running.arrived(&callback, &reply, 1).with_context(|| call.to_owned())?;
        site.told(0, &callback, "[error][dynamic_modules]").with_context(|| call.to_owned())?;
        let log = site.running.proxy.log();
        ensure!(log.contains("answer not seen: policy=default code=proxy_failed"), "{call}: {log}");
        site.is_held(&callback, 1).with_context(|| call.to_owned())?;
        site.running.accepts(&Callback::new(), 1)?;
    }
    Ok(())
}

/// The sender goes away while the application has it.
fn at_the_end() -> Result<()> {
    let site = Site::start("enforce")?;
    let callback = Callback::new();
    site.running.upstream.script(&callback.id, [Answer::status(200).sent(Delivery::Never), Answer::status(200)]);
    let mut connection = wait(http1::Connection::open(site.running.ports[0].http1))?;
    wait(connection.write(&callback.clone().header(HEADER, "settle").wire()))?;
    ensure!(wait(site.running.upstream.arrives(&callback.id, 1)), "it did not arrive");
    drop(connection);
    site.told(0, &callback, "answer not seen: policy=default code=proxy_failed")?;
    site.is_held(&callback, 1)?;
    site.running.accepts(&Callback::new(), 1)
}

/// The header's name is nowhere in the module that operators get.
fn given_out() -> Result<()> {
    let holds = |file: &Path| -> Result<bool> {
        let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
        Ok(bytes.windows(HEADER.len()).any(|window| window == HEADER.as_bytes()))
    };
    ensure!(holds(&faulty()?.join("libsecure_callbacks.so"))?, "the search finds nothing");
    ensure!(!holds(&tools::find(ProxyKind::EnvoyModule)?.filter)?, "the module panics on request");
    Ok(())
}
