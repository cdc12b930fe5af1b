//! One proxy with all the doors, and the application behind it.
use crate::doors::{self, Asks, Door, Trust};
use anyhow::{Context, Result};
use secure_callbacks_harness::lazy::Lazy;
use secure_callbacks_harness::people::{People, Who};
use secure_callbacks_harness::proxy::{Directory, Proxy, envoy, free_port, nginx};
use secure_callbacks_harness::running::Running;
use secure_callbacks_harness::send::tls::{Client, Version};
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_support::nginx_block;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::ops::Deref;

/// A running proxy, which starts at its first use.
#[derive(Default)]
pub(crate) struct Stage(Lazy<Site>);

impl Stage {
    pub(crate) fn site(&self, kind: ProxyKind) -> Result<&Site> {
        self.0.get(|| Site::start(kind, doors::all()))
    }
}

/// A running proxy.
pub(crate) struct Site {
    running: Running,
    addresses: BTreeMap<&'static str, (SocketAddr, Asks)>,
}

impl Deref for Site {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

impl Site {
    /// Starts one with these doors.
    pub(crate) fn start(kind: ProxyKind, doors: Vec<Door>) -> Result<Self> {
        let filter = tools::find(kind)?.filter;
        let directory = Directory::new(kind.name())?;
        let people = People::get();
        people.server.write(directory.path(), "server")?;
        directory.write("root.pem", people.root.pem())?;
        directory.write("chain.pem", people.intermediate.pem() + &people.root.pem())?;
        let mut addresses = BTreeMap::new();
        let running = Running::start(async |application| {
            let (mut listeners, mut http) = (Vec::new(), nginx::upstream(application));
            for door in doors {
                let port = free_port()?.port();
                addresses.insert(door.name, (door.place.reached(port), door.asks));
                let listens = door.place.listens(port);
                if kind.is_nginx() {
                    http.push_str(&nginx_server(kind, &door, listens));
                } else {
                    let filter = envoy::filter(&door.policy, envoy::Form::Struct, &[]);
                    let mut listener = envoy::Listener::new(listens, application, filter);
                    listener.settings = door.envoy.clone();
                    listener.transport = envoy_tls(&door, &directory);
                    listener.hands_certificates = door.name != doors::NOT_HANDED_OVER;
                    listeners.push(listener);
                }
            }
            if kind.is_nginx() {
                Proxy::nginx(kind, directory, &nginx::config(Some(&filter), &[], &http), &Vec::new()).await
            } else {
                Proxy::envoy(directory, &listeners, &Vec::new()).await
            }
        })?;
        Ok(Self { running, addresses })
    }

    /// One that was started otherwise, with one door.
    pub(crate) fn of(running: Running, door: &'static str, address: SocketAddr) -> Self {
        Self { running, addresses: BTreeMap::from([(door, (address, Asks::Optional))]) }
    }

    /// Where the door is.
    pub(crate) fn address(&self, door: &str) -> Result<SocketAddr> {
        Ok(self.addresses.get(door).with_context(|| format!("no door {door:?}"))?.0)
    }

    /// Whether the door speaks no TLS.
    pub(crate) fn is_plaintext(&self, door: &str) -> bool {
        self.addresses.get(door).is_some_and(|(_, asks)| *asks == Asks::Plaintext)
    }
}

/// A client of the doors that shows the certificate of `who`.
pub(crate) fn client(who: Who, version: Version) -> Result<Client> {
    People::get().client(who, version)
}

fn nginx_server(kind: ProxyKind, door: &Door, address: SocketAddr) -> String {
    let mut text = nginx_block(door.name, &door.policy);
    let trust = if door.trust == Trust::Root { "root.pem" } else { "chain.pem" };
    let mut lines = match door.asks {
        // `ipv6only` is on unless it is turned off.
        Asks::Plaintext if address.ip().is_unspecified() => format!("listen {address} ipv6only=off;"),
        Asks::Plaintext => format!("listen {address};"),
        _ => format!(
            "{} ssl_certificate server.pem; ssl_certificate_key server.key; ssl_protocols TLSv1.2 TLSv1.3; \
             ssl_session_cache shared:tls:1m; ssl_session_tickets on;",
            nginx::listen_tls(kind, address)
        ),
    };
    let verify = match door.asks {
        Asks::Plaintext | Asks::Never | Asks::RequiredBlindly => None,
        Asks::Optional => Some("optional"),
        Asks::Required => Some("on"),
        Asks::Unchecked => Some("optional_no_ca"),
    };
    if let Some(verify) = verify {
        let _ = write!(lines, " ssl_verify_client {verify}; ssl_client_certificate {trust}; ssl_verify_depth 10;");
    }
    let (name, more) = (door.name, door.nginx);
    let _ = writeln!(
        text,
        "server {{ {lines} keepalive_requests 100000; {more} location / {{ secure_callbacks {name}; proxy_pass http://app; }} }}"
    );
    text
}

fn envoy_tls(door: &Door, directory: &Directory) -> Value {
    let file = |name: &str| directory.path().join(name);
    let trust = if door.trust == Trust::Root { "root.pem" } else { "chain.pem" };
    let mut validation = json!({ "trusted_ca": { "filename": file(trust) }, "max_verify_depth": 10 });
    match door.asks {
        Asks::Plaintext => return Value::Null,
        Asks::Never | Asks::RequiredBlindly => validation = Value::Null,
        Asks::Unchecked => validation["trust_chain_verification"] = json!("ACCEPT_UNTRUSTED"),
        Asks::Optional | Asks::Required => {}
    }
    let required = matches!(door.asks, Asks::Required | Asks::RequiredBlindly);
    envoy::tls((&file("server.pem"), &file("server.key")), validation, required)
}
