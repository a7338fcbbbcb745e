//! TLS of a client.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio_rustls::TlsConnector;

use super::network::Connection;

/// How connections to `https://` endpoints are made. The files are read for each connection, so that renewed ones are used.
///
/// The default trusts the CAs of this system, and shows no certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    ca: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
}

/// ALPN of HTTP/2.
const H2: &[u8] = b"h2";

impl Tls {
    /// Trusts the CAs of a PEM file, and no others.
    pub fn with_ca(self, file: impl Into<PathBuf>) -> Self {
        Self { ca: Some(file.into()), ..self }
    }

    /// Shows a certificate to the server: PEM files of the certificate and of its key.
    pub fn with_certificate(self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { identity: Some((certificate.into(), key.into())), ..self }
    }

    /// Makes a handshake with the server of this name or address.
    pub(super) async fn connect(
        &self,
        host: &str,
        connection: Box<dyn Connection>,
    ) -> io::Result<Box<dyn Connection>> {
        let name = ServerName::try_from(host.trim_start_matches('[').trim_end_matches(']').to_owned());
        let name =
            name.map_err(|_| io::Error::other(format!("{host} cannot be the name of a certificate")))?;
        let connector = TlsConnector::from(Arc::new(self.config()?));
        let stream = connector.connect(name, connection).await?;
        match stream.get_ref().1.alpn_protocol() == Some(H2) {
            true => Ok(Box::new(stream)),
            false => Err(io::Error::other("the server does not offer HTTP/2 (h2) by ALPN")),
        }
    }

    fn config(&self) -> io::Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let certificates = match &self.ca {
            Some(file) => certificates_of(file)?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        roots.add_parsable_certificates(certificates);
        if roots.is_empty() {
            return Err(io::Error::other(
                "there is no CA to trust: name the CA of the server (--tls-ca FILE)",
            ));
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let pem = read(key)?;
                let parsed = PrivateKeyDer::from_pem_slice(&pem);
                let parsed =
                    parsed.map_err(|error| in_file(key, &format!("no private key in PEM: {error}")))?;
                builder
                    .with_client_auth_cert(certificates_of(certificate)?, parsed)
                    .map_err(io::Error::other)?
            }
        };
        config.alpn_protocols = vec![H2.to_vec()];
        Ok(config)
    }
}

fn certificates_of(file: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(file)?).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(in_file(file, "no certificate in PEM")),
    }
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    fs::read(file).map_err(|error| in_file(file, &error.to_string()))
}

fn in_file(file: &Path, problem: &str) -> io::Error {
    io::Error::other(format!("{}: {problem}", file.display()))
}
