//! What a tick of the simulated tape costs, in sequence and at random; and a symbol that it does not have.

#![allow(missing_docs)]

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ticker::{
    tape::{Series, Simulated, Tape, Universe},
    tick::{Sequence, Time},
};

/// An instrument with three factors.
fn series() -> Option<Arc<dyn Series>> {
    let tape = Simulated::new(7, Universe::builtin().ok()?);
    let instrument = tape.instrument(&"RELIANCE".parse().ok()?).ok()?;
    Some(tape.series(&instrument))
}

fn tape(criterion: &mut Criterion) {
    let Some(series) = series() else { return };
    let mut group = criterion.benchmark_group("tape");
    group.throughput(Throughput::Elements(1));

    let mut cursor = series.cursor(Sequence(17_000_000_000));
    group.bench_function("in sequence", |bencher| {
        bencher.iter(|| {
            cursor.advance();
            black_box(cursor.tick())
        });
    });

    group.bench_function("in sequence, with quotes", |bencher| {
        bencher.iter(|| {
            cursor.advance();
            black_box((cursor.tick(), cursor.top_of_book()))
        });
    });

    // In an order that no cache and no predictor knows: sequences of a year, and of the next two centuries.
    let mut n = 0u64;
    group.bench_function("at random in a year", |bencher| {
        bencher.iter(|| {
            n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            black_box(series.tick(Sequence(17_000_000_000 + (n >> 20) % 315_360_000)))
        });
    });
    group.bench_function("at random", |bencher| {
        bencher.iter(|| {
            n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            black_box(series.tick(Sequence(n >> 28)))
        });
    });

    group.bench_function("opening a cursor", |bencher| {
        bencher.iter(|| {
            n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            black_box(series.cursor(Sequence(n >> 28)))
        });
    });

    group.bench_function("sequence at a time", |bencher| {
        bencher.iter(|| {
            n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            black_box(series.sequence_at(Time::from_nanos(n >> 3)))
        });
    });
    group.finish();
}

/// What the search for the symbol that was meant costs.
fn suggestions(criterion: &mut Criterion) {
    let many = |n: usize| format!("[[instrument]]\nsymbol = 'S{n}'\nreference_price = 1\n");
    let many: String = (0..20_000).map(many).collect();
    let (Ok(builtin), Ok(many)) = (Universe::builtin(), Universe::parse(&many, "many")) else { return };
    let mut group = criterion.benchmark_group("unknown symbol");
    for (name, universe) in [("of the built-in list", builtin), ("of 20,000", many)] {
        for text in ["SQZWV", "S1234X", "RELAINCE"] {
            group.bench_function(format!("{text} {name}"), |bencher| {
                bencher.iter(|| black_box(universe.nearest(black_box(text))));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, tape, suggestions);
criterion_main!(benches);
