//! Building for aarch64 on another machine, and running what was built: Rust's target, Debian's cross compiler and
//! libraries, and QEMU, which emulates the processor for one program at a time. Nothing of the machine's own is changed:
//! its package system still knows the one architecture.

use std::env::consts::ARCH;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{env, fs};

use secure_callbacks_proxies::Machine;

use crate::setup::{self, Problem};
use crate::sh::{self, Cmd, Result};
use crate::suite::Suite;

/// The target, as Rust calls it.
pub(crate) const TARGET: &str = "aarch64-unknown-linux-gnu";

/// The architecture, as Debian calls it.
pub(crate) const DEBIAN: &str = "arm64";

/// What a machine is called by images and by Debian.
pub(crate) fn architecture(machine: Machine) -> &'static str {
    match (machine, ARCH) {
        (Machine::Aarch64, _) | (Machine::This, "aarch64") => DEBIAN,
        (Machine::This, "x86_64") => "amd64",
        (Machine::This, other) => other,
    }
}

/// The packages of this machine's own architecture, and what tells that they are there.
const PACKAGES: [(&str, &str); 3] = [
    ("gcc-aarch64-linux-gnu", "/usr/bin/aarch64-linux-gnu-gcc"),
    ("libc6-dev-arm64-cross", "/usr/aarch64-linux-gnu/include/stdio.h"),
    ("qemu-user", "/usr/bin/qemu-aarch64"),
];

/// The compiler that cargo and nginx's `configure` call. What `configure` links it also runs, which takes the emulator.
const CC: &str = r#"#!/bin/sh
# Compiles for aarch64, with the libraries beside. What nginx's `configure` links becomes a script that has it emulated.
root=$(dirname "$0")/../root/usr
machine=aarch64-linux-gnu
$machine-gcc -I"$root/include" -I"$root/include/$machine" -L"$root/lib/$machine" "$@" || exit
for word; do
    program=${word%.c}
    case $word in
    */autotest.c)
        [ -x "$program" ] || continue
        mv "$program" "$program.$machine"
        printf '#!/bin/sh\nexec qemu-aarch64 -L "%s/.." "%s" "$@"\n' "$root" "$program.$machine" > "$program"
        chmod +x "$program"
        ;;
    esac
done
"#;

/// What `configure` asks for the machine.
const UNAME: &str = r#"#!/bin/sh
# Says of the machine that it is the one that is compiled for.
[ "$1" = -m ] || exec /bin/uname "$@"
echo aarch64
"#;

/// `None`: all of it is there. Otherwise what is missing, in words.
pub(crate) fn missing() -> Option<String> {
    let target = (!setup::has_target(TARGET)).then_some(TARGET);
    let libraries = (!is_written("cc", CC) || !is_written("uname", UNAME)).then_some("libraries for arm64");
    let missing: Vec<_> = target.into_iter().chain(missing_packages()).chain(libraries).collect();
    (!missing.is_empty()).then(|| missing.join(" "))
}

/// Gets it. What can't be had from here is no fault.
pub(crate) fn get() -> std::result::Result<(), Problem> {
    if ARCH == "aarch64" {
        return Err(Problem::OutOfReach(
            "this machine is an aarch64 itself: all that is built here is for that".into(),
        ));
    }
    setup::add_target(TARGET).map_err(Problem::OutOfReach)?;
    setup::install_packages(&missing_packages()).map_err(Problem::OutOfReach)?;
    let libraries = Suite::libraries()?;
    if !libraries.is_downloaded() {
        libraries.download().map_err(Problem::OutOfReach)?;
    }
    libraries.unpack()?;
    // Last, so that an interrupted setup starts over.
    write_script(&programs().join("cc"), CC)?;
    write_script(&programs().join("uname"), UNAME)?;
    Ok(())
}

fn missing_packages() -> Vec<&'static str> {
    PACKAGES.into_iter().filter_map(|(package, file)| (!Path::new(file).exists()).then_some(package)).collect()
}

fn is_written(program: &str, text: &str) -> bool {
    fs::read_to_string(programs().join(program)).is_ok_and(|found| found == text)
}

/// Where libraries and headers for it are unpacked.
pub(crate) fn home() -> PathBuf {
    sh::target().join("tools").join("aarch64")
}

fn programs() -> PathBuf {
    home().join("bin")
}

/// A cargo command that is to be about this machine.
pub(crate) fn cargo(machine: Machine, command: Cmd) -> Cmd {
    if machine == Machine::This {
        return command;
    }
    let include = home().join("root/usr/include");
    let include = format!("-I{0} -I{0}/aarch64-linux-gnu", include.display());
    command
        .args(["--target", TARGET])
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", programs().join("cc"))
        .env("CC_aarch64_unknown_linux_gnu", programs().join("cc"))
        .env("BINDGEN_EXTRA_CLANG_ARGS_aarch64_unknown_linux_gnu", include)
}

/// Where in its target directory cargo puts what it made for this machine.
pub(crate) fn release(machine: Machine, target: &Path) -> PathBuf {
    match machine {
        Machine::This => target.join("release"),
        Machine::Aarch64 => target.join(TARGET).join("release"),
    }
}

/// A program of the compiler's, such as `strip`.
pub(crate) fn tool(machine: Machine, name: &str) -> Cmd {
    match machine {
        Machine::This => Cmd::new(name),
        Machine::Aarch64 => Cmd::new(format!("aarch64-linux-gnu-{name}")),
    }
}

/// Where `dpkg-shlibdeps` has to look for the libraries of another machine, in its own words: it knows only packages that
/// are installed. These are laid out in `directory`.
pub(crate) fn libraries(machine: Machine, directory: &Path) -> Result<String> {
    if machine == Machine::This {
        return Ok(String::new());
    }
    fs::create_dir_all(directory).map_err(|error| format!("cannot create {}: {error}", directory.display()))?;
    let mut words = Vec::new();
    for package in Suite::libraries()?.files()? {
        let name = package.file_stem().unwrap_or_default();
        // Those have no libraries of their own.
        if !name.to_string_lossy().contains("-dev_") {
            let place = directory.join(name);
            Cmd::new("dpkg-deb").arg("--raw-extract").args([&package, &place]).output()?;
            words.push(format!("-S{}", place.display()));
        }
    }
    Ok(words.join(" "))
}

/// A command that compiles nginx, or prepares that.
pub(crate) fn nginx(machine: Machine, command: Cmd) -> Cmd {
    if machine == Machine::This {
        return command;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let paths = [programs()].into_iter().chain(env::split_paths(&path));
    command
        .env("PATH", env::join_paths(paths).unwrap_or(path))
        // Debian's own flags for `configure` are made of these.
        .env("DEB_HOST_ARCH", DEBIAN)
        .env("DEB_HOST_GNU_CPU", "aarch64")
}

/// Writes the script that has a program emulated, with the libraries below `root`.
pub(crate) fn write_emulated(script: &Path, root: &Path, program: &Path) -> Result<()> {
    let tools = sh::target().join("tools");
    let [root, program] = [root, program].map(|path| path.strip_prefix(&tools).unwrap_or(path).display());
    write_script(
        script,
        &format!(
            "#!/bin/sh\n# Runs a program for aarch64.\ntools=$(dirname \"$0\")/..\n\
             exec qemu-aarch64 -L \"$tools/{root}\" \"$tools/{program}\" \"$@\"\n"
        ),
    )
}

/// Writes a file that can be executed.
pub(crate) fn write_script(file: &Path, text: &str) -> Result<()> {
    let problem = |error| format!("cannot write {}: {error}", file.display());
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory).map_err(problem)?;
    }
    fs::write(file, text).map_err(problem)?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).map_err(problem)
}
