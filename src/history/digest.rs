//! Digests of ticks, by which two replicas can be compared without sending them.

use std::ops::Range;

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::{HistoryError, Past};
use crate::tick::{Sequence, Tick};

/// A digest and what it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TickDigest {
    /// The ticks that were digested: those of the range asked for that have taken place, at most 2^20 of them.
    pub range: Range<Sequence>,
    /// SHA-256 of sequence, time, price and quantity of each tick, as 64-bit integers, little endian.
    pub sha256: [u8; 32],
}

impl Past {
    const MOST_DIGESTED: u64 = 1 << 20;

    /// Digests the first 2^20 ticks of a range.
    ///
    /// # Errors
    /// Nobody waits for it any more.
    pub fn digest(
        &self,
        range: Range<Sequence>,
        abandoned: &CancellationToken,
    ) -> Result<TickDigest, HistoryError> {
        let Range { start, end } = self.within(range);
        let end = end.min(Sequence(start.0.saturating_add(Self::MOST_DIGESTED)));
        let mut digest = Sha256::new();
        let mut cursor = self.series.cursor(start);
        for n in start.0..end.0 {
            if n.is_multiple_of(4_096) && abandoned.is_cancelled() {
                return Err(HistoryError::Abandoned);
            }
            digest.update(bytes(&cursor.tick()));
            cursor.advance();
        }
        Ok(TickDigest { range: start..end, sha256: digest.finalize().into() })
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
