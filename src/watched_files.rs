//! Files that are read again when they change, such as the files of a mounted Secret, whose folder is a symbolic link that is
//! swapped.

use std::{
    error::Error,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use thiserror::Error;
use tokio::time::sleep;
use tracing::{error, info};

use crate::causes::in_one_line;

/// Files and what was last read of them.
pub struct WatchedFiles {
    paths: Vec<PathBuf>,
    contents: Vec<Content>,
}

/// A file cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("cannot read {}: {problem}", path.display())]
pub struct Unreadable {
    path: PathBuf,
    problem: String,
}

type Content = Result<Vec<u8>, Unreadable>;

impl WatchedFiles {
    /// How often the files are read.
    const INTERVAL: Duration = Duration::from_secs(1);
    /// Largest file, in bytes.
    const LARGEST: u64 = 4 * 1024 * 1024;

    /// Reads the files.
    pub fn read(paths: Vec<PathBuf>) -> Self {
        let contents = read(&paths);
        Self { paths, contents }
    }

    /// The contents of the files, in their order.
    ///
    /// # Errors
    /// One of them could not be read.
    pub fn contents(&self) -> Result<Vec<&[u8]>, Unreadable> {
        self.contents.iter().map(|content| content.as_deref().map_err(Clone::clone)).collect()
    }

    /// Calls `apply` whenever the files have changed and have then stayed the same for a second, so that no file is used that
    /// is half written, and no pair of which one file is new. Never returns. If `apply` fails, that is logged, and what was
    /// applied before stays in use. `what` names the files in the log.
    pub async fn follow<E: Error>(mut self, what: &str, mut apply: impl FnMut(&[&[u8]]) -> Result<(), E>) {
        let mut changed: Option<Vec<Content>> = None;
        loop {
            sleep(Self::INTERVAL).await;
            let paths = self.paths.clone();
            // A file on a network may take long to read.
            let Ok(now) = tokio::task::spawn_blocking(move || read(&paths)).await else { continue };
            if now == self.contents {
                changed = None;
                continue;
            }
            if changed.as_ref() != Some(&now) {
                changed = Some(now);
                continue;
            }
            (self.contents, changed) = (now, None);
            let applied = match self.contents() {
                Ok(contents) => apply(&contents).map_err(|failed| in_one_line(&failed)),
                Err(unreadable) => Err(unreadable.to_string()),
            };
            match applied {
                Ok(()) => info!("reloaded {what}"),
                Err(problem) => error!(%problem, "cannot reload {what}: what was loaded before stays in use"),
            }
        }
    }
}

fn read(paths: &[PathBuf]) -> Vec<Content> {
    let read = |path: &PathBuf| {
        read_file(path).map_err(|error| Unreadable { path: path.clone(), problem: error.to_string() })
    };
    paths.iter().map(read).collect()
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    if file.take(WatchedFiles::LARGEST + 1).read_to_end(&mut bytes)? as u64 > WatchedFiles::LARGEST {
        return Err(io::Error::other("it is larger than 4 MiB"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::symlink,
        sync::{Arc, Mutex},
    };

    use super::*;

    type Applied = Arc<Mutex<Vec<String>>>;

    /// Follows a file in `folder` and collects what is applied; a text with "bad" fails.
    fn follow(folder: &Path) -> Applied {
        let applied = Applied::default();
        let files = WatchedFiles::read(vec![folder.join("current/file")]);
        let applying = applied.clone();
        tokio::spawn(async move {
            files
                .follow("the test", |contents| {
                    let text = String::from_utf8_lossy(contents[0]).into_owned();
                    let result = if text.contains("bad") { Err(io::Error::other("bad")) } else { Ok(()) };
                    applying.lock().unwrap().push(text);
                    result
                })
                .await;
        });
        applied
    }

    /// Makes `current` a link to a folder whose file has this text.
    fn swap(folder: &Path, name: &str, text: &str) {
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("file"), text).unwrap();
        symlink(name, folder.join("next")).unwrap();
        fs::rename(folder.join("next"), folder.join("current")).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_swapped_link_is_noticed_once_and_a_failure_is_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        swap(folder.path(), "1", "one");
        let applied = follow(folder.path());
        sleep(Duration::from_secs(10)).await;
        assert!(applied.lock().unwrap().is_empty(), "nothing has changed");
        swap(folder.path(), "2", "two");
        sleep(Duration::from_secs(4)).await;
        swap(folder.path(), "3", "bad");
        sleep(Duration::from_secs(10)).await;
        fs::remove_file(folder.path().join("current/file")).unwrap();
        sleep(Duration::from_secs(4)).await;
        swap(folder.path(), "4", "two");
        sleep(Duration::from_secs(4)).await;
        assert_eq!(*applied.lock().unwrap(), ["two", "bad", "two"]);
    }
}
