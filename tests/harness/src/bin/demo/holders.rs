//! Who holds which certificate in the demo's TLS half. All are made anew for each run, in `target/demo/tls/`.
use anyhow::{Context, Result};
use rcgen::DnType;
use secure_callbacks_harness::cases::Holder;
use secure_callbacks_harness::certificates::{Authority, Identity, Leaf};
use secure_callbacks_harness::send::tls::{Client, SERVER_NAME, Version};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The certificates of one run.
pub(crate) struct Holders {
    root: Authority,
    sender: Identity,
    other_name: Identity,
    stranger: Identity,
}

impl Holders {
    /// Makes them, and writes what the proxies and `curl` need into `folder`.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let root = Authority::root("Demo Root");
        let intermediate = root.intermediate("Demo Intermediate");
        let company = Leaf::new(&[(DnType::OrganizationName, "TokBox"), (DnType::CommonName, "callbacks.opentok.com")]);
        let company = company.dns_names(&["callbacks.opentok.com"]);
        let other = Leaf::named("callbacks.example").dns_names(&["callbacks.example"]);
        let holders = Self {
            sender: intermediate.issue(&company),
            other_name: intermediate.issue(&other),
            stranger: Authority::root("Demo Root").issue(&company),
            root,
        };
        let server = holders.root.issue(&Leaf::named(SERVER_NAME).dns_names(&[SERVER_NAME]));
        for (name, text) in [
            ("server.pem", server.pem()),
            ("server.key", server.key_pem()),
            // The intermediates first, then the root.
            ("trusted.pem", intermediate.pem() + &holders.root.pem()),
            ("root.pem", holders.root.pem()),
            ("sender.pem", holders.sender.pem()),
            ("sender.key", holders.sender.key_pem()),
        ] {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
            fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        }
        Ok(holders)
    }

    /// A client that shows the certificate of `holder`.
    pub(crate) fn client(&self, holder: Holder) -> Result<Client> {
        let identity = match holder {
            Holder::Sender => Some(&self.sender),
            Holder::OtherName => Some(&self.other_name),
            Holder::Stranger => Some(&self.stranger),
            Holder::Nobody => None,
        };
        Client::new(&self.root, identity, Version::Tls13)
    }
}
