//! Conversion of records into upload messages.

use std::collections::VecDeque;

use lopside_delivery::Class;
use lopside_proto::v1::{FrameClass, Frames, Origin, Trace};
use lopside_spool::Record;

use crate::{CapturedFrame, UplinkError};

/// Overhead per frame in a message, in bytes: its length, its time and its checksum.
const FRAME_OVERHEAD_BYTES: usize = 8;
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

/// Takes records from the front that make a message of at most `bytes` bytes, but at least one record. All
/// are of one epoch and have consecutive numbers. Returns `None` if `records` is empty.
pub(crate) fn take_message(
    class: Class,
    records: &mut VecDeque<Record>,
    bytes: u64,
) -> Result<Option<UploadMessage>, UplinkError> {
    let Some(first) = records.front() else { return Ok(None) };
    let (epoch, number) = (first.epoch, first.number);
    let frames = Frames { epoch, class: FrameClass::from(class).into(), first: number, ..Frames::default() };
    let mut message =
        UploadMessage { frames, last_number: number, size_bytes: MESSAGE_OVERHEAD_BYTES as u64 };
    let (mut payload, mut captured) = (Vec::new(), None);
    for expected in number.. {
        let Some(record) = records.front() else { break };
        let whole = message.size_bytes + (record.bytes.len() + FRAME_OVERHEAD_BYTES) as u64;
        let follows = record.number == expected && record.epoch == epoch;
        if !follows || captured.is_some() && whole > bytes {
            break;
        }
        push_record(&mut message.frames, &mut payload, &mut captured, record)?;
        (message.last_number, message.size_bytes) = (record.number, whole);
        records.pop_front();
    }
    message.frames.frames = payload.into();
    Ok(Some(message))
}

/// Appends a record; `before` is the capture time of the previous record.
fn push_record(
    frames: &mut Frames,
    payload: &mut Vec<u8>,
    before: &mut Option<i64>,
    record: &Record,
) -> Result<(), UplinkError> {
    let parsed = CapturedFrame::parse(&record.bytes);
    let CapturedFrame { captured_ms, source, traceparent, frame, .. } =
        parsed.map_err(|reason| UplinkError::InvalidRecord { number: record.number, reason })?;
    match before.replace(captured_ms) {
        None => frames.captured_ms = captured_ms,
        Some(before) => frames.elapsed_ms.push(captured_ms.wrapping_sub(before)),
    }
    let index = frames.lengths.len() as u32;
    if frames.origins.last().map_or("", |origin| &origin.source) != source {
        frames.origins.push(Origin { index, source });
    }
    if !traceparent.is_empty() {
        frames.traces.push(Trace { index, traceparent });
    }
    frames.lengths.push(frame.len() as u32);
    frames.digests.push(crc32c::crc32c(&frame));
    payload.extend(frame);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn record(epoch: u64, number: u64, source: &str, len: usize) -> Record {
        let captured = CapturedFrame {
            captured_ms: 1_790_000_000_000 + 1000 * number as i64,
            source: source.into(),
            traceparent: String::new(),
            frame: vec![number as u8; len],
            file_item: None,
        };
        Record { epoch, number, bytes: captured.to_record() }
    }

    #[test]
    fn a_message_is_of_one_epoch_and_has_no_gap() {
        let numbers = [(1, 5), (1, 6), (1, 8), (2, 9)];
        let mut records: VecDeque<Record> =
            numbers.into_iter().map(|(epoch, number)| record(epoch, number, "a", 20)).collect();
        let mut taken = Vec::new();
        while let Some(message) = take_message(Class::High, &mut records, 1000).unwrap() {
            taken.push((message.frames.epoch, message.frames.first, message.last_number));
        }
        assert_eq!(taken, [(1, 5, 6), (1, 8, 8), (2, 9, 9)]);
    }

    #[test]
    fn a_message_says_of_each_frame_what_is_new() {
        let sources = ["", "", "a", "a", "b"];
        let mut records: VecDeque<Record> = sources
            .into_iter()
            .enumerate()
            .map(|(at, source)| record(1, at as u64 + 1, source, at))
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
    fn a_message_is_no_larger_than_wanted_unless_one_frame_is() {
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
        let mut told = Vec::new();
        for (index, &len) in frames.lengths.iter().enumerate() {
            if index > 0 {
                captured_ms = captured_ms.wrapping_add(frames.elapsed_ms[index - 1]);
            }
            if let Some(origin) = frames.origins.iter().find(|origin| origin.index as usize == index) {
                source = &origin.source;
            }
            let trace = frames.traces.iter().find(|trace| trace.index as usize == index);
            let traceparent = trace.map(|trace| trace.traceparent.clone()).unwrap_or_default();
            let (frame, after) = rest.split_at(len as usize);
            rest = after;
            assert_eq!(frames.digests[index], crc32c::crc32c(frame));
            let captured = CapturedFrame {
                captured_ms,
                source: source.into(),
                traceparent,
                frame: frame.to_vec(),
                file_item: None,
            };
            told.push((frames.epoch, frames.first + index as u64, captured));
        }
        assert!(rest.is_empty());
        told
    }

    fn captured_strategy() -> impl Strategy<Value = CapturedFrame> {
        let frame = prop::collection::vec(any::<u8>(), 0..300);
        (any::<i64>(), "[ab]{0,1}", "(00-1)?", frame).prop_map(|(captured_ms, source, traceparent, frame)| {
            CapturedFrame { captured_ms, source, traceparent, frame, file_item: None }
        })
    }

    proptest! {
        #[test]
        fn messages_tell_all_records_in_order(
            given in prop::collection::vec((0..8_u8, captured_strategy()), 0..60),
            bytes in 0..3000_u64,
        ) {
            let (mut epoch, mut number, mut expected) = (1, 0, Vec::new());
            for (jump, captured) in given {
                // Now and then a new epoch begins, or numbers are missing.
                epoch += u64::from(jump == 0);
                number += if jump == 1 { 5 } else { 1 };
                expected.push((epoch, number, captured));
            }
            let record = |(epoch, number, captured): &(u64, u64, CapturedFrame)| {
                Record { epoch: *epoch, number: *number, bytes: captured.to_record() }
            };
            let mut records: VecDeque<Record> = expected.iter().map(record).collect();
            let mut all = Vec::new();
            while let Some(message) = take_message(Class::Normal, &mut records, bytes).unwrap() {
                let told = decode_message(&message.frames);
                prop_assert_eq!(message.last_number, told.last().unwrap().1);
                prop_assert!(message.size_bytes <= bytes || told.len() == 1);
                all.extend(told);
            }
            prop_assert_eq!(all, expected);
        }
    }
}
