//! What the filter reads from the fields of a request: one pass over the head, because each single look-up costs a call
//! out of the sandbox and can't see a second copy.

use secure_callbacks::names::is_identity_header;
use secure_callbacks::{Connection, Policy, RequestHead, RequestLine, TokenField};

use crate::host::{Host, HostFailed, Part};

/// The head of a request, as far as it matters here.
#[derive(Debug, Default)]
pub(super) struct Head {
    token: TokenField<Vec<u8>>,
    content_length: Option<u64>,
    no_body_follows: bool,
    announces_body: bool,
    forged: Vec<Box<[u8]>>,
    /// If the policy asks for it.
    line: Option<Line>,
}

/// What the request asks for.
#[derive(Debug, Default)]
struct Line {
    method: Vec<u8>,
    target: Vec<u8>,
}

impl Line {
    /// Notes it, if this is it. Envoy writes the path anew where the connection manager normalizes it, but never the query.
    fn note(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b":method" => self.method = value.to_vec(),
            b":path" => self.target = value.to_vec(),
            _ => {}
        }
    }
}

impl Head {
    /// Reads the head. Its length counts for something only if a body follows.
    ///
    /// None does after an upgrade or a tunnel: what comes then is of another protocol and has no end to wait for. Envoy
    /// shows `upgrade` only where the route lets it (`upgrade_configs`), and takes it out of all other requests.
    pub(super) fn read(host: &impl Host, policy: &Policy, end_of_stream: bool) -> Result<Self, HostFailed> {
        let token_header = policy.token_header();
        let line = policy.hashes_query().then(Line::default);
        let mut head = Self { no_body_follows: end_of_stream, line, ..Self::default() };
        host.each_field(Part::Headers, &mut |name, value| {
            if name.eq_ignore_ascii_case(token_header.as_bytes()) {
                head.token.add(value.to_vec());
            } else if name.eq_ignore_ascii_case(b"content-length") {
                head.content_length = str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
                head.announces_body |= head.content_length != Some(0);
            } else if name == b"upgrade" || (name == b":method" && value == b"CONNECT") {
                head.no_body_follows = true;
            } else if name == b"transfer-encoding" {
                head.announces_body = true;
            } else if is_identity_header(name) {
                note(&mut head.forged, name);
            } else if let Some(line) = &mut head.line {
                line.note(name, value);
            }
        })?;
        Ok(head)
    }

    /// What the core asks of it.
    pub(super) fn request<'r>(&'r self, connection: &'r dyn Connection) -> RequestHead<'r> {
        let line = self.line.as_ref().map(|line| RequestLine { method: &line.method, target: &line.target });
        RequestHead { token: self.token.bytes(), content_length: self.content_length(), line, connection }
    }

    /// Whether the request is over, as far as there is anything to check.
    pub(super) fn no_body_follows(&self) -> bool {
        self.no_body_follows
    }

    /// Whether it says that there is a body, which after an upgrade nobody knows the end of.
    pub(super) fn announces_body(&self) -> bool {
        self.announces_body
    }

    /// The length that it announces, of a body that follows.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.content_length.filter(|_| !self.no_body_follows)
    }

    /// The names that came from outside and that the application would take for ours.
    pub(super) fn into_forged(self) -> Vec<Box<[u8]>> {
        self.forged
    }
}

/// Removes the trailers that an application would take for identity headers.
pub(super) fn remove_forged_trailers(host: &impl Host) -> Result<(), HostFailed> {
    let mut forged = Vec::new();
    host.each_field(Part::Trailers, &mut |name, _| {
        if is_identity_header(name) {
            note(&mut forged, name);
        }
    })?;
    forged.iter().try_for_each(|name| host.remove_field(Part::Trailers, name))
}

fn note(names: &mut Vec<Box<[u8]>>, name: &[u8]) {
    if !names.iter().any(|known| **known == *name) {
        names.push(name.into());
    }
}
