//! The documents name the versions that `proxies.toml` has, and images are made from the Debian that it names.
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test-only code")]

use std::fs;
use std::path::Path;

use secure_callbacks_proxies::{self as proxies, Product, Proxy};

fn read(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the root");
    fs::read_to_string(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Words of three numbers with dots between them, such as `1.22.1`.
fn versions(text: &str) -> Vec<&str> {
    let words = text.split(|character: char| !character.is_ascii_digit() && character != '.');
    let words = words.map(|word| word.trim_matches('.'));
    words.filter(|word| word.split('.').filter(|number| number.parse::<u32>().is_ok()).count() == 3).collect()
}

fn of(product: Product) -> Vec<&'static str> {
    proxies::all().iter().filter(|proxy| proxy.product == product).map(|proxy| proxy.version.as_str()).collect()
}

#[test]
fn the_readme_has_a_row_of_all_versions_for_each_proxy() {
    let readme = read("README.md");
    for (begins, product) in [("| Envoy |", Product::Envoy), ("| Nginx |", Product::Nginx)] {
        let row = readme.lines().find(|line| line.starts_with(begins)).expect(begins);
        assert_eq!(versions(row), of(product), "README.md: {row}");
    }
}

#[test]
fn the_guide_to_installing_says_what_is_tested_and_what_is_packed() {
    let guide = read("docs/install.md");
    for Proxy { version, .. } in proxies::all() {
        assert!(versions(&guide).contains(&version.as_str()), "docs/install.md does not name {version}");
    }
    let known = [of(Product::Envoy), of(Product::Nginx), vec![env!("CARGO_PKG_VERSION")]].concat();
    // What was tried by hand is no version that is tested.
    let tested: Vec<_> = guide.lines().filter(|line| !line.contains("by hand, ")).flat_map(versions).collect();
    for version in tested {
        assert!(known.contains(&version), "docs/install.md names {version}, which proxies.toml has not");
    }
    for proxy in proxies::all().iter().filter(|proxy| proxy.package.is_some()) {
        let row = guide.lines().find(|line| line.starts_with("| `") && line.contains(&proxy.version));
        assert!(row.is_some_and(|row| row.contains(".deb`")), "docs/install.md has no package for {proxy}");
    }
}

#[test]
fn images_are_made_from_the_debian_of_the_system_s_nginx() {
    let debian = proxies::debian().expect("a Debian");
    let begins = format!("debian:{debian}-slim");
    for image in ["app", "envoy", "nginx", "sender"] {
        let text = read(&format!("tests/docker/{image}/Dockerfile"));
        assert!(text.lines().any(|line| line == format!("FROM {begins}")), "{image}'s Dockerfile is not FROM {begins}");
    }
    let script = read("tests/docker/base-image");
    assert!(script.contains(&format!("image={begins}\n")), "tests/docker/base-image makes another image");
}
