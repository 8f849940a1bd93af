//! Conversion of upload messages to archive batches.

use lopside_archive::{Batch, LatentSpaceKey, NewRecord};
use lopside_delivery::Class;
use lopside_latent::peek_latent_space;
use lopside_proto::v1::{FrameClass, Frames};

use crate::ServeError;

/// The latent space under which frames are archived that do not name one.
pub(super) const UNNAMED_LATENT_SPACE: LatentSpaceKey = [0; 8];

/// The device and the connection that sent a message.
#[derive(Debug)]
pub(super) struct UploadSender {
    pub(super) device: String,
    /// The number of the connection, as counted by the archive.
    pub(super) connection_number: u64,
    pub(super) spool: u32,
}

/// Returns the class that a message names.
pub(super) fn parse_class(class: i32) -> Result<Class, ServeError> {
    FrameClass::try_from(class)
        .map(Class::from)
        .map_err(|_| ServeError::InvalidRequest(format!("unknown class {class}")))
}

/// Converts a message of a device to a batch, and checks the checksum of each frame.
pub(super) fn unpack_batch(sender: &UploadSender, frames: &Frames) -> Result<Batch, ServeError> {
    let class = parse_class(frames.class)?;
    check_columns(frames)?;
    let (mut captured_ms, mut rest) = (frames.captured_ms, &frames.frames[..]);
    let (mut origins, mut traces) = (frames.origins.iter().peekable(), frames.traces.iter().peekable());
    let mut source = "";
    let mut records = Vec::with_capacity(frames.lengths.len());
    for (index, &digest) in frames.digests.iter().enumerate() {
        let Some((frame, remaining)) = rest.split_at_checked(frames.lengths[index] as usize) else { break };
        rest = remaining;
        if crc32c::crc32c(frame) != digest {
            return Err(ServeError::InvalidRequest(format!(
                "the digest of frame {index} does not match its bytes: send it again"
            )));
        }
        if let Some(previous) = index.checked_sub(1) {
            captured_ms = captured_ms.saturating_add(frames.elapsed_ms[previous]);
        }
        while let Some(origin) = origins.next_if(|origin| origin.index as usize <= index) {
            source = &origin.source;
        }
        let mut trace = None;
        while let Some(found) = traces.next_if(|trace| trace.index as usize <= index) {
            trace = Some(found.traceparent.clone());
        }
        records.push(NewRecord {
            captured_us: captured_ms.saturating_mul(1000),
            source: source.to_owned(),
            digest,
            latent_space: peek_latent_space(frame)
                .ok()
                .flatten()
                .map_or(UNNAMED_LATENT_SPACE, |space| *space.as_bytes()),
            trace,
            frame: frame.to_vec(),
        });
    }
    Ok(Batch {
        device: sender.device.clone(),
        connection: Some(sender.connection_number),
        spool: sender.spool,
        epoch: frames.epoch,
        class,
        floor: frames.settled,
        first_number: frames.first,
        records,
    })
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

fn columns_error(count: usize, problem: &str) -> ServeError {
    ServeError::InvalidRequest(format!("a message of {count} frames {problem}"))
}

#[cfg(test)]
mod tests {
    use lopside_proto::v1::{Origin, Trace};

    use super::*;

    fn sender() -> UploadSender {
        UploadSender { device: "a".into(), connection_number: 3, spool: 9 }
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
            origins: vec![
                Origin { index: 0, source: "gate".into() },
                Origin { index: 2, source: "pump".into() },
            ],
            traces: vec![Trace { index: 1, traceparent: "00-1".into() }],
        }
    }

    #[test]
    fn columns_become_records() {
        let batch = unpack_batch(&sender(), &frames()).unwrap();
        assert_eq!((&batch.device[..], batch.connection, batch.spool), ("a", Some(3), 9));
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
        assert!(batch.records.iter().all(|record| record.latent_space == UNNAMED_LATENT_SPACE));
    }

    #[test]
    fn columns_that_do_not_fit_are_refused_with_the_reason() {
        let refused = |change: fn(&mut Frames), expected: &str| {
            let mut frames = frames();
            change(&mut frames);
            let error = unpack_batch(&sender(), &frames).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        refused(|frames| frames.class = 3, "class 3");
        refused(|frames| *frames = Frames::default(), "is empty");
        refused(|frames| frames.digests.truncate(2), "2 digests");
        refused(|frames| frames.elapsed_ms.push(1), "3 times after");
        refused(|frames| frames.lengths[1] = 1, "3 bytes, but its lengths add up to 4");
        refused(|frames| frames.frames = b"abd"[..].into(), "the digest of frame 2 does not match its bytes");
    }
}
