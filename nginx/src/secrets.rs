//! Where secrets are looked up: in the environment nginx was started with, and in files, both read while the
//! configuration is.
#![forbid(unsafe_code)]

use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::string::ToString;
use std::vec::Vec;

use secure_callbacks::{SecretProblem, SecretSource};

/// The master process's environment and files.
pub(crate) struct MasterProcess<'c> {
    /// What paths are relative to.
    pub(crate) directory: &'c Path,
}

impl SecretSource for MasterProcess<'_> {
    fn environment(&self, name: &str) -> Result<Vec<u8>, SecretProblem> {
        std::env::var_os(name).map(OsStringExt::into_vec).ok_or(SecretProblem::VariableNotSet)
    }

    fn file(&self, path: &str) -> Result<Vec<u8>, SecretProblem> {
        std::fs::read(self.directory.join(path)).map_err(|error| SecretProblem::FileUnreadable(error.to_string()))
    }
}
