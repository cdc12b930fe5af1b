//! What is in the packages, for this machine or for the one that `SECURE_CALLBACKS_PACKAGES` names: sums that fit, images as
//! clusters read them, lists of what is inside, what the module for Envoy needs of the system, and modules that load.
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test-only code")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use secure_callbacks_harness::proxy::{Directory, check_nginx, nginx};
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_packages::{MODULE, package, packages, packed_for, run};
use secure_callbacks_proxies::{self as proxies, Artifact, Machine, Package, Proxy};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn json(content: &[u8]) -> Value {
    serde_json::from_slice(content).expect("JSON")
}

fn digest(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

/// What is packed as it is, for Envoy.
struct Plain {
    /// How the names begin.
    prefix: &'static str,
    /// How the file's ends.
    suffix: &'static str,
    /// What it runs on, where that matters.
    architecture: Option<&'static str>,
    /// Where in the image it is.
    path: &'static str,
    /// What is linked into this one alone.
    part: &'static str,
}

/// The filter runs on every machine, and is packed with this one's modules.
fn plain() -> Vec<Plain> {
    let filter = Plain {
        prefix: "secure_callbacks-",
        suffix: ".wasm",
        architecture: None,
        path: "plugin.wasm",
        part: "proxy-wasm",
    };
    let module = Plain {
        prefix: "libsecure_callbacks-",
        suffix: ".so",
        architecture: Some(architecture().0),
        path: "libsecure_callbacks.so",
        part: "ziglang",
    };
    if packed_for() == Machine::This { vec![filter, module] } else { vec![module] }
}

/// As Debian and images call it, and its number in a program's file.
fn architecture() -> (&'static str, u16) {
    match (packed_for(), std::env::consts::ARCH) {
        (Machine::This, "x86_64") => ("amd64", 62),
        (Machine::This, "aarch64") | (Machine::Aarch64, _) => ("arm64", 183),
        (Machine::This, other) => panic!("nobody has tried {other}"),
    }
}

/// How the names of the packages for an nginx begin: for nginx.org's of that version, and for a Debian's.
fn module_prefixes(proxy: &Proxy) -> Vec<String> {
    let for_nginx_org = proxy.package.map(|_| format!("nginx-module-secure-callbacks_{}+", proxy.version));
    let for_debian = match proxy.package {
        Some(Package::Debian(number)) => Some(format!("{MODULE}_{}-1~deb{number}", env!("CARGO_PKG_VERSION"))),
        Some(Package::NginxOrg) | None => None,
    };
    for_nginx_org.into_iter().chain(for_debian).collect()
}

/// The file that is packed under such a name.
fn content(prefix: &str, suffix: &str) -> Vec<u8> {
    std::fs::read(package(prefix, suffix).expect(prefix)).expect(prefix)
}

/// A file of a tar archive.
fn member(archive: &Path, name: &str) -> Vec<u8> {
    run(Command::new("tar").arg("-xOf").arg(archive).arg(name)).expect(name).stdout
}

#[test]
fn the_sums_are_those_of_every_file() {
    run(Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(packages()))
        .expect("the sums");
    let sums = std::fs::read_to_string(packages().join("SHA256SUMS")).expect("the sums");
    let files = std::fs::read_dir(packages()).expect("the packages").count();
    assert_eq!(sums.lines().count() + 1, files, "{sums}");
}

#[test]
fn what_envoy_takes_is_named_after_its_version_and_its_architecture() {
    for Plain { prefix, suffix, architecture, .. } in plain() {
        let architecture = architecture.map(|name| format!("-{name}")).unwrap_or_default();
        let name = format!("{prefix}{}{architecture}{suffix}", env!("CARGO_PKG_VERSION"));
        assert_eq!(package(prefix, suffix).expect(prefix).file_name().expect("a name"), name.as_str());
    }
}

#[test]
fn the_images_hold_one_file_where_clusters_look_for_it() {
    for Plain { prefix, suffix, architecture, path, .. } in plain() {
        let archive = package(prefix, ".oci.tar").expect("the image");
        let blob = |descriptor: &Value| {
            let name = descriptor["digest"].as_str().and_then(|text| text.strip_prefix("sha256:")).expect("a digest");
            let content = member(&archive, &format!("blobs/sha256/{name}"));
            assert_eq!(digest(&content), name);
            assert_eq!(Some(content.len() as u64), descriptor["size"].as_u64());
            content
        };
        assert_eq!(json(&member(&archive, "oci-layout"))["imageLayoutVersion"], "1.0.0");
        let index = json(&member(&archive, "index.json"));
        let manifest = json(&blob(&index["manifests"][0]));
        assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
        assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.image.config.v1+json");
        let layers = manifest["layers"].as_array().expect("layers");
        assert_eq!(layers.len(), 1);
        assert_eq!(layers[0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
        let directory = Directory::new("image").expect("a directory");
        let layer = directory.write("layer.tar.gz", blob(&layers[0])).expect("the layer");
        let listed = run(Command::new("tar").arg("-tf").arg(&layer)).expect("tar").stdout;
        assert_eq!(String::from_utf8_lossy(&listed).trim(), path);
        assert!(member(&layer, path) == content(prefix, suffix), "another file than the one beside it");
        let config = json(&blob(&manifest["config"]));
        assert_eq!(
            (&config["os"], &config["architecture"]),
            (&json!("linux"), &json!(architecture.unwrap_or("amd64")))
        );
        run(Command::new("gzip").args(["-d", "-f"]).arg(&layer)).expect("gzip");
        let tar = std::fs::read(directory.path().join("layer.tar")).expect("the layer");
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", digest(&tar)));
        std::fs::remove_dir_all(directory.path()).expect("a directory");
    }
}

#[test]
fn the_lists_name_what_is_linked_and_nothing_else() {
    let modules = proxies::on(packed_for()).iter().flat_map(module_prefixes).map(|prefix| (prefix, "nginx-sys"));
    let plain_parts = plain().into_iter().map(|plain| (plain.prefix.to_owned(), plain.part));
    // What asks the system for the processor's instructions, where the processor does not tell.
    let libc = (architecture().0 == "arm64").then_some("libc");
    for (prefix, host) in plain_parts.chain(modules) {
        let list = json(&std::fs::read(package(&prefix, ".cdx.json").expect(&prefix)).expect(&prefix));
        assert_eq!(list["bomFormat"], "CycloneDX");
        let components = list["components"].as_array().expect("components");
        let named = |name: &str| components.iter().find(|component| component["name"] == name);
        for name in ["jsonwebtoken", "digest", "sha2", "serde_json", "secure-callbacks", "rust-std", host]
            .into_iter()
            .chain(libc)
        {
            assert!(named(name).is_some(), "{prefix}: no {name}");
        }
        for name in ["proptest", "tokio", "bindgen", "serde_derive"] {
            assert!(named(name).is_none(), "{prefix}: {name}");
        }
        let sum = named("sha2").expect("sha2")["hashes"][0]["content"].as_str().expect("a checksum");
        assert_eq!(sum.len(), 64);
        let edges = list["dependencies"].as_array().expect("dependencies");
        assert!(edges.iter().any(|edge| edge["dependsOn"].as_array().is_some_and(|list| !list.is_empty())));
    }
    for Plain { prefix, suffix, .. } in plain() {
        let list = json(&content(prefix, ".cdx.json"));
        assert_eq!(list["metadata"]["component"]["hashes"][0]["content"], digest(&content(prefix, suffix)));
        assert_eq!(list["metadata"]["component"]["licenses"], json!([{ "expression": "Apache-2.0" }]));
        for component in list["components"].as_array().expect("components") {
            assert!(component["licenses"][0]["expression"].is_string(), "{prefix}: no licence: {component}");
        }
    }
}

/// What a program or a library needs of the system: the libraries by their names, and the newest interface of glibc.
fn needs(file: &Path) -> (BTreeSet<String>, Vec<u32>) {
    let read = run(Command::new("readelf").args(["--wide", "--dynamic", "--version-info"]).arg(file)).expect("readelf");
    let text = String::from_utf8_lossy(&read.stdout);
    let between = |line: &str, from: &str, to: char| Some(line.split_once(from)?.1.split(to).next()?.to_owned());
    let libraries = text.lines().filter(|line| line.contains("(NEEDED)")).filter_map(|line| between(line, "[", ']'));
    let versions = text.lines().filter_map(|line| between(line, "Name: GLIBC_", ' '));
    let newest = versions.map(|version| version.split('.').filter_map(|number| number.parse().ok()).collect()).max();
    (libraries.collect(), newest.expect("a version of glibc"))
}

/// Wherever such an Envoy runs, the module does: also in an image that has nothing but what Envoy needs.
#[test]
fn the_module_for_envoy_needs_nothing_that_envoy_does_not() {
    let (libraries, glibc) = needs(&package("libsecure_callbacks-", ".so").expect("the module"));
    let envoys = proxies::on(packed_for()).iter();
    let envoys: Vec<_> = envoys.filter(|proxy| proxy.takes(Artifact::EnvoyModule)).collect();
    assert!(!envoys.is_empty());
    for envoy in envoys {
        let (envoys_libraries, envoys_glibc) = needs(&envoy.binary(&tools::target()).expect("an Envoy"));
        assert!(libraries.is_subset(&envoys_libraries), "{envoy}: {libraries:?}, and its own {envoys_libraries:?}");
        assert!(glibc <= envoys_glibc, "{envoy}: glibc {glibc:?}, and its own {envoys_glibc:?}");
    }
}

/// The number of the architecture that a program or a library is for.
fn architecture_of(file: &[u8]) -> u16 {
    assert_eq!(&file[..4], b"\x7fELF");
    u16::from_le_bytes([file[18], file[19]])
}

#[test]
fn modules_are_for_the_architecture_that_their_packages_name_and_load_there() {
    let (name, number) = architecture();
    assert_eq!(architecture_of(&content("libsecure_callbacks-", ".so")), number);
    let mut loaded = 0;
    let of = |kind: ProxyKind| module_prefixes(kind.proxy()).into_iter().map(move |prefix| (kind, prefix));
    for (kind, prefix) in ProxyKind::packed(packed_for()).flat_map(of) {
        let deb = package(&prefix, &format!("_{name}.deb")).expect("the package");
        let field = run(Command::new("dpkg-deb").arg("--field").arg(&deb).arg("Architecture")).expect("dpkg-deb");
        assert_eq!(String::from_utf8_lossy(&field.stdout).trim(), name);
        let directory = Directory::new(kind.name()).expect("a directory");
        let unpacked = directory.path().join("package");
        run(Command::new("dpkg-deb").arg("--extract").args([&deb, &unpacked])).expect("dpkg-deb");
        let module = unpacked.join("usr/lib/nginx/modules/ngx_http_secure_callbacks_module.so");
        assert_eq!(architecture_of(&std::fs::read(&module).expect("the module")), number);
        let config = nginx::config(Some(&module), &[], "    server { listen unix:socket; }");
        let said = check_nginx(kind, &directory, &config, &Vec::new()).expect("nginx");
        assert!(said.success, "{}: {}", kind.name(), said.output);
        std::fs::remove_dir_all(directory.path()).expect("the directory");
        loaded += 1;
    }
    assert!(loaded > 0);
}
