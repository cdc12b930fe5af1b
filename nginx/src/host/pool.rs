//! Nginx's memory pools: what is put into one lives, and is dropped, with it.

use core::any::TypeId;
use core::ffi::c_void;
use core::ptr::NonNull;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ngx::allocator::{self, AllocError};
use ngx::core::Pool;
use ngx::ffi::ngx_pool_cleanup_add;

/// Values that a pool keeps. `Pool::allocate` does not do: it writes without a look at what it was given, lets a panic
/// of `drop` into nginx, and what it keeps can't be found again.
pub(crate) trait Keep {
    /// Puts a value into the pool, which drops it at its end.
    fn keep<T: 'static>(&self, value: T) -> Result<NonNull<T>, AllocError>;

    /// The values of type `T` that the pool keeps, the latest first.
    fn kept<T: 'static>(&self) -> impl Iterator<Item = NonNull<T>> + use<Self, T>;
}

/// A value, after the tag that tells its type.
#[repr(C)]
struct Kept<T> {
    tag: Tag,
    value: T,
}

/// What every value begins with, so that it can be told from values of other types.
struct Tag {
    type_id: TypeId,
    /// Drops the whole [`Kept`].
    drop: unsafe fn(NonNull<Tag>),
}

/// Drops a kept value, of whatever type. The pool calls it, and no other value of a pool has it: so what it is to be
/// called with begins with a tag.
unsafe extern "C" fn drop_kept(value: *mut c_void) {
    let Some(mut tag) = NonNull::new(value.cast::<Tag>()) else { return };
    /// No value is of this type.
    enum Dropped {}
    // A panic may not cross into nginx; what is left of the value leaks.
    // SAFETY: the pool calls this once, with what `keep` gave it, and nobody uses the value afterwards: not even who looks
    // for values of its type while the pool ends.
    let _ = catch_unwind(AssertUnwindSafe(|| unsafe {
        tag.as_mut().type_id = TypeId::of::<Dropped>();
        (tag.as_ref().drop)(tag);
    }));
}

impl Keep for Pool {
    fn keep<T: 'static>(&self, value: T) -> Result<NonNull<T>, AllocError> {
        // SAFETY: a tag of this type is the beginning of a `Kept<T>`.
        let tag = Tag { type_id: TypeId::of::<T>(), drop: |tag| unsafe { tag.cast::<Kept<T>>().drop_in_place() } };
        let kept = allocator::allocate(Kept { tag, value }, self)?;
        // SAFETY: the pool is valid.
        let cleanup = unsafe { ngx_pool_cleanup_add(self.as_ptr(), 0).as_mut() };
        let Some(cleanup) = cleanup else {
            // SAFETY: it was written just now, and nobody else has it.
            unsafe { kept.drop_in_place() };
            return Err(AllocError);
        };
        cleanup.data = kept.as_ptr().cast();
        cleanup.handler = Some(drop_kept);
        Ok(value_of(kept))
    }

    fn kept<T: 'static>(&self) -> impl Iterator<Item = NonNull<T>> + use<T> {
        let mut next = self.as_ref().cleanup;
        core::iter::from_fn(move || {
            // SAFETY: the list is nginx's, and ends with null.
            while let Some(cleanup) = unsafe { next.as_ref() } {
                next = cleanup.next;
                let ours = cleanup.handler.is_some_and(|handler| core::ptr::fn_addr_eq(handler, drop_kept as Dropper));
                let tag = NonNull::new(cleanup.data.cast::<Tag>()).filter(|_| ours);
                // SAFETY: what `drop_kept` waits for begins with a tag.
                if let Some(tag) = tag.filter(|tag| unsafe { tag.as_ref() }.type_id == TypeId::of::<T>()) {
                    return Some(value_of(tag.cast()));
                }
            }
            None
        })
    }
}

type Dropper = unsafe extern "C" fn(*mut c_void);

fn value_of<T>(kept: NonNull<Kept<T>>) -> NonNull<T> {
    // SAFETY: it is a whole `Kept<T>`, which the pool keeps.
    unsafe { NonNull::new_unchecked(&raw mut (*kept.as_ptr()).value) }
}
