//! Finds the frames of HTTP/2 in a stream of bytes, however they are cut.

/// Length of the head of a frame.
pub(in crate::server) const HEAD: usize = 9;

/// Types of frames, as RFC 9113 numbers them.
pub(in crate::server) mod kind {
    pub(in crate::server) const DATA: u8 = 0;
    pub(in crate::server) const HEADERS: u8 = 1;
    pub(in crate::server) const RST_STREAM: u8 = 3;
    pub(in crate::server) const SETTINGS: u8 = 4;
    pub(in crate::server) const WINDOW_UPDATE: u8 = 8;
    pub(in crate::server) const CONTINUATION: u8 = 9;
}

/// Flags of frames.
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const ACK: u8 = 0x1;

/// Finds the frames in a stream of bytes.
#[derive(Default)]
pub(in crate::server) struct Scanner {
    head: [u8; HEAD],
    /// How many bytes of the head have come.
    head_len: usize,
    /// How many bytes of the payload are left.
    payload: usize,
    /// A block of headers has begun, and no other frame may come before its end.
    in_headers: bool,
}

/// A piece of a frame.
pub(in crate::server) enum Piece<'a> {
    Head(Head),
    /// Some bytes of the payload, perhaps not all.
    Payload(&'a [u8]),
}

/// The head of a frame.
#[derive(Clone, Copy)]
pub(in crate::server) struct Head([u8; HEAD]);

impl Scanner {
    /// The next piece of a frame; `None` when more bytes are needed.
    pub(in crate::server) fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Piece<'a>> {
        if bytes.is_empty() {
            return None;
        }
        if self.payload > 0 {
            let (payload, rest) = bytes.split_at(self.payload.min(bytes.len()));
            self.payload -= payload.len();
            *bytes = rest;
            return Some(Piece::Payload(payload));
        }
        let (head, rest) = bytes.split_at((HEAD - self.head_len).min(bytes.len()));
        self.head[self.head_len..self.head_len + head.len()].copy_from_slice(head);
        self.head_len += head.len();
        *bytes = rest;
        if self.head_len < HEAD {
            return None;
        }
        let head = Head(self.head);
        (self.head_len, self.payload) = (0, head.len());
        match head.kind() {
            kind::HEADERS | kind::CONTINUATION => self.in_headers = !head.has(END_HEADERS),
            _ => {}
        }
        Some(Piece::Head(head))
    }

    /// Whether another frame may begin here.
    pub(in crate::server) fn is_between_frames(&self) -> bool {
        self.head_len == 0 && self.payload == 0 && !self.in_headers
    }

    /// Whether a block of headers has begun and not ended.
    pub(in crate::server) fn is_in_headers(&self) -> bool {
        self.in_headers
    }
}

impl Head {
    /// The head of a DATA frame, which does not end its stream.
    pub(in crate::server) fn of_data(stream: u32, len: usize) -> Self {
        Self::new(len as u32, kind::DATA, stream)
    }

    /// The head of a WINDOW_UPDATE frame.
    pub(in crate::server) fn of_window_update(stream: u32) -> Self {
        Self::new(4, kind::WINDOW_UPDATE, stream)
    }

    fn new(len: u32, kind: u8, stream: u32) -> Self {
        let [_, a, b, c] = len.to_be_bytes();
        let [d, e, f, g] = stream.to_be_bytes();
        Self([a, b, c, kind, 0, d, e, f, g])
    }

    pub(in crate::server) fn bytes(&self) -> &[u8; HEAD] {
        &self.0
    }

    pub(in crate::server) fn kind(self) -> u8 {
        self.0[3]
    }

    /// Length of the payload, in bytes.
    pub(in crate::server) fn len(self) -> usize {
        let [a, b, c, ..] = self.0;
        u32::from_be_bytes([0, a, b, c]) as usize
    }

    /// The stream, or zero for the connection.
    pub(in crate::server) fn stream(self) -> u32 {
        let [.., a, b, c, d] = self.0;
        u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff
    }

    /// Whether the sender of the frame sends no more on its stream.
    pub(in crate::server) fn ends_stream(self) -> bool {
        match self.kind() {
            kind::DATA | kind::HEADERS => self.has(END_STREAM),
            kind::RST_STREAM => true,
            _ => false,
        }
    }

    /// Whether it carries settings, and does not acknowledge some.
    pub(in crate::server) fn has_settings(self) -> bool {
        self.kind() == kind::SETTINGS && !self.has(ACK)
    }

    fn has(self, flag: u8) -> bool {
        self.0[4] & flag != 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn frames_are_found_however_the_bytes_are_cut(
            frames in prop::collection::vec((0u8..12, any::<u8>(), 0u32..9, 0usize..300), 0..40),
            cuts in prop::collection::vec(1usize..50, 1..200),
        ) {
            let mut bytes = Vec::new();
            for (kind, flags, stream, len) in &frames {
                bytes.extend_from_slice(Head::new(*len as u32, *kind, *stream).bytes());
                *bytes.last_chunk_mut::<5>().unwrap().first_mut().unwrap() = *flags;
                bytes.resize(bytes.len() + len, 0xff);
            }
            let (mut scanner, mut rest, mut found) = (Scanner::default(), &bytes[..], Vec::new());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (mut piece, after) = rest.split_at((*cut).min(rest.len()));
                while let Some(piece) = scanner.next(&mut piece) {
                    match piece {
                        Piece::Head(head) => found.push((head.kind(), head.0[4], head.stream(), 0)),
                        Piece::Payload(payload) => found.last_mut().unwrap().3 += payload.len(),
                    }
                }
                rest = after;
            }
            prop_assert_eq!(found, frames);
        }
    }

    #[test]
    fn no_frame_may_begin_within_headers() {
        let mut scanner = Scanner::default();
        let mut headers = Head::new(0, kind::HEADERS, 1);
        let mut take = |head: Head| {
            assert!(scanner.next(&mut &head.0[..]).is_some());
            scanner.is_between_frames()
        };
        assert!(!take(headers), "more headers follow");
        assert!(!take(Head::new(0, kind::CONTINUATION, 1)));
        headers = Head::new(0, kind::CONTINUATION, 1);
        headers.0[4] = END_HEADERS;
        assert!(take(headers));
    }
}
