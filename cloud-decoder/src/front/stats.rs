use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// Something that happens to connections or requests before a handler sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Event {
    /// A connection was taken.
    Accepted,
    /// A connection that was taken has ended.
    Ended,
    /// A connection was closed at once: the server had its full number.
    RefusedFull,
    /// A connection was closed at once: its peer had its full number.
    RefusedPeer,
    /// The system gave no connection, mostly because no file descriptor was left.
    AcceptError,
    /// A TLS handshake took too long.
    HandshakeTimeout,
    /// A TLS handshake failed, for one because a client had no certificate.
    HandshakeFailure,
    /// A client sent nothing.
    FirstByteTimeout,
    /// A client did not finish the header of a request.
    HeaderTimeout,
    /// A connection without requests was closed.
    IdleTimeout,
    /// A connection reached its greatest age.
    Aged,
    /// A connection was cut off because the drain time was over.
    CutOff,
    /// A request had no key, or a wrong one.
    Unauthenticated,
    /// A request's key lacks the scope.
    Forbidden,
    /// A request came too early for its key's rate.
    RateLimited,
    /// A request's key had used its quota up.
    QuotaExceeded,
}

/// All events, in the order of their numbers.
pub const EVENTS: [(Event, &str); 16] = [
    (Event::Accepted, "accepted"),
    (Event::Ended, "ended"),
    (Event::RefusedFull, "refused_full"),
    (Event::RefusedPeer, "refused_peer"),
    (Event::AcceptError, "accept_error"),
    (Event::HandshakeTimeout, "handshake_timeout"),
    (Event::HandshakeFailure, "handshake_failure"),
    (Event::FirstByteTimeout, "first_byte_timeout"),
    (Event::HeaderTimeout, "header_timeout"),
    (Event::IdleTimeout, "idle_timeout"),
    (Event::Aged, "aged"),
    (Event::CutOff, "cut_off"),
    (Event::Unauthenticated, "unauthenticated"),
    (Event::Forbidden, "forbidden"),
    (Event::RateLimited, "rate_limited"),
    (Event::QuotaExceeded, "quota_exceeded"),
];

/// Counts of what the front has done since the server started.
#[derive(Debug)]
pub struct FrontStats {
    counts: [AtomicU64; EVENTS.len()],
    reloads: watch::Sender<Reloads>,
}

/// How often files that are followed were read anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reloads {
    /// What was read is in use.
    pub done: u64,
    /// What was read is broken, and what was there before stays in use.
    pub failed: u64,
}

/// The counts at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    counts: [u64; EVENTS.len()],
    /// Files read anew.
    pub reloads: Reloads,
}

impl Default for FrontStats {
    fn default() -> Self {
        Self {
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            reloads: watch::Sender::new(Reloads::default()),
        }
    }
}

impl FrontStats {
    /// Counts an event.
    pub fn count(&self, event: Event) {
        self.add(event, 1);
    }

    /// Counts an event several times.
    pub(crate) fn add(&self, event: Event, times: u64) {
        self.counts[event as usize].fetch_add(times, Ordering::Relaxed);
    }

    /// The counts now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let counts = std::array::from_fn(|event| self.counts[event].load(Ordering::Relaxed));
        Snapshot { counts, reloads: *self.reloads.borrow() }
    }

    /// Follows how often files were read anew.
    #[must_use]
    pub fn reloads(&self) -> watch::Receiver<Reloads> {
        self.reloads.subscribe()
    }

    pub(crate) fn reloaded(&self, done: bool) {
        self.reloads.send_modify(|reloads| *if done { &mut reloads.done } else { &mut reloads.failed } += 1);
    }
}

impl Snapshot {
    /// How often an event has happened.
    #[must_use]
    pub fn of(&self, event: Event) -> u64 {
        self.counts[event as usize]
    }

    /// Connections open at that moment.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.of(Event::Accepted).saturating_sub(self.of(Event::Ended))
    }

    /// All events by name, for metrics.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        EVENTS.iter().map(|&(event, name)| (name, self.of(event)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_a_count_and_a_name_of_its_own() {
        let stats = FrontStats::default();
        for (number, (event, _)) in EVENTS.into_iter().enumerate() {
            assert_eq!(event as usize, number);
            stats.add(event, number as u64 + 1);
        }
        let counts: Vec<u64> = stats.snapshot().all().map(|(_, count)| count).collect();
        assert_eq!(counts, (1..=EVENTS.len() as u64).collect::<Vec<_>>());
    }
}
