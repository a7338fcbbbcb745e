//! No file needs another one that needs the first, directly or through others.
//!
//! A child may use what its parent defines, and a parent its children: those edges do not count. What a parent re-exports
//! counts as an edge to the file that defines it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::code_of;

/// The path of a module inside its crate; empty for the root.
type Module = Vec<String>;

/// The files of one crate, and what each of them imports.
struct Crate {
    imports: BTreeMap<Module, Vec<Import>>,
}

/// A path that a file names, and the name that it has there.
struct Import {
    path: Vec<String>,
    name: String,
}

impl Crate {
    /// Reads the files below a folder. Unit tests are left out, because they may use what they like.
    fn read(folder: &str) -> Self {
        fn walk(folder: &Path, module: &Module, imports: &mut BTreeMap<Module, Vec<Import>>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
                let is_root = module.is_empty() && ["lib", "main"].contains(&name.as_str());
                let module = if is_root {
                    Module::new()
                } else {
                    [module.as_slice(), std::slice::from_ref(&name)].concat()
                };
                if name == "tests" {
                    continue;
                }
                if path.is_dir() {
                    walk(&path, &module, imports);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    imports.entry(module).or_default().extend(imports_of(&code_of(&path)));
                }
            }
        }
        let mut imports = BTreeMap::new();
        walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &Module::new(), &mut imports);
        Self { imports }
    }

    /// The file that defines what `path` names in `module`; `None` when that is not in this crate.
    fn definer(&self, module: &[String], path: &[String]) -> Option<Module> {
        let (first, mut rest) = path.split_first()?;
        let mut at = match first.as_str() {
            "crate" => Module::new(),
            "self" => module.to_vec(),
            "super" => module.split_last()?.1.to_vec(),
            child => {
                let child = [module, &[child.to_owned()]].concat();
                self.imports.contains_key(&child).then_some(child)?
            }
        };
        while let Some((name, after)) = rest.split_first() {
            let child = [at.as_slice(), std::slice::from_ref(name)].concat();
            if name == "super" {
                at.pop();
            } else if self.imports.contains_key(&child) {
                at = child;
            } else {
                let own = &self.imports[&at];
                let reexported = own.iter().filter(|import| import.name == *name && import.path.len() > 1);
                return Some(
                    reexported.filter_map(|import| self.definer(&at, &import.path)).next().unwrap_or(at),
                );
            }
            rest = after;
        }
        Some(at)
    }

    /// The files that a file needs.
    fn needs(&self, module: &Module) -> BTreeSet<Module> {
        let named = self.imports[module].iter().filter_map(|import| self.definer(module, &import.path));
        named.filter(|other| !other.starts_with(module) && !module.starts_with(other)).collect()
    }

    /// Files that need each other, in a circle: the first one found.
    fn circle(&self) -> Option<Vec<Module>> {
        let needs: BTreeMap<_, _> = self.imports.keys().map(|module| (module, self.needs(module))).collect();
        let mut done = BTreeSet::new();
        for start in self.imports.keys() {
            let mut way: Vec<(&Module, Vec<&Module>)> = vec![(start, needs[start].iter().collect())];
            while let Some((module, left)) = way.last_mut() {
                let Some(next) = left.pop() else {
                    done.insert(*module);
                    way.pop();
                    continue;
                };
                if let Some(at) = way.iter().position(|(module, _)| *module == next) {
                    return Some(way[at..].iter().map(|(module, _)| (*module).clone()).collect());
                }
                if !done.contains(next) {
                    way.push((next, needs[next].iter().collect()));
                }
            }
        }
        None
    }
}

/// What a file imports with `use`, and the paths from `crate`, `self` and `super` that it names elsewhere.
fn imports_of(code: &str) -> Vec<Import> {
    let mut imports = Vec::new();
    for statement in code.split(';') {
        match statement
            .split_once("use ")
            .filter(|(before, _)| !before.ends_with(|c: char| c.is_alphanumeric()))
        {
            Some((_, tree)) => expand(tree, &[], &mut imports),
            None => imports.extend(
                statement.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').filter_map(|path| {
                    let path: Vec<String> = path.split("::").map(str::to_owned).collect();
                    let begins = ["crate", "self", "super"].contains(&path[0].as_str()) && path.len() > 1;
                    begins.then(|| Import { path, name: String::new() })
                }),
            ),
        }
    }
    imports
}

/// The paths of a `use` tree.
fn expand(tree: &str, before: &[String], imports: &mut Vec<Import>) {
    let mut depth = 0;
    let items = tree.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    for item in items.map(str::trim).filter(|item| !item.is_empty()) {
        let (path, list) = match item.split_once('{') {
            // The last brace closes the list that the first one opens.
            Some((path, list)) => (path, list.rsplit_once('}').map(|(list, _)| list)),
            None => (item, None),
        };
        let (path, alias) = path.split_once(" as ").unwrap_or((path, ""));
        let names = path.split("::").map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        let mut path: Vec<String> = before.iter().cloned().chain(names).collect();
        match list {
            Some(list) => expand(list, &path, imports),
            None => {
                path.pop_if(|last| last == "self" && !before.is_empty());
                let name = if alias.is_empty() {
                    path.last().cloned().unwrap_or_default()
                } else {
                    alias.to_owned()
                };
                imports.push(Import { path, name });
            }
        }
    }
}

#[test]
fn no_two_files_need_each_other() {
    for folder in ["src", "benches/fan_out"] {
        let circle = Crate::read(folder)
            .circle()
            .map(|circle| circle.iter().map(|module| module.join("::")).collect::<Vec<_>>().join(" needs "));
        assert_eq!(circle, None, "in {folder}, each needs the next and the last needs the first");
    }
}

#[test]
fn a_circle_through_a_reexport_is_found() {
    let file = |path: &str, code: &str| {
        let module = path.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect::<Module>();
        (module, imports_of(code))
    };
    let imports = BTreeMap::from([
        file("", "mod room;"),
        file("room", "mod a;\nmod b;\nmod c;\npub use a::{self, A as First};\nuse b::B;"),
        file("room::a", "use super::{c, b::B}; struct A;"),
        file("room::b", "struct B; fn f() -> crate::room::c::C {}"),
        file("room::c", "use super::First; struct C;"),
    ]);
    let mut of = Crate { imports };
    let needs = of.needs(&vec!["room".to_owned(), "c".to_owned()]);
    assert_eq!(needs, BTreeSet::from([vec!["room".to_owned(), "a".to_owned()]]));
    assert!(of.circle().is_some());
    of.imports.insert(vec!["room".to_owned(), "c".to_owned()], Vec::new());
    assert_eq!(of.circle(), None);
}
