//! The data of the table: prices, changes and rates of the symbols that are watched.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use super::rate::Rate;
use crate::{
    client::{Endpoint, Event, LiveTick},
    commands::warnings,
    tick::{Price, Symbol, Time},
};

/// All rows and totals.
pub(super) struct Board {
    /// The replica that the ticks come from.
    pub(super) endpoint: Endpoint,
    /// The time on the tape at which the watch began: changes are counted from the prices of then.
    pub(super) began: Time,
    /// While there is no connection, the number of the attempt to make another one.
    pub(super) attempt: Option<u32>,
    pub(super) reconnects: u64,
    /// When the last tick came, after the start.
    pub(super) last_tick: Duration,
    pub(super) tape_id: String,
    pub(super) ticks: u64,
    pub(super) conflated: u64,
    pub(super) rate: Rate,
    /// What is waited for, while no ticks come.
    pub(super) reason_to_wait: Option<String>,
    /// The place of each symbol that the user named; the others follow in alphabetical order.
    places: HashMap<Symbol, usize>,
    rows: BTreeMap<(usize, Symbol), Row>,
    warnings: VecDeque<String>,
}

/// One symbol.
#[derive(Default)]
pub(super) struct Row {
    pub(super) prices: Option<Prices>,
    pub(super) rate: Rate,
    /// How many decimals its prices have.
    pub(super) decimals: usize,
}

/// The prices of a symbol that has traded.
#[derive(Clone, Copy)]
pub(super) struct Prices {
    pub(super) first: Price,
    pub(super) last: Price,
    /// The price that the last one moved from.
    pub(super) before: Price,
    pub(super) time: Time,
}

impl Board {
    /// Most warnings that are kept; older ones are dropped.
    const MAX_WARNINGS: usize = 1000;

    pub(super) fn new(endpoint: &Endpoint, named: &[String], began: Time) -> Self {
        // The first place of a symbol that is named twice.
        let places = named.iter().enumerate().rev();
        let places = places.filter_map(|(place, name)| Some((name.parse().ok()?, place)));
        Self {
            endpoint: endpoint.clone(),
            began,
            attempt: None,
            reconnects: 0,
            last_tick: Duration::ZERO,
            tape_id: String::new(),
            ticks: 0,
            conflated: 0,
            rate: Rate::default(),
            reason_to_wait: None,
            places: places.collect(),
            rows: BTreeMap::new(),
            warnings: VecDeque::new(),
        }
    }

    /// Takes in an event that came at `elapsed` after the start.
    pub(super) fn take(&mut self, event: Event, elapsed: Duration) {
        warnings::of_event(&event).into_iter().for_each(|warning| self.warn(warning));
        match event {
            Event::Tick(live) => self.tick(&live, elapsed),
            Event::Answer { tape_id, subscribed, .. } => {
                self.tape_id = tape_id;
                // `*` is no symbol: its rows come with their ticks.
                for symbol in subscribed.iter().filter_map(|symbol| symbol.parse().ok()) {
                    self.row(symbol);
                }
            }
            Event::Disconnected { attempt, .. } => self.attempt = Some(attempt),
            Event::Reconnected { replica, .. } => {
                self.endpoint = replica;
                self.attempt = None;
                self.reconnects += 1;
            }
            Event::Gap { .. } | Event::CaughtUp { .. } | Event::Draining | Event::End => {}
        }
    }

    /// Adds a warning.
    pub(super) fn warn(&mut self, warning: String) {
        self.warnings.truncate(Self::MAX_WARNINGS - 1);
        self.warnings.push_front(warning);
    }

    /// The rows in their order.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&Symbol, &Row)> {
        self.rows.iter().map(|((_, symbol), row)| (symbol, row))
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The warnings, the newest first.
    pub(super) fn warnings(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.warnings.iter().map(String::as_str)
    }

    fn tick(&mut self, live: &LiveTick, elapsed: Duration) {
        self.ticks += 1;
        self.last_tick = elapsed;
        self.conflated += live.conflated;
        self.rate.count(1, elapsed);
        let row = self.row(live.symbol);
        // The last price from before the subscription is not part of the stream's pace.
        row.rate.count(u64::from(!live.snapshot), elapsed);
        let (price, time) = (live.tick.price, live.tick.time);
        row.decimals = row.decimals.max(decimals(price));
        row.prices = Some(match row.prices {
            None => Prices { first: price, last: price, before: price, time },
            Some(prices) if prices.last == price => Prices { time, ..prices },
            Some(prices) => Prices { last: price, before: prices.last, time, ..prices },
        });
    }

    fn row(&mut self, symbol: Symbol) -> &mut Row {
        let place = self.places.get(&symbol).copied().unwrap_or(usize::MAX);
        self.rows.entry((place, symbol)).or_default()
    }
}

/// The decimals of a price, two at least.
fn decimals(price: Price) -> usize {
    let text = price.to_string();
    text.split_once('.').map_or(0, |(_, fraction)| fraction.len()).max(2)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::tick::{Sequence, Tick};

    pub(in crate::commands::watch) fn board(named: &[&str]) -> Board {
        let named: Vec<_> = named.iter().map(|name| (*name).to_owned()).collect();
        Board::new(&"localhost:50051".parse().unwrap(), &named, Time::from_nanos(1_764_000_000_000_000_000))
    }

    pub(in crate::commands::watch) fn tick(symbol: &str, nanos: i64) -> Event {
        Event::Tick(LiveTick {
            symbol: symbol.parse().unwrap(),
            tick: Tick {
                sequence: Sequence(1),
                time: Time::from_nanos(1_764_000_000_000_000_000),
                price: Price::from_nanos(nanos).unwrap(),
                quantity: 1,
            },
            conflated: 0,
            snapshot: false,
            quote: None,
        })
    }

    fn symbols(board: &Board) -> Vec<String> {
        board.rows().map(|(symbol, _)| symbol.to_string()).collect()
    }

    #[test]
    fn rows_stand_in_the_order_of_the_command_line_and_then_by_name() {
        let mut board = board(&["TCS", "INFY", "*", "TCS"]);
        for symbol in ["ZEEL", "INFY", "ACC", "TCS"] {
            board.take(tick(symbol, 1_000_000_000), Duration::ZERO);
        }
        assert_eq!(symbols(&board), ["TCS", "INFY", "ACC", "ZEEL"]);
    }

    #[test]
    fn a_symbol_has_its_row_before_its_first_tick() {
        let mut board = board(&["TCS"]);
        let subscribed = vec!["TCS".to_owned(), "*".to_owned()];
        board
            .take(Event::Answer { tape_id: "t".to_owned(), subscribed, refused: Vec::new() }, Duration::ZERO);
        assert_eq!(symbols(&board), ["TCS"]);
        assert!(board.rows().all(|(_, row)| row.prices.is_none()));
        assert_eq!(board.tape_id, "t");
    }

    #[test]
    fn the_change_is_counted_from_the_first_price_and_the_move_from_the_last_other_one() {
        let mut board = board(&[]);
        for price in [100, 90, 95, 95] {
            board.take(tick("A", price * 1_000_000_000), Duration::ZERO);
        }
        let (_, row) = board.rows().next().unwrap();
        let prices = row.prices.unwrap();
        let whole = |price: Price| price.nanos() / 1_000_000_000;
        assert_eq!((whole(prices.first), whole(prices.before), whole(prices.last)), (100, 90, 95));
        assert_eq!(board.ticks, 4);
    }
}
