//! What the finished filter asks of its host, read from the artifact itself.

use wasmparser::{BinaryReaderError, Parser, Payload, TypeRef};

use crate::sh::Result;

/// What Rust's standard library asks for to read the environment (secrets), to print a panic and to seed its maps. Envoy
/// offers a clock, files and random numbers to any wasm module too; ours imports none of them.
const WASI_ALLOWED: [&str; 5] = ["environ_get", "environ_sizes_get", "fd_write", "proc_exit", "random_get"];

/// Checks the imports of a module.
pub(crate) fn check_imports(module: &[u8]) -> Result<()> {
    let unwanted = unwanted_imports(module)
        .map_err(|error| format!("the filter is not a wasm module that can be read: {error}"))?;
    if unwanted.is_empty() {
        return Ok(());
    }
    Err(format!("the filter imports what it must not reach: {}", unwanted.join(", ")))
}

fn unwanted_imports(module: &[u8]) -> std::result::Result<Vec<String>, BinaryReaderError> {
    let mut unwanted = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        let Payload::ImportSection(imports) = payload? else { continue };
        for import in imports.into_imports() {
            let import = import?;
            let allowed = match import.module {
                "env" => import.name.starts_with("proxy_"),
                "wasi_snapshot_preview1" => WASI_ALLOWED.contains(&import.name),
                _ => false,
            };
            // A memory or a table from outside is nothing that a filter needs.
            if !allowed || !matches!(import.ty, TypeRef::Func(_)) {
                unwanted.push(format!("{}.{}", import.module, import.name));
            }
        }
    }
    Ok(unwanted)
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
        assert!(check_imports(&module(&good)).is_ok());
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
