//! The log of a feed: a file of comma-separated values for each day on which ticks were stored.
//!
//! Each file begins with the newest tick of every symbol before it. So a file needs no earlier one: it can be played as a
//! recording, and old files can be removed.
//!
//! Lines are written before their ticks are on the tape, so that a server that is killed has shown nothing that it forgets. A sync
//! makes them durable. What is written and not synced is also kept in memory: after a failed write or sync nobody knows
//! what the file has, so it is written again.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;
use tracing::{info, warn};

use super::row::{HEADER, Row};
use crate::{tape::LoadProgress, tick::Time, timestamp};

/// The files of a directory, of which this server alone writes.
pub(super) struct DayFiles {
    directory: PathBuf,
    /// Held open, because the lock ends with it.
    _lock: File,
    /// The file that lines are written to.
    open: Option<OpenFile>,
}

/// Why the log cannot be used.
#[derive(Debug, Error)]
pub enum LogError {
    /// Something cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Another server writes it.
    #[error("{} is in use by another server: each needs a directory of its own", .0.display())]
    InUse(PathBuf),
    /// A line is not valid, and valid ones follow.
    #[error("{}:{line}: {problem}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong.
        problem: String,
    },
}

/// A file that is being written.
struct OpenFile {
    /// Its date, such as `2026-11-28`.
    day: String,
    storage: Arc<dyn Storage>,
    /// Bytes that are synced.
    synced: u64,
    /// The bytes after them.
    unsynced: Vec<u8>,
    /// A write or a sync has failed since the last sync.
    is_broken: bool,
    /// Number of failures, and of repairs that were begun.
    disturbances: u64,
}

/// A file, as far as a log needs it.
trait Storage: Send + Sync {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts off what is after this many bytes.
    fn cut(&self, length: u64) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
}

/// A sync that is to be made on another thread.
pub(super) struct SyncJob {
    storage: Arc<dyn Storage>,
    /// The bytes of the file that it makes durable, if nothing disturbs it.
    end: u64,
    disturbances: u64,
}

/// A sync that was made.
pub(super) struct FinishedSync {
    job: SyncJob,
    done: io::Result<()>,
}

impl DayFiles {
    const ID: &str = "tape_id";

    /// Opens a directory, which is made if it is not there. Returns the id of its tape: `new_id` gives one to a directory without
    /// files.
    pub(super) fn open(
        directory: &Path,
        new_id: impl FnOnce() -> String,
    ) -> Result<(Self, String), LogError> {
        fs::create_dir_all(directory).map_err(failed("make the directory", directory))?;
        let path = directory.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(failed("write", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LogError::InUse(directory.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed("lock", &path)(source)),
        }
        let files = Self { directory: directory.to_owned(), _lock: lock, open: None };
        let path = directory.join(Self::ID);
        let id = match fs::read_to_string(&path) {
            Ok(id) if !files.days()?.is_empty() => id.trim().to_owned(),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("read", &path)(error));
            }
            _ => {
                let id = new_id();
                let written = write_new(&path, format!("{id}\n").as_bytes());
                written.and_then(|_| sync_directory(directory)).map_err(failed("write", &path))?;
                id
            }
        };
        Ok((files, id))
    }

    /// The dates of the files, in order.
    fn days(&self) -> Result<Vec<String>, LogError> {
        let read = || {
            let mut days = Vec::new();
            for entry in fs::read_dir(&self.directory)? {
                let name = entry?.file_name().to_string_lossy().into_owned();
                let day = name.strip_suffix(".csv");
                days.extend(day.filter(|day| is_date(day)).map(str::to_owned));
            }
            days.sort_unstable();
            Ok(days)
        };
        read().map_err(failed("list", &self.directory))
    }

    fn path(&self, day: &str) -> PathBuf {
        self.directory.join(format!("{day}.csv"))
    }

    /// Gives the lines of the files from the day of `since` on, at least of the last one, to `take`. A torn end of the last
    /// file is cut off.
    ///
    /// # Errors
    /// A file cannot be read, a line is not valid, or `take` refuses it.
    pub(super) fn read(
        &mut self,
        since: Time,
        progress: &mut dyn FnMut(LoadProgress),
        take: &mut dyn FnMut(Row) -> Result<(), String>,
    ) -> Result<(), LogError> {
        let days = self.days()?;
        let Some(last) = days.len().checked_sub(1) else { return Ok(()) };
        let first = days.partition_point(|day| *day < day_of(since)).min(last);
        let (mut read, mut size) = (0, 0);
        for day in &days[first..] {
            let path = self.path(day);
            size += fs::metadata(&path).map_err(failed("read", &path))?.len();
        }
        for (at, day) in days.iter().enumerate().skip(first) {
            let path = self.path(day);
            let valid = read_file(&path, at == last, take, &mut |bytes| {
                read += bytes;
                progress(LoadProgress { read, size });
            })?;
            if at == last {
                self.open = Some(OpenFile::existing(day.clone(), &path, valid)?);
            }
        }
        Ok(())
    }

    /// Writes lines, which then survive the end of the process. At the first lines of a day, a file is made that begins with
    /// `newest`.
    ///
    /// # Errors
    /// They are not written, not even in part.
    pub(super) fn append(
        &mut self,
        rows: impl Iterator<Item = Row>,
        now: Time,
        newest: impl FnOnce() -> Vec<Row>,
    ) -> io::Result<()> {
        let mut lines = Vec::new();
        rows.for_each(|row| row.write(&mut lines));
        if lines.is_empty() {
            return Ok(());
        }
        let day = day_of(now);
        let open = match &mut self.open {
            // The clock may have been set back: lines stay in their order.
            Some(open) if open.day >= day => open,
            before => {
                if let Some(before) = before {
                    before.sync()?;
                }
                before.insert(OpenFile::new(day, &self.directory, &newest())?)
            }
        };
        open.append(&lines)
    }

    /// Whether there is something to sync.
    pub(super) fn is_synced(&self) -> bool {
        self.open.as_ref().is_none_or(OpenFile::is_synced)
    }

    /// Makes all lines durable.
    ///
    /// # Errors
    /// Some may not be. They stay, and a later sync makes them durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.open.as_mut().map_or(Ok(()), OpenFile::sync)
    }

    /// Begins to make durable what is written so far; `None` when it is.
    ///
    /// # Errors
    /// As [`Self::sync`].
    pub(super) fn begin_sync(&mut self) -> io::Result<Option<SyncJob>> {
        self.open.as_mut().map_or(Ok(None), OpenFile::begin_sync)
    }

    /// Ends a sync. Returns whether all is durable that was written when it began.
    ///
    /// # Errors
    /// As [`Self::sync`].
    pub(super) fn end_sync(&mut self, finished: FinishedSync) -> io::Result<bool> {
        match &mut self.open {
            Some(open) if Arc::ptr_eq(&open.storage, &finished.job.storage) => open.end_sync(finished),
            // Another day has begun, and the file was synced then.
            _ => Ok(true),
        }
    }
}

impl SyncJob {
    /// Waits for the disk.
    pub(super) fn run(self) -> FinishedSync {
        FinishedSync { done: self.storage.sync(), job: self }
    }
}

impl OpenFile {
    /// A file that is there, of which this many bytes are valid. The rest is cut off.
    fn existing(day: String, path: &Path, valid: u64) -> Result<Self, LogError> {
        let opened = || {
            let file = OpenOptions::new().write(true).open(path)?;
            let length = file.metadata()?.len();
            if length > valid {
                file.set_len(valid)?;
                let cut = length - valid;
                warn!(file = %path.display(), bytes = cut, "the end of the log was torn, and is cut off");
            }
            file.sync_data()?;
            Ok(file)
        };
        let file = opened().map_err(failed("write", path))?;
        let storage = Arc::new(file);
        Ok(Self::synced(day, storage, valid))
    }

    /// A file of a new day with these lines. It is there as a whole or not at all.
    fn new(day: String, directory: &Path, rows: &[Row]) -> io::Result<Self> {
        let mut bytes = HEADER.as_bytes().to_vec();
        rows.iter().for_each(|row| row.write(&mut bytes));
        let path = directory.join(format!("{day}.csv"));
        let file = write_new(&path, &bytes)?;
        sync_directory(directory)?;
        info!(file = %path.display(), "the log goes on in a new file");
        Ok(Self::synced(day, Arc::new(file), bytes.len() as u64))
    }

    fn synced(day: String, storage: Arc<dyn Storage>, synced: u64) -> Self {
        Self { day, storage, synced, unsynced: Vec::new(), is_broken: false, disturbances: 0 }
    }

    fn is_synced(&self) -> bool {
        self.unsynced.is_empty() && !self.is_broken
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.is_broken {
            self.sync()?;
        }
        let offset = self.synced + self.unsynced.len() as u64;
        let written = self.storage.write_at(offset, lines);
        match &written {
            Ok(()) => self.unsynced.extend_from_slice(lines),
            Err(_) => self.disturb(),
        }
        written
    }

    /// Nobody knows what the file has after the synced bytes.
    fn disturb(&mut self) {
        self.is_broken = true;
        self.disturbances += 1;
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.begin_sync()? {
            Some(job) => self.end_sync(job.run()).map(|_| ()),
            None => Ok(()),
        }
    }

    fn begin_sync(&mut self) -> io::Result<Option<SyncJob>> {
        if self.is_broken {
            self.disturb();
            self.storage.cut(self.synced)?;
            self.storage.write_at(self.synced, &self.unsynced)?;
        }
        let end = self.synced + self.unsynced.len() as u64;
        let job = SyncJob { storage: self.storage.clone(), end, disturbances: self.disturbances };
        Ok((!self.is_synced()).then_some(job))
    }

    fn end_sync(&mut self, FinishedSync { job, done }: FinishedSync) -> io::Result<bool> {
        if let Err(error) = done {
            self.disturb();
            return Err(error);
        }
        // Another sync may have been faster.
        if job.disturbances < self.disturbances || job.end < self.synced {
            return Ok(job.end <= self.synced);
        }
        self.unsynced.drain(..(job.end - self.synced) as usize);
        self.synced = job.end;
        self.is_broken = false;
        Ok(true)
    }
}

impl Storage for File {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Reads the lines of a file. Returns how many of its bytes are valid: all, or, if it may be torn, those before a
/// line that is not valid and that no valid one follows.
fn read_file(
    path: &Path,
    may_be_torn: bool,
    take: &mut dyn FnMut(Row) -> Result<(), String>,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, LogError> {
    /// Longest valid line, in bytes. (A torn file may have no line ends at all.)
    const LONGEST: u64 = 4_096;
    let file = File::open(path).map_err(failed("read", path))?;
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let (mut line, mut number, mut read, mut told) = (Vec::new(), 0, 0, 0);
    // Where the first line is that is not valid, its number, and what is wrong with it.
    let mut torn: Option<(u64, u64, String)> = None;
    let invalid = |line, problem| LogError::Invalid { path: path.to_owned(), line, problem };
    loop {
        line.clear();
        let length =
            reader.by_ref().take(LONGEST).read_until(b'\n', &mut line).map_err(failed("read", path))?;
        if length == 0 {
            break;
        }
        number += 1;
        let row = match line.strip_suffix(b"\n") {
            Some(header) if number == 1 && header == HEADER.trim_ascii_end().as_bytes() => Ok(None),
            _ if number == 1 => Err(format!("the first line must be {}", HEADER.trim_ascii_end())),
            Some(line) => Row::read(line).map(Some),
            None => Err("the line has no end".to_owned()),
        };
        match (row, &torn) {
            (Ok(Some(_)), Some((_, number, problem))) => return Err(invalid(*number, problem.clone())),
            (Ok(row), _) => {
                if let Some(row) = row {
                    take(row).map_err(|problem| invalid(number, problem))?;
                }
            }
            (Err(problem), None) => torn = Some((read, number, problem)),
            (Err(_), Some(_)) => {}
        }
        read += length as u64;
        if read - told >= 1 << 20 {
            progress(read - told);
            told = read;
        }
    }
    progress(read - told);
    match torn {
        Some((at, ..)) if may_be_torn => Ok(at),
        Some((_, number, problem)) => Err(invalid(number, problem)),
        None => Ok(read),
    }
}

/// Writes a file that is there as a whole or not at all. Returns it, open for more.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    Ok(file)
}

/// Makes the names in a directory durable.
fn sync_directory(directory: &Path) -> io::Result<()> {
    // Other systems cannot open a directory as a file.
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

/// The date of a time in UTC, such as `2026-11-28`.
fn day_of(time: Time) -> String {
    timestamp::show_with_decimals(time, 0).chars().take("2026-11-28".len()).collect()
}

fn is_date(text: &str) -> bool {
    timestamp::parse(&format!("{text}T00:00:00Z")).is_ok_and(|time| day_of(time) == text)
}

fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> LogError {
    move |source| LogError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
