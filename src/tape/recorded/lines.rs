//! A reader that returns at most one line per read: it counts lines and limits the length of a row.

use std::io::{self, BufRead, Read};

use memchr::memchr;

/// Reads bytes up to the end of a line at most, so that the number of the line is known.
pub(super) struct Lines<B> {
    bytes: B,
    /// The line that was read last, counted from one.
    number: u64,
    /// Whether that line was read to its end.
    ended: bool,
    /// Number of bytes that the current row may still have.
    left: usize,
}

impl<B> Lines<B> {
    /// Largest number of bytes of a row, without its line end.
    pub(super) const MOST: usize = 1 << 16;

    pub(super) fn new(bytes: B) -> Self {
        Self { bytes, number: 0, ended: true, left: 0 }
    }

    /// Begins a row. Returns the number of its first line.
    pub(super) fn begin(&mut self) -> u64 {
        self.left = Self::MOST + 1;
        self.number + 1
    }

    /// The line that was read last, counted from one.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Whether the row has as many bytes as it may have. Reading more of it fails.
    pub(super) fn is_too_long(&self) -> bool {
        self.left == 0
    }
}

impl<B: BufRead> Read for Lines<B> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_too_long() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let bytes = self.bytes.fill_buf()?;
        let most = bytes.len().min(buffer.len()).min(self.left);
        let end = memchr(b'\n', &bytes[..most]);
        let read = (&bytes[..end.map_or(most, |end| end + 1)]).read(buffer)?;
        self.bytes.consume(read);
        if read > 0 {
            self.number += u64::from(self.ended);
            self.ended = end.is_some();
            self.left -= read;
        }
        Ok(read)
    }
}
