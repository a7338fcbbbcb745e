//! What the past costs: a candle, a day, a page and a digest.

#![allow(missing_docs)]

use std::{error::Error, hint::black_box, sync::Arc, time::Duration};

use criterion::{Criterion, Throughput};
use ticker::{
    history::{CandleInterval, DayFold, Order, PastTicks},
    tape::{Series, Simulated, Tape, TradingDays, Universe},
    tick::{Sequence, Time},
};

/// 2026-11-20, as nanoseconds.
const TODAY: u64 = 20_777 * 86_400_000_000_000;
const DAY: Duration = Duration::from_secs(86_400);

/// The ticks of an instrument that trades every 100 ms: 864,000 a day.
fn series() -> Result<Arc<dyn Series>, Box<dyn Error>> {
    let tape = Simulated::new(7, Universe::builtin()?);
    let reliance = tape.instrument(&"RELIANCE".parse()?)?;
    Ok(tape.series(&reliance))
}

fn main() -> Result<(), Box<dyn Error>> {
    let series = series()?;
    let (start, end) = (Time::from_nanos(TODAY), Time::from_nanos(TODAY) + DAY);
    let past = PastTicks::new(series.clone(), end);
    let Sequence(first) = series.sequence_from(start);
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("history");

    group.throughput(Throughput::Elements(864_000)).sample_size(20);
    for seconds in [86_400, 60, 1] {
        let interval = CandleInterval::new(Duration::from_secs(seconds)).ok_or("it divides a day")?;
        group.bench_function(format!("a day in candles of {seconds}s"), |bencher| {
            bencher.iter(|| black_box(past.candles(interval, start..end, 100_000).finish()));
        });
    }
    group.bench_function("the figures of a day", |bencher| {
        let last = Sequence(series.sequence_from(end).0 - 1);
        bencher.iter(|| {
            let mut fold = DayFold::new(series.clone(), TradingDays::Every24Hours(Duration::ZERO), last);
            black_box(fold.reach(last, &mut usize::MAX.clone()))
        });
    });

    group.throughput(Throughput::Elements(1 << 20));
    group.bench_function("a digest of 2^20 ticks", |bencher| {
        let past = PastTicks::new(series.clone(), end + DAY);
        bencher.iter(|| black_box(past.digest(Sequence(first)..Sequence(u64::MAX)).finish()));
    });

    group.throughput(Throughput::Elements(10_000));
    group.bench_function("a page of 10,000 ticks", |bencher| {
        let range = Sequence(first)..Sequence(u64::MAX);
        bencher.iter(|| black_box(past.page(range.clone(), Order::OldestFirst, 10_000)));
    });
    group.finish();
    criterion.final_summary();
    Ok(())
}
