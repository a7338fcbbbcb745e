//! Draws the board: a row for each symbol, and below them a footer with totals, keys and warnings.

use std::time::Duration;

use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect, Size},
    style::{Color, Style, Stylize},
    text::{Line, Span, Text},
    widgets::{Cell, Row, Table, Widget},
};

use super::board::{self, Board};
use crate::{
    commands::phrases::{ELLIPSIS, counted, rough_duration, shortened},
    tick::{Symbol, Time},
    timestamp::show_with_decimals,
};

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

/// What the rows show, the most important first: a narrow terminal shows fewer columns.
const COLUMNS: [Column; 6] = [
    Column { heading: "SYMBOL", least: 0, usual: 0 },
    Column { heading: "LTP", least: 0, usual: 14 },
    Column { heading: "CHANGE", least: 8, usual: 12 },
    Column { heading: "CHANGE %", least: 8, usual: 9 },
    Column { heading: "TICKS/S", least: 7, usual: 8 },
    Column { heading: "AGE", least: 5, usual: 7 },
];

/// A column. It is as wide as its widest text, and at least as wide as its heading.
struct Column {
    heading: &'static str,
    /// Smallest width, even when the texts are shorter, so that columns do not appear and disappear.
    least: usize,
    /// Preferred width, when there is room.
    usual: usize,
}

/// The texts of a row, and the color of each.
type Texts = [(String, Style); COLUMNS.len()];

/// Between two columns.
const GAP: usize = 1;

impl View {
    /// Divides an area into the rows with their headings and a footer of `footer` lines, at most half of the area.
    fn lay_out(&mut self, area: Rect, footer: usize, rows: usize) -> [Rect; 2] {
        let footer = u16::try_from(footer).unwrap_or(u16::MAX).min(area.height.div_ceil(2));
        let areas = Layout::vertical([Constraint::Fill(1), Constraint::Length(footer)]).areas(area);
        // The headings take a line.
        self.rows = usize::from(areas[0].height.saturating_sub(1));
        self.top = self.top.min(rows.saturating_sub(self.rows));
        areas
    }

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

/// Draws the rows that are in sight, and a footer below them.
pub(super) fn draw(buffer: &mut Buffer, board: &Board, view: &mut View, now: Now) {
    let news = [board.reason_to_wait.as_deref(), board.warnings().next()].into_iter().flatten();
    let news: Vec<_> = news.map(|text| Line::from(text.to_owned()).yellow()).collect();
    let [table, footer] = view.lay_out(buffer.area, 2 + news.len(), board.len());
    draw_rows(buffer, table, board, view, now);
    let totals = Line::from(totals(board, now, footer.width)).reversed();
    let help = Line::from(help(board, view, footer.width).dim());
    Text::from_iter([totals, help].into_iter().chain(news)).render(footer, buffer);
}

/// The state of the table when it ends: no higher than its rows need, with a line of the terminal left for the prompt.
/// Nothing when there are no rows.
pub(super) fn last(board: &Board, view: &mut View, now: Now, terminal: Size) -> Buffer {
    let height = match board.len() {
        0 => 0,
        rows => rows.saturating_add(3).min(terminal.height.saturating_sub(1).into()),
    };
    let height = u16::try_from(height).unwrap_or(u16::MAX);
    let mut buffer = Buffer::empty(Rect::new(0, 0, terminal.width, height));
    let [table, footer] = view.lay_out(buffer.area, 2, board.len());
    draw_rows(&mut buffer, table, board, view, now);
    Text::from_iter([totals(board, now, footer.width), began(board)]).render(footer, &mut buffer);
    buffer
}

fn draw_rows(buffer: &mut Buffer, area: Rect, board: &Board, view: &View, now: Now) {
    let rows = board.rows().skip(view.top).take(view.rows);
    let rows: Vec<_> = rows.map(|(symbol, row)| texts(symbol, row, now)).collect();
    let widths = widths(&rows, area.width.into());
    let cells = |texts: &Texts| {
        let cells = texts.iter().zip(widths).enumerate();
        Row::new(cells.filter(|(_, (_, width))| *width > 0).map(|(column, ((text, style), width))| {
            match column {
                0 => Cell::from(shortened(text, width)),
                // Part of a price would look like another price.
                _ if text.chars().count() > width => right(ELLIPSIS, Style::new()),
                _ => right(text.clone(), *style),
            }
        }))
    };
    let header = cells(&COLUMNS.map(|column| (column.heading.to_owned(), Style::new()))).bold();
    let shown = widths.into_iter().filter(|width| *width > 0);
    let shown = shown.map(|width| Constraint::Length(u16::try_from(width).unwrap_or(u16::MAX)));
    Widget::render(Table::new(rows.iter().map(cells), shown).header(header), area, buffer);
}

fn texts(symbol: &Symbol, row: &board::Row, now: Now) -> Texts {
    let plain = |text: String| (text, Style::new());
    let Some(prices) = &row.prices else {
        let [change, percent, rate, age] = [const { String::new() }; 4].map(plain);
        return [plain(symbol.to_string()), plain("-".to_owned()), change, percent, rate, age];
    };
    let change = prices.last.nanos() - prices.first.nanos();
    let percent = change as f64 / prices.first.nanos() as f64 * 100.0;
    let moved = prices.last.nanos() - prices.before.nanos();
    let age = Duration::from_nanos(now.time.nanos().saturating_sub(prices.time.nanos()));
    let rate = row.rate.per_second(now.elapsed);
    let sign = if change > 0 { "+" } else { "" };
    [
        plain(symbol.to_string()),
        (decimal(prices.last.nanos(), row.decimals), color(moved)),
        (format!("{sign}{}", decimal(change, row.decimals)), color(change)),
        (format!("{sign}{percent:.3}"), color(change)),
        plain(rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"))),
        plain(rough_duration(age)),
    ]
}

/// The width of each column in an area of this width, 0 for a column that is left out. A shown column other than the
/// symbol has room for all of its texts, except a price in an area that is narrower than the price.
fn widths(rows: &[Texts], area: usize) -> [usize; COLUMNS.len()] {
    let mut needed = COLUMNS.map(|column| column.least.max(column.heading.len()));
    for texts in rows {
        for (needed, (text, _)) in needed.iter_mut().zip(texts) {
            *needed = text.chars().count().max(*needed);
        }
    }
    let mut widths = [0; COLUMNS.len()];
    // The price comes first; the symbol gets the width that is left.
    widths[1] = needed[1].min(area);
    widths[0] = needed[0].min(area.saturating_sub(widths[1] + GAP));
    let mut left = area.saturating_sub(widths[0] + widths[1] + GAP);
    for column in 2..COLUMNS.len() {
        // When a column does not fit, the ones after it are left out too, even narrow ones.
        if widths[0] < needed[0] || left < needed[column] + GAP {
            break;
        }
        widths[column] = needed[column];
        left -= needed[column] + GAP;
    }
    for (width, column) in widths.iter_mut().zip(COLUMNS).filter(|(width, _)| **width > 0) {
        let wider = column.usual.saturating_sub(*width).min(left);
        *width += wider;
        left -= wider;
    }
    widths
}

/// The connection and the totals.
fn totals(board: &Board, now: Now, width: u16) -> String {
    let rate = board.rate.per_second(now.elapsed).unwrap_or_default();
    let connection = match board.attempt {
        None => board.endpoint.to_string(),
        Some(attempt) => {
            let without = rough_duration(now.elapsed.saturating_sub(board.last_tick));
            format!("reconnecting … (attempt {attempt}, {without} without ticks)")
        }
    };
    let mut totals = vec![
        connection,
        format!("tape {:.12}", board.tape_id),
        counted(board.len() as u64, "symbol"),
        counted(board.ticks, "tick"),
        format!("{rate:.0}/s"),
    ];
    if board.conflated > 0 {
        totals.push(format!("{} conflated", board.conflated));
    }
    if board.reconnects > 0 {
        totals.push(counted(board.reconnects, "reconnect"));
    }
    fitting(&totals, width)
}

/// The keys, the rows in sight, and what the changes are counted from.
fn help(board: &Board, view: &View, width: u16) -> String {
    let mut help = vec!["q quits".to_owned()];
    if board.attempt.is_some() {
        help.push("r retries now".to_owned());
    }
    if board.len() > view.rows {
        let last = (view.top + view.rows).min(board.len());
        help.push(format!("rows {}-{last} of {}, arrows scroll", view.top + 1, board.len()));
    }
    help.push(began(board));
    fitting(&help, width)
}

fn began(board: &Board) -> String {
    format!("CHANGE since {}", show_with_decimals(board.began, 0))
}

/// The texts that fit into a line of this width. The first one is always there, shortened if it does not fit.
fn fitting(texts: &[String], width: u16) -> String {
    let width = usize::from(width);
    let (first, others) =
        texts.split_first().map_or(("", &[][..]), |(first, others)| (first.as_str(), others));
    let mut line = shortened(first, width);
    for text in others {
        if line.chars().count() + 2 + text.chars().count() > width {
            break;
        }
        line.push_str("  ");
        line.push_str(text);
    }
    line
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

/// Formats a number of 1e-9 units with 0 to 9 decimals; further decimals are cut.
fn decimal(nanos: i64, decimals: usize) -> String {
    const NANOS: u64 = 1_000_000_000;
    let sign = if nanos < 0 { "-" } else { "" };
    let (whole, fraction) = (nanos.unsigned_abs() / NANOS, nanos.unsigned_abs() % NANOS);
    let fraction = format!("{fraction:09}");
    format!("{sign}{whole}.{}", &fraction[..decimals.min(9)])
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};

    use super::*;
    use crate::{
        client::{Event, RefusedSymbol},
        commands::watch::board::tests::{board, tick},
    };

    fn drawn(board: &Board, view: &mut View, (width, height): (u16, u16)) -> Buffer {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let now =
            Now { elapsed: Duration::from_millis(2500), time: Time::from_nanos(1_764_000_000_250_000_000) };
        terminal.draw(|frame| draw(frame.buffer_mut(), board, view, now)).unwrap();
        terminal.backend().buffer().clone()
    }

    fn lines(buffer: &Buffer) -> Vec<String> {
        let width = usize::from(buffer.area.width);
        let cells: Vec<_> = buffer.content().iter().map(|cell| cell.symbol()).collect();
        cells.chunks(width.max(1)).map(|line| line.concat().trim_end().to_owned()).collect()
    }

    #[test]
    fn a_row_shows_price_change_rate_and_age() {
        let mut board = board(&["RELIANCE", "BTC-USD"]);
        board.take(
            Event::Answer {
                tape_id: "0123456789abcdef".to_owned(),
                subscribed: vec!["RELIANCE".to_owned(), "BTC-USD".to_owned(), "TCS".to_owned()],
                refused: vec![RefusedSymbol {
                    symbol: "TSC".to_owned(),
                    message: "did you mean TCS?".to_owned(),
                }],
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
                "http://localhost:50051  tape 0123456789ab  3 symbols  4 ticks  2/s",
                "q quits  CHANGE since 2025-11-24T16:00:00Z",
                "TSC: did you mean TCS?",
            ]
        );
        let color_of_change = |row| buffer[(35, row)].fg;
        assert_eq!((color_of_change(1), color_of_change(2)), (Color::Green, Color::Red));
    }

    #[test]
    fn the_footer_shows_the_connection_and_the_retry_key_while_it_is_lost() {
        let mut board = board(&["TCS"]);
        let mut footer = |event, elapsed| {
            board.take(event, Duration::from_millis(elapsed));
            lines(&drawn(&board, &mut View::default(), (80, 6))).split_off(3)
        };
        footer(tick("TCS", 1_000_000_000), 1100);
        let cause = "http://localhost:50051 ended the stream: broken pipe (UNAVAILABLE)".to_owned();
        assert_eq!(
            footer(Event::Disconnected { cause, attempt: 1 }, 1200),
            [
                "reconnecting … (attempt 1, 1.4s without ticks)  tape   1 symbol  1 tick  0/s",
                "q quits  r retries now  CHANGE since 2025-11-24T16:00:00Z",
                "http://localhost:50051 ended the stream: broken pipe (UNAVAILABLE); reconnecting",
            ]
        );
        let replica = "http://localhost:50052".parse().unwrap();
        let without = Duration::from_millis(30);
        assert_eq!(
            footer(Event::Reconnected { replica, without }, 1230),
            [
                "http://localhost:50052  tape   1 symbol  1 tick  0/s  1 reconnect",
                "q quits  CHANGE since 2025-11-24T16:00:00Z",
                "connected to http://localhost:50052 after 30 ms without a connection",
            ]
        );
    }

    #[test]
    fn the_footer_says_what_is_waited_for_above_the_newest_warning() {
        let mut board = board(&["TCS"]);
        board.warn("the server is about to stop".to_owned());
        board.reason_to_wait = Some("no tick for 10s: the last one is of 2025-11-24T16:00:00Z".to_owned());
        let lines = lines(&drawn(&board, &mut View::default(), (80, 10)));
        assert_eq!(lines[8..], [board.reason_to_wait.as_deref().unwrap(), "the server is about to stop"]);
    }

    #[test]
    fn the_last_state_has_the_rows_in_sight_and_leaves_a_line_for_the_prompt() {
        let mut board = board(&["A"]);
        let last = |board: &Board, view: &mut View, height| {
            let now = Now { elapsed: Duration::from_secs(2), time: Time::from_nanos(0) };
            lines(&last(board, view, now, Size::new(80, height)))
        };
        assert_eq!(last(&board, &mut View::default(), 24), [""; 0], "no rows, so nothing");

        board.take(tick("A", 1_000_000_000), Duration::ZERO);
        board.warn("warnings are printed elsewhere".to_owned());
        assert_eq!(
            last(&board, &mut View::default(), 24),
            [
                "SYMBOL            LTP       CHANGE  CHANGE %  TICKS/S     AGE",
                "A                1.00         0.00     0.000      0.5     0ms",
                "http://localhost:50051  tape   1 symbol  1 tick  0/s",
                "CHANGE since 2025-11-24T16:00:00Z",
            ]
        );

        for n in 10..60 {
            board.take(tick(&format!("S{n}"), 1_000_000_000), Duration::ZERO);
        }
        let mut view = View::default();
        view.scroll(Scroll::Bottom);
        let scrolled = last(&board, &mut view, 24);
        assert_eq!(scrolled.len(), 23);
        assert!(scrolled[1].starts_with("S40 ") && scrolled[20].starts_with("S59 "), "{scrolled:?}");
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
        assert_eq!(
            seen(None),
            "S10 S19 q quits  rows 1-10 of 50, arrows scroll  CHANGE since 2025-11-24T16:00:00Z"
        );
        assert_eq!(
            seen(Some(Scroll::Down)),
            "S11 S20 q quits  rows 2-11 of 50, arrows scroll  CHANGE since 2025-11-24T16:00:00Z"
        );
        assert_eq!(
            seen(Some(Scroll::PageDown)),
            "S21 S30 q quits  rows 12-21 of 50, arrows scroll  CHANGE since 2025-11-24T16:00:00Z"
        );
        assert_eq!(
            seen(Some(Scroll::Bottom)),
            "S50 S59 q quits  rows 41-50 of 50, arrows scroll  CHANGE since 2025-11-24T16:00:00Z"
        );
        assert_eq!(
            seen(Some(Scroll::Down)),
            "S50 S59 q quits  rows 41-50 of 50, arrows scroll  CHANGE since 2025-11-24T16:00:00Z"
        );
        assert_eq!(
            seen(Some(Scroll::PageUp)),
            "S40 S49 q quits  rows 31-40 of 50, arrows scroll  CHANGE since 2025-11-24T16:00:00Z"
        );
        assert_eq!(
            seen(Some(Scroll::Top)),
            "S10 S19 q quits  rows 1-10 of 50, arrows scroll  CHANGE since 2025-11-24T16:00:00Z"
        );
    }

    #[test]
    fn no_width_cuts_a_number() {
        let mut board = board(&["BTC-USD", "RELIANCE", "X"]);
        for (symbol, before, last) in [
            ("BTC-USD", 71_389_870_000_000, 71_489_870_000_000),
            ("RELIANCE", 2_931_600_000_000, 2_930_550_000_000),
            ("A-SYMBOL-OF-32-LETTERS-OR-DIGITS", 100_000_000_000, 100_000_000_000),
            ("X", i64::MAX - 1, i64::MAX),
        ] {
            board.take(tick(symbol, before), Duration::ZERO);
            board.take(tick(symbol, last), Duration::from_millis(1200));
        }
        let rows = |width| -> Vec<Vec<String>> {
            let lines = lines(&drawn(&board, &mut View::default(), (width, 7)));
            let words = |line: &String| line.split_whitespace().map(str::to_owned).collect();
            lines.iter().take(5).map(words).collect()
        };
        let is_number = |word: &&String| word.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
        let whole = rows(200);
        assert!(whole.iter().skip(1).all(|row| row.len() == 6), "{whole:?}");
        let mut most = 0;
        for width in 0..200 {
            for (shown, whole) in rows(width).iter().zip(&whole).skip(1) {
                assert!(
                    shown.iter().filter(is_number).all(|number| whole.contains(number)),
                    "{width}: {shown:?}"
                );
                let price = &whole[1];
                let has_room = price.len() <= usize::from(width);
                assert_eq!(shown.contains(price), has_room, "{width}: {shown:?}");
            }
            let numbers = rows(width).iter().flatten().filter(is_number).count();
            assert!(numbers >= most, "{width}: a wider terminal shows as much or more");
            most = numbers;
        }
    }

    #[test]
    fn a_narrow_terminal_shows_the_price_and_leaves_out_what_matters_less() {
        let mut board = board(&[]);
        board.take(tick("BTC-USD", 71_389_870_000_000), Duration::ZERO);
        board.take(tick("BTC-USD", 71_489_870_000_000), Duration::from_millis(1200));
        for (width, shown) in [
            (
                62,
                [
                    "SYMBOL             LTP       CHANGE  CHANGE %  TICKS/S     AGE",
                    "BTC-USD       71489.87      +100.00    +0.140      1.0   250ms",
                    "http://localhost:50051  tape   1 symbol  2 ticks  1/s",
                ],
            ),
            (
                48,
                [
                    "SYMBOL       LTP   CHANGE CHANGE % TICKS/S   AGE",
                    "BTC-USD 71489.87  +100.00   +0.140     1.0 250ms",
                    "http://localhost:50051  tape   1 symbol  2 ticks",
                ],
            ),
            (
                42,
                [
                    "SYMBOL       LTP   CHANGE CHANGE % TICKS/S",
                    "BTC-USD 71489.87  +100.00   +0.140     1.0",
                    "http://localhost:50051  tape   1 symbol",
                ],
            ),
            (
                34,
                [
                    "SYMBOL       LTP   CHANGE CHANGE %",
                    "BTC-USD 71489.87  +100.00   +0.140",
                    "http://localhost:50051  tape",
                ],
            ),
            (25, ["SYMBOL       LTP   CHANGE", "BTC-USD 71489.87  +100.00", "http://localhost:50051"]),
            (16, ["SYMBOL       LTP", "BTC-USD 71489.87", "http://localhos…"]),
            (12, ["SY…      LTP", "BT… 71489.87", "http://loca…"]),
            (8, ["     LTP", "71489.87", "http://…"]),
            (7, ["    LTP", "      …", "http:/…"]),
        ] {
            assert_eq!(lines(&drawn(&board, &mut View::default(), (width, 4)))[..3], shown, "{width}");
        }
    }

    #[test]
    fn no_terminal_is_too_small() {
        let mut board = board(&[]);
        board.take(tick("RELIANCE", 2_930_550_000_000), Duration::ZERO);
        for size in [(0, 0), (0, 9), (1, 1), (2, 2), (10, 3), (300, 1)] {
            drawn(&board, &mut View::default(), size);
        }
    }

    #[test]
    fn prices_keep_their_zeros() {
        assert_eq!(decimal(2_930_500_000_000, 2), "2930.50");
        assert_eq!(decimal(-5_000, 5), "-0.00000");
        assert_eq!(decimal(-50_000, 5), "-0.00005");
        assert_eq!(decimal(i64::MIN, 9), "-9223372036.854775808");
    }
}
