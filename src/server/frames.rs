//! Reads the bytes of a connection, with a limit on the work that they cause.
//!
//! HTTP/2 has frames that cost the sender nothing and that no flow control limits: PRIORITY, unknown types, SETTINGS, PING,
//! WINDOW_UPDATE, RST_STREAM. A token bucket limits how many of them are read per second.
//! Long runs of frames, of any type, are read in turns of the worker.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::activity::Activity;
use crate::grpc::Ticket;

/// A connection that is read frame by frame.
pub(super) struct Frames<C> {
    io: C,
    /// Bytes that were read before HTTP/2 began.
    opening: Vec<u8>,
    scanner: Scanner,
    /// Work that may be read before the next turn is needed.
    left: u32,
    ticket: Ticket,
    rate: Rate,
    pause: Option<Pin<Box<Sleep>>>,
    /// The end of the connection, which is reported in a turn: HTTP/2 wakes every stream of the connection then.
    end: Option<io::Result<()>>,
    activity: Arc<Activity>,
}

/// Finds the beginnings of frames in a stream of bytes.
#[derive(Default)]
struct Scanner {
    head: [u8; HEAD],
    /// How many bytes of the head have come.
    head_len: usize,
    /// How many bytes of the payload are left.
    payload: usize,
}

/// Work that frames cause.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
struct Cost {
    /// Work for the worker, in units of a small frame.
    work: u32,
    /// The part of it that flow control does not limit, in the same units.
    unlimited: u32,
}

/// Token bucket for frames that flow control does not limit.
struct Rate {
    tokens: u32,
    filled: Instant,
}

/// The HTTP/2 connection preface.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Length of a frame header.
pub(super) const HEAD: usize = 9;
/// Largest number of bytes of one read.
const PIECE: usize = 4096;

impl<C> Frames<C> {
    /// Work that is read without a turn, and in each turn.
    const WORK: u32 = 256;

    /// Reads `opening`, which was read from `io` before, and then the rest of `io`.
    pub(super) fn new(io: C, opening: Vec<u8>, ticket: Ticket) -> Self {
        let now = Instant::now();
        let mut scanner = Scanner::default();
        scanner.scan(opening.strip_prefix(PREFACE).unwrap_or(&opening));
        Self {
            io,
            opening,
            scanner,
            left: Self::WORK,
            ticket,
            rate: Rate { tokens: Rate::BURST, filled: now },
            pause: None,
            end: None,
            activity: Arc::new(Activity::new()),
        }
    }

    /// Waits for a turn. It lasts until the task returns to the runtime.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.ticket.poll_turn(cx));
        self.ticket.give_up();
        Poll::Ready(())
    }

    /// Notes the result of a write. A write that failed ends the connection, so its result is returned in a turn.
    fn note_write(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.activity.note_write(&polled);
        if matches!(polled, Poll::Ready(Err(_))) {
            ready!(self.poll_turn(cx));
        }
        polled
    }

    /// When the connection was last read and since when its writes are blocked, for the task that checks its timeouts.
    pub(super) fn activity(&self) -> Arc<Activity> {
        self.activity.clone()
    }
}

impl Cost {
    fn of(kind: u8) -> Self {
        const DATA: u8 = 0;
        const HEADERS: u8 = 1;
        const RST_STREAM: u8 = 3;
        const SETTINGS: u8 = 4;
        const CONTINUATION: u8 = 9;
        match kind {
            DATA => Self { work: 1, unlimited: 0 },
            // May open a stream; the number of streams is limited.
            HEADERS => Self { work: 32, unlimited: 0 },
            CONTINUATION => Self { work: 8, unlimited: 8 },
            RST_STREAM => Self { work: 4, unlimited: 4 },
            // May change the window of every stream, which wakes all of them.
            SETTINGS => Self { work: 64, unlimited: 64 },
            _ => Self { work: 1, unlimited: 1 },
        }
    }
}

impl Scanner {
    /// The cost of the frames that begin in these bytes.
    fn scan(&mut self, mut bytes: &[u8]) -> Cost {
        let mut cost = Cost::default();
        while !bytes.is_empty() {
            if self.payload > 0 {
                let skipped = self.payload.min(bytes.len());
                self.payload -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let taken = (HEAD - self.head_len).min(bytes.len());
            let (head, rest) = bytes.split_at(taken);
            self.head[self.head_len..self.head_len + taken].copy_from_slice(head);
            self.head_len += taken;
            bytes = rest;
            if self.head_len == HEAD {
                self.head_len = 0;
                let [a, b, c, kind, ..] = self.head;
                self.payload = u32::from_be_bytes([0, a, b, c]) as usize;
                let frame = Cost::of(kind);
                cost.work += frame.work;
                cost.unlimited += frame.unlimited;
            }
        }
        cost
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

impl<C: AsyncRead + Unpin> AsyncRead for Frames<C> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.opening.is_empty() {
            let len = this.opening.len().min(buf.remaining());
            buf.put_slice(&this.opening[..len]);
            this.opening.drain(..len);
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
        let len = PIECE.min(buf.remaining());
        let mut piece = ReadBuf::uninit(&mut piece[..len]);
        let read = match this.end.take() {
            Some(end) => Poll::Ready(end),
            None => Pin::new(&mut this.io).poll_read(cx, &mut piece),
        };
        let bytes = piece.filled();
        match read {
            Poll::Ready(Ok(())) if !bytes.is_empty() || len == 0 => {}
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
        buf.put_slice(bytes);
        if !bytes.is_empty() {
            this.activity.note_read();
        }
        let cost = this.scanner.scan(bytes);
        this.left = this.left.saturating_sub(cost.work);
        this.pause = this.rate.take(cost.unlimited).map(|pause| Box::pin(sleep(pause)));
        Poll::Ready(Ok(()))
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Frames<C> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_write(cx, buf);
        this.note_write(cx, polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.note_write(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::grpc::{TurnShare, Turns};

    const PRIORITY: u8 = 2;
    const SETTINGS: u8 = 4;

    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        let mut frame = (payload as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, 0, 0, 0, 0, 1]);
        frame.resize(HEAD + payload, 0xff);
        frame
    }

    async fn read_all(bytes: &[u8], opening: Vec<u8>) -> Vec<u8> {
        let turns = Turns::default();
        tokio::spawn(turns.clone().grant());
        let mut read = Vec::new();
        Frames::new(bytes, opening, turns.ticket(&TurnShare::default()))
            .read_to_end(&mut read)
            .await
            .unwrap();
        read
    }

    proptest! {
        #[test]
        fn every_frame_is_counted_once_however_the_bytes_are_cut(
            frames in prop::collection::vec((0u8..12, 0usize..300), 0..40), cuts in prop::collection::vec(1usize..50, 1..200),
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|(kind, payload)| frame(*kind, *payload)).collect();
            let (mut scanner, mut rest, mut work) = (Scanner::default(), &bytes[..], 0);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                work += scanner.scan(piece).work;
                rest = after;
            }
            prop_assert_eq!(work, frames.iter().map(|(kind, _)| Cost::of(*kind).work).sum::<u32>());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_no_flow_control_limits_are_read_at_a_rate() {
        let flood: Vec<u8> = frame(PRIORITY, 5).repeat(100_000);
        let began = Instant::now();
        let read = read_all(&flood, Vec::new()).await;
        assert_eq!(read, flood);
        let least = f64::from(100_000 - Rate::BURST) / f64::from(Rate::PER_SECOND);
        let took = began.elapsed().as_secs_f64();
        assert!((least..least + 1.0).contains(&took), "{took} s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_small_requests_is_read_at_once() {
        let burst = frame(0, 12).repeat(10_000);
        let began = Instant::now();
        let read = read_all(&burst, frame(SETTINGS, 0)).await;
        assert_eq!((read.len(), began.elapsed()), (burst.len() + HEAD, Duration::ZERO));
    }
}
