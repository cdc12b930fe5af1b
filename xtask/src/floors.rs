//! No file imports what imports it. Each crate of the product is a stack of floors: who reads one file must be able to
//! stop at those below it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

use crate::sh::{self, Result};

/// The crates of the product, by their folders.
const CRATES: [&str; 6] = ["src", "store/src", "envoy/src", "envoy/wasm/src", "envoy/module/src", "nginx/src"];

/// The rooms of the core, the lowest floor first. A room imports from its own floor and from those below.
const CORE: [&[&str]; 6] = [
    &["time", "code", "claim", "secret", "names", "fault"],
    &["problem", "payload", "token", "replay"],
    &["source", "certificate", "identity", "reply"],
    &["policy", "lifetime", "verdict", "settlement", "interim"],
    &["verifier", "conclusion", "record"],
    &["callback"],
];

/// The one import against the order: nginx finds everything through a table, which names the hooks, and a hook finds its
/// own data by that table's address.
const NAMED_HOOKS: (&str, &str) = ("nginx/src/module.rs", "nginx/src/hooks/");

/// Which file imports which others.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// Reads every crate; the error shows one circle for each file that is in any.
pub(crate) fn check() -> Result<()> {
    let (mut files, mut found) = (0, Vec::new());
    for directory in CRATES {
        let mut imports = imports(&sh::root(), Path::new(directory))?;
        if let Some(named) = imports.get_mut(NAMED_HOOKS.0) {
            named.retain(|file| !file.starts_with(NAMED_HOOKS.1));
        }
        files += imports.len();
        found.extend(circles(&imports));
        let rooms = rooms(&imports, directory);
        found.extend(circles(&rooms));
        if directory == CRATES[0] {
            found.extend(upwards(&rooms, &CORE, directory));
        }
    }
    if !found.is_empty() {
        // All of them here: the end of the run has room for a few.
        found.iter().for_each(|circle| println!("{circle}"));
        return Err(format!("{} imports against the order of floors:\n  {}", found.len(), found.join("\n  ")));
    }
    println!("{files} files of {}: none imports what imports it", CRATES.join(", "));
    Ok(())
}

fn imports(root: &Path, directory: &Path) -> Result<Imports> {
    let mut modules = BTreeMap::new();
    find(&root.join(directory), &mut Vec::new(), &mut modules)?;
    let name = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
    let mut imports = Imports::new();
    for (module, path) in &modules {
        let text = fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let targets = paths(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        let targets = targets.into_iter().filter_map(|target| modules.get(file_of(module, &target, &modules)?));
        imports.insert(name(path), targets.filter(|target| *target != path).map(|target| name(target)).collect());
    }
    Ok(imports)
}

/// The modules under a folder, each by its path from the crate's root.
fn find(directory: &Path, module: &mut Vec<String>, modules: &mut BTreeMap<Vec<String>, PathBuf>) -> Result<()> {
    let problem = |error: std::io::Error| format!("cannot read {}: {error}", directory.display());
    for entry in fs::read_dir(directory).map_err(problem)? {
        let path = entry.map_err(problem)?.path();
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() {
            module.push(stem);
            find(&path, module, modules)?;
            module.pop();
        } else if path.extension().is_some_and(|extension| extension == "rs") && stem != "tests" {
            let mut module = module.clone();
            if !["lib", "mod"].contains(&stem.as_str()) {
                module.push(stem);
            }
            modules.insert(module, path);
        }
    }
    Ok(())
}

/// The module in whose file a path ends that `module` names; `None`: in another crate.
fn file_of<'m>(
    module: &[String],
    path: &[String],
    modules: &'m BTreeMap<Vec<String>, PathBuf>,
) -> Option<&'m Vec<String>> {
    let mut target = match path.first()?.as_str() {
        "crate" => Vec::new(),
        "self" | "super" => module.to_vec(),
        child => [module, &[child.into()]].concat(),
    };
    // A path without such a word begins at a module inside this one, or in another crate.
    if !matches!(path.first()?.as_str(), "crate" | "self" | "super") {
        modules.get(&target)?;
    }
    for step in path.iter().skip(usize::from(path.first()? != "super")) {
        match step.as_str() {
            "super" => drop(target.pop()),
            "self" => {}
            name => target.push(name.into()),
        }
    }
    while !modules.contains_key(&target) {
        target.pop()?;
    }
    modules.get_key_value(&target).map(|(module, _)| module)
}

/// Every path that a file names, outside its tests.
fn paths(source: &str) -> syn::Result<Vec<Vec<String>>> {
    let mut paths = Paths::default();
    paths.visit_file(&syn::parse_file(source)?);
    Ok(paths.0)
}

#[derive(Default)]
struct Paths(Vec<Vec<String>>);

impl Paths {
    fn add(&mut self, before: &[String], tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => self.add(&[before, &[path.ident.to_string()]].concat(), &path.tree),
            syn::UseTree::Name(name) => self.0.push([before, &[name.ident.to_string()]].concat()),
            syn::UseTree::Rename(name) => self.0.push([before, &[name.ident.to_string()]].concat()),
            syn::UseTree::Glob(_) => self.0.push(before.to_vec()),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.add(before, tree)),
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        // One word alone is something of this file's own, or imported by it.
        if names.len() > 1 {
            self.0.push(names);
        }
        visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let is_test = |attribute: &syn::Attribute| {
            attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|word| word == "test")
        };
        if !item.attrs.iter().any(is_test) {
            visit::visit_item_mod(self, item);
        }
    }

    /// `pub(in crate::…)` is no import.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
}

/// The same of whole rooms, which are what lies directly in a crate's folder: a file, or a folder with all that is in it.
fn rooms(imports: &Imports, directory: &str) -> Imports {
    let room = |file: &str| {
        let inside = file.strip_prefix(directory).unwrap_or(file).trim_start_matches('/');
        let name = inside.split_once('/').map_or(inside, |(folder, _)| folder);
        format!("{directory}/{}", name.trim_end_matches(".rs"))
    };
    let mut rooms = Imports::new();
    for (file, targets) in imports {
        let own = room(file);
        let others: BTreeSet<_> = targets.iter().map(|target| room(target)).filter(|other| *other != own).collect();
        rooms.entry(own).or_default().extend(others);
    }
    rooms
}

/// Imports from a higher floor, and rooms that are on none.
fn upwards(rooms: &Imports, floors: &[&[&str]], directory: &str) -> Vec<String> {
    let floor = |room: &str| {
        let name = room.strip_prefix(directory).unwrap_or(room).trim_start_matches('/');
        floors.iter().position(|floor| floor.contains(&name))
    };
    let mut found = Vec::new();
    // The crate's root hands on what is in it, and is imported by nobody.
    for (room, targets) in rooms.iter().filter(|(room, _)| !room.ends_with("/lib")) {
        match floor(room) {
            None => found.push(format!("{room} is on no floor (xtask/src/floors.rs)")),
            own => found.extend(
                targets.iter().filter(|target| floor(target) > own).map(|target| format!("{room} → {target}, upwards")),
            ),
        }
    }
    found
}

/// For each file that imports itself by way of others, the shortest such way; each circle once.
fn circles(imports: &Imports) -> Vec<String> {
    let mut found = BTreeMap::new();
    for start in imports.keys() {
        if let Some(circle) = shortest(imports, start) {
            let files: BTreeSet<_> = circle.iter().cloned().collect();
            found.entry(files).or_insert_with(|| circle.join(" → "));
        }
    }
    found.into_values().collect()
}

fn shortest(imports: &Imports, start: &str) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut ways = vec![vec![start.to_owned()]];
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in way.last().and_then(|file| imports.get(file)).into_iter().flatten() {
                let further = [way.as_slice(), std::slice::from_ref(next)].concat();
                if next == start {
                    return Some(further);
                }
                if seen.insert(next) {
                    longer.push(further);
                }
            }
        }
        ways = longer;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crate_of(files: &[(&str, &str)]) -> Imports {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join("src").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        imports(folder.path(), Path::new("src")).unwrap()
    }

    #[test]
    fn a_circle_is_found_and_shown() {
        for (files, circle) in [
            // By `use`, by a path in the code, by a group, by a glob.
            (
                vec![("a.rs", "use crate::b::B;"), ("b.rs", "fn f() { crate::a::f() }")],
                "src/a.rs → src/b.rs → src/a.rs",
            ),
            (
                vec![
                    ("a.rs", "use crate::{b::{self}, d};"),
                    ("b.rs", "use super::c::*;"),
                    ("c.rs", "use crate::a as x;"),
                ],
                "src/a.rs → src/b.rs → src/c.rs → src/a.rs",
            ),
            // A folder that hands on what is in it, and a room that takes it back from the folder.
            (
                vec![("a/mod.rs", "mod b; pub use b::B;"), ("a/b.rs", "use super::C;")],
                "src/a/b.rs → src/a/mod.rs → src/a/b.rs",
            ),
            (
                vec![("a.rs", "mod b; pub use self::b::B;"), ("a/b.rs", "use crate::a::C;")],
                "src/a/b.rs → src/a.rs → src/a/b.rs",
            ),
            (vec![("lib.rs", "pub use a::A;"), ("a.rs", "fn f(_: crate::A) {}")], "src/a.rs → src/lib.rs → src/a.rs"),
        ] {
            let found = circles(&crate_of(&files));
            let normal = |text: &str| text.split(" → ").map(str::to_owned).collect::<BTreeSet<_>>();
            assert!(matches!(found.as_slice(), [one] if normal(one) == normal(circle)), "{found:?} for {circle}");
        }
    }

    #[test]
    fn rooms_that_need_each_other_are_found() {
        let files =
            [("a/b.rs", "use crate::c::d::D;"), ("c/d.rs", ""), ("c/e.rs", "use crate::a::f::F;"), ("a/f.rs", "")];
        let imports = crate_of(&files);
        assert_eq!(circles(&imports), Vec::<String>::new());
        assert_eq!(circles(&rooms(&imports, "src")), ["src/a → src/c → src/a"]);
    }

    #[test]
    fn an_import_from_a_higher_floor_is_found() {
        let imports =
            crate_of(&[("a.rs", "use crate::b::B;"), ("b.rs", ""), ("c/mod.rs", "use crate::a;"), ("d.rs", "")]);
        let rooms = rooms(&imports, "src");
        assert_eq!(upwards(&rooms, &[&["b"], &["a", "d"], &["c"]], "src"), Vec::<String>::new());
        assert_eq!(upwards(&rooms, &[&["a", "b"], &["d", "c"]], "src"), Vec::<String>::new());
        let found = upwards(&rooms, &[&["a"], &["b", "c"]], "src");
        assert_eq!(found, ["src/a → src/b, upwards", "src/d is on no floor (xtask/src/floors.rs)"]);
    }

    #[test]
    fn what_is_in_order_passes() {
        for files in [
            vec![("a.rs", "use crate::b::B; use std::c::D;"), ("b.rs", "use core::fmt;"), ("c.rs", "use crate::a;")],
            vec![("a/mod.rs", "pub mod b; pub use b::B; mod c;"), ("a/b.rs", "use super::c::C;"), ("a/c.rs", "")],
            // A test may look at what is above it, and a module declares what it is made of.
            vec![("a.rs", "use crate::b;"), ("b.rs", "#[cfg(test)] mod tests { use crate::a; }")],
            vec![
                ("a.rs", "mod b;"),
                ("a/b.rs", "pub(in crate::a) fn f() { let a = super::super::c::f; }"),
                ("c.rs", ""),
            ],
        ] {
            assert_eq!(circles(&crate_of(&files)), Vec::<String>::new(), "{files:?}");
        }
    }
}
