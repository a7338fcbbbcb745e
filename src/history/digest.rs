//! Digests of ticks, by which two replicas can be compared without sending them.

use std::ops::Range;

use sha2::{Digest, Sha256};

use super::tick_pages::PastTicks;
use crate::{
    tape::Cursor,
    tick::{Sequence, Tick},
};

/// A digest and what it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TickDigest {
    /// The ticks that were digested: those of the range asked for that have taken place, at most 2^20 of them.
    pub range: Range<Sequence>,
    /// SHA-256 of sequence, time, price and quantity of each tick, as 64-bit integers, little endian.
    pub sha256: [u8; 32],
}

/// Digests ticks, in pieces of a bounded number of them.
pub struct DigestFold {
    range: Range<Sequence>,
    /// The next tick to digest, at which the cursor stands.
    at: u64,
    cursor: Box<dyn Cursor>,
    digest: Sha256,
}

impl PastTicks {
    const MOST_DIGESTED: u64 = 1 << 20;

    /// Digests the first 2^20 ticks of a range.
    pub fn digest(&self, range: Range<Sequence>) -> DigestFold {
        let Range { start, end } = self.within(range);
        let end = end.min(Sequence(start.0.saturating_add(Self::MOST_DIGESTED)));
        let cursor = self.series.cursor(start);
        DigestFold { range: start..end, at: start.0, cursor, digest: Sha256::new() }
    }
}

impl DigestFold {
    /// Digests at most `ticks` more ticks. Returns the digest once all are in it.
    pub fn step(&mut self, ticks: u64) -> Option<TickDigest> {
        let end = self.range.end.0.min(self.at.saturating_add(ticks));
        for _ in self.at..end {
            self.digest.update(bytes(&self.cursor.tick()));
            self.cursor.advance();
        }
        self.at = end;
        (end == self.range.end.0).then(|| {
            let sha256 = self.digest.finalize_reset().into();
            TickDigest { range: self.range.clone(), sha256 }
        })
    }

    /// The digest, made in one piece.
    pub fn finish(mut self) -> TickDigest {
        loop {
            if let Some(digest) = self.step(u64::MAX) {
                return digest;
            }
        }
    }
}

fn bytes(tick: &Tick) -> [u8; 32] {
    let fields = [tick.sequence.0, tick.time.nanos(), tick.price.nanos() as u64, tick.quantity.get()];
    let mut bytes = [0; 32];
    for (bytes, field) in bytes.chunks_exact_mut(8).zip(fields) {
        bytes.copy_from_slice(&field.to_le_bytes());
    }
    bytes
}
