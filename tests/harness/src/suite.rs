//! A suite of tests on real proxies: `<suite>::<proxy>::<test>`, for every proxy there is.
use crate::proxy::{self, envoy};
use crate::tools::{self, ProxyKind};
use anyhow::Result;
use libtest_mimic::{Arguments, Trial};
use std::collections::BTreeMap;

/// A suite in the making.
pub struct Suite {
    name: &'static str,
    arguments: Arguments,
    trials: Vec<Trial>,
    /// Why a proxy can't be had, as far as somebody has asked.
    missing: BTreeMap<&'static str, Option<String>>,
}

impl Suite {
    /// One that runs `threads` tests at once, unless the command line says otherwise.
    #[must_use]
    pub fn new(name: &'static str, threads: usize) -> Self {
        let mut arguments = Arguments::from_args();
        arguments.test_threads.get_or_insert(threads);
        Self { name, arguments, trials: Vec::new(), missing: BTreeMap::new() }
    }

    /// The tests on one proxy, to be added to. Where the proxy is missing they fail, unless skipping is allowed.
    pub fn on(&mut self, kind: ProxyKind) -> Tests<'_> {
        let missing = self.missing.entry(kind.name()).or_insert_with(|| {
            let error = tools::find(kind).err().filter(|_| tools::skipping_is_allowed());
            error.map(|error| format!("{error:#}"))
        });
        Tests { kind, missing: missing.clone(), suite: self }
    }

    /// A test that is on no proxy; with a reason, it is left out.
    pub fn add(&mut self, name: &str, left_out: Option<&str>, test: impl FnOnce() -> Result<()> + Send + 'static) {
        let name = format!("{}::{name}", self.name);
        self.trials.push(match left_out {
            Some(reason) => Trial::test(name, || Ok(())).with_kind(reason).with_ignored_flag(true),
            None => Trial::test(name, move || test().map_err(|error| format!("{error:#}").into())),
        });
    }

    /// Adds what only measures, if the command line asks for tests that are ignored otherwise.
    pub fn measure(&mut self, name: &str, test: impl FnOnce() -> Result<()> + Send + 'static) {
        if self.arguments.ignored || self.arguments.include_ignored {
            self.add(name, None, test);
            self.ignore_last();
        }
    }

    fn ignore_last(&mut self) {
        let last = self.trials.pop().map(|trial| trial.with_ignored_flag(true));
        self.trials.extend(last);
    }

    /// Runs the tests. `shared` is what they share: it ends before the program does, since `exit` drops nothing.
    pub fn run(self, shared: impl Sized) {
        self.run_and_close(shared, |_, _| {});
    }

    /// The same, and then the tests that `close` adds: what can be said only of the whole run.
    pub fn run_and_close<S>(mut self, shared: S, close: impl FnOnce(&S, &mut Self)) {
        let mut failed = self.run_those_added();
        close(&shared, &mut self);
        if !self.trials.is_empty() {
            failed |= self.run_those_added();
        }
        drop(shared);
        proxy::finish(failed);
        if failed {
            std::process::exit(101);
        }
    }

    fn run_those_added(&mut self) -> bool {
        libtest_mimic::run(&self.arguments, std::mem::take(&mut self.trials)).has_failed()
    }
}

/// The tests on one proxy.
pub struct Tests<'s> {
    /// Which one.
    pub kind: ProxyKind,
    missing: Option<String>,
    suite: &'s mut Suite,
}

impl Tests<'_> {
    /// Adds a test.
    pub fn add(&mut self, name: impl AsRef<str>, test: impl FnOnce() -> Result<()> + Send + 'static) {
        self.add_unless(None, name, test);
    }

    /// Adds a test that is left out for a reason, if there is one.
    pub fn add_unless(
        &mut self,
        left_out: Option<&str>,
        name: impl AsRef<str>,
        test: impl FnOnce() -> Result<()> + Send + 'static,
    ) {
        let name = format!("{}::{}", self.kind.name(), name.as_ref());
        let kind = self.kind;
        self.suite.add(&name, self.missing.as_deref().or(left_out), move || envoy::with(kind, test));
    }

    /// Adds what only measures, if the command line asks for tests that are ignored otherwise.
    pub fn measure(&mut self, name: &str, test: impl FnOnce() -> Result<()> + Send + 'static) {
        if self.suite.arguments.ignored || self.suite.arguments.include_ignored {
            self.add(name, test);
            self.suite.ignore_last();
        }
    }
}
