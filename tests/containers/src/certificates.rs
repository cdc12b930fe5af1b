//! The certificates of the harness, made anew for each volume: one authority that the proxies trust, and a stranger's.
use anyhow::Result;
pub use secure_callbacks_harness::cases::Holder;
use secure_callbacks_harness::certificates::{Authority, Leaf, write};
use secure_callbacks_harness::people::Cast;
use std::path::Path;

/// The name of a holder's files without `.pem` and `.key`.
#[must_use]
pub fn file(holder: Holder) -> Option<&'static str> {
    match holder {
        Holder::Sender => Some("sender"),
        Holder::OtherName => Some("other-name"),
        Holder::Stranger => Some("stranger"),
        Holder::Nobody => None,
    }
}

/// Makes all files in `folder`, unless they are there already.
pub fn make(folder: &Path) -> Result<()> {
    // Written last: a volume that has it has all.
    if folder.join("complete").exists() {
        return Ok(());
    }
    let authority = Authority::root("Callback Authority");
    write(folder, "authority.pem", &authority.pem())?;
    authority
        .issue(&Leaf::named("proxies").dns_names(&["envoy", "envoy-module", "nginx", "localhost"]))
        .write(folder, "server")?;
    // The stranger's is of the same name, so that only the signature can tell.
    let cast = Cast::new(&authority, &Authority::root("Callback Authority"));
    for holder in [Holder::Sender, Holder::OtherName, Holder::Stranger] {
        if let (Some(identity), Some(name)) = (cast.identity(holder), file(holder)) {
            identity.write(folder, name)?;
        }
    }
    write(folder, "complete", "")
}
