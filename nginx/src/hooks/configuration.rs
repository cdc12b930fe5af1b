//! What nginx calls while it reads its configuration.

use core::ffi::{c_char, c_void};
use core::panic::AssertUnwindSafe;
use core::ptr;
use std::panic::catch_unwind;

use ngx::core::{NGX_CONF_ERROR, NGX_CONF_OK, NgxStr, Status};
use ngx::ffi::{
    NGX_HTTP_SATISFY_ANY, NGX_HTTP_VAR_NOCACHEABLE, ngx_array_push, ngx_command_t, ngx_conf_t, ngx_cycle_t,
    ngx_http_add_variable, ngx_http_handler_pt, ngx_http_phases_NGX_HTTP_ACCESS_PHASE, ngx_int_t,
};
use ngx::http::{HttpModule, HttpModuleLocationConf, HttpModuleMainConf, Merge, NgxHttpCoreModule};

use super::checks::Checks;
use super::request::{check, get_variable, serve_metrics};
use crate::conf::{LocationConf, MainConf};
use crate::host::bits::has_no_name;
use crate::host::conf::{AsksClients, Conf};
use crate::host::cycle::{Cycle, ErrorLog};
use crate::host::headers::over;
use crate::host::pool::Keep;
use secure_callbacks::names::AccessLogValue;

pub(crate) unsafe extern "C" fn preconfiguration(cf: *mut ngx_conf_t) -> ngx_int_t {
    // Nothing of ours is read before this.
    super::report_panics();
    init_result(configured(cf, add_variables))
}

pub(crate) unsafe extern "C" fn postconfiguration(cf: *mut ngx_conf_t) -> ngx_int_t {
    init_result(configured(cf, add_access_handler))
}

pub(crate) unsafe extern "C" fn create_main_conf(cf: *mut ngx_conf_t) -> *mut c_void {
    create::<MainConf>(cf)
}

pub(crate) unsafe extern "C" fn create_loc_conf(cf: *mut ngx_conf_t) -> *mut c_void {
    create::<LocationConf>(cf)
}

pub(crate) unsafe extern "C" fn merge_loc_conf(
    cf: *mut ngx_conf_t,
    above: *mut c_void,
    location: *mut c_void,
) -> *mut c_char {
    conf_result(configured(cf, |conf| {
        // SAFETY: these are what `create_loc_conf` made, two different ones.
        let (above, location) =
            unsafe { (above.cast::<LocationConf>().as_ref()?, location.cast::<LocationConf>().as_mut()?) };
        let is_set = location.is_set();
        location.merge(above).ok()?;
        location.find_policy(Checks::main_conf(conf.view())?, conf).ok()?;
        // nginx's core is merged before this module.
        let core = NgxHttpCoreModule::location_conf(conf.view())?;
        // SAFETY: the name is nginx's.
        let name = unsafe { NgxStr::from_ngx_str(core.name) }.to_string_lossy();
        // Without a name it is a server, or all of them, for what they have no location for.
        if let Some(log) = ErrorLog::of(core).filter(|_| !name.is_empty())
            && let Some(protected) = location.protected(&name, log)
        {
            Checks::main_conf_mut(conf.view())?.protected.add(protected);
        }
        // A server that only inherits may have nothing but locations with settings of their own.
        if let Some(asking) = AsksClients::of(conf).filter(|_| !has_no_name(core) && (is_set || !name.is_empty()))
            && let Some(asked) = location.asked(&name, asking)
        {
            Checks::main_conf_mut(conf.view())?.unasked.add(asked);
        }
        // Blocks without a name of their own (`if`, `limit_except`) belong to a location that has warned.
        if core.satisfy == NGX_HTTP_SATISFY_ANY as usize && !has_no_name(core) {
            location.warn_of_satisfy_any(conf, &name);
        }
        Some(())
    }))
}

/// Runs `work` on the configuration; `None` if it fails.
fn configured(cf: *mut ngx_conf_t, work: impl FnOnce(Conf<'_>) -> Option<()>) -> Option<()> {
    // SAFETY: nginx hands on the configuration it reads.
    let conf = unsafe { Conf::from_raw(cf) }?;
    catch_unwind(AssertUnwindSafe(|| work(conf))).ok().flatten()
}

fn conf_result(result: Option<()>) -> *mut c_char {
    if result.is_some() { NGX_CONF_OK } else { NGX_CONF_ERROR }
}

fn init_result(result: Option<()>) -> ngx_int_t {
    if result.is_some() { Status::NGX_OK.into() } else { Status::NGX_ERROR.into() }
}

/// Makes a configuration. Null without memory: nginx then keeps its old one.
fn create<T: Default + 'static>(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: nginx hands on the configuration it reads.
    let conf = unsafe { Conf::from_raw(cf) };
    conf.and_then(|conf| conf.pool().keep(T::default()).ok()).map_or(ptr::null_mut(), |made| made.as_ptr().cast())
}

/// The whole configuration is read, and about to be in force; `nginx -t` comes here too.
pub(crate) unsafe extern "C" fn init_module(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    // SAFETY: nginx hands on the configuration that it has read.
    let cycle = unsafe { Cycle::from_raw(cycle) };
    // What is only said may fail without a word.
    let _ = catch_unwind(|| {
        let cycle = cycle?;
        Checks::main_conf(cycle.http()?)?.protected.warn_of_silence(cycle);
        Some(())
    });
    Status::NGX_OK.into()
}

pub(crate) unsafe extern "C" fn set_policy(cf: *mut ngx_conf_t, _: *mut ngx_command_t, _: *mut c_void) -> *mut c_char {
    conf_result(configured(cf, |conf| {
        let tag = ptr::from_ref(Checks::module()).cast_mut().cast();
        Checks::main_conf_mut(conf.view())?.add_policy(conf, tag).ok()
    }))
}

pub(crate) unsafe extern "C" fn set_location(
    cf: *mut ngx_conf_t,
    _: *mut ngx_command_t,
    _: *mut c_void,
) -> *mut c_char {
    conf_result(configured(cf, |conf| Checks::location_conf_mut(conf.view())?.set(conf).ok()))
}

pub(crate) unsafe extern "C" fn set_metrics(cf: *mut ngx_conf_t, _: *mut ngx_command_t, _: *mut c_void) -> *mut c_char {
    conf_result(configured(cf, |conf| {
        NgxHttpCoreModule::location_conf_mut(conf.view())?.handler = Some(serve_metrics);
        Some(())
    }))
}

fn add_variables(conf: Conf<'_>) -> Option<()> {
    for (index, variable) in AccessLogValue::ALL.into_iter().enumerate() {
        let mut name = over(variable.name().as_bytes());
        // Not cacheable: a directive before the access phase may ask already.
        let flags = NGX_HTTP_VAR_NOCACHEABLE as usize;
        // SAFETY: nginx copies the name, and gives a variable that lives as long as the configuration.
        let added = unsafe { ngx_http_add_variable(conf.as_ptr(), &raw mut name, flags).as_mut() }?;
        added.get_handler = Some(get_variable);
        added.data = index;
    }
    Some(())
}

fn add_access_handler(conf: Conf<'_>) -> Option<()> {
    let main = Checks::main_conf(conf.view())?;
    main.warn_of_unused(conf);
    main.unasked.warn(conf);
    let core = NgxHttpCoreModule::main_conf_mut(conf.view())?;
    let phase = core.phases.get_mut(ngx_http_phases_NGX_HTTP_ACCESS_PHASE as usize)?;
    // SAFETY: the array is of handlers, and nginx makes room for one.
    unsafe { ngx_array_push(&raw mut phase.handlers).cast::<ngx_http_handler_pt>().as_mut() }?.replace(check);
    Some(())
}
