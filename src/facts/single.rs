//! The facts of one instrument.

use super::{
    fact::{Bound, Fact, Section},
    minutes::{HOUR_MINUTES, Minutes},
    statistics::{
        autocorrelation, correlation, deviation, excess_kurtosis, mean, tail_exponent, variance, variation,
    },
    ticks::{SIGN_LAGS, Ticks},
};
use crate::tape::{Instrument, Kind};

const MINUTES_A_YEAR: f64 = 365.0 * 1440.0;

/// With fewer returns than this, kurtosis and autocorrelations say nothing.
const FEWEST_RETURNS: usize = 30;

pub(super) fn arrivals(instrument: &Instrument, minutes: &Minutes, ticks: &Ticks) -> Section {
    let counts = minutes.open_counts();
    let per_minute = mean(&counts);
    let asked = 60.0 / instrument.tick_interval.as_secs_f64();
    let rate = per_minute.map(|rate| rate / asked).filter(|ratio| *ratio > 0.0);
    let most = counts.iter().copied().reduce(f64::max);
    let busiest = most.zip(per_minute).map(|(most, mean)| most / mean);
    let lagged = |lag: usize| {
        Fact::new(
            format!("autocorrelation of ticks a minute, {lag} min"),
            autocorrelation(enough(&counts, lag), lag),
        )
    };
    let returns: Vec<f64> = minutes.returns(&minutes.trades, 1).iter().map(|value| value.abs()).collect();
    let beside: Vec<f64> = minutes.stretches(1).map(|minute| minutes.counts[minute]).collect();
    let gaps = &ticks.gaps;
    let longest = Some(gaps.longest / gaps.mean()).filter(|ratio| ratio.is_finite());
    let mut facts = vec![
        Fact::new("ticks a minute", per_minute),
        Fact::new("ticks a minute over what the interval asks", rate).asked(Bound::Between(0.95, 1.05)),
        Fact::new("ticks a minute: coefficient of variation", variation(&counts))
            .asked(Bound::Between(0.4, 1.0)),
        Fact::new("busiest minute over the mean", busiest).asked(Bound::AtMost(15.0)),
        lagged(1).real("long-range (Gopikrishnan 2000)"),
        lagged(10),
        lagged(60).asked(Bound::Positive),
        lagged(240).asked(Bound::Positive),
        Fact::new("correlation of ticks and |return| of a minute", correlation(&beside, &returns))
            .real("positive (Gopikrishnan 2000; Cont 2001)")
            .asked(Bound::AtLeast(0.4)),
        Fact::new("gaps: coefficient of variation", gaps.variation())
            .real("over 1 (Bauwens 2005); clustered (Engle and Russell 1998)")
            .asked(Bound::Between(1.1, 2.5)),
        Fact::new("longest gap over the mean", longest),
        Fact::new("most ticks in any 10 ms", Some(ticks.burst as f64)).asked(Bound::AtMost(50.0)),
    ];
    if instrument.tick_interval.is_zero() {
        facts.remove(1);
    }
    Section::new("Arrivals", facts)
}

pub(super) fn day(minutes: &Minutes) -> Section {
    let returns = minutes.returns(&minutes.trades, 1);
    let starts: Vec<usize> = minutes.stretches(1).collect();
    // Ticks and volatility of the minutes that are chosen, each over that of all minutes.
    let relative = |chosen: &dyn Fn(usize) -> bool| {
        let rows = || starts.iter().zip(&returns).filter(|(minute, _)| chosen(**minute));
        let counts: Vec<f64> = rows().map(|(minute, _)| minutes.counts[*minute]).collect();
        let squares: Vec<f64> = rows().map(|(_, value)| value * value).collect();
        Some((mean(&counts)?, mean(&squares)?.sqrt()))
    };
    let hours: Vec<Option<(f64, f64)>> =
        (0..24).map(|hour| relative(&|minute| minutes.hour(minute) == hour)).collect();
    let swing = |of: fn(&(f64, f64)) -> f64| {
        let values = || hours.iter().flatten().map(of);
        Some(values().reduce(f64::max)? / values().reduce(f64::min)?).filter(|ratio| ratio.is_finite())
    };
    let weekend = relative(&|minute| minutes.is_weekend(minute));
    let weekdays = relative(&|minute| !minutes.is_weekend(minute));
    let weekend = weekend.zip(weekdays).map(|(weekend, week)| (weekend.0 / week.0, weekend.1 / week.1));
    let openings = openings(minutes);
    let daily = deviation(&minutes.daily_returns(&minutes.trades));
    let opening = deviation(&openings).zip(daily).map(|(opening, day)| opening / day);

    let u_shape = "U over a session (Andersen and Bollerslev 1997)";
    let mut facts = vec![
        Fact::new("busiest hour of the day over the quietest, ticks", swing(|hour| hour.0)).real(u_shape),
        Fact::new("busiest hour of the day over the quietest, volatility", swing(|hour| hour.1))
            .real(u_shape),
        Fact::new("weekend over weekdays, ticks", weekend.map(|of| of.0)),
        Fact::new("weekend over weekdays, volatility", weekend.map(|of| of.1)),
        Fact::new("share of minutes in which the market is open", Some(minutes.open_share())),
    ];
    if !openings.is_empty() {
        facts.push(Fact::new("deviation of returns over a closed market, over that of a day", opening));
    }
    let all = relative(&|_| true);
    let profile = |of: fn((f64, f64)) -> f64, from: usize| {
        let cells = (from..from + 12).map(|hour| {
            let share = hours[hour].zip(all).map(|(hour, all)| of(hour) / of(all));
            share.map_or_else(|| "    –".to_owned(), |share| format!("{share:>5.2}"))
        });
        cells.collect::<String>()
    };
    let notes = [0, 12].into_iter().flat_map(|from| {
        let heading = (from..from + 12).map(|hour| format!("   {hour:02}")).collect::<String>();
        [
            format!("hour (UTC) {heading}"),
            format!("ticks      {}", profile(|hour| hour.0, from)),
            format!("volatility {}", profile(|hour| hour.1, from)),
        ]
    });
    Section { notes: notes.collect(), ..Section::new("The day and the week", facts) }
}

/// The log returns from the last tick before each closed stretch to the end of the first minute after it.
fn openings(minutes: &Minutes) -> Vec<f64> {
    let opens = |minute: &usize| minutes.is_open(*minute) && !minutes.is_open(minute - 1);
    (1..minutes.len())
        .filter(opens)
        .map(|minute| minutes.trades[minute + 1] - minutes.trades[minute])
        .collect()
}

pub(super) fn returns(instrument: &Instrument, kind: Kind, minutes: &Minutes, years: &Years) -> Section {
    let day_share = minutes.closes().len() as f64 / (minutes.len() as f64 / 1440.0).floor();
    let spans = [
        ("1 min", minutes.returns(&minutes.trades, 1), MINUTES_A_YEAR * minutes.open_share()),
        ("1 h", minutes.returns(&minutes.trades, HOUR_MINUTES), MINUTES_A_YEAR / 60.0 * minutes.open_share()),
        ("1 day", minutes.daily_returns(&minutes.trades), 365.0 * day_share),
    ];
    let asked = instrument.annual_volatility;
    let as_asked = Bound::Between(0.85, 1.15);
    let mut facts = Vec::new();
    for (span, returns, a_year) in &spans {
        let volatility = variance(returns).map(|variance| (variance * a_year).sqrt());
        facts.push(Fact::new(format!("volatility a year, of returns of {span}"), volatility));
        if kind == Kind::Simulated {
            let fact =
                Fact::new(format!("  over the asked one, {span}"), volatility.map(|found| found / asked));
            facts.push(if *span == "1 day" { fact.asked(as_asked) } else { fact });
        }
    }
    if kind == Kind::Simulated {
        let deviation = deviation(&years.returns).map(|found| found / asked);
        facts.push(
            Fact::new("deviation of returns of a year over the asked volatility", deviation).asked(as_asked),
        );
        facts.push(Fact::new("highest price of all years over the reference", years.highest));
        facts.push(Fact::new("lowest price of all years over the reference", years.lowest));
    }
    for (span, returns, _) in &spans {
        let fact = Fact::new(format!("excess kurtosis, {span}"), excess_kurtosis(enough(returns, 0)));
        facts.push(match *span {
            "1 day" => fact.real("heavy tails (Cont 2001)").asked(Bound::Between(1.0, 5.0)),
            "1 min" => fact.real("18.5 of 5 min (Andersen and Bollerslev 1997)"),
            _ => fact.real("falls as the interval grows (Cont 2001)"),
        });
    }
    for (span, returns, _) in &spans {
        let fact =
            Fact::new(format!("autocorrelation of returns, {span}"), autocorrelation(enough(returns, 1), 1));
        facts.push(fact.real("insignificant above 20 min (Cont 2001)"));
    }
    let absolute = |returns: &[f64]| returns.iter().map(|value| value.abs()).collect::<Vec<f64>>();
    let (of_minutes, of_days) = (absolute(&spans[0].1), absolute(&spans[2].1));
    for lag in [1, 10, 60] {
        let fact = Fact::new(
            format!("autocorrelation of |return|, {lag} min"),
            autocorrelation(enough(&of_minutes, lag), lag),
        );
        facts.push(match lag {
            1 => fact.real("0.31 of 5 min at lag 1 (Andersen and Bollerslev 1997)"),
            10 => fact.real("0.26 of 5 min at lag 2 (Andersen and Bollerslev 1997)"),
            _ => fact.real("power law, exponent 0.2 … 0.4 (Cont 2001)"),
        });
    }
    for (lag, asked) in [(1, Some(0.1)), (5, None), (10, Some(0.05))] {
        let found = autocorrelation(enough(&of_days, lag), lag);
        let name = format!("autocorrelation of |return|, {lag} day{}", if lag == 1 { "" } else { "s" });
        let fact = Fact::new(name, found).real("positive over days (Cont 2001)");
        facts.push(match asked {
            Some(least) => fact.asked(Bound::AtLeast(least)),
            None => fact,
        });
    }
    Section::new("Returns", facts)
}

/// The values, or none where they are too few for an autocorrelation at a lag.
fn enough(values: &[f64], lag: usize) -> &[f64] {
    if values.len() < FEWEST_RETURNS + lag { &[] } else { values }
}

/// What shows only over many years of a simulated tape.
#[derive(Default)]
pub(super) struct Years {
    /// Log returns over a year, one for each quarter.
    pub(super) returns: Vec<f64>,
    pub(super) highest: Option<f64>,
    pub(super) lowest: Option<f64>,
}

pub(super) fn book(minutes: &Minutes, ticks: &Ticks) -> Section {
    let book = &ticks.book;
    let share = |of: f64| Some(of / book.count).filter(|share| share.is_finite());
    let increments = share(book.increments);
    let unchanged = Fact::new("share of quotes that the next trade leaves unchanged", share(book.unchanged));
    // At most two increments: the increment, and not the market, decides how wide the spread is.
    let is_coarse = increments.is_some_and(|increments| increments <= 2.0);
    let mut facts = vec![
        Fact::new("share of trades at the bid or ask before them", share(book.at_quote))
            .asked(Bound::AtLeast(0.99)),
        Fact::new("share of trades outside of the bid and ask before them", share(book.outside)),
        Fact::new("share of trades that put the bid at or above the old ask", share(book.crossed)),
        if is_coarse { unchanged.asked(Bound::AtLeast(0.5)) } else { unchanged },
        Fact::new("spread, mean", share(book.basis_points)).unit("bp"),
        Fact::new("spread, mean, in price increments", increments),
        Fact::new("correlation of spread and volatility of an hour", spread_and_volatility(minutes))
            .real("positive with risk (McInish and Wood 1992)")
            .asked(Bound::Positive),
    ];
    for (name, step) in [("1 min", 1), ("5 min", 5), ("1 h", 60)] {
        let of = |logs: &[f64]| deviation(&minutes.returns(logs, step));
        let ratio = of(&minutes.middles).zip(of(&minutes.trades)).map(|(middles, trades)| middles / trades);
        let name = format!("volatility of the middle over that of trades, {name}");
        facts.push(Fact::new(name, ratio).asked(Bound::Between(0.9, 1.1)));
    }
    if book.count == 0.0 {
        facts.clear();
    }
    let signs = if book.count == 0.0 { " (by the tick rule)" } else { "" };
    for (lag, signs_at) in SIGN_LAGS.into_iter().zip(&ticks.signs) {
        let s = if lag == 1 { "" } else { "s" };
        let name = format!("autocorrelation of signs, {lag} trade{s}{signs}");
        let fact = Fact::new(name, signs_at.value());
        facts.push(match lag {
            1 => fact.real("long-range (Bouchaud 2004)").asked(Bound::AtLeast(0.2)),
            20 => fact.real("power law, exponent 0.6 (Lillo and Farmer 2004)").asked(Bound::AtLeast(0.05)),
            _ => fact,
        });
    }
    facts.push(
        Fact::new("autocorrelation of price changes from trade to trade", ticks.changes.value())
            .real("negative: -s²/4 of covariance (Roll 1984)")
            .asked(Bound::Negative),
    );
    let mut section = Section::new("The book", facts);
    if book.count == 0.0 {
        section.notes.push("the tape knows no bid and ask".to_owned());
    }
    section
}

/// The correlation of the mean spread of an hour with its volatility.
fn spread_and_volatility(minutes: &Minutes) -> Option<f64> {
    if minutes.spreads.is_empty() {
        return None;
    }
    let hours = minutes.stretches(HOUR_MINUTES).map(|from| {
        let to = from + HOUR_MINUTES;
        let squares =
            minutes.middles[from..=to].windows(2).map(|pair| (pair[1] - pair[0]) * (pair[1] - pair[0]));
        (minutes.spreads[from..to].iter().sum::<f64>(), squares.sum::<f64>().sqrt())
    });
    let (spreads, volatilities): (Vec<f64>, Vec<f64>) = hours.unzip();
    correlation(&spreads, &volatilities)
}

pub(super) fn sizes(instrument: &Instrument, minutes: &Minutes, ticks: &mut Ticks) -> Section {
    let sizes = &mut ticks.sizes;
    let share = |of: f64| Some(of / sizes.count).filter(|share| share.is_finite());
    let with_size = Some(sizes.count / ticks.count).filter(|share| share.is_finite());
    let traded = Fact::new("share of trades with a quantity", with_size);
    let mut facts = vec![if instrument.kind == "index" { traded.asked(Bound::AtMost(0.0)) } else { traded }];
    if sizes.count > 0.0 {
        let per_day = minutes.ticks() / minutes.closes().len().max(1) as f64;
        let unit = instrument.quantity_increment_nanos.get() as f64 / 1e9;
        let volume = with_size.zip(share(sizes.sum)).map(|(share, mean)| share * mean * unit * per_day);
        facts.extend([
            Fact::new("quantity a day", volume),
            Fact::new("mean size of a trade, in quantity increments", share(sizes.sum)),
            Fact::new("share of sizes that are multiples of 10", share(sizes.tens)),
            Fact::new("share of sizes that are multiples of 100", share(sizes.hundreds)),
            Fact::new("exponent of the tail of sizes", tail_exponent(&mut sizes.kept))
                .real("power law, below 2 (Plerou and Stanley 2007)"),
        ]);
    }
    let round = Some(ticks.round_prices / ticks.count).filter(|share| share.is_finite());
    facts.push(
        Fact::new("share of prices that are multiples of 10 increments", round)
            .real("over 0.1: round numbers are more common (Harris 1991)"),
    );
    Section::new("Sizes and prices", facts)
}
