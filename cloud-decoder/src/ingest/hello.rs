use lopside_archive::{ClockQuality, DeviceClock, KnownNumbers, LostNumbers, NewConnection};
use lopside_delivery::Class;
use lopside_proto::v1::{self, FrameClass, Hello, Known, Lost, NumberRange, Welcome};

use crate::ServeError;

/// Deviation of a device's clock above which the operator is warned, in milliseconds.
const MAX_SKEW_MS: u64 = 5_000;

/// A checked hello.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DeviceHello {
    pub(super) device: String,
    pub(super) spool: u32,
    pub(super) clock: DeviceClock,
    lanes: Vec<DeviceLane>,
}

/// What a device says of one class.
#[derive(Debug, PartialEq, Eq)]
struct DeviceLane {
    class: Class,
    settled: u64,
    acknowledged: u64,
}

impl DeviceHello {
    /// Parses a hello that arrived at this time, in Unix milliseconds, and whose device the caller has checked.
    ///
    /// # Errors
    /// [`ServeError::InvalidRequest`] for an unknown class, or for a class that occurs twice.
    pub(super) fn parse(hello: Hello, arrived_ms: i64) -> Result<Self, ServeError> {
        let clock = DeviceClock::compare(hello.now_ms, arrived_ms, clock_quality(hello.clock()));
        let mut lanes: Vec<DeviceLane> = Vec::with_capacity(hello.lanes.len().min(Class::ALL.len()));
        for lane in hello.lanes {
            let class = parse_class(lane.class)?;
            if lanes.iter().any(|other| other.class == class) {
                return Err(ServeError::InvalidRequest(format!("the hello names class {class} twice")));
            }
            lanes.push(DeviceLane { class, settled: lane.settled, acknowledged: lane.acknowledged });
        }
        Ok(Self { device: hello.device, spool: hello.spool, clock, lanes })
    }

    /// Warns the operator of a clock that deviates too much.
    pub(super) fn report_clock(&self) {
        let offset_ms = self.clock.offset_ms.unwrap_or(0);
        if offset_ms.unsigned_abs() > MAX_SKEW_MS {
            tracing::warn!(
                device = self.device,
                offset_seconds = offset_ms / 1000,
                clock = self.clock.quality.name(),
                "the clock of the device deviates from the server's clock; its times of capture are corrected, but those \
                 of frames that it captured before its clock was set cannot be: let a time server set it at the start"
            );
        }
    }

    /// Returns the connection as the archive registers it. `displaced` is the number of displaced connections of the
    /// device that the archive does not know of.
    pub(super) fn to_connection(&self, displaced: u64) -> NewConnection {
        NewConnection {
            device: self.device.clone(),
            spool: self.spool,
            acknowledged: self.lanes.iter().map(|lane| (lane.class, lane.acknowledged)).collect(),
            displaced,
            clock: self.clock,
        }
    }

    /// Returns the first number of each class that is not settled.
    pub(super) fn unsettled(&self) -> Vec<(Class, u64)> {
        self.lanes.iter().map(|lane| (lane.class, lane.settled.saturating_add(1))).collect()
    }
}

/// Returns the class that a message names.
pub(super) fn parse_class(class: i32) -> Result<Class, ServeError> {
    FrameClass::try_from(class)
        .map(Class::from)
        .map_err(|_| ServeError::InvalidRequest(format!("unknown class {class}")))
}

fn clock_quality(quality: v1::ClockQuality) -> ClockQuality {
    match quality {
        v1::ClockQuality::Unknown => ClockQuality::Unknown,
        v1::ClockQuality::Synchronised => ClockQuality::Synchronised,
        v1::ClockQuality::Unsynchronised => ClockQuality::Unsynchronised,
    }
}

/// Builds the answer to a hello from what the archive has and from what it has lost, with the largest image that the
/// server decodes. This server accepts reports about sources.
pub(super) fn build_welcome(known: Vec<KnownNumbers>, lost: Vec<LostNumbers>, max_pixels: u64) -> Welcome {
    let range = |first, last| NumberRange { first, last };
    let known = known.into_iter().map(|KnownNumbers { class, epoch, ranges }| Known {
        class: FrameClass::from(class).into(),
        ranges: ranges.into_iter().map(|numbers| range(*numbers.start(), *numbers.end())).collect(),
        epoch,
    });
    let lost = lost.into_iter().map(|LostNumbers { class, numbers }| Lost {
        class: FrameClass::from(class).into(),
        range: Some(range(*numbers.start(), *numbers.end())),
    });
    Welcome { known: known.collect(), lost: lost.collect(), max_pixels, accepts_source_reports: true }
}

#[cfg(test)]
mod tests {
    use lopside_proto::v1::Lane;

    use super::*;

    fn lane(class: i32, settled: u64, acknowledged: u64) -> Lane {
        Lane { class, settled, acknowledged }
    }

    fn hello(lanes: Vec<Lane>) -> Hello {
        Hello { device: "gate-7".into(), spool: 9, lanes, ..Hello::default() }
    }

    /// 2026-11-28 in Unix milliseconds.
    const NOW_MS: i64 = 1_795_824_000_000;

    fn parse(hello: Hello) -> Result<DeviceHello, ServeError> {
        DeviceHello::parse(hello, NOW_MS)
    }

    #[test]
    fn a_stated_time_becomes_the_offset_of_the_clock() {
        for (now_ms, clock, offset_ms, quality) in [
            (0, 0, None, ClockQuality::Unknown),
            (NOW_MS - 7_000, 1, Some(7_000), ClockQuality::Synchronised),
            (60_000, 2, Some(NOW_MS - 60_000), ClockQuality::Unsynchronised),
            (NOW_MS, 77, Some(0), ClockQuality::Unknown),
        ] {
            let hello = parse(Hello { now_ms, clock, ..hello(Vec::new()) }).unwrap();
            assert_eq!(hello.clock, DeviceClock { offset_ms, quality });
            assert_eq!(hello.to_connection(0).clock, hello.clock);
        }
    }

    #[test]
    fn lanes_become_classes_with_their_numbers() {
        let hello = parse(hello(vec![lane(2, 4, 7), lane(0, u64::MAX, 0)])).unwrap();
        assert_eq!(hello.unsettled(), [(Class::High, 5), (Class::Low, u64::MAX)]);
        let connection = hello.to_connection(3);
        assert_eq!((&connection.device[..], connection.spool, connection.displaced), ("gate-7", 9, 3));
        assert_eq!(connection.acknowledged, [(Class::High, 7), (Class::Low, 0)]);
    }

    #[test]
    fn lanes_of_unknown_or_repeated_classes_are_refused() {
        for (lanes, expected) in
            [(vec![lane(3, 0, 0)], "class 3"), (vec![lane(1, 0, 0); 1 << 20], "class normal twice")]
        {
            let error = parse(hello(lanes)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn known_and_lost_numbers_become_a_welcome() {
        let known = KnownNumbers { class: Class::Normal, epoch: 7, ranges: vec![1..=3, 5..=5] };
        let lost = LostNumbers { class: Class::High, numbers: 8..=9 };
        let welcome = build_welcome(vec![known], vec![lost], 40_000_000);
        let range = |first, last| NumberRange { first, last };
        let known = Known { class: 1, ranges: vec![range(1, 3), range(5, 5)], epoch: 7 };
        let lost = Lost { class: 2, range: Some(range(8, 9)) };
        let (known, lost) = (vec![known], vec![lost]);
        let expected = Welcome { known, lost, max_pixels: 40_000_000, accepts_source_reports: true };
        assert_eq!(welcome, expected);
    }
}
