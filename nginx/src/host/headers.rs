//! Header fields: those of a request, read and replaced, and those of an answer.

use core::ptr::NonNull;
use core::slice;

use ngx::allocator::AllocError;
use ngx::core::{NgxStr, Pool};
use ngx::ffi::{ngx_list_push, ngx_list_t, ngx_str_t, ngx_table_elt_t, ngx_uint_t};

use secure_callbacks::names::is_identity_header;

use super::list::{self, HeaderList};

/// A string of nginx's over bytes that the caller keeps alive for as long as nginx reads them. Nginx never writes to a
/// header's bytes in place.
pub(crate) fn over(bytes: &[u8]) -> ngx_str_t {
    ngx_str_t { len: bytes.len(), data: bytes.as_ptr().cast_mut() }
}

/// A field's name, made when the module is compiled.
#[derive(Clone, Copy)]
pub(crate) struct Name {
    lower_case: &'static str,
    /// `ngx_hash_key`, by which nginx's tables of names know a request's header.
    hash: ngx_uint_t,
}

impl Name {
    pub(crate) const fn new(lower_case: &'static str) -> Self {
        let (mut hash, mut rest): (ngx_uint_t, _) = (0, lower_case.as_bytes());
        while let [byte, after @ ..] = rest {
            hash = hash.wrapping_mul(31).wrapping_add(*byte as ngx_uint_t);
            rest = after;
        }
        Self { lower_case, hash }
    }

    /// The hash of an answer's field: nginx leaves out those with 0, and asks nothing else of it.
    pub(super) const fn of_answer(lower_case: &'static str) -> Self {
        Self { lower_case, hash: 1 }
    }
}

/// The values of the fields with this name, which is in lower case.
///
/// # Safety
/// `list` is a request's list of fields, and stays as it is meanwhile.
pub(super) unsafe fn values<'l>(list: &'l ngx_list_t, lower_case: &'l [u8]) -> impl Iterator<Item = &'l [u8]> {
    let is_named = move |field: &&ngx_table_elt_t| {
        let (name, length) = (field.key, field.key.len);
        if length != lower_case.len() {
            return false;
        }
        // Nginx keeps each name in lower case too; what another module added may lack that.
        if field.lowcase_key.is_null() {
            // SAFETY: the string is nginx's.
            return unsafe { NgxStr::from_ngx_str(name) }.as_bytes().eq_ignore_ascii_case(lower_case);
        }
        // SAFETY: it is as long as the name.
        unsafe { slice::from_raw_parts(field.lowcase_key, length) == lower_case }
    };
    // SAFETY: as the caller vouches; the strings are nginx's.
    unsafe { list::elements(list).filter(is_named).map(|field| NgxStr::from_ngx_str(field.value).as_bytes()) }
}

/// Takes out every field that an application would take for an identity header, and adds those of `names` that have a
/// value. At least one must have one.
pub(crate) fn replace_identity<const N: usize>(
    list: &HeaderList,
    pool: &Pool,
    names: &[Name; N],
    values: [&str; N],
) -> Result<(), AllocError> {
    let with_value = names.iter().zip(values).filter(|(_, value)| !value.is_empty());
    let fresh = with_value.map(|(name, value)| {
        // SAFETY: the pool is valid.
        let value = unsafe { ngx_str_t::from_bytes(pool.as_ptr(), value.as_bytes()) }.ok_or(AllocError)?;
        Ok(field(*name, value))
    });
    let goes = |old: &ngx_table_elt_t| {
        // SAFETY: the element is nginx's, and so is its string.
        is_identity_header(unsafe { NgxStr::from_ngx_str(old.key) }.as_bytes())
    };
    list.replace(goes, fresh)
}

/// A field as nginx has them.
///
/// `ngx`'s own way to add one (`add_header_in`, `add_header_out`) leaves what was in the memory before in `next`, which
/// later versions of nginx follow.
pub(super) fn field(name: Name, value: ngx_str_t) -> ngx_table_elt_t {
    // SAFETY: all zero is a valid element.
    let mut field: ngx_table_elt_t = unsafe { core::mem::zeroed() };
    field.key = over(name.lower_case.as_bytes());
    field.lowcase_key = field.key.data;
    field.hash = name.hash;
    field.value = value;
    field
}

/// Puts a field into an answer's list, which nginx made with `ngx_list_init`.
///
/// # Safety
/// `list` is an answer's list of fields.
pub(super) unsafe fn push(
    list: *mut ngx_list_t,
    field: ngx_table_elt_t,
) -> Result<NonNull<ngx_table_elt_t>, AllocError> {
    // SAFETY: as the caller vouches.
    let element = NonNull::new(unsafe { ngx_list_push(list) }).ok_or(AllocError)?.cast::<ngx_table_elt_t>();
    // SAFETY: nginx made room for one element.
    unsafe { element.write(field) };
    Ok(element)
}
