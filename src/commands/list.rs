//! `ticker list`: the instruments of a server.

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    process::ExitCode,
};

use clap::Args;
use ratatui::crossterm::terminal;
use serde::Serialize;
use tokio_stream::StreamExt;

use super::{
    EndpointArgs, SecurityArgs,
    output::{self, Output},
    phrases::shortened,
    rows::io_error,
};
use crate::{
    client::{Client, InstrumentInfo, InstrumentStatus},
    duration, timestamp,
};

/// The flags of `ticker list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// The servers.
    #[command(flatten)]
    pub endpoints: EndpointArgs,

    /// TLS and tokens.
    #[command(flatten)]
    pub security: SecurityArgs,

    /// Format of the list. `lines` has the symbols alone; on a terminal, `table` leaves out columns that do not fit.
    #[arg(long, short, env = "TICKER_OUTPUT", default_value = "table")]
    pub output: Output,
}

/// An instrument in JSON and CSV, in the units that people use.
#[derive(Debug, Serialize)]
struct InstrumentRow {
    symbol: String,
    kind: String,
    currency: String,
    reference_price: f64,
    price_increment: f64,
    quantity_increment: f64,
    annual_volatility: f64,
    tick_interval: String,
    /// Empty when the market never closes.
    hours: String,
    closes: bool,
    /// Empty when it is not known.
    status: &'static str,
    /// Empty when it is not known, or never.
    next_status_change: String,
    name: String,
}

/// A column of the table.
struct Column {
    heading: &'static str,
    /// Numbers are aligned to the right.
    is_number: bool,
    /// The place in the order in which columns are left out of a narrow table; 0 for a column that is always shown.
    left_out: usize,
}

const COLUMNS: [Column; 10] = [
    Column { heading: "SYMBOL", is_number: false, left_out: 0 },
    Column { heading: "KIND", is_number: false, left_out: 7 },
    Column { heading: "CURRENCY", is_number: false, left_out: 6 },
    Column { heading: "REFERENCE", is_number: true, left_out: 9 },
    Column { heading: "INCREMENT", is_number: true, left_out: 3 },
    Column { heading: "QUANTITY", is_number: true, left_out: 1 },
    Column { heading: "VOLATILITY", is_number: true, left_out: 2 },
    Column { heading: "INTERVAL", is_number: true, left_out: 4 },
    Column { heading: "STATUS", is_number: false, left_out: 5 },
    Column { heading: "NAME", is_number: false, left_out: 8 },
];

/// Between two columns.
const GAP: usize = 2;

/// Least width to which names are cut before another column is left out.
const SHORTEST_NAME: usize = 20;

/// Prints every instrument.
///
/// # Errors
/// The server cannot be reached or refuses, or the instruments cannot be written.
pub async fn run(args: ListArgs) -> anyhow::Result<ExitCode> {
    let client = Client::connect(&args.endpoints.into(), args.security.settings()).await?;
    let written = write(&client, args.output, BufWriter::new(io::stdout().lock())).await;
    output::exit_code(written.map(|()| ExitCode::SUCCESS))
}

async fn write(client: &Client, output: Output, mut to: impl Write) -> anyhow::Result<()> {
    let mut rows = client.instruments().map(|instrument| instrument.map(InstrumentRow::of));
    match output {
        Output::Table => {
            // The widths are known when the last instrument is.
            let rows: Vec<_> = rows.collect::<Result<_, _>>().await?;
            write_table(&rows, terminal_width(), &mut to)?;
        }
        Output::Lines => {
            while let Some(row) = rows.next().await {
                writeln!(to, "{}", row?.symbol)?;
            }
        }
        Output::Json => {
            while let Some(row) = rows.next().await {
                write_json(&row?, &mut to)?;
            }
        }
        Output::Csv => {
            let mut to = csv::Writer::from_writer(&mut to);
            while let Some(row) = rows.next().await {
                to.serialize(row?).map_err(io_error)?;
            }
            to.flush()?;
        }
    }
    Ok(to.flush()?)
}

fn write_json(row: &InstrumentRow, to: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *to, row)?;
    to.write_all(b"\n")
}

/// The width of the terminal that standard output is; unlimited for a file or a pipe.
fn terminal_width() -> usize {
    match io::stdout().is_terminal().then(terminal::size) {
        Some(Ok((width, _))) if width > 0 => width.into(),
        _ => usize::MAX,
    }
}

/// Writes a table of at most `width` columns of the terminal, or of the symbols' width where that is more.
fn write_table(rows: &[InstrumentRow], width: usize, to: &mut impl Write) -> io::Result<()> {
    let headings = COLUMNS.map(|column| column.heading.to_owned());
    let lines: Vec<_> = [headings].into_iter().chain(rows.iter().map(InstrumentRow::cells)).collect();
    let mut widths = [0; COLUMNS.len()];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    fit(&mut widths, width);
    for line in &lines {
        let cells = line.iter().zip(widths).zip(COLUMNS).filter(|((_, width), _)| *width > 0);
        let cells = cells.map(|((cell, width), column)| match column.is_number {
            true => format!("{cell:>width$}"),
            false => format!("{:<width$}", shortened(cell, width)),
        });
        writeln!(to, "{}", cells.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end())?;
    }
    Ok(())
}

/// Shortens names and leaves out columns, whose width becomes 0, until the table is at most `width` wide.
fn fit(widths: &mut [usize; COLUMNS.len()], width: usize) {
    let name = COLUMNS.len() - 1;
    for place in 1..=COLUMNS.len() {
        let shown = widths.iter().filter(|width| **width > 0);
        let excess = shown.map(|width| width + GAP).sum::<usize>().saturating_sub(GAP).saturating_sub(width);
        let spare = widths[name].saturating_sub(SHORTEST_NAME);
        if excess <= spare {
            widths[name] -= excess;
            return;
        }
        for (width, column) in widths.iter_mut().zip(COLUMNS) {
            if column.left_out == place {
                *width = 0;
            }
        }
    }
}

impl InstrumentRow {
    fn of(instrument: InstrumentInfo) -> Self {
        // The text is the server's: it must not steer the terminal.
        let text = |text: String| text.replace(char::is_control, "");
        Self {
            symbol: instrument.symbol.to_string(),
            kind: text(instrument.kind),
            currency: text(instrument.currency),
            reference_price: instrument.reference_price.to_f64(),
            price_increment: instrument.price_increment.to_f64(),
            quantity_increment: instrument.quantity_increment_nanos.get() as f64 / 1e9,
            annual_volatility: instrument.annual_volatility,
            tick_interval: instrument.tick_interval.map(duration::show).unwrap_or_default(),
            hours: text(instrument.hours),
            closes: instrument.closes,
            status: instrument.status.map_or("", InstrumentStatus::as_str),
            next_status_change: instrument.next_status_change.map(timestamp::show).unwrap_or_default(),
            name: text(instrument.name),
        }
    }

    fn cells(&self) -> [String; COLUMNS.len()] {
        // A double prints with the fewest digits that identify it: those of the decimal it came from.
        let increment = self.price_increment.to_string();
        let decimals = increment.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        // Of a recorded instrument neither is known.
        let volatility =
            (!self.tick_interval.is_empty()).then(|| format!("{:.1} %", self.annual_volatility * 100.0));
        // An index has no quantity that could be counted.
        let quantity = (self.kind != "index").then(|| self.quantity_increment.to_string());
        [
            self.symbol.clone(),
            self.kind.clone(),
            self.currency.clone(),
            format!("{:.decimals$}", self.reference_price),
            increment,
            quantity.unwrap_or_default(),
            volatility.unwrap_or_default(),
            self.tick_interval.clone(),
            self.status.to_owned(),
            self.name.clone(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU64, time::Duration};

    use super::*;
    use crate::tick::Price;

    fn instrument(symbol: &str, name: &str, prices: (i64, i64, u64), interval: Duration) -> InstrumentRow {
        InstrumentRow::of(InstrumentInfo {
            name: name.to_owned(),
            reference_price: Price::from_nanos(prices.0).unwrap(),
            price_increment: Price::from_nanos(prices.1).unwrap(),
            quantity_increment_nanos: NonZeroU64::new(prices.2).unwrap(),
            annual_volatility: 0.24,
            tick_interval: Some(interval),
            status: Some(InstrumentStatus::Open),
            currency: "INR".to_owned(),
            kind: "equity".to_owned(),
            ..recorded(symbol)
        })
    }

    /// An instrument of a recorded tape, of which the server knows little.
    fn recorded(symbol: &str) -> InstrumentInfo {
        InstrumentInfo {
            symbol: symbol.parse().unwrap(),
            name: String::new(),
            reference_price: Price::from_nanos(1).unwrap(),
            price_increment: Price::from_nanos(1).unwrap(),
            quantity_increment_nanos: NonZeroU64::MIN,
            annual_volatility: 0.0,
            tick_interval: None,
            currency: String::new(),
            kind: String::new(),
            day_start: Duration::ZERO,
            hours: String::new(),
            closes: false,
            status: None,
            next_status_change: None,
        }
    }

    fn two() -> [InstrumentRow; 2] {
        [
            instrument(
                "M&M",
                "Mahindra & Mahindra",
                (3_690_400_000_000, 50_000_000, 1_000_000_000),
                Duration::from_millis(250),
            ),
            instrument(
                "EUR-INR",
                "Euro, in rupees",
                (102_692_500_000, 2_500_000, 100_000),
                Duration::from_secs(1),
            ),
        ]
    }

    #[test]
    fn the_table_has_aligned_columns() {
        let mut text = Vec::new();
        write_table(&two(), usize::MAX, &mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "SYMBOL   KIND    CURRENCY  REFERENCE  INCREMENT  QUANTITY  VOLATILITY  INTERVAL  STATUS  NAME\n\
             M&M      equity  INR         3690.40       0.05         1      24.0 %     250ms  open    Mahindra & Mahindra\n\
             EUR-INR  equity  INR        102.6925     0.0025    0.0001      24.0 %        1s  open    Euro, in rupees\n"
        );
    }

    #[test]
    fn a_narrow_terminal_has_fewer_columns_and_shorter_names() {
        let mut rows = two();
        rows[1].name = "Euro, in Indian rupees, at the close".to_owned();
        let table = |width| {
            let mut text = Vec::new();
            write_table(&rows, width, &mut text).unwrap();
            String::from_utf8(text).unwrap()
        };
        assert_eq!(
            table(80),
            "SYMBOL   KIND    CURRENCY  REFERENCE  INTERVAL  STATUS  NAME\n\
             M&M      equity  INR         3690.40     250ms  open    Mahindra & Mahindra\n\
             EUR-INR  equity  INR        102.6925        1s  open    Euro, in Indian rupees,…\n"
        );
        for width in 0..120 {
            let table = table(width);
            let widest = table.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= width.max("EUR-INR".len()), "{width}: {table}");
        }
    }

    #[test]
    fn a_server_cannot_steer_the_terminal() {
        let name = "\u{1b}[2JTata\r\n".to_owned();
        let steering = InstrumentInfo { name, ..recorded("TCS") };
        let mut text = Vec::new();
        write_table(&[InstrumentRow::of(steering)], usize::MAX, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.ends_with("[2JTata\n") && text.lines().count() == 2, "{text:?}");
    }

    #[test]
    fn what_is_not_known_of_a_recorded_instrument_is_left_blank() {
        let cells = InstrumentRow::of(recorded("BTCUSDT")).cells();
        assert_eq!(cells[0], "BTCUSDT");
        assert_eq!([&cells[6], &cells[7], &cells[8]], ["", "", ""]);
    }

    #[test]
    fn the_quantity_of_an_index_is_left_blank() {
        let index = InstrumentInfo { kind: "index".to_owned(), ..recorded("NIFTY50") };
        assert_eq!(InstrumentRow::of(index).cells()[5], "");
    }

    #[test]
    fn json_has_the_units_of_the_instruments_file() {
        let mut text = Vec::new();
        write_json(&two()[1], &mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap().strip_suffix('\n'),
            Some(concat!(
                r#"{"symbol":"EUR-INR","kind":"equity","currency":"INR","reference_price":102.6925,"#,
                r#""price_increment":0.0025,"quantity_increment":0.0001,"annual_volatility":0.24,"#,
                r#""tick_interval":"1s","hours":"","closes":false,"status":"open","next_status_change":"","#,
                r#""name":"Euro, in rupees"}"#
            ))
        );
    }
}
