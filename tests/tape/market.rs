//! The simulated market behaves like a market. Every figure is of fixed seeds; `--nocapture` shows it.

use ticker::{
    tape::{Instrument, Series, Universe},
    tick::{Sequence, Time},
};

use super::series;

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;
const YEAR: u64 = 365 * DAY;

/// Some day of 2026.
const TODAY: u64 = 20_770 * DAY;

const SEEDS: [u64; 4] = [1, 2, 3, 4];

/// The logarithms of the last prices at so many times, one after the other.
fn logs(series: &dyn Series, from: u64, step: u64, count: u64) -> Vec<f64> {
    let last = |time| series.tick(series.sequence_at(Time::from_nanos(time)).unwrap()).price.to_f64();
    (0..count).map(|n| libm::log(last(from + n * step))).collect()
}

fn returns(logs: &[f64]) -> Vec<f64> {
    logs.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (count, sum) = values.into_iter().fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value));
    sum / count
}

fn variance(values: &[f64]) -> f64 {
    let mean_value = mean(values.iter().copied());
    mean(values.iter().map(|value| (value - mean_value) * (value - mean_value)))
}

fn excess_kurtosis(values: &[f64]) -> f64 {
    let (mean_value, variance) = (mean(values.iter().copied()), variance(values));
    let square = |value: &f64| (value - mean_value) * (value - mean_value);
    mean(values.iter().map(|value| square(value) * square(value))) / (variance * variance) - 3.0
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let (mean_a, mean_b) = (mean(a.iter().copied()), mean(b.iter().copied()));
    let covariance = mean(a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)));
    covariance / (variance(a) * variance(b)).sqrt()
}

fn autocorrelation(values: &[f64], lag: usize) -> f64 {
    correlation(&values[..values.len() - lag], &values[lag..])
}

#[test]
fn a_week_of_minutes_has_the_volatility_the_fat_tails_and_the_clusters_of_a_market() {
    let mut rho = Vec::new();
    for symbol in ["RELIANCE", "BTC-USD", "EUR/USD", "FAST"] {
        for seed in SEEDS {
            let (instrument, series) = series(seed, symbol);
            let minutes = returns(&logs(series.as_ref(), TODAY, 60 * SECOND, 7 * 1440 + 1));
            let absolute: Vec<f64> = minutes.iter().map(|value| value.abs()).collect();

            let volatility = (variance(&minutes) * 365.0 * 1440.0).sqrt() / instrument.annual_volatility;
            let (tails, clusters) = (excess_kurtosis(&minutes), autocorrelation(&absolute, 10));
            let next = autocorrelation(&minutes, 1);
            println!(
                "{symbol} seed {seed}: volatility {volatility:.3} of what is asked, excess kurtosis {tails:.2}, \
                 autocorrelation {next:.4}, of absolute returns at lag 10 {clusters:.3}, at lag 60 {:.3}",
                autocorrelation(&absolute, 60)
            );
            assert!((volatility - 1.0).abs() < 0.1);
            assert!(tails > 1.0);
            assert!(clusters > 0.05);
            rho.push(next);
        }
    }
    // One week tells it to within 0.015 only, so the weeks are taken together.
    let rho = mean(rho);
    println!("autocorrelation of all weeks {rho:.4}");
    assert!(rho.abs() < 0.03);
}

#[test]
fn volatility_is_the_same_for_an_hour_and_for_a_month() {
    for symbol in ["RELIANCE", "FAST", "SLOW"] {
        for (name, step) in [("hour", DAY / 24), ("day", DAY), ("month", 30 * DAY)] {
            let all: Vec<f64> = SEEDS
                .iter()
                .flat_map(|seed| returns(&logs(series(*seed, symbol).1.as_ref(), YEAR, step, 1000)))
                .collect();
            let asked = series(1, symbol).0.annual_volatility;
            let ratio = (variance(&all) * (YEAR as f64 / step as f64)).sqrt() / asked;
            println!("{symbol}: over one {name} the volatility is {ratio:.3} of what is asked");
            assert!((ratio - 1.0).abs() < 0.1);
        }
    }
}

#[test]
fn no_seam_shows_where_spans_meet() {
    // The finest increment, so that rounding plays no part.
    let (instrument, series) = series(7, "FAST");
    let years = instrument.tick_interval.as_nanos() as f64 / YEAR as f64;
    let tick_variance = instrument.annual_volatility * instrument.annual_volatility * years;
    let log = |n| libm::log(series.tick(Sequence(n)).price.to_f64());
    // The seams of seconds, of days, of quarters, and no seam; far enough apart to be of different days.
    let places: [(&str, &dyn Fn(u64) -> u64); 4] = [
        ("anywhere", &|n| n * 1_000_000_007),
        ("at multiples of 2^12", &|n| (n * 1_000_003) << 12),
        ("at multiples of 2^30", &|n| n << 30),
        ("at multiples of 2^36", &|n| n << 36),
    ];
    for (name, place) in places {
        for width in [2, 600] {
            let paths: Vec<[f64; 3]> =
                (1..=5000).map(place).map(|n| [log(n - width / 2), log(n), log(n + width / 2)]).collect();
            let across: Vec<f64> = paths.iter().map(|path| path[2] - path[0]).collect();
            let before: Vec<f64> = paths.iter().map(|path| path[1] - path[0]).collect();
            let after: Vec<f64> = paths.iter().map(|path| path[2] - path[1]).collect();
            let ratio = variance(&across) / (tick_variance * width as f64);
            let next = correlation(&before, &after);
            println!(
                "{name}, {width} ticks: variance {ratio:.3} of a tick's, correlation of the halves {next:.3}"
            );
            assert!((ratio - 1.0).abs() < 0.2);
            assert!(next.abs() < 0.1);
        }
    }
}

#[test]
fn prices_stay_near_the_reference_for_ever() {
    let count = 40_000;
    for symbol in ["RELIANCE", "BTC-USD", "SLOW"] {
        let (instrument, series) = series(7, symbol);
        let reference = libm::log(instrument.reference_price.to_f64());
        let away: Vec<f64> = logs(series.as_ref(), DAY, 580 * YEAR / count, count)
            .iter()
            .map(|log| (log - reference) / instrument.annual_volatility)
            .collect();
        let furthest = away.iter().fold(0.0, |furthest: f64, away| furthest.max(away.abs()));
        println!("{symbol} from 1970 to 2549: {furthest:.2} yearly deviations away at most");
        for part in away.chunks(away.len() / 4) {
            let (centre, spread) = (mean(part.iter().copied()), variance(part).sqrt());
            println!("  mean {centre:.3}, deviation {spread:.3}");
            assert!(centre.abs() < 0.15);
            assert!((0.25..0.5).contains(&spread));
        }
        assert!(furthest < 2.5);
    }
}

#[test]
fn more_is_traded_when_prices_move_more() {
    let (_, series) = series(7, "EUR/USD");
    let mut cursor = series.cursor(series.sequence_at(Time::from_nanos(TODAY)).unwrap());
    let (mut volumes, mut moves) = (Vec::new(), Vec::new());
    for _ in 0..700 {
        let before = cursor.tick().price.to_f64();
        let mut volume = 0.0;
        for _ in 0..240 {
            volume += cursor.tick().quantity as f64;
            cursor.advance();
        }
        volumes.push(libm::log(volume));
        moves.push(libm::log(cursor.tick().price.to_f64() / before).abs());
    }
    let together = correlation(&volumes, &moves);
    println!("correlation of a minute's volume with its absolute return {together:.2}");
    assert!(together > 0.2);
}

#[test]
fn the_instruments_that_are_built_in_have_the_volatility_they_state() {
    let universe = Universe::builtin().unwrap();
    let mut ratios = Vec::new();
    for instrument in universe.listed().iter() {
        let instrument: &Instrument = instrument;
        let series = ticker::tape::SimulatedSeries::new(7, instrument);
        let hours = returns(&logs(&series, TODAY, DAY / 24, 24 * 29));
        let ratio = (variance(&hours) * 365.0 * 24.0).sqrt() / instrument.annual_volatility;
        assert!((ratio - 1.0).abs() < 0.3, "{}: {ratio}", instrument.symbol);
        ratios.push(ratio);
    }
    println!("{} instruments: {:.3} on average", ratios.len(), mean(ratios.iter().copied()));
    assert!((mean(ratios) - 1.0).abs() < 0.03);
}
