//! The board: a page that shows live prices. Its sources are in `web/`, and `build.rs` compresses the built files.

use std::{
    io::Read,
    sync::{LazyLock, OnceLock},
};

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use sha2::{Digest, Sha256};

/// A file of the board.
pub(super) struct File {
    path: &'static str,
    content_type: &'static str,
    compressed: &'static [u8],
    /// Without compression, once somebody has asked for it.
    plain: OnceLock<Bytes>,
}

macro_rules! file {
    ($path:literal, $name:literal, $content_type:literal) => {
        File {
            path: $path,
            content_type: $content_type,
            compressed: include_bytes!(concat!(env!("OUT_DIR"), "/board/", $name, ".gz")),
            plain: OnceLock::new(),
        }
    };
}

static FILES: [File; 4] = [
    file!("/", "index.html", "text/html; charset=utf-8"),
    file!("/board.js", "board.js", "text/javascript; charset=utf-8"),
    file!("/board.css", "board.css", "text/css; charset=utf-8"),
    file!("/favicon.svg", "favicon.svg", "image/svg+xml"),
];

/// The board may talk to other replicas, and loads nothing of anybody else.
const POLICY: &str = "default-src 'self'; connect-src *; img-src 'self' data:; style-src 'self' 'unsafe-inline'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The version of the board: browsers load files again when it changes.
static ETAG: LazyLock<HeaderValue> = LazyLock::new(|| {
    let digest =
        FILES.iter().fold(Sha256::new(), |digest, file| digest.chain_update(file.compressed)).finalize();
    let digits: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::try_from(format!("W/\"{digits}\"")).unwrap_or(HeaderValue::from_static("W/\"board\""))
});

impl File {
    /// The file with this path.
    pub(super) fn of_path(path: &str) -> Option<&'static Self> {
        FILES.iter().find(|file| file.path == path)
    }

    /// The response to a request with these headers.
    pub(super) fn response(&self, headers: &HeaderMap) -> Response<Bytes> {
        let has_it = headers
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .any(|tags| tags.as_bytes().split(|byte| *byte == b',').any(|tag| is_tag(tag.trim_ascii())));
        let mut response = Response::new(Bytes::new());
        let fixed = HeaderValue::from_static;
        let answered = response.headers_mut();
        answered.insert(header::ETAG, ETAG.clone());
        answered.insert(header::CACHE_CONTROL, fixed("no-cache"));
        answered.insert(header::VARY, fixed("accept-encoding"));
        if has_it {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        answered.insert(header::CONTENT_TYPE, fixed(self.content_type));
        answered.insert(header::CONTENT_SECURITY_POLICY, fixed(POLICY));
        answered.insert(header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
        answered.insert(header::REFERRER_POLICY, fixed("no-referrer"));
        if accepts_gzip(headers) {
            answered.insert(header::CONTENT_ENCODING, fixed("gzip"));
            *response.body_mut() = Bytes::from_static(self.compressed);
        } else {
            *response.body_mut() = self.plain.get_or_init(|| self.unpacked()).clone();
        }
        response
    }

    fn unpacked(&self) -> Bytes {
        let mut plain = Vec::new();
        // Fails only for bytes that are not compressed, and the build has compressed these.
        let _ = GzDecoder::new(self.compressed).read_to_end(&mut plain);
        plain.into()
    }
}

/// Whether a tag of `if-none-match` is that of the board. A proxy may have made it a strong one.
fn is_tag(tag: &[u8]) -> bool {
    let own = ETAG.as_bytes();
    tag == b"*" || tag == own || own.strip_prefix(b"W/") == Some(tag)
}

/// Whether `accept-encoding` has gzip, and not with a weight of zero.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().trim_start_matches("q=").trim_matches(['0', '.']);
        name.trim().eq_ignore_ascii_case("gzip") && (!coding.contains(';') || !weight.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn gzip_is_sent_to_those_who_accept_it() {
        for (value, accepted) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=1.0", true),
            ("gzip;q=0", false),
            ("gzip;q=0.000", false),
            ("identity", false),
            ("", false),
        ] {
            assert_eq!(accepts_gzip(&headers(header::ACCEPT_ENCODING, value)), accepted, "{value}");
        }
    }

    #[test]
    fn a_file_is_the_same_with_and_without_compression_and_is_not_sent_twice() {
        for file in &FILES {
            let plain = file.response(&HeaderMap::new());
            let sent = file.response(&headers(header::ACCEPT_ENCODING, "gzip"));
            let mut unpacked = Vec::new();
            GzDecoder::new(&sent.body()[..]).read_to_end(&mut unpacked).unwrap();
            assert!(!unpacked.is_empty() && unpacked == *plain.body());
            assert_eq!(sent.headers()["content-encoding"], "gzip");
            let mut again = HeaderMap::new();
            again.insert(header::IF_NONE_MATCH, ETAG.clone());
            let again = file.response(&again);
            assert!(again.status() == StatusCode::NOT_MODIFIED && again.body().is_empty());
        }
    }
}
