//! How much may be under way.
//!
//! What is under way delays everything behind it, however important; too little of it leaves the link idle between a
//! message and its acknowledgement. So the window is one and a half times the link's bandwidth-delay product: the largest
//! rate at which acknowledgements came lately, times the shortest time that one took (as in BBR, Cardwell and others, "BBR:
//! Congestion-Based Congestion Control", 2016). A full window makes every message wait, so from time to time it is let run
//! empty, and the time is measured anew.
//!
//! Small messages wait for each other, as in Nagle's algorithm (RFC 896): one goes at once when nothing is under way,
//! further ones when a whole message has gathered. So a quick link is used at once, and on a slow one many frames share a
//! message. What is important does not wait, and nothing waits for what is less important to go before it.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// The smallest and the largest window, in bytes.
const WINDOW: [u64; 2] = [8 << 10, 1 << 20];
/// The window before anything is known.
const FIRST_WINDOW: u64 = 16 << 10;
/// Messages that share a window.
const SHARES: u64 = 4;
/// The largest message, in bytes.
const MESSAGE: u64 = 32 << 10;
/// How many messages may be under way, however small.
const MOST: usize = 64;
/// How much may be under way while the time is measured.
const PROBE: u64 = WINDOW[0] / 2;
/// The window as a multiple of the bandwidth-delay product.
const GAIN: f64 = 1.5;
/// How long a measured rate and time are believed.
const MEMORY: Duration = Duration::from_secs(10);

/// A message under way.
#[derive(Debug)]
struct Sent {
    bytes: u64,
    at: Instant,
    /// Bytes acknowledged when it went, and since when.
    acknowledged: u64,
    since: Instant,
    /// Whether it tells how long the link is: hardly anything was before it.
    is_probe: bool,
}

/// What is under way on one connection, and how much may be.
#[derive(Debug)]
pub struct Flow {
    sent: VecDeque<Sent>,
    bytes: u64,
    acknowledged: u64,
    /// When the last acknowledgement came.
    since: Instant,
    rates: Rates,
    /// The shortest time from a message to its acknowledgement, and when it was measured.
    time: Option<(Duration, Instant)>,
    /// Whether it is to be measured anew.
    probes: bool,
}

impl Flow {
    /// Nothing is under way or known.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            sent: VecDeque::new(),
            bytes: 0,
            acknowledged: 0,
            since: now,
            rates: Rates::default(),
            time: None,
            probes: false,
        }
    }

    /// How large a message is at most, in bytes, if its first frame is not larger.
    #[must_use]
    pub fn message(&self) -> u64 {
        (self.window() / SHARES).min(MESSAGE)
    }

    /// Whether any message goes now.
    #[must_use]
    pub fn has_room(&self, urgent: bool) -> bool {
        let bytes = if urgent { 1 } else { self.whole() };
        self.admits(bytes, bytes, urgent)
    }

    /// Whether a message of so many bytes goes now; `gathered` are those that wait with it and behind it.
    #[must_use]
    pub fn admits(&self, bytes: u64, gathered: u64, urgent: bool) -> bool {
        // What is important has a place of its own.
        let room = self.window() + if urgent { self.message() } else { 0 };
        let is_due = urgent || self.is_whole(gathered);
        self.sent.is_empty() || self.sent.len() < MOST && self.bytes + bytes <= room && is_due
    }

    /// Whether so many bytes do not wait for more.
    #[must_use]
    pub fn is_whole(&self, bytes: u64) -> bool {
        bytes >= self.whole()
    }

    /// A message of so many bytes goes.
    pub fn send(&mut self, bytes: u64, now: Instant) {
        if self.sent.is_empty() {
            // The time in which there was nothing to send says nothing of the link.
            self.since = now;
        }
        self.bytes += bytes;
        let is_probe = self.probes && (self.bytes <= PROBE || self.sent.is_empty());
        self.probes &= !is_probe;
        let (acknowledged, since) = (self.acknowledged, self.since);
        self.sent.push_back(Sent { bytes, at: now, acknowledged, since, is_probe });
    }

    /// The oldest message under way is acknowledged. False when there is none.
    pub fn acknowledge(&mut self, now: Instant) -> bool {
        let Some(oldest) = self.sent.pop_front() else { return false };
        self.bytes -= oldest.bytes;
        self.acknowledged += oldest.bytes;
        self.since = now;
        let elapsed = (now - oldest.since).as_secs_f64().max(1e-6);
        self.rates.push(now, (self.acknowledged - oldest.acknowledged) as f64 / elapsed);
        self.measured(now - oldest.at, oldest.is_probe, now);
        true
    }

    /// When the oldest message under way went.
    #[must_use]
    pub fn waiting_since(&self) -> Option<Instant> {
        // Acknowledgements that come at all are progress.
        self.sent.front().map(|sent| sent.at.max(self.since))
    }

    /// Bytes a second that were acknowledged lately, at best; 0 when nothing was.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rates.largest()
    }

    /// The shortest time lately from a message to its acknowledgement.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.time.map(|(time, _)| time)
    }

    fn measured(&mut self, time: Duration, is_probe: bool, now: Instant) {
        match self.time {
            Some((least, at)) if time > least && !is_probe => self.probes |= now - at > MEMORY,
            _ => self.time = Some((time, now)),
        }
    }

    /// From how many bytes on a message does not wait for more.
    fn whole(&self) -> u64 {
        3 * self.message() / 4
    }

    fn window(&self) -> u64 {
        match self.time {
            _ if self.probes => PROBE,
            Some((time, _)) => ((GAIN * self.rate() * time.as_secs_f64()) as u64).clamp(WINDOW[0], WINDOW[1]),
            None => FIRST_WINDOW,
        }
    }
}

/// Rates of late, of which the largest counts.
#[derive(Debug, Default)]
struct Rates(VecDeque<(Instant, f64)>);

impl Rates {
    fn push(&mut self, now: Instant, rate: f64) {
        // What is smaller and older never counts again.
        while self.0.back().is_some_and(|&(_, last)| last <= rate) {
            self.0.pop_back();
        }
        self.0.push_back((now, rate));
        while self.0.len() > 1 && self.0.front().is_some_and(|&(at, _)| now - at > MEMORY) {
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

    /// A link of so many bytes a second and so long a way, with all there is to send: the share of the link that is
    /// used, and the longest that anything waits behind what is under way.
    fn saturate(rate: f64, way: Duration, seconds: u64) -> (f64, Duration) {
        let start = Instant::now();
        let (mut flow, mut now, mut free) = (Flow::new(start), start, start);
        let mut arrivals = VecDeque::new();
        let (mut delivered, mut longest) = (0, Duration::ZERO);
        let end = start + Duration::from_secs(seconds);
        while now < end {
            let bytes = flow.message();
            if flow.admits(bytes, bytes, false) {
                flow.send(bytes, now);
                free = free.max(now) + Duration::from_secs_f64(bytes as f64 / rate);
                longest = longest.max(free - now);
                arrivals.push_back((free + 2 * way, bytes));
            } else {
                let (at, bytes) = arrivals.pop_front().unwrap();
                now = at;
                delivered += bytes;
                assert!(flow.acknowledge(now));
            }
        }
        (delivered as f64 / (rate * seconds as f64), longest)
    }

    #[test]
    fn slow_and_quick_links_are_used_and_little_waits_in_them() {
        for (rate, way) in [(8e3, 20), (125e3, 5), (125e3, 150), (1.25e6, 20), (12.5e6, 10)] {
            let (used, longest) = saturate(rate, Duration::from_millis(way), 60);
            assert!(used > 0.93, "{rate} bytes/s, {way} ms: {used} used");
            let limit = Duration::from_millis(3 * way + 200).max(Duration::from_secs_f64(16384.0 / rate));
            assert!(longest <= limit, "{rate} bytes/s, {way} ms: {longest:?} wait");
        }
    }

    #[test]
    fn a_link_of_one_megabit_is_used_and_what_is_important_takes_less_than_a_second() {
        for round_trip in [20, 50, 100, 200, 300, 400] {
            let round_trip = Duration::from_millis(round_trip);
            let (used, longest) = saturate(125e3, round_trip / 2, 60);
            let acknowledged = longest + round_trip;
            assert!(used >= 0.9, "{round_trip:?}: {used} used");
            assert!(acknowledged < Duration::from_secs(1), "{round_trip:?}: {acknowledged:?}");
        }
    }

    #[test]
    fn a_link_that_has_become_longer_is_measured_anew() {
        let mut now = Instant::now();
        let mut flow = Flow::new(now);
        for way in [20, 400] {
            let rounds = 60_000 / way;
            for _ in 0..rounds {
                while flow.admits(flow.message(), flow.message(), false) {
                    flow.send(flow.message(), now);
                }
                now += Duration::from_millis(way);
                while flow.acknowledge(now) {}
            }
            assert_eq!(flow.round_trip(), Some(Duration::from_millis(way)));
        }
    }

    #[test]
    fn small_messages_wait_for_each_other_and_important_ones_do_not() {
        let now = Instant::now();
        let mut flow = Flow::new(now);
        assert!(flow.admits(40, 40, false), "nothing is under way");
        flow.send(40, now);
        assert!(!flow.admits(40, 40, false));
        assert!(flow.admits(40, 40, true));
        assert!(flow.admits(40, flow.message(), false), "less important ones would go before it");
        assert!(flow.admits(flow.message(), flow.message(), false), "a whole message");
        flow.acknowledge(now + Duration::from_millis(30));
        assert!(flow.admits(40, 40, false));
        assert!(!flow.acknowledge(now), "nothing is under way");
    }

    #[test]
    fn a_full_window_has_a_place_for_what_is_important() {
        let now = Instant::now();
        let mut flow = Flow::new(now);
        while flow.admits(flow.message(), flow.message(), false) {
            flow.send(flow.message(), now);
        }
        assert!(flow.admits(flow.message(), flow.message(), true));
        flow.send(flow.message(), now);
        assert!(!flow.admits(flow.message(), flow.message(), true));
    }

    #[test]
    fn small_messages_have_a_bound_too() {
        let now = Instant::now();
        let mut flow = Flow::new(now);
        let sent =
            std::iter::from_fn(|| flow.admits(10, 10, true).then(|| flow.send(10, now))).take(1000).count();
        assert_eq!(sent, MOST);
    }
}
