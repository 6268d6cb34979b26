//! What any thread may ask of a long call: to end at its next step, or to wait there.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::shutdown;

/// Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    asked: Mutex<Asked>,
    changed: Condvar,
}

#[derive(Debug, Default, Clone, Copy)]
struct Asked {
    end: bool,
    pause: bool,
}

impl CancelToken {
    /// Nothing is asked for.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the calls that hold this token to end, paused ones too.
    pub fn trigger(&self) {
        self.change(|asked| asked.end = true);
    }

    /// Takes [`trigger`](Self::trigger) back, so that the token can be used again.
    pub fn reset(&self) {
        self.change(|asked| asked.end = false);
    }

    /// Asks the calls that hold this token to wait at their next step, idle, until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.change(|asked| asked.pause = true);
    }

    /// Lets paused calls go on.
    pub fn resume(&self) {
        self.change(|asked| asked.pause = false);
    }

    /// Whether an end was asked for.
    pub fn is_triggered(&self) -> bool {
        shutdown::pass();
        self.lock().end
    }

    /// Waits while a pause is asked for and no end: how long, and whether an end was asked for.
    pub fn wait(&self) -> (Duration, bool) {
        shutdown::pass();
        let mut asked = self.lock();
        if !asked.pause || asked.end {
            return (Duration::ZERO, asked.end);
        }
        let start = Instant::now();
        shutdown::aside(|| {
            while asked.pause && !asked.end {
                asked = self.0.changed.wait(asked).unwrap_or_else(PoisonError::into_inner);
            }
            let end = asked.end;
            drop(asked);
            (start.elapsed(), end)
        })
    }

    /// Whether a pause is asked for, and whether an end is.
    pub fn asked(&self) -> (bool, bool) {
        shutdown::pass();
        let asked = self.lock();
        (asked.pause, asked.end)
    }

    /// Waits while a pause is asked for and no end, at most for `time`.
    pub fn wait_at_most(&self, time: Duration) {
        shutdown::pass();
        let asked = self.lock();
        shutdown::aside(|| {
            let waits = |asked: &mut Asked| asked.pause && !asked.end;
            drop(self.0.changed.wait_timeout_while(asked, time, waits).unwrap_or_else(PoisonError::into_inner));
        });
    }

    /// Waits for `time`, less if an end is asked for.
    pub fn rest(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut asked = self.lock();
        shutdown::aside(|| {
            while !asked.end {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return;
                }
                asked = self.0.changed.wait_timeout(asked, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Asked)) {
        change(&mut self.lock());
        self.0.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Asked> {
        // Nothing that may panic runs under the lock.
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paused_call_waits_for_resume_or_end() {
        for end in [false, true] {
            let token = CancelToken::new();
            assert_eq!(token.wait(), (Duration::ZERO, false));
            token.pause();
            let (waited, ended) = std::thread::scope(|scope| {
                let waiting = scope.spawn(|| token.wait());
                std::thread::sleep(Duration::from_millis(50));
                assert!(!waiting.is_finished());
                if end {
                    token.trigger()
                } else {
                    token.resume()
                }
                waiting.join().unwrap()
            });
            assert!(waited >= Duration::from_millis(40), "{waited:?}");
            assert_eq!(ended, end);
        }
    }

    #[test]
    fn an_end_cuts_a_rest_short() {
        let token = CancelToken::new();
        token.rest(Duration::from_millis(1));
        token.trigger();
        let start = Instant::now();
        token.rest(Duration::from_secs(3600));
        assert!(start.elapsed() < Duration::from_secs(60));
    }
}
