//! A limit on what is held at the same time, such as unsent bytes.

use std::{
    cmp::Ordering,
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    task::{Context, Poll, Waker},
};

/// Counts what is held against a limit. Tasks that want to hold more wait while the limit is reached. The size of an answer is
/// known only when it is made, so the last one may exceed the limit.
pub(super) struct Budget {
    max: usize,
    used: AtomicUsize,
    next_place: AtomicU64,
    is_waited_for: AtomicBool,
    waiting: Mutex<BTreeMap<u64, Waker>>,
}

/// An amount that is held until this is dropped.
pub struct Held {
    budget: Arc<Budget>,
    amount: usize,
}

/// A place among those that wait for room. Dropping it gives the place up.
pub(super) struct BudgetWaiter {
    budget: Arc<Budget>,
    number: u64,
    is_waiting: bool,
}

impl Budget {
    /// A budget of this size.
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            used: AtomicUsize::new(0),
            next_place: AtomicU64::new(0),
            is_waited_for: AtomicBool::new(false),
            waiting: Mutex::default(),
        }
    }

    /// How much is held.
    pub(super) fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// Whether more may be held.
    pub(super) fn has_room(&self) -> bool {
        self.used.load(SeqCst) < self.max
    }

    /// Holds so much more.
    pub(super) fn take(&self, amount: usize) {
        self.used.fetch_add(amount, SeqCst);
    }

    /// Holds so much less. When there is room again, all who wait for it are woken.
    pub(super) fn give_back(&self, amount: usize) {
        let before = self.used.fetch_sub(amount, SeqCst);
        let has_room_again = before >= self.max && self.has_room() || before == amount;
        if has_room_again && self.is_waited_for.swap(false, SeqCst) {
            let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            waiting.into_values().for_each(Waker::wake);
        }
    }

    /// Holds so much more until the returned guard is dropped.
    pub(super) fn hold(self: &Arc<Self>, amount: usize) -> Held {
        self.take(amount);
        Held { budget: self.clone(), amount }
    }

    /// Counts `after` in place of `before`.
    pub(super) fn change(&self, before: usize, after: usize) {
        match after.cmp(&before) {
            Ordering::Greater => self.take(after - before),
            Ordering::Less => self.give_back(before - after),
            Ordering::Equal => {}
        }
    }

    /// A place that waits for nothing yet.
    pub(super) fn place(self: &Arc<Self>) -> BudgetWaiter {
        BudgetWaiter {
            budget: self.clone(),
            number: self.next_place.fetch_add(1, Relaxed),
            is_waiting: false,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.give_back(self.amount);
    }
}

impl BudgetWaiter {
    /// A number that no other place of the budget has.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Ready when there is room, which is not taken yet; otherwise the task is woken when there is.
    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.budget.has_room() {
            return Poll::Ready(());
        }
        self.wait(cx);
        // What was given back before the line above has woken nobody.
        if self.budget.has_room() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Wakes the task when there is room again, or when nothing is held any more.
    pub(super) fn wait(&mut self, cx: &mut Context<'_>) {
        let mut waiting = self.budget.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(self.number, cx.waker().clone());
        self.is_waiting = true;
        self.budget.is_waited_for.store(true, SeqCst);
    }
}

impl Drop for BudgetWaiter {
    fn drop(&mut self) {
        if self.is_waiting {
            self.budget.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn those_who_wait_for_room_are_woken_once_when_there_is_some() {
        let budget = Arc::new(Budget::new(10));
        let (mut one, mut gone) = (budget.place(), budget.place());
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        budget.take(9);
        assert!(one.poll_room(&mut cx).is_ready());
        budget.take(25);
        assert!(one.poll_room(&mut cx).is_pending() && one.poll_room(&mut cx).is_pending());
        assert!(gone.poll_room(&mut cx).is_pending());
        drop(gone);
        budget.give_back(24);
        assert_eq!((budget.used(), woken.0.load(Relaxed)), (10, 0));
        budget.give_back(1);
        assert_eq!(woken.0.load(Relaxed), 1);
        budget.give_back(9);
        assert_eq!((budget.used(), woken.0.load(Relaxed)), (0, 1));
        assert!(one.poll_room(&mut cx).is_ready());
    }
}
