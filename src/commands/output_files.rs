//! The files that `certs` makes. Secrets are never readable by other users, not even while they are written.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::Context;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readers {
    /// Everyone, unless the umask forbids it.
    Everyone,
    /// Its owner.
    Owner,
}

/// Makes a folder and the folders that it is in, where they are missing.
pub(super) fn make_folder(path: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot make the directory {}", path.display()))
}

/// Makes a file that must not exist yet.
pub(super) fn create(path: &Path, contents: &str, readers: Readers) -> anyhow::Result<()> {
    let mode = match readers {
        Readers::Everyone => 0o666,
        Readers::Owner => 0o600,
    };
    let made = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = made.with_context(|| format!("cannot make {}", path.display()))?;
    let written = file.write_all(contents.as_bytes()).and_then(|()| file.sync_all());
    written
        // A part of a key is useless, and would be in the way of the next attempt.
        .inspect_err(|_| drop(fs::remove_file(path)))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_readable_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        create(&path, "secret", Readers::Owner).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_is_there_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        create(&path, "first", Readers::Everyone).unwrap();
        let error = create(&path, "second", Readers::Everyone).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot make {}", path.display()));
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
    }
}
