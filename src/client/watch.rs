//! `ticker watch`: live ticks as a table on a terminal, and as text in a pipe.

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    num::NonZeroU64,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Args;
use tokio::time::{MissedTickBehavior, interval};

use self::{
    board::Board,
    screen::{Screen, Stop, Wish},
    table::Now,
};
use super::{
    Client, Delivery, EndpointArgs, Event, Refusal, Replay, Settings, Subscription, Wanted,
    output::{self, Output},
    record::Records,
};
use crate::{duration, tick::Time, timestamp};

mod board;
mod rate;
mod screen;
mod table;

/// The arguments of `ticker watch`.
#[derive(Args, Debug)]
pub struct WatchArgs {
    /// Symbols, such as RELIANCE or BTC-USD; '*' stands for every instrument.
    #[arg(required = true, value_name = "SYMBOL")]
    pub symbols: Vec<String>,

    /// Where the servers are.
    #[command(flatten)]
    pub endpoints: EndpointArgs,

    /// How to show the ticks [default: table on a terminal, lines in a pipe].
    #[arg(long, short, env = "TICKER_OUTPUT")]
    pub output: Option<Output>,

    /// What to receive when this program cannot keep up.
    #[arg(long, env = "TICKER_DELIVERY", default_value = "latest")]
    pub delivery: Delivery,

    /// The least time between two ticks of one symbol, such as 1s.
    #[arg(long, env = "TICKER_MIN_INTERVAL", value_name = "DURATION", value_parser = duration::parse)]
    pub min_interval: Option<Duration>,

    /// Replay from this time on, such as 2026-11-20T09:15:00Z, and go on with live ticks.
    #[arg(long, env = "TICKER_FROM", value_name = "TIME", value_parser = timestamp::parse)]
    pub from: Option<Time>,

    /// End the replay before this time.
    #[arg(long, env = "TICKER_TO", value_name = "TIME", value_parser = timestamp::parse, requires = "from")]
    pub to: Option<Time>,

    /// How fast to replay: 10 is ten times as fast as it took place, 0 is as fast as this program takes it.
    #[arg(
        long,
        env = "TICKER_REPLAY_SPEED",
        value_name = "NUMBER",
        default_value_t = 1.0,
        requires = "from"
    )]
    pub speed: f64,

    /// Stop after so many ticks.
    #[arg(long, short = 'n', env = "TICKER_COUNT", value_name = "NUMBER")]
    pub count: Option<NonZeroU64>,
}

/// The events of a subscription, up to the number of ticks that was asked for.
struct Feed {
    subscription: Subscription,
    events: Vec<Event>,
    subscribed: usize,
    remaining: Option<u64>,
}

/// The table is drawn this often.
const FRAME: Duration = Duration::from_millis(100);

/// Shows ticks until the user, the count or the server ends it.
///
/// # Errors
/// The server cannot be reached, refuses every symbol or ends the stream, or the ticks cannot be shown.
pub async fn run(args: WatchArgs) -> anyhow::Result<ExitCode> {
    let terminal = io::stdout().is_terminal();
    let output = args.output.unwrap_or(if terminal { Output::Table } else { Output::Lines });
    if output == Output::Table && !terminal {
        bail!("a live table needs a terminal: use --output lines, json or csv");
    }
    let wanted = Wanted { symbols: args.symbols, delivery: args.delivery, min_interval: args.min_interval };
    let client = Client::connect(&args.endpoints.into(), Settings::default()).await?;
    let feed = Feed {
        subscription: match args.from {
            Some(from) => client.replay(&wanted, Replay { from, to: args.to, speed: args.speed }).await?,
            None => client.subscribe(&wanted).await?,
        },
        events: Vec::new(),
        subscribed: 0,
        remaining: args.count.map(NonZeroU64::get),
    };

    let stdout = || BufWriter::new(io::stdout().lock());
    let shown = match output {
        Output::Table => on_screen(feed, Board::new(client.endpoint(), &wanted.symbols)).await,
        Output::Lines => as_text(feed, Ok(Records::lines(stdout()))).await,
        Output::Json => as_text(feed, Ok(Records::json(stdout()))).await,
        Output::Csv => as_text(feed, Records::csv(stdout())).await,
    };
    output::exit_code(shown.map(|()| ExitCode::SUCCESS))
}

impl Feed {
    /// Waits for events and hands them over; false after the last one.
    ///
    /// Cancel safe: an event is either handed over or still to come.
    async fn next(&mut self, mut show: impl FnMut(Event) -> anyhow::Result<()>) -> anyhow::Result<bool> {
        let received = self.subscription.next_batch(&mut self.events).await;
        for event in self.events.drain(..) {
            let tick = matches!(event, Event::Tick(_));
            let last = event == Event::End;
            if let Event::Answer { subscribed, .. } = &event {
                self.subscribed += subscribed.len();
            }
            show(event)?;
            if last {
                return Ok(false);
            }
            if let (true, Some(remaining)) = (tick, &mut self.remaining) {
                *remaining -= 1;
                if *remaining == 0 {
                    return Ok(false);
                }
            }
        }
        received?;
        if self.subscribed == 0 && self.subscription.unanswered() == 0 {
            bail!("every symbol was refused: there is nothing to watch");
        }
        Ok(true)
    }
}

async fn as_text<W: Write>(mut feed: Feed, records: io::Result<Records<W>>) -> anyhow::Result<()> {
    let mut records = records?;
    loop {
        // One write for all that came together, and at once: the reader may be a program that waits.
        records.flush()?;
        let more = feed.next(|event| {
            match event {
                Event::Tick(live) => records.write(&live)?,
                other => notices(&other).iter().for_each(|notice| warn(notice)),
            }
            Ok(())
        });
        if !more.await? {
            return Ok(records.flush()?);
        }
    }
}

async fn on_screen(mut feed: Feed, mut board: Board) -> anyhow::Result<()> {
    let mut stop = Stop::new().context("cannot listen to signals")?;
    let tape = feed.subscription.tape().clone();
    let started = Instant::now();
    let mut frames = interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut screen = Screen::open().context("cannot take over the terminal")?;
    let ended = loop {
        tokio::select! {
            more = feed.next(|event| { board.take(event, started.elapsed()); Ok(()) }) => match more {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            },
            _ = frames.tick() => match screen.show(&board, Now { elapsed: started.elapsed(), time: tape.now() }) {
                Ok(Wish::Stay | Wish::Scroll(_)) => {}
                Ok(Wish::Leave) => break Ok(()),
                Err(error) => break Err(anyhow::Error::new(error).context("cannot draw on the terminal")),
            },
            () = stop.asked() => break Ok(()),
        }
    };
    // What is printed from here on must not go to the screen that is about to vanish.
    drop(screen);
    board.notices().rev().for_each(warn);
    ended
}

/// What the user must know of an event that is no tick.
pub(super) fn notices(event: &Event) -> Vec<String> {
    let mut notices = match event {
        Event::Tick(_) | Event::CaughtUp { .. } | Event::End => Vec::new(),
        Event::Answer { refused, .. } => refused
            .iter()
            .map(|Refusal { symbol, message }| match message.contains(symbol.as_str()) {
                true => message.clone(),
                false => format!("{symbol}: {message}"),
            })
            .collect(),
        Event::Gap { symbol, first, last } => {
            vec![format!("{symbol}: too slow, the server left out the ticks {first} to {last}")]
        }
        Event::Draining => vec!["the server is about to stop".to_owned()],
        // An outage may be long: less and less often.
        Event::Disconnected { attempt, .. } if !attempt.is_power_of_two() => Vec::new(),
        Event::Disconnected { cause, attempt } => vec![format!("{cause}; reconnecting (attempt {attempt})")],
        Event::Reconnected { replica, without } => {
            vec![format!("connected to {replica} after {} ms without a connection", without.as_millis())]
        }
    };
    // The text is the server's: it must not steer the terminal.
    notices.iter_mut().for_each(|notice| notice.retain(|letter| !letter.is_control()));
    notices
}

pub(super) fn warn(notice: &str) {
    // Nobody may read it, and the ticks matter more.
    let _ = writeln!(io::stderr(), "warning: {notice}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tick::Sequence;

    #[test]
    fn what_is_lost_or_refused_is_told() {
        let refusal =
            |symbol: &str, message: &str| Refusal { symbol: symbol.to_owned(), message: message.to_owned() };
        let answer = Event::Answer {
            tape_id: String::new(),
            subscribed: Vec::new(),
            refused: vec![
                refusal("TSC", "did you mean \u{1b}[31mTCS?"),
                refusal("TC", "there is no TC"),
                refusal("", "too many symbols"),
            ],
        };
        let told = ["TSC: did you mean [31mTCS?", "there is no TC", "too many symbols"];
        assert_eq!(notices(&answer), told);
        let gap = Event::Gap { symbol: "TCS".parse().unwrap(), first: Sequence(5), last: Sequence(9) };
        assert_eq!(notices(&gap), ["TCS: too slow, the server left out the ticks 5 to 9"]);
    }
}
