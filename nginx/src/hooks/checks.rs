//! The module that holds the checks, as the crate `ngx` asks for it: by it a request's configuration is found.

use core::ptr;

use ngx::ffi::ngx_module_t;
use ngx::http::{HttpModule, HttpModuleLocationConf, HttpModuleMainConf};

use crate::conf::{LocationConf, MainConf};
use crate::module::ngx_http_secure_callbacks_module;

/// The module that holds the checks.
pub(crate) struct Checks;

// SAFETY: `create_main_conf` makes one.
unsafe impl HttpModuleMainConf for Checks {
    type MainConf = MainConf;
}

// SAFETY: `create_loc_conf` makes one.
unsafe impl HttpModuleLocationConf for Checks {
    type LocationConf = LocationConf;
}

impl HttpModule for Checks {
    fn module() -> &'static ngx_module_t {
        // SAFETY: nginx changes it before it calls anything of the module's, and not afterwards.
        unsafe { &*ptr::addr_of!(ngx_http_secure_callbacks_module) }
    }
}
