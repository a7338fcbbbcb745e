//! The files that `certs` and `token` make. Secrets are never readable by other users, not even while they are written.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::{Context, anyhow, bail};
use ring::rand as secure_random;

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

/// Makes a file, or replaces it in one step: whoever reads it finds the old contents or the new.
pub(super) fn replace(path: &Path, contents: &str, readers: Readers) -> anyhow::Result<()> {
    let Some(name) = path.file_name() else { bail!("{} names no file", path.display()) };
    // A name of its own, because another process may replace the same file at this moment.
    let number = secure_random::generate::<[u8; 8]>(&secure_random::SystemRandom::new())
        .map_err(|_| anyhow!("there is no randomness"))?;
    let number = u64::from_ne_bytes(number.expose());
    let temporary = path.with_file_name(format!(".{}.{number:016x}", name.display()));
    create(&temporary, contents, readers)?;
    fs::rename(&temporary, path)
        .inspect_err(|_| drop(fs::remove_file(&temporary)))
        .with_context(|| format!("cannot replace {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_secret_is_readable_by_its_owner_alone_also_after_it_was_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let [made, replaced] = ["made", "replaced"].map(|name| folder.path().join(name));
        create(&made, "secret", Readers::Owner).unwrap();
        create(&replaced, "old", Readers::Everyone).unwrap();
        replace(&replaced, "new", Readers::Owner).unwrap();
        assert_eq!((mode(&made), mode(&replaced)), (0o600, 0o600));
        assert_eq!(fs::read_to_string(&replaced).unwrap(), "new");
    }

    #[test]
    fn a_file_that_is_there_is_kept_unless_it_is_to_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        create(&path, "first", Readers::Everyone).unwrap();
        let error = create(&path, "second", Readers::Everyone).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot make {}", path.display()));
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
    }

    #[test]
    fn a_replacement_that_fails_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let occupied = folder.path().join("occupied");
        fs::create_dir(&occupied).unwrap();
        assert!(replace(&occupied, "text", Readers::Everyone).is_err());
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }
}
