//! The example configuration of a package, put to work, and the callbacks that are sent to it.
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::clock::until;
use secure_callbacks_harness::proxy::free_port;
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send;
use secure_callbacks_harness::upstream::Upstream;
use secure_callbacks_packages::machine::Machine;
use secure_callbacks_support::token::SECRET;
use std::net::SocketAddr;
use std::time::Duration;

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
        for (what, callback, due) in
            [("genuine", Callback::new(), (200, true)), ("forged", Callback::forged(), (401, false))]
        {
            // It listens a moment after its start.
            let reply =
                until(Duration::from_secs(5), || Ok(wait(send::send_to(self.address, &callback.message)).ok()))?;
            let status = reply.context("no reply")?.status;
            let arrived = !self.upstream.requests(&callback.id).is_empty();
            ensure!((status, arrived) == due, "a {what} callback: {status}, arrived: {arrived}");
        }
        Ok(())
    }
}
