//! Fields of a protobuf message, put together before the message is appended to others.

use prost::encoding::{encode_varint, encoded_len_varint};

use super::{BYTES, FIXED64, VARINT};

/// Fields of at most [`Self::MOST`] bytes together, in a buffer on the stack: writing one never allocates.
pub(super) struct Fields {
    bytes: [u8; Self::CAPACITY],
    len: usize,
}

impl Default for Fields {
    fn default() -> Self {
        Self { bytes: [0; Self::CAPACITY], len: 0 }
    }
}

impl Fields {
    /// The length of the longest tick without a quote.
    const MOST: usize = 102;
    /// [`Self::put_varint`] writes up to seven bytes beyond the end.
    const CAPACITY: usize = Self::MOST + 7;

    /// What was written.
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.bytes[self.len..self.len + N].copy_from_slice(&bytes);
        self.len += N;
    }

    /// Writes a text of less than 128 bytes.
    pub(super) fn put_text(&mut self, field: u8, text: &[u8]) {
        self.put([field << 3 | BYTES, text.len() as u8]);
        self.bytes[self.len..self.len + text.len()].copy_from_slice(text);
        self.len += text.len();
    }

    /// Writes a double.
    pub(super) fn put_f64(&mut self, field: u8, value: f64) {
        self.put([field << 3 | FIXED64]);
        self.put(value.to_le_bytes());
    }

    /// Begins a message of less than 128 bytes. Returns its start, for [`Self::end_message`].
    pub(super) fn begin_message(&mut self, field: u8) -> usize {
        self.put([field << 3 | BYTES, 0]);
        self.len
    }

    /// Writes the length of a message, before its start.
    pub(super) fn end_message(&mut self, start: usize) {
        self.bytes[start - 1] = (self.len - start) as u8;
    }

    /// Writes a number; zero is the default and is left out.
    #[inline(always)]
    pub(super) fn put_varint(&mut self, field: u8, value: u64) {
        if value == 0 {
            return;
        }
        self.put([field << 3 | VARINT]);
        if value >> 56 != 0 {
            return self.put_long_varint(value);
        }
        // Seven bits to a byte: first 28 to each half, then 14 to each quarter, then 7.
        let halves = value & 0x0fff_ffff | (value & 0x00ff_ffff_f000_0000) << 4;
        let quarters = halves & 0x0000_3fff_0000_3fff | (halves & 0x0fff_c000_0fff_c000) << 2;
        let sevens = quarters & 0x007f_007f_007f_007f | (quarters & 0x3f80_3f80_3f80_3f80) << 1;
        let len = encoded_len_varint(value);
        // All bytes but the last one say that another one follows.
        let follows = 0x8080_8080_8080_8080 & ((1 << (8 * (len - 1))) - 1);
        self.bytes[self.len..self.len + 8].copy_from_slice(&(sevens | follows).to_le_bytes());
        self.len += len;
    }

    #[cold]
    fn put_long_varint(&mut self, value: u64) {
        let mut rest = &mut self.bytes[self.len..];
        encode_varint(value, &mut rest);
        self.len = Self::CAPACITY - rest.len();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_is_written_as_by_prost(shift in 0..64u32, value in any::<u64>(), field in 1..16u8) {
            // Numbers of all lengths are equally likely.
            let value = value >> shift;
            let (mut fields, mut expected) = (Fields::default(), Vec::new());
            fields.put_varint(field, value);
            if value != 0 {
                prost::encoding::uint64::encode(field.into(), &value, &mut expected);
            }
            prop_assert_eq!(fields.as_slice(), expected);
        }
    }
}
