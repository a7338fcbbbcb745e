//! Limits of how often something may be done.

use tokio::time::Instant;

/// A token bucket: fills at a constant rate up to its size, and each use takes from it.
#[derive(Debug)]
pub struct Rate {
    per_second: f64,
    size: f64,
    /// Below zero after a use that took more than there was.
    left: f64,
    updated: Instant,
}

impl Rate {
    /// A full bucket.
    pub fn new(per_second: f64, size: f64) -> Self {
        Self { per_second, size, left: size, updated: Instant::now() }
    }

    /// Takes `amount`, if the bucket is not empty. It may take more than there is; then the bucket is empty for longer. False
    /// when it is empty, and nothing is taken.
    pub fn take(&mut self, amount: f64) -> bool {
        let has_some = self.has_some();
        if has_some {
            self.left -= amount;
        }
        has_some
    }

    /// Whether the bucket is not empty.
    pub fn has_some(&mut self) -> bool {
        let now = Instant::now();
        let passed = now.duration_since(self.updated).as_secs_f64();
        self.left = (self.left + passed * self.per_second).min(self.size);
        self.updated = now;
        self.left >= 1.0
    }

    /// Whether the bucket is full, as it was at first.
    pub fn is_full(&mut self) -> bool {
        self.has_some();
        self.left >= self.size
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_bucket_allows_its_size_at_once_and_then_its_rate() {
        let mut rate = Rate::new(10.0, 20.0);
        assert_eq!((0..30).filter(|_| rate.take(1.0)).count(), 20);
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!((0..30).filter(|_| rate.take(1.0)).count(), 5);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(rate.is_full());
        assert!(rate.take(120.0), "one use may take more than there is");
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(!rate.take(1.0));
        tokio::time::advance(Duration::from_millis(200)).await;
        assert!(rate.take(1.0));
    }
}
