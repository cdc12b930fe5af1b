//! What Envoy calls: every function here has C's calling convention, turns pointers into safe values, and lets no panic
//! out, which would end Envoy and print the request. A panic costs its request a 503 and leaves a line in the log.

use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;

use secure_callbacks::fault;
use secure_callbacks_envoy::host::Flow;

use crate::abi::{self, Bytes, Configuration, Envoys, LogLevel, Stream};
use crate::logger;
use crate::plugin::{Plugin, RoutePolicy};
use crate::request::{Request, Route};
use crate::shared_store::read_event;

/// Of all events: it goes on.
const CONTINUE: u32 = 0;

/// Of the head and the trailers: it stops here. (Of the body: it is held in Envoy's buffer.)
const HOLD: u32 = 1;

/// `Arc<Plugin>`, as Envoy has it.
type PluginPtr = *const Plugin;

/// `Rc<Request>`, as Envoy has it.
type RequestPtr = *const Request;

/// Runs `work`; `None` if it panics. Where it was is in the log then, by the hook for panics.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// Once for each time that the module is loaded.
#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
    let start = || {
        logger::start();
        std::panic::set_hook(Box::new(|info| abi::log(LogLevel::Critical, &fault::line(info.location()))));
        abi::version().as_ptr()
    };
    guarded(start).unwrap_or(ptr::null())
}

/// A filter's configuration; null refuses it.
///
/// # Safety
/// As Envoy calls it.
#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    envoy: Envoys,
    name: Bytes,
    configuration: Bytes,
) -> PluginPtr {
    let plugin = || {
        // SAFETY: all three are Envoy's, for this call.
        let (envoy, name, configuration) = unsafe { (Configuration::new(envoy)?, name.read(), configuration.read()) };
        Plugin::new(&envoy, name, configuration).map(Arc::new)
    };
    guarded(plugin).flatten().map_or(ptr::null(), Arc::into_raw)
}

/// # Safety
/// As Envoy calls it: once, for what `http_filter_config_new` returned.
#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(plugin: PluginPtr) {
    // SAFETY: as above; Envoy does not use it any more.
    guarded(|| drop(unsafe { Arc::from_raw(plugin) }));
}

/// What the configuration's [`Scheduler`](abi::Scheduler) has asked for, on the main thread.
///
/// # Safety
/// As Envoy calls it.
#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_scheduled(
    envoy: Envoys,
    plugin: PluginPtr,
    _event: u64,
) {
    guarded(|| {
        // SAFETY: both are there for this call: Envoy asks for none once it has destroyed the configuration.
        if let (Some(envoy), Some(plugin)) = unsafe { (Configuration::new(envoy), plugin.as_ref()) } {
            plugin.tick(&envoy);
        }
    });
}

/// A route's configuration; null refuses it.
///
/// # Safety
/// As Envoy calls it.
#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_new(
    name: Bytes,
    configuration: Bytes,
) -> *const c_void {
    let policy = || {
        // SAFETY: both are Envoy's, for this call.
        let (name, configuration) = unsafe { (name.read(), configuration.read()) };
        RoutePolicy::new(name, configuration)
    };
    guarded(policy).flatten().map_or(ptr::null(), |RoutePolicy(number)| ptr::without_provenance(number))
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_destroy(policy: *const c_void) {
    guarded(|| RoutePolicy(policy.addr()).forget());
}

/// A request begins; null closes its stream.
///
/// # Safety
/// As Envoy calls it.
#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_new(plugin: PluginPtr, _: Envoys) -> RequestPtr {
    let request = || {
        // SAFETY: Envoy has it of `http_filter_config_new` and keeps it until `http_filter_config_destroy`; this is one
        // more count of it.
        let plugin = unsafe {
            Arc::increment_strong_count(plugin);
            Arc::from_raw(plugin)
        };
        Rc::new(Request::new(plugin))
    };
    guarded(request).map_or(ptr::null(), Rc::into_raw)
}

/// # Safety
/// As Envoy calls it: once and last, on the request's thread.
#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_destroy(request: RequestPtr) {
    // SAFETY: `http_filter_new` has made it, and Envoy does not use it any more.
    guarded(|| drop(unsafe { Rc::from_raw(request) }));
}

/// Runs `work` on a request; a panic in it costs the request its way on.
///
/// # Safety
/// Both pointers are what Envoy has handed to the hook that is running.
unsafe fn on_request(
    envoy: Envoys,
    request: RequestPtr,
    on_the_way: bool,
    work: impl FnOnce(&Request, Stream) -> u32,
) -> u32 {
    let broken = if on_the_way { HOLD } else { CONTINUE };
    if request.is_null() {
        return broken;
    }
    // SAFETY: `http_filter_new` has made it on this thread. One more count of it: Envoy may destroy it meanwhile.
    let request = unsafe {
        Rc::increment_strong_count(request);
        Rc::from_raw(request)
    };
    // SAFETY: it is gone at the end of the hook, as `Request` forgets it.
    let stream = || unsafe { Stream::new(envoy) };
    let done = guarded(|| stream().map(|stream| work(&request, stream)));
    if done.is_none() {
        guarded(|| stream().map(|stream| request.fail(stream, on_the_way)));
    }
    guarded(|| drop(request));
    done.flatten().unwrap_or(broken)
}

const fn status(flow: Flow) -> u32 {
    match flow {
        Flow::Continue => CONTINUE,
        Flow::Hold => HOLD,
    }
}

/// # Safety
/// As Envoy calls it.
#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
    envoy: Envoys,
    request: RequestPtr,
    end_of_stream: bool,
) -> u32 {
    let headers = |request: &Request, stream: Stream| {
        let route = stream.route_config();
        let route = match route.is_null() {
            true => Route::HasNone,
            false => RoutePolicy(route.addr()).policy().map_or(Route::HasAnothers, Route::Has),
        };
        status(request.headers(stream, route, end_of_stream))
    };
    // SAFETY: as Envoy calls it.
    unsafe { on_request(envoy, request, true, headers) }
}

/// # Safety
/// As Envoy calls it.
#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_body(
    envoy: Envoys,
    request: RequestPtr,
    end_of_stream: bool,
) -> u32 {
    // SAFETY: as Envoy calls it.
    unsafe { on_request(envoy, request, true, |request, stream| status(request.body(stream, end_of_stream))) }
}

/// # Safety
/// As Envoy calls it.
#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_trailers(envoy: Envoys, request: RequestPtr) -> u32 {
    // SAFETY: as Envoy calls it.
    unsafe { on_request(envoy, request, true, |request, stream| status(request.trailers(stream))) }
}

/// What [`Recall`](abi::Recall) has asked for: the shared store has answered for a request that is held.
///
/// # Safety
/// As Envoy calls it.
#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_scheduled(envoy: Envoys, request: RequestPtr, event: u64) {
    let answered = |request: &Request, stream: Stream| {
        let (answer, after) = read_event(event);
        status(request.store_answered(stream, answer, after))
    };
    // SAFETY: as Envoy calls it.
    let next = unsafe { on_request(envoy, request, true, answered) };
    if next == CONTINUE {
        // SAFETY: the hook still runs. Nothing of the request is used after it, which may end it.
        guarded(|| unsafe { Stream::new(envoy) }.map(Stream::go_on));
    }
}

/// Envoy answers by itself, this filter's own refusals included; the head of that comes after.
///
/// # Safety
/// As Envoy calls it.
#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_local_reply(
    envoy: Envoys,
    request: RequestPtr,
    _status: u32,
    details: Bytes,
    _reset_imminent: bool,
) -> u32 {
    let answers = |request: &Request, stream: Stream| {
        // SAFETY: they are Envoy's, for this call.
        request.answers_itself(stream, unsafe { details.read() });
        CONTINUE
    };
    // SAFETY: as Envoy calls it.
    unsafe { on_request(envoy, request, false, answers) }
}

/// # Safety
/// As Envoy calls it.
#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_headers(
    envoy: Envoys,
    request: RequestPtr,
    _end_of_stream: bool,
) -> u32 {
    let answered = |request: &Request, stream: Stream| {
        request.answered(stream);
        CONTINUE
    };
    // SAFETY: as Envoy calls it.
    unsafe { on_request(envoy, request, false, answered) }
}

/// # Safety
/// As Envoy calls it.
#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_stream_complete(envoy: Envoys, request: RequestPtr) {
    let complete = |request: &Request, stream: Stream| {
        request.complete(stream);
        CONTINUE
    };
    // SAFETY: as Envoy calls it.
    unsafe { on_request(envoy, request, false, complete) };
}

/// The hooks that must be there and have nothing to do; their arguments stay where they are.
macro_rules! idle {
    ($($hook:ident)*) => {
        $(#[unsafe(no_mangle)]
        extern "C" fn $hook() -> u32 {
            CONTINUE
        })*
    };
}

idle! {
    envoy_dynamic_module_on_http_filter_response_body
    envoy_dynamic_module_on_http_filter_response_trailers
    envoy_dynamic_module_on_http_filter_http_callout_done
    envoy_dynamic_module_on_http_filter_http_stream_headers
    envoy_dynamic_module_on_http_filter_http_stream_data
    envoy_dynamic_module_on_http_filter_http_stream_trailers
    envoy_dynamic_module_on_http_filter_http_stream_complete
    envoy_dynamic_module_on_http_filter_http_stream_reset
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark
}
