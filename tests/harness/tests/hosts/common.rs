//! What the tests share: one proxy of each kind under a plain policy, and the callbacks they send.
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::ids;
use secure_callbacks_harness::proxy::Proxy;
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::{Message, Reply};
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_harness::upstream::Upstream;
use secure_callbacks_support::{Sample, Token, sample};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A named test.
pub(crate) type Test = (String, Box<dyn FnOnce() -> Result<()> + Send>);

/// The policy of the shared proxy, and of most others. The signer's default secret is in it.
pub(crate) const POLICY: &str = "plain";

/// The policy [`POLICY`].
pub(crate) fn policy() -> Value {
    json!({
        "accounts": [{ "api_key": "a1b2c3d", "secrets": [format!("text:{}", secure_callbacks_support::token::SECRET)] }],
        "expose_reason": true,
    })
}

/// One kind of proxy; the shared instance starts at its first use.
pub(crate) struct Stage {
    pub(crate) kind: ProxyKind,
    running: OnceLock<Result<Running, String>>,
}

/// A proxy and the application behind it.
pub(crate) struct Running {
    pub(crate) proxy: Proxy,
    pub(crate) upstream: Upstream,
}

impl Stage {
    pub(crate) fn new(kind: ProxyKind) -> Self {
        Self { kind, running: OnceLock::new() }
    }

    /// A test that uses the shared instance.
    pub(crate) fn test(self: &Arc<Self>, name: &str, tests: &mut Vec<Test>, test: fn(&Running) -> Result<()>) {
        let stage = Arc::clone(self);
        let body = move || {
            let running = stage.running()?;
            test(running).with_context(|| format!("the proxy's log ends so:\n{}", log_end(&running.proxy)))
        };
        tests.push((name.to_owned(), Box::new(body)));
    }

    fn running(&self) -> Result<&Running> {
        let started = self.running.get_or_init(|| {
            wait(async {
                let upstream = Upstream::start().await?;
                let policies = BTreeMap::from([(POLICY.to_owned(), policy())]);
                let proxy = Proxy::with_policies(self.kind, &policies, upstream.address()).await?;
                Ok(Running { proxy, upstream })
            })
            .map_err(|error: anyhow::Error| format!("{error:#}"))
        });
        started.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
    }
}

/// One callback with an id of its own.
pub(crate) struct Callback {
    pub(crate) id: String,
    pub(crate) message: Message,
    pub(crate) token: Token,
}

impl Callback {
    /// A genuine one.
    pub(crate) fn new() -> Self {
        Self::with_body(sample(Sample::Archive))
    }

    /// A genuine one with this body.
    pub(crate) fn with_body(body: &[u8]) -> Self {
        Self::at(&format!("/callbacks/{}", ids::unique()), body)
    }

    /// A genuine one to this path, which holds its id.
    pub(crate) fn at(path: &str, body: &[u8]) -> Self {
        let id = ids::find(path.as_bytes()).next().expect("an id in the path").to_owned();
        let token = Token::valid(body, now());
        let message = Message::post(path, body, Some(&token.sign()));
        Self { id, message, token }
    }

    /// A forged one: the body is not the one that was signed.
    pub(crate) fn forged() -> Self {
        let mut callback = Self::new();
        callback.message.chunks = vec![b"{\"forged\":true}".to_vec()];
        callback
    }
}

/// The reply is the application's, which has the callback `times`, byte for byte.
pub(crate) fn arrived(upstream: &Upstream, callback: &Callback, reply: &Reply, times: usize) -> Result<()> {
    ensure!(reply.status == 200, "status {}: {}", reply.status, reply.text());
    let requests = upstream.requests(&callback.id);
    ensure!(requests.len() == times, "{} deliveries instead of {times}", requests.len());
    ensure!(requests.iter().all(|request| request.body == callback.message.body()), "the body was changed");
    Ok(())
}

/// It arrived, and each time with the filter's word that it is genuine.
pub(crate) fn accepted(upstream: &Upstream, callback: &Callback, reply: &Reply, times: usize) -> Result<()> {
    arrived(upstream, callback, reply, times)?;
    for request in upstream.requests(&callback.id) {
        let verdict = request.headers.text("x-callback-verified");
        ensure!(verdict.as_deref() == Some("accepted"), "X-Callback-Verified: {verdict:?}");
    }
    Ok(())
}

/// The reply is a refusal with `code`, and nothing of it reached the application.
pub(crate) fn refused(upstream: &Upstream, callback: &Callback, reply: &Reply, code: &str) -> Result<()> {
    ensure!(reply.status == 401 && reply.code().as_deref() == Some(code), "{} {}", reply.status, reply.text());
    untouched(upstream, callback)
}

/// Nothing of it reached the application, nor does within a moment.
pub(crate) fn untouched(upstream: &Upstream, callback: &Callback) -> Result<()> {
    std::thread::sleep(Duration::from_millis(100));
    ensure!(!upstream.saw(&callback.id), "it reached the application: {:?}", upstream.requests(&callback.id));
    Ok(())
}

/// The last lines of the proxy's log.
pub(crate) fn log_end(proxy: &Proxy) -> String {
    secure_callbacks_harness::proxy::tail(&proxy.log())
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
