use std::sync::Arc;

use bytes::Bytes;
use lopside_delivery::{Class, FrameMarks, MAX_DEVICE_NAME_BYTES, MAX_FRAME_BYTES, is_valid_device_name};

use crate::{ArchiveError, DeviceClock};

/// Maximum number of records per batch.
pub const MAX_BATCH_RECORDS: usize = 1 << 16;

/// Maximum length of a source name in bytes.
const MAX_SOURCE_BYTES: usize = 4096;
/// Maximum length of a trace context in bytes. The W3C format has 55 today.
const MAX_TRACE_BYTES: usize = 256;
/// The largest record number: the maximum of a signed integer of the database.
pub(crate) const MAX_NUMBER: u64 = i64::MAX as u64;

/// The identifier of a latent space: the first 8 bytes of its digest.
pub type LatentSpaceKey = [u8; 8];

/// Records of one device, spool, epoch and class with consecutive numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The name of the device: 1 to 128 visible ASCII characters.
    pub device: String,
    /// The connection of the device on which the batch arrived, from
    /// [`Archive::register_connection`](crate::Archive::register_connection). `None` accepts any connection.
    pub connection: Option<u64>,
    /// The clock of the device, by which times of capture are corrected.
    pub clock: DeviceClock,
    /// The name of the device's spool that numbered the records; 0 if the spool is unnamed.
    pub spool: u32,
    /// The opening of the spool that numbered the records.
    pub epoch: u64,
    /// The class of the records.
    pub class: Class,
    /// The number up to which the device has settled all records: it will not send any of them again. It is at most
    /// the highest number of this spool and class that the archive knows, or the number before the first record. For
    /// the archive, it settles numbers before the first record only.
    pub floor: u64,
    /// The number of the first record, from 1 on.
    pub first_number: u64,
    /// The records, numbered `first_number`, `first_number + 1` and so on. An empty batch only raises the floor.
    pub records: Vec<NewRecord>,
}

/// A record as the device sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// Time of capture by the device's clock, in microseconds since 1970.
    pub captured_us: i64,
    /// Description of the source that it was captured from: up to 4096 bytes without NUL. Records share it.
    pub source: Arc<str>,
    /// A digest of the record, which distinguishes two records with the same identity.
    pub digest: u32,
    /// The latent space of the frame.
    pub latent_space: LatentSpaceKey,
    /// The trace that the record belongs to, a W3C `traceparent`.
    pub trace: Option<String>,
    /// What the device found out about the input.
    pub marks: FrameMarks,
    /// The bytes of the frame, which may be a slice of a larger message.
    pub frame: Bytes,
}

/// The result of applying a batch. The number of its records is `applied + replayed`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AppliedBatch {
    /// Number of records that are new in the archive.
    pub applied: u64,
    /// Number of records that had been applied before, or were at or below the floor of an earlier batch. They did
    /// not change anything.
    pub replayed: u64,
    /// A newer epoch of the same spool and class, if this batch continues an older one next to it: two devices work
    /// with copies of the spool.
    pub newer_epoch: Option<u64>,
}

impl Batch {
    /// Creates a batch without records that begins at the number `first`.
    #[must_use]
    pub fn new(device: &str, epoch: u64, class: Class, first_number: u64) -> Self {
        Self {
            device: device.to_owned(),
            connection: None,
            clock: DeviceClock::default(),
            spool: 0,
            epoch,
            class,
            floor: 0,
            first_number,
            records: Vec::new(),
        }
    }

    /// Returns the number of the last record; for an empty batch, the number before `first`.
    pub(crate) fn last_number(&self) -> u64 {
        (self.first_number + self.records.len() as u64) - 1
    }

    /// Returns the record with this number, which must be in the batch.
    pub(crate) fn record(&self, number: u64) -> &NewRecord {
        &self.records[(number - self.first_number) as usize]
    }

    /// Returns the bytes of all frames together.
    pub(crate) fn frame_bytes(&self) -> usize {
        self.records.iter().map(|record| record.frame.len()).sum()
    }

    /// Refuses values that no backend can store.
    pub(crate) fn check(&self) -> Result<(), ArchiveError> {
        check_device_name(&self.device)?;
        let records = self.records.len();
        if records > MAX_BATCH_RECORDS {
            let reason = format!(
                "it has {records} records, but the limit is {MAX_BATCH_RECORDS}: send several batches"
            );
            return Err(ArchiveError::refused_batch(&self.device, reason));
        }
        let end = self.first_number.checked_add(records as u64);
        if self.first_number == 0 || end.is_none_or(|end| end > MAX_NUMBER) || self.floor > MAX_NUMBER {
            let reason =
                format!("its record numbers must be 1 to {MAX_NUMBER}, and its floor at most {MAX_NUMBER}");
            return Err(ArchiveError::refused_batch(&self.device, reason));
        }
        self.records.iter().zip(self.first_number..).try_for_each(|(record, number)| {
            match record.find_fault() {
                Some(fault) => {
                    Err(ArchiveError::refused_batch(&self.device, format!("record {number}: {fault}")))
                }
                None => Ok(()),
            }
        })
    }
}

/// Returns why a device name is invalid, or `None` if it is valid.
#[must_use]
pub fn device_name_fault(device: &str) -> Option<String> {
    (!is_valid_device_name(device)).then(|| {
        format!("a device name must have 1 to {MAX_DEVICE_NAME_BYTES} visible ASCII characters and no spaces")
    })
}

/// Refuses an invalid device name.
pub(crate) fn check_device_name(device: &str) -> Result<(), ArchiveError> {
    device_name_fault(device).map_or(Ok(()), |reason| Err(ArchiveError::refused_batch(device, reason)))
}

impl NewRecord {
    fn find_fault(&self) -> Option<String> {
        if self.frame.len() > MAX_FRAME_BYTES {
            return Some(format!(
                "its frame has {} bytes, but the limit is {MAX_FRAME_BYTES}",
                self.frame.len()
            ));
        }
        if !is_valid_text(&self.source, MAX_SOURCE_BYTES) {
            return Some(format!("its source must have at most {MAX_SOURCE_BYTES} bytes and no NUL"));
        }
        let trace = self.trace.as_deref().unwrap_or_default();
        (!is_valid_text(trace, MAX_TRACE_BYTES))
            .then(|| format!("its trace must have at most {MAX_TRACE_BYTES} bytes and no NUL"))
    }
}

/// Returns whether both backends can store a text: it is not longer than `max_bytes` and does not contain NUL.
fn is_valid_text(text: &str, max_bytes: usize) -> bool {
    text.len() <= max_bytes && !text.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        let record = NewRecord {
            captured_us: 0,
            source: "camera".into(),
            digest: 0,
            latent_space: [0; 8],
            trace: None,
            marks: FrameMarks::default(),
            frame: Bytes::from_static(&[1]),
        };
        Batch { records: vec![record; 2], ..Batch::new("gate-7", 1, Class::Normal, 1) }
    }

    fn refusal(change: impl FnOnce(&mut Batch)) -> String {
        let mut batch = batch();
        change(&mut batch);
        batch.check().unwrap_err().to_string()
    }

    #[test]
    fn a_batch_over_the_limits_is_refused_with_the_reason() {
        batch().check().unwrap();
        for name in ["", "two words", "Gerät", "tab\t", &"x".repeat(129)] {
            assert!(refusal(|batch| batch.device = name.into()).contains("1 to 128 visible"), "{name}");
        }
        for first in [0, MAX_NUMBER, u64::MAX] {
            assert!(refusal(|batch| batch.first_number = first).contains("must be 1 to"), "{first}");
        }
        assert!(refusal(|batch| batch.floor = u64::MAX).contains("must be 1 to"));
        assert!(refusal(|batch| batch.records[1].source = "a\0b".into()).contains("record 2: its source"));
        assert!(
            refusal(|batch| batch.records[0].trace = Some("x".repeat(300))).contains("record 1: its trace")
        );
        assert!(
            refusal(|batch| batch.records[0].frame = vec![0_u8; MAX_FRAME_BYTES + 1].into())
                .contains("16777217 bytes")
        );
        assert!(
            refusal(|batch| batch.records = vec![batch.records[0].clone(); MAX_BATCH_RECORDS + 1])
                .contains("65537 records")
        );
    }
}
