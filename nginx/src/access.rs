//! The access phase: a request waits here until it is known whether its callback may go on.
#![forbid(unsafe_code)]

use std::rc::Rc;

use ngx::core::Status;
use ngx::ffi::{NGX_LOG_ERR, NGX_LOG_WARN};
use ngx::http::HTTPStatus;
use secure_callbacks::names::IDENTITY_HEADERS;
use secure_callbacks::record::Circumstances;
use secure_callbacks::reply::{CONTENT_TYPE, RETRY_AFTER};
use secure_callbacks::{
    Answer, Code, Conclusion, Fault, Identity, Outcome, Policy, Reply, RequestHead, Severity, Step as CallbackStep,
    TokenField,
};

use crate::context::{Concluded, Context, Next, Passage};
use crate::host::body::ReadError;
use crate::host::headers::Name;
use crate::host::now;
use crate::host::reply::Answer as Page;
use crate::host::request::Request;
use crate::policy::ActivePolicy;

/// The names of the identity headers, as nginx takes them.
static IDENTITY_NAMES: [Name; IDENTITY_HEADERS.len()] = {
    let [verified, api_key, application_id, jti, iat, subject] = IDENTITY_HEADERS;
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
    /// The shared store must answer first.
    Wait,
    /// The request is answered with this status.
    Fail(u16),
    /// The refusal is sent.
    Refuse,
}

/// The access phase has come to a request whose location has this policy: for the first time, after its body was read,
/// or after an internal redirect.
pub(crate) fn enter(request: Request<'_>, policy: &Rc<ActivePolicy>) -> Step {
    if Context::all(request).any(|context| context.waits().is_some()) {
        return Step::Wait;
    }
    // Reading the body failed, and nginx redirected to an error page: it will never be read.
    for context in Context::all(request).filter(|context| context.concluded().is_none()) {
        if context.policy().enforces() {
            let status = request.error_status();
            let status = if (400..600).contains(&status) { status } else { 400 };
            context.conclude(Concluded { code: None, identity: None, next: Next::Fail(status) });
        } else {
            follow(request, context, context.tell(|callback, verifier| callback.body_lost(verifier)));
        }
    }
    // After a redirect under another policy the callback is checked by that one too.
    if let Some(concluded) = Context::under(request, policy).and_then(Context::concluded) {
        return step(concluded);
    }
    let Ok(context) = Context::begin(request, policy) else { return no_context(request, policy) };
    let head = head(&request, policy.verifier().policy());
    match context.tell(|callback, verifier| callback.head(verifier, &head, now())) {
        CallbackStep::Hold => Step::ReadBody,
        told => {
            follow(request, context, told);
            context.concluded().map_or_else(|| no_context(request, policy), step)
        }
    }
}

fn head<'r>(request: &'r Request<'r>, policy: &'r Policy) -> RequestHead<'r> {
    let mut token = TokenField::Absent;
    request.header(policy.token_header().as_bytes()).for_each(|value| token.add(value));
    let line = policy.hashes_query().then(|| request.line());
    RequestHead { token, content_length: request.content_length(), line, connection: request }
}

/// Something of ours failed, and there is no callback to tell: counted, logged and answered as any other such failure.
pub(crate) fn no_context(request: Request<'_>, policy: &ActivePolicy) -> Step {
    let code = Code::Failed(Fault::ProxyFailed);
    policy.count(code);
    let line = format_args!("secure_callbacks: callback refused: policy={} code={}", policy.name(), code.as_str());
    request.log(NGX_LOG_ERR, line);
    let (name, value) = RETRY_AFTER;
    // Without memory for it, the status must do.
    let _ = request.add_answer_field(name, value);
    Step::Fail(503)
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
    let held = |step| if matches!(step, CallbackStep::Hold) { Ok(()) } else { Err(step) };
    let read = request.body(|chunk| held(context.tell(|callback, verifier| callback.body(verifier, chunk))));
    let told = match read {
        Ok(()) => {
            let owner = context.policy().next_owner();
            context.tell(|callback, verifier| callback.end_of_body(verifier, owner, now()))
        }
        Err(ReadError::Stopped(step)) => step,
        Err(ReadError::Io(error)) => {
            let line = format_args!("secure_callbacks: the request's body can't be read back: {error}");
            request.log(NGX_LOG_ERR, line);
            context.tell(|callback, verifier| callback.failed(verifier))
        }
    };
    follow(request, context, told);
}

/// Some of the body has come in. `Some`: nginx must stop reading it, and answer with this status.
pub(crate) fn body_grows<'r>(request: Request<'r>, context: &'r Context, by: u64) -> Option<u16> {
    let length = context.received.get().saturating_add(by);
    context.received.set(length);
    if context.concluded().is_some() {
        return None;
    }
    follow(request, context, context.tell(|callback, verifier| callback.length_ahead(verifier, length)));
    refused_in_body(request, context)
}

/// The status of a refusal that comes while nginx reads the body. Nginx's own page for it is replaced by ours.
pub(crate) fn refused_in_body<'r>(request: Request<'r>, context: &'r Context) -> Option<u16> {
    match &context.concluded()?.next {
        Next::Refuse(reply) if request.has_error_page(reply.status()) => {
            add_head(request, context, reply);
            Some(reply.status())
        }
        Next::Refuse(reply) => {
            context.replaces_page.set(true);
            Some(reply.status())
        }
        Next::Fail(status) => Some(*status),
        Next::Pass(_) => None,
    }
}

/// A fault of ours while a callback is held: it is refused.
pub(crate) fn failed(request: Request<'_>, context: &Context) {
    follow(request, context, context.tell(|callback, verifier| callback.failed(verifier)));
    // The fault came after the verdict, and that was not carried out.
    if context.concluded().is_none() {
        no_context(request, context.policy());
        let code = Some(Code::Failed(Fault::ProxyFailed));
        context.conclude(Concluded { code, identity: None, next: Next::Fail(503) });
    }
}

/// Does what the core says.
fn follow(request: Request<'_>, context: &Context, step: CallbackStep) {
    match step {
        CallbackStep::Hold | CallbackStep::Continue => {}
        CallbackStep::Reserve(reservation) => {
            reserved(request, context, context.policy().reserve(&reservation, now()));
        }
        CallbackStep::ReserveShared(reservation) => {
            let ticket = context.policy().with_link(|link| link.reserve(&reservation, request.hold())).flatten();
            match ticket {
                Some(ticket) => context.wait(Some(ticket)),
                None => reserved(request, context, Answer::Unavailable),
            }
        }
        CallbackStep::Conclude(conclusion) => conclude(request, context, conclusion),
    }
}

/// A store has answered.
fn reserved(request: Request<'_>, context: &Context, answer: Answer) {
    let (step, settled) = context.tell(|callback, verifier| callback.reserved(verifier, answer, now()));
    context.settle(settled);
    follow(request, context, step);
}

/// The shared store has answered for a request that was held.
pub(crate) fn shared_store_answered(request: Request<'_>, context: &Context, answer: Answer) {
    context.wait(None);
    reserved(request, context, answer);
}

/// Carries a verdict out and records it.
fn conclude(request: Request<'_>, context: &Context, conclusion: Conclusion) {
    if matches!(conclusion.outcome, Outcome::Forward(_)) {
        let values = conclusion.identity_headers(request.client_subject());
        if request.replace_identity_headers(&IDENTITY_NAMES, values.values()).is_err() {
            return not_forwarded(request, context, conclusion.identity);
        }
    }
    let policy = context.policy();
    let level = match conclusion.code.severity() {
        Severity::Silent => None,
        Severity::Warning => Some(NGX_LOG_WARN),
        Severity::Error => Some(NGX_LOG_ERR),
    };
    if let Some(level) = level.filter(|level| request.logs(*level)) {
        let (source, path, subject) = (request.source(), request.path(), request.client_subject().as_bytes());
        if let Some(line) =
            conclusion.log_line(Circumstances { policy: policy.name(), source, path, subject, now: now() })
        {
            request.log(level, format_args!("{line}"));
        }
    }
    // Last: a fault before it is counted as one, and only as that.
    policy.count(conclusion.code);
    let Conclusion { code, identity, outcome, .. } = conclusion;
    let next = match outcome {
        // In report mode the verdict changes nothing, not even what `satisfy any` asks of others.
        Outcome::Forward(clearance) => Next::Pass(Passage::by(clearance, code == Code::Accepted && policy.enforces())),
        Outcome::Reply(reply) => Next::Refuse(reply),
    };
    context.conclude(Concluded { code: Some(code), identity, next });
}

/// Without memory for the identity headers the request would carry the caller's.
fn not_forwarded(request: Request<'_>, context: &Context, identity: Option<Identity>) {
    let (step, settled) = context.tell(|callback, verifier| callback.not_forwarded(verifier, identity));
    context.settle(settled);
    follow(request, context, step);
}

/// Answers a refused request. Returns the result to finalize it with.
pub(crate) fn refuse<'r>(request: Request<'r>, context: &'r Context) -> Status {
    let failed = HTTPStatus::INTERNAL_SERVER_ERROR;
    let Some(Concluded { next: Next::Refuse(reply), .. }) = context.concluded() else { return failed.into() };
    if !add_head(request, context, reply) {
        return failed.into();
    }
    if request.has_error_page(reply.status()) {
        return HTTPStatus(reply.status().into()).into();
    }
    if reply.status() == 413 {
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
pub(crate) fn answer(reply: &Reply) -> Page<'_> {
    Page { status: reply.status(), content_type: CONTENT_TYPE, body: reply.body() }
}
