use proptest::prelude::*;
use tokio::sync::oneshot;

use super::*;
use crate::{
    feed::{
        Batch, NewTick, Numbers, Receipt,
        row::Row,
        submission::{CallState, Reply},
    },
    tape::{Series, Tape, WindowLimits},
    tick::{Price, Sequence},
};

const STREAM: &str = "t";
const SYMBOLS: [&str; 2] = ["A", "B"];
const REPLICAS: usize = 2;
const PUBLISHERS: usize = 2;
/// Most messages of a replica that are on their way.
const MOST_IN_FLIGHT: usize = 2;

#[derive(Clone, Debug)]
enum Action {
    /// A publisher sends its batch to a replica: the same one until it is stored, then one with ticks of these symbols.
    Submit { publisher: usize, replica: usize, symbols: Vec<usize> },
    /// The stream gets a message, and stores or refuses it.
    Arrive { replica: usize, flight: usize },
    /// A replica gets the answer of the stream.
    Answer { replica: usize, flight: usize },
    /// A replica does not get the answer in time.
    Lose { replica: usize, flight: usize },
    /// A replica gets the next message of the stream.
    Deliver { replica: usize },
    /// A replica loses its connection. What it has sent may still arrive.
    Interrupt { replica: usize },
    /// A message of a connection that was lost arrives.
    ArriveLate { flight: usize },
    /// A replica is restarted, and has to read the stream again.
    Restart { replica: usize },
    /// The last ticks are published again.
    Again { replica: usize },
    /// The stream drops old messages, all of which have been read.
    Expire,
}

fn action() -> impl Strategy<Value = Action> {
    let symbols = prop::collection::vec(0..SYMBOLS.len(), 0..5);
    let (replica, flight) = (0..REPLICAS, 0..MOST_IN_FLIGHT);
    prop_oneof![
        6 => (0..PUBLISHERS, replica.clone(), symbols)
            .prop_map(|(publisher, replica, symbols)| Action::Submit { publisher, replica, symbols }),
        6 => (replica.clone(), flight.clone()).prop_map(|(replica, flight)| Action::Arrive { replica, flight }),
        6 => (replica.clone(), flight.clone()).prop_map(|(replica, flight)| Action::Answer { replica, flight }),
        1 => (replica.clone(), flight.clone()).prop_map(|(replica, flight)| Action::Lose { replica, flight }),
        6 => replica.clone().prop_map(|replica| Action::Deliver { replica }),
        1 => replica.clone().prop_map(|replica| Action::Interrupt { replica }),
        1 => flight.prop_map(|flight| Action::ArriveLate { flight }),
        1 => replica.clone().prop_map(|replica| Action::Restart { replica }),
        1 => replica.prop_map(|replica| Action::Again { replica }),
        1 => Just(Action::Expire),
    ]
}

/// The stream, as JetStream stores messages.
#[derive(Default)]
struct Stream {
    /// The symbol and the lines of each message.
    messages: Vec<(Symbol, Vec<u8>)>,
    /// The sequence of the last message of each symbol.
    last: HashMap<Symbol, u64>,
}

impl Stream {
    fn publish(&mut self, symbol: Symbol, Outgoing { lines, after }: &Outgoing) -> Published {
        let last = self.last.entry(symbol).or_default();
        if *last != *after {
            return Published::After(*last);
        }
        self.messages.push((symbol, lines.clone()));
        *last = self.messages.len() as u64;
        Published::Stored(*last)
    }

    fn rows(&self) -> Vec<Row> {
        self.messages.iter().flat_map(|(symbol, lines)| message::read(lines, symbol).unwrap()).collect()
    }
}

/// A message on its way, and what the stream has answered.
struct Flight {
    symbol: Symbol,
    outgoing: Outgoing,
    answer: Option<Published>,
}

struct Side {
    replica: Replica,
    in_flight: Vec<Flight>,
    /// Number of messages of the stream that it has.
    read: usize,
}

impl Side {
    fn new() -> Self {
        let window = WindowLimits { time: Duration::from_secs(3600), bytes: 1 << 20 };
        let tape = Arc::new(Feed::new("tape".to_owned(), window, Arc::default()));
        let numbering = Numbering::new(tape.clone(), None);
        let replica = Replica::new(STREAM.to_owned(), tape, numbering, Arc::default(), 1 << 20);
        Self { replica, in_flight: Vec::new(), read: 0 }
    }

    fn deliver(&mut self, stream: &Stream, now: Time) -> bool {
        let Some((symbol, lines)) = stream.messages.get(self.read) else { return false };
        self.read += 1;
        self.replica.apply(&Entry {
            subject: subject::of(STREAM, symbol),
            sequence: self.read as u64,
            stored: now,
            pending: 0,
            payload: lines.clone().into(),
        });
        true
    }

    fn series(&self, symbol: &str) -> Option<Arc<dyn Series>> {
        let tape = self.replica.tape();
        Some(tape.series(&*tape.instrument(&symbol.parse().unwrap()).ok()?))
    }

    /// The prices of a symbol on its tape, which are the numbers of the ticks.
    fn prices(&self, symbol: &str) -> Vec<i64> {
        let Some(series) = self.series(symbol) else { return Vec::new() };
        (1..=series.last().0).map(|sequence| series.tick(Sequence(sequence)).price.nanos()).collect()
    }
}

/// A publisher, which sends a batch until it is stored.
#[derive(Default)]
struct Publisher {
    /// The symbols of the ticks of each batch, the present one last.
    batches: Vec<Vec<usize>>,
    /// What became of the batches, with the index of each. Those of whose connection ended are not there.
    receipts: Vec<(usize, oneshot::Receiver<Result<Receipt, FeedError>>)>,
    /// Number of ticks that receipts say are stored or were stored before, and of those that are stored by them, of each batch.
    stored: HashMap<usize, (u64, u64)>,
}

impl Publisher {
    fn first_number(&self, batch: usize) -> u64 {
        1 + self.batches[..batch].iter().map(|symbols| symbols.len() as u64).sum::<u64>()
    }

    fn submission(&mut self, name: &str, symbols: Vec<usize>) -> Submission {
        self.read_receipts();
        let is_stored = |batch: &usize| self.stored.contains_key(batch);
        if self.batches.len().checked_sub(1).is_none_or(|last| is_stored(&last)) {
            self.batches.push(symbols);
        }
        let present = self.batches.len() - 1;
        let first = self.first_number(present);
        let (send, receipt) = oneshot::channel();
        self.receipts.push((present, receipt));
        let tick = |(index, symbol): (usize, &usize)| NewTick {
            index: index as u64,
            symbol: SYMBOLS[*symbol].parse().unwrap(),
            time: None,
            price: Price::from_nanos(first as i64 + index as i64).unwrap(),
            quantity: 1,
            book: None,
        };
        let ticks = self.batches[present].iter().enumerate().map(tick).collect();
        let numbers = Some(Numbers { publisher: name.into(), first });
        let batch = Batch { numbers, ticks, rejected: Vec::new() };
        Submission { batch, reply: Reply::new(send, CallState::default()) }
    }

    fn read_receipts(&mut self) {
        self.receipts.retain_mut(|(batch, receipt)| match receipt.try_recv() {
            Ok(Ok(Receipt { accepted, duplicates, rejected })) => {
                assert!(rejected.is_empty(), "{rejected:?}");
                let (all, new) = self.stored.entry(*batch).or_default();
                *all = (*all).max(accepted + duplicates);
                *new += accepted;
                false
            }
            Ok(Err(_)) => false,
            Err(oneshot::error::TryRecvError::Empty) => true,
            Err(oneshot::error::TryRecvError::Closed) => panic!("a batch has no receipt"),
        });
    }
}

struct World {
    stream: Stream,
    sides: Vec<Side>,
    late: Vec<Flight>,
    publishers: Vec<Publisher>,
    now: u64,
}

impl World {
    fn new() -> Self {
        Self {
            stream: Stream::default(),
            sides: (0..REPLICAS).map(|_| Side::new()).collect(),
            late: Vec::new(),
            publishers: (0..PUBLISHERS).map(|_| Publisher::default()).collect(),
            now: 1_700_000_000_000_000_000,
        }
    }

    fn now(&self) -> Time {
        Time::from_nanos(self.now)
    }

    fn act(&mut self, action: Action) {
        self.now += 1_000;
        let now = self.now();
        match action {
            Action::Submit { publisher, replica, symbols } => {
                let submission = self.publishers[publisher].submission(&publisher.to_string(), symbols);
                self.sides[replica].replica.take(submission, now);
            }
            Action::Arrive { replica, flight } => {
                if let Some(flight) = self.sides[replica].in_flight.get_mut(flight)
                    && flight.answer.is_none()
                {
                    flight.answer = Some(self.stream.publish(flight.symbol, &flight.outgoing));
                }
            }
            Action::Answer { replica, flight } => {
                let Side { replica, in_flight, .. } = &mut self.sides[replica];
                if in_flight.get(flight).is_some_and(|flight| flight.answer.is_some()) {
                    let Flight { symbol, answer, .. } = in_flight.remove(flight);
                    replica.end(symbol, answer.unwrap());
                }
            }
            Action::Lose { replica, flight } => {
                let Side { replica, in_flight, .. } = &mut self.sides[replica];
                if flight < in_flight.len() {
                    let flight = in_flight.remove(flight);
                    replica.end(flight.symbol, Published::Unknown("no answer".to_owned()));
                    self.late.push(flight);
                }
            }
            Action::Deliver { replica } => {
                self.sides[replica].deliver(&self.stream, now);
            }
            Action::Interrupt { replica } => {
                let Side { replica, in_flight, .. } = &mut self.sides[replica];
                replica.interrupt("the connection is lost");
                self.late.append(in_flight);
            }
            Action::Restart { replica } => {
                let mut side = Side::new();
                while side.deliver(&self.stream, now) {}
                let Side { replica, in_flight, .. } = &mut std::mem::replace(&mut self.sides[replica], side);
                replica.interrupt("the replica is restarted");
                self.late.append(in_flight);
            }
            Action::ArriveLate { flight } => {
                if flight < self.late.len() {
                    let Flight { symbol, outgoing, answer } = self.late.remove(flight);
                    if answer.is_none() {
                        self.stream.publish(symbol, &outgoing);
                    }
                }
            }
            Action::Expire => {
                let is_old = |side: &Side| side.read == self.stream.messages.len();
                let has_arrived = |side: &Side| side.in_flight.iter().all(|flight| flight.answer.is_some());
                if self.late.is_empty() && self.sides.iter().all(|side| is_old(side) && has_arrived(side)) {
                    self.stream.last.clear();
                }
            }
            Action::Again { replica } => {
                let Side { replica, in_flight, .. } = &mut self.sides[replica];
                let room = MOST_IN_FLIGHT - in_flight.len();
                for (symbol, outgoing) in replica.last_again(now, room) {
                    in_flight.push(Flight { symbol, outgoing, answer: None });
                }
            }
        }
        self.publish();
    }

    /// Publishes what the replicas have, as their thread does after each thing that happens.
    fn publish(&mut self) {
        let now = self.now();
        for Side { replica, in_flight, .. } in &mut self.sides {
            while in_flight.len() < MOST_IN_FLIGHT
                && let Some((symbol, outgoing)) = replica.next(now)
            {
                in_flight.push(Flight { symbol, outgoing, answer: None });
            }
        }
    }

    /// Lets everything arrive.
    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 1_000, "messages are sent without end");
            let read = |world: &Self| world.sides.iter().map(|side| side.read).sum::<usize>();
            let before = (self.stream.messages.len(), read(self));
            let is_quiet = self.late.is_empty() && self.sides.iter().all(|side| side.in_flight.is_empty());
            self.act(Action::ArriveLate { flight: 0 });
            for replica in 0..REPLICAS {
                self.act(Action::Arrive { replica, flight: 0 });
                self.act(Action::Answer { replica, flight: 0 });
                self.act(Action::Deliver { replica });
            }
            if is_quiet && before == (self.stream.messages.len(), read(self)) {
                break;
            }
        }
        self.publishers.iter_mut().for_each(Publisher::read_receipts);
    }
}

proptest! {
    #[test]
    fn every_batch_is_answered_and_what_is_accepted_is_on_every_tape_once(
        actions in prop::collection::vec(action(), 1..120)
    ) {
        let mut world = World::new();
        actions.into_iter().for_each(|action| world.act(action));
        world.settle();
        for Side { replica, .. } in &world.sides {
            prop_assert!(!replica.has_batches());
            prop_assert_eq!((replica.due_ticks(), replica.unread), (0, 0));
        }
        let mut stored = HashMap::<(String, u64), usize>::new();
        let mut prices = HashMap::<String, Vec<i64>>::new();
        for row in world.stream.rows() {
            if let Some((publisher, number)) = &row.number {
                *stored.entry((publisher.to_string(), *number)).or_default() += 1;
                prices.entry(row.symbol.to_string()).or_default().push(row.price().nanos());
            }
        }
        for (name, publisher) in world.publishers.iter().enumerate() {
            prop_assert!(publisher.receipts.is_empty(), "a batch was not answered");
            for (batch, symbols) in publisher.batches.iter().enumerate() {
                let first = publisher.first_number(batch);
                let times = |number| stored.get(&(name.to_string(), number)).copied().unwrap_or(0);
                let counts: Vec<_> = (first..first + symbols.len() as u64).map(times).collect();
                match publisher.stored.get(&batch) {
                    Some((all, new)) => {
                        prop_assert!(counts.iter().all(|count| *count == 1), "{counts:?}");
                        prop_assert_eq!(*all, symbols.len() as u64);
                        prop_assert!(new <= all, "{new} of {all} ticks were accepted");
                    }
                    None => prop_assert!(counts.iter().all(|count| *count <= 1), "{counts:?}"),
                }
            }
        }
        for symbol in SYMBOLS {
            let expected = prices.remove(symbol).unwrap_or_default();
            for side in &world.sides {
                prop_assert_eq!(&side.prices(symbol), &expected, "{}", symbol);
            }
        }
    }
}

#[test]
fn the_sequences_of_a_symbol_go_on_after_the_last_tick_of_its_last_message() {
    let now = Time::from_nanos(1_700_000_000_000_000_000);
    let mut publisher = Publisher::default();
    let mut before = Side::new();
    before.replica.take(publisher.submission("p", vec![0, 0, 0]), now);
    let (symbol, Outgoing { lines, .. }) = before.replica.next(now).unwrap();
    // As if the message had been stored long before those that are read.
    let mut after = Side::new();
    let tick = message::read(&lines, &symbol).map(|mut rows| rows.pop().unwrap());
    after.replica.apply_last(LastMessage { symbol, sequence: 17, stored: now, tick });
    assert_eq!(after.series("A").unwrap().last(), Sequence(3));
    after.replica.take(publisher.submission("q", Vec::new()), now);
    let (again, outgoing) = after.replica.next(now).unwrap();
    assert_eq!((again, outgoing.after), (symbol, 17));
    let row = message::read(&outgoing.lines, &symbol).unwrap().remove(0);
    assert_eq!(row.sequence(), Sequence(4));
}
