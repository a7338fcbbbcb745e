//! Every tick, from one replica after the other.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    error::Error,
    io, mem,
    time::Duration,
};

use tokio::time::{sleep, timeout};
use tonic::{Code, Status};

use crate::{
    output::{Event, Output, reason},
    replicas::{Replica, backoff},
    v1::{
        Delivery, Detail, SubscriptionResult, SymbolStatusCode, Tick, WatchRequest,
        watch_response::Event as Message,
    },
};

/// Three heartbeats of the server.
const LONGEST_SILENCE: Duration = Duration::from_secs(15);

/// What the next stream continues from, at any replica.
#[derive(Default)]
struct Watch {
    symbols: Vec<String>,
    output: Output,
    /// Empty until a replica has answered.
    tape_id: String,
    /// The last sequence of each symbol.
    last: HashMap<String, u64>,
    /// Symbols whose refusal has been printed.
    refused: HashSet<String>,
    /// Streams that have ended since the last tick.
    failures: usize,
    /// The server has warned that the token expires, and its file had no other one yet.
    token_expires: bool,
}

/// Why a stream was left.
#[derive(Debug, thiserror::Error)]
enum Left {
    #[error("the replica is draining")]
    Draining,
    #[error("the token expires soon")]
    TokenExpiring,
    #[error("the replica plays another tape")]
    ForeignTape,
    #[error("{}", reason(.0))]
    Failed(#[from] Status),
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// Prints every tick. Returns when an error is not retryable.
pub async fn run(replicas: &[Replica], symbols: Vec<String>, output: Output) -> Result<(), Box<dyn Error>> {
    let mut watch = Watch { symbols, output, ..Default::default() };
    let (mut turn, mut foreign) = (0, 0);
    loop {
        let replica = &replicas[turn % replicas.len()];
        let Err(left) = watch.follow(replica).await;
        foreign = if matches!(left, Left::ForeignTape) { foreign + 1 } else { 0 };
        match &left {
            Left::TokenExpiring => {}
            // By now the file may have a fresh token.
            Left::Failed(status)
                if status.code() == Code::Unauthenticated && mem::take(&mut watch.token_expires) => {}
            Left::Failed(status) if !is_retryable(status.code()) => return Err(left.into()),
            Left::Output(_) => return Err(left.into()),
            Left::ForeignTape if foreign == replicas.len() => {
                return Err(format!("no endpoint plays the tape {} any more", watch.tape_id).into());
            }
            _ => turn += 1,
        }
        output.print(&Event::Disconnected { endpoint: &replica.endpoint, reason: left.to_string() })?;
        watch.failures += 1;
        sleep(backoff(watch.failures, replicas.len())).await;
    }
}

impl Watch {
    /// Continues after the last tick of each symbol.
    async fn follow(&mut self, replica: &Replica) -> Result<Infallible, Left> {
        let request = WatchRequest {
            symbols: self.symbols.clone(),
            delivery: Delivery::EveryTick.into(),
            detail: Detail::Quote.into(),
            after_sequence: self.last.clone(),
            tape_id: self.tape_id.clone(),
            ..Default::default()
        };
        let token = replica.bearer.token()?;
        let mut stream = alive(replica.client.clone().watch(request)).await?.into_inner();
        loop {
            let message =
                alive(stream.message()).await?.ok_or_else(|| Status::unavailable("the stream ended"))?;
            match message.event {
                Some(Message::SubscriptionResult(result)) => self.accept(result, &replica.endpoint)?,
                Some(Message::Tick(tick)) => self.take(tick)?,
                Some(Message::Gap(gap)) => {
                    let (first_sequence, last_sequence) = (gap.first_sequence, gap.last_sequence);
                    self.output.print(&Event::Gap { symbol: &gap.symbol, first_sequence, last_sequence })?;
                    self.last.insert(gap.symbol, last_sequence);
                }
                Some(Message::CaughtUp(at)) => {
                    self.output.print(&Event::CaughtUp { symbol: &at.symbol, sequence: at.sequence })?;
                }
                Some(Message::Draining(_)) => return Err(Left::Draining),
                Some(Message::TokenExpiring(_)) if replica.bearer.token()? != token => {
                    return Err(Left::TokenExpiring);
                }
                // With the same token the next stream would be warned at once, so this one goes on to its end.
                Some(Message::TokenExpiring(_)) => self.token_expires = true,
                // `None` is an event of a later version of the contract.
                Some(Message::Heartbeat(_)) | None => {}
            }
        }
    }

    fn accept(&mut self, result: SubscriptionResult, endpoint: &str) -> Result<(), Left> {
        if result.statuses.iter().any(|status| status.code() == SymbolStatusCode::ForeignTape) {
            return Err(Left::ForeignTape);
        }
        self.tape_id = result.tape_id;
        self.output.print(&Event::Connected { endpoint, tape_id: &self.tape_id })?;
        for status in result.statuses {
            if status.code() != SymbolStatusCode::Subscribed && self.refused.insert(status.symbol.clone()) {
                self.output.print(&Event::Refused { symbol: &status.symbol, message: &status.message })?;
            }
        }
        Ok(())
    }

    fn take(&mut self, tick: Tick) -> Result<(), Left> {
        if let Some(&last) = self.last.get(&tick.symbol) {
            if tick.sequence <= last {
                return Ok(());
            }
            if tick.sequence > last + 1 {
                let message = format!("{} skipped from {last} to {}", tick.symbol, tick.sequence);
                return Err(Status::internal(message).into());
            }
        }
        self.output.print(&Event::tick(&tick))?;
        self.last.insert(tick.symbol, tick.sequence);
        self.failures = 0;
        Ok(())
    }
}

/// Limits the wait for an answer, since a connection may break without a sign.
async fn alive<T>(answer: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    timeout(LONGEST_SILENCE, answer).await.unwrap_or_else(|_| Err(Status::unavailable("no message for 15 s")))
}

fn is_retryable(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::Internal
            | Code::ResourceExhausted
    )
}
