//! Facts of series whose ticks are written down.

use super::{minutes::Minutes, single, ticks::Ticks, *};
use crate::{
    tape::{Cursor, TopOfBook},
    tick::{Price, Sequence, Tick},
};

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;

/// A series of these ticks, with the book after each.
#[derive(Clone, Default)]
struct Listed(Vec<(Tick, Option<TopOfBook>)>);

struct ListedCursor {
    series: Listed,
    at: u64,
}

impl Listed {
    /// Adds a trade, after which the book is `book`.
    fn trade(&mut self, nanos: u64, price: i64, quantity: u64, book: Option<(i64, i64)>) {
        let sequence = Sequence(self.0.len() as u64);
        let price = price_of(price);
        let book = book.map(|(bid, ask)| TopOfBook {
            bid: price_of(bid),
            bid_quantity: 1,
            ask: price_of(ask),
            ask_quantity: 1,
        });
        self.0.push((Tick { sequence, time: Time::from_nanos(nanos), price, quantity }, book));
    }
}

impl Series for Listed {
    fn first(&self) -> Sequence {
        Sequence(0)
    }

    fn last(&self) -> Sequence {
        Sequence(self.0.len() as u64 - 1)
    }

    fn sequence_at(&self, time: Time) -> Option<Sequence> {
        let after = self.0.partition_point(|(tick, _)| tick.time <= time) as u64;
        after.checked_sub(1).map(Sequence)
    }

    fn tick(&self, sequence: Sequence) -> Tick {
        self.0[sequence.min(self.last()).0 as usize].0
    }

    fn cursor(&self, from: Sequence) -> Box<dyn Cursor> {
        Box::new(ListedCursor { series: self.clone(), at: from.0 })
    }

    fn top_of_book(&self, tick: &Tick) -> Option<TopOfBook> {
        self.0[tick.sequence.0 as usize].1
    }
}

impl Cursor for ListedCursor {
    fn tick(&self) -> Tick {
        self.series.tick(Sequence(self.at))
    }

    fn advance(&mut self) {
        self.at += 1;
    }

    fn top_of_book(&self) -> Option<TopOfBook> {
        self.series.top_of_book(&self.tick())
    }
}

fn price_of(units: i64) -> Price {
    Price::from_nanos(units * 1_000_000_000).unwrap()
}

/// An instrument whose prices are multiples of 1.
fn instrument() -> Instrument {
    Instrument { price_increment: price_of(1), ..Instrument::named("A", Duration::from_secs(1)) }
}

fn read(series: &Listed, minutes: usize) -> (Minutes, Ticks) {
    let recorded = Instrument { tick_interval: Duration::ZERO, ..instrument() };
    let minutes = Minutes::read(series, &recorded, Time::default(), minutes);
    let ticks = Ticks::read(series, &instrument(), &minutes);
    (minutes, ticks)
}

fn found(section: &Section, name: &str) -> f64 {
    let named = section.facts.iter().find(|fact| fact.name == name);
    named.and_then(|fact| fact.found).unwrap_or_else(|| panic!("{name} of {section:?}"))
}

fn is_found(section: &Section, name: &str) -> bool {
    section.facts.iter().any(|fact| fact.name == name && fact.found.is_some())
}

#[test]
fn trades_that_bounce_between_a_bid_and_an_ask_that_stay_are_told_as_such() {
    let mut series = Listed::default();
    for n in 0..600 {
        series.trade(n * SECOND, if n % 2 == 0 { 99 } else { 101 }, 1, Some((99, 101)));
    }
    let (minutes, ticks) = read(&series, 10);
    let section = single::book(&minutes, &ticks);
    for (name, expected) in [
        ("share of trades at the bid or ask before them", 1.0),
        ("share of trades outside of the bid and ask before them", 0.0),
        ("share of trades that put the bid at or above the old ask", 0.0),
        ("share of quotes that the next trade leaves unchanged", 1.0),
        ("spread, mean", 200.0),
        ("spread, mean, in price increments", 2.0),
        ("autocorrelation of signs, 1 trade", -1.0),
        ("autocorrelation of signs, 20 trades", 1.0),
        ("autocorrelation of price changes from trade to trade", -1.0),
    ] {
        assert!((found(&section, name) - expected).abs() < 0.01, "{name}: {}", found(&section, name));
    }
}

#[test]
fn a_book_that_follows_its_trades_cannot_be_traded_against() {
    let mut series = Listed::default();
    for n in 0..100 {
        let price = 100 + 5 * n as i64;
        series.trade(n * SECOND, price, 1, Some((price, price + 2)));
    }
    let (minutes, ticks) = read(&series, 2);
    let section = single::book(&minutes, &ticks);
    assert_eq!(found(&section, "share of trades at the bid or ask before them"), 0.0);
    assert_eq!(found(&section, "share of trades outside of the bid and ask before them"), 1.0);
    assert_eq!(found(&section, "share of trades that put the bid at or above the old ask"), 1.0);
    assert_eq!(found(&section, "share of quotes that the next trade leaves unchanged"), 0.0);
}

#[test]
fn a_tape_without_a_book_has_its_signs_by_the_tick_rule() {
    let mut series = Listed::default();
    for n in 0..600 {
        series.trade(n * SECOND, 100 + (n % 2) as i64, 1, None);
    }
    let (minutes, ticks) = read(&series, 10);
    let section = single::book(&minutes, &ticks);
    assert_eq!(section.notes, ["the tape knows no bid and ask"]);
    assert!(!is_found(&section, "spread, mean"));
    assert!((found(&section, "autocorrelation of signs, 1 trade (by the tick rule)") + 1.0).abs() < 1e-9);
}

#[test]
fn a_metronome_has_no_variation_and_a_burst_is_counted() {
    let (mut metronome, mut bursting) = (Listed::default(), Listed::default());
    for second in 0..1200 {
        metronome.trade(second * SECOND, 100, 1, None);
        let ticks = if second == 600 { 70 } else { 1 };
        (0..ticks).for_each(|n| bursting.trade(second * SECOND + n * 100_000, 100, 1, None));
    }
    let (minutes, ticks) = read(&bursting, 20);
    let section = single::arrivals(&instrument(), &minutes, &ticks);
    assert_eq!(found(&section, "most ticks in any 10 ms"), 70.0);
    let (minutes, ticks) = read(&metronome, 20);
    let section = single::arrivals(&instrument(), &minutes, &ticks);
    assert_eq!(found(&section, "ticks a minute"), 60.0);
    assert_eq!(found(&section, "ticks a minute over what the interval asks"), 1.0);
    assert_eq!(found(&section, "ticks a minute: coefficient of variation"), 0.0);
    assert_eq!(found(&section, "busiest minute over the mean"), 1.0);
    assert!(found(&section, "gaps: coefficient of variation") < 1e-6);
    assert_eq!(found(&section, "most ticks in any 10 ms"), 1.0);
}

#[test]
fn a_market_with_hours_is_measured_while_it_is_open() {
    // Ten days of six hours, a tick every ten seconds; each opens ten percent above its last close.
    let mut series = Listed::default();
    let mut price = 10_000.0;
    for day in 0..10 {
        for n in 0..6 * 360 {
            let wiggle = if n % 12 < 6 { 1 } else { 0 };
            series.trade(day * DAY + 3600 * SECOND + n * 10 * SECOND + 1, price as i64 + wiggle, 1, None);
        }
        price *= 1.1;
    }
    let (minutes, ticks) = read(&series, 10 * 1440);
    assert!((minutes.open_share() - 0.25).abs() < 0.001);
    let arrivals = single::arrivals(&instrument(), &minutes, &ticks);
    assert!((found(&arrivals, "ticks a minute") - 6.0).abs() < 0.01);
    assert!((found(&arrivals, "longest gap over the mean") - 1.0).abs() < 0.01, "a night is no gap");
    // A minute moves by one unit of ten thousand; an opening would be a thousand times that.
    assert!(minutes.returns(&minutes.trades, 1).iter().all(|value| value.abs() < 2e-4));
    assert_eq!(minutes.daily_returns(&minutes.trades).len(), 9);
    let day = single::day(&minutes);
    assert!(is_found(&day, "deviation of returns over a closed market, over that of a day"));
}

#[test]
fn an_instrument_that_has_sessions_is_closed_outside_of_them_and_never_within() {
    let hours = "01:00-07:00 UTC Mon-Sun".parse().ok();
    let instrument = Instrument { hours, closes: true, ..instrument() };
    // A tick in each minute of the first half of the session, and none in the second.
    let mut series = Listed::default();
    (60..240).for_each(|minute| series.trade(minute * 60 * SECOND, 100, 1, None));
    let minutes = Minutes::read(&series, &instrument, Time::default(), 1440);
    assert_eq!(
        [0, 59, 60, 239, 300, 419, 420, 1439].map(|minute| minutes.is_open(minute)),
        [false, false, true, true, true, true, false, false]
    );
    assert_eq!(minutes.open_counts().len(), 360);
}

#[test]
fn round_sizes_and_prices_are_counted() {
    let mut series = Listed::default();
    for n in 0..1000u64 {
        series.trade(n * SECOND, 1000 + (n % 20) as i64, if n % 4 == 0 { 100 } else { 7 }, None);
    }
    let (minutes, mut ticks) = read(&series, 17);
    let section = single::sizes(&instrument(), &minutes, &mut ticks);
    assert_eq!(found(&section, "share of sizes that are multiples of 10"), 0.25);
    assert_eq!(found(&section, "share of sizes that are multiples of 100"), 0.25);
    assert_eq!(found(&section, "share of prices that are multiples of 10 increments"), 0.1);
    assert_eq!(found(&section, "mean size of a trade, in quantity increments"), 30.25);
}

#[test]
fn a_span_is_as_long_as_the_recording_or_as_it_was_asked() {
    let at = |seconds: u64| Time::from_nanos(seconds * SECOND);
    let span = Span::between(at(90), at(301), 512);
    assert_eq!(span, Span { from: at(60), minutes: 5 });
    assert_eq!(Span::between(at(0), at(86_400 * 3), 2), Span::days(at(0), 2));
}
