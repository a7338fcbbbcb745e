//! When the token of a stream expires: its client is told before, and the stream ends after.

use std::{pin::Pin, task::Context, time::Duration};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::access::{LEEWAY, Token};

/// The expiry of the token of a stream. The time is that of a clock that never jumps, so that a new time on the wall neither
/// ends all streams nor keeps one open.
#[derive(Default)]
pub(super) struct Expiry(Option<Pending>);

struct Pending {
    /// Set to the warning, then to the end.
    alarm: Pin<Box<Sleep>>,
    /// The alarm wakes the task of the stream.
    is_set: bool,
    is_warned: bool,
    /// The client is to be told, and was not yet.
    owes_warning: bool,
    is_over: bool,
    end: Instant,
}

impl Expiry {
    /// How long before the expiry of a token its client is told; half of the time that is left if that is less.
    const WARNING: Duration = Duration::from_secs(60);

    /// Without a token nothing is ever due.
    pub(super) fn of(token: Option<&Token>) -> Self {
        Self(token.map(|token| {
            let now = Instant::now();
            let left = token.expires_at.saturating_duration_since(now);
            let warning = now + left - Self::WARNING.min(left / 2);
            Pending {
                alarm: Box::pin(sleep_until(warning)),
                is_set: false,
                is_warned: false,
                owes_warning: false,
                is_over: false,
                end: token.expires_at + LEEWAY,
            }
        }))
    }

    /// Takes a fresh token. If the client was warned, and the fresh token expires no later than the last one, the client is not
    /// warned again: it may have no better token, and would send it again and again.
    pub(super) fn replace(&mut self, token: Option<&Token>, expires_later: bool) {
        let before =
            std::mem::replace(self, Self::of(token)).0.filter(|before| before.is_warned && !expires_later);
        if let (Some(before), Some(pending)) = (before, &mut self.0) {
            (pending.is_warned, pending.owes_warning) = (true, before.owes_warning);
            pending.alarm.as_mut().reset(pending.end);
        }
    }

    /// Whether the stream is to end. Called for every frame, so it only looks at the timer; the task is woken when the client is
    /// to be warned, and when the stream is to end.
    pub(super) fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(pending) = &mut self.0 else { return false };
        pending.advance(cx);
        pending.is_over
    }

    /// Whether the client is to be warned now. True once.
    pub(super) fn take_warning(&mut self) -> bool {
        self.0.as_mut().is_some_and(|pending| std::mem::take(&mut pending.owes_warning))
    }
}

impl Pending {
    fn advance(&mut self, cx: &mut Context<'_>) {
        if self.is_over || self.is_set && !self.alarm.is_elapsed() {
            return;
        }
        while self.alarm.as_mut().poll(cx).is_ready() {
            if std::mem::replace(&mut self.is_warned, true) {
                self.is_over = true;
                return;
            }
            self.owes_warning = true;
            self.alarm.as_mut().reset(self.end);
        }
        self.is_set = true;
    }
}
