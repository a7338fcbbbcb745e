//! The URL of a server.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use http::Uri;
use thiserror::Error;

/// `http://host:port`, or `https://host:port` for TLS. Without a scheme it is `http`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// An IPv6 address has its brackets.
    host: String,
    port: u16,
    is_https: bool,
}

/// Why a text is not an [`Endpoint`].
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointError {
    /// It is not `host:port`.
    #[error("expected an address such as http://127.0.0.1:50051 or ticker.example.com:50051")]
    Malformed,
    /// It has another scheme.
    #[error("{0}:// is not available; write http://host:port, or https://host:port")]
    Scheme(String),
}

impl Endpoint {
    /// The endpoint by which the same machine reaches a server that listens on an address. `None` for port 0, which
    /// stands for any port.
    pub fn of_listener(mut address: SocketAddr) -> Option<Self> {
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        (address.port() != 0).then(|| address.into())
    }

    /// The name or address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether connections are encrypted.
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// The endpoint of one address of this one.
    pub(super) fn at(&self, address: SocketAddr) -> Self {
        Self { is_https: self.is_https, ..address.into() }
    }

    /// The same with `http` as the scheme.
    pub(super) fn without_tls(&self) -> Self {
        Self { is_https: false, ..self.clone() }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        let host = match address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        Self { host, port: address.port(), is_https: false }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let is_https = scheme.eq_ignore_ascii_case("https");
        if !is_https && !scheme.eq_ignore_ascii_case("http") {
            return Err(EndpointError::Scheme(scheme.to_owned()));
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let uri: Uri = format!("http://{authority}").parse().map_err(|_| EndpointError::Malformed)?;
        let plain =
            uri.authority().is_some_and(|whole| whole.as_str() == authority && !authority.contains('@'));
        match (uri.host(), uri.port_u16()) {
            (Some(host), Some(port)) if plain && !host.is_empty() && port != 0 => {
                Ok(Self { host: host.to_owned(), port, is_https })
            }
            _ => Err(EndpointError::Malformed),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        f.pad(&format!("{scheme}://{}:{}", self.host, self.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_leave_its_scheme_out() {
        for (text, endpoint) in [
            ("http://127.0.0.1:50051", "http://127.0.0.1:50051"),
            ("HTTP://127.0.0.1:50051/", "http://127.0.0.1:50051"),
            ("https://127.0.0.1:50051", "https://127.0.0.1:50051"),
            ("localhost:1", "http://localhost:1"),
            ("[::1]:50051", "http://[::1]:50051"),
            ("ticker.example.com:443", "http://ticker.example.com:443"),
        ] {
            assert_eq!(
                text.parse::<Endpoint>().map(|endpoint| endpoint.to_string()),
                Ok(endpoint.to_owned())
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused_and_told_how_to_write_one() {
        for text in [
            "",
            "localhost",
            ":50051",
            "http://",
            "a:b",
            "a:0",
            "a:1/path",
            "a:1?q",
            "user@a:1",
            "a b:1",
            "a:99999",
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(EndpointError::Malformed), "{text}");
        }
        assert_eq!("grpc://a:1".parse::<Endpoint>(), Err(EndpointError::Scheme("grpc".to_owned())));
    }

    #[test]
    fn a_listener_on_every_address_is_reached_on_the_loopback() {
        let reached = |text: &str| Endpoint::of_listener(text.parse().unwrap()).map(|at| at.to_string());
        assert_eq!(reached("0.0.0.0:50051").as_deref(), Some("http://127.0.0.1:50051"));
        assert_eq!(reached("[::]:9").as_deref(), Some("http://[::1]:9"));
        assert_eq!(reached("10.1.2.3:80").as_deref(), Some("http://10.1.2.3:80"));
        assert_eq!(reached("127.0.0.1:0"), None);
    }
}
