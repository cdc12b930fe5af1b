//! Packages made for the tests: ours and nginx's as later versions, an nginx as another archive would bring it, and archives.
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run;

/// The same package under another version.
pub fn with_version(package: &Path, version: &str, directory: &Path) -> Result<PathBuf> {
    let now = field(package, "Version")?;
    rebuilt(package, &[(&now, version)], None, &directory.join(format!("later_{version}.deb")))
}

/// What a program or a module for nginx says of the layout that it was compiled with; nginx loads no module that says
/// otherwise.
pub const SIGNATURE: &str = "8,4,8,00";

/// The same package with other words in its control file, and another signature in its one program or module.
pub fn rebuilt(package: &Path, words: &[(&str, &str)], signature: Option<&str>, file: &Path) -> Result<PathBuf> {
    let tree = file.with_extension("tree");
    run(Command::new("dpkg-deb").arg("--raw-extract").args([package, &tree]))?;
    let control = tree.join("DEBIAN/control");
    let mut text = std::fs::read_to_string(&control)?;
    for (from, to) in words {
        ensure!(text.contains(from), "{} does not speak of {from}", package.display());
        text = text.replace(from, to);
    }
    std::fs::write(&control, text)?;
    if let Some(signature) = signature {
        assert_eq!(signature.len(), SIGNATURE.len());
        let found = run(Command::new("grep").args(["-rlaF", SIGNATURE]).arg(tree.join("usr")))?.stdout;
        let found = String::from_utf8_lossy(&found);
        ensure!(found.lines().count() == 1, "not one file with a signature: {found}");
        run(Command::new("sed").arg("-i").arg(format!("s/{SIGNATURE}/{signature}/g")).arg(found.trim()))?;
        // Otherwise they tell of the file as it was.
        std::fs::remove_file(tree.join("DEBIAN/md5sums"))?;
    }
    build(&tree, file)
}

/// A field of a package's control file.
pub fn field(package: &Path, name: &str) -> Result<String> {
    let said = run(Command::new("dpkg-deb").arg("--field").arg(package).arg(name))?.stdout;
    Ok(String::from_utf8_lossy(&said).trim().to_owned())
}

/// The binary interface of nginx that this package names, in one of its fields.
pub fn interface(package: &Path, name: &str) -> Result<String> {
    let value = field(package, name)?;
    let found = value.split([',', ' ']).find(|word| word.starts_with("nginx-abi-"));
    found.map(str::to_owned).with_context(|| format!("{} names none: {value}", package.display()))
}

/// Adds packages of a directory to its list, by which apt takes it for an archive.
pub fn index(directory: &Path, packages: &[PathBuf]) -> Result<()> {
    let list = directory.join("Packages");
    let mut text = std::fs::read_to_string(&list).unwrap_or_default();
    for package in packages {
        let name = package.file_name().unwrap_or_default();
        let said = run(Command::new("dpkg-scanpackages").arg(name).current_dir(directory))?.stdout;
        for line in String::from_utf8_lossy(&said).lines() {
            // It names the place on this machine, and the archive's is another.
            let place = line.starts_with("Filename: ").then(|| format!("Filename: ./{}", name.display()));
            text.push_str(&place.unwrap_or_else(|| line.to_owned()));
            text.push('\n');
        }
    }
    Ok(std::fs::write(list, text)?)
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
