//! What a replay table looks like in shared memory.

use core::alloc::Layout;
use core::cell::UnsafeCell;

use secure_callbacks::replay::{self, Census, Slot};

/// A table as a configuration has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// How many callbacks it remembers.
    pub(crate) capacity: u32,
    /// For how long, in seconds.
    pub(crate) memory: i64,
    /// The last second in which it may remember what the policy's own table does not; `None`: it is the policy's own.
    pub(crate) until: Option<i64>,
}

impl Shape {
    /// Tables of one policy with the same number of slots are one table.
    pub(crate) fn slots(&self) -> usize {
        replay::Layout::for_capacity(self.capacity).slots()
    }

    pub(super) fn memory(&self) -> Option<Layout> {
        let slots = Layout::array::<Slot>(self.slots()).ok()?;
        Layout::new::<Root>().extend(slots).ok().map(|(both, _)| both)
    }
}

/// What lies at the beginning of the zone; the slots follow it. All zero is a valid value.
#[repr(C)]
pub(super) struct Root {
    /// Under the zone's mutex.
    pub(super) census: UnsafeCell<Census>,
}

const _: () = assert!(size_of::<Root>().is_multiple_of(align_of::<Slot>()), "no gap before the slots");
