//! Ticks as text: lines, JSON and CSV.

use std::io::{self, Write};

use serde::Serialize;

use crate::{client::LiveTick, timestamp::show_with_decimals};

/// Writes ticks in one format. Nothing is sure to be written before `flush`.
pub(super) enum TickWriter<W: Write> {
    Lines(W),
    Json(W),
    Csv(Box<csv::Writer<W>>),
}

/// A tick in JSON and CSV.
#[derive(Serialize)]
struct TickRow<'a> {
    symbol: &'a str,
    ltp: f64,
    time: &'a str,
    sequence: u64,
    ltp_nanos: i64,
    last_quantity: u64,
    conflated: u64,
    snapshot: bool,
}

const HEADINGS: [&str; 8] =
    ["symbol", "ltp", "time", "sequence", "ltp_nanos", "last_quantity", "conflated", "snapshot"];

impl<W: Write> TickWriter<W> {
    pub(super) fn lines(to: W) -> Self {
        Self::Lines(to)
    }

    pub(super) fn json(to: W) -> Self {
        Self::Json(to)
    }

    /// The headings are written at once, so that an empty stream differs from a failure.
    pub(super) fn csv(to: W) -> io::Result<Self> {
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(to);
        writer.write_record(HEADINGS).map_err(io_error)?;
        Ok(Self::Csv(Box::new(writer)))
    }

    pub(super) fn write(&mut self, live: &LiveTick) -> io::Result<()> {
        match self {
            Self::Lines(to) => {
                let time = show_with_decimals(live.tick.time, 3);
                // As wide as most prices, so that they stand below each other.
                writeln!(to, "{time} {:<12} {:>14}", live.symbol, live.tick.price.to_string())
            }
            Self::Json(to) => {
                serde_json::to_writer(&mut *to, &TickRow::of(live, &show_with_decimals(live.tick.time, 9)))?;
                to.write_all(b"\n")
            }
            Self::Csv(to) => {
                to.serialize(TickRow::of(live, &show_with_decimals(live.tick.time, 9))).map_err(io_error)
            }
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Lines(to) | Self::Json(to) => to.flush(),
            Self::Csv(to) => to.flush(),
        }
    }
}

impl<'a> TickRow<'a> {
    fn of(live: &'a LiveTick, time: &'a str) -> Self {
        Self {
            symbol: live.symbol.as_str(),
            ltp: live.tick.price.to_f64(),
            time,
            sequence: live.tick.sequence.0,
            ltp_nanos: live.tick.price.nanos(),
            last_quantity: live.tick.quantity,
            conflated: live.conflated,
            snapshot: live.snapshot,
        }
    }
}

/// The error of the writer below. The conversion that `csv` offers hides its kind, and with it a closed pipe.
pub(super) fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tick::{Price, Sequence, Tick, Time};

    fn live(symbol: &str, nanos: i64, sequence: u64) -> LiveTick {
        LiveTick {
            symbol: symbol.parse().unwrap(),
            tick: Tick {
                sequence: Sequence(sequence),
                time: Time::from_nanos(1_764_000_000_020_000_000),
                price: Price::from_nanos(nanos).unwrap(),
                quantity: 12,
            },
            conflated: 3,
            snapshot: sequence == 1,
            quote: None,
        }
    }

    fn text(records: impl FnOnce(Vec<u8>) -> TickWriter<Vec<u8>>) -> String {
        let mut records = records(Vec::new());
        records.write(&live("RELIANCE", 2_930_550_000_000, 1)).unwrap();
        records.write(&live("M&M", 100_000_000_000, u64::MAX)).unwrap();
        records.flush().unwrap();
        let bytes = match records {
            TickWriter::Lines(to) | TickWriter::Json(to) => to,
            TickWriter::Csv(to) => to.into_inner().unwrap(),
        };
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn lines_are_for_people_and_for_awk() {
        assert_eq!(
            text(TickWriter::lines),
            "2025-11-24T16:00:00.020Z RELIANCE            2930.55\n\
             2025-11-24T16:00:00.020Z M&M                     100\n"
        );
    }

    #[test]
    fn json_is_one_object_per_line_with_every_field_of_the_tick() {
        let json = text(TickWriter::json);
        assert_eq!(
            json.lines().next(),
            Some(concat!(
                r#"{"symbol":"RELIANCE","ltp":2930.55,"time":"2025-11-24T16:00:00.020000000Z","sequence":1,"#,
                r#""ltp_nanos":2930550000000,"last_quantity":12,"conflated":3,"snapshot":true}"#
            ))
        );
        let second: serde_json::Value = serde_json::from_str(json.lines().nth(1).unwrap()).unwrap();
        assert_eq!(second["sequence"].as_u64(), Some(u64::MAX));
        assert_eq!(json.lines().count(), 2);
    }

    #[test]
    fn csv_has_the_fields_of_json_under_their_names() {
        let csv = text(|to| TickWriter::csv(to).unwrap());
        let lines: Vec<_> = csv.lines().collect();
        assert_eq!(lines[0], "symbol,ltp,time,sequence,ltp_nanos,last_quantity,conflated,snapshot");
        assert_eq!(lines[1], "RELIANCE,2930.55,2025-11-24T16:00:00.020000000Z,1,2930550000000,12,3,true");
        let json: serde_json::Value =
            serde_json::from_str(text(TickWriter::json).lines().next().unwrap()).unwrap();
        for name in HEADINGS {
            assert!(json.get(name).is_some(), "{name}");
        }
        assert_eq!(lines.len(), 3);
    }
}
