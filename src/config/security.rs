//! Options of encryption and authentication.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::{
    access::Audience,
    server::{AuthFiles, ClientCa, TlsFiles},
};

/// Options of TLS and of tokens.
#[derive(Args, Clone, Debug)]
pub struct SecurityArgs {
    /// PEM file with the certificate of the server, and those between it and the CA: turns TLS on
    #[arg(long, env = "TICKER_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the private key of --tls-cert
    #[arg(long, env = "TICKER_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// PEM file with the CA of client certificates: turns mutual TLS on
    #[arg(long, env = "TICKER_TLS_CLIENT_CA", value_name = "FILE", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,
    /// Whether a client without a certificate is refused
    #[arg(
        long,
        env = "TICKER_TLS_CLIENT_AUTH",
        value_name = "CHOICE",
        value_enum,
        default_value = "required"
    )]
    pub tls_client_auth: ClientAuth,
    /// JWKS, or PEM file with one public key, of the issuer of tokens: callers have to send a token
    #[arg(long, env = "TICKER_AUTH_JWKS", value_name = "FILE")]
    pub auth_jwks: Option<PathBuf>,
    /// Issuer of tokens: their claim `iss`
    #[arg(long, env = "TICKER_AUTH_ISSUER", value_name = "TEXT", default_value = "ticker")]
    pub auth_issuer: String,
    /// Audience of tokens: one of their claim `aud`
    #[arg(long, env = "TICKER_AUTH_AUDIENCE", value_name = "TEXT", default_value = "ticker")]
    pub auth_audience: String,
    /// TOML file with the scopes of the roles that tokens name
    #[arg(long, env = "TICKER_AUTH_ROLES", value_name = "FILE", requires = "auth_jwks")]
    pub auth_roles: Option<PathBuf>,
    /// Server reflection, which shows the contract to tools; auto: off with --auth-jwks
    #[arg(long, env = "TICKER_REFLECTION", value_name = "CHOICE", value_enum, default_value = "auto")]
    pub reflection: Reflection,
}

/// Whether clients need a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClientAuth {
    /// A client without a certificate is refused.
    Required,
    /// A client without a certificate is served.
    Optional,
}

/// Whether there is server reflection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Reflection {
    /// Unless callers have to authenticate.
    Auto,
    /// Always; callers that have to authenticate need a token for it.
    On,
    /// Never.
    Off,
}

/// What clients in examples need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExampleFlags {
    /// The scheme of the endpoint.
    pub scheme: &'static str,
    /// Flags of grpcurl; `None` without server reflection, because grpcurl needs the files of the contract then.
    pub grpcurl: Option<String>,
    /// Flags of `ticker watch` behind the endpoint, each after a space.
    pub watch: String,
}

impl SecurityArgs {
    /// What clients in examples need.
    pub fn example(&self) -> ExampleFlags {
        let has_tls = self.tls_cert.is_some();
        let needs_certificate = self.tls_client_ca.is_some() && self.tls_client_auth == ClientAuth::Required;
        let (scheme, mut grpcurl, mut watch) = match has_tls {
            true => ("https", "-cacert CA.pem".to_owned(), " --tls-ca CA.pem".to_owned()),
            false => ("http", "-plaintext".to_owned(), String::new()),
        };
        if needs_certificate {
            grpcurl += " -cert CERT.pem -key KEY.pem";
            watch += " --cert CERT.pem --key KEY.pem";
        }
        if self.auth_jwks.is_some() {
            grpcurl += " -H \"authorization: Bearer $(cat TOKEN)\"";
            watch += " --token-file TOKEN";
        }
        ExampleFlags { scheme, grpcurl: self.has_reflection().then_some(grpcurl), watch }
    }

    /// The files of TLS, if it is on.
    pub fn tls(&self) -> Option<TlsFiles> {
        let (certificates, key) = self.tls_cert.clone().zip(self.tls_key.clone())?;
        let is_required = self.tls_client_auth == ClientAuth::Required;
        let client_ca = self.tls_client_ca.clone().map(|certificates| ClientCa { certificates, is_required });
        Some(TlsFiles { certificates, key, client_ca })
    }

    /// The files of authentication, if callers have to authenticate.
    pub fn auth(&self) -> Option<AuthFiles> {
        let audience = Audience { issuer: self.auth_issuer.clone(), audience: self.auth_audience.clone() };
        Some(AuthFiles { keys: self.auth_jwks.clone()?, roles: self.auth_roles.clone(), audience })
    }

    /// Whether there is server reflection.
    pub fn has_reflection(&self) -> bool {
        match self.reflection {
            Reflection::Auto => self.auth_jwks.is_none(),
            Reflection::On => true,
            Reflection::Off => false,
        }
    }
}
