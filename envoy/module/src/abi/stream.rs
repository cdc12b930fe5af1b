//! A request and its answer.

use std::ffi::c_void;
use std::ptr::{self, NonNull};

use super::calls::{
    AttributeId, Body, Bytes, Change, Envoys, Field, Fields, MetricId, add_header, continue_decoding, get_attribute,
    get_body_chunks, get_body_chunks_size, get_body_size, get_buffer_limit, get_filter_state, get_header, get_headers,
    get_headers_size, get_route_config, increment_counter, lent, received_buffered, record_histogram, send_response,
    set_buffer_limit, set_filter_state, set_gauge, set_header, stream_scheduler_commit, stream_scheduler_delete,
    stream_scheduler_new,
};

/// A request and its answer, as Envoy has them.
pub(crate) struct Stream(NonNull<c_void>);

impl Stream {
    /// # Safety
    /// Envoy has handed it to the hook that is running, and the value is gone when that returns.
    pub(crate) unsafe fn new(stream: Envoys) -> Option<Self> {
        NonNull::new(stream).map(Self)
    }

    fn as_ptr(&self) -> Envoys {
        self.0.as_ptr()
    }

    /// Shows every field, names in lower case; `false`: they can't be read.
    pub(crate) fn each_field(&self, of: Fields, show: &mut dyn FnMut(&[u8], &[u8])) -> bool {
        // SAFETY: the stream is valid.
        let count = unsafe { get_headers_size(self.as_ptr(), of) };
        let mut fields = vec![Field { name: Bytes::NONE, value: Bytes::NONE }; count];
        // SAFETY: there is room for as many as Envoy has said.
        let read = unsafe { get_headers(self.as_ptr(), of, fields.as_mut_ptr()) };
        for Field { name, value } in fields.iter().filter(|_| read) {
            // SAFETY: Envoy has filled them in, and nothing changes the fields while `self` is borrowed.
            unsafe { show(name.read(), value.read()) };
        }
        read
    }

    /// The status of the answer.
    pub(crate) fn status(&self) -> Option<u16> {
        let status = |value| {
            let name = Bytes::lent(b":status");
            // SAFETY: the stream is valid, and so is the place to write to.
            unsafe { get_header(self.as_ptr(), Fields::ResponseHeaders, name, value, 0, ptr::null_mut()) }
        };
        self.copied(status).and_then(|status| str::from_utf8(&status).ok()?.parse().ok())
    }

    /// Adds a field.
    pub(crate) fn add(&mut self, to: Fields, name: &[u8], value: &[u8]) -> bool {
        // SAFETY: the stream is valid; Envoy copies both.
        unsafe { add_header(self.as_ptr(), to, Bytes::lent(name), Bytes::lent(value)) }
    }

    /// Removes every copy of a field.
    pub(crate) fn remove(&mut self, from: Fields, name: &[u8]) -> bool {
        // SAFETY: the stream is valid. No value means to remove it.
        unsafe { set_header(self.as_ptr(), from, Bytes::lent(name), Bytes::NONE) }
    }

    /// How much of the body is there.
    pub(crate) fn body_size(&self, of: Body) -> usize {
        // SAFETY: the stream is valid.
        unsafe { get_body_size(self.as_ptr(), of) }
    }

    /// Whether what comes with this event is all that an earlier filter held, and this one before it.
    pub(crate) fn received_is_held(&self) -> bool {
        // SAFETY: the stream is valid.
        unsafe { received_buffered(self.as_ptr()) }
    }

    /// Shows the body in pieces; `false`: it can't be read.
    pub(crate) fn each_piece(&self, of: Body, show: &mut dyn FnMut(&[u8])) -> bool {
        // SAFETY: the stream is valid.
        let count = unsafe { get_body_chunks_size(self.as_ptr(), of) };
        let mut pieces = vec![Bytes::NONE; count];
        // SAFETY: there is room for as many as Envoy has said.
        let read = count == 0 || unsafe { get_body_chunks(self.as_ptr(), of, pieces.as_mut_ptr()) };
        for piece in pieces.iter().filter(|_| read) {
            // SAFETY: Envoy has filled it in, and nothing changes the body while `self` is borrowed.
            show(unsafe { piece.read() });
        }
        read
    }

    /// Lets Envoy hold this much of the body, if it would hold less. 0 is no limit.
    pub(crate) fn raise_buffer_limit(&mut self, limit: u64) {
        // SAFETY: the stream is valid.
        unsafe {
            if (1..limit).contains(&get_buffer_limit(self.as_ptr())) {
                set_buffer_limit(self.as_ptr(), limit);
            }
        }
    }

    /// Answers.
    pub(crate) fn answer(&mut self, status: u16, fields: &[(&str, &str)], body: &str, details: &str) {
        let field = |(name, value): &(&str, &str)| Field {
            name: Bytes::lent(name.as_bytes()),
            value: Bytes::lent(value.as_bytes()),
        };
        let fields: Vec<_> = fields.iter().map(field).collect();
        let (body, details) = (Bytes::lent(body.as_bytes()), Bytes::lent(details.as_bytes()));
        // SAFETY: the stream is valid; Envoy copies all of it.
        unsafe { send_response(self.as_ptr(), status.into(), fields.as_ptr(), fields.len(), body, details) }
    }

    /// Sets filter state.
    pub(crate) fn set_state(&mut self, key: &str, value: &str) -> bool {
        // SAFETY: the stream is valid; Envoy copies both.
        unsafe { set_filter_state(self.as_ptr(), Bytes::lent(key.as_bytes()), Bytes::lent(value.as_bytes())) }
    }

    /// Filter state that is text.
    pub(crate) fn state(&self, key: &str) -> Option<Vec<u8>> {
        // SAFETY: the stream is valid, and so is the place to write to.
        self.copied(|value| unsafe { get_filter_state(self.as_ptr(), Bytes::lent(key.as_bytes()), value) })
    }

    /// An attribute that is text.
    pub(crate) fn attribute(&self, id: AttributeId) -> Option<Vec<u8>> {
        // SAFETY: the stream is valid, and so is the place to write to.
        self.copied(|value| unsafe { get_attribute(self.as_ptr(), id, value) })
    }

    /// What `read` finds, while it is there.
    fn copied(&self, read: impl FnOnce(*mut Bytes) -> bool) -> Option<Vec<u8>> {
        let mut value = Bytes::NONE;
        // SAFETY: where it says so, Envoy has filled it in with what lives until the stream changes.
        read(&raw mut value).then(|| unsafe { value.read() }.to_vec())
    }

    /// What the hook for a route's configuration has returned for the route of this request; null: it has none.
    pub(crate) fn route_config(&self) -> *const c_void {
        // SAFETY: the stream is valid.
        unsafe { get_route_config(self.as_ptr()) }
    }

    /// What calls this request back, from any thread.
    pub(crate) fn recall(&self) -> Option<Recall> {
        // SAFETY: the stream is valid.
        NonNull::new(unsafe { stream_scheduler_new(self.as_ptr()) }).map(Recall)
    }

    /// Lets a request go on that was held. Envoy may end it meanwhile.
    pub(crate) fn go_on(self) {
        // SAFETY: the stream is valid, and nothing of it is used afterwards.
        unsafe { continue_decoding(self.as_ptr()) }
    }

    /// Notes a value in a histogram.
    pub(crate) fn record<const N: usize>(&self, id: MetricId, labels: [&str; N], value: u64) {
        self.change(record_histogram, id, labels, value);
    }

    /// Adds to a counter.
    pub(crate) fn add_to<const N: usize>(&self, id: MetricId, labels: [&str; N], by: u64) {
        self.change(increment_counter, id, labels, by);
    }

    /// Adds one to a counter.
    pub(crate) fn count<const N: usize>(&self, id: MetricId, labels: [&str; N]) {
        self.change(increment_counter, id, labels, 1);
    }

    /// Sets a gauge.
    pub(crate) fn set_gauge<const N: usize>(&self, id: MetricId, labels: [&str; N], to: u64) {
        self.change(set_gauge, id, labels, to);
    }

    /// A metric that can't be written is no reason to do anything else differently.
    fn change<const N: usize>(&self, change: Change, id: MetricId, labels: [&str; N], value: u64) {
        let labels = lent(labels);
        // SAFETY: the stream is valid; the labels outlive the call.
        let _ = unsafe { change(self.as_ptr(), id, labels.as_ptr(), labels.len(), value) };
    }
}

/// Has Envoy call `http_filter_scheduled` on the request's own thread, if the request is still there.
pub(crate) struct Recall(NonNull<c_void>);

// SAFETY: Envoy takes it from any thread.
unsafe impl Send for Recall {}

impl Recall {
    /// Asks for one call, with this number.
    pub(crate) fn commit(&self, event: u64) {
        // SAFETY: Envoy made it, and it lives as long as this.
        unsafe { stream_scheduler_commit(self.0.as_ptr(), event) }
    }
}

impl Drop for Recall {
    fn drop(&mut self) {
        // SAFETY: Envoy made it, and nobody has it any more.
        unsafe { stream_scheduler_delete(self.0.as_ptr()) }
    }
}
