//! An Envoy in memory: answers the filter's calls from what a test set, and writes down what the filter did.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use log::{Level, LevelFilter, Log, Metadata, Record};
use secure_callbacks::{Answer, Code, ReplayStore, Reservation, SecretProblem, SecretSource, Settled, UnixSeconds};
use secure_callbacks_envoy::host::{Attribute, Host, HostFailed, Part, Response};
use secure_callbacks_envoy_wasm::attributes;
use secure_callbacks_envoy_wasm::configuration::configure;
use secure_callbacks_envoy_wasm::metrics::{MetricId, Metrics, Registry};
use secure_callbacks_envoy_wasm::replay::Tables;
use secure_callbacks_envoy_wasm::shared_data::{SharedData, SharedDataFailed, Swap};

/// One request to it.
pub(crate) type Filter = secure_callbacks_envoy::Filter<FakeEnvoy, Rc<Protection>>;

/// A policy at work in an Envoy in memory.
pub(crate) type Protection = secure_callbacks_envoy::Protection<FakeEnvoy>;

/// When the tests happen.
pub(crate) const NOW: i64 = 1_800_000_000;

/// Shared data, as several workers see it.
#[derive(Clone, Default)]
pub(crate) struct Shared(Rc<SharedState>);

#[derive(Default)]
struct SharedState {
    values: RefCell<BTreeMap<String, (Vec<u8>, u32)>>,
    stamps: Cell<u32>,
    broken: Cell<bool>,
    outrun: Cell<bool>,
    /// What other workers do just before the next swaps, the last one first.
    rivals: RefCell<Vec<Box<dyn FnOnce()>>>,
    swaps: Cell<u32>,
    loads: Cell<u32>,
}

impl Shared {
    /// From now on every call fails.
    pub(crate) fn break_down(&self, broken: bool) {
        self.0.broken.set(broken);
    }

    /// From now on another worker is always quicker.
    pub(crate) fn outrun(&self) {
        self.0.outrun.set(true);
    }

    /// Another worker acts just before the next swap.
    pub(crate) fn rival(&self, act: impl FnOnce() + 'static) {
        self.0.rivals.borrow_mut().insert(0, Box::new(act));
    }

    /// How many swaps were tried.
    pub(crate) fn swaps(&self) -> u32 {
        self.0.swaps.get()
    }

    /// How many loads were tried.
    pub(crate) fn loads(&self) -> u32 {
        self.0.loads.get()
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.0.values.borrow().keys().cloned().collect()
    }

    pub(crate) fn overwrite_all(&self, value: &[u8]) {
        for (held, _) in self.0.values.borrow_mut().values_mut() {
            *held = value.to_vec();
        }
    }
}

impl SharedData for Shared {
    fn load(&self, key: &str) -> Result<Option<(Vec<u8>, u32)>, SharedDataFailed> {
        if self.0.broken.get() {
            return Err(SharedDataFailed);
        }
        self.0.loads.set(self.0.loads.get() + 1);
        Ok(self.0.values.borrow().get(key).cloned())
    }

    fn swap(&self, key: &str, value: &[u8], stamp: u32) -> Result<Swap, SharedDataFailed> {
        let rival = self.0.rivals.borrow_mut().pop();
        if let Some(act) = rival {
            act();
        }
        if self.0.broken.get() {
            return Err(SharedDataFailed);
        }
        assert_ne!(stamp, 0, "stamp 0 overwrites whatever is there");
        self.0.swaps.set(self.0.swaps.get() + 1);
        let mut values = self.0.values.borrow_mut();
        if self.0.outrun.get() {
            return Ok(Swap::Lost);
        }
        // A stamp that some key may have would overwrite what a rival has just made.
        assert!(values.contains_key(key) || stamp == u32::MAX, "{key}");
        if values.get(key).is_some_and(|(_, held)| *held != stamp) {
            return Ok(Swap::Lost);
        }
        self.0.stamps.set(self.0.stamps.get() + 1);
        values.insert(key.to_owned(), (value.to_vec(), self.0.stamps.get()));
        Ok(Swap::Done)
    }
}

impl Registry for Shared {
    fn counter(&self, name: &str) -> Option<MetricId> {
        let (policy, result) = name.strip_prefix("secure_callbacks_requests_total.policy.")?.split_once(".result.")?;
        assert!(!policy.is_empty() && !policy.contains('.'), "{policy}");
        secure_callbacks::Code::all()
            .position(|code| code.as_str() == result)
            .and_then(|index| u32::try_from(index).ok())
    }

    fn gauge(&self, name: &str) -> Option<MetricId> {
        name.starts_with("secure_callbacks_replay_entries.policy.").then_some(1000)
    }
}

/// An answer that was sent.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// One request, as Envoy holds it.
#[derive(Clone)]
pub(crate) struct FakeEnvoy(pub Rc<Request>);

#[derive(Default)]
pub(crate) struct Request {
    pub(crate) headers: RefCell<Vec<(Vec<u8>, Vec<u8>)>>,
    pub(crate) trailers: RefCell<Vec<(Vec<u8>, Vec<u8>)>>,
    pub(crate) body: RefCell<Vec<u8>>,
    pub(crate) response_status: Cell<Option<u16>>,
    pub(crate) properties: RefCell<BTreeMap<String, Vec<u8>>>,
    pub(crate) now: Cell<i64>,
    pub(crate) shared: Shared,
    /// Calls that fail.
    pub(crate) fields_fail: Cell<bool>,
    pub(crate) changes_fail: Cell<bool>,
    pub(crate) body_fails: Cell<bool>,
    /// How many bytes of the body are returned beyond those that were asked for.
    pub(crate) body_surplus: Cell<usize>,
    /// How large the pieces are that the body is shown in, an empty one before each; 0: it is one piece.
    pub(crate) piece: Cell<usize>,
    pub(crate) reply_fails: Cell<bool>,
    /// What was done.
    pub(crate) replies: RefCell<Vec<Reply>>,
    pub(crate) counted: RefCell<Vec<&'static str>>,
    pub(crate) state: RefCell<BTreeMap<String, String>>,
    /// The properties that were asked for.
    pub(crate) asked: RefCell<Vec<String>>,
    pub(crate) largest_slice: Cell<usize>,
}

impl FakeEnvoy {
    pub(crate) fn new(shared: &Shared, headers: &[(&str, &str)]) -> Self {
        let request = Request { shared: shared.clone(), now: Cell::new(NOW), ..Request::default() };
        *request.headers.borrow_mut() =
            headers.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
        Self(Rc::new(request)).on("source\0address", b"192.0.2.1:5000")
    }

    /// Sets a property.
    pub(crate) fn on(self, path: &str, value: &[u8]) -> Self {
        self.0.properties.borrow_mut().insert(path.to_owned(), value.to_vec());
        self
    }

    /// The head of a response is on its way, and Envoy says this of where it comes from.
    pub(crate) fn answers(&self, status: u16, details: &str) {
        self.0.response_status.set(Some(status));
        self.0.properties.borrow_mut().insert("response\0code_details".into(), details.into());
    }

    pub(crate) fn filter(&self, protection: &Rc<Protection>) -> Filter {
        Filter::new(self.clone(), Some(Rc::clone(protection)), 7)
    }

    pub(crate) fn header(&self, name: &str) -> Vec<String> {
        let headers = self.0.headers.borrow();
        let same = headers.iter().filter(|(other, _)| other == name.as_bytes());
        same.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    pub(crate) fn state(&self, key: &str) -> Option<String> {
        self.0.state.borrow().get(key).cloned()
    }

    pub(crate) fn replies(&self) -> Vec<u16> {
        self.0.replies.borrow().iter().map(|reply| reply.status).collect()
    }

    pub(crate) fn counted(&self) -> Vec<&'static str> {
        self.0.counted.borrow().clone()
    }
}

impl SharedData for FakeEnvoy {
    fn load(&self, key: &str) -> Result<Option<(Vec<u8>, u32)>, SharedDataFailed> {
        self.0.shared.load(key)
    }

    fn swap(&self, key: &str, value: &[u8], stamp: u32) -> Result<Swap, SharedDataFailed> {
        self.0.shared.swap(key, value, stamp)
    }
}

impl Host for FakeEnvoy {
    type Metrics = Metrics;
    type Store = Tables;
    type SharedStore = Infallible;

    fn time(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.0.now.get()).unwrap())
    }

    fn each_field(&self, part: Part, show: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), HostFailed> {
        if self.0.fields_fail.get() {
            return Err(HostFailed);
        }
        let fields = match part {
            Part::Headers => &self.0.headers,
            Part::Trailers => &self.0.trailers,
        };
        fields.borrow().iter().for_each(|(name, value)| show(name, value));
        Ok(())
    }

    fn add_header(&self, name: &str, value: &str) -> Result<(), HostFailed> {
        if self.0.changes_fail.get() {
            return Err(HostFailed);
        }
        self.0.headers.borrow_mut().push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        Ok(())
    }

    fn remove_field(&self, part: Part, name: &[u8]) -> Result<(), HostFailed> {
        if self.0.changes_fail.get() {
            return Err(HostFailed);
        }
        let fields = match part {
            Part::Headers => &self.0.headers,
            Part::Trailers => &self.0.trailers,
        };
        fields.borrow_mut().retain(|(other, _)| other != name);
        Ok(())
    }

    fn body(&self, start: usize, length: usize, show: &mut dyn FnMut(&[u8])) -> Result<(), HostFailed> {
        if self.0.body_fails.get() {
            return Err(HostFailed);
        }
        self.0.largest_slice.set(self.0.largest_slice.get().max(length));
        let body = self.0.body.borrow();
        let end = (start + length + self.0.body_surplus.get()).min(body.len());
        let slice = body.get(start..end).ok_or(HostFailed)?;
        match self.0.piece.get() {
            0 => show(slice),
            size => slice.chunks(size).for_each(|piece| {
                show(b"");
                show(piece);
            }),
        }
        Ok(())
    }

    fn reply(&self, answer: &Response<'_>) -> Result<(), HostFailed> {
        if self.0.reply_fails.get() {
            return Err(HostFailed);
        }
        let headers = answer.headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.0.replies.borrow_mut().push(Reply { status: answer.status, headers, body: answer.body.to_owned() });
        Ok(())
    }

    fn response_status(&self) -> Option<u16> {
        self.0.response_status.get()
    }

    fn attribute(&self, attribute: Attribute) -> Option<Vec<u8>> {
        let path = attributes::path(attribute);
        self.0.asked.borrow_mut().push(path.to_owned());
        self.0.properties.borrow().get(path).cloned()
    }

    fn set_state(&self, key: &str, value: &str) {
        self.0.state.borrow_mut().insert(key.to_owned(), value.to_owned());
    }

    fn count(&self, metrics: &Metrics, code: Code) {
        let index = usize::try_from(metrics.requests(code).unwrap()).unwrap();
        self.0.counted.borrow_mut().push(Code::all().nth(index).unwrap().as_str());
    }

    fn reserve(&self, store: &Tables, reservation: &Reservation, now: UnixSeconds) -> Answer {
        store.on(self).reserve(reservation, now)
    }

    fn settle(&self, store: &Tables, settled: &Settled, now: UnixSeconds) {
        store.on(self).settle(settled, now);
    }

    fn reserve_shared(&self, store: &Infallible, _: &Reservation) -> bool {
        match *store {}
    }

    fn settle_shared(&self, store: &Infallible, _: &Settled, _: UnixSeconds) {
        match *store {}
    }
}

/// The log, as each thread writes it: tests share a process, but not a thread.
struct Lines;

thread_local! {
    static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        LINES.with_borrow_mut(|lines| lines.push((record.level(), record.args().to_string())));
    }

    fn flush(&self) {}
}

/// What was logged on this thread since the last time.
pub(crate) fn logged() -> Vec<(Level, String)> {
    // Any test may be the first to ask.
    let _ = log::set_logger(&Lines);
    log::set_max_level(LevelFilter::Info);
    LINES.take()
}

/// A policy's store by itself, without a request.
pub(crate) trait AtWork {
    fn reserve(&self, reservation: &Reservation, shared: &Shared, now: i64) -> Answer;
    fn keep(&self, reservation: &Reservation, shared: &Shared, now: i64);
    fn release(&self, reservation: &Reservation, shared: &Shared, now: i64);
    fn lapse(&self, shared: &Shared, now: i64);
    fn abandon(&self, shared: &Shared, now: i64);
    fn count_on(&self, shared: &Shared, now: i64) -> Option<u64>;
}

impl AtWork for Protection {
    fn reserve(&self, reservation: &Reservation, shared: &Shared, now: i64) -> Answer {
        self.store().map_or(Answer::Unavailable, |tables| tables.on(shared).reserve(reservation, now))
    }

    fn keep(&self, reservation: &Reservation, shared: &Shared, now: i64) {
        self.store().unwrap().on(shared).keep(reservation, now);
    }

    fn release(&self, reservation: &Reservation, shared: &Shared, now: i64) {
        self.store().unwrap().on(shared).release(reservation, now);
    }

    fn lapse(&self, shared: &Shared, now: i64) {
        self.store().unwrap().on(shared).lapse(now);
    }

    fn abandon(&self, shared: &Shared, now: i64) {
        self.store().unwrap().on(shared).abandon(now);
    }

    fn count_on(&self, shared: &Shared, now: i64) -> Option<u64> {
        self.store()?.count_on(shared, now)
    }
}

/// Secrets that every test knows.
pub(crate) struct Known;

impl SecretSource for Known {
    fn environment(&self, name: &str) -> Result<Vec<u8>, SecretProblem> {
        if name == "SECRET" { Ok(SECRET.into()) } else { Err(SecretProblem::VariableNotSet) }
    }

    fn file(&self, _: &str) -> Result<Vec<u8>, SecretProblem> {
        Err(SecretProblem::FilesUnsupported)
    }
}

pub(crate) const SECRET: &str = "a signature secret of 32 bytes or more";

/// The policy `video`, with more fields.
pub(crate) fn protection(more: &str, shared: &Shared) -> Rc<Protection> {
    protection_at(more, shared, NOW)
}

pub(crate) fn protection_at(more: &str, shared: &Shared, now: i64) -> Rc<Protection> {
    let account = r#"{"name": "video", "accounts": [{"api_key": "a1b2c3d", "secrets": ["env:SECRET"]}]"#;
    let configuration = if more.is_empty() { format!("{account}}}") } else { format!("{account}, {more}}}") };
    Rc::new(configure(configuration.as_bytes(), &Known, shared, now).unwrap())
}

/// A good token for a body, as the value of `authorization`.
pub(crate) fn bearer(body: &[u8], jti: &str) -> String {
    let token = secure_callbacks_support::Token::valid(body, NOW).secret(SECRET).claim("api_key", "a1b2c3d");
    format!("Bearer {}", token.claim("jti", jti).sign())
}
