//! Nginx's lists of headers (`ngx_list_t`): parts of an array each. Other parts of nginx keep pointers to the elements,
//! so none is ever moved: an element is taken out by ending its part before it and beginning another after it.
//!
//! Nginx's own loops expect every part but the first to hold something.
//!
//! A request without a head (HTTP/0.9, a line that nginx could not read) has a list that nginx did not make: all zero,
//! which reads as an empty one, but has no last part to add to.

use core::alloc::Layout;
use core::ptr::{self, NonNull};
use core::slice;

use ngx::allocator::{self, AllocError, Allocator};
use ngx::core::Pool;
use ngx::ffi::{NGX_OK, ngx_int_t, ngx_list_init, ngx_list_part_t, ngx_list_t, ngx_table_elt_t};

/// The room of the first part, as nginx makes it for a request's head.
const ROOM: usize = 20;

/// The elements of a list.
///
/// # Safety
/// `list` is a list of `ngx_table_elt_t`, or all zero, and stays as it is meanwhile.
pub(super) unsafe fn elements(list: &ngx_list_t) -> impl Iterator<Item = &ngx_table_elt_t> {
    // SAFETY: parts are nginx's, and the last one's `next` is null.
    let parts = core::iter::successors(Some(&list.part), |part| unsafe { part.next.as_ref() });
    parts.filter(|part| part.nelts > 0).flat_map(|part| {
        // SAFETY: a part has `nelts` elements.
        unsafe { slice::from_raw_parts(part.elts.cast::<ngx_table_elt_t>(), part.nelts) }
    })
}

/// A list of headers.
pub(crate) struct HeaderList {
    list: NonNull<ngx_list_t>,
    pool: Pool,
}

impl HeaderList {
    /// A list that nginx has not made yet is made here.
    ///
    /// # Safety
    /// `list` is a list of `ngx_table_elt_t` that belongs to `pool`, or all zero; both outlive the value.
    pub(crate) unsafe fn from_raw(list: NonNull<ngx_list_t>, pool: Pool) -> Result<Self, AllocError> {
        // SAFETY: as the caller vouches.
        unsafe {
            if (*list.as_ptr()).last.is_null()
                && ngx_list_init(list.as_ptr(), pool.as_ptr(), ROOM, size_of::<ngx_table_elt_t>())
                    != NGX_OK as ngx_int_t
            {
                return Err(AllocError);
            }
        }
        Ok(Self { list, pool })
    }

    /// Takes out every element that `goes` names, and adds `fresh`, which is not empty, in a part of its own.
    pub(crate) fn replace(
        &self,
        goes: impl Fn(&ngx_table_elt_t) -> bool,
        fresh: impl Iterator<Item = Result<ngx_table_elt_t, AllocError>>,
    ) -> Result<(), AllocError> {
        // First the new last part: from then on no part that is cut is the one nginx adds to.
        self.append(fresh)?;
        // SAFETY: as above.
        let first: *mut ngx_list_part_t = unsafe { &raw mut (*self.list.as_ptr()).part };
        let mut before: *mut ngx_list_part_t = ptr::null_mut();
        let mut part = first;
        // SAFETY: the last part is the new one, and stays as it is; the others are nginx's.
        while let Some(current) = unsafe { part.as_mut() }.filter(|current| !current.next.is_null()) {
            let found = (0..current.nelts).find(|&index| {
                // SAFETY: a part has `nelts` elements.
                goes(unsafe { &*current.elts.cast::<ngx_table_elt_t>().add(index) })
            });
            if let Some(index) = found {
                let after = current.nelts - index - 1;
                // SAFETY: one past the element taken out is inside the part, or at its end.
                let rest = unsafe { current.elts.cast::<ngx_table_elt_t>().add(index + 1) };
                if index == 0 {
                    // Nothing before it: the part begins after it. It is looked at again.
                    current.elts = rest.cast();
                    current.nelts = after;
                    if after > 0 {
                        continue;
                    }
                } else {
                    current.nelts = index;
                    if after > 0 {
                        let cut = ngx_list_part_t { elts: rest.cast(), nelts: after, next: current.next };
                        current.next = allocator::allocate(cut, &self.pool)?.as_ptr();
                    }
                }
            }
            let next = current.next;
            if current.nelts == 0 && !before.is_null() {
                // SAFETY: `before` is the part that precedes this one.
                unsafe { (*before).next = next };
            } else {
                before = part;
            }
            part = next;
        }
        Ok(())
    }

    /// Adds a part that holds `fresh`.
    fn append(&self, fresh: impl Iterator<Item = Result<ngx_table_elt_t, AllocError>>) -> Result<(), AllocError> {
        // SAFETY: the list is valid, and nobody else uses it meanwhile.
        let list = unsafe { &mut *self.list.as_ptr() };
        let most = fresh.size_hint().1.ok_or(AllocError)?;
        let room = Layout::array::<ngx_table_elt_t>(most).map_err(|_| AllocError)?;
        let elements = Allocator::allocate(&self.pool, room)?.cast::<ngx_table_elt_t>();
        let mut filled = 0;
        for element in fresh.take(most) {
            // SAFETY: there is room for `most` elements.
            unsafe { elements.add(filled).write(element?) };
            filled += 1;
        }
        let part = ngx_list_part_t { elts: elements.as_ptr().cast(), nelts: filled, next: ptr::null_mut() };
        let part = allocator::allocate(part, &self.pool)?;
        // SAFETY: a list that was made has a last part.
        unsafe { (*list.last).next = part.as_ptr() };
        list.last = part.as_ptr();
        // The room of the last part, and of those that nginx adds after it.
        list.nalloc = most;
        Ok(())
    }
}
