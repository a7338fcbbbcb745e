//! Ticks that are numbered for each connection, so that a lost one is counted, and one that is cut, repeated or out of order is an error.

use std::io::Write;

use anyhow::{Context, Result, ensure};

use crate::{
    client::Received,
    observer::Observer,
    publisher::{Flush, Place},
    row::Row,
    stopwatch::{STAMP, Stopwatch, write_stamp},
};

/// The digits of a number.
const DIGITS: usize = 15;

/// The length of a numbered tick: a number and a stamp, together as long as the payload of plain NATS.
pub(crate) const LENGTH: usize = DIGITS + STAMP;

/// Numbers what is published to each connection: 1, 2, 3, …
pub(crate) struct Numbers {
    row: Row,
    /// The last number of each connection.
    last: Vec<u64>,
}

/// Counts the numbered ticks of one connection.
pub(crate) struct Numbered {
    last: u64,
    stopwatch: Option<Stopwatch>,
}

impl Numbers {
    pub(crate) fn new(row: &Row) -> Self {
        Numbers { row: *row, last: vec![0; row.connections] }
    }

    /// Writes the numbers of a flush, and the moment of publishing.
    pub(crate) fn write(&mut self, flush: &mut Flush, now: i64) -> Result<()> {
        for &Place { index, stamp } in &flush.ticks {
            let last = &mut self.last[self.row.connection_of(index)];
            *last += 1;
            write!(&mut flush.bytes[stamp - DIGITS..stamp], "{last:0DIGITS$}")?;
            write_stamp(now, &mut flush.bytes[stamp..stamp + STAMP]);
        }
        Ok(())
    }
}

impl Numbered {
    pub(crate) fn new(stopwatch: Option<Stopwatch>) -> Self {
        Numbered { last: 0, stopwatch }
    }

    /// Counts the next tick.
    pub(crate) fn take(&mut self, tick: &[u8], received: &mut Received) -> Result<()> {
        ensure!(tick.len() == LENGTH, "a tick of {} bytes in place of {LENGTH}", tick.len());
        let (number, stamp) = tick.split_at(DIGITS);
        let number: u64 = str::from_utf8(number)?.parse().context("a tick without a number")?;
        ensure!(number > self.last, "tick {number} came after tick {}", self.last);
        received.lost += number - self.last - 1;
        self.last = number;
        received.ticks += 1;
        self.stopwatch.message(stamp);
        Ok(())
    }
}
