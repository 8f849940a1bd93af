use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::watch;
use tracing::field::display;

use super::{
    displacements::{Displacements, MAX_PER_WINDOW},
    events::{IngestEvent, count_events},
};

/// For each connected device, its newest connection. Older connections are displaced.
#[derive(Debug, Default)]
pub(super) struct DeviceConnections(Mutex<ConnectionTable>);

#[derive(Debug, Default)]
struct ConnectionTable {
    newest: HashMap<String, NewestConnection>,
    displacements: Displacements,
}

#[derive(Debug)]
struct NewestConnection {
    number: watch::Sender<u64>,
    peer: Option<IpAddr>,
}

/// The registration of one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct DeviceConnection {
    connections: Arc<DeviceConnections>,
    device: String,
    number: u64,
    newest: watch::Receiver<u64>,
}

impl DeviceConnections {
    /// Registers a connection as the newest one of a device, which displaces the previous one.
    pub(super) fn register_connection(
        self: &Arc<Self>,
        device: &str,
        peer: Option<IpAddr>,
    ) -> DeviceConnection {
        let mut table = self.lock();
        let entry = table.newest.get_mut(device);
        let displaced_peer = entry.map(|entry| std::mem::replace(&mut entry.peer, peer));
        if let Some(displaced_peer) = displaced_peer {
            let (peer, displaced_peer) = (peer.map(display), displaced_peer.map(display));
            tracing::info!(
                device,
                peer,
                displaced_peer,
                "a newer connection of the device displaces an older one"
            );
            table.count_displacement(device);
        }
        let entry = table.newest.entry(device.to_owned());
        let sender =
            &entry.or_insert_with(|| NewestConnection { number: watch::Sender::new(0), peer }).number;
        sender.send_modify(|newest| *newest += 1);
        let newest = sender.subscribe();
        let number = *newest.borrow();
        DeviceConnection { connections: Arc::clone(self), device: device.to_owned(), number, newest }
    }

    fn lock(&self) -> MutexGuard<'_, ConnectionTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionTable {
    /// Counts a displaced connection of a device, and warns the operator if that happens often.
    fn count_displacement(&mut self, device: &str) {
        count_events(IngestEvent::Displaced, 1);
        if self.displacements.count(device, Instant::now()) {
            tracing::warn!(
                device,
                "the device displaced its own connection more than {MAX_PER_WINDOW} times within a minute: look for a \
                 second device with this name, or for a link that breaks often"
            );
        }
    }
}

impl DeviceConnection {
    /// Waits until a newer connection displaces this one.
    pub(super) async fn wait_displaced(&mut self) {
        let number = self.number;
        // An error would mean that further connections are impossible.
        if self.newest.wait_for(|newest| *newest != number).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Reports that the archive has a newer connection of the device. If it is not one to this server, then it is one
    /// to another server of the archive.
    pub(super) fn report_superseded(&self) {
        if *self.newest.borrow() == self.number {
            tracing::info!(
                device = self.device,
                "a connection of the device to another server displaces this one"
            );
            self.connections.lock().count_displacement(&self.device);
        }
    }

    /// Returns the number of displaced connections of the device since the last call.
    pub(super) fn take_displaced(&self) -> u64 {
        self.connections.lock().displacements.take_unrecorded(&self.device)
    }
}

impl Drop for DeviceConnection {
    fn drop(&mut self) {
        let mut table = self.connections.lock();
        // A newer connection cannot register meanwhile, because that requires the lock.
        if *self.newest.borrow() == self.number {
            table.newest.remove(&self.device);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_newer_connection_displaces_the_older_one() {
        let connections = Arc::new(DeviceConnections::default());
        let mut first = connections.register_connection("a", None);
        let other = connections.register_connection("b", None);
        assert!(first.wait_displaced().now_or_never().is_none());
        let mut second = connections.register_connection("a", None);
        first.wait_displaced().await;
        drop(first);
        assert!(
            second.wait_displaced().now_or_never().is_none(),
            "a dropped connection does not affect newer ones"
        );
        let third = connections.register_connection("a", None);
        second.wait_displaced().await;
        drop((second, third, other));
        assert!(connections.lock().newest.is_empty());
    }

    #[test]
    fn every_displacement_is_counted_once() {
        let connections = Arc::new(DeviceConnections::default());
        let first = connections.register_connection("a", None);
        assert_eq!(first.take_displaced(), 0);
        let second = connections.register_connection("a", None);
        first.report_superseded();
        assert_eq!(second.take_displaced(), 1, "the newer connection is to this server");
        second.report_superseded();
        drop((first, second));
        let third = connections.register_connection("a", None);
        assert_eq!(third.take_displaced(), 1, "the newer connection was to another server");
        drop(third);
        assert_eq!(connections.register_connection("a", None).take_displaced(), 0, "a device that came back");
    }
}
