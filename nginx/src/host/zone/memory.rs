//! A zone of shared memory: how it is asked for, and how it is found again.

use core::alloc::Layout;
use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::slice;
use std::format;
use std::string::String;
use std::vec::Vec;

use ngx::allocator::Allocator;
use ngx::core::{SlabPool, Status};
use ngx::ffi::{ngx_cycle, ngx_int_t, ngx_pagesize, ngx_shared_memory_add, ngx_shm_zone_t, ngx_slab_page_t, ngx_str_t};

use super::shape::Shape;
use crate::host::conf::{Complained, Conf, Place};
use crate::host::pool::Keep;

/// Who asks for zones: the block of a policy.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'c> {
    pub(crate) conf: Conf<'c>,
    pub(crate) place: &'c Place,
    pub(crate) policy: &'c str,
    /// The module's own tag, by which nginx tells its zones from others.
    pub(crate) tag: *mut c_void,
}

/// What a zone is for.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) policy: String,
    /// What tells it from other zones of the policy. (No policy's name has a colon in it.)
    pub(super) kind: Kind,
    /// What lies in it, all zero at first.
    pub(super) memory: Layout,
    /// Called once the memory is there, of this configuration or of the one before.
    pub(super) begin: fn(&ngx_shm_zone_t, &Memory, &Self) -> Option<()>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Counters,
    Table(Shape),
}

impl Plan {
    fn name(&self) -> String {
        match &self.kind {
            Kind::Counters => format!("secure_callbacks_{}", self.policy),
            Kind::Table(shape) => format!("secure_callbacks_{}:{}", self.policy, shape.slots()),
        }
    }

    fn zone_bytes(&self) -> usize {
        // SAFETY: nginx has set it before it reads a configuration.
        let page = unsafe { ngx_pagesize }.max(1);
        let bytes = self.memory.size();
        let pages = bytes.div_ceil(page).saturating_add(16);
        // The slab allocator's own head, and its entry for every page.
        let overhead = pages.saturating_mul(size_of::<ngx_slab_page_t>().saturating_add(8));
        bytes.saturating_add(overhead).saturating_add(page.saturating_mul(8))
    }
}

/// A zone of a configuration.
#[derive(Debug)]
pub(super) struct Zone(NonNull<ngx_shm_zone_t>);

impl Zone {
    /// Asks nginx for a zone. No two of one configuration have the same plan.
    pub(super) fn request(owner: Owner<'_>, plan: Plan) -> Result<Self, Complained> {
        let Owner { conf, place, policy, tag } = owner;
        let no_memory = || conf.complain(place, format_args!("no memory for the zones of policy \"{policy}\""));
        let pool = conf.pool();
        let (name, bytes) = (plan.name(), plan.zone_bytes());
        // SAFETY: the pool is valid.
        let mut name = unsafe { ngx_str_t::from_bytes(pool.as_ptr(), name.as_bytes()) }.ok_or_else(no_memory)?;
        let plan = pool.keep(plan).map_err(|_| no_memory())?;
        // SAFETY: name and plan live as long as the configuration, and so does the zone that nginx makes.
        let zone = unsafe { ngx_shared_memory_add(conf.as_ptr(), &raw mut name, bytes, tag) };
        let zone = NonNull::new(zone).ok_or_else(no_memory)?;
        // SAFETY: nginx made the zone, and calls `init` once its memory is there.
        unsafe {
            (*zone.as_ptr()).data = plan.as_ptr().cast();
            (*zone.as_ptr()).init = Some(init_zone);
        }
        Ok(Self(zone))
    }

    pub(super) fn memory(&self) -> Option<Memory> {
        // SAFETY: the zone lives as long as the configuration that this value is part of, and in a worker it stays mapped
        // until the worker ends. (With `master_process off` a reload that drops the policy unmaps it while requests still
        // have it, as it does to every module's zones: that mode, nginx's own for its developers, is not supported.)
        unsafe { Memory::of(self.0.as_ref()) }
    }
}

/// A zone's memory, once it is there.
pub(super) struct Memory {
    pub(super) slab: SlabPool,
    pub(super) root: NonNull<c_void>,
}

impl Memory {
    /// # Safety
    /// `zone` is one of this module's, and stays mapped for as long as the value lives.
    pub(super) unsafe fn of(zone: &ngx_shm_zone_t) -> Option<Self> {
        // SAFETY: as the caller vouches.
        let slab = unsafe { SlabPool::from_shm_zone(zone) }?;
        // `make` left it there.
        let root = NonNull::new(slab.as_ref().data)?;
        Some(Self { slab, root })
    }

    /// Makes what the plan says in new memory, all zero.
    ///
    /// # Safety
    /// As [`Memory::of`].
    unsafe fn make(zone: &ngx_shm_zone_t, plan: &Plan) -> Option<Self> {
        // SAFETY: as the caller vouches; nginx has made the slab pool.
        let mut slab = unsafe { SlabPool::from_shm_zone(zone) }?;
        let root = slab.allocate_zeroed(plan.memory).ok()?.cast();
        slab.as_mut().data = root.as_ptr();
        Some(Self { slab, root })
    }
}

/// Called by nginx once the memory is there: new, or (with `old_data`) that of the configuration before.
unsafe extern "C" fn init_zone(zone: *mut ngx_shm_zone_t, old_data: *mut c_void) -> ngx_int_t {
    let init = || {
        // SAFETY: nginx hands on the zone, mapped, and its data is what `request` put there.
        let (zone, plan) = unsafe { (zone.as_ref()?, (*zone).data.cast::<Plan>().as_ref()?) };
        let memory = match old_data.is_null() {
            // SAFETY: the zone is mapped.
            true => unsafe { Memory::make(zone, plan) }?,
            // SAFETY: likewise.
            false => unsafe { Memory::of(zone) }?,
        };
        (plan.begin)(zone, &memory, plan)
    };
    match std::panic::catch_unwind(init) {
        Ok(Some(())) => Status::NGX_OK.into(),
        _ => Status::NGX_ERROR.into(),
    }
}

/// The tables of a policy in the configuration that is still running.
///
/// # Safety
/// A new configuration is being read, or its zones are being made, and has not come into force when the last of the
/// result is used.
pub(super) unsafe fn running<'c>(tag: *mut c_void, policy: &str) -> Vec<(&'c Shape, &'c ngx_shm_zone_t)> {
    let mut found = Vec::new();
    // SAFETY: so long `ngx_cycle` is the running configuration (at the first start an empty one), and its zones stay
    // mapped. Every part of its list has `nelts` zones; the data of those with the module's tag is what `request` put
    // there.
    unsafe {
        let mut part = ngx_cycle.as_ref().map_or(ptr::null(), |cycle| ptr::from_ref(&cycle.shared_memory.part));
        while let Some(current) = part.as_ref() {
            if let Some(zones) = NonNull::new(current.elts.cast::<ngx_shm_zone_t>()) {
                for zone in slice::from_raw_parts(zones.as_ptr(), current.nelts).iter().filter(|zone| zone.tag == tag) {
                    if let Some(Plan { policy: other, kind: Kind::Table(shape), .. }) =
                        zone.data.cast::<Plan>().as_ref()
                        && other == policy
                    {
                        found.push((shape, zone));
                    }
                }
            }
            part = current.next;
        }
    }
    found
}
