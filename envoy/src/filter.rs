//! The life of one request.
//!
//! It is held from its head on, so that nothing reaches the upstream before the verdict. The verdict falls in exactly
//! one of three places, where the body ends: with the head, with the last piece of the body, or with the trailers.
//!
//! ```text
//! Fresh ──head──▶ Held ──end of body──▶ Forwarded ──response or end of stream──▶ reservation settled
//!   ├──────────────┴──────────────────▶ Answered (nothing forwards any more)
//!   └──▶ Refused ──end of body──▶ Answered
//! ```

mod body;
mod certificates;
mod connection;
mod fields;
mod host;
mod names;
mod record;
mod refusal;

use std::rc::Rc;
use std::time::Duration;

use secure_callbacks::identity::IdentityHeaders;
use secure_callbacks::verifier::UnixSeconds;
use secure_callbacks::{AnsweredBy, Conclusion, Outcome, Reservation, Settlement, Verdict, settlement};

use crate::protection::Protection;
use body::{Body, Problem};
use certificates::Certificate;
pub(crate) use certificates::Certificates;
use connection::{Downstream, validated_subject};
use fields::Head;
pub use host::{Answer, Flow, Host, HostFailed, Part};
use refusal::Refusal;

#[derive(Debug)]
// Every good request goes through the large one, and the filter is boxed as a whole. (32-bit targets do not warn.)
#[allow(clippy::large_enum_variant)]
enum Stage {
    /// Nothing was seen yet.
    Fresh,
    /// The head is good; the body is awaited.
    Held(Body),
    /// The verdict on the head is a refusal, which is told when the body, a short one, has come.
    Refused(Box<Refusal>),
    /// It went on; the reservation waits for the upstream's answer.
    Forwarded { reservation: Option<Reservation> },
    /// The caller has its answer, and nothing went on.
    Answered,
}

/// One request.
#[derive(Debug)]
pub struct Filter<H: Host> {
    host: H,
    /// Without one, because the configuration was refused, nothing is let through.
    protection: Option<Rc<Protection>>,
    /// Tells its reservation from another's of the same callback.
    context_id: u32,
    stage: Stage,
    /// When the head came, and then when the body ended. What settles a reservation goes by that too: each look at the
    /// clock is a call, and a reservation that has lapsed since is still settled unless somebody else has its place.
    time: Duration,
    /// Names that came from outside and that the application would take for ours.
    forged: Vec<Box<[u8]>>,
    /// The client's, if the policy asks for one.
    certificate: Option<Rc<Certificate>>,
    /// What is still to come of a request is so short that a refusal waits for it.
    rest_is_short: bool,
}

impl<H: Host> Filter<H> {
    /// A filter for one request. `context_id` is the host's number for it.
    pub fn new(host: H, protection: Option<Rc<Protection>>, context_id: u32) -> Self {
        Self {
            host,
            protection,
            context_id,
            stage: Stage::Fresh,
            time: Duration::ZERO,
            forged: Vec::new(),
            certificate: None,
            rest_is_short: false,
        }
    }

    /// The head is complete.
    pub fn request_headers(&mut self, end_of_stream: bool) -> Flow {
        if !matches!(self.stage, Stage::Fresh) {
            return self.unexpected();
        }
        let Some(protection) = self.protection.clone() else { return self.fail() };
        let verifier = protection.verifier();
        let Ok(head) = Head::read(&self.host, verifier.policy().token_header(), end_of_stream) else {
            return self.fail();
        };
        let no_body_follows = head.no_body_follows();
        let rest_is_short = refusal::waits_for(head.content_length(), verifier.policy());
        self.time = self.host.time();
        let connection = Downstream::new(&self.host, protection.certificates());
        let started = verifier.start(&head.request(&connection), self.now());
        self.certificate = connection.into_certificate();
        self.forged = head.into_forged();
        match started {
            Err(refused) => {
                self.rest_is_short = rest_is_short;
                self.conclude(&protection, refused)
            }
            Ok(pending) if no_body_follows => self.end_of_body(&protection, Body::new(pending)),
            Ok(pending) => self.hold(Body::new(pending)),
        }
    }

    /// More of the body is there: `size` bytes in all, since they are held back.
    pub fn request_body(&mut self, size: usize, end_of_stream: bool) -> Flow {
        if self.is_waiting() {
            // More than was announced, which Envoy should not let pass, is not waited for.
            return if end_of_stream || refusal::is_long(size) { self.stop_waiting() } else { Flow::Hold };
        }
        let (mut body, protection) = match self.take_held() {
            Ok(held) => held,
            Err(flow) => return flow,
        };
        match body.grow(size, &self.host, protection.native_hash()) {
            Err(problem) => self.stop(&protection, problem),
            Ok(()) if end_of_stream => {
                self.time = self.host.time();
                self.end_of_body(&protection, body)
            }
            Ok(()) => self.hold(body),
        }
    }

    /// The trailers are there, and so the body has ended.
    pub fn request_trailers(&mut self) -> Flow {
        if self.is_waiting() {
            return self.stop_waiting();
        }
        if matches!(self.stage, Stage::Held(_) | Stage::Forwarded { .. })
            && fields::remove_forged_trailers(&self.host).is_err()
        {
            return self.fail();
        }
        match self.take_held() {
            Ok((body, protection)) => {
                self.time = self.host.time();
                self.end_of_body(&protection, body)
            }
            Err(flow) => flow,
        }
    }

    /// The head of the response: the application's, or the proxy's own.
    pub fn response_headers(&mut self) {
        self.settle(|host| settlement(host.response_status().unwrap_or_default(), || answered_by(host)));
    }

    /// The stream is over. A callback without an answer was not taken.
    pub fn done(&mut self) {
        self.settle(|_| Settlement::Release);
    }

    fn now(&self) -> UnixSeconds {
        UnixSeconds::try_from(self.time.as_secs()).unwrap_or(UnixSeconds::MAX)
    }

    fn hold(&mut self, body: Body) -> Flow {
        self.stage = Stage::Held(body);
        Flow::Hold
    }

    /// Takes what is awaiting the body; in any other stage, what to do instead.
    fn take_held(&mut self) -> Result<(Body, Rc<Protection>), Flow> {
        match (&self.stage, self.protection.clone()) {
            (Stage::Held(_), Some(protection)) => {
                // Whatever happens from here on, this request goes on by a verdict or not at all.
                match std::mem::replace(&mut self.stage, Stage::Answered) {
                    Stage::Held(body) => Ok((body, protection)),
                    _ => Err(Flow::Hold),
                }
            }
            _ => Err(self.unexpected()),
        }
    }

    /// What follows the verdict passes or stays, as the verdict was; what comes before the head is refused.
    fn unexpected(&mut self) -> Flow {
        match self.stage {
            Stage::Forwarded { .. } => Flow::Continue,
            Stage::Answered | Stage::Refused(_) => Flow::Hold,
            Stage::Fresh | Stage::Held(_) => self.fail(),
        }
    }

    fn end_of_body(&mut self, protection: &Protection, body: Body) -> Flow {
        let now = self.now();
        match body.end(&self.host, protection.native_hash(), now) {
            Err(problem) => self.stop(protection, problem),
            Ok(authentic) => {
                let reserved = authentic
                    .reservation(self.owner(), now)
                    .map(|reservation| (reservation, protection.reserve(&reservation, &self.host, now)));
                self.conclude(protection, authentic.settle(reserved))
            }
        }
    }

    fn stop(&mut self, protection: &Protection, problem: Problem) -> Flow {
        match problem {
            Problem::Refused(refused) => self.conclude(protection, refused),
            Problem::Unreadable => self.fail(),
        }
    }

    /// Different for each request, as far as one callback's are concerned: the same number on another worker has
    /// another time.
    fn owner(&self) -> u32 {
        let time = self.time;
        let seconds = u32::try_from(time.as_secs() & u64::from(u32::MAX)).unwrap_or_default();
        time.subsec_nanos() ^ seconds.rotate_left(30) ^ self.context_id.wrapping_mul(0x9e37_79b9)
    }

    /// Does and records what follows from a verdict.
    fn conclude(&mut self, protection: &Protection, verdict: impl Into<Verdict>) -> Flow {
        let conclusion = protection.verifier().conclude(verdict);
        record::record(&self.host, protection, &conclusion);
        match conclusion.outcome {
            Outcome::Forward(_) => self.forward(conclusion),
            Outcome::Reply(reply) => self.answer(reply, conclusion.code),
        }
    }

    /// The only way on to the upstream; it takes the clearance that the core gave.
    fn forward(&mut self, conclusion: Conclusion) -> Flow {
        let subject = validated_subject(&self.host, self.certificate.as_deref());
        let told = self.tell_application(&conclusion.identity_headers(&subject));
        let Outcome::Forward(clearance) = conclusion.outcome else { return self.fail() };
        self.stage = Stage::Forwarded { reservation: clearance.into_reservation() };
        match told {
            Ok(()) => Flow::Continue,
            Err(HostFailed) => self.fail(),
        }
    }

    /// Adds the identity headers, after what came from outside under their names is gone: to add costs less than to
    /// replace.
    fn tell_application(&self, headers: &IdentityHeaders<'_>) -> Result<(), HostFailed> {
        for name in &self.forged {
            self.host.remove_field(Part::Headers, name)?;
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            self.host.add_header(name, value)?;
        }
        Ok(())
    }

    /// Settles the reservation, if there is one that waits for it.
    fn settle(&mut self, decide: impl FnOnce(&H) -> Settlement) {
        let now = self.now();
        if let (Stage::Forwarded { reservation: waiting }, Some(protection)) = (&mut self.stage, &self.protection)
            && let Some(reservation) = waiting.take()
        {
            match decide(&self.host) {
                Settlement::Keep => protection.keep(&reservation, &self.host, now),
                Settlement::Release => protection.release(&reservation, &self.host, now),
                Settlement::Wait => *waiting = Some(reservation),
            }
        }
    }
}

/// Whose answer goes back. Envoy's own pass the filters like the application's, with any status; one property tells them
/// apart (Envoy 1.36 to 1.40).
fn answered_by(host: &impl Host) -> AnsweredBy {
    match host.property("response\0code_details").as_deref() {
        Some(b"via_upstream") => AnsweredBy::Application,
        _ => AnsweredBy::Proxy,
    }
}

impl<H: Host> Drop for Filter<H> {
    fn drop(&mut self) {
        self.done();
    }
}
