//! A request of nginx's (`ngx_http_request_t`).

use core::fmt;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use ngx::allocator::AllocError;
use ngx::core::{NgxStr, Pool, Status};
use ngx::ffi::{
    NGX_HTTP_PUT, NGX_HTTP_SPECIAL_RESPONSE, ngx_http_core_content_phase, ngx_http_core_run_phases,
    ngx_http_err_page_t, ngx_http_finalize_request, ngx_http_phase_handler_t, ngx_http_read_client_request_body,
    ngx_http_request_t, ngx_http_upstream_state_t, ngx_int_t, ngx_str_t,
};
use ngx::http::{HttpModuleLocationConf, HttpModuleMainConf, NgxHttpCoreModule};
use ngx::ngx_log_error;
use secure_callbacks::RequestLine;

use super::bits;
use super::body::{self, ReadError};
use super::headers::{self, Name};
use super::list::HeaderList;
use super::pool::Keep;
use super::wake;

/// A request, for the length of one call from nginx.
///
/// A pointer and not `ngx::http::Request`, which is a reference to the whole of nginx's structure: nginx calls one
/// handler inside another and changes the request meanwhile, so a reference may not be held across a call into nginx.
#[derive(Clone, Copy)]
pub(crate) struct Request<'r> {
    raw: NonNull<ngx_http_request_t>,
    life: PhantomData<&'r ngx_http_request_t>,
}

/// A request that is held, outside of any call of nginx's.
#[derive(Clone, Copy)]
pub(crate) struct Held(NonNull<ngx_http_request_t>);

impl Held {
    /// # Safety
    /// The request lives for as long as `'r`.
    pub(crate) unsafe fn request<'r>(self) -> Request<'r> {
        Request { raw: self.0, life: PhantomData }
    }
}

/// What nginx calls for one entry of its phases.
type Checker = unsafe extern "C" fn(*mut ngx_http_request_t, *mut ngx_http_phase_handler_t) -> ngx_int_t;

impl<'r> Request<'r> {
    /// # Safety
    /// `raw` is null or a request that nginx handles now, and lives as long as `'r`.
    pub(crate) unsafe fn from_raw(raw: *mut ngx_http_request_t) -> Option<Self> {
        NonNull::new(raw).map(|raw| Self { raw, life: PhantomData })
    }

    pub(crate) fn as_ptr(self) -> *mut ngx_http_request_t {
        self.raw.as_ptr()
    }

    /// The request as `ngx` has it, for one step that calls nothing of nginx's.
    pub(crate) fn view(&self) -> &ngx::http::Request {
        // SAFETY: the request is valid, and `ngx`'s type is a transparent wrapper.
        unsafe { self.raw.cast().as_ref() }
    }

    pub(crate) fn pool(self) -> Pool {
        self.view().pool()
    }

    /// Whether this is the caller's own request, and not one that nginx made beside it.
    pub(crate) fn is_main(self) -> bool {
        self.view().is_main()
    }

    /// Keeps a value until the request ends.
    pub(crate) fn keep<T: 'static>(self, value: T) -> Result<&'r T, AllocError> {
        // SAFETY: the pool keeps the value where it is for as long as the request lives, and nobody has it mutably.
        self.pool().keep(value).map(|value| unsafe { value.as_ref() })
    }

    /// The values of a type that are kept, the latest first.
    pub(crate) fn kept<T: 'static>(self) -> impl Iterator<Item = &'r T> {
        // SAFETY: as above.
        self.pool().kept::<T>().map(|value| unsafe { value.as_ref() })
    }

    /// Whether the connection's log takes lines of this level.
    pub(crate) fn logs(self, level: u32) -> bool {
        // SAFETY: a connection has a log.
        level as usize <= unsafe { (*self.view().log()).log_level }
    }

    /// Writes to the connection's log, at one of nginx's levels.
    pub(crate) fn log(self, level: u32, line: fmt::Arguments<'_>) {
        ngx_log_error!(level, self.view().log(), "{line}");
    }

    /// The address that the proxy trusts to be the caller's: after `realip`, if that is there.
    pub(crate) fn source(self) -> &'r str {
        // SAFETY: a connection has its address as text.
        let address = unsafe { NgxStr::from_ngx_str((*self.view().connection()).addr_text) };
        address.to_str().unwrap_or_default()
    }

    /// The path, decoded, without its query.
    pub(crate) fn path(self) -> &'r [u8] {
        // SAFETY: the request is valid, and so is its path, which lives as long.
        unsafe { bytes((*self.as_ptr()).uri) }
    }

    /// What the caller asked for: the target as it was sent, whatever `rewrite` has made of it since.
    pub(crate) fn line(self) -> RequestLine<'r> {
        // SAFETY: the request is valid, and so are its texts, which live as long.
        unsafe {
            let request = self.as_ptr();
            RequestLine { method: bytes((*request).method_name), target: bytes((*request).unparsed_uri) }
        }
    }

    /// The length that the head announces.
    pub(crate) fn content_length(self) -> Option<u64> {
        // SAFETY: the request is valid; without a length it is -1.
        u64::try_from(unsafe { (*self.as_ptr()).headers_in.content_length_n }).ok()
    }

    /// The values of a header field, by its name in lower case.
    pub(crate) fn header<'h>(&'h self, lower_case: &'h [u8]) -> impl Iterator<Item = &'h [u8]> {
        // SAFETY: the request is valid, and nobody changes its list of fields meanwhile.
        unsafe { headers::values(&(*self.as_ptr()).headers_in.headers, lower_case) }
    }

    /// Replaces the identity headers, as [`headers::replace_identity`] says; a request without a head gets one.
    pub(crate) fn replace_identity_headers<const N: usize>(
        self,
        names: &[Name; N],
        values: [&str; N],
    ) -> Result<(), AllocError> {
        // SAFETY: the list is the request's, and belongs to its pool.
        let list = unsafe {
            let list = NonNull::from(&mut (*self.as_ptr()).headers_in.headers);
            HeaderList::from_raw(list, self.pool())?
        };
        headers::replace_identity(&list, &self.pool(), names, values)
    }

    /// Asks nginx for the whole body; `then` is called when it is there, perhaps before this returns. The answer is for
    /// the phase's handler to return.
    pub(crate) fn read_body(self, then: unsafe extern "C" fn(*mut ngx_http_request_t)) -> Status {
        if self.method() == NGX_HTTP_PUT as usize {
            // A handler of PUT takes the file that it is read into, and renames it.
            self.read_body_into_file();
        }
        // SAFETY: the request is valid, and `then` is a handler of nginx's kind.
        let result = unsafe { ngx_http_read_client_request_body(self.as_ptr(), Some(then)) };
        if result >= NGX_HTTP_SPECIAL_RESPONSE as ngx_int_t {
            return Status(result);
        }
        self.finalize(Status::NGX_DONE);
        Status::NGX_DONE
    }

    /// Has nginx read the body into a file, which goes with the request unless somebody takes it: as its own handler of
    /// PUT asks for it, and could not any more once the body is read.
    fn read_body_into_file(self) {
        // SAFETY: the request is valid.
        unsafe { bits::read_body_into_file(self.as_ptr()) };
    }

    /// Gives the bytes of the body that was read to `take`.
    pub(crate) fn body<E>(self, take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), ReadError<E>> {
        // SAFETY: the request is valid, and its body is read, so the chain stays as it is.
        match unsafe { (*self.as_ptr()).request_body.as_ref() } {
            // SAFETY: as above.
            Some(read) => unsafe { body::read(read.bufs, take) },
            None => Ok(()),
        }
    }

    /// Lets the phases go on where the request was held.
    pub(crate) fn resume_phases(self) {
        // SAFETY: the request is valid, and nothing of ours is borrowed from it across the call.
        unsafe {
            (*self.as_ptr()).write_event_handler = Some(ngx_http_core_run_phases);
            ngx_http_core_run_phases(self.as_ptr());
        }
    }

    /// Has nginx leave the request alone until it is resumed.
    pub(crate) fn hold(self) -> Held {
        // SAFETY: the request is valid.
        unsafe { wake::hold(self.as_ptr()) };
        Held(self.raw)
    }

    /// Lets the phases of a request that was held go on, outside of any event of its own. It must not be touched
    /// afterwards.
    pub(crate) fn resume(self) {
        // SAFETY: the request is valid, and nothing of ours is borrowed from it across the call.
        unsafe { wake::resume(self.as_ptr()) };
    }

    /// Hands the request back to nginx, which may end it: it must not be touched afterwards.
    pub(crate) fn finalize(self, result: Status) {
        // SAFETY: the request is valid, and holds a count for this.
        unsafe { ngx_http_finalize_request(self.as_ptr(), result.0) };
    }

    /// The status that the answer has, or will have.
    pub(crate) fn answer_status(self) -> u16 {
        // SAFETY: the request is valid.
        u16::try_from(unsafe { (*self.as_ptr()).headers_out.status }).unwrap_or(0)
    }

    /// The status of the error that nginx redirected for, if it did.
    pub(crate) fn error_status(self) -> u16 {
        // SAFETY: the request is valid.
        u16::try_from(unsafe { (*self.as_ptr()).err_status }).unwrap_or(0)
    }

    /// The method, as nginx numbers it. An `error_page` may have changed it.
    pub(crate) fn method(self) -> usize {
        // SAFETY: the request is valid.
        unsafe { (*self.as_ptr()).method }
    }

    /// Whether the request has been at a handler that asks upstreams: the answer may still be from a cache.
    pub(crate) fn has_upstream(self) -> bool {
        // SAFETY: the request is valid.
        unsafe { !(*self.as_ptr()).upstream.is_null() }
    }

    /// Whether it is a location's content handler that answers, or nginx for it: not a directive of an earlier phase.
    pub(crate) fn is_in_content_phase(self) -> bool {
        let Some(core) = NgxHttpCoreModule::main_conf(self.view()) else { return false };
        // SAFETY: the request is valid. Nginx itself follows this index into this array, which is as long as the
        // configuration; before the phases begin, the index is the first entry's.
        let checker = unsafe {
            let index = usize::try_from((*self.as_ptr()).phase_handler).unwrap_or(0);
            core.phase_engine.handlers.add(index).as_ref().and_then(|handler| handler.checker)
        };
        checker.is_some_and(|checker| ptr::fn_addr_eq(checker, ngx_http_core_content_phase as Checker))
    }

    /// What the upstream that was asked last answered; `None` if none was asked, or none answered.
    pub(crate) fn upstream_status(self) -> Option<u16> {
        // SAFETY: the request is valid, and the array holds states of upstreams.
        let states = unsafe {
            match (*self.as_ptr()).upstream_states.as_ref() {
                Some(states) => states.as_slice::<ngx_http_upstream_state_t>(),
                None => return None,
            }
        };
        // A redirect leaves an entry without a status between two upstreams.
        let status = states.iter().rev().map(|state| state.status).find(|status| *status != 0)?;
        // From 1.29 on nginx passes early hints on apart, and the state keeps their status.
        // SAFETY: the request is valid; its upstream is the one that was asked last.
        let later = (100..200).contains(&status).then(|| unsafe { (*self.as_ptr()).upstream.as_ref() }).flatten();
        let status = later.map(|upstream| upstream.headers_in.status_n).filter(|later| *later != 0).unwrap_or(status);
        u16::try_from(status).ok()
    }

    /// Whether the location has an `error_page` for this status, and nginx would follow it now.
    pub(crate) fn has_error_page(self, status: u16) -> bool {
        let request = self.view();
        let Some(core) = NgxHttpCoreModule::location_conf(request) else { return false };
        // SAFETY: the request is valid.
        if !unsafe { bits::follows_error_page(self.as_ptr()) } {
            return false;
        }
        // SAFETY: the array is the core's, of its pages.
        let pages = unsafe { core.error_pages.as_ref().map(|pages| pages.as_slice::<ngx_http_err_page_t>()) };
        pages.unwrap_or_default().iter().any(|page| page.status == status as ngx_int_t)
    }
}

/// The bytes of a text of nginx's; one that was never set has none.
///
/// # Safety
/// The text is set or zeroed, and lives as long as `'r`.
unsafe fn bytes<'r>(text: ngx_str_t) -> &'r [u8] {
    if text.data.is_null() {
        return &[];
    }
    // SAFETY: as above.
    unsafe { NgxStr::from_ngx_str(text) }.as_bytes()
}
