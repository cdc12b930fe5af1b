//! Where secrets are looked up: in Envoy's environment, and in files, read anew with each configuration.
#![forbid(unsafe_code)]

use std::os::unix::ffi::OsStringExt;

use secure_callbacks::{SecretProblem, SecretSource};

/// What Envoy's process can read. Relative paths are relative to the directory that it was started in.
pub(crate) struct Process;

impl SecretSource for Process {
    fn environment(&self, name: &str) -> Result<Vec<u8>, SecretProblem> {
        std::env::var_os(name).map(OsStringExt::into_vec).ok_or(SecretProblem::VariableNotSet)
    }

    fn file(&self, path: &str) -> Result<Vec<u8>, SecretProblem> {
        std::fs::read(path).map_err(|error| SecretProblem::FileUnreadable(error.to_string()))
    }
}
