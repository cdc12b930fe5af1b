//! Secrets as Kubernetes mounts them: links through `..data`, and that link is swapped.
use crate::load::nothing_is_lost;
use crate::runbook;
use crate::site::{ARCHIVE, ARCHIVE_NEXT, Site};
use anyhow::{Result, ensure};
use secure_callbacks_harness::proxy::read_lossy;
use secure_callbacks_harness::tools::ProxyKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Both steps of a rotation by swaps of the link, under load.
pub(crate) fn rotated(kind: ProxyKind) -> Result<()> {
    let site = runbook::enforcing(kind)?;
    let mount = Mount::over(&site)?;
    settle(&site)?;
    nothing_is_lost(&site, &[ARCHIVE], || {
        mount.publish(2, &[ARCHIVE, ARCHIVE_NEXT])?;
        settle(&site)?;
        site.becomes("archive", Some(ARCHIVE_NEXT), 200)
    })?;
    nothing_is_lost(&site, &[ARCHIVE, ARCHIVE_NEXT], || Ok(()))?;
    nothing_is_lost(&site, &[ARCHIVE_NEXT], || {
        mount.publish(3, &[ARCHIVE_NEXT, ARCHIVE_NEXT])?;
        settle(&site)?;
        site.becomes("archive", Some(ARCHIVE), 401)
    })
}

/// Nginx has to be told; Envoy notices.
fn settle(site: &Site) -> Result<()> {
    if site.kind.is_nginx() {
        site.reload()?;
    }
    Ok(())
}

/// The mounted directory.
struct Mount {
    kind: ProxyKind,
    path: PathBuf,
    /// What Envoy's file is made of: the page's own, as it was.
    filter: String,
}

impl Mount {
    /// Makes a mount of the site's directory of secrets, with the same content.
    fn over(site: &Site) -> Result<Self> {
        let path = site.path().join(match site.kind {
            ProxyKind::Envoy => "filters",
            ProxyKind::EnvoyModule => "routes",
            ProxyKind::Nginx(_) => "secrets",
        });
        let file = site.path().join(site.watched());
        if site.kind == ProxyKind::EnvoyModule {
            // The secrets in the same mount, as the page has it.
            std::fs::copy(site.path().join("secrets/session"), path.join("session"))?;
        }
        let filter = read_lossy(&file).replace("file:secrets/", "file:routes/");
        let mount = Self { kind: site.kind, filter, path };
        let names: Vec<_> = std::fs::read_dir(&mount.path)?.map(|file| Ok(file?.file_name())).collect::<Result<_>>()?;
        ensure!(names.len() >= 2, "{names:?}");
        mount.publish(1, &[ARCHIVE, ARCHIVE])?;
        for name in names {
            let aside = mount.path.join("..link");
            symlink(Path::new("..data").join(&name), &aside)?;
            std::fs::rename(aside, mount.path.join(name))?;
        }
        Ok(mount)
    }

    /// Writes a new directory and swaps the link, as the kubelet does; the one before goes away.
    fn publish(&self, version: usize, secrets: &[&str; 2]) -> Result<()> {
        let directory = |version: usize| format!("..{version}");
        let new = self.path.join(directory(version));
        std::fs::create_dir(&new)?;
        // What does not change is in every version too.
        for file in std::fs::read_dir(&self.path)? {
            let file = file?;
            if !file.file_name().to_string_lossy().starts_with("..") {
                std::fs::copy(file.path(), new.join(file.file_name()))?;
            }
        }
        match self.kind {
            ProxyKind::Envoy => {
                let both = format!("\"text:{}\", \"text:{}\"", secrets[0], secrets[1]);
                let filter = self.filter.replace(&format!("\"text:{ARCHIVE}\""), &both);
                std::fs::write(new.join("archive.yaml"), filter)?;
            }
            ProxyKind::EnvoyModule => {
                // A new secret has a new name. The path through `..data` is the new directory's from the swap on.
                let names = [format!("archive-{version}"), format!("archive-{version}-next")];
                for (name, secret) in names.iter().zip(secrets) {
                    std::fs::write(new.join(name), format!("{secret}\n"))?;
                }
                let both = names.map(|name| format!("\"file:routes/..data/{name}\"")).join(", ");
                let routes = self.filter.replace("\"file:routes/archive\"", &both);
                std::fs::write(new.join("callbacks.yaml"), routes)?;
            }
            ProxyKind::Nginx(_) => {
                std::fs::write(new.join("archive"), format!("{}\n", secrets[0]))?;
                std::fs::write(new.join("archive-next"), format!("{}\n", secrets[1]))?;
            }
        }
        symlink(directory(version), self.path.join("..data_tmp"))?;
        std::fs::rename(self.path.join("..data_tmp"), self.path.join("..data"))?;
        if version > 1 {
            std::fs::remove_dir_all(self.path.join(directory(version - 1)))?;
        }
        Ok(())
    }
}
