//! A device: a store on a disk, and the uplink that sends what it has.

use std::{net::SocketAddr, thread::JoinHandle, time::Duration};

use lopside_spool::Class;
use lopside_uplink::{
    Captured, Link, Outcome, Snapshot, Store, StoreSettings, Uplink, UplinkError, UplinkSettings,
};
use tokio::{
    sync::{oneshot, watch},
    task::{AbortHandle, spawn_blocking},
};
use tonic::transport::Endpoint;

use super::disk::{Disk, End};

/// What the device is called.
const DEVICE: &str = "gate-7";

/// The device while it runs.
pub(crate) struct Edge {
    pub(crate) store: Store,
    disk: Disk,
    thread: JoinHandle<()>,
    uplink: Option<(AbortHandle, watch::Receiver<Link>)>,
}

/// A spool that holds all of a test, and commits at once.
pub(crate) fn store_settings() -> StoreSettings {
    StoreSettings { budget: 64 << 20, commit_delay: Duration::from_millis(1) }
}

/// An uplink that is in no hurry to give up, and in a hurry to come again.
pub(crate) fn settings() -> UplinkSettings {
    UplinkSettings {
        device: DEVICE.into(),
        bearer: None,
        patience: Duration::from_secs(30),
        longest_pause: Duration::from_millis(50),
    }
}

impl Edge {
    /// Opens the store, and sends nothing yet.
    pub(crate) fn open(disk: &Disk, settings: StoreSettings) -> Self {
        let (disk, storage) = (disk.clone(), disk.clone());
        let (store, _, thread) = Store::start(move || Ok(storage.clone()), settings).unwrap();
        Self { store, disk, thread, uplink: None }
    }

    /// Sends from now on.
    pub(crate) fn connect(&mut self, to: SocketAddr, settings: UplinkSettings) {
        let uplink = Uplink::new(self.store.clone(), settings);
        let link = uplink.link();
        let endpoint = Endpoint::from_shared(format!("http://{to}")).unwrap();
        let running = tokio::spawn(async move {
            uplink
                .run(|| async {
                    endpoint.connect().await.map_err(|error| UplinkError::Connect(error.to_string()))
                })
                .await;
        });
        self.uplink = Some((running.abort_handle(), link));
    }

    /// How the connection is, and each time that this changes.
    pub(crate) fn link(&self) -> watch::Receiver<Link> {
        self.uplink.as_ref().unwrap().1.clone()
    }

    /// What the store has, and each time that this changes.
    pub(crate) fn state(&self) -> watch::Receiver<Snapshot> {
        self.store.state()
    }

    /// Appends a frame that is captured `number` seconds after another.
    pub(crate) async fn append(
        &self,
        class: Class,
        number: u64,
        frame: Vec<u8>,
    ) -> oneshot::Receiver<Outcome> {
        self.store.append(class, record(number, frame)).await.unwrap()
    }

    /// Appends so many frames of 25 bytes, and waits until they are stored. Each begins with its number, from `first` on.
    pub(crate) async fn store(&self, class: Class, first: u64, count: u64) {
        let mut outcomes = Vec::new();
        for number in first..first + count {
            outcomes.push(self.append(class, number, small_frame(number)).await);
        }
        for outcome in outcomes {
            assert_eq!(outcome.await.unwrap(), Outcome::Stored);
        }
    }

    /// Ends it as a process or a machine ends; the disk that is left.
    pub(crate) async fn end(self, end: End) -> Disk {
        let left = self.disk.end(end);
        self.stop().await;
        left
    }

    /// Gives all handles up, and waits for the thread.
    pub(crate) async fn stop(self) {
        if let Some((uplink, _)) = self.uplink {
            uplink.abort();
        }
        let (store, thread) = (self.store, self.thread);
        drop(store);
        spawn_blocking(|| thread.join().unwrap()).await.unwrap();
    }
}

/// The record of a frame that is captured `number` seconds after another.
pub(crate) fn record(number: u64, frame: Vec<u8>) -> Vec<u8> {
    let captured_ms = 1_790_000_000_000 + 1000 * number as i64;
    let (source, traceparent) = ("camera".into(), String::new());
    Captured { captured_ms, source, traceparent, frame, item: None }.to_record()
}

/// A frame of 25 bytes.
pub(crate) fn small_frame(number: u64) -> Vec<u8> {
    let mut frame = vec![number as u8; 25];
    frame[..8].copy_from_slice(&number.to_le_bytes());
    frame
}
