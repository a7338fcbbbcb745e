//! TLS 1.3 between the client and a server: one certificate for every server, and the client's side of a handshake.

use std::{
    fs,
    io::{self, Read, Write},
    net::TcpStream,
    path::PathBuf,
    sync::Arc,
};

use anyhow::Result;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    client::Resumption,
    crypto::{
        CryptoProvider,
        ring::{cipher_suite::TLS13_AES_128_GCM_SHA256, default_provider, kx_group::X25519},
    },
    version::TLS13,
};
use tempfile::TempDir;

/// A certificate and its key in a temporary folder, and a client that trusts it.
pub(crate) struct Tls {
    folder: TempDir,
    client: Arc<ClientConfig>,
}

impl Tls {
    /// Makes a self-signed certificate for 127.0.0.1 with an ECDSA key on P-256.
    pub(crate) fn new() -> Result<Self> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone())?;
        // With one cipher suite on offer, no server can choose a cheaper one than another.
        let provider = CryptoProvider {
            cipher_suites: vec![TLS13_AES_128_GCM_SHA256],
            kx_groups: vec![X25519],
            ..default_provider()
        };
        let mut client = ClientConfig::builder_with_provider(provider.into())
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // `ticker` requires it; Redis and NATS ignore it.
        client.alpn_protocols = vec![b"h2".to_vec()];
        // All servers have the same address, so the client would offer one server the session of another.
        client.resumption = Resumption::disabled();
        let tls = Tls { folder: TempDir::new()?, client: client.into() };
        fs::write(tls.certificate(), cert.pem())?;
        fs::write(tls.key(), signing_key.serialize_pem())?;
        Ok(tls)
    }

    /// The file of the certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    /// The file of the private key.
    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// Does the handshake on a blocking socket, then sends the first bytes.
    pub(crate) fn connect(&self, socket: &mut TcpStream, hello: &[u8]) -> Result<ClientConnection> {
        let server = socket.peer_addr()?.ip().into();
        let mut session = ClientConnection::new(self.client.clone(), server)?;
        session.write_tls(socket)?;
        skip_greeting(socket)?;
        session.complete_io(socket)?;
        session.writer().write_all(hello)?;
        while session.wants_write() {
            session.write_tls(socket)?;
        }
        Ok(session)
    }
}

/// Reads the line of plain text (`INFO …`) that NATS sends before the handshake.
fn skip_greeting(socket: &mut TcpStream) -> io::Result<()> {
    let mut byte = [0];
    socket.peek(&mut byte)?;
    if byte != *b"I" {
        return Ok(());
    }
    while byte != *b"\n" {
        socket.read_exact(&mut byte)?;
    }
    Ok(())
}
