//! A million streams as a simulation of discrete events. When a stream has to leave, and what its client does then, is
//! decided by the code of the server and of the client library; the network and the kernel are modelled.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    net::SocketAddr,
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use ticker::{
    client::{RetrySchedule, Settings, Trial},
    hub::{DepartureTimes, Limits},
    jitter::Jitter,
    server::Drain,
    tick::Time,
};

use crate::{
    fleet::{Address, Change, Fleet},
    measures::Measures,
};

/// What is simulated.
#[derive(Clone)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Its name in the pictures; `None` if it is in none.
    pub(crate) line: Option<&'static str>,
    pub(crate) seed: u64,
    pub(crate) streams: u32,
    pub(crate) replicas: usize,
    pub(crate) change: Change,
    pub(crate) drain: Drain,
    pub(crate) max_stream_age: Option<Duration>,
    pub(crate) client: Client,
    /// From the first packet of a connection until the replica has the request.
    pub(crate) handshake: Duration,
    /// CPU time of a replica for a stream on a connection of its own.
    pub(crate) opening: Duration,
    /// Connections that the kernel of a replica keeps until they are accepted.
    pub(crate) backlog: u32,
    /// Whether the streams have any age at first, or are all new.
    pub(crate) is_aged: bool,
    /// How long to look after the change.
    pub(crate) after: Duration,
}

/// What a client does when its stream ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// The client library: [`RetrySchedule`], and a new stream is opened when the old one is told to leave.
    Library,
    /// Waits for this time after the end, and tries a random address.
    Naive(Duration),
}

impl Scenario {
    /// When the last stream has been moved.
    pub(crate) fn end_of_change(&self, fleet: &Fleet) -> Time {
        let streams = u64::from(self.streams) / self.replicas as u64;
        fleet.end() + self.drain.spread_for(streams) + Duration::from_secs(2)
    }
}

struct Stream {
    /// Where it is, or was.
    replica: Address,
    /// Whether it is open there.
    is_open: bool,
    /// Its client is looking for another replica.
    is_moving: bool,
    opened: Time,
    /// When it ended, or will end.
    end: Time,
    /// Counts its plans to leave; events of earlier plans are void.
    plan: u32,
    schedule: Option<Box<RetrySchedule<Address>>>,
}

/// What happens, to which stream or replica.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Event {
    Stop {
        replica: Address,
    },
    Warn {
        stream: u32,
        plan: u32,
    },
    End {
        stream: u32,
        plan: u32,
    },
    /// The request of a stream has arrived; `dropped` is how often the kernel had no room for its connection.
    Arrive {
        stream: u32,
        replica: Address,
        dropped: u32,
    },
    Refuse {
        stream: u32,
    },
    Open {
        stream: u32,
        replica: Address,
    },
    Second,
}

/// An event and its time; the number is the order of events of one time.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Due {
    time: Time,
    number: u64,
    event: Event,
}

struct Model<'a> {
    scenario: &'a Scenario,
    settings: Settings,
    fleet: Fleet,
    measures: Measures,
    streams: Vec<Stream>,
    /// Until when each replica is busy opening streams.
    busy: Vec<Time>,
    due: BinaryHeap<Reverse<Due>>,
    number: u64,
    until: Time,
    jitter: Jitter,
    rng: ChaCha8Rng,
}

/// First time after which TCP repeats a SYN that was not answered; it doubles.
const FIRST_SYN_TIMEOUT: Duration = Duration::from_secs(1);

impl Trial for Address {
    fn address(&self) -> Option<SocketAddr> {
        Some(self.socket())
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.time, self.number).cmp(&(other.time, other.number))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Runs a scenario to its end.
pub(crate) fn run(scenario: &Scenario) -> (Fleet, Measures) {
    let mut rng = ChaCha8Rng::seed_from_u64(scenario.seed);
    let fleet = Fleet::new(scenario.replicas, scenario.change, &mut rng);
    let until = scenario.end_of_change(&fleet) + scenario.after;
    let mut model = Model {
        scenario,
        settings: Settings::default(),
        measures: Measures::new(fleet.pods.len()),
        streams: Vec::new(),
        busy: vec![Time::from_nanos(0); fleet.pods.len()],
        due: BinaryHeap::new(),
        number: 0,
        until,
        jitter: Jitter::seeded(scenario.seed),
        fleet,
        rng,
    };
    model.begin();
    while let Some(Reverse(Due { time, event, .. })) = model.due.pop() {
        model.happens(time, event);
    }
    (model.fleet, model.measures.finished())
}

impl Model<'_> {
    /// All streams are open, at random replicas.
    fn begin(&mut self) {
        let now = Time::from_nanos(0);
        for stream in 0..self.scenario.streams {
            let replica = Address(self.rng.random_range(0..self.scenario.replicas as u16));
            self.measures.begins(replica);
            self.streams.push(Stream {
                replica,
                is_open: true,
                is_moving: false,
                opened: now,
                end: Time::MAX,
                plan: 0,
                schedule: None,
            });
            let left = if self.scenario.is_aged { self.rng.random_range(0.0..=1.0) } else { 1.0 };
            self.plan_to_age(now, stream, left);
        }
        for (pod, number) in self.fleet.pods.clone().into_iter().zip(0..) {
            if pod.stops < Time::MAX {
                self.push(pod.stops, Event::Stop { replica: Address(number) });
            }
        }
        self.push(Time::from_nanos(1_000_000_000), Event::Second);
    }

    fn happens(&mut self, now: Time, event: Event) {
        match event {
            Event::Stop { replica } => self.stop(now, replica),
            Event::Warn { stream, plan } if self.is_current(stream, plan) => {
                self.push(self.streams[stream as usize].end, Event::End { stream, plan });
                if self.scenario.client == Client::Library {
                    self.leave(now, stream);
                }
            }
            Event::End { stream, plan } if self.is_current(stream, plan) => self.end(now, stream),
            Event::Warn { .. } | Event::End { .. } => {}
            Event::Arrive { stream, replica, dropped } => self.arrive(now, stream, replica, dropped),
            Event::Refuse { stream } => {
                if let Some(schedule) = &mut self.streams[stream as usize].schedule {
                    schedule.refused();
                }
                self.fail(now, stream);
            }
            Event::Open { stream, replica } => self.open(now, stream, replica),
            Event::Second => {
                self.measures.second(now, &self.fleet);
                self.push(now + Duration::from_secs(1), Event::Second);
            }
        }
    }

    /// A replica drains, or is killed.
    fn stop(&mut self, now: Time, replica: Address) {
        let spread = self.scenario.drain.spread_for(self.measures.streams(replica));
        for stream in 0..self.scenario.streams {
            let Stream { replica: at, is_open: true, .. } = self.streams[stream as usize] else { continue };
            if at != replica {
                continue;
            }
            if self.fleet.pods[usize::from(replica.0)].is_killed {
                self.end(now, stream);
            } else {
                let times = DepartureTimes::of_drain(&mut self.jitter, now, spread);
                self.plan(stream, times);
            }
        }
    }

    /// Plans the end of a stream at its maximum age, of which a share is left.
    fn plan_to_age(&mut self, now: Time, stream: u32, left: f64) {
        if let Some(age) = self.scenario.max_stream_age {
            let warning = Limits::default().warning;
            let times = DepartureTimes::of_age(&mut self.jitter, now, age.mul_f64(left), warning);
            self.plan(stream, times);
        }
    }

    fn plan(&mut self, stream: u32, DepartureTimes { warning, end }: DepartureTimes) {
        let planned = &mut self.streams[stream as usize];
        planned.plan += 1;
        planned.end = end;
        let plan = planned.plan;
        self.push(warning, Event::Warn { stream, plan });
    }

    /// Whether a plan is the newest one of a stream that is open.
    fn is_current(&self, stream: u32, plan: u32) -> bool {
        let stream = &self.streams[stream as usize];
        stream.is_open && stream.plan == plan
    }

    fn end(&mut self, now: Time, stream: u32) {
        let ended = &mut self.streams[stream as usize];
        (ended.is_open, ended.end) = (false, now);
        self.measures.ended(ended.replica);
        self.leave(now, stream);
    }

    /// The client of a stream looks for another replica, unless it does so already.
    fn leave(&mut self, now: Time, stream: u32) {
        let leaving = &mut self.streams[stream as usize];
        if leaving.is_moving {
            return;
        }
        leaving.is_moving = true;
        if self.scenario.client == Client::Library {
            let seed = self.rng.random();
            let settings = &self.settings;
            let schedule = leaving.schedule.get_or_insert_with(|| {
                let mut schedule = RetrySchedule::new(&settings.clone().with_seed(seed));
                schedule.found();
                Box::new(schedule)
            });
            schedule.leave(leaving.replica.socket(), None, since(leaving.opened, now));
        }
        self.attempt(now, stream);
    }

    fn attempt(&mut self, now: Time, stream: u32) {
        let (replica, wait) = match self.scenario.client {
            Client::Library => {
                let Some(schedule) = &mut self.streams[stream as usize].schedule else { return };
                if schedule.is_round_over() {
                    schedule.begin_round(vec![self.fleet.resolve(now, &mut self.rng).to_vec()]);
                }
                schedule.next_trial()
            }
            Client::Naive(wait) => {
                let addresses = self.fleet.resolve(now + wait, &mut self.rng);
                (Some(addresses[self.rng.random_range(0..addresses.len())]), wait)
            }
        };
        let Some(replica) = replica else { return };
        let sent = now + wait;
        // A refusal takes one of the three round trips of TCP, TLS and the request.
        match self.fleet.pods[usize::from(replica.0)].accepts(sent) {
            true => self.push(sent + self.scenario.handshake, Event::Arrive { stream, replica, dropped: 0 }),
            false => self.push(sent + self.scenario.handshake / 3, Event::Refuse { stream }),
        }
    }

    /// A connection waits until the replica has opened the streams before it.
    fn arrive(&mut self, now: Time, stream: u32, replica: Address, dropped: u32) {
        let Scenario { opening, backlog, .. } = *self.scenario;
        let busy = &mut self.busy[usize::from(replica.0)];
        let waits = since(now, *busy);
        if waits > opening * backlog {
            self.measures.failed += 1;
            let repeated = FIRST_SYN_TIMEOUT * (1 << dropped);
            let waited = FIRST_SYN_TIMEOUT * ((1 << (dropped + 1)) - 1);
            let event = match waited < self.settings.connect_timeout {
                true => Event::Arrive { stream, replica, dropped: dropped + 1 },
                false => return self.fail(now, stream),
            };
            return self.push(now + repeated, event);
        }
        *busy = now + waits + opening;
        let opened = *busy;
        self.push(opened, Event::Open { stream, replica });
    }

    fn fail(&mut self, now: Time, stream: u32) {
        self.measures.failed += 1;
        self.attempt(now, stream);
    }

    fn open(&mut self, now: Time, stream: u32, replica: Address) {
        let pod = self.fleet.pods[usize::from(replica.0)];
        if !pod.accepts(now) {
            return self.fail(now, stream);
        }
        let opened = &mut self.streams[stream as usize];
        let silence = if opened.is_open { Duration::ZERO } else { since(opened.end, now) };
        if opened.is_open {
            self.measures.ended(opened.replica);
        }
        (opened.replica, opened.opened, opened.is_open, opened.is_moving) = (replica, now, true, false);
        (opened.plan, opened.end) = (opened.plan + 1, Time::MAX);
        // It is needed again only if the stream ends before it is stable.
        if pod.accepts(now + RetrySchedule::<Address>::STABLE_AFTER) {
            opened.schedule = None;
        } else if let Some(schedule) = &mut opened.schedule {
            schedule.found();
        }
        self.measures.moved(replica, silence, now);
        self.plan_to_age(now, stream, 1.0);
    }

    fn push(&mut self, time: Time, event: Event) {
        if time > self.until {
            return;
        }
        self.number += 1;
        self.due.push(Reverse(Due { time, number: self.number, event }));
    }
}

/// The time from one moment to a later one; zero if it is not later.
pub(crate) fn since(earlier: Time, later: Time) -> Duration {
    Duration::from_nanos(later.nanos().saturating_sub(earlier.nanos()))
}
