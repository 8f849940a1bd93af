//! Flow control: the bound on bytes in flight.
//!
//! Bytes in flight delay everything behind them, whatever its priority; too few of them leave the link idle
//! between a message and its acknowledgement. The window is therefore one and a half times the
//! bandwidth-delay product of the link: the highest recent acknowledgement rate times the shortest recent
//! round-trip time (as in BBR, Cardwell and others, "BBR: Congestion-Based Congestion Control", 2016). A full
//! window delays every message, so the window is drained from time to time to measure the round-trip time
//! again.
//!
//! Small messages are coalesced, as in Nagle's algorithm (RFC 896): a message is sent at once if nothing is
//! in flight, and further ones as soon as a full message has gathered. A fast link is therefore used
//! immediately, and on a slow link many frames share a message. Urgent messages do not wait, and no message
//! waits for less important records that would be sent before it.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// The smallest and the largest window, in bytes.
const WINDOW_BYTES: [u64; 2] = [8 << 10, 1 << 20];
/// The window before the first measurement, in bytes.
const FIRST_WINDOW_BYTES: u64 = 16 << 10;
/// Number of messages that share a window.
const MESSAGES_PER_WINDOW: u64 = 4;
/// The largest message, in bytes.
const MAX_MESSAGE_BYTES: u64 = 32 << 10;
/// Maximum number of messages in flight, whatever their size.
const MAX_IN_FLIGHT: usize = 64;
/// The window while the round-trip time is being measured, in bytes.
const PROBE_WINDOW_BYTES: u64 = WINDOW_BYTES[0] / 2;
/// The window as a multiple of the bandwidth-delay product.
const WINDOW_GAIN: f64 = 1.5;
/// Lifetime of a measured rate and of a measured round-trip time.
const MEASUREMENT_LIFETIME: Duration = Duration::from_secs(10);

/// A message in flight.
#[derive(Debug)]
struct InFlightMessage {
    bytes: u64,
    sent_at: Instant,
    /// Bytes acknowledged when it was sent, and the time of the last progress before that.
    acknowledged: u64,
    rate_start: Instant,
    /// Whether it measures the round-trip time of the link: hardly anything was in flight before it.
    is_probe: bool,
}

/// The messages in flight on one connection, and the bound on them.
#[derive(Debug)]
pub struct Flow {
    in_flight: VecDeque<InFlightMessage>,
    bytes_in_flight: u64,
    bytes_acknowledged: u64,
    /// Time of the last progress: an acknowledgement, or the first message after an idle time.
    last_progress_at: Instant,
    rates: RecentRates,
    /// The shortest time between a message and its acknowledgement, and the time of that measurement.
    shortest_round_trip: Option<(Duration, Instant)>,
    /// Whether the round-trip time is to be measured again.
    needs_probe: bool,
}

impl Flow {
    /// Creates a flow with nothing in flight and nothing measured.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            in_flight: VecDeque::new(),
            bytes_in_flight: 0,
            bytes_acknowledged: 0,
            last_progress_at: now,
            rates: RecentRates::default(),
            shortest_round_trip: None,
            needs_probe: false,
        }
    }

    /// Returns the maximum size of a message in bytes, unless its first frame is larger.
    #[must_use]
    pub fn message_limit(&self) -> u64 {
        (self.window_bytes() / MESSAGES_PER_WINDOW).min(MAX_MESSAGE_BYTES)
    }

    /// Returns whether any message may be sent now.
    #[must_use]
    pub fn can_send(&self, is_urgent: bool) -> bool {
        let bytes = if is_urgent { 1 } else { self.full_message_bytes() };
        self.can_send_message(bytes, bytes, is_urgent)
    }

    /// Returns whether a message of `bytes` bytes may be sent now; `gathered_bytes` counts the bytes that wait
    /// with it and behind it.
    #[must_use]
    pub fn can_send_message(&self, bytes: u64, gathered_bytes: u64, is_urgent: bool) -> bool {
        // Urgent messages have an allowance of one more message.
        let limit = self.window_bytes() + if is_urgent { self.message_limit() } else { 0 };
        let is_due = is_urgent || self.is_full_message(gathered_bytes);
        self.in_flight.is_empty()
            || self.in_flight.len() < MAX_IN_FLIGHT && self.bytes_in_flight + bytes <= limit && is_due
    }

    /// Returns whether this many bytes are sent without waiting for more.
    #[must_use]
    pub fn is_full_message(&self, bytes: u64) -> bool {
        bytes >= self.full_message_bytes()
    }

    /// Records that a message of this many bytes is sent.
    pub fn send(&mut self, bytes: u64, now: Instant) {
        if self.in_flight.is_empty() {
            // Time without anything to send must not count in the rate of the link.
            self.last_progress_at = now;
        }
        self.bytes_in_flight += bytes;
        let is_probe =
            self.needs_probe && (self.bytes_in_flight <= PROBE_WINDOW_BYTES || self.in_flight.is_empty());
        self.needs_probe &= !is_probe;
        let (acknowledged, rate_start) = (self.bytes_acknowledged, self.last_progress_at);
        self.in_flight.push_back(InFlightMessage { bytes, sent_at: now, acknowledged, rate_start, is_probe });
    }

    /// Records that the oldest message in flight is acknowledged. Returns false if nothing is in flight.
    pub fn acknowledge(&mut self, now: Instant) -> bool {
        let Some(oldest) = self.in_flight.pop_front() else { return false };
        self.bytes_in_flight -= oldest.bytes;
        self.bytes_acknowledged += oldest.bytes;
        self.last_progress_at = now;
        let elapsed = (now - oldest.rate_start).as_secs_f64().max(1e-6);
        self.rates.push(now, (self.bytes_acknowledged - oldest.acknowledged) as f64 / elapsed);
        self.record_round_trip(now - oldest.sent_at, oldest.is_probe, now);
        true
    }

    /// Returns the time since which the oldest message in flight has been waiting for progress; `None` if
    /// nothing is in flight.
    #[must_use]
    pub fn waiting_since(&self) -> Option<Instant> {
        // Any acknowledgement is progress.
        self.in_flight.front().map(|sent| sent.sent_at.max(self.last_progress_at))
    }

    /// Returns the highest recent acknowledgement rate in bytes per second; 0 before the first
    /// acknowledgement.
    #[must_use]
    pub fn recent_rate(&self) -> f64 {
        self.rates.largest()
    }

    /// Returns the shortest recent time between a message and its acknowledgement; `None` before the first
    /// one.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.shortest_round_trip.map(|(time, _)| time)
    }

    fn record_round_trip(&mut self, round_trip: Duration, is_probe: bool, now: Instant) {
        match self.shortest_round_trip {
            Some((shortest, measured_at)) if round_trip > shortest && !is_probe => {
                self.needs_probe |= now - measured_at > MEASUREMENT_LIFETIME;
            }
            _ => self.shortest_round_trip = Some((round_trip, now)),
        }
    }

    /// Returns the number of bytes from which on a message does not wait for more.
    fn full_message_bytes(&self) -> u64 {
        3 * self.message_limit() / 4
    }

    fn window_bytes(&self) -> u64 {
        match self.shortest_round_trip {
            _ if self.needs_probe => PROBE_WINDOW_BYTES,
            Some((round_trip, _)) => ((WINDOW_GAIN * self.recent_rate() * round_trip.as_secs_f64()) as u64)
                .clamp(WINDOW_BYTES[0], WINDOW_BYTES[1]),
            None => FIRST_WINDOW_BYTES,
        }
    }
}

/// Recent rates, as a queue whose front is the largest.
#[derive(Debug, Default)]
struct RecentRates(VecDeque<(Instant, f64)>);

impl RecentRates {
    fn push(&mut self, now: Instant, rate: f64) {
        // An older and smaller rate can never become the largest again.
        while self.0.back().is_some_and(|&(_, last)| last <= rate) {
            self.0.pop_back();
        }
        self.0.push_back((now, rate));
        while self.0.len() > 1 && self.0.front().is_some_and(|&(time, _)| now - time > MEASUREMENT_LIFETIME) {
            self.0.pop_front();
        }
    }

    fn largest(&self) -> f64 {
        self.0.front().map_or(0.0, |&(_, rate)| rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Simulates a link of `rate` bytes per second and of the one-way delay `delay` that always has data to
    /// send. Returns the used share of the link, and the longest wait behind the bytes in flight.
    fn saturate(rate: f64, delay: Duration, seconds: u64) -> (f64, Duration) {
        let start = Instant::now();
        let (mut flow, mut now, mut free_at) = (Flow::new(start), start, start);
        let mut arrivals = VecDeque::new();
        let (mut delivered, mut longest) = (0, Duration::ZERO);
        let end = start + Duration::from_secs(seconds);
        while now < end {
            let bytes = flow.message_limit();
            if flow.can_send_message(bytes, bytes, false) {
                flow.send(bytes, now);
                free_at = free_at.max(now) + Duration::from_secs_f64(bytes as f64 / rate);
                longest = longest.max(free_at - now);
                arrivals.push_back((free_at + 2 * delay, bytes));
            } else {
                let (arrival, bytes) = arrivals.pop_front().unwrap();
                now = arrival;
                delivered += bytes;
                assert!(flow.acknowledge(now));
            }
        }
        (delivered as f64 / (rate * seconds as f64), longest)
    }

    #[test]
    fn slow_and_fast_links_are_used_with_short_queues() {
        for (rate, delay_ms) in [(8e3, 20), (125e3, 5), (125e3, 150), (1.25e6, 20), (12.5e6, 10)] {
            let (utilisation, longest) = saturate(rate, Duration::from_millis(delay_ms), 60);
            assert!(utilisation > 0.93, "{rate} bytes/s, {delay_ms} ms: {utilisation} used");
            let limit =
                Duration::from_millis(3 * delay_ms + 200).max(Duration::from_secs_f64(16384.0 / rate));
            assert!(longest <= limit, "{rate} bytes/s, {delay_ms} ms: {longest:?} wait");
        }
    }

    #[test]
    fn a_link_of_one_megabit_is_used_and_urgent_records_take_less_than_a_second() {
        for round_trip in [20, 50, 100, 200, 300, 400] {
            let round_trip = Duration::from_millis(round_trip);
            let (utilisation, longest) = saturate(125e3, round_trip / 2, 60);
            let acknowledged = longest + round_trip;
            assert!(utilisation >= 0.9, "{round_trip:?}: {utilisation} used");
            assert!(acknowledged < Duration::from_secs(1), "{round_trip:?}: {acknowledged:?}");
        }
    }

    #[test]
    fn a_longer_round_trip_is_measured_again() {
        let mut now = Instant::now();
        let mut flow = Flow::new(now);
        for delay_ms in [20, 400] {
            let rounds = 60_000 / delay_ms;
            for _ in 0..rounds {
                while flow.can_send_message(flow.message_limit(), flow.message_limit(), false) {
                    flow.send(flow.message_limit(), now);
                }
                now += Duration::from_millis(delay_ms);
                while flow.acknowledge(now) {}
            }
            assert_eq!(flow.round_trip(), Some(Duration::from_millis(delay_ms)));
        }
    }

    #[test]
    fn small_messages_are_gathered_and_urgent_ones_are_not() {
        let now = Instant::now();
        let mut flow = Flow::new(now);
        assert!(flow.can_send_message(40, 40, false), "nothing is in flight");
        flow.send(40, now);
        assert!(!flow.can_send_message(40, 40, false));
        assert!(flow.can_send_message(40, 40, true));
        assert!(
            flow.can_send_message(40, flow.message_limit(), false),
            "less important frames would be sent before it"
        );
        assert!(flow.can_send_message(flow.message_limit(), flow.message_limit(), false), "a whole message");
        flow.acknowledge(now + Duration::from_millis(30));
        assert!(flow.can_send_message(40, 40, false));
        assert!(!flow.acknowledge(now), "nothing is in flight");
    }

    #[test]
    fn a_full_window_admits_urgent_messages() {
        let now = Instant::now();
        let mut flow = Flow::new(now);
        while flow.can_send_message(flow.message_limit(), flow.message_limit(), false) {
            flow.send(flow.message_limit(), now);
        }
        assert!(flow.can_send_message(flow.message_limit(), flow.message_limit(), true));
        flow.send(flow.message_limit(), now);
        assert!(!flow.can_send_message(flow.message_limit(), flow.message_limit(), true));
    }

    #[test]
    fn the_number_of_small_messages_is_limited() {
        let now = Instant::now();
        let mut flow = Flow::new(now);
        let count = std::iter::from_fn(|| flow.can_send_message(10, 10, true).then(|| flow.send(10, now)))
            .take(1000)
            .count();
        assert_eq!(count, MAX_IN_FLIGHT);
    }
}
