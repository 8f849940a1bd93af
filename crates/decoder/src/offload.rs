//! Runs long work on blocking threads, so that it does not delay the other requests of its connection's
//! thread.

use tracing::Span;

use crate::DecodeError;

/// Maximum number of values that are processed in place: coding them takes about a third of a millisecond.
const MAX_IN_PLACE: usize = 8 << 10;

/// Runs work on `values` values: in place if they are few, otherwise on a blocking thread.
///
/// # Errors
/// [`DecodeError::Internal`] if the work panics.
pub async fn offload_if_large<T: Send + 'static>(
    values: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DecodeError> {
    if values <= MAX_IN_PLACE { Ok(work()) } else { run_blocking(work).await }
}

/// Runs work on a blocking thread.
///
/// # Errors
/// [`DecodeError::Internal`] if the work panics.
pub async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DecodeError> {
    let span = Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work))
        .await
        .map_err(|error| DecodeError::Internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn only_long_work_runs_on_another_thread() {
        let caller = thread::current().id();
        assert_eq!(offload_if_large(MAX_IN_PLACE, || thread::current().id()).await.unwrap(), caller);
        assert_ne!(offload_if_large(MAX_IN_PLACE + 1, || thread::current().id()).await.unwrap(), caller);
        let error = offload_if_large(MAX_IN_PLACE + 1, || panic!("no")).await.map(|(): ()| ()).unwrap_err();
        assert!(matches!(error, DecodeError::Internal(_)), "{error}");
    }
}
