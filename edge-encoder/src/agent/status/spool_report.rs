use lopside_delivery::Class;
use lopside_spool::{Counters, DropReason};
use lopside_telemetry::printable::PrintableLines;
use lopside_uplink::StoreSnapshot;
use serde::{Deserialize, Serialize};

/// The state of the spool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpoolReport {
    /// Size of all files, in bytes.
    pub bytes: u64,
    /// Budget of the files, in bytes.
    pub budget: u64,
    /// Reason why the disk currently accepts no writes; `null` if it does.
    pub failure: Option<String>,
    /// Bytes of the files whose frames are all delivered, included in `bytes`. They are removed when space is
    /// needed.
    #[serde(default)]
    pub kept_bytes: u64,
    /// Number of times that the spool took a new name, because it was copied or set back to an earlier state.
    #[serde(default)]
    pub renamed: u64,
    /// Number of log ends that were torn by crashes.
    pub torn: u64,
    /// Bytes of damaged data, kept for inspection in the spool's folder as `damaged-…`.
    pub damaged_bytes: u64,
    /// Number of files that other programs have put into the spool's folder under the names of segments. They are kept as
    /// `stray-…`.
    #[serde(default)]
    pub stray_files: usize,
    /// Counters per class, in ascending order of importance.
    pub classes: Vec<ClassReport>,
}

/// Counters of a class's frames: `produced = delivered + evicted + expired + refused + damaged + in_doubt + pending`.
/// `lost` is a part of `delivered`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassReport {
    /// The name of the class: `low`, `normal` or `high`.
    pub class: String,
    /// Number of frames that were to be stored.
    pub produced: u64,
    /// Number of frames that the cloud acknowledged and that are not pending again.
    pub delivered: u64,
    /// Number of delivered frames that the archive has lost since, because it was set back to an earlier state,
    /// and of which the spool had no copy any more. It may include frames that the spool had dropped itself.
    #[serde(default)]
    pub lost: u64,
    /// Number of frames that wait in the spool.
    pub pending: u64,
    /// Number of frames that were dropped in favour of more important ones, or of newer ones if the class drops its oldest
    /// frames.
    pub evicted: u64,
    /// Number of frames that were dropped because they were older than the limit of the class.
    #[serde(default)]
    pub expired: u64,
    /// Number of frames that were dropped, because the spool was full or the frame too large. Files for which there
    /// is no space are not among them: they [wait](super::SourceReport::waiting).
    pub refused: u64,
    /// Number of frames that were lost through damage on the disk.
    pub damaged: u64,
    /// Number of frames that were sent, and evicted before the cloud acknowledged them; resolved on the next
    /// connection.
    pub in_doubt: u64,
}

impl SpoolReport {
    pub(super) fn new(budget: u64, state: &StoreSnapshot) -> Self {
        let classes = Class::ALL.into_iter().zip(&state.classes);
        Self {
            bytes: state.size_bytes,
            budget,
            failure: state.failure.clone(),
            kept_bytes: state.kept_bytes,
            renamed: state.times_renamed,
            torn: state.torn_logs,
            damaged_bytes: state.damaged_bytes,
            stray_files: state.stray_files,
            classes: classes
                .map(|(class, (counters, pending))| ClassReport::new(class, counters, *pending))
                .collect(),
        }
    }

    pub(super) fn write_text(&self, out: &mut PrintableLines) -> std::fmt::Result {
        let [used_mb, budget_mb, kept_mb] =
            [self.bytes, self.budget, self.kept_bytes].map(|bytes| bytes as f64 / 1e6);
        writeln!(out, "spool: {used_mb:.1} of {budget_mb:.0} MB, {kept_mb:.1} MB of it delivered frames")?;
        if let Some(failure) = &self.failure {
            writeln!(out, "spool: FAILED: {failure}")?;
        }
        let Self { renamed, damaged_bytes, stray_files, .. } = self;
        if *renamed > 0 {
            writeln!(out, "spool: copied or set back {renamed} times; each time it took a new name")?;
        }
        if *damaged_bytes > 0 {
            writeln!(
                out,
                "spool: {damaged_bytes} bytes of damaged data are kept as damaged-… in its folder"
            )?;
        }
        if *stray_files > 0 {
            writeln!(
                out,
                "spool: {stray_files} files that do not belong to it are kept as stray-… in its folder"
            )?;
        }
        self.classes.iter().rev().try_for_each(|class| class.write_text(out))
    }
}

impl ClassReport {
    fn new(class: Class, counters: &Counters, pending: u64) -> Self {
        let [evicted, refused, damaged, expired] = DropReason::ALL.map(|reason| counters.dropped(reason));
        let (delivered, in_doubt) = (counters.delivered, counters.in_doubt_count());
        Self {
            class: class.name().to_owned(),
            produced: delivered + evicted + expired + refused + damaged + in_doubt + pending,
            delivered,
            lost: counters.lost,
            pending,
            evicted,
            expired,
            refused,
            damaged,
            in_doubt,
        }
    }

    fn write_text(&self, out: &mut PrintableLines) -> std::fmt::Result {
        let Self { class, produced, delivered, pending, in_doubt, .. } = self;
        let dropped = self.evicted + self.expired + self.refused + self.damaged;
        writeln!(
            out,
            "  {class:6} produced {produced}, delivered {delivered}, waiting {pending}, dropped {dropped}, in doubt {in_doubt}"
        )?;
        if self.lost > 0 {
            writeln!(out, "         of the delivered frames, the archive has lost {}", self.lost)?;
        }
        Ok(())
    }
}
