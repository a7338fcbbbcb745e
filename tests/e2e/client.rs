//! The client library against a real server: streams, quotes and the calls that answer once or in pages.

use std::{sync::Arc, time::Duration};

use ticker::{
    client::{
        Client, ClientError, Delivery, Detail, Endpoint, Event, Health, InstrumentInfo, LiveTick,
        ReplayOptions, RpcCode, Settings, SubscribeOptions, Subscription, TapeKind, TickRange,
    },
    contract::v1::SymbolStatusCode as Code,
    tape::{Simulated, Universe},
    tick::{Price, Sequence, Symbol, Tick, Time},
};
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tonic::Status;

use crate::support::{
    scripted::{Scripted, Stream},
    server::{PATIENCE, Server, intervals_in, series},
};

async fn connect(server: &Server) -> Client {
    let settings = Settings::default().with_answer_timeout(PATIENCE);
    Client::connect(&Endpoint::from(server.address).into(), settings).await.unwrap()
}

/// The present, as the server of a client sees it.
async fn now(client: &Client) -> Time {
    client.tape().await.unwrap().time
}

async fn list(client: &Client, symbol: &str, range: TickRange) -> Vec<Tick> {
    client.ticks(symbol, range).collect::<Result<_, _>>().await.unwrap()
}

/// A subscription of `TCS` at a scripted replica, which has answered.
async fn scripted(replica: &mut Scripted) -> (Subscription, Stream) {
    let endpoint = Endpoint::from(replica.address);
    let subscribe = async {
        let settings = Settings::default().with_backoff(Duration::from_millis(1), Duration::from_millis(5));
        let client = Client::connect(&endpoint.into(), settings).await.unwrap();
        let options = SubscribeOptions::new(["TCS"]).with_delivery(Delivery::EveryTick);
        client.subscribe(options).await.unwrap()
    };
    tokio::join!(subscribe, async {
        let mut stream = replica.stream().await;
        stream.asked().await;
        stream.answer("tape", Code::Subscribed);
        stream
    })
}

async fn next(subscription: &mut Subscription) -> Option<Result<Event, ClientError>> {
    timeout(PATIENCE, subscription.next()).await.expect("nothing comes")
}

/// How many ticks a symbol has from one time to before another.
fn due(symbol: &str, from: Time, to: Time) -> u64 {
    let series = series(symbol);
    series.sequence_from(to).0 - series.sequence_from(from).0
}

#[tokio::test]
async fn the_stream_yields_every_tick_of_a_bounded_replay_and_then_ends() {
    let server = Server::start();
    let client = connect(&server).await;
    let to = now(&client).await;
    let from = to.before(Duration::from_secs(30)).unwrap();
    let options = SubscribeOptions::new(["FAST"]).with_delivery(Delivery::EveryTick);
    let replay = ReplayOptions::new(from).with_to(to).with_speed(0.0);
    let mut subscription = client.replay(options, replay).await.unwrap();
    let (mut ticks, mut ended) = (Vec::new(), false);
    while let Some(event) = next(&mut subscription).await {
        assert!(!ended, "an event after the end");
        match event.unwrap() {
            Event::Tick(live) => ticks.push(live.tick),
            Event::End => ended = true,
            _ => {}
        }
    }
    assert!(ended);
    assert_eq!(ticks.len() as u64, due("FAST", from, to));
    assert_eq!(ticks, list(&client, "FAST", TickRange::times(from..to)).await);
    assert!(next(&mut subscription).await.is_none(), "it stays at its end");
}

#[tokio::test]
async fn no_event_is_lost_between_dropped_polls_single_events_and_batches() {
    let mut replica = Scripted::start("tape").await;
    let (mut subscription, stream) = scripted(&mut replica).await;
    let (mut sequences, mut turn) = (Vec::new(), 0);
    for last in (5..=100).step_by(5) {
        stream.ticks(last - 4..=last);
        while sequences.last() != Some(&last) {
            let mut events = Vec::new();
            match turn % 3 {
                // A future that is polled once and dropped.
                0 => {
                    let polled = timeout(Duration::ZERO, subscription.next()).await;
                    events.extend(polled.into_iter().map(|event| event.unwrap().unwrap()));
                }
                1 => events.push(next(&mut subscription).await.unwrap().unwrap()),
                _ => timeout(PATIENCE, subscription.next_batch(&mut events)).await.unwrap().unwrap(),
            }
            turn += 1;
            sequences.extend(events.iter().filter_map(|event| match event {
                Event::Tick(live) => Some(live.tick.sequence.0),
                _ => None,
            }));
        }
    }
    assert_eq!(sequences, (1..=100).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_stream_yields_an_error_after_the_events_before_it_and_then_tries_again() {
    let mut replica = Scripted::start("tape").await;
    let (mut subscription, stream) = scripted(&mut replica).await;
    stream.ticks(1..=3);
    stream.fail(Status::permission_denied("not any more"));
    let mut ticks = 0;
    let error = loop {
        match next(&mut subscription).await.unwrap() {
            Ok(Event::Tick(_)) => ticks += 1,
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(ticks, 3);
    let status = error.status().unwrap();
    assert_eq!((status.code, status.message.as_str()), (RpcCode::PermissionDenied, "not any more"));
    assert!(!error.is_retryable());
    let again = async {
        let mut stream = replica.stream().await;
        assert_eq!(stream.asked().await.after_sequence["TCS"], 3);
        stream.answer("tape", Code::Subscribed);
        stream.ticks([4]);
        stream
    };
    let (resumed, _stream) = tokio::join!(
        async {
            loop {
                if let Some(Ok(Event::Tick(live))) = next(&mut subscription).await {
                    return live.tick.sequence;
                }
            }
        },
        again
    );
    assert_eq!(resumed, Sequence(4));
}

#[tokio::test]
async fn a_quote_has_the_book_and_the_figures_of_the_day() {
    let server = Server::start();
    let client = connect(&server).await;
    let quoted = |detail| {
        let client = client.clone();
        async move {
            let options = SubscribeOptions::new(["SLOW"]).with_detail(detail);
            let mut subscription = client.subscribe(options).await.unwrap();
            loop {
                if let Event::Tick(live) = next(&mut subscription).await.unwrap().unwrap() {
                    return live;
                }
            }
        }
    };
    let LiveTick { tick, quote, snapshot, .. } = quoted(Detail::Quote).await;
    let quote = quote.expect("a quote was asked for");
    assert!(snapshot);
    assert!(quote.bid.unwrap().price < quote.ask.unwrap().price);
    let day = list(&client, "SLOW", TickRange::times(quote.day_start..=tick.time)).await;
    let prices: Vec<Price> = day.iter().map(|tick| tick.price).collect();
    assert_eq!(Some(&quote.open), prices.first());
    assert_eq!(Some(&quote.high), prices.iter().max());
    assert_eq!(Some(&quote.low), prices.iter().min());
    assert_eq!(quote.volume, day.iter().map(|tick| tick.quantity).sum::<u64>());
    let before = TickRange::times(..quote.day_start).newest_first().with_page_size(1);
    let close = client.ticks("SLOW", before).next().await.unwrap().unwrap().price;
    assert_eq!(quote.previous_close, Some(close));
    let change = (tick.price.to_f64() - close.to_f64()) / close.to_f64() * 100.0;
    assert!((quote.change_percent.unwrap() - change).abs() < 1e-9);

    assert_eq!(quoted(Detail::Ltp).await.quote, None);
}

#[tokio::test]
async fn an_index_has_prices_and_no_quantities() {
    let universe = "[[instrument]]\nsymbol = 'NIFTY50'\nkind = 'index'\nreference_price = 24000";
    let tape = Simulated::new(7, Universe::parse(universe, "test").unwrap());
    let server = Server::start_with(|config| config.tape = Arc::new(tape));
    let client = connect(&server).await;
    let from = now(&client).await.before(Duration::from_secs(20)).unwrap();

    let options = SubscribeOptions::new(["NIFTY50"]).with_detail(Detail::Quote);
    let mut subscription = client.subscribe(options).await.unwrap();
    let LiveTick { tick, quote, .. } = loop {
        if let Event::Tick(live) = next(&mut subscription).await.unwrap().unwrap() {
            break live;
        }
    };
    let quote = quote.expect("a quote was asked for");
    let (bid, ask) = (quote.bid.unwrap(), quote.ask.unwrap());
    assert!(bid.price < ask.price);
    assert_eq!((tick.quantity, quote.volume, bid.quantity, ask.quantity), (0, 0, 0, 0));

    let ticks = list(&client, "NIFTY50", TickRange::times(from..=tick.time)).await;
    assert!(!ticks.is_empty() && ticks.iter().all(|tick| tick.quantity == 0));
    let candle = client.candles("NIFTY50", Duration::from_secs(5), from..).next().await.unwrap().unwrap();
    assert!(candle.tick_count > 0 && candle.volume == 0, "{candle:?}");
}

#[tokio::test]
async fn last_prices_come_in_the_order_of_the_request_and_unknown_symbols_are_refused() {
    let server = Server::start();
    let client = connect(&server).await;
    let prices = client.last_prices(["TCS", "NOPE", "SLOW"]).await.unwrap();
    let symbols: Vec<_> = prices.ticks.iter().map(|(symbol, _)| symbol.as_str()).collect();
    assert_eq!(symbols, ["TCS", "SLOW"]);
    let newest = TickRange::sequences(..).newest_first().with_page_size(1);
    assert_eq!(list_one(&client, "SLOW", newest).await, prices.ticks[1].1);
    assert_eq!(prices.refused.len(), 1);
    assert_eq!(prices.refused[0].symbol, "NOPE");

    let many = (0..2_500).map(|number| format!("X{number}"));
    let refused = client.last_prices(many).await.unwrap().refused;
    assert_eq!(refused.len(), 2_500, "more than a request may name");
    let nothing = client.last_prices([""; 0]).await;
    assert!(matches!(nothing, Err(ClientError::NoSymbol)), "{nothing:?}");

    let all: Vec<(Symbol, Tick)> = client.all_last_prices().collect::<Result<_, _>>().await.unwrap();
    let instruments: Vec<InstrumentInfo> = client.instruments().collect::<Result<_, _>>().await.unwrap();
    let symbols = |all: &[(Symbol, Tick)]| all.iter().map(|(symbol, _)| *symbol).collect::<Vec<_>>();
    let expected = instruments.iter().filter(|one| !one.is_for_tests());
    assert_eq!(symbols(&all), expected.map(|one| one.symbol).collect::<Vec<_>>());
}

async fn list_one(client: &Client, symbol: &str, range: TickRange) -> Tick {
    client.ticks(symbol, range).next().await.unwrap().unwrap()
}

#[tokio::test]
async fn instruments_have_their_reference_data() {
    let server = Server::start();
    let instruments: Vec<InstrumentInfo> =
        connect(&server).await.instruments().collect::<Result<_, _>>().await.unwrap();
    let infy = instruments.iter().find(|instrument| instrument.symbol.as_str() == "INFY").unwrap();
    assert_eq!(
        (infy.reference_price.to_string(), infy.price_increment.to_string()),
        ("1500".into(), "0.05".into())
    );
    assert_eq!(infy.quantity_increment_nanos.get(), 1_000_000_000);
    assert_eq!((infy.tick_interval, infy.day_start), (Some(Duration::from_millis(50)), Duration::ZERO));
}

#[tokio::test]
async fn ticks_go_on_across_pages_in_both_directions() {
    let server = Server::start();
    let client = connect(&server).await;
    let to = now(&client).await;
    let from = to.before(Duration::from_secs(20)).unwrap();
    let count = due("FAST", from, to);
    let oldest_first = TickRange::times(from..to).with_page_size(count as u32 / 5);
    let ticks = list(&client, "FAST", oldest_first).await;
    assert_eq!(ticks.len() as u64, count);
    assert!(ticks.windows(2).all(|pair| pair[1].sequence == pair[0].sequence.next()));
    let mut newest_first = list(&client, "FAST", oldest_first.newest_first()).await;
    newest_first.reverse();
    assert_eq!(newest_first, ticks);
    let (first, last) = (ticks[0].sequence, ticks[ticks.len() - 1].sequence);
    assert_eq!(list(&client, "FAST", TickRange::sequences(first..=last)).await, ticks);
}

#[tokio::test]
async fn pages_end_with_the_error_of_the_server() {
    let server = Server::start();
    let client = connect(&server).await;
    let mut ticks = client.ticks("NOPE", TickRange::sequences(..));
    let error = ticks.next().await.unwrap().unwrap_err();
    assert_eq!(error.status().map(|status| status.code), Some(RpcCode::NotFound), "{error}");
    assert!(ticks.next().await.is_none());
}

#[tokio::test]
async fn a_candle_is_the_fold_of_its_ticks_and_the_last_one_is_not_complete() {
    let server = Server::start();
    let client = connect(&server).await;
    let from = now(&client).await.before(Duration::from_secs(20)).unwrap();
    let candles: Vec<_> =
        client.candles("TCS", Duration::from_secs(5), from..).collect::<Result<Vec<_>, _>>().await.unwrap();
    let seconds = from.parts().0 / 5 * 5..from.parts().0 + 20;
    assert!(candles.len() >= intervals_in("TCS", 5, seconds), "{candles:?}");
    // A slow machine may be in a later interval by now.
    let complete = candles.iter().filter(|candle| candle.complete).count();
    assert!(candles[..complete].iter().all(|candle| candle.complete) && candles.len() - complete <= 1);
    let candle = candles[1];
    let times = candle.open_time..candle.open_time + Duration::from_secs(5);
    let ticks = list(&client, "TCS", TickRange::times(times)).await;
    let prices: Vec<Price> = ticks.iter().map(|tick| tick.price).collect();
    assert_eq!((Some(&candle.open), Some(&candle.close)), (prices.first(), prices.last()));
    assert_eq!((Some(&candle.high), Some(&candle.low)), (prices.iter().max(), prices.iter().min()));
    assert_eq!(candle.volume, ticks.iter().map(|tick| tick.quantity).sum::<u64>());
    assert_eq!(candle.tick_count, ticks.len() as u64);
}

#[tokio::test]
async fn digests_of_two_replicas_are_equal_and_say_what_they_are_of() {
    let (one, other) = (Server::start(), Server::start());
    let (one, other) = (connect(&one).await, connect(&other).await);
    let last = list_one(&one, "FAST", TickRange::sequences(..).newest_first()).await.sequence;
    let range = Sequence(last.0 - 100)..last;
    let digest = one.digest("FAST", range.clone()).await.unwrap();
    assert_eq!(digest.sequences, range);
    assert_eq!(digest, other.digest("FAST", range).await.unwrap());
    assert_ne!(digest.sha256, one.digest("FAST", Sequence(last.0 - 99)..last).await.unwrap().sha256);
}

#[tokio::test]
async fn the_tape_and_the_health_of_a_server_are_domain_types() {
    let server = Server::start();
    let client = connect(&server).await;
    let tape = client.tape().await.unwrap();
    assert_eq!((tape.kind, tape.speed), (TapeKind::Simulated { seed: 7 }, 1.0));
    assert!(tape.now() >= tape.time && !tape.engine_version.is_empty());
    let health = async |service| client.health(service).await.unwrap();
    assert_eq!(health("").await, Health::Serving);
    assert_eq!(health("ticker.v1.TickerStreamService").await, Health::Serving);
    assert_eq!(health("no.such.Service").await, Health::ServiceUnknown);
}
