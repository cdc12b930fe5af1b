//! One request: what Envoy calls for it becomes the events of a callback's life, and the core's steps become calls of
//! Envoy's.
//!
//! It is held from its head on, so that nothing reaches the application before the verdict. The body ends in exactly one
//! of three places: with the head, with its last piece, or with the trailers.

mod body;
mod connection;
mod fields;
mod record;
mod refusal;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use secure_callbacks::record::IdentityHeaders;
use secure_callbacks::{
    Answer, AnsweredBy, Callback, Clearance, Conclusion, Fault, Identity, Outcome, Reply, Settled, Step, UnixSeconds,
};

use crate::certificates::Certificate;
use crate::host::{Attribute, Flow, Host, HostFailed, Part};
use crate::protection::Protection;
use body::{Body, Problem};
use connection::{Downstream, validated_subject};
use fields::Head;
use refusal::Refusal;

/// One request. `P` is how a host holds on to its policies: in an `Rc` where one thread has them, else in an `Arc`.
pub struct Filter<H: Host, P: Deref<Target = Protection<H>> + Clone> {
    host: H,
    /// Without one, because the configuration was refused, nothing is let through.
    protection: Option<P>,
    /// Tells its reservation from another's of the same callback.
    context_id: u32,
    callback: Callback,
    body: Body,
    /// When the head came, and then when the body ended. What settles a reservation goes by that too: each look at the
    /// clock is a call, and a reservation that has lapsed since is still settled unless somebody else has its place.
    time: Duration,
    /// Names that came from outside and that the application would take for ours; `None`: they can't be known.
    forged: Option<Vec<Box<[u8]>>>,
    /// The client's, if the policy asks for one.
    certificate: Option<Arc<Certificate>>,
    /// What is still to come of a request is so short that a refusal waits for it.
    rest_is_short: bool,
    /// The answer that waits for it.
    refusal: Option<Box<Refusal>>,
}

impl<H: Host, P: Deref<Target = Protection<H>> + Clone> Filter<H, P> {
    /// A filter for one request. `context_id` is the host's number for it.
    pub fn new(host: H, protection: Option<P>, context_id: u32) -> Self {
        Self {
            host,
            protection,
            context_id,
            callback: Callback::default(),
            body: Body::default(),
            time: Duration::ZERO,
            forged: None,
            certificate: None,
            rest_is_short: false,
            refusal: None,
        }
    }

    /// What it asks of Envoy.
    pub fn host(&self) -> &H {
        &self.host
    }

    /// The head is complete.
    pub fn request_headers(&mut self, end_of_stream: bool) -> Flow {
        let Some(protection) = self.protection.clone() else {
            return self.answer(Reply::unavailable(), Fault::ProxyFailed.as_str());
        };
        let verifier = protection.verifier();
        let Ok(head) = Head::read(&self.host, verifier.policy(), end_of_stream) else {
            return self.fail(&protection);
        };
        let rest_is_short = refusal::waits_for(head.content_length(), verifier.policy());
        self.time = self.host.time();
        let connection = Downstream::new(&self.host, protection.certificates());
        let step = self.callback.head(verifier, &head.request(&connection), self.now());
        self.certificate = connection.into_certificate();
        self.rest_is_short = rest_is_short && matches!(step, Step::Conclude(_));
        let (no_body_follows, announces_body) = (head.no_body_follows(), head.announces_body());
        self.forged = Some(head.into_forged());
        match step {
            // What follows an upgrade has no end, so a body that is announced there can't be checked.
            Step::Hold if no_body_follows && announces_body && !end_of_stream => {
                let step = self.callback.body_lost(verifier);
                self.follow(&protection, step)
            }
            Step::Hold if no_body_follows => self.end_of_body(&protection),
            step => self.follow(&protection, step),
        }
    }

    /// More of the body is there: `size` bytes in all, since they are held back.
    pub fn request_body(&mut self, size: usize, end_of_stream: bool) -> Flow {
        if self.refusal.is_some() {
            // More than was announced, which Envoy should not let pass, is not waited for.
            return if end_of_stream || refusal::is_long(size) { self.stop_waiting() } else { Flow::Hold };
        }
        let Some(protection) = self.protection.clone() else { return Flow::Hold };
        match self.body.grow(size, &mut self.callback, &self.host, protection.verifier()) {
            Err(problem) => self.stop(&protection, problem),
            Ok(()) if end_of_stream => {
                self.time = self.host.time();
                self.end_of_body(&protection)
            }
            Ok(()) => Flow::Hold,
        }
    }

    /// The trailers are there, and so the body has ended.
    pub fn request_trailers(&mut self) -> Flow {
        if self.refusal.is_some() {
            return self.stop_waiting();
        }
        let Some(protection) = self.protection.clone() else { return Flow::Hold };
        if fields::remove_forged_trailers(&self.host).is_err() {
            // Whatever the callback is worth, it would carry what the caller wrote; also where it is on its way already
            // (report mode, a verdict on the head), and then counts twice.
            self.forged = None;
            return match self.not_forwarded(&protection, None) {
                Step::Hold => self.fail(&protection),
                step => self.follow(&protection, step),
            };
        }
        self.time = self.host.time();
        self.end_of_body(&protection)
    }

    /// The shared store has answered, while the request was held.
    pub fn shared_store_answered(&mut self, answer: Answer) -> Flow {
        let Some(protection) = self.protection.clone() else { return Flow::Hold };
        self.time = self.host.time();
        self.reserved(&protection, answer)
    }

    /// The head of the response: the application's, or the proxy's own.
    pub fn response_headers(&mut self) {
        let Some(protection) = self.protection.clone() else { return };
        if self.callback.awaits_answer() {
            let status = self.host.response_status().unwrap_or_default();
            let settled = self.callback.answered(status, || answered_by(&self.host));
            self.settle(&protection, settled);
        }
    }

    /// Whether the request is held, and waits for more of it.
    #[must_use]
    pub fn awaits_more(&self) -> bool {
        self.callback.takes_body() || self.refusal.is_some()
    }

    /// A fault of the host's own came over a request that went on. Whether its callback was taken can't be told.
    pub fn abandoned(&mut self) {
        self.callback.abandoned();
    }

    /// The stream is over. A callback without an answer was not taken.
    pub fn done(&mut self) {
        let Some(protection) = self.protection.clone() else { return };
        let settled = self.callback.gone();
        self.settle(&protection, settled);
    }

    fn now(&self) -> UnixSeconds {
        UnixSeconds::try_from(self.time.as_secs()).unwrap_or(UnixSeconds::MAX)
    }

    /// Different for each request, as far as one callback's are concerned: the same number on another worker has
    /// another time.
    fn owner(&self) -> u32 {
        let time = self.time;
        let seconds = u32::try_from(time.as_secs() & u64::from(u32::MAX)).unwrap_or_default();
        time.subsec_nanos() ^ seconds.rotate_left(30) ^ self.context_id.wrapping_mul(0x9e37_79b9)
    }

    fn end_of_body(&mut self, protection: &Protection<H>) -> Flow {
        if let Err(problem) = self.body.show(&mut self.callback, &self.host, protection.verifier()) {
            return self.stop(protection, problem);
        }
        let step = self.callback.end_of_body(protection.verifier(), self.owner(), self.now());
        self.follow(protection, step)
    }

    fn stop(&mut self, protection: &Protection<H>, problem: Problem) -> Flow {
        match problem {
            Problem::Step(step) => self.follow(protection, step),
            Problem::Unreadable => self.fail(protection),
        }
    }

    /// The host did not do what the check needs.
    fn fail(&mut self, protection: &Protection<H>) -> Flow {
        self.rest_is_short = false;
        let step = self.callback.failed(protection.verifier());
        self.follow(protection, step)
    }

    /// Does what the core says. One function for all events, which the compiler would put into each of them.
    #[inline(never)]
    fn follow(&mut self, protection: &Protection<H>, step: Step) -> Flow {
        match step {
            Step::Hold => Flow::Hold,
            Step::Continue => Flow::Continue,
            Step::Reserve(reservation) => {
                let answer = protection.reserve(&reservation, &self.host, self.now());
                self.reserved(protection, answer)
            }
            Step::ReserveShared(reservation) if protection.reserve_shared(&reservation, &self.host) => Flow::Hold,
            Step::ReserveShared(_) => self.reserved(protection, Answer::Unavailable),
            Step::Conclude(conclusion) => self.conclude(protection, conclusion),
        }
    }

    /// A store has answered.
    fn reserved(&mut self, protection: &Protection<H>, answer: Answer) -> Flow {
        let (step, settled) = self.callback.reserved(protection.verifier(), answer, self.now());
        self.settle(protection, settled);
        self.follow(protection, step)
    }

    /// Carries a verdict out and records it.
    fn conclude(&mut self, protection: &Protection<H>, conclusion: Conclusion) -> Flow {
        if matches!(conclusion.outcome, Outcome::Forward(_)) && self.tell_application(&conclusion).is_err() {
            let step = self.not_forwarded(protection, conclusion.identity);
            return self.follow(protection, step);
        }
        record::record(&self.host, protection, &conclusion, self.now());
        match conclusion.outcome {
            Outcome::Forward(clearance) => forward(clearance),
            Outcome::Reply(reply) => self.answer(reply, conclusion.code.as_str()),
        }
    }

    /// It was cleared, and can't go on as it must be.
    fn not_forwarded(&mut self, protection: &Protection<H>, identity: Option<Identity>) -> Step {
        // It is answered now, whatever was to be waited for.
        self.rest_is_short = false;
        let (step, settled) = self.callback.not_forwarded(protection.verifier(), identity);
        self.settle(protection, settled);
        step
    }

    fn settle(&self, protection: &Protection<H>, settled: Option<Settled>) {
        if let Some(settled) = settled {
            protection.settle(&settled, &self.host, self.now());
        }
    }

    /// Answers with what the core says, once the rest of the request is there, if that is short.
    fn answer(&mut self, reply: Reply, code: &'static str) -> Flow {
        let refusal = Refusal::new(reply, code);
        if self.rest_is_short {
            self.refusal = Some(Box::new(refusal));
            return Flow::Hold;
        }
        refusal.send(&self.host)
    }

    /// Says now what it waited with.
    fn stop_waiting(&mut self) -> Flow {
        self.refusal.take().map_or(Flow::Hold, |refusal| refusal.send(&self.host))
    }

    /// Adds the identity headers, after what came from outside under their names is gone: to add costs less than to
    /// replace.
    fn tell_application(&self, conclusion: &Conclusion) -> Result<(), HostFailed> {
        let subject = validated_subject(&self.host, self.certificate.as_deref());
        let headers: IdentityHeaders<'_> = conclusion.identity_headers(&subject);
        for name in self.forged.as_ref().ok_or(HostFailed)? {
            self.host.remove_field(Part::Headers, name)?;
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            self.host.add_header(name, value)?;
        }
        Ok(())
    }
}

/// What a fault of the host's own comes to: a request that was on its way is recorded and answered, and does not go on.
/// Of the request itself nothing is relied on.
pub fn fault<H: Host>(host: &H, protection: &Protection<H>) {
    let now = UnixSeconds::try_from(host.time().as_secs()).unwrap_or(UnixSeconds::MAX);
    let conclusion = protection.verifier().policy().conclude_not_forwarded(None);
    record::record(host, protection, &conclusion, now);
    if let Outcome::Reply(reply) = conclusion.outcome {
        Refusal::new(reply, conclusion.code.as_str()).send(host);
    }
}

/// The only way on to the application; what follows a head that went on goes the same way.
fn forward(_: Clearance) -> Flow {
    Flow::Continue
}

/// Whose answer goes back. Envoy's own pass the filters like the application's, with any status; one attribute tells them
/// apart (Envoy 1.36 to 1.40). An application that answers an upgrade otherwise than by 101 has answered all the same:
/// Envoy passes its status on as an answer of its own.
fn answered_by(host: &impl Host) -> AnsweredBy {
    match host.attribute(Attribute::CodeDetails).as_deref() {
        Some(b"via_upstream" | b"websocket_handshake_unsuccessful") => AnsweredBy::Application,
        _ => AnsweredBy::Proxy,
    }
}

impl<H: Host, P: Deref<Target = Protection<H>> + Clone> Drop for Filter<H, P> {
    fn drop(&mut self) {
        self.done();
    }
}
