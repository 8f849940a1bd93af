//! A simulated link in this process, between the agent and the server.
//!
//! Each direction has a bottleneck of its own, which all connections share. A segment waits until the
//! segments before it have left the bottleneck, occupies it for the time that its bytes and headers take at
//! the link's rate, and then takes the link's delay. Each time is computed from the previous one rather than
//! from the time at which a task was woken, so that the times do not drift. The queue at the bottleneck is
//! bounded by 64 kB: beyond that, the relay stops reading. Small socket buffers and segments of Ethernet size
//! keep the kernel's own queues short, so that a backlog stays in the agent, as it would on a real link. TCP
//! acknowledgements do not use the link's capacity.
//!
//! A link that is cut ends all connections, loses the data in flight, and ends new connections at once.

use std::{
    io,
    net::{AddrParseError, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt::TcpMaxSeg};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until},
};

use super::wire::{DirectionTraffic, HEADER_BYTES, SEGMENT_BYTES, Traffic};
use crate::error::NetworkError;

/// Maximum number of bytes queued at a bottleneck.
const MAX_QUEUED_BYTES: f64 = 64e3;
/// Size of the kernel's socket buffers of a connection in bytes, per direction.
const SOCKET_BUFFER_BYTES: u32 = 16 << 10;
/// The maximum segment size that is announced to the peer; it includes TCP options.
const MAX_SEGMENT: u32 = SEGMENT_BYTES as u32 + 12;
/// Maximum number of segments in flight.
const MAX_SEGMENTS_IN_FLIGHT: usize = 4096;
/// Maximum number of connections that wait to be accepted.
const LISTEN_BACKLOG: u32 = 16;

/// The properties of a link, per direction.
#[derive(Debug, Clone, Copy)]
pub(super) struct LinkProperties {
    /// Capacity in bytes per second.
    pub(super) rate: f64,
    /// Propagation delay of a byte.
    pub(super) delay: Duration,
}

/// A simulated link, which exists until it is dropped.
pub(super) struct Relay {
    address: SocketAddr,
    state: Arc<RelayState>,
    accept_task: AbortHandle,
}

struct RelayState {
    /// The address of the server.
    server_address: SocketAddr,
    delay: Duration,
    up: LinkDirection,
    down: LinkDirection,
    is_open: watch::Sender<bool>,
    /// The time at which the first byte came from the edge since the link was opened.
    first_byte_at: Mutex<Option<Instant>>,
}

/// One direction of the link.
struct LinkDirection {
    rate: f64,
    /// The time at which everything queued at the bottleneck will have left it.
    free_at: Mutex<Instant>,
    traffic: Mutex<DirectionTraffic>,
}

impl Relay {
    /// Creates a link, initially cut, to the server at this `http://` address. It must be called within a
    /// Tokio runtime.
    pub(super) fn new(url: &str, properties: LinkProperties) -> Result<Self, NetworkError> {
        let server_address = parse_address(url)?;
        let listener = listen_locally().map_err(|source| NetworkError::Socket { source })?;
        let address = listener.local_addr().map_err(|source| NetworkError::Socket { source })?;
        let state = Arc::new(RelayState {
            server_address,
            delay: properties.delay,
            up: LinkDirection::new(properties.rate),
            down: LinkDirection::new(properties.rate),
            is_open: watch::Sender::new(false),
            first_byte_at: Mutex::default(),
        });
        let accept_task = tokio::spawn(accept_connections(listener, Arc::clone(&state))).abort_handle();
        Ok(Self { address, state, accept_task })
    }

    /// Returns the URL to which the edge connects.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends all connections, and new ones at once.
    pub(super) fn cut(&self) {
        self.state.is_open.send_replace(false);
    }

    /// Opens the link for new connections.
    pub(super) fn open(&self) {
        *lock_ignoring_poison(&self.state.first_byte_at) = None;
        self.state.is_open.send_replace(true);
    }

    /// Returns the time at which the first byte came from the edge since the link was opened.
    pub(super) fn first_byte_at(&self) -> Option<Instant> {
        *lock_ignoring_poison(&self.state.first_byte_at)
    }

    /// Returns the capacity in bytes per second, per direction.
    pub(super) fn rate(&self) -> f64 {
        self.state.up.rate
    }

    /// Returns the traffic that has passed so far.
    pub(super) fn traffic(&self) -> Traffic {
        Traffic {
            up: *lock_ignoring_poison(&self.state.up.traffic),
            down: *lock_ignoring_poison(&self.state.down.traffic),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accept_task.abort();
    }
}

fn parse_address(url: &str) -> Result<SocketAddr, NetworkError> {
    let address = url.strip_prefix("http://").unwrap_or(url);
    address.parse().map_err(|error: AddrParseError| NetworkError::InvalidAddress {
        address: address.to_owned(),
        reason: error.to_string(),
    })
}

fn listen_locally() -> io::Result<TcpListener> {
    let socket = new_socket()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    socket.listen(LISTEN_BACKLOG)
}

impl RelayState {
    /// Records the current time as that of the first byte from the edge, unless it is already known.
    fn record_first_byte(&self) {
        lock_ignoring_poison(&self.first_byte_at).get_or_insert_with(Instant::now);
    }
}

impl LinkDirection {
    fn new(rate: f64) -> Self {
        Self { rate, free_at: Mutex::new(Instant::now()), traffic: Mutex::default() }
    }

    /// Returns the time at which a segment with `len` bytes that arrives at `now` will have left the
    /// bottleneck.
    fn enter(&self, len: usize, now: Instant) -> Instant {
        let mut free_at = lock_ignoring_poison(&self.free_at);
        *free_at = (*free_at).max(now) + Duration::from_secs_f64((len + HEADER_BYTES) as f64 / self.rate);
        *free_at
    }

    /// Returns the time at which the queue has space for another segment, if its last segment leaves at
    /// `left_at`.
    fn space_at(&self, left_at: Instant) -> Instant {
        left_at.checked_sub(Duration::from_secs_f64(MAX_QUEUED_BYTES / self.rate)).unwrap_or(left_at)
    }
}

fn new_socket() -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.set_nodelay(true)?;
    setsockopt(&socket, TcpMaxSeg, &MAX_SEGMENT)?;
    Ok(socket)
}

async fn accept_connections(listener: TcpListener, state: Arc<RelayState>) {
    let mut connections = JoinSet::new();
    while let Ok((edge, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        if *state.is_open.borrow() {
            connections.spawn(carry_connection(edge, Arc::clone(&state)));
        }
    }
}

/// Carries one connection until either end closes it or the link is cut.
async fn carry_connection(edge: TcpStream, state: Arc<RelayState>) {
    let connected = async { new_socket()?.connect(state.server_address).await };
    let Ok(cloud) = connected.await else { return };
    let ((from_edge, to_edge), (from_cloud, to_cloud)) = (edge.into_split(), cloud.into_split());
    let mut is_open = state.is_open.subscribe();
    let up = carry_direction(from_edge, to_cloud, &state.up, state.delay, || state.record_first_byte());
    let down = carry_direction(from_cloud, to_edge, &state.down, state.delay, || {});
    tokio::select! {
        () = up => {}
        () = down => {}
        _ = is_open.wait_for(|is_open| !is_open) => {}
    }
}

/// Carries the data of one direction; `on_segment` is called for each segment that arrives.
async fn carry_direction(
    mut reader: OwnedReadHalf,
    mut writer: OwnedWriteHalf,
    direction: &LinkDirection,
    delay: Duration,
    on_segment: impl Fn(),
) {
    let (segment_sender, mut segment_receiver) = mpsc::channel::<(Instant, Vec<u8>)>(MAX_SEGMENTS_IN_FLIGHT);
    let read_segments = async move {
        let mut bytes = [0; SEGMENT_BYTES];
        while let Ok(len @ 1..) = reader.read(&mut bytes).await {
            on_segment();
            let left_at = direction.enter(len, Instant::now());
            if segment_sender.send((left_at + delay, bytes[..len].to_vec())).await.is_err() {
                return;
            }
            sleep_until(direction.space_at(left_at)).await;
        }
    };
    let write_segments = async move {
        while let Some((due_at, segment)) = segment_receiver.recv().await {
            sleep_until(due_at).await;
            lock_ignoring_poison(&direction.traffic).add_segment(segment.len());
            if writer.write_all(&segment).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(read_segments, write_segments);
}

fn lock_ignoring_poison<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The values are consistent at all times, so a poisoned lock is harmless.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_leave_at_the_rate_of_the_link() {
        let direction = LinkDirection::new(1000.0);
        let start = *lock_ignoring_poison(&direction.free_at);
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        assert_eq!(direction.enter(60, start), after(100));
        assert_eq!(direction.enter(960, after(3)), after(1100), "the segment queues behind the first one");
        assert_eq!(direction.enter(60, after(2000)), after(2100), "the link was idle");
        assert_eq!(direction.space_at(after(70_000)), after(6000));
    }

    #[tokio::test]
    async fn traffic_is_counted_until_the_link_is_cut() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", server.local_addr().unwrap());
        let relay = Relay::new(&url, LinkProperties { rate: 1e7, delay: Duration::ZERO }).unwrap();
        let mut refused = TcpStream::connect(relay.address).await.unwrap();
        assert_eq!(refused.read(&mut [0]).await.unwrap_or(0), 0);
        relay.open();
        let mut edge = TcpStream::connect(relay.address).await.unwrap();
        let (mut cloud, _) = server.accept().await.unwrap();
        assert_eq!(relay.first_byte_at(), None);
        let mut received = vec![0; 5000];
        edge.write_all(&[7; 5000]).await.unwrap();
        cloud.read_exact(&mut received).await.unwrap();
        assert_eq!(received, [7; 5000]);
        assert!(relay.first_byte_at().is_some());
        assert!(relay.traffic().wire_bytes_up() >= 5000 + 4 * HEADER_BYTES as u64);
        relay.cut();
        assert_eq!(edge.read(&mut [0]).await.unwrap_or(0), 0);
    }
}
