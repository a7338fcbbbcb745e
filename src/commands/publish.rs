//! `ticker publish`: publishes the ticks of a recording, or of lines on standard input, to a server with a feed.

use std::{
    io::{self, IsTerminal, Write},
    num::NonZeroU64,
    path::PathBuf,
    pin::{Pin, pin},
    process::ExitCode,
    thread,
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::{sync::oneshot, time::sleep};

use self::{batch::Batch, input::Input, line_parser::LineParser, paced_ticks::PacedTicks, report::Report};
use super::{EndpointArgs, SecurityArgs, quantity_increments::QuantityIncrements, usage, warnings};
use crate::{
    client::{Client, Publisher, PublisherOptions},
    tape::Recorded,
};

mod batch;
mod input;
mod line_parser;
mod paced_ticks;
mod report;

/// The arguments of `ticker publish`.
#[derive(Args, Debug)]
#[command(after_help = INPUT_HELP)]
pub struct PublishArgs {
    /// Recording to publish instead of standard input: CSV with a header, trades of Binance or DBN of Databento, also as .gz or
    /// .zst. The server gives each tick the time at which it takes it: recorded times only set the pace
    #[arg(long, env = "TICKER_PUBLISH_FILE", value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Pace of the recording, from 0.001 to 1000000: 1 is as it was recorded, 10 is ten times as fast; 0 is as fast as the
    /// server takes it
    #[arg(
        long,
        env = "TICKER_PUBLISH_SPEED",
        value_name = "NUMBER",
        default_value = "1",
        value_parser = usage::parse_speed,
        allow_negative_numbers = true,
        requires = "file"
    )]
    pub speed: f64,

    /// The servers.
    #[command(flatten)]
    pub endpoints: EndpointArgs,

    /// TLS and tokens.
    #[command(flatten)]
    pub security: SecurityArgs,

    /// Name under which the server remembers the numbers of ticks, which are counted from --first-number: a file that is
    /// published again under the same name adds only the ticks that are missing [default: random]
    #[arg(long, env = "TICKER_PUBLISHER_ID", value_name = "NAME", value_parser = usage::parse_publisher_id)]
    pub publisher_id: Option<String>,

    /// Number of the first tick; for new ticks under a name that was used before, a number above all that were used
    #[arg(
        long,
        env = "TICKER_FIRST_NUMBER",
        value_name = "NUMBER",
        default_value = "1",
        value_parser = usage::parse_first_number,
        allow_negative_numbers = true,
        requires = "publisher_id"
    )]
    pub first_number: NonZeroU64,
}

/// What standard input may have.
const INPUT_HELP: &str = "\
Without --file, ticks are lines of standard input: SYMBOL PRICE [QUANTITY], separated by spaces or commas. If the first line names \
columns, the others are CSV. The columns are symbol, price, quantity, time, bid, bid_quantity, ask and ask_quantity; only the first two \
are required. Quantities are decimals, such as 0.015, and 0 if left out. Lines are sent as they come, so `tail -f FILE | ticker publish` \
is live.";

/// Where the ticks come from.
enum Source {
    Recording(PacedTicks),
    Input(Input),
}

/// How long a command that is stopped waits for answers.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Publishes until the source ends or `stop` completes, and waits for the answers.
///
/// # Errors
/// The server cannot be reached or does not take ticks, or the source cannot be read.
pub async fn run(args: PublishArgs, stop: impl Future<Output = ()>) -> anyhow::Result<ExitCode> {
    let mut stop = pin!(stop);
    let (mut source, mut publisher) = tokio::select! {
        begun = begin(&args) => begun?,
        () = &mut stop => bail!("stopped before the server had answered: nothing was published"),
    };
    let bar = ProgressBar::new_spinner().with_style(spinner_style());
    let warn = |warning: &str| bar.suspend(|| warnings::print(warning));
    let mut report = Report::new(warn, source.place());
    let mut ended = publish(&mut source, &mut publisher, &mut report, &bar, stop.as_mut()).await;
    if let Ok(has_stopped) = ended {
        let answers = async {
            while publisher.pending() > 0 {
                report.event(publisher.next_event().await?);
                bar.set_message(report.to_string());
            }
            Ok(has_stopped)
        };
        ended = tokio::select! {
            answered = answers => answered,
            () = last_answers(has_stopped, stop) => Ok(true),
        };
    }
    bar.finish_and_clear();
    report.end();
    let has_all = publisher.pending() == 0;
    if ended.is_ok() && has_all {
        publisher.finish().await?;
    }
    // The ticks are stored whether or not anybody reads this.
    let _ = writeln!(io::stdout(), "{report}");
    ended?;
    Ok(if has_all && report.refusals() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Opens the source and the publisher.
async fn begin(args: &PublishArgs) -> anyhow::Result<(Source, Publisher)> {
    let recorded = match &args.file {
        Some(file) => Some(read(file.clone()).await?),
        None => None,
    };
    let client = Client::connect(&args.endpoints.clone().into(), args.security.settings()).await?;
    let mut options = PublisherOptions::default().with_first_number(args.first_number);
    if let Some(publisher_id) = &args.publisher_id {
        options = options.with_publisher_id(publisher_id);
    }
    let publisher = client.publisher(options).await?;
    let increments = QuantityIncrements::of(&client).await?;
    let source = match recorded {
        Some(recorded) => {
            let ticks = PacedTicks::new(&recorded, increments, args.speed);
            Source::Recording(ticks.context("cannot publish the file of --file")?)
        }
        None => {
            if io::stdin().is_terminal() {
                let _ = writeln!(io::stderr(), "reading lines of SYMBOL PRICE [QUANTITY]; Ctrl-D ends them");
            }
            let input = Input::start(io::stdin(), LineParser::new(increments));
            Source::Input(input.context("cannot start the thread that reads standard input")?)
        }
    };
    Ok((source, publisher))
}

/// Reads a recording on a thread of its own, so that a signal ends the command while it is read.
async fn read(file: PathBuf) -> anyhow::Result<Recorded> {
    let (sender, recorded) = oneshot::channel();
    let read = move || drop(sender.send(Recorded::read(&file, false, None, &mut |_| {})));
    thread::Builder::new().name("recording".to_owned()).spawn(read)?;
    recorded.await?.context("cannot use the file of --file")
}

/// Publishes until the source ends; true when it is stopped before.
async fn publish(
    source: &mut Source,
    publisher: &mut Publisher,
    report: &mut Report<impl FnMut(&str)>,
    bar: &ProgressBar,
    mut stop: Pin<&mut impl Future<Output = ()>>,
) -> anyhow::Result<bool> {
    loop {
        let batch = tokio::select! {
            biased;
            () = &mut stop => return Ok(true),
            event = publisher.next_event() => {
                report.event(event?);
                bar.set_message(report.to_string());
                continue;
            }
            batch = source.next() => batch?,
        };
        let Some(batch) = batch else { return Ok(false) };
        report.bad_lines(&batch);
        tokio::select! {
            biased;
            () = &mut stop => return Ok(true),
            published = publisher.publish(batch.ticks) => published?,
        }
        report.published(batch.places);
    }
}

/// Waits until a command that has stopped, or is stopped now, has waited long enough for answers.
async fn last_answers(has_stopped: bool, stop: Pin<&mut impl Future<Output = ()>>) {
    if !has_stopped {
        stop.await;
    }
    sleep(LAST_ANSWERS).await;
}

impl Source {
    /// What its places are.
    fn place(&self) -> &'static str {
        match self {
            Self::Recording(_) => "tick",
            Self::Input(_) => "line",
        }
    }

    /// The next ticks; `None` at the end. Cancel safe.
    async fn next(&mut self) -> anyhow::Result<Option<Batch>> {
        match self {
            Self::Recording(ticks) => Ok(ticks.next().await?),
            Self::Input(input) => input.next().await,
        }
    }
}

fn spinner_style() -> ProgressStyle {
    ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}
