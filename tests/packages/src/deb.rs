//! Packages made for the tests: a later version of ours, and an nginx as another archive would bring it.
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run;

/// The same package under another version.
pub fn with_version(package: &Path, version: &str, directory: &Path) -> Result<PathBuf> {
    let tree = directory.join("later");
    run(Command::new("dpkg-deb").arg("--raw-extract").args([package, &tree]))?;
    let file = tree.join("DEBIAN/control");
    let control = std::fs::read_to_string(&file)?;
    let lines = control.lines().map(|line| match line.strip_prefix("Version: ") {
        Some(_) => format!("Version: {version}\n"),
        None => format!("{line}\n"),
    });
    std::fs::write(&file, lines.collect::<String>())?;
    build(&tree, &directory.join(format!("later_{version}.deb")))
}

/// An nginx package: its version, what it provides, and the files `(path, source)` in it.
pub fn nginx(version: &str, provides: &str, files: &[(&str, &Path)], directory: &Path) -> Result<PathBuf> {
    let tree = directory.join(format!("nginx-{version}"));
    std::fs::create_dir_all(tree.join("DEBIAN"))?;
    // As nginx.org has it: its configuration's folder shows the modules.
    std::fs::create_dir_all(tree.join("etc/nginx"))?;
    std::os::unix::fs::symlink("/usr/lib/nginx/modules", tree.join("etc/nginx/modules"))?;
    for (path, source) in files {
        let path = tree.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(&tree))?;
        std::fs::copy(source, path)?;
    }
    let control = format!(
        "Package: nginx\nVersion: {version}\nArchitecture: all\nMaintainer: Nobody <nobody@localhost>\n\
         Provides: httpd, nginx, {provides}\nConflicts: nginx-common\nReplaces: nginx-common\nDescription: web server\n"
    );
    std::fs::write(tree.join("DEBIAN/control"), control)?;
    build(&tree, &directory.join(format!("nginx_{version}.deb")))
}

fn build(tree: &Path, package: &Path) -> Result<PathBuf> {
    run(Command::new("dpkg-deb").args(["--root-owner-group", "-Znone", "--build"]).args([tree, package]))?;
    std::fs::remove_dir_all(tree)?;
    Ok(package.to_owned())
}
