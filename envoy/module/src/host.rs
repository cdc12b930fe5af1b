//! Envoy, as the shared filter sees it, by means of this ABI.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use secure_callbacks::replay::shared::Tally;
use secure_callbacks::{Answer, Code, Reservation, Settled, UnixSeconds};
use secure_callbacks_envoy::host::{Attribute, Host, HostFailed, Part, Response};

use crate::abi::{self, AttributeId, Body, Fields, Stream};
use crate::metrics::Metrics;
use crate::peer_certificate;
use crate::replay::Share;
use crate::shared_store::{Link, Ticket};

/// The host of one request.
pub(crate) struct ModuleHost {
    /// There while a hook runs; taken out while it is used, so that nothing that was lent by it can change.
    stream: Cell<Option<Stream>>,
    metrics: Metrics,
    /// How much of the body has come.
    size: Cell<usize>,
    /// Some of the body is gone from where it was held.
    body_is_torn: Cell<bool>,
    /// What Envoy says of an answer of its own that it is about to give.
    own_answer: RefCell<Option<Vec<u8>>>,
    /// It waits for the shared store's answer.
    waits: RefCell<Option<Ticket>>,
}

impl ModuleHost {
    pub(crate) fn new(metrics: Metrics) -> Self {
        let (size, body_is_torn) = (Cell::new(0), Cell::new(false));
        let (stream, own_answer, waits) = (Cell::new(None), RefCell::new(None), RefCell::new(None));
        Self { stream, metrics, size, body_is_torn, own_answer, waits }
    }

    /// A hook runs: what it got may be used until it leaves.
    pub(crate) fn enter(&self, stream: Stream) {
        self.stream.set(Some(stream));
    }

    /// The hook is over.
    pub(crate) fn leave(&self) {
        self.stream.set(None);
    }

    /// Uses the stream; `None`: there is none now.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Stream) -> T) -> Option<T> {
        let mut stream = self.stream.take()?;
        let result = work(&mut stream);
        self.stream.set(Some(stream));
        Some(result)
    }

    /// Where a test may have the module fail.
    fn may_fail(&self, _call: &str) {
        #[cfg(feature = "faults")]
        self.with(|stream| crate::faults::at(_call, stream));
    }

    fn done(&self, work: impl FnOnce(&mut Stream) -> bool) -> Result<(), HostFailed> {
        if self.with(work) == Some(true) { Ok(()) } else { Err(HostFailed) }
    }

    /// More of the body is there: how much in all.
    pub(crate) fn grown(&self) -> usize {
        let before = self.size.get();
        let size = self.with(|stream| {
            let (held, received) = sizes(stream);
            self.body_is_torn.set(held != before && !stream.received_is_held());
            held.saturating_add(received)
        });
        // Of a torn body something is always left to be read, which then fails.
        let least = if self.body_is_torn.get() { before.saturating_add(1) } else { 0 };
        let size = size.unwrap_or_default().max(least);
        self.size.set(size);
        size
    }

    /// Envoy answers by itself.
    pub(crate) fn answers_itself(&self, details: &[u8]) {
        self.own_answer.replace(Some(details.into()));
    }

    /// Where an answer comes from. Before 1.39 Envoy tells no such thing; but it tells of its own answers beforehand, and
    /// whether it had reached an upstream.
    fn code_details(stream: &Stream, own_answer: Option<Vec<u8>>) -> Option<Vec<u8>> {
        if abi::is_1_39() {
            return stream.attribute(AttributeId::CodeDetails);
        }
        let from_upstream = || stream.attribute(AttributeId::UpstreamAddress).map(|_| b"via_upstream".to_vec());
        own_answer.or_else(from_upstream)
    }

    /// Shows what a policy's shared store was asked.
    pub(crate) fn set_store(&self, policy: &str, tally: &Tally) {
        self.with(|stream| self.metrics.set_store_by(stream, policy, tally));
    }

    /// Sets the gauge of a policy's replay entries.
    pub(crate) fn set_entries(&self, policy: &str, entries: u32) {
        self.with(|stream| self.metrics.set_entries_by(stream, policy, entries.into()));
    }
}

/// How much of the body was held before, and how much comes now.
fn sizes(stream: &Stream) -> (usize, usize) {
    let held = if stream.received_is_held() { 0 } else { stream.body_size(Body::Held) };
    (held, stream.body_size(Body::Received))
}

/// The time that is now.
pub(crate) fn time() -> Duration {
    // Without a clock every token is from the future.
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The same in seconds.
pub(crate) fn now() -> UnixSeconds {
    UnixSeconds::try_from(time().as_secs()).unwrap_or(UnixSeconds::MAX)
}

const fn fields(part: Part) -> Fields {
    match part {
        Part::Headers => Fields::RequestHeaders,
        Part::Trailers => Fields::RequestTrailers,
    }
}

impl ModuleHost {
    /// The shared store has answered, after this time.
    pub(crate) fn store_answered(&self, policy: &str, after: Duration) {
        self.waits.replace(None);
        self.with(|stream| self.metrics.store_took(stream, policy, after));
    }
}

impl Host for ModuleHost {
    /// The policy's name.
    type Metrics = Box<str>;
    type Store = Share;
    type SharedStore = Arc<Link>;

    fn time(&self) -> Duration {
        time()
    }

    fn each_field(&self, part: Part, show: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), HostFailed> {
        self.may_fail(if part == Part::Headers { "each_field" } else { "each_trailer" });
        self.done(|stream| stream.each_field(fields(part), show))
    }

    fn add_header(&self, name: &str, value: &str) -> Result<(), HostFailed> {
        self.may_fail("add_header");
        self.done(|stream| stream.add(Fields::RequestHeaders, name.as_bytes(), value.as_bytes()))
    }

    fn remove_field(&self, part: Part, name: &[u8]) -> Result<(), HostFailed> {
        self.done(|stream| stream.remove(fields(part), name))
    }

    fn body(&self, start: usize, length: usize, show: &mut dyn FnMut(&[u8])) -> Result<(), HostFailed> {
        self.may_fail("body");
        if self.body_is_torn.get() {
            return Err(HostFailed);
        }
        self.done(|stream| {
            let (held, _) = sizes(stream);
            let mut left = length;
            let mut read = true;
            for (kind, first) in [(Body::Held, 0), (Body::Received, held)] {
                let mut skip = start.saturating_sub(first);
                if left == 0 || (matches!(kind, Body::Held) && start >= held) {
                    continue;
                }
                read &= stream.each_piece(kind, &mut |piece| {
                    let rest = piece.get(skip..).unwrap_or_default();
                    skip = skip.saturating_sub(piece.len());
                    let wanted = rest.get(..left).unwrap_or(rest);
                    left = left.saturating_sub(wanted.len());
                    if !wanted.is_empty() {
                        show(wanted);
                    }
                });
            }
            read
        })
    }

    fn reply(&self, response: &Response<'_>) -> Result<(), HostFailed> {
        self.done(|stream| {
            stream.answer(response.status, &response.headers, response.body, response.details);
            true
        })
    }

    fn response_status(&self) -> Option<u16> {
        self.may_fail("response_status");
        self.with(|stream| stream.status()).flatten()
    }

    fn attribute(&self, attribute: Attribute) -> Option<Vec<u8>> {
        let read = |stream: &mut Stream| match attribute {
            Attribute::Path => stream.attribute(AttributeId::UrlPath),
            Attribute::SourceAddress => stream.attribute(AttributeId::SourceAddress),
            Attribute::PeerDigest => stream.attribute(AttributeId::PeerDigest),
            Attribute::PeerSubject => stream.attribute(AttributeId::PeerSubject),
            Attribute::PeerCertificate => {
                let digest = stream.attribute(AttributeId::PeerDigest)?;
                peer_certificate::read(&stream.state(peer_certificate::KEY)?, &digest)
            }
            Attribute::CodeDetails => Self::code_details(stream, self.own_answer.take()),
        };
        self.with(read).flatten()
    }

    fn set_state(&self, key: &str, value: &str) {
        // The access log lacks it where that fails; the request is decided all the same.
        self.with(|stream| stream.set_state(key, value));
    }

    fn count(&self, policy: &Box<str>, code: Code) {
        self.with(|stream| self.metrics.count(stream, policy, code));
    }

    fn reserve(&self, store: &Share, reservation: &Reservation, now: UnixSeconds) -> Answer {
        store.reserve(reservation, now)
    }

    fn settle(&self, store: &Share, settled: &Settled, now: UnixSeconds) {
        self.may_fail("settle");
        store.settle(settled, now);
    }

    fn reserve_shared(&self, link: &Arc<Link>, reservation: &Reservation) -> bool {
        let recall = self.with(|stream| stream.recall()).flatten();
        let ticket = recall.and_then(|recall| link.reserve(reservation, recall));
        let is_asked = ticket.is_some();
        self.waits.replace(ticket);
        is_asked
    }

    fn settle_shared(&self, link: &Arc<Link>, settled: &Settled, now: UnixSeconds) {
        link.settle(settled, now);
    }
}
