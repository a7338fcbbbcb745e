//! TLS handshakes, on a thread of their own: the cryptography of one takes as long as hundreds of live ticks.

use std::{io, net::TcpStream, thread, time::Duration};

use rustls::pki_types::CertificateDer;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    runtime,
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{
    admission::Admitted,
    connection::{OPENING, noticed},
    http1,
    log::{ConnectionEnd, ConnectionLog},
    opening::Opening,
    tls::{self, Tls},
    transport::Incoming,
    worker::Handover,
};
use crate::thread_priority;

/// Makes handshakes and hands the connections to their workers.
pub(super) struct Handshakes(mpsc::Sender<(TcpStream, Admitted, Handover)>);

/// The record type of a TLS handshake.
const HANDSHAKE: u8 = 0x16;
/// Bytes of TLS that a connection may hold unsent. Small, because newer ticks wait behind them.
const MAX_UNSENT: usize = 16 * 1024;
/// Bytes that are read of a client that is refused.
const MAX_UNREAD: u64 = 64 * 1024;
/// How long a client that is refused may take to close the connection.
const LINGER: Duration = Duration::from_secs(1);

impl Handshakes {
    /// Starts the thread. It ends when this is dropped.
    pub(super) fn start(tls: Tls) -> io::Result<Self> {
        let (sender, mut accepted) = mpsc::channel::<(TcpStream, Admitted, Handover)>(64);
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let run = async move {
            let mut open = JoinSet::new();
            while let Some((stream, admitted, handover)) = accepted.recv().await {
                open.spawn(serve(stream, admitted, handover, tls.clone()));
                while open.try_join_next().is_some() {}
            }
        };
        thread::Builder::new().name("handshakes".to_owned()).spawn(move || {
            thread_priority::lower(thread_priority::LOW);
            runtime.block_on(run);
        })?;
        Ok(Self(sender))
    }

    /// Begins the handshake of a connection, which `handover` is for afterwards.
    pub(super) async fn begin(&self, stream: TcpStream, admitted: Admitted, handover: Handover) {
        // Fails only when the thread has panicked; the connection is closed then.
        let _ = self.0.send((stream, admitted, handover)).await;
    }
}

async fn serve(stream: TcpStream, mut admitted: Admitted, handover: Handover, tls: Tls) {
    let context = admitted.context.clone();
    let handshake = tokio::select! {
        done = timeout(OPENING, handshake(stream, &tls)) => done.unwrap_or(Err(ConnectionEnd::OpeningTimeout)),
        notice = noticed(&context) => Err(notice.into()),
    };
    match handshake {
        Ok((incoming, certificate)) => {
            if let Some(name) = certificate {
                context.set_certificate(name);
            }
            handover.give(incoming, admitted).await;
        }
        Err(end) => {
            admitted.end = end.name();
            drop(ConnectionLog::of_end(context, end));
        }
    }
}

/// The connection after its handshake, and the name of its client certificate.
async fn handshake(stream: TcpStream, tls: &Tls) -> Result<(Incoming, Option<String>), ConnectionEnd> {
    let mut stream = tokio::net::TcpStream::from_std(stream)?;
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => return Err(ConnectionEnd::ClosedByClient),
        _ if first == [HANDSHAKE] => {}
        _ => {
            refuse(&mut stream, "this port needs TLS: connect with https://").await?;
            return Err(ConnectionEnd::Plaintext);
        }
    }
    let config = tls.config();
    let accept = TlsAcceptor::from(config.clone())
        .accept_with(stream, |session| session.set_buffer_limit(Some(MAX_UNSENT)));
    let mut stream = match accept.into_fallible().await {
        Ok(stream) => stream,
        Err((error, mut stream)) => {
            close(&mut stream).await;
            return Err(ConnectionEnd::of_handshake(error));
        }
    };
    let session = stream.get_ref().1;
    let certificate = session.peer_certificates().and_then(<[CertificateDer<'_>]>::first);
    let name = certificate.map(tls::name_of);
    let has_h2 = session.alpn_protocol() == Some(tls::H2);
    if let Some(None) = name {
        let why =
            "the client certificate needs a SPIFFE ID or a DNS name among its subject alternative names";
        refuse(&mut stream, why).await?;
        return Err(ConnectionEnd::NamelessCertificate);
    }
    if !has_h2 {
        refuse(&mut stream, "this port needs HTTP/2: offer h2 by ALPN").await?;
        return Err(ConnectionEnd::NoAlpn);
    }
    let (stream, session) = stream.into_inner();
    Ok((Incoming::Tls(stream.into_std()?, Box::new(session), config), name.flatten()))
}

/// Closes a connection so that its client gets the reason, which was sent: a connection that is closed with unread bytes is
/// reset, and the client may lose the reason.
async fn close(io: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    // How the client closes it does not matter.
    let _ = io.shutdown().await;
    let _ = timeout(LINGER, tokio::io::copy(&mut io.take(MAX_UNREAD), &mut tokio::io::sink())).await;
}

/// Says in the protocol of the client why it is not served.
async fn refuse(io: &mut (impl AsyncRead + AsyncWrite + Unpin), why: &str) -> io::Result<()> {
    match Opening::read(io).await? {
        Opening::Http1(begun) => http1::answer(io, begun, http1::Scheme::Https).await,
        Opening::Http2(_) => {
            io.write_all(&goaway(why)).await?;
            close(io).await;
            Ok(())
        }
        Opening::Tls | Opening::Unknown | Opening::Closed => Ok(()),
    }
}

/// GOAWAY with the error INADEQUATE_SECURITY. (RFC 9113, sections 6.8 and 7) No SETTINGS go before it: clients of gRPC take a
/// connection with SETTINGS for a good one, and would connect again at once, for ever.
fn goaway(why: &str) -> Vec<u8> {
    const GOAWAY: u8 = 7;
    const INADEQUATE_SECURITY: u32 = 0xc;
    let length = 8 + why.len() as u32;
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[GOAWAY, 0, 0, 0, 0, 0]);
    bytes.extend_from_slice(&0_u32.to_be_bytes());
    bytes.extend_from_slice(&INADEQUATE_SECURITY.to_be_bytes());
    bytes.extend_from_slice(why.as_bytes());
    bytes
}
