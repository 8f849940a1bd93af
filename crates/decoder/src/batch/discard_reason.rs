/// Reason why a job does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiscardReason {
    /// The deadline has passed.
    Expired,
    /// The caller has stopped waiting for the result.
    Abandoned,
}
