//! Digests of ticks: two replicas can be compared without sending the ticks.

use std::ops::Range;

use sha2::{Digest, Sha256};

use super::tick_pages::PastTicks;
use crate::{
    tape::Cursor,
    tick::{Sequence, Tick},
};

/// A digest and the range that it covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TickDigest {
    /// The ticks that were digested: those of the range asked for that have taken place and are available, at most 2^20.
    pub range: Range<Sequence>,
    /// SHA-256 of sequence, time, price and quantity of each tick, as 64-bit integers, little endian.
    pub sha256: [u8; 32],
}

/// Digests ticks in steps of a bounded number.
pub struct DigestFold {
    digest: DigestInOrder,
    cursor: Box<dyn Cursor>,
}

/// Digests the first 2^20 ticks of a range, which come in their order.
pub struct DigestInOrder {
    /// The end of the range.
    end: Sequence,
    /// The ticks that the digest has.
    digested: Range<Sequence>,
    sha256: Sha256,
}

impl PastTicks {
    /// Digests the first 2^20 ticks of a range.
    pub fn digest(&self, range: Range<Sequence>) -> DigestFold {
        let range = self.within(range);
        let cursor = self.series.cursor(range.start);
        DigestFold { digest: DigestInOrder::new(range), cursor }
    }
}

impl DigestInOrder {
    const MOST: u64 = 1 << 20;

    /// Of a range of ticks, none of which has come.
    pub fn new(range: Range<Sequence>) -> Self {
        let Range { start, end } = range;
        Self { end: end.max(start), digested: start..start, sha256: Sha256::new() }
    }

    /// Whether there is another tick to take.
    pub fn has_more(&self) -> bool {
        let Range { start, end } = self.digested;
        end < self.end && end.0 - start.0 < Self::MOST
    }

    /// Takes the next tick. If it is not the one after the last, those before it are left out: they are not available any more.
    pub fn take(&mut self, tick: &Tick) {
        if tick.sequence > self.digested.end {
            let start = tick.sequence.min(self.end);
            *self = Self::new(start..self.end);
        }
        if self.has_more() {
            self.sha256.update(bytes(tick));
            self.digested.end = self.digested.end.next();
        }
    }

    /// The digest of the ticks so far.
    pub fn finish(self) -> TickDigest {
        TickDigest { range: self.digested, sha256: self.sha256.finalize().into() }
    }
}

impl DigestFold {
    /// Digests at most `ticks` more ticks. Returns the digest once it covers the range.
    pub fn step(&mut self, ticks: u64) -> Option<TickDigest> {
        let mut left = ticks;
        while left > 0 && self.digest.has_more() {
            self.digest.take(&self.cursor.tick());
            self.cursor.advance();
            left -= 1;
        }
        let nothing = Sequence::default()..Sequence::default();
        (!self.digest.has_more())
            .then(|| std::mem::replace(&mut self.digest, DigestInOrder::new(nothing)).finish())
    }

    /// Makes the whole digest in one step.
    pub fn finish(mut self) -> TickDigest {
        loop {
            if let Some(digest) = self.step(u64::MAX) {
                return digest;
            }
        }
    }
}

fn bytes(tick: &Tick) -> [u8; 32] {
    let fields = [tick.sequence.0, tick.time.nanos(), tick.price.nanos() as u64, tick.quantity];
    let mut bytes = [0; 32];
    for (bytes, field) in bytes.chunks_exact_mut(8).zip(fields) {
        bytes.copy_from_slice(&field.to_le_bytes());
    }
    bytes
}
