//! Bit-packed integer columns.

/// A column of integers that differ little. Each is `unit × (least + offset)`. All offsets have the same width: the
/// smallest of 1, 2, 4 and 8 bytes that holds every one.
#[derive(Debug)]
pub(super) struct Column {
    unit: u64,
    least: u64,
    offsets: Offsets,
}

#[derive(Debug)]
enum Offsets {
    U8(Box<[u8]>),
    U16(Box<[u16]>),
    U32(Box<[u32]>),
    U64(Box<[u64]>),
}

impl Column {
    /// Largest unit: 1 for prices and quantities in units of 1e-9, one second for times.
    const WHOLE: u64 = 1_000_000_000;

    /// Packs numbers. The unit is the greatest power of ten up to [`Self::WHOLE`] that divides all of them.
    pub(super) fn pack(values: &[u64]) -> Self {
        let mut unit = Self::WHOLE;
        for value in values {
            while value % unit != 0 {
                unit /= 10;
            }
        }
        let least = values.iter().min().map_or(0, |least| least / unit);
        let widest = values.iter().max().map_or(0, |most| most / unit - least);
        let offsets = values.iter().map(|value| value / unit - least);
        // No offset is wider than the widest.
        let offsets = match widest {
            0..=0xff => Offsets::U8(offsets.map(|offset| offset as u8).collect()),
            0x100..=0xffff => Offsets::U16(offsets.map(|offset| offset as u16).collect()),
            0x1_0000..=0xffff_ffff => Offsets::U32(offsets.map(|offset| offset as u32).collect()),
            _ => Offsets::U64(offsets.collect()),
        };
        Self { unit, least, offsets }
    }

    /// The number at an index of the column.
    ///
    /// # Panics
    /// The column has fewer numbers.
    #[inline]
    pub(super) fn get(&self, at: usize) -> u64 {
        let offset = match &self.offsets {
            Offsets::U8(offsets) => offsets[at].into(),
            Offsets::U16(offsets) => offsets[at].into(),
            Offsets::U32(offsets) => offsets[at].into(),
            Offsets::U64(offsets) => offsets[at],
        };
        self.unit * (self.least + offset)
    }

    /// Count of the numbers that are at most `value`, in a column that is sorted.
    pub(super) fn count_up_to(&self, value: u64) -> usize {
        let Some(most) = (value / self.unit).checked_sub(self.least) else { return 0 };
        match &self.offsets {
            Offsets::U8(offsets) => offsets.partition_point(|offset| u64::from(*offset) <= most),
            Offsets::U16(offsets) => offsets.partition_point(|offset| u64::from(*offset) <= most),
            Offsets::U32(offsets) => offsets.partition_point(|offset| u64::from(*offset) <= most),
            Offsets::U64(offsets) => offsets.partition_point(|offset| *offset <= most),
        }
    }

    /// Bytes of memory that it takes besides its own size.
    pub(super) fn heap_bytes(&self) -> usize {
        match &self.offsets {
            Offsets::U8(offsets) => size_of_val(&**offsets),
            Offsets::U16(offsets) => size_of_val(&**offsets),
            Offsets::U32(offsets) => size_of_val(&**offsets),
            Offsets::U64(offsets) => size_of_val(&**offsets),
        }
    }

    /// The unit: a divisor of every number.
    pub(super) fn unit(&self) -> u64 {
        self.unit
    }

    /// Divides every number by a divisor of the unit.
    pub(super) fn divide(&mut self, by: u64) {
        self.unit /= by;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values() -> impl Strategy<Value = Vec<u64>> {
        let width = (0u32..64).prop_map(|bits| u64::MAX >> bits);
        let unit = (0u32..12).prop_map(|power| 10u64.pow(power));
        (any::<u64>(), width, unit).prop_flat_map(|(base, width, unit)| {
            let value = (0..=width).prop_map(move |offset| (base / 2 + offset / 2) / unit * unit);
            prop::collection::vec(value, 1..40)
        })
    }

    proptest! {
        #[test]
        fn what_was_packed_is_there(values in values()) {
            let column = Column::pack(&values);
            let unpacked: Vec<_> = (0..values.len()).map(|at| column.get(at)).collect();
            prop_assert_eq!(unpacked, values);
        }

        #[test]
        fn numbers_up_to_a_value_are_counted(mut values in values(), near: prop::sample::Index, off in -3i64..=3) {
            values.sort_unstable();
            let value = near.get(&values).saturating_add_signed(off);
            let expected = values.iter().filter(|other| **other <= value).count();
            prop_assert_eq!(Column::pack(&values).count_up_to(value), expected);
        }

        #[test]
        fn a_divided_column_has_quotients(values in values()) {
            let mut column = Column::pack(&values);
            let by = column.unit();
            column.divide(by);
            for (at, value) in values.iter().enumerate() {
                prop_assert_eq!(column.get(at), value / by);
            }
        }
    }

    #[test]
    fn the_unit_is_the_greatest_power_of_ten_and_the_offsets_are_narrow() {
        let column = Column::pack(&[2_930_550_000_000, 2_930_600_000_000]);
        assert_eq!(column.unit(), 50_000_000 / 5);
        assert!(matches!(column.offsets, Offsets::U8(_)));
        assert_eq!(Column::pack(&[5_000_000_000_000]).unit(), 1_000_000_000);
        assert!(matches!(Column::pack(&[0, 70_001]).offsets, Offsets::U32(_)));
    }
}
