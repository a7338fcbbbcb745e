//! The frames of a client: what the lane learns from them, what is passed on to HTTP/2, and what work they cause.

use tokio::io::ReadBuf;

use super::super::lane::{Head, Lane, Piece, Scanner, WindowError, kind};

/// The frames of the client, some of which are for the lane.
#[derive(Default)]
pub(super) struct Received {
    scanner: Scanner,
    /// What to do with the payload that comes.
    payload: Payload,
    /// The bytes of a setting or of an increment that have come.
    value: [u8; 6],
    value_len: usize,
    /// The window of streams that the settings have so far. The last one counts.
    initial_window: Option<u32>,
    /// Bytes for HTTP/2, which it has not read.
    passed: Vec<u8>,
}

#[derive(Default)]
enum Payload {
    #[default]
    Pass,
    Settings,
    WindowUpdate(Head),
}

/// Work that frames cause.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    /// Work for the worker, in units of a small frame.
    pub(super) work: u32,
    /// The part of it that flow control does not limit, in the same units.
    pub(super) unlimited: u32,
}

impl Received {
    /// The frames after `preface`, which is passed on.
    pub(super) fn after(preface: &[u8]) -> Self {
        Self { passed: preface.to_vec(), ..Self::default() }
    }

    /// Passes bytes on to HTTP/2. False when there are none.
    pub(super) fn pass_on(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        if self.passed.is_empty() {
            return false;
        }
        let len = self.passed.len().min(buf.remaining());
        buf.put_slice(&self.passed[..len]);
        self.passed.drain(..len);
        if self.passed.is_empty() {
            // A quiet connection holds no buffer.
            self.passed = Vec::new();
        }
        true
    }

    /// Takes bytes of the client. Returns the cost of the frames that begin in them.
    pub(super) fn take<C>(&mut self, mut bytes: &[u8], lane: &Lane<C>) -> Cost {
        let mut cost = Cost::default();
        loop {
            let was_in_headers = self.scanner.is_in_headers();
            match self.scanner.next(&mut bytes) {
                None => return cost,
                Some(Piece::Head(head)) => {
                    let frame = Cost::of(head.kind());
                    cost.work += frame.work;
                    cost.unlimited += frame.unlimited;
                    self.value_len = 0;
                    self.payload = match head.kind() {
                        kind::WINDOW_UPDATE if head.len() == 4 && !was_in_headers => {
                            Payload::WindowUpdate(head)
                        }
                        _ if head.has_settings() => Payload::Settings,
                        _ => Payload::Pass,
                    };
                    if !matches!(self.payload, Payload::WindowUpdate(_)) {
                        self.passed.extend_from_slice(head.bytes());
                        lane.note_received(head);
                    }
                }
                Some(Piece::Payload(payload)) => match self.payload {
                    Payload::Pass => self.passed.extend_from_slice(payload),
                    Payload::Settings => {
                        self.passed.extend_from_slice(payload);
                        self.take_settings(payload, lane);
                    }
                    Payload::WindowUpdate(head) => self.take_window_update(head, payload, lane),
                },
            }
        }
    }

    fn take_settings<C>(&mut self, payload: &[u8], lane: &Lane<C>) {
        const INITIAL_WINDOW_SIZE: u16 = 4;
        for byte in payload {
            self.value[self.value_len] = *byte;
            self.value_len = (self.value_len + 1) % self.value.len();
            let [a, b, size @ ..] = self.value;
            if self.value_len == 0 && u16::from_be_bytes([a, b]) == INITIAL_WINDOW_SIZE {
                self.initial_window = Some(u32::from_be_bytes(size));
            }
        }
        if self.scanner.is_between_frames()
            && let Some(size) = self.initial_window.take()
            && lane.set_initial_window(size).is_err()
        {
            self.pass_overflow(0);
        }
    }

    fn take_window_update<C>(&mut self, head: Head, payload: &[u8], lane: &Lane<C>) {
        self.value[self.value_len..self.value_len + payload.len()].copy_from_slice(payload);
        self.value_len += payload.len();
        let [a, b, c, d, ..] = self.value;
        if self.value_len < head.len() {
            return;
        }
        let increment = u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff;
        match lane.note_window_update(head.stream(), increment) {
            Ok(()) => {}
            Err(WindowError::Invalid) => {
                self.passed.extend_from_slice(head.bytes());
                self.passed.extend_from_slice(&[a, b, c, d]);
            }
            Err(WindowError::TooLarge) => self.pass_overflow(head.stream()),
        }
    }

    /// Lets HTTP/2 answer that a window is too large. It knows of no update, so two of the largest are too much.
    fn pass_overflow(&mut self, stream: u32) {
        for _ in 0..2 {
            self.passed.extend_from_slice(Head::of_window_update(stream).bytes());
            self.passed.extend_from_slice(&[0x7f, 0xff, 0xff, 0xff]);
        }
    }
}

impl Cost {
    fn of(kind: u8) -> Self {
        match kind {
            kind::DATA => Self { work: 1, unlimited: 0 },
            // May open a stream; the number of streams is limited.
            kind::HEADERS => Self { work: 32, unlimited: 0 },
            kind::CONTINUATION => Self { work: 8, unlimited: 8 },
            kind::RST_STREAM => Self { work: 4, unlimited: 4 },
            // May change the window of every stream, which wakes all of them.
            kind::SETTINGS => Self { work: 64, unlimited: 64 },
            _ => Self { work: 1, unlimited: 1 },
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    const END_HEADERS: u8 = 4;

    pub(in super::super) fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags, 0, 0, 0, stream]);
        frame.extend(payload);
        frame
    }

    fn update(stream: u8, increment: u32) -> Vec<u8> {
        frame(kind::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
    }

    proptest! {
        #[test]
        fn every_frame_is_counted_once_and_passed_on_however_the_bytes_are_cut(
            frames in prop::collection::vec((0u8..12, 0u8..8, 0usize..300), 0..40), cuts in prop::collection::vec(1usize..50, 1..200),
        ) {
            let frames: Vec<(u8, Vec<u8>)> = frames
                .into_iter()
                // Those that mean something to the lane have a test of their own.
                .filter(|(kind, ..)| *kind != kind::WINDOW_UPDATE)
                .map(|(kind, flags, len)| (kind, frame(kind, flags, 1, &vec![0xff; len])))
                .collect();
            let bytes: Vec<u8> = frames.iter().flat_map(|(_, frame)| frame.clone()).collect();
            let lane = Lane::new((), 10);
            let (mut received, mut rest, mut work) = (Received::default(), &bytes[..], 0);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                work += received.take(piece, &lane).work;
                rest = after;
            }
            prop_assert_eq!(work, frames.iter().map(|(kind, _)| Cost::of(*kind).work).sum::<u32>());
            prop_assert_eq!(received.passed, bytes);
        }
    }

    #[test]
    fn only_wrong_window_updates_are_passed_on() {
        let passed = |frames: &[Vec<u8>]| {
            let (mut received, lane) = (Received::default(), Lane::new((), 10));
            let before =
                [frame(kind::HEADERS, END_HEADERS, 1, &[]), frame(kind::HEADERS, END_HEADERS, 3, &[])];
            received.take(&before.concat(), &lane);
            received.take(&frame(kind::RST_STREAM, 0, 3, &[0; 4]), &lane);
            received.passed.clear();
            received.take(&frames.concat(), &lane);
            received.passed
        };
        let largest = i32::MAX as u32;
        assert_eq!(
            passed(&[update(0, 1), update(1, 1), update(3, largest)]),
            b"",
            "valid, and one of a closed stream"
        );
        // The first bit of an increment means nothing.
        assert_eq!(passed(&[update(1, 0x8000_0001)]), b"");
        let too_long = frame(kind::WINDOW_UPDATE, 0, 1, &[0; 5]);
        let in_headers = [frame(kind::HEADERS, 0, 5, &[]), update(1, 1)];
        for wrong in
            [&[update(0, 0)][..], &[update(1, 0)], &[update(5, 1)], &[update(2, 1)], &[too_long], &in_headers]
        {
            assert_eq!(passed(wrong), wrong.concat());
        }
        for stream in [0, 1] {
            assert_eq!(
                passed(&[update(stream, largest)]),
                [update(stream, largest), update(stream, largest)].concat()
            );
            assert_eq!(passed(&[update(stream, largest - 65_535)]), b"", "the largest window");
        }
    }

    #[test]
    fn a_setting_that_makes_a_window_too_large_is_answered() {
        let (mut received, lane) = (Received::default(), Lane::new((), 10));
        let too_large = [0, 4, 0x7f, 0xff, 0xff, 0xff];
        let settings = frame(kind::SETTINGS, 0, 0, &[too_large, [0, 3, 0, 0, 0, 1]].concat());
        let headers = frame(kind::HEADERS, END_HEADERS, 1, &[]);
        received.take(&[headers, update(1, 1)].concat(), &lane);
        received.passed.clear();
        for piece in settings.chunks(7) {
            received.take(piece, &lane);
        }
        let largest = update(0, i32::MAX as u32);
        assert_eq!(received.passed, [settings, largest.clone(), largest].concat());

        // Only the last value of a frame counts.
        received.passed.clear();
        let settings = frame(kind::SETTINGS, 0, 0, &[too_large, [0, 4, 0, 0, 0, 1]].concat());
        received.take(&settings, &lane);
        assert_eq!(received.passed, settings);
    }
}
