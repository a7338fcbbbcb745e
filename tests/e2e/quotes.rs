//! Quotes: the book and the figures of the day with each tick, the same on every replica.

use std::sync::Arc;

use ticker::{
    contract::v1::{
        Delivery, Detail, InstrumentStatus, Quote, Subscription, Tick, WatchRequest,
        ticker_stream_request::Verb, ticker_stream_response::Event, watch_response,
    },
    history::Day,
    pacer::Clock,
    tape::{Instrument, Series, Simulated, Tape, Universe},
    tick::{Price, Sequence, Time},
};
use tokio_stream::StreamExt;

use crate::support::server::{Server, sequences, symbols};

/// A tape with one instrument, `TCS` with ten ticks a second on average, whose day began some minutes ago.
struct Market {
    tape: Arc<Simulated>,
    instrument: Arc<Instrument>,
    series: Arc<dyn Series>,
    day_start: Time,
}

impl Market {
    fn with_a_day_that_began(minutes_ago: u64) -> Self {
        let second = Clock::Wall.now().nanos() / 1_000_000_000 - 60 * minutes_ago;
        let clock = |unit: u64, of: u64| second / unit % of;
        let instruments = format!(
            "[[instrument]]\nsymbol = \"TCS\"\nreference_price = 3000\nday_start = \"{:02}:{:02}:{:02}\"",
            clock(3600, 24),
            clock(60, 60),
            clock(1, 60)
        );
        let tape = Arc::new(Simulated::new(7, Universe::parse(&instruments, "instruments").unwrap()));
        let instrument = tape.instruments()[0].clone();
        let series = tape.series(&instrument);
        Self { tape, instrument, series, day_start: Time::from_nanos(second * 1_000_000_000) }
    }

    fn serve(&self) -> Server {
        Server::start_with(|config| config.tape = self.tape.clone())
    }

    /// The quotes of all ticks from a sequence on, by folding them one by one.
    fn quotes_from(&self, first: u64) -> impl Iterator<Item = Quote> {
        let days = self.instrument.trading_days();
        let begin = self.series.sequence_from(days.day_of(self.series.tick(Sequence(first)).time).start);
        let before = self.series.tick(Sequence(begin.0 - 1)).price;
        let mut day = Day::open(&self.series.tick(begin), Some(before), &days);
        let mut cursor = self.series.cursor(begin);
        let mut sequence = begin.0;
        std::iter::from_fn(move || {
            if sequence > begin.0 {
                cursor.advance();
                day.take(&cursor.tick(), &days);
            }
            sequence += 1;
            let book = self.series.top_of_book(&cursor.tick()).unwrap();
            let (seconds, nanos) = day.start.parts();
            Some(Quote {
                bid_nanos: book.bid.nanos(),
                bid_quantity: book.bid_quantity,
                ask_nanos: book.ask.nanos(),
                ask_quantity: book.ask_quantity,
                day_start_time: Some(prost_types::Timestamp { seconds, nanos }),
                open_nanos: day.open.nanos(),
                high_nanos: day.high.nanos(),
                low_nanos: day.low.nanos(),
                volume: day.volume,
                previous_close_nanos: day.previous_close.map_or(0, Price::nanos),
                change_percent: day.change_percent(),
                status: InstrumentStatus::Open.into(),
            })
        })
        .skip((first - begin.0) as usize)
    }

    fn check(&self, ticks: &[Tick]) {
        for (tick, quote) in ticks.iter().zip(self.quotes_from(ticks[0].sequence)) {
            assert_eq!(tick.quote, Some(quote), "of tick {}", tick.sequence);
            assert!(quote.low_nanos <= tick.ltp_nanos && tick.ltp_nanos <= quote.high_nanos);
        }
        for two in ticks.windows(2) {
            let before = two[0].quote.unwrap();
            assert!([before.bid_nanos, before.ask_nanos].contains(&two[1].ltp_nanos), "{two:?}");
        }
    }
}

fn with_quotes(names: &[&str]) -> Subscription {
    Subscription { detail: Detail::Quote.into(), delivery: Delivery::EveryTick.into(), ..symbols(names) }
}

#[tokio::test]
async fn every_tick_bears_the_figures_of_its_day_on_every_replica() {
    let market = Market::with_a_day_that_began(30);
    for server in [market.serve(), market.serve()] {
        let mut stream = server.stream().await;
        stream.ask(1, Verb::Subscribe(with_quotes(&["TCS"])));
        assert_eq!(stream.result().await.statuses[0].detail(), Detail::Quote);
        let mut ticks = Vec::new();
        for _ in 0..10 {
            ticks.push(stream.tick().await);
        }
        assert!(ticks[0].snapshot && ticks.windows(2).all(|two| two[0].sequence + 1 == two[1].sequence));
        market.check(&ticks);
    }
}

#[tokio::test]
async fn a_resume_with_quotes_goes_through_the_beginning_of_a_day() {
    let market = Market::with_a_day_that_began(10);
    let server = market.serve();
    let yesterday = market.series.sequence_from(market.day_start).0 - 3_000;
    let mut stream = server.stream().await;
    let after_sequence = [("TCS".to_owned(), yesterday)].into();
    stream.ask(1, Verb::Subscribe(Subscription { after_sequence, ..with_quotes(&["TCS"]) }));
    let mut ticks = Vec::new();
    let mut live = 0;
    let mut caught_up = false;
    while live < 5 {
        match stream.news().await {
            Event::Tick(tick) => {
                assert_eq!(tick.sequence, yesterday + 1 + ticks.len() as u64);
                live += u32::from(caught_up);
                ticks.push(tick);
            }
            Event::CaughtUp(_) => caught_up = true,
            _ => {}
        }
    }
    let days: std::collections::BTreeSet<_> =
        ticks.iter().map(|tick| tick.quote.unwrap().day_start_time.unwrap().seconds).collect();
    assert_eq!(days.len(), 2);
    market.check(&ticks);
}

#[tokio::test]
async fn a_replay_has_the_same_quotes() {
    let market = Market::with_a_day_that_began(10);
    let server = market.serve();
    let start = market.day_start.parts().0;
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let request = WatchRequest {
        symbols: vec!["TCS".to_owned()],
        detail: Detail::Quote.into(),
        start_time: at(start - 20),
        end_time: at(start + 20),
        ..WatchRequest::default()
    };
    let mut stream = server.client().await.watch(request).await.unwrap().into_inner();
    let mut ticks = Vec::new();
    while let Some(message) = stream.next().await {
        if let Some(watch_response::Event::Tick(tick)) = message.unwrap().event {
            ticks.push(tick);
        }
    }
    assert_eq!(ticks.len(), sequences(&*market.series, start - 20..start + 20).count());
    market.check(&ticks);
}

#[tokio::test]
async fn who_asks_for_the_last_price_alone_gets_nothing_else() {
    let market = Market::with_a_day_that_began(5);
    let server = market.serve();
    let mut quotes = server.stream().await;
    quotes.ask(1, Verb::Subscribe(with_quotes(&["TCS"])));
    let mut prices = server.stream().await;
    prices.ask(1, Verb::Subscribe(symbols(&["TCS"])));
    for _ in 0..5 {
        assert!(prices.tick().await.quote.is_none());
        assert!(quotes.tick().await.quote.is_some());
    }
    // A second subscribe changes the detail, without a tick lost.
    let last = quotes.tick().await.sequence;
    quotes.ask(2, Verb::Subscribe(Subscription { detail: Detail::Ltp.into(), ..with_quotes(&["TCS"]) }));
    let mut next = last + 1;
    loop {
        match quotes.news().await {
            Event::Tick(tick) => {
                assert_eq!(tick.sequence, next);
                next += 1;
            }
            Event::SubscriptionResult(result) => {
                assert_eq!(result.statuses[0].detail(), Detail::Ltp);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    let tick = quotes.tick().await;
    assert_eq!((tick.sequence, tick.quote), (next, None));
    let unknown = Subscription { detail: 9, ..symbols(&["TCS"]) };
    quotes.ask(3, Verb::Subscribe(unknown));
    assert!(quotes.result().await.statuses[0].message.contains("detail 9 is unknown"));
}
