//! Who sees the messages that are counted.

/// Sees the messages that are counted.
pub(crate) trait Observer {
    /// One message that arrived in one piece, as nearly all do.
    fn message(&mut self, message: &[u8]);
}

/// Looks at nothing.
pub(crate) struct CountOnly;

impl<O: Observer> Observer for Option<O> {
    fn message(&mut self, message: &[u8]) {
        if let Some(observer) = self {
            observer.message(message);
        }
    }
}

impl Observer for CountOnly {
    fn message(&mut self, _message: &[u8]) {}
}
