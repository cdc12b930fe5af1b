//! Virtual servers of Nginx's on one port. Which one a connection is made for is said in the handshake (SNI), or is the
//! default; which one a request is for, in its head. What the one's authority signed is nothing to the other's policy.
use crate::rows::{Due, check};
use crate::site::{Site, client};
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::certificates::{Authority, Leaf};
use secure_callbacks_harness::people::{People, SENDER, SENDER_SUBJECT, Who};
use secure_callbacks_harness::proxy::{Directory, Proxy, free_port, nginx};
use secure_callbacks_harness::running::Running;
use secure_callbacks_harness::send::http1;
use secure_callbacks_harness::send::tls::{Client, Version};
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_support::token::SECRET;
use std::sync::OnceLock;
use std::time::Duration;

const FIRST: &str = "first.example";
const SECOND: &str = "second.example";
const UNKNOWN: &str = "unknown.example";

/// One case: what validates clients in the default server and in the other, what the handshake names, and what becomes
/// of a callback to the other.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    servers: [&'static str; 2],
    asked: Option<&'static str>,
    path: &'static str,
    due: Due,
}

const UNVERIFIED: Due = Due::Refused("client_certificate_unverified");
const TAKEN: Due = Due::Accepted(Some(SENDER_SUBJECT));
const CERTIFICATE: &str = "ssl_certificate server.pem; ssl_certificate_key server.key;";
const RIGHT: &str = "ssl_certificate server.pem; ssl_certificate_key server.key;
    ssl_verify_client optional; ssl_client_certificate root.pem;";
const OTHER: &str = "ssl_certificate server.pem; ssl_certificate_key server.key;
    ssl_verify_client optional; ssl_client_certificate other.pem;";

impl Case {
    const fn new(name: &'static str, servers: [&'static str; 2], due: Due) -> Self {
        Self { name, servers, asked: None, path: "/callbacks/", due }
    }

    const fn asks(self, asked: &'static str) -> Self {
        Self { asked: Some(asked), ..self }
    }

    const fn path(self, path: &'static str) -> Self {
        Self { path, ..self }
    }

    pub(crate) async fn run(&self, kind: ProxyKind, version: Version) -> Result<()> {
        let site = start(kind, self.servers).await?;
        let client = sender(version, self.asked)?;
        exchange(&site, &client, SECOND, self.path, self.due).await
    }
}

/// All of them, with a certificate that the default server's `root.pem` has signed.
pub(crate) const CASES: [Case; 17] = [
    Case::new("same_authority", [RIGHT, RIGHT], TAKEN),
    Case::new("same_authority_and_named", [RIGHT, RIGHT], TAKEN).asks(SECOND),
    Case::new("another_authority", [RIGHT, OTHER], UNVERIFIED),
    Case::new("another_authority_and_named", [OTHER, RIGHT], TAKEN).asks(SECOND),
    Case::new("another_authority_and_an_unknown_name", [RIGHT, OTHER], UNVERIFIED).asks(UNKNOWN),
    Case::new("another_authority_in_report_mode", [RIGHT, OTHER], {
        Due::Reported("client_certificate_unverified", None)
    })
    .path("/report/"),
    Case::new("another_authority_where_none_is_asked_for", [RIGHT, OTHER], Due::Accepted(None)).path("/plain/"),
    Case::new("no_verification", [RIGHT, CERTIFICATE], UNVERIFIED),
    Case::new("no_verification_and_the_defaults_name", [RIGHT, CERTIFICATE], UNVERIFIED).asks(FIRST),
    Case::new(
        "another_mode",
        [
            "ssl_certificate server.pem; ssl_certificate_key server.key;
             ssl_verify_client optional_no_ca; ssl_client_certificate root.pem;",
            RIGHT,
        ],
        UNVERIFIED,
    ),
    Case::new(
        "another_depth",
        [
            RIGHT,
            "ssl_certificate server.pem; ssl_certificate_key server.key;
             ssl_verify_client optional; ssl_client_certificate root.pem; ssl_verify_depth 3;",
        ],
        UNVERIFIED,
    ),
    Case::new(
        "a_list_of_revoked_ones",
        [
            RIGHT,
            "ssl_certificate server.pem; ssl_certificate_key server.key;
             ssl_verify_client optional; ssl_client_certificate root.pem; ssl_crl root.crl;",
        ],
        UNVERIFIED,
    ),
    Case::new(
        "another_trusted_authority",
        [
            "ssl_certificate server.pem; ssl_certificate_key server.key;
             ssl_verify_client optional; ssl_client_certificate other.pem; ssl_trusted_certificate root.pem;",
            OTHER,
        ],
        UNVERIFIED,
    ),
    // A server without a certificate of its own shakes hands as the default one does, even when it is named.
    Case::new(
        "no_certificate_of_its_own",
        [RIGHT, "ssl_verify_client optional; ssl_client_certificate root.pem;"],
        TAKEN,
    ),
    Case::new(
        "no_certificate_of_its_own_and_named",
        [RIGHT, "ssl_verify_client optional; ssl_client_certificate root.pem;"],
        TAKEN,
    )
    .asks(SECOND),
    Case::new(
        "no_certificate_of_its_own_and_another_authority",
        [RIGHT, "ssl_verify_client optional; ssl_client_certificate other.pem;"],
        UNVERIFIED,
    ),
    Case::new(
        "no_certificate_of_its_own_and_another_authority_and_named",
        [RIGHT, "ssl_verify_client optional; ssl_client_certificate other.pem;"],
        UNVERIFIED,
    )
    .asks(SECOND),
];

/// What more there is to say of the two servers.
pub(crate) const TESTS: [(&str, crate::sessions::KindTest); 3] = [
    ("one_connection_for_both", |kind, version| Box::pin(one_connection(kind, version))),
    ("a_session_keeps_whom_its_certificate_was_shown_to", |kind, version| Box::pin(resumed(kind, version))),
    ("nginx_itself_refuses_another_name_than_the_negotiated", |kind, version| Box::pin(misdirected(kind, version))),
];

/// Each request is judged by its own server, whatever was judged before on the same connection.
async fn one_connection(kind: ProxyKind, version: Version) -> Result<()> {
    let site = start(kind, [RIGHT, OTHER]).await?;
    let session = sender(version, None)?.open(site.address(DOOR)?, b"http/1.1").await?;
    let mut connection = http1::Connection::over(session.stream);
    for (server, due) in [(SECOND, UNVERIFIED), (FIRST, TAKEN), (SECOND, UNVERIFIED), (FIRST, TAKEN)] {
        let callback = Callback::new();
        connection.write(&to(server, &callback).concat()).await?;
        let reply = connection.reply().await;
        check(&site, &callback, reply, due).with_context(|| server.to_owned())?;
    }
    Ok(())
}

/// The default server validated the certificate of a session that named none. It is taken up for the other server: again
/// without a name, then with one.
async fn resumed(kind: ProxyKind, version: Version) -> Result<()> {
    for (servers, due) in [([RIGHT, RIGHT], TAKEN), ([RIGHT, OTHER], UNVERIFIED)] {
        let site = start(kind, servers).await?;
        // Sessions are kept by the name that the client means, whether it says so or not.
        let silent = sender(version, None)?;
        exchange(&site, &silent, FIRST, "/callbacks/", TAKEN).await?;
        let session = silent.open(site.address(DOOR)?, b"http/1.1").await?;
        ensure!(session.resumed, "the session was not taken up");
        let callback = Callback::new();
        let connection = http1::Connection::over(session.stream);
        let reply = http1::exchange_over(connection, to(SECOND, &callback), Duration::ZERO).await;
        check(&site, &callback, reply, due)?;
    }
    let site = start(kind, [RIGHT, OTHER]).await?;
    let silent = sender(version, None)?;
    exchange(&site, &silent, FIRST, "/callbacks/", TAKEN).await?;
    let callback = Callback::new();
    let reply = over_one(&silent.to(SECOND, true), &site, &to(SECOND, &callback)).await;
    // Nginx may ask for a new handshake, which the other server ends by itself.
    let status = reply.map_or(0, |reply| reply.status);
    ensure!(status != 200 && !site.upstream.saw(&callback.id), "taken by the other server: {status}");
    Ok(())
}

async fn misdirected(kind: ProxyKind, version: Version) -> Result<()> {
    let site = start(kind, [RIGHT, OTHER]).await?;
    let callback = Callback::new();
    let reply = over_one(&sender(version, Some(FIRST))?, &site, &to(SECOND, &callback)).await?;
    ensure!(reply.status == 421 && !site.upstream.saw(&callback.id), "{} {}", reply.status, reply.text());
    Ok(())
}

const DOOR: &str = "servers";

/// The sender, who means the second server, and says in the handshake what is `asked` for.
fn sender(version: Version, asked: Option<&'static str>) -> Result<Client> {
    Ok(client(Who::Sender, version)?.to(asked.unwrap_or(SECOND), asked.is_some()))
}

fn to(server: &str, callback: &Callback) -> Vec<Vec<u8>> {
    let mut writes = http1::writes(&callback.message);
    let head = String::from_utf8_lossy(&writes[0]).replace("Host: localhost", &format!("Host: {server}"));
    writes[0] = head.into_bytes();
    writes
}

async fn over_one(client: &Client, site: &Site, writes: &[Vec<u8>]) -> Result<secure_callbacks_harness::send::Reply> {
    let session = client.open(site.address(DOOR)?, b"http/1.1").await?;
    let connection = http1::Connection::over(session.stream);
    http1::exchange_over(connection, writes.to_vec(), Duration::ZERO).await
}

async fn exchange(site: &Site, client: &Client, server: &str, path: &str, due: Due) -> Result<()> {
    let callback = Callback::below(path);
    let reply = over_one(client, site, &to(server, &callback)).await;
    check(site, &callback, reply, due)
}

async fn start(kind: ProxyKind, servers: [&str; 2]) -> Result<Site> {
    static OTHER_ROOT: OnceLock<Authority> = OnceLock::new();
    let people = People::get();
    let directory = Directory::new("servers")?;
    let names = [FIRST, SECOND, UNKNOWN];
    let server = people.root.issue(&Leaf::named(FIRST).dns_names(&names));
    server.write(directory.path(), "server")?;
    directory.write("root.pem", people.root.pem())?;
    directory.write("root.crl", people.root.revoking_nothing())?;
    directory.write("other.pem", OTHER_ROOT.get_or_init(|| Authority::root("Other Root")).pem())?;
    let address = free_port()?;
    let account = format!("account a1b2c3d secret=text:{SECRET}; expose_reason on;");
    let asked = format!("{account} client_certificate dns_name={SENDER};");
    let mut http = format!(
        "ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:tls:1m; ssl_session_tickets on;
         secure_callbacks_policy named {{ {asked} }}
         secure_callbacks_policy plain {{ {account} }}
         secure_callbacks_policy report {{ {asked} mode report; }}\n"
    );
    for (name, lines) in [FIRST, SECOND].into_iter().zip(servers) {
        let listen = nginx::listen_tls(kind, address);
        http.push_str(&format!(
            "server {{ {listen} server_name {name}; {lines}
                location / {{ secure_callbacks named; proxy_pass http://app; }}
                location /plain/ {{ secure_callbacks plain; proxy_pass http://app; }}
                location /report/ {{ secure_callbacks report; proxy_pass http://app; }}
            }}\n"
        ));
    }
    let module = tools::find(kind)?.filter;
    let running = Running::launch(async |application| {
        let config = nginx::config(Some(&module), &[], &(nginx::upstream(application) + &http));
        Proxy::nginx(kind, directory, &config, &Vec::new()).await
    });
    Ok(Site::of(running.await?, DOOR, address))
}
