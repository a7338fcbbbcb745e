//! Hands bytes out a line at a time: whoever reads them knows at which line they are, and none grows without end.

use std::io::{self, BufRead, Read};

use memchr::memchr;

/// Lines that are read no further ahead than to the end of one.
pub(super) struct Lines<B> {
    bytes: B,
    /// The line that was read last, counted from one.
    number: u64,
    /// Whether it was read to its end.
    ended: bool,
    /// How many bytes the row that is being read may still take.
    left: usize,
}

impl<B> Lines<B> {
    /// The most bytes of a row, beside its end.
    pub(super) const MOST: usize = 1 << 16;

    pub(super) fn new(bytes: B) -> Self {
        Self { bytes, number: 0, ended: true, left: 0 }
    }

    /// Another row begins: at this line.
    pub(super) fn begin(&mut self) -> u64 {
        self.left = Self::MOST + 1;
        self.number + 1
    }

    /// The line that was read last, counted from one.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Whether the row had all the bytes that it may have. If it wants more, reading fails.
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
