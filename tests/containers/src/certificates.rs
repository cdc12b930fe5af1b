//! The certificates of the harness, made anew for each volume: one authority that the proxies trust, and a stranger's.
use anyhow::{Context, Result};
use rcgen::DnType;
pub use secure_callbacks_harness::cases::Holder;
use secure_callbacks_harness::certificates::{Authority, Identity, Leaf};
use std::fs;
use std::os::unix::fs::PermissionsExt;
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
    let name = "callbacks.opentok.com";
    let company = Leaf::new(&[(DnType::OrganizationName, "TokBox"), (DnType::CommonName, name)]).dns_names(&[name]);
    let authority = Authority::root("Callback Authority");
    write(folder, "authority.pem", &authority.pem())?;
    let server = Leaf::named("proxies").dns_names(&["envoy", "nginx", "localhost"]);
    issue(folder, "server", &authority.issue(&server))?;
    issue(folder, "sender", &authority.issue(&company))?;
    let other = Leaf::named("callbacks.example").dns_names(&["callbacks.example"]);
    issue(folder, "other-name", &authority.issue(&other))?;
    // Of the same name, so that only the signature can tell.
    issue(folder, "stranger", &Authority::root("Callback Authority").issue(&company))?;
    write(folder, "complete", "")
}

fn issue(folder: &Path, file: &str, identity: &Identity) -> Result<()> {
    write(folder, &format!("{file}.pem"), &identity.pem())?;
    write(folder, &format!("{file}.key"), &identity.key_pem())
}

/// Keys are for the one user that all containers run as.
fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).context("a file's mode")
}
