//! Which windows of a growing file are stored. The position advances over windows that are stored without a gap.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::position::{FilePlace, Position};
use crate::{CaptureError, CapturedWindow};

/// The shortest time between two writes of the position. What was stored since is known from the
/// [indices](TailMark::index) that the caller remembers.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);

/// A window of a growing file.
#[derive(Debug)]
pub struct TailedWindow {
    /// The values, and the moment of the last row.
    pub window: CapturedWindow,
    /// The mark of the window, to be settled once its outputs are safe.
    pub mark: TailMark,
}

/// The mark of a window that was returned. If it is dropped, the window is returned again after a pause.
pub struct TailMark {
    index: u64,
    progress: Arc<TailProgress>,
    is_retry: bool,
    is_settled: bool,
}

/// The windows of a growing file.
#[derive(Debug)]
pub(super) struct TailProgress {
    /// The growing file.
    path: PathBuf,
    position_file: PathBuf,
    state: Mutex<ProgressState>,
}

#[derive(Debug)]
struct ProgressState {
    position: Position,
    /// The places of windows that were returned and are not behind the position.
    places: BTreeMap<u64, FilePlace>,
    /// The windows that are stored, although one before them is not.
    settled: BTreeSet<u64>,
    /// The windows that were returned, and whose marks exist.
    in_flight: BTreeSet<u64>,
    /// The windows whose marks were dropped, and that are to be returned again.
    refused: BTreeSet<u64>,
    needs_rewind: bool,
    /// Whether the position has changed since the last write.
    is_unwritten: bool,
    /// The time of the last write; `None` before the first one.
    written_at: Option<Instant>,
}

impl TailMark {
    /// Returns the key of the position, by which the caller remembers which windows it stored.
    #[must_use]
    pub fn file_key(&self) -> u64 {
        self.progress.file_key()
    }

    /// Returns the index of the window under this key. It begins at 0 again after 2³² windows.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index as u32
    }

    /// Returns whether the window was returned before.
    #[must_use]
    pub fn is_retry(&self) -> bool {
        self.is_retry
    }

    /// Returns the path of the growing file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.progress.path
    }

    /// Settles a window, once its outputs are safe on the disk or it can never be stored.
    ///
    /// # Errors
    /// [`CaptureError::FileOperation`] if the position cannot be written; the window is settled until the next start.
    pub fn mark_stored(mut self) -> Result<(), CaptureError> {
        self.is_settled = true;
        self.progress.settle(self.index)
    }
}

impl Drop for TailMark {
    fn drop(&mut self) {
        if !self.is_settled {
            let mut state = self.progress.state();
            state.in_flight.remove(&self.index);
            state.refused.insert(self.index);
            state.needs_rewind = true;
        }
    }
}

impl fmt::Debug for TailMark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TailMark").field("index", &self.index).finish_non_exhaustive()
    }
}

impl TailProgress {
    pub(super) fn open(path: &Path, position_file: &Path) -> Result<Self, CaptureError> {
        let position = Position::open(position_file)
            .map_err(CaptureError::file_error("keep the position in the file", position_file))?;
        let state = ProgressState {
            position,
            places: BTreeMap::new(),
            settled: BTreeSet::new(),
            in_flight: BTreeSet::new(),
            refused: BTreeSet::new(),
            needs_rewind: false,
            is_unwritten: false,
            written_at: None,
        };
        Ok(Self { path: path.to_owned(), position_file: position_file.to_owned(), state: Mutex::new(state) })
    }

    pub(super) fn file_key(&self) -> u64 {
        self.state().position.key
    }

    pub(super) fn position(&self) -> Position {
        self.state().position.clone()
    }

    pub(super) fn skip_stored(&self, indices: &BTreeSet<usize>) {
        let mut state = self.state();
        let next = state.position.next_index;
        // Indices are the last 32 bits of those of the windows. One just before the next has a distance near 2³².
        let distances = indices.iter().map(|&index| (index as u32).wrapping_sub(next as u32));
        let ahead = distances.filter(|distance| *distance < 1 << 31);
        state.settled.extend(ahead.map(|distance| next + u64::from(distance)));
    }

    /// Returns the mark of a window; `None` if the window is stored, or was returned and is not answered yet.
    pub(super) fn begin(progress: &Arc<Self>, index: u64, place: FilePlace) -> Option<TailMark> {
        let mut state = progress.state();
        if index < state.position.next_index || state.in_flight.contains(&index) {
            return None;
        }
        state.places.insert(index, place);
        if state.settled.contains(&index) {
            state.advance();
            return None;
        }
        state.in_flight.insert(index);
        let is_retry = state.refused.remove(&index);
        Some(TailMark { index, progress: Arc::clone(progress), is_retry, is_settled: false })
    }

    pub(super) fn needs_rewind(&self) -> bool {
        self.state().needs_rewind
    }

    pub(super) fn begin_rewind(&self) {
        self.state().needs_rewind = false;
    }

    /// Leaves a file that was read to its end: the next one begins with this index. If all of its windows are stored, the
    /// position is not in it any more.
    pub(super) fn leave_file(&self, next_index: u64) {
        let mut state = self.state();
        if state.position.next_index == next_index {
            state.position.file = None;
            state.is_unwritten = true;
        }
    }

    fn settle(&self, index: u64) -> Result<(), CaptureError> {
        let mut state = self.state();
        state.in_flight.remove(&index);
        state.settled.insert(index);
        state.advance();
        let is_due = state.written_at.is_none_or(|written| written.elapsed() >= WRITE_INTERVAL);
        if is_due { self.write(&mut state) } else { Ok(()) }
    }

    fn write(&self, state: &mut ProgressState) -> Result<(), CaptureError> {
        let written = state.position.write(&self.position_file);
        written.map_err(CaptureError::file_error("keep the position in the file", &self.position_file))?;
        (state.is_unwritten, state.written_at) = (false, Some(Instant::now()));
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, ProgressState> {
        // A panic cannot leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for TailProgress {
    fn drop(&mut self) {
        let mut state = self.state();
        if state.is_unwritten
            && let Err(error) = self.write(&mut state)
        {
            tracing::warn!(%error, "the position in a growing file could not be written");
        }
    }
}

impl ProgressState {
    /// Advances the position over the windows that are stored without a gap, as far as they were read.
    fn advance(&mut self) {
        loop {
            let next = self.position.next_index;
            if !self.settled.contains(&next) {
                break;
            }
            let Some(place) = self.places.remove(&next) else { break };
            self.settled.remove(&next);
            self.position.file = Some(place);
            self.position.next_index = next + 1;
            self.is_unwritten = true;
        }
    }
}
