//! Draws the board: a row for each symbol, and two lines of totals and news below them.

use std::time::Duration;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Style, Stylize},
    text::{Line, Span, Text},
    widgets::{Cell, Row, Table},
};

use super::board::{Board, Prices};
use crate::tick::{Symbol, Time};

/// The part of the board that is in sight.
#[derive(Default)]
pub(super) struct View {
    /// The first row.
    top: usize,
    /// How many rows fit.
    rows: usize,
}

/// How to move the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scroll {
    Up,
    Down,
    PageUp,
    PageDown,
    Top,
    Bottom,
}

/// The moment that is drawn.
#[derive(Clone, Copy)]
pub(super) struct Now {
    /// Since the start.
    pub(super) elapsed: Duration,
    /// On the tape.
    pub(super) time: Time,
}

const HEADINGS: [&str; 6] = ["SYMBOL", "LTP", "CHANGE", "CHANGE %", "TICKS/S", "AGE"];
const WIDTHS: [u16; 5] = [14, 12, 9, 8, 7];

impl View {
    pub(super) fn scroll(&mut self, scroll: Scroll) {
        let page = self.rows.max(1);
        self.top = match scroll {
            Scroll::Up => self.top.saturating_sub(1),
            Scroll::Down => self.top.saturating_add(1),
            Scroll::PageUp => self.top.saturating_sub(page),
            Scroll::PageDown => self.top.saturating_add(page),
            Scroll::Top => 0,
            Scroll::Bottom => usize::MAX,
        };
    }
}

/// Draws the rows that are in sight and the footer.
pub(super) fn draw(frame: &mut Frame, board: &Board, view: &mut View, now: Now) {
    let [table, footer] = Layout::vertical([Constraint::Fill(1), Constraint::Length(2)]).areas(frame.area());
    // The headings take a line.
    view.rows = usize::from(table.height.saturating_sub(1));
    view.top = view.top.min(board.len().saturating_sub(view.rows));
    draw_rows(frame, table, board, view, now);
    draw_footer(frame, footer, board, view, now);
}

fn draw_rows(frame: &mut Frame, area: Rect, board: &Board, view: &View, now: Now) {
    let mut symbol_width = HEADINGS[0].len();
    let mut rows = Vec::with_capacity(view.rows);
    for (symbol, row) in board.rows().skip(view.top).take(view.rows) {
        symbol_width = symbol_width.max(symbol.as_str().len());
        let rate = row.rate.per_second(now.elapsed);
        let rate = right(rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}")), Style::new());
        rows.push(match &row.prices {
            Some(prices) => priced(symbol, prices, row.decimals, rate, now),
            None => Row::new([Cell::from(symbol.to_string()), right("-", Style::new())]),
        });
    }
    let mut headings = vec![Cell::from(HEADINGS[0])];
    headings.extend(HEADINGS[1..].iter().map(|heading| right(*heading, Style::new())));
    let symbol_width = u16::try_from(symbol_width).unwrap_or(u16::MAX);
    let widths = [symbol_width].into_iter().chain(WIDTHS).map(Constraint::Length);
    frame.render_widget(Table::new(rows, widths).header(Row::new(headings).bold()), area);
}

fn priced<'a>(symbol: &Symbol, prices: &Prices, decimals: usize, rate: Cell<'a>, now: Now) -> Row<'a> {
    let change = prices.last.nanos() - prices.first.nanos();
    let percent = change as f64 / prices.first.nanos() as f64 * 100.0;
    let moved = prices.last.nanos() - prices.before.nanos();
    let age = Duration::from_nanos(now.time.nanos().saturating_sub(prices.time.nanos()));
    let price = decimal(prices.last.nanos(), decimals);
    let sign = if change > 0 { "+" } else { "" };
    Row::new([
        Cell::from(symbol.to_string()),
        right(price, color(moved)),
        right(format!("{sign}{}", decimal(change, decimals)), color(change)),
        right(format!("{sign}{percent:.3}"), color(change)),
        rate,
        right(rough(age), Style::new()),
    ])
}

fn draw_footer(frame: &mut Frame, area: Rect, board: &Board, view: &View, now: Now) {
    let rate = board.rate.per_second(now.elapsed).unwrap_or_default();
    let connection = match board.attempt {
        None => board.endpoint.to_string(),
        Some(attempt) => {
            let without = rough(now.elapsed.saturating_sub(board.last_tick));
            format!("reconnecting … (attempt {attempt}, {without} without ticks)")
        }
    };
    let mut totals = vec![
        connection,
        format!("tape {:.12}", board.tape_id),
        format!("{} symbols", board.len()),
        format!("{} ticks", board.ticks),
        format!("{rate:.0}/s"),
    ];
    if board.conflated > 0 {
        totals.push(format!("{} conflated", board.conflated));
    }
    match board.reconnects {
        0 => {}
        1 => totals.push("1 reconnect".to_owned()),
        reconnects => totals.push(format!("{reconnects} reconnects")),
    }
    let mut news = vec![Span::from("q quits").dim()];
    if board.len() > view.rows {
        let last = (view.top + view.rows).min(board.len());
        news.push(
            Span::from(format!("  rows {}-{last} of {}, arrows scroll", view.top + 1, board.len())).dim(),
        );
    }
    if let Some(notice) = board.notices().next() {
        news.push(Span::from(format!("  {notice}")).yellow());
    }
    frame.render_widget(Text::from(vec![Line::from(totals.join("  ")).reversed(), Line::from(news)]), area);
}

fn right<'a>(text: impl Into<Span<'a>>, style: Style) -> Cell<'a> {
    Cell::from(Line::from(text.into()).right_aligned()).style(style)
}

fn color(change: i64) -> Style {
    match change {
        0 => Style::new(),
        1.. => Style::new().fg(Color::Green),
        _ => Style::new().fg(Color::Red),
    }
}

/// A number of 1e-9 units with so many decimals, from 0 to 9; those beyond are cut.
fn decimal(nanos: i64, decimals: usize) -> String {
    const NANOS: u64 = 1_000_000_000;
    let sign = if nanos < 0 { "-" } else { "" };
    let (whole, fraction) = (nanos.unsigned_abs() / NANOS, nanos.unsigned_abs() % NANOS);
    let fraction = format!("{fraction:09}");
    format!("{sign}{whole}.{}", &fraction[..decimals.min(9)])
}

/// A duration in one unit, for a glance.
fn rough(age: Duration) -> String {
    match age.as_secs() {
        0 => format!("{}ms", age.as_millis()),
        1..10 => format!("{:.1}s", age.as_secs_f64()),
        seconds @ 10..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds => format!("{}h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend, buffer::Buffer};

    use super::*;
    use crate::client::{
        Event, Refusal,
        watch::board::tests::{board, tick},
    };

    fn drawn(board: &Board, view: &mut View, (width, height): (u16, u16)) -> Buffer {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let now =
            Now { elapsed: Duration::from_millis(2500), time: Time::from_nanos(1_764_000_000_250_000_000) };
        terminal.draw(|frame| draw(frame, board, view, now)).unwrap();
        terminal.backend().buffer().clone()
    }

    fn lines(buffer: &Buffer) -> Vec<String> {
        let width = usize::from(buffer.area.width);
        let cells: Vec<_> = buffer.content().iter().map(|cell| cell.symbol()).collect();
        cells.chunks(width).map(|line| line.concat().trim_end().to_owned()).collect()
    }

    #[test]
    fn a_row_shows_price_change_rate_and_age() {
        let mut board = board(&["RELIANCE", "BTC-USD"]);
        board.take(
            Event::Answer {
                tape_id: "0123456789abcdef".to_owned(),
                subscribed: vec!["RELIANCE".to_owned(), "BTC-USD".to_owned(), "TCS".to_owned()],
                refused: vec![Refusal { symbol: "TSC".to_owned(), message: "did you mean TCS?".to_owned() }],
            },
            Duration::ZERO,
        );
        board.take(tick("RELIANCE", 2_930_550_000_000), Duration::ZERO);
        board.take(tick("RELIANCE", 2_931_600_000_000), Duration::from_millis(1200));
        board.take(tick("BTC-USD", 92_500_000_000_000), Duration::from_millis(1200));
        board.take(tick("BTC-USD", 92_400_500_000_000), Duration::from_millis(1200));
        let buffer = drawn(&board, &mut View::default(), (80, 7));
        assert_eq!(
            lines(&buffer),
            [
                "SYMBOL              LTP       CHANGE  CHANGE %  TICKS/S     AGE",
                "RELIANCE        2931.60        +1.05    +0.036      1.0   250ms",
                "BTC-USD        92400.50       -99.50    -0.108      1.0   250ms",
                "TCS                   -",
                "",
                "http://localhost:50051  tape 0123456789ab  3 symbols  4 ticks  2/s",
                "q quits  TSC: did you mean TCS?",
            ]
        );
        let color_of_change = |row| buffer[(35, row)].fg;
        assert_eq!((color_of_change(1), color_of_change(2)), (Color::Green, Color::Red));
    }

    #[test]
    fn the_footer_tells_of_the_connection() {
        let mut board = board(&["TCS"]);
        let mut footer = |event, elapsed| {
            board.take(event, Duration::from_millis(elapsed));
            lines(&drawn(&board, &mut View::default(), (100, 4))).split_off(2)
        };
        footer(tick("TCS", 1_000_000_000), 1100);
        let cause = "http://localhost:50051 ended the stream: broken pipe (UNAVAILABLE)".to_owned();
        assert_eq!(
            footer(Event::Disconnected { cause, attempt: 1 }, 1200),
            [
                "reconnecting … (attempt 1, 1.4s without ticks)  tape   1 symbols  1 ticks  0/s",
                "q quits  http://localhost:50051 ended the stream: broken pipe (UNAVAILABLE); reconnecting (attempt 1)",
            ]
            .map(|line| line.chars().take(100).collect::<String>())
        );
        let replica = "http://localhost:50052".parse().unwrap();
        let without = Duration::from_millis(30);
        assert_eq!(
            footer(Event::Reconnected { replica, without }, 1230),
            [
                "http://localhost:50052  tape   1 symbols  1 ticks  0/s  1 reconnect",
                "q quits  connected to http://localhost:50052 after 30 ms without a connection",
            ]
        );
    }

    #[test]
    fn more_rows_than_lines_are_reached_by_scrolling() {
        let mut board = board(&[]);
        for n in 10..60 {
            board.take(tick(&format!("S{n}"), 1_000_000_000), Duration::ZERO);
        }
        let mut view = View::default();
        let mut seen = |scroll: Option<Scroll>| {
            scroll.into_iter().for_each(|scroll| view.scroll(scroll));
            let lines = lines(&drawn(&board, &mut view, (80, 13)));
            format!("{} {} {}", &lines[1][..3], &lines[10][..3], lines[12])
        };
        assert_eq!(seen(None), "S10 S19 q quits  rows 1-10 of 50, arrows scroll");
        assert_eq!(seen(Some(Scroll::Down)), "S11 S20 q quits  rows 2-11 of 50, arrows scroll");
        assert_eq!(seen(Some(Scroll::PageDown)), "S21 S30 q quits  rows 12-21 of 50, arrows scroll");
        assert_eq!(seen(Some(Scroll::Bottom)), "S50 S59 q quits  rows 41-50 of 50, arrows scroll");
        assert_eq!(seen(Some(Scroll::Down)), "S50 S59 q quits  rows 41-50 of 50, arrows scroll");
        assert_eq!(seen(Some(Scroll::PageUp)), "S40 S49 q quits  rows 31-40 of 50, arrows scroll");
        assert_eq!(seen(Some(Scroll::Top)), "S10 S19 q quits  rows 1-10 of 50, arrows scroll");
    }

    #[test]
    fn no_terminal_is_too_small() {
        let mut board = board(&[]);
        board.take(tick("RELIANCE", 2_930_550_000_000), Duration::ZERO);
        for size in [(1, 1), (2, 2), (10, 3), (300, 1)] {
            drawn(&board, &mut View::default(), size);
        }
    }

    #[test]
    fn prices_keep_their_zeros_and_ages_are_short() {
        assert_eq!(decimal(2_930_500_000_000, 2), "2930.50");
        assert_eq!(decimal(-5_000, 5), "-0.00000");
        assert_eq!(decimal(-50_000, 5), "-0.00005");
        assert_eq!(decimal(i64::MIN, 9), "-9223372036.854775808");
        let ages: Vec<_> = [999, 1500, 59_000, 119_000, 3_600_000, 86_400_000]
            .map(|ms| rough(Duration::from_millis(ms)))
            .into();
        assert_eq!(ages, ["999ms", "1.5s", "59s", "119s", "60m", "24h"]);
    }
}
