//! The pods of a service over time, and what a name server says about them.

use std::{cmp::Reverse, collections::BinaryHeap, net::SocketAddr, time::Duration};

use rand::{RngExt, rngs::ChaCha8Rng};
use ticker::tick::Time;

/// What happens to the pods, at [`Fleet::BEGIN`].
#[derive(Clone, Copy)]
pub(crate) enum Change {
    /// A Deployment replaces every pod, at most `surge` at a time, and `maxUnavailable` is 0.
    RollingUpdate { surge: usize },
    /// This number of pods is killed in one instant. Each one is ready again after [`Fleet::STARTUP`].
    Kill { pods: usize },
}

/// One pod. A pod that starts again is another pod here.
#[derive(Clone, Copy)]
pub(crate) struct Pod {
    /// From then on it accepts connections, and its name has its address.
    pub(crate) ready: Time,
    /// From then on its name does not have its address.
    pub(crate) leaves: Time,
    /// Then it drains, or is dead: it accepts no connections.
    pub(crate) stops: Time,
    /// Whether it ends without a drain.
    pub(crate) is_killed: bool,
}

/// The pods, in the order in which they become ready.
pub(crate) struct Fleet {
    pub(crate) pods: Vec<Pod>,
    /// What the name server knows from each time on.
    answers: Vec<(Time, Vec<Address>)>,
}

/// The address of a pod: its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address(pub(crate) u16);

impl Fleet {
    /// When the change begins.
    pub(crate) const BEGIN: Time = Time::from_nanos(60_000_000_000);
    /// From the creation of a pod until it is ready, as measured on a cluster (docs/OPERATIONS.md), and up to
    /// [`Self::STARTUP_VARIES`] more.
    const STARTUP: Duration = Duration::from_millis(2_800);
    const STARTUP_VARIES: Duration = Duration::from_secs(2);
    /// `minReadySeconds` of the manifests.
    const MIN_READY: Duration = Duration::from_secs(5);
    /// The `preStop` sleep of the manifests.
    const PRE_STOP: Duration = Duration::from_secs(5);
    /// Until the name server knows of a change of the pods.
    const NAMES_LATE: Duration = Duration::from_millis(500);
    /// TTL of the name: an answer may be this old.
    const NAMES_TTL: Duration = Duration::from_secs(5);

    pub(crate) fn new(replicas: usize, change: Change, rng: &mut ChaCha8Rng) -> Self {
        let pods = match change {
            Change::RollingUpdate { surge } => rolling_update(replicas, surge, rng),
            Change::Kill { pods } => kill(replicas, pods, rng),
        };
        let mut changes: Vec<Time> = pods.iter().flat_map(|pod| [pod.ready, pod.leaves]).collect();
        changes.sort_unstable();
        changes.dedup();
        let known = |at: Time| {
            let listed = pods.iter().zip(0..).filter(|(pod, _)| pod.is_listed(at));
            (at + Self::NAMES_LATE, listed.map(|(_, number)| Address(number)).collect())
        };
        let answers = changes.into_iter().filter(|at| *at < Time::MAX).map(known).collect();
        Self { pods, answers }
    }

    /// When the last pod has stopped.
    pub(crate) fn end(&self) -> Time {
        let stops = self.pods.iter().map(|pod| pod.stops).filter(|stops| *stops < Time::MAX);
        stops.max().unwrap_or(Self::BEGIN)
    }

    /// The addresses that a client gets which resolves the name: those of a moment of the last TTL.
    pub(crate) fn resolve(&self, now: Time, rng: &mut ChaCha8Rng) -> &[Address] {
        let age = Self::NAMES_TTL.mul_f64(rng.random_range(0.0..=1.0));
        let asked = now.before(age).unwrap_or(Time::from_nanos(0));
        let at = self.answers.partition_point(|(from, _)| *from <= asked).max(1) - 1;
        &self.answers[at].1
    }
}

impl Pod {
    fn ready_at(ready: Time) -> Self {
        Self { ready, leaves: Time::MAX, stops: Time::MAX, is_killed: false }
    }

    /// Whether its name has its address.
    pub(crate) fn is_listed(&self, at: Time) -> bool {
        self.ready <= at && at < self.leaves
    }

    /// Whether it accepts connections.
    pub(crate) fn accepts(&self, at: Time) -> bool {
        self.ready <= at && at < self.stops
    }
}

impl Address {
    /// The pod of a socket address.
    pub(crate) fn of(address: SocketAddr) -> Self {
        Self(address.port() - 1)
    }

    pub(crate) fn socket(self) -> SocketAddr {
        ([127, 0, 0, 1], self.0 + 1).into()
    }
}

fn old_pods(replicas: usize) -> Vec<Pod> {
    vec![Pod::ready_at(Time::from_nanos(0)); replicas]
}

fn startup(rng: &mut ChaCha8Rng) -> Duration {
    Fleet::STARTUP + Fleet::STARTUP_VARIES.mul_f64(rng.random_range(0.0..=1.0))
}

/// As the Deployment controller does it: whenever a new pod has been ready for `minReadySeconds`, an old one is deleted, and
/// the next new one is created, because a pod that terminates is not counted.
fn rolling_update(replicas: usize, surge: usize, rng: &mut ChaCha8Rng) -> Vec<Pod> {
    let mut pods = old_pods(replicas);
    let mut created: BinaryHeap<_> =
        (0..surge.min(replicas)).map(|_| Reverse(Fleet::BEGIN + startup(rng))).collect();
    for old in 0..replicas {
        let Some(Reverse(ready)) = created.pop() else { break };
        pods.push(Pod::ready_at(ready));
        let available = ready + Fleet::MIN_READY;
        (pods[old].leaves, pods[old].stops) = (available, available + Fleet::PRE_STOP);
        if pods.len() + created.len() < 2 * replicas {
            created.push(Reverse(available + startup(rng)));
        }
    }
    pods
}

fn kill(replicas: usize, killed: usize, rng: &mut ChaCha8Rng) -> Vec<Pod> {
    let mut pods = old_pods(replicas);
    let mut started = Vec::new();
    for pod in &mut pods[..killed] {
        (pod.leaves, pod.stops, pod.is_killed) = (Fleet::BEGIN, Fleet::BEGIN, true);
        started.push(Pod::ready_at(Fleet::BEGIN + startup(rng)));
    }
    pods.append(&mut started);
    pods
}
