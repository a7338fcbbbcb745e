//! Leaves out polls that cannot have a result, because nothing has woken the task since the last one.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
};

/// Something that is polled only after it has woken its task. To poll `h2` costs more than to send a frame, and a task has other
/// reasons to be woken.
pub(super) struct Quiet {
    shared: Arc<Shared>,
    waker: Waker,
    /// The task that was polled last.
    task: Option<Waker>,
    /// How often the task had been woken before the last poll; `None` if the next poll is to be made in any case.
    seen: Option<u32>,
}

/// What several things that one task polls share, so that there is one place in memory to look at.
struct Shared {
    /// How often the task was woken.
    wakes: AtomicU32,
    task: Mutex<Option<Waker>>,
}

impl Quiet {
    pub(super) fn new() -> Self {
        Self::of(Arc::new(Shared { wakes: AtomicU32::new(0), task: Mutex::new(None) }))
    }

    /// For something else that the same task polls. If one of them wakes the task, both are polled.
    pub(super) fn beside(&self) -> Self {
        Self::of(self.shared.clone())
    }

    fn of(shared: Arc<Shared>) -> Self {
        Self { waker: shared.clone().into(), shared, task: None, seen: None }
    }

    /// Calls `poll`, unless it would return the same as the last time: pending.
    pub(super) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if !self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            self.task = Some(cx.waker().clone());
            *self.shared.task.lock().unwrap_or_else(PoisonError::into_inner) = self.task.clone();
        }
        let wakes = Some(self.shared.wakes.load(Relaxed));
        if self.seen == wakes {
            return Poll::Pending;
        }
        self.seen = wakes;
        let polled = poll(&mut Context::from_waker(&self.waker));
        if polled.is_ready() {
            self.note_woken();
        }
        polled
    }

    /// The next poll is made: something was done to what is polled.
    pub(super) fn note_woken(&mut self) {
        self.seen = None;
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wakes.fetch_add(1, Relaxed);
        if let Some(task) = &*self.task.lock().unwrap_or_else(PoisonError::into_inner) {
            task.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn it_is_polled_only_after_it_has_woken_its_task() {
        let (mut quiet, task) = (Quiet::new(), Arc::new(Count::default()));
        let waker = Waker::from(task.clone());
        let cx = &mut Context::from_waker(&waker);
        let mut inner = None;
        let mut polls = 0;
        let mut poll = |quiet: &mut Quiet, cx: &mut Context<'_>, result: Poll<()>| {
            let polled = quiet.poll(cx, |cx| {
                inner = Some(cx.waker().clone());
                polls += 1;
                result
            });
            (polled, polls, inner.clone().unwrap())
        };
        // Before it was ever polled it may have a result; and after one result there may be another.
        assert_eq!(poll(&mut quiet, cx, Poll::Ready(())).1, 1);
        assert_eq!(poll(&mut quiet, cx, Poll::Ready(())).1, 2);
        assert_eq!(poll(&mut quiet, cx, Poll::Pending).1, 3);
        let (polled, polls, inner) = poll(&mut quiet, cx, Poll::Ready(()));
        assert_eq!((polled, polls), (Poll::Pending, 3), "nothing has woken");
        inner.wake_by_ref();
        assert_eq!(task.0.load(Relaxed), 1);
        assert_eq!(poll(&mut quiet, cx, Poll::Pending).1, 4);
        quiet.note_woken();
        assert_eq!(poll(&mut quiet, cx, Poll::Pending).1, 5);

        // Another one that the task polls is woken with it.
        let mut beside = quiet.beside();
        assert_eq!(poll(&mut beside, cx, Poll::Pending).1, 6);
        assert_eq!(poll(&mut quiet, cx, Poll::Pending).1, 6);
        inner.wake_by_ref();
        assert_eq!(task.0.load(Relaxed), 2);
        assert_eq!(poll(&mut beside, cx, Poll::Ready(())).1, 7);
        assert_eq!(poll(&mut quiet, cx, Poll::Pending).1, 8);
        assert_eq!(poll(&mut quiet, cx, Poll::Pending).1, 8, "a result of the other one is none of this one");

        // Another task that polls it is the one that is woken.
        let other = Arc::new(Count::default());
        let waker = Waker::from(other.clone());
        assert_eq!(poll(&mut quiet, &mut Context::from_waker(&waker), Poll::Pending).1, 8);
        inner.wake();
        assert_eq!((task.0.load(Relaxed), other.0.load(Relaxed)), (2, 1));
    }
}
