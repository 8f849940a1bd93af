use std::time::Duration;

/// Durations of the phases of one run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RunTimes {
    /// Assembling the inputs of the jobs.
    pub(crate) input: Duration,
    /// Running the model.
    pub(crate) infer: Duration,
    /// Extracting the outputs.
    pub(crate) output: Duration,
}
