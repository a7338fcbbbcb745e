//! `ticker watch`: shows ticks as a table on a terminal, and as rows of text in a pipe.

use std::{
    env,
    ffi::OsStr,
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
    screen::{Action, Screen, StopSignals},
    table::Now,
};
use super::{
    DeliveryArg, EndpointArgs, SecurityArgs,
    output::{self, Output},
    rows::TickWriter,
    silence::{Expected, Silence},
    usage, warnings,
};
use crate::{
    client::{Client, Event, ReplayOptions, SubscribeOptions, Subscription},
    tick::Time,
    timestamp,
};

mod board;
mod rate;
mod screen;
mod table;

/// The arguments of `ticker watch`.
#[derive(Args, Debug)]
pub struct WatchArgs {
    /// Symbols to watch, separated by spaces, such as RELIANCE BTC-USD; '*' stands for every instrument
    #[arg(required = true, value_name = "SYMBOL", value_parser = usage::parse_symbol)]
    pub symbols: Vec<String>,

    /// The servers.
    #[command(flatten)]
    pub endpoints: EndpointArgs,

    /// TLS and tokens.
    #[command(flatten)]
    pub security: SecurityArgs,

    /// Format of the ticks [default: table on a terminal, lines in a pipe or where TERM is unset or dumb]
    #[arg(long, short, env = "TICKER_OUTPUT")]
    pub output: Option<Output>,

    /// What the server sends when this program cannot keep up
    #[arg(long, env = "TICKER_DELIVERY", default_value = "latest")]
    pub delivery: DeliveryArg,

    /// Least time between two ticks of one symbol, such as 1s, at most one day; only with --delivery latest [default: none]
    #[arg(long, env = "TICKER_MIN_INTERVAL", value_name = "DURATION", value_parser = usage::parse_min_interval)]
    pub min_interval: Option<Duration>,

    /// Time to replay from, such as 2026-11-20T09:15:00Z; live ticks follow unless --to is set [default: no replay]
    #[arg(long, env = "TICKER_FROM", value_name = "TIME", value_parser = timestamp::parse)]
    pub from: Option<Time>,

    /// Time to end the replay before, in the same form [default: no end]
    #[arg(long, env = "TICKER_TO", value_name = "TIME", value_parser = timestamp::parse, requires = "from")]
    pub to: Option<Time>,

    /// Speed of the replay, from 0.001 to 1000000: 1 is real time, 10 is ten times as fast; 0 is as fast as possible
    #[arg(
        long,
        env = "TICKER_REPLAY_SPEED",
        value_name = "NUMBER",
        default_value = "1",
        value_parser = usage::parse_speed,
        allow_negative_numbers = true,
        requires = "from"
    )]
    pub speed: f64,

    /// Number of ticks to stop after [default: no limit]
    #[arg(long, short = 'n', env = "TICKER_COUNT", value_name = "NUMBER", value_parser = usage::parse_count, allow_negative_numbers = true)]
    pub count: Option<NonZeroU64>,
}

/// The events of a subscription, up to the number of ticks that was asked for.
struct EventStream {
    subscription: Subscription,
    events: Vec<Event>,
    subscribed: usize,
    remaining: Option<u64>,
    silence: Silence,
}

/// What an [`EventStream`] came to.
enum Next {
    /// Events were handed over, and there are more to come.
    Events,
    /// No tick has come for long. This is what is waited for.
    Silence(String),
    /// The last event was handed over.
    End,
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

/// Time between two drawings of the table.
const FRAME: Duration = Duration::from_millis(100);

/// Shows ticks until the user, the count or the server ends it.
///
/// # Errors
/// The server cannot be reached, refuses every symbol or ends the stream, or the ticks cannot be shown.
pub async fn run(args: WatchArgs) -> anyhow::Result<ExitCode> {
    usage::check_times(args.from, args.to).unwrap_or_else(|message| usage::exit_with_error(message));
    if args.min_interval.is_some() && args.delivery == DeliveryArg::EveryTick {
        usage::exit_with_error(
            "--min-interval leaves ticks out, so it cannot be used with --delivery every-tick",
        );
    }
    let stdout = Stdout::of_process();
    let output = args.output.unwrap_or(if stdout == Stdout::Screen { Output::Table } else { Output::Lines });
    if output == Output::Table {
        stdout.check_table()?;
    }
    let options = SubscribeOptions::new(&args.symbols)
        .with_delivery(args.delivery.into())
        .with_min_interval(args.min_interval);
    let replay = args.from.map(|from| ReplayOptions::new(from).with_to(args.to).with_speed(args.speed));
    let client = Client::connect(&args.endpoints.into(), args.security.settings()).await?;
    let subscription = match replay {
        Some(replay) => client.replay(options, replay).await?,
        None => client.subscribe(options).await?,
    };
    if let Some(from) = args.from {
        usage::check_start(from, subscription.tape()).map_err(anyhow::Error::msg)?;
    }
    let count = args.count.map(NonZeroU64::get);
    let expected = Expected { count, min_interval: args.min_interval, replay };
    let events = EventStream {
        silence: Silence::new(expected, subscription.tape()),
        subscription,
        events: Vec::new(),
        subscribed: 0,
        remaining: count,
    };

    let stdout = || BufWriter::new(io::stdout().lock());
    let shown = match output {
        Output::Table => {
            let began = args.from.unwrap_or_else(|| events.subscription.tape().now());
            show_table(events, Board::new(client.endpoint(), &args.symbols, began)).await
        }
        Output::Lines => write_rows(events, Ok(TickWriter::lines(stdout()))).await,
        Output::Json => write_rows(events, Ok(TickWriter::json(stdout()))).await,
        Output::Csv => write_rows(events, TickWriter::csv(stdout())).await,
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

impl EventStream {
    /// Waits for events and hands them over.
    ///
    /// Cancel safe: an event is either handed over or still to come.
    async fn next(&mut self, mut show: impl FnMut(Event) -> anyhow::Result<()>) -> anyhow::Result<Next> {
        let received = tokio::select! {
            biased;
            received = self.subscription.next_batch(&mut self.events) => received,
            () = self.silence.is_long() => {
                return Ok(self.reason_to_wait().map_or(Next::Events, Next::Silence));
            }
        };
        for event in self.events.drain(..) {
            self.silence.observe(&event);
            let is_tick = matches!(event, Event::Tick(_));
            let is_last = event == Event::End;
            if let Event::Answer { subscribed, .. } = &event {
                self.subscribed += subscribed.len();
            }
            show(event)?;
            if is_last {
                return Ok(Next::End);
            }
            if let (true, Some(remaining)) = (is_tick, &mut self.remaining) {
                *remaining -= 1;
                if *remaining == 0 {
                    return Ok(Next::End);
                }
            }
        }
        if self.subscribed == 0 && self.subscription.unanswered() == 0 {
            bail!("every symbol was refused: there is nothing to watch");
        }
        received?;
        Ok(Next::Events)
    }

    /// What is waited for, while no ticks come.
    fn reason_to_wait(&self) -> Option<String> {
        self.silence.reason(self.subscription.tape().now())
    }
}

async fn write_rows<W: Write>(
    mut events: EventStream,
    rows: io::Result<TickWriter<W>>,
) -> anyhow::Result<()> {
    let mut rows = rows?;
    loop {
        // One write for all ticks that came together, and at once: the reader may be a program that waits.
        rows.flush()?;
        let next = events.next(|event| {
            match event {
                Event::Tick(live) => rows.write(&live)?,
                other => warnings::of_event(&other).iter().for_each(|warning| warnings::print(warning)),
            }
            Ok(())
        });
        match next.await? {
            Next::Events => {}
            Next::Silence(reason) => warnings::print(&reason),
            Next::End => return Ok(rows.flush()?),
        }
    }
}

async fn show_table(mut events: EventStream, mut board: Board) -> anyhow::Result<()> {
    let mut stop = StopSignals::new().context("cannot listen to signals")?;
    let mut continued = screen::continued().context("cannot listen to signals")?;
    let tape = events.subscription.tape().clone();
    let started = Instant::now();
    let now = || Now { elapsed: started.elapsed(), time: tape.now() };
    let mut frames = interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut screen = Screen::open().context("cannot take over the terminal")?;
    let ended = loop {
        tokio::select! {
            next = events.next(|event| { board.take(event, started.elapsed()); Ok(()) }) => match next {
                Ok(Next::Events | Next::Silence(_)) => {}
                Ok(Next::End) => break Ok(()),
                Err(error) => break Err(error),
            },
            _ = frames.tick() => {
                board.reason_to_wait = events.reason_to_wait();
                match screen.draw(&board, now()) {
                    Ok(Action::None | Action::Scroll(_)) => {}
                    Ok(Action::Quit) => break Ok(()),
                    Ok(Action::Retry) => events.subscription.retry_now(),
                    Ok(Action::Suspend) => if let Err(error) = screen.suspend() {
                        break Err(anyhow::Error::new(error).context("cannot suspend"));
                    },
                    Err(error) => break Err(anyhow::Error::new(error).context("cannot draw on the terminal")),
                }
            },
            // Another program may have used the terminal in the meantime.
            _ = continued.recv() => if let Err(error) = screen.reopen() {
                break Err(anyhow::Error::new(error).context("cannot take over the terminal again"));
            },
            () = stop.recv() => break Ok(()),
        }
    };
    let left = screen.close(&board, now());
    board.warnings().rev().for_each(warnings::print);
    ended?;
    left.context("cannot give the terminal back")
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
