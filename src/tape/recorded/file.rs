//! Opens a recording: undoes its compression, tells its format, and has it read.

use std::{
    fmt,
    fs::File,
    io::{self, BufReader, Cursor, Read},
    path::Path,
};

use flate2::read::MultiGzDecoder;

use super::{
    csv, dbn,
    error::{Origin, Place, READABLE, RecordedError},
    intake::Intake,
};

/// How far a file has been read, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// So many were read.
    pub read: u64,
    /// So many there are; zero when that is not known, as of a pipe.
    pub size: u64,
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// As `gzip` does.
    Gzip,
    /// As `zstd` does.
    Zstd,
}

/// A file that tells how far it has been read.
struct Watched<'a> {
    file: File,
    progress: Progress,
    tell: &'a mut dyn FnMut(Progress),
}

/// The bytes of the file that are read at once.
const PIECE: usize = 1 << 18;

/// Reads all the ticks of a file.
pub(super) fn read(path: &Path, tell: &mut dyn FnMut(Progress)) -> Result<Intake, RecordedError> {
    let unreadable = |source| RecordedError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let watched = Watched { file, progress: Progress { read: 0, size }, tell };

    let (head, bytes) = peek(BufReader::with_capacity(PIECE, watched)).map_err(unreadable)?;
    let packing = Packing::of(&head);
    let origin = Origin { path, packing };
    if head.starts_with(b"PK\x03\x04") {
        return Err(
            origin.fault(Place::File, "unzip it first: ticker reads the file that is in this archive")
        );
    }
    let unpacked: Box<dyn Read + '_> = match packing {
        Packing::Plain => Box::new(bytes),
        Packing::Gzip => Box::new(BufReader::with_capacity(PIECE, MultiGzDecoder::new(bytes))),
        Packing::Zstd => Box::new(zrip::FrameDecoder::new(bytes)),
    };

    let (head, bytes) = peek(unpacked).map_err(|error| origin.broken(error))?;
    let mut intake = Intake::default();
    match head[..] {
        [] => return Err(origin.fault(Place::File, "the file is empty")),
        [b'D', b'B', b'N', ..] => dbn::read(&origin, bytes, &mut intake)?,
        _ if head.contains(&0) => {
            return Err(origin.fault(Place::File, format!("this is no text: {READABLE}")));
        }
        _ => csv::read(&origin, bytes, &mut intake)?,
    }
    if intake.is_empty() {
        return Err(origin.fault(Place::File, "there is no trade in the file"));
    }
    Ok(intake)
}

/// The first few bytes, and all of them.
fn peek<R: Read>(mut bytes: R) -> io::Result<(Vec<u8>, impl Read)> {
    const FEW: u64 = 256;
    let mut head = Vec::new();
    bytes.by_ref().take(FEW).read_to_end(&mut head)?;
    Ok((head.clone(), Cursor::new(head).chain(bytes)))
}

impl Packing {
    fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // A frame, or one that is to be skipped, as parallel compressors begin with.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.progress.read += read as u64;
        (self.tell)(self.progress);
        Ok(read)
    }
}
