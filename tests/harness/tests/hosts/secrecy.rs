//! No token, no secret and no byte of a body in what operators get to see: logs and the admin interface.
//! What memory holds is in `core_dumps`.
use crate::common::POLICY;
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::clock::now;
use secure_callbacks_harness::ids;
use secure_callbacks_harness::proxy::{Directory, envoy};
use secure_callbacks_harness::running::{Envoy, Nginx, Running};
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::{self, Message};
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_support::{Framing, Token, nginx_block, token};
use serde_json::json;
use std::time::Duration;

/// The variable that holds the secret, where it is from the environment.
pub(crate) const VARIABLE: &str = "VIDEO_SECRET";

/// The file in the proxy's directory that holds it, where it is from a file.
pub(crate) const FILE: &str = "video.secret";

pub(crate) fn add(tests: &mut Tests<'_>) {
    let kind = tests.kind;
    tests.add("talkative_logs_hold_nothing_secret", move || logs(kind));
    if kind.is_nginx() {
        let name = "nginx_itself_logs_a_repeated_token_at_info";
        tests.add(name, move || repeated_token(kind));
    }
    // What is compiled here is so without debugging.
    if !matches!(kind.proxy().source, secure_callbacks_proxies::Source::Crate { .. }) {
        tests.add("the_proxy_itself_logs_tokens_at_debug", move || debug(kind));
    }
    if !kind.is_nginx() {
        tests.add("the_admin_interface_shows_text_secrets_alone", move || admin(kind));
    }
}

/// How the policy names its secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Environment,
    File,
    Text,
}

/// A proxy with a secret of its own, and marks that are nowhere else in the world.
pub(crate) struct Site {
    pub(crate) running: Running,
    pub(crate) secret: String,
    /// In every body.
    pub(crate) body_mark: String,
    /// In every token's header.
    token_mark: String,
}

impl Site {
    /// `level`: of nginx's log as its directive has it, of components of Envoy as its argument has it.
    pub(crate) fn start(kind: ProxyKind, source: Source, level: &str) -> Result<Self> {
        let secret = format!("signature-secret-{}", token::fresh_jti());
        let directory = Directory::new(kind.name())?;
        let (reference, environment) = match source {
            Source::Environment => (format!("env:{VARIABLE}"), vec![(VARIABLE.to_owned(), secret.clone())]),
            Source::File => (format!("file:{}", directory.write(FILE, &secret)?.display()), Vec::new()),
            Source::Text => (format!("text:{secret}"), Vec::new()),
        };
        let policy = json!({
            "name": POLICY,
            "accounts": [{ "api_key": token::API_KEY, "secrets": [reference] }],
            "expose_reason": true,
        });
        let running = if kind.is_nginx() {
            let server = format!("location / {{ secure_callbacks {POLICY}; proxy_pass http://app; }}");
            let nginx = Nginx::new(kind, nginx_block(POLICY, &policy), server)?;
            Nginx { directory, environment, instead: Some(["error.log notice", level]), ..nginx }.start()?
        } else {
            let filter = envoy::filter(&policy, envoy::Form::Struct, &[VARIABLE]);
            Envoy { directory, environment, levels: level, ..Envoy::new([filter])? }.start()?
        };
        Ok(Self { running, secret, body_mark: ids::unique(), token_mark: token::fresh_jti() })
    }

    /// What every token begins with: its header, which no other token in the world has.
    pub(crate) fn token_head(&self) -> Result<String> {
        let token = self.token(b"").sign();
        Ok(token.split('.').next().context("a header")?.to_owned())
    }

    fn token(&self, body: &[u8]) -> Token {
        Token::valid(body, now()).secret(self.secret.clone()).header("kid", self.token_mark.clone())
    }

    fn message(&self, number: usize) -> (Message, Token) {
        let body = format!("{{\"mark\":\"{}\",\"number\":{number}}}", self.body_mark);
        let token = self.token(body.as_bytes());
        let path = format!("/callbacks/{}", ids::unique());
        (Message::post(&path, body.as_bytes(), Some(&token.sign())), token)
    }

    /// Sends `count` callbacks one after the other: good ones, forged, replayed, late, cut off and of another's account.
    pub(crate) fn send(&self, count: usize) -> Result<()> {
        for number in 0..count {
            let (mut message, token) = self.message(number);
            let body = message.body();
            let resigned = |token: Token| Message::post("/callbacks/again", &body, Some(&token.sign()));
            let expected = match number % 8 {
                3 => {
                    message.chunks = vec![format!("{{\"forged\":\"{}\"}}", self.body_mark).into_bytes()];
                    "payload_hash_mismatch"
                }
                4 => {
                    ensure!(wait(send::send(self.running.ports[0], &message))?.status == 200, "the first sending");
                    "replayed"
                }
                5 => {
                    message = resigned(token.claim("iat", now() - 9_999));
                    "token_expired"
                }
                6 => {
                    message = resigned(token.secret("another-secret-of-forty-bytes-and-a-few"));
                    "signature_invalid"
                }
                7 => {
                    let sent = token.sign();
                    message = Message::post("/callbacks/cut", &body, Some(sent.rsplit_once('.').context("a token")?.0));
                    "token_malformed"
                }
                _ => "accepted",
            };
            let framing = [Framing::Length, Framing::Chunked, Framing::H2][number % 3];
            let reply = wait(send::send(self.running.ports[0], &message.framed(framing)))?;
            let code = reply.code().unwrap_or_else(|| "accepted".into());
            ensure!(code == expected, "{code} instead of {expected}: {}", reply.status);
        }
        Ok(())
    }

    /// `text` holds nothing secret.
    fn check(&self, what: &str, text: &str) -> Result<()> {
        for (name, secret) in [("secret", &self.secret), ("token", &self.token_head()?), ("body", &self.body_mark)] {
            let line = text.lines().find(|line| line.contains(secret.as_str()));
            ensure!(line.is_none(), "{what} holds a {name}: {}", line.unwrap_or_default());
        }
        Ok(())
    }

    fn get(&self, path: &str) -> Result<String> {
        let admin = self.running.proxy.admin().context("an admin port")?;
        wait(send::get(admin, path))
    }
}

/// At the level where the filter itself says all that it ever says: Envoy's `trace` for its Wasm component, nginx's
/// `info`. (At `debug` either proxy writes whole header lines of its own, whatever filters it has.)
fn logs(kind: ProxyKind) -> Result<()> {
    let level = match kind {
        ProxyKind::Envoy => "wasm:trace",
        ProxyKind::EnvoyModule => "dynamic_modules:trace",
        ProxyKind::Nginx(_) => "error.log info",
    };
    let site = Site::start(kind, Source::Environment, level)?;
    site.send(24)?;
    // Both logs are written after the answer.
    std::thread::sleep(Duration::from_millis(500));
    let (log, access) = (site.running.proxy.log(), site.running.proxy.access_log());
    ensure!(access.lines().count() >= 24, "{} lines in the access log", access.lines().count());
    for code in ["payload_hash_mismatch", "replayed", "token_expired", "signature_invalid", "token_malformed"] {
        ensure!(log.contains(code) && access.contains(code), "no {code} in a log, so nothing was tested");
    }
    let talk = match kind {
        ProxyKind::Envoy => "[trace][wasm]",
        // The module has nothing to say below `warn`; Envoy has, of the module.
        ProxyKind::EnvoyModule => "[info][dynamic_modules]",
        ProxyKind::Nginx(_) => "",
    };
    ensure!(log.contains(talk), "not talkative: {log}");
    site.check("the log", &log)?;
    site.check("the access log", &access)
}

/// Why `docs/operations.md` says to log at `notice`: nginx itself writes a second `Authorization` out.
fn repeated_token(kind: ProxyKind) -> Result<()> {
    for (level, told) in [("error.log info", true), ("error.log notice", false)] {
        let site = Site::start(kind, Source::Environment, level)?;
        let (mut message, token) = site.message(0);
        message.headers.push(("authorization".into(), format!("Bearer {}", token.sign()).into_bytes()));
        let reply = wait(send::send(site.running.ports[0], &message))?;
        ensure!(reply.status == 400, "status {}", reply.status);
        std::thread::sleep(Duration::from_millis(300));
        let holds = site.running.proxy.log().contains(&site.token_head()?);
        ensure!(holds == told, "{level}: the token is in the log: {holds}");
    }
    Ok(())
}

/// Why the page says to leave `debug` off.
fn debug(kind: ProxyKind) -> Result<()> {
    let site = Site::start(kind, Source::Environment, if kind.is_nginx() { "error.log debug" } else { "http:debug" })?;
    site.send(3)?;
    std::thread::sleep(Duration::from_millis(300));
    ensure!(site.running.proxy.log().contains(&site.token_head()?), "no token: the page says too much");
    Ok(())
}

/// What Envoy's admin interface shows.
const PAGES: [&str; 11] = [
    "/config_dump?include_eds",
    "/init_dump",
    "/server_info",
    "/stats",
    "/stats?format=json",
    "/stats/prometheus",
    "/listeners?format=json",
    "/clusters?format=json",
    "/runtime",
    "/memory",
    "/logging?paths",
];

/// A secret from the environment or from a file is nowhere; one in plain words is in the dump of the configuration, as
/// `docs/configuration.md` warns.
fn admin(kind: ProxyKind) -> Result<()> {
    let file = (kind == ProxyKind::EnvoyModule).then_some(Source::File);
    for source in [Source::Environment, Source::Text].into_iter().chain(file) {
        let site = Site::start(kind, source, "wasm:info,dynamic_modules:info")?;
        site.send(8)?;
        for path in PAGES {
            let page = site.get(path)?;
            ensure!(!page.is_empty(), "{path} shows nothing");
            if path.starts_with("/config_dump") {
                let (reference, shown) = match source {
                    Source::Environment => (format!("env:{VARIABLE}"), false),
                    Source::File => (FILE.to_owned(), false),
                    Source::Text => (format!("text:{}", site.secret), true),
                };
                ensure!(page.contains(&reference), "{path} does not hold {reference}");
                ensure!(page.contains(&site.secret) == shown, "{path}: the secret is shown: {}", !shown);
            } else {
                site.check(path, &page)?;
            }
        }
        site.check("the log", &site.running.proxy.log())?;
    }
    Ok(())
}
