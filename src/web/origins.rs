//! Which pages of other origins may use the service (CORS, <https://fetch.spec.whatwg.org/#http-cors-protocol>).

use std::{str::FromStr, sync::Arc};

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use thiserror::Error;

/// The origins of pages that may use the service from a browser. The page that the service itself has sent always may.
#[derive(Clone, Debug, Default)]
pub struct Origins(Arc<[Origin]>);

/// The origin of a page, such as `https://example.com:8443`, or `*` for every origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

/// Why a text is no origin.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "expected an origin, such as https://example.com or http://localhost:5173, without a path, or * for every origin"
)]
pub struct OriginError;

/// A page of another origin asks, and may not.
#[derive(Debug, Error)]
pub(super) enum ForeignOrigin {
    /// A page of this origin.
    #[error("pages of {0} may not use this server: --cors-origin {0} allows it")]
    Page(String),
    /// A page of another site, of which browsers do not say the origin.
    #[error("pages of other sites may not load anything from this server: --cors-origin '*' allows it")]
    OtherSite,
}

/// Headers of requests that a page may set.
const REQUEST_HEADERS: &str = "authorization, cache-control, content-type, grpc-timeout, last-event-id, traceparent, tracestate, \
                               x-grpc-web, x-user-agent";
/// Headers of responses that a page may read.
const RESPONSE_HEADERS: &str = "grpc-status, grpc-message, grpc-status-details-bin, retry-after";
/// How long a browser need not ask again, in seconds. Browsers have limits of their own.
const MAX_AGE: &str = "7200";

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let text = text.trim();
        if text == "*" {
            return Ok(Self(text.to_owned()));
        }
        let uri: Uri = text.parse().map_err(|_| OriginError)?;
        let is_origin = matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.path_and_query().is_none_or(|path| path.as_str() == "/" && !text.ends_with('/'))
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        // Browsers write scheme and host in lower case, and leave out the port of the scheme.
        let text = text.to_ascii_lowercase();
        let port = if text.starts_with("https:") { ":443" } else { ":80" };
        is_origin.then(|| Self(text.strip_suffix(port).unwrap_or(&text).to_owned())).ok_or(OriginError)
    }
}

impl Origins {
    /// These origins.
    pub fn new(origins: Vec<Origin>) -> Self {
        Self(origins.into())
    }

    /// The origin of the page that asks, if it is another one than that of the service.
    ///
    /// # Errors
    /// It may not use the service.
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<Option<HeaderValue>, ForeignOrigin> {
        let Some(origin) = request.headers().get(header::ORIGIN) else {
            return match is_of_another_site(request.headers()) && !self.allows("*") {
                true => Err(ForeignOrigin::OtherSite),
                false => Ok(None),
            };
        };
        let text = String::from_utf8_lossy(origin.as_bytes());
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let host = request.uri().authority().map(|authority| authority.as_str()).or(host);
        let own = text.split_once("://").map(|(_, own)| own);
        if own.zip(host).is_some_and(|(own, host)| own.eq_ignore_ascii_case(host)) {
            return Ok(None);
        }
        match self.allows("*") || self.allows(&text) {
            true => Ok(Some(origin.clone())),
            false => Err(ForeignOrigin::Page(text.chars().take(100).collect())),
        }
    }

    fn allows(&self, origin: &str) -> bool {
        self.0.iter().any(|allowed| allowed.0 == origin)
    }
}

/// Whether a page of another site has a part of it loaded from here, such as an image: a browser sends no origin with that.
/// (<https://w3c.github.io/webappsec-fetch-metadata/>) A link to here is something else.
fn is_of_another_site(headers: &HeaderMap) -> bool {
    let is = |name: &str, value: &str| headers.get(name).is_some_and(|given| given == value);
    is("sec-fetch-site", "cross-site") && !is("sec-fetch-mode", "navigate")
}

/// Lets a page of this origin read a response.
pub(super) fn allow<B>(origin: HeaderValue, response: &mut Response<B>) {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(RESPONSE_HEADERS));
}

/// Whether a browser asks what it may send before it sends it.
pub(super) fn is_preflight(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Says what a page may send.
pub(super) fn preflight() -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let (headers, fixed) = (response.headers_mut(), HeaderValue::from_static);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, fixed("GET, POST"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, fixed(REQUEST_HEADERS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, fixed(MAX_AGE));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_the_scheme_is_left_out_as_browsers_do() {
        for (text, origin) in [
            ("https://a.com:443", "https://a.com"),
            ("http://a.com:80", "http://a.com"),
            ("http://a.com:443", "http://a.com:443"),
        ] {
            assert_eq!(text.parse(), Ok(Origin(origin.to_owned())));
        }
    }

    #[test]
    fn a_part_of_a_page_of_another_site_is_refused_and_a_link_is_not() {
        let loads = |origins: &[&str], mode: &'static str| {
            let origins = Origins::new(origins.iter().map(|origin| origin.parse().unwrap()).collect());
            let request = Request::get("/").header("sec-fetch-site", "cross-site");
            origins.check(&request.header("sec-fetch-mode", mode).body(()).unwrap()).is_ok()
        };
        assert!(!loads(&["https://a.com"], "no-cors") && loads(&[], "navigate") && loads(&["*"], "no-cors"));
    }

    #[test]
    fn an_origin_is_a_scheme_a_host_and_perhaps_a_port() {
        for good in
            ["http://localhost:5173", "https://example.com", "https://[::1]:8443", "*", "https://EXAMPLE.com"]
        {
            assert_eq!(good.parse(), Ok(Origin(good.to_lowercase())));
        }
        for bad in [
            "",
            "example.com",
            "https://example.com/",
            "https://example.com/page",
            "ftp://example.com",
            "https://",
            "null",
            "https://a@b",
        ] {
            assert_eq!(bad.parse::<Origin>(), Err(OriginError), "{bad}");
        }
    }

    #[test]
    fn the_own_page_and_those_that_are_named_may_ask() {
        let asks = |origins: &[&str], origin: &'static str, host: &'static str| {
            let origins = Origins::new(origins.iter().map(|origin| origin.parse().unwrap()).collect());
            let request = Request::get("/").header("host", host).header("origin", origin).body(()).unwrap();
            origins.check(&request).map(|origin| origin.is_some()).map_err(|foreign| match foreign {
                ForeignOrigin::Page(origin) => origin,
                ForeignOrigin::OtherSite => panic!("the page has an origin"),
            })
        };
        assert_eq!(asks(&[], "http://ticker:50051", "TICKER:50051"), Ok(false));
        assert_eq!(asks(&["https://a.com"], "https://a.com", "ticker"), Ok(true));
        assert_eq!(asks(&["https://a.com"], "https://b.com", "ticker"), Err("https://b.com".to_owned()));
        assert_eq!(asks(&["https://a.com"], "http://a.com", "ticker"), Err("http://a.com".to_owned()));
        assert_eq!(asks(&["*"], "null", "ticker"), Ok(true));
        assert_eq!(asks(&[], "null", "null"), Err("null".to_owned()));
        assert!(Origins::default().check(&Request::new(())).is_ok_and(|origin| origin.is_none()));
    }
}
