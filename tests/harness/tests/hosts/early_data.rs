//! Early data (0-RTT): a request that arrives before the handshake is done. Whoever captures it can send it again as it is,
//! without a key of anybody's, and it arrives again: certificate and source are right, and nothing but the check of
//! replays tells it from the first. Off in Nginx unless `ssl_early_data` is on.
use anyhow::{Context, Result, bail, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::people::{People, SENDER, Who};
use secure_callbacks_harness::proxy::{free_port, nginx};
use secure_callbacks_harness::running::{Nginx, Running};
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::tap::Tap;
use secure_callbacks_harness::send::tls::{Client, Version};
use secure_callbacks_harness::send::{Reply, http3};
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_support::Framing;
use secure_callbacks_support::token::SECRET;
use std::net::SocketAddr;
use std::time::Duration;

pub(crate) fn add(tests: &mut Tests<'_>) {
    let kind = tests.kind;
    tests.add("early_data_sent_again_is_refused_as_replayed", move || sent_again(kind, Over::Tcp));
    if takes_early_quic(kind) {
        tests.add("early_data_over_http3_sent_again_is_refused_as_replayed", move || sent_again(kind, Over::Quic));
    } else if kind.has_http3() {
        tests.add("early_data_over_http3_is_not_taken", move || never_early(kind));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    Tcp,
    Quic,
}

/// Nginx has it over QUIC since 1.29.1, with OpenSSL since 3.5.1.
fn takes_early_quic(kind: ProxyKind) -> bool {
    let said = kind.says();
    let library = said.split("built with OpenSSL ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let numbers: Vec<u32> = library.unwrap_or_default().split('.').filter_map(|number| number.parse().ok()).collect();
    kind.has_http3() && kind.is_since([1, 29, 1]) && numbers.as_slice() >= &[3, 5, 1]
}

/// A server that takes early data, and asks for all that can be asked for. Below `/unwatched/` it looks for no replays.
struct Site {
    running: Running,
    address: SocketAddr,
}

impl Site {
    fn start(kind: ProxyKind) -> Result<Self> {
        let address = free_port()?;
        let policy = format!(
            "account a1b2c3d secret=text:{SECRET}; expose_reason on;
             client_certificate dns_name={SENDER}; source_address 127.0.0.0/8;"
        );
        let policies = format!(
            "secure_callbacks_policy watched {{ {policy} }} secure_callbacks_policy unwatched {{ {policy} replay off; }}\n"
        );
        let quic = if kind.has_http3() { nginx::listen_quic(address) } else { nginx::CERTIFICATE.into() };
        let server = format!(
            "listen {address} ssl; {quic} ssl_protocols TLSv1.3; ssl_early_data on;
             ssl_verify_client optional; ssl_client_certificate root.pem;
             proxy_set_header Early-Data $ssl_early_data;
             location / {{ secure_callbacks watched; proxy_pass http://app; }}
             location /unwatched/ {{ secure_callbacks unwatched; proxy_pass http://app; }}"
        );
        let nginx = Nginx::new(kind, policies, server)?;
        nginx.directory.write("root.pem", People::get().root.pem())?;
        Ok(Self { running: nginx.start()?, address })
    }

    /// Sends a callback over a connection of its own whose handshake is done first. From then on the client has a session.
    async fn begin(&self, client: &Client, over: Over) -> Result<()> {
        let callback = Callback::new();
        let reply = match over {
            Over::Tcp => client.send(self.address, &callback.message).await?,
            Over::Quic => http3::send(client, self.address, &callback.framed(Framing::H2).message).await?,
        };
        self.running.accepted(&callback, &reply, 1)
    }
}

fn sent_again(kind: ProxyKind, over: Over) -> Result<()> {
    let site = Site::start(kind)?;
    let client = People::get().client(Who::Sender, Version::Tls13)?.early();
    for (prefix, result, deliveries) in [("/callbacks/", "replayed", 1), ("/unwatched/", "accepted", 2)] {
        wait(captured(&site, &client, over, prefix, (result, deliveries))).with_context(|| prefix.to_owned())?;
    }
    Ok(())
}

/// A callback is taken as early data, and what was captured of it comes again.
async fn captured(
    site: &Site,
    client: &Client,
    over: Over,
    prefix: &str,
    (result, deliveries): (&str, usize),
) -> Result<()> {
    site.begin(client, over).await?;
    let callback = Callback::below(prefix);
    let mut tap = match over {
        Over::Tcp => Tap::of_tcp(site.address).await?,
        Over::Quic => Tap::of_udp(site.address).await?,
    };
    let (reply, early): (Reply, bool) = match over {
        Over::Tcp => client.send_early(tap.address, &callback.message).await?,
        Over::Quic => {
            let message = callback.framed(Framing::H2).message;
            http3::send_early(client, tap.address, &message).await?.context("no session for early data")?
        }
    };
    ensure!(early, "the proxy did not take early data");
    site.running.accepted(&callback, &reply, 1)?;
    let marked = site.running.upstream.requests(&callback.id)[0].headers.text("early-data");
    ensure!(marked.as_deref() == Some("1"), "it was not early: {marked:?}");
    tap.end();
    let logged = again(site, &tap, over, &callback).await?;
    ensure!(logged == result, "the access log says {logged:?}: {}", site.running.log_end());
    let arrived = site.running.upstream.deliveries(&callback.id);
    ensure!(arrived == deliveries, "{arrived} deliveries instead of {deliveries}");
    Ok(())
}

/// What the access log says of the captured callback when it is sent again.
async fn again(site: &Site, tap: &Tap, over: Over, callback: &Callback) -> Result<String> {
    for _ in 0..10 {
        let kept: Box<dyn Send> = match over {
            Over::Tcp => Box::new(tap.send_again_over_tcp().await?),
            Over::Quic => Box::new(tap.send_again_over_udp().await?),
        };
        let line =
            tokio::time::timeout(Duration::from_secs(1), site.running.proxy.nth_access_line(&callback.id, 2)).await;
        drop(kept);
        if let Ok(Some(line)) = line {
            return line.split(' ').nth(2).map(str::to_owned).context("no code in the access log");
        }
        // As long as Nginx still has the first connection, QUIC's datagrams belong to that.
    }
    bail!("it did not come to a request: {}", site.running.log_end())
}

/// The older ones have no early data in QUIC, whatever `ssl_early_data` says.
fn never_early(kind: ProxyKind) -> Result<()> {
    let site = Site::start(kind)?;
    let client = People::get().client(Who::Sender, Version::Tls13)?.early();
    wait(site.begin(&client, Over::Quic))?;
    let early = wait(http3::send_early(&client, site.address, &Callback::new().framed(Framing::H2).message))?;
    ensure!(early.is_none(), "a session for early data: {early:?}");
    Ok(())
}
