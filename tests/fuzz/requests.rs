//! Requests: their bytes, what they ask for, and the answers, without a network.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use prost::Message;
use rand::RngExt;
use ticker::{
    contract::{gogen, v1},
    grpc::{
        Authentication, CallerLimits, ConnectionContext, HistoryPool, Reply, RequestBody, Router, Rpc,
        ServerContext, Services, WorkerContext,
    },
    hub::{Limits, Quota, WatchChange},
    pacer::{Clock, Pacer},
    tape::{Simulated, Tape, Universe},
    tick::{Tick, Time},
};
use tokio::time::{Instant, timeout};

use crate::fuzzer::{Mutator, Random, run};

/// A time of the tape: in the year 2027.
const NOW: Time = Time::from_nanos(1_800_000_000_000_000_000);
const SECONDS: i64 = 1_800_000_000;
/// A stream hands out at most this at once: its budget for a frame, and after it the ticks of one flush of one symbol.
const AT_ONCE: usize = 16 * 1024 + 1_024 * 160;
/// Number of polls of a stream, and of a call, which has to have ended by then.
const POLLS: usize = 24;
const DICTIONARY: &[&str] = &[
    "RELIANCE",
    "BTC-USD",
    "BTC-USD",
    "*",
    "",
    "NSE:",
    "\u{0}",
    "\u{ff}",
    "\x08\x01",
    "\x10\x02",
    "\x0a\x04FAST",
    "\x0a\x01*",
    "\x38\x02",
    "\x12\x00",
    "\x1a\x00",
    "\x22\x00",
    "\x2a\x00",
    "\x32\x00",
    "\x7f\x7f\x7f\x7f\x7f",
    "\x0b",
    "\x0c",
];

/// A request as it arrives: in pieces, and then it ends or stays open.
struct Pieces {
    left: VecDeque<Bytes>,
    ends: bool,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.left.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None if self.ends => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl RequestBody for Pieces {
    fn release(&mut self, _: usize) {}

    fn whole(body: Bytes, _: usize) -> Self {
        Self { left: [body].into(), ends: true }
    }
}

impl Pieces {
    fn new(bytes: Vec<u8>, ends: bool, random: &mut Random) -> Self {
        let (mut rest, mut left) = (Bytes::from(bytes), VecDeque::new());
        while !rest.is_empty() {
            let len = if random.random() { rest.len() } else { random.random_range(1..=rest.len()) };
            left.push_back(rest.split_to(len));
        }
        Self { left, ends }
    }
}

/// A worker without connections, as the server makes it, and a connection to it.
fn worker(tape: Arc<dyn Tape>, history: &HistoryPool) -> (WorkerContext, Router, ConnectionContext) {
    let authentication = Authentication::new(None, CallerLimits::default());
    let server = ServerContext::new(10_000, Duration::from_secs(30), authentication);
    let clock = Clock::From { time: NOW, instant: Instant::now() };
    let refusals = server.refusals().clone();
    let worker =
        WorkerContext::new(tape, clock, Limits::default(), Quota::new(100_000), history.clone(), refusals);
    let router = Router::new(worker.clone(), Services::default());
    (worker, router, ConnectionContext::new(1, None, server))
}

/// Publishes the ticks that are due, as the worker does.
fn publish(worker: &WorkerContext, pacer: &mut Pacer) {
    let now = worker.clock.now();
    worker.hub.beat(now);
    worker.hub.depart(now);
    while worker.hub.tell(128, |change| match change {
        WatchChange::Watch { id, series, from } => pacer.watch(id, series, from),
        WatchChange::Unwatch { id } => pacer.unwatch(id),
    }) {}
    let mut flush = worker.hub.begin_flush();
    let boundary = pacer.advance(now, &mut |id: u32, tick: &Tick| flush.publish(id, tick));
    flush.finish(boundary);
    worker.hub.wake_deferred(1_024);
}

fn framed(message: &[u8]) -> Vec<u8> {
    let len = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &len[..], message].concat()
}

fn messages<M: Message + Default>(mut bytes: &[u8]) -> Vec<M> {
    let mut found = Vec::new();
    while let Some((prefix, rest)) = bytes.split_first_chunk::<5>() {
        assert_eq!(prefix[0], 0, "nothing is compressed");
        let len = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
        let (message, rest) = rest.split_at_checked(len).unwrap();
        found.push(M::decode(message).unwrap());
        bytes = rest;
    }
    assert!(bytes.is_empty(), "the last message is whole");
    found
}

/// What a request was answered with.
struct Answered {
    bytes: Vec<u8>,
    /// `None` when the answer goes on.
    status: Option<tonic::Code>,
}

fn status(headers: &HeaderMap) -> Option<tonic::Code> {
    let text = headers.get("grpc-status")?.to_str().unwrap();
    let number: i32 = text.parse().unwrap();
    assert!((0..=16).contains(&number), "{text}");
    Some(number.into())
}

/// Reads an answer while time passes and ticks become due.
async fn read(response: Response<Reply>, worker: &WorkerContext, random: &mut Random) -> Answered {
    let mut answered = Answered { bytes: Vec::new(), status: status(response.headers()) };
    let is_stream = matches!(response.body(), Reply::Ticks(_));
    let mut pacer = Pacer::new(worker.clock.speed(), Duration::from_millis(10));
    let mut body = response.into_body();
    for _ in 0..POLLS {
        let wait = Duration::from_millis([1, 10, 100, 5_000][random.random_range(0..4)]);
        // Time is paused, and passes only when nothing else is left to do. A call waits for a thread, without a time.
        let frame = match is_stream {
            true => timeout(wait, body.frame()).await,
            false => Ok(body.frame().await),
        };
        match frame {
            Ok(Some(frame)) => match frame.unwrap().into_data() {
                Ok(data) => {
                    assert!(!is_stream || (1..=AT_ONCE).contains(&data.len()), "{} bytes", data.len());
                    answered.bytes.extend_from_slice(&data);
                }
                Err(trailers) => answered.status = status(&trailers.into_trailers().unwrap()),
            },
            Ok(None) => break,
            Err(_) => publish(worker, &mut pacer),
        }
        if answered.status.is_some() {
            break;
        }
    }
    answered
}

/// Requests of one RPC, each a list of messages.
fn fuzz(test: &'static str, cases: u64, rpc: Rpc, requests: Vec<Vec<Vec<u8>>>, check: impl Fn(&Answered)) {
    let tape = Universe::parse(include_str!("../data/instruments.toml"), "instruments.toml").unwrap();
    let tape: Arc<dyn Tape> = Arc::new(Simulated::new(7, tape));
    let history = HistoryPool::default();
    let whole = Mutator::new(
        requests.iter().map(|messages| messages.iter().flat_map(|each| framed(each)).collect::<Vec<_>>()),
        DICTIONARY,
    );
    let single = Mutator::new(requests.into_iter().flatten(), DICTIONARY);
    let timeouts = Mutator::new(["1S", "50m", "99999999H", "1n"], &["0", "9", "H", "u"]);
    let answer = |bytes: Vec<u8>, random: &mut Random| {
        // A turn does not end while time is paused, so one poll may do the work of many turns.
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (worker, router, context) = worker(tape.clone(), &history);
            tokio::spawn(worker.turns.clone().grant());
            let mut request =
                Request::post(format!("/{}", rpc.name())).header("content-type", "application/grpc");
            if random.random_range(0..4) == 0 {
                request = request.header("grpc-timeout", timeouts.text(random).escape_default().to_string());
            }
            let ends = random.random();
            // A call that is answered once waits for the end of its request.
            let is_stream = matches!(rpc, Rpc::GogenTickerStream | Rpc::TickerStream | Rpc::Watch);
            let request = request.body(Pieces::new(bytes, ends || !is_stream, random)).unwrap();
            let response = router.answer(rpc, request, context).await;
            let answered = read(response, &worker, random).await;
            while worker.hub.sweep(64) {}
            assert!(answered.status.is_some() || is_stream, "a call ends");
            answered
        })
    };
    for request in whole.corpus() {
        let answered = answer(request.clone(), &mut rand::SeedableRng::seed_from_u64(0));
        check(&answered);
        assert!(!answered.bytes.is_empty(), "a valid request is answered: {:?}", answered.status);
    }
    run(test, cases, |random| {
        let bytes = match random.random_range(0..3) {
            0 => whole.input(random),
            _ => (0..random.random_range(1..=3)).flat_map(|_| framed(&single.input(random))).collect(),
        };
        let shown = bytes.escape_ascii().to_string();
        let answered = answer(bytes, random);
        use tonic::Code;
        let blames_server = matches!(answered.status, Some(Code::Unknown | Code::Internal | Code::DataLoss));
        assert!(!blames_server, "{:?} {shown}", answered.status);
        check(&answered);
        !matches!(answered.status, Some(Code::InvalidArgument))
    });
}

fn timestamp(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

fn symbols(symbols: &[&str]) -> Vec<String> {
    symbols.iter().map(|symbol| (*symbol).to_owned()).collect()
}

fn subscriptions() -> Vec<v1::Subscription> {
    let interval = prost_types::Duration { seconds: 0, nanos: 250_000_000 };
    vec![
        v1::Subscription { symbols: symbols(&["RELIANCE", "BTC-USD"]), ..Default::default() },
        v1::Subscription { symbols: symbols(&["*"]), detail: 2, ..Default::default() },
        v1::Subscription {
            symbols: symbols(&["RELIANCE"]),
            delivery: 2,
            start_time: timestamp(SECONDS - 5),
            ..Default::default()
        },
        v1::Subscription {
            symbols: symbols(&["BTC-USD", "NOTHING"]),
            delivery: 1,
            min_interval: Some(interval),
            after_sequence: [("BTC-USD".to_owned(), 1_000)].into(),
            ..Default::default()
        },
    ]
}

#[test]
fn a_stream_of_ticks_answers_any_request_with_messages_or_a_status() {
    use v1::ticker_stream_request::Verb;
    let verbs = subscriptions().into_iter().flat_map(|subscription| {
        let set = Verb::SetSubscriptions(subscription.clone());
        [
            vec![Verb::Subscribe(subscription.clone()), Verb::Ping(v1::Ping {}), set],
            vec![Verb::Subscribe(subscription)],
        ]
    });
    let others = vec![
        Verb::Subscribe(subscriptions().remove(0)),
        Verb::Unsubscribe(v1::Unsubscribe { symbols: symbols(&["BTC-USD", "*"]) }),
        Verb::ListSubscriptions(v1::ListSubscriptions {}),
        Verb::Authenticate(v1::Authenticate { token: "a.b.c".to_owned() }),
    ];
    let encode = |verb| v1::TickerStreamRequest { request_id: 7, verb: Some(verb) }.encode_to_vec();
    let requests = verbs.chain([others]).map(|verbs| verbs.into_iter().map(encode).collect()).collect();
    let name = "a_stream_of_ticks_answers_any_request_with_messages_or_a_status";
    fuzz(name, 250, Rpc::TickerStream, requests, |answered| {
        let found = messages::<v1::TickerStreamResponse>(&answered.bytes);
        assert!(found.iter().all(|response| response.event.is_some()));
    });
}

#[test]
fn a_watch_answers_any_request_with_messages_or_a_status() {
    let mut requests: Vec<_> = subscriptions()
        .into_iter()
        .map(|subscription| v1::WatchRequest {
            symbols: subscription.symbols,
            delivery: subscription.delivery,
            min_interval: subscription.min_interval,
            after_sequence: subscription.after_sequence,
            start_time: subscription.start_time,
            detail: subscription.detail,
            ..Default::default()
        })
        .collect();
    requests.push(v1::WatchRequest {
        symbols: symbols(&["RELIANCE", "BTC-USD"]),
        start_time: timestamp(SECONDS - 3_600),
        end_time: timestamp(SECONDS - 3_590),
        speed: 10.0,
        ..Default::default()
    });
    let requests = requests.into_iter().map(|request| vec![request.encode_to_vec()]).collect();
    fuzz("a_watch_answers_any_request_with_messages_or_a_status", 150, Rpc::Watch, requests, |answered| {
        assert!(
            messages::<v1::WatchResponse>(&answered.bytes).iter().all(|response| response.event.is_some())
        );
    });
}

#[test]
fn a_stream_of_gogen_answers_any_request_with_messages_or_a_status() {
    let request = |symbol: &str| gogen::TickerRequest { symbol: symbol.to_owned() }.encode_to_vec();
    let requests = vec![vec![request("RELIANCE")], vec![request("BTC-USD"), request("RELIANCE")]];
    let name = "a_stream_of_gogen_answers_any_request_with_messages_or_a_status";
    fuzz(name, 700, Rpc::GogenTickerStream, requests, |answered| {
        let found = messages::<gogen::TickerResponse>(&answered.bytes);
        assert!(found.iter().all(|response| response.ltp > 0.0 && !response.symbol.is_empty()));
    });
}

/// A call that is answered once: with one message, or with an error and none.
fn fuzz_call<M: Message + Default>(test: &'static str, cases: u64, rpc: Rpc, requests: Vec<impl Message>) {
    let requests = requests.iter().map(|request| vec![request.encode_to_vec()]).collect();
    fuzz(test, cases, rpc, requests, |answered| {
        let expected = usize::from(answered.status == Some(tonic::Code::Ok));
        assert_eq!(messages::<M>(&answered.bytes).len(), expected);
    });
}

#[test]
fn a_list_of_instruments_is_one_message_or_a_status() {
    let request = v1::ListInstrumentsRequest { page_size: 2, ..Default::default() };
    let name = "a_list_of_instruments_is_one_message_or_a_status";
    fuzz_call::<v1::ListInstrumentsResponse>(name, 300, Rpc::ListInstruments, vec![request]);
}

#[test]
fn last_prices_are_one_message_or_a_status() {
    let some = v1::GetLastPricesRequest { symbols: symbols(&["FAST", "NOTHING"]), ..Default::default() };
    let all = v1::GetLastPricesRequest { symbols: symbols(&["*"]), page_size: 2, ..Default::default() };
    let name = "last_prices_are_one_message_or_a_status";
    fuzz_call::<v1::GetLastPricesResponse>(name, 300, Rpc::GetLastPrices, vec![some, all]);
}

#[test]
fn the_tape_is_one_message_or_a_status() {
    fuzz_call::<v1::GetTapeResponse>(
        "the_tape_is_one_message_or_a_status",
        300,
        Rpc::GetTape,
        vec![v1::GetTapeRequest {}],
    );
}

#[test]
fn past_ticks_are_one_message_or_a_status() {
    let by_time = v1::ListTicksRequest {
        symbol: "RELIANCE".to_owned(),
        start_time: timestamp(SECONDS - 60),
        end_time: timestamp(SECONDS),
        page_size: 5,
        ..Default::default()
    };
    let by_sequence = v1::ListTicksRequest {
        symbol: "BTC-USD".to_owned(),
        start_sequence: 10,
        end_sequence: 30,
        newest_first: true,
        ..Default::default()
    };
    let name = "past_ticks_are_one_message_or_a_status";
    fuzz_call::<v1::ListTicksResponse>(name, 300, Rpc::ListTicks, vec![by_time, by_sequence]);
}

#[test]
fn candles_are_one_message_or_a_status() {
    let request = v1::ListCandlesRequest {
        symbol: "RELIANCE".to_owned(),
        interval: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
        start_time: timestamp(SECONDS - 600),
        page_size: 3,
        ..Default::default()
    };
    fuzz_call::<v1::ListCandlesResponse>(
        "candles_are_one_message_or_a_status",
        300,
        Rpc::ListCandles,
        vec![request],
    );
}

#[test]
fn a_digest_is_one_message_or_a_status() {
    let request =
        v1::DigestTicksRequest { symbol: "RELIANCE".to_owned(), start_sequence: 100, end_sequence: 300 };
    fuzz_call::<v1::DigestTicksResponse>(
        "a_digest_is_one_message_or_a_status",
        50,
        Rpc::DigestTicks,
        vec![request],
    );
}
