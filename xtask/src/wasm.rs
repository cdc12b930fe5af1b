//! The finished filter, as a wasm module: what it asks of its host, and what of it the host may call.

use walrus::{Export, ExportItem, Import, ImportKind, Module, passes};

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
    let mut module = Module::from_buffer(module)
        .map_err(|error| format!("the filter is not a wasm module that can be read: {error:#}"))?;
    // Before anything is taken out: what is imported for nothing is unwanted too.
    let unwanted = module.imports.iter().filter(|import| !is_allowed(import));
    let unwanted: Vec<_> = unwanted.map(|import| format!("{}.{}", import.module, import.name)).collect();
    if !unwanted.is_empty() {
        return Err(format!("the filter imports what it must not reach: {}", unwanted.join(", ")));
    }
    let uncalled: Vec<_> = module.exports.iter().filter(|export| !is_called(export)).map(Export::id).collect();
    uncalled.into_iter().for_each(|export| module.exports.delete(export));
    // What the linker kept for them.
    passes::gc::run(&mut module);
    Ok(module.emit_wasm())
}

fn is_allowed(import: &Import) -> bool {
    let is_known = match import.module.as_str() {
        "env" => import.name.starts_with("proxy_"),
        "wasi_snapshot_preview1" => WASI_ALLOWED.contains(&import.name.as_str()),
        _ => false,
    };
    // A memory or a table from outside is nothing that a filter needs.
    is_known && matches!(import.kind, ImportKind::Function(_))
}

fn is_called(export: &Export) -> bool {
    match export.item {
        ExportItem::Function(_) => CALLS.contains(&export.name.as_str()),
        ExportItem::Memory(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use walrus::ir::{Const, Instr, Value};
    use walrus::{ConstExpr, ElementItems, ElementKind, FunctionBuilder, FunctionId, FunctionKind, RefType};

    /// A module with these imports and one function, exported under these names.
    fn module(imports: &[(&str, &str)], exports: &[&str]) -> Vec<u8> {
        let mut module = Module::default();
        let signature = module.types.add(&[], &[]);
        for (from, name) in imports {
            module.add_import_func(from, name, signature);
        }
        let own = function(&mut module, 0, None);
        for name in exports {
            module.exports.add(name, own);
        }
        module.emit_wasm()
    }

    /// A function that is known again by a number in it, and calls another.
    fn function(module: &mut Module, number: i32, callee: Option<FunctionId>) -> FunctionId {
        let mut made = FunctionBuilder::new(&mut module.types, &[], &[]);
        let mut body = made.func_body();
        body.i32_const(number).drop();
        if let Some(callee) = callee {
            body.call(callee);
        }
        made.finish(vec![], &mut module.funcs)
    }

    /// The numbers of the functions that are left, in order.
    fn left(finished: &[u8]) -> Vec<i32> {
        let module = Module::from_buffer(finished).unwrap();
        let numbers = module.funcs.iter().filter_map(|function| {
            let FunctionKind::Local(function) = &function.kind else { return None };
            match function.block(function.entry_block()).instrs.first()?.0 {
                Instr::Const(Const { value: Value::I32(number) }) => Some(number),
                _ => None,
            }
        });
        let mut numbers: Vec<_> = numbers.collect();
        numbers.sort_unstable();
        numbers
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
        let mut memory = Module::default();
        memory.add_import_memory("env", "proxy_memory", false, false, 1, None, None);
        assert!(finish(&memory.emit_wasm()).unwrap_err().ends_with(": env.proxy_memory"));
    }

    #[test]
    fn only_calls_that_are_answered_stay() {
        let all = module(&[("env", "proxy_log")], &["proxy_on_log", "proxy_on_tick", "proxy_on_response_body"]);
        let finished = Module::from_buffer(&finish(&all).unwrap()).unwrap();
        let exports: Vec<_> = finished.exports.iter().map(|export| export.name.as_str()).collect();
        assert_eq!(exports, ["proxy_on_tick"]);
    }

    #[test]
    fn what_no_call_leads_to_goes() {
        let mut all = Module::default();
        let called = function(&mut all, 1, None);
        let exported = function(&mut all, 2, Some(called));
        let lost = function(&mut all, 3, None);
        let unreachable = function(&mut all, 4, Some(lost));
        let in_a_table = function(&mut all, 5, None);
        all.exports.add("proxy_on_tick", exported);
        all.exports.add("proxy_on_log", unreachable);
        let table = all.tables.add_local(false, 1, None, RefType::FUNCREF);
        let offset = ConstExpr::Value(Value::I32(0));
        let element =
            all.elements.add(ElementKind::Active { table, offset }, ElementItems::Functions(vec![in_a_table]));
        all.tables.get_mut(table).elem_segments.insert(element);
        // Anything that calls by the table may call all that is in it.
        let mut through = FunctionBuilder::new(&mut all.types, &[], &[]);
        let signature = all.types.add(&[], &[]);
        through.func_body().i32_const(6).drop().i32_const(0).call_indirect(signature, table);
        let through = through.finish(vec![], &mut all.funcs);
        all.exports.add("proxy_on_delete", through);
        assert_eq!(left(&finish(&all.emit_wasm()).unwrap()), [1, 2, 5, 6]);
    }

    #[test]
    fn what_is_not_a_module_is_refused() {
        let whole = module(&[("env", "proxy_log")], &[]);
        assert!(finish(b"not wasm").is_err());
        assert!(finish(whole.get(..whole.len() - 1).unwrap()).is_err());
    }
}
