//! The directions between rooms, as ARCHITECTURE.md draws them: which room may know which.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Each room and the rooms it may use. A room is `src/NAME.rs` and `src/NAME/`.
const MAY_USE: &[(&str, &[&str])] = &[
    ("tick", &[]),
    ("duration", &[]),
    ("decimal", &[]),
    ("timestamp", &["tick"]),
    ("contract", &[]),
    ("tape", &["tick", "duration", "decimal", "timestamp"]),
    ("history", &["tick", "tape"]),
    ("pacer", &["tick", "tape", "decimal"]),
    ("hub", &["tick", "tape", "history"]),
    ("grpc", &["tick", "tape", "history", "pacer", "hub", "contract"]),
    ("server", &["tick", "tape", "history", "pacer", "hub", "grpc", "contract"]),
    ("client", &["tick", "duration", "decimal", "timestamp", "contract"]),
    ("config", &["tick", "duration", "timestamp", "pacer", "server", "tape"]),
    ("memory", &[]),
    ("shutdown", &[]),
    ("telemetry", &[]),
    ("cli", &["client", "config", "tape"]),
];

/// Crates that only some rooms may name.
const CRATES: &[(&str, &[&str])] = &[
    ("tonic", &["grpc", "server", "client", "contract"]),
    ("prost", &["grpc", "contract"]),
    ("tonic_prost", &["grpc", "client", "contract"]),
    ("h2", &["server"]),
    ("hyper_util", &["client"]),
    ("http", &["grpc", "server", "client"]),
    ("clap", &["cli", "config", "client"]),
    ("ratatui", &["client"]),
    ("rand", &["tape", "client"]),
    ("dashmap", &["tape"]),
    ("flate2", &["tape", "client"]),
    ("zrip", &["tape", "client"]),
    ("indicatif", &["cli", "client"]),
];

fn files_of(room: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.ends_with("tests") {
                continue;
            }
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with("tests.rs")
            {
                found.push(path);
            }
        }
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = vec![source.join(format!("{room}.rs"))];
    walk(&source.join(room), &mut found);
    found
}

/// The code of a file: no comments, and no tests at its end, which may use what they like.
fn code_of(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The names that follow `prefix::`, in paths and in `use prefix::{…}` lists.
fn named_after(prefix: &str, code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(&format!("{prefix}::")) {
        let rest = &code[at + prefix.len() + 2..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            for (start, c) in list.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    _ if depth == 0 && begins_item(&list[..start]) => {
                        names.insert(word(&list[start..]));
                    }
                    _ => {}
                }
            }
        } else {
            names.insert(word(rest));
        }
    }
    names.remove("");
    names
}

/// Whether an item of a list begins after `before`.
fn begins_item(before: &str) -> bool {
    matches!(before.trim_end().chars().last(), None | Some(','))
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn every_room_uses_only_the_rooms_below_it() {
    for (room, may_use) in MAY_USE {
        for path in files_of(room) {
            for used in named_after("crate", &code_of(&path)) {
                let known = MAY_USE.iter().any(|(known, _)| *known == used);
                let allowed = !known || used == *room || may_use.contains(&used.as_str());
                assert!(allowed, "{} uses the room `{used}`, and `{room}` may not", path.display());
            }
        }
    }
}

#[test]
fn every_file_in_src_belongs_to_a_room() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let known = MAY_USE.iter().any(|(room, _)| *room == name) || name == "lib" || name == "main";
        assert!(known, "{} is in no room: say in tests/architecture.rs what it may use", path.display());
    }
}

#[test]
fn the_tape_the_pacer_and_the_hub_know_no_transport() {
    for (name, rooms) in CRATES {
        for (room, _) in MAY_USE.iter().filter(|(room, _)| !rooms.contains(room)) {
            for path in files_of(room) {
                let code = code_of(&path);
                let used = code.match_indices(&format!("{name}::")).any(|(at, _)| {
                    !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
                });
                assert!(!used, "{} uses the crate `{name}`, and `{room}` may not", path.display());
            }
        }
    }
}

#[test]
fn only_main_and_the_client_commands_print_or_exit() {
    for (room, _) in MAY_USE.iter().filter(|(room, _)| !["client", "cli"].contains(room)) {
        for path in files_of(room) {
            let code = code_of(&path);
            for forbidden in ["println!", "eprintln!", "print!(", "stdout()", "process::exit"] {
                assert!(!code.contains(forbidden), "{} has {forbidden}", path.display());
            }
        }
    }
}

#[test]
fn the_names_in_a_use_list_are_found() {
    let code = "use crate::{\n    hub::{Hub, Mark},\n    tape::Tape,\n};\nfn f() { crate::tick::Tick }";
    let found: Vec<String> = named_after("crate", code).into_iter().collect();
    assert_eq!(found, ["hub", "tape", "tick"]);
}
