//! A real server on a free port, which stops when it is dropped, and what a test says to it.

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    ops::Range,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use ticker::{
    contract::{
        gogen,
        v1::{
            Subscription, SubscriptionResult, Tick, TickerStreamRequest, TickerStreamResponse,
            ticker_stream_request::Verb, ticker_stream_response::Event,
            ticker_stream_service_client::TickerStreamServiceClient,
        },
    },
    pacer::Clock,
    server::{Bound, Config, Drain, ServerError, Timeouts},
    tape::{Series, Simulated, Tape, Universe},
    tick::{Sequence, Time},
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::{StreamExt, wrappers::UnboundedReceiverStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Status, Streaming, transport::Channel};

/// `FAST` ticks every 5 ms on average, `TCS` and `INFY` every 50 ms, `SLOW` once an hour.
pub(crate) const INSTRUMENTS: &str = r#"
    [[instrument]]
    symbol = "FAST"
    reference_price = "100.00"
    tick_interval = "5ms"
    [[instrument]]
    symbol = "INFY"
    reference_price = "1500.00"
    price_increment = "0.05"
    tick_interval = "50ms"
    [[instrument]]
    symbol = "SLOW"
    reference_price = "100.00"
    tick_interval = "1h"
    [[instrument]]
    symbol = "TCS"
    reference_price = "3000.00"
    price_increment = "0.05"
    tick_interval = "50ms"
"#;

/// The tape of [`INSTRUMENTS`] and a seed.
pub(crate) fn tape(seed: u64) -> Arc<dyn Tape> {
    Arc::new(Simulated::new(seed, Universe::parse(INSTRUMENTS, "instruments").unwrap()))
}

/// The ticks of a symbol of [`INSTRUMENTS`], as a server has them whose tape no test has changed.
pub(crate) fn series(symbol: &str) -> Arc<dyn Series> {
    let tape = tape(7);
    tape.series(&tape.instrument(&symbol.parse().unwrap()).unwrap())
}

/// The sequences of the ticks of a range of seconds.
pub(crate) fn sequences(series: &dyn Series, seconds: Range<i64>) -> Range<u64> {
    let from = |seconds: i64| series.sequence_from(Time::from_nanos(seconds as u64 * 1_000_000_000)).0;
    from(seconds.start)..from(seconds.end)
}

/// How many ticks a symbol of [`INSTRUMENTS`] has in a range of seconds.
pub(crate) fn ticks_in(symbol: &str, seconds: Range<i64>) -> usize {
    sequences(&*series(symbol), seconds).count()
}

/// How many intervals of this many seconds have a tick of a symbol of [`INSTRUMENTS`], in a range of seconds.
pub(crate) fn intervals_in(symbol: &str, interval: i64, seconds: Range<i64>) -> usize {
    let series = series(symbol);
    let mut left = sequences(&*series, seconds);
    let mut count = 0;
    while !left.is_empty() {
        let time = series.tick(Sequence(left.start)).time.parts().0;
        left.start = sequences(&*series, 0..time / interval * interval + interval).end;
        count += 1;
    }
    count
}

/// How many of some ticks are left when each is the first that is so long after the one before it.
pub(crate) fn ticks_apart(series: &dyn Series, sequences: Range<u64>, least: Duration) -> usize {
    let mut left = 0;
    let mut next = sequences.start;
    while next < sequences.end {
        left += 1;
        next = series.sequence_from(series.tick(Sequence(next)).time + least).0.max(next + 1);
    }
    left
}

/// The settings of a server that a test does not change.
pub(crate) fn config() -> Config {
    Config {
        tls: None,
        auth: None,
        has_reflection: true,
        caller_limits: ticker::server::CallerLimits::default(),
        web: ticker::server::WebSettings { has_board: true, ..Default::default() },
        listen: "127.0.0.1:0".parse().unwrap(),
        admin: None,
        tape: tape(7),
        intake: None,
        clock: Clock::Wall,
        flush_interval: Duration::from_millis(5),
        max_lag: Duration::from_secs(300),
        heartbeat_interval: Duration::from_millis(200),
        workers: NonZeroUsize::new(2).unwrap(),
        max_connections: NonZeroUsize::new(1_000).unwrap(),
        max_subscriptions: 1_000_000,
        timeouts: Timeouts::default(),
        max_stream_age: None,
        drain: Drain::default(),
        collect_memory: None,
    }
}

/// Nothing that a test waits for takes longer, by far: history, which is read at the lowest priority, is slow on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// The admin port, if the settings have one.
    pub(crate) admin: Option<SocketAddr>,
    shutdown: CancellationToken,
    /// Not joined when the test ends: its connections close when its runtime does, which is later.
    thread: JoinHandle<Result<(), ServerError>>,
    _stops_on_drop: DropGuard,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    pub(crate) fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        change(&mut config);
        let bound = Bound::bind(config).unwrap();
        let (address, admin) = (bound.local_addr(), bound.admin_addr());
        let shutdown = CancellationToken::new();
        let stopping = shutdown.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(bound.serve(stopping))
        });
        Self { address, admin, _stops_on_drop: shutdown.clone().drop_guard(), shutdown, thread }
    }

    /// Asks the server to stop, and does not wait.
    pub(crate) fn begin_to_stop(&self) {
        self.shutdown.cancel();
    }

    /// Stops, and waits until it has stopped.
    pub(crate) fn stop(self) -> Result<(), ServerError> {
        self.shutdown.cancel();
        self.thread.join().unwrap()
    }

    pub(crate) async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    pub(crate) async fn client(&self) -> TickerStreamServiceClient<Channel> {
        TickerStreamServiceClient::new(self.channel().await)
    }

    pub(crate) async fn stream(&self) -> Talk<TickerStreamRequest, TickerStreamResponse> {
        let (say, said) = mpsc::unbounded_channel();
        let mut client = self.client().await;
        let heard = client.ticker_stream(UnboundedReceiverStream::new(said)).await.unwrap().into_inner();
        Talk::new(say, heard)
    }

    pub(crate) async fn gogen(&self) -> Talk<gogen::TickerRequest, gogen::TickerResponse> {
        let (say, said) = mpsc::unbounded_channel();
        let mut client =
            gogen::ticker_stream_service_client::TickerStreamServiceClient::new(self.channel().await);
        let heard = client.ticker_stream(UnboundedReceiverStream::new(said)).await.unwrap().into_inner();
        Talk::new(say, heard)
    }
}

/// Both directions of one stream.
pub(crate) struct Talk<Q, A> {
    say: Option<mpsc::UnboundedSender<Q>>,
    heard: Streaming<A>,
}

impl<Q, A> Talk<Q, A> {
    pub(crate) fn new(say: mpsc::UnboundedSender<Q>, heard: Streaming<A>) -> Self {
        Self { say: Some(say), heard }
    }

    pub(crate) fn say(&self, request: Q) {
        self.say.as_ref().unwrap().send(request).ok();
    }

    pub(crate) fn half_close(&mut self) {
        self.say = None;
    }

    /// The next message, or how the stream ended: `None` is OK.
    pub(crate) async fn hear(&mut self) -> Option<Result<A, Status>> {
        timeout(PATIENCE, self.heard.next()).await.expect("the server says nothing")
    }

    pub(crate) async fn next(&mut self) -> A {
        self.hear().await.expect("the stream ended").expect("the stream failed")
    }

    /// Skips messages until the stream fails.
    pub(crate) async fn failure(&mut self) -> Status {
        loop {
            match self.hear().await.expect("the stream ended with OK") {
                Ok(_) => {}
                Err(status) => return status,
            }
        }
    }
}

impl Talk<TickerStreamRequest, TickerStreamResponse> {
    pub(crate) fn ask(&self, request_id: u64, verb: Verb) {
        self.say(TickerStreamRequest { request_id, verb: Some(verb) });
    }

    pub(crate) async fn event(&mut self) -> Event {
        self.next().await.event.expect("an event that this client does not know")
    }

    /// The next event that is not a heartbeat.
    pub(crate) async fn news(&mut self) -> Event {
        loop {
            match self.event().await {
                Event::Heartbeat(_) => {}
                event => return event,
            }
        }
    }

    /// The next result of a subscription; what comes before it is skipped.
    pub(crate) async fn result(&mut self) -> SubscriptionResult {
        loop {
            if let Event::SubscriptionResult(result) = self.event().await {
                return result;
            }
        }
    }

    /// The next tick; what comes before it is skipped.
    pub(crate) async fn tick(&mut self) -> Tick {
        loop {
            if let Event::Tick(tick) = self.event().await {
                return tick;
            }
        }
    }
}

pub(crate) fn symbols(symbols: &[&str]) -> Subscription {
    Subscription { symbols: symbols.iter().map(ToString::to_string).collect(), ..Subscription::default() }
}
