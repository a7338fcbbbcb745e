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
    range: Range<Sequence>,
    /// The next tick to digest.
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
    /// Digests at most `ticks` more ticks. Returns the digest once it covers the range.
    pub fn step(&mut self, ticks: u64) -> Option<TickDigest> {
        let end = self.range.end.0.min(self.at.saturating_add(ticks));
        while self.at < end {
            let tick = self.cursor.tick();
            if tick.sequence.0 > self.at {
                self.begin_again(tick.sequence);
                continue;
            }
            self.digest.update(bytes(&tick));
            self.cursor.advance();
            self.at += 1;
        }
        (self.at == self.range.end.0).then(|| {
            let sha256 = self.digest.finalize_reset().into();
            TickDigest { range: self.range.clone(), sha256 }
        })
    }

    /// Leaves out the ticks before `start`: they are not available any more.
    fn begin_again(&mut self, start: Sequence) {
        self.range.start = start.min(self.range.end);
        self.at = self.range.start.0;
        self.digest = Sha256::new();
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
