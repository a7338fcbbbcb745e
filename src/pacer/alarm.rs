//! Waits until a clock shows a time.
//!
//! tokio's timers have a resolution of one millisecond, which is as long as a short flush interval. On Linux an alarm on the
//! wall clock is a timer of the kernel, which is exact to microseconds.

use std::time::Duration;

use super::clock::Clock;
use crate::tick::Time;

/// Waits until a clock shows a time.
pub struct Alarm {
    clock: Clock,
    #[cfg(target_os = "linux")]
    timer: Option<timer::Timer>,
}

/// How long a wait takes when the clock has reached [`Time::MAX`]. The clock stands still then, so no later time can be
/// waited for.
const STANDSTILL: Duration = Duration::from_secs(1);

impl Alarm {
    /// An alarm on this clock. Needs a tokio runtime with its drivers enabled.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            #[cfg(target_os = "linux")]
            timer: match clock {
                // If there is no free file descriptor, tokio's timers are used.
                Clock::Wall | Clock::Played { .. } => timer::Timer::new().ok(),
                Clock::From { .. } => None,
            },
        }
    }

    /// Waits until the clock shows `time`. Cancel safe. It may return a little early or late: look at the clock.
    pub async fn wait_until(&self, time: Time) {
        let ahead = match self.clock.now() {
            Time::MAX => STANDSTILL,
            _ => self.clock.until(time),
        };
        if ahead.is_zero() {
            return tokio::task::yield_now().await;
        }
        #[cfg(target_os = "linux")]
        if let Some(timer) = &self.timer
            && timer.wait(ahead).await.is_ok()
        {
            return;
        }
        tokio::time::sleep(ahead).await;
    }
}

#[cfg(target_os = "linux")]
mod timer {
    use std::{io, os::fd::OwnedFd, time::Duration};

    use rustix::{
        io::read,
        time::{
            Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
            timerfd_settime,
        },
    };
    use tokio::io::{Interest, unix::AsyncFd};

    pub(super) struct Timer(AsyncFd<OwnedFd>);

    impl Timer {
        pub(super) fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            #[expect(unsafe_code, reason = "tokio has no safe way to register a descriptor of our own")]
            // SAFETY: the `OwnedFd` stays open, and the same descriptor, for as long as the `AsyncFd` owns it.
            let timer = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) };
            Ok(Self(timer.map_err(io::Error::from)?))
        }

        pub(super) async fn wait(&self, ahead: Duration) -> io::Result<()> {
            let once = Itimerspec {
                it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
                it_value: ahead.try_into().map_err(io::Error::other)?,
            };
            timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
            loop {
                let mut ready = self.0.readable().await?;
                // Setting a timer clears its earlier expirations, so none of them ends this wait.
                if let Ok(rung) = ready.try_io(|timer| Ok(read(timer, &mut [0; 8])?)) {
                    return rung.map(|_| ());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_alarm_wakes_at_its_time_and_not_before() {
        let alarm = Alarm::new(Clock::Wall);
        for micros in [0, 300, 2_500] {
            let time = Clock::Wall.now() + Duration::from_micros(micros);
            alarm.wait_until(time).await;
            assert!(Clock::Wall.now() >= time);
        }
    }

    #[tokio::test]
    async fn a_wait_that_was_given_up_does_not_end_the_next_one() {
        let alarm = Alarm::new(Clock::Wall);
        let soon = Clock::Wall.now() + Duration::from_millis(1);
        tokio::select! {
            biased;
            () = alarm.wait_until(soon) => {}
            () = tokio::task::yield_now() => {}
        }
        std::thread::sleep(Duration::from_millis(2));
        let later = Clock::Wall.now() + Duration::from_millis(5);
        alarm.wait_until(later).await;
        assert!(Clock::Wall.now() >= later);
    }

    #[tokio::test]
    async fn an_alarm_waits_for_the_time_of_a_tape_at_its_speed() {
        let (tape, wall) = (Time::from_nanos(1 << 60), Clock::Wall.now());
        let clock = Clock::Played { tape, wall, speed: "1000".parse().unwrap() };
        let alarm = Alarm::new(clock);
        for millis in [0, 300, 2_500] {
            let time = clock.now() + Duration::from_millis(millis);
            alarm.wait_until(time).await;
            assert!(clock.now() >= time);
        }
        assert!(Clock::Wall.now() < wall + Duration::from_secs(60), "an hour of the tape is 3.6 s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_at_the_end_of_time_lets_the_thread_rest() {
        let clock = Clock::From { time: Time::MAX, instant: tokio::time::Instant::now() };
        let before = tokio::time::Instant::now();
        Alarm::new(clock).wait_until(Time::MAX).await;
        assert!(before.elapsed() >= STANDSTILL);
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_on_a_clock_of_its_own_keeps_its_time() {
        let clock = Clock::From { time: Time::from_nanos(5), instant: tokio::time::Instant::now() };
        let time = clock.now() + Duration::from_secs(3_600);
        Alarm::new(clock).wait_until(time).await;
        assert!(clock.now() >= time);
    }
}
