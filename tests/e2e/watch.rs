//! `ticker.v1.TickerStreamService/Watch`.

use std::time::Duration;

use ticker::contract::v1::{Delivery, SymbolStatusCode, WatchRequest, watch_response::Event};
use tokio_stream::StreamExt;
use tonic::{Code, Request};

use crate::support::server::Server;

fn watch(symbols: &[&str]) -> WatchRequest {
    let symbols = symbols.iter().map(ToString::to_string).collect();
    WatchRequest { symbols, delivery: Delivery::EveryTick.into(), ..WatchRequest::default() }
}

#[tokio::test]
async fn a_watch_is_a_result_a_snapshot_and_live_ticks() {
    let server = Server::start();
    let mut events = server.client().await.watch(watch(&["TCS", "NOPE"])).await.unwrap().into_inner();
    let Some(Event::SubscriptionResult(result)) = events.next().await.unwrap().unwrap().event else {
        panic!("not the result")
    };
    assert_eq!(result.statuses[1].code(), SymbolStatusCode::UnknownSymbol);
    let Some(Event::Tick(mut last)) = events.next().await.unwrap().unwrap().event else {
        panic!("not a tick")
    };
    assert!(last.snapshot);
    let mut live = 0;
    while live < 5 {
        match events.next().await.unwrap().unwrap().event {
            Some(Event::Tick(tick)) => {
                assert_eq!(tick.sequence, last.sequence + 1);
                last = tick;
                live += 1;
            }
            Some(Event::Heartbeat(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_watch_of_nothing_that_exists_says_why_and_ends() {
    let server = Server::start();
    for symbols in [&["NOPE", ""][..], &[]] {
        let mut events = server.client().await.watch(watch(symbols)).await.unwrap().into_inner();
        assert!(matches!(events.next().await.unwrap().unwrap().event, Some(Event::SubscriptionResult(_))));
        let status = events.next().await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn the_clients_deadline_ends_a_live_stream() {
    let server = Server::start();
    let mut request = Request::new(watch(&["TCS"]));
    // Only the header: tonic's own client would end the call without the server's help.
    request.metadata_mut().insert("grpc-timeout", "300m".parse().unwrap());
    let mut events = server.client().await.watch(request).await.unwrap().into_inner();
    let ended = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            match events.next().await {
                Some(Ok(_)) => {}
                Some(Err(status)) => return status,
                None => panic!("the stream ended with OK"),
            }
        }
    });
    assert_eq!(ended.await.unwrap().code(), Code::DeadlineExceeded);
}
