//! Claims about what is sent again, against a model of a server whose connections are lost at any moment.

use std::collections::{BTreeMap, VecDeque};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    client::{PublishTotals, RejectionCode},
    contract::v1,
    tick::Price,
};

const SYMBOLS: [&str; 3] = ["A", "B", "C"];

/// Ticks with this price are rejected.
const REJECTED: i64 = 7;

/// What is stored, which all replicas share, and what is under way on the connection.
#[derive(Default)]
struct Server {
    /// The stored ticks, in order: number and price.
    stored: Vec<(u64, i64)>,
    /// The last stored number of each symbol.
    last: BTreeMap<String, u64>,
    requests: VecDeque<PublishStreamRequest>,
    answers: VecDeque<PublishStreamResponse>,
}

#[derive(Clone, Debug)]
enum Step {
    Publish(Vec<(usize, i64)>),
    Send,
    Store,
    Answer,
    Lose,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ticks = vec((0..SYMBOLS.len(), 1..=8i64), 1..5);
    vec(
        prop_oneof![
            3 => ticks.prop_map(Step::Publish),
            3 => Just(Step::Send),
            3 => Just(Step::Store),
            3 => Just(Step::Answer),
            1 => Just(Step::Lose),
        ],
        0..120,
    )
}

impl Server {
    fn store(&mut self) {
        let Some(request) = self.requests.pop_front() else { return };
        let mut answer = PublishStreamResponse { request_id: request.request_id, ..Default::default() };
        for ((index, number), tick) in (0..).zip(request.first_number..).zip(request.ticks) {
            let last = self.last.entry(tick.symbol.clone()).or_default();
            if number <= *last {
                answer.duplicates += 1;
            } else if tick.price_nanos == REJECTED {
                answer.rejected += 1;
                let code = v1::RejectionCode::InvalidPrice.into();
                answer.rejected_ticks.push(v1::RejectedTick { index, code, ..Default::default() });
            } else {
                answer.accepted += 1;
                *last = number;
                self.stored.push((number, tick.price_nanos));
            }
        }
        self.answers.push_back(answer);
    }
}

fn outbox() -> Outbox {
    Outbox::new(PublisherOptions::default().with_publisher_id("me"))
}

fn tick(symbol: usize, nanos: i64) -> NewTick {
    NewTick::new(SYMBOLS[symbol].parse().unwrap(), Price::from_nanos(nanos).unwrap(), 1)
}

/// A publisher at a server, and what it has learned.
#[derive(Default)]
struct Run {
    server: Server,
    published: Vec<(u64, i64)>,
    receipts: Vec<Receipt>,
}

impl Run {
    fn step(&mut self, outbox: &mut Outbox, step: Step) {
        match step {
            Step::Publish(ticks) if outbox.has_room() => {
                let numbers = self.published.len() as u64 + 1..;
                self.published.extend(numbers.zip(ticks.iter().map(|(_, nanos)| *nanos)));
                outbox.push(&ticks.iter().map(|(symbol, nanos)| tick(*symbol, *nanos)).collect::<Vec<_>>());
            }
            Step::Publish(_) => {}
            Step::Send => self.server.requests.extend(outbox.next_to_send()),
            Step::Store => self.server.store(),
            Step::Answer => {
                let answer = self.server.answers.pop_front();
                self.receipts.extend(answer.map(|answer| outbox.answered(answer).unwrap()));
            }
            Step::Lose => {
                self.server.requests.clear();
                self.server.answers.clear();
                outbox.lost();
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_lost_each_tick_is_stored_once_and_in_order_and_answered_once(steps in steps()) {
        let (mut run, mut outbox) = (Run::default(), outbox());
        for step in steps {
            run.step(&mut outbox, step);
            prop_assert!(outbox.unanswered.len() <= Outbox::MOST_REQUESTS);
        }
        while outbox.unanswered() > 0 {
            [Step::Send, Step::Store, Step::Answer].into_iter().for_each(|step| run.step(&mut outbox, step));
        }
        let accepted: Vec<_> =
            run.published.iter().copied().filter(|(_, nanos)| *nanos != REJECTED).collect();
        prop_assert_eq!(&run.server.stored, &accepted);
        let mut totals = PublishTotals::default();
        let mut next = 1;
        for receipt in &run.receipts {
            prop_assert_eq!(receipt.first_number, next);
            next += receipt.ticks;
            totals.add(receipt);
        }
        prop_assert_eq!(next, run.published.len() as u64 + 1);
        prop_assert_eq!(totals.ticks(), run.published.len() as u64);
        // The ticks of a lost answer are accepted, and counted as duplicates.
        prop_assert!(totals.accepted + totals.duplicates >= accepted.len() as u64);
    }
}

#[test]
fn a_stream_that_follows_is_sent_the_same_requests_again() {
    let mut outbox = outbox();
    outbox.push(&[tick(0, 1), tick(1, 2)]);
    outbox.push(&[tick(2, 3)]);
    let sent = [outbox.next_to_send(), outbox.next_to_send()];
    assert_eq!(outbox.next_to_send(), None);
    let numbers = sent.each_ref().map(|request| request.as_ref().map(|request| request.first_number));
    assert_eq!(numbers, [Some(1), Some(3)]);
    outbox.lost();
    assert_eq!([outbox.next_to_send(), outbox.next_to_send()], sent);
    assert_eq!(outbox.greeting().first_number, 1);
}

#[test]
fn a_rejection_has_the_number_of_its_tick() {
    let mut outbox = outbox();
    outbox.push(&[tick(0, 1)]);
    outbox.push(&[tick(0, 1), tick(0, REJECTED)]);
    let mut server = Server::default();
    server.requests.extend([outbox.next_to_send(), outbox.next_to_send()].into_iter().flatten());
    server.store();
    server.store();
    let receipts = server.answers.into_iter().map(|answer| outbox.answered(answer).unwrap());
    let rejected: Vec<_> = receipts.flat_map(|receipt| receipt.rejected).collect();
    assert_eq!((rejected.len(), rejected[0].number), (1, 3));
    assert_eq!(rejected[0].code, RejectionCode::InvalidPrice);
}

#[test]
fn an_answer_that_is_not_the_next_one_or_has_other_counts_is_malformed() {
    let mut outbox = outbox();
    let answer = PublishStreamResponse { request_id: 1, accepted: 1, ..Default::default() };
    assert!(outbox.answered(answer.clone()).is_err(), "nothing was published");
    outbox.push(&[tick(0, 1)]);
    assert!(outbox.answered(answer.clone()).is_err(), "nothing was sent");
    outbox.next_to_send().unwrap();
    for broken in [
        PublishStreamResponse { request_id: 2, ..answer.clone() },
        PublishStreamResponse { accepted: 2, ..answer.clone() },
        PublishStreamResponse { accepted: 0, rejected: 1, ..answer.clone() },
        PublishStreamResponse { rejected: u64::MAX, ..answer.clone() },
    ] {
        assert!(outbox.answered(broken.clone()).is_err(), "{broken:?}");
    }
    assert!(outbox.answered(answer).is_ok());
    assert_eq!(outbox.unanswered(), 0);
}

#[test]
fn a_full_request_of_the_longest_ticks_is_within_the_limit_of_the_server() {
    use prost::Message;

    use crate::{
        client::{BidAsk, PriceLevel},
        tick::Time,
    };

    let level = PriceLevel { price: Price::from_nanos(i64::MAX).unwrap(), quantity: u64::MAX };
    let longest = NewTick::new("A".repeat(32).parse().unwrap(), level.price, u64::MAX)
        .with_time(Time::MAX)
        .with_bid_ask(BidAsk { bid: level, ask: level });
    let options = PublisherOptions::default().with_publisher_id("p".repeat(64));
    let mut outbox = Outbox::new(options.with_first_number(std::num::NonZeroU64::MAX));
    outbox.push(&[longest; Outbox::MOST_TICKS]);
    assert!(outbox.next_to_send().unwrap().encoded_len() <= 128 * 1024);
}
