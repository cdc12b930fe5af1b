//! Every row of `tests/vectors/`, as Envoy's callbacks.

use std::collections::BTreeMap;
use std::rc::Rc;

use secure_callbacks_envoy::host::Flow;
use secure_callbacks_support::{Expectation, Host, Rendered, load};

use super::fake::{FakeEnvoy, Filter, Known, NOW, Protection, Shared};
use secure_callbacks_envoy_wasm::configuration::configure;

/// A request that has its verdict, and no answer yet.
struct Begun {
    envoy: FakeEnvoy,
    flow: Flow,
    filter: Filter,
}

/// Goes through the callbacks that a request makes.
fn begin(protection: &Rc<Protection>, shared: &Shared, request: &Rendered) -> Begun {
    let envoy = FakeEnvoy::new(shared, &[]);
    *envoy.0.headers.borrow_mut() = head(request);
    *envoy.0.trailers.borrow_mut() = lower(&request.trailers);
    let mut filter = envoy.filter(protection);
    let body = request.body();
    let bodyless = request.framing.is_bodyless() || (request.framing.has_length() && body.is_empty());
    let mut flow = filter.request_headers(bodyless);
    if !bodyless {
        for chunk in &request.chunks {
            envoy.0.body.borrow_mut().extend(chunk);
            let size = envoy.0.body.borrow().len();
            filter.request_body(size, false);
        }
        flow = if request.framing.has_trailers() {
            filter.request_trailers()
        } else {
            filter.request_body(body.len(), true)
        };
    }
    Begun { envoy, flow, filter }
}

impl Begun {
    /// The upstream's 200, if it was asked, and the end.
    fn end(mut self) {
        if self.flow == Flow::Continue {
            self.envoy.answers(200, "via_upstream");
            self.filter.response_headers();
        }
        self.filter.done();
    }
}

/// The head as Envoy shows it: names in lower case, several `authorization` as one, joined by a comma.
fn head(request: &Rendered) -> Vec<(Vec<u8>, Vec<u8>)> {
    let line = [(":method", &request.method), (":path", &request.path)];
    let mut head: Vec<_> = line.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).into();
    for (name, value) in lower(&request.headers) {
        match head.iter_mut().find(|(known, _)| *known == name && name == b"authorization") {
            Some((_, joined)) => joined.extend([b",", value.as_slice()].concat()),
            None => head.push((name, value)),
        }
    }
    if request.framing.has_length() {
        head.push((b"content-length".to_vec(), request.body().len().to_string().into_bytes()));
    }
    head
}

fn lower(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect()
}

fn check(Begun { envoy, flow, .. }: &Begun, expect: &Expectation, row: &str) {
    let Some(code) = expect.code.as_deref() else { return };
    assert_eq!(envoy.counted(), [code], "{row}");
    assert_eq!(envoy.state("secure_callbacks_result").as_deref(), Some(code), "{row}");
    assert_eq!(*flow == Flow::Continue, expect.forwarded(), "{row}");
    if expect.forwarded() {
        assert!(envoy.replies().is_empty(), "{row}");
        let trailers = envoy.0.trailers.borrow();
        for (name, value) in &expect.upstream_headers {
            let mut values = envoy.header(name);
            let in_trailers = trailers.iter().filter(|(trailer, _)| trailer == name.as_bytes());
            values.extend(in_trailers.map(|(_, value)| String::from_utf8_lossy(value).into_owned()));
            assert_eq!(values, value.iter().cloned().collect::<Vec<_>>(), "{row}: {name}");
        }
        return;
    }
    let replies = envoy.0.replies.borrow();
    let [reply] = replies.as_slice() else { panic!("{row}: {} replies", replies.len()) };
    assert_eq!(reply.status, expect.status, "{row}");
    for (name, value) in &expect.reply_headers {
        assert_eq!(reply.headers.get(name), value.as_ref(), "{row}: {name}");
    }
    if let Some(body) = &expect.reply_body {
        assert_eq!(&reply.body, body, "{row}");
    }
}

#[test]
fn every_row_comes_out_as_written() {
    let vectors = load().unwrap_or_else(|error| panic!("{error}"));
    let shared = Shared::default();
    let protections: BTreeMap<_, _> = vectors
        .policies
        .iter()
        .map(|(name, policy)| {
            let mut policy = policy.clone();
            policy["name"] = name.as_str().into();
            let policy = policy.to_string();
            (name.as_str(), Rc::new(configure(policy.as_bytes(), &Known, &shared, NOW).unwrap()))
        })
        .collect();
    let mut run = 0;
    for row in &vectors.rows {
        let Ok(case) = row.expect_for(Host::Envoy) else { continue };
        let protection = &protections[row.policy.as_str()];
        for (request, expect) in row.render_before(NOW, &row.name) {
            let sent = begin(protection, &shared, &request);
            check(&sent, &expect, &format!("{} before", row.name));
            sent.end();
        }
        let request = row.render(NOW, &row.name);
        let first = begin(protection, &shared, &request);
        check(&first, &request.fill(&case.expect), &row.name);
        if let Some(expect) = &case.meanwhile {
            let meanwhile = begin(protection, &shared, &request);
            check(&meanwhile, &request.fill(expect), &format!("{} meanwhile", row.name));
            meanwhile.end();
        }
        first.end();
        if let Some(expect) = &case.again {
            let again = begin(protection, &shared, &request);
            check(&again, &request.fill(expect), &format!("{} again", row.name));
            again.end();
        }
        run += 1;
    }
    assert!(run > 100, "only {run} rows");
}
