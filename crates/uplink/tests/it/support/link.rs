//! The link between device and cloud: a TCP proxy with a settable rate and delay, which can stall or break
//! connections.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until},
};

/// Payload of a TCP segment, and its headers with those of IPv4 and options, in bytes.
const SEGMENT: [u64; 2] = [1448, 52];
/// The longest queueing time at the bottleneck.
const QUEUE: Duration = Duration::from_millis(20);
/// Maximum number of pieces in flight.
const MAX_CHUNKS: usize = 4096;

/// The current conditions of the link.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Conditions {
    /// The address of the cloud.
    pub(crate) target: SocketAddr,
    /// Bytes per second in each direction; `None` for no limit.
    pub(crate) rate: Option<f64>,
    /// One-way delay.
    pub(crate) delay: Duration,
    /// Whether the traffic stalls while all connections stay open.
    pub(crate) is_cut: bool,
    /// Number of times that all connections were broken.
    pub(crate) resets: u64,
}

/// The amount of data that was sent to the cloud.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Bytes of TCP payload.
    pub(crate) payload: u64,
    /// Bytes of payload and of the headers of all segments.
    pub(crate) bytes: u64,
}

/// A link, which ends when it is dropped.
pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    conditions: watch::Sender<Conditions>,
    sent: Arc<Mutex<Sent>>,
    listener_task: AbortHandle,
}

impl Link {
    /// Creates a link without a rate limit or delay.
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let initial = Conditions { target, rate: None, delay: Duration::ZERO, is_cut: false, resets: 0 };
        let (conditions, sent) = (watch::Sender::new(initial), Arc::default());
        let listener_task =
            tokio::spawn(listen(listener, conditions.clone(), Arc::clone(&sent))).abort_handle();
        Self { address, conditions, sent, listener_task }
    }

    /// Changes the conditions.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Conditions)) {
        self.conditions.send_modify(change);
    }

    /// Breaks all connections.
    pub(crate) fn reset(&self) {
        self.change(|conditions| conditions.resets += 1);
    }

    /// Returns the amount of data that was sent to the cloud so far.
    pub(crate) fn sent(&self) -> Sent {
        *self.sent.lock().unwrap()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.listener_task.abort();
    }
}

async fn listen(listener: TcpListener, conditions: watch::Sender<Conditions>, sent: Arc<Mutex<Sent>>) {
    let mut connections = JoinSet::new();
    while let Ok((edge, _)) = listener.accept().await {
        let (conditions, sent) = (conditions.subscribe(), Arc::clone(&sent));
        connections.spawn(connect(edge, conditions, sent));
        while connections.try_join_next().is_some() {}
    }
}

/// Forwards one connection until one end closes it or it is broken.
async fn connect(edge: TcpStream, mut conditions: watch::Receiver<Conditions>, sent: Arc<Mutex<Sent>>) {
    let resets = conditions.borrow().resets;
    let mut broken = conditions.clone();
    let transfer = async {
        let target = flowing(&mut conditions).await.target;
        let Ok(cloud) = TcpStream::connect(target).await else { return };
        edge.set_nodelay(true).unwrap();
        cloud.set_nodelay(true).unwrap();
        let ((from_edge, to_edge), (from_cloud, to_cloud)) = (edge.into_split(), cloud.into_split());
        let up = forward(from_edge, to_cloud, conditions.clone(), Some(sent));
        let down = forward(from_cloud, to_edge, conditions, None);
        tokio::select! {
            () = up => {}
            () = down => {}
        }
    };
    tokio::select! {
        () = transfer => {}
        _ = broken.wait_for(|conditions| conditions.resets != resets) => {}
    }
}

/// Forwards bytes in one direction: they queue at the bottleneck, and then travel for the delay.
async fn forward(
    mut reader: OwnedReadHalf,
    mut writer: OwnedWriteHalf,
    mut conditions: watch::Receiver<Conditions>,
    sent: Option<Arc<Mutex<Sent>>>,
) {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(MAX_CHUNKS);
    let mut write_conditions = conditions.clone();
    let read_loop = async move {
        let mut free_at = Instant::now();
        loop {
            let is_slow = flowing(&mut conditions).await.rate.is_some();
            let mut chunk = vec![0; if is_slow { SEGMENT[0] as usize } else { 1 << 16 }];
            let Ok(len @ 1..) = reader.read(&mut chunk).await else { return };
            chunk.truncate(len);
            if let Some(sent) = &sent {
                count(&mut sent.lock().unwrap(), len as u64);
            }
            let Conditions { rate, delay, .. } = flowing(&mut conditions).await;
            free_at = free_at.max(Instant::now());
            if let Some(rate) = rate {
                free_at += Duration::from_secs_f64(len as f64 / rate);
            }
            if sender.send((free_at + delay, chunk)).await.is_err() {
                return;
            }
            sleep_until(free_at - QUEUE).await;
        }
    };
    let write_loop = async move {
        while let Some((arrival, chunk)) = receiver.recv().await {
            sleep_until(arrival).await;
            flowing(&mut write_conditions).await;
            if writer.write_all(&chunk).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(read_loop, write_loop);
}

/// Waits until the link is not cut, and returns its conditions.
async fn flowing(conditions: &mut watch::Receiver<Conditions>) -> Conditions {
    let flowing = conditions.wait_for(|conditions| !conditions.is_cut).await.map(|current| current.clone());
    match flowing {
        Ok(conditions) => conditions,
        // The link was dropped, and the connection ends with it.
        Err(_) => std::future::pending().await,
    }
}

fn count(sent: &mut Sent, payload: u64) {
    let [segment, headers] = SEGMENT;
    sent.payload += payload;
    sent.bytes += payload + headers * payload.div_ceil(segment);
}
