//! Every row: its name, its configuration, and what it promises to refuse.

/// What the rows are compared within.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Host {
    Envoy,
    Nginx,
    /// An application that checks by itself, behind the plain Nginx.
    Application,
}

impl Host {
    pub(crate) const ALL: [Self; 3] = [Self::Envoy, Self::Nginx, Self::Application];

    /// As `--only` and the results have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Envoy => "envoy",
            Self::Nginx => "nginx",
            Self::Application => "application",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Envoy => "Envoy",
            Self::Nginx => "Nginx",
            Self::Application => "Application (Python)",
        }
    }
}

/// What a row must refuse, and is seen to refuse before it is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checks {
    Nothing,
    /// The token alone.
    Token,
    TokenAndBody,
}

/// A program besides the proxy, whose CPU time counts in the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Helper {
    /// The service that the proxy asks.
    Verifier { head_only: bool },
    /// The application itself.
    Application { check: bool },
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) host: Host,
    /// As `--only` and the results have it.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// In `tests/bench/peers/<host>`: the configuration, or what stands in it before the router.
    pub(crate) config: &'static str,
    /// Other files of the same directory.
    pub(crate) files: &'static [&'static str],
    pub(crate) checks: Checks,
    pub(crate) helper: Option<Helper>,
    /// What it looks at, for the tables.
    pub(crate) looks_at: &'static str,
}

impl Peer {
    /// The row that others are compared with.
    pub(crate) fn is_plain(&self) -> bool {
        self.name == "plain"
    }

    pub(crate) fn is_ours(&self) -> bool {
        is_ours(self.name)
    }

    /// Whether it is measured with bodies of every size.
    pub(crate) fn has_sizes(&self) -> bool {
        self.has_transports() || self.name == "buffer"
    }

    /// Whether it is measured over every transport too: the plain proxies and ours. Another build of ours has the
    /// listeners alone.
    pub(crate) fn has_transports(&self) -> bool {
        self.host != Host::Application && (self.is_plain() || self.is_ours() || self.is_other_build())
    }

    /// Whether it is ours in another build, the one of `--against`.
    pub(crate) fn is_other_build(&self) -> bool {
        self.name == "other"
    }

    /// Whether it is ours with a line in the log for each refusal.
    pub(crate) fn is_logging(&self) -> bool {
        self.name == "logging"
    }

    /// Whether `--only` means it.
    pub(crate) fn is_meant(&self, only: &[String]) -> bool {
        let is_it = |wanted: &String| wanted == self.name || wanted == self.host.name();
        only.is_empty() || only.iter().any(is_it)
    }

    const fn new(host: Host, name: &'static str, title: &'static str, config: &'static str) -> Self {
        Self { host, name, title, config, files: &[], checks: Checks::Nothing, helper: None, looks_at: "nothing" }
    }

    const fn checks(self, checks: Checks, looks_at: &'static str) -> Self {
        Self { checks, looks_at, ..self }
    }

    const fn with(self, helper: Helper) -> Self {
        Self { helper: Some(helper), ..self }
    }

    const fn files(self, files: &'static [&'static str]) -> Self {
        Self { files, ..self }
    }
}

/// Whether a row is ours: what an operator would install, in this build.
pub(crate) fn is_ours(row: &str) -> bool {
    ["ours", "module"].contains(&row)
}

/// Every row, the plain one of each host first.
pub(crate) fn catalogue() -> Vec<Peer> {
    use Checks::{Token, TokenAndBody};
    use Host::{Application, Envoy, Nginx};
    const NGINX: &[&str] = &["process.conf", "common.conf"];
    const NGINX_TLS: &[&str] = &["process.conf", "common.conf", "tls.conf"];
    const ALL: &str = "token, body, age, replay";
    const NO_REPLAY: &str = "token, body, age";
    vec![
        Peer::new(Envoy, "plain", "plain proxy", "plain.yaml"),
        Peer::new(Envoy, "noop", "a wasm filter that does nothing", "noop.yaml"),
        Peer::new(Envoy, "hold", "a wasm filter that only reads head and body", "hold.yaml"),
        Peer::new(Envoy, "buffer", "Envoy's buffer filter, which only reads", "buffer.yaml"),
        Peer::new(Envoy, "ours", "secure-callbacks", "ours.yaml").checks(TokenAndBody, ALL),
        Peer::new(Envoy, "module", "secure-callbacks, native module", "module.yaml").checks(TokenAndBody, ALL),
        Peer::new(Envoy, "other", "secure-callbacks, the other build", "ours.yaml").checks(TokenAndBody, ALL),
        Peer::new(Envoy, "jwt_authn", "Envoy's jwt_authn", "jwt_authn.yaml").checks(Token, "token"),
        Peer::new(Envoy, "ext_authz", "ext_authz to a Rust service", "ext_authz.yaml")
            .checks(TokenAndBody, NO_REPLAY)
            .with(Helper::Verifier { head_only: false }),
        Peer::new(Nginx, "plain", "plain proxy", "plain.conf").files(NGINX_TLS),
        Peer::new(Nginx, "ours", "secure-callbacks", "ours.conf").files(NGINX_TLS).checks(TokenAndBody, ALL),
        Peer::new(Nginx, "logging", "secure-callbacks, error_log … warn", "ours.conf")
            .files(NGINX_TLS)
            .checks(TokenAndBody, ALL),
        Peer::new(Nginx, "other", "secure-callbacks, the other build", "ours.conf")
            .files(NGINX_TLS)
            .checks(TokenAndBody, ALL),
        Peer::new(Nginx, "lua", "Lua, libcrypto by FFI", "lua.conf")
            .files(&["process.conf", "common.conf", "verify.lua"])
            .checks(TokenAndBody, NO_REPLAY),
        Peer::new(Nginx, "njs", "njs (js_content)", "njs.conf")
            .files(&["process.conf", "common.conf", "verify.js"])
            .checks(TokenAndBody, NO_REPLAY),
        Peer::new(Nginx, "auth_request", "auth_request to a Rust service", "auth_request.conf")
            .files(NGINX)
            .checks(Token, "token, age")
            .with(Helper::Verifier { head_only: true }),
        Peer::new(Application, "plain", "no check", "application.conf")
            .files(NGINX)
            .with(Helper::Application { check: false }),
        Peer::new(Application, "pyjwt", "PyJWT and hashlib", "application.conf")
            .files(NGINX)
            .checks(TokenAndBody, NO_REPLAY)
            .with(Helper::Application { check: true }),
    ]
}
