//! TLS: certificates, keys and the CA of client certificates, from files that may change.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{VerifierBuilderError, WebPkiClientVerifier},
    version::{TLS12, TLS13},
};
use thiserror::Error;

use crate::watched_files::{Unreadable, WatchedFiles};

/// The files of TLS, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate of the server, and those between it and the CA.
    pub certificates: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// Set for mutual TLS.
    pub client_ca: Option<ClientCa>,
}

/// The CA of client certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCa {
    /// Its certificates.
    pub certificates: PathBuf,
    /// Whether a client without a certificate is refused.
    pub is_required: bool,
}

/// Why there is no TLS with these files.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// A file has no certificate.
    #[error("{} has no certificate in PEM (-----BEGIN CERTIFICATE-----)", .0.display())]
    NoCertificate(PathBuf),
    /// A file has no key.
    #[error("{} has no private key in PEM (-----BEGIN PRIVATE KEY-----)", .0.display())]
    NoKey(PathBuf),
    /// The certificate and the key cannot be used.
    #[error("{} and {} are no pair of a certificate and its key", .0.display(), .1.display())]
    Pair(PathBuf, PathBuf, #[source] rustls::Error),
    /// The CA cannot be used.
    #[error("{} has no CA that can be used", .0.display())]
    Ca(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// The cryptography does not support the versions of TLS.
    #[error("cannot use TLS")]
    Versions(#[source] rustls::Error),
}

/// TLS of one server. Connections that begin use what was loaded last.
#[derive(Clone)]
pub(super) struct Tls {
    files: TlsFiles,
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

/// What is offered by ALPN, the best first. A client that names nothing is served what it speaks.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

impl Tls {
    /// Loads the files. The returned ones are to be [followed](Self::follow).
    pub(super) fn load(files: TlsFiles) -> Result<(Self, WatchedFiles), TlsError> {
        let TlsFiles { certificates, key, client_ca } = files.clone();
        let ca = client_ca.map(|ca| ca.certificates);
        let watched = WatchedFiles::read([certificates, key].into_iter().chain(ca).collect());
        let config = files.config(&watched.contents()?)?;
        Ok((Self { files, config: Arc::new(RwLock::new(Arc::new(config))) }, watched))
    }

    /// What a connection that begins now uses.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Loads the files again whenever they change. Never returns.
    pub(super) async fn follow(self, files: WatchedFiles) {
        let apply = |contents: &[&[u8]]| {
            let config = Arc::new(self.files.config(contents)?);
            *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
            Ok::<_, TlsError>(())
        };
        files.follow("the certificates of TLS", apply).await;
    }
}

impl TlsFiles {
    /// The settings that the contents of the files make, in their order: certificates, key, CA.
    fn config(&self, contents: &[&[u8]]) -> Result<ServerConfig, TlsError> {
        let [certificates, key, ca @ ..] = contents else {
            return Err(TlsError::NoCertificate(self.certificates.clone()));
        };
        let chain = certificates_of(certificates, &self.certificates)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey(self.key.clone()))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(TlsError::Versions)?;
        let builder = match (&self.client_ca, ca) {
            (Some(client_ca), [ca]) => builder.with_client_cert_verifier(client_ca.verifier(ca, provider)?),
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|error| TlsError::Pair(self.certificates.clone(), self.key.clone(), error))?;
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
        Ok(config)
    }
}

impl ClientCa {
    fn verifier(
        &self,
        ca: &[u8],
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
        let failed =
            |error: Box<dyn std::error::Error + Send + Sync>| TlsError::Ca(self.certificates.clone(), error);
        let mut roots = RootCertStore::empty();
        for certificate in certificates_of(ca, &self.certificates)? {
            roots.add(certificate).map_err(|error| failed(error.into()))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = if self.is_required { builder } else { builder.allow_unauthenticated() };
        builder.build().map_err(|error: VerifierBuilderError| failed(error.into()))
    }
}

/// The certificates of a PEM file, at least one.
fn certificates_of(pem: &[u8], path: &std::path::Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.ok().filter(|all| !all.is_empty()).ok_or_else(|| TlsError::NoCertificate(path.to_owned()))
}

/// The name of a client: the SPIFFE ID of its certificate, else the first DNS name. Both are of the subject alternative names;
/// the common name is not looked at.
pub(super) fn name_of(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    let spiffe = certificate.valid_uri_names().find(|uri| uri.starts_with("spiffe://"));
    spiffe.or_else(|| certificate.valid_dns_names().next()).map(str::to_owned)
}
