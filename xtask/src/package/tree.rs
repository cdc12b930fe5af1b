//! Files and directories that go into a package: written with the rights they are to have, and all of one age.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::sh::{Cmd, Result};

/// A directory whose content becomes an archive. It goes away with this value.
pub(super) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// A new, empty one beside the file that it is for.
    pub(super) fn beside(file: &Path) -> Result<Self> {
        let mut name = file.file_name().unwrap_or_default().to_os_string();
        name.push(".tree");
        let root = file.with_file_name(name);
        empty(&root)?;
        Ok(Self { root })
    }

    /// Where it is.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Adds a file, with the directories that lead to it.
    pub(super) fn add(&self, path: &str, content: &[u8], mode: u32) -> Result<()> {
        let file = self.root.join(path);
        if let Some(directory) = file.parent() {
            fs::create_dir_all(directory).map_err(|error| problem("create", directory, &error))?;
        }
        write(&file, content)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).map_err(|error| problem("change", &file, &error))
    }

    /// Adds a file that is compressed; `.gz` is added to its name.
    pub(super) fn add_compressed(&self, path: &str, content: &[u8]) -> Result<()> {
        self.add(path, content, 0o644)?;
        compress(&self.root.join(path))
    }

    /// Gives everything the time `epoch`, and directories the rights that whoever built this may not have as default.
    pub(super) fn seal(&self, epoch: u64) -> Result<()> {
        Cmd::new("find").arg(&self.root).args(["-type", "d", "-exec", "chmod", "755", "{}", "+"]).shown()?;
        let time = format!("--date=@{epoch}");
        Cmd::new("find").arg(&self.root).args(["-exec", "touch", &time, "{}", "+"]).shown()
    }

    /// Writes it as a tar archive, in the order of the names.
    pub(super) fn tar(&self, epoch: u64, archive: &Path) -> Result<()> {
        self.seal(epoch)?;
        let names = names(&self.root)?;
        Cmd::new("tar")
            .args(["--create", "--format=ustar", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--file"])
            .arg(archive)
            .args(names)
            .dir(&self.root)
            .shown()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // What can't be removed is emptied by the next run.
        fs::remove_dir_all(&self.root).ok();
    }
}

/// Compresses a file; `.gz` is added to its name.
pub(super) fn compress(file: &Path) -> Result<()> {
    // Without name and time in its head.
    Cmd::new("gzip").args(["-9", "-n", "-f", "--"]).arg(file).shown()
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

fn problem(verb: &str, path: &Path, error: &std::io::Error) -> String {
    format!("cannot {verb} {}: {error}", crate::sh::short(path))
}
