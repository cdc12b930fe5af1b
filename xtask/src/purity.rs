//! The core has no clock, no files, no environment, no network, no host and no `unsafe`. The compiler holds part of
//! that; this check holds the part that a changed line could take away from the compiler.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::code::{Piece, pieces};
use crate::setup::WASM_TARGET;
use crate::sh::{self, Cmd, Result};

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

/// What `jsonwebtoken` brings along on every wasm target, for its clock and its random numbers. The rule on its names
/// below keeps both out of reach, so that none of it ends up in the filter.
const ALLOWED_IN_WASM: &str = "
    getrandom wasi js-sys once_cell wasm-bindgen wasm-bindgen-macro wasm-bindgen-macro-support wasm-bindgen-shared
    bumpalo rustversion futures-core futures-task futures-util pin-project-lite slab
";

/// Names of `jsonwebtoken` that lead to its own reading of the clock. The core is given the time.
const CLOCK_NAMES: [&str; 3] = ["decode", "get_current_timestamp", "Validation"];

/// Runs every rule; the error lists all that was found.
pub(crate) fn check() -> Result<()> {
    let mut problems = Vec::new();
    let mut sources = Vec::new();
    read_sources(&sh::root().join("src"), &mut sources)?;
    for (path, text) in &sources {
        let code = pieces(text);
        let mut found = names(&code);
        if path.ends_with("src/lib.rs") {
            found.extend(attributes(&code));
        }
        problems.extend(found.into_iter().map(|problem| format!("{}: {problem}", sh::short(path))));
    }
    if !sources.iter().any(|(path, _)| path.ends_with("src/lib.rs")) {
        problems.push("src/lib.rs is not there".into());
    }
    for target in [NATIVE_TARGET, WASM_TARGET] {
        let arguments = ["tree", "--quiet", "-p", "secure-callbacks", "-e", "normal", "--prefix", "none"];
        let tree = Cmd::cargo(arguments).args(["--format", "{p}", "--target", target]).output()?;
        problems.extend(dependencies(&tree, target));
    }
    if problems.is_empty() {
        println!("{} files of the core and its dependencies on two targets: pure", sources.len());
        return Ok(());
    }
    Err(format!("the core is not pure:\n  {}", problems.join("\n  ")))
}

/// The crate's own promises to the compiler.
fn attributes(code: &[Piece]) -> Vec<String> {
    let mut problems = Vec::new();
    let no_std = ["#![no_std]", "#![cfg_attr(not(test), no_std)]"];
    if !no_std.iter().any(|attribute| contains(code, attribute)) {
        problems.push("no `#![no_std]`".into());
    }
    if !contains(code, "#![forbid(unsafe_code)]") {
        problems.push("no `#![forbid(unsafe_code)]`".into());
    }
    problems
}

/// Names that open a way out of the core, in any of its files.
fn names(code: &[Piece]) -> Vec<String> {
    let mut problems = Vec::new();
    let without_tests = without(code, "#[cfg(test)] extern crate std;");
    if contains(&without_tests, "extern crate std") {
        problems.push("`extern crate std` outside tests".into());
    }
    for name in CLOCK_NAMES.iter().skip(1) {
        if code.iter().any(|piece| piece.is(name)) {
            problems.push(format!("`{name}` of jsonwebtoken leads to its clock"));
        }
    }
    let [decode, ..] = CLOCK_NAMES;
    for (index, _) in code.iter().enumerate().filter(|(_, piece)| piece.is("jsonwebtoken")) {
        let after = code.get(index + 1..).unwrap_or(&[]);
        // Under another name, or with everything in it, the crate could be used past these rules.
        if after.first().is_some_and(|piece| piece.is("as")) {
            problems.push("jsonwebtoken is renamed".into());
        }
        let path = path_after(after);
        if path.iter().any(|piece| piece.is(decode)) {
            problems.push(format!("`jsonwebtoken::{decode}` reads a clock"));
        }
        if path.contains(&Piece::Sign('*')) || path.windows(2).any(is_renamed_self) {
            problems.push("jsonwebtoken is imported whole".into());
        }
    }
    problems
}

fn is_renamed_self(pair: &[Piece]) -> bool {
    matches!(pair, [first, second] if first.is("self") && second.is("as"))
}

/// The rest of a path, with all of its braces if it has any.
fn path_after(code: &[Piece]) -> &[Piece] {
    let mut depth = 0_usize;
    let end = code.iter().position(|piece| match piece {
        Piece::Sign('{') => {
            depth += 1;
            false
        }
        Piece::Sign('}') => {
            depth = depth.saturating_sub(1);
            depth == 0
        }
        Piece::Sign(':' | '*') | Piece::Word(_) => false,
        Piece::Sign(_) => depth == 0,
    });
    code.get(..end.unwrap_or(code.len())).unwrap_or(code)
}

/// Crates in the output of `cargo tree` that nobody allowed.
fn dependencies(tree: &str, target: &str) -> Vec<String> {
    let mut allowed: BTreeSet<_> = ALLOWED.split_whitespace().chain(ALLOWED_IN_COMPILER.split_whitespace()).collect();
    if target.starts_with("wasm") {
        allowed.extend(ALLOWED_IN_WASM.split_whitespace());
    }
    let found: BTreeSet<_> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    if !found.contains("secure-callbacks") {
        return vec![format!("`cargo tree` for {target} does not name the core")];
    }
    let new = found.difference(&allowed);
    new.map(|name| format!("on {target} it depends on `{name}`, which xtask/src/purity.rs does not allow")).collect()
}

fn contains(code: &[Piece], sought: &str) -> bool {
    let sought = pieces(sought);
    code.windows(sought.len()).any(|window| window == sought)
}

fn without(code: &[Piece], unwanted: &str) -> Vec<Piece> {
    let unwanted = pieces(unwanted);
    let mut kept = code.to_vec();
    while let Some(start) = kept.windows(unwanted.len()).position(|window| window == unwanted) {
        kept.drain(start..start + unwanted.len());
    }
    kept
}

fn read_sources(directory: &Path, sources: &mut Vec<(PathBuf, String)>) -> Result<()> {
    let problem = |path: &Path, error: std::io::Error| format!("cannot read {}: {error}", path.display());
    for entry in fs::read_dir(directory).map_err(|error| problem(directory, error))? {
        let path = entry.map_err(|error| problem(directory, error))?.path();
        if path.is_dir() {
            read_sources(&path, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).map_err(|error| problem(&path, error))?;
            sources.push((path, text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "#![no_std]\n#![forbid(unsafe_code)]\n#[cfg(test)]\nextern crate std;\n";

    #[test]
    fn good_source_passes() {
        for source in [
            GOOD,
            "#![cfg_attr(not(test), no_std)] #![forbid(unsafe_code)]",
            "#![no_std] #![forbid(unsafe_code)] use jsonwebtoken::{DecodingKey, crypto::verify}; use hex::decode;",
            "#![no_std] #![forbid(unsafe_code)] // jsonwebtoken::decode\nconst A: &str = \"Validation\";",
            "#![no_std] #![forbid(unsafe_code)] fn f() { jsonwebtoken::crypto::verify(a); hex::decode(b) }",
        ] {
            let code = pieces(source);
            assert_eq!([attributes(&code), names(&code)].concat(), Vec::<String>::new(), "{source}");
        }
    }

    #[test]
    fn each_promise_to_the_compiler_is_missed() {
        for (source, word) in [
            ("#![forbid(unsafe_code)]", "no_std"),
            ("// #![no_std]\n#![forbid(unsafe_code)]", "no_std"),
            ("#![cfg_attr(not(feature = \"std\"), no_std)] #![forbid(unsafe_code)]", "no_std"),
            ("#![no_std]", "unsafe_code"),
            ("#![no_std] #![deny(unsafe_code)]", "unsafe_code"),
            ("#![no_std] #![cfg_attr(test, forbid(unsafe_code))]", "unsafe_code"),
        ] {
            let problems = attributes(&pieces(source));
            assert!(matches!(problems.as_slice(), [problem] if problem.contains(word)), "{source}: {problems:?}");
        }
    }

    #[test]
    fn each_way_out_is_found() {
        for (source, word) in [
            ("extern crate std;", "extern crate std"),
            ("#[cfg(feature = \"x\")] extern crate std as y;", "extern crate std"),
            ("use jsonwebtoken::decode;", "decode"),
            ("use jsonwebtoken::{Header, decode as d};", "decode"),
            ("fn f() { jsonwebtoken :: decode::<C>(t) }", "decode"),
            ("let v = Validation::default();", "Validation"),
            ("let t = jsonwebtoken::get_current_timestamp();", "get_current_timestamp"),
            ("use jsonwebtoken as jwt;", "renamed"),
            ("extern crate jsonwebtoken as jwt;", "renamed"),
            ("use jsonwebtoken::{self as jwt};", "whole"),
            ("use jsonwebtoken::*;", "whole"),
        ] {
            let problems = names(&pieces(source));
            assert!(matches!(problems.as_slice(), [problem] if problem.contains(word)), "{source}: {problems:?}");
        }
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
        assert!(!dependencies("", NATIVE_TARGET).is_empty(), "an empty answer proves nothing");
    }
}
