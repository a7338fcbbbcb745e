//! Reads one stream and counts what arrives.

use std::{
    cell::RefCell,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::time::{sleep, timeout};
use tonic::{Code, Status, Streaming};

use super::counts::Measured;
use crate::{
    client::{Client, ClientError},
    contract::{
        EventOutline, ResponseOutline, TickOutline,
        v1::{SubscriptionResult, SymbolStatusCode, WatchRequest},
    },
};

/// A stream that the server has accepted.
pub(super) struct Reader<'a> {
    client: &'a Client,
    responses: Streaming<ResponseOutline>,
    measured: &'a RefCell<Measured>,
    is_slow: bool,
    asked: Instant,
    has_tick: bool,
}

/// Flow control window of a slow stream, in bytes: about 60 ticks.
pub(super) const SLOW_WINDOW: u32 = 4 * 1024;

/// How long a slow stream does not read, after it has read all that was there.
const SLOW_PAUSE: Duration = Duration::from_secs(2);

/// How long the server may take to send the first message of a stream.
const PATIENCE: Duration = Duration::from_secs(10);

impl<'a> Reader<'a> {
    /// Opens a stream, and waits for the answer of the server.
    ///
    /// # Errors
    /// The server refuses, or does not answer in time.
    pub(super) async fn open(
        client: &'a Client,
        request: WatchRequest,
        is_slow: bool,
        measured: &'a RefCell<Measured>,
    ) -> Result<Self, ClientError> {
        let asked = Instant::now();
        let mut responses = client.watch_once(request).await?;
        let answer = timeout(PATIENCE, responses.message())
            .await
            .map_err(|_| ClientError::TimedOut { endpoint: client.endpoint().clone(), waited: PATIENCE })?;
        let answer = received(client, answer)?;
        {
            let mut measured = measured.borrow_mut();
            measured.open += 1;
            measured.of(is_slow).opened += 1;
        }
        let mut reader = Self { client, responses, measured, is_slow, asked, has_tick: false };
        reader.take(answer);
        Ok(reader)
    }

    /// Reads until the stream ends, and returns why.
    pub(super) async fn read(&mut self) -> ClientError {
        loop {
            let message = if self.is_slow && self.has_tick {
                // What is not there at once is left to the server for a while.
                match timeout(Duration::ZERO, self.responses.message()).await {
                    Ok(message) => message,
                    Err(_) => {
                        sleep(SLOW_PAUSE).await;
                        continue;
                    }
                }
            } else {
                self.responses.message().await
            };
            match received(self.client, message) {
                Ok(response) => self.take(response),
                Err(error) => return error,
            }
        }
    }

    /// Whether a tick has arrived.
    pub(super) fn has_tick(&self) -> bool {
        self.has_tick
    }

    fn take(&mut self, response: ResponseOutline) {
        match response.event {
            Some(EventOutline::Tick(tick)) => self.take_tick(&tick),
            Some(EventOutline::SubscriptionResult(result)) => self.take_result(&result),
            Some(EventOutline::Gap(gap)) => {
                let mut measured = self.measured.borrow_mut();
                if measured.is_measuring {
                    let counts = measured.of(self.is_slow);
                    counts.gaps += 1;
                    // The numbers are the server's: they must not overflow.
                    let skipped = gap.last_sequence.saturating_sub(gap.first_sequence).saturating_add(1);
                    counts.gap_ticks = counts.gap_ticks.saturating_add(skipped);
                }
            }
            None => {}
        }
    }

    fn take_tick(&mut self, tick: &TickOutline) {
        let mut measured = self.measured.borrow_mut();
        let is_measuring = measured.is_measuring;
        let counts = measured.of(self.is_slow);
        if !self.has_tick {
            self.has_tick = true;
            counts.first_tick(self.asked.elapsed());
        }
        // A snapshot may be of any age.
        if !is_measuring || tick.snapshot {
            return;
        }
        counts.ticks += 1;
        counts.conflated = counts.conflated.saturating_add(tick.conflated);
        if let Some(time) = tick.time {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let time = time.seconds.saturating_mul(1_000_000_000).saturating_add(time.nanos.into());
            counts.delay((now.as_nanos() as i64).saturating_sub(time));
        }
    }

    /// Counts the symbols that were refused.
    fn take_result(&self, result: &SubscriptionResult) {
        for status in &result.statuses {
            if status.code() != SymbolStatusCode::Subscribed {
                self.measured.borrow_mut().failed(status.code().as_str_name(), &status.message);
            }
        }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.measured.borrow_mut().open -= 1;
    }
}

/// The next response; the end of the stream is an error.
fn received(
    client: &Client,
    message: Result<Option<ResponseOutline>, Status>,
) -> Result<ResponseOutline, ClientError> {
    message
        .transpose()
        .unwrap_or_else(|| Err(Status::new(Code::Ok, "")))
        .map_err(|status| client.ended(status))
}
