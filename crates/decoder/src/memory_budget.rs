//! The memory budget of images, which bounds the pixels that are in memory at once.
//!
//! An image that is being decoded takes some tens of bytes per pixel (integers, feature maps, samples) in
//! addition to the memory of its head, however small its frame is; so does an image that is sent along with a
//! frame. A request acquires its permit before the image is unpacked and returns it when the output is
//! complete. Requests over the budget wait in FIFO order, with their frames still compressed. As many
//! requests may wait as may queue for a head; further ones are refused as if that head's queue were full.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout_at,
};

use crate::{DecodeError, RequestOptions, offload};

/// Pixels per unit of the semaphore, so that the largest images fit its 32 bits.
const PIXELS_PER_UNIT: u64 = 1024;
/// The recommended delay before a retry: about the time that one image takes.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The memory budget of one server.
#[derive(Debug)]
pub struct MemoryBudget {
    units: Arc<Semaphore>,
    queue_slots: Semaphore,
}

/// A permit for part of the memory budget; returned when dropped.
#[derive(Debug)]
pub(crate) struct MemoryPermit {
    _units: OwnedSemaphorePermit,
}

impl MemoryBudget {
    /// Creates a budget of this many pixels; up to `queue` images may wait for it.
    pub(crate) fn new(pixels: u64, queue: usize) -> Self {
        Self {
            units: Arc::new(Semaphore::new(budget_units(pixels) as usize)),
            queue_slots: Semaphore::new(queue),
        }
    }

    /// Acquires a permit for an image, which must not have more pixels than the whole budget. `head` is the
    /// name in the error if too many requests wait.
    ///
    /// # Errors
    /// [`DecodeError::Overloaded`] or [`DecodeError::DeadlineExceeded`].
    pub(crate) async fn acquire(
        &self,
        pixels: u64,
        head: &str,
        options: RequestOptions,
    ) -> Result<MemoryPermit, DecodeError> {
        let _queue_slot = self
            .queue_slots
            .try_acquire()
            .map_err(|_| DecodeError::Overloaded { head: head.to_owned(), retry_after: RETRY_AFTER })?;
        let acquired = Arc::clone(&self.units).acquire_many_owned(budget_units(pixels));
        let acquired = timeout_at(options.deadline.into(), acquired).await;
        let acquired = acquired.map_err(|_| DecodeError::DeadlineExceeded)?;
        let units = acquired.map_err(|error| DecodeError::Internal(error.to_string()))?;
        Ok(MemoryPermit { _units: units })
    }
}

/// Runs long work on a blocking thread. The permit is held until the work ends, even if the caller is
/// dropped.
///
/// # Errors
/// [`DecodeError::Internal`] if the work panics.
pub(crate) async fn run_with_permit<T: Send + 'static>(
    permit: Arc<MemoryPermit>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DecodeError> {
    offload::run_blocking(move || {
        let _permit = permit;
        work()
    })
    .await
}

fn budget_units(pixels: u64) -> u32 {
    u32::try_from(pixels.div_ceil(PIXELS_PER_UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn images_wait_for_the_budget_and_too_many_are_refused() {
        let budget = MemoryBudget::new(4096, 1);
        let expired = RequestOptions::with_timeout(Duration::ZERO);
        let later = RequestOptions::with_timeout(Duration::from_mins(1));
        let first = budget.acquire(3000, "h", later).await.unwrap();
        assert_eq!(budget.acquire(2048, "h", expired).await.unwrap_err(), DecodeError::DeadlineExceeded);
        let mut second = Box::pin(budget.acquire(2048, "h", later));
        assert!(ready(&mut second).await.is_none());
        let error = budget.acquire(1, "h", later).await.unwrap_err();
        assert_eq!(error, DecodeError::Overloaded { head: "h".into(), retry_after: RETRY_AFTER });
        drop(first);
        assert!(second.await.is_ok());
    }

    /// Returns the output of a future if it is ready.
    async fn ready<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = std::future::ready(()) => None,
        }
    }
}
