//! The body of a request that nginx has read, as chunks of bytes: from memory, or from the temporary file.

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;
use std::vec::Vec;

use core::slice;

use ngx::ffi::{ngx_buf_t, ngx_chain_t};

use super::bits::{self, Bytes};

/// How much of a temporary file is in memory at once.
const STEP: usize = 64 * 1024;

/// Why a body can't be given.
pub(crate) enum ReadError<E> {
    /// It can't be read: a fault of ours.
    Io(io::Error),
    /// Whoever takes the chunks had enough.
    Stopped(E),
}

/// The bytes of a buffer in memory. `MemoryBuffer` would make a slice of null, and panic at an end before the start.
///
/// # Safety
/// `buf` is in memory and one of nginx's.
unsafe fn bytes(buf: &ngx_buf_t) -> &[u8] {
    let (first, end) = (buf.pos, buf.last);
    if first.is_null() || end <= first {
        return &[];
    }
    // SAFETY: from `pos` to `last` the buffer is filled.
    unsafe { slice::from_raw_parts(first, usize::try_from(end.offset_from(first)).unwrap_or(0)) }
}

/// The buffers of a chain.
///
/// # Safety
/// `chain` is null or one of nginx's, and stays as it is meanwhile.
unsafe fn buffers<'b>(chain: *const ngx_chain_t) -> impl Iterator<Item = &'b ngx_buf_t> {
    let mut link = chain;
    core::iter::from_fn(move || {
        // SAFETY: links are nginx's, and the last one's `next` is null.
        let current = unsafe { link.as_ref() }?;
        link = current.next;
        // SAFETY: so are their buffers.
        unsafe { current.buf.as_ref() }
    })
}

/// How many bytes the buffers of a chain hold in memory.
///
/// # Safety
/// As for [`read`].
pub(crate) unsafe fn length(chain: *const ngx_chain_t) -> u64 {
    // SAFETY: as the caller vouches.
    let buffers = unsafe { buffers(chain) }.filter(|buf| bits::bytes_of(buf) == Bytes::Memory);
    // SAFETY: they are in memory.
    buffers.map(|buf| u64::try_from(unsafe { bytes(buf) }.len()).unwrap_or(u64::MAX)).fold(0, u64::saturating_add)
}

/// Gives the bytes of a chain to `take`, piece by piece.
///
/// # Safety
/// `chain` is null or one of nginx's, and nobody changes it meanwhile.
pub(crate) unsafe fn read<E>(
    chain: *const ngx_chain_t,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), ReadError<E>> {
    // SAFETY: as the caller vouches.
    for buf in unsafe { buffers(chain) } {
        match bits::bytes_of(buf) {
            // SAFETY: it is in memory.
            Bytes::Memory => take(unsafe { bytes(buf) }).map_err(ReadError::Stopped)?,
            Bytes::File => {
                // SAFETY: a buffer in a file names it, open.
                let file = unsafe { buf.file.as_ref() }.ok_or(ReadError::Io(io::ErrorKind::NotFound.into()))?;
                // SAFETY: the descriptor is open, and stays nginx's: `ManuallyDrop` does not close it.
                let file = ManuallyDrop::new(unsafe { File::from_raw_fd(file.fd) });
                let offset =
                    |position| u64::try_from(position).map_err(|_| ReadError::Io(io::ErrorKind::InvalidData.into()));
                read_file(&file, offset(buf.file_pos)?, offset(buf.file_last)?, &mut take)?;
            }
            Bytes::None => {}
            // What can't be hashed can't be vouched for.
            Bytes::Unknown => return Err(ReadError::Io(io::ErrorKind::Unsupported.into())),
        }
    }
    Ok(())
}

fn read_file<E>(
    file: &File,
    mut position: u64,
    end: u64,
    take: &mut impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), ReadError<E>> {
    let mut buffer = Vec::new();
    while position < end {
        let left = usize::try_from(end - position).unwrap_or(STEP);
        buffer.resize(left.min(STEP), 0);
        // Goes on after an interruption and a short read; a file that ends too soon is an error.
        file.read_exact_at(&mut buffer, position).map_err(ReadError::Io)?;
        take(&buffer).map_err(ReadError::Stopped)?;
        position = position.saturating_add(u64::try_from(buffer.len()).unwrap_or(u64::MAX));
    }
    Ok(())
}
