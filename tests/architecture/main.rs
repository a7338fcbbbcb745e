//! The directions between rooms, as ARCHITECTURE.md draws them: which room may know which.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod circles;
mod source;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use source::{code_of, imports_of, rust_files};

/// Each room and the rooms it may use. A room is `src/NAME.rs` and `src/NAME/`.
const MAY_USE: &[(&str, &[&str])] = &[
    ("tick", &[]),
    ("duration", &[]),
    ("decimal", &[]),
    ("timestamp", &["tick"]),
    ("contract", &[]),
    ("jitter", &[]),
    ("causes", &[]),
    ("rate", &[]),
    ("similar_name", &[]),
    ("thread_priority", &[]),
    ("watched_files", &["causes"]),
    ("metrics", &[]),
    ("tape", &["tick", "duration", "decimal", "timestamp"]),
    ("access", &["tick", "tape"]),
    ("history", &["tick", "tape"]),
    ("facts", &["tick", "tape"]),
    ("pacer", &["tick", "tape", "decimal"]),
    ("feed", &["tick", "decimal", "timestamp", "tape", "pacer"]),
    ("hub", &["tick", "tape", "history", "jitter", "metrics"]),
    (
        "grpc",
        &[
            "tick",
            "tape",
            "access",
            "feed",
            "history",
            "pacer",
            "hub",
            "contract",
            "metrics",
            "rate",
            "thread_priority",
        ],
    ),
    (
        "web",
        &["tick", "tape", "duration", "timestamp", "similar_name", "contract", "jitter", "metrics", "grpc"],
    ),
    (
        "server",
        &[
            "web",
            "tick",
            "tape",
            "access",
            "feed",
            "history",
            "pacer",
            "hub",
            "grpc",
            "contract",
            "jitter",
            "metrics",
            "watched_files",
            "thread_priority",
        ],
    ),
    ("client", &["tick", "contract", "causes"]),
    (
        "commands",
        &[
            "causes",
            "tick",
            "duration",
            "decimal",
            "timestamp",
            "contract",
            "client",
            "access",
            "tape",
            "history",
            "facts",
        ],
    ),
    ("config", &["tick", "duration", "timestamp", "pacer", "access", "feed", "server", "tape", "telemetry"]),
    ("memory", &[]),
    ("shutdown", &[]),
    ("telemetry", &[]),
    ("cli", &["commands", "config", "similar_name", "tape", "telemetry"]),
];

/// Crates that only some rooms may name.
const CRATES: &[(&str, &[&str])] = &[
    ("async_nats", &["feed"]),
    ("percent_encoding", &["feed"]),
    ("tonic", &["grpc", "web", "server", "client", "commands", "contract"]),
    ("prost", &["grpc", "web", "contract"]),
    ("tonic_prost", &["grpc", "client", "contract"]),
    ("h2", &["server"]),
    ("hyper_util", &["client", "server"]),
    ("http", &["grpc", "web", "server", "client"]),
    ("clap", &["cli", "config", "commands", "telemetry"]),
    ("ratatui", &["commands"]),
    ("rand", &["tape", "feed", "client", "jitter"]),
    ("hyper", &["server"]),
    ("opentelemetry", &["server", "telemetry"]),
    ("prometheus_client", &["server"]),
    ("jsonwebtoken", &["access", "commands"]),
    ("rcgen", &["commands"]),
    ("ring", &["access", "server", "client", "commands"]),
    ("rustls", &["access", "server", "client"]),
    ("tokio_rustls", &["server", "client"]),
    ("webpki", &["server"]),
    ("dashmap", &["tape"]),
    ("flate2", &["tape", "commands", "web"]),
    ("zstd", &["tape", "commands"]),
    ("indicatif", &["cli", "commands"]),
];

fn files_of(room: &str) -> Vec<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![source.join(format!("{room}.rs"))];
    files.extend(rust_files(&source.join(room)));
    files
}

/// The rooms that code names, in paths and in `use` lists.
fn rooms_in(code: &str) -> BTreeSet<String> {
    let paths = imports_of(code).into_iter().map(|import| import.path);
    paths.filter(|path| path[0] == "crate").filter_map(|path| path.get(1).cloned()).collect()
}

#[test]
fn every_room_uses_only_the_rooms_below_it() {
    for (room, may_use) in MAY_USE {
        for path in files_of(room) {
            for used in rooms_in(&code_of(&path)) {
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
        assert!(known, "{} is in no room: say in tests/architecture/main.rs what it may use", path.display());
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
    for (room, _) in MAY_USE.iter().filter(|(room, _)| !["commands", "cli"].contains(room)) {
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
    let found: Vec<String> = rooms_in(code).into_iter().collect();
    assert_eq!(found, ["hub", "tape", "tick"]);
}
