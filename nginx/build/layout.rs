//! Proves that the bindings have nginx's structures where nginx has them: for every structure that the module touches
//! its size, and for every field its offset and its size, as the C compiler lays them out and as Rust does.
//!
//! The numbers of C are read out of an object file, so that nothing has to be run. They become assertions in
//! `src/host/layout.rs`: a module whose bindings differ does not compile. Bit fields are in `src/host/bits.c`.

use std::fmt::Write;
use std::path::PathBuf;
use std::{env, fs};

use crate::Nginx;

/// Every structure of nginx's that the module, or the crate `ngx` on its behalf, looks into, and the fields it uses. Who
/// uses another one adds it here.
const TOUCHED: &[(&str, &str)] = &[
    ("ngx_array_t", "elts nelts size"),
    ("ngx_buf_t", "pos last file_pos file_last file"),
    ("ngx_chain_t", "buf next"),
    ("ngx_command_t", "name type set conf offset post"),
    ("ngx_conf_file_t", "file line"),
    ("ngx_conf_t", "args cycle pool conf_file log ctx handler handler_conf"),
    ("ngx_connection_t", "log pool ssl addr_text"),
    ("ngx_cycle_t", "conf_ctx conf_prefix log old_cycle shared_memory"),
    ("ngx_file_t", "fd name"),
    ("ngx_http_conf_ctx_t", "main_conf srv_conf loc_conf"),
    ("ngx_http_connection_t", "ssl_servername"),
    ("ngx_http_core_loc_conf_t", "name handler satisfy error_log error_pages"),
    ("ngx_http_core_main_conf_t", "phases phase_engine"),
    ("ngx_http_err_page_t", "status"),
    ("ngx_http_headers_in_t", "headers content_length_n"),
    (
        "ngx_http_headers_out_t",
        "headers status www_authenticate content_type content_type_len content_type_lowcase content_length_n",
    ),
    (
        "ngx_http_module_t",
        "preconfiguration postconfiguration create_main_conf init_main_conf create_srv_conf merge_srv_conf \
         create_loc_conf merge_loc_conf",
    ),
    ("ngx_http_phase_engine_t", "handlers"),
    ("ngx_http_phase_handler_t", "checker"),
    ("ngx_http_phase_t", "handlers"),
    (
        "ngx_http_request_t",
        "connection http_connection main_conf srv_conf loc_conf write_event_handler upstream upstream_states pool \
         headers_in headers_out request_body method uri unparsed_uri method_name main phase_handler err_status",
    ),
    ("ngx_http_request_body_t", "bufs"),
    ("ngx_http_ssl_srv_conf_t", "verify verify_depth client_certificate trusted_certificate crl ocsp ocsp_responder"),
    ("ngx_http_upstream_headers_in_t", "status_n"),
    ("ngx_http_upstream_state_t", "status"),
    ("ngx_http_upstream_t", "headers_in"),
    ("ngx_http_variable_t", "get_handler data"),
    ("ngx_list_part_t", "elts nelts next"),
    ("ngx_list_t", "last part size nalloc pool"),
    ("ngx_log_t", "log_level"),
    ("ngx_module_t", "ctx_index index name version signature ctx commands type"),
    ("ngx_pool_cleanup_t", "handler data next"),
    ("ngx_pool_t", "max cleanup"),
    ("ngx_shm_t", "addr name log"),
    ("ngx_shm_zone_t", "data shm init tag"),
    ("ngx_slab_page_t", ""),
    ("ngx_slab_pool_t", "mutex data"),
    ("ngx_ssl_connection_t", "connection"),
    ("ngx_str_t", "len data"),
    ("ngx_table_elt_t", "hash key value lowcase_key"),
    ("ngx_time_t", "sec"),
    ("ngx_variable_value_t", "data"),
];

/// What stands before the numbers in the object file.
const MARK: &str = "secure_callbacks: the layout of nginx's structures\n";

/// One number: how C says it, and how Rust does.
struct Number {
    c: String,
    rust: String,
    what: String,
}

fn numbers() -> Vec<Number> {
    let mut numbers = Vec::new();
    for (structure, fields) in TOUCHED {
        let rust = format!("ngx::ffi::{structure}");
        numbers.push(Number {
            c: format!("sizeof({structure})"),
            rust: format!("size_of::<{rust}>()"),
            what: format!("the size of {structure}"),
        });
        for field in fields.split_whitespace() {
            // A word of Rust's.
            let ours = if field == "type" { "type_" } else { field };
            numbers.push(Number {
                c: format!("offsetof({structure}, {field})"),
                rust: format!("core::mem::offset_of!({rust}, {ours})"),
                what: format!("the offset of {structure}.{field}"),
            });
            numbers.push(Number {
                c: format!("sizeof((({structure} *) 0)->{field})"),
                rust: format!("size_of_field::<{rust}, _>(|structure| &structure.{ours})"),
                what: format!("the size of {structure}.{field}"),
            });
        }
    }
    numbers
}

/// Writes the assertions into `OUT_DIR/layout.rs`.
pub(crate) fn write(nginx: &Nginx) -> Result<(), String> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets no OUT_DIR")?);
    let problem = |error: std::io::Error| format!("the layout of nginx's structures: {error}");
    let numbers = numbers();
    let mut source = String::from("#include <ngx_config.h>\n#include <ngx_core.h>\n#include <ngx_http.h>\n");
    let bytes = MARK.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
    let values = numbers.iter().map(|number| number.c.as_str()).collect::<Vec<_>>().join(",\n    ");
    // Writing into a String can't fail.
    let _ = write!(
        source,
        "const struct {{ unsigned char mark[{}]; unsigned char pad[{}]; unsigned long long numbers[{}]; }}\n\
         secure_callbacks_layout = {{ {{ {bytes} }}, {{ 0 }}, {{\n    {values}\n}} }};\n",
        MARK.len(),
        8 - MARK.len() % 8,
        numbers.len(),
    );
    let file = out.join("layout.c");
    fs::write(&file, source).map_err(problem)?;
    // With optimization over the whole program there would be no numbers yet in the object file.
    let objects = nginx.compiler().file(file).flag("-fno-lto").try_compile_intermediates();
    let objects = objects.map_err(|error| error.to_string())?;
    let object = objects.first().ok_or("the compiler made no object file")?;
    let measured = measured(&fs::read(object).map_err(problem)?, numbers.len())?;
    let mut assertions = String::new();
    for (Number { rust, what, .. }, value) in numbers.iter().zip(measured) {
        let _ = writeln!(assertions, "const _: () = assert!({rust} == {value}, \"{what}: {value} in C\");");
    }
    fs::write(out.join("layout.rs"), assertions).map_err(problem)
}

/// The numbers behind the mark in an object file.
fn measured(object: &[u8], count: usize) -> Result<Vec<u64>, String> {
    let start = object.windows(MARK.len()).position(|window| window == MARK.as_bytes());
    let start = start.ok_or("the object file does not show the layout of nginx's structures")?;
    let behind = object.get(start + MARK.len() + 8 - MARK.len() % 8..).unwrap_or_default();
    let big = env::var("CARGO_CFG_TARGET_ENDIAN").is_ok_and(|endian| endian == "big");
    let number = |bytes: &[u8; 8]| if big { u64::from_be_bytes(*bytes) } else { u64::from_le_bytes(*bytes) };
    let (all, _) = behind.as_chunks::<8>();
    let numbers: Vec<_> = all.iter().take(count).map(number).collect();
    if numbers.len() == count { Ok(numbers) } else { Err("the object file ends within the numbers".into()) }
}
