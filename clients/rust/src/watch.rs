//! Every tick, from one replica after the other.

use std::{convert::Infallible, time::Duration};

use serde_json::json;
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};

use crate::{
    output::{Printer, reason, time},
    replicas::{Client, Replicas},
    v1::{Delivery, Detail, SubscriptionResult, SymbolStatusCode, WatchRequest, watch_response::Event},
};

/// Three heartbeats of the server.
const SILENCE: Duration = Duration::from_secs(15);

struct Watch<'a> {
    replicas: &'a Replicas,
    out: Printer,
    /// Continues after the last tick of each symbol, at any replica.
    request: WatchRequest,
    /// Streams that have ended since the last tick.
    failures: usize,
}

/// Prints every tick. Returns when an error is not retryable.
pub async fn run(replicas: &Replicas, symbols: Vec<String>, out: Printer) -> Result<(), Status> {
    let (delivery, detail) = (Delivery::EveryTick.into(), Detail::Quote.into());
    let request = WatchRequest { symbols, delivery, detail, ..Default::default() };
    let mut watch = Watch { replicas, out, request, failures: 0 };
    let mut foreign = 0;
    for (endpoint, client) in replicas.clients.iter().cycle() {
        let Err(status) = watch.follow(endpoint, client.clone()).await;
        foreign = if status.code() == Code::FailedPrecondition { foreign + 1 } else { 0 };
        let retryable = match status.code() {
            Code::Unavailable | Code::Cancelled | Code::Unknown | Code::DeadlineExceeded => true,
            Code::Aborted | Code::Internal | Code::ResourceExhausted => true,
            // Another replica may still play our tape.
            Code::FailedPrecondition => foreign < replicas.clients.len(),
            // The token has expired, and by now its file may have a fresh one.
            Code::Unauthenticated => watch.failures == 0,
            _ => false,
        };
        if !retryable {
            return Err(status);
        }
        let reason = reason(&status);
        watch.out.print(json!({ "event": "disconnected", "endpoint": endpoint, "reason": reason }))?;
        watch.failures += 1;
        sleep(replicas.backoff(watch.failures)).await;
    }
    Ok(())
}

impl Watch<'_> {
    async fn follow(&mut self, endpoint: &str, mut client: Client) -> Result<Infallible, Status> {
        let request = self.replicas.request(self.request.clone())?;
        // A connection may break without a sign.
        let silent = |_| Status::unavailable("no message for 15 s");
        let mut stream = timeout(SILENCE, client.watch(request)).await.map_err(silent)??.into_inner();
        while let Some(response) = timeout(SILENCE, stream.message()).await.map_err(silent)?? {
            match response.event {
                Some(Event::SubscriptionResult(result)) => self.connected(endpoint, result)?,
                Some(Event::Tick(tick)) => {
                    let last = self.request.after_sequence.get(&tick.symbol);
                    if last.is_some_and(|last| tick.sequence != last + 1) {
                        let message = format!("{} jumped to {} without a gap", tick.symbol, tick.sequence);
                        return Err(Status::unavailable(message));
                    }
                    let quote = tick.quote.unwrap_or_default();
                    self.out.print(json!({
                        "event": "tick",
                        "symbol": tick.symbol,
                        "sequence": tick.sequence,
                        "ltp": tick.ltp,
                        "time": time(tick.time),
                        "bid": quote.bid_nanos as f64 / 1e9,
                        "ask": quote.ask_nanos as f64 / 1e9,
                        "snapshot": tick.snapshot,
                    }))?;
                    self.request.after_sequence.insert(tick.symbol, tick.sequence);
                    self.failures = 0;
                }
                Some(Event::Gap(gap)) => {
                    self.out.print(json!({
                        "event": "gap",
                        "symbol": gap.symbol,
                        "first_sequence": gap.first_sequence,
                        "last_sequence": gap.last_sequence,
                    }))?;
                    self.request.after_sequence.insert(gap.symbol, gap.last_sequence);
                }
                Some(Event::CaughtUp(at)) => self.out.print(json!({
                    "event": "caught_up",
                    "symbol": at.symbol,
                    "sequence": at.sequence,
                }))?,
                Some(Event::Draining(_)) => return Err(Status::unavailable("the replica is draining")),
                // `None` is an event of a later version of the contract.
                Some(Event::Heartbeat(_) | Event::TokenExpiring(_)) | None => {}
            }
        }
        Err(Status::unavailable("the stream ended"))
    }

    fn connected(&mut self, endpoint: &str, result: SubscriptionResult) -> Result<(), Status> {
        if result.statuses.iter().any(|status| status.code() == SymbolStatusCode::ForeignTape) {
            let message = format!("the replica does not play the tape {}", self.request.tape_id);
            return Err(Status::failed_precondition(message));
        }
        self.out.print(json!({ "event": "connected", "endpoint": endpoint, "tape_id": result.tape_id }))?;
        self.request.tape_id = result.tape_id;
        for status in result.statuses.iter().filter(|status| status.code() != SymbolStatusCode::Subscribed) {
            let (symbol, message) = (&status.symbol, &status.message);
            self.out.print(json!({ "event": "refused", "symbol": symbol, "message": message }))?;
        }
        Ok(())
    }
}
