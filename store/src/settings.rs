//! What names one store.

use std::fmt;
use std::str;
use std::time::Duration;

use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::io::tcp::TcpSettings;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};
use secure_callbacks::policy::SharedStore;
use secure_callbacks::problem::Problem;
use secure_callbacks::{PolicyError, Secret};

/// Where Redis listens, unless the URL says.
const PORT: u16 = 6379;

/// What was sent and is not even acknowledged by the other machine for so long never will be: the connection is dead.
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);

/// How often a cluster's client follows a key that has moved, or waits for a node that does not take it yet.
const CLUSTER_RETRIES: u32 = 3;

/// Everything that names one store: what is equal shares one thread and one connection in a process.
#[derive(Clone)]
pub struct Settings {
    urls: Vec<String>,
    password: Option<Secret>,
    timeout: Duration,
}

/// How the store is reached.
pub(crate) enum Target {
    /// One server.
    Server(Box<ConnectionInfo>),
    /// A cluster, by some of its nodes.
    Cluster(Box<ClusterClient>),
}

impl Settings {
    /// `urls` as the policy has them: one, or several nodes of one cluster.
    ///
    /// # Errors
    /// If a URL is none, if the URLs are not of one cluster, or if the password is not text.
    pub fn new(urls: Vec<String>, password: Option<Secret>, timeout: Duration) -> Result<Self, PolicyError> {
        let settings = Self { urls, password, timeout };
        settings.target().map(|_| settings)
    }

    /// How long an answer is waited for.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn target(&self) -> Result<Target, PolicyError> {
        let wrong = |field: &str, problem| PolicyError::new(format!("replay_store.{field}"), problem);
        let password = self.password.as_ref().map(|password| str::from_utf8(password.bytes())).transpose();
        let password = password.map_err(|_| wrong("password", Problem::Characters("UTF-8")))?;
        let node = |url: &String| node(url, password).ok_or(wrong("url", Problem::Expected("`redis://HOST:PORT`")));
        let mut nodes = self.urls.iter().map(node).collect::<Result<Vec<_>, _>>()?;
        if nodes.len() == 1 {
            return nodes.pop().map(|node| Target::Server(Box::new(node))).ok_or(wrong("urls", Problem::Empty));
        }
        let cluster = ClusterClientBuilder::new(nodes)
            .tcp_settings(tcp())
            .connection_timeout(self.timeout)
            .response_timeout(self.timeout)
            .retries(CLUSTER_RETRIES)
            .build();
        // It has no databases but the first, and one user for all of its nodes.
        cluster
            .map(|cluster| Target::Cluster(Box::new(cluster)))
            .map_err(|_| wrong("urls", Problem::Expected("several nodes of one cluster")))
    }
}

impl TryFrom<&SharedStore> for Settings {
    type Error = PolicyError;

    fn try_from(store: &SharedStore) -> Result<Self, PolicyError> {
        Self::new(store.urls()?.to_vec(), store.password().cloned(), store.timeout())
    }
}

impl PartialEq for Settings {
    fn eq(&self, other: &Self) -> bool {
        let password = |settings: &Self| settings.password.as_ref().map(|password| password.bytes().to_vec());
        self.urls == other.urls && self.timeout == other.timeout && password(self) == password(other)
    }
}

impl Eq for Settings {}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { urls, password, timeout } = self;
        f.debug_struct("Settings").field("urls", urls).field("password", password).field("timeout", timeout).finish()
    }
}

fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true).set_user_timeout(UNACKNOWLEDGED)
}

/// `redis://[USER@]HOST[:PORT][/DATABASE]`, which the policy has checked. Not by `redis`' own reader: with it comes all of
/// Unicode, for names that are not ASCII.
fn node(url: &str, password: Option<&str>) -> Option<ConnectionInfo> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (host, port) = match place.strip_prefix('[') {
        Some(literal) => literal.split_once(']')?,
        None => place.find(':').map_or((place, ""), |colon| place.split_at(colon)),
    };
    let port = port.strip_prefix(':').map_or(Some(PORT), |port| port.parse().ok())?;
    let host = Some(host.to_owned()).filter(|host| !host.is_empty())?;
    let address = match scheme {
        "redis" => ConnectionAddr::Tcp(host, port),
        "rediss" => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
        _ => return None,
    };
    // The library would tell its name at each new connection, for which a restricted user has no permission.
    let mut redis = RedisConnectionInfo::default().set_skip_set_lib_name();
    if !database.is_empty() {
        redis = redis.set_db(database.parse().ok()?);
    }
    if !user.is_empty() {
        redis = redis.set_username(user);
    }
    if let Some(password) = password {
        redis = redis.set_password(password);
    }
    Some(address.into_connection_info().ok()?.set_redis_settings(redis).set_tcp_settings(tcp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Option<Secret> {
        Some(Secret::new(text.as_bytes().to_vec()).unwrap())
    }

    fn settings(urls: &[&str], password: Option<Secret>) -> Result<Settings, PolicyError> {
        let urls = urls.iter().map(|url| (*url).to_owned()).collect();
        Settings::new(urls, password, Duration::from_millis(250))
    }

    #[test]
    fn urls_are_read_as_the_policy_has_them() {
        for (url, address, user, database) in [
            ("redis://a", "a:6379", None, 0),
            ("redis://a.example:7000", "a.example:7000", None, 0),
            ("redis://u@10.0.0.1:7000/3", "10.0.0.1:7000", Some("u"), 3),
            ("redis://[::1]", "::1:6379", None, 0),
            ("redis://u@[fd00::1]:7000/", "fd00::1:7000", Some("u"), 0),
            ("rediss://a:1", "a:1", None, 0),
        ] {
            let node = node(url, Some("word")).expect(url);
            assert_eq!(node.addr().to_string(), address, "{url}");
            assert_eq!(
                matches!(node.addr(), ConnectionAddr::TcpTls { insecure: false, .. }),
                url.starts_with("rediss")
            );
            assert_eq!(node.redis_settings().username(), user, "{url}");
            assert_eq!(node.redis_settings().password(), Some("word"), "{url}");
            assert_eq!(node.redis_settings().db(), database, "{url}");
            assert!(node.tcp_settings().nodelay());
        }
        for url in ["", "a", "http://a", "redis://", "redis://:1", "redis://a:b", "redis://a:99999", "redis://[::1"] {
            assert!(node(url, None).is_none(), "{url}");
        }
    }

    #[test]
    fn what_is_no_store_is_refused() {
        let field = |urls: &[&str], password| settings(urls, password).map_err(|error| error.field).unwrap_err();
        assert_eq!(field(&["redis://"], None), "replay_store.url");
        assert_eq!(field(&[], None), "replay_store.urls");
        assert_eq!(field(&["redis://a", "redis://b@c"], None), "replay_store.urls", "another user");
        let bytes = Secret::new(vec![0xff; 8]).unwrap();
        assert_eq!(field(&["redis://a"], Some(bytes)), "replay_store.password");
    }

    #[test]
    fn equal_are_those_with_one_password_and_none_shows_it() {
        let one = settings(&["redis://a"], secret("a password")).unwrap();
        assert_eq!(one, settings(&["redis://a"], secret("a password")).unwrap());
        assert_ne!(one, settings(&["redis://a"], secret("another word")).unwrap());
        assert_ne!(one, settings(&["redis://a"], None).unwrap());
        assert_ne!(one, settings(&["redis://b"], secret("a password")).unwrap());
        assert!(!format!("{one:?}").contains("password\""), "{one:?}");
        assert!(!format!("{one:?}").contains("a password"));
    }
}
