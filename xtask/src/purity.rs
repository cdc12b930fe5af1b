//! The core has no clock, no files, no environment, no network, no host and no `unsafe`. The compiler holds that, and
//! clippy where a crate that the core needs would lead to a clock (`clippy.toml` names the ways); this check holds what a
//! changed line could take away from both.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::cross;
use crate::setup::WASM_TARGET;
use crate::sh::{self, Cmd, Result};

/// What the core promises, each a line of `src/lib.rs`. None can be taken back further in: `forbid` refuses an `allow`.
const PROMISES: [&str; 3] =
    ["#![no_std]", "#![forbid(unsafe_code)]", "#![forbid(clippy::disallowed_methods, clippy::disallowed_types)]"];

/// What would take the first promise back.
const STANDARD_LIBRARY: &str = "extern crate std";

/// The machine of the native check. Named, so that the answer is the same on every machine.
const NATIVE_TARGET: &str = "x86_64-unknown-linux-gnu";

/// Every crate that the core may be made of. A new one is a decision: read what it does to the outside, then add it.
const ALLOWED: &str = "
    secure-callbacks
    base64 hex memchr
    jsonwebtoken signature
    ipnet
    sha2 digest block-buffer crypto-common hybrid-array typenum cfg-if cpufeatures cmov ctutils
    serde serde_core serde_json itoa zmij
    zeroize
";

/// What only runs in the compiler, for the derives among the above.
const ALLOWED_IN_COMPILER: &str = "serde_derive zeroize_derive proc-macro2 quote syn unicode-ident";

/// What `jsonwebtoken` brings along on every wasm target, for its clock and its random numbers. `clippy.toml` keeps both
/// out of reach, so that none of it ends up in the filter.
const ALLOWED_IN_WASM: &str = "
    getrandom wasi js-sys once_cell wasm-bindgen wasm-bindgen-macro wasm-bindgen-macro-support wasm-bindgen-shared
    bumpalo rustversion futures-core futures-task futures-util pin-project-lite slab
";

/// What asks Linux whether an aarch64 has instructions for SHA-256: the processor itself does not tell programs.
const ALLOWED_ON_AARCH64: &str = "libc";

/// Runs every rule; the error lists all that was found.
pub(crate) fn check() -> Result<()> {
    let core = sh::root().join("src");
    let lib = core.join("lib.rs");
    let text = fs::read_to_string(&lib).map_err(|error| format!("cannot read {}: {error}", sh::short(&lib)))?;
    let mut problems = promises(&text);
    let files = read(&core, &mut problems)?;
    for target in [NATIVE_TARGET, cross::TARGET, WASM_TARGET] {
        let arguments = ["tree", "--quiet", "-p", "secure-callbacks", "-e", "normal", "--prefix", "none"];
        let tree = Cmd::cargo(arguments).args(["--format", "{p}", "--target", target]).output()?;
        problems.extend(dependencies(&tree, target));
    }
    // The step for all packages sees the same; this one is to stand by itself.
    let clippy =
        Cmd::cargo(["clippy", "--quiet", "-p", "secure-callbacks", "--all-targets"]).args(["--", "-D", "warnings"]);
    problems.extend(clippy.shown().err());
    if problems.is_empty() {
        println!("{files} files of the core and its dependencies on three targets: pure");
        return Ok(());
    }
    Err(format!("the core is not pure:\n  {}", problems.join("\n  ")))
}

/// Promises that are not there. The formatter writes each on a line of its own, and a comment is another line.
fn promises(lib: &str) -> Vec<String> {
    let missing = PROMISES.iter().filter(|promise| !lib.lines().any(|line| line == **promise));
    missing.map(|promise| format!("src/lib.rs: no `{promise}`")).collect()
}

/// Reads the files in a directory; returns how many there are.
fn read(directory: &Path, problems: &mut Vec<String>) -> Result<usize> {
    let problem = |path: &Path, error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let mut files = 0;
    for entry in fs::read_dir(directory).map_err(|error| problem(directory, error))? {
        let path = entry.map_err(|error| problem(directory, error))?.path();
        if path.is_dir() {
            files += read(&path, problems)?;
        } else {
            let text = fs::read_to_string(&path).map_err(|error| problem(&path, error))?;
            problems.extend(names_std(&text).then(|| format!("{}: `{STANDARD_LIBRARY}`", sh::short(&path))));
            files += 1;
        }
    }
    Ok(files)
}

/// Whatever stands between the words, and in tests too: they do without.
fn names_std(source: &str) -> bool {
    source.split_whitespace().collect::<Vec<_>>().join(" ").contains(STANDARD_LIBRARY)
}

/// Crates in the output of `cargo tree` that nobody allowed.
fn dependencies(tree: &str, target: &str) -> Vec<String> {
    let mut allowed: BTreeSet<_> = ALLOWED.split_whitespace().chain(ALLOWED_IN_COMPILER.split_whitespace()).collect();
    if target.starts_with("wasm") {
        allowed.extend(ALLOWED_IN_WASM.split_whitespace());
    }
    if target == cross::TARGET {
        allowed.extend(ALLOWED_ON_AARCH64.split_whitespace());
    }
    let found: BTreeSet<_> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    if !found.contains("secure-callbacks") {
        return vec![format!("`cargo tree` for {target} does not name the core")];
    }
    let new = found.difference(&allowed);
    new.map(|name| format!("on {target} it depends on `{name}`, which xtask/src/purity.rs does not allow")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_promise_is_missed() {
        let good = PROMISES.join("\n");
        assert_eq!(promises(&good), Vec::<String>::new());
        for promise in PROMISES {
            for instead in [
                String::new(),
                format!("// {promise}"),
                promise.replace("forbid", "deny").replace("no_std", "cfg_attr(not(feature = \"std\"), no_std)"),
                promise.replace("#![", "#![cfg_attr(test, ").replace(")]", "))]").replace("std]", "std)]"),
            ] {
                let problems = promises(&good.replace(promise, &instead));
                assert!(
                    matches!(problems.as_slice(), [problem] if problem.contains(promise)),
                    "{instead}: {problems:?}"
                );
            }
        }
    }

    #[test]
    fn the_standard_library_is_found_under_any_name() {
        for source in [
            "extern crate std;",
            "#[cfg(feature = \"x\")]\nextern crate std as y;",
            "macro_rules! m { () => { extern  crate\n std; } }",
            "#[cfg(test)] extern crate std;",
        ] {
            assert!(names_std(source), "{source}");
        }
        assert!(!names_std("extern crate alloc; use core::time; // no std"));
    }

    #[test]
    fn a_dependency_nobody_allowed_is_found() {
        let tree =
            "secure-callbacks v0.1.0 (/here)\nserde v1.0.0\nserde_derive v1.0.0 (proc-macro)\nserde v1.0.0 (*)\n";
        assert_eq!(dependencies(tree, NATIVE_TARGET), Vec::<String>::new());
        for name in ["ngx", "nginx-sys", "proxy-wasm", "libc", "tokio", "getrandom"] {
            let problems = dependencies(&format!("{tree}{name} v1.0.0\n"), NATIVE_TARGET);
            assert!(matches!(problems.as_slice(), [problem] if problem.contains(name)), "{name}: {problems:?}");
        }
        assert_eq!(dependencies(&format!("{tree}getrandom v0.2.0\n"), WASM_TARGET), Vec::<String>::new());
        assert_eq!(dependencies(&format!("{tree}libc v0.2.0\n"), cross::TARGET), Vec::<String>::new());
        assert!(!dependencies("", NATIVE_TARGET).is_empty(), "an empty answer proves nothing");
    }
}
