//! Nginx's memory pools: what is put into one lives, and is dropped, with it.

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
    fn keep<T>(&self, value: T) -> Result<NonNull<T>, AllocError>;

    /// The values of type `T` that the pool keeps, the latest first.
    ///
    /// No two types may have the same `drop_kept`: `T` must have a `Drop` of its own, which no other type shares.
    fn kept<T>(&self) -> impl Iterator<Item = NonNull<T>> + use<Self, T>;
}

/// What drops a value: its address also tells values of one type from everything else that waits for the pool's end.
type Dropper = unsafe extern "C" fn(*mut c_void);

/// Drops a `T` that a pool kept.
unsafe extern "C" fn drop_kept<T>(value: *mut c_void) {
    // A panic may not cross into nginx; what is left of the value leaks.
    // SAFETY: the pool calls this once, with what `keep` gave it, and nobody uses the value afterwards.
    let _ = catch_unwind(AssertUnwindSafe(|| unsafe { value.cast::<T>().drop_in_place() }));
}

impl Keep for Pool {
    fn keep<T>(&self, value: T) -> Result<NonNull<T>, AllocError> {
        let value = allocator::allocate(value, self)?;
        // SAFETY: the pool is valid.
        let cleanup = unsafe { ngx_pool_cleanup_add(self.as_ptr(), 0).as_mut() };
        let Some(cleanup) = cleanup else {
            // SAFETY: it was written just now, and nobody else has it.
            unsafe { value.drop_in_place() };
            return Err(AllocError);
        };
        cleanup.data = value.as_ptr().cast();
        cleanup.handler = Some(drop_kept::<T> as Dropper);
        Ok(value)
    }

    fn kept<T>(&self) -> impl Iterator<Item = NonNull<T>> + use<T> {
        let mut next = self.as_ref().cleanup;
        core::iter::from_fn(move || {
            // SAFETY: the list is nginx's, and ends with null.
            while let Some(cleanup) = unsafe { next.as_ref() } {
                next = cleanup.next;
                let ours = |handler: Dropper| core::ptr::fn_addr_eq(handler, drop_kept::<T> as Dropper);
                if cleanup.handler.is_some_and(ours) {
                    return NonNull::new(cleanup.data.cast::<T>());
                }
            }
            None
        })
    }
}
