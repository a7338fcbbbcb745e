//! Every tick of some symbols, from one replica after the other: none is lost, and none comes twice.

use std::{convert::Infallible, io, time::Duration};

use tokio::time::{sleep, timeout};
use tonic::{Code, Status};

use crate::{
    replicas::Client,
    v1::{Delivery, Detail, SymbolStatusCode, WatchRequest, watch_response::Event},
};

/// Three heartbeats of the server.
const SILENCE: Duration = Duration::from_secs(15);

/// What happens at an endpoint: an event of its stream, or the end of the stream.
pub type Received<'a> = Result<Event, &'a Status>;

struct Watch<R> {
    received: R,
    /// Continues after the last tick of each symbol, at any replica.
    request: WatchRequest,
    /// Streams that have ended since the last tick.
    failures: usize,
}

/// Hands over what happens at each endpoint. Returns when an error is not retryable.
pub async fn run(
    replicas: &[(String, Client)],
    symbols: Vec<String>,
    received: impl FnMut(&str, Received<'_>) -> io::Result<()>,
) -> Result<(), Status> {
    let (delivery, detail) = (Delivery::EveryTick.into(), Detail::Quote.into());
    let request = WatchRequest { symbols, delivery, detail, ..Default::default() };
    let mut watch = Watch { received, request, failures: 0 };
    let mut foreign = 0;
    for (endpoint, client) in replicas.iter().cycle() {
        let Err(status) = watch.follow(endpoint, client.clone()).await;
        foreign = if status.code() == Code::FailedPrecondition { foreign + 1 } else { 0 };
        let retryable = match status.code() {
            Code::Unavailable | Code::Cancelled | Code::Unknown | Code::DeadlineExceeded => true,
            Code::Aborted | Code::Internal | Code::ResourceExhausted => true,
            // Another replica may still play our tape.
            Code::FailedPrecondition => foreign < replicas.len(),
            // The token has expired, and by now its file may have a fresh one.
            Code::Unauthenticated => watch.failures == 0,
            _ => false,
        };
        if !retryable {
            return Err(status);
        }
        (watch.received)(endpoint, Err(&status))?;
        watch.failures += 1;
        sleep(backoff(watch.failures, replicas.len())).await;
    }
    Ok(())
}

impl<R: FnMut(&str, Received<'_>) -> io::Result<()>> Watch<R> {
    async fn follow(&mut self, endpoint: &str, mut client: Client) -> Result<Infallible, Status> {
        // A connection may break without a sign.
        let silent = |_| Status::unavailable("no message for 15 s");
        let stream = timeout(SILENCE, client.watch(self.request.clone())).await;
        let mut stream = stream.map_err(silent)??.into_inner();
        while let Some(response) = timeout(SILENCE, stream.message()).await.map_err(silent)?? {
            // `None` is an event of a later version of the contract.
            if let Some(event) = response.event {
                self.note(&event)?;
                (self.received)(endpoint, Ok(event))?;
            }
        }
        Err(Status::unavailable("the stream ended"))
    }

    /// Keeps what a resume needs. An error says why the stream is of no more use.
    fn note(&mut self, event: &Event) -> Result<(), Status> {
        let request = &mut self.request;
        match event {
            Event::SubscriptionResult(result) => {
                let mut codes = result.statuses.iter().map(|status| status.code());
                if codes.any(|code| code == SymbolStatusCode::ForeignTape) {
                    let message = format!("the replica does not play the tape {}", request.tape_id);
                    return Err(Status::failed_precondition(message));
                }
                request.tape_id.clone_from(&result.tape_id);
            }
            Event::Tick(tick) => {
                let last = request.after_sequence.get(&tick.symbol);
                if last.is_some_and(|last| tick.sequence != last + 1) {
                    let message = format!("{} jumped to {} without a gap", tick.symbol, tick.sequence);
                    return Err(Status::unavailable(message));
                }
                request.after_sequence.insert(tick.symbol.clone(), tick.sequence);
                self.failures = 0;
            }
            Event::Gap(gap) => _ = request.after_sequence.insert(gap.symbol.clone(), gap.last_sequence),
            Event::Draining(_) => return Err(Status::unavailable("the replica is draining")),
            Event::CaughtUp(_) | Event::Heartbeat(_) | Event::TokenExpiring(_) => {}
        }
        Ok(())
    }
}

/// The wait after a number of failures in a row: none until each replica has failed, then up to 50 ms,
/// then longer with each round, up to a second. It is random, so that clients do not come back together.
pub fn backoff(failures: usize, replicas: usize) -> Duration {
    let longest = Duration::from_millis(50) * (2_u32.saturating_pow((failures / replicas) as u32) - 1);
    longest.min(Duration::from_secs(1)).mul_f64(fastrand::f64())
}
