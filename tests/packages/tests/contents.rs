//! What is in the packages: sums that fit, an image as Istio and Envoy Gateway read it, lists of what is inside.
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test-only code")]

use std::path::Path;
use std::process::Command;

use secure_callbacks_packages::{package, packages, run};
use secure_callbacks_proxies::{self as proxies, Package};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn json(content: &[u8]) -> Value {
    serde_json::from_slice(content).expect("JSON")
}

fn digest(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

fn wasm() -> Vec<u8> {
    std::fs::read(package("secure_callbacks-", ".wasm").expect("the filter")).expect("the filter")
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
fn the_image_holds_the_filter_where_istio_and_envoy_gateway_look() {
    let archive = package("secure_callbacks-", ".oci.tar").expect("the image");
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
    let layers = manifest["layers"].as_array().expect("layers");
    assert_eq!(layers.len(), 1);
    assert_eq!(layers[0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
    let directory = std::env::temp_dir().join(format!("secure-callbacks-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let layer = directory.join("layer.tar.gz");
    std::fs::write(&layer, blob(&layers[0])).expect("the layer");
    assert!(member(&layer, "plugin.wasm") == wasm(), "another filter than the file beside it");
    let config = json(&blob(&manifest["config"]));
    run(Command::new("gzip").args(["-d", "-f"]).arg(&layer)).expect("gzip");
    let tar = std::fs::read(directory.join("layer.tar")).expect("the layer");
    assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", digest(&tar)));
    std::fs::remove_dir_all(directory).expect("a directory");
}

#[test]
fn the_lists_name_what_is_linked_and_nothing_else() {
    let modules = proxies::all().iter().filter_map(|proxy| match proxy.package? {
        Package::Debian => Some("libnginx-mod".to_owned()),
        Package::NginxOrg => Some(format!("nginx-module-secure-callbacks_{}+", proxy.version)),
    });
    let modules = modules.map(|prefix| (prefix, "nginx-sys"));
    for (prefix, host) in [("secure_callbacks-".to_owned(), "proxy-wasm")].into_iter().chain(modules) {
        let list = json(&std::fs::read(package(&prefix, ".cdx.json").expect(&prefix)).expect(&prefix));
        assert_eq!(list["bomFormat"], "CycloneDX");
        let components = list["components"].as_array().expect("components");
        let named = |name: &str| components.iter().find(|component| component["name"] == name);
        for name in ["jsonwebtoken", "digest", "sha2", "serde_json", "secure-callbacks", "rust-std", host] {
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
    let list = json(&std::fs::read(package("secure_callbacks-", ".cdx.json").expect("a list")).expect("a list"));
    assert_eq!(list["metadata"]["component"]["hashes"][0]["content"], digest(&wasm()));
}
