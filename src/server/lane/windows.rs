//! The streams of a connection on which the server may send, and their flow-control windows: how many bytes the client lets the
//! server send (RFC 9113, section 6.9).

use std::task::{Context, Waker};

use super::HEAD;

/// The windows of a connection and of its streams.
pub(super) struct Windows {
    /// Bytes that all streams may send together.
    connection: i64,
    /// The window of a new stream.
    initial: i64,
    /// Streams on which the server may still send, in the order of their ids.
    streams: Vec<Stream>,
    /// The newest stream that the client has opened.
    newest: u32,
    /// Number of streams that the client may have at once.
    max_streams: usize,
}

/// A stream on which the server may still send.
struct Stream {
    id: u32,
    /// Bytes that it may send; negative after the client has lowered the window of its streams.
    window: i64,
    /// The head of its response is written.
    has_head: bool,
    /// A frame that waits for the head of the response.
    held: Vec<u8>,
    /// Waits for a window, or for room.
    waiting: Option<Waker>,
}

/// What is wrong with a frame that changes a window.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::server) enum WindowError {
    /// The increment is zero, or the stream was never opened.
    Invalid,
    /// A window would be larger than the largest.
    TooLarge,
}

impl Windows {
    /// The largest window, in bytes.
    pub(super) const MAX: u32 = i32::MAX as u32;
    /// The windows at the beginning of a connection, in bytes.
    const DEFAULT: i64 = 65_535;

    /// The windows of a client that may have `max_streams` streams at once.
    pub(super) fn new(max_streams: usize) -> Self {
        let (connection, initial) = (Self::DEFAULT, Self::DEFAULT);
        Self { connection, initial, streams: Vec::new(), newest: 0, max_streams }
    }

    /// The client sends headers, which open a stream unless it was opened before.
    pub(super) fn note_headers(&mut self, id: u32) {
        if id <= self.newest || id.is_multiple_of(2) {
            return;
        }
        self.newest = id;
        // h2 refuses streams before there are so many, except after GOAWAY, when it does not look at new ones.
        if self.streams.len() < 2 * self.max_streams {
            let (window, held) = (self.initial, Vec::new());
            self.streams.push(Stream { id, window, has_head: false, held, waiting: None });
        }
    }

    /// The server sends nothing more on this stream.
    pub(super) fn close(&mut self, id: u32) {
        let Ok(at) = self.find(id) else { return };
        let mut closed = self.streams.remove(at);
        closed.wake();
        if !closed.held.is_empty() {
            // It is never sent.
            self.connection += (closed.held.len() - HEAD) as i64;
            self.wake_all();
        }
    }

    /// The server sends nothing more on any stream.
    pub(super) fn close_all(&mut self) {
        self.wake_all();
        self.streams.clear();
    }

    /// The head of the response is written. Returns the frame that has waited for it.
    pub(super) fn note_head(&mut self, id: u32) -> Vec<u8> {
        let Some(stream) = self.stream(id) else { return Vec::new() };
        stream.has_head = true;
        stream.wake();
        std::mem::take(&mut stream.held)
    }

    /// The client lets the server send `increment` bytes more, on a stream or, for zero, on the connection. For a stream that
    /// has closed it means nothing.
    pub(super) fn grow(&mut self, id: u32, increment: u32) -> Result<(), WindowError> {
        if increment == 0 || id > self.newest || id != 0 && id.is_multiple_of(2) {
            return Err(WindowError::Invalid);
        }
        if id == 0 {
            self.connection = grown(self.connection, increment.into())?;
            self.wake_all();
        } else if let Some(stream) = self.stream(id) {
            stream.window = grown(stream.window, increment.into())?;
            stream.wake();
        }
        Ok(())
    }

    /// The client sets the window of new streams, and changes that of open ones by the difference.
    pub(super) fn set_initial(&mut self, initial: u32) -> Result<(), WindowError> {
        let difference = i64::from(initial) - self.initial;
        self.initial = initial.into();
        for stream in &mut self.streams {
            stream.window = grown(stream.window, difference)?;
        }
        self.wake_all();
        Ok(())
    }

    /// How many bytes a stream may send now; `None` when it is closed. Before the head of its response it may send one frame,
    /// which is held.
    pub(super) fn room(&self, id: u32) -> Option<usize> {
        let stream = &self.streams[self.find(id).ok()?];
        let is_allowed = stream.has_head || stream.held.is_empty();
        let room = if is_allowed { stream.window.min(self.connection) } else { 0 };
        Some(room.max(0) as usize)
    }

    /// Wakes the task when the stream may have room, or is closed.
    pub(super) fn wait(&mut self, id: u32, cx: &Context<'_>) {
        if let Some(stream) = self.stream(id) {
            stream.waiting = Some(cx.waker().clone());
        }
    }

    /// Takes what [`Self::room`] allows.
    pub(super) fn take(&mut self, id: u32, len: usize) {
        if let Some(stream) = self.stream(id) {
            stream.window -= len as i64;
            self.connection -= len as i64;
        }
    }

    /// Whether the server may send on one stream only.
    pub(super) fn is_alone(&self) -> bool {
        self.streams.len() == 1
    }

    /// Whether the head of the response is written.
    pub(super) fn has_head(&self, id: u32) -> bool {
        self.find(id).is_ok_and(|at| self.streams[at].has_head)
    }

    /// Keeps a frame until the head of the response is written.
    pub(super) fn hold(&mut self, id: u32, parts: &[&[u8]]) {
        if let Some(stream) = self.stream(id) {
            stream.held = parts.concat();
        }
    }

    /// Wakes the tasks that wait.
    pub(super) fn wake_all(&mut self) {
        self.streams.iter_mut().for_each(Stream::wake);
    }

    fn stream(&mut self, id: u32) -> Option<&mut Stream> {
        self.find(id).ok().map(|at| &mut self.streams[at])
    }

    fn find(&self, id: u32) -> Result<usize, usize> {
        self.streams.binary_search_by_key(&id, |stream| stream.id)
    }
}

impl Stream {
    fn wake(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }
}

/// A window that has grown, or shrunk, by `difference` bytes.
fn grown(window: i64, difference: i64) -> Result<i64, WindowError> {
    Some(window + difference).filter(|grown| *grown <= Windows::MAX.into()).ok_or(WindowError::TooLarge)
}
