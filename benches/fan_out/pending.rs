//! Bytes that come in pieces and are taken in whole units.

use anyhow::Result;

/// What has come of a unit that is not whole yet.
#[derive(Default)]
pub(crate) struct Pending(Vec<u8>);

/// What a unit says, and its length; nothing while it is not whole.
pub(crate) type Unit<T> = Option<(T, usize)>;

impl Pending {
    /// Lets `take` have what has come, again and again. It returns the length of the first unit, or nothing while that is
    /// not whole.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<Option<usize>>,
    ) -> Result<()> {
        self.0.extend_from_slice(bytes);
        let mut taken = 0;
        while let Some(length) = take(&self.0[taken..])? {
            taken += length;
        }
        self.0.drain(..taken);
        Ok(())
    }
}
