//! Every row of `tests/vectors/` against the verifier by itself: no proxy, no socket, no clock.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // A test may stop.

use std::collections::{BTreeMap, BTreeSet};

use secure_callbacks::replay::NoStore;
use secure_callbacks::{
    Callback, Code, Conclusion, Outcome, ReplayStore, RequestHead, RequestLine, Step, TokenField, names,
};
use secure_callbacks_support::site::{NOW, Site};
use secure_callbacks_support::{Expectation, Host, Rendered, Row, load};

/// A site, and how many callbacks it has had.
struct Proxy {
    site: Site,
    owner: u32,
}

/// What the caller and the upstream saw.
#[derive(Debug)]
struct Seen {
    code: &'static str,
    status: u16,
    upstream_headers: BTreeMap<String, Vec<String>>,
    reply_headers: BTreeMap<String, Vec<String>>,
    reply_body: Option<String>,
}

impl Proxy {
    /// The life of one callback; the upstream answers 200.
    fn send(&mut self, request: &Rendered) -> Seen {
        let (seen, mut callback) = self.begin(request);
        self.site.answered(&mut callback, 200);
        seen
    }

    /// Up to the upstream, which has not answered yet, or to the refusal.
    fn begin(&mut self, request: &Rendered) -> (Seen, Callback) {
        self.owner += 1;
        let head = head(&self.site, request);
        let mut callback = Callback::default();
        let conclusion = self.site.conclude(&mut callback, &head, pieces(request), self.owner);
        (Seen::of(conclusion, request), callback)
    }
}

fn head<'r>(site: &Site, request: &'r Rendered) -> RequestHead<'r> {
    let name = site.verifier().policy().token_header();
    let mut token = TokenField::Absent;
    let fields = request.headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(name.as_bytes()));
    fields.for_each(|(_, value)| token.add(value.as_slice()));
    let content_length = request.framing.has_length().then(|| request.body().len() as u64);
    let line = RequestLine { method: request.method.as_bytes(), target: request.path.as_bytes() };
    RequestHead { token, content_length, line: Some(line), connection: &() }
}

fn pieces(request: &Rendered) -> impl Iterator<Item = &[u8]> {
    request.chunks.iter().map(Vec::as_slice)
}

impl Seen {
    /// The upstream's view, what came without the identity headers and then ours; or the caller's.
    fn of(conclusion: Conclusion, request: &Rendered) -> Self {
        let code = conclusion.code.as_str();
        if let Outcome::Reply(reply) = &conclusion.outcome {
            let (reply_headers, reply_body) = (collect(reply.headers().map(owned)), Some(reply.body().to_owned()));
            return Self { code, status: reply.status(), upstream_headers: BTreeMap::new(), reply_headers, reply_body };
        }
        let came = request.headers.iter().map(|(name, value)| {
            (String::from_utf8_lossy(name).to_ascii_lowercase(), String::from_utf8_lossy(value).into_owned())
        });
        let came = came.filter(|(name, _)| !names::is_identity_header(name.as_bytes()));
        let ours = conclusion.identity_headers("");
        let upstream_headers = collect(came.chain(ours.iter().map(owned)));
        Self { code, status: 200, upstream_headers, reply_headers: BTreeMap::new(), reply_body: None }
    }

    fn differences(&self, expect: &Expectation) -> Vec<String> {
        let mut differences = Vec::new();
        if expect.code.as_deref() != Some(self.code) || expect.status != self.status {
            differences
                .push(format!("{:?} {} expected, not {} {}", expect.code, expect.status, self.code, self.status));
        }
        if expect.reply_body.is_some() && expect.reply_body != self.reply_body {
            differences.push(format!("reply body {:?} expected, not {:?}", expect.reply_body, self.reply_body));
        }
        for (expected, seen) in
            [(&expect.upstream_headers, &self.upstream_headers), (&expect.reply_headers, &self.reply_headers)]
        {
            for (name, value) in expected {
                let values: Vec<_> = seen.get(name).into_iter().flatten().filter(|value| !value.is_empty()).collect();
                if values != value.iter().collect::<Vec<_>>() {
                    differences.push(format!("{name}: {value:?} expected, not {values:?}"));
                }
            }
        }
        differences
    }
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn collect(headers: impl Iterator<Item = (String, String)>) -> BTreeMap<String, Vec<String>> {
    let mut collected = BTreeMap::<_, Vec<_>>::new();
    for (name, value) in headers {
        collected.entry(name).or_default().push(value);
    }
    collected
}

fn run(row: &Row, proxy: &mut Proxy) -> Vec<String> {
    let Ok(case) = row.expect_for(Host::Core) else { return Vec::new() };
    let mut differences = Vec::new();
    for (request, expect) in row.render_before(NOW, &row.name) {
        differences.extend(proxy.send(&request).differences(&expect).iter().map(|text| format!("before: {text}")));
    }
    let request = row.render(NOW, &row.name);
    let (first, mut callback) = proxy.begin(&request);
    differences.extend(first.differences(&request.fill(&case.expect)));
    if let Some(meanwhile) = &case.meanwhile {
        let seen = proxy.send(&request).differences(&request.fill(meanwhile));
        differences.extend(seen.iter().map(|text| format!("meanwhile: {text}")));
    }
    proxy.site.answered(&mut callback, 200);
    if let Some(again) = &case.again {
        let seen = proxy.send(&request).differences(&request.fill(again));
        differences.extend(seen.iter().map(|text| format!("again: {text}")));
    }
    differences
}

#[test]
fn every_row_comes_out_as_written() {
    let vectors = load().unwrap_or_else(|error| panic!("{error}"));
    let start = |policy: &serde_json::Value| Proxy { site: Site::new(&policy.to_string()), owner: 0 };
    let mut proxies: BTreeMap<_, _> =
        vectors.policies.iter().map(|(name, policy)| (name.as_str(), start(policy))).collect();
    let mut failures = Vec::new();
    for row in &vectors.rows {
        let differences = run(row, proxies.get_mut(row.policy.as_str()).unwrap());
        if !differences.is_empty() {
            failures.push(format!("{}::{}: {} ({})", row.topic, row.name, differences.join("; "), row.why));
        }
    }
    assert!(failures.is_empty(), "{} of {} rows:\n{}", failures.len(), vectors.rows.len(), failures.join("\n"));
}

#[test]
fn every_code_has_a_row() {
    let vectors = load().unwrap_or_else(|error| panic!("{error}"));
    let mut codes: BTreeSet<_> = Code::all().map(Code::as_str).collect();
    for row in &vectors.rows {
        if let Ok(case) = row.expect_for(Host::Core) {
            for code in case.outcomes().filter_map(|expect| expect.code.as_deref()) {
                codes.remove(code);
            }
        }
    }
    // No request can make a store unavailable (see below), or a proxy fail (`src/callback/tests.rs`). What a connection is
    // asked has `tests/connection.rs`, and real handshakes in the harness.
    codes.retain(|code| !code.starts_with("client_certificate_") && *code != "source_not_allowed");
    assert_eq!(codes, BTreeSet::from(["proxy_failed", "replay_store_unavailable"]));
}

#[test]
fn a_store_that_does_not_answer_takes_nothing() {
    let vectors = load().unwrap_or_else(|error| panic!("{error}"));
    let row = vectors.rows.iter().find(|row| row.name == "valid").unwrap();
    let site = Site::new(&vectors.policies["default"].to_string());
    let (mut callback, request) = (Callback::default(), row.render(NOW, "unavailable"));
    let step = site.arrive(&mut callback, &head(&site, &request), pieces(&request), 1);
    let Step::Reserve(place) = step else { panic!("{step:?}") };
    let (step, _) = callback.reserved(site.verifier(), NoStore.reserve(&place, NOW), NOW);
    let Step::Conclude(conclusion) = step else { panic!("{step:?}") };
    assert_eq!(conclusion.code.as_str(), "replay_store_unavailable");
    assert!(matches!(&conclusion.outcome, Outcome::Reply(reply) if reply.status() == 503));
}
