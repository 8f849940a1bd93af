use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

/// For each connected device, the number of its newest connection. Older connections are displaced.
#[derive(Debug, Default)]
pub(super) struct DeviceConnections(Mutex<HashMap<String, watch::Sender<u64>>>);

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
    pub(super) fn register_connection(self: &Arc<Self>, device: &str) -> DeviceConnection {
        let mut devices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = devices.entry(device.to_owned()).or_insert_with(|| watch::Sender::new(0));
        sender.send_modify(|newest| *newest += 1);
        let newest = sender.subscribe();
        let number = *newest.borrow();
        DeviceConnection { connections: Arc::clone(self), device: device.to_owned(), number, newest }
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
}

impl Drop for DeviceConnection {
    fn drop(&mut self) {
        let mut devices = self.connections.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A newer connection cannot register meanwhile, because that requires the lock.
        if *self.newest.borrow() == self.number {
            devices.remove(&self.device);
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
        let mut first = connections.register_connection("a");
        let other = connections.register_connection("b");
        assert!(first.wait_displaced().now_or_never().is_none());
        let mut second = connections.register_connection("a");
        first.wait_displaced().await;
        drop(first);
        assert!(
            second.wait_displaced().now_or_never().is_none(),
            "a dropped connection does not affect newer ones"
        );
        let third = connections.register_connection("a");
        second.wait_displaced().await;
        drop((second, third, other));
        assert!(connections.0.lock().unwrap().is_empty());
    }
}
