//! Conversion of upload messages to archive batches.

use std::sync::Arc;

use lopside_archive::{Batch, DeviceClock, LatentSpaceKey, MAX_BATCH_RECORDS, NewRecord};
use lopside_delivery::{FrameMarks, GeoPoint, MAX_FRAME_BYTES};
use lopside_latent::peek_latent_space;
use lopside_proto::v1::{Frames, Location, Mark, Origin, Trace};

use super::hello::parse_class;
use crate::ServeError;

/// Maximum length of the name of a source in bytes.
const MAX_SOURCE_BYTES: usize = 128;
/// Maximum length of a trace context in bytes. The W3C format has 55 today.
const MAX_TRACE_BYTES: usize = 256;
/// The latent space under which frames are archived that do not name one.
pub(super) const UNNAMED_LATENT_SPACE: LatentSpaceKey = [0; 8];

/// The device and the connection that sent a message.
#[derive(Debug)]
pub(super) struct UploadSender {
    pub(super) device: String,
    /// The number of the connection, as counted by the archive.
    pub(super) connection_number: u64,
    pub(super) spool: u32,
    /// The clock of the device when it connected.
    pub(super) clock: DeviceClock,
}

/// Converts a message of a device to a batch, and checks the checksum of each frame. Nothing is allocated before all
/// limits are checked. The records share their sources and the bytes of the message.
pub(super) fn unpack_batch(sender: &UploadSender, frames: Frames) -> Result<Batch, ServeError> {
    let class = parse_class(frames.class)?;
    check_columns(&frames)?;
    check_limits(&frames)?;
    let Frames { epoch, first, settled, mut captured_ms, elapsed_ms, lengths, digests, .. } = frames;
    let (mut bytes, origins, traces) = (frames.frames, frames.origins, frames.traces);
    let (mut origins, mut traces) = (origins.into_iter().peekable(), traces.into_iter().peekable());
    let mut marks = frames.marks.into_iter().peekable();
    let mut source: Arc<str> = "".into();
    let mut records = Vec::with_capacity(lengths.len());
    for (index, (&length, &digest)) in lengths.iter().zip(&digests).enumerate() {
        // The lengths add up to the bytes.
        let frame = bytes.split_to(length as usize);
        if crc32c::crc32c(&frame) != digest {
            return Err(ServeError::InvalidRequest(format!(
                "the digest of frame {index} does not match its bytes: send it again"
            )));
        }
        if let Some(previous) = index.checked_sub(1) {
            captured_ms = captured_ms.saturating_add(elapsed_ms[previous]);
        }
        if let Some(origin) = origins.next_if(|origin| origin.index as usize == index) {
            source = origin.source.into();
        }
        let trace = traces.next_if(|trace| trace.index as usize == index);
        let mark = marks.next_if(|mark| mark.index as usize == index);
        records.push(NewRecord {
            captured_us: captured_ms.saturating_mul(1000),
            source: Arc::clone(&source),
            digest,
            latent_space: peek_latent_space(&frame)
                .ok()
                .flatten()
                .map_or(UNNAMED_LATENT_SPACE, |space| *space.as_bytes()),
            trace: trace.map(|trace| trace.traceparent),
            marks: mark.map(|mark| frame_marks(&mark)).unwrap_or_default(),
            frame,
        });
    }
    Ok(Batch {
        device: sender.device.clone(),
        connection: Some(sender.connection_number),
        clock: sender.clock,
        spool: sender.spool,
        epoch,
        class,
        floor: settled,
        first_number: first,
        records,
    })
}

fn frame_marks(mark: &Mark) -> FrameMarks {
    FrameMarks { is_damaged: mark.damaged, location: mark.location.as_ref().and_then(parse_location) }
}

/// Returns a place of capture, or `None` if it is not on the earth.
fn parse_location(location: &Location) -> Option<GeoPoint> {
    GeoPoint::from_units(location.latitude_e7, location.longitude_e7, location.altitude_cm)
}

/// Checks that the lengths of the columns are consistent.
fn check_columns(frames: &Frames) -> Result<(), ServeError> {
    let count = frames.lengths.len();
    let bytes: u64 = frames.lengths.iter().map(|&len| u64::from(len)).sum();
    if count == 0 {
        return Err(columns_error(count, "is empty"));
    }
    if frames.digests.len() != count || frames.elapsed_ms.len() != count - 1 {
        let (digests, elapsed) = (frames.digests.len(), frames.elapsed_ms.len());
        let problem = format!("has {digests} digests and {elapsed} times after the first frame");
        return Err(columns_error(count, &problem));
    }
    if bytes != frames.frames.len() as u64 {
        let problem = format!("has {} bytes, but its lengths add up to {bytes}", frames.frames.len());
        return Err(columns_error(count, &problem));
    }
    Ok(())
}

/// Checks the number of frames, the size of each, and their sources, traces and marks.
fn check_limits(frames: &Frames) -> Result<(), ServeError> {
    let count = frames.lengths.len();
    if count > MAX_BATCH_RECORDS {
        let problem = format!("is too long: send at most {MAX_BATCH_RECORDS} frames in a message");
        return Err(columns_error(count, &problem));
    }
    if let Some(index) = frames.lengths.iter().position(|&len| len as usize > MAX_FRAME_BYTES) {
        let bytes = frames.lengths[index];
        let problem = format!("has a frame {index} of {bytes} bytes, but the limit is {MAX_FRAME_BYTES}");
        return Err(columns_error(count, &problem));
    }
    let sources = frames.origins.iter().map(|Origin { index, source }| (*index, &source[..]));
    check_annotations("source", MAX_SOURCE_BYTES, count, sources)?;
    let traces = frames.traces.iter().map(|Trace { index, traceparent }| (*index, &traceparent[..]));
    check_annotations("trace", MAX_TRACE_BYTES, count, traces)?;
    check_annotations("mark", 0, count, frames.marks.iter().map(|mark| (mark.index, "")))?;
    let mut places = frames.marks.iter().filter_map(|mark| Some((mark.index, mark.location.as_ref()?)));
    match places.find(|(_, location)| parse_location(location).is_none()) {
        None => Ok(()),
        Some((index, Location { latitude_e7, longitude_e7, .. })) => {
            let place = format!("latitude {latitude_e7}, longitude {longitude_e7} in units of 10⁻⁷ degrees");
            Err(columns_error(
                count,
                &format!("has a place for frame {index} that is not on the earth: {place}"),
            ))
        }
    }
}

/// Checks texts that belong to frames: their indices ascend and are those of frames, and no text is too long.
fn check_annotations<'a>(
    name: &str,
    max_bytes: usize,
    count: usize,
    annotations: impl Iterator<Item = (u32, &'a str)>,
) -> Result<(), ServeError> {
    let mut min_index = 0;
    for (index, text) in annotations {
        let index = index as usize;
        if index >= count {
            return Err(columns_error(count, &format!("has a {name} for frame {index}, counted from 0")));
        }
        if index < min_index {
            let problem = format!("has a {name} for frame {index} after one for frame {}", min_index - 1);
            return Err(columns_error(count, &problem));
        }
        if text.len() > max_bytes {
            let bytes = text.len();
            let problem =
                format!("has a {name} of {bytes} bytes for frame {index}, but the limit is {max_bytes}");
            return Err(columns_error(count, &problem));
        }
        min_index = index + 1;
    }
    Ok(())
}

fn columns_error(count: usize, problem: &str) -> ServeError {
    ServeError::InvalidRequest(format!("a message of {count} frames {problem}"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use lopside_delivery::Class;
    use lopside_proto::v1::FrameClass;

    use super::*;

    fn sender() -> UploadSender {
        let clock = DeviceClock { offset_ms: Some(7_000), ..DeviceClock::default() };
        UploadSender { device: "a".into(), connection_number: 3, spool: 9, clock }
    }

    fn frames() -> Frames {
        Frames {
            epoch: 7,
            class: FrameClass::High.into(),
            first: 5,
            settled: 4,
            captured_ms: 1000,
            elapsed_ms: vec![10, -3],
            lengths: vec![2, 0, 1],
            digests: [&b"ab"[..], b"", b"c"].map(crc32c::crc32c).to_vec(),
            frames: b"abc"[..].into(),
            origins: vec![origin(0, "gate"), origin(2, "pump")],
            traces: vec![trace(1, "00-1")],
            marks: vec![mark(0, true, None), mark(2, false, Some([-338_000_000, 1_512_000_000]))],
        }
    }

    fn origin(index: u32, source: &str) -> Origin {
        Origin { index, source: source.into() }
    }

    fn trace(index: u32, traceparent: &str) -> Trace {
        Trace { index, traceparent: traceparent.into() }
    }

    fn mark(index: u32, damaged: bool, place: Option<[i32; 2]>) -> Mark {
        let location = place.map(|[latitude_e7, longitude_e7]| Location {
            latitude_e7,
            longitude_e7,
            altitude_cm: Some(-450),
        });
        Mark { index, damaged, location }
    }

    /// Returns a message of this many frames without bytes.
    fn empty_frames(count: usize) -> Frames {
        let (elapsed_ms, lengths, digests) =
            (vec![0; count - 1], vec![0; count], vec![crc32c::crc32c(b""); count]);
        Frames { first: 1, elapsed_ms, lengths, digests, ..Frames::default() }
    }

    #[test]
    fn columns_become_records() {
        let batch = unpack_batch(&sender(), frames()).unwrap();
        assert_eq!((&batch.device[..], batch.connection, batch.spool), ("a", Some(3), 9));
        assert_eq!(batch.clock.offset_ms, Some(7_000));
        assert_eq!((batch.epoch, batch.class, batch.first_number, batch.floor), (7, Class::High, 5, 4));
        let records: Vec<(i64, &str, &[u8])> = batch
            .records
            .iter()
            .map(|record| (record.captured_us, &record.source[..], &record.frame[..]))
            .collect();
        assert_eq!(
            records,
            [(1_000_000, "gate", &b"ab"[..]), (1_010_000, "gate", b""), (1_007_000, "pump", b"c")]
        );
        let traces: Vec<Option<&str>> = batch.records.iter().map(|record| record.trace.as_deref()).collect();
        assert_eq!(traces, [None, Some("00-1"), None]);
        let marks: Vec<FrameMarks> = batch.records.iter().map(|record| record.marks).collect();
        let location = GeoPoint::from_degrees(-33.8, 151.2, Some(-4.5));
        assert_eq!(
            marks,
            [
                FrameMarks { is_damaged: true, location: None },
                FrameMarks::default(),
                FrameMarks { is_damaged: false, location }
            ]
        );
        assert!(batch.records.iter().all(|record| record.latent_space == UNNAMED_LATENT_SPACE));
    }

    #[test]
    fn records_share_the_message_instead_of_copying_it() {
        let source = "x".repeat(MAX_SOURCE_BYTES);
        let bytes = vec![7_u8; 3 * MAX_BATCH_RECORDS];
        let message = Frames {
            lengths: vec![3; MAX_BATCH_RECORDS],
            digests: vec![crc32c::crc32c(&[7; 3]); MAX_BATCH_RECORDS],
            frames: bytes.into(),
            origins: vec![origin(0, &source), origin(40_000, &source)],
            ..empty_frames(MAX_BATCH_RECORDS)
        };
        let span = message.frames.as_ptr_range();
        let batch = unpack_batch(&sender(), message).unwrap();
        assert_eq!(batch.records.len(), MAX_BATCH_RECORDS);
        let sources: HashSet<*const u8> = batch.records.iter().map(|record| record.source.as_ptr()).collect();
        assert_eq!(sources.len(), 2, "one allocation for each origin");
        assert!(Arc::ptr_eq(&batch.records[0].source, &batch.records[39_999].source));
        for record in &batch.records {
            let frame = record.frame.as_ptr_range();
            assert!(
                span.start <= frame.start && frame.end <= span.end,
                "the frame is a slice of the message"
            );
        }
    }

    #[test]
    fn frames_before_the_first_origin_have_no_source() {
        let frames = Frames { origins: vec![origin(1, "gate")], ..empty_frames(3) };
        let batch = unpack_batch(&sender(), frames).unwrap();
        let sources: Vec<&str> = batch.records.iter().map(|record| &record.source[..]).collect();
        assert_eq!(sources, ["", "gate", "gate"]);
    }

    #[test]
    fn columns_that_do_not_fit_are_refused_with_the_reason() {
        let refused = |change: fn(&mut Frames), expected: &str| {
            let mut frames = frames();
            change(&mut frames);
            let error = unpack_batch(&sender(), frames).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        refused(|frames| frames.class = 3, "class 3");
        refused(|frames| *frames = Frames::default(), "is empty");
        refused(|frames| frames.digests.truncate(2), "2 digests");
        refused(|frames| frames.elapsed_ms.push(1), "3 times after");
        refused(|frames| frames.lengths[1] = 1, "3 bytes, but its lengths add up to 4");
        refused(
            |frames| frames.lengths = vec![u32::MAX; 3],
            "3 bytes, but its lengths add up to 12884901885",
        );
        refused(|frames| frames.frames = b"abd"[..].into(), "the digest of frame 2 does not match its bytes");
        refused(|frames| frames.origins[1].index = 3, "a source for frame 3, counted from 0");
        refused(|frames| frames.origins[1].index = 0, "a source for frame 0 after one for frame 0");
        refused(|frames| frames.origins.reverse(), "a source for frame 0 after one for frame 2");
        refused(|frames| frames.origins[1].source = "x".repeat(129), "a source of 129 bytes for frame 2");
        refused(|frames| frames.traces[0].index = u32::MAX, "a trace for frame 4294967295");
        refused(|frames| frames.traces.push(trace(0, "")), "a trace for frame 0 after one for frame 1");
        refused(|frames| frames.traces[0].traceparent = "x".repeat(257), "a trace of 257 bytes for frame 1");
        refused(|frames| frames.marks[1].index = 3, "a mark for frame 3, counted from 0");
        refused(|frames| frames.marks.reverse(), "a mark for frame 0 after one for frame 2");
        refused(
            |frames| frames.marks[1] = mark(2, true, Some([900_000_001, 0])),
            "a place for frame 2 that is not on the earth: latitude 900000001",
        );
    }

    #[test]
    fn too_many_frames_or_too_large_ones_are_refused() {
        let error = unpack_batch(&sender(), empty_frames(MAX_BATCH_RECORDS + 1)).unwrap_err().to_string();
        assert!(error.contains("65537 frames is too long"), "{error}");
        let bytes = vec![0_u8; MAX_FRAME_BYTES + 1];
        let large = Frames { lengths: vec![bytes.len() as u32], frames: bytes.into(), ..empty_frames(1) };
        let error = unpack_batch(&sender(), large).unwrap_err().to_string();
        assert!(error.contains("a frame 0 of 16777217 bytes"), "{error}");
    }
}
