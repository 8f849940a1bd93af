//! A device: a store on a disk, and the uplink that sends its records.

use std::{net::SocketAddr, thread::JoinHandle, time::Duration};

use lopside_delivery::Class;
use lopside_spool::ClassPolicy;
use lopside_uplink::{
    CapturedFrame, LinkState, RefusalPolicy, SourceStatus, Store, StoreOutcome, StoreSettings, StoreSnapshot,
    Uplink, UplinkError, UplinkSettings,
};
use tokio::{
    sync::{oneshot, watch},
    task::{AbortHandle, spawn_blocking},
};
use tonic::transport::Endpoint;

use super::disk::{Disk, End};

/// The name of the device.
const DEVICE: &str = "gate-7";

/// A running device.
pub(crate) struct Edge {
    pub(crate) store: Store,
    /// The state of its sources.
    pub(crate) sources: watch::Sender<Vec<SourceStatus>>,
    disk: Disk,
    thread: JoinHandle<()>,
    uplink: Option<(AbortHandle, watch::Receiver<LinkState>)>,
}

/// Returns settings of a spool that is large enough for a test and commits immediately.
pub(crate) fn store_settings() -> StoreSettings {
    StoreSettings {
        budget_bytes: 64 << 20,
        keep_delivered_bytes: u64::MAX,
        policies: [ClassPolicy::default(); Class::ALL.len()],
        commit_delay: Duration::from_millis(1),
        machine: None,
        device: None,
    }
}

/// Returns settings of an uplink that waits long for acknowledgements and reconnects quickly.
pub(crate) fn settings() -> UplinkSettings {
    UplinkSettings {
        device: DEVICE.into(),
        bearer: None,
        ack_timeout: Duration::from_secs(30),
        max_pause: Duration::from_millis(50),
    }
}

impl Edge {
    /// Opens the store, without connecting.
    pub(crate) fn open(disk: &Disk, settings: StoreSettings) -> Self {
        let (disk, storage) = (disk.clone(), disk.clone());
        let (store, _, thread) = Store::start(move || Ok(storage.clone()), settings).unwrap();
        Self { store, sources: watch::Sender::default(), disk, thread, uplink: None }
    }

    /// Starts the uplink.
    pub(crate) fn connect(&mut self, address: SocketAddr, settings: UplinkSettings) {
        let uplink = Uplink::new(self.store.clone(), settings).with_sources(self.sources.subscribe());
        let link = uplink.link();
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let task = tokio::spawn(async move {
            uplink
                .run(|| async {
                    endpoint.connect().await.map_err(|error| UplinkError::Connect(error.to_string()))
                })
                .await;
        });
        self.uplink = Some((task.abort_handle(), link));
    }

    /// Returns the state of the connection, and notifies of each change.
    pub(crate) fn link(&self) -> watch::Receiver<LinkState> {
        self.uplink.as_ref().unwrap().1.clone()
    }

    /// Returns the state of the store, and notifies of each change.
    pub(crate) fn state(&self) -> watch::Receiver<StoreSnapshot> {
        self.store.state()
    }

    /// Appends a frame with a capture time `number` seconds after a fixed time.
    pub(crate) async fn append(
        &self,
        class: Class,
        number: u64,
        frame: Vec<u8>,
    ) -> oneshot::Receiver<StoreOutcome> {
        self.store.append(class, record(number, frame), RefusalPolicy::Drop).await.unwrap()
    }

    /// Appends `count` frames of 25 bytes, and waits until they are stored. Each begins with its number,
    /// starting at `first`.
    pub(crate) async fn store(&self, class: Class, first: u64, count: u64) {
        let mut outcomes = Vec::new();
        for number in first..first + count {
            outcomes.push(self.append(class, number, small_frame(number)).await);
        }
        for outcome in outcomes {
            assert_eq!(outcome.await.unwrap(), StoreOutcome::Stored);
        }
    }

    /// Ends the device by a kill or a power cut, and returns its disk.
    pub(crate) async fn end(self, end: End) -> Disk {
        let disk = self.disk.end(end);
        self.stop().await;
        disk
    }

    /// Drops all handles, and waits for the thread.
    pub(crate) async fn stop(self) {
        if let Some((uplink, _)) = self.uplink {
            uplink.abort();
        }
        let (store, thread) = (self.store, self.thread);
        drop(store);
        spawn_blocking(|| thread.join().unwrap()).await.unwrap();
    }
}

/// Returns the record of a frame with a capture time `number` seconds after a fixed time.
pub(crate) fn record(number: u64, frame: Vec<u8>) -> Vec<u8> {
    let captured_ms = 1_790_000_000_000 + 1000 * number as i64;
    let (source, traceparent) = ("camera".into(), String::new());
    CapturedFrame { captured_ms, source, traceparent, frame, ..CapturedFrame::default() }.to_record()
}

/// Returns a frame of 25 bytes that begins with its number.
pub(crate) fn small_frame(number: u64) -> Vec<u8> {
    let mut frame = vec![number as u8; 25];
    frame[..8].copy_from_slice(&number.to_le_bytes());
    frame
}
