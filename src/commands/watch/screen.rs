//! Takes over the terminal, and gives it back whatever happens.

use std::{
    io::{self, stdout},
    thread,
    time::Duration,
};

use ratatui::{
    DefaultTerminal, Terminal,
    backend::CrosstermBackend,
    crossterm::{
        event::{self, Event, KeyCode, KeyEvent, KeyModifiers},
        execute,
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

/// What the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Stay,
    Leave,
    Suspend,
    Scroll(Scroll),
}

/// The signals that ask a program to end. By default they would end it before the terminal is given back.
pub(super) struct Stop {
    terminate: Signal,
    hang_up: Signal,
    interrupt: Signal,
}

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        let terminal = ratatui::try_init().inspect_err(|_| ratatui::restore())?;
        Ok(Self { terminal, view: View::default() })
    }

    /// Does what the keys ask for and draws. Tells whether the user wants to leave or to suspend the program.
    pub(super) fn show(&mut self, board: &Board, now: Now) -> io::Result<Wish> {
        while event::poll(Duration::ZERO)? {
            // A new size is seen when drawing.
            let Event::Key(key) = event::read()? else { continue };
            let wish = wish(key);
            match wish {
                Wish::Leave | Wish::Suspend => return Ok(wish),
                Wish::Scroll(scroll) => self.view.scroll(scroll),
                Wish::Stay => {}
            }
        }
        self.terminal.draw(|frame| table::draw(frame, board, &mut self.view, now))?;
        Ok(Wish::Stay)
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

impl Stop {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for one of them. Cancel safe.
    pub(super) async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The signal that this process goes on after it was stopped.
pub(super) fn continued() -> io::Result<Signal> {
    signal(SignalKind::from_raw(Number::CONT.as_raw()))
}

fn wish(key: KeyEvent) -> Wish {
    if !key.is_press() && !key.is_repeat() {
        return Wish::Stay;
    }
    match key.code {
        // A raw terminal sends Ctrl-C and Ctrl-Z as keys.
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Wish::Leave,
        KeyCode::Char('z') if key.modifiers.contains(KeyModifiers::CONTROL) => Wish::Suspend,
        KeyCode::Char('q') | KeyCode::Esc => Wish::Leave,
        KeyCode::Up | KeyCode::Char('k') => Wish::Scroll(Scroll::Up),
        KeyCode::Down | KeyCode::Char('j') => Wish::Scroll(Scroll::Down),
        KeyCode::PageUp => Wish::Scroll(Scroll::PageUp),
        KeyCode::PageDown | KeyCode::Char(' ') => Wish::Scroll(Scroll::PageDown),
        KeyCode::Home => Wish::Scroll(Scroll::Top),
        KeyCode::End => Wish::Scroll(Scroll::Bottom),
        _ => Wish::Stay,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_escape_and_ctrl_c_leave_and_ctrl_z_suspends() {
        let plain = |code| wish(KeyEvent::new(code, KeyModifiers::NONE));
        assert_eq!(plain(KeyCode::Char('q')), Wish::Leave);
        assert_eq!(plain(KeyCode::Esc), Wish::Leave);
        assert_eq!(wish(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Wish::Leave);
        assert_eq!(wish(KeyEvent::new(KeyCode::Char('z'), KeyModifiers::CONTROL)), Wish::Suspend);
        assert_eq!((plain(KeyCode::Char('c')), plain(KeyCode::Char('z'))), (Wish::Stay, Wish::Stay));
        assert_eq!(plain(KeyCode::Down), Wish::Scroll(Scroll::Down));
    }
}
