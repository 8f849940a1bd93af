//! Conversion of records into upload messages.

use std::collections::VecDeque;

use lopside_delivery::{Class, FrameMarks};
use lopside_proto::v1::{FrameClass, Frames, Location, Mark, Origin, Trace};
use lopside_spool::Record;

use crate::{CapturedFrame, UplinkError};

/// Overhead per frame in a message, in bytes: its length, its time and its checksum.
const FRAME_OVERHEAD_BYTES: usize = 8;
/// Overhead per mark in a message, in bytes: the header of its field and the index of its frame.
const MARK_OVERHEAD_BYTES: usize = 8;
/// Fixed overhead per message, in bytes.
const MESSAGE_OVERHEAD_BYTES: usize = 48;

/// An upload message with the figures that flow control needs.
#[derive(Debug)]
pub(crate) struct UploadMessage {
    pub(crate) frames: Frames,
    /// The number of its last frame.
    pub(crate) last_number: u64,
    /// Estimated size in bytes, at least the encoded size.
    pub(crate) size_bytes: u64,
}

/// Takes records from the front that make a message of at most `max_bytes` bytes, but at least one record. All
/// are of one epoch and have consecutive numbers. Returns `None` if `records` is empty.
pub(crate) fn take_message(
    class: Class,
    records: &mut VecDeque<Record>,
    max_bytes: u64,
) -> Result<Option<UploadMessage>, UplinkError> {
    let Some(first) = records.front() else { return Ok(None) };
    let (epoch, number) = (first.epoch, first.number);
    let frames = Frames { epoch, class: FrameClass::from(class).into(), first: number, ..Frames::default() };
    let mut message =
        UploadMessage { frames, last_number: number, size_bytes: MESSAGE_OVERHEAD_BYTES as u64 };
    let (mut payload, mut last_captured_ms) = (Vec::new(), None);
    for expected in number.. {
        let Some(record) = records.front() else { break };
        if record.number != expected || record.epoch != epoch {
            break;
        }
        let captured = CapturedFrame::parse(&record.bytes)
            .map_err(|reason| UplinkError::InvalidRecord { number: record.number, reason })?;
        let total_bytes = message.size_bytes + estimate_bytes(record, &captured);
        if last_captured_ms.is_some() && total_bytes > max_bytes {
            break;
        }
        push_record(&mut message.frames, &mut payload, &mut last_captured_ms, captured);
        (message.last_number, message.size_bytes) = (record.number, total_bytes);
        records.pop_front();
    }
    message.frames.frames = payload.into();
    Ok(Some(message))
}

/// Returns the bytes that a record adds to a message, at least.
fn estimate_bytes(record: &Record, captured: &CapturedFrame) -> u64 {
    let mark_bytes = if captured.marks.is_some() { MARK_OVERHEAD_BYTES } else { 0 };
    (record.bytes.len() + FRAME_OVERHEAD_BYTES + mark_bytes) as u64
}

/// Appends a record; `last_captured_ms` is the capture time of the previous record.
fn push_record(
    frames: &mut Frames,
    payload: &mut Vec<u8>,
    last_captured_ms: &mut Option<i64>,
    captured: CapturedFrame,
) {
    let marks = captured.frame_marks();
    let CapturedFrame { captured_ms, source, traceparent, frame, .. } = captured;
    match last_captured_ms.replace(captured_ms) {
        None => frames.captured_ms = captured_ms,
        Some(last_captured_ms) => frames.elapsed_ms.push(captured_ms.wrapping_sub(last_captured_ms)),
    }
    let index = frames.lengths.len() as u32;
    if frames.origins.last().map_or("", |origin| &origin.source) != source {
        frames.origins.push(Origin { index, source });
    }
    if !traceparent.is_empty() {
        frames.traces.push(Trace { index, traceparent });
    }
    if !marks.is_empty() {
        frames.marks.push(build_mark(index, marks));
    }
    frames.lengths.push(frame.len() as u32);
    frames.digests.push(crc32c::crc32c(&frame));
    payload.extend(frame);
}

fn build_mark(index: u32, FrameMarks { is_damaged, location }: FrameMarks) -> Mark {
    let location = location.map(|point| Location {
        latitude_e7: point.latitude_e7(),
        longitude_e7: point.longitude_e7(),
        altitude_cm: point.altitude_cm(),
    });
    Mark { index, damaged: is_damaged, location }
}

#[cfg(test)]
mod tests {
    use lopside_delivery::GeoPoint;
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn record(epoch: u64, number: u64, source: &str, len: usize) -> Record {
        let captured = CapturedFrame {
            captured_ms: 1_790_000_000_000 + 1000 * number as i64,
            source: source.into(),
            frame: vec![number as u8; len],
            ..CapturedFrame::default()
        };
        Record { epoch, number, bytes: captured.to_record() }
    }

    #[test]
    fn a_message_has_one_epoch_and_no_gap() {
        let numbers = [(1, 5), (1, 6), (1, 8), (2, 9)];
        let mut records: VecDeque<Record> =
            numbers.into_iter().map(|(epoch, number)| record(epoch, number, "a", 20)).collect();
        let mut messages = Vec::new();
        while let Some(message) = take_message(Class::High, &mut records, 1000).unwrap() {
            messages.push((message.frames.epoch, message.frames.first, message.last_number));
        }
        assert_eq!(messages, [(1, 5, 6), (1, 8, 8), (2, 9, 9)]);
    }

    #[test]
    fn a_message_repeats_no_unchanged_metadata() {
        let sources = ["", "", "a", "a", "b"];
        let mut records: VecDeque<Record> = sources
            .into_iter()
            .enumerate()
            .map(|(index, source)| record(1, index as u64 + 1, source, index))
            .collect();
        let message = take_message(Class::Low, &mut records, 10_000).unwrap().unwrap();
        let frames = message.frames;
        assert_eq!((frames.captured_ms, &frames.elapsed_ms[..]), (1_790_000_001_000, &[1000; 4][..]));
        assert_eq!(frames.lengths, [0, 1, 2, 3, 4]);
        assert_eq!(&frames.frames[..], &[2, 3, 3, 4, 4, 4, 5, 5, 5, 5]);
        assert_eq!(frames.digests[1], crc32c::crc32c(&[2]));
        let origins: Vec<(u32, &str)> =
            frames.origins.iter().map(|origin| (origin.index, &origin.source[..])).collect();
        assert_eq!(origins, [(2, "a"), (4, "b")]);
    }

    #[test]
    fn a_message_exceeds_the_limit_only_for_a_single_frame() {
        let mut records: VecDeque<Record> = (1..=200).map(|number| record(1, number, "a", 25)).collect();
        let message = take_message(Class::Low, &mut records, 2000).unwrap().unwrap();
        let len = message.frames.encoded_len() as u64;
        assert!(len <= 2000 && message.size_bytes >= len, "{len}, taken for {}", message.size_bytes);
        let mut large: VecDeque<Record> = (1..=2).map(|number| record(1, number, "a", 5000)).collect();
        assert_eq!(take_message(Class::Low, &mut large, 2000).unwrap().unwrap().last_number, 1);
    }

    /// Decodes the frames of a message: epoch, number, time, source, trace and bytes.
    fn decode_message(frames: &Frames) -> Vec<(u64, u64, CapturedFrame)> {
        let (mut captured_ms, mut source, mut rest) = (frames.captured_ms, "", &frames.frames[..]);
        let mut decoded = Vec::new();
        for (index, &len) in frames.lengths.iter().enumerate() {
            if index > 0 {
                captured_ms = captured_ms.wrapping_add(frames.elapsed_ms[index - 1]);
            }
            if let Some(origin) = frames.origins.iter().find(|origin| origin.index as usize == index) {
                source = &origin.source;
            }
            let trace = frames.traces.iter().find(|trace| trace.index as usize == index);
            let traceparent = trace.map(|trace| trace.traceparent.clone()).unwrap_or_default();
            let (frame, tail) = rest.split_at(len as usize);
            rest = tail;
            assert_eq!(frames.digests[index], crc32c::crc32c(frame));
            let captured = CapturedFrame {
                captured_ms,
                source: source.into(),
                traceparent,
                frame: frame.to_vec(),
                ..CapturedFrame::default()
            };
            let mark = frames.marks.iter().find(|mark| mark.index as usize == index);
            let captured = captured.with_marks(mark.map(decode_mark).unwrap_or_default());
            decoded.push((frames.epoch, frames.first + index as u64, captured));
        }
        assert!(rest.is_empty());
        decoded
    }

    fn decode_mark(mark: &Mark) -> FrameMarks {
        let location = mark.location.as_ref().and_then(|location| {
            GeoPoint::from_units(location.latitude_e7, location.longitude_e7, location.altitude_cm)
        });
        FrameMarks { is_damaged: mark.damaged, location }
    }

    fn marks_strategy() -> impl Strategy<Value = FrameMarks> {
        let location = (-90.0..90.0, -180.0..180.0, prop::option::of(-500.0..9000.0));
        let location = location.prop_map(|(latitude, longitude, altitude_m)| {
            GeoPoint::from_degrees(latitude, longitude, altitude_m).unwrap()
        });
        (any::<bool>(), prop::option::of(location))
            .prop_map(|(is_damaged, location)| FrameMarks { is_damaged, location })
    }

    fn captured_strategy() -> impl Strategy<Value = CapturedFrame> {
        let frame = prop::collection::vec(any::<u8>(), 0..300);
        (any::<i64>(), "[ab]{0,1}", "(00-1)?", frame, marks_strategy()).prop_map(
            |(captured_ms, source, traceparent, frame, marks)| {
                let captured =
                    CapturedFrame { captured_ms, source, traceparent, frame, ..CapturedFrame::default() };
                captured.with_marks(marks)
            },
        )
    }

    #[test]
    fn only_frames_with_something_to_say_have_marks() {
        let damaged = FrameMarks { is_damaged: true, location: None };
        let mut records: VecDeque<Record> = (1..=3).map(|number| record(1, number, "a", 20)).collect();
        let captured = CapturedFrame { frame: vec![9; 20], ..CapturedFrame::default() }.with_marks(damaged);
        records[1].bytes = captured.to_record();
        let frames = take_message(Class::Low, &mut records, 10_000).unwrap().unwrap().frames;
        assert_eq!(frames.marks, [Mark { index: 1, damaged: true, location: None }]);
    }

    #[test]
    fn a_message_of_marked_frames_is_not_larger_than_estimated() {
        let location = GeoPoint::from_degrees(-33.8, 151.2, Some(8000.0));
        let marked = |number| {
            let captured = CapturedFrame { captured_ms: 1, ..CapturedFrame::default() };
            let captured = captured.with_marks(FrameMarks { is_damaged: true, location });
            Record { epoch: 1, number, bytes: captured.to_record() }
        };
        let mut records: VecDeque<Record> = (1..=20_000).map(marked).collect();
        let message = take_message(Class::Low, &mut records, 1 << 30).unwrap().unwrap();
        let len = message.frames.encoded_len() as u64;
        assert!(
            message.last_number == 20_000 && message.size_bytes >= len,
            "{len}, taken for {}",
            message.size_bytes
        );
    }

    proptest! {
        #[test]
        fn messages_carry_all_records_in_order(
            captures in prop::collection::vec((0..8_u8, captured_strategy()), 0..60),
            max_bytes in 0..3000_u64,
        ) {
            let (mut epoch, mut number, mut expected) = (1, 0, Vec::new());
            for (jump, captured) in captures {
                // Now and then a new epoch begins, or numbers are missing.
                epoch += u64::from(jump == 0);
                number += if jump == 1 { 5 } else { 1 };
                expected.push((epoch, number, captured));
            }
            let record = |(epoch, number, captured): &(u64, u64, CapturedFrame)| {
                Record { epoch: *epoch, number: *number, bytes: captured.to_record() }
            };
            let mut records: VecDeque<Record> = expected.iter().map(record).collect();
            let mut all_decoded = Vec::new();
            while let Some(message) = take_message(Class::Normal, &mut records, max_bytes).unwrap() {
                let decoded = decode_message(&message.frames);
                prop_assert_eq!(message.last_number, decoded.last().unwrap().1);
                prop_assert!(message.size_bytes <= max_bytes || decoded.len() == 1);
                all_decoded.extend(decoded);
            }
            prop_assert_eq!(all_decoded, expected);
        }
    }
}
