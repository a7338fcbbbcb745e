//! When a connection was last read, and since when its writes are blocked, for the task that checks its timeouts.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    task::Poll,
    time::Duration,
};

use tokio::time::Instant;

const NOT_BLOCKED: u64 = u64::MAX;

/// When a connection was last read, and since when its writes are blocked.
pub(super) struct Activity {
    began: Instant,
    /// Milliseconds since it began.
    last_read: AtomicU64,
    /// Milliseconds since it began, or [`NOT_BLOCKED`].
    blocked_since: AtomicU64,
}

impl Activity {
    pub(super) fn new() -> Self {
        let (last_read, blocked_since) = (AtomicU64::new(0), AtomicU64::new(NOT_BLOCKED));
        Self { began: Instant::now(), last_read, blocked_since }
    }

    /// When something was last read.
    pub(super) fn last_read(&self) -> Instant {
        self.began + Duration::from_millis(self.last_read.load(Relaxed))
    }

    /// Since when the peer takes nothing of what there is to write; `None` when nothing waits.
    pub(super) fn blocked_since(&self) -> Option<Instant> {
        match self.blocked_since.load(Relaxed) {
            NOT_BLOCKED => None,
            millis => Some(self.began + Duration::from_millis(millis)),
        }
    }

    /// Whether the peer takes nothing of what there is to write.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked_since.load(Relaxed) != NOT_BLOCKED
    }

    /// Notes that something was read.
    pub(super) fn note_read(&self) {
        self.last_read.store(self.now(), Relaxed);
    }

    /// Notes the result of a write.
    pub(super) fn note_write(&self, polled: &Poll<io::Result<usize>>) {
        let is_blocked = self.is_blocked();
        match polled {
            Poll::Pending if !is_blocked => self.blocked_since.store(self.now(), Relaxed),
            Poll::Ready(_) if is_blocked => self.blocked_since.store(NOT_BLOCKED, Relaxed),
            _ => {}
        }
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }
}
