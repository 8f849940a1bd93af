use std::time::Duration;

/// Limits of the process that tries a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrialLimits {
    /// Memory that the trial may take, in bytes.
    pub memory_bytes: u64,
    /// Time in which it must end.
    pub time: Duration,
}
