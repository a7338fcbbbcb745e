//! What a client may get wrong in `ticker.v1`: each is answered, and the stream lives.

use ticker::{
    contract::{
        gogen::TickerRequest,
        v1::{
            GetLastPricesRequest, ListTicksRequest, Ping, Subscription, SubscriptionResult,
            SymbolStatusCode as Code, TickerStreamRequest, Unsubscribe, ticker_stream_request::Verb,
            ticker_stream_response::Event,
        },
    },
    tape::{Simulated, Universe},
};

use crate::support::server::{Server, symbols};

/// Says a request, and returns its result once a ping has shown that the stream lives.
async fn answer(request: TickerStreamRequest) -> SubscriptionResult {
    let server = Server::start();
    let mut stream = server.stream().await;
    let id = request.request_id;
    stream.say(request);
    stream.ask(id + 1, Verb::Ping(Ping {}));
    let mut result = None;
    loop {
        match stream.event().await {
            Event::SubscriptionResult(answered) => result = Some(answered),
            Event::Pong(pong) => {
                assert_eq!(pong.request_id, id + 1);
                let result = result.expect("no result came");
                assert_eq!(result.request_id, id);
                return result;
            }
            _ => {}
        }
    }
}

async fn subscribe(subscription: Subscription) -> SubscriptionResult {
    answer(TickerStreamRequest { request_id: 1, verb: Some(Verb::Subscribe(subscription)) }).await
}

fn span(seconds: i64, nanos: i32) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos })
}

#[tokio::test]
async fn a_min_interval_that_is_none_refuses_each_symbol() {
    for min_interval in
        [span(-1, 0), span(0, -1), span(86_400, 1), span(i64::MAX, i32::MAX), span(i64::MIN, 0)]
    {
        let result = subscribe(Subscription { min_interval, ..symbols(&["TCS", "INFY"]) }).await;
        assert!(
            result.statuses.iter().all(|status| status.code() == Code::InvalidArgument),
            "{min_interval:?}"
        );
        assert!(result.statuses[0].message.contains("from 0 to one day"));
    }
    for min_interval in [span(0, 0), span(86_400, 0)] {
        let result = subscribe(Subscription { min_interval, ..symbols(&["TCS"]) }).await;
        assert_eq!(result.statuses[0].code(), Code::Subscribed, "{min_interval:?}");
    }
}

#[tokio::test]
async fn an_unknown_or_contradictory_delivery_refuses_each_symbol() {
    let result = subscribe(Subscription { delivery: 99, ..symbols(&["TCS"]) }).await;
    assert_eq!(result.statuses[0].code(), Code::InvalidArgument);
    assert!(result.statuses[0].message.contains("delivery 99 is unknown"));
    let result = subscribe(Subscription { delivery: 2, min_interval: span(1, 0), ..symbols(&["TCS"]) }).await;
    assert_eq!(result.statuses[0].code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_request_without_a_verb_or_without_symbols_is_answered() {
    for verb in [None, Some(Verb::Subscribe(symbols(&[]))), Some(Verb::Unsubscribe(Unsubscribe::default()))] {
        let result = answer(TickerStreamRequest { request_id: 1, verb }).await;
        assert_eq!(result.statuses.len(), 1);
        assert_eq!(result.statuses[0].code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn the_symbols_past_the_first_thousand_of_a_message_are_refused() {
    let many: Vec<&str> = ["TCS"; 1_005].to_vec();
    let result = subscribe(symbols(&many)).await;
    let limited = result.statuses.iter().filter(|status| status.code() == Code::LimitExceeded).count();
    assert_eq!((result.statuses.len(), limited), (1_005, 5));
    assert_eq!(result.statuses[999].code(), Code::Subscribed);
}

/// A server that invents at most so many instruments at a time.
fn any_symbol(most: usize) -> Server {
    Server::start_with(|config| {
        let universe = Universe::builtin().unwrap().with_any_symbol(most);
        config.tape = std::sync::Arc::new(Simulated::new(7, universe));
    })
}

#[tokio::test]
async fn symbols_past_the_most_that_are_invented_are_refused_until_others_have_left() {
    let server = any_symbol(2);
    let mut client = server.client().await;
    let mut last_price = async |symbol: &str| {
        let request = GetLastPricesRequest { symbols: vec![symbol.into()], ..Default::default() };
        let response = client.get_last_prices(request).await.unwrap().into_inner();
        response.statuses.first().map_or(Code::Subscribed, |status| status.code())
    };
    // A call that looks a price up holds nothing afterwards.
    for at in 0..10 {
        assert_eq!(last_price(&format!("X{at}")).await, Code::Subscribed);
    }

    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(symbols(&["A", "B", "C", "AAPL", "B"])));
    let statuses = stream.result().await.statuses;
    let codes: Vec<_> = statuses.iter().map(|status| status.code()).collect();
    let expected =
        [Code::Subscribed, Code::Subscribed, Code::LimitExceeded, Code::Subscribed, Code::Subscribed];
    assert_eq!(codes, expected);
    assert!(statuses[2].message.contains("2 instruments are invented"), "{}", statuses[2].message);
    assert_eq!(last_price("C").await, Code::LimitExceeded);
    assert_eq!(last_price("A").await, Code::Subscribed);
    let mut other = server.client().await;
    let request = ListTicksRequest { symbol: "C".into(), ..ListTicksRequest::default() };
    let refused = other.list_ticks(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    let mut gogen = server.gogen().await;
    gogen.say(TickerRequest { symbol: "C".into() });
    assert_eq!(gogen.failure().await.code(), tonic::Code::ResourceExhausted);

    stream.ask(2, Verb::Unsubscribe(Unsubscribe { symbols: vec!["A".into()] }));
    stream.result().await;
    stream.ask(3, Verb::Subscribe(symbols(&["C"])));
    assert_eq!(stream.result().await.statuses[0].code(), Code::Subscribed);
}

#[tokio::test]
async fn a_stream_holds_ten_thousand_symbols_and_refuses_the_next_one() {
    let server = any_symbol(Universe::MAX_INVENTED);
    let mut stream = server.stream().await;
    let mut subscribed = 0;
    for message in 0..11 {
        let names: Vec<String> = (0..1_000).map(|at| format!("X{}", message * 1_000 + at)).collect();
        let symbols = if message < 10 { names } else { vec!["X10000".into(), "X3".into()] };
        stream.ask(message, Verb::Subscribe(Subscription { symbols, ..Subscription::default() }));
        let statuses = loop {
            if let Event::SubscriptionResult(result) = stream.event().await {
                break result.statuses;
            }
        };
        if message < 10 {
            subscribed += statuses.iter().filter(|status| status.code() == Code::Subscribed).count();
        } else {
            assert_eq!(statuses[0].code(), Code::LimitExceeded);
            assert_eq!(statuses[1].code(), Code::Subscribed, "what is subscribed may change its options");
        }
    }
    assert_eq!(subscribed, 10_000);
}

#[tokio::test]
async fn a_message_of_tens_of_thousands_of_symbols_has_an_answer_that_a_client_can_read() {
    let server = Server::start();
    let mut stream = server.stream().await;
    let many = Subscription { symbols: vec![String::new(); 60_000], ..Subscription::default() };
    stream.ask(1, Verb::Subscribe(many.clone()));
    let statuses = stream.result().await.statuses;
    assert_eq!(statuses.len(), 1_000 + 10_000 + 1);
    let last = statuses.last().unwrap();
    assert_eq!(last.code(), Code::LimitExceeded);
    assert!(last.message.contains("49000 more symbols"), "{}", last.message);
    stream.ask(2, Verb::Subscribe(Subscription { detail: 9, ..many }));
    assert!(stream.result().await.statuses.last().unwrap().message.contains("50000 more symbols"));
    stream.ask(3, Verb::Subscribe(symbols(&["TCS"])));
    assert_eq!(stream.tick().await.symbol, "TCS");
}
