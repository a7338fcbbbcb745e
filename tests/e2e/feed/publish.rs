//! The RPCs that take ticks.

use std::time::Duration;

use ticker::{
    contract::v1::{
        Delivery, Detail, GetLastPricesRequest, GetTapeRequest, Instrument, ListInstrumentsRequest,
        PublishRequest, PublishStreamRequest, PublishedTick, RejectedTick, RejectionCode as Code,
        Subscription, TapeKind, ticker_stream_request::Verb, ticker_stream_response::Event,
    },
    pacer::Clock,
    tape::WindowLimits,
    tick::Time,
};
use tonic::{Request, Status};

use super::{
    in_memory, publish, publish_all, publish_stream, sequences_and_prices, serve, stored, tick, ticks,
    with_instruments,
};
use crate::support::{
    issuer::Issuer,
    server::{Server, symbols},
};

fn timestamp(time: Time) -> prost_types::Timestamp {
    let (seconds, nanos) = time.parts();
    prost_types::Timestamp { seconds, nanos }
}

fn ago(duration: Duration) -> Option<prost_types::Timestamp> {
    Clock::Wall.now().before(duration).map(timestamp)
}

#[tokio::test]
async fn a_published_tick_is_sent_to_subscribers_with_its_quote() {
    let server = serve(in_memory());
    let mut client = server.client().await;
    publish_all(&mut client, vec![tick("A", 100)]).await;
    let mut stream = server.stream().await;
    let detail = Detail::Quote.into();
    stream.ask(1, Verb::Subscribe(Subscription { detail, ..symbols(&["A"]) }));
    let snapshot = stream.tick().await;
    assert_eq!((snapshot.sequence, snapshot.ltp, snapshot.snapshot), (1, 1.0, true));
    for price in 2..20 {
        let pushed = PublishedTick {
            bid_nanos: 900_000_000,
            bid_quantity: 7,
            ask_nanos: 1_100_000_000,
            ask_quantity: 8,
            ..tick("A", price * 100)
        };
        publish_all(&mut client, vec![pushed]).await;
        let tick = stream.tick().await;
        assert_eq!(
            (tick.sequence, tick.ltp_nanos, tick.last_quantity),
            (price as u64, price * 1_000_000_000, 5)
        );
        let quote = tick.quote.unwrap();
        assert_eq!((quote.bid_nanos, quote.bid_quantity), (900_000_000, 7));
        assert_eq!((quote.ask_nanos, quote.ask_quantity), (1_100_000_000, 8));
        assert_eq!((quote.low_nanos, quote.high_nanos), (1_000_000_000, price * 1_000_000_000));
        assert_eq!(quote.volume, 5 * price as u64);
    }
}

#[tokio::test]
async fn a_symbol_is_listed_from_its_first_tick_on_and_the_tape_is_a_feed() {
    let server = serve(in_memory());
    let mut client = server.client().await;
    let listed = client.list_instruments(ListInstrumentsRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.instruments, []);
    publish_all(&mut client, vec![tick("B", 1), tick("A", 1)]).await;
    let listed = client.list_instruments(ListInstrumentsRequest::default()).await.unwrap().into_inner();
    let names: Vec<_> = listed.instruments.iter().map(|instrument| instrument.symbol.as_str()).collect();
    assert_eq!(names, ["A", "B"]);
    assert_eq!(listed.instruments[0].price_increment_nanos, 1);
    assert_eq!(listed.instruments[0].quantity_increment_nanos, 1_000_000_000);
    let tape = client.get_tape(GetTapeRequest {}).await.unwrap().into_inner();
    assert_eq!(
        (tape.kind(), tape.engine_version.as_str(), tape.tape_id.len()),
        (TapeKind::Feed, "feed/1", 32)
    );
}

#[tokio::test]
async fn instruments_of_a_file_are_listed_before_their_first_tick_and_have_no_price_yet() {
    let server = serve(with_instruments());
    let mut client = server.client().await;
    let listed = async |client: &mut super::Client, search: &str| {
        let request = ListInstrumentsRequest { search: search.to_owned(), ..Default::default() };
        let listed = client.list_instruments(request).await.unwrap().into_inner().instruments;
        let increment =
            |instrument: &Instrument| (instrument.symbol.clone(), instrument.quantity_increment_nanos);
        listed.iter().map(increment).collect::<Vec<_>>()
    };
    let both = [("BTC".to_owned(), 1_000_000), ("TCS".to_owned(), 1_000_000_000)];
    for ticks in [0, 1] {
        assert_eq!(listed(&mut client, "").await, both);
        assert_eq!(listed(&mut client, "tcs").await, both[1..]);
        let prices = client.get_last_prices(GetLastPricesRequest::default()).await.unwrap().into_inner();
        assert_eq!(prices.ticks.len(), ticks);
        publish_all(&mut client, vec![tick("TCS", 300_000)]).await;
    }
    let request = GetLastPricesRequest { symbols: vec!["BTC".to_owned()], ..Default::default() };
    let prices = client.get_last_prices(request).await.unwrap().into_inner();
    assert_eq!((prices.ticks.len(), prices.statuses.len()), (0, 1));
}

#[tokio::test]
async fn a_single_tick_may_be_written_by_hand_and_comes_before_the_others() {
    let server = serve(in_memory());
    let mut client = server.client().await;
    let request = PublishRequest {
        symbol: "A".to_owned(),
        price_nanos: 1_000_000_000,
        quantity: 1,
        ticks: vec![tick("A", 200)],
        ..PublishRequest::default()
    };
    assert_eq!(publish(&mut client, vec![request]).await.unwrap().accepted, 2);
    assert_eq!(sequences_and_prices(&stored(&mut client, "A").await), [(1, 100), (2, 200)]);
}

fn rejections(ticks: &[RejectedTick]) -> Vec<(u64, Code)> {
    ticks.iter().map(|tick| (tick.index, tick.code())).collect()
}

#[tokio::test]
async fn bad_ticks_are_rejected_one_by_one_and_the_others_stand() {
    let server = serve(with_instruments());
    let mut client = server.client().await;
    let good = || tick("TCS", 300_005);
    let quoted = |bid_nanos, ask_nanos| PublishedTick { bid_nanos, ask_nanos, ..good() };
    let at = |time| PublishedTick { time, ..good() };
    let bad = [
        (tick("", 100), Code::InvalidSymbol, "the symbol is malformed: a symbol must not be empty"),
        (tick("T C S", 100), Code::InvalidSymbol, "the symbol is malformed"),
        (tick("INFY", 100), Code::UnknownSymbol, "INFY is none of them"),
        (tick("TCS", 0), Code::InvalidPrice, "price_nanos is 0, and must be positive"),
        (tick("TCS", -5), Code::InvalidPrice, "price_nanos is -50000000, and must be positive"),
        (
            tick("TCS", 300_001),
            Code::InvalidPrice,
            "the price 3000.01 is no multiple of the instrument's price increment 0.05",
        ),
        (
            PublishedTick { quantity: u64::MAX, ..good() },
            Code::InvalidQuantity,
            "the quantity is 18446744073709551615, and must be at most 9223372036",
        ),
        (quoted(3_000_000_000_000, 0), Code::InvalidQuote, "set both to positive prices, or none"),
        (quoted(-1, -1), Code::InvalidQuote, "set both to positive prices, or none"),
        (
            quoted(3_000_000_000_000, 3_000_000_000_000),
            Code::InvalidQuote,
            "the bid 3000 is not below the ask 3000",
        ),
        (
            quoted(1, 3_000_000_000_000),
            Code::InvalidQuote,
            "must be multiples of the instrument's price increment 0.05",
        ),
        (at(ago(Duration::from_secs(90))), Code::InvalidTime, "at most 60s are allowed: leave it out"),
        (
            at(Some(timestamp(Clock::Wall.now() + Duration::from_secs(30)))),
            Code::InvalidTime,
            "after that of the server, and at most 1s are allowed: correct the clock",
        ),
        (
            at(Some(prost_types::Timestamp { seconds: -1, nanos: 0 })),
            Code::InvalidTime,
            "the time 1970-01-01T00:00:00Z is",
        ),
        (
            at(Some(prost_types::Timestamp { seconds: 1, nanos: -1 })),
            Code::InvalidTime,
            "the time is no timestamp",
        ),
    ];
    // Between two bad ticks there is a good one.
    let pushed = bad.iter().flat_map(|(tick, ..)| [tick.clone(), good()]).collect();
    let request = PublishRequest { ticks: pushed, ..PublishRequest::default() };
    // The second request shows that indices count on.
    let last = PublishRequest { ticks: vec![tick("X", 1)], ..PublishRequest::default() };
    let response = publish(&mut client, vec![request, last]).await.unwrap();
    assert_eq!((response.accepted, response.rejected), (bad.len() as u64, bad.len() as u64 + 1));
    for ((rejected, (tick, code, message)), index) in response.rejected_ticks.iter().zip(&bad).zip(0..) {
        assert_eq!((rejected.index, rejected.code(), &rejected.symbol), (index * 2, *code, &tick.symbol));
        assert!(rejected.message.contains(message), "{}", rejected.message);
    }
    assert_eq!(rejections(&response.rejected_ticks[bad.len()..]), [(30, Code::UnknownSymbol)]);
    let stored = stored(&mut client, "TCS").await;
    assert!(stored.iter().map(|tick| tick.sequence).eq(1..=bad.len() as u64));
}

#[tokio::test]
async fn a_time_that_goes_back_a_little_becomes_that_of_the_tick_before_and_one_that_goes_back_far_is_rejected()
 {
    let server = serve(in_memory());
    let mut client = server.client().await;
    let now = Clock::Wall.now();
    let at = |back: Duration| PublishedTick { time: now.before(back).map(timestamp), ..tick("A", 100) };
    let millis = Duration::from_millis;
    let pushed = [3_000, 2_000, 2_900, 2_999, 3_001, 1_000].map(|back| at(millis(back)));
    let request = PublishRequest { ticks: pushed.to_vec(), ..PublishRequest::default() };
    let response = publish(&mut client, vec![request]).await.unwrap();
    assert_eq!(rejections(&response.rejected_ticks), [(4, Code::InvalidTime)]);
    assert!(response.rejected_ticks[0].message.contains("is 1.001s before that of the last tick"));
    let times: Vec<_> = stored(&mut client, "A").await.into_iter().map(|tick| tick.time.unwrap()).collect();
    let expected =
        [3_000, 2_000, 2_000, 2_000, 1_000].map(|back| timestamp(now.before(millis(back)).unwrap()));
    assert_eq!(times, expected);
}

#[tokio::test]
async fn a_tick_that_is_sent_again_with_its_number_is_stored_once() {
    let server = serve(in_memory());
    let mut client = server.client().await;
    let request = |publisher_id: &str, first_number, ticks| PublishRequest {
        publisher_id: publisher_id.to_owned(),
        first_number,
        ticks,
        ..PublishRequest::default()
    };
    let counts = async |client: &mut _, request| {
        let response = publish(client, vec![request]).await.unwrap();
        (response.accepted, response.duplicates, response.rejected)
    };
    assert_eq!(counts(&mut client, request("one", 1, ticks(10))).await, (10, 0, 0));
    assert_eq!(counts(&mut client, request("one", 1, ticks(10))).await, (0, 10, 0));
    assert_eq!(counts(&mut client, request("one", 6, ticks(10))).await, (5, 5, 0));
    assert_eq!(counts(&mut client, request("two", 1, ticks(3))).await, (3, 0, 0));
    // Numbers are of a publisher and a symbol: what is stored of A says nothing of B.
    assert_eq!(counts(&mut client, request("one", 1, vec![tick("B", 1), tick("A", 1)])).await, (1, 1, 0));
    // A tick that was rejected may be sent again under its number.
    assert_eq!(counts(&mut client, request("one", 16, vec![tick("A", 0)])).await, (0, 0, 1));
    assert_eq!(counts(&mut client, request("one", 16, vec![tick("A", 1)])).await, (1, 0, 0));
    // Without numbers every tick is a new one.
    assert_eq!(counts(&mut client, request("", 0, ticks(2))).await, (2, 0, 0));
    assert_eq!(counts(&mut client, request("", 0, ticks(2))).await, (2, 0, 0));
    assert!(stored(&mut client, "A").await.iter().map(|tick| tick.sequence).eq(1..=23));
}

#[tokio::test]
async fn each_request_of_a_stream_gets_its_answer_in_order_and_the_stream_ends_with_ok() {
    let server = serve(in_memory());
    let mut client = server.client().await;
    let mut talk = publish_stream(&mut client).await;
    for request_id in 1..=300 {
        let count = request_id as i64 % 3;
        let mut ticks = ticks(count);
        ticks.extend((request_id == 200).then(|| tick("A", 0)));
        talk.say(PublishStreamRequest { request_id, ticks, ..PublishStreamRequest::default() });
    }
    talk.half_close();
    for request_id in 1..=300 {
        let answer = talk.next().await;
        assert_eq!((answer.request_id, answer.accepted), (request_id, request_id % 3));
        let rejected: &[_] = if request_id == 200 { &[(2, Code::InvalidPrice)] } else { &[] };
        assert_eq!(rejections(&answer.rejected_ticks), rejected);
    }
    assert!(talk.hear().await.is_none());
    assert_eq!(stored(&mut client, "A").await.len(), 300);
}

#[tokio::test]
async fn a_request_that_cannot_be_taken_ends_the_call_and_what_was_accepted_before_stays() {
    let server = serve(in_memory());
    let mut client = server.client().await;
    let good = || PublishRequest { ticks: ticks(3), ..PublishRequest::default() };
    let numbered = |publisher_id: &str, first_number| PublishRequest {
        publisher_id: publisher_id.to_owned(),
        first_number,
        ..good()
    };
    let many = PublishRequest { ticks: ticks(1_001), ..PublishRequest::default() };
    let cases = [
        (numbered("", 1), tonic::Code::InvalidArgument, "publisher_id must be set when first_number is"),
        (
            numbered("a", 0),
            tonic::Code::InvalidArgument,
            "first_number must be at least 1 when publisher_id is set",
        ),
        (numbered("a b", 1), tonic::Code::InvalidArgument, "publisher_id must be 1 to 64 letters"),
        (numbered("a,b", 1), tonic::Code::InvalidArgument, "publisher_id must be 1 to 64 letters"),
        (numbered(&"a".repeat(65), 1), tonic::Code::InvalidArgument, "publisher_id must be 1 to 64 letters"),
        (many, tonic::Code::ResourceExhausted, "at most 1000 ticks and this one has 1001"),
    ];
    for (stored_before, (bad, code, message)) in cases.into_iter().enumerate() {
        let status: Status = publish(&mut client, vec![good(), bad, good()]).await.unwrap_err();
        assert_eq!(status.code(), code);
        assert!(status.message().contains(message), "{status:?}");
        assert_eq!(stored(&mut client, "A").await.len(), (stored_before + 1) * 3);
    }
}

#[tokio::test]
async fn a_tape_that_is_no_feed_takes_no_ticks() {
    let server = Server::start();
    let mut client = server.client().await;
    let status = publish(&mut client, vec![PublishRequest::default()]).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::FailedPrecondition);
    assert!(status.message().contains("start it with --feed"), "{status:?}");
    let status = client.publish_stream(tokio_stream::empty()).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::FailedPrecondition);
}

#[tokio::test]
async fn a_server_that_stops_answers_what_it_has_read_and_then_ends_the_stream() {
    let server = serve(in_memory());
    let mut client = server.client().await;
    let mut talk = publish_stream(&mut client).await;
    talk.say(PublishStreamRequest { request_id: 1, ticks: ticks(5), ..PublishStreamRequest::default() });
    assert_eq!(talk.next().await.accepted, 5);
    server.begin_to_stop();
    let status = talk.failure().await;
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert!(status.message().contains("the server is stopping"), "{status:?}");
    server.stop().unwrap();
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_although_the_publisher_goes_on() {
    let server = serve(in_memory());
    let mut client = server.client().await;
    let mut request = Request::new(tokio_stream::pending());
    request.set_timeout(Duration::from_millis(50));
    // The client of tonic has a deadline of its own, so both codes are right.
    let ended = client.publish_stream(request).await;
    let status = match ended {
        Ok(answers) => answers.into_inner().message().await.unwrap_err(),
        Err(status) => status,
    };
    assert!(matches!(status.code(), tonic::Code::DeadlineExceeded | tonic::Code::Cancelled), "{status:?}");
}

#[tokio::test]
async fn callers_publish_what_their_scopes_name_and_never_share_a_publisher_id() {
    let issuer = Issuer::new();
    let intake = ticker::feed::Intake::start(in_memory(), &mut |_| {}).unwrap();
    let server = Server::start_with(|config| {
        config.auth = Some(issuer.files());
        config.tape = intake.tape();
        config.intake = Some(intake);
    });
    let mut client = server.client().await;
    let mut publish = async |subject: &str, scope: &str, symbols: &[&str]| {
        let ticks = symbols.iter().map(|symbol| tick(symbol, 100)).collect();
        let publisher_id = "feed".to_owned();
        let request = PublishRequest { ticks, publisher_id, first_number: 1, ..PublishRequest::default() };
        let mut request = Request::new(tokio_stream::iter([request]));
        let token = issuer.token(subject, scope, Duration::from_secs(600));
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        client.publish(request).await.map(tonic::Response::into_inner)
    };
    let status = publish("a", "ticker:read ticker:admin", &["X"]).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::PermissionDenied);
    assert!(status.message().contains("it needs the scope ticker:publish"));
    let response =
        publish("a", "ticker:publish:NSE:* ticker:publish:X", &["NSE:TCS", "X", "BSE:TCS"]).await.unwrap();
    assert_eq!(response.accepted, 2);
    assert_eq!(rejections(&response.rejected_ticks), [(2, Code::PermissionDenied)]);
    assert!(response.rejected_ticks[0].message.contains("does not allow to publish BSE:TCS"));
    let response = publish("b", "ticker:publish", &["NSE:TCS", "X", "BSE:TCS"]).await.unwrap();
    assert_eq!((response.accepted, response.duplicates), (3, 0));
    let response = publish("a", "ticker:publish", &["NSE:TCS", "X", "BSE:TCS"]).await.unwrap();
    assert_eq!((response.accepted, response.duplicates), (1, 2));
}

#[tokio::test]
async fn a_subscriber_of_every_tick_gets_each_one_or_a_gap_while_several_publish() {
    const EACH: u64 = 20_000;
    let window = WindowLimits { time: Duration::from_secs(3600), bytes: 60_000 };
    let server = serve(ticker::feed::FeedSettings { window, ..in_memory() });
    publish_all(&mut server.client().await, ticks(1)).await;
    let mut stream = server.stream().await;
    let delivery = Delivery::EveryTick.into();
    stream.ask(1, Verb::Subscribe(Subscription { delivery, ..symbols(&["A"]) }));
    assert_eq!(stream.tick().await.sequence, 1);
    let publishers: Vec<_> = (0..3)
        .map(|_| {
            let address = server.address;
            tokio::spawn(async move {
                let channel = tonic::transport::Channel::from_shared(format!("http://{address}")).unwrap();
                let mut client = super::Client::new(channel.connect().await.unwrap());
                for _ in 0..EACH / 500 {
                    publish_all(&mut client, ticks(500)).await;
                }
            })
        })
        .collect();
    let mut last = 1;
    while last < 3 * EACH + 1 {
        match stream.news().await {
            Event::Tick(tick) => {
                assert_eq!((tick.sequence, tick.conflated), (last + 1, 0));
                last = tick.sequence;
            }
            Event::Gap(gap) => {
                assert_eq!(gap.first_sequence, last + 1);
                last = gap.last_sequence;
            }
            Event::SubscriptionResult(_) => {}
            other => panic!("{other:?}"),
        }
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
}

#[tokio::test]
async fn ticks_that_took_place_seconds_ago_are_sent_one_by_one() {
    let server = serve(in_memory());
    let mut client = server.client().await;
    let at = |price| PublishedTick { time: ago(Duration::from_secs(20)), ..tick("A", price) };
    publish_all(&mut client, vec![at(1)]).await;
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(symbols(&["A"])));
    assert_eq!(stream.tick().await.sequence, 1);
    for sequence in 2..20 {
        publish_all(&mut client, vec![at(2), at(3)]).await;
        for sequence in [2 * sequence - 2, 2 * sequence - 1] {
            let tick = stream.tick().await;
            assert_eq!((tick.sequence, tick.conflated), (sequence, 0));
        }
    }
}
