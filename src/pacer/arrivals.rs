//! The watched instruments on which a tick has arrived, as reported by the threads that append ticks.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Wake, Waker},
};

use tokio::sync::Notify;

/// The ids of instruments on which a tick has arrived. Any thread may add to them, and the pacer takes them.
#[derive(Default)]
pub struct Arrivals {
    ids: Mutex<Vec<u32>>,
    /// Notified when there are ids to take.
    added: Notify,
    /// Notified when there are [`Arrivals::MANY`].
    many: Notify,
}

/// Wakes the pacer for one instrument.
struct ArrivalWaker {
    id: u32,
    arrivals: Arc<Arrivals>,
}

impl Arrivals {
    /// So many are taken before the flush that hands them out, so that it has less to do: taking them lasts about 100 µs.
    const MANY: usize = 512;

    /// Waits until a tick has arrived on an instrument that waits for one. May return early. Cancel safe.
    pub async fn wait(&self) {
        self.added.notified().await;
    }

    /// Waits until ticks have arrived on many instruments. May return early. Cancel safe.
    pub async fn wait_for_many(&self) {
        self.many.notified().await;
    }

    /// A waker that adds `id`.
    pub(super) fn waker(self: &Arc<Self>, id: u32) -> Waker {
        Arc::new(ArrivalWaker { id, arrivals: self.clone() }).into()
    }

    /// Moves the ids that were added to `ids`. An id may come several times, and may not be watched any more.
    pub(super) fn take(&self, ids: &mut Vec<u32>) {
        ids.append(&mut self.ids.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Wake for ArrivalWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut ids = self.arrivals.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.push(self.id);
        match ids.len() {
            1 => self.arrivals.added.notify_one(),
            Arrivals::MANY => self.arrivals.many.notify_one(),
            _ => {}
        }
    }
}
