//! Reads the bytes of a connection, with a limit on the work that they cause.
//!
//! HTTP/2 has frames that cost the sender nothing and that no flow control limits: PRIORITY, unknown types, SETTINGS, PING,
//! WINDOW_UPDATE, RST_STREAM. A token bucket limits how many of them are read per second.
//! Long runs of frames, of any type, are read in turns of the worker.
//!
//! The lane learns from the frames which streams there are and how much each may be sent. WINDOW_UPDATE frames end there.

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

use super::lane::{Head, Lane, Piece, Scanner, WindowError, kind};
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

/// The frames of the client, some of which are for the lane.
#[derive(Default)]
struct Received {
    scanner: Scanner,
    /// What to do with the payload that comes.
    payload: Payload,
    /// The bytes of a setting or of an increment that have come.
    value: [u8; 6],
    value_len: usize,
    /// The window of streams that the settings have so far. The last one counts.
    initial_window: Option<u32>,
    /// Bytes for HTTP/2, which it has not read.
    passed: Vec<u8>,
}

#[derive(Default)]
enum Payload {
    #[default]
    Pass,
    Settings,
    WindowUpdate(Head),
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
/// Largest number of bytes of one read.
const PIECE: usize = 4096;

impl<C> Frames<C> {
    /// Work that is read without a turn, and in each turn.
    const WORK: u32 = 256;

    /// Reads `opening`, which was read from the connection before, and then the rest.
    pub(super) fn new(lane: Lane<C>, opening: &[u8], ticket: Ticket) -> Self {
        let now = Instant::now();
        let mut received = Received::default();
        let frames = opening.strip_prefix(PREFACE).unwrap_or(opening);
        received.passed.extend_from_slice(&opening[..opening.len() - frames.len()]);
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

impl Received {
    /// Takes bytes of the client. Returns the cost of the frames that begin in them.
    fn take<C>(&mut self, mut bytes: &[u8], lane: &Lane<C>) -> Cost {
        let mut cost = Cost::default();
        loop {
            let was_in_headers = self.scanner.is_in_headers();
            match self.scanner.next(&mut bytes) {
                None => return cost,
                Some(Piece::Head(head)) => {
                    let frame = Cost::of(head.kind());
                    cost.work += frame.work;
                    cost.unlimited += frame.unlimited;
                    self.value_len = 0;
                    self.payload = match head.kind() {
                        kind::WINDOW_UPDATE if head.len() == 4 && !was_in_headers => {
                            Payload::WindowUpdate(head)
                        }
                        _ if head.has_settings() => Payload::Settings,
                        _ => Payload::Pass,
                    };
                    if !matches!(self.payload, Payload::WindowUpdate(_)) {
                        self.passed.extend_from_slice(head.bytes());
                        lane.note_received(head);
                    }
                }
                Some(Piece::Payload(payload)) => match self.payload {
                    Payload::Pass => self.passed.extend_from_slice(payload),
                    Payload::Settings => {
                        self.passed.extend_from_slice(payload);
                        self.take_settings(payload, lane);
                    }
                    Payload::WindowUpdate(head) => self.take_window_update(head, payload, lane),
                },
            }
        }
    }

    fn take_settings<C>(&mut self, payload: &[u8], lane: &Lane<C>) {
        const INITIAL_WINDOW_SIZE: u16 = 4;
        for byte in payload {
            self.value[self.value_len] = *byte;
            self.value_len = (self.value_len + 1) % self.value.len();
            let [a, b, size @ ..] = self.value;
            if self.value_len == 0 && u16::from_be_bytes([a, b]) == INITIAL_WINDOW_SIZE {
                self.initial_window = Some(u32::from_be_bytes(size));
            }
        }
        if self.scanner.is_between_frames()
            && let Some(size) = self.initial_window.take()
            && lane.set_initial_window(size).is_err()
        {
            self.pass_overflow(0);
        }
    }

    fn take_window_update<C>(&mut self, head: Head, payload: &[u8], lane: &Lane<C>) {
        self.value[self.value_len..self.value_len + payload.len()].copy_from_slice(payload);
        self.value_len += payload.len();
        let [a, b, c, d, ..] = self.value;
        if self.value_len < head.len() {
            return;
        }
        let increment = u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff;
        match lane.note_window_update(head.stream(), increment) {
            Ok(()) => {}
            Err(WindowError::Invalid) => {
                self.passed.extend_from_slice(head.bytes());
                self.passed.extend_from_slice(&[a, b, c, d]);
            }
            Err(WindowError::TooLarge) => self.pass_overflow(head.stream()),
        }
    }

    /// Lets HTTP/2 answer that a window is too large. It knows of no update, so two of the largest are too much.
    fn pass_overflow(&mut self, stream: u32) {
        for _ in 0..2 {
            self.passed.extend_from_slice(Head::of_window_update(stream).bytes());
            self.passed.extend_from_slice(&[0x7f, 0xff, 0xff, 0xff]);
        }
    }
}

impl Cost {
    fn of(kind: u8) -> Self {
        match kind {
            kind::DATA => Self { work: 1, unlimited: 0 },
            // May open a stream; the number of streams is limited.
            kind::HEADERS => Self { work: 32, unlimited: 0 },
            kind::CONTINUATION => Self { work: 8, unlimited: 8 },
            kind::RST_STREAM => Self { work: 4, unlimited: 4 },
            // May change the window of every stream, which wakes all of them.
            kind::SETTINGS => Self { work: 64, unlimited: 64 },
            _ => Self { work: 1, unlimited: 1 },
        }
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
            let passed = &mut this.received.passed;
            if !passed.is_empty() {
                let len = passed.len().min(buf.remaining());
                buf.put_slice(&passed[..len]);
                passed.drain(..len);
                if passed.is_empty() {
                    // A quiet connection holds no buffer.
                    *passed = Vec::new();
                }
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
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, join, sink};

    use super::*;
    use crate::grpc::{TurnShare, Turns};

    const PRIORITY: u8 = 2;
    const END_HEADERS: u8 = 4;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags, 0, 0, 0, stream]);
        frame.extend(payload);
        frame
    }

    fn update(stream: u8, increment: u32) -> Vec<u8> {
        frame(kind::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
    }

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

    proptest! {
        #[test]
        fn every_frame_is_counted_once_and_passed_on_however_the_bytes_are_cut(
            frames in prop::collection::vec((0u8..12, 0u8..8, 0usize..300), 0..40), cuts in prop::collection::vec(1usize..50, 1..200),
        ) {
            let frames: Vec<(u8, Vec<u8>)> = frames
                .into_iter()
                // Those that mean something to the lane have a test of their own.
                .filter(|(kind, ..)| *kind != kind::WINDOW_UPDATE)
                .map(|(kind, flags, len)| (kind, frame(kind, flags, 1, &vec![0xff; len])))
                .collect();
            let bytes: Vec<u8> = frames.iter().flat_map(|(_, frame)| frame.clone()).collect();
            let lane = Lane::new((), 10);
            let (mut received, mut rest, mut work) = (Received::default(), &bytes[..], 0);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                work += received.take(piece, &lane).work;
                rest = after;
            }
            prop_assert_eq!(work, frames.iter().map(|(kind, _)| Cost::of(*kind).work).sum::<u32>());
            prop_assert_eq!(received.passed, bytes);
        }
    }

    #[test]
    fn only_wrong_window_updates_are_passed_on() {
        let passed = |frames: &[Vec<u8>]| {
            let (mut received, lane) = (Received::default(), Lane::new((), 10));
            let before =
                [frame(kind::HEADERS, END_HEADERS, 1, &[]), frame(kind::HEADERS, END_HEADERS, 3, &[])];
            received.take(&before.concat(), &lane);
            received.take(&frame(kind::RST_STREAM, 0, 3, &[0; 4]), &lane);
            received.passed.clear();
            received.take(&frames.concat(), &lane);
            received.passed
        };
        let largest = i32::MAX as u32;
        assert_eq!(
            passed(&[update(0, 1), update(1, 1), update(3, largest)]),
            b"",
            "valid, and one of a closed stream"
        );
        // The first bit of an increment means nothing.
        assert_eq!(passed(&[update(1, 0x8000_0001)]), b"");
        let too_long = frame(kind::WINDOW_UPDATE, 0, 1, &[0; 5]);
        let in_headers = [frame(kind::HEADERS, 0, 5, &[]), update(1, 1)];
        for wrong in
            [&[update(0, 0)][..], &[update(1, 0)], &[update(5, 1)], &[update(2, 1)], &[too_long], &in_headers]
        {
            assert_eq!(passed(wrong), wrong.concat());
        }
        for stream in [0, 1] {
            assert_eq!(
                passed(&[update(stream, largest)]),
                [update(stream, largest), update(stream, largest)].concat()
            );
            assert_eq!(passed(&[update(stream, largest - 65_535)]), b"", "the largest window");
        }
    }

    #[test]
    fn a_setting_that_makes_a_window_too_large_is_answered() {
        let (mut received, lane) = (Received::default(), Lane::new((), 10));
        let too_large = [0, 4, 0x7f, 0xff, 0xff, 0xff];
        let settings = frame(kind::SETTINGS, 0, 0, &[too_large, [0, 3, 0, 0, 0, 1]].concat());
        let headers = frame(kind::HEADERS, END_HEADERS, 1, &[]);
        received.take(&[headers, update(1, 1)].concat(), &lane);
        received.passed.clear();
        for piece in settings.chunks(7) {
            received.take(piece, &lane);
        }
        let largest = update(0, i32::MAX as u32);
        assert_eq!(received.passed, [settings, largest.clone(), largest].concat());

        // Only the last value of a frame counts.
        received.passed.clear();
        let settings = frame(kind::SETTINGS, 0, 0, &[too_large, [0, 4, 0, 0, 0, 1]].concat());
        received.take(&settings, &lane);
        assert_eq!(received.passed, settings);
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
