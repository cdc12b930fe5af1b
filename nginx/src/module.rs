//! What nginx loads: two modules, their directives, and the tables that a dynamic module carries.
//!
//! The second module only holds the filters. The first must come before nginx's own access module, so that `allow` and
//! `deny` answer before it (handlers run in the opposite order); filters must come after nginx's own.

use core::ffi::{c_char, c_void};
use core::ptr;

use ngx::ffi::{
    NGX_CONF_BLOCK, NGX_CONF_NOARGS, NGX_CONF_TAKE1, NGX_HTTP_LMT_CONF, NGX_HTTP_LOC_CONF, NGX_HTTP_LOC_CONF_OFFSET,
    NGX_HTTP_MAIN_CONF, NGX_HTTP_MAIN_CONF_OFFSET, NGX_HTTP_MODULE, NGX_HTTP_SRV_CONF, ngx_command_t, ngx_conf_t,
    ngx_http_module_t, ngx_module_t, ngx_str_t, ngx_uint_t,
};
use ngx::http::HttpModule;
use ngx::ngx_string;

use crate::hooks::filters::Filters;
use crate::hooks::{configuration, shared_store};

type Setter = unsafe extern "C" fn(*mut ngx_conf_t, *mut ngx_command_t, *mut c_void) -> *mut c_char;

const fn directive(name: ngx_str_t, places: u32, set: Setter, conf: usize) -> ngx_command_t {
    ngx_command_t { name, type_: places as ngx_uint_t, set: Some(set), conf, offset: 0, post: ptr::null_mut() }
}

static mut DIRECTIVES: [ngx_command_t; 4] = [
    directive(
        ngx_string!("secure_callbacks_policy"),
        NGX_HTTP_MAIN_CONF | NGX_CONF_BLOCK | NGX_CONF_TAKE1,
        configuration::set_policy,
        NGX_HTTP_MAIN_CONF_OFFSET,
    ),
    directive(
        ngx_string!("secure_callbacks"),
        NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF | NGX_HTTP_LMT_CONF | NGX_CONF_TAKE1,
        configuration::set_location,
        NGX_HTTP_LOC_CONF_OFFSET,
    ),
    directive(
        ngx_string!("secure_callbacks_metrics"),
        NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS,
        configuration::set_metrics,
        NGX_HTTP_LOC_CONF_OFFSET,
    ),
    ngx_command_t::empty(),
];

static CHECK: ngx_http_module_t = ngx_http_module_t {
    preconfiguration: Some(configuration::preconfiguration),
    postconfiguration: Some(configuration::postconfiguration),
    create_main_conf: Some(configuration::create_main_conf),
    init_main_conf: None,
    create_srv_conf: None,
    merge_srv_conf: None,
    create_loc_conf: Some(configuration::create_loc_conf),
    merge_loc_conf: Some(configuration::merge_loc_conf),
};

static FILTERS: ngx_http_module_t = ngx_http_module_t {
    preconfiguration: None,
    postconfiguration: Some(Filters::postconfiguration),
    create_main_conf: None,
    init_main_conf: None,
    create_srv_conf: None,
    merge_srv_conf: None,
    create_loc_conf: None,
    merge_loc_conf: None,
};

/// The checks.
#[allow(non_upper_case_globals, reason = "nginx's own way to name a module")]
#[cfg_attr(not(feature = "export-modules"), unsafe(no_mangle))]
pub(crate) static mut ngx_http_secure_callbacks_module: ngx_module_t = ngx_module_t {
    ctx: (&raw const CHECK).cast_mut().cast(),
    commands: (&raw mut DIRECTIVES).cast(),
    type_: NGX_HTTP_MODULE as ngx_uint_t,
    init_module: Some(configuration::init_module),
    init_process: Some(shared_store::init_process),
    exit_process: Some(shared_store::exit_process),
    ..ngx_module_t::default()
};

/// The filters.
#[allow(non_upper_case_globals, reason = "nginx's own way to name a module")]
#[cfg_attr(not(feature = "export-modules"), unsafe(no_mangle))]
pub(crate) static mut ngx_http_secure_callbacks_filter_module: ngx_module_t = ngx_module_t {
    ctx: (&raw const FILTERS).cast_mut().cast(),
    commands: ptr::null_mut(),
    type_: NGX_HTTP_MODULE as ngx_uint_t,
    ..ngx_module_t::default()
};

/// The modules in this file, as nginx looks for them. `ngx_modules!` would write these three tables too, but with an
/// empty order.
#[cfg(feature = "export-modules")]
#[allow(non_upper_case_globals, reason = "nginx looks for this name")]
#[unsafe(no_mangle)]
pub(crate) static mut ngx_modules: [*const ngx_module_t; 3] =
    [&raw const ngx_http_secure_callbacks_module, &raw const ngx_http_secure_callbacks_filter_module, ptr::null()];

#[cfg(feature = "export-modules")]
const NAME: &core::ffi::CStr = c"ngx_http_secure_callbacks_module";

/// Their names.
#[cfg(feature = "export-modules")]
#[allow(non_upper_case_globals, reason = "nginx looks for this name")]
#[unsafe(no_mangle)]
pub(crate) static mut ngx_module_names: [*const c_char; 3] =
    [NAME.as_ptr(), c"ngx_http_secure_callbacks_filter_module".as_ptr(), ptr::null()];

/// Which of them comes before which other; what is not named here comes last.
#[cfg(feature = "export-modules")]
#[allow(non_upper_case_globals, reason = "nginx looks for this name")]
#[unsafe(no_mangle)]
pub(crate) static mut ngx_module_order: [*const c_char; 3] =
    [NAME.as_ptr(), c"ngx_http_access_module".as_ptr(), ptr::null()];
