//! The source files, and what each of them names.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A path that a file names, and the name that it has there.
pub(super) struct Import {
    pub(super) path: Vec<String>,
    pub(super) name: String,
}

/// The Rust files below a folder. Unit tests are left out, because they may use what they like.
pub(super) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.file_stem().is_some_and(|name| name == "tests") {
            continue;
        }
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The code of a file: no comments, and no tests at its end, which may use what they like.
pub(super) fn code_of(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// What code imports with `use`, and the paths from `crate`, `self` and `super` that it names elsewhere.
pub(super) fn imports_of(code: &str) -> Vec<Import> {
    let mut imports = Vec::new();
    for statement in code.split(';') {
        let (code, tree) = split_at_use(statement);
        imports.extend(code.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').filter_map(
            |path| {
                let path: Vec<String> = path.split("::").map(str::to_owned).collect();
                let begins = ["crate", "self", "super"].contains(&path[0].as_str()) && path.len() > 1;
                begins.then(|| Import { path, name: String::new() })
            },
        ));
        expand(tree, &[], &mut imports);
    }
    imports
}

/// What stands before the `use` that ends a statement, and the tree of that `use`. The word begins its line, perhaps after
/// a visibility; in the middle of a line it is part of a text.
fn split_at_use(statement: &str) -> (&str, &str) {
    let begins_line = |at: usize| {
        let before = statement[..at].rsplit('\n').next().unwrap_or_default().trim();
        before.is_empty() || before == "pub" || before.starts_with("pub(") && before.ends_with(')')
    };
    match statement.match_indices("use ").find(|(at, _)| begins_line(*at)) {
        Some((at, word)) => (&statement[..at], &statement[at + word.len()..]),
        None => (statement, ""),
    }
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
