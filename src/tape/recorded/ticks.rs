//! The recorded ticks of one symbol, in blocks of packed columns.

use std::num::NonZeroU64;

use crate::{
    tape::column::Column,
    tick::{Price, Sequence, Tick, Time},
};

/// The ticks of one symbol in order. There is at least one.
#[derive(Debug)]
pub(super) struct Ticks {
    first: Sequence,
    len: usize,
    /// The first time of each block, in nanoseconds; contiguous, for binary search.
    starts: Vec<u64>,
    blocks: Vec<Block>,
}

/// [`Block::LEN`] ticks; the last block of a symbol may have fewer.
#[derive(Debug)]
struct Block {
    /// In nanoseconds.
    times: Column,
    /// In units of 1e-9.
    prices: Column,
    /// In units of 1e-9 while ticks are added, then in increments.
    quantities: Column,
}

/// Builds [`Ticks`] tick by tick.
#[derive(Debug)]
pub(super) struct TicksBuilder {
    ticks: Ticks,
    times: Vec<u64>,
    prices: Vec<u64>,
    quantities: Vec<u64>,
}

/// Units of which all prices, and all quantities, are multiples; in units of 1e-9.
#[derive(Clone, Copy, Debug)]
pub(super) struct Increments {
    pub(super) price: Price,
    pub(super) quantity: NonZeroU64,
}

/// A fallback that is never used: all prices are positive.
const LEAST: Price = Price::from_nanos(1).unwrap();

impl Ticks {
    /// The sequence of the first tick.
    pub(super) fn first(&self) -> Sequence {
        self.first
    }

    /// Number of ticks.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The tick at an index, counted from zero.
    ///
    /// # Panics
    /// There are fewer ticks.
    #[inline]
    pub(super) fn get(&self, at: usize) -> Tick {
        let (block, at_in_block) = (&self.blocks[at / Block::LEN], at % Block::LEN);
        Tick {
            sequence: Sequence(self.first.0 + at as u64),
            time: Time::from_nanos(block.times.get(at_in_block)),
            price: Price::from_nanos(block.prices.get(at_in_block) as i64).unwrap_or(LEAST),
            quantity: block.quantities.get(at_in_block),
        }
    }

    /// Number of ticks that took place at or before a time.
    pub(super) fn count_up_to(&self, time: Time) -> usize {
        let begun = self.starts.partition_point(|start| *start <= time.nanos());
        let Some(last) = begun.checked_sub(1) else { return 0 };
        last * Block::LEN + self.blocks[last].times.count_up_to(time.nanos())
    }
}

impl Block {
    const LEN: usize = 1024;
}

impl TicksBuilder {
    /// A builder without ticks. The first tick will have this sequence.
    pub(super) fn new(first: Sequence) -> Self {
        Self {
            ticks: Ticks { first, len: 0, starts: Vec::new(), blocks: Vec::new() },
            times: Vec::new(),
            prices: Vec::new(),
            quantities: Vec::new(),
        }
    }

    /// The sequence of the next tick.
    pub(super) fn next(&self) -> Sequence {
        Sequence(self.ticks.first.0.saturating_add(self.ticks.len as u64))
    }

    /// Adds a tick, with its quantity in units of 1e-9. When a block is full, `full` is called with its unpacked columns.
    pub(super) fn push(&mut self, time: Time, price: Price, quantity: u64, full: impl FnOnce([&[u64]; 3])) {
        self.times.push(time.nanos());
        self.prices.push(price.nanos().unsigned_abs());
        self.quantities.push(quantity);
        self.ticks.len += 1;
        if self.times.len() == Block::LEN {
            self.pack(full);
        }
    }

    /// Returns the ticks. `rest` is called with the unpacked columns of the last block if it is not full.
    pub(super) fn finish(mut self, rest: impl FnOnce([&[u64]; 3])) -> (Ticks, Increments) {
        if !self.times.is_empty() {
            self.pack(rest);
        }
        let mut blocks = self.ticks.blocks;
        let least = |unit: fn(&Block) -> u64| blocks.iter().map(unit).min().unwrap_or(1);
        let (price, quantity) = (least(|block| block.prices.unit()), least(|block| block.quantities.unit()));
        blocks.iter_mut().for_each(|block| block.quantities.divide(quantity));
        blocks.shrink_to_fit();
        let increments = Increments {
            price: Price::from_nanos(price as i64).unwrap_or(LEAST),
            quantity: NonZeroU64::new(quantity).unwrap_or(NonZeroU64::MIN),
        };
        (Ticks { blocks, ..self.ticks }, increments)
    }

    fn pack(&mut self, full: impl FnOnce([&[u64]; 3])) {
        let columns = [&self.times[..], &self.prices, &self.quantities];
        full(columns);
        self.ticks.starts.extend(self.times.first());
        let [times, prices, quantities] = columns.map(Column::pack);
        self.ticks.blocks.push(Block { times, prices, quantities });
        self.times.clear();
        self.prices.clear();
        self.quantities.clear();
    }
}
