//! What the demo sends, with and without containers: the sample callbacks, and each kind of forgery; then some of both
//! over TLS.
use crate::people::SENDER_SUBJECT;
use crate::send::Message;
use crate::upstream::Received;
use secure_callbacks_support::token::Algorithm;
use secure_callbacks_support::{Framing, Sample, Token, sample};

/// Whose certificate a client shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The sender of callbacks.
    Sender,
    /// Somebody else with a certificate from the same authority.
    OtherName,
    /// Somebody with the sender's name in a certificate that the proxies' authority did not issue.
    Stranger,
    /// Somebody without a certificate.
    Nobody,
}

/// The status and the code that are due.
pub struct Expected {
    /// The status.
    pub status: u16,
    /// The code; `-` where the filter is never asked.
    pub code: &'static str,
}

impl Expected {
    /// Whether it reaches the application.
    #[must_use]
    pub fn accepted(&self) -> bool {
        self.status == 200
    }
}

/// One line of the table.
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// What is due.
    pub expected: Expected,
    /// Whether the same callback was accepted just before.
    pub replayed: bool,
    body: Vec<u8>,
    framing: Framing,
    token: Signing,
    /// Over TLS, with the certificate of this one; in the clear without.
    pub holder: Option<Holder>,
    /// A subject that the sender claims in a header of its own.
    claimed_subject: Option<&'static str>,
    /// Whether the proxy's TLS ends it: the filter is never asked.
    pub ended_by_tls: bool,
    /// Whether Nginx ends the connection by itself: it knows no trailers in HTTP/2.
    pub ended_by_nginx: bool,
}

/// Makes the token for the body that is sent.
type Signing = fn(&[u8], Signer<'_>) -> Option<String>;

/// The time that is now, and the account's secret.
#[derive(Clone, Copy)]
struct Signer<'s> {
    now: i64,
    secret: &'s str,
}

impl Signer<'_> {
    fn shifted(self, seconds: i64) -> Self {
        Self { now: self.now + seconds, ..self }
    }
}

impl Case {
    fn new(name: &'static str, status: u16, code: &'static str, body: &[u8], token: Signing) -> Self {
        let expected = Expected { status, code };
        Self {
            name,
            expected,
            replayed: false,
            body: body.to_vec(),
            framing: Framing::Length,
            token,
            holder: None,
            claimed_subject: None,
            ended_by_tls: false,
            ended_by_nginx: false,
        }
    }

    fn accepted(name: &'static str, body: &[u8]) -> Self {
        Self::new(name, 200, "accepted", body, genuine)
    }

    fn forged(name: &'static str, code: &'static str, token: Signing) -> Self {
        Self::new(name, 401, code, sample(Sample::Archive), token)
    }

    fn framed(self, framing: Framing) -> Self {
        Self { framing, ended_by_nginx: framing == Framing::H2Trailers, ..self }
    }

    /// A genuine callback over TLS.
    fn over_tls(name: &'static str, status: u16, code: &'static str, holder: Holder) -> Self {
        Self { holder: Some(holder), ..Self::new(name, status, code, sample(Sample::Session), genuine) }
    }

    fn token(self, token: Signing) -> Self {
        Self { token, ..self }
    }

    fn claiming(self, subject: &'static str) -> Self {
        Self { claimed_subject: Some(subject), ..self }
    }

    fn body(self, body: Vec<u8>) -> Self {
        Self { body, ..self }
    }

    /// The request, with a token as fresh as the case wants it, `secret` being the account's.
    #[must_use]
    pub fn message(&self, path: &str, now: i64, secret: &str) -> Message {
        let token = (self.token)(&self.body, Signer { now, secret });
        let message = Message::post(path, &self.body, token.as_deref()).framed(self.framing);
        match self.claimed_subject {
            Some(subject) => message.header("X-SSL-Client-Subject-DN", subject),
            None => message,
        }
    }
}

impl Case {
    /// Whether the application got the very body that was sent, and the subject of the very certificate.
    #[must_use]
    pub fn is_untouched(&self, request: &Received) -> bool {
        let subject = (self.holder == Some(Holder::Sender)).then_some(SENDER_SUBJECT.as_bytes());
        let told = request.headers.all("x-ssl-client-subject-dn").filter(|value| !value.is_empty());
        request.body == self.body && told.eq(subject)
    }
}

/// Every line of the table, in its order.
#[must_use]
pub fn all() -> Vec<Case> {
    let changed = || {
        let body = String::from_utf8_lossy(sample(Sample::Archive)).replace("\"available\"", "\"expired\"");
        body.into_bytes()
    };
    let mismatch = "payload_hash_mismatch";
    let too_large = vec![b' '; 64 * 1024 + 1];
    let missing = "client_certificate_missing";
    let tls = Case::over_tls;
    vec![
        Case::accepted("session monitoring", sample(Sample::Session)),
        Case::accepted("archive", sample(Sample::Archive)),
        Case::accepted("SIP call", sample(Sample::Sip)),
        Case::accepted("Experience Composer", sample(Sample::Composer)),
        Case::accepted("broadcast", sample(Sample::Broadcast)),
        Case::accepted("live captions", sample(Sample::Captions)),
        Case::accepted("session monitoring, HTTP/2", sample(Sample::Session)).framed(Framing::H2),
        Case::accepted("archive, chunked with trailers", sample(Sample::Archive)).framed(Framing::ChunkedTrailers),
        Case::forged("no token", "token_missing", |_, _| None),
        Case::forged("signed with a wrong secret", "signature_invalid", |body, signer| {
            Some(Token::valid(body, signer.now).secret("a-secret-that-is-not-the-accounts").sign())
        }),
        Case::forged("algorithm none, no signature", "algorithm_not_allowed", |body, signer| {
            Some(valid(body, signer).algorithm(Algorithm::None).sign())
        }),
        Case::forged("algorithm HS512, right secret", "algorithm_not_allowed", |body, signer| {
            Some(valid(body, signer).algorithm(Algorithm::HS512).sign())
        }),
        Case::forged("algorithm RS256", "algorithm_not_allowed", |body, signer| {
            Some(valid(body, signer).header("alg", "RS256").sign())
        }),
        Case::forged("body changed", mismatch, other_body).body(changed()),
        Case::forged("body changed, behind trailers", mismatch, other_body)
            .body(changed())
            .framed(Framing::ChunkedTrailers),
        Case::forged("body changed, HTTP/2", mismatch, other_body).body(changed()).framed(Framing::H2NoLength),
        Case::forged("body changed, behind trailers, HTTP/2", mismatch, other_body)
            .body(changed())
            .framed(Framing::H2Trailers),
        Case::forged("empty body under another's token", mismatch, other_body).body(Vec::new()),
        Case::forged("stale: ten minutes old", "token_expired", |body, signer| genuine(body, signer.shifted(-600))),
        Case::forged("from the future: one minute", "token_not_yet_valid", |body, signer| {
            genuine(body, signer.shifted(60))
        }),
        Case::forged("an unknown account", "account_unknown", |body, signer| {
            Some(valid(body, signer).claim("api_key", "z9z9z9z").sign())
        }),
        Case::new("body too large", 413, "body_too_large", &too_large, genuine),
        Case { replayed: true, ..Case::forged("replayed: the same callback again", "replayed", genuine) },
        tls("TLS, the sender's certificate", 200, "accepted", Holder::Sender),
        tls("TLS, the sender's certificate, HTTP/2", 200, "accepted", Holder::Sender).framed(Framing::H2),
        tls("TLS, the sender's certificate, another subject claimed", 200, "accepted", Holder::Sender)
            .claiming("CN=administrator"),
        tls("TLS, no certificate", 401, missing, Holder::Nobody),
        tls("TLS, no certificate, the sender's subject claimed", 401, missing, Holder::Nobody).claiming(SENDER_SUBJECT),
        tls("TLS, the right authority, another name", 401, "client_certificate_mismatch", Holder::OtherName),
        Case { ended_by_tls: true, ..tls("TLS, another authority, the sender's name", 400, "-", Holder::Stranger) },
        tls("TLS, the sender's certificate, body changed", 401, mismatch, Holder::Sender).token(other_body),
    ]
}

fn valid(body: &[u8], signer: Signer<'_>) -> Token {
    Token::valid(body, signer.now).secret(signer.secret)
}

fn genuine(body: &[u8], signer: Signer<'_>) -> Option<String> {
    Some(valid(body, signer).sign())
}

/// A good token of another body.
fn other_body(_: &[u8], signer: Signer<'_>) -> Option<String> {
    genuine(sample(Sample::Archive), signer)
}
