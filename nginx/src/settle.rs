//! The end of a reservation: the application's answer keeps it or releases it.
//!
//! An upstream is the application, and what it answered counts, whatever nginx makes of it. Where none is asked, a content
//! handler may stand in the application's place. What nginx answers by itself is nobody's answer: the callback reached nobody.
//!
//! It is settled as soon as an answer's head passes, so that what the upstream took stays remembered even if the worker
//! dies while the body is sent. A request that ends without an answer releases it.
#![forbid(unsafe_code)]

use secure_callbacks::{AnsweredBy, FinalStatus};

use crate::context::Context;
use crate::host::request::Request;

/// The request comes to the access phase, perhaps not for the first time: nginx may have redirected it inside.
pub(crate) fn comes_by(request: Request<'_>) {
    for context in Context::all(request).filter(|_| request.error_status() != 0) {
        context.after_error.set(true);
    }
}

/// The head of the request's answer is known.
pub(crate) fn answered(request: Request<'_>) {
    for context in Context::all(request) {
        if context.tell(|callback, _| callback.awaits_answer()) {
            let (status, by) = answer(request, context);
            settle(context, status, by);
            // Before 1.29 nginx takes any interim answer for the whole one, and passes the final one on as its body.
            if by == AnsweredBy::Application && context.tell(|callback, _| callback.awaits_answer()) {
                context.interim.set(Some(FinalStatus::new()));
            }
        }
    }
}

/// Whether the final answer of an upstream's is still to be found in the body that passes.
pub(crate) fn awaits_final(request: Request<'_>) -> bool {
    Context::all(request).any(|context| context.interim.get().is_some())
}

/// Some of the answer's body passes. Whether the final answer is still to be found after it.
pub(crate) fn body_passes(request: Request<'_>, bytes: &[u8]) -> bool {
    for context in Context::all(request) {
        if let Some(mut reading) = context.interim.take() {
            match reading.read(bytes) {
                Some(status) => settle(context, status, AnsweredBy::Application),
                None => context.interim.set(Some(reading)),
            }
        }
    }
    awaits_final(request)
}

fn settle(context: &Context, status: u16, by: AnsweredBy) {
    context.settle(context.tell(|callback, _| callback.answered(status, || by)));
}

/// The answer that counts, and whose it is.
fn answer(request: Request<'_>, context: &Context) -> (u16, AnsweredBy) {
    if let Some(status) = request.upstream_status() {
        // An `error_page` may have put another answer in the place of the upstream's, which is what counts.
        return (status, AnsweredBy::Application);
    }
    // The callback itself must have come to the handler: an `error_page` asks for its page by GET, or sets the status in
    // the place of the handler's.
    let handled = !request.has_upstream()
        && request.is_in_content_phase()
        && request.method() == context.method
        && !context.after_error.get();
    (request.answer_status(), if handled { AnsweredBy::ContentHandler } else { AnsweredBy::Proxy })
}
