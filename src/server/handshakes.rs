//! TLS handshakes, on a thread of their own: the cryptography of one takes as long as hundreds of live ticks.

use std::{io, net::TcpStream, thread};

use rustls::pki_types::CertificateDer;
use tokio::{runtime, sync::mpsc, task::JoinSet, time::timeout};
use tokio_rustls::TlsAcceptor;

use super::{
    admission::Admitted,
    log::{ConnectionEnd, ConnectionLog},
    reject,
    timeouts::OPENING,
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

/// What a client of HTTP/1 is told to try instead of a connection without TLS.
const WITH_TLS: &str = "\n\
                        In a browser:       https://ADDRESS/\n\
                        List the services:  grpcurl -cacert CA.pem ADDRESS list\n\
                        Watch live prices:  ticker watch --tls-ca CA.pem --endpoint https://ADDRESS '*'\n";

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
        notice = context.noticed() => Err(notice.into()),
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
            reject::reject(&mut stream, "this port needs TLS: connect with https://", WITH_TLS).await?;
            return Err(ConnectionEnd::Plaintext);
        }
    }
    let config = tls.config();
    let accept = TlsAcceptor::from(config.clone())
        .accept_with(stream, |session| session.set_buffer_limit(Some(MAX_UNSENT)));
    let mut stream = match accept.into_fallible().await {
        Ok(stream) => stream,
        Err((error, mut stream)) => {
            reject::close(&mut stream).await;
            return Err(ConnectionEnd::of_handshake(error));
        }
    };
    let session = stream.get_ref().1;
    let certificate = session.peer_certificates().and_then(<[CertificateDer<'_>]>::first);
    let name = certificate.map(tls::name_of);
    if let Some(None) = name {
        let why =
            "the client certificate needs a SPIFFE ID or a DNS name among its subject alternative names";
        reject::reject(&mut stream, why, "").await?;
        return Err(ConnectionEnd::NamelessCertificate);
    }
    let (stream, session) = stream.into_inner();
    Ok((Incoming::Tls(stream.into_std()?, Box::new(session), config), name.flatten()))
}
