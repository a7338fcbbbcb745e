//! The ticks of a recording in the order of time, at the pace of their times.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::batch::Batch;
use crate::{
    client::NewTick,
    commands::quantity_increments::{NotWhole, QuantityIncrements},
    history::Merge,
    tape::{Recorded, Tape},
    tick::{Symbol, Tick, Time},
};

/// Reads a recording.
pub(super) struct PacedTicks {
    merge: Merge,
    /// The instrument of each series of the merge.
    instruments: Vec<RecordedInstrument>,
    increments: QuantityIncrements,
    first: Time,
    /// 1 is the pace of the recording; 0 is as fast as the ticks are taken.
    speed: f64,
    /// When the first tick was due.
    begun: Option<Instant>,
    /// Number of ticks that were read.
    read: u64,
}

struct RecordedInstrument {
    symbol: Symbol,
    /// What its quantities in the recording count, in units of 1e-9.
    increment: u64,
}

impl PacedTicks {
    /// Begins with the first tick of a recording.
    ///
    /// # Errors
    /// A quantity of the recording is no whole number of the server's increments.
    pub(super) fn new(
        recorded: &Recorded,
        increments: QuantityIncrements,
        speed: f64,
    ) -> Result<Self, NotWhole> {
        let listed = recorded.instruments();
        let (mut merge, mut instruments) = (Merge::default(), Vec::new());
        for instrument in listed.iter() {
            let series = recorded.series(instrument);
            let increment = instrument.quantity_increment_nanos.get();
            let of_series = RecordedInstrument { symbol: instrument.symbol, increment };
            // Before anything is sent, so that a file is published as a whole or not at all.
            if !increment.is_multiple_of(increments.get(&instrument.symbol)) {
                let mut cursor = series.cursor(series.first());
                loop {
                    of_series.quantity(&cursor.tick(), &increments)?;
                    if cursor.tick().sequence >= series.last() {
                        break;
                    }
                    cursor.advance();
                }
            }
            merge.add(&*series, series.first());
            instruments.push(of_series);
        }
        let first = recorded.extent().first;
        Ok(Self { merge, instruments, increments, first, speed, begun: None, read: 0 })
    }

    /// Waits until ticks are due, and returns those that are; `None` when there are no more. Cancel safe.
    ///
    /// # Errors
    /// As [`Self::new`], which has checked all ticks.
    pub(super) async fn next(&mut self) -> Result<Option<Batch>, NotWhole> {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        let Some((_, tick)) = self.merge.peek() else { return Ok(None) };
        let Some(due) = self.due(begun, tick.time) else { return Ok(None) };
        sleep_until(due).await;
        let now = Instant::now();
        let mut batch = Batch::default();
        while !batch.is_full()
            && let Some((at, tick)) = self.merge.peek()
            && self.due(begun, tick.time).is_some_and(|due| due <= now)
            && let Some(instrument) = self.instruments.get(at)
        {
            let quantity = instrument.quantity(tick, &self.increments)?;
            self.read += 1;
            batch.push(self.read, NewTick::new(instrument.symbol, tick.price, quantity));
            self.merge.advance();
        }
        Ok(Some(batch))
    }

    /// When a tick of a time is due; `None` when that is beyond all time.
    fn due(&self, begun: Instant, time: Time) -> Option<Instant> {
        if self.speed == 0.0 {
            return Some(begun);
        }
        let since = Duration::from_nanos(time.nanos() - self.first.nanos()).as_secs_f64() / self.speed;
        begun.checked_add(Duration::try_from_secs_f64(since).ok()?)
    }
}

impl RecordedInstrument {
    fn quantity(&self, tick: &Tick, increments: &QuantityIncrements) -> Result<u64, NotWhole> {
        increments.count(self.symbol, tick.quantity.saturating_mul(self.increment))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const TICKS: &str = "time,symbol,price,quantity\n\
        2025-01-02T09:15:00Z,A,1,0.5\n\
        2025-01-02T09:15:02Z,A,3,1.5\n\
        2025-01-02T09:15:01Z,B,2,10\n\
        2025-01-02T09:15:02Z,B,4,20\n";

    fn recorded() -> Recorded {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ticks.csv");
        fs::write(&path, TICKS).unwrap();
        Recorded::read(&path, false, None, &mut |_| {}).unwrap()
    }

    fn increments(of_a: u64, of_b: u64) -> QuantityIncrements {
        [("A", of_a), ("B", of_b)]
            .map(|(symbol, nanos)| (symbol.parse().unwrap(), nanos))
            .into_iter()
            .collect()
    }

    /// The ticks in their order, and after how many milliseconds each batch came.
    async fn read(speed: f64) -> (Vec<NewTick>, Vec<u128>) {
        let mut paced = PacedTicks::new(&recorded(), increments(100_000_000, 10_000_000_000), speed).unwrap();
        let (begun, mut ticks, mut waits) = (Instant::now(), Vec::new(), Vec::new());
        while let Some(batch) = paced.next().await.unwrap() {
            let next = ticks.len() as u64 + 1;
            assert_eq!(batch.places, (next..next + batch.ticks.len() as u64).collect::<Vec<_>>());
            ticks.extend(batch.ticks);
            waits.push(begun.elapsed().as_millis());
        }
        (ticks, waits)
    }

    #[tokio::test(start_paused = true)]
    async fn ticks_come_in_the_order_of_time_at_their_pace_times_the_speed() {
        let (ticks, waits) = read(2.0).await;
        let order: Vec<_> = ticks.iter().map(|tick| tick.price.nanos() / 1_000_000_000).collect();
        assert_eq!(order, [1, 2, 3, 4]);
        assert_eq!(waits, [0, 500, 1000]);
    }

    #[tokio::test(start_paused = true)]
    async fn at_speed_0_nothing_waits_and_no_tick_has_its_recorded_time() {
        let (ticks, waits) = read(0.0).await;
        assert_eq!((ticks.len(), waits), (4, vec![0]));
        assert!(ticks.iter().all(|tick| tick.time.is_none()));
    }

    #[tokio::test(start_paused = true)]
    async fn quantities_are_counted_in_the_increments_of_the_server() {
        let quantities: Vec<_> = read(0.0).await.0.iter().map(|tick| tick.quantity).collect();
        assert_eq!(quantities, [5, 1, 15, 2]);
    }

    #[test]
    fn a_recording_with_a_quantity_that_the_server_cannot_hold_is_refused_as_a_whole() {
        let refused = PacedTicks::new(&recorded(), QuantityIncrements::default(), 0.0).err().unwrap();
        assert!(refused.to_string().starts_with("quantity: 0.5 is no multiple of 1"), "{refused}");
        let refused = PacedTicks::new(&recorded(), increments(1, 20_000_000_000), 0.0).err().unwrap();
        assert!(refused.to_string().starts_with("quantity: 10 is no multiple of 20"), "{refused}");
    }
}
