//! Takes over the terminal, and gives it back whatever happens.

use std::{
    io::{self, Write, stdout},
    thread,
    time::Duration,
};

use ratatui::{
    DefaultTerminal, Terminal,
    backend::{CrosstermBackend, IntoCrossterm},
    buffer::{Buffer, Cell},
    crossterm::{
        event::{self, Event, KeyCode, KeyEvent, KeyModifiers},
        execute, queue,
        style::PrintStyledContent,
        terminal::{Clear, ClearType, EnterAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};
use rustix::process::{Signal as Number, kill_current_process_group};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    board::Board,
    table::{self, Now, Scroll, View},
};

/// The terminal while it belongs to the table. It is given back on drop, and before the message of a panic.
pub(super) struct Screen {
    terminal: DefaultTerminal,
    view: View,
}

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    None,
    Quit,
    Suspend,
    /// Ends the wait for the next attempt to connect.
    Retry,
    Scroll(Scroll),
}

/// The signals that ask a program to end. By default they would end it before the terminal is given back.
pub(super) struct StopSignals {
    terminate: Signal,
    hang_up: Signal,
    interrupt: Signal,
}

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        let terminal = ratatui::try_init().inspect_err(|_| ratatui::restore())?;
        Ok(Self { terminal, view: View::default() })
    }

    /// Scrolls as the keys say and draws. Returns an action that is left to the caller, if there is one.
    pub(super) fn draw(&mut self, board: &Board, now: Now) -> io::Result<Action> {
        while event::poll(Duration::ZERO)? {
            // A new size is seen when drawing.
            let Event::Key(key) = event::read()? else { continue };
            match action(key) {
                Action::Scroll(scroll) => self.view.scroll(scroll),
                Action::None => {}
                other => return Ok(other),
            }
        }
        self.terminal.draw(|frame| table::draw(frame.buffer_mut(), board, &mut self.view, now))?;
        Ok(Action::None)
    }

    /// Gives the terminal back and leaves the last state of the table on it.
    pub(super) fn close(mut self, board: &Board, now: Now) -> io::Result<()> {
        let size = self.terminal.size()?;
        let table = table::last(board, &mut self.view, now, size);
        drop(self);
        print(&table, &mut stdout().lock())
    }

    /// Gives the terminal back and stops this process, as Ctrl-Z does with a program that does not read keys. Returns
    /// with the terminal taken over again: when the process is continued, or at once where there is no shell that could
    /// continue it.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        self.terminal.show_cursor()?;
        ratatui::try_restore()?;
        // Stops the whole process group, as the terminal does, so that a program that has started this one stops too.
        let stopped = kill_current_process_group(Number::TSTP);
        self.reopen()?;
        Ok(stopped?)
    }

    /// Sets the terminal up again, whatever state it is in, and forgets what was drawn.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        // Crossterm still assumes the old state of the terminal, so it is reset first.
        disable_raw_mode()?;
        enable_raw_mode()?;
        execute!(stdout(), EnterAlternateScreen, Clear(ClearType::All))?;
        self.terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A panic has given it back already. To do it twice would write over the message.
        if !thread::panicking() {
            ratatui::restore();
        }
    }
}

impl StopSignals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for one of them. Cancel safe.
    pub(super) async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Prints the lines of a buffer at the cursor.
fn print(buffer: &Buffer, to: &mut impl Write) -> io::Result<()> {
    for line in buffer.content().chunks(usize::from(buffer.area.width).max(1)) {
        // Without the blanks at its end, a line stays whole when the terminal is made narrower.
        let end = line.iter().rposition(|cell| *cell != Cell::EMPTY).map_or(0, |last| last + 1);
        for cells in line[..end].chunk_by(|one, next| one.style() == next.style()) {
            let text: String = cells.iter().map(Cell::symbol).collect();
            let style = cells.first().map(Cell::style).unwrap_or_default();
            queue!(to, PrintStyledContent(style.into_crossterm().apply(text)))?;
        }
        writeln!(to)?;
    }
    to.flush()
}

/// The signal that this process goes on after it was stopped.
pub(super) fn continued() -> io::Result<Signal> {
    signal(SignalKind::from_raw(Number::CONT.as_raw()))
}

fn action(key: KeyEvent) -> Action {
    if !key.is_press() && !key.is_repeat() {
        return Action::None;
    }
    match key.code {
        // A raw terminal sends Ctrl-C and Ctrl-Z as keys.
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Action::Quit,
        KeyCode::Char('z') if key.modifiers.contains(KeyModifiers::CONTROL) => Action::Suspend,
        KeyCode::Char('q') | KeyCode::Esc => Action::Quit,
        KeyCode::Char('r') => Action::Retry,
        KeyCode::Up | KeyCode::Char('k') => Action::Scroll(Scroll::Up),
        KeyCode::Down | KeyCode::Char('j') => Action::Scroll(Scroll::Down),
        KeyCode::PageUp => Action::Scroll(Scroll::PageUp),
        KeyCode::PageDown | KeyCode::Char(' ') => Action::Scroll(Scroll::PageDown),
        KeyCode::Home => Action::Scroll(Scroll::Top),
        KeyCode::End => Action::Scroll(Scroll::Bottom),
        _ => Action::None,
    }
}

#[cfg(test)]
mod tests {
    use ratatui::{layout::Rect, style::Style};

    use super::*;

    #[test]
    fn a_buffer_is_printed_without_the_blanks_at_the_ends_of_its_lines() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 8, 3));
        buffer.set_string(0, 0, "A  1.00", Style::new());
        buffer.set_string(0, 2, "10 rows", Style::new().reversed());
        let mut printed = Vec::new();
        print(&buffer, &mut printed).unwrap();
        let printed = String::from_utf8(printed).unwrap();
        let lines: Vec<_> = printed.lines().collect();
        assert_eq!((lines.len(), lines[1]), (3, ""), "{printed:?}");
        assert!(lines[0].contains("A  1.00") && !lines[0].contains("1.00 "), "{printed:?}");
        assert!(lines[2].contains("\u{1b}[7m10 rows"), "{printed:?}");
    }

    #[test]
    fn q_escape_and_ctrl_c_quit_and_ctrl_z_suspends_and_r_retries() {
        let plain = |code| action(KeyEvent::new(code, KeyModifiers::NONE));
        assert_eq!(plain(KeyCode::Char('q')), Action::Quit);
        assert_eq!(plain(KeyCode::Esc), Action::Quit);
        assert_eq!(action(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Action::Quit);
        assert_eq!(action(KeyEvent::new(KeyCode::Char('z'), KeyModifiers::CONTROL)), Action::Suspend);
        assert_eq!((plain(KeyCode::Char('c')), plain(KeyCode::Char('z'))), (Action::None, Action::None));
        assert_eq!(plain(KeyCode::Char('r')), Action::Retry);
        assert_eq!(plain(KeyCode::Down), Action::Scroll(Scroll::Down));
    }
}
