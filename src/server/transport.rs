//! The bytes of a connection: of TCP, or of TLS over TCP.

use std::{
    io::{self, IoSlice},
    net,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use rustls::{ServerConfig, ServerConnection};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// A connection that no thread serves yet.
pub(super) enum Incoming {
    /// Without TLS.
    Tcp(net::TcpStream),
    /// After its handshake, with the settings that it was made with.
    Tls(net::TcpStream, Box<ServerConnection>, Arc<ServerConfig>),
}

/// A connection that this thread serves.
pub(super) enum Transport {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Incoming {
    /// Registers the connection with the runtime of this thread.
    pub(super) fn register(self) -> io::Result<Transport> {
        match self {
            Self::Tcp(stream) => Ok(Transport::Tcp(TcpStream::from_std(stream)?)),
            Self::Tls(stream, session, config) => {
                // The only way to make a `TlsStream` of a session: a handshake that has nothing left to do.
                let stream = TcpStream::from_std(stream)?;
                let accept = TlsAcceptor::from(config).accept_with(stream, |fresh| *fresh = *session);
                match pin!(accept).poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(accepted) => Ok(Transport::Tls(Box::new(accepted?))),
                    Poll::Pending => Err(io::Error::other("the TLS handshake is not complete")),
                }
            }
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
