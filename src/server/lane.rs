//! Sends DATA frames beside `h2`, which does everything else of HTTP/2.
//!
//! For each frame `h2` walks through its state of the stream and of the connection, most of which is in no cache when the next
//! flush comes. A DATA frame needs little of that: two windows, and a head of nine bytes. So the streams write their frames
//! themselves, and this holds:
//!
//! 1. Every DATA frame with a payload is sent here. `h2` sends none and so needs no windows: WINDOW_UPDATE frames end here,
//!    except wrong ones, which `h2` answers.
//! 2. All bytes leave in one order. A stream writes at once only if nothing waits to be written, and no frame is written within
//!    a block of headers.
//! 3. The head of a response goes before its data, and its trailers go after it. Data that comes before `h2` has written the head
//!    is held, one frame for each stream; and `h2` is given trailers when all data is here.
//! 4. What waits is bounded: while there is as much as a frame, no stream sends another.

mod scanner;
#[cfg(test)]
mod tests;
mod windows;

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};

pub(super) use scanner::{HEAD, Head, Piece, Scanner, kind};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
pub(super) use windows::WindowError;
use windows::Windows;

use super::activity::Activity;

/// The bytes of a connection, which `h2` and the streams of the connection share. Clones are the same lane.
pub(super) struct Lane<C>(Arc<Shared<C>>);

struct Shared<C> {
    state: Mutex<State<C>>,
    activity: Activity,
}

struct State<C> {
    /// `None` once the connection is over.
    io: Option<C>,
    windows: Windows,
    /// Where the frames are that `h2` writes.
    scanner: Scanner,
    /// The stream whose response has its head in the block of headers that `h2` is writing.
    head_of: Option<u32>,
    /// Bytes that wait to be written.
    out: Vec<u8>,
    /// How many of them are written.
    written: usize,
    /// Bytes wait, or were written and not flushed.
    wants_flush: bool,
    /// A write has failed.
    is_broken: bool,
    /// The task that calls [`Lane::poll_flush`] when a stream has something to write.
    flusher: Option<Waker>,
    /// Waits until everything is flushed.
    h2: Option<Waker>,
}

/// Largest payload of a frame, which every client takes.
const FRAME: usize = 16 * 1024;

impl<C> Clone for Lane<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C> Lane<C> {
    /// A lane for a client that may have `max_streams` streams at once.
    pub(super) fn new(io: C, max_streams: usize) -> Self {
        let state = State {
            io: Some(io),
            windows: Windows::new(max_streams),
            scanner: Scanner::default(),
            head_of: None,
            out: Vec::new(),
            written: 0,
            wants_flush: false,
            is_broken: false,
            flusher: None,
            h2: None,
        };
        Self(Arc::new(Shared { state: Mutex::new(state), activity: Activity::new() }))
    }

    /// When the connection was last read and since when its writes are blocked.
    pub(super) fn activity(&self) -> &Activity {
        &self.0.activity
    }

    /// Sets the task that calls [`Self::poll_flush`] when a stream has something to write.
    pub(super) fn set_flusher(&self, task: &Waker) {
        self.lock().flusher = Some(task.clone());
    }

    /// Wakes `h2` when everything is flushed.
    pub(super) fn wait(&self, cx: &Context<'_>) {
        self.lock().h2 = Some(cx.waker().clone());
    }

    /// Closes the connection: nothing is read or written any more.
    pub(super) fn close(&self) {
        let state = &mut *self.lock();
        state.windows.close_all();
        state.io = None;
    }

    /// A frame has come from the client.
    pub(super) fn note_received(&self, head: Head) {
        match head.kind() {
            kind::HEADERS => self.lock().windows.note_headers(head.stream()),
            kind::RST_STREAM => self.lock().windows.close(head.stream()),
            _ => {}
        }
    }

    /// The client lets the server send more.
    ///
    /// # Errors
    /// `h2` has to answer the frame.
    pub(super) fn note_window_update(&self, stream: u32, increment: u32) -> Result<(), WindowError> {
        self.lock().windows.grow(stream, increment)
    }

    /// The client sets the window of its streams, in bytes.
    ///
    /// # Errors
    /// `h2` has to close the connection.
    pub(super) fn set_initial_window(&self, size: u32) -> Result<(), WindowError> {
        // h2 refuses a larger one.
        if size <= Windows::MAX { self.lock().windows.set_initial(size) } else { Ok(()) }
    }

    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> Lane<C> {
    /// Sends as much of `data` as flow control allows, at most a frame, and returns how much. Pending while nothing can be sent;
    /// `None` when nothing can be sent any more. The task of the connection writes it, together with what other streams send.
    pub(super) fn poll_send(&self, cx: &Context<'_>, stream: u32, data: &[u8]) -> Poll<Option<usize>> {
        let state = &mut *self.lock();
        let Some(len) = ready!(state.poll_take(cx, stream, data.len())) else { return Poll::Ready(None) };
        state.append(stream, &[Head::of_data(stream, len).bytes(), &data[..len]]);
        Poll::Ready(Some(len))
    }

    /// Like [`Self::poll_send`], but writes the frame at once if nothing waits before it and the connection has no other stream,
    /// whose frames could be written together with it. The data begins after the first [`HEAD`] bytes of `frame`, which are
    /// overwritten.
    pub(super) fn poll_send_now(
        &self,
        cx: &Context<'_>,
        stream: u32,
        frame: &mut [u8],
    ) -> Poll<Option<usize>> {
        let state = &mut *self.lock();
        let Some(len) = ready!(state.poll_take(cx, stream, frame.len() - HEAD)) else {
            return Poll::Ready(None);
        };
        let frame = &mut frame[..HEAD + len];
        frame[..HEAD].copy_from_slice(Head::of_data(stream, len).bytes());
        let may_write = !state.wants_flush && state.windows.is_alone() && state.windows.has_head(stream);
        let written = if may_write { state.write_now(frame, &self.0.activity) } else { 0 };
        if written < frame.len() {
            state.append(stream, &[&frame[written..]]);
        }
        Poll::Ready(Some(len))
    }

    /// Reads bytes of the client.
    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.lock().io {
            Some(io) => Pin::new(io).poll_read(cx, buf),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Takes frames of `h2`. Pending while too much waits to be written.
    pub(super) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let state = &mut *self.lock();
        if state.is_full() {
            ready!(state.poll_write_out(cx, &self.0.activity))?;
        }
        state.take_frames(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    /// Writes all that waits, and flushes it.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let state = &mut *self.lock();
        if !state.wants_flush {
            return Poll::Ready(Ok(()));
        }
        ready!(state.poll_write_out(cx, &self.0.activity))?;
        let Some(io) = &mut state.io else { return Poll::Ready(Ok(())) };
        ready!(Pin::new(io).poll_flush(cx))?;
        state.wants_flush = false;
        if let Some(h2) = state.h2.take() {
            h2.wake();
        }
        Poll::Ready(Ok(()))
    }

    /// Writes all that waits, and ends the connection on this side.
    pub(super) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        match &mut self.lock().io {
            Some(io) => Pin::new(io).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl<C> State<C> {
    /// Whether enough waits to be written.
    fn is_full(&self) -> bool {
        self.out.len() - self.written >= FRAME
    }

    /// Takes up to `len` bytes, at most a frame, from the windows of a stream.
    fn poll_take(&mut self, cx: &Context<'_>, stream: u32, len: usize) -> Poll<Option<usize>> {
        let Some(room) = self.windows.room(stream).filter(|_| !self.is_broken) else {
            return Poll::Ready(None);
        };
        if room == 0 || self.is_full() || !self.scanner.is_between_frames() {
            self.windows.wait(stream, cx);
            return Poll::Pending;
        }
        let len = len.min(room).min(FRAME);
        self.windows.take(stream, len);
        Poll::Ready(Some(len))
    }

    /// Appends a frame of a stream, or the rest of one, for the task of the connection to write.
    fn append(&mut self, stream: u32, parts: &[&[u8]]) {
        if !self.windows.has_head(stream) {
            return self.windows.hold(stream, parts);
        }
        for part in parts {
            self.out.extend_from_slice(part);
        }
        self.call_flusher();
    }

    fn call_flusher(&mut self) {
        self.wants_flush = true;
        if let Some(flusher) = &self.flusher {
            flusher.wake_by_ref();
        }
    }

    /// Appends frames of `h2`, and after the head of a response the frame that has waited for it.
    fn take_frames(&mut self, mut bytes: &[u8]) {
        self.wants_flush = true;
        while let Some(piece) = self.scanner.next(&mut bytes) {
            match piece {
                Piece::Head(head) => {
                    self.out.extend_from_slice(head.bytes());
                    if head.ends_stream() {
                        self.windows.close(head.stream());
                    } else if head.kind() == kind::HEADERS {
                        self.head_of = Some(head.stream());
                    }
                }
                Piece::Payload(payload) => self.out.extend_from_slice(payload),
            }
            if self.scanner.is_between_frames()
                && let Some(stream) = self.head_of.take()
            {
                self.out.extend(self.windows.note_head(stream));
            }
        }
    }
}

impl<C: AsyncWrite + Unpin> State<C> {
    /// Writes a frame as far as the socket takes it. Returns how many bytes that is.
    fn write_now(&mut self, frame: &[u8], activity: &Activity) -> usize {
        let Some(io) = &mut self.io else { return 0 };
        // The flusher waits for the socket, if that has to be.
        let cx = &mut Context::from_waker(Waker::noop());
        let polled = Pin::new(&mut *io).poll_write(cx, frame);
        activity.note_write(&polled);
        let written = match polled {
            Poll::Ready(Ok(written)) => written,
            // The flusher finds it as well.
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        if written == frame.len() && !matches!(Pin::new(io).poll_flush(cx), Poll::Ready(Ok(()))) {
            self.call_flusher();
        }
        written
    }

    fn poll_write_out(&mut self, cx: &mut Context<'_>, activity: &Activity) -> Poll<io::Result<()>> {
        let Some(io) = &mut self.io else { return Poll::Ready(Ok(())) };
        while self.written < self.out.len() {
            let polled = Pin::new(&mut *io).poll_write(cx, &self.out[self.written..]);
            activity.note_write(&polled);
            match ready!(polled) {
                Ok(written) if written > 0 => self.written += written,
                end => {
                    self.is_broken = true;
                    return Poll::Ready(end.and(Err(io::ErrorKind::WriteZero.into())));
                }
            }
        }
        self.written = 0;
        // An idle connection holds no buffer.
        self.out = Vec::new();
        self.windows.wake_all();
        Poll::Ready(Ok(()))
    }
}
