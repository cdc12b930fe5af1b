//! The calls out of the sandbox (proxy-wasm ABI 0.2.1), made safe. Every status but the expected ones is an error here;
//! the SDK's own wrappers panic on those, and on header names and values that are not UTF-8, and one panic stops a
//! worker.

use std::ptr::{null, null_mut};

use proxy_wasm::types::{BufferType, LogLevel, MapType, MetricType};

/// A status of the ABI other than success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status(u32);

impl Status {
    const OK: u32 = 0;
    /// There is no such thing.
    pub(crate) const NOT_FOUND: Self = Self(1);
    /// The stamp of a compare-and-swap was another.
    pub(crate) const CAS_MISMATCH: Self = Self(8);

    fn check(status: u32) -> Result<(), Self> {
        if status == Self::OK { Ok(()) } else { Err(Self(status)) }
    }
}

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    safe fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    safe fn proxy_increment_metric(id: u32, offset: i64) -> u32;
    safe fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_get_log_level(level: *mut u32) -> u32;
    fn proxy_log(level: LogLevel, message: *const u8, message_size: usize) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_get_buffer_bytes(
        kind: BufferType,
        start: usize,
        max_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_header_map_pairs(map: MapType, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_header_map_value(
        map: MapType,
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_add_header_map_value(
        map: MapType,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: MapType, key: *const u8, key_size: usize) -> u32;
    fn proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, value_size: usize) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        stamp: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(key: *const u8, key_size: usize, value: *const u8, value_size: usize, stamp: u32) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_define_metric(kind: MetricType, name: *const u8, name_size: usize, id: *mut u32) -> u32;
}

/// Takes what a call returned in memory of ours.
fn returned(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Vec<u8>, Status> {
    let (mut data, mut size) = (null_mut(), 0);
    Status::check(call(&raw mut data, &raw mut size))?;
    if data.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: the host wrote `size` bytes into memory that it got from `proxy_on_memory_allocate`, which the SDK exports:
    // a leaked `Box<[u8]>` of that size. It keeps no pointer to it.
    Ok(unsafe { Vec::from_raw_parts(data, size, size) })
}

pub(crate) fn set_tick_period(milliseconds: u32) -> Result<(), Status> {
    Status::check(proxy_set_tick_period_milliseconds(milliseconds))
}

pub(crate) fn increment_metric(id: u32) -> Result<(), Status> {
    Status::check(proxy_increment_metric(id, 1))
}

pub(crate) fn record_metric(id: u32, value: u64) -> Result<(), Status> {
    Status::check(proxy_record_metric(id, value))
}

pub(crate) fn define_metric(kind: MetricType, name: &str) -> Result<u32, Status> {
    let mut id = 0;
    // SAFETY: `name` and `id` outlive the call, and the host keeps no pointer to them.
    Status::check(unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

pub(crate) fn log(level: LogLevel, message: &str) -> Result<(), Status> {
    // SAFETY: `message` outlives the call, and the host keeps no pointer to it.
    Status::check(unsafe { proxy_log(level, message.as_ptr(), message.len()) })
}

/// The lowest level that is written.
pub(crate) fn log_level() -> Result<LogLevel, Status> {
    let mut level = 0;
    // SAFETY: `level` outlives the call, and the host keeps no pointer to it.
    Status::check(unsafe { proxy_get_log_level(&raw mut level) })?;
    Ok(match level {
        0 => LogLevel::Trace,
        1 => LogLevel::Debug,
        2 => LogLevel::Info,
        3 => LogLevel::Warn,
        4 => LogLevel::Error,
        _ => LogLevel::Critical,
    })
}

pub(crate) fn nanoseconds() -> Result<u64, Status> {
    let mut time = 0;
    // SAFETY: `time` outlives the call, and the host keeps no pointer to it.
    Status::check(unsafe { proxy_get_current_time_nanoseconds(&raw mut time) })?;
    Ok(time)
}

pub(crate) fn buffer(kind: BufferType, start: usize, length: usize) -> Result<Vec<u8>, Status> {
    // SAFETY: the two places to write to are valid for the call.
    returned(|data, size| unsafe { proxy_get_buffer_bytes(kind, start, length, data, size) })
}

/// All fields of a map, serialized.
pub(crate) fn map(map: MapType) -> Result<Vec<u8>, Status> {
    // SAFETY: the two places to write to are valid for the call.
    returned(|data, size| unsafe { proxy_get_header_map_pairs(map, data, size) })
}

pub(crate) fn map_value(map: MapType, name: &[u8]) -> Result<Vec<u8>, Status> {
    // SAFETY: `name` and the two places to write to are valid for the call.
    returned(|data, size| unsafe { proxy_get_header_map_value(map, name.as_ptr(), name.len(), data, size) })
}

pub(crate) fn add_map_value(map: MapType, name: &[u8], value: &[u8]) -> Result<(), Status> {
    let (name, name_size, value, value_size) = (name.as_ptr(), name.len(), value.as_ptr(), value.len());
    // SAFETY: both slices outlive the call, and the host keeps no pointer to them.
    Status::check(unsafe { proxy_add_header_map_value(map, name, name_size, value, value_size) })
}

pub(crate) fn remove_map_value(map: MapType, name: &[u8]) -> Result<(), Status> {
    // SAFETY: `name` outlives the call, and the host keeps no pointer to it.
    Status::check(unsafe { proxy_remove_header_map_value(map, name.as_ptr(), name.len()) })
}

/// A property; the parts of `path` are separated by a zero byte.
pub(crate) fn property(path: &str) -> Result<Vec<u8>, Status> {
    // SAFETY: `path` and the two places to write to are valid for the call.
    returned(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) })
}

pub(crate) fn set_property(path: &str, value: &str) -> Result<(), Status> {
    // SAFETY: both texts outlive the call, and the host keeps no pointer to them.
    Status::check(unsafe { proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) })
}

/// A shared value and its stamp.
pub(crate) fn shared_data(key: &str) -> Result<(Vec<u8>, u32), Status> {
    let mut stamp = 0;
    // SAFETY: `key` and the three places to write to are valid for the call.
    let value =
        returned(|data, size| unsafe { proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut stamp) })?;
    Ok((value, stamp))
}

pub(crate) fn set_shared_data(key: &str, value: &[u8], stamp: u32) -> Result<(), Status> {
    let (key, key_size, value, value_size) = (key.as_ptr(), key.len(), value.as_ptr(), value.len());
    // SAFETY: key and value outlive the call, and the host keeps no pointer to them.
    Status::check(unsafe { proxy_set_shared_data(key, key_size, value, value_size, stamp) })
}

/// Sends a whole response; `headers` is a serialized map.
pub(crate) fn send_local_response(status: u16, details: &str, body: &str, headers: &[u8]) -> Result<(), Status> {
    /// Not gRPC.
    const NO_GRPC_STATUS: i32 = -1;
    let (details, details_size) = if details.is_empty() { (null(), 0) } else { (details.as_ptr(), details.len()) };
    let (body, body_size, headers, headers_size) = (body.as_ptr(), body.len(), headers.as_ptr(), headers.len());
    // SAFETY: all four slices outlive the call, and the host keeps no pointer to them.
    Status::check(unsafe {
        proxy_send_local_response(
            status.into(),
            details,
            details_size,
            body,
            body_size,
            headers,
            headers_size,
            NO_GRPC_STATUS,
        )
    })
}
