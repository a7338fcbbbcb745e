//! Live ticks first: everything else that a worker does takes turns.
//!
//! Reading requests, subscribing, reading the past, unary calls and cleaning up after a client that has left may each take
//! long. At most one of them works at a time on the thread of a worker, for about [`Turn::LENGTH`]. Between two turns the
//! runtime looks at its sockets and timers, and the streams of live ticks run. So a live tick waits for one turn at most,
//! however many clients ask for however much.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use tokio::{sync::Notify, task::yield_now};

/// The turns of one worker, first come, first served. Clones share them.
#[derive(Clone, Default)]
pub struct Turns(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Notified when a turn ends.
    ended: Notify,
}

#[derive(Default)]
struct State {
    next_number: u64,
    /// By number, so in the order in which they came.
    waiting: BTreeMap<u64, Waker>,
    holder: Option<u64>,
    /// A turn has ended, and the runtime has not looked at its sockets and timers since.
    pausing: bool,
}

/// One task's place among those that wait for a turn. Dropping it gives the place up.
pub struct Ticket {
    turns: Turns,
    number: Option<u64>,
}

/// The right to do long work until its end. Return it with [`Ticket::give_up`].
#[derive(Clone, Copy)]
pub struct Turn {
    end: Instant,
}

impl Turns {
    /// Grants turns for ever. One task of each worker runs this.
    pub async fn grant(self) {
        loop {
            self.0.ended.notified().await;
            // The runtime looks at its sockets and timers before a task that yields runs again.
            yield_now().await;
            self.lock().grant_next();
        }
    }

    /// A place that waits for nothing yet.
    pub fn ticket(&self) -> Ticket {
        Ticket { turns: self.clone(), number: None }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn grant_next(&mut self) {
        self.pausing = false;
        if let Some((number, waker)) = self.waiting.pop_first() {
            self.holder = Some(number);
            waker.wake();
        }
    }
}

impl Ticket {
    /// Waits for a turn. Cancel safe: the place is kept until the turn has come.
    pub async fn turn(&mut self) -> Turn {
        poll_fn(|cx| self.poll_turn(cx)).await
    }

    /// The turn, if it has come; otherwise the task is woken when it comes.
    pub fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let state = &mut *self.turns.lock();
        let number = *self.number.get_or_insert_with(|| {
            state.next_number += 1;
            state.next_number
        });
        if state.holder.is_none() && !state.pausing && state.waiting.is_empty() {
            state.holder = Some(number);
        }
        if state.holder == Some(number) {
            return Poll::Ready(Turn { end: Instant::now() + Turn::LENGTH });
        }
        let waker = state.waiting.entry(number).or_insert_with(|| cx.waker().clone());
        waker.clone_from(cx.waker());
        Poll::Pending
    }

    /// Ends a turn that has come, or gives up the place that waits for one.
    pub fn give_up(&mut self) {
        let Some(number) = self.number.take() else { return };
        let mut state = self.turns.lock();
        if state.holder == Some(number) {
            state.holder = None;
            state.pausing = true;
            drop(state);
            self.turns.0.ended.notify_one();
        } else {
            state.waiting.remove(&number);
        }
    }

    /// Whether a turn has come that is not given up.
    pub fn has_turn(&self) -> bool {
        self.number.is_some() && self.turns.lock().holder == self.number
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

    /// Runs tasks on one thread beside the task that grants turns.
    async fn beside_grants(turns: &Turns, work: impl Future<Output = ()>) {
        tokio::select! {
            () = turns.clone().grant() => {}
            () = work => {}
        }
    }

    #[tokio::test]
    async fn turns_come_one_at_a_time_and_in_the_order_in_which_they_were_asked_for() {
        let turns = Turns::default();
        let log = RefCell::new(Vec::new());
        let task = async |name: usize| {
            let mut ticket = turns.ticket();
            for _ in 0..3 {
                ticket.turn().await;
                log.borrow_mut().push(name);
                // Nobody else has a turn meanwhile, although others run.
                let length = log.borrow().len();
                yield_now().await;
                assert_eq!(log.borrow().len(), length);
                ticket.give_up();
            }
        };
        let all = async {
            tokio::join!(task(0), task(1), task(2), task(3));
        };
        beside_grants(&turns, all).await;
        assert_eq!(log.into_inner(), [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]);
    }

    #[tokio::test]
    async fn the_first_turn_comes_at_once_and_the_next_after_the_runtime_has_looked_around() {
        let turns = Turns::default();
        let (mut one, mut other) = (turns.ticket(), turns.ticket());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(one.poll_turn(&mut cx).is_ready());
        one.give_up();
        assert!(one.poll_turn(&mut cx).is_pending());
        assert!(other.poll_turn(&mut cx).is_pending());
        let waits = async {
            one.turn().await;
            one.give_up();
            other.turn().await;
        };
        beside_grants(&turns, waits).await;
    }

    #[tokio::test]
    async fn a_turn_that_is_given_up_goes_to_the_next() {
        let turns = Turns::default();
        let (mut one, mut other, mut third) = (turns.ticket(), turns.ticket(), turns.ticket());
        let mut cx = Context::from_waker(Waker::noop());
        one.turn().await;
        one.give_up();
        assert!(one.poll_turn(&mut cx).is_pending());
        assert!(other.poll_turn(&mut cx).is_pending());
        assert!(third.poll_turn(&mut cx).is_pending());
        turns.lock().grant_next();
        assert!(one.has_turn());
        one.give_up();
        drop(other);
        let waits = async {
            third.turn().await;
        };
        beside_grants(&turns, waits).await;
        assert!(turns.lock().waiting.is_empty());
    }
}
