//! Long work, done away from the threads that deliver live ticks.

use std::{num::NonZeroUsize, sync::Arc, thread};

use tokio::{sync::Semaphore, task};
use tokio_util::sync::CancellationToken;

use super::status::Failure;

/// Does as much work at once as there are cores, for all workers together. Other work waits for its turn.
#[derive(Clone)]
pub struct Offload {
    turns: Arc<Semaphore>,
}

impl Default for Offload {
    /// One for all workers of a server.
    fn default() -> Self {
        Self::with_turns(thread::available_parallelism().map_or(1, NonZeroUsize::get))
    }
}

impl Offload {
    fn with_turns(turns: usize) -> Self {
        Self { turns: Arc::new(Semaphore::new(turns)) }
    }

    /// Does work on a thread of its own. The work is told when nobody waits for it any more, and should end soon then.
    ///
    /// # Errors
    /// Those of the work, and that the server is stopping.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the token that the work was given. Work that has no turn yet is not begun.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&CancellationToken) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| Failure::Stopping)?;
        let abandoned = CancellationToken::new();
        let _abandons_on_drop = abandoned.clone().drop_guard();
        let working = task::spawn_blocking(move || {
            let_live_ticks_go_first();
            let result = work(&abandoned);
            drop(turn);
            result
        });
        match working.await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Failure::Stopping),
            },
        }
    }
}

/// Gives this thread the lowest priority, so that work on every core does not hold up the workers.
fn let_live_ticks_go_first() {
    // On Linux it is the thread that has the priority. Where it cannot be changed the work is done all the same.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, 19);
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::task::{JoinHandle, yield_now};

    use super::*;

    /// Begins work that reports that it has begun and goes on until nobody waits for it.
    fn endless(offload: &Offload, begun: &mpsc::Sender<thread::ThreadId>) -> JoinHandle<Result<(), Failure>> {
        let (offload, begun) = (offload.clone(), begun.clone());
        tokio::spawn(async move {
            let work = move |abandoned: &CancellationToken| {
                begun.send(thread::current().id()).ok();
                while !abandoned.is_cancelled() {
                    thread::yield_now();
                }
                Ok(())
            };
            offload.run(work).await
        })
    }

    #[tokio::test]
    async fn work_is_done_on_another_thread_while_this_one_goes_on() {
        let (begun, begins) = mpsc::channel();
        let work = endless(&Offload::with_turns(1), &begun);
        while begins.try_recv().map(|thread| assert_ne!(thread, thread::current().id())).is_err() {
            yield_now().await;
        }
        assert!(!work.is_finished());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn work_has_the_lowest_priority_and_this_thread_keeps_its_own() {
        let own = || rustix::process::getpriority_process(None).unwrap();
        let before = own();
        let of_work = Offload::with_turns(1).run(move |_| Ok(own())).await.unwrap();
        assert_eq!((of_work, own()), (19, before));
    }

    #[tokio::test]
    async fn work_waits_for_a_turn_which_comes_when_work_that_nobody_waits_for_has_ended() {
        let offload = Offload::with_turns(2);
        let (begun, begins) = mpsc::channel();
        let work: Vec<_> = (0..3).map(|_| endless(&offload, &begun)).collect();
        for _ in 0..2 {
            while begins.try_recv().is_err() {
                yield_now().await;
            }
        }
        assert_eq!(offload.turns.available_permits(), 0);
        assert!(begins.try_recv().is_err());

        // The first two have a turn each.
        for begun in &work[..2] {
            begun.abort();
        }
        while begins.try_recv().is_err() {
            yield_now().await;
        }
    }
}
