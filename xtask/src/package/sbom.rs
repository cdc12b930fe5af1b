//! What is inside an artifact: the crates that are linked into it, as CycloneDX 1.6 lists them.

use std::collections::{BTreeMap, BTreeSet};

use secure_callbacks_proxies::Machine;
use serde_json::{Value, json};

use super::release::Release;
use super::tree;
use crate::build::Build;
use crate::cross;
use crate::setup::WASM_TARGET;
use crate::sh::{self, Cmd, Result};
use crate::zig;

/// A crate: name and version.
type Crate = (String, String);

/// The crates by name and version, each with its licence and with the crates it depends on.
type Crates = BTreeMap<Crate, (String, BTreeSet<Crate>)>;

/// The list for what `build` made, these very bytes.
pub(super) fn list(build: Build, release: &Release, artifact: &[u8]) -> Result<Vec<u8>> {
    let (crates, root) = crates(build)?;
    let checksums = checksums()?;
    let rustc = Cmd::new("rustc").arg("--version").output()?;
    let compiler = rustc.split_whitespace().nth(1).unwrap_or_default();
    let mut components = vec![json!({
        "bom-ref": "rust-std", "name": "rust-std", "type": "library", "version": compiler,
        "description": "Rust's standard library", "licenses": [{ "expression": "MIT OR Apache-2.0" }],
    })];
    if matches!(build, Build::EnvoyModule(_)) {
        components.push(zig::component());
    }
    for (crate_, (licence, _)) in &crates {
        if *crate_ != root {
            components.push(component(crate_, licence, checksums.get(crate_)));
        }
    }
    let dependencies = crates.iter().map(|(crate_, (_, needed))| {
        let needed = needed.iter().map(reference).collect::<Vec<_>>();
        json!({ "ref": reference(crate_), "dependsOn": needed })
    });
    let list = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": { "timestamp": release.timestamp()?, "component": {
            "bom-ref": reference(&root), "name": root.0, "type": "library", "version": release.version,
            "licenses": [{ "expression": "Apache-2.0" }],
            "hashes": [{ "alg": "SHA-256", "content": tree::digest(artifact) }],
        } },
        "components": components,
        "dependencies": dependencies.collect::<Vec<_>>(),
    });
    serde_json::to_vec_pretty(&list).map_err(|error| error.to_string())
}

/// What cargo links: neither what builds nor what expands macros. The features are those of this package alone.
/// `cargo metadata` knows those of the whole workspace only: by it the filter has one crate more than is linked, and the
/// Nginx module two (`getrandom`, `rand_core`); nor does it know the lock file's checksums.
fn crates(build: Build) -> Result<(Crates, Crate)> {
    let target: &[_] = match (build, build.machine()) {
        (Build::Filter, _) => &["--target", WASM_TARGET],
        (_, Machine::This) => &[],
        (_, Machine::Aarch64) => &["--target", cross::TARGET],
    };
    let tree = Cmd::cargo(["tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "depth"])
        .args(["--no-dedupe", "--format", " {p}|{l}", "--package", build.krate()])
        .args(target);
    parse(&tree.output()?).ok_or_else(|| "`cargo tree` prints what can't be read".into())
}

/// Reads lines such as `2 hex v0.4.3|MIT`: the depth, the name, the version (a path may follow), the licence.
fn parse(text: &str) -> Option<(Crates, Crate)> {
    let mut crates = Crates::new();
    let mut above: Vec<Crate> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (depth, rest) = line.split_once(' ')?;
        let (package, licence) = rest.split_once('|')?;
        let mut words = package.split(' ');
        let crate_ = (words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned());
        above.truncate(depth.parse().ok()?);
        if let Some(parent) = above.last() {
            crates.get_mut(parent)?.1.insert(crate_.clone());
        }
        crates.entry(crate_.clone()).or_insert_with(|| (licence.replace('/', " OR "), BTreeSet::new()));
        above.push(crate_);
    }
    let root = above.into_iter().next()?;
    Some((crates, root))
}

fn component(crate_: &Crate, licence: &str, checksum: Option<&String>) -> Value {
    let (name, version) = crate_;
    let mut fields = json!({
        "bom-ref": reference(crate_), "name": name, "type": "library", "version": version,
        "licenses": [{ "expression": licence }],
    });
    // What comes from no registry is a part of this project.
    if let (Some(fields), Some(checksum)) = (fields.as_object_mut(), checksum) {
        fields.insert("purl".into(), json!(format!("pkg:cargo/{name}@{version}")));
        fields.insert("hashes".into(), json!([{ "alg": "SHA-256", "content": checksum }]));
    }
    fields
}

fn reference((name, version): &Crate) -> String {
    format!("{name}@{version}")
}

/// The checksums in `Cargo.lock`, where an entry is `name`, `version`, `source` and `checksum` on a line each.
fn checksums() -> Result<BTreeMap<Crate, String>> {
    let lock = tree::read_text(&sh::root().join("Cargo.lock"))?;
    let entries = lock.split("[[package]]").filter_map(|entry| {
        let value =
            |key: &str| entry.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"'));
        Some(((value("name")?.to_owned(), value("version")?.to_owned()), value("checksum")?.to_owned()))
    });
    Ok(entries.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_read_with_its_edges() {
        let text = "0 a v1.0.0 (/somewhere)|MIT\n1 b v2.0.0|MIT/Apache-2.0\n2 c v3.0.0|Zlib\n1 c v3.0.0|Zlib\n";
        let (crates, root) = parse(text).unwrap();
        let crate_ = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        assert_eq!(root, crate_("a", "1.0.0"));
        assert_eq!(crates[&root].1, BTreeSet::from([crate_("b", "2.0.0"), crate_("c", "3.0.0")]));
        assert_eq!(crates[&crate_("b", "2.0.0")], ("MIT OR Apache-2.0".into(), BTreeSet::from([crate_("c", "3.0.0")])));
        assert_eq!(parse("a v1"), None);
    }
}
