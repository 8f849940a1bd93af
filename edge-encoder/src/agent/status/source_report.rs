use std::{
    collections::BTreeMap,
    sync::{
        PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use lopside_telemetry::printable::PrintableLines;
use serde::{Deserialize, Serialize};

use super::super::{row_report::RowReport, source_state::SourceState};

/// Counters of a source since the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceReport {
    /// The name of the source.
    pub name: String,
    /// Number of inputs captured.
    pub captured: u64,
    /// Number of frames encoded.
    pub encoded: u64,
    /// Size of these frames, in bytes.
    pub bytes: u64,
    /// Number of inputs that the rate cap dropped.
    pub too_fast: u64,
    /// Number of images that the scene gate dropped.
    pub unchanged: u64,
    /// Number of damaged inputs.
    pub damaged: u64,
    /// Number of inputs that could not be read or encoded, and of files with a frame that is too large.
    pub failed: u64,
    /// Number of files that wait until the spool has space for their frames.
    #[serde(default)]
    pub waiting: u64,
    /// Number of files in a watched folder that are not inputs, and stay where they are.
    #[serde(default)]
    pub unknown: u64,
    /// Number of files that are done and cannot be moved away at present.
    #[serde(default)]
    pub unmoved: u64,
    /// Number of files that were removed from the folders of done and failed files, because these are bounded.
    #[serde(default)]
    pub removed: u64,
    /// Number of frames of damaged images, which are marked as such. Damaged images are refused by default.
    #[serde(default)]
    pub marked_damaged: u64,
    /// Number of images that were scaled down to what the cloud decodes.
    #[serde(default)]
    pub scaled: u64,
    /// Number of images that were encoded although they are unusual, by the name of the reason.
    #[serde(default)]
    pub warnings: BTreeMap<String, u64>,
    /// Number of inputs that the rate limit holds until they may pass.
    #[serde(default)]
    pub held: u64,
    /// Seconds since the last input; `null` before the first one.
    #[serde(default)]
    pub last_input_seconds: Option<u64>,
    /// Whether the source has not delivered an input for longer than its `silence_seconds`.
    #[serde(default)]
    pub is_silent: bool,
    /// Number of times that the source was started again because it was silent.
    #[serde(default)]
    pub restarts: u64,
    /// Whether the source has ended.
    #[serde(default)]
    pub has_ended: bool,
    /// What has become of the rows of measurements.
    #[serde(default, skip_serializing_if = "RowReport::is_empty")]
    pub rows: RowReport,
    /// The most recent problem; `null` if there was none.
    pub last_error: Option<String>,
}

impl SourceReport {
    pub(super) fn new(source: &SourceState) -> Self {
        let SourceState { name, counters, liveness, .. } = source;
        let counts = counters.input_counts();
        Self {
            name: name.clone(),
            captured: counts.captured,
            encoded: read_count(&counters.encoded),
            bytes: read_count(&counters.bytes),
            too_fast: read_count(&counters.too_fast),
            unchanged: read_count(&counters.unchanged),
            damaged: counts.damaged,
            failed: read_count(&counters.failed),
            waiting: read_count(&counters.waiting),
            unknown: counts.unknown,
            unmoved: counts.unmoved,
            removed: counts.removed,
            marked_damaged: counters.notes.marked_damaged(),
            scaled: counters.notes.scaled(),
            warnings: counters.notes.warnings(),
            held: liveness.held(),
            last_input_seconds: liveness.since_last_input().map(|elapsed| elapsed.as_secs()),
            is_silent: liveness.exceeded_silence().is_some(),
            restarts: liveness.restarts(),
            has_ended: liveness.has_ended(),
            rows: RowReport::new(counters.rows()),
            last_error: counters.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    pub(super) fn write_text(&self, out: &mut PrintableLines) -> std::fmt::Result {
        let Self { name, captured, encoded, bytes, .. } = self;
        writeln!(out, "source {name}: captured {captured}, encoded {encoded} ({bytes} bytes)")?;
        self.write_counts(out)?;
        self.write_liveness(out)?;
        self.rows.write_text(out)?;
        self.write_notes(out)?;
        match &self.last_error {
            Some(error) => writeln!(out, "  last error: {error}"),
            None => Ok(()),
        }
    }

    /// Writes the counters that are not zero.
    fn write_counts(&self, out: &mut PrintableLines) -> std::fmt::Result {
        let counts = [
            ("over the rate limit", self.too_fast),
            ("unchanged", self.unchanged),
            ("damaged", self.damaged),
            ("failed", self.failed),
            ("held by the rate limit", self.held),
            ("started again because it was silent", self.restarts),
            ("waiting for space in the spool", self.waiting),
            ("not inputs, and left where they are", self.unknown),
            ("done, but cannot be moved away", self.unmoved),
            ("removed from the folders of done and failed files", self.removed),
        ];
        let mut counts = counts.into_iter().filter(|(_, count)| *count > 0);
        counts.try_for_each(|(label, count)| writeln!(out, "  {label}: {count}"))
    }

    /// Writes whether the source delivers.
    fn write_liveness(&self, out: &mut PrintableLines) -> std::fmt::Result {
        if self.is_silent {
            match self.last_input_seconds {
                Some(seconds) => writeln!(out, "  SILENT: the last input came {seconds} s ago")?,
                None => writeln!(out, "  SILENT: there was no input yet")?,
            }
        }
        if self.has_ended {
            writeln!(out, "  ended")?;
        }
        Ok(())
    }

    /// Writes what was unusual about images that were encoded.
    fn write_notes(&self, out: &mut PrintableLines) -> std::fmt::Result {
        if self.marked_damaged > 0 {
            writeln!(out, "  encoded although damaged, and marked: {}", self.marked_damaged)?;
        }
        if self.scaled > 0 {
            writeln!(out, "  scaled down to what the cloud decodes: {}", self.scaled)?;
        }
        for (name, count) in &self.warnings {
            writeln!(out, "  encoded with the warning {name}: {count}")?;
        }
        Ok(())
    }
}

fn read_count(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}
