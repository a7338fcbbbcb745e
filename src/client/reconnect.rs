//! Which replica is tried next, and when.

use std::{future, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{sync::Notify, time::timeout};

use super::{
    ClientError, Endpoints, Settings,
    endpoints::Candidate,
    network::Task,
    replica::Replica,
    retry_schedule::{RetrySchedule, Trial},
};

/// Tries the replicas of a service, one after the other, until one answers. [`RetrySchedule`] says in which order and after
/// which waits.
#[derive(Debug)]
pub(super) struct Reconnector {
    endpoints: Endpoints,
    /// The addresses that each endpoint had when it was last resolved.
    known: Vec<Vec<SocketAddr>>,
    settings: Settings,
    schedule: RetrySchedule<Resolved>,
    /// Number of replicas of this round.
    size: usize,
    /// A replica of this round has failed with an error that another round may not have.
    retryable: bool,
    /// Ends the wait of the attempt that is being made.
    retry_now: Arc<Notify>,
}

/// An attempt to open a stream at the next replica. It has the reconnector until it ends.
pub(super) type Attempt<T> = Task<(Reconnector, Result<T, ClientError>)>;

/// A replica, or why an endpoint has none.
type Resolved = Result<Candidate, ClientError>;

impl Trial for Resolved {
    fn address(&self) -> Option<SocketAddr> {
        self.as_ref().ok().map(|candidate| candidate.address)
    }
}

impl Reconnector {
    pub(super) fn new(endpoints: Endpoints, settings: Settings) -> Self {
        Self {
            endpoints,
            known: Vec::new(),
            schedule: RetrySchedule::new(&settings),
            settings,
            size: 0,
            retryable: false,
            retry_now: Arc::default(),
        }
    }

    /// Wakes an attempt that waits, so that it is made now.
    pub(super) fn retry_now(&self) -> Arc<Notify> {
        self.retry_now.clone()
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The number of the next attempt, from 1 on.
    pub(super) fn next_attempt(&self) -> u32 {
        self.schedule.attempts().saturating_add(1)
    }

    /// A replica has answered.
    pub(super) fn found(&mut self) {
        self.schedule.found();
    }

    /// Begins an outage: see [`RetrySchedule::leave`].
    pub(super) fn leave(&mut self, address: SocketAddr, retry_after: Option<Duration>, lasted: Duration) {
        self.schedule.leave(address, retry_after, lasted);
    }

    /// Opens the first stream: at the replica that the client is connected to, or else at another one.
    ///
    /// # Errors
    /// The error is not retryable; or every replica was tried once.
    pub(super) async fn open_first<T, F>(
        &mut self,
        connected: Replica,
        open: impl Fn(Replica) -> F,
    ) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let mut opened = open(connected).await;
        while let Err(error) = opened {
            if !error.is_retryable() {
                return Err(error);
            }
            opened = match self.connect().await {
                Ok(replica) => open(replica).await,
                Err(error) => Err(error),
            };
            opened = match opened {
                Err(error) => Err(self.failed(error)?),
                opened => opened,
            };
        }
        self.found();
        opened
    }

    /// Waits for the backoff, then connects to the next replica.
    pub(super) async fn connect(&mut self) -> Result<Replica, ClientError> {
        let notify = self.retry_now();
        // From here on, not only during the wait: the names are resolved before it.
        let retry_now = notify.notified();
        if self.schedule.is_round_over() {
            let resolved = self.endpoints.resolve(&self.settings, &mut self.known).await;
            self.begin_round(resolved);
        }
        let (next, pause) = self.schedule.next_trial();
        if !pause.is_zero() {
            // It ends when the time is over, or when `retry_now` cuts it short: the attempt is made either way.
            let _ = timeout(pause, retry_now).await;
        }
        Replica::connect(&next.unwrap_or(Err(ClientError::NoEndpoint))?, &self.settings).await
    }

    /// Takes note of an attempt that failed, and returns its error when another attempt may succeed.
    ///
    /// # Errors
    /// Another attempt cannot succeed, or there may be no more. Before a replica has answered, one failed round is enough to
    /// give up.
    pub(super) fn failed(&mut self, error: ClientError) -> Result<ClientError, ClientError> {
        if !error.is_retryable() {
            return Err(error);
        }
        if error.is_refused_connection() {
            self.schedule.refused();
        }
        let established = self.schedule.is_established();
        self.retryable |= established && !matches!(error, ClientError::Unsuitable { .. });
        let over = self.schedule.is_round_over();
        let enough = self.settings.max_attempts.is_some_and(|most| self.schedule.attempts() >= most.get());
        if over && !self.retryable || enough && established {
            return Err(match self.size {
                0 | 1 => error,
                tried => ClientError::NoReplica { tried, source: Box::new(error) },
            });
        }
        Ok(error)
    }

    fn begin_round(&mut self, resolved: Vec<Result<Vec<Candidate>, ClientError>>) {
        let trials = |endpoint: Result<Vec<Candidate>, _>| match endpoint {
            Ok(candidates) => candidates.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        let endpoints: Vec<Vec<Resolved>> = resolved.into_iter().map(trials).collect();
        self.retryable = false;
        self.size = endpoints.iter().map(Vec::len).sum();
        self.schedule.begin_round(endpoints);
    }
}

/// Waits for the end of an attempt; without one for ever. Cancel safe.
pub(super) async fn attempted<T>(attempt: &mut Option<Attempt<T>>) -> (Reconnector, Result<T, ClientError>) {
    match attempt {
        Some(attempt) => attempt.await,
        None => future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, ErrorKind},
        sync::atomic::{AtomicBool, Ordering},
    };

    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::client::{Connection, Endpoint, Network, Task};

    /// A network in which every attempt to connect fails at once.
    #[derive(Debug)]
    struct Failing(ErrorKind);

    impl Network for Failing {
        fn resolve(&self, _: &str, _: u16) -> Task<io::Result<Vec<SocketAddr>>> {
            Box::pin(async { Ok(vec![address(1)]) })
        }

        fn connect(&self, _: SocketAddr) -> Task<io::Result<Box<dyn Connection>>> {
            let kind = self.0;
            Box::pin(async move { Err(kind.into()) })
        }
    }

    /// One replica, whose stream was lost.
    fn lost_in(network: Failing, seed: u64) -> Reconnector {
        let settings = Settings { seed, network: Arc::new(network), ..Settings::default() };
        let mut reconnector = Reconnector::new(Endpoint::from(address(1)).into(), settings);
        reconnector.found();
        reconnector.leave(address(1), None, Duration::MAX);
        reconnector
    }

    /// Makes an attempt, and returns how long it waited.
    async fn attempt(reconnector: &mut Reconnector) -> Duration {
        let begun = Instant::now();
        let error = reconnector.connect().await.unwrap_err();
        reconnector.failed(error).expect("it never gives up");
        begun.elapsed()
    }

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn resolved(ports: &[u16]) -> Vec<Result<Vec<Candidate>, ClientError>> {
        let candidate = |port: &u16| Candidate { endpoint: address(*port).into(), address: address(*port) };
        ports.iter().map(|port| Ok(vec![candidate(port)])).collect()
    }

    fn reconnector(seed: u64) -> Reconnector {
        Reconnector::new(std::iter::empty::<Endpoint>().collect(), Settings { seed, ..Settings::default() })
    }

    /// A network whose name server answers once and is then silent.
    #[derive(Debug, Default)]
    struct LosesItsNameServer(AtomicBool);

    impl Network for LosesItsNameServer {
        fn resolve(&self, _: &str, _: u16) -> Task<io::Result<Vec<SocketAddr>>> {
            let is_lost = self.0.swap(true, Ordering::Relaxed);
            Box::pin(async move {
                if is_lost {
                    std::future::pending::<()>().await;
                }
                Ok(vec![address(1), address(2)])
            })
        }

        fn connect(&self, _: SocketAddr) -> Task<io::Result<Box<dyn Connection>>> {
            Box::pin(async { Err(ErrorKind::ConnectionRefused.into()) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_name_server_the_addresses_of_the_last_time_are_tried_soon() {
        let network = Arc::new(LosesItsNameServer::default());
        let settings = Settings { seed: 1, network, first_backoff: Duration::ZERO, ..Settings::default() };
        let mut reconnector = Reconnector::new("name:1".parse().unwrap(), settings);
        reconnector.found();
        let begun = Instant::now();
        // Two rounds of two.
        for _ in 0..4 {
            let error = reconnector.connect().await.unwrap_err();
            assert!(error.is_refused_connection(), "{error}");
            reconnector.failed(error).unwrap();
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }

    fn silent() -> ClientError {
        ClientError::TimedOut { endpoint: address(1).into(), waited: Duration::ZERO }
    }

    fn unsuitable() -> ClientError {
        ClientError::Unsuitable { endpoint: address(1).into(), reason: "plays another tape".to_owned() }
    }

    #[test]
    fn before_a_replica_has_answered_it_gives_up_after_one_round() {
        let mut reconnector = reconnector(1);
        reconnector.begin_round(resolved(&[3, 1, 2]));
        for _ in 0..2 {
            reconnector.schedule.next_trial();
            assert!(reconnector.failed(silent()).is_ok());
        }
        reconnector.schedule.next_trial();
        let given_up = reconnector.failed(silent()).unwrap_err();
        assert!(matches!(given_up, ClientError::NoReplica { tried: 3, .. }), "{given_up}");
    }

    #[tokio::test(start_paused = true)]
    async fn while_connections_are_refused_an_attempt_waits_a_second_at_most() {
        let mut waits = std::collections::BTreeSet::new();
        for seed in 0..10 {
            let mut reconnector = lost_in(Failing(ErrorKind::ConnectionRefused), seed);
            for _ in 0..60 {
                waits.insert(attempt(&mut reconnector).await);
            }
        }
        // The timer of tokio has a resolution of one millisecond.
        assert!(waits.last() <= Some(&Duration::from_millis(1001)), "{waits:?}");
        assert!(waits.last() > Some(&Duration::from_millis(900)), "{waits:?}");
        assert!(waits.len() > 200, "the waits are random: {waits:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_backoff_shrinks_as_soon_as_a_machine_that_was_silent_refuses() {
        let mut reconnector = lost_in(Failing(ErrorKind::TimedOut), 3);
        for _ in 0..20 {
            attempt(&mut reconnector).await;
        }
        assert_eq!(reconnector.schedule.backoff(), Settings::default().longest_backoff);
        reconnector.settings.network = Arc::new(Failing(ErrorKind::ConnectionRefused));
        attempt(&mut reconnector).await;
        for _ in 0..20 {
            let wait = attempt(&mut reconnector).await;
            assert!(wait <= Duration::from_millis(1001), "{wait:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_now_ends_the_wait_and_without_a_wait_does_nothing() {
        let mut reconnector = lost_in(Failing(ErrorKind::TimedOut), 3);
        let retry_now = reconnector.retry_now();
        for _ in 0..20 {
            attempt(&mut reconnector).await;
        }
        // The backoff is five seconds now; a wait below two milliseconds is all but impossible.
        retry_now.notify_waiters();
        let waited = attempt(&mut reconnector).await;
        assert!(waited > Duration::from_millis(2), "{waited:?}");
        let (waited, ()) = tokio::join!(attempt(&mut reconnector), async {
            sleep(Duration::from_millis(1)).await;
            retry_now.notify_waiters();
        });
        assert!(waited <= Duration::from_millis(2), "{waited:?}");
    }

    #[test]
    fn it_gives_up_when_not_one_replica_of_a_round_is_fit_and_not_before() {
        let mut reconnector = reconnector(1);
        reconnector.found();
        reconnector.leave(address(9), None, Duration::MAX);
        for (errors, gives_up) in [
            ([unsuitable(), silent()], false),
            ([silent(), unsuitable()], false),
            ([unsuitable(), unsuitable()], true),
        ] {
            reconnector.begin_round(resolved(&[1, 2]));
            for (at, error) in errors.into_iter().enumerate() {
                reconnector.schedule.next_trial();
                assert_eq!(reconnector.failed(error).is_err(), gives_up && at == 1);
            }
        }
    }

    #[test]
    fn an_error_that_is_not_retryable_ends_it_at_once() {
        let mut reconnector = reconnector(1);
        reconnector.found();
        reconnector.begin_round(resolved(&[1, 2]));
        let malformed = ClientError::Malformed { endpoint: address(1).into(), what: "nonsense" };
        assert!(matches!(reconnector.failed(malformed), Err(ClientError::Malformed { .. })));
    }
}
