//! The first bytes of a connection, which say what the client speaks.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::{frames::PREFACE, lane::HEAD};

/// What a client speaks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// HTTP/2: the preface and the head of a SETTINGS frame, as they were read.
    Http2(Vec<u8>),
    /// HTTP/1: the beginning of a request, as far as it was read.
    Http1(Vec<u8>),
    /// A TLS handshake.
    Tls,
    /// None of these.
    Unknown,
    /// Nothing more: the client closed the connection before it had said what it speaks.
    Closed,
}

impl Opening {
    /// Longest method of HTTP/1 that is recognized.
    const LONGEST_METHOD: usize = 16;
    const TLS_HANDSHAKE: u8 = 0x16;

    /// Reads as many bytes as it takes to decide, and none beyond the head of the first frame.
    ///
    /// # Errors
    /// The connection failed.
    pub(super) async fn read(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        const LENGTH: usize = PREFACE.len() + HEAD;
        let mut read = Vec::with_capacity(LENGTH);
        loop {
            if let Some(opening) = Self::of(&read) {
                return Ok(opening);
            }
            if (&mut *io).take((LENGTH - read.len()) as u64).read_buf(&mut read).await? == 0 {
                return Ok(Self::Closed);
            }
        }
    }

    /// What begins with these bytes; `None` while that is open.
    fn of(read: &[u8]) -> Option<Self> {
        const SETTINGS: u8 = 4;
        let (preface, head) = read.split_at(read.len().min(PREFACE.len()));
        if PREFACE.starts_with(preface) {
            return match head {
                [_, _, _, SETTINGS, ..] if head.len() == HEAD => Some(Self::Http2(read.to_vec())),
                [_, _, _, kind, ..] if *kind != SETTINGS => Some(Self::Unknown),
                _ => None,
            };
        }
        if read.first() == Some(&Self::TLS_HANDSHAKE) {
            return Some(Self::Tls);
        }
        let method = read.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
        match read.get(method) {
            None if method <= Self::LONGEST_METHOD => None,
            Some(b' ') if (1..=Self::LONGEST_METHOD).contains(&method) => Some(Self::Http1(read.to_vec())),
            _ => Some(Self::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client speaks whose bytes come one by one, and how many of them were read.
    async fn read(bytes: &[u8]) -> (Opening, usize) {
        let (mut client, server) = tokio::io::duplex(1);
        let sending = async {
            tokio::io::AsyncWriteExt::write_all(&mut client, bytes).await.ok();
            drop(client);
        };
        let mut server = server;
        let mut rest = Vec::new();
        let reading = async {
            let opening = Opening::read(&mut server).await.unwrap();
            server.read_to_end(&mut rest).await.unwrap();
            opening
        };
        let ((), opening) = tokio::join!(sending, reading);
        (opening, bytes.len() - rest.len())
    }

    #[tokio::test]
    async fn the_preface_and_the_head_of_settings_are_read_and_no_byte_more() {
        let frame = b"\0\0\0\x04\0\0\0\0\0";
        let opening = [PREFACE, frame].concat();
        let with_more = [&opening[..], frame].concat();
        assert_eq!(read(&with_more).await, (Opening::Http2(opening.clone()), opening.len()));
        for (cut_short, _) in opening.iter().enumerate() {
            assert_eq!(read(&opening[..cut_short]).await, (Opening::Closed, cut_short));
        }
        assert_eq!(read(&[PREFACE, b"\0\0\0\x06\0\0\0\0\0"].concat()).await.0, Opening::Unknown);
    }

    #[tokio::test]
    async fn other_protocols_are_told_apart_by_their_first_bytes() {
        for (bytes, decided) in [("GET / HTTP/1.1\r\n", 4), ("PRI / HTTP/1.1", 5), ("POST * HTTP/2.0", 5)] {
            assert_eq!(
                read(bytes.as_bytes()).await,
                (Opening::Http1(bytes.as_bytes()[..decided].to_vec()), decided)
            );
        }
        assert_eq!(read(b"\x16\x03\x01\x02\0").await, (Opening::Tls, 1));
        for (bytes, decided) in
            [(" GET", 1), ("get / HTTP/1.1", 1), ("SSH-2.0", 4), ("\0\0", 1), ("GET\r\n", 4)]
        {
            assert_eq!(read(bytes.as_bytes()).await, (Opening::Unknown, decided), "{bytes:?}");
        }
        assert_eq!(read("A".repeat(30).as_bytes()).await, (Opening::Unknown, 17));
        assert_eq!(read(b"").await, (Opening::Closed, 0));
    }
}
