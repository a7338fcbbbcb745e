//! Pages of the listed instruments.
//!
//! A page token is the last symbol of its page, so that any replica can go on from it, also if the list has grown: no
//! instrument comes twice, and none is left out that was listed when the first page was made.

use std::sync::Arc;

use super::{
    call::Call,
    convert,
    status::{Failure, cut},
};
use crate::{tape::Instrument, tick::Symbol};

/// Instruments and the token of the next page, which is empty on the last one.
pub(super) type Page = (Vec<Arc<Instrument>>, String);

/// Largest page.
const LARGEST: usize = 1_000;
/// Longest text that is searched for, in bytes.
const LONGEST_SEARCH: usize = 100;
/// Instruments that are compared with the text of a search in one step: about 100 µs.
const STEP: usize = 512;

/// A page of the instruments of a list that `keep` chooses.
///
/// # Errors
/// The token is none of ours.
pub(super) fn page(
    all: &[Arc<Instrument>],
    size: u32,
    token: &str,
    keep: fn(&Instrument) -> bool,
) -> Result<Page, Failure> {
    let rest = all.iter().skip(start(all, token)?).filter(|instrument| keep(instrument));
    Ok(cut_page(rest.take(size_of(size) + 1).cloned().collect(), size))
}

/// A page of the instruments whose symbol or name contains a text, in whatever case. The work is done in the history pool.
///
/// # Errors
/// The token is none of ours; the text is too long; those of [`Call::run`].
pub(super) async fn search(call: &Call, text: &str, size: u32, token: &str) -> Result<Page, Failure> {
    if text.len() > LONGEST_SEARCH {
        let problem =
            format!("has {} bytes, and at most {LONGEST_SEARCH} are searched for: shorten it", text.len());
        return Err(Failure::Invalid("search", problem));
    }
    let (text, all) = (text.to_lowercase(), call.worker().tape.known_instruments());
    let (mut searched, mut found) = (start(&all, token)?, Vec::new());
    let search = move || {
        let step = all.iter().skip(searched).take(STEP);
        searched += STEP;
        found.extend(step.filter(|instrument| contains(instrument, &text)).cloned());
        let is_over = found.len() > size_of(size) || searched >= all.len();
        is_over.then(|| Ok(cut_page(std::mem::take(&mut found), size)))
    };
    call.run(search, None).await
}

/// The place of the first instrument after the page with a token.
fn start(all: &[Arc<Instrument>], token: &str) -> Result<usize, Failure> {
    if token.is_empty() {
        return Ok(0);
    }
    let last: Symbol = token.parse().map_err(|_| Failure::BadPageToken(cut(token)))?;
    Ok(all.partition_point(|instrument| instrument.symbol <= last))
}

fn contains(instrument: &Instrument, text: &str) -> bool {
    let has = |name: &str| name.to_lowercase().contains(text);
    has(instrument.symbol.as_str()) || has(&instrument.name)
}

fn size_of(size: u32) -> usize {
    convert::page_size(size, LARGEST)
}

/// A page of the first of these instruments. There is a next one if any are left.
fn cut_page(mut instruments: Vec<Arc<Instrument>>, size: u32) -> Page {
    let is_last = instruments.len() <= size_of(size);
    instruments.truncate(size_of(size));
    let last = instruments.last().filter(|_| !is_last);
    let token = last.map(|last| last.symbol.to_string()).unwrap_or_default();
    (instruments, token)
}
