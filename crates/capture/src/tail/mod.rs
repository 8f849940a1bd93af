//! A growing file of sensor rows: windows are returned as soon as their rows are written.
//!
//! - Only complete lines are read; half a line waits for its rest.
//! - If another file takes the place of the file, as when a log is rotated, the old file is read to its end, then the new
//!   one from its beginning. If the file becomes shorter, it is read from its beginning.
//! - The position is on the disk soon after a window [is stored](TailMark::mark_stored), so that after a restart
//!   each window is returned that was not stored; the caller remembers the last ones. Rows that do not fill a window
//!   yet are read again.
//! - A window that is dropped without being marked is returned again after a pause.

mod marks;
mod position;
mod reader;
mod watch;

use std::{
    collections::BTreeSet,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use marks::{TailMark, TailedWindow};

use self::{
    marks::TailProgress,
    position::{FileId, Position},
    reader::{ReadStep, TailReader},
    watch::PathWatch,
};
use crate::{
    CaptureError, Captured, CapturedInput, CapturedWindow, InputCounts, Source, SourceContext,
    rows::{RowWindow, WindowOptions},
    stop::WaitOutcome,
};

/// Pause before a window that could not be stored is read again.
const REWIND_PAUSE: Duration = Duration::from_secs(5);
/// Time after which the file is looked at although nothing reports a change: network file systems do not.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Options of a growing file.
#[derive(Debug, Clone, PartialEq)]
pub struct TailOptions {
    /// The file. It may be missing at first.
    pub path: PathBuf,
    /// The file that keeps the position.
    pub position_file: PathBuf,
    /// The shape of the windows and the form of the table.
    pub windows: WindowOptions,
}

/// A growing file as a source of [`CapturedInput::Tailed`].
pub struct TailSource {
    context: SourceContext,
    options: TailOptions,
    progress: Arc<TailProgress>,
    /// `None` if changes are not reported; the file is then looked at from time to time.
    watch: Option<PathWatch>,
    reader: Option<TailReader>,
    /// The index of the first window of the next file, after a file was read to its end. The position may still be in that
    /// file, because its last windows are not stored yet.
    next_file_index: Option<u64>,
    /// The file that was read before a rewind, and the place up to which its rows are counted.
    counted: Option<(FileId, u64)>,
    /// Counts of the files that were read to their end.
    ended_counts: InputCounts,
    captured_count: u64,
    is_missing_reported: bool,
}

impl TailSource {
    /// Opens the position of a file, which need not exist yet.
    ///
    /// # Errors
    /// [`CaptureError::InvalidSetting`] for windows that are not supported, [`CaptureError::FileOperation`] if the position
    /// cannot be read or written.
    pub fn open(context: SourceContext, options: TailOptions) -> Result<Self, CaptureError> {
        options.windows.check()?;
        let progress = Arc::new(TailProgress::open(&options.path, &options.position_file)?);
        let watch = PathWatch::open(&options.path);
        Ok(Self {
            context,
            options,
            progress,
            watch,
            reader: None,
            next_file_index: None,
            counted: None,
            ended_counts: InputCounts::default(),
            captured_count: 0,
            is_missing_reported: false,
        })
    }

    /// Returns the key by which the caller remembers the windows that it stored.
    #[must_use]
    pub fn file_key(&self) -> u64 {
        self.progress.file_key()
    }

    /// Skips windows that were stored before the last stop although the position does not say so, by their
    /// [indices](TailMark::index).
    pub fn skip_stored(&self, indices: &BTreeSet<usize>) {
        self.progress.skip_stored(indices);
    }

    /// Returns the next window that is complete now.
    fn next_ready(&mut self) -> Result<Option<TailedWindow>, CaptureError> {
        loop {
            if self.reader.is_none() && !self.open_reader()? {
                return Ok(None);
            }
            let Some(reader) = &mut self.reader else { return Ok(None) };
            if let Some((window, index)) = reader.take_window() {
                let RowWindow { values, start, measured_at } = window;
                let place = reader.place(start, index);
                if let Some(mark) = TailProgress::begin(&self.progress, index, place) {
                    let window = CapturedWindow { values, measured_at };
                    return Ok(Some(TailedWindow { window, mark }));
                }
                continue;
            }
            match reader.read_step(&self.context.name)? {
                ReadStep::Read => {}
                ReadStep::AtEnd if self.is_replaced() => self.finish_reader(),
                ReadStep::AtEnd => return Ok(None),
                ReadStep::Finished => self.drop_finished_reader(),
            }
        }
    }

    /// Opens the file at its position, or the one that has taken its place. Returns false if there is none.
    fn open_reader(&mut self) -> Result<bool, CaptureError> {
        match self.find_reader() {
            Ok(reader) => {
                (self.reader, self.next_file_index) = (Some(reader), None);
                self.is_missing_reported = false;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::NotFound && self.is_missing_reported => Ok(false),
            Err(error) => {
                self.is_missing_reported = true;
                Err(CaptureError::file_error("open", &self.options.path)(error))
            }
        }
    }

    fn find_reader(&mut self) -> io::Result<TailReader> {
        let Self { options: TailOptions { path, windows, .. }, .. } = &*self;
        let position = self.progress.position();
        let found = if self.next_file_index.is_none() { position.find_file(path) } else { None };
        let mut reader = match &found {
            Some(found) => TailReader::resume(found, &position, windows)?,
            None => TailReader::begin(path, self.next_file_index.unwrap_or(position.next_index), windows)?,
        };
        if found.is_none() && self.next_file_index.is_none() {
            self.report_lost_rest(&position);
        }
        self.apply_counted(&mut reader);
        Ok(reader)
    }

    /// Leaves out of the counts what was counted before a rewind.
    fn apply_counted(&mut self, reader: &mut TailReader) {
        match self.counted.take() {
            Some((id, counted_until)) if id == reader.id() => reader.set_counted(counted_until),
            // A file before the one that was read when the window was refused was counted to its end.
            Some(counted) if reader.is_resumed() => {
                reader.set_counted(u64::MAX);
                self.counted = Some(counted);
            }
            _ => {}
        }
    }

    /// Says that the rest of a file that was begun is not read, because the file is gone.
    fn report_lost_rest(&self, position: &Position) {
        if let Some(file) = &position.file {
            let (path, offset) = (self.options.path.display(), file.offset);
            tracing::warn!(
                source = &*self.context.name, file = %path, offset,
                "the file that was read up to this byte is gone; rows that were written behind it are not read"
            );
        }
    }

    /// Returns whether the path leads to another file now, or to a shorter one.
    fn is_replaced(&self) -> bool {
        let Some(reader) = &self.reader else { return false };
        let Ok(metadata) = fs::metadata(&self.options.path) else { return false };
        FileId::of(&metadata) != reader.id() || metadata.len() < reader.read_bytes()
    }

    /// Ends the file, after what was written until it was replaced.
    fn finish_reader(&mut self) {
        if let Some(reader) = &mut self.reader {
            reader.begin_end();
        }
    }

    /// Leaves a file whose windows were all returned.
    fn drop_finished_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.ended_counts += reader.counts();
            self.next_file_index = Some(reader.next_index());
            self.progress.leave_file(reader.next_index());
        }
    }

    /// Reads again from the position, because a window could not be stored.
    fn rewind(&mut self) -> Result<(), CaptureError> {
        if self.context.pause(REWIND_PAUSE)? {
            return Ok(());
        }
        if let Some(reader) = self.reader.take() {
            let mut counts = reader.counts();
            // The rows that wait are read again, and counted then.
            counts.rows.waiting = 0;
            self.ended_counts += counts;
            self.counted = Some((reader.id(), reader.counted_until()));
        }
        self.next_file_index = None;
        self.progress.begin_rewind();
        Ok(())
    }

    /// Waits until the file may have changed.
    fn wait(&mut self) -> Result<(), CaptureError> {
        self.context.state_counts(self.input_counts());
        let fd = self.watch.as_ref().map(PathWatch::fd);
        let outcome = self.context.stop.wait(fd, &*self.context.clock, Some(LOOK_INTERVAL));
        let outcome = outcome.map_err(CaptureError::system_error("wait for a file"))?;
        if outcome == WaitOutcome::Ready
            && let Some(watch) = &self.watch
        {
            watch.drain().map_err(CaptureError::system_error("read the changes in a folder"))?;
        }
        if self.watch.is_none() {
            self.watch = PathWatch::open(&self.options.path);
        }
        Ok(())
    }
}

impl Source for TailSource {
    fn next(&mut self) -> Result<Option<Captured>, CaptureError> {
        while !self.context.stop.is_stopped() {
            if self.progress.needs_rewind() {
                self.rewind()?;
            } else if let Some(window) = self.next_ready()? {
                self.captured_count += u64::from(!window.mark.is_retry());
                return Ok(Some(self.context.capture_now(CapturedInput::Tailed(window))));
            } else {
                self.wait()?;
            }
        }
        Ok(None)
    }

    fn input_counts(&self) -> InputCounts {
        let mut counts = self.ended_counts;
        if let Some(reader) = &self.reader {
            counts += reader.counts();
        }
        InputCounts { captured: self.captured_count, damaged: counts.rows.refused, ..counts }
    }
}

/// Returns the default place of the position: a hidden file beside the growing file.
#[must_use]
pub fn default_position_file(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".lopside-position");
    path.with_file_name(name)
}
