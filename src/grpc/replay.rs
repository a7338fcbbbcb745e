//! A replay: past ticks of all symbols of a watch, in the order of their times, at a pace of their own.
//!
//! It is read as it is sent and holds a cursor per symbol, so it costs the same however long it is. One that is open
//! goes on as a live subscription when it has reached the present.

use std::{pin::Pin, sync::Arc, task::Context, time::Duration};

use prost_types::Timestamp;
use tokio::time::{Instant, Sleep, sleep};

use super::{
    Feed, Format, convert,
    terms::{Objection, Terms, malformed_time},
    wire::V1,
};
use crate::{
    contract::v1::WatchRequest,
    history::{DayFold, Merge},
    hub::{Interest, Mark, Quote, Start, Subscriber, WireFormat},
    pacer::{Clock, Speed},
    tape::{Instrument, Series},
    tick::{Sequence, Tick, Time},
};

/// What a watch asks of a replay.
pub(super) struct Span {
    /// Where it begins.
    start: Time,
    /// The first time that is not wanted any more.
    end: Option<Time>,
    /// How fast its time passes; `None` for as fast as the reader takes it.
    speed: Option<Speed>,
}

/// The replay of one stream.
pub(super) struct Replay {
    merge: Merge,
    lanes: Vec<Lane>,
    interest: Interest,
    span: Span,
    began: Instant,
    format: V1,
    /// The messages that go before the first tick.
    gaps: Vec<u8>,
    said_caught_up: bool,
    alarm: Option<Pin<Box<Sleep>>>,
}

/// One symbol.
struct Lane {
    instrument: Arc<Instrument>,
    series: Arc<dyn Series>,
    /// The first sequence that is not sent.
    next: Sequence,
    /// With a minimum interval: the least time of the next tick.
    not_before: Time,
    /// With quotes: the figures of the day.
    day: Option<DayFold>,
}

/// What a replay came to.
pub(super) enum Replayed {
    /// More is to come: at once, or when the waker says so.
    More,
    /// The end that was asked for.
    End,
    /// The present: what follows is live.
    Present,
}

/// At most so many ticks are read at once that are not sent: for the figures of a day, or to thin them.
const READ: usize = 4096;

impl Span {
    /// The span of a watch; `None` when it is no replay.
    pub(super) fn of(request: &WatchRequest) -> Result<Option<Self>, Objection> {
        let start = time("start_time", request.start_time)?;
        let end = time("end_time", request.end_time)?;
        let speed = match request.speed {
            0.0 => None,
            speed => Some(Speed::try_from(speed).map_err(|error| {
                Objection::invalid(format!("speed: {error}; 0 is as fast as the reader takes it"))
            })?),
        };
        match (start, end) {
            (None, None) if speed.is_none() => Ok(None),
            (None, _) => Err(Objection::invalid("end_time and speed go only with start_time: set it too")),
            (Some(start), Some(end)) if end < start => {
                Err(Objection::invalid("end_time must not be before start_time"))
            }
            (Some(start), end) => Ok(Some(Self { start, end, speed })),
        }
    }

    fn is_over(&self, time: Time) -> bool {
        self.end.is_some_and(|end| time >= end)
    }

    /// Up to which time ticks are due so long after it began.
    fn position(&self, elapsed: Duration) -> Time {
        self.speed.map_or(Time::MAX, |speed| self.start + speed.of(elapsed))
    }

    /// How long it takes in real time from a position to a time after it.
    fn until(&self, time: Time, position: Time) -> Duration {
        let ahead = Duration::from_nanos(time.nanos().saturating_sub(position.nanos()));
        self.speed.map_or(Duration::ZERO, |speed| speed.takes(ahead))
    }
}

fn time(field: &str, value: Option<Timestamp>) -> Result<Option<Time>, Objection> {
    value.map(|value| convert::time(value).ok_or_else(|| malformed_time(field))).transpose()
}

impl Replay {
    /// A replay of instruments, which are all different. What was asked for and was never on the tape is a gap.
    pub(super) fn new(feed: &Feed, span: Span, terms: &Terms, instruments: Vec<Arc<Instrument>>) -> Self {
        let tape_id = &feed.tape.identity().tape_id;
        let mut format = match Format::V1WithQuotes.is_of(&terms.interest) {
            true => V1::with_quotes(tape_id),
            false => V1::new(tape_id),
        };
        let mut gaps = Vec::new();
        let lane = |instrument: Arc<Instrument>| {
            let series = feed.tape.series(&instrument);
            let first = series.first();
            let mut next = match terms.origin.start(feed, &instrument) {
                Start::At { next, .. } => next,
                Start::Snapshot => series.sequence_from(span.start),
            };
            if next < first {
                format.gap(&instrument.symbol, next, first.previous(), &mut gaps);
                next = first;
            }
            Lane { instrument, series, next, not_before: Time::default(), day: None }
        };
        let lanes: Vec<Lane> = instruments.into_iter().map(lane).collect();
        let merge = Merge::new(lanes.iter().map(|lane| (lane.series.clone(), lane.next)));
        let (interest, began) = (terms.interest, Instant::now());
        Self { merge, lanes, interest, span, began, format, gaps, said_caught_up: false, alarm: None }
    }

    /// Appends ticks to `out` until it holds `budget` bytes, the end or the present is reached, or the next one is
    /// not due.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        clock: &Clock,
        budget: usize,
        out: &mut Vec<u8>,
    ) -> Replayed {
        let (now, position) = (clock.now(), self.span.position(self.began.elapsed()));
        let before = out.len();
        out.append(&mut self.gaps);
        let mut read = READ;
        while out.len() < budget {
            let next = self.merge.peek().map(|(at, tick)| (at, *tick));
            let Some((at, tick)) = next.filter(|(_, tick)| !self.span.is_over(tick.time)) else {
                let bounded = self.span.end.is_some();
                return if bounded { Replayed::End } else { Replayed::Present };
            };
            if tick.time > now {
                if self.span.end.is_none() {
                    return Replayed::Present;
                }
                self.say_caught_up(out);
            }
            if tick.time > now.min(position) {
                if out.len() == before {
                    self.wait(cx, clock.until(tick.time).max(self.span.until(tick.time, position)));
                }
                return Replayed::More;
            }
            let sent = match self.lanes.get_mut(at) {
                Some(lane) => lane.send(&tick, self.interest, &mut self.format, &mut read, out),
                None => true,
            };
            if !sent {
                break;
            }
            self.merge.advance();
        }
        if out.len() == before {
            // There is more to read before there is something to send: others take their turn first.
            cx.waker().wake_by_ref();
        }
        Replayed::More
    }

    /// Makes each symbol a live subscription that goes on where the replay has got to.
    pub(super) fn go_live(self, feed: &Feed, subscriber: &Subscriber) {
        for lane in self.lanes {
            let Lane { instrument, next, not_before, day, .. } = lane;
            let start = Start::At { next, not_before, day: day.map(Box::new) };
            subscriber.subscribe(&*feed.tape, &instrument, self.interest, start, feed.clock.now());
        }
    }

    fn say_caught_up(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.said_caught_up, true) {
            for lane in &self.lanes {
                self.format.caught_up(&lane.instrument.symbol, lane.next.previous(), out);
            }
        }
    }

    fn wait(&mut self, cx: &mut Context<'_>, wait: Duration) {
        let alarm = self.alarm.insert(Box::pin(sleep(wait)));
        if alarm.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
}

impl Lane {
    /// Sends a tick, unless the minimum interval leaves it out. False when more has to be read before.
    fn send(
        &mut self,
        tick: &Tick,
        interest: Interest,
        format: &mut V1,
        read: &mut usize,
        out: &mut Vec<u8>,
    ) -> bool {
        if *read == 0 {
            return false;
        }
        *read -= 1;
        if tick.time < self.not_before {
            return true;
        }
        let mut quote = None;
        if format.quotes() {
            let begin = || DayFold::new(self.series.clone(), self.instrument.day_start, tick.sequence);
            let Some(day) = self.day.get_or_insert_with(begin).reach(tick.sequence, read) else {
                return false;
            };
            quote = Some(Quote::after(tick, day, &*self.series));
        }
        let conflated = tick.sequence.0.saturating_sub(self.next.0);
        format.tick(&self.instrument, tick, Mark { conflated, snapshot: false }, quote.as_ref(), out);
        self.next = tick.sequence.next();
        self.not_before = tick.time + interest.min_interval();
        true
    }
}
