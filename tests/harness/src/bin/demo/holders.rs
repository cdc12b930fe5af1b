//! Who holds which certificate in the demo's TLS half. All are made anew for each run, in `target/demo/tls/`.
use anyhow::Result;
use secure_callbacks_harness::cases::Holder;
use secure_callbacks_harness::certificates::{Authority, write};
use secure_callbacks_harness::people::{Cast, named};
use secure_callbacks_harness::send::tls::{Client, SERVER_NAME, Version};
use std::path::Path;

/// The certificates of one run.
pub(crate) struct Holders {
    root: Authority,
    cast: Cast,
}

impl Holders {
    /// Makes them, and writes what the proxies and `curl` need into `folder`.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let root = Authority::root("Demo Root");
        let intermediate = root.intermediate("Demo Intermediate");
        let cast = Cast::new(&intermediate, &Authority::root("Demo Root"));
        root.issue(&named(SERVER_NAME)).write(folder, "server")?;
        // The intermediates first, then the root.
        write(folder, "trusted.pem", &(intermediate.pem() + &root.pem()))?;
        write(folder, "root.pem", &root.pem())?;
        cast.sender.write(folder, "sender")?;
        Ok(Self { root, cast })
    }

    /// A client that shows the certificate of `holder`.
    pub(crate) fn client(&self, holder: Holder) -> Result<Client> {
        Client::new(&self.root, self.cast.identity(holder), Version::Tls13)
    }
}
