//! The simulated market behaves like a market over years and across instruments. `--nocapture` shows the figures. The tests of
//! `ticker market-report` hold those of minutes and of trades.

use std::sync::Arc;

use ticker::{
    facts::statistics,
    tape::{Instrument, Series, Simulated, Tape, Universe, all_but_tests},
    tick::{Sequence, Time},
};

const DAY: u64 = 86_400_000_000_000;

fn builtin(seed: u64) -> Simulated {
    Simulated::new(seed, Universe::builtin().unwrap())
}

fn instrument(tape: &Simulated, symbol: &str) -> Arc<Instrument> {
    tape.instrument(&symbol.parse().unwrap()).unwrap()
}

#[test]
fn days_have_fat_tails_and_are_calm_or_stormy_for_weeks() {
    for symbol in ["RELIANCE", "EUR-USD", "BTC-USD"] {
        let (mut kurtosis, mut correlations) = (0.0, [0.0; 2]);
        let seeds = 16;
        for seed in 1..=seeds {
            let tape = builtin(seed);
            let series = tape.series(&instrument(&tape, symbol));
            let price =
                |day| series.tick(series.sequence_at(Time::from_nanos(day * DAY)).unwrap()).price.to_f64();
            let logs: Vec<f64> = (18_432..18_432 + 2_048).map(|day| libm::log(price(day))).collect();
            let returns: Vec<f64> = logs.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let sizes: Vec<f64> = returns.iter().map(|one| one.abs()).collect();
            kurtosis += statistics::excess_kurtosis(&returns).unwrap() / seeds as f64;
            for (correlation, lag) in correlations.iter_mut().zip([1, 10]) {
                *correlation += statistics::autocorrelation(&sizes, lag).unwrap() / seeds as f64;
            }
        }
        println!(
            "{symbol}: kurtosis of days {kurtosis:.2}, autocorrelation of sizes {correlations:.3?} at 1 and 10 days"
        );
        assert!((1.0..5.0).contains(&kurtosis));
        assert!(correlations[0] > 0.1 && correlations[1] > 0.05);
    }
}

#[test]
fn the_volatility_of_each_year_is_the_one_asked_for() {
    let mut ratios = Vec::new();
    for seed in 1..=3 {
        let tape = builtin(seed);
        for instrument in all_but_tests(&tape.instruments()) {
            let series = tape.series(instrument);
            for year in 0..3 {
                let from = (17_532 + 365 * year) * DAY;
                let price = |hour: u64| {
                    let time = Time::from_nanos(from + hour * DAY / 24);
                    libm::log(series.tick(series.sequence_at(time).unwrap()).price.to_f64())
                };
                let logs: Vec<f64> = (0..=365 * 4).map(|n| price(6 * n)).collect();
                let squares: f64 =
                    logs.windows(2).map(|pair| (pair[1] - pair[0]) * (pair[1] - pair[0])).sum();
                // What follows others has their volatility.
                if instrument.follows.is_empty() {
                    ratios.push(squares.sqrt() / instrument.annual_volatility);
                }
            }
        }
    }
    ratios.sort_by(f64::total_cmp);
    let (least, most) = (ratios[ratios.len() / 50], ratios[ratios.len() * 49 / 50]);
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    println!(
        "volatility of a year over the asked one: mean {mean:.3}, 2 to 98 percent {least:.3} … {most:.3}"
    );
    assert!((mean - 1.0).abs() < 0.03 && least > 0.85 && most < 1.15);
}

#[test]
fn with_sessions_ticks_take_place_while_the_market_is_open_and_at_the_asked_rate() {
    let tape = Simulated::new(7, Universe::builtin().unwrap().with_sessions());
    for symbol in ["RELIANCE", "AAPL", "EUR-USD", "DJI"] {
        let instrument = instrument(&tape, symbol);
        let hours = instrument.hours.clone().unwrap();
        let series = tape.series(&instrument);
        let mut counted = 0;
        let mut open = Time::from_nanos(0);
        for day in 20_770..20_770 + 28 {
            // The clocks of the United States change in November: two days of the report are before.
            let (first, end) = (at(&*series, day), at(&*series, day + 1));
            counted += end - first;
            for n in (first..end).step_by(997) {
                let time = series.tick(Sequence(n)).time;
                assert!(hours.is_open(time), "{symbol} {n}");
            }
            let minutes: u64 = hours.open_in(day).iter().map(|(from, to)| u64::from(to - from)).sum();
            open = Time::from_nanos(open.nanos() + minutes * 60_000_000_000);
        }
        let asked = open.nanos() as f64 / instrument.tick_interval.as_nanos() as f64;
        println!("{symbol}: {counted} ticks in four weeks, asked {asked:.0}");
        assert!((0.4..2.5).contains(&(counted as f64 / asked)));
    }
}

/// The first tick of a day.
fn at(series: &dyn Series, day: u64) -> u64 {
    series.sequence_from(Time::from_nanos(day * DAY)).0
}

#[test]
fn the_first_trade_of_a_session_is_away_from_the_last_one_before() {
    let tape = Simulated::new(7, Universe::builtin().unwrap().with_sessions());
    let series = tape.series(&instrument(&tape, "RELIANCE"));
    let price = |n: u64| libm::log(series.tick(Sequence(n)).price.to_f64());
    let mut gaps: Vec<f64> = (20_400..20_760)
        .map(|day| (at(&*series, day), at(&*series, day + 1)))
        .filter(|(first, end)| first < end)
        .map(|(first, _)| (price(first) - price(first - 1)).abs())
        .collect();
    gaps.sort_by(f64::total_cmp);
    println!("opening gaps: median {:.4}", gaps[gaps.len() / 2]);
    assert!((0.002..0.02).contains(&gaps[gaps.len() / 2]));
}

#[test]
fn a_product_is_the_product_and_a_tracker_follows_at_every_instant() {
    let tape = builtin(7);
    let middle = |symbol: &str| {
        let series = tape.series(&instrument(&tape, symbol));
        move |time| {
            let book = series.top_of_book(&series.tick(series.sequence_at(time).unwrap())).unwrap();
            (book.bid.to_f64() + book.ask.to_f64()) / 2.0
        }
    };
    let [index, fund, eur_usd, usd_inr, eur_inr] =
        ["SPX", "SPY", "EUR-USD", "USD-INR", "EUR-INR"].map(middle);
    let (mut fund_off, mut cross_off) = (0.0_f64, 0.0_f64);
    for n in 0..5_000 {
        let time = Time::from_nanos(20_000 * DAY + n * 7_919_000_000_003);
        fund_off = fund_off.max((fund(time) / index(time) * (6_720.30 / 670.90) - 1.0).abs());
        cross_off = cross_off.max((eur_usd(time) * usd_inr(time) / eur_inr(time) - 1.0).abs());
    }
    println!("SPY off SPX by {:.2} basis points at most, EUR-INR by {:.2}", fund_off * 1e4, cross_off * 1e4);
    assert!(fund_off < 0.001 && cross_off < 0.0002);
}

#[test]
fn prices_return_to_the_reference_over_some_years_for_ever() {
    let tape = builtin(7);
    for symbol in ["RELIANCE", "DOGE-USD"] {
        let instrument = instrument(&tape, symbol);
        let series = tape.series(&instrument);
        let reference = libm::log(instrument.reference_price.to_f64());
        let away: Vec<f64> = (1..5_800)
            .map(|n| series.tick(series.sequence_at(Time::from_nanos(n * 36 * DAY)).unwrap()).price.to_f64())
            .map(|price| (libm::log(price) - reference) / instrument.annual_volatility)
            .collect();
        let most = away.iter().fold(0.0_f64, |most, away| most.max(away.abs()));
        let deviation = (away.iter().map(|away| away * away).sum::<f64>() / away.len() as f64).sqrt();
        println!("{symbol}, 1970 to 2541: deviation {deviation:.2}, at most {most:.2} of a year's");
        assert!((0.8..1.6).contains(&deviation) && most <= 5.1);
    }
}
