//! The finished filter, as a wasm module: what it asks of its host, and what of it the host may call.

use std::collections::HashSet;
use std::ops::Range;

use wasm_encoder::{CodeSection, ExportKind, ExportSection, Function, Module, RawSection};
use wasmparser::{BinaryReaderError, ElementItems, ExternalKind, Operator, OperatorsReader, Parser, Payload, TypeRef};

use crate::sh::Result;

/// What Rust's standard library asks for to read the environment (secrets), to print a panic and to seed its maps. Envoy
/// offers a clock, files and random numbers to any wasm module too; ours imports none of them.
const WASI_ALLOWED: [&str; 5] = ["environ_get", "environ_sizes_get", "fd_write", "proc_exit", "random_get"];

/// The calls that the filter answers. The SDK exports every one there is, and Envoy makes each that it finds, on every
/// request: into the sandbox and back for nothing.
const CALLS: [&str; 13] = [
    "_initialize",
    "proxy_abi_version_0_2_1",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_delete",
    "proxy_on_memory_allocate",
    "proxy_on_request_body",
    "proxy_on_request_headers",
    "proxy_on_request_trailers",
    "proxy_on_response_headers",
    "proxy_on_tick",
    "proxy_on_vm_start",
    "malloc",
];

/// Checks what a module imports, and leaves of it what Envoy can come to.
pub(crate) fn finish(module: &[u8]) -> Result<Vec<u8>> {
    let unreadable = |error| format!("the filter is not a wasm module that can be read: {error}");
    let unwanted = unwanted_imports(module).map_err(unreadable)?;
    if !unwanted.is_empty() {
        return Err(format!("the filter imports what it must not reach: {}", unwanted.join(", ")));
    }
    let exported = with_exports(module, &CALLS).map_err(unreadable)?;
    without_unreachable(&exported).map_err(unreadable)
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

/// The module, its memory and those of its functions that `names` has; all else as it is.
fn with_exports(module: &[u8], names: &[&str]) -> std::result::Result<Vec<u8>, BinaryReaderError> {
    let mut made = Module::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        if let Payload::ExportSection(exports) = &payload {
            let mut kept = ExportSection::new();
            for export in exports.clone() {
                let export = export?;
                match export.kind {
                    ExternalKind::Func if names.contains(&export.name) => {
                        kept.export(export.name, ExportKind::Func, export.index);
                    }
                    ExternalKind::Memory => {
                        kept.export(export.name, ExportKind::Memory, export.index);
                    }
                    _ => {}
                }
            }
            made.section(&kept);
        } else if let Some((id, range)) = payload.as_section() {
            made.section(&RawSection { id, data: bytes(module, range) });
        }
    }
    Ok(made.finish())
}

/// The module, with nothing in the bodies of functions that no export leads to: what the linker kept for an export that
/// is gone. Their places stay, so that every number of a function stays as it is.
fn without_unreachable(module: &[u8]) -> std::result::Result<Vec<u8>, BinaryReaderError> {
    let reached = reached(module)?;
    let (mut made, mut code, mut index) = (Module::new(), CodeSection::new(), reached.imports);
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        if let Payload::CodeSectionEntry(body) = &payload {
            if reached.functions.contains(&index) {
                code.raw(body.as_bytes());
            } else {
                let mut nothing = Function::new([]);
                nothing.instructions().unreachable().end();
                code.function(&nothing);
            }
            index += 1;
            if code.len() == reached.bodies {
                made.section(&code);
            }
        } else if !matches!(payload, Payload::CodeSectionStart { .. })
            && let Some((id, range)) = payload.as_section()
        {
            made.section(&RawSection { id, data: bytes(module, range) });
        }
    }
    Ok(made.finish())
}

/// Which functions can be called.
#[derive(Default)]
struct Reached {
    /// How many functions are imported: their numbers come first.
    imports: u32,
    bodies: u32,
    functions: HashSet<u32>,
}

/// Follows calls from the exports, and from what tables hold, which anything may call.
fn reached(module: &[u8]) -> std::result::Result<Reached, BinaryReaderError> {
    let (mut reached, mut calls, mut found) = (Reached::default(), Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    reached.imports += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    found.extend((export.kind == ExternalKind::Func).then_some(export.index));
                }
            }
            Payload::StartSection { func, .. } => found.push(func),
            Payload::ElementSection(elements) => {
                for element in elements {
                    match element?.items {
                        ElementItems::Functions(functions) => {
                            for function in functions {
                                found.push(function?);
                            }
                        }
                        ElementItems::Expressions(_, expressions) => {
                            for expression in expressions {
                                called(expression?.get_operators_reader(), &mut found)?;
                            }
                        }
                    }
                }
            }
            Payload::CodeSectionEntry(body) => {
                reached.bodies += 1;
                let mut from_here = Vec::new();
                called(body.get_operators_reader()?, &mut from_here)?;
                calls.push(from_here);
            }
            _ => {}
        }
    }
    while let Some(function) = found.pop() {
        if reached.functions.insert(function)
            && let Some(body) = function.checked_sub(reached.imports)
        {
            found.extend(calls.get(body as usize).into_iter().flatten());
        }
    }
    Ok(reached)
}

/// Adds the functions that these instructions name.
fn called(instructions: OperatorsReader<'_>, to: &mut Vec<u32>) -> std::result::Result<(), BinaryReaderError> {
    for instruction in instructions {
        if let Operator::Call { function_index }
        | Operator::ReturnCall { function_index }
        | Operator::RefFunc { function_index } = instruction?
        {
            to.push(function_index);
        }
    }
    Ok(())
}

fn bytes(module: &[u8], range: Range<u64>) -> &[u8] {
    let place = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    module.get(place(range.start)..place(range.end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_encoder::{
        ConstExpr, ElementSection, Elements, EntityType, FunctionSection, ImportSection, RefType, TableSection,
        TableType, TypeSection,
    };

    /// A module with these imports and one function, exported under these names.
    fn module(imports: &[(&str, &str)], exports: &[&str]) -> Vec<u8> {
        let (mut types, mut imported, mut functions) =
            (TypeSection::new(), ImportSection::new(), FunctionSection::new());
        let (mut exported, mut code) = (ExportSection::new(), CodeSection::new());
        types.ty().function([], []);
        for (module, name) in imports {
            imported.import(module, name, EntityType::Function(0));
        }
        functions.function(0);
        let own = u32::try_from(imports.len()).expect("few imports");
        for name in exports {
            exported.export(name, ExportKind::Func, own);
        }
        let mut nothing = Function::new([]);
        nothing.instructions().end();
        code.function(&nothing);
        let mut module = Module::new();
        module.section(&types).section(&imported).section(&functions).section(&exported).section(&code);
        module.finish()
    }

    fn exports(module: &[u8]) -> Vec<String> {
        let sections = Parser::new(0).parse_all(module).map(|payload| payload.expect("a module"));
        let names = sections.filter_map(|payload| match payload {
            Payload::ExportSection(exports) => Some(exports),
            _ => None,
        });
        names.flatten().map(|export| export.expect("an export").name.to_owned()).collect()
    }

    #[test]
    fn only_the_proxy_and_little_of_wasi_may_be_imported() {
        let good = [("env", "proxy_log"), ("wasi_snapshot_preview1", "environ_get")];
        assert!(finish(&module(&good, &[])).is_ok());
        for bad in [
            ("wasi_snapshot_preview1", "clock_time_get"),
            ("wasi_snapshot_preview1", "path_open"),
            ("env", "sin"),
            ("__wbindgen_placeholder__", "__wbindgen_throw"),
        ] {
            let problem = finish(&module(&[good.as_slice(), &[bad]].concat(), &[])).unwrap_err();
            assert!(problem.ends_with(&format!(": {}.{}", bad.0, bad.1)), "{problem}");
        }
    }

    #[test]
    fn only_calls_that_are_answered_stay() {
        let all = module(&[("env", "proxy_log")], &["proxy_on_log", "proxy_on_tick", "proxy_on_response_body"]);
        let finished = finish(&all).unwrap();
        assert_eq!(exports(&finished), ["proxy_on_tick"]);
        // The rest is the same, byte for byte.
        assert_eq!(finished, module(&[("env", "proxy_log")], &["proxy_on_tick"]));
    }

    #[test]
    fn what_no_call_leads_to_is_emptied() {
        // Functions 0 to 4: exported and calling the next, called, unreachable and calling the last, in a table, the last.
        let body = |callee: Option<u32>| {
            let mut body = Function::new([]);
            if let Some(callee) = callee {
                body.instructions().call(callee);
            }
            body.instructions().nop().end();
            body
        };
        let mut nothing = Function::new([]);
        nothing.instructions().unreachable().end();
        let module = |bodies: [Function; 5]| {
            let (mut types, mut functions, mut code) = (TypeSection::new(), FunctionSection::new(), CodeSection::new());
            types.ty().function([], []);
            for body in &bodies {
                functions.function(0);
                code.function(body);
            }
            let mut exported = ExportSection::new();
            exported.export("proxy_on_tick", ExportKind::Func, 0);
            let mut elements = ElementSection::new();
            elements.active(None, &ConstExpr::i32_const(0), Elements::Functions([3].as_slice().into()));
            let mut tables = TableSection::new();
            let table =
                TableType { element_type: RefType::FUNCREF, minimum: 1, maximum: None, table64: false, shared: false };
            tables.table(table);
            let mut module = Module::new();
            module.section(&types).section(&functions).section(&tables).section(&exported).section(&elements);
            module.section(&code);
            module.finish()
        };
        let all = module([body(Some(1)), body(None), body(Some(4)), body(None), body(None)]);
        let left = module([body(Some(1)), body(None), nothing.clone(), body(None), nothing]);
        assert_eq!(finish(&all).unwrap(), left);
    }

    #[test]
    fn what_is_not_a_module_is_refused() {
        let whole = module(&[("env", "proxy_log")], &[]);
        assert!(finish(b"not wasm").is_err());
        assert!(finish(whole.get(..whole.len() - 1).unwrap()).is_err());
    }
}
