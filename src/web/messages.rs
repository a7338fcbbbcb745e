//! The messages in the body of a gRPC response.

use bytes::{Buf, BytesMut};
use prost::{DecodeError, Message};
use thiserror::Error;

/// Takes the messages of a gRPC body out of its bytes, which may be cut anywhere.
#[derive(Default)]
pub(super) struct Messages {
    /// Bytes that have arrived and are not read.
    buffer: BytesMut,
}

/// Why the body of a response cannot be read. No server of this version sends such a body.
#[derive(Debug, Error)]
pub(super) enum BodyError {
    /// There is no message.
    #[error("the answer has no message")]
    Missing,
    /// A message is compressed.
    #[error("the answer has a compressed message, with the flag {0}")]
    Compressed(u8),
    /// A message is too large.
    #[error("the answer has a message of {0} bytes, and at most {MAX_MESSAGE} can be read")]
    TooLarge(usize),
    /// A message is not one of its type.
    #[error("the answer cannot be decoded: {0}")]
    Undecodable(#[from] DecodeError),
    /// A message has a value that JSON has no form for, such as a time after the year 9999.
    #[error("the answer cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Largest message, in bytes.
const MAX_MESSAGE: usize = 4 * 1024 * 1024;
/// Length of the prefix of a message: a flag for compression, and the length of the message.
const PREFIX: usize = 5;

impl Messages {
    /// Adds bytes of the body.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message; `None` until all of it has been added.
    ///
    /// # Errors
    /// See [`BodyError`].
    pub(super) fn read<M: Message + Default>(&mut self) -> Result<Option<M>, BodyError> {
        let Some([flag, length @ ..]) = self.buffer.first_chunk::<PREFIX>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if *flag != 0 {
            return Err(BodyError::Compressed(*flag));
        }
        if length > MAX_MESSAGE {
            return Err(BodyError::TooLarge(length));
        }
        let Some(message) = self.buffer.get(PREFIX..PREFIX + length) else { return Ok(None) };
        let message = M::decode(message)?;
        self.buffer.advance(PREFIX + length);
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::contract::v1::Gap;

    fn body(messages: &[Gap]) -> Vec<u8> {
        let mut body = Vec::new();
        for message in messages {
            body.push(0);
            body.extend((message.encoded_len() as u32).to_be_bytes());
            message.encode(&mut body).unwrap();
        }
        body
    }

    proptest! {
        #[test]
        fn messages_are_found_wherever_the_body_is_cut(lengths in prop::collection::vec(0..300usize, 0..8), piece in 1..400usize) {
            let gap = |length| Gap { symbol: "A".repeat(length), ..Gap::default() };
            let sent: Vec<_> = lengths.into_iter().map(gap).collect();
            let (mut messages, mut found) = (Messages::default(), Vec::new());
            for bytes in body(&sent).chunks(piece) {
                messages.push(bytes);
                while let Some(message) = messages.read::<Gap>().unwrap() {
                    found.push(message);
                }
            }
            prop_assert_eq!(found, sent);
        }

        #[test]
        fn bytes_that_are_no_body_are_an_error_or_wait_for_more(bytes: Vec<u8>) {
            let mut messages = Messages::default();
            messages.push(&bytes);
            while let Ok(Some(_)) = messages.read::<Gap>() {}
        }
    }

    #[test]
    fn a_body_that_no_server_sends_is_refused() {
        let read = |body: &[u8]| {
            let mut messages = Messages::default();
            messages.push(body);
            messages.read::<Gap>().unwrap_err().to_string()
        };
        assert!(read(&[1, 0, 0, 0, 0]).contains("compressed message, with the flag 1"));
        assert!(read(&[0, 0, 0x40, 0, 1]).contains("a message of 4194305 bytes"));
        assert!(read(&[0, 0, 0, 0, 1, 0xff]).contains("cannot be decoded"));
    }
}
