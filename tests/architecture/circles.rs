//! No file needs another one that needs the first, directly or through others.
//!
//! A child may use what its parent defines, and a parent its children: those edges do not count. What a parent re-exports
//! counts as an edge to the file that defines it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::source::{Import, code_of, imports_of, rust_files};

/// The path of a module inside its crate; empty for the root.
type Module = Vec<String>;

/// The files of one crate, and what each of them imports.
struct Crate {
    imports: BTreeMap<Module, Vec<Import>>,
}

impl Crate {
    /// Reads the files below a folder.
    fn read(folder: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut imports = BTreeMap::<Module, Vec<Import>>::new();
        for path in rust_files(&folder) {
            let module = path.strip_prefix(&folder).unwrap().with_extension("");
            let mut module: Module = module.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
            if module == ["lib"] || module == ["main"] {
                module.clear();
            }
            imports.entry(module).or_default().extend(imports_of(&code_of(&path)));
        }
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

#[test]
fn no_two_files_need_each_other() {
    for folder in ["src", "benches/fan_out", "benches/scale"] {
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
