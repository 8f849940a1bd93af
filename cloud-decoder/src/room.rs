//! Room for pictures: how many may be in memory at once, counted in pixels.
//!
//! A picture that is being decoded takes some tens of bytes a pixel (integers, feature maps, samples) beside what its
//! head needs, whatever its frame weighs; so does a picture that is sent along with a frame. It takes its room before
//! it is unpacked and gives it back when its answer is made. Who finds no room waits in the order of coming, its frame
//! still packed; when as many wait as may wait for a head, the next one is turned away as if that head's queue were
//! full.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout_at,
};

use crate::{ServeError, batch::Terms, offload};

/// Pixels that are counted together, so that the largest pictures fit the semaphore's 32 bits.
const UNIT: u64 = 1024;
/// When to come back: a picture takes about this long.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The room of one server.
#[derive(Debug)]
pub(crate) struct Room {
    units: Arc<Semaphore>,
    waiting: Semaphore,
}

/// A picture's share of the room; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _units: OwnedSemaphorePermit,
}

impl Room {
    /// Room for this many pixels; `queue` pictures may wait for it.
    pub(crate) fn new(pixels: u64, queue: usize) -> Self {
        Self { units: Arc::new(Semaphore::new(units(pixels) as usize)), waiting: Semaphore::new(queue) }
    }

    /// Takes the room of a picture that has at most as many pixels as there is room in all. `head` is named when
    /// too many wait.
    ///
    /// # Errors
    /// [`ServeError::Overloaded`] or [`ServeError::DeadlineExceeded`].
    pub(crate) async fn take(&self, pixels: u64, head: &str, terms: Terms) -> Result<Place, ServeError> {
        let full = |_| ServeError::Overloaded { head: head.to_owned(), retry_after: RETRY_AFTER };
        let _waiting = self.waiting.try_acquire().map_err(full)?;
        let taken = Arc::clone(&self.units).acquire_many_owned(units(pixels));
        let taken = timeout_at(terms.deadline.into(), taken).await;
        let taken = taken.map_err(|_| ServeError::DeadlineExceeded)?;
        let units = taken.map_err(|error| ServeError::Internal(error.to_string()))?;
        Ok(Place { _units: units })
    }
}

/// Runs long work where it holds up nobody. The picture's place is held to its end, even when the caller has gone.
///
/// # Errors
/// [`ServeError::Internal`] when the work panics.
pub(crate) async fn blocking<T: Send + 'static>(
    place: Arc<Place>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ServeError> {
    let work = move || {
        let _place = place;
        work()
    };
    offload::blocking(work).await
}

fn units(pixels: u64) -> u32 {
    u32::try_from(pixels.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pictures_wait_for_room_and_too_many_are_turned_away() {
        let room = Room::new(4096, 1);
        let past = Terms::within(Duration::ZERO);
        let later = Terms::within(Duration::from_mins(1));
        let first = room.take(3000, "h", later).await.unwrap();
        assert_eq!(room.take(2048, "h", past).await.unwrap_err(), ServeError::DeadlineExceeded);
        let mut second = Box::pin(room.take(2048, "h", later));
        assert!(ready(&mut second).await.is_none());
        let error = room.take(1, "h", later).await.unwrap_err();
        assert_eq!(error, ServeError::Overloaded { head: "h".into(), retry_after: RETRY_AFTER });
        drop(first);
        assert!(second.await.is_ok());
    }

    /// What a future has right now.
    async fn ready<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = std::future::ready(()) => None,
        }
    }
}
