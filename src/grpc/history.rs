//! The RPCs of `ticker.v1` about the past: ticks, candles and digests. The work is done in the history pool,
//! responses are encoded there too, and every page has an end.

use std::ops::Range;

use prost_types::Timestamp;

use super::{
    call::Call,
    convert,
    history_pool::Shared,
    past::Past,
    status::{Failure, cut},
};
use crate::{
    contract::{
        Encoded,
        v1::{
            DigestTicksRequest, DigestTicksResponse, ListCandlesRequest, ListCandlesResponse,
            ListTicksRequest, ListTicksResponse,
        },
    },
    history::{
        CandleError, CandleInterval, CandlePage, CandlesInOrder, DigestInOrder, Order, Parts, TickPage,
    },
    tick::{Sequence, Tick, Time},
};

/// Largest page, in ticks or candles.
const LARGEST_PAGE: usize = 10_000;
/// Approximate size of a tick in a page, in bytes.
const ENCODED_TICK: usize = 64;
/// Approximate size of a candle in a page, in bytes.
const ENCODED_CANDLE: usize = 96;
/// Ticks of candles and digests that are read in one step: about 100 µs.
const STEP: u64 = 2_048;

pub(super) async fn list_ticks(call: &Call, request: ListTicksRequest) -> Result<Encoded, Failure> {
    let worker = call.worker();
    let past = Past::of(worker, &request.symbol, worker.clock.now())?;
    let order = if request.newest_first { Order::NewestFirst } else { Order::OldestFirst };
    let range = from_token(ticks(&request, &past).await?, order, &request.page_token)?;
    let most = convert::page_size(request.page_size, LARGEST_PAGE);
    let asked = usize::try_from(range.end.0.saturating_sub(range.start.0)).unwrap_or(usize::MAX);
    call.reserve(most.min(asked).saturating_mul(ENCODED_TICK)).await?;
    let symbol = past.instrument.symbol;
    let encode = move |page: TickPage| {
        Encoded::of(&ListTicksResponse {
            ticks: page.ticks.iter().map(|tick| convert::tick(symbol.as_str(), tick)).collect(),
            next_page_token: page.next.map(|next| next.to_string()).unwrap_or_default(),
        })
    };
    let mut stored = past.stored_page(call, range.clone(), order, most).await?;
    let mut page = move || stored.take().unwrap_or_else(|| past.ticks.page(range.clone(), order, most));
    call.run(move || Some(Ok(encode(page()))), None).await
}

pub(super) async fn list_candles(call: &Call, request: ListCandlesRequest) -> Result<Encoded, Failure> {
    let worker = call.worker();
    let now = worker.clock.now();
    let past = Past::of(worker, &request.symbol, now)?;
    let interval = interval(request.interval)?;
    if request.start_time.is_none() {
        let problem = "is missing: give the time that the first candle is to hold";
        return Err(Failure::Invalid("start_time", problem.to_owned()));
    }
    let asked = times(request.start_time, request.end_time)?;
    let times = candles_from_token(asked, interval, &request.page_token)?;
    let most = convert::page_size(request.page_size, LARGEST_PAGE);
    call.reserve(most * ENCODED_CANDLE).await?;
    let encode = move |page: CandlePage| {
        let candle = |candle| convert::candle(candle, interval.close_time(candle.open_time) > now);
        Encoded::of(&ListCandlesResponse {
            candles: page.candles.iter().map(candle).collect(),
            next_page_token: page.next.map(|next| next.parts().0.to_string()).unwrap_or_default(),
        })
    };
    if let Some(first) = past.only_stored_from(interval.open_time(times.start)).await?
        && !times.is_empty()
    {
        let candles = CandlesInOrder::new(interval, times.end, most);
        let take = |candles: &mut CandlesInOrder, tick: &Tick| Ok(candles.take(tick)?);
        let mut candles = Some(past.fold_stored(call, first..Sequence(u64::MAX), candles, take).await?);
        return call.run(move || Some(Ok(encode(candles.take()?.page()))), None).await;
    }
    let mut fold = past.ticks.candles(interval, times, most);
    let parts = fold.parts();
    let step = move || Some(fold.step(STEP).transpose()?.map(&encode).map_err(Failure::from));
    call.run(step, Some(parts)).await
}

pub(super) async fn digest_ticks(
    call: &Call,
    request: DigestTicksRequest,
) -> Result<DigestTicksResponse, Failure> {
    let worker = call.worker();
    let past = Past::of(worker, &request.symbol, worker.clock.now())?;
    let range = sequences(request.start_sequence, request.end_sequence)?;
    call.reserve(ENCODED_TICK).await?;
    let digest = if past.is_only_stored(range.start) {
        let take = |digest: &mut DigestInOrder, tick: &Tick| {
            digest.take(tick);
            Ok(digest.has_more())
        };
        past.fold_stored(call, range.clone(), DigestInOrder::new(range), take).await?.finish()
    } else {
        let mut fold = past.ticks.digest(range);
        call.run(move || fold.step(STEP).map(Ok), None).await?
    };
    Ok(DigestTicksResponse {
        tape_id: worker.tape.identity().tape_id.clone(),
        start_sequence: digest.range.start.0,
        end_sequence: digest.range.end.0,
        digest: digest.sha256.to_vec(),
    })
}

impl Shared for Parts {
    fn has_more(&self) -> bool {
        Self::has_more(self)
    }

    fn help(&self) {
        Self::help(self);
    }
}

impl From<CandleError> for Failure {
    fn from(error: CandleError) -> Self {
        match error {
            CandleError::TooManyTicks { .. } => Self::Invalid("interval", format!("is too long: {error}")),
        }
    }
}

/// The ticks that a request asks for, by times or by sequences.
async fn ticks(request: &ListTicksRequest, past: &Past) -> Result<Range<Sequence>, Failure> {
    let ListTicksRequest { start_time, end_time, start_sequence, end_sequence, .. } = *request;
    if start_time.is_none() && end_time.is_none() {
        return sequences(start_sequence, end_sequence);
    }
    if (start_sequence, end_sequence) != (0, 0) {
        let problem = "and end_sequence do not go with start_time and end_time: ask for a range of either";
        return Err(Failure::Invalid("start_sequence", problem.to_owned()));
    }
    past.sequences(times(start_time, end_time)?).await
}

/// From the first tick when there is no start, to the end of time when there is no end.
fn times(start: Option<Timestamp>, end: Option<Timestamp>) -> Result<Range<Time>, Failure> {
    let time = |field, timestamp: Option<Timestamp>, otherwise| match timestamp.map(convert::time) {
        None => Ok(otherwise),
        Some(Some(time)) => Ok(time),
        Some(None) => Err(Failure::Invalid(field, convert::NO_TIMESTAMP.to_owned())),
    };
    let times = time("start_time", start, Time::default())?..time("end_time", end, Time::MAX)?;
    let parts = |timestamp: Timestamp| (timestamp.seconds, timestamp.nanos);
    if let (Some(start), Some(end)) = (start, end)
        && parts(end) < parts(start)
    {
        return Err(Failure::Invalid("end_time", "is before start_time: swap them".to_owned()));
    }
    Ok(times)
}

/// To the end of the tape when the end is zero.
fn sequences(start: u64, end: u64) -> Result<Range<Sequence>, Failure> {
    match end {
        0 => Ok(Sequence(start)..Sequence(u64::MAX)),
        _ if end < start => {
            Err(Failure::Invalid("end_sequence", "is below start_sequence: swap them".to_owned()))
        }
        _ => Ok(Sequence(start)..Sequence(end)),
    }
}

fn interval(interval: Option<prost_types::Duration>) -> Result<CandleInterval, Failure> {
    let interval = interval.and_then(convert::positive_duration).and_then(CandleInterval::new);
    interval.ok_or_else(|| {
        let problem =
            "must be a whole number of seconds that divides a day, such as 1s, 60s, 3600s or 86400s";
        Failure::Invalid("interval", problem.to_owned())
    })
}

/// The rest of a range of ticks. A token is the next sequence, so that any replica can go on from it; it may be of a tick
/// that this one has yet to see.
fn from_token(range: Range<Sequence>, order: Order, token: &str) -> Result<Range<Sequence>, Failure> {
    if token.is_empty() {
        return Ok(range);
    }
    let next = number(token).map(Sequence).filter(|next| range.contains(next));
    let next = next.ok_or_else(|| Failure::BadPageToken(cut(token)))?;
    Ok(match order {
        Order::OldestFirst => next..range.end,
        Order::NewestFirst => range.start..next.next(),
    })
}

/// The rest of a range of candles. A token is the start of the next candle, in seconds.
fn candles_from_token(
    times: Range<Time>,
    interval: CandleInterval,
    token: &str,
) -> Result<Range<Time>, Failure> {
    if token.is_empty() {
        return Ok(times);
    }
    let begins = |seconds: u64| Some(Time::from_nanos(seconds.checked_mul(1_000_000_000)?));
    let next = number(token).and_then(begins);
    let next = next.filter(|next| times.contains(next) && interval.open_time(*next) == *next);
    Ok(next.ok_or_else(|| Failure::BadPageToken(cut(token)))?..times.end)
}

/// Parses a page token. Only the form that this service issues is accepted, so `+7` and `07` are refused.
fn number(token: &str) -> Option<u64> {
    let canonical = token == "0" || token.starts_with(|first: char| matches!(first, '1'..='9'));
    token.parse().ok().filter(|_| canonical)
}
