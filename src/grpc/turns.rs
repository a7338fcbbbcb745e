//! Turns: how a worker shares its thread so that live ticks are never delayed for long.
//!
//! Reading requests, subscribing, reading the past, unary calls and cleaning up after a client that has left may each take
//! long. They are done in turns: one task at a time works on the thread of a worker, for about [`Turn::LENGTH`]. Between two
//! turns the runtime polls its sockets and timers and the streams of live ticks. So a live tick waits for one turn at most,
//! whatever clients ask for.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use tokio::{sync::Notify, task::yield_now};

/// The turns of one worker, shared evenly between connections. Clones share them.
#[derive(Clone, Default)]
pub struct Turns(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Notified when a turn begins while nobody waits.
    begun: Notify,
}

#[derive(Default)]
struct State {
    /// The round of the turn that was granted last.
    round: u64,
    next_number: u64,
    waiting: BTreeMap<Place, Waker>,
    /// Whose turn it is.
    holder: Option<Place>,
    /// A turn has begun or was asked for, and the runtime has not looked at its sockets and timers since.
    is_taken: bool,
    /// Until then no turn is granted.
    held_until: Option<Instant>,
}

/// A round, and the number that tells places of one round apart. Those with the least come first.
type Place = (u64, u64);

/// A party that shares the turns with others: a connection with all of its streams, or a task of the worker. Each share has
/// one turn in a round, however many of its tasks wait. Clones are the same share.
#[derive(Clone, Default)]
pub struct TurnShare(Arc<AtomicU64>);

/// One task's place among those that wait for a turn. Dropping it gives the place up.
pub struct Ticket {
    turns: Turns,
    share: TurnShare,
    place: Option<Place>,
}

/// Holds back all turns of a worker until it is dropped, or its time is over.
pub struct Hold(Turns);

/// The right to do long work until its end. Return it with [`Ticket::give_up`].
#[derive(Clone, Copy)]
pub struct Turn {
    end: Instant,
}

impl Turns {
    /// Grants turns for ever. One task of each worker runs this, on a runtime of one thread.
    ///
    /// A turn is for one poll of a task: a task that was woken for its turn has run before this one runs again. So a task
    /// that cannot use its turn holds up nobody.
    pub async fn grant(self) {
        loop {
            self.0.begun.notified().await;
            loop {
                // The runtime looks at its sockets and timers before a task that yields runs again.
                yield_now().await;
                if self.lock().is_held() {
                    continue;
                }
                let next = self.lock().next();
                match next {
                    Some(waker) => waker.wake(),
                    None => break,
                }
            }
        }
    }

    /// Grants no turn from now on, for at most so long.
    pub fn hold(&self, most: Duration) -> Hold {
        let state = &mut *self.lock();
        state.held_until = Some(Instant::now() + most);
        state.holder = None;
        Hold(self.clone())
    }

    /// A place that waits for nothing yet.
    pub fn ticket(&self, share: &TurnShare) -> Ticket {
        Ticket { turns: self.clone(), share: share.clone(), place: None }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_held(&self) -> bool {
        self.held_until.is_some_and(|until| Instant::now() < until)
    }

    /// Gives the turn to the first in the order, who is to be woken.
    fn next(&mut self) -> Option<Waker> {
        let next = self.waiting.pop_first();
        self.is_taken = next.is_some();
        self.holder = next.as_ref().map(|(place, _)| *place);
        self.round = self.holder.map_or(self.round, |(round, _)| round);
        next.map(|(_, waker)| waker)
    }

    /// A place in the first round in which the share has none.
    fn place(&mut self, share: &TurnShare) -> Place {
        let round = self.round.max(share.0.load(Relaxed));
        share.0.store(round + 1, Relaxed);
        self.next_number += 1;
        (round, self.next_number)
    }
}

impl Ticket {
    /// Waits for a turn, which is over when the task waits for anything else. Cancel safe: the place is kept until the turn
    /// has come.
    pub async fn turn(&mut self) -> Turn {
        poll_fn(|cx| self.poll_turn(cx)).await
    }

    /// The turn, if it has come; otherwise the task is woken when it comes. A turn that is not used in the poll for which the
    /// task was woken is lost, and has to be asked for again.
    pub fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let state = &mut *self.turns.lock();
        let is_lost = |place: &mut Place| state.holder != Some(*place) && !state.waiting.contains_key(place);
        self.place.take_if(is_lost);
        let place = *self.place.get_or_insert_with(|| state.place(&self.share));
        if !state.is_taken {
            state.is_taken = true;
            state.holder = Some(place).filter(|_| !state.is_held());
            self.turns.0.begun.notify_one();
        }
        if state.holder == Some(place) {
            return Poll::Ready(Turn { end: Instant::now() + Turn::LENGTH });
        }
        let waker = state.waiting.entry(place).or_insert_with(|| cx.waker().clone());
        waker.clone_from(cx.waker());
        Poll::Pending
    }

    /// Ends a turn that has come, or gives up the place that waits for one.
    pub fn give_up(&mut self) {
        let Some(place) = self.place.take() else { return };
        let state = &mut *self.turns.lock();
        state.waiting.remove(&place);
        state.holder.take_if(|holder| *holder == place);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.lock().held_until = None;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl Turn {
    /// Length of a turn. The piece of work during which it ends is completed.
    pub const LENGTH: Duration = Duration::from_micros(200);

    /// Whether the work has to stop.
    pub fn is_over(self) -> bool {
        Instant::now() >= self.end
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Turns that a task of their own grants, until the test ends.
    fn granted() -> Turns {
        let turns = Turns::default();
        tokio::spawn(turns.clone().grant());
        turns
    }

    #[tokio::test]
    async fn turns_come_one_at_a_time_and_in_the_order_in_which_they_were_asked_for() {
        let turns = granted();
        let log = RefCell::new(Vec::new());
        let task = async |name: usize| {
            let mut ticket = turns.ticket(&TurnShare::default());
            for _ in 0..3 {
                ticket.turn().await;
                log.borrow_mut().push(name);
                ticket.give_up();
            }
        };
        let all = async {
            tokio::join!(task(0), task(1), task(2), task(3));
        };
        all.await;
        assert_eq!(log.into_inner(), [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]);
    }

    #[tokio::test]
    async fn while_turns_are_held_nobody_has_one_and_afterwards_everybody() {
        let turns = granted();
        let log = RefCell::new(Vec::new());
        let task = async |name: usize| {
            let mut ticket = turns.ticket(&TurnShare::default());
            for _ in 0..3 {
                ticket.turn().await;
                log.borrow_mut().push(name);
                yield_now().await;
            }
        };
        let holding = async {
            let hold = turns.hold(Duration::from_secs(3600));
            let before = log.borrow().len();
            for _ in 0..100 {
                yield_now().await;
            }
            assert_eq!(log.borrow().len(), before);
            drop(hold);
            // It is forgotten here, and its time is over at once.
            std::mem::forget(turns.hold(Duration::ZERO));
        };
        let all = async {
            // The first task has a turn already when turns are held.
            tokio::join!(task(0), holding, task(1), task(2));
        };
        all.await;
        let mut names = log.into_inner();
        names.sort_unstable();
        assert_eq!(names, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
    }

    #[tokio::test]
    async fn many_tasks_of_one_connection_have_no_more_turns_than_one_task_of_another() {
        let turns = granted();
        let log = RefCell::new(String::new());
        let task = async |share: &TurnShare, name: char, times: usize| {
            let mut ticket = turns.ticket(share);
            for _ in 0..times {
                ticket.turn().await;
                log.borrow_mut().push(name);
                ticket.give_up();
            }
        };
        let (many, few) = (TurnShare::default(), TurnShare::default());
        let all = async {
            let greedy = async {
                tokio::join!(
                    task(&many, 'm', 4),
                    task(&many, 'm', 4),
                    task(&many, 'm', 4),
                    task(&many, 'm', 4)
                )
            };
            tokio::join!(greedy, task(&few, 'f', 4));
        };
        all.await;
        let log = log.into_inner();
        let last = log.rfind('f').unwrap();
        assert!(last <= 8, "{log}");
        assert_eq!(log.len(), 20);
    }

    #[tokio::test]
    async fn the_first_turn_comes_at_once_and_the_next_after_the_runtime_has_looked_around() {
        let turns = granted();
        let share = TurnShare::default();
        let (mut one, mut other) = (turns.ticket(&share), turns.ticket(&share));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(one.poll_turn(&mut cx).is_ready());
        one.give_up();
        assert!(one.poll_turn(&mut cx).is_pending());
        assert!(other.poll_turn(&mut cx).is_pending());
        let waits = async {
            one.turn().await;
            other.turn().await;
        };
        waits.await;
    }

    #[tokio::test]
    async fn a_turn_that_is_not_used_or_given_up_goes_to_the_next() {
        let turns = granted();
        let mut tickets: Vec<_> = (0..4).map(|_| turns.ticket(&TurnShare::default())).collect();
        let mut cx = Context::from_waker(Waker::noop());
        tickets[0].turn().await;
        for ticket in &mut tickets[1..] {
            assert!(ticket.poll_turn(&mut cx).is_pending());
        }
        // The first keeps its turn, the second does not use it, and the third is gone.
        drop(tickets.remove(2));
        let waits = async {
            tickets[2].turn().await;
        };
        waits.await;
        assert!(turns.lock().waiting.is_empty());
        // What was lost can be asked for again.
        let waits = async {
            tickets[1].turn().await;
        };
        waits.await;
    }
}
