//! A flag that any thread may raise to end a long call at its next step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Clones share one flag.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A flag that is down.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the calls that hold this token to end. Never blocks.
    pub fn trigger(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Takes the request back, so that the token can be used again.
    pub fn reset(&self) {
        self.0.store(false, Ordering::Release);
    }

    /// Whether an end was asked for.
    pub fn is_triggered(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
