//! Where the instances of one test program keep their configurations and logs: `target/harness/<pid>/`.
use crate::tools;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long the logs of a failed run stay.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// A directory of its own for one instance. [`finish`] decides what becomes of it.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// A new, empty one.
    pub fn new(name: &str) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        static FIRST: Once = Once::new();
        FIRST.call_once(remove_old);
        let path = ours().join(format!("{}-{name}", NEXT.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.0.join(name);
        std::fs::write(&path, content)?;
        Ok(path)
    }
}

/// To be called at the end of a test program: removes all directories of a run that went well, and says where those of
/// a failed run are.
pub fn finish(failed: bool) {
    if failed && ours().exists() {
        println!("configurations and logs of this run: {}", ours().display());
    } else {
        let _ = std::fs::remove_dir_all(ours());
    }
}

fn ours() -> PathBuf {
    all().join(std::process::id().to_string())
}

fn all() -> PathBuf {
    tools::target().join("harness")
}

/// Removes what earlier runs left, once it is old.
fn remove_old() {
    let Ok(entries) = std::fs::read_dir(all()) else { return };
    for entry in entries.flatten() {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified.ok().and_then(|time| time.elapsed().ok());
        let runs = Path::new("/proc").join(entry.file_name()).exists();
        if age.is_some_and(|age| age > KEPT) && !runs {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
