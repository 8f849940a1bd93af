//! The keys of a watched folder.

use std::path::Path;

use lopside_capture::folder::{DoneAction, KeepBounds};

use super::seconds::duration_from_seconds;
use crate::{
    EdgeError, SettingsError,
    agent::{FolderSettings, SourceKind, SourceSettings},
};

const DEFAULT_SETTLE_SECONDS: f64 = 2.0;
/// The default bounds: days and megabytes.
const DEFAULT_DONE: [f64; 2] = [30.0, 1024.0];
const DEFAULT_FAILED: [f64; 2] = [90.0, 1024.0];
/// The bounds on a folder that the operator chose outside the watched folder.
const NO_BOUNDS: [f64; 2] = [0.0; 2];
const DAY_SECONDS: f64 = 86_400.0;
/// Above this number of megabytes, a number of bytes would not be exact.
const MAX_MEGABYTES: f64 = 1e9;

/// The keys of a source that apply to a watched folder.
pub(super) struct FolderKeys {
    pub(super) recursive: Option<bool>,
    pub(super) settle_seconds: Option<f64>,
    /// `done_days` and `done_megabytes`.
    pub(super) done: [Option<f64>; 2],
    /// `failed_days` and `failed_megabytes`.
    pub(super) failed: [Option<f64>; 2],
}

impl FolderKeys {
    /// Returns the settings of a folder. What an operator keeps outside the watched folder is bounded only on demand.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] for a number that is out of range.
    pub(super) fn into_settings(self, folder: &Path, after: DoneAction) -> Result<FolderSettings, EdgeError> {
        let settle_time =
            duration_from_seconds("settle_seconds", self.settle_seconds, DEFAULT_SETTLE_SECONDS)?;
        let is_own_folder = matches!(&after, DoneAction::Move(done) if done.starts_with(folder));
        let done_default = if is_own_folder { DEFAULT_DONE } else { NO_BOUNDS };
        Ok(FolderSettings {
            path: folder.to_owned(),
            is_recursive: self.recursive.unwrap_or(true),
            after,
            keep_done: bounds(["done_days", "done_megabytes"], self.done, done_default)?,
            keep_failed: bounds(["failed_days", "failed_megabytes"], self.failed, DEFAULT_FAILED)?,
            settle_time,
        })
    }
}

/// Returns bounds from a number of days and one of megabytes; 0 sets no bound.
fn bounds(keys: [&str; 2], values: [Option<f64>; 2], defaults: [f64; 2]) -> Result<KeepBounds, EdgeError> {
    let [days, megabytes] = [0, 1].map(|index| values[index].unwrap_or(defaults[index]));
    if !(0.0..=MAX_MEGABYTES).contains(&megabytes) {
        let reason =
            format!("{} = {megabytes} is invalid: use a number of megabytes, or 0 for no bound", keys[1]);
        return Err(SettingsError::Invalid(reason).into());
    }
    let max_age = duration_from_seconds(keys[0], Some(days * DAY_SECONDS), 0.0).map_err(|_| {
        SettingsError::Invalid(format!(
            "{} = {days} is invalid: use a number of days, or 0 for no bound",
            keys[0]
        ))
    })?;
    Ok(KeepBounds {
        max_age: (days > 0.0).then_some(max_age),
        max_bytes: (megabytes > 0.0).then_some((megabytes * 1e6) as u64),
    })
}

/// Checks that no folder is in another one that is watched with its subfolders: its files would be taken twice.
///
/// # Errors
/// [`SettingsError::Invalid`].
pub(super) fn check_nesting(sources: &[SourceSettings]) -> Result<(), EdgeError> {
    let folders: Vec<(&str, &FolderSettings)> = sources
        .iter()
        .filter_map(|source| match &source.kind {
            SourceKind::Folder(folder) => Some((&*source.name, folder)),
            _ => None,
        })
        .collect();
    for (outer_name, outer) in folders.iter().filter(|(_, outer)| outer.is_recursive) {
        let is_inside =
            |inner: &FolderSettings| inner.path != outer.path && inner.path.starts_with(&outer.path);
        if let Some((inner_name, inner)) = folders.iter().find(|(_, inner)| is_inside(inner)) {
            return Err(SettingsError::Invalid(format!(
                "the folder {} of the source {inner_name:?} is also watched by the source {outer_name:?}: write recursive = \
                 false for that one, or choose another folder",
                inner.path.display()
            ))
            .into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn settings(done: [Option<f64>; 2], after: DoneAction) -> FolderSettings {
        let keys = FolderKeys { recursive: None, settle_seconds: None, done, failed: [None; 2] };
        keys.into_settings(Path::new("/inbox"), after).unwrap()
    }

    #[test]
    fn folders_of_the_agent_are_bounded_unless_it_is_switched_off() {
        let inside = || DoneAction::Move("/inbox/done".into());
        let default = settings([None; 2], inside());
        let done = KeepBounds { max_age: Some(30 * DAY), max_bytes: Some(1_024_000_000) };
        let failed = KeepBounds { max_age: Some(90 * DAY), ..done };
        assert_eq!((default.keep_done, default.keep_failed), (done, failed));
        assert!(default.is_recursive);
        assert_eq!(settings([Some(0.0); 2], inside()).keep_done, KeepBounds::default());
        let half_day = settings([Some(0.5), None], inside()).keep_done;
        assert_eq!((half_day.max_age, half_day.max_bytes), (Some(DAY / 2), done.max_bytes));
    }

    #[test]
    fn a_folder_elsewhere_is_bounded_only_on_demand() {
        let elsewhere = || DoneAction::Move("/archive".into());
        assert_eq!(settings([None; 2], elsewhere()).keep_done, KeepBounds::default());
        let demanded = settings([None, Some(5.0)], elsewhere()).keep_done;
        assert_eq!(demanded, KeepBounds { max_age: None, max_bytes: Some(5_000_000) });
    }

    #[test]
    fn a_bound_out_of_range_is_refused_with_its_key() {
        for (key, values) in [("done_days", [Some(-1.0), None]), ("done_megabytes", [None, Some(f64::NAN)])] {
            let keys = FolderKeys { recursive: None, settle_seconds: None, done: values, failed: [None; 2] };
            let error = keys.into_settings(Path::new("a"), DoneAction::Delete).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }
}
