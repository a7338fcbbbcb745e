//! Compares one symbol on several replicas: by digests first, then down to the first tick that differs.

use std::ops::Range;

use sha2::{Digest, Sha256};
use tokio_stream::StreamExt;

use super::Replica;
use crate::{
    client::{Client, ClientError, Endpoint, TickRange},
    tick::{Sequence, Tick, Time},
};

/// What became of a symbol.
pub(super) struct Comparison {
    /// How many ticks the replicas have in the time.
    pub(super) count: u64,
    /// A digest of the ticks of the first replica, in hexadecimal.
    pub(super) digest: String,
    /// The first difference of each replica from the first one.
    pub(super) differences: Vec<Difference>,
}

/// The first tick that differs.
pub(super) struct Difference {
    pub(super) sequence: Sequence,
    /// The tick as the first replica has it, and as the other one has it.
    pub(super) sides: [(Endpoint, Option<Tick>); 2],
}

/// The most ticks of one digest.
const DIGESTED: u64 = 1 << 20;

/// Compares the ticks of some times. `replicas` has at least one.
pub(super) async fn compare(
    symbol: &str,
    replicas: &[Replica],
    times: &Range<Time>,
) -> Result<Comparison, ClientError> {
    let mut range: Option<Range<u64>> = None;
    for replica in replicas {
        let own = sequences(&replica.client, symbol, times).await?;
        range = match (range, own) {
            (Some(all), Some(own)) => Some(all.start.min(own.start)..all.end.max(own.end)),
            (all, own) => all.or(own),
        };
    }
    let range = range.unwrap_or_default();
    let mut whole = Sha256::new();
    let mut differences = Vec::new();
    let Some((first, others)) = replicas.split_first() else {
        return Ok(Comparison { count: 0, digest: String::new(), differences });
    };
    let mut same: Vec<&Client> = others.iter().map(|other| &other.client).collect();
    let mut start = range.start;
    while start < range.end {
        let chunk = start..range.end.min(start + DIGESTED);
        let own = digest(&first.client, symbol, &chunk).await?;
        whole.update(own.1);
        let mut still = Vec::new();
        for other in same {
            if digest(other, symbol, &chunk).await? == own {
                still.push(other);
            } else {
                differences.push(first_difference(symbol, [&first.client, other], chunk.clone()).await?);
            }
        }
        same = still;
        start = chunk.end;
    }
    let digest = whole.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Comparison { count: range.end - range.start, digest, differences })
}

/// Halves a range whose digests differ until one tick is left.
async fn first_difference(
    symbol: &str,
    sides: [&Client; 2],
    mut range: Range<u64>,
) -> Result<Difference, ClientError> {
    let [one, other] = sides;
    while range.end - range.start > 1 {
        let middle = range.start + (range.end - range.start) / 2;
        let lower = range.start..middle;
        if digest(one, symbol, &lower).await? == digest(other, symbol, &lower).await? {
            range.start = middle;
        } else {
            range.end = middle;
        }
    }
    let sides = [side(one, symbol, &range).await?, side(other, symbol, &range).await?];
    Ok(Difference { sequence: Sequence(range.start), sides })
}

async fn side(
    client: &Client,
    symbol: &str,
    range: &Range<u64>,
) -> Result<(Endpoint, Option<Tick>), ClientError> {
    let range = TickRange::sequences(Sequence(range.start)..Sequence(range.end)).with_page_size(1);
    Ok((client.endpoint().clone(), client.ticks(symbol, range).next().await.transpose()?))
}

/// The digest of a range, and which ticks it is of.
async fn digest(
    client: &Client,
    symbol: &str,
    range: &Range<u64>,
) -> Result<(Range<Sequence>, [u8; 32]), ClientError> {
    let digest = client.digest(symbol, Sequence(range.start)..Sequence(range.end)).await?;
    Ok((digest.sequences, digest.sha256))
}

/// The sequences of the ticks of some times; `None` when there are none.
async fn sequences(
    client: &Client,
    symbol: &str,
    times: &Range<Time>,
) -> Result<Option<Range<u64>>, ClientError> {
    let range = TickRange::times(times.clone()).with_page_size(1);
    let first = client.ticks(symbol, range).next().await.transpose()?;
    let last = client.ticks(symbol, range.newest_first()).next().await.transpose()?;
    Ok(first.zip(last).map(|(first, last)| first.sequence.0..last.sequence.next().0))
}
