//! How the activity of a market is spread over its days and weeks.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::{
    calendar::{self, BLOCKS, DAY, DAY_MINUTES, DAY_NANOS, Position, TOP},
    share::{EVEN, ONE},
};
use crate::tape::{Hours, Instrument};

/// Level of the shortest spans that the table of a day tells apart: 2^-10 of a day, 84 s.
pub(super) const FINE: u32 = DAY - 10;

/// Number of days that the calendar of a market has: those that begin in 64 bits of nanoseconds, in whole spans of 2^10 days.
const DAYS: u64 = BLOCKS * BLOCK_DAYS;
const BLOCK_DAYS: u64 = 1 << (TOP - DAY);
const MINUTE: u64 = 60_000_000_000;

/// Activity of a minute: outside of the hours of a market that does not close, on its days without trading, in the middle of a
/// session, and what its first and its last minute have more.
const QUIET: u32 = 65;
const WEEKEND: u32 = 50;
const MIDDLE: u32 = 90;
const EDGES: u32 = 90;
/// Mean activity of a minute of a market that is open for more than half of the day, and how much more the busiest has.
const ROUND_THE_CLOCK: u32 = 100;
const SWING: u32 = 40;
/// Its busiest minute: 15:00 UTC.
const BUSIEST: u32 = 900;

/// How the activity of one market is spread.
#[derive(Debug)]
pub(super) struct Rhythm {
    hours: Option<Hours>,
    closes: bool,
    /// The blocks of the clock, each worked out when it is first needed.
    blocks: Box<[OnceLock<Block>]>,
    /// For each block, and the end, the minutes of trading before it. Empty if the market never closes.
    open: Box<[u32]>,
    /// How long the market is open on a mean day on which it opens, in nanoseconds.
    open_a_day: f64,
}

/// How the activity of one market is spread over the days of a block.
#[derive(Debug)]
pub(super) struct Block {
    /// The days that differ, by number.
    patterns: Vec<Day>,
    /// For each day the number of its pattern.
    days: Box<[u8]>,
    /// For each span of at least two days the share of its first half, in the order of [`Day::shares`].
    shares: Box<[u32]>,
}

/// Every rhythm that was asked for. A rhythm depends on the hours of the market and not on the seed. To make that of a market that
/// closes takes a walk over all days.
static RHYTHMS: Mutex<Vec<Arc<Rhythm>>> = Mutex::new(Vec::new());

/// A day of a market.
#[derive(Debug)]
struct Day {
    /// When it trades: minutes of the day from, and to.
    open: Vec<(u16, u16)>,
    /// The activity of the day.
    total: u32,
    /// The fine spans of the day in which the market opens or closes.
    edges: Vec<u64>,
    /// The share of the first half in the activity of a span. The day is span 1, and the halves of span *n* are 2*n* and 2*n* + 1.
    shares: Box<[u32]>,
}

impl Rhythm {
    /// The rhythm of the market of an instrument.
    pub(super) fn of(instrument: &Instrument) -> Arc<Self> {
        let (hours, closes) = (&instrument.hours, instrument.closes && instrument.hours.is_some());
        let mut rhythms = RHYTHMS.lock().unwrap_or_else(PoisonError::into_inner);
        let known = rhythms.iter().find(|rhythm| rhythm.hours == *hours && rhythm.closes == closes);
        if let Some(rhythm) = known {
            return rhythm.clone();
        }
        let rhythm = Arc::new(Self::new(hours.clone(), closes));
        rhythms.push(rhythm.clone());
        rhythm
    }

    fn new(hours: Option<Hours>, closes: bool) -> Self {
        let mut open = Vec::new();
        let mut open_a_day = DAY_NANOS as f64;
        if let Some(hours) = hours.as_ref().filter(|_| closes) {
            let (mut minutes, mut days) = (0, 0);
            for day in 0..DAYS {
                if day.is_multiple_of(BLOCK_DAYS) {
                    open.push(minutes);
                }
                let today: u32 = hours.open_in(day).iter().map(|(from, to)| u32::from(to - from)).sum();
                minutes += today;
                days += u32::from(today > 0);
            }
            open.push(minutes);
            open_a_day = f64::from(minutes) / f64::from(days.max(1)) * MINUTE as f64;
        }
        let blocks = (0..BLOCKS).map(|_| OnceLock::new()).collect();
        Self { hours, closes, blocks, open: open.into(), open_a_day }
    }

    /// One block; the last one for what is after it.
    #[inline]
    pub(super) fn block(&self, number: u64) -> &Block {
        let number = number.min(BLOCKS - 1);
        self.blocks[number as usize].get_or_init(|| Block::new(number, self.hours.as_ref(), self.closes))
    }

    /// How long the market was open before a block, in nanoseconds.
    #[inline]
    pub(super) fn open_before(&self, block: u64) -> u64 {
        if self.open.is_empty() {
            return block.saturating_mul(BLOCK_DAYS * DAY_NANOS);
        }
        let minutes = self.open.get(block as usize).or(self.open.last()).copied().unwrap_or(0);
        u64::from(minutes).saturating_mul(MINUTE)
    }

    /// How long the market is open on a mean day on which it opens, in nanoseconds.
    pub(super) fn open_a_day(&self) -> f64 {
        self.open_a_day
    }
}

impl Block {
    fn new(number: u64, hours: Option<&Hours>, closes: bool) -> Self {
        let mut patterns: Vec<Day> = Vec::new();
        let mut days = Vec::with_capacity(BLOCK_DAYS as usize);
        let mut before = vec![0];
        for day in number * BLOCK_DAYS..(number + 1) * BLOCK_DAYS {
            let open = hours.map_or_else(|| vec![(0, DAY_MINUTES as u16)], |hours| hours.open_in(day));
            let known = patterns.iter().position(|pattern| pattern.open == open);
            let pattern = known.unwrap_or_else(|| {
                patterns.push(Day::new(open, closes));
                patterns.len() - 1
            });
            days.push(pattern as u8);
            before.push(before[before.len() - 1] + u64::from(patterns[pattern].total));
        }
        let shares = shares(BLOCK_DAYS as usize, |day| before[day]).collect();
        Self { patterns, days: days.into(), shares }
    }

    /// The share of the left half in the activity of each span of at least two days: see [`share_of`].
    #[inline]
    pub(super) fn shares_of_days(&self) -> &[u32] {
        &self.shares
    }

    /// The same for the spans of a day down to twice [`FINE`].
    #[inline]
    pub(super) fn shares_of_day(&self, day: Position) -> &[u32] {
        &self.day(day).shares
    }

    /// Whether the market opens or closes within the fine span that begins at a position.
    #[inline]
    pub(super) fn has_edge(&self, start: Position) -> bool {
        self.day(start).edges.contains(&(start as u32 as u64 >> FINE))
    }

    /// The same as [`share`](Self::share) for a level below [`FINE`], where the market opens or closes.
    #[cold]
    pub(super) fn share_at_edge(&self, start: Position, below: u32) -> i64 {
        let open = |from| {
            let (from, to) = self.open_within(from, below);
            to - from
        };
        share_of_left(open(start), open(start + (1 << below)))
    }

    /// The part of a span, below [`FINE`], in which the market is open, in nanoseconds since 1970 from and to.
    #[cold]
    pub(super) fn open_within(&self, start: Position, level: u32) -> (u64, u64) {
        let (from, to) = (calendar::nanos(start), calendar::nanos(start + (1 << level)));
        let midnight = calendar::nanos(start >> DAY << DAY);
        let nanos = |minute: u16| midnight.saturating_add(u64::from(minute) * MINUTE);
        let open = self.day(start).open.iter().map(|(open, close)| {
            let from = nanos(*open).max(from);
            (from, nanos(*close).min(to).max(from))
        });
        open.max_by_key(|(from, to)| to - from).unwrap_or((from, from))
    }

    #[inline]
    fn day(&self, position: Position) -> &Day {
        let number = self.days[(position >> DAY) as usize % BLOCK_DAYS as usize];
        &self.patterns[usize::from(number)]
    }
}

impl Day {
    fn new(open: Vec<(u16, u16)>, closes: bool) -> Self {
        let sessions: Vec<(u32, u32)> =
            open.iter().map(|(from, to)| (u32::from(*from), u32::from(*to))).collect();
        let minutes: u32 = sessions.iter().map(|(from, to)| to - from).sum();
        let activity = |minute: u32| {
            let session = sessions.iter().find(|(from, to)| (*from..*to).contains(&minute));
            match session {
                None if closes => 0,
                None if minutes == 0 => WEEKEND,
                None => QUIET,
                // The activity of the day is like a U (Wood, McInish and Ord, 1985).
                Some((from, to)) if minutes < DAY_MINUTES / 2 => {
                    let from_middle = (2 * minute + 1).abs_diff(from + to);
                    MIDDLE + EDGES * from_middle * from_middle / ((to - from) * (to - from))
                }
                Some(_) => {
                    let away = minute.abs_diff(BUSIEST);
                    let away = away.min(DAY_MINUTES - away);
                    ROUND_THE_CLOCK + SWING - 2 * SWING * away / (DAY_MINUTES / 2)
                }
            }
        };
        let mut before = vec![0];
        for minute in 0..DAY_MINUTES {
            before.push(before[minute as usize] + activity(minute));
        }
        let total = before[DAY_MINUTES as usize];
        let spans = 1_usize << (DAY - FINE);
        // The activity before a fine span, in 1/`spans` of that of a minute.
        let until = |fine: usize| {
            let (minute, part) = (fine * DAY_MINUTES as usize / spans, fine * DAY_MINUTES as usize % spans);
            let rest =
                if part == 0 { 0 } else { u64::from(before[minute + 1] - before[minute]) * part as u64 };
            u64::from(before[minute]) * spans as u64 + rest
        };
        let shares = shares(spans, until).collect();
        let edge = |minute: u32| (u64::from(minute) << (DAY - FINE)) / u64::from(DAY_MINUTES);
        let edges = sessions.iter().flat_map(|(from, to)| [edge(*from), edge(*to)]);
        Self { edges: edges.filter(|_| closes).collect(), open, total, shares }
    }
}

/// The share of the left half in the activity of each span that is halved down to `count` equal ones. The whole is span 1, and the
/// halves of span *n* are 2*n* and 2*n* + 1. `until` is the activity before one of the equal spans.
fn shares(count: usize, until: impl Fn(usize) -> u64) -> impl Iterator<Item = u32> {
    (0..count).map(move |span| {
        let length = count >> span.checked_ilog2().unwrap_or(0);
        let first = (span * length).saturating_sub(count);
        let [start, middle, end] = [first, first + length / 2, first + length].map(&until);
        share_of_left(middle - start, end - middle) as u32
    })
}

/// The share of the left half of a span by its number: the whole is span 1, and the halves of span *n* are 2*n* and 2*n* + 1.
#[inline(always)]
pub(super) fn share_of(shares: &[u32], span: usize) -> i64 {
    shares.get(span).copied().map_or(EVEN, i64::from)
}

/// The share of a left half in the activity of both.
fn share_of_left(left: u64, right: u64) -> i64 {
    if left + right == 0 {
        return EVEN;
    }
    (left as f64 / (left + right) as f64 * ONE as f64 + 0.5) as i64
}

/// The share of the left half of a span of at least two days in the variance of a factor: less happens at weekends.
pub(super) fn factor_share(start: Position, below: u32) -> i64 {
    // From Thursday on: 1970 began on a Thursday.
    const BEFORE: [u64; 7] = [0, 10, 20, 27, 34, 44, 54];
    let before = |day: u64| day / 7 * 64 + BEFORE[(day % 7) as usize];
    let (first, days) = (start >> DAY, 1 << (below - DAY));
    let [start, middle, end] = [first, first + days, first + 2 * days].map(before);
    share_of_left(middle - start, end - middle)
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::{super::share::part, *};
    use crate::tick::Time;

    fn rhythm(closes: bool) -> Rhythm {
        Rhythm::new("09:15-15:30 Asia/Kolkata Mon-Fri".parse().ok(), closes)
    }

    /// Some Friday.
    const FRIDAY: u64 = 20_777;

    /// The activity of each fine span of a day, as a share of that of the block.
    fn day(rhythm: &Rhythm, day: u64) -> Vec<f64> {
        let activity = |fine: u64| {
            let position = day << DAY | fine << FINE;
            let block = rhythm.block(position >> TOP);
            let share = |shares, levels: Range<u32>| {
                levels.clone().rev().fold(1.0, |share, below| {
                    let span =
                        (position | 1 << levels.end) >> (below + 1) & ((1 << (levels.end - below)) - 1);
                    let left = part(share_of(shares, span as usize));
                    share * if position >> below & 1 == 0 { left } else { 1.0 - left }
                })
            };
            share(block.shares_of_days(), DAY..TOP) * share(block.shares_of_day(position), FINE..DAY)
        };
        (0..1 << (DAY - FINE)).map(activity).collect()
    }

    #[test]
    fn a_market_that_closes_is_busy_at_its_edges_and_at_rest_otherwise() {
        let closing = rhythm(true);
        let spans = day(&closing, FRIDAY);
        // It opens at 03:45 UTC, 160/1024 of the day, and closes at 10:00, a little before 427/1024.
        assert!(spans.iter().enumerate().all(|(at, busy)| (160..427).contains(&at) == (*busy > 0.0)));
        assert!(spans[160] > 1.8 * spans[293] && spans[425] > 1.8 * spans[293]);
        assert!(day(&closing, FRIDAY + 1).iter().all(|busy| *busy == 0.0));
        let block = closing.block(FRIDAY / BLOCK_DAYS);
        assert!(
            (0..1024)
                .all(|fine| block.has_edge(FRIDAY << DAY | fine << FINE) == (fine == 160 || fine == 426))
        );
    }

    #[test]
    fn a_market_that_never_closes_is_quieter_at_night_and_at_weekends() {
        let spans = day(&rhythm(false), FRIDAY);
        assert!(spans[160] > 1.8 * spans[800] && spans[800] > 0.0);
        let total = |date| day(&rhythm(false), date).iter().sum::<f64>();
        let (friday, saturday) = (total(FRIDAY), total(FRIDAY + 1));
        assert!((0.5..0.9).contains(&(saturday / friday)), "{saturday} {friday}");
        assert!((day(&Rhythm::new(None, false), 5).iter().sum::<f64>() * 1024.0 - 1.0).abs() < 1e-3);
    }

    #[test]
    fn the_span_of_an_edge_is_shared_out_to_the_nanosecond() {
        let rhythm = rhythm(true);
        let closing = rhythm.block(FRIDAY / BLOCK_DAYS);
        let fine = FRIDAY << DAY | 426 << FINE;
        let close = FRIDAY * DAY_NANOS + 600 * MINUTE;
        let mut start = fine;
        for below in (10..FINE).rev() {
            let share = closing.share_at_edge(start, below);
            let middle = start | 1 << below;
            assert_eq!(share == ONE, calendar::nanos(middle) >= close);
            start = if share == ONE { start } else { middle };
            let (from, to) = closing.open_within(start, below);
            assert!(from < to && to == close);
        }
        assert!(Time::from_nanos(close) > Time::from_nanos(calendar::nanos(start)));
    }

    #[test]
    fn the_minutes_of_trading_are_counted_by_block() {
        assert_eq!(rhythm(false).open_before(3), 3 * 1_024 * DAY_NANOS);
        let minutes = rhythm(true).open_before(BLOCKS) / MINUTE;
        // Five of seven days, 375 minutes each.
        assert!(minutes.abs_diff(BLOCKS * 1_024 * 375 * 5 / 7) < 2 * 375);
    }
}
