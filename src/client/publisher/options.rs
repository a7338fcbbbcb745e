//! Who publishes.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    num::NonZeroU64,
};

/// The name of a publisher and the number of its first tick.
///
/// With the defaults every publisher is a new one. A fixed name is for ticks that always have the same numbers, such as those of
/// a file: all of them can be published again after a crash, and those that are stored are not stored again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PublisherOptions {
    /// 1 to 64 letters, digits, dots, underscores and hyphens. The default is random: 16 hexadecimal digits. Two publishers
    /// that run at the same time must not share a name.
    pub publisher_id: String,
    /// The number of the first tick, from which on they rise by one. The default is 1.
    ///
    /// The server takes a tick whose number is not above that of the last tick of its symbol by this publisher for a duplicate.
    pub first_number: NonZeroU64,
}

impl PublisherOptions {
    /// Sets the name of the publisher.
    pub fn with_publisher_id(self, publisher_id: impl Into<String>) -> Self {
        Self { publisher_id: publisher_id.into(), ..self }
    }

    /// Sets the number of the first tick.
    pub fn with_first_number(self, first_number: NonZeroU64) -> Self {
        Self { first_number, ..self }
    }
}

impl Default for PublisherOptions {
    fn default() -> Self {
        // The standard library seeds its hash maps at random.
        let random = RandomState::new().build_hasher().finish();
        Self { publisher_id: format!("{random:016x}"), first_number: NonZeroU64::MIN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_publisher_has_a_name_of_its_own_by_default() {
        let [one, other] = [PublisherOptions::default(), PublisherOptions::default()];
        assert_ne!(one.publisher_id, other.publisher_id);
        assert_eq!((one.publisher_id.len(), one.first_number.get()), (16, 1));
    }
}
