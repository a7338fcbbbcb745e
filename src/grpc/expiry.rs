//! When the token of a stream expires: its client is told before, and the stream ends after.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::access::{LEEWAY, Token};

/// The expiry of the token of a stream. The time is that of a clock that never jumps, so that a new time on the wall neither
/// ends all streams nor keeps one open.
#[derive(Default)]
pub(super) struct Expiry(Option<Pending>);

struct Pending {
    alarm: Pin<Box<Sleep>>,
    /// The alarm wakes the task of the stream.
    is_set: bool,
    is_warned: bool,
    end: Instant,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The client is to be told, once.
    Warning,
    /// The stream is to end.
    End,
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
            let alarm = Box::pin(sleep_until(warning));
            Pending { alarm, is_set: false, is_warned: false, end: token.expires_at + LEEWAY }
        }))
    }

    /// What is due now. Called for every frame, so it only looks at the timer; the task is woken when something is due.
    pub(super) fn due(&mut self, cx: &mut Context<'_>) -> Option<Due> {
        let pending = self.0.as_mut()?;
        if pending.is_set && !pending.alarm.is_elapsed() {
            return None;
        }
        while let Poll::Ready(()) = pending.alarm.as_mut().poll(cx) {
            if pending.is_warned {
                return Some(Due::End);
            }
            pending.is_warned = true;
            pending.is_set = false;
            pending.alarm.as_mut().reset(pending.end);
            return Some(Due::Warning);
        }
        pending.is_set = true;
        None
    }
}
