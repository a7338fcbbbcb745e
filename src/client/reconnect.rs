//! Which replica is tried next, and when.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc, time::Duration};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};
use tokio::{sync::Notify, time::timeout};

use super::{ClientError, Endpoints, Settings, endpoints::Candidate, replica::Replica};

/// Tries the replicas of a service, one after the other, until one answers.
///
/// An outage begins when a stream is lost and ends when a replica has answered. It consists of rounds: each round
/// resolves the names again and tries every replica once.
///
/// The wait before an attempt is random, from zero up to the backoff. The backoff doubles with each attempt up to
/// [`Settings::longest_backoff`], but an attempt whose connection is refused at once sets it back to at most
/// [`Self::REFUSED_BACKOFF`]: the machine answers, the attempt costs it next to nothing, and the server may listen
/// again at any moment.
#[derive(Debug)]
pub(super) struct Reconnector {
    endpoints: Endpoints,
    /// The addresses that each endpoint had when it was last resolved.
    known: Vec<Vec<SocketAddr>>,
    settings: Settings,
    rng: ChaCha8Rng,
    /// A replica has answered once. Before that, attempts do not wait, and one failed round is enough to give up.
    established: bool,
    /// The replica whose stream was lost, or that is about to stop, and the least wait that it asked for.
    left: Option<(SocketAddr, Duration)>,
    /// Attempts of this outage.
    attempts: u32,
    /// The longest wait before the next attempt.
    backoff: Duration,
    /// Replicas that this round has not tried yet.
    round: VecDeque<Result<Candidate, ClientError>>,
    /// Number of replicas of this round.
    size: usize,
    /// A replica of this round has failed with an error that another round may not have.
    retryable: bool,
    /// Ends the wait of the attempt that is being made.
    retry_now: Arc<Notify>,
}

impl Reconnector {
    /// Longest backoff after a connection that was refused at once.
    const REFUSED_BACKOFF: Duration = Duration::from_secs(1);

    pub(super) fn new(endpoints: Endpoints, settings: Settings) -> Self {
        Self {
            endpoints,
            known: Vec::new(),
            rng: ChaCha8Rng::seed_from_u64(settings.seed),
            backoff: settings.first_backoff,
            settings,
            established: false,
            left: None,
            attempts: 0,
            round: VecDeque::new(),
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
        self.attempts.saturating_add(1)
    }

    /// A replica has answered.
    pub(super) fn found(&mut self) {
        self.established = true;
        self.round.clear();
    }

    /// Begins an outage: the stream of this replica is lost, or about to be. A stream that ended soon after it was
    /// opened continues the outage before it, so that the backoff of a replica that answers and fails keeps growing.
    pub(super) fn leave(&mut self, address: SocketAddr, retry_after: Option<Duration>, stable: bool) {
        self.left = Some((address, retry_after.unwrap_or_default()));
        self.round.clear();
        if stable {
            self.attempts = 0;
            self.backoff = self.settings.first_backoff;
        }
    }

    /// Waits for the backoff, then connects to the next replica.
    pub(super) async fn connect(&mut self) -> Result<Replica, ClientError> {
        let notify = self.retry_now();
        // From here on, not only during the wait: the names are resolved before it.
        let retry_now = notify.notified();
        if self.round.is_empty() {
            let resolved = self.endpoints.resolve(&self.settings, &mut self.known).await;
            self.begin_round(resolved);
        }
        let next = self.round.pop_front().unwrap_or(Err(ClientError::NoEndpoint));
        self.attempts = self.next_attempt();
        let pause = self.pause(next.as_ref().ok().map(|candidate| candidate.address));
        if !pause.is_zero() {
            // It ends when the time is over, or when `retry_now` cuts it short: the attempt is made either way.
            let _ = timeout(pause, retry_now).await;
        }
        Replica::connect(&next?, &self.settings).await
    }

    /// Takes note of an attempt that failed, and returns its error when another attempt may succeed.
    ///
    /// # Errors
    /// Another attempt cannot succeed, or there may be no more.
    pub(super) fn failed(&mut self, error: ClientError) -> Result<ClientError, ClientError> {
        if !error.is_retryable() {
            return Err(error);
        }
        if error.is_refused_connection() {
            self.backoff = self.backoff.min(Self::REFUSED_BACKOFF);
        }
        self.retryable |= self.established && !matches!(error, ClientError::Unsuitable { .. });
        let over = self.round.is_empty();
        let enough = self.settings.max_attempts.is_some_and(|most| self.attempts >= most.get());
        if over && !self.retryable || enough && self.established {
            return Err(match self.size {
                0 | 1 => error,
                tried => ClientError::NoReplica { tried, source: Box::new(error) },
            });
        }
        Ok(error)
    }

    /// Orders a round: as the user wrote the endpoints at first, at random later. The replica that was left comes last.
    fn begin_round(&mut self, resolved: Vec<Result<Vec<Candidate>, ClientError>>) {
        self.retryable = false;
        let mut round = Vec::new();
        for endpoint in resolved {
            match endpoint {
                Ok(mut candidates) => {
                    candidates.shuffle(&mut self.rng);
                    round.extend(candidates.into_iter().map(Ok));
                }
                Err(error) => round.push(Err(error)),
            }
        }
        if self.established {
            round.shuffle(&mut self.rng);
        }
        if let Some((left, _)) = self.left {
            round.sort_by_key(|trial| trial.as_ref().is_ok_and(|candidate| candidate.address == left));
        }
        self.size = round.len();
        self.round = round.into();
    }

    /// How long to wait before this attempt. The first attempt does not wait, if it is at another replica.
    fn pause(&mut self, address: Option<SocketAddr>) -> Duration {
        if !self.established {
            return Duration::ZERO;
        }
        let same = self.left.filter(|(left, _)| Some(*left) == address);
        if self.attempts == 1 && same.is_none() {
            return Duration::ZERO;
        }
        let backoff = self.backoff;
        if self.attempts > 1 {
            self.backoff = backoff.saturating_mul(2).min(self.settings.longest_backoff);
        }
        // Full jitter, so that the clients of a service do not come back all at once. (Brooker, *Exponential Backoff
        // and Jitter*, 2015.)
        let wait = backoff.mul_f64(self.rng.random_range(0.0..=1.0));
        wait.max(
            same.map_or(Duration::ZERO, |(_, retry_after)| retry_after.min(self.settings.longest_backoff)),
        )
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
        reconnector.leave(address(1), None, true);
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

    /// The addresses of a round with the pauses before them; every attempt fails with a retryable error.
    fn round(reconnector: &mut Reconnector, ports: &[u16]) -> Vec<(u16, Duration)> {
        reconnector.begin_round(resolved(ports));
        let mut tried = Vec::new();
        while let Some(next) = reconnector.round.pop_front() {
            let address = next.unwrap().address;
            reconnector.attempts += 1;
            let pause = reconnector.pause(Some(address));
            tried.push((address.port(), pause));
        }
        tried
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
        reconnector.established = true;
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
    fn at_first_each_replica_is_tried_once_in_the_order_of_the_user_and_at_once() {
        let mut reconnector = reconnector(1);
        let tried = round(&mut reconnector, &[3, 1, 2]);
        assert_eq!(tried, [3, 1, 2].map(|port| (port, Duration::ZERO)));
        let given_up = reconnector.failed(silent()).unwrap_err();
        assert!(matches!(given_up, ClientError::NoReplica { tried: 3, .. }), "{given_up}");
    }

    #[test]
    fn after_a_loss_another_replica_is_tried_at_once_and_the_lost_one_last() {
        let mut first = std::collections::BTreeSet::new();
        for seed in 0..20 {
            let mut reconnector = reconnector(seed);
            reconnector.found();
            reconnector.leave(address(2), Some(Duration::from_millis(100)), true);
            let tried = round(&mut reconnector, &[1, 2, 3]);
            first.insert(tried[0].0);
            assert_eq!((tried[0].1, tried[2].0), (Duration::ZERO, 2));
            assert!(tried[2].1 >= Duration::from_millis(100), "it asked for that");
        }
        assert_eq!(first.into_iter().collect::<Vec<_>>(), [1, 3], "the others at random");
    }

    #[test]
    fn waits_grow_up_to_the_longest_and_are_random() {
        let mut reconnector = reconnector(5);
        reconnector.found();
        reconnector.leave(address(1), None, true);
        let settings = Settings::default();
        let mut waits = std::collections::BTreeSet::new();
        for attempt in 1..60 {
            let (_, wait) = round(&mut reconnector, &[1])[0];
            let doubled =
                settings.first_backoff.saturating_mul(1 << (attempt - 1u32).saturating_sub(1).min(20));
            assert!(wait <= doubled.min(settings.longest_backoff), "{attempt}: {wait:?}");
            waits.insert(wait);
            assert!(reconnector.failed(silent()).is_ok(), "it never gives up");
        }
        assert!(waits.len() > 50);
        assert!(waits.last().unwrap() > &Duration::from_secs(3));
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
        assert_eq!(reconnector.backoff, Settings::default().longest_backoff);
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
    fn a_replica_that_answers_and_fails_at_once_is_not_asked_ever_faster() {
        let mut reconnector = reconnector(1);
        reconnector.found();
        for (stable, attempt) in [(true, 1), (false, 2), (false, 3), (true, 1)] {
            reconnector.leave(address(1), None, stable);
            assert_eq!(reconnector.next_attempt(), attempt);
            round(&mut reconnector, &[1]);
            reconnector.found();
        }
    }

    #[test]
    fn it_gives_up_when_not_one_replica_of_a_round_is_fit_and_not_before() {
        let mut reconnector = reconnector(1);
        reconnector.found();
        reconnector.leave(address(9), None, true);
        for (errors, gives_up) in [
            ([unsuitable(), silent()], false),
            ([silent(), unsuitable()], false),
            ([unsuitable(), unsuitable()], true),
        ] {
            reconnector.begin_round(resolved(&[1, 2]));
            for (at, error) in errors.into_iter().enumerate() {
                reconnector.round.pop_front();
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
