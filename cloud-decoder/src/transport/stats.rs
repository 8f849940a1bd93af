use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use super::memory_share::MemoryShare;

/// An event of a connection or a request before it reaches a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum FrontEvent {
    /// A connection was accepted.
    Accepted,
    /// An accepted connection has ended.
    Ended,
    /// A connection was closed at once: the server had reached its connection limit.
    RefusedFull,
    /// A connection was closed at once: its peer had reached its connection limit.
    RefusedPeer,
    /// The system could not accept a connection, mostly for lack of file descriptors.
    AcceptError,
    /// A TLS handshake took too long.
    HandshakeTimeout,
    /// A TLS handshake failed, for example because a client lacked a certificate.
    HandshakeFailure,
    /// A client did not send a byte in time.
    FirstByteTimeout,
    /// A client did not complete the header of a request in time.
    HeaderTimeout,
    /// A connection without requests was closed.
    IdleTimeout,
    /// A connection reached its maximum age.
    Aged,
    /// A connection was cut off at shutdown, after the drain time or by a second stop signal.
    CutOff,
    /// A request did not have a valid key.
    Unauthenticated,
    /// A request's key lacks the required scope.
    Forbidden,
    /// A request exceeded the rate of its key.
    RateLimited,
    /// A request exceeded the daily quota of its key.
    QuotaExceeded,
    /// A request was refused, because the memory for requests, or the half of its peer or key, was in use.
    MemoryRefused,
    /// The body of a request, or a message of a gRPC call, did not arrive in time.
    BodyTimeout,
    /// A client cancelled a request of an HTTP/2 connection.
    Cancelled,
    /// An HTTP/2 connection was ended, because its client cancelled too many requests.
    CancelFlood,
    /// A request named a device that its key or its client certificate does not permit.
    DeviceForbidden,
    /// A request was cut off, because its key was no longer valid.
    Revoked,
    /// A peer was told to wait, because it has sent too many invalid keys.
    FailuresLimited,
}

/// All events with their names in metrics, in the order of their numbers.
pub const FRONT_EVENTS: [(FrontEvent, &str); 23] = [
    (FrontEvent::Accepted, "accepted"),
    (FrontEvent::Ended, "ended"),
    (FrontEvent::RefusedFull, "refused_full"),
    (FrontEvent::RefusedPeer, "refused_peer"),
    (FrontEvent::AcceptError, "accept_error"),
    (FrontEvent::HandshakeTimeout, "handshake_timeout"),
    (FrontEvent::HandshakeFailure, "handshake_failure"),
    (FrontEvent::FirstByteTimeout, "first_byte_timeout"),
    (FrontEvent::HeaderTimeout, "header_timeout"),
    (FrontEvent::IdleTimeout, "idle_timeout"),
    (FrontEvent::Aged, "aged"),
    (FrontEvent::CutOff, "cut_off"),
    (FrontEvent::Unauthenticated, "unauthenticated"),
    (FrontEvent::Forbidden, "forbidden"),
    (FrontEvent::RateLimited, "rate_limited"),
    (FrontEvent::QuotaExceeded, "quota_exceeded"),
    (FrontEvent::MemoryRefused, "memory_refused"),
    (FrontEvent::BodyTimeout, "body_timeout"),
    (FrontEvent::Cancelled, "cancelled"),
    (FrontEvent::CancelFlood, "cancel_flood"),
    (FrontEvent::DeviceForbidden, "device_forbidden"),
    (FrontEvent::Revoked, "revoked"),
    (FrontEvent::FailuresLimited, "failures_limited"),
];

/// Counts of the front's events since the server started.
#[derive(Debug)]
pub struct FrontStats {
    counts: [AtomicU64; FRONT_EVENTS.len()],
    reloads: watch::Sender<ReloadCounts>,
    /// End of the validity of the served certificate, in Unix seconds; `None` if there is none, or if it is unknown.
    certificate_end: watch::Sender<Option<i64>>,
    /// The memory of the front that was started last.
    request_memory: ArcSwapOption<MemoryShare>,
}

/// Counts of reloads of watched files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReloadCounts {
    /// Reloads whose result is in use.
    pub done: u64,
    /// Reloads that failed; the previous value stayed in use.
    pub failed: u64,
}

/// The counts at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrontSnapshot {
    counts: [u64; FRONT_EVENTS.len()],
    /// Reloads of watched files.
    pub reloads: ReloadCounts,
    /// Memory that the bodies of requests occupy, in bytes.
    pub request_memory: u64,
}

impl Default for FrontStats {
    fn default() -> Self {
        Self {
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            reloads: watch::Sender::new(ReloadCounts::default()),
            certificate_end: watch::Sender::new(None),
            request_memory: ArcSwapOption::empty(),
        }
    }
}

impl FrontStats {
    /// Counts an event.
    pub fn count(&self, event: FrontEvent) {
        self.count_many(event, 1);
    }

    /// Counts an event `times` times.
    pub(crate) fn count_many(&self, event: FrontEvent, times: u64) {
        self.counts[event as usize].fetch_add(times, Ordering::Relaxed);
    }

    /// Returns the current counts.
    #[must_use]
    pub fn snapshot(&self) -> FrontSnapshot {
        let counts = std::array::from_fn(|event| self.counts[event].load(Ordering::Relaxed));
        let request_memory = self.request_memory.load().as_ref().map_or(0, |memory| memory.used() as u64);
        FrontSnapshot { counts, reloads: *self.reloads.borrow(), request_memory }
    }

    /// Returns a receiver of the reload counts.
    #[must_use]
    pub fn subscribe_reloads(&self) -> watch::Receiver<ReloadCounts> {
        self.reloads.subscribe()
    }

    /// Returns a receiver of the end of the validity of the served certificate, in Unix seconds.
    #[must_use]
    pub fn subscribe_certificate_end(&self) -> watch::Receiver<Option<i64>> {
        self.certificate_end.subscribe()
    }

    /// Stores the end of the validity of the certificate that is served from now on.
    pub(crate) fn set_certificate_end(&self, end: Option<i64>) {
        self.certificate_end.send_replace(end);
    }

    /// Includes this memory in the snapshots.
    pub(crate) fn observe_request_memory(&self, memory: &Arc<MemoryShare>) {
        self.request_memory.store(Some(Arc::clone(memory)));
    }

    pub(crate) fn count_reload(&self, succeeded: bool) {
        self.reloads
            .send_modify(|reloads| *if succeeded { &mut reloads.done } else { &mut reloads.failed } += 1);
    }
}

impl FrontSnapshot {
    /// Returns the count of an event.
    #[must_use]
    pub fn count_of(&self, event: FrontEvent) -> u64 {
        self.counts[event as usize]
    }

    /// Returns the number of open connections at that time.
    #[must_use]
    pub fn open_connections(&self) -> u64 {
        self.count_of(FrontEvent::Accepted).saturating_sub(self.count_of(FrontEvent::Ended))
    }

    /// Returns all events by name with their counts, for metrics.
    pub fn named_counts(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        FRONT_EVENTS.iter().map(|&(event, name)| (name, self.count_of(event)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_a_count_and_a_name_of_its_own() {
        let stats = FrontStats::default();
        for (number, (event, _)) in FRONT_EVENTS.into_iter().enumerate() {
            assert_eq!(event as usize, number);
            stats.count_many(event, number as u64 + 1);
        }
        let counts: Vec<u64> = stats.snapshot().named_counts().map(|(_, count)| count).collect();
        assert_eq!(counts, (1..=FRONT_EVENTS.len() as u64).collect::<Vec<_>>());
    }
}
