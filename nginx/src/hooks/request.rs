//! What nginx calls for a request: the access phase, our variables, and the metrics.

use std::rc::Rc;

use ngx::core::Status;
use ngx::ffi::{ngx_http_request_t, ngx_http_variable_value_t, ngx_int_t};
use ngx::http::{HTTPStatus, HttpModuleLocationConf, HttpModuleMainConf, Method};

use super::checks::Checks;
use super::{FAILED, UNAVAILABLE, guarded};
use crate::access::{self, Step};
use crate::context::Context;
use crate::host::bits::set_variable;
use crate::host::now;
use crate::host::reply::Answer;
use crate::host::request::Request;
use crate::metrics;
use crate::policy::ActivePolicy;
use crate::settle;
use crate::variables::value as value_of;
use secure_callbacks::names::AccessLogValue;

/// The policy of a request's location.
fn policy(request: Request<'_>) -> Option<&Rc<ActivePolicy>> {
    Checks::location_conf(request.view())?.policy.as_ref()
}

/// The context of a request under its location's policy.
pub(super) fn context(request: Request<'_>) -> Option<&Context> {
    Context::under(request, policy(request)?)
}

/// The handler in the access phase.
pub(super) unsafe extern "C" fn check(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx hands on the request it handles.
    let Some(request) = (unsafe { Request::from_raw(r) }) else { return FAILED.into() };
    if guarded(request, settle::comes_by).is_none() {
        return end(request, FAILED).into();
    }
    let Some(policy) = policy(request) else { return Status::NGX_DECLINED.into() };
    let next = match guarded(request, |request| access::enter(request, policy)) {
        Some(Step::NoOpinion) => Status::NGX_DECLINED,
        Some(Step::Consent) => Status::NGX_OK,
        Some(Step::Wait) => Status::NGX_AGAIN,
        Some(Step::ReadBody) => request.read_body(body_is_read),
        Some(Step::Fail(status)) => end(request, HTTPStatus(status.into()).into()),
        Some(Step::Refuse) => {
            let refuse = |request| context(request).map(|context| access::refuse(request, context));
            end(request, guarded(request, refuse).flatten().unwrap_or(FAILED))
        }
        None => {
            guarded(request, |request| access::no_context(request, policy));
            end(request, HTTPStatus(UNAVAILABLE.into()).into())
        }
    };
    next.into()
}

/// Ends a request here, so that under `satisfy any` no other module lets the caller through.
fn end(request: Request<'_>, result: Status) -> Status {
    request.finalize(result);
    Status::NGX_DONE
}

/// Nginx has read the whole body.
unsafe extern "C" fn body_is_read(r: *mut ngx_http_request_t) {
    // SAFETY: nginx hands on the request it handles.
    let Some(request) = (unsafe { Request::from_raw(r) }) else { return };
    if let Some(context) = context(request)
        && guarded(request, |request| access::body_is_read(request, context)).is_none()
    {
        guarded(request, |request| access::failed(request, context));
    }
    // Held for the shared store: `shared_store::tell` resumes it.
    if context(request).is_some_and(|context| context.waits().is_some()) {
        return;
    }
    // The handler above finds what was concluded.
    request.resume_phases();
}

/// The value of one of our variables.
pub(super) unsafe extern "C" fn get_variable(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    index: usize,
) -> ngx_int_t {
    // SAFETY: nginx hands on the request and the place for the value.
    let (Some(request), Some(value)) = (unsafe { (Request::from_raw(r), value.as_mut()) }) else {
        return Status::NGX_ERROR.into();
    };
    let known =
        guarded(request, |request| AccessLogValue::ALL.get(index).and_then(|variable| value_of(*variable, request)));
    set_variable(value, known.flatten());
    Status::NGX_OK.into()
}

/// The handler of a location with `secure_callbacks_metrics`.
pub(super) unsafe extern "C" fn serve_metrics(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx hands on the request it handles.
    let Some(request) = (unsafe { Request::from_raw(r) }) else { return FAILED.into() };
    if ![Method::GET, Method::HEAD].contains(&request.view().method()) {
        return Status::from(HTTPStatus::NOT_ALLOWED).into();
    }
    let sent = guarded(request, |request| {
        let text = metrics::text(Checks::main_conf(request.view())?, now());
        Some(request.send(&Answer { status: 200, content_type: metrics::CONTENT_TYPE, body: &text }))
    });
    sent.flatten().unwrap_or(FAILED).into()
}
