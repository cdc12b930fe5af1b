//! A row: who comes to which door with what, and what has to come of it.
use crate::site::{Site, client};
use anyhow::{Context, Result, bail, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::people::{SENDER_SUBJECT, Who};
use secure_callbacks_harness::send::tls::Version;
use secure_callbacks_harness::send::{self, Reply, http1};
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_support::Framing;
use std::net::IpAddr;
use std::time::Duration;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// It arrives, with this subject.
    Accepted(Option<&'static str>),
    /// Report mode: it arrives, with this code and this subject.
    Reported(&'static str, Option<&'static str>),
    /// Refused with this code.
    Refused(&'static str),
    /// The proxy can't tell: 503.
    Failed,
    /// The filter is never asked: Envoy ends the handshake, Nginx answers 400 itself.
    EndedByTls,
    /// Envoy's own 400, for a name that it was told not to take.
    BadRequest,
}

/// The proxies a row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    Both,
    Envoy,
    EnvoyModule,
    Nginx,
}

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) door: &'static str,
    pub(crate) who: Who,
    pub(crate) due: Due,
    pub(crate) on: On,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) from: Option<[u8; 4]>,
    pub(crate) token: bool,
    pub(crate) framing: Framing,
}

impl Row {
    pub(crate) fn new(name: &'static str, door: &'static str, who: Who, due: Due) -> Self {
        Self {
            name,
            door,
            who,
            due,
            on: On::Both,
            headers: Vec::new(),
            from: None,
            token: true,
            framing: Framing::Length,
        }
    }

    /// Accepted, with the subject of [`Who::Sender`].
    pub(crate) fn accepted(name: &'static str, door: &'static str, who: Who) -> Self {
        Self::new(name, door, who, Due::Accepted(Some(SENDER_SUBJECT)))
    }

    pub(crate) fn refused(name: &'static str, door: &'static str, who: Who, code: &'static str) -> Self {
        Self::new(name, door, who, Due::Refused(code))
    }

    pub(crate) fn on(self, on: On) -> Self {
        Self { on, ..self }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn from(self, address: [u8; 4]) -> Self {
        Self { from: Some(address), ..self }
    }

    pub(crate) fn without_token(self) -> Self {
        Self { token: false, ..self }
    }

    pub(crate) fn framed(self, framing: Framing) -> Self {
        Self { framing, ..self }
    }

    pub(crate) fn is_for(&self, kind: ProxyKind) -> bool {
        match self.on {
            On::Both => true,
            On::Envoy => !kind.is_nginx(),
            On::EnvoyModule => kind == ProxyKind::EnvoyModule,
            On::Nginx => kind.is_nginx(),
        }
    }

    /// Sends it, and looks at what came of it.
    pub(crate) async fn run(&self, site: &Site, version: Version) -> Result<()> {
        let mut callback = Callback::new().framed(self.framing);
        if !self.token {
            callback = callback.without_token();
        }
        for (name, value) in &self.headers {
            callback = callback.header(name, value);
        }
        let address = site.address(self.door)?;
        let from = self.from.map(IpAddr::from);
        let reply = if site.is_plaintext(self.door) {
            let connection = http1::Connection::over(send::connect(from, address).await?);
            http1::exchange_over(connection, http1::writes(&callback.message), Duration::ZERO).await
        } else {
            let mut client = client(self.who, version)?;
            if let Some(from) = from {
                client = client.from(from);
            }
            client.send(address, &callback.message).await
        };
        check(site, &callback, reply, self.due)
    }
}

/// Whether the reply, and what reached the application, are as they should be.
pub(crate) fn check(site: &Site, callback: &Callback, reply: Result<Reply>, due: Due) -> Result<()> {
    let (code, subject) = match due {
        Due::Accepted(subject) => ("accepted", subject),
        Due::Reported(code, subject) => (code, subject),
        Due::Refused(code) => {
            return site.refused(callback, &reply?, code);
        }
        Due::Failed => {
            reply?.is(503, "proxy_failed")?;
            return site.untouched(callback);
        }
        Due::BadRequest => {
            let reply = reply?;
            ensure!(reply.status == 400, "{} {}", reply.status, reply.text());
            return site.untouched(callback);
        }
        Due::EndedByTls => {
            match reply {
                Ok(reply) if site.proxy.kind.is_nginx() => {
                    ensure!(reply.status == 400, "{} {}", reply.status, reply.text());
                    // Nginx's own page says which of the two it was.
                    let own = reply.text();
                    ensure!(own.contains("SSL certificate"), "{own}");
                }
                Ok(reply) => bail!("a reply: {} {}", reply.status, reply.text()),
                Err(error) if site.proxy.kind.is_nginx() => return Err(error.context("no reply")),
                Err(_) => {}
            }
            return site.untouched(callback);
        }
    };
    let reply = reply?;
    site.arrived(callback, &reply, 1)?;
    let request = &site.upstream.requests(&callback.id)[0];
    let verdict = request.headers.text("x-callback-verified");
    ensure!(verdict.as_deref() == Some(code), "X-Callback-Verified: {verdict:?}");
    // In every spelling that an application may take for the field.
    let named = request
        .headers
        .0
        .iter()
        .filter(|(name, value)| name.replace('_', "-") == "x-ssl-client-subject-dn" && !value.is_empty());
    let subjects: Vec<_> = named.map(|(_, value)| String::from_utf8_lossy(value)).collect();
    ensure!(subjects.iter().map(|value| &**value).eq(subject), "X-SSL-Client-Subject-DN: {subjects:?}");
    Ok(())
}

/// The result in the access log.
pub(crate) async fn logged(site: &Site, callback: &Callback) -> Result<String> {
    let line = site.proxy.access_line(&callback.id).await.context("no line in the access log")?;
    line.split_whitespace().nth(2).map(str::to_owned).context("no result in the access log")
}
