//! The clocks of devices, and the times of capture that come from them.
//!
//! ```text
//! offset    = time at which the device's statement arrived - time that the device stated
//! corrected = captured + offset                      the correction is 0 if the offset is less than 2 s
//! impossible: corrected < 2020-01-01, or corrected > arrival of the frame + 1 day
//! ```
//! The correction is right for frames that were captured by the same clock. A clock may have been set since then: a
//! device without a battery starts in 1970, and a time server sets its clock before it connects. The offset is 0 then,
//! and the frames that waited are from 1970. Such times are impossible; the time of arrival takes their place in lists.

/// Smallest offset of a clock that is corrected, in milliseconds. A smaller one may be the delay of the network.
const MIN_CORRECTION_MS: u64 = 2_000;
/// Start of 2020, before which no frame was captured, in microseconds since 1970.
const EARLIEST_CAPTURE_US: i64 = 1_577_836_800_000_000;
/// Maximum time by which a capture may seem to be later than its arrival: a day, in microseconds.
const MAX_CAPTURE_LEAD_US: i64 = 86_400_000_000;

/// How far the clock of a device, or a time of capture that comes from it, can be trusted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ClockQuality {
    /// The device did not say.
    #[default]
    Unknown,
    /// A source of time had set the clock.
    Synchronised,
    /// Nothing had set the clock since the device started.
    Unsynchronised,
    /// The time of capture cannot be true, even after the correction. A clock as such does not have this quality.
    Impossible,
}

/// The clock of a device, as it was when the device connected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeviceClock {
    /// The server's time minus the device's time, in milliseconds; `None` if the device did not state its time.
    pub offset_ms: Option<i64>,
    /// How far the clock can be trusted, as the device said.
    pub quality: ClockQuality,
}

/// A time of capture after its correction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CaptureTime {
    /// The corrected time in microseconds since 1970; the time of arrival if the time is impossible.
    pub(crate) corrected_us: i64,
    /// The quality of the clock, or [`ClockQuality::Impossible`].
    pub(crate) quality: ClockQuality,
}

/// A time of capture as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredTime {
    /// The corrected time in milliseconds since 1970, by which frames are listed.
    pub(crate) time_ms: i64,
    /// The time of capture by the device's clock; `None` if it is `time_ms` without the correction.
    pub(crate) captured_us: Option<i64>,
}

impl ClockQuality {
    /// All qualities, in the order of their codes.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Synchronised, Self::Unsynchronised, Self::Impossible];

    /// Returns the name: `unknown`, `synchronised`, `unsynchronised` or `impossible`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Synchronised => "synchronised",
            Self::Unsynchronised => "unsynchronised",
            Self::Impossible => "impossible",
        }
    }

    /// Returns the number by which the quality is stored.
    pub(crate) fn code(self) -> i64 {
        self as i64
    }

    /// Returns the quality that is stored as this number.
    pub(crate) fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|quality| quality.code() == code)
    }
}

impl DeviceClock {
    /// Compares the time that a device stated with the time at which the statement arrived, both in milliseconds
    /// since 1970. A device that states 0 does not know its time.
    #[must_use]
    pub fn compare(stated_ms: i64, arrived_ms: i64, quality: ClockQuality) -> Self {
        Self { offset_ms: (stated_ms != 0).then(|| arrived_ms.saturating_sub(stated_ms)), quality }
    }

    /// Returns the milliseconds to add to times of capture. It is 0 if the offset may be the delay of the network.
    #[must_use]
    pub fn correction_ms(&self) -> i64 {
        self.offset_ms.filter(|offset| offset.unsigned_abs() >= MIN_CORRECTION_MS).unwrap_or(0)
    }
}

impl CaptureTime {
    /// Corrects a time of capture, and judges it by the time at which the frame arrived.
    pub(crate) fn judge(
        captured_us: i64,
        received_us: i64,
        correction_ms: i64,
        quality: ClockQuality,
    ) -> Self {
        let corrected_us = captured_us.saturating_add(correction_ms.saturating_mul(1000));
        let latest_us = received_us.saturating_add(MAX_CAPTURE_LEAD_US);
        if corrected_us < EARLIEST_CAPTURE_US || corrected_us > latest_us {
            return Self { corrected_us: received_us, quality: ClockQuality::Impossible };
        }
        Self { corrected_us, quality }
    }

    /// Returns the form in which this time of a capture is stored.
    pub(crate) fn to_stored(self, captured_us: i64, correction_ms: i64) -> StoredTime {
        let time_ms = self.corrected_us.div_euclid(1000);
        let derived = StoredTime { time_ms, captured_us: None };
        if derived.captured_us(correction_ms) == captured_us {
            return derived;
        }
        StoredTime { captured_us: Some(captured_us), ..derived }
    }
}

impl StoredTime {
    /// Returns the time of capture by the device's clock, in microseconds since 1970.
    pub(crate) fn captured_us(self, correction_ms: i64) -> i64 {
        let derived_ms = self.time_ms.saturating_sub(correction_ms);
        self.captured_us.unwrap_or_else(|| derived_ms.saturating_mul(1000))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-28 in milliseconds since 1970.
    const NOW_MS: i64 = 1_795_824_000_000;
    const NOW_US: i64 = NOW_MS * 1000;
    const HOUR_US: i64 = 3_600_000_000;

    fn judge(captured_us: i64, clock: DeviceClock) -> (i64, ClockQuality) {
        let time = CaptureTime::judge(captured_us, NOW_US, clock.correction_ms(), clock.quality);
        (time.corrected_us, time.quality)
    }

    #[test]
    fn an_offset_corrects_times_unless_it_may_be_a_delay() {
        let offset = |stated_ms| DeviceClock::compare(stated_ms, NOW_MS, ClockQuality::Synchronised);
        for (stated_ms, offset_ms, correction_ms) in [
            (NOW_MS, Some(0), 0),
            (NOW_MS - 1999, Some(1999), 0),
            (NOW_MS + 1999, Some(-1999), 0),
            (NOW_MS - 2000, Some(2000), 2000),
            (NOW_MS + 2000, Some(-2000), -2000),
            (0, None, 0),
            (i64::MIN, Some(i64::MAX), i64::MAX),
        ] {
            let clock = offset(stated_ms);
            assert_eq!((clock.offset_ms, clock.correction_ms()), (offset_ms, correction_ms), "{stated_ms}");
        }
        let slow = offset(NOW_MS - 3_600_000);
        assert_eq!(judge(NOW_US - 2 * HOUR_US, slow), (NOW_US - HOUR_US, ClockQuality::Synchronised));
    }

    #[test]
    fn times_that_cannot_be_true_are_replaced_by_the_arrival() {
        let clock =
            |offset_ms| DeviceClock { offset_ms: Some(offset_ms), quality: ClockQuality::Unsynchronised };
        let impossible = (NOW_US, ClockQuality::Impossible);
        // The clock was set between the capture and the connection.
        assert_eq!(judge(60_000_000, clock(0)), impossible);
        assert_eq!(judge(EARLIEST_CAPTURE_US - 1, clock(0)), impossible);
        assert_eq!(judge(EARLIEST_CAPTURE_US, clock(0)), (EARLIEST_CAPTURE_US, ClockQuality::Unsynchronised));
        assert_eq!(judge(NOW_US + 24 * HOUR_US, clock(0)).1, ClockQuality::Unsynchronised);
        assert_eq!(judge(NOW_US + 24 * HOUR_US + 1, clock(0)), impossible);
        // A device that is still in 1970 has captured a minute ago.
        assert_eq!(judge(60_000_000, clock(NOW_MS - 120_000)).0, NOW_US - 60_000_000);
        // The same device has frames from before its restart, when the clock was right.
        assert_eq!(judge(NOW_US - HOUR_US, clock(NOW_MS - 120_000)), impossible);
        assert_eq!(judge(i64::MIN, clock(i64::MIN)), impossible);
        assert_eq!(judge(i64::MAX, clock(i64::MAX)), impossible);
    }

    #[test]
    fn qualities_survive_their_codes() {
        for (code, quality) in (0..).zip(ClockQuality::ALL) {
            assert_eq!((quality.code(), ClockQuality::from_code(code)), (code, Some(quality)));
        }
        assert_eq!((ClockQuality::from_code(4), ClockQuality::from_code(-1)), (None, None));
    }

    proptest! {
        #[test]
        fn times_survive_their_stored_form(
            captured_us in prop_oneof![any::<i64>(), NOW_US - HOUR_US..NOW_US + HOUR_US],
            whole_ms in any::<bool>(),
            received_us in prop_oneof![any::<i64>(), Just(NOW_US)],
            correction_ms in prop_oneof![Just(0), any::<i64>(), -10_000_i64..10_000],
        ) {
            let captured_us = if whole_ms { captured_us / 1000 * 1000 } else { captured_us };
            let time = CaptureTime::judge(captured_us, received_us, correction_ms, ClockQuality::Synchronised);
            let stored = time.to_stored(captured_us, correction_ms);
            prop_assert_eq!(stored.captured_us(correction_ms), captured_us);
            prop_assert_eq!(stored.time_ms, time.corrected_us.div_euclid(1000));
            let is_exact = correction_ms.checked_mul(1000).and_then(|us| captured_us.checked_add(us)).is_some();
            if whole_ms && is_exact && time.quality != ClockQuality::Impossible {
                prop_assert_eq!(stored.captured_us, None, "a usual time is stored once");
            }
        }
    }
}
