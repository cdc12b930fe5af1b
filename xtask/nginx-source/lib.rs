//! Empty: the manifest beside this file only names the crate that carries the nginx sources.
