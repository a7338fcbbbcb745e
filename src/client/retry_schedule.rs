//! Which replica is tried next, and after which wait: without a clock and without a network.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};

use super::Settings;

/// What a round tries: a replica, or an endpoint that has none.
pub trait Trial {
    /// The address of the replica; `None` if there is none to connect to.
    fn address(&self) -> Option<SocketAddr>;
}

/// The order and the waits in which a [`Subscription`](super::Subscription) tries the replicas of its service. A simulation
/// of many clients can use it alone.
///
/// An outage begins when a stream is lost and ends when a replica has answered. It consists of rounds: each round
/// resolves the names again and tries every replica once.
///
/// The wait before an attempt is random, from zero up to the backoff. The backoff doubles with each attempt up to
/// [`Settings::longest_backoff`], but an attempt whose connection is refused at once sets it back to at most
/// [`Self::REFUSED_BACKOFF`]: the machine answers, the attempt costs it next to nothing, and the server may listen
/// again at any moment.
#[derive(Debug)]
pub struct RetrySchedule<T> {
    first_backoff: Duration,
    longest_backoff: Duration,
    rng: ChaCha8Rng,
    /// A replica has answered once. Before that, attempts do not wait.
    established: bool,
    /// The replica whose stream was lost, or that is about to stop, and the least wait that it asked for.
    left: Option<(SocketAddr, Duration)>,
    /// Attempts of this outage.
    attempts: u32,
    /// The longest wait before the next attempt.
    backoff: Duration,
    /// What this round has not tried yet.
    round: VecDeque<T>,
}

impl<T: Trial> RetrySchedule<T> {
    /// Longest backoff after a connection that was refused at once.
    pub const REFUSED_BACKOFF: Duration = Duration::from_secs(1);
    /// A stream that lasted this long begins a new outage when it ends.
    pub const STABLE_AFTER: Duration = Duration::from_secs(1);

    /// The schedule of a client with these settings, which no replica has answered yet.
    pub fn new(settings: &Settings) -> Self {
        Self {
            first_backoff: settings.first_backoff,
            longest_backoff: settings.longest_backoff,
            rng: ChaCha8Rng::seed_from_u64(settings.seed),
            established: false,
            left: None,
            attempts: 0,
            backoff: settings.first_backoff,
            round: VecDeque::new(),
        }
    }

    /// Whether a replica has answered once.
    pub fn is_established(&self) -> bool {
        self.established
    }

    /// Number of attempts of this outage.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The longest wait before the next attempt.
    #[cfg(test)]
    pub(super) fn backoff(&self) -> Duration {
        self.backoff
    }

    /// Whether everything of this round was tried, so that the names have to be resolved again.
    pub fn is_round_over(&self) -> bool {
        self.round.is_empty()
    }

    /// A replica has answered.
    pub fn found(&mut self) {
        self.established = true;
        self.round.clear();
    }

    /// Begins an outage: the stream of this replica is lost, or about to be. A stream that `lasted` less than
    /// [`Self::STABLE_AFTER`] continues the outage before it, so that the backoff of a replica that answers and fails keeps
    /// growing.
    pub fn leave(&mut self, address: SocketAddr, retry_after: Option<Duration>, lasted: Duration) {
        self.left = Some((address, retry_after.unwrap_or_default()));
        self.round.clear();
        if lasted >= Self::STABLE_AFTER {
            self.attempts = 0;
            self.backoff = self.first_backoff;
        }
    }

    /// Begins a round with the trials of each endpoint, and orders it: as the user wrote the endpoints at first, at random
    /// later. The replica that was left comes last.
    pub fn begin_round(&mut self, endpoints: Vec<Vec<T>>) {
        let mut round = Vec::new();
        for mut trials in endpoints {
            trials.shuffle(&mut self.rng);
            round.append(&mut trials);
        }
        if self.established {
            round.shuffle(&mut self.rng);
        }
        if let Some((left, _)) = self.left {
            round.sort_by_key(|trial| trial.address() == Some(left));
        }
        self.round = round.into();
    }

    /// The next trial of this round, and how long to wait before it. `None` when the round is over. Counts as an attempt
    /// either way.
    pub fn next_trial(&mut self) -> (Option<T>, Duration) {
        let next = self.round.pop_front();
        self.attempts = self.attempts.saturating_add(1);
        let pause = self.pause(next.as_ref().and_then(Trial::address));
        (next, pause)
    }

    /// The connection of an attempt was refused at once.
    pub fn refused(&mut self) {
        self.backoff = self.backoff.min(Self::REFUSED_BACKOFF);
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
            self.backoff = backoff.saturating_mul(2).min(self.longest_backoff);
        }
        // Full jitter, so that the clients of a service do not come back all at once. (Brooker, *Exponential Backoff
        // and Jitter*, 2015.)
        let wait = backoff.mul_f64(self.rng.random_range(0.0..=1.0));
        wait.max(same.map_or(Duration::ZERO, |(_, retry_after)| retry_after.min(self.longest_backoff)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STABLE: Duration = RetrySchedule::<u16>::STABLE_AFTER;
    const BRIEF: Duration = Duration::from_millis(999);

    impl Trial for u16 {
        fn address(&self) -> Option<SocketAddr> {
            Some(address(*self))
        }
    }

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn schedule(seed: u64) -> RetrySchedule<u16> {
        RetrySchedule::new(&Settings { seed, ..Settings::default() })
    }

    /// The trials of a round, one endpoint each, with the waits before them.
    fn round(schedule: &mut RetrySchedule<u16>, ports: &[u16]) -> Vec<(u16, Duration)> {
        schedule.begin_round(ports.iter().map(|port| vec![*port]).collect());
        std::iter::from_fn(|| {
            (!schedule.is_round_over())
                .then(|| schedule.next_trial())
                .map(|(port, wait)| (port.unwrap(), wait))
        })
        .collect()
    }

    #[test]
    fn at_first_each_replica_is_tried_once_in_the_order_of_the_user_and_at_once() {
        let tried = round(&mut schedule(1), &[3, 1, 2]);
        assert_eq!(tried, [3, 1, 2].map(|port| (port, Duration::ZERO)));
    }

    #[test]
    fn after_a_loss_another_replica_is_tried_at_once_and_the_lost_one_last() {
        let mut first = std::collections::BTreeSet::new();
        for seed in 0..20 {
            let mut schedule = schedule(seed);
            schedule.found();
            schedule.leave(address(2), Some(Duration::from_millis(100)), STABLE);
            let tried = round(&mut schedule, &[1, 2, 3]);
            first.insert(tried[0].0);
            assert_eq!((tried[0].1, tried[2].0), (Duration::ZERO, 2));
            assert!(tried[2].1 >= Duration::from_millis(100), "it asked for that");
        }
        assert_eq!(first.into_iter().collect::<Vec<_>>(), [1, 3], "the others at random");
    }

    #[test]
    fn waits_grow_up_to_the_longest_and_are_random() {
        let mut schedule = schedule(5);
        schedule.found();
        schedule.leave(address(1), None, STABLE);
        let settings = Settings::default();
        let mut waits = std::collections::BTreeSet::new();
        for attempt in 1..60 {
            let (_, wait) = round(&mut schedule, &[1])[0];
            let doubled =
                settings.first_backoff.saturating_mul(1 << (attempt - 1u32).saturating_sub(1).min(20));
            assert!(wait <= doubled.min(settings.longest_backoff), "{attempt}: {wait:?}");
            waits.insert(wait);
        }
        assert!(waits.len() > 50);
        assert!(waits.last().unwrap() > &Duration::from_secs(3));
    }

    #[test]
    fn a_replica_that_answers_and_fails_at_once_is_not_asked_ever_faster() {
        let mut schedule = schedule(1);
        schedule.found();
        for (lasted, attempt) in [(STABLE, 1), (BRIEF, 2), (BRIEF, 3), (STABLE, 1)] {
            schedule.leave(address(1), None, lasted);
            round(&mut schedule, &[1]);
            assert_eq!(schedule.attempts(), attempt);
            schedule.found();
        }
    }
}
