//! A client on bare HTTP/2, which decides itself what it sends in one frame and how much it reads.

use std::{future::poll_fn, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use h2::{
    Reason, RecvStream, SendStream,
    client::{Builder, ResponseFuture, SendRequest},
};
use http::{Method, Request};
use prost::Message;
use ticker::contract::v1::{GetTapeRequest, GetTapeResponse};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::TcpStream,
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};
use tonic::Status;

use crate::support::server::{PATIENCE, Server};

pub(crate) const STREAM: &str = "/ticker.v1.TickerStreamService/TickerStream";
pub(crate) const WATCH: &str = "/ticker.v1.TickerStreamService/Watch";
pub(crate) const GOGEN: &str = "/gogen.TickerStreamService/TickerStream";
pub(crate) const GET_TAPE: &str = "/ticker.v1.TickerStreamService/GetTape";

/// What a client says first: the preface and SETTINGS without settings.
pub(crate) const OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// One connection. It is closed when this and its calls are dropped.
pub(crate) struct Raw {
    requests: SendRequest<Bytes>,
    windows: mpsc::UnboundedSender<u32>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

/// One call, and what the server answers.
pub(crate) struct Call {
    say: SendStream<Bytes>,
    response: Option<ResponseFuture>,
    body: Option<RecvStream>,
    buffer: BytesMut,
    /// Whether what has come is released, so that more may come.
    releases: bool,
}

pub(crate) enum Heard<M> {
    Message(M),
    Status(Status),
    /// The stream was reset, or the connection closed.
    Broken(h2::Error),
}

/// A message with its prefix.
pub(crate) fn framed(message: &impl Message) -> Bytes {
    let message = message.encode_to_vec();
    [&[0][..], &(message.len() as u32).to_be_bytes(), &message].concat().into()
}

impl Raw {
    pub(crate) async fn connect(server: &Server) -> Self {
        Self::over(TcpStream::connect(server.address).await.unwrap(), &Builder::new()).await
    }

    pub(crate) async fn over<C>(io: C, builder: &Builder) -> Self
    where
        C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (requests, mut connection) = builder.handshake(io).await.unwrap();
        let (windows, mut changes) = mpsc::unbounded_channel();
        let connection = tokio::spawn(async move {
            loop {
                tokio::select! {
                    ended = &mut connection => return ended,
                    Some(size) = changes.recv() => connection.set_initial_window_size(size).unwrap(),
                }
            }
        });
        Self { requests, windows, connection }
    }

    /// Begins a call.
    pub(crate) async fn call(&mut self, path: &str) -> Call {
        self.try_call(path).await.unwrap()
    }

    /// Begins a call with these tokens.
    pub(crate) async fn call_with(&mut self, path: &str, tokens: &[&str]) -> Call {
        self.send(path, tokens).await.unwrap()
    }

    pub(crate) async fn try_call(&mut self, path: &str) -> Result<Call, h2::Error> {
        self.send(path, &[]).await
    }

    async fn send(&mut self, path: &str, tokens: &[&str]) -> Result<Call, h2::Error> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://ticker{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .unwrap();
        for token in tokens {
            request.headers_mut().append("authorization", format!("Bearer {token}").parse().unwrap());
        }
        poll_fn(|cx| self.requests.poll_ready(cx)).await?;
        let (response, say) = self.requests.send_request(request, false)?;
        Ok(Call { say, response: Some(response), body: None, buffer: BytesMut::new(), releases: true })
    }

    /// Whether the server answers a call, which has ended then.
    pub(crate) async fn is_served(&mut self) -> bool {
        let Ok(mut call) = self.try_call(GET_TAPE).await else { return false };
        call.say(&GetTapeRequest {});
        call.half_close();
        matches!(call.hear::<GetTapeResponse>().await, Heard::Message(_))
            && matches!(call.hear::<GetTapeResponse>().await, Heard::Status(_))
    }

    /// Changes the window that the server has for each stream.
    pub(crate) fn set_window(&self, size: u32) {
        self.windows.send(size).unwrap();
    }

    /// How the connection ended, however long it takes until it does.
    pub(crate) async fn end_in_any_time(&mut self) -> Result<(), h2::Error> {
        (&mut self.connection).await.unwrap()
    }

    /// How the connection ended; waits until it does.
    pub(crate) async fn end(&mut self) -> Result<(), h2::Error> {
        timeout(PATIENCE, &mut self.connection).await.expect("the connection stays").unwrap()
    }
}

impl Call {
    /// Sends a message in a frame of its own.
    pub(crate) fn say(&mut self, message: &impl Message) {
        self.say.send_data(framed(message), false).unwrap();
    }

    pub(crate) fn half_close(&mut self) {
        self.say.send_data(Bytes::new(), true).unwrap();
    }

    /// Sends a message once the server has room for all of it.
    pub(crate) async fn say_when_there_is_room(&mut self, message: &impl Message) {
        let bytes = framed(message);
        self.say.reserve_capacity(bytes.len());
        while self.say.capacity() < bytes.len() {
            poll_fn(|cx| self.say.poll_capacity(cx)).await.unwrap().unwrap();
        }
        self.say.send_data(bytes, false).unwrap();
    }

    /// Keeps what comes from now on in the client's window.
    pub(crate) fn hold_back(&mut self) {
        self.releases = false;
    }

    /// The next message, or how the call ended.
    pub(crate) async fn hear<M: Message + Default>(&mut self) -> Heard<M> {
        timeout(PATIENCE, self.next()).await.expect("the server says nothing")
    }

    /// The next message. It fails when the call has ended.
    pub(crate) async fn message<M: Message + Default>(&mut self) -> M {
        match self.hear().await {
            Heard::Message(message) => message,
            Heard::Status(status) => panic!("{status}"),
            Heard::Broken(error) => panic!("{error}"),
        }
    }

    /// Skips messages until the call has ended.
    pub(crate) async fn status<M: Message + Default>(&mut self) -> Status {
        loop {
            match self.hear::<M>().await {
                Heard::Message(_) => {}
                Heard::Status(status) => return status,
                Heard::Broken(error) => panic!("{error}"),
            }
        }
    }

    /// Skips messages until the stream is reset.
    pub(crate) async fn reset<M: Message + Default>(&mut self) -> Option<Reason> {
        loop {
            match self.hear::<M>().await {
                Heard::Message(_) => {}
                Heard::Status(status) => panic!("{status}"),
                Heard::Broken(error) => return error.reason(),
            }
        }
    }

    /// The next message, however long it takes.
    pub(crate) async fn next<M: Message + Default>(&mut self) -> Heard<M> {
        if let Some(response) = self.response.take() {
            match response.await {
                Ok(response) => {
                    if let Some(status) = Status::from_header_map(response.headers()) {
                        return Heard::Status(status);
                    }
                    self.body = Some(response.into_body());
                }
                Err(error) => return Heard::Broken(error),
            }
        }
        let body = self.body.as_mut().expect("the call has ended");
        loop {
            if let Some(length) = self.buffer.get(1..5) {
                let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
                if self.buffer.len() >= 5 + length {
                    let mut message = self.buffer.split_to(5 + length);
                    message.advance(5);
                    return Heard::Message(M::decode(message).unwrap());
                }
            }
            match body.data().await {
                Some(Ok(data)) => {
                    if self.releases {
                        body.flow_control().release_capacity(data.len()).unwrap();
                    }
                    self.buffer.extend_from_slice(&data);
                }
                Some(Err(error)) => return Heard::Broken(error),
                None => {
                    assert!(self.buffer.is_empty(), "the stream ended within a message");
                    return match body.trailers().await {
                        Ok(trailers) => Heard::Status(Status::from_header_map(&trailers.unwrap()).unwrap()),
                        Err(error) => Heard::Broken(error),
                    };
                }
            }
        }
    }
}

/// The kinds of the frames that come until the connection is closed, within an hour.
pub(crate) async fn frames_until_end(io: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A connection that is cut may end in an error.
    timeout(Duration::from_secs(3_600), io.read_to_end(&mut bytes)).await.expect("the connection stays").ok();
    let (mut kinds, mut rest) = (Vec::new(), &bytes[..]);
    while let [a, b, c, kind, _, _, _, _, _, payload @ ..] = rest {
        kinds.push(*kind);
        rest = &payload[u32::from_be_bytes([0, *a, *b, *c]) as usize..];
    }
    assert!(rest.is_empty(), "a frame was cut off");
    kinds
}

pub(crate) const GOAWAY: u8 = 7;
