//! Files that go into a package, and archives of them that are the same bytes wherever they are made.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::sh::Result;

/// Files by their paths in an archive.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// A tar archive of the files and of the directories that lead to them, in the order of their names and all of one age.
pub(super) fn archive(files: &Files, epoch: u64) -> Result<Vec<u8>> {
    let mut entries = BTreeMap::new();
    for (path, content) in files {
        let directories = path.match_indices('/').filter_map(|(end, _)| path.get(..=end));
        entries.extend(directories.map(|directory| (directory, [].as_slice())));
        entries.insert(path, content);
    }
    let mut archive = Builder::new(Vec::new());
    for (path, content) in entries {
        let mut header = Header::new_ustar();
        let is_directory = path.ends_with('/');
        header.set_entry_type(if is_directory { EntryType::Directory } else { EntryType::Regular });
        header.set_mode(if is_directory { 0o755 } else { 0o644 });
        header.set_size(content.len() as u64);
        header.set_mtime(epoch);
        header.set_uid(0);
        header.set_gid(0);
        archive.append_data(&mut header, path, content).map_err(|error| format!("cannot pack {path}: {error}"))?;
    }
    archive.into_inner().map_err(|error| format!("cannot pack: {error}"))
}

/// In gzip's form, without a name and a time in its head.
pub(super) fn compress(content: &[u8]) -> Result<Vec<u8>> {
    let mut compressed = GzBuilder::new().write(Vec::new(), Compression::best());
    let written = compressed.write_all(content).and_then(|()| compressed.finish());
    written.map_err(|error| format!("cannot compress: {error}"))
}

/// The SHA-256 in hex.
pub(super) fn digest(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

/// Makes a directory, or removes what is in it.
pub(super) fn empty(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).map_err(|error| problem("remove", directory, &error))?;
    }
    fs::create_dir_all(directory).map_err(|error| problem("create", directory, &error))
}

/// The names in a directory, sorted.
pub(super) fn names(directory: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(directory).map_err(|error| problem("read", directory, &error))?;
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// A whole file.
pub(super) fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).map_err(|error| problem("read", file, &error))
}

/// A whole file of text.
pub(super) fn read_text(file: &Path) -> Result<String> {
    fs::read_to_string(file).map_err(|error| problem("read", file, &error))
}

/// Writes a file.
pub(super) fn write(file: &Path, content: &[u8]) -> Result<()> {
    fs::write(file, content).map_err(|error| problem("write", file, &error))
}

/// Removes a file.
pub(super) fn remove(file: &Path) -> Result<()> {
    fs::remove_file(file).map_err(|error| problem("remove", file, &error))
}

fn problem(verb: &str, path: &Path, error: &std::io::Error) -> String {
    format!("cannot {verb} {}: {error}", crate::sh::short(path))
}
