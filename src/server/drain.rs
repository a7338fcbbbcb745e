//! How a server stops: streams and connections end one after the other, so that their clients do not arrive at other replicas
//! together.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tonic_health::{ServingStatus, server::HealthReporter};

use super::admission::Admission;
use crate::grpc::{Notice, SERVICES, ServerContext};

/// The times of a drain.
#[derive(Clone, Copy, Debug)]
pub struct Drain {
    /// Streams end at random moments of this time. `None`: 5 ms for each stream, at most 5 s and half of the deadline.
    pub spread: Option<Duration>,
    /// What has not ended after this time is cut.
    pub deadline: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self { spread: None, deadline: Duration::from_secs(10) }
    }
}

/// A drain that has begun.
#[derive(Clone, Copy)]
pub(super) struct Draining {
    pub(super) spread: Duration,
    pub(super) deadline: Instant,
}

impl Drain {
    /// Spread for each stream.
    const PER_STREAM: Duration = Duration::from_millis(5);
    /// Longest spread, unless one is given.
    const LONGEST: Duration = Duration::from_secs(5);

    /// The time over which a server with this number of streams ends them.
    pub fn spread_for(self, streams: u64) -> Duration {
        let of_streams = Self::PER_STREAM.saturating_mul(streams.try_into().unwrap_or(u32::MAX));
        self.spread.unwrap_or(of_streams.min(Self::LONGEST).min(self.deadline / 2))
    }

    /// Begins to drain: load balancers and clients that watch the health learn it first.
    pub(super) async fn begin(self, health: &HealthReporter, context: &ServerContext) -> Draining {
        context.drain();
        // The server as a whole is alive until the end.
        for service in SERVICES {
            health.set_service_status(service, ServingStatus::NotServing).await;
        }
        Draining {
            spread: self.spread_for(context.rpcs().streams()),
            deadline: Instant::now() + self.deadline,
        }
    }
}

impl Draining {
    /// Closes the connections while the workers end the streams: each one at a random moment of the spread, and those that are
    /// left when no stream of ticks is open any more. Returns by the deadline.
    pub(super) async fn close_connections(
        self,
        mut health: HealthReporter,
        admission: &Admission,
        context: &ServerContext,
    ) {
        let spread = async {
            for (moment, connection) in admission.at_random_moments(self.spread) {
                sleep_until(moment).await;
                connection.notify(Notice::Drain);
            }
            context.rpcs().streams_ended().await;
        };
        tokio::select! {
            () = spread => {}
            () = context.rpcs().streams_ended() => {}
            () = sleep_until(self.deadline) => {}
        }
        admission.drain();
        // Streams that watch the health end too, or their connections would stay open.
        for service in SERVICES.into_iter().chain([""]) {
            health.clear_service_status(service).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_grows_with_the_streams_and_stays_under_five_seconds_and_half_of_the_deadline() {
        let spread = |drain: Drain, streams| drain.spread_for(streams);
        let default = Drain::default();
        assert_eq!(spread(default, 0), Duration::ZERO);
        assert_eq!(spread(default, 1), Duration::from_millis(5));
        assert_eq!(spread(default, 300), Duration::from_millis(1_500));
        assert_eq!(spread(default, 100_000), Duration::from_secs(5));
        assert_eq!(
            spread(Drain { deadline: Duration::from_secs(2), ..default }, 100_000),
            Duration::from_secs(1)
        );
        let given = Drain { spread: Some(Duration::from_secs(7)), ..default };
        assert_eq!(spread(given, 1), Duration::from_secs(7));
    }
}
