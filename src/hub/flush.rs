//! Publishing: each due tick is encoded once per wire format and marked for those who watch it.

use std::{hint::black_box, sync::MutexGuard};

use super::{Quote, State, TickMeta, Watched};
use crate::tick::{Tick, Time};

/// Number of flushes after which a page gives back memory that it no longer needs.
const FLUSHES_LOOKED_BACK: u64 = 256;
/// Pages up to this size keep their memory.
const SMALL_PAGE: usize = 64 * 1024;

/// A flush in progress, or a piece of one: the ticks that fall due together leave together.
pub struct Flush<'hub> {
    state: MutexGuard<'hub, State>,
}

impl<'hub> Flush<'hub> {
    pub(super) fn new(mut state: MutexGuard<'hub, State>) -> Self {
        state.flush += 1;
        let longest = state.pages.iter().map(Vec::len).max().unwrap_or(0);
        state.longest_page = state.longest_page.max(longest);
        state.pages.iter_mut().for_each(Vec::clear);
        if state.flush.is_multiple_of(FLUSHES_LOOKED_BACK) {
            state.shrink_pages();
        }
        Self { state }
    }

    /// Publishes a tick of a watched instrument. The ticks of one instrument come together and in order.
    pub fn publish(&mut self, id: u32, tick: &Tick) {
        let State { watched, published, formats, quotes, pages, subscribers, flush, .. } = &mut *self.state;
        let Some(watched) = watched.get_mut(id as usize).and_then(Option::as_mut) else { return };
        let published = &mut published[id as usize];
        let first_of_flush = published.flush != *flush;
        if first_of_flush {
            published.flush = *flush;
            published.first = tick.sequence.0;
            // What nobody reads in this flush must not be found from an earlier one.
            published.span = Default::default();
        }
        published.last = tick.sequence.0;
        watched.latest = Some(*tick);
        let quote = watched.next_quote(tick);
        for (at, format) in formats.iter_mut().enumerate().filter(|(at, _)| watched.readers[*at] > 0) {
            let page = &mut pages[at];
            if first_of_flush {
                published.span[at] = (page.len() as u32, page.len() as u32);
            }
            let quote = quote.as_ref().filter(|_| quotes[at]);
            if quote.is_some() || !quotes[at] {
                format.tick(&watched.instrument, tick, TickMeta::default(), quote, page);
                published.span[at].1 = page.len() as u32;
            }
        }
        if first_of_flush {
            for watcher in watched.watchers.iter().filter(|watcher| !watcher.is_muted()) {
                if let Some(entry) = &mut subscribers[watcher.subscriber as usize] {
                    entry.mark(watcher.slot);
                }
            }
        }
    }

    /// Reads from memory what publishing ticks of these instruments reads, so that it is in the processor's caches then.
    pub fn read_ahead(&self, ids: &[u32]) {
        let State { watched, published, .. } = &*self.state;
        for (id, watched) in ids.iter().filter_map(|id| Some((*id, watched.get(*id as usize)?.as_ref()?))) {
            let flush = published[id as usize].flush;
            let (first, last) = (watched.watchers.first().copied(), watched.watchers.last().copied());
            black_box((first, last, watched.instrument.symbol, flush));
        }
    }

    /// Ends the flush, which published every tick up to `now`. Then [`Hub::wake_deferred`](super::Hub::wake_deferred)
    /// has something to do.
    pub fn finish(mut self, now: Time) {
        self.state.now = self.state.now.max(now);
    }
}

impl Watched {
    /// The quote of the tick that follows the newest one; `None` while nobody has the figures of the day up to there.
    fn next_quote(&mut self, tick: &Tick) -> Option<Quote> {
        let figures = self.figures.as_mut()?.follow(tick.sequence)?;
        Some(Quote::after(tick, &self.instrument, figures))
    }
}

impl State {
    /// Gives back the memory of pages that are larger than what was needed of late. They are empty.
    fn shrink_pages(&mut self) {
        let enough = (2 * std::mem::take(&mut self.longest_page)).max(SMALL_PAGE);
        self.pages
            .iter_mut()
            .filter(|page| page.capacity() > 2 * enough)
            .for_each(|page| page.shrink_to(enough));
    }

    /// Gives back the memory of the pages when nothing is watched any more: nobody reads them.
    pub(super) fn drop_unread_pages(&mut self) {
        if self.by_symbol.is_empty() {
            self.pages
                .iter_mut()
                .filter(|page| page.capacity() > SMALL_PAGE)
                .for_each(|page| *page = Vec::new());
        }
    }

    pub(super) fn wake_deferred(&mut self, most: usize) -> Option<Time> {
        for _ in 0..most {
            let &(due, subscriber, slot) = self.deferred.first()?;
            if due > self.now {
                break;
            }
            self.unmute(subscriber, slot);
        }
        self.deferred.first().map(|(due, ..)| *due)
    }

    /// Ends the wait of an interest for its minimum interval, if it waits.
    pub(super) fn unmute(&mut self, subscriber: u32, number: u32) {
        let Some(entry) = &mut self.subscribers[subscriber as usize] else { return };
        let slot_state = &mut entry.slot_states[number as usize];
        if !std::mem::take(&mut slot_state.muted) {
            return;
        }
        self.deferred.remove(&(slot_state.not_before, subscriber, number));
        if let Some(watched) = &mut self.watched[entry.slots[number as usize].watched as usize] {
            watched.watchers[slot_state.place as usize].unmute();
        }
        entry.mark(number);
    }
}
