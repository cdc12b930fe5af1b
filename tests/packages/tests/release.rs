//! What a release has beside the packages: the source, and the provenance, whose form is in-toto's and SLSA's and whose every
//! sum is right. `cargo xtask test` packs as a rehearsal of a release.
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test-only code")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use secure_callbacks_packages::{blocks, package, packages, run};
use secure_callbacks_proxies as proxies;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const PAGE: &str = include_str!("../../../docs/releases.md");
const TOOLCHAIN: &str = include_str!("../../../rust-toolchain.toml");
const SUMS: &str = "SHA256SUMS";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the root")
}

fn git(arguments: &[&str]) -> String {
    let said = run(Command::new("git").args(arguments).current_dir(root())).expect("git").stdout;
    String::from_utf8(said).expect("text").trim().to_owned()
}

fn text() -> String {
    let file = package("secure-callbacks-", ".provenance.json").expect("the provenance");
    fs::read_to_string(file).expect("the provenance")
}

fn statement() -> Value {
    serde_json::from_str(&text()).expect("JSON")
}

fn dependencies() -> Vec<Value> {
    let list = statement()["predicate"]["buildDefinition"]["resolvedDependencies"].take();
    list.as_array().expect("a list").clone()
}

fn named(name: &str) -> Value {
    let found: Vec<_> = dependencies().into_iter().filter(|dependency| dependency["name"] == name).collect();
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    found[0].clone()
}

fn sum(file: &Path) -> String {
    hex::encode(Sha256::digest(fs::read(file).expect("a file")))
}

/// The object has all that it must have, and nothing that is not of its form.
fn has_fields(object: &Value, required: &[&str], optional: &[&str]) {
    let fields: BTreeSet<_> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    let required: BTreeSet<_> = required.iter().copied().collect();
    let known: BTreeSet<_> = required.iter().chain(optional).copied().collect();
    assert!(required.is_subset(&fields) && fields.is_subset(&known), "{fields:?} of {known:?}");
}

/// in-toto's ResourceDescriptor: one of three fields says what it is.
fn is_resource(resource: &Value) {
    let optional = ["name", "uri", "digest", "content", "downloadLocation", "mediaType", "annotations"];
    has_fields(resource, &[], &optional);
    assert!(["uri", "digest", "content"].iter().any(|field| resource.get(field).is_some()), "{resource}");
    for (algorithm, digest) in resource["digest"].as_object().into_iter().flatten() {
        let length = match algorithm.as_str() {
            "sha256" => 64,
            "gitCommit" => 40,
            other => panic!("{other}: {resource}"),
        };
        let digest = digest.as_str().expect("text");
        assert!(digest.len() == length && digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{resource}");
    }
}

#[test]
fn the_provenance_is_a_statement_of_in_toto_s_with_slsa_s_fields() {
    let statement = statement();
    has_fields(&statement, &["_type", "subject", "predicateType", "predicate"], &[]);
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    let predicate = &statement["predicate"];
    has_fields(predicate, &["buildDefinition", "runDetails"], &[]);
    let build = &predicate["buildDefinition"];
    has_fields(build, &["buildType", "externalParameters"], &["internalParameters", "resolvedDependencies"]);
    // Neither an invocation nor a time: those would be others with each run.
    has_fields(&predicate["runDetails"], &["builder"], &[]);
    has_fields(&predicate["runDetails"]["builder"], &["id"], &["version", "builderDependencies"]);
    dependencies().iter().for_each(is_resource);
    assert_eq!(build["externalParameters"]["version"], env!("CARGO_PKG_VERSION"));
    for described in [&build["buildType"], &predicate["runDetails"]["builder"]["id"]] {
        let described = described.as_str().expect("text");
        assert!(PAGE.contains(&format!("`{described}`")), "docs/releases.md does not describe {described}");
    }
}

#[test]
fn every_file_of_the_release_is_a_subject_with_its_sum() {
    let provenance = package("secure-callbacks-", ".provenance.json").expect("the provenance");
    let mut files: Vec<_> = fs::read_dir(packages()).expect("the packages").flatten().map(|file| file.path()).collect();
    files.retain(|file| *file != provenance && file.file_name().is_some_and(|name| name != SUMS));
    files.sort();
    let subject = |file: &Path| {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        json!({ "name": name, "digest": { "sha256": sum(file) } })
    };
    assert!(files.len() > 10, "{files:?}");
    assert_eq!(statement()["subject"], files.iter().map(|file| subject(file)).collect::<Value>());
}

#[test]
fn the_provenance_names_what_it_was_built_from() {
    let source = named("secure-callbacks");
    let told = "packed from another commit? `cargo xtask release --dry-run` packs anew";
    assert_eq!(source["digest"], json!({ "gitCommit": git(&["rev-parse", "HEAD"]) }), "{told}");
    let is_changed = !git(&["status", "--porcelain"]).is_empty();
    assert_eq!(source["annotations"]["changedAfterwards"] == true, is_changed, "{source}");
    assert_eq!(named("Cargo.lock")["digest"], json!({ "sha256": sum(&root().join("Cargo.lock")) }));
    let channel = TOOLCHAIN.lines().find_map(|line| line.strip_prefix("channel = \"")?.strip_suffix('"'));
    let tag = format!("@refs/tags/{}", channel.expect("a channel"));
    assert!(named("rust")["uri"].as_str().is_some_and(|uri| uri.ends_with(&tag)), "{tag}");
    let packed: Vec<_> = proxies::all().iter().filter(|proxy| proxy.package.is_some()).collect();
    for proxy in &packed {
        assert!(named(&proxy.to_string())["uri"].as_str().is_some_and(|uri| uri.starts_with("pkg:")), "{proxy}");
    }
    // And what links Envoy's module.
    let uris: Vec<_> = dependencies().iter().map(|dependency| dependency["uri"].to_string()).collect();
    assert_eq!(uris.iter().filter(|uri| uri.contains("pkg:pypi/")).count(), 2, "{uris:?}");
    assert_eq!(uris.len(), packed.len() + 5, "{uris:?}");
}

#[test]
fn the_provenance_tells_nothing_of_the_machine() {
    let text = text();
    let home = std::env::var("HOME").unwrap_or_default();
    for path in [root().to_str().expect("text"), &home, "\"/"] {
        assert!(path.is_empty() || !text.contains(path), "{path}: {text}");
    }
    let hosts: BTreeSet<_> = text.split("://").skip(1).filter_map(|rest| rest.split(['/', '"']).next()).collect();
    assert_eq!(hosts, BTreeSet::from(["github.com", "in-toto.io", "secure-callbacks.invalid", "slsa.dev"]));
}

#[test]
fn the_source_is_every_file_of_the_commit() {
    let archive = package("secure-callbacks-", ".tar.gz").expect("the source");
    let prefix = format!("secure-callbacks-{}/", env!("CARGO_PKG_VERSION"));
    let listed = run(Command::new("tar").arg("-tzf").arg(archive)).expect("tar").stdout;
    let listed = String::from_utf8(listed).expect("text");
    let files: BTreeSet<_> = listed.lines().filter(|name| !name.ends_with('/')).collect();
    let committed = git(&["ls-tree", "-r", "--name-only", "HEAD"]);
    let committed: Vec<_> = committed.lines().map(|name| format!("{prefix}{name}")).collect();
    assert_eq!(files, committed.iter().map(String::as_str).collect());
}

#[test]
fn who_gets_a_release_checks_it_as_the_page_says() {
    let [check] = blocks(PAGE, "sh release")[..] else { panic!("not one block") };
    let said = run(Command::new("sh").args(["-euc", check]).current_dir(packages())).expect(check).stdout;
    let said = String::from_utf8(said).expect("text");
    let checked = said.lines().filter(|line| line.ends_with(": OK")).count();
    let subjects = statement()["subject"].as_array().expect("subjects").len();
    // By the sums every file but the sums, by the provenance every one but these two.
    assert_eq!(checked, subjects + 1 + subjects, "{said}");
    assert!(said.contains(&git(&["rev-parse", "HEAD"])), "{said}");
}
