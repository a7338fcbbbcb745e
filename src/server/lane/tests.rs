use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::Wake,
};

use proptest::prelude::*;

use super::*;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A socket that takes as many bytes as it has room for.
#[derive(Clone, Default)]
struct Socket(Arc<Mutex<(Vec<u8>, usize)>>);

impl Socket {
    fn make_room(&self, bytes: usize) {
        self.0.lock().unwrap().1 = bytes;
    }

    fn written(&self) -> Vec<u8> {
        self.0.lock().unwrap().0.clone()
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let (written, room) = &mut *self.0.lock().unwrap();
        let len = bytes.len().min(*room);
        if len == 0 {
            return Poll::Pending;
        }
        *room -= len;
        written.extend_from_slice(&bytes[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

/// What happens on a connection. Streams are numbered from 0.
#[derive(Clone, Debug)]
enum Action {
    Open,
    ClientResets(u32),
    /// `None` is the connection.
    Grow(Option<u32>, u32),
    SetInitial(u32),
    /// h2 writes the head of a response, perhaps without its end.
    Head(u32, bool),
    /// h2 writes the end of a head.
    Continue,
    Send {
        stream: u32,
        len: usize,
        now: bool,
    },
    Trailers(u32),
    ServerResets(u32),
    /// A unary call: head, data and trailers before the connection is polled.
    Call(usize),
    MakeRoom(usize),
    Flush,
}

fn action() -> impl Strategy<Value = Action> {
    let stream = || 0u32..6;
    let increment = prop_oneof![1u32..100, 1000u32..50_000];
    prop_oneof![
        3 => Just(Action::Open),
        1 => stream().prop_map(Action::ClientResets),
        4 => (prop::option::of(stream()), increment).prop_map(|(stream, by)| Action::Grow(stream, by)),
        1 => prop_oneof![0u32..50, 1000u32..100_000].prop_map(Action::SetInitial),
        4 => (stream(), prop::bool::weighted(0.8)).prop_map(|(stream, whole)| Action::Head(stream, whole)),
        2 => Just(Action::Continue),
        12 => (stream(), 1usize..40_000, any::<bool>())
            .prop_map(|(stream, len, now)| Action::Send { stream, len, now }),
        2 => stream().prop_map(Action::Trailers),
        1 => stream().prop_map(Action::ServerResets),
        2 => (1usize..20_000).prop_map(Action::Call),
        4 => prop_oneof![Just(0usize), 1usize..100, 10_000usize..200_000].prop_map(Action::MakeRoom),
        4 => Just(Action::Flush),
    ]
}

/// What the client has allowed and the server has sent.
struct Model {
    connection: i64,
    initial: i64,
    streams: BTreeMap<u32, ModelStream>,
}

#[derive(Default)]
struct ModelStream {
    window: i64,
    has_head: bool,
    is_over: bool,
    /// Bytes that were sent before the head was written, and count again if it never is.
    held: i64,
    sent: usize,
    /// Was told to wait, and is to be woken.
    waits: Option<Arc<Flag>>,
}

/// The byte at a place in the data of a stream.
fn byte(id: u32, at: usize) -> u8 {
    (at.wrapping_mul(31) + id as usize) as u8
}

struct Server {
    lane: Lane<Socket>,
    socket: Socket,
    model: Model,
    /// A block of headers of h2 is not complete.
    in_headers: Option<u32>,
    opened: u32,
}

impl Server {
    fn new() -> Self {
        let socket = Socket::default();
        let model = Model { connection: 65_535, initial: 65_535, streams: BTreeMap::new() };
        Self { lane: Lane::new(socket.clone(), 200), socket, model, in_headers: None, opened: 0 }
    }

    fn head(kind: u8, flags: u8, id: u32, len: u8) -> Head {
        let mut bytes = *Head::of_window_update(id).bytes();
        (bytes[2], bytes[3], bytes[4]) = (len, kind, flags);
        let mut head = None;
        if let Some(Piece::Head(found)) = Scanner::default().next(&mut &bytes[..]) {
            head = Some(found);
        }
        head.unwrap()
    }

    /// h2 writes a frame; false when it has to wait.
    fn write(&self, kind: u8, flags: u8, id: u32) -> bool {
        let payload = [0; 4];
        let mut frame = Self::head(kind, flags, id, payload.len() as u8).bytes().to_vec();
        frame.extend(payload);
        self.lane.poll_write(&mut Context::from_waker(Waker::noop()), &frame).is_ready()
    }

    fn end(&mut self, id: u32) {
        let stream = self.model.streams.get_mut(&id).unwrap();
        stream.is_over = true;
        stream.sent -= stream.held as usize;
        self.model.connection += std::mem::take(&mut stream.held);
        if let Some(flag) = stream.waits.take() {
            assert!(flag.0.load(Relaxed), "a stream that has ended is woken");
        }
    }

    /// Sends once. Returns how much was taken.
    fn send(&mut self, id: u32, len: usize, now: bool) -> usize {
        let stream = self.model.streams.get_mut(&id).unwrap();
        let flag = Arc::new(Flag::default());
        let waker = Waker::from(flag.clone());
        let cx = &Context::from_waker(&waker);
        let data: Vec<u8> = (stream.sent..stream.sent + len).map(|at| byte(id, at)).collect();
        let sent = match now {
            true => self.lane.poll_send_now(cx, id, &mut [&[0; HEAD][..], &data].concat()),
            false => self.lane.poll_send(cx, id, &data),
        };
        assert_eq!(
            matches!(sent, Poll::Ready(None)),
            stream.is_over,
            "only a stream that is over is refused"
        );
        let Poll::Ready(Some(sent)) = sent else {
            if !stream.is_over {
                let has_no_window = stream.window <= 0 || self.model.connection <= 0;
                let must_wait = stream.held > 0 || self.in_headers.is_some() || self.lane.lock().is_full();
                assert!(has_no_window || must_wait, "it has to wait for nothing");
                stream.waits = Some(flag);
            }
            return 0;
        };
        assert!((1..=len.min(FRAME)).contains(&sent));
        stream.waits = None;
        stream.sent += sent;
        stream.window -= sent as i64;
        self.model.connection -= sent as i64;
        assert!(stream.window >= 0 && self.model.connection >= 0, "no more than the client allows");
        if !stream.has_head {
            assert_eq!(stream.held, 0, "one frame is held");
            stream.held = sent as i64;
        }
        sent
    }

    fn act(&mut self, action: Action) {
        let id = |stream: u32| stream * 2 + 1;
        let known = |stream: &u32| self.model.streams.get(&id(*stream)).is_some_and(|stream| !stream.is_over);
        match action {
            Action::Open => {
                let id = id(self.opened);
                self.opened += 1;
                let window = self.model.initial;
                self.model.streams.insert(id, ModelStream { window, ..ModelStream::default() });
                self.lane.note_received(Self::head(kind::HEADERS, END_HEADERS, id, 0));
            }
            Action::ClientResets(stream) if known(&stream) => {
                self.lane.note_received(Self::head(kind::RST_STREAM, 0, id(stream), 4));
                self.end(id(stream));
            }
            Action::Grow(None, by) => {
                assert!(self.lane.note_window_update(0, by).is_ok());
                self.model.connection += i64::from(by);
            }
            Action::Grow(Some(stream), by) => {
                let grown = self.lane.note_window_update(id(stream), by);
                match self.model.streams.get_mut(&id(stream)) {
                    None => assert_eq!(grown, Err(WindowError::Invalid)),
                    Some(stream) => {
                        assert_eq!(grown, Ok(()));
                        stream.window += i64::from(by);
                    }
                }
            }
            Action::SetInitial(initial) => {
                assert!(self.lane.set_initial_window(initial).is_ok());
                let difference = i64::from(initial) - self.model.initial;
                self.model.initial = initial.into();
                self.model.streams.values_mut().for_each(|stream| stream.window += difference);
            }
            Action::Head(stream, is_whole) if known(&stream) && self.in_headers.is_none() => {
                let flags = if is_whole { END_HEADERS } else { 0 };
                let has_head = self.model.streams[&id(stream)].has_head;
                if !has_head && self.write(kind::HEADERS, flags, id(stream)) {
                    self.in_headers = Some(id(stream)).filter(|_| !is_whole);
                    self.note_head(id(stream), is_whole);
                }
            }
            Action::Continue => {
                if let Some(id) = self.in_headers
                    && self.write(kind::CONTINUATION, END_HEADERS, id)
                {
                    self.in_headers = None;
                    self.note_head(id, true);
                }
            }
            Action::Send { stream, len, now } if self.model.streams.contains_key(&id(stream)) => {
                self.send(id(stream), len, now);
            }
            Action::Trailers(stream) if known(&stream) && self.in_headers.is_none() => {
                let has_head = self.model.streams[&id(stream)].has_head;
                if has_head && self.write(kind::HEADERS, END_STREAM | END_HEADERS, id(stream)) {
                    self.end(id(stream));
                }
            }
            Action::ServerResets(stream)
                if known(&stream)
                    && self.in_headers.is_none()
                    && self.write(kind::RST_STREAM, 0, id(stream)) =>
            {
                self.end(id(stream));
            }
            Action::Call(len) if self.in_headers.is_none() => {
                let id = id(self.opened);
                self.act(Action::Open);
                self.send(id, len, false);
                if self.write(kind::HEADERS, END_HEADERS, id) {
                    self.note_head(id, true);
                    if self.write(kind::HEADERS, END_STREAM | END_HEADERS, id) {
                        self.end(id);
                    }
                }
            }
            Action::MakeRoom(bytes) => self.socket.make_room(bytes),
            Action::Flush => {
                let _ = self.lane.poll_flush(&mut Context::from_waker(Waker::noop()));
            }
            _ => {}
        }
    }

    fn note_head(&mut self, id: u32, is_whole: bool) {
        let stream = self.model.streams.get_mut(&id).unwrap();
        if is_whole && !stream.is_over {
            (stream.has_head, stream.held) = (true, 0);
        }
    }

    /// Lets everything be written, and looks at it as the client does.
    fn check(mut self) {
        self.socket.make_room(usize::MAX);
        self.act(Action::Continue);
        self.act(Action::Flush);
        self.act(Action::Continue);
        self.act(Action::Flush);
        let open: Vec<u32> =
            self.model.streams.iter().filter(|(_, stream)| !stream.is_over).map(|(id, _)| *id).collect();
        for id in &open {
            while !self.model.streams[id].has_head {
                self.act(Action::Head(id / 2, true));
                self.act(Action::Flush);
            }
        }
        self.act(Action::Grow(None, 1_000_000));
        for id in &open {
            self.act(Action::Grow(Some(id / 2), 1_000_000));
            let stream = &self.model.streams[id];
            assert!(stream.waits.as_ref().is_none_or(|flag| flag.0.load(Relaxed)), "{id} is woken");
            assert!(self.send(*id, 10, true) > 0, "with room in the windows and in the socket, {id} sends");
            self.act(Action::Trailers(id / 2));
            self.act(Action::Flush);
        }
        let bytes = self.socket.written();
        let (mut scanner, mut rest) = (Scanner::default(), &bytes[..]);
        let mut received: BTreeMap<u32, (usize, bool)> = BTreeMap::new();
        let (mut current, mut in_headers) = (0, false);
        while let Some(piece) = scanner.next(&mut rest) {
            match piece {
                Piece::Head(head) => {
                    assert!(!in_headers || head.kind() == kind::CONTINUATION, "no frame within headers");
                    in_headers = scanner.is_in_headers();
                    current = if head.kind() == kind::DATA { head.stream() } else { 0 };
                    let (_, is_over) = match head.kind() {
                        kind::HEADERS | kind::RST_STREAM => received.entry(head.stream()).or_default(),
                        _ => received.get_mut(&head.stream()).expect("the head of the response is first"),
                    };
                    assert!(!*is_over, "nothing follows the end of a stream");
                    *is_over = head.ends_stream();
                }
                Piece::Payload(payload) if current != 0 => {
                    let (len, _) = received.get_mut(&current).unwrap();
                    for found in payload {
                        assert_eq!(*found, byte(current, *len), "the data of {current} in order");
                        *len += 1;
                    }
                }
                Piece::Payload(_) => {}
            }
        }
        assert!(scanner.is_between_frames(), "all frames are whole");
        for (id, stream) in &self.model.streams {
            assert_eq!(received.get(id).map_or(0, |(len, _)| *len), stream.sent, "all data of {id}");
        }
    }
}

proptest! {
    #[test]
    fn streams_send_whole_frames_in_order_and_no_more_than_the_client_allows(
        actions in prop::collection::vec(action(), 1..120),
    ) {
        let mut server = Server::new();
        for action in actions {
            server.act(action);
        }
        server.check();
    }
}

#[test]
fn a_frame_is_written_at_once_only_when_nothing_waits_and_no_other_stream_is_open() {
    let mut server = Server::new();
    server.act(Action::Open);
    server.act(Action::Head(0, true));
    server.socket.make_room(usize::MAX);
    server.act(Action::Flush);
    let before = server.socket.written().len();
    assert_eq!(server.send(1, 10, true), 10);
    assert_eq!(server.socket.written().len(), before + HEAD + 10, "nothing waited");
    assert_eq!(server.send(1, 20, false), 20);
    assert_eq!(server.send(1, 30, true), 30);
    assert_eq!(server.socket.written().len(), before + HEAD + 10, "the second frame waits");
    server.act(Action::Flush);
    assert_eq!(server.socket.written().len(), before + 3 * HEAD + 60);

    server.act(Action::Open);
    server.act(Action::Head(1, true));
    server.act(Action::Flush);
    let before = server.socket.written().len();
    assert_eq!(server.send(1, 10, true), 10);
    assert_eq!(server.send(3, 10, true), 10);
    assert_eq!(server.socket.written().len(), before, "two streams are written together");
    server.act(Action::Flush);
    assert_eq!(server.socket.written().len(), before + 2 * HEAD + 20);
    server.check();
}

#[test]
fn a_socket_that_takes_nothing_makes_streams_wait() {
    let mut server = Server::new();
    server.act(Action::Open);
    server.act(Action::Head(0, true));
    let sent: usize =
        std::iter::repeat_with(|| server.send(1, 10_000, true)).take_while(|sent| *sent > 0).sum();
    assert!((FRAME - 10_000..FRAME + 10_000).contains(&sent), "{sent}");
    assert!(!server.write(kind::RST_STREAM, 0, 1), "h2 waits as well");
    let waits = server.model.streams[&1].waits.clone().unwrap();
    assert!(!waits.0.load(Relaxed));
    server.socket.make_room(usize::MAX);
    server.act(Action::Flush);
    assert!(waits.0.load(Relaxed), "a stream that waits for the socket is woken when all is written");
    server.check();
}

#[test]
fn streams_beyond_those_that_h2_allows_are_not_kept() {
    let lane = Lane::new(Socket::default(), 10);
    let cx = &Context::from_waker(Waker::noop());
    for stream in 0..100 {
        lane.note_received(Server::head(kind::HEADERS, END_HEADERS, stream * 2 + 1, 0));
    }
    assert_eq!(lane.poll_send(cx, 39, b"x"), Poll::Ready(Some(1)));
    assert_eq!(lane.poll_send(cx, 41, b"x"), Poll::Ready(None));
}
