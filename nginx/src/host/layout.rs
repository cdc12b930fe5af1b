//! The proof that the bindings have nginx's structures where nginx has them: assertions about the bindings with the
//! numbers of the C compiler, written by the build script (`build/layout.rs`). It fails at compile time or not at all.

/// The size of one field.
const fn size_of_field<S, F>(_: fn(&S) -> &F) -> usize {
    size_of::<F>()
}

include!(concat!(env!("OUT_DIR"), "/layout.rs"));
