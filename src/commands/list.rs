//! `ticker list`: the instruments of a server.

use std::{
    io::{self, BufWriter, Write},
    process::ExitCode,
};

use clap::Args;
use serde::Serialize;
use tokio_stream::StreamExt;

use super::{
    EndpointArgs,
    output::{self, Output},
    rows::written,
};
use crate::{
    client::{Client, InstrumentInfo, Settings},
    duration,
};

/// The flags of `ticker list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Where the servers are; one that can be reached is enough.
    #[command(flatten)]
    pub endpoints: EndpointArgs,

    /// How to show the instruments; lines are their symbols alone.
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
    name: String,
}

/// The columns of the table: the heading, and whether it holds numbers.
const COLUMNS: [(&str, bool); 9] = [
    ("SYMBOL", false),
    ("KIND", false),
    ("CURRENCY", false),
    ("REFERENCE", true),
    ("INCREMENT", true),
    ("QUANTITY", true),
    ("VOLATILITY", true),
    ("INTERVAL", true),
    ("NAME", false),
];

/// Prints every instrument.
///
/// # Errors
/// The server cannot be reached or refuses, or the instruments cannot be written.
pub async fn run(args: ListArgs) -> anyhow::Result<ExitCode> {
    let client = Client::connect(&args.endpoints.into(), Settings::default()).await?;
    let shown = show(&client, args.output, BufWriter::new(io::stdout().lock())).await;
    output::exit_code(shown.map(|()| ExitCode::SUCCESS))
}

async fn show(client: &Client, output: Output, mut to: impl Write) -> anyhow::Result<()> {
    match output {
        Output::Table => {
            // The widths are known when the last instrument is.
            let mut records = Vec::new();
            let collect = |page| {
                records.extend(page);
                Ok(())
            };
            pages(client, collect).await?;
            write_table(&records, &mut to)?;
        }
        Output::Lines => {
            let line = |to: &mut dyn Write, record: InstrumentRow| writeln!(to, "{}", record.symbol);
            pages(client, |page| page.into_iter().try_for_each(|record| line(&mut to, record))).await?;
        }
        Output::Json => {
            pages(client, |page| write_json(page, &mut to)).await?;
        }
        Output::Csv => {
            let mut to = csv::Writer::from_writer(&mut to);
            pages(client, |page| page.iter().try_for_each(|record| to.serialize(record).map_err(written)))
                .await?;
            to.flush()?;
        }
    }
    Ok(to.flush()?)
}

/// Hands over every page of instruments.
async fn pages(
    client: &Client,
    mut show: impl FnMut(Vec<InstrumentRow>) -> io::Result<()>,
) -> anyhow::Result<()> {
    let mut instruments = client.instruments();
    while let Some(instrument) = instruments.next().await {
        show(vec![InstrumentRow::of(instrument?)])?;
    }
    Ok(())
}

fn write_json(records: Vec<InstrumentRow>, to: &mut impl Write) -> io::Result<()> {
    for record in records {
        serde_json::to_writer(&mut *to, &record)?;
        to.write_all(b"\n")?;
    }
    Ok(())
}

fn write_table(records: &[InstrumentRow], to: &mut impl Write) -> io::Result<()> {
    let headings = COLUMNS.map(|(heading, _)| heading.to_owned());
    let lines: Vec<_> = [headings].into_iter().chain(records.iter().map(InstrumentRow::cells)).collect();
    let mut widths = [0; COLUMNS.len()];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    for line in &lines {
        let cells = line.iter().zip(widths).zip(COLUMNS).map(|((cell, width), (_, number))| match number {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        });
        writeln!(to, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
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
            name: text(instrument.name),
        }
    }

    fn cells(&self) -> [String; COLUMNS.len()] {
        // A double prints with the fewest digits that tell it from others: those of the decimal it came from.
        let increment = self.price_increment.to_string();
        let decimals = increment.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        // Of a recorded instrument neither is known.
        let volatility =
            (!self.tick_interval.is_empty()).then(|| format!("{:.1} %", self.annual_volatility * 100.0));
        [
            self.symbol.clone(),
            self.kind.clone(),
            self.currency.clone(),
            format!("{:.decimals$}", self.reference_price),
            increment,
            self.quantity_increment.to_string(),
            volatility.unwrap_or_default(),
            self.tick_interval.clone(),
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
        write_table(&two(), &mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "SYMBOL   KIND    CURRENCY  REFERENCE  INCREMENT  QUANTITY  VOLATILITY  INTERVAL  NAME\n\
             M&M      equity  INR         3690.40       0.05         1      24.0 %     250ms  Mahindra & Mahindra\n\
             EUR-INR  equity  INR        102.6925     0.0025    0.0001      24.0 %        1s  Euro, in rupees\n"
        );
    }

    #[test]
    fn a_server_cannot_steer_the_terminal() {
        let name = "\u{1b}[2JTata\r\n".to_owned();
        let steering = InstrumentInfo { name, ..recorded("TCS") };
        let mut text = Vec::new();
        write_table(&[InstrumentRow::of(steering)], &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.ends_with("[2JTata\n") && text.lines().count() == 2, "{text:?}");
    }

    #[test]
    fn what_is_not_known_of_a_recorded_instrument_is_left_blank() {
        let cells = InstrumentRow::of(recorded("BTCUSDT")).cells();
        assert_eq!((cells[0].as_str(), cells[6].as_str(), cells[7].as_str()), ("BTCUSDT", "", ""));
    }

    #[test]
    fn json_has_the_units_of_the_instruments_file() {
        let mut text = Vec::new();
        write_json(two().into(), &mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap().lines().last(),
            Some(concat!(
                r#"{"symbol":"EUR-INR","kind":"equity","currency":"INR","reference_price":102.6925,"#,
                r#""price_increment":0.0025,"quantity_increment":0.0001,"annual_volatility":0.24,"#,
                r#""tick_interval":"1s","name":"Euro, in rupees"}"#
            ))
        );
    }
}
