//! What the settings "duty_cycle" and "nice" say together.

use super::Config;

/// How much of the machine a long call leaves to others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Share of the time that it works, above 0, at most 1.
    pub duty_cycle: f64,
    /// Nice value of the threads that compute; 0: the caller's.
    pub nice: u64,
}

impl Default for Rate {
    /// All of the machine.
    fn default() -> Self {
        Self { duty_cycle: 1.0, nice: 0 }
    }
}

impl From<&Config> for Rate {
    fn from(config: &Config) -> Self {
        Self { duty_cycle: config.duty_cycle, nice: config.nice }
    }
}
