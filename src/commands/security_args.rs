//! The flags of TLS and of tokens, which every command that is a client has.

use std::path::PathBuf;

use clap::Args;

use crate::client::{Settings, Tls, TokenFile};

/// How to encrypt, and who the client is.
#[derive(Args, Clone, Debug, Default)]
pub struct SecurityArgs {
    /// PEM file with the CA of the servers, for https:// endpoints [default: the CAs of this system]
    #[arg(long, env = "TICKER_TLS_CA", value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// PEM file with the certificate of this client, for mutual TLS
    #[arg(long, env = "TICKER_CERT", value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// PEM file with the private key of --cert
    #[arg(long, env = "TICKER_KEY", value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// File with the token of this client; it is read again before the token expires
    #[arg(long, env = "TICKER_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

impl SecurityArgs {
    /// The settings of a client with these flags.
    pub fn settings(&self) -> Settings {
        let mut tls = Tls::default();
        if let Some(ca) = &self.tls_ca {
            tls = tls.with_ca(ca);
        }
        if let Some((certificate, key)) = self.cert.as_ref().zip(self.key.as_ref()) {
            tls = tls.with_certificate(certificate, key);
        }
        let settings = Settings::default().with_tls(tls);
        match &self.token_file {
            Some(file) => settings.with_token(TokenFile(file.clone())),
            None => settings,
        }
    }
}
