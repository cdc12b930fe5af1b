//! What nginx calls as bytes pass: the request's body on its way in, the answer's head and body on their way out.

use core::ptr;

use ngx::core::Status;
use ngx::ffi::{
    ngx_chain_t, ngx_conf_t, ngx_http_output_body_filter_pt, ngx_http_output_header_filter_pt,
    ngx_http_request_body_filter_pt, ngx_http_request_t, ngx_http_top_body_filter, ngx_http_top_header_filter,
    ngx_http_top_request_body_filter, ngx_int_t, ngx_module_t,
};
use ngx::http::{HTTPStatus, HttpModule};

use secure_callbacks::Reply;

use super::request::context;
use super::{FAILED, UNAVAILABLE, guarded};
use crate::access;
use crate::context::{Concluded, Context, Next};
use crate::host::body;
use crate::host::request::Request;
use crate::module::ngx_http_secure_callbacks_filter_module;
use crate::settle;

/// The module that holds the filters.
pub(crate) struct Filters;

impl HttpModule for Filters {
    fn module() -> &'static ngx_module_t {
        // SAFETY: nginx changes it before it calls anything of the module's, and not afterwards.
        unsafe { &*ptr::addr_of!(ngx_http_secure_callbacks_filter_module) }
    }

    unsafe extern "C" fn postconfiguration(_: *mut ngx_conf_t) -> ngx_int_t {
        // SAFETY: nginx is single-threaded, and builds the chains anew for every configuration.
        unsafe {
            NEXT_HEADER_FILTER = ngx_http_top_header_filter;
            ngx_http_top_header_filter = Some(filter_header);
            NEXT_BODY_FILTER = ngx_http_top_body_filter;
            ngx_http_top_body_filter = Some(filter_body);
            NEXT_REQUEST_BODY_FILTER = ngx_http_top_request_body_filter;
            ngx_http_top_request_body_filter = Some(filter_request_body);
        }
        Status::NGX_OK.into()
    }
}

static mut NEXT_HEADER_FILTER: ngx_http_output_header_filter_pt = None;
static mut NEXT_BODY_FILTER: ngx_http_output_body_filter_pt = None;
static mut NEXT_REQUEST_BODY_FILTER: ngx_http_request_body_filter_pt = None;

/// Some of a request's body has come in.
unsafe extern "C" fn filter_request_body(r: *mut ngx_http_request_t, chain: *mut ngx_chain_t) -> ngx_int_t {
    // SAFETY: nginx hands on the request it handles.
    let Some(request) = (unsafe { Request::from_raw(r) }) else { return FAILED.0 };
    let refused = context(request).and_then(|context| {
        // SAFETY: nginx hands on the chain of what came in.
        let grown = guarded(request, |request| access::body_grows(request, context, unsafe { body::length(chain) }));
        grown.unwrap_or_else(|| {
            let fail = |request| {
                access::failed(request, context);
                access::refused_in_body(request, context)
            };
            guarded(request, fail).unwrap_or(Some(UNAVAILABLE))
        })
    });
    match refused {
        // SAFETY: it was set with this filter.
        None => unsafe { NEXT_REQUEST_BODY_FILTER.map_or(FAILED.0, |next| next(r, chain)) },
        Some(status) => Status::from(HTTPStatus(status.into())).0,
    }
}

/// The context whose refusal replaces nginx's own page.
fn replacing<'r>(request: Request<'r>) -> Option<(&'r Context, &'r Reply)> {
    let context = Context::all(request).find(|context| context.replaces_page.get())?;
    match context.concluded() {
        Some(Concluded { next: Next::Refuse(reply), .. }) => Some((context, reply)),
        _ => None,
    }
}

/// The head of an answer is on its way.
unsafe extern "C" fn filter_header(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx hands on the request it handles.
    if let Some(request) = unsafe { Request::from_raw(r) }.filter(|request| request.is_main()) {
        let done = guarded(request, |request| {
            settle::answered(request);
            if let Some((context, reply)) = replacing(request) {
                access::add_head(request, context, reply);
                request.describe_body(&access::answer(reply));
            }
        });
        if done.is_none() {
            return Status::NGX_ERROR.0;
        }
    }
    // SAFETY: it was set with this filter.
    unsafe { NEXT_HEADER_FILTER.map_or(Status::NGX_ERROR.0, |next| next(r)) }
}

/// Some of an answer's body is on its way.
unsafe extern "C" fn filter_body(r: *mut ngx_http_request_t, chain: *mut ngx_chain_t) -> ngx_int_t {
    // SAFETY: nginx hands on the request it handles.
    let ours = unsafe { Request::from_raw(r) }.filter(|request| request.is_main()).map(|request| {
        guarded(request, |request| {
            if settle::awaits_final(request) {
                let take = |bytes: &[u8]| if settle::body_passes(request, bytes) { Ok(()) } else { Err(()) };
                // A body that can't be read shows no final answer: the callback counts as unanswered.
                // SAFETY: nginx hands on the chain of what passes.
                let _ = unsafe { body::read(chain, take) };
            }
            match replacing(request) {
                Some((context, reply)) => {
                    context.replaces_page.set(false);
                    request.last_link(access::answer(reply).body).ok()
                }
                None => Some(chain),
            }
        })
    });
    let chain = match ours {
        Some(Some(Some(ours))) => ours,
        Some(_) => return Status::NGX_ERROR.0,
        None => chain,
    };
    // SAFETY: it was set with this filter.
    unsafe { NEXT_BODY_FILTER.map_or(Status::NGX_ERROR.0, |next| next(r, chain)) }
}
