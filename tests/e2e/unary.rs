//! The RPCs that answer once, health and reflection.

use ticker::{
    contract::v1::{GetLastPricesRequest, GetTapeRequest, ListInstrumentsRequest},
    grpc::SERVICES,
};
use tokio_stream::StreamExt;
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::{v1, v1alpha};

use crate::support::server::Server;

#[tokio::test]
async fn instruments_are_listed_in_pages_ordered_by_symbol() {
    let server = Server::start();
    let mut client = server.client().await;
    let mut symbols = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListInstrumentsRequest { page_size: 3, page_token, ..Default::default() };
        let page = client.list_instruments(request).await.unwrap().into_inner();
        symbols.extend(page.instruments.into_iter().map(|instrument| instrument.symbol));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    symbols.retain(|symbol| !symbol.starts_with("TEST."));
    assert_eq!(symbols, ["FAST", "INFY", "SLOW", "TCS"]);
    let foreign = ListInstrumentsRequest { page_token: "no token".to_owned(), ..Default::default() };
    assert_eq!(client.list_instruments(foreign).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn instruments_are_found_by_a_part_of_their_symbol_or_name_in_pages() {
    let server = Server::start();
    let mut client = server.client().await;
    let mut found = async |search: &str, page_size: u32, page_token: &str| {
        let request = ListInstrumentsRequest {
            search: search.to_owned(),
            page_size,
            page_token: page_token.to_owned(),
        };
        let page = client.list_instruments(request).await?.into_inner();
        let symbols: Vec<_> = page.instruments.into_iter().map(|instrument| instrument.symbol).collect();
        Ok::<_, tonic::Status>((symbols.join(" "), page.next_page_token))
    };
    assert_eq!(found("f", 0, "").await.unwrap(), ("FAST INFY TEST.SQUARE".to_owned(), String::new()));
    assert_eq!(found("F", 2, "").await.unwrap(), ("FAST INFY".to_owned(), "INFY".to_owned()));
    assert_eq!(found("F", 2, "INFY").await.unwrap(), ("TEST.SQUARE".to_owned(), String::new()));
    assert_eq!(found("nothing", 0, "").await.unwrap(), (String::new(), String::new()));
    assert_eq!(found("S", 0, "no token").await.unwrap_err().code(), Code::InvalidArgument);
    let status = found(&"S".repeat(101), 0, "").await.unwrap_err();
    assert!(status.code() == Code::InvalidArgument && status.message().contains("shorten it"), "{status}");
}

#[tokio::test]
async fn last_prices_are_those_asked_for_or_all() {
    let server = Server::start();
    let mut client = server.client().await;
    let all = client.get_last_prices(GetLastPricesRequest::default()).await.unwrap().into_inner();
    let symbols: Vec<_> = all.ticks.iter().map(|tick| tick.symbol.as_str()).collect();
    assert_eq!(symbols, ["FAST", "INFY", "SLOW", "TCS"]);
    let request = GetLastPricesRequest {
        symbols: vec!["TCS".into(), "NOPE".into(), String::new()],
        ..Default::default()
    };
    let some = client.get_last_prices(request).await.unwrap().into_inner();
    assert_eq!((some.ticks.len(), some.statuses.len()), (1, 2));
    assert!(some.ticks[0].sequence >= all.ticks[3].sequence);
    let request = GetLastPricesRequest { symbols: vec!["TCS".into(); 1_001], ..Default::default() };
    assert_eq!(client.get_last_prices(request).await.unwrap_err().code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn the_tape_has_an_identity() {
    let server = Server::start();
    let mut client = server.client().await;
    let tape = client.get_tape(GetTapeRequest {}).await.unwrap().into_inner();
    assert_eq!((tape.seed, tape.tape_id.len()), (7, 32));
    assert!(!tape.engine_version.is_empty());
}

#[tokio::test]
async fn health_is_reported_for_the_server_and_for_each_service() {
    let server = Server::start();
    let mut health = HealthClient::new(server.channel().await);
    for service in SERVICES.into_iter().chain([""]) {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
    let request = HealthCheckRequest { service: "nobody".to_owned() };
    assert_eq!(health.check(request).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn reflection_lists_and_describes_every_service_in_both_versions() {
    let server = Server::start();
    let expected = [
        "gogen.TickerStreamService",
        "grpc.health.v1.Health",
        "ticker.v1.TickerStreamService",
        "google.rpc.RetryInfo",
    ];
    for symbol in expected {
        use v1::{server_reflection_request::MessageRequest, server_reflection_response::MessageResponse};
        let mut client = v1::server_reflection_client::ServerReflectionClient::new(server.channel().await);
        let message_request = Some(MessageRequest::FileContainingSymbol(symbol.to_owned()));
        let request = v1::ServerReflectionRequest { host: String::new(), message_request };
        let mut answers =
            client.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
        let answer = answers.next().await.unwrap().unwrap().message_response;
        assert!(matches!(answer, Some(MessageResponse::FileDescriptorResponse(_))), "{symbol}: {answer:?}");
    }
    for symbol in expected {
        use v1alpha::{
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let mut client =
            v1alpha::server_reflection_client::ServerReflectionClient::new(server.channel().await);
        let message_request = Some(MessageRequest::FileContainingSymbol(symbol.to_owned()));
        let request = v1alpha::ServerReflectionRequest { host: String::new(), message_request };
        let mut answers =
            client.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
        let answer = answers.next().await.unwrap().unwrap().message_response;
        assert!(matches!(answer, Some(MessageResponse::FileDescriptorResponse(_))), "{symbol}: {answer:?}");
    }
}
