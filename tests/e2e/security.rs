//! Who may see what, and for how long.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use ticker::{
    client::{Client, Delivery, Endpoints, Event as Heard, Settings, SubscribeOptions, Task, TokenProvider},
    contract::gogen::{TickerRequest, TickerResponse},
    contract::v1::{
        Authenticate, SymbolStatusCode as Code, TickerStreamRequest, TickerStreamResponse, WatchRequest,
        ticker_stream_request::Verb, ticker_stream_response::Event,
    },
};
use tokio::time::{Instant, timeout};
use tokio_stream::StreamExt;

use crate::support::{
    issuer::Issuer,
    raw::{Call, GOGEN, Heard as Answer, STREAM, WATCH},
    server::symbols,
    virtual_time::Server,
};

const MINUTE: Duration = Duration::from_secs(60);
const LEEWAY: Duration = Duration::from_secs(30);

fn subscribe(names: &[&str]) -> TickerStreamRequest {
    TickerStreamRequest { request_id: 1, verb: Some(Verb::Subscribe(symbols(names))) }
}

fn authenticate(token: String) -> TickerStreamRequest {
    TickerStreamRequest { request_id: 2, verb: Some(Verb::Authenticate(Authenticate { token })) }
}

/// The next event that is neither a tick nor a heartbeat, or how the stream ended.
async fn news(call: &mut Call) -> Result<Event, tonic::Status> {
    loop {
        match timeout(100 * MINUTE, call.next::<TickerStreamResponse>())
            .await
            .expect("the server says nothing")
        {
            Answer::Message(TickerStreamResponse { event: Some(Event::Tick(_) | Event::Heartbeat(_)) }) => {}
            Answer::Message(response) => return Ok(response.event.unwrap()),
            Answer::Status(status) => return Err(status),
            Answer::Broken(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_told_before_its_token_expires_and_ends_half_a_minute_after() {
    let issuer = Issuer::new();
    let server = Server::start(|config| config.auth = Some(issuer.files()));
    let mut raw = server.raw().await;
    for path in [STREAM, WATCH] {
        let opened = Instant::now();
        let mut call = raw.call_with(path, &[&issuer.token("me", "ticker:read", 10 * MINUTE)]).await;
        match path {
            WATCH => call.say(&WatchRequest { symbols: vec!["SLOW".to_owned()], ..Default::default() }),
            _ => call.say(&subscribe(&["SLOW"])),
        }
        assert!(matches!(news(&mut call).await, Ok(Event::SubscriptionResult(_))));
        assert!(matches!(news(&mut call).await, Ok(Event::TokenExpiring(_))));
        // Tokens count whole seconds.
        let told = opened.elapsed();
        assert!(told > 9 * MINUTE - Duration::from_secs(2) && told <= 9 * MINUTE, "{told:?}");
        let status = news(&mut call).await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (tonic::Code::Unauthenticated, "the token has expired: get a fresh one")
        );
        let ended = opened.elapsed();
        assert!(
            ended > 10 * MINUTE + LEEWAY - Duration::from_secs(2) && ended <= 10 * MINUTE + LEEWAY,
            "{ended:?}"
        );
    }
    let opened = Instant::now();
    let mut gogen = raw.call_with(GOGEN, &[&issuer.token("me", "ticker:read", 2 * MINUTE)]).await;
    gogen.say(&TickerRequest { symbol: "TCS".to_owned() });
    assert_eq!(gogen.status::<TickerResponse>().await.code(), tonic::Code::Unauthenticated);
    assert!(opened.elapsed() > 2 * MINUTE, "{:?}", opened.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_fresh_token_of_the_same_subject_keeps_a_stream_and_another_one_does_not_end_it() {
    let issuer = Issuer::new();
    let server = Server::start(|config| config.auth = Some(issuer.files()));
    let mut raw = server.raw().await;
    let mut call = raw.call_with(STREAM, &[&issuer.token("me", "ticker:read", 2 * MINUTE)]).await;
    call.say(&subscribe(&["INFY", "SLOW"]));
    assert!(matches!(news(&mut call).await, Ok(Event::SubscriptionResult(_))));
    call.say(&authenticate(issuer.token("you", "ticker:read", 10 * MINUTE)));
    let Ok(Event::AuthenticationResult(refused)) = news(&mut call).await else { panic!("it is answered") };
    assert!(!refused.authenticated && refused.message.starts_with("the token is invalid"), "{refused:?}");
    let opened = Instant::now();
    call.say(&authenticate(issuer.token("me", "ticker:read:INFY ticker:read:T*", 10 * MINUTE)));
    let Ok(Event::AuthenticationResult(result)) = news(&mut call).await else { panic!("it is answered") };
    assert!(result.authenticated && result.request_id == 2, "{result:?}");
    // What the fresh token does not allow is removed.
    let Ok(Event::SubscriptionResult(removed)) = news(&mut call).await else { panic!("SLOW is removed") };
    let removed: Vec<_> =
        removed.statuses.iter().map(|status| (status.symbol.as_str(), status.code())).collect();
    assert_eq!(removed, [("SLOW", Code::Unsubscribed)]);
    assert!(matches!(news(&mut call).await, Ok(Event::TokenExpiring(_))));
    assert!(opened.elapsed() > 8 * MINUTE, "{:?}", opened.elapsed());
}

/// Issues tokens of five minutes, and counts them.
#[derive(Clone)]
struct FiveMinutes(Arc<(Issuer, AtomicUsize)>);

impl std::fmt::Debug for FiveMinutes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FiveMinutes")
    }
}

impl TokenProvider for FiveMinutes {
    fn token(&self) -> Task<io::Result<String>> {
        // The time on the wall stands still in this test, so a later token has to say that it expires later.
        let number = self.0.1.fetch_add(1, Relaxed) as u64;
        let token = self.0.0.token("me", "ticker:read", 5 * MINUTE + Duration::from_secs(number));
        Box::pin(async { Ok(token) })
    }
}

#[tokio::test(start_paused = true)]
async fn the_client_renews_its_token_by_itself_and_no_tick_is_missing() {
    let tokens = FiveMinutes(Arc::new((Issuer::new(), AtomicUsize::new(0))));
    let server = Server::start(|config| config.auth = Some(tokens.0.0.files()));
    let settings = Settings::default().with_network(server.network()).with_token(tokens.clone());
    let endpoints: Endpoints = "ticker:1".parse().unwrap();
    let client = Client::connect(&endpoints, settings).await.unwrap();
    let options = SubscribeOptions::new(["TCS"]).with_delivery(Delivery::EveryTick);
    let mut subscription = client.subscribe(options).await.unwrap();
    let (began, mut last) = (Instant::now(), None);
    while began.elapsed() < 20 * MINUTE {
        match subscription.next().await.unwrap().unwrap() {
            Heard::Tick(live) => {
                let sequence = live.tick.sequence;
                assert!(
                    last.is_none_or(|last: ticker::tick::Sequence| last.next() == sequence),
                    "{last:?} {sequence:?}"
                );
                last = Some(sequence);
            }
            Heard::Answer { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    // The calls before the stream take two.
    let renewed = tokens.0.1.load(Relaxed) - 2;
    assert!((4..=6).contains(&renewed), "{renewed} times in 20 minutes");
}
