//! The access phase: a request waits here until it is known whether its callback may go on.
#![forbid(unsafe_code)]

use std::rc::Rc;

use ngx::core::Status;
use ngx::ffi::{NGX_LOG_ERR, NGX_LOG_WARN};
use ngx::http::HTTPStatus;
use secure_callbacks::identity::HEADER_NAMES;
use secure_callbacks::reply::CONTENT_TYPE;
use secure_callbacks::verdict::ACCEPTED;
use secure_callbacks::{Conclusion, Outcome, Rejection, Reply, RequestHead, TokenField, Verdict};

use crate::context::{Concluded, Context, Next, Passage};
use crate::host::body::ReadError;
use crate::host::headers::Name;
use crate::host::now;
use crate::host::reply::Answer;
use crate::host::request::Request;
use crate::policy::ActivePolicy;

/// The names of the identity headers, as nginx takes them.
static IDENTITY_HEADERS: [Name; HEADER_NAMES.len()] = {
    let [verified, api_key, application_id, jti, iat, subject] = HEADER_NAMES;
    [
        Name::new(verified),
        Name::new(api_key),
        Name::new(application_id),
        Name::new(jti),
        Name::new(iat),
        Name::new(subject),
    ]
};

/// What nginx does next with a request in the access phase.
pub(crate) enum Step {
    /// This module has nothing to say.
    NoOpinion,
    /// The callback passed.
    Consent,
    /// The body must be read first.
    ReadBody,
    /// The request is answered with this status.
    Fail(u16),
    /// The refusal is sent.
    Refuse,
}

/// The access phase has come to a request whose location has this policy: for the first time, after its body was read,
/// or after an internal redirect.
pub(crate) fn enter(request: Request<'_>, policy: &Rc<ActivePolicy>) -> Step {
    // Reading the body failed, and nginx redirected to an error page: it will never be read.
    for context in Context::all(request).filter(|context| context.concluded().is_none()) {
        if context.policy().enforces() {
            let status = request.error_status();
            context.fail(if (400..600).contains(&status) { status } else { 400 });
        } else {
            conclude(request, context, Verdict::Reject(Rejection::PayloadHashMismatch.into()));
        }
    }
    // After a redirect under another policy the callback is checked by that one too.
    if let Some(concluded) = Context::under(request, policy).and_then(Context::concluded) {
        return step(concluded);
    }
    let Ok(context) = Context::begin(request, policy) else { return Step::Fail(500) };
    match policy.verifier().start(&head(&request, policy.verifier().policy().token_header()), now()) {
        Ok(pending) => {
            context.pending.set(Some(pending));
            Step::ReadBody
        }
        Err(refused) => step(conclude(request, context, refused.into())),
    }
}

fn head<'r>(request: &'r Request<'r>, token_header: &'r str) -> RequestHead<'r> {
    let mut values = request.header(token_header.as_bytes());
    let token = match (values.next(), values.next()) {
        (None, _) => TokenField::Absent,
        (Some(value), None) => TokenField::Once(value),
        (Some(_), Some(_)) => TokenField::Repeated,
    };
    RequestHead { token, content_length: request.content_length(), connection: request }
}

fn step(concluded: &Concluded) -> Step {
    match &concluded.next {
        Next::Pass(passage) if passage.consents() => Step::Consent,
        Next::Pass(_) => Step::NoOpinion,
        Next::Refuse(_) => Step::Refuse,
        Next::Fail(status) => Step::Fail(*status),
    }
}

/// The whole body is read.
pub(crate) fn body_is_read(request: Request<'_>, context: &Context) {
    let Some(mut pending) = context.pending.take() else { return };
    let verdict = match request.body(|chunk| pending.body(chunk)) {
        Ok(()) => {
            let now = now();
            match pending.end(now) {
                Ok(authentic) => context.policy().verdict(authentic, now),
                Err(refused) => refused.into(),
            }
        }
        Err(ReadError::Stopped(refused)) => refused.into(),
        Err(ReadError::Io(error)) => {
            let line = format_args!("secure_callbacks: the request's body can't be read back: {error}");
            request.log(NGX_LOG_ERR, line);
            context.fail(500);
            return;
        }
    };
    conclude(request, context, verdict);
}

/// Some of the body has come in. `false`: it is too large, and nginx must stop reading it.
pub(crate) fn body_grows(request: Request<'_>, context: &Context, by: u64) -> bool {
    let length = context.received.get().saturating_add(by);
    context.received.set(length);
    let Some(pending) = context.pending.take() else { return true };
    match pending.check_length(length) {
        // In report mode nothing is held back, and the verdict is recorded when the body is read.
        Err(refused) if context.policy().enforces() => {
            let concluded = conclude(request, context, refused.into());
            let page = matches!(&concluded.next, Next::Refuse(reply) if !request.has_error_page(reply.status));
            context.replaces_page.set(page);
            false
        }
        _ => {
            context.pending.set(Some(pending));
            true
        }
    }
}

fn conclude<'r>(request: Request<'_>, context: &'r Context, verdict: Verdict) -> &'r Concluded {
    let policy = context.policy();
    let conclusion = policy.verifier().conclude(verdict);
    policy.count(conclusion.code);
    let level = if conclusion.fault { NGX_LOG_ERR } else { NGX_LOG_WARN };
    if request.logs(level)
        && let Some(line) = conclusion.log_line(policy.name(), request.source())
    {
        request.log(level, format_args!("{line}"));
    }
    let told = match conclusion.outcome {
        Outcome::Forward(_) => {
            let values = conclusion.identity_headers(request.client_subject());
            request.replace_identity_headers(&IDENTITY_HEADERS, values.values())
        }
        Outcome::Reply(_) => Ok(()),
    };
    let Conclusion { code, identity, outcome, .. } = conclusion;
    let next = match outcome {
        Outcome::Forward(clearance) => {
            // In report mode the verdict changes nothing, not even what `satisfy any` asks of others.
            let (passage, reservation) = Passage::by(clearance, code == ACCEPTED && policy.enforces());
            context.reservation.set(reservation);
            if told.is_ok() { Next::Pass(passage) } else { Next::Fail(500) }
        }
        Outcome::Reply(reply) => Next::Refuse(reply),
    };
    context.conclude(Concluded { code: Some(code), identity, next })
}

/// Answers a refused request. Returns the result to finalize it with.
pub(crate) fn refuse<'r>(request: Request<'r>, context: &'r Context) -> Status {
    let failed = HTTPStatus::INTERNAL_SERVER_ERROR;
    let Some(Concluded { next: Next::Refuse(reply), .. }) = context.concluded() else { return failed.into() };
    if !add_head(request, context, reply) {
        return failed.into();
    }
    if request.has_error_page(reply.status) {
        return HTTPStatus(reply.status.into()).into();
    }
    if reply.status == 413 {
        request.end_connection();
    }
    request.send(&answer(reply))
}

/// Adds the reply's fields to the answer's head, once: the request may come back by its error page.
pub(crate) fn add_head<'r>(request: Request<'r>, context: &Context, reply: &'r Reply) -> bool {
    if context.head_added.replace(true) {
        return true;
    }
    let mut fields = reply.headers().filter(|(name, _)| *name != "content-type");
    fields.all(|(name, value)| request.add_answer_field(name, value).is_ok())
}

/// The reply, as it is sent.
pub(crate) fn answer(reply: &Reply) -> Answer<'_> {
    Answer { status: reply.status, content_type: CONTENT_TYPE, body: reply.body() }
}
