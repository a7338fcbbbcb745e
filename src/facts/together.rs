//! The facts of several instruments: how they move together, and the relations of their prices.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Span,
    fact::{Bound, Fact, Section},
    minutes::{DAY_MINUTES, HOUR_MINUTES, MINUTE},
    quoted::{Quoted, middle},
    statistics::{correlation, mean},
};
use crate::tape::{Instrument, Series, Tape};

/// Days of which every minute is read, evenly spread over the span.
const SAMPLED_DAYS: usize = 20;
/// Most instruments whose correlations fit on a screen.
const LARGEST_MATRIX: usize = 12;
/// Fewest shares that an index is compared with.
const FEWEST_MEMBERS: usize = 3;
/// Instruments whose daily returns correlate more than this are taken for the same thing: one tracks the other.
const TRACKING: f64 = 0.98;

/// An instrument with its prices.
pub(super) struct Member {
    instrument: Arc<Instrument>,
    /// Log returns of each day of the span.
    daily: Vec<f64>,
    /// The prices at each minute of the sampled days, day by day.
    days: Vec<Vec<Price>>,
}

/// The price at an instant.
#[derive(Clone, Copy)]
struct Price {
    /// The logarithm of the middle of the book, or of the last price where the tape knows no book.
    log: f64,
    /// The best bid and ask.
    book: Option<(f64, f64)>,
}

impl Member {
    pub(super) fn read(tape: &dyn Tape, instrument: &Arc<Instrument>, span: Span) -> Self {
        let series = tape.series(instrument);
        let at = |minute: usize| Price::at(series.as_ref(), span, minute);
        let closes: Vec<f64> =
            (0..=span.minutes / DAY_MINUTES).map(|day| at(day * DAY_MINUTES).log).collect();
        let days = sampled(span).map(|(from, to)| (from..=to).map(at).collect());
        Self { instrument: instrument.clone(), daily: differences(closes), days: days.collect() }
    }

    fn symbol(&self) -> &str {
        self.instrument.symbol.as_str()
    }

    /// Log returns of this many minutes, of the sampled days.
    fn returns(&self, minutes: usize) -> Vec<f64> {
        let of_day =
            |day: &Vec<Price>| differences(day.iter().step_by(minutes).map(|price| price.log).collect());
        self.days.iter().flat_map(of_day).collect()
    }

    /// The prices at all minutes of the sampled days.
    fn prices(&self) -> impl Iterator<Item = Price> {
        self.days.iter().flatten().copied()
    }
}

impl Price {
    fn at(series: &dyn Series, span: Span, minute: usize) -> Self {
        let time = span.from + MINUTE * minute as u32;
        let quoted = Quoted::at(series, series.sequence_at(time).unwrap_or(series.first()));
        let price = quoted.book.as_ref().map_or_else(|| quoted.tick.price.to_f64(), middle);
        let book = quoted.book.map(|book| (book.bid.to_f64(), book.ask.to_f64()));
        Self { log: libm::log(price), book }
    }
}

/// Whole days evenly spread over the span, or all of a shorter one, as their first and last minutes.
fn sampled(span: Span) -> impl Iterator<Item = (usize, usize)> {
    let days = span.minutes / DAY_MINUTES;
    let (count, length) = if days > SAMPLED_DAYS { (SAMPLED_DAYS, DAY_MINUTES) } else { (1, span.minutes) };
    (0..count).map(move |n| n * days / count * DAY_MINUTES).map(move |from| (from, from + length))
}

fn differences(values: Vec<f64>) -> Vec<f64> {
    values.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// Correlations within each kind and currency, and of all with all where they are few.
pub(super) fn correlations(members: &[Member]) -> Section {
    let lists = [
        ("1 min", members.iter().map(|member| member.returns(1)).collect::<Vec<_>>()),
        ("1 h", members.iter().map(|member| member.returns(HOUR_MINUTES)).collect()),
        ("1 day", members.iter().map(|member| member.daily.clone()).collect()),
    ];
    let mut groups = BTreeMap::<String, Vec<usize>>::new();
    for (at, Member { instrument, .. }) in members.iter().enumerate() {
        let group = format!("{} {}", instrument.kind, instrument.currency);
        groups.entry(group.trim().to_owned()).or_default().push(at);
    }
    let mut facts = Vec::new();
    for (group, places) in groups.iter().filter(|(_, places)| places.len() > 1) {
        for (span, returns) in &lists {
            let found: Vec<f64> =
                pairs(places).filter_map(|(a, b)| correlation(&returns[a], &returns[b])).collect();
            let name = format!("{} × {group}: mean correlation, {span}", places.len());
            let fact = Fact::new(name, mean(&found));
            facts.push(if *span == "1 min" {
                fact.real("less than of longer spans (Epps 1979)")
            } else {
                fact
            });
        }
    }
    let mut notes = Vec::new();
    if members.len() <= LARGEST_MATRIX {
        for (span, returns) in lists.iter().filter(|(span, _)| *span != "1 h") {
            notes.push(format!("correlations of returns of {span}"));
            notes.extend(matrix(members, returns));
        }
    }
    Section { notes, ..Section::new("Together", facts) }
}

/// Every two of some places.
fn pairs(places: &[usize]) -> impl Iterator<Item = (usize, usize)> {
    places.iter().enumerate().flat_map(|(n, a)| places[n + 1..].iter().map(|b| (*a, *b)))
}

fn matrix(members: &[Member], returns: &[Vec<f64>]) -> Vec<String> {
    const WIDTH: usize = 10;
    let short = |member: &Member| member.symbol().chars().take(WIDTH).collect::<String>();
    let heading = members.iter().map(|member| format!(" {:>WIDTH$}", short(member))).collect::<String>();
    let rows = members.iter().zip(returns).map(|(member, row)| {
        let cells = returns.iter().map(|column| match correlation(row, column) {
            Some(found) => format!(" {found:>WIDTH$.3}"),
            None => format!(" {:>WIDTH$}", "–"),
        });
        format!("{:<WIDTH$}{}", short(member), cells.collect::<String>())
    });
    [format!("{:<WIDTH$}{heading}", "")].into_iter().chain(rows).collect()
}

/// Each index beside the shares of one currency: its own, or if it has none, the one whose shares it follows most.
pub(super) fn indices(members: &[Member]) -> Section {
    let of_kind = |kind: &'static str| members.iter().filter(move |member| member.instrument.kind == kind);
    let mut shares = BTreeMap::<&str, Vec<&Member>>::new();
    of_kind("equity")
        .for_each(|share| shares.entry(share.instrument.currency.as_str()).or_default().push(share));
    let mut facts = Vec::new();
    for index in of_kind("index") {
        let own = index.instrument.currency.as_str();
        let candidates = shares.iter().filter(|(currency, _)| own.is_empty() || **currency == own);
        let followed = candidates.filter_map(|(currency, shares)| Followed::of(index, currency, shares));
        let Some(followed) = followed.max_by(|a, b| a.mean.total_cmp(&b.mean)) else { continue };
        let (symbol, Followed { currency, each, .. }) = (index.symbol(), &followed);
        let least = each.iter().copied().reduce(f64::min);
        let most = each.iter().copied().reduce(f64::max);
        facts.extend([
            Fact::new(
                format!("{symbol} with the mean of {} shares in {currency}", each.len()),
                Some(followed.mean),
            )
            .asked(Bound::AtLeast(0.9)),
            Fact::new(format!("{symbol} with each of them, least"), least).asked(Bound::AtLeast(0.4)),
            Fact::new(format!("{symbol} with each of them, most"), most).asked(Bound::AtMost(0.8)),
        ]);
    }
    Section::new("Indices: correlation of daily returns", facts)
}

/// How an index moves with shares.
struct Followed<'a> {
    currency: &'a str,
    /// The correlation with the mean of the shares.
    mean: f64,
    /// The correlation with each share.
    each: Vec<f64>,
}

impl<'a> Followed<'a> {
    fn of(index: &Member, currency: &'a str, shares: &[&Member]) -> Option<Self> {
        let with_index = |share: &&&Member| correlation(&index.daily, &share.daily);
        // A fund that tracks the index is no member of it.
        let members: Vec<_> =
            shares.iter().filter(|share| with_index(share).is_some_and(|found| found < TRACKING)).collect();
        if members.len() < FEWEST_MEMBERS {
            return None;
        }
        let together = |day: usize| members.iter().map(|share| share.daily[day]).sum::<f64>();
        let together: Vec<f64> = (0..index.daily.len()).map(together).collect();
        let each = members.iter().filter_map(|share| correlation(&index.daily, &share.daily));
        Some(Self { currency, mean: correlation(&index.daily, &together)?, each: each.collect() })
    }
}

/// How far the ratio of two prices strays, and how far a currency pair strays from the product of two others.
pub(super) fn relations(members: &[Member]) -> Section {
    let places: Vec<usize> = (0..members.len()).collect();
    let mut facts = Vec::new();
    for (a, b) in pairs(&places) {
        let (a, b) = (&members[a], &members[b]);
        let tracks = correlation(&a.daily, &b.daily).is_some_and(|found| found >= TRACKING);
        if tracks || members.len() == 2 {
            let ratios: Vec<f64> = a.prices().zip(b.prices()).map(|(a, b)| a.log - b.log).collect();
            let center = mean(&ratios).unwrap_or_default();
            let strays = ratios.iter().map(|ratio| (ratio - center).abs() * 1e4).reduce(f64::max);
            let fact =
                Fact::new(format!("{}/{}: largest deviation from its mean", a.symbol(), b.symbol()), strays);
            let fact = fact.unit("bp");
            facts.push(if tracks { fact.asked(Bound::AtMost(10.0)) } else { fact });
        }
    }
    for (first, second, product) in products(members) {
        let prices = || first.prices().zip(second.prices()).zip(product.prices());
        let strays: Vec<f64> = prices()
            .map(|((first, second), product)| (first.log + second.log - product.log).abs() * 1e4)
            .collect();
        let arbitrages: Vec<f64> = prices()
            .filter_map(|((first, second), product)| {
                let ((bid1, ask1), (bid2, ask2), (bid, ask)) = (first.book?, second.book?, product.book?);
                Some(if bid1 * bid2 > ask || ask1 * ask2 < bid { 1.0 } else { 0.0 })
            })
            .collect();
        let name = format!("{} × {} / {}", first.symbol(), second.symbol(), product.symbol());
        facts.extend([
            Fact::new(format!("{name}: mean deviation from 1"), mean(&strays)).unit("bp"),
            Fact::new(format!("{name}: largest deviation from 1"), strays.iter().copied().reduce(f64::max))
                .unit("bp"),
            Fact::new(format!("{name}: share of minutes with an arbitrage"), mean(&arbitrages))
                .asked(Bound::AtMost(0.0)),
        ]);
    }
    Section::new("Relations of prices", facts)
}

/// Currency pairs of which the third is the product of the first two: `EUR-USD`, `USD-INR` and `EUR-INR`.
fn products(members: &[Member]) -> Vec<(&Member, &Member, &Member)> {
    let named = |name: String| members.iter().find(|member| member.symbol() == name);
    let legs = || {
        let currencies = members.iter().filter(|member| member.instrument.kind == "currency");
        currencies.filter_map(|member| Some((member, member.symbol().split_once('-')?)))
    };
    legs()
        .flat_map(|(first, (base, middle))| {
            let seconds = legs().filter(move |(_, (from, _))| *from == middle);
            seconds.filter_map(move |(second, (_, quote))| {
                Some((first, second, named(format!("{base}-{quote}"))?))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tick::Time;

    fn member(symbol: &str, kind: &str, daily: &[f64]) -> Member {
        let mut instrument = Instrument::named(symbol, Duration::from_secs(1));
        instrument.kind = kind.to_owned();
        instrument.currency = if kind == "equity" { "INR".to_owned() } else { String::new() };
        let prices = daily.iter().map(|log| Price { log: *log, book: None });
        Member { instrument: Arc::new(instrument), daily: daily.to_vec(), days: vec![prices.collect()] }
    }

    #[test]
    fn the_product_of_two_pairs_is_found_whatever_their_order() {
        let members =
            ["USD-INR", "EUR-INR", "EUR-USD", "USD-JPY"].map(|symbol| member(symbol, "currency", &[0.0]));
        let found = products(&members);
        let symbols: Vec<_> = found.iter().map(|(a, b, c)| [a.symbol(), b.symbol(), c.symbol()]).collect();
        assert_eq!(symbols, [["EUR-USD", "USD-INR", "EUR-INR"]]);
    }

    #[test]
    fn an_index_is_compared_with_its_shares_and_not_with_a_fund_that_tracks_it() {
        let members = [
            member("A", "equity", &[1.0, 0.0, 0.0, 2.0]),
            member("B", "equity", &[0.0, 2.0, 0.0, -1.0]),
            member("C", "equity", &[0.0, 0.0, 1.0, 1.0]),
            member("FUND", "equity", &[1.0, 2.0, 1.0, 2.001]),
            member("INDEX", "index", &[1.0, 2.0, 1.0, 2.0]),
        ];
        let section = indices(&members);
        assert_eq!(section.facts[0].name, "INDEX with the mean of 3 shares in INR");
        assert!((section.facts[0].found.unwrap() - 1.0).abs() < 0.01);
    }

    #[test]
    fn two_instruments_show_how_far_their_ratio_strays() {
        let members = [member("A", "equity", &[0.0, 0.002]), member("B", "equity", &[0.0, 0.0])];
        let facts = relations(&members).facts;
        assert_eq!(facts[0].name, "A/B: largest deviation from its mean");
        assert!((facts[0].found.unwrap() - 10.0).abs() < 1e-9);
    }

    #[test]
    fn sampled_days_are_spread_over_the_span_and_a_short_span_is_read_whole() {
        let long: Vec<_> = sampled(Span::days(Time::default(), 512)).collect();
        assert_eq!((long.len(), long[0]), (SAMPLED_DAYS, (0, DAY_MINUTES)));
        assert!(long.windows(2).all(|pair| pair[0].1 <= pair[1].0));
        let short = Span { from: Time::default(), minutes: 90 };
        assert_eq!(sampled(short).collect::<Vec<_>>(), [(0, 90)]);
    }
}
