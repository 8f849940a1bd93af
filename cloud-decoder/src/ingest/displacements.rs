//! How often devices displace their own connections. A device that reconnects after its link broke displaces its old
//! connection. Two devices with one name displace each other again and again, and neither of them gets far.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    time::{Duration, Instant},
};

/// The time within which displacements are counted, and after which the operator is warned again.
const WINDOW: Duration = Duration::from_mins(1);
/// Maximum number of displacements within the window without a warning.
pub(super) const MAX_PER_WINDOW: usize = 3;
/// Number of devices up to which old entries may stay.
const MIN_CLEANUP_LEN: usize = 64;

/// The displacements of all devices within the window.
#[derive(Debug, Default)]
pub(super) struct Displacements {
    devices: HashMap<String, RecentDisplacements>,
    /// Number of devices at which old entries are removed.
    cleanup_len: usize,
}

/// The displacements of one device.
#[derive(Debug, Default)]
struct RecentDisplacements {
    /// The times of the last ones, the oldest first: at most one more than are without a warning.
    times: VecDeque<Instant>,
    /// The time of the last warning.
    warned: Option<Instant>,
    /// Number of displacements that the archive does not know of.
    unrecorded: u64,
}

impl Displacements {
    /// Counts a displacement, and returns whether it is time for a warning.
    pub(super) fn count(&mut self, device: &str, now: Instant) -> bool {
        if self.devices.len() >= self.cleanup_len.max(MIN_CLEANUP_LEN) {
            self.devices.retain(|_, recent| recent.times.back().is_some_and(|last| is_recent(*last, now)));
            self.cleanup_len = 2 * self.devices.len();
        }
        let recent = self.devices.entry(device.to_owned()).or_default();
        recent.unrecorded += 1;
        recent.times.push_back(now);
        if recent.times.len() > MAX_PER_WINDOW + 1 {
            recent.times.pop_front();
        }
        let is_frequent = recent.times.len() > MAX_PER_WINDOW && is_recent(recent.times[0], now);
        let is_due = is_frequent && recent.warned.is_none_or(|warned| !is_recent(warned, now));
        if is_due {
            recent.warned = Some(now);
        }
        is_due
    }

    /// Returns the number of displacements of a device since the last call.
    pub(super) fn take_unrecorded(&mut self, device: &str) -> u64 {
        self.devices.get_mut(device).map_or(0, |recent| mem::take(&mut recent.unrecorded))
    }
}

fn is_recent(time: Instant, now: Instant) -> bool {
    now.duration_since(time) < WINDOW
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Counts displacements at these seconds, and returns those with a warning.
    fn warnings(
        displacements: &mut Displacements,
        device: &str,
        start: Instant,
        seconds: &[u32],
    ) -> Vec<u32> {
        let counted = seconds.iter().filter(|second| displacements.count(device, start + **second * SECOND));
        counted.copied().collect()
    }

    #[test]
    fn a_warning_follows_more_than_three_displacements_within_a_minute() {
        let (mut displacements, start) = (Displacements::default(), Instant::now());
        assert_eq!(warnings(&mut displacements, "slow", start, &[0, 20, 40, 60, 80, 100, 120]), [0; 0]);
        assert_eq!(warnings(&mut displacements, "gate", start, &[0, 10, 20, 30]), [30]);
        assert_eq!(warnings(&mut displacements, "door", start, &[0, 10, 20]), [0; 0], "devices are separate");
        assert_eq!(displacements.take_unrecorded("gate"), 4);
        assert_eq!(displacements.take_unrecorded("gate"), 0);
        assert_eq!(displacements.take_unrecorded("nobody"), 0);
    }

    #[test]
    fn the_warning_is_repeated_once_a_minute_at_most() {
        let (mut displacements, start) = (Displacements::default(), Instant::now());
        let seconds: Vec<u32> = (0..200).collect();
        assert_eq!(warnings(&mut displacements, "gate", start, &seconds), [3, 63, 123, 183]);
    }

    #[test]
    fn devices_are_forgotten_after_the_window() {
        let (mut displacements, start) = (Displacements::default(), Instant::now());
        for number in 0..10_000_u32 {
            displacements.count(&format!("device-{number}"), start + number * SECOND);
        }
        assert!(displacements.devices.len() < 200, "{}", displacements.devices.len());
    }
}
