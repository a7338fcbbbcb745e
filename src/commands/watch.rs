//! `ticker watch`: live ticks as a table on a terminal, and as text in a pipe.

use std::{
    env,
    ffi::OsStr,
    io::{self, BufWriter, IsTerminal, Write},
    num::NonZeroU64,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use tokio::time::{MissedTickBehavior, interval};

use self::{
    board::Board,
    screen::{Screen, Stop, Wish},
    table::Now,
};
use super::{
    EndpointArgs,
    output::{self, Output},
    rows::TickWriter,
    usage,
};
use crate::client::{
    Client, Delivery, Event, RefusedSymbol, ReplayOptions, Settings, SubscribeOptions, Subscription,
};
use crate::{duration, tick::Time, timestamp};

mod board;
mod rate;
mod screen;
mod table;

/// What the server sends while this program cannot keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DeliveryArg {
    /// The newest tick of each symbol.
    Latest,
    /// Every tick, in order.
    EveryTick,
}

impl From<DeliveryArg> for Delivery {
    fn from(delivery: DeliveryArg) -> Self {
        match delivery {
            DeliveryArg::Latest => Self::Latest,
            DeliveryArg::EveryTick => Self::EveryTick,
        }
    }
}

/// The arguments of `ticker watch`.
#[derive(Args, Debug)]
pub struct WatchArgs {
    /// Symbols, such as RELIANCE or BTC-USD; '*' stands for every instrument.
    #[arg(required = true, value_name = "SYMBOL")]
    pub symbols: Vec<String>,

    /// Where the servers are.
    #[command(flatten)]
    pub endpoints: EndpointArgs,

    /// How to show the ticks [default: table on a terminal, lines in a pipe and where TERM is unset or dumb].
    #[arg(long, short, env = "TICKER_OUTPUT")]
    pub output: Option<Output>,

    /// What to receive when this program cannot keep up.
    #[arg(long, env = "TICKER_DELIVERY", default_value = "latest")]
    pub delivery: DeliveryArg,

    /// The least time between two ticks of one symbol, such as 1s.
    #[arg(long, env = "TICKER_MIN_INTERVAL", value_name = "DURATION", value_parser = duration::parse)]
    pub min_interval: Option<Duration>,

    /// ReplayOptions from this time on, such as 2026-11-20T09:15:00Z, and go on with live ticks.
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
        default_value = "1",
        value_parser = usage::speed,
        allow_negative_numbers = true,
        requires = "from"
    )]
    pub speed: f64,

    /// Stop after so many ticks.
    #[arg(long, short = 'n', env = "TICKER_COUNT", value_name = "NUMBER", value_parser = usage::count)]
    pub count: Option<NonZeroU64>,
}

/// The events of a subscription, up to the number of ticks that was asked for.
struct Feed {
    subscription: Subscription,
    events: Vec<Event>,
    subscribed: usize,
    remaining: Option<u64>,
}

/// What standard output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stdout {
    /// A terminal whose cursor can be moved: it can show a table.
    Screen,
    /// A terminal with TERM unset or `dumb`, such as the shell of an editor: it can show lines.
    DumbTerminal,
    /// A file or a pipe.
    NoTerminal,
}

/// The table is drawn this often.
const FRAME: Duration = Duration::from_millis(100);

/// Shows ticks until the user, the count or the server ends it.
///
/// # Errors
/// The server cannot be reached, refuses every symbol or ends the stream, or the ticks cannot be shown.
pub async fn run(args: WatchArgs) -> anyhow::Result<ExitCode> {
    usage::check_times(args.from, args.to).unwrap_or_else(|message| usage::refuse(message));
    let stdout = Stdout::of_process();
    let output = args.output.unwrap_or(if stdout == Stdout::Screen { Output::Table } else { Output::Lines });
    if output == Output::Table {
        stdout.check_table()?;
    }
    let options = SubscribeOptions::new(&args.symbols)
        .with_delivery(args.delivery.into())
        .with_min_interval(args.min_interval);
    let client = Client::connect(&args.endpoints.into(), Settings::default()).await?;
    let feed = Feed {
        subscription: match args.from {
            Some(from) => {
                let replay = ReplayOptions::new(from).with_to(args.to).with_speed(args.speed);
                client.replay(options, replay).await?
            }
            None => client.subscribe(options).await?,
        },
        events: Vec::new(),
        subscribed: 0,
        remaining: args.count.map(NonZeroU64::get),
    };

    let mut board = Board::new(client.endpoint(), &args.symbols);
    if let Some(notice) = args.from.and_then(|from| early(from, feed.subscription.tape().now())) {
        match output {
            Output::Table => board.tell(notice),
            Output::Lines | Output::Json | Output::Csv => warn(&notice),
        }
    }
    let stdout = || BufWriter::new(io::stdout().lock());
    let shown = match output {
        Output::Table => on_screen(feed, board).await,
        Output::Lines => as_text(feed, Ok(TickWriter::lines(stdout()))).await,
        Output::Json => as_text(feed, Ok(TickWriter::json(stdout()))).await,
        Output::Csv => as_text(feed, TickWriter::csv(stdout())).await,
    };
    output::exit_code(shown.map(|()| ExitCode::SUCCESS))
}

impl Stdout {
    fn of_process() -> Self {
        Self::of(io::stdout().is_terminal(), env::var_os("TERM").as_deref())
    }

    fn of(is_terminal: bool, term: Option<&OsStr>) -> Self {
        match term {
            _ if !is_terminal => Self::NoTerminal,
            Some(term) if !term.is_empty() && term != "dumb" => Self::Screen,
            _ => Self::DumbTerminal,
        }
    }

    fn check_table(self) -> anyhow::Result<()> {
        match self {
            Self::Screen => Ok(()),
            Self::DumbTerminal => bail!(
                "a live table needs a terminal with a cursor, and TERM is unset or dumb: use --output lines, json or csv"
            ),
            Self::NoTerminal => bail!("a live table needs a terminal: use --output lines, json or csv"),
        }
    }
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
        if self.subscribed == 0 && self.subscription.unanswered() == 0 {
            bail!("every symbol was refused: there is nothing to watch");
        }
        received?;
        Ok(true)
    }
}

async fn as_text<W: Write>(mut feed: Feed, records: io::Result<TickWriter<W>>) -> anyhow::Result<()> {
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
    let mut continued = screen::continued().context("cannot listen to signals")?;
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
                Ok(Wish::Suspend) => if let Err(error) = screen.suspend() {
                    break Err(anyhow::Error::new(error).context("cannot suspend"));
                },
                Err(error) => break Err(anyhow::Error::new(error).context("cannot draw on the terminal")),
            },
            // Another program may have used the terminal in the meantime.
            _ = continued.recv() => if let Err(error) = screen.reopen() {
                break Err(anyhow::Error::new(error).context("cannot take over the terminal again"));
            },
            () = stop.asked() => break Ok(()),
        }
    };
    // What is printed from here on must not go to the screen that is about to vanish.
    drop(screen);
    board.notices().rev().for_each(warn);
    ended
}

/// A note for a replay whose start is in the future: until then no tick comes.
fn early(from: Time, present: Time) -> Option<String> {
    let [shown_from, shown_present] = [from, present].map(|time| timestamp::show_with_decimals(time, 0));
    (from > present).then(|| format!("--from {shown_from} is in the future: the tape is at {shown_present}"))
}

/// What the user must know of an event that is no tick.
pub(super) fn notices(event: &Event) -> Vec<String> {
    let mut notices = match event {
        Event::Tick(_) | Event::CaughtUp { .. } | Event::End => Vec::new(),
        Event::Answer { refused, .. } => refused
            .iter()
            .map(|RefusedSymbol { symbol, message }| match message.contains(symbol.as_str()) {
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
    fn a_terminal_without_a_cursor_shows_lines() {
        let of = |term: Option<&str>| Stdout::of(true, term.map(OsStr::new));
        assert_eq!((of(Some("xterm-256color")), of(Some("vt100"))), (Stdout::Screen, Stdout::Screen));
        assert_eq!([of(None), of(Some("")), of(Some("dumb"))], [Stdout::DumbTerminal; 3]);
        assert_eq!(Stdout::of(false, Some(OsStr::new("xterm"))), Stdout::NoTerminal);
        assert!(Stdout::Screen.check_table().is_ok());
        assert!(
            Stdout::DumbTerminal.check_table().unwrap_err().to_string().contains("TERM is unset or dumb")
        );
    }

    #[test]
    fn a_replay_of_the_future_is_told() {
        let [early_time, late] =
            ["2026-01-01T00:00:00.5Z", "2026-02-01T00:00:00Z"].map(|text| timestamp::parse(text).unwrap());
        assert_eq!(early(early_time, late).or(early(late, late)), None);
        let told = "--from 2026-02-01T00:00:00Z is in the future: the tape is at 2026-01-01T00:00:00Z";
        assert_eq!(early(late, early_time).as_deref(), Some(told));
    }

    #[test]
    fn what_is_lost_or_refused_is_told() {
        let refusal = |symbol: &str, message: &str| RefusedSymbol {
            symbol: symbol.to_owned(),
            message: message.to_owned(),
        };
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
