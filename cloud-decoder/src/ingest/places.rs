use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedMutexGuard, watch};

/// The places of devices, one each.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<HashMap<String, Arc<Place>>>);

#[derive(Debug)]
struct Place {
    /// How many connections have asked for it.
    asked: watch::Sender<u64>,
    /// Held by the one that has it.
    held: Arc<tokio::sync::Mutex<()>>,
}

/// A device's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    places: Arc<Places>,
    device: String,
    turn: u64,
    asked: watch::Receiver<u64>,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Places {
    /// Takes a device's place: whoever has it is told to leave it, and is waited for. None when somebody else has come for
    /// it meanwhile.
    pub(super) async fn take(self: &Arc<Self>, device: &str) -> Option<Held> {
        let (held, asked, turn) = {
            let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let place = places.entry(device.to_owned()).or_default();
            place.asked.send_modify(|asked| *asked += 1);
            let asked = place.asked.subscribe();
            let turn = *asked.borrow();
            (Arc::clone(&place.held), asked, turn)
        };
        let guard = Some(held.lock_owned().await);
        let place = Held { places: Arc::clone(self), device: device.to_owned(), turn, asked, guard };
        (!place.is_wanted()).then_some(place)
    }
}

impl Default for Place {
    fn default() -> Self {
        Self { asked: watch::Sender::new(0), held: Arc::default() }
    }
}

impl Held {
    /// Done when a newer connection wants the place.
    pub(super) async fn wanted(&mut self) {
        let turn = self.turn;
        // The sender lives as long as the place, which this keeps.
        let _ = self.asked.wait_for(|asked| *asked != turn).await;
    }

    fn is_wanted(&self) -> bool {
        *self.asked.borrow() != self.turn
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.guard = None;
        let mut places = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody asks for it meanwhile: that needs the lock.
        if !self.is_wanted() {
            places.remove(&self.device);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_goes_to_the_newest_when_it_is_left() {
        let places = Arc::new(Places::default());
        let mut first = places.take("a").await.unwrap();
        let other = places.take("b").await.unwrap();
        let second = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.take("a").await.is_some() }
        });
        first.wanted().await;
        assert!(!second.is_finished());
        drop(first);
        assert!(second.await.unwrap());
        drop(other);
        assert!(places.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn of_those_who_wait_the_newest_gets_it() {
        let places = Arc::new(Places::default());
        let first = places.take("a").await.unwrap();
        let mut waiting = Vec::new();
        for turn in 2..=3 {
            let (places, mut asked) = (Arc::clone(&places), first.asked.clone());
            waiting.push(tokio::spawn(async move { places.take("a").await.map(|held| held.turn) }));
            asked.wait_for(|asked| *asked == turn).await.unwrap();
        }
        drop(first);
        let mut got = Vec::new();
        for waiting in waiting {
            got.push(waiting.await.unwrap());
        }
        assert_eq!(got, [None, Some(3)]);
        assert!(places.0.lock().unwrap().is_empty());
    }
}
