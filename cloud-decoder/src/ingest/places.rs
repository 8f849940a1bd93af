use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

/// For each connected device, the number of its newest connection. Older connections are displaced.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<HashMap<String, watch::Sender<u64>>>);

/// The registration of one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    device: String,
    turn: u64,
    newest: watch::Receiver<u64>,
}

impl Places {
    /// Registers a connection as the newest one of a device, which displaces the previous one.
    pub(super) fn take(self: &Arc<Self>, device: &str) -> Place {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry(device.to_owned()).or_insert_with(|| watch::Sender::new(0));
        place.send_modify(|newest| *newest += 1);
        let newest = place.subscribe();
        let turn = *newest.borrow();
        Place { places: Arc::clone(self), device: device.to_owned(), turn, newest }
    }
}

impl Place {
    /// Waits until a newer connection displaces this one.
    pub(super) async fn wanted(&mut self) {
        let turn = self.turn;
        // An error would mean that further connections are impossible.
        if self.newest.wait_for(|newest| *newest != turn).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A newer connection cannot register meanwhile, because that requires the lock.
        if *self.newest.borrow() == self.turn {
            places.remove(&self.device);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_place_is_the_newest_ones() {
        let places = Arc::new(Places::default());
        let mut first = places.take("a");
        let other = places.take("b");
        assert!(first.wanted().now_or_never().is_none());
        let mut second = places.take("a");
        first.wanted().await;
        drop(first);
        assert!(
            second.wanted().now_or_never().is_none(),
            "a dropped permit does not affect the permits of others"
        );
        let third = places.take("a");
        second.wanted().await;
        drop((second, third, other));
        assert!(places.0.lock().unwrap().is_empty());
    }
}
