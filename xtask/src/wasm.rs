//! What the finished filter asks of its host. Envoy offers a clock, files and random numbers to any wasm module; ours
//! imports none of them, and that is read from the artifact itself.

use crate::sh::Result;

/// What Rust's standard library asks for to read the environment (secrets), to print a panic and to seed its maps.
const WASI_ALLOWED: [&str; 5] = ["environ_get", "environ_sizes_get", "fd_write", "proc_exit", "random_get"];

/// The number of the section that lists imports.
const IMPORT_SECTION: u64 = 2;

/// Checks the imports of a module.
pub(crate) fn check_imports(module: &[u8]) -> Result<()> {
    let imports = imports(module).ok_or("the filter is not a wasm module that can be read")?;
    let unwanted = imports.iter().filter(|(module, name)| match module.as_str() {
        "env" => !name.starts_with("proxy_"),
        "wasi_snapshot_preview1" => !WASI_ALLOWED.contains(&name.as_str()),
        _ => true,
    });
    let unwanted: Vec<_> = unwanted.map(|(module, name)| format!("{module}.{name}")).collect();
    if unwanted.is_empty() {
        return Ok(());
    }
    Err(format!("the filter imports what it must not reach: {}", unwanted.join(", ")))
}

/// The module and name of every imported function.
fn imports(module: &[u8]) -> Option<Vec<(String, String)>> {
    let mut reader = Reader { rest: module.strip_prefix(b"\0asm\x01\0\0\0")? };
    while !reader.rest.is_empty() {
        let section = reader.number()?;
        let size = reader.number()?;
        let mut body = Reader { rest: reader.take(size)? };
        if section != IMPORT_SECTION {
            continue;
        }
        let mut imports = Vec::new();
        for _ in 0..body.number()? {
            imports.push((body.text()?, body.text()?));
            // Only functions are expected. A memory or a table from outside would have another shape: not readable.
            if body.number()? != 0 {
                return None;
            }
            body.number()?;
        }
        return Some(imports);
    }
    Some(Vec::new())
}

/// The binary format, as far as needed: numbers in LEB128, and names that their length precedes.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..63).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, size: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(size).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    fn text(&mut self) -> Option<String> {
        let size = self.number()?;
        String::from_utf8(self.take(size)?.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module with one type and these imports of it.
    fn module(imports: &[(&str, &str)]) -> Vec<u8> {
        let small = |length: usize| u8::try_from(length).expect("short enough for one byte");
        let mut body = vec![small(imports.len())];
        for (module, name) in imports {
            for text in [module, name] {
                body.push(small(text.len()));
                body.extend(text.bytes());
            }
            body.extend([0, 0]);
        }
        let types = [1, 4, 1, 0x60, 0, 0];
        // A size of two bytes, as compilers write it.
        let size = [small(body.len() % 128) | 0x80, small(body.len() / 128)];
        [b"\0asm\x01\0\0\0".as_slice(), &types, &[2], &size, &body].concat()
    }

    #[test]
    fn only_the_proxy_and_little_of_wasi_may_be_imported() {
        let good = [("env", "proxy_log"), ("wasi_snapshot_preview1", "environ_get")];
        assert_eq!(check_imports(&module(&good)), Ok(()));
        for bad in [
            ("wasi_snapshot_preview1", "clock_time_get"),
            ("wasi_snapshot_preview1", "path_open"),
            ("env", "sin"),
            ("__wbindgen_placeholder__", "__wbindgen_throw"),
        ] {
            let problem = check_imports(&module(&[good.as_slice(), &[bad]].concat())).unwrap_err();
            assert!(problem.ends_with(&format!(": {}.{}", bad.0, bad.1)), "{problem}");
        }
    }

    #[test]
    fn what_is_not_a_module_is_refused() {
        let whole = module(&[("env", "proxy_log")]);
        assert!(check_imports(b"not wasm").is_err());
        assert!(check_imports(whole.get(..whole.len() - 1).unwrap()).is_err());
    }
}
