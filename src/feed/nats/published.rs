//! What the servers of NATS answer to a message that was published.

use async_nats::jetstream::context::{PublishError, PublishErrorKind};

/// What has become of a message that was published.
pub(super) enum Published {
    /// It has this sequence in the stream.
    Stored(u64),
    /// The last message of its subject is another one.
    After(u64),
    /// The stream refuses it.
    Refused(String),
    /// It may be stored or not.
    Unknown(String),
}

impl Published {
    pub(super) fn of(error: &PublishError) -> Self {
        let reason =
            || std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
        match error.kind() {
            PublishErrorKind::WrongLastSequence => match last_sequence(&reason()) {
                Some(last) => Self::After(last),
                None => Self::Unknown(reason()),
            },
            // It was answered, or not sent at all.
            PublishErrorKind::Other | PublishErrorKind::MaxPayloadExceeded => Self::Refused(reason()),
            PublishErrorKind::StreamNotFound
            | PublishErrorKind::WrongLastMessageId
            | PublishErrorKind::TimedOut
            | PublishErrorKind::BrokenPipe
            | PublishErrorKind::MaxAckPending => Self::Unknown(error.to_string()),
        }
    }
}

/// The sequence in `wrong last sequence: 17 (code 400, error code 10071)`.
fn last_sequence(text: &str) -> Option<u64> {
    let number = text.strip_prefix("wrong last sequence: ")?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_sequence_is_read_from_the_error_of_the_server() {
        assert_eq!(last_sequence("wrong last sequence: 17 (code 400, error code 10071)"), Some(17));
        assert_eq!(last_sequence("wrong last sequence: 0"), Some(0));
        assert_eq!(last_sequence("wrong last sequence"), None);
    }
}
