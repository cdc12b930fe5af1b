//! The documents name the versions that `proxies.toml` has, and images are made from the Debian that it names.
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test-only code")]

use std::fs;
use std::path::Path;

use secure_callbacks_proxies::{self as proxies, Artifact, Package, Product, Proxy, Source};

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
        let rows = guide.lines().filter(|line| line.starts_with("| `") && line.contains(&proxy.version));
        let due = if let Some(Package::Debian(_)) = proxy.package { 2 } else { 1 };
        assert_eq!(rows.filter(|row| row.contains(".deb`")).count(), due, "packages for {proxy} in docs/install.md");
    }
}

/// What docs/releases.md says of each proxy.
fn table() -> String {
    let row = |proxy: &Proxy| {
        let name = match &proxy.source {
            Source::Debian { debian } => format!("{proxy} (Debian {debian}'s, lately)"),
            Source::System { system } => format!("{proxy} (Debian {system}'s)"),
            Source::Crate { .. } | Source::Pypi { .. } | Source::Own { .. } => proxy.to_string(),
        };
        let runs = proxy.artifacts.iter().map(|artifact| match artifact {
            Artifact::Filter => "filter",
            Artifact::EnvoyModule | Artifact::NginxModule => "module",
        });
        let mut suites: Vec<_> = proxy
            .further_suites(false)
            .map(|(suite, part)| format!("{}`{suite}`", part.map_or("", |_| "part of ")))
            .collect();
        suites.dedup();
        let tested = if proxy.suites.is_none() { "every suite".into() } else { suites.join(", ") };
        let packed = match (proxy.package, proxy.product) {
            (Some(Package::Debian(_)), _) => "packages for Debian's and for nginx.org's",
            (Some(Package::NginxOrg), _) => "a package for nginx.org's",
            (None, Product::Envoy) => "file, image",
            (None, Product::Nginx) => "not packed",
        };
        format!("| {name} | {} | {tested} | {packed} | {} |\n", runs.collect::<Vec<_>>().join(", "), proxy.since)
    };
    let head = "| proxy | what runs in it | tested by | released as | since |\n| --- | --- | --- | --- | --- |\n";
    proxies::all().iter().fold(head.to_owned(), |table, proxy| table + &row(proxy))
}

#[test]
fn the_page_about_releases_has_the_table_of_proxies() {
    let page = read("docs/releases.md");
    let (_, rest) = page.split_once("<!-- from proxies.toml -->\n").expect("the beginning of the table");
    let (found, _) = rest.split_once("<!-- end -->").expect("the end of the table");
    assert!(found == table(), "docs/releases.md: the table of proxies has to be\n\n{}", table());
}

#[test]
fn a_proxy_came_with_a_release_or_comes_with_the_next_one() {
    let changes = read("CHANGELOG.md");
    for proxy in proxies::all() {
        let is_next = proxy.since == env!("CARGO_PKG_VERSION");
        let is_released = changes.contains(&format!("\n## {} - ", proxy.since));
        assert!(is_next || is_released, "proxies.toml: {proxy} came with {}, which CHANGELOG.md has not", proxy.since);
    }
}

#[test]
fn the_example_calls_with_the_script_of_the_guide_to_installing() {
    let guide = read("docs/install.md");
    let script = guide.split("\n```sh send-callback.sh\n").nth(1).and_then(|rest| rest.split("\n```").next());
    assert_eq!(script.expect("the script"), read("packaging/docker/send-callback.sh").trim_end());
}

#[test]
fn images_are_made_from_the_debian_of_the_system_s_nginx() {
    let debian = proxies::debian().expect("a Debian");
    let begins = format!("debian:{debian}-slim");
    for image in ["app", "envoy", "nginx", "sender"] {
        let text = read(&format!("tests/docker/{image}/Dockerfile"));
        assert!(text.lines().any(|line| line == format!("FROM {begins}")), "{image}'s Dockerfile is not FROM {begins}");
    }
    let text = read("packaging/docker/Dockerfile");
    let bases: Vec<_> = text.lines().filter(|line| line.starts_with("FROM ")).collect();
    assert!(!bases.is_empty() && bases.iter().all(|line| line.starts_with(&format!("FROM {begins} AS "))), "{bases:?}");
    let Some(Package::Debian(number)) = proxies::system_nginx().expect("an nginx").package else {
        panic!("no package")
    };
    assert!(text.contains(&format!("~deb{number}_*.deb")), "packaging/docker/Dockerfile installs another package");
    let script = read("tests/docker/base-image");
    assert!(script.contains(&format!("image={begins}\n")), "tests/docker/base-image makes another image");
}
