//! The declarations: types, and the functions of Envoy's that are called. Where `rustfmt` would break a line for each
//! argument it is kept away, for one line is what one compares with `abi.h`.

use std::ffi::{CStr, c_char, c_void};
use std::mem;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::OnceLock;

/// Bytes of either side.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Bytes {
    start: *const u8,
    length: usize,
}

impl Bytes {
    pub(super) const NONE: Self = Self { start: ptr::null(), length: 0 };

    pub(super) fn lent(bytes: &[u8]) -> Self {
        Self { start: bytes.as_ptr(), length: bytes.len() }
    }

    /// # Safety
    /// Envoy has filled it in, and what it points to lives for as long as `'b`.
    pub(crate) unsafe fn read<'b>(self) -> &'b [u8] {
        if self.start.is_null() {
            return &[];
        }
        // SAFETY: as the caller vouches.
        unsafe { slice::from_raw_parts(self.start, self.length) }
    }
}

/// A header field.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Field {
    pub(super) name: Bytes,
    pub(super) value: Bytes,
}

/// `envoy_dynamic_module_type_http_header_type`.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Fields {
    RequestHeaders = 0,
    RequestTrailers = 1,
    ResponseHeaders = 2,
}

/// `envoy_dynamic_module_type_http_body_type`.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Body {
    /// What comes with this event.
    Received = 0,
    /// What was held until now.
    Held = 1,
}

/// `envoy_dynamic_module_type_attribute_id`; the same numbers in 1.38 and 1.40.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum AttributeId {
    UrlPath = 1,
    CodeDetails = 16,
    SourceAddress = 24,
    PeerSubject = 33,
    PeerDigest = 38,
    UpstreamAddress = 41,
}

/// `envoy_dynamic_module_type_log_level`.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum LogLevel {
    Trace = 0,
    Debug = 1,
    Info = 2,
    Warning = 3,
    Error = 4,
    Critical = 5,
}

/// Whatever Envoy calls its own.
pub(crate) type Envoys = *mut c_void;

/// A metric's number.
pub(crate) type MetricId = usize;

/// Defines a metric.
pub(super) type Define = unsafe extern "C" fn(Envoys, Bytes, *const Bytes, usize, *mut MetricId) -> u32;

/// Changes a metric.
pub(super) type Change = unsafe extern "C" fn(Envoys, MetricId, *const Bytes, usize, u64) -> u32;

#[rustfmt::skip]
unsafe extern "C" {
    #[link_name = "envoy_dynamic_module_callback_log"]
    pub(super) fn envoy_log(level: LogLevel, message: Bytes);
    #[link_name = "envoy_dynamic_module_callback_log_enabled"]
    pub(super) safe fn envoy_log_enabled(level: LogLevel) -> bool;
    #[link_name = "envoy_dynamic_module_callback_http_get_headers_size"]
    pub(super) fn get_headers_size(stream: Envoys, of: Fields) -> usize;
    #[link_name = "envoy_dynamic_module_callback_http_get_headers"]
    pub(super) fn get_headers(stream: Envoys, of: Fields, into: *mut Field) -> bool;
    #[link_name = "envoy_dynamic_module_callback_http_get_header"]
    pub(super) fn get_header(stream: Envoys, of: Fields, name: Bytes, value: *mut Bytes, index: usize, count: *mut usize) -> bool;
    #[link_name = "envoy_dynamic_module_callback_http_add_header"]
    pub(super) fn add_header(stream: Envoys, to: Fields, name: Bytes, value: Bytes) -> bool;
    #[link_name = "envoy_dynamic_module_callback_http_set_header"]
    pub(super) fn set_header(stream: Envoys, of: Fields, name: Bytes, value: Bytes) -> bool;
    #[link_name = "envoy_dynamic_module_callback_http_get_body_size"]
    pub(super) fn get_body_size(stream: Envoys, of: Body) -> usize;
    #[link_name = "envoy_dynamic_module_callback_http_get_body_chunks_size"]
    pub(super) fn get_body_chunks_size(stream: Envoys, of: Body) -> usize;
    #[link_name = "envoy_dynamic_module_callback_http_get_body_chunks"]
    pub(super) fn get_body_chunks(stream: Envoys, of: Body, into: *mut Bytes) -> bool;
    #[link_name = "envoy_dynamic_module_callback_http_received_buffered_request_body"]
    pub(super) fn received_buffered(stream: Envoys) -> bool;
    #[link_name = "envoy_dynamic_module_callback_http_get_buffer_limit"]
    pub(super) fn get_buffer_limit(stream: Envoys) -> u64;
    #[link_name = "envoy_dynamic_module_callback_http_set_buffer_limit"]
    pub(super) fn set_buffer_limit(stream: Envoys, limit: u64);
    #[link_name = "envoy_dynamic_module_callback_http_send_response"]
    pub(super) fn send_response(stream: Envoys, status: u32, fields: *const Field, count: usize, body: Bytes, details: Bytes);
    #[link_name = "envoy_dynamic_module_callback_http_set_filter_state_bytes"]
    pub(super) fn set_filter_state(stream: Envoys, key: Bytes, value: Bytes) -> bool;
    #[link_name = "envoy_dynamic_module_callback_http_get_filter_state_bytes"]
    pub(super) fn get_filter_state(stream: Envoys, key: Bytes, value: *mut Bytes) -> bool;
    #[link_name = "envoy_dynamic_module_callback_http_filter_get_attribute_string"]
    pub(super) fn get_attribute(stream: Envoys, id: AttributeId, value: *mut Bytes) -> bool;
    #[link_name = "envoy_dynamic_module_callback_get_most_specific_route_config"]
    pub(super) fn get_route_config(stream: Envoys) -> *const c_void;
    #[link_name = "envoy_dynamic_module_callback_http_filter_increment_counter"]
    pub(super) fn increment_counter(stream: Envoys, id: MetricId, labels: *const Bytes, count: usize, by: u64) -> u32;
    #[link_name = "envoy_dynamic_module_callback_http_filter_set_gauge"]
    pub(super) fn set_gauge(stream: Envoys, id: MetricId, labels: *const Bytes, count: usize, to: u64) -> u32;
    #[link_name = "envoy_dynamic_module_callback_http_filter_config_define_counter"]
    pub(super) fn define_counter(config: Envoys, name: Bytes, labels: *const Bytes, count: usize, id: *mut MetricId) -> u32;
    #[link_name = "envoy_dynamic_module_callback_http_filter_config_define_gauge"]
    pub(super) fn define_gauge(config: Envoys, name: Bytes, labels: *const Bytes, count: usize, id: *mut MetricId) -> u32;
    #[link_name = "envoy_dynamic_module_callback_is_validation_mode"]
    pub(super) safe fn is_validation() -> bool;
    #[link_name = "envoy_dynamic_module_callback_http_filter_config_scheduler_new"]
    pub(super) fn scheduler_new(config: Envoys) -> *mut c_void;
    #[link_name = "envoy_dynamic_module_callback_http_filter_config_scheduler_commit"]
    pub(super) fn scheduler_commit(scheduler: *mut c_void, event: u64);
    #[link_name = "envoy_dynamic_module_callback_http_filter_config_scheduler_delete"]
    pub(super) fn scheduler_delete(scheduler: *mut c_void);
    #[link_name = "envoy_dynamic_module_callback_http_filter_config_define_histogram"]
    pub(super) fn define_histogram(config: Envoys, name: Bytes, labels: *const Bytes, count: usize, id: *mut MetricId) -> u32;
    #[link_name = "envoy_dynamic_module_callback_http_filter_record_histogram_value"]
    pub(super) fn record_histogram(stream: Envoys, id: MetricId, labels: *const Bytes, count: usize, value: u64) -> u32;
    #[link_name = "envoy_dynamic_module_callback_http_filter_scheduler_new"]
    pub(super) fn stream_scheduler_new(stream: Envoys) -> *mut c_void;
    #[link_name = "envoy_dynamic_module_callback_http_filter_scheduler_commit"]
    pub(super) fn stream_scheduler_commit(scheduler: *mut c_void, event: u64);
    #[link_name = "envoy_dynamic_module_callback_http_filter_scheduler_delete"]
    pub(super) fn stream_scheduler_delete(scheduler: *mut c_void);
    #[link_name = "envoy_dynamic_module_callback_http_filter_continue_decoding"]
    pub(super) fn continue_decoding(stream: Envoys);
    // Of the C library, which Envoy is linked with.
    pub(super) fn dlsym(within: *mut c_void, name: *const c_char) -> *mut c_void;
}

pub(super) fn lent<const N: usize>(texts: [&str; N]) -> [Bytes; N] {
    texts.map(|text| Bytes::lent(text.as_bytes()))
}

/// A function of Envoy's that not every release has.
pub(super) fn optional(name: &CStr) -> *mut c_void {
    // SAFETY: the name ends with a zero; a null pointer asks for all that the process has loaded (`RTLD_DEFAULT`).
    unsafe { dlsym(ptr::null_mut(), name.as_ptr()) }
}

/// What changes metrics without a request: from 1.39 on.
pub(super) struct ChangeWithoutRequest {
    pub(super) set_gauge: Change,
    pub(super) increment_counter: Change,
}

pub(super) fn change_without_request() -> Option<&'static ChangeWithoutRequest> {
    static FOUND: OnceLock<Option<ChangeWithoutRequest>> = OnceLock::new();
    let find = || {
        let set_gauge = NonNull::new(optional(c"envoy_dynamic_module_callback_http_filter_config_set_gauge"))?;
        let increment = optional(c"envoy_dynamic_module_callback_http_filter_config_increment_counter");
        let increment_counter = NonNull::new(increment)?;
        // SAFETY: they are what their names say, and both are declared alike.
        let [set_gauge, increment_counter] = unsafe {
            [set_gauge, increment_counter].map(|found| mem::transmute::<*mut c_void, Change>(found.as_ptr()))
        };
        Some(ChangeWithoutRequest { set_gauge, increment_counter })
    };
    FOUND.get_or_init(find).as_ref()
}
