//! Three servers and a client on a simulated network, in simulated time: partitions, packets that are lost or late, and
//! crashes. A failure names its seed.

use std::{
    cell::RefCell, io, net::SocketAddr, num::NonZeroUsize, ops::Range, rc::Rc, sync::Arc, time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use ticker::{
    client::{Client, Connection, Delivery, Endpoints, Event, Network, Settings, SubscribeOptions, Task},
    pacer::Clock,
    server::{CallerLimits, Config, Drain, Timeouts, WebSettings, serve_accepted},
    tape::{Simulated, Tape, Universe, all_but_tests},
    tick::Time,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use turmoil::{
    Builder, Sim,
    net::{TcpListener, TcpStream},
};

use crate::ledger::Ledger;

const INSTRUMENTS: &str = r#"
    [[instrument]]
    symbol = "FAST"
    reference_price = "100.00"
    tick_interval = "20ms"
    [[instrument]]
    symbol = "TCS"
    reference_price = "3000.00"
    tick_interval = "100ms"
    [[instrument]]
    symbol = "SLOW"
    reference_price = "100.00"
    tick_interval = "7s"
"#;

const REPLICAS: [&str; 3] = ["alpha", "beta", "gamma"];
const PORT: u16 = 50051;
/// When the simulated time begins.
const START: Time = Time::from_nanos(1_790_000_000_000_000_000);
/// How long things go wrong, and how long all is well then.
const TROUBLE: Duration = Duration::from_secs(60);
const PEACE: Duration = Duration::from_secs(15);

/// The simulated network.
#[derive(Debug)]
struct Simulation;

impl Network for Simulation {
    fn resolve(&self, host: &str, port: u16) -> Task<io::Result<Vec<SocketAddr>>> {
        let address = SocketAddr::new(turmoil::lookup(host), port);
        Box::pin(async move { Ok(vec![address]) })
    }

    fn connect(&self, address: SocketAddr) -> Task<io::Result<Box<dyn Connection>>> {
        Box::pin(async move { Ok(Box::new(TcpStream::connect(address).await?) as Box<dyn Connection>) })
    }
}

fn tape() -> Arc<Simulated> {
    Arc::new(Simulated::new(7, Universe::parse(INSTRUMENTS, "instruments").unwrap()))
}

/// The simulated time, which all hosts share.
fn time() -> Time {
    START + turmoil::sim_elapsed().unwrap()
}

/// The real server behind the simulated network.
async fn serve() -> turmoil::Result {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    let config = Config {
        tls: None,
        auth: None,
        has_reflection: false,
        caller_limits: CallerLimits::default(),
        web: WebSettings::default(),
        listen: SocketAddr::from(([0, 0, 0, 0], PORT)),
        admin: None,
        tape: tape(),
        intake: None,
        clock: Clock::From { time: time(), instant: Instant::now() },
        flush_interval: Duration::from_millis(10),
        max_lag: Duration::from_secs(300),
        heartbeat_interval: Duration::from_millis(500),
        workers: NonZeroUsize::MIN,
        max_connections: NonZeroUsize::MAX,
        max_subscriptions: 1_000_000,
        timeouts: Timeouts::default(),
        max_stream_age: None,
        drain: Drain::default(),
        collect_memory: None,
    };
    let (deal, accepted) = mpsc::channel(16);
    let accept = async {
        loop {
            let (stream, _) = listener.accept().await?;
            if deal.send(stream).await.is_err() {
                return turmoil::Result::Ok(());
            }
        }
    };
    tokio::select! {
        ended = accept => ended,
        ended = serve_accepted(config, accepted, CancellationToken::new()) => Ok(ended?),
    }
}

/// What the client has seen.
#[derive(Default)]
struct Seen {
    ledger: Ledger,
    reconnects: usize,
    longest: Duration,
}

/// The shipped client. Returns when the simulated time is up.
async fn follow(seed: u64, until: Duration, seen: Rc<RefCell<Seen>>) -> turmoil::Result {
    let endpoints: Endpoints =
        REPLICAS.map(|name| format!("{name}:{PORT}").parse().unwrap()).into_iter().collect();
    let settings = Settings::default()
        .with_connect_timeout(Duration::from_secs(1))
        .with_answer_timeout(Duration::from_secs(2))
        .with_silence_timeout(Duration::from_secs(2))
        .with_seed(seed)
        .with_network(Simulation);
    let client = Client::connect(&endpoints, settings).await?;
    let options = SubscribeOptions::new(["*"]).with_delivery(Delivery::EveryTick);
    let mut subscription = client.subscribe(options).await?;
    let (mut events, mut last) = (Vec::new(), Instant::now());
    while turmoil::sim_elapsed().unwrap() < until {
        // Dropped futures must lose nothing.
        if let Ok(received) = timeout(Duration::from_millis(70), subscription.next_batch(&mut events)).await {
            received?;
        }
        let mut seen = seen.borrow_mut();
        for event in events.drain(..) {
            seen.reconnects += usize::from(matches!(event, Event::Reconnected { .. }));
            if seen.ledger.enter(&event).is_some() {
                seen.longest = seen.longest.max(last.elapsed());
                last = Instant::now();
            }
        }
    }
    Ok(())
}

/// Lets something go wrong between a replica and the client, or ends it.
fn disturb(sim: &mut Sim, rng: &mut ChaCha8Rng) {
    let replica = REPLICAS[rng.random_range(0..REPLICAS.len())];
    match rng.random_range(0..9) {
        0 => sim.partition(replica, "client"),
        1 => sim.partition_oneway(replica, "client"),
        2 => sim.partition_oneway("client", replica),
        3 => sim.hold(replica, "client"),
        4 => sim.release(replica, "client"),
        5 => sim.set_link_fail_rate(replica, "client", 0.01),
        6 if sim.is_host_running(replica) => sim.crash(replica),
        _ => mend(sim, replica),
    }
}

fn mend(sim: &mut Sim, replica: &str) {
    sim.set_link_fail_rate(replica, "client", 0.0);
    sim.release(replica, "client");
    sim.repair(replica, "client");
    if !sim.is_host_running(replica) {
        sim.bounce(replica);
    }
}

#[test]
fn whatever_the_network_does_every_tick_comes_once_and_in_order() {
    for seed in 0..8 {
        println!("seed {seed}");
        let mut sim = Builder::new()
            .rng_seed(seed)
            .simulation_duration(TROUBLE + PEACE * 2)
            .min_message_latency(Duration::from_micros(100))
            .tick_duration(Duration::from_millis(5))
            .max_message_latency(Duration::from_millis(40))
            .tcp_capacity(4096)
            .build();
        for replica in REPLICAS {
            sim.host(replica, serve);
        }
        let seen = Rc::new(RefCell::new(Seen::default()));
        sim.client("client", follow(seed, TROUBLE + PEACE, seen.clone()));

        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut next = Duration::from_secs(3);
        let mut peace = false;
        while !sim.step().unwrap() {
            if sim.elapsed() >= TROUBLE && !peace {
                peace = true;
                REPLICAS.iter().for_each(|replica| mend(&mut sim, replica));
            } else if sim.elapsed() >= next && !peace {
                disturb(&mut sim, &mut rng);
                next += Duration::from_millis(rng.random_range(100..3000));
            }
        }

        let Seen { ledger, reconnects, longest } = seen.take();
        println!("  {} ticks, {reconnects} reconnects, longest without ticks {longest:?}", ledger.ticks);
        assert!(reconnects > 0, "seed {seed}: nothing went wrong");
        let tape = tape();
        for instrument in all_but_tests(&tape.instruments()) {
            let due = tape.series(instrument).sequence_at(START + (TROUBLE + PEACE - Duration::from_secs(1)));
            let last = ledger.last(&instrument.symbol);
            assert!(last >= due, "seed {seed}: {} stands at {last:?}, {due:?} is due", instrument.symbol);
        }
    }
}

#[test]
fn after_an_outage_in_which_connections_are_refused_ticks_come_again_in_little_more_than_a_second() {
    /// While every machine runs without its server.
    const OUTAGE: Range<Duration> = Duration::from_secs(5)..Duration::from_secs(35);
    async fn serve_except_in_the_outage() -> turmoil::Result {
        if turmoil::sim_elapsed().is_some_and(|elapsed| OUTAGE.contains(&elapsed)) {
            sleep(OUTAGE.end - turmoil::sim_elapsed().unwrap()).await;
        }
        serve().await
    }
    for seed in 0..8 {
        let mut sim = Builder::new()
            .rng_seed(seed)
            .simulation_duration(OUTAGE.end * 2)
            .tick_duration(Duration::from_millis(5))
            .max_message_latency(Duration::from_millis(40))
            .tcp_capacity(4096)
            .build();
        for replica in REPLICAS {
            sim.host(replica, serve_except_in_the_outage);
        }
        let seen = Rc::new(RefCell::new(Seen::default()));
        sim.client("client", follow(seed, OUTAGE.end + Duration::from_secs(5), seen.clone()));
        let mut crashed = false;
        while !sim.step().unwrap() {
            if sim.elapsed() >= OUTAGE.start && !crashed {
                crashed = true;
                for replica in REPLICAS {
                    sim.crash(replica);
                    sim.bounce(replica);
                }
            }
        }
        let Seen { longest, .. } = seen.take();
        println!("seed {seed}: longest without ticks {longest:?}");
        let outage = OUTAGE.end - OUTAGE.start;
        assert!(longest >= outage - Duration::from_secs(1), "seed {seed}: there was no outage, {longest:?}");
        // The longest wait, and some round trips of up to 80 ms.
        assert!(longest < outage + Duration::from_millis(1500), "seed {seed}: {longest:?}");
    }
}
