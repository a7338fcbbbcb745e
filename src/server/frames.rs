//! Reads the bytes of a connection, with a limit on the work that they cause.
//!
//! HTTP/2 has frames that cost the sender nothing and that no flow control limits: PRIORITY, unknown types, SETTINGS, PING,
//! WINDOW_UPDATE, RST_STREAM. A token bucket limits how many of them are read per second.
//! Long runs of frames, of any type, are read in turns of the worker.
//!
//! The lane learns from the frames which streams there are and how much each may be sent. WINDOW_UPDATE frames end there.

mod received;

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use self::received::Received;
use super::lane::Lane;
use crate::grpc::Ticket;

/// A connection as `h2` sees it: a lane without the frames that `h2` has nothing to do with.
pub(super) struct Frames<C> {
    lane: Lane<C>,
    received: Received,
    /// Work that may be read before the next turn is needed.
    left: u32,
    ticket: Ticket,
    rate: Rate,
    pause: Option<Pin<Box<Sleep>>>,
    /// The end of the connection, which is reported in a turn: HTTP/2 wakes every stream of the connection then.
    end: Option<io::Result<()>>,
}

/// Token bucket for frames that flow control does not limit.
struct Rate {
    tokens: u32,
    filled: Instant,
}

/// The HTTP/2 connection preface.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Largest number of bytes of one read.
const PIECE: usize = 4096;

impl<C> Frames<C> {
    /// Work that is read without a turn, and in each turn.
    const WORK: u32 = 256;

    /// Reads `opening`, which was read from the connection before, and then the rest.
    pub(super) fn new(lane: Lane<C>, opening: &[u8], ticket: Ticket) -> Self {
        let now = Instant::now();
        let frames = opening.strip_prefix(PREFACE).unwrap_or(opening);
        let mut received = Received::after(&opening[..opening.len() - frames.len()]);
        received.take(frames, &lane);
        Self {
            lane,
            received,
            left: Self::WORK,
            ticket,
            rate: Rate { tokens: Rate::BURST, filled: now },
            pause: None,
            end: None,
        }
    }

    /// Waits for a turn. It lasts until the task returns to the runtime.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.ticket.poll_turn(cx));
        self.ticket.give_up();
        Poll::Ready(())
    }

    /// The result of writing. One that failed ends the connection, so its result is returned in a turn.
    fn poll_written<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match polled {
            Poll::Pending => self.lane.wait(cx),
            Poll::Ready(Err(_)) => ready!(self.poll_turn(cx)),
            Poll::Ready(Ok(_)) => {}
        }
        polled
    }
}

impl<C> Drop for Frames<C> {
    fn drop(&mut self) {
        self.lane.close();
    }
}

impl Rate {
    const BURST: u32 = 16_384;
    const PER_SECOND: u32 = 16_384;

    /// Takes tokens. When there are too few, they are taken in advance, and the time until they are there is returned.
    fn take(&mut self, amount: u32) -> Option<Duration> {
        if amount == 0 {
            return None;
        }
        let now = Instant::now();
        if self.tokens < Self::BURST / 2 {
            let filled =
                now.saturating_duration_since(self.filled).as_secs_f64() * f64::from(Self::PER_SECOND);
            self.tokens = self.tokens.saturating_add(filled as u32).min(Self::BURST);
            self.filled = now;
        }
        match self.tokens.checked_sub(amount) {
            Some(left) => {
                self.tokens = left;
                None
            }
            None => {
                let pause = f64::from(amount - self.tokens) / f64::from(Self::PER_SECOND);
                let pause = Duration::from_secs_f64(pause);
                // The tokens of that time are spent already.
                (self.tokens, self.filled) = (0, now + pause);
                Some(pause)
            }
        }
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncRead for Frames<C> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.received.pass_on(buf) {
                return Poll::Ready(Ok(()));
            }
            if let Some(pause) = &mut this.pause {
                ready!(pause.as_mut().poll(cx));
                this.pause = None;
            }
            if this.left == 0 {
                ready!(this.poll_turn(cx));
                this.left = Self::WORK;
            }
            let mut piece = [const { MaybeUninit::uninit() }; PIECE];
            let mut piece = ReadBuf::uninit(&mut piece);
            let read = match this.end.take() {
                Some(end) => Poll::Ready(end),
                None => this.lane.poll_read(cx, &mut piece),
            };
            let bytes = piece.filled();
            match read {
                Poll::Ready(Ok(())) if !bytes.is_empty() => {}
                Poll::Ready(end) => {
                    this.end = Some(end);
                    ready!(this.poll_turn(cx));
                    return Poll::Ready(this.end.take().unwrap_or(Ok(())));
                }
                Poll::Pending => {
                    // Everything that has arrived is read.
                    this.left = Self::WORK;
                    return Poll::Pending;
                }
            }
            this.lane.activity().note_read();
            let cost = this.received.take(bytes, &this.lane);
            this.left = this.left.saturating_sub(cost.work);
            this.pause = this.rate.take(cost.unlimited).map(|pause| Box::pin(sleep(pause)));
        }
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Frames<C> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = this.lane.poll_write(cx, buf);
        this.poll_written(cx, polled)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = this.lane.poll_flush(cx);
        this.poll_written(cx, polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().lane.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, join, sink};

    use super::{super::lane::kind, received::tests::frame, *};
    use crate::grpc::{TurnShare, Turns};

    const PRIORITY: u8 = 2;

    async fn read_all(bytes: &[u8], opening: &[u8]) -> Vec<u8> {
        let turns = Turns::default();
        tokio::spawn(turns.clone().grant());
        let mut read = Vec::new();
        Frames::new(Lane::new(join(bytes, sink()), 10), opening, turns.ticket(&TurnShare::default()))
            .read_to_end(&mut read)
            .await
            .unwrap();
        read
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_no_flow_control_limits_are_read_at_a_rate() {
        let flood: Vec<u8> = frame(PRIORITY, 0, 1, &[0; 5]).repeat(100_000);
        let began = Instant::now();
        let read = read_all(&flood, &[]).await;
        assert_eq!(read, flood);
        let least = f64::from(100_000 - Rate::BURST) / f64::from(Rate::PER_SECOND);
        let took = began.elapsed().as_secs_f64();
        assert!((least..least + 1.0).contains(&took), "{took} s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_small_requests_is_read_at_once() {
        let burst = frame(kind::DATA, 0, 1, &[0; 12]).repeat(10_000);
        let began = Instant::now();
        let opening = frame(kind::SETTINGS, 0, 0, &[]);
        let read = read_all(&burst, &opening).await;
        assert_eq!((read.len(), began.elapsed()), (burst.len() + opening.len(), Duration::ZERO));
    }
}
