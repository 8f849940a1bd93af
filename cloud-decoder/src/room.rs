//! Room for pictures: how many may be in memory at once, counted in pixels.
//!
//! A picture that is being decoded takes some tens of bytes a pixel (integers, feature maps, samples) beside what its
//! head needs, whatever its frame weighs; so does a picture that is sent along with a frame. It takes its room before
//! it is unpacked and gives it back when its answer is made. Who finds no room waits in the order of coming, its frame
//! still packed; when as many wait as may wait for a head, the next one is turned away as if that head's queue were
//! full.

use std::{sync::Arc, time::Instant};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout_at,
};
use tracing::Span;

use crate::ServeError;

/// Pixels that are counted together, so that the largest pictures fit the semaphore's 32 bits.
const UNIT: u64 = 1024;

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
    pub(crate) async fn take(
        &self,
        pixels: u64,
        head: &str,
        deadline: Option<Instant>,
    ) -> Result<Place, ServeError> {
        let _waiting =
            self.waiting.try_acquire().map_err(|_| ServeError::Overloaded { head: head.to_owned() })?;
        let taken = Arc::clone(&self.units).acquire_many_owned(units(pixels));
        let taken = match deadline {
            Some(deadline) => {
                timeout_at(deadline.into(), taken).await.map_err(|_| ServeError::DeadlineExceeded)?
            }
            None => taken.await,
        };
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
    let span = Span::current();
    let work = move || {
        let _place = place;
        span.in_scope(work)
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| ServeError::Internal(error.to_string()))
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
        let first = room.take(3000, "h", None).await.unwrap();
        let past = Some(Instant::now());
        assert_eq!(room.take(2048, "h", past).await.unwrap_err(), ServeError::DeadlineExceeded);
        let mut second = Box::pin(room.take(2048, "h", None));
        assert!(ready(&mut second).await.is_none());
        assert_eq!(room.take(1, "h", None).await.unwrap_err(), ServeError::Overloaded { head: "h".into() });
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
