//! The facts about an image that are not pixels: what of them belongs to the record of its frame, and what is counted.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lopside_delivery::{FrameMarks, GeoPoint};
use lopside_encoder::{ImageNotes, source::EncoderInput};

use super::ImageSettings;

/// The first second of 2020, in Unix seconds: the archive does not believe an earlier time of capture either.
const EARLIEST_CAPTURE_SECONDS: u64 = 1_577_836_800;
/// A time of capture may be this much later than now, because the clock of the camera may be fast.
const MAX_AHEAD: Duration = Duration::from_hours(24);

/// An input with the facts about it that are not pixels.
pub(super) struct NotedInput<'a> {
    pub(super) input: &'a EncoderInput,
    pub(super) notes: &'a ImageNotes,
    pub(super) captured_at: SystemTime,
    /// Whether it has been encoded before, and is counted already: the spool was full.
    pub(super) is_retry: bool,
}

/// Counters of the images of a source that were encoded although something about them was unusual.
#[derive(Debug, Default)]
pub(super) struct NoteCounters {
    /// Number of frames of damaged images.
    marked_damaged: AtomicU64,
    /// Number of images that were scaled down to what the cloud decodes.
    scaled: AtomicU64,
    /// Number of images with a warning, by the name of the warning.
    warnings: Mutex<BTreeMap<&'static str, u64>>,
}

impl NoteCounters {
    /// Counts what the notes of an encoded image of a source say. The first warning of each kind is logged.
    pub(super) fn count(&self, source: &str, notes: &ImageNotes) {
        if notes.damaged && self.marked_damaged.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(source, "a damaged image is encoded; its frame is marked");
        }
        let mut counts = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        for warning in &notes.warnings {
            let count = counts.entry(warning.name()).or_default();
            *count += 1;
            if *count == 1 {
                tracing::warn!(source, %warning, "an image is encoded although it is unusual");
            }
        }
    }

    pub(super) fn count_scaled(&self) {
        self.scaled.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn marked_damaged(&self) -> u64 {
        self.marked_damaged.load(Ordering::Relaxed)
    }

    pub(super) fn scaled(&self) -> u64 {
        self.scaled.load(Ordering::Relaxed)
    }

    /// Returns the number of images with each warning.
    pub(super) fn warnings(&self) -> BTreeMap<String, u64> {
        let counts = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }
}

/// Returns what the record of a frame says about its input.
pub(super) fn frame_marks(notes: &ImageNotes, settings: &ImageSettings) -> FrameMarks {
    let location = notes.location.filter(|_| settings.keep_location);
    let location = location.and_then(|location| {
        GeoPoint::from_degrees(location.latitude, location.longitude, location.altitude)
    });
    FrameMarks { is_damaged: notes.damaged, location }
}

/// Returns the time of capture of an input: the one that its file or its row states, unless it is impossible, as after a
/// reset of the camera's or the logger's clock. `otherwise` is the time at which the input arrived.
pub(super) fn capture_time(stated: Option<SystemTime>, otherwise: SystemTime) -> SystemTime {
    let earliest = UNIX_EPOCH + Duration::from_secs(EARLIEST_CAPTURE_SECONDS);
    let latest = SystemTime::now() + MAX_AHEAD;
    stated.filter(|stated| (earliest..latest).contains(stated)).unwrap_or(otherwise)
}

#[cfg(test)]
mod tests {
    use lopside_encoder::{ImagePolicy, Location};

    use super::*;
    use crate::agent::OversizedImages;

    fn settings(keep_location: bool) -> ImageSettings {
        let policy = ImagePolicy::default();
        ImageSettings { policy, keep_location, oversized: OversizedImages::Refuse }
    }

    #[test]
    fn a_time_of_capture_that_is_impossible_is_not_used() {
        let otherwise = UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        let seconds = |seconds| Some(UNIX_EPOCH + Duration::from_secs(seconds));
        for captured_at in [None, seconds(0), seconds(946_684_800), seconds(253_370_764_800)] {
            assert_eq!(capture_time(captured_at, otherwise), otherwise);
        }
        let taken = seconds(1_600_000_000);
        assert_eq!(Some(capture_time(taken, otherwise)), taken);
    }

    #[test]
    fn the_place_is_recorded_only_if_it_is_wanted() {
        let location = Some(Location { latitude: -33.8, longitude: 151.2, altitude: Some(-4.5) });
        let notes = ImageNotes { damaged: true, location, ..ImageNotes::default() };
        let place = GeoPoint::from_degrees(-33.8, 151.2, Some(-4.5));
        for (keep_location, location) in [(false, None), (true, place)] {
            let marks = frame_marks(&notes, &settings(keep_location));
            assert_eq!(marks, FrameMarks { is_damaged: true, location });
        }
    }

    #[test]
    fn damaged_images_are_counted() {
        let counters = NoteCounters::default();
        counters.count("gate", &ImageNotes::default());
        counters.count("gate", &ImageNotes { damaged: true, ..ImageNotes::default() });
        counters.count_scaled();
        assert_eq!((counters.marked_damaged(), counters.scaled()), (1, 1));
        assert!(counters.warnings().is_empty());
    }
}
