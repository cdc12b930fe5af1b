//! The example configuration of a package, put to work, and the callbacks that are sent to it.
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::ids;
use secure_callbacks_harness::proxy::{Ports, free_port};
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::{self, Message};
use secure_callbacks_harness::upstream::Upstream;
use secure_callbacks_packages::machine::Machine;
use secure_callbacks_support::token::SECRET;
use secure_callbacks_support::{Sample, Token, sample};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where every example has the signature secret.
pub(crate) const SECRET_FILE: &str = "/etc/nginx/secrets/video";

/// The application behind the proxy, and where the proxy listens.
pub(crate) struct Site {
    upstream: Upstream,
    address: SocketAddr,
}

impl Site {
    /// Writes `/etc/nginx/conf.d/callbacks.conf` from the example of `package`, and the secret.
    pub(crate) fn configure(machine: &mut Machine, package: &str) -> Result<Self> {
        let upstream = wait(Upstream::start())?;
        let address = free_port()?;
        let example = machine.inside(&format!("/usr/share/doc/{package}/examples/callbacks.conf"));
        let example = std::fs::read_to_string(example).context("the package's example")?;
        for needed in ["listen 80;", "127.0.0.1:8080", SECRET_FILE] {
            ensure!(example.contains(needed), "the example has no {needed:?}");
        }
        let config = example
            .replace("listen 80;", &format!("listen {address};"))
            .replace("127.0.0.1:8080", &upstream.address().to_string());
        machine.run(&format!(
            "mkdir -p /etc/nginx/conf.d /var/log/nginx && cat > /etc/nginx/conf.d/callbacks.conf <<'TEXT'\n{config}\nTEXT\n\
             install -d -m 700 /etc/nginx/secrets && printf %s '{SECRET}' | install -m 600 /dev/stdin {SECRET_FILE}"
        ))?;
        Ok(Self { upstream, address })
    }

    /// A genuine callback arrives, and a forged one does not.
    pub(crate) fn works(&self) -> Result<()> {
        let (status, arrived) = self.send(|body| body)?;
        ensure!(status == 200 && arrived, "a genuine callback: {status}, arrived: {arrived}");
        let (status, arrived) = self.send(|_| b"{\"forged\":true}".as_slice())?;
        ensure!(status == 401 && !arrived, "a forged callback: {status}, arrived: {arrived}");
        Ok(())
    }

    /// The status of a callback whose token is for the sample, and whether it arrived.
    fn send(&self, body: fn(&'static [u8]) -> &'static [u8]) -> Result<(u16, bool)> {
        let id = ids::unique();
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let signed = sample(Sample::Archive);
        let token = Token::valid(signed, i64::try_from(now)?).sign();
        let message = Message::post(&format!("/callbacks/{id}"), body(signed), Some(&token));
        let ports = Ports { http1: self.address, http2: self.address };
        let mut tries = 0;
        let reply = loop {
            match wait(send::send(ports, &message)) {
                // It listens a moment after its start.
                Err(_) if tries < 50 => std::thread::sleep(Duration::from_millis(100)),
                reply => break reply?,
            }
            tries += 1;
        };
        Ok((reply.status, !self.upstream.requests(&id).is_empty()))
    }
}
