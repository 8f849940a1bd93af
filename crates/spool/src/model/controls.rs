//! Broken promises of the disk, each of which the schedules must detect.

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rand::RngExt as _;

use super::{crash, memory::Faults};
use crate::block::HEADER_BYTES;

/// A promise that the disk does not keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BrokenPromise {
    /// The sync of a segment does nothing.
    SegmentsNotSynced,
    /// The sync of the state does nothing.
    StateNotSynced,
    /// The sync of the folder does nothing.
    FolderNotSynced,
    /// A failed sync reports success.
    FailuresHidden,
    /// Half of a block is written, and the call reports success.
    ShortWrites,
    /// A segment is removed before the state on disk allows it.
    RemovedBeforeState,
    /// Blocks count as intact whatever their checksums are.
    ChecksumsNotRead,
    /// Files are not truncated.
    NotCutOff,
    /// Files are not removed.
    FilesStay,
    /// The state always overwrites the same slot.
    OneSlot,
    /// Every other state is not written.
    StateNotWritten,
    /// Bytes that the file already contains are not written again.
    SameBytesNotWritten,
}

const ALL_PROMISES: [BrokenPromise; 12] = [
    BrokenPromise::SegmentsNotSynced,
    BrokenPromise::StateNotSynced,
    BrokenPromise::FolderNotSynced,
    BrokenPromise::FailuresHidden,
    BrokenPromise::ShortWrites,
    BrokenPromise::RemovedBeforeState,
    BrokenPromise::ChecksumsNotRead,
    BrokenPromise::NotCutOff,
    BrokenPromise::FilesStay,
    BrokenPromise::OneSlot,
    BrokenPromise::StateNotWritten,
    BrokenPromise::SameBytesNotWritten,
];

/// Makes the checksums of the blocks in `buffer` match their bytes.
pub(super) fn forge_checksums(file: &[u8], offset: u64, buffer: &mut [u8]) {
    for at in (0..buffer.len()).step_by(8) {
        let Some(header) = buffer.get_mut(at..at + HEADER_BYTES).filter(|header| header.starts_with(b"LSpB"))
        else {
            continue;
        };
        let body = u32::from_le_bytes([header[12], header[13], header[14], header[15]]) as usize;
        let from = offset as usize + at + HEADER_BYTES;
        let Some(body) = file.get(from..from + body) else { continue };
        header[8..12].copy_from_slice(&crc32c::crc32c(body).to_le_bytes());
        let own = crc32c::crc32c(&header[8..]);
        header[4..8].copy_from_slice(&own.to_le_bytes());
    }
}

/// Runs random schedules, the long schedule with a crash at each operation, and crashes after a failed sync,
/// until one of them detects the broken promise. The schedules are the same in each run.
fn is_noticed(control: BrokenPromise) -> bool {
    let rng = |seed| TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let config = Config { failure_persistence: None, ..Config::default() };
    let (mut rng, mut runner) = (rng(7), TestRunner::new_with_rng(config, rng(8)));
    let at_random = (0..1000).any(|_| {
        let steps = crash::random_steps(&mut runner);
        let faults = Faults { broken_promise: Some(control), ..crash::random_faults(&steps, &mut rng) };
        crash::run_schedule(&steps, faults, rng.random_range(0..4) == 0, rng.random()).is_err()
    });
    at_random
        || (0..16).any(|seed| crash::at_any_operation(Some(control), seed).is_err())
        || crash::after_a_failed_sync(Some(control)).is_err()
}

#[test]
fn every_broken_promise_is_noticed() {
    let unnoticed: Vec<BrokenPromise> =
        ALL_PROMISES.into_iter().filter(|&control| !is_noticed(control)).collect();
    assert!(unnoticed.is_empty(), "{unnoticed:?}");
}
