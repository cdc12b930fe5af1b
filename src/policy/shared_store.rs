//! `replay_store`: where a fleet's proxies remember together.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde_json::Value;

use super::fields::Fields;
use crate::problem::{PolicyError, Problem};
use crate::secret::{Secret, SecretReference, SecretSource};

const FIELD: &str = "replay_store";

/// As long as a proxy may be kept waiting at most: more than a sender's own time-out helps nobody.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a shared store is reached, and by which protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Redis itself, at each of these `redis://` or `rediss://` URLs: one, or several nodes of one cluster.
    Redis(Vec<String>),
    /// A Webdis in front of it: the name of Envoy's cluster.
    Webdis(String),
}

/// A shared store, as it is written.
#[derive(Debug, Clone)]
pub(super) struct SharedStoreConfig {
    reach: Reach,
    password: Option<SecretReference>,
    prefix: String,
    timeout: Duration,
    is_optional: bool,
}

/// A shared store: all proxies that name the same one remember together, each policy by its name.
#[derive(Debug)]
pub struct SharedStore {
    config: SharedStoreConfig,
    password: Option<Secret>,
}

impl SharedStore {
    /// The nodes' URLs, for a host that speaks Redis.
    ///
    /// # Errors
    /// If the policy names a cluster of Envoy's instead.
    pub fn urls(&self) -> Result<&[String], PolicyError> {
        match &self.config.reach {
            Reach::Redis(urls) => Ok(urls),
            Reach::Webdis(_) => Err(PolicyError::new(
                "replay_store.cluster",
                Problem::Expected("`url` here: only Envoy's sandbox asks a cluster"),
            )),
        }
    }

    /// The name of the cluster, for a host that has nothing but Envoy's.
    ///
    /// # Errors
    /// If the policy names URLs instead.
    pub fn cluster(&self) -> Result<&str, PolicyError> {
        match &self.config.reach {
            Reach::Webdis(cluster) => Ok(cluster),
            Reach::Redis(_) => Err(PolicyError::new(
                "replay_store.url",
                Problem::Expected("`cluster` here: Envoy's sandbox has no sockets"),
            )),
        }
    }

    /// The password, if it asks for one.
    #[must_use]
    pub fn password(&self) -> Option<&Secret> {
        self.password.as_ref()
    }

    /// What each of its keys begins with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.config.prefix
    }

    /// How long an answer is waited for.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.config.timeout
    }

    /// `on_failure: local`: while it does not answer, the proxy's own table is taken for enough.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        self.config.is_optional
    }
}

impl SharedStoreConfig {
    pub(super) fn resolve(self, secrets: &dyn SecretSource) -> Result<SharedStore, PolicyError> {
        let password = self.password.as_ref().map(|reference| reference.resolve(secrets)).transpose();
        let password =
            password.map_err(|problem| PolicyError::new("replay_store.password", Problem::Secret(problem)))?;
        Ok(SharedStore { config: Self { password: None, ..self }, password })
    }
}

/// `local`, or an object. What is wrong with it is noted. `replay` is whether the policy refuses replays at all.
pub(super) fn read(fields: &mut Fields, replay: bool) -> Option<SharedStoreConfig> {
    let value = fields.take(FIELD)?;
    if matches!(&value, Value::String(text) if text == "local") {
        return None;
    }
    let store = match Fields::of(value, FIELD) {
        Ok(fields) => object(fields),
        Err(_) => Err(PolicyError::new(FIELD, Problem::Expected("`local`, or where the shared store is"))),
    };
    match store {
        Err(error) => fields.note(error),
        Ok(_) if !replay => fields.wrong(FIELD, Problem::Expected("`replay` to be on")),
        Ok(store) => return Some(store),
    }
    None
}

fn object(mut fields: Fields) -> Result<SharedStoreConfig, PolicyError> {
    let one = fields.text("url", url);
    let several = fields.texts("urls", url);
    let cluster = fields.text("cluster", cluster_name);
    let password = fields.text("password", |text| Ok(SecretReference::parse(text)?));
    let config = SharedStoreConfig {
        reach: match (one, several, cluster) {
            (None, None, Some(cluster)) => Reach::Webdis(cluster),
            (Some(one), None, None) => Reach::Redis([one].into()),
            (None, Some(several), None) => {
                same_scheme(&several, &mut fields);
                Reach::Redis(several)
            }
            _ => {
                fields.note(PolicyError::new(FIELD, Problem::Expected("one of `url`, `urls` and `cluster`")));
                Reach::Redis(Vec::new())
            }
        },
        password,
        prefix: fields.text("prefix", prefix).unwrap_or_else(|| "sc:".into()),
        timeout: fields.text("timeout", timeout).unwrap_or(Duration::from_millis(250)),
        is_optional: fields.text("on_failure", on_failure).unwrap_or(false),
    };
    fields.finish()?;
    Ok(config)
}

/// `redis://[USER@]HOST[:PORT][/DATABASE]`, or `rediss://` for TLS. A password has a field of its own, so that none stands
/// where configurations are shown.
fn url(text: &str) -> Result<String, Problem> {
    const EXPECTED: Problem = Problem::Expected("`redis://HOST:PORT/DATABASE`, or `rediss://` for TLS");
    let rest = text.strip_prefix("redis://").or_else(|| text.strip_prefix("rediss://")).ok_or(EXPECTED)?;
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if user.contains(':') {
        return Err(Problem::Expected("no password in a URL: it has a field of its own, `password`"));
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let has_host = !host.is_empty() && !host.starts_with(':') && host.bytes().all(fits);
    let user_fits = user.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    let database_fits = database.len() <= 5 && database.bytes().all(|byte| byte.is_ascii_digit());
    if has_host && user_fits && database_fits { Ok(text.into()) } else { Err(EXPECTED) }
}

/// Nodes of one cluster are all reached alike.
fn same_scheme(urls: &[String], fields: &mut Fields) {
    let is_tls = |url: &String| url.starts_with("rediss://");
    if urls.iter().any(is_tls) && !urls.iter().all(is_tls) {
        fields.wrong("urls", Problem::Expected("all with TLS, or none"));
    }
}

fn cluster_name(text: &str) -> Result<String, Problem> {
    match text {
        "" => Err(Problem::Empty),
        _ if text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(text.into()),
        _ => Err(Problem::Characters("visible ASCII characters")),
    }
}

fn prefix(text: &str) -> Result<String, Problem> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b":_-".contains(&byte);
    match text {
        "" => Err(Problem::Empty),
        _ if text.len() <= 32 && text.bytes().all(fits) => Ok(text.into()),
        _ => Err(Problem::Characters("up to 32 letters, digits, `:`, `_` and `-`")),
    }
}

/// The one duration that may be below a second.
fn timeout(text: &str) -> Result<Duration, Problem> {
    const EXPECTED: Problem = Problem::Expected("a duration such as `250ms` or `1s`");
    let millis = match text.strip_suffix("ms") {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().map_err(|_| EXPECTED)?,
        Some(_) => return Err(EXPECTED),
        None => super::units::seconds(text).map_err(|_| EXPECTED)?.unsigned_abs().saturating_mul(1000),
    };
    let timeout = Duration::from_millis(millis);
    if timeout.is_zero() || timeout > LONGEST_TIMEOUT {
        return Err(Problem::Expected("from `1ms` to `10s`"));
    }
    Ok(timeout)
}

fn on_failure(text: &str) -> Result<bool, Problem> {
    match text {
        "refuse" => Ok(false),
        "local" => Ok(true),
        _ => Err(Problem::NotOneOf(&["refuse", "local"])),
    }
}
