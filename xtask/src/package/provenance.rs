//! Where a release comes from: an in-toto Statement v1 with SLSA's provenance v1, unsigned. `docs/releases.md` describes it.
//! It tells nothing about the machine and no time, so that whoever builds the same gets the same bytes.

use std::path::Path;

use secure_callbacks_proxies::{Machine, Proxy, Source as Origin};
use serde_json::{Value, json};

use super::release::Release;
use super::source::Source;
use super::{builds, deb, tree};
use crate::build::Build;
use crate::cross::architecture;
use crate::nginx::Nginx;
use crate::sh::{self, Cmd, Result};
use crate::zig;

/// Names, and no addresses: the specification wants them to be URIs.
const BUILD_TYPE: &str = "https://secure-callbacks.invalid/cargo-xtask-release/v1";
const BUILDER: &str = "https://secure-callbacks.invalid/cargo-xtask-release";

/// Writes it about every file that is in `out`.
pub(super) fn write(release: &Release, source: &Source, out: &Path) -> Result<()> {
    let mut subjects = Vec::new();
    for name in tree::names(out)? {
        let sum = tree::digest(&tree::read(&out.join(&name))?);
        subjects.push(json!({ "name": name, "digest": { "sha256": sum } }));
    }
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "command": "cargo xtask release",
                    "version": release.version,
                    "SOURCE_DATE_EPOCH": release.epoch,
                },
                "internalParameters": { "debian": deb::codename()?, "architecture": architecture(Machine::This) },
                "resolvedDependencies": dependencies(source)?,
            },
            "runDetails": { "builder": { "id": BUILDER } },
        },
    });
    let statement = serde_json::to_vec_pretty(&statement).map_err(|error| error.to_string())?;
    tree::write(&out.join(format!("secure-callbacks-{}.provenance.json", release.version)), &statement)
}

fn dependencies(source: &Source) -> Result<Vec<Value>> {
    let lock = tree::digest(&tree::read(&sh::root().join("Cargo.lock"))?);
    let mut dependencies =
        vec![source.dependency(), json!({ "name": "Cargo.lock", "digest": { "sha256": lock } }), rust()?];
    dependencies.extend(zig::purls().map(|purl| json!({ "uri": purl })));
    for build in builds(Machine::This) {
        if let Build::NginxModule(proxy) = build {
            dependencies.push(headers(proxy)?);
        }
    }
    Ok(dependencies)
}

/// The toolchain.
fn rust() -> Result<Value> {
    let said = Cmd::new("rustc").args(["--version", "--verbose"]).output()?;
    let field = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let (Some(version), Some(commit)) = (field("release"), field("commit-hash").filter(|hash| *hash != "unknown"))
    else {
        return Err(format!(
            "rustc does not say which commit it is of; use the one that rustup gets. It says:\n{said}"
        ));
    };
    Ok(json!({
        "name": "rust",
        "uri": format!("git+https://github.com/rust-lang/rust@refs/tags/{version}"),
        "digest": { "gitCommit": commit },
    }))
}

/// The nginx whose headers a module was built with.
fn headers(proxy: &Proxy) -> Result<Value> {
    let nginx = Nginx::of(proxy)?.version;
    let name = format!("nginx {nginx}");
    Ok(match &proxy.source {
        Origin::Crate { nginx_src, sha256 } => {
            json!({ "name": name, "uri": format!("pkg:cargo/nginx-src@{nginx_src}"), "digest": { "sha256": sha256 } })
        }
        Origin::System { .. } => {
            let version = Cmd::new("dpkg-query").args(["--show", "--showformat=${Version}", "nginx-dev"]).output()?;
            // In a package URL a plus has to be escaped.
            json!({ "name": name, "uri": format!("pkg:deb/debian/nginx-dev@{}", version.replace('+', "%2B")) })
        }
        _ => json!({ "name": name, "uri": format!("pkg:generic/nginx@{nginx}") }),
    })
}
