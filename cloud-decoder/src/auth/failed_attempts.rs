//! Invalid keys, counted by the peer that sends them.
//!
//! Each peer may fail [`BURST`] times at once and then [`ATTEMPTS_PER_SECOND`] times per second; further failures
//! are told to wait. A valid key is admitted regardless of failures, so that a client that guesses keys does not lock
//! out others behind the same address. The log has a line when a peer fails for the first time, and then one per
//! minute with the number of failures.
//!
//! Memory and log are bounded: [`MAX_PEERS`] peers are remembered, of which the oldest makes room for a new one, and
//! [`MAX_LINES`] lines are logged per minute. Failures without a line of their own are logged as a sum.

use std::{
    collections::{HashMap, VecDeque},
    fmt::{self, Display, Formatter},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use tokio::time::{MissedTickBehavior, interval};

/// Failures of a peer at once after a pause.
const BURST: f64 = 20.0;
const ATTEMPTS_PER_SECOND: f64 = 1.0;
/// Maximum number of peers that are remembered.
const MAX_PEERS: usize = 4096;
/// Maximum number of lines per interval that name a peer.
const MAX_LINES: usize = 64;
/// Minimum time between two lines about the same peer.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// An address as [`ConnectionPeer`](crate::transport::ConnectionPeer) has it; `None` if it is not known.
pub(super) type PeerAddress = Option<IpAddr>;

/// The failed attempts of all peers.
#[derive(Debug, Default)]
pub(super) struct FailedAttempts(Mutex<AttemptTable>);

#[derive(Debug, Default)]
struct AttemptTable {
    peers: HashMap<PeerAddress, PeerAttempts>,
    /// The remembered peers, the oldest first.
    order: VecDeque<PeerAddress>,
    /// Failures of forgotten peers that were not logged.
    forgotten: u64,
    /// Lines logged in this interval.
    lines: usize,
}

#[derive(Debug)]
struct PeerAttempts {
    /// Attempts left in the bucket at that time.
    tokens: f64,
    refilled: Instant,
    /// Failures since the last line of the log.
    unlogged: u64,
    /// Time of the last line of the log.
    logged: Option<Instant>,
}

/// A line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FailureLine {
    Peer {
        peer: PeerAddress,
        failures: u64,
    },
    /// The failures of peers without a line of their own.
    Others {
        failures: u64,
    },
}

/// A peer as it is displayed: with the length of its network, if it is one.
struct DisplayedPeer(PeerAddress);

impl FailedAttempts {
    /// Creates an empty table, and logs its failures at every interval until it is dropped.
    pub(super) fn start() -> Arc<Self> {
        let attempts = Arc::new(Self::default());
        tokio::spawn(log_regularly(Arc::downgrade(&attempts)));
        attempts
    }

    /// Records an invalid key. Returns the time to wait if the peer has used up its attempts.
    pub(super) fn record(&self, peer: PeerAddress, now: Instant) -> Result<(), Duration> {
        let (result, line) = self.lock().record(peer, now);
        if let Some(line) = line {
            line.log();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, AttemptTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Logs the failures at every interval, for as long as the table exists.
async fn log_regularly(attempts: Weak<FailedAttempts>) {
    let mut ticks = interval(LOG_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(attempts) = attempts.upgrade() else { return };
        let lines = attempts.lock().begin_interval(Instant::now());
        lines.into_iter().for_each(FailureLine::log);
    }
}

impl AttemptTable {
    fn record(&mut self, peer: PeerAddress, now: Instant) -> (Result<(), Duration>, Option<FailureLine>) {
        if !self.peers.contains_key(&peer) {
            self.make_room();
            self.order.push_back(peer);
        }
        let attempts = self.peers.entry(peer).or_insert_with(|| PeerAttempts::new(now));
        let result = attempts.take_token(now);
        attempts.unlogged += 1;
        let line = if self.lines < MAX_LINES { attempts.take_line(peer, now) } else { None };
        self.lines += usize::from(line.is_some());
        (result, line)
    }

    /// Forgets the oldest peer if the table is full.
    fn make_room(&mut self) {
        if self.order.len() < MAX_PEERS {
            return;
        }
        let oldest = self.order.pop_front().and_then(|oldest| self.peers.remove(&oldest));
        self.forgotten += oldest.map_or(0, |attempts| attempts.unlogged);
    }

    /// Returns the lines that are due, and forgets peers that have not failed for a while.
    fn begin_interval(&mut self, now: Instant) -> Vec<FailureLine> {
        let mut lines = Vec::new();
        let mut others = std::mem::take(&mut self.forgotten);
        for (&peer, attempts) in &mut self.peers {
            if lines.len() < MAX_LINES {
                lines.extend(attempts.take_line(peer, now));
            } else {
                others += std::mem::take(&mut attempts.unlogged);
            }
        }
        lines.extend((others > 0).then_some(FailureLine::Others { failures: others }));
        self.peers.retain(|_, attempts| !attempts.is_forgettable(now));
        self.order.retain(|peer| self.peers.contains_key(peer));
        self.lines = 0;
        lines
    }
}

impl PeerAttempts {
    fn new(now: Instant) -> Self {
        Self { tokens: BURST, refilled: now, unlogged: 0, logged: None }
    }

    fn take_token(&mut self, now: Instant) -> Result<(), Duration> {
        self.refill(now);
        if self.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.tokens) / ATTEMPTS_PER_SECOND));
        }
        self.tokens -= 1.0;
        Ok(())
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.tokens = (self.tokens + elapsed * ATTEMPTS_PER_SECOND).min(BURST);
        self.refilled = now;
    }

    /// Returns the line about failures that were not logged, if the last line is old enough.
    fn take_line(&mut self, peer: PeerAddress, now: Instant) -> Option<FailureLine> {
        if self.unlogged == 0 || !self.may_log(now) {
            return None;
        }
        self.logged = Some(now);
        Some(FailureLine::Peer { peer, failures: std::mem::take(&mut self.unlogged) })
    }

    /// Returns whether a new entry would be the same.
    fn is_forgettable(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.unlogged == 0 && self.may_log(now) && self.tokens >= BURST
    }

    fn may_log(&self, now: Instant) -> bool {
        self.logged.is_none_or(|logged| now.saturating_duration_since(logged) >= LOG_INTERVAL)
    }
}

impl FailureLine {
    fn log(self) {
        match self {
            Self::Peer { peer, failures } => {
                tracing::warn!(peer = %DisplayedPeer(peer), failures, "refused invalid API keys");
            }
            Self::Others { failures } => {
                tracing::warn!(failures, "refused invalid API keys of further peers");
            }
        }
    }
}

impl Display for DisplayedPeer {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => formatter.write_str("unknown"),
            Some(IpAddr::V4(address)) => write!(formatter, "{address}"),
            Some(IpAddr::V6(network)) => write!(formatter, "{network}/64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use proptest::prelude::*;

    use super::*;

    // A peer with a known address, as the calls take it.
    #[allow(clippy::unnecessary_wraps)]
    fn peer(number: u32) -> PeerAddress {
        Some(IpAddr::V6(Ipv6Addr::from_bits(u128::from(number) << 64)))
    }

    #[test]
    fn failures_beyond_a_burst_wait_for_a_second_each() {
        let (attempts, start) = (FailedAttempts::default(), Instant::now());
        for _ in 0..20 {
            assert_eq!(attempts.record(peer(1), start), Ok(()));
        }
        assert_eq!(attempts.record(peer(1), start), Err(Duration::from_secs(1)));
        assert_eq!(attempts.record(peer(2), start), Ok(()), "other peers are not affected");
        let later = start + Duration::from_millis(1500);
        assert_eq!(attempts.record(peer(1), later), Ok(()));
        assert_eq!(attempts.record(peer(1), later), Err(Duration::from_millis(500)));
        let after_pause = start + Duration::from_hours(1);
        let accepted = (0..30).filter(|_| attempts.record(peer(1), after_pause).is_ok()).count();
        assert_eq!(accepted, 20, "a pause saves up at most one burst");
    }

    #[test]
    fn a_peer_has_a_line_at_once_and_then_one_per_minute() {
        let (mut table, start) = (AttemptTable::default(), Instant::now());
        let line = |failures| FailureLine::Peer { peer: peer(1), failures };
        assert_eq!(table.record(peer(1), start).1, Some(line(1)));
        for _ in 0..5000 {
            assert_eq!(table.record(peer(1), start).1, None);
        }
        assert!(table.begin_interval(start + LOG_INTERVAL / 2).is_empty());
        assert_eq!(table.begin_interval(start + LOG_INTERVAL), [line(5000)]);
        assert!(table.begin_interval(start + LOG_INTERVAL * 2).is_empty(), "nothing is logged twice");
        assert!(table.peers.is_empty() && table.order.is_empty(), "peers without failures are forgotten");
    }

    #[test]
    fn memory_and_log_are_bounded_and_no_failure_is_lost() {
        let (mut table, start) = (AttemptTable::default(), Instant::now());
        let total = 3 * MAX_PEERS as u32;
        let mut lines: Vec<_> = (0..total).filter_map(|number| table.record(peer(number), start).1).collect();
        assert_eq!((lines.len(), table.peers.len(), table.order.len()), (MAX_LINES, MAX_PEERS, MAX_PEERS));
        assert!(!table.peers.contains_key(&peer(0)) && table.peers.contains_key(&peer(total - 1)));
        lines.extend(table.begin_interval(start + LOG_INTERVAL));
        assert_eq!(lines.len(), 2 * MAX_LINES + 1);
        let logged: u64 = lines
            .iter()
            .map(|line| match line {
                FailureLine::Peer { failures, .. } | FailureLine::Others { failures } => failures,
            })
            .sum();
        assert_eq!(logged, u64::from(total));
    }

    #[test]
    fn peers_are_displayed_as_addresses_or_networks() {
        for (peer, expected) in
            [(None, "unknown"), (Some(IpAddr::from([10, 0, 0, 7])), "10.0.0.7"), (peer(1), "0:0:0:1::/64")]
        {
            assert_eq!(DisplayedPeer(peer).to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn a_peer_never_exceeds_its_attempts(pauses in prop::collection::vec(0u64..1500, 1..200)) {
            let (mut table, start) = (AttemptTable::default(), Instant::now());
            let (mut elapsed, mut accepted) = (Duration::ZERO, 0u32);
            for (index, pause) in pauses.into_iter().enumerate() {
                elapsed += Duration::from_millis(pause);
                accepted += u32::from(table.record(peer(1), start + elapsed).0.is_ok());
                if index % 7 == 0 {
                    table.begin_interval(start + elapsed);
                }
                let limit = BURST + ATTEMPTS_PER_SECOND * elapsed.as_secs_f64();
                prop_assert!(f64::from(accepted) <= limit + 1e-6, "{accepted} of {limit}");
            }
        }
    }
}
