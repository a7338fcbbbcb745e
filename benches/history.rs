//! What the past costs: a candle, a day, a page and a digest.

#![allow(missing_docs)]

use std::{
    error::Error,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput};
use ticker::{
    history::{CachedCandles, CandleCache, CandleInterval, DayFold, Order, PastTicks},
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

/// Lists candles page by page, on this thread and as many others. Returns how many pages and candles there were.
fn list(
    past: &PastTicks,
    interval: CandleInterval,
    start: Time,
    end: Time,
    helpers: usize,
) -> (usize, usize) {
    let (mut from, mut pages, mut count) = (Some(start), 0, 0);
    while let Some(start) = from {
        let mut fold = past.candles(interval, start..end, 10_000);
        let (parts, is_done) = (fold.parts(), AtomicBool::new(false));
        let page = thread::scope(|scope| {
            for _ in 0..helpers {
                scope.spawn(|| {
                    while !is_done.load(Relaxed) {
                        if !parts.help() {
                            thread::yield_now();
                        }
                    }
                });
            }
            // As in the history pool, a call that is short is not helped.
            let page = loop {
                match fold.step(2_048) {
                    Ok(None) => {}
                    Ok(Some(page)) => break Some(page),
                    Err(_) => break None,
                }
            };
            is_done.store(true, Relaxed);
            page
        });
        let page = page.unwrap_or_default();
        (from, pages, count) = (page.next, pages + 1, count + page.candles.len());
    }
    (pages, count)
}

/// Five years of days, as a client lists them the first time and again.
fn five_years(series: &Arc<dyn Series>, end: Time) -> Result<(), Box<dyn Error>> {
    let day = CandleInterval::new(DAY).ok_or("it is a day")?;
    let start = end.before(1_826 * DAY).ok_or("it is after 1970")?;
    for helpers in [0, 1] {
        let cached = CandleCache::default().of("RELIANCE".parse()?, &**series);
        let past = PastTicks::new(series.clone(), end).with_cache(cached);
        for time in ["first", "second"] {
            let began = Instant::now();
            let (pages, candles) = list(&past, day, start, end, helpers);
            println!(
                "five years of days, {} threads, the {time} time: {:?} for {candles} candles in {pages} pages",
                1 + helpers,
                began.elapsed()
            );
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let series = series()?;
    let (start, end) = (Time::from_nanos(TODAY), Time::from_nanos(TODAY) + DAY);
    let past = PastTicks::new(series.clone(), end);
    let Sequence(first) = series.sequence_from(start);
    // Not when it is only tested that this runs.
    if std::env::args().any(|argument| argument == "--bench") {
        five_years(&series, start)?;
    }
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
            let mut fold = DayFold::new(
                series.clone(),
                TradingDays::Every24Hours(Duration::ZERO),
                last,
                CachedCandles::default(),
            );
            black_box(fold.reach(last, &mut usize::MAX.clone()))
        });
    });
    group.bench_function("the figures of a day whose hours are cached", |bencher| {
        let last = Sequence(series.sequence_from(end).0 - 1);
        let cache = CandleCache::default();
        bencher.iter(|| {
            let cached = cache.of("RELIANCE".parse().ok()?, &*series);
            let mut fold =
                DayFold::new(series.clone(), TradingDays::Every24Hours(Duration::ZERO), last, cached);
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
