//! Opens a recording: decompresses it, detects its format, and calls the reader of that format.

use std::{
    fs::File,
    io::{self, BufReader, Cursor, Read},
    path::Path,
};

use flate2::read::MultiGzDecoder;

use super::{
    compression::Compression,
    csv, dbn,
    error::{Place, READABLE, RecordedError, SourceFile},
    intake::Intake,
};

/// How much of a file has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadProgress {
    /// Bytes read so far.
    pub read: u64,
    /// Size of the file in bytes; zero when it is unknown, as for a pipe.
    pub size: u64,
}

/// A file that reports its progress after each read.
struct ProgressReader<'a> {
    file: File,
    progress: LoadProgress,
    tell: &'a mut dyn FnMut(LoadProgress),
}

/// Size of the read buffers, in bytes.
const PIECE: usize = 1 << 18;

/// Reads all ticks of a file. Calls `tell` after each read from the disk.
pub(super) fn read(path: &Path, tell: &mut dyn FnMut(LoadProgress)) -> Result<Intake, RecordedError> {
    let unreadable = |source| RecordedError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let watched = ProgressReader { file, progress: LoadProgress { read: 0, size }, tell };

    let (head, bytes) = peek(BufReader::with_capacity(PIECE, watched)).map_err(unreadable)?;
    let compression = Compression::of(&head);
    let source = SourceFile { path, compression };
    if head.starts_with(b"PK\x03\x04") {
        return Err(
            source.fault(Place::File, "unzip it first: ticker reads the file that is in this archive")
        );
    }
    let unpacked: Box<dyn Read + '_> = match compression {
        Compression::None => Box::new(bytes),
        Compression::Gzip => Box::new(BufReader::with_capacity(PIECE, MultiGzDecoder::new(bytes))),
        Compression::Zstd => Box::new(zstd::Decoder::new(bytes).map_err(|error| source.broken(error))?),
    };

    let (head, bytes) = peek(unpacked).map_err(|error| source.broken(error))?;
    let mut intake = Intake::default();
    match head[..] {
        [] => return Err(source.fault(Place::File, "the file is empty")),
        [b'D', b'B', b'N', ..] => dbn::read(&source, bytes, &mut intake)?,
        _ if head.contains(&0) => {
            return Err(source.fault(Place::File, format!("this is no text: {READABLE}")));
        }
        _ => csv::read(&source, bytes, &mut intake)?,
    }
    if intake.is_empty() {
        return Err(source.fault(Place::File, "there is no trade in the file"));
    }
    Ok(intake)
}

/// The first bytes, at most 256, and a reader of all bytes.
fn peek<R: Read>(mut bytes: R) -> io::Result<(Vec<u8>, impl Read)> {
    const FEW: u64 = 256;
    let mut head = Vec::new();
    bytes.by_ref().take(FEW).read_to_end(&mut head)?;
    Ok((head.clone(), Cursor::new(head).chain(bytes)))
}

impl Read for ProgressReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.progress.read += read as u64;
        (self.tell)(self.progress);
        Ok(read)
    }
}
