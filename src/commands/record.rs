//! `ticker record`: writes every tick of some symbols to a file that `ticker serve --tape` plays, or to standard output.

use std::{
    future,
    io::{self, IsTerminal, Write},
    num::NonZeroU64,
    path::{Path, PathBuf},
    pin::pin,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use self::recording::Recording;
use super::{
    EndpointArgs, SecurityArgs, output,
    quantity_increments::QuantityIncrements,
    silence::{Expected, Silence},
    usage, warnings,
};
use crate::client::{Client, Delivery, Event, SubscribeOptions, Subscription};

mod recording;

/// The arguments of `ticker record`.
#[derive(Args, Debug)]
pub struct RecordArgs {
    /// Symbols to record, separated by spaces, such as RELIANCE BTC-USD; '*' stands for every instrument. When the server
    /// refuses a symbol, nothing is recorded
    #[arg(required = true, value_name = "SYMBOL", value_parser = usage::parse_symbol)]
    pub symbols: Vec<String>,

    /// CSV file to write, which must not exist yet; a name that ends in .gz or .zst compresses it, and - stands for
    /// standard output
    #[arg(long, env = "TICKER_OUT", value_name = "FILE")]
    pub out: PathBuf,

    /// The servers.
    #[command(flatten)]
    pub endpoints: EndpointArgs,

    /// TLS and tokens.
    #[command(flatten)]
    pub security: SecurityArgs,

    /// Number of ticks to stop after [default: no limit]
    #[arg(long, short = 'n', env = "TICKER_COUNT", value_name = "NUMBER", value_parser = usage::parse_count, allow_negative_numbers = true)]
    pub count: Option<NonZeroU64>,

    /// Time to stop after, such as 30s or 10m [default: no limit]
    #[arg(long, env = "TICKER_DURATION", value_name = "DURATION", value_parser = usage::parse_positive_duration)]
    pub duration: Option<Duration>,
}

/// A subscription that the server has answered.
struct AnsweredSubscription {
    subscription: Subscription,
    events: Vec<Event>,
    increments: QuantityIncrements,
}

/// Records until `stop`, the count or the duration ends it. The file is complete whatever ends it.
///
/// # Errors
/// The server cannot be reached, refuses a symbol, leaves ticks out or ends the stream, or the file is there already
/// or cannot be written.
pub async fn run(args: RecordArgs, stop: impl Future<Output = ()>) -> anyhow::Result<ExitCode> {
    let mut stop = pin!(stop);
    let AnsweredSubscription { mut subscription, mut events, increments } = tokio::select! {
        begun = begin(&args) => begun?,
        () = &mut stop => bail!("stopped before the server had answered: there is no recording"),
    };
    let to_stdout = args.out == Path::new("-");
    let mut recording = match to_stdout {
        true => Recording::to_stdout(increments, args.count)?,
        false => Recording::create(&args.out, increments, args.count)?,
    };
    // On a terminal the spinner would overwrite the rows.
    let bar = match to_stdout && io::stdout().is_terminal() {
        true => ProgressBar::hidden(),
        false => ProgressBar::new_spinner().with_style(spinner_style()),
    };
    let mut time_is_up = pin!(async {
        match args.duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => future::pending().await,
        }
    });
    let count = args.count.map(NonZeroU64::get);
    let mut silence = Silence::new(Expected { count, ..Expected::default() }, subscription.tape());
    let ended = loop {
        events.iter().for_each(|event| silence.observe(event));
        let more = recording.take(&mut events, |warning| bar.suspend(|| warnings::print(warning)));
        bar.set_message(recording.to_string());
        bar.tick();
        match more {
            Ok(true) => {}
            Ok(false) => break Ok(()),
            Err(error) => break Err(error),
        }
        tokio::select! {
            biased;
            () = &mut stop => break Ok(()),
            () = &mut time_is_up => break Ok(()),
            () = silence.is_long() => {
                let reason = silence.reason(subscription.tape().now());
                bar.suspend(|| reason.iter().for_each(|reason| warnings::print(reason)));
            }
            received = subscription.next_batch(&mut events) => if let Err(error) = received {
                // What came before the end is recorded, and may have been enough.
                break match recording.take(&mut events, warnings::print) {
                    Ok(true) => Err(error.into()),
                    done => done.map(|_| ()),
                };
            },
        }
    };
    bar.finish_and_clear();
    let recorded = recording.to_string();
    if to_stdout {
        let written = ended.and(recording.finish().map_err(anyhow::Error::new));
        if written.is_ok() {
            let _ = writeln!(io::stderr(), "recorded {recorded} to standard output");
        }
        return output::exit_code(written.map(|()| ExitCode::SUCCESS));
    }
    recording.finish().with_context(|| format!("cannot finish {}", args.out.display()))?;
    // The file is there whether or not anybody reads this.
    let _ = writeln!(io::stdout(), "recorded {recorded} to {}", args.out.display());
    ended.map(|()| ExitCode::SUCCESS)
}

fn spinner_style() -> ProgressStyle {
    ProgressStyle::with_template("recording {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// Subscribes, and waits until the server has accepted every symbol: a recording that lacks one of them would look
/// complete.
async fn begin(args: &RecordArgs) -> anyhow::Result<AnsweredSubscription> {
    let client = Client::connect(&args.endpoints.clone().into(), args.security.settings()).await?;
    let increments = QuantityIncrements::of(&client).await?;
    let options = SubscribeOptions::new(&args.symbols).with_delivery(Delivery::EveryTick);
    let mut subscription = client.subscribe(options).await?;
    let mut events = Vec::new();
    while subscription.unanswered() > 0 {
        subscription.next_batch(&mut events).await?;
    }
    let answers = events.iter().filter(|event| matches!(event, Event::Answer { .. }));
    let refused: Vec<_> = answers.flat_map(warnings::of_event).collect();
    if !refused.is_empty() {
        refused.iter().for_each(|warning| warnings::print(warning));
        match refused.len() {
            1 => bail!("1 symbol was refused, so nothing is recorded: correct it or leave it out"),
            count => {
                bail!("{count} symbols were refused, so nothing is recorded: correct them or leave them out")
            }
        }
    }
    Ok(AnsweredSubscription { subscription, events, increments })
}
