//! Growing files: every row is in a window once, through restarts, rotation and refused windows.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::common::Leaping;
use lopside_bundle::TableSpec;
use lopside_capture::{
    CapturedInput, Source as _, SourceContext, StopHandle,
    rows::WindowOptions,
    tail::{TailOptions, TailSource, TailedWindow, default_position_file},
};
use lopside_input::csv_rows::RowCounts;

/// A folder with a growing file, and its reader.
struct Logger {
    folder: tempfile::TempDir,
    stop: StopHandle,
}

impl Logger {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), stop: StopHandle::new().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("log.csv")
    }

    fn write(&self, text: &str) {
        let mut file = File::options().append(true).create(true).open(self.path()).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Opens the file, with windows of two rows every two rows.
    fn open(&self) -> TailSource {
        self.open_with(2, 2)
    }

    fn open_with(&self, window_rows: usize, stride_rows: usize) -> TailSource {
        let table = TableSpec::default();
        let windows = WindowOptions { channels: vec!["x".into()], window_rows, stride_rows, table };
        let path = self.path();
        let options = TailOptions { position_file: default_position_file(&path), path, windows };
        let clock = Arc::new(Leaping::new(|_| {}));
        TailSource::open(SourceContext::new("logger", &self.stop).with_clock(clock), options).unwrap()
    }
}

fn next(source: &mut TailSource) -> TailedWindow {
    match source.next().unwrap().unwrap().input {
        CapturedInput::Tailed(window) => window,
        other => panic!("{other:?}"),
    }
}

/// Returns the next window, after it was stored.
fn stored(source: &mut TailSource) -> Vec<f32> {
    let TailedWindow { window, mark } = next(source);
    mark.mark_stored().unwrap();
    window.values
}

#[test]
fn windows_are_returned_as_the_file_grows() {
    let logger = Logger::new();
    logger.write("t,x\n0,1\n1,2\n2,3\n3,");
    let mut source = logger.open();
    assert_eq!(stored(&mut source), [1.0, 2.0]);
    logger.write("4\n4,5\n");
    assert_eq!(stored(&mut source), [3.0, 4.0]);
    let counts = source.input_counts();
    assert_eq!((counts.captured, counts.rows.total()), (2, 4));
}

#[test]
fn each_window_is_returned_once_through_restarts() {
    let logger = Logger::new();
    logger.write("t;x\n0;1,5\n");
    drop(logger.open());
    logger.write("1;2,5\n2;3,5\n");
    let mut source = logger.open();
    assert_eq!(stored(&mut source), [1.5, 2.5]);
    drop(source);
    // The last row did not fill a window: it is read again. The header is far away.
    logger.write("3;4,5\n4;5,5\n5;6,5\n");
    let mut source = logger.open();
    assert_eq!(stored(&mut source), [3.5, 4.5]);
    // This one is not stored when the agent stops.
    let lost = next(&mut source);
    assert_eq!(lost.window.values, [5.5, 6.5]);
    drop((lost, source));
    let mut source = logger.open();
    assert_eq!(stored(&mut source), [5.5, 6.5]);
}

#[test]
fn a_window_that_was_stored_before_the_position_was_written_is_not_returned_again() {
    let logger = Logger::new();
    logger.write("x\n1\n2\n3\n4\n5\n6\n");
    let mut source = logger.open();
    let windows = [next(&mut source), next(&mut source)];
    let key = source.file_key();
    assert!(windows.iter().all(|window| window.mark.file_key() == key));
    let indices: BTreeSet<usize> = windows.iter().map(|window| window.mark.index() as usize).collect();
    assert_eq!(indices, BTreeSet::from([0, 1]));
    drop((windows, source));
    let mut source = logger.open();
    assert_eq!(source.file_key(), key);
    source.skip_stored(&indices);
    assert_eq!(stored(&mut source), [5.0, 6.0]);
    drop(source);
    logger.write("7\n8\n");
    assert_eq!(stored(&mut logger.open()), [7.0, 8.0]);
}

#[test]
fn overlapping_windows_continue_where_they_ended() {
    let logger = Logger::new();
    logger.write("x\n1\n2\n3\n4\n");
    let mut source = logger.open_with(3, 1);
    assert_eq!(stored(&mut source), [1.0, 2.0, 3.0]);
    drop(source);
    let mut source = logger.open_with(3, 1);
    assert_eq!(stored(&mut source), [2.0, 3.0, 4.0]);
    logger.write("5\n");
    assert_eq!(stored(&mut source), [3.0, 4.0, 5.0]);
}

#[test]
fn a_refused_window_is_returned_again_and_later_ones_are_not() {
    let logger = Logger::new();
    logger.write("x\n1\n2\n3\n4\n5\n");
    let mut source = logger.open();
    let first = next(&mut source);
    let second = next(&mut source);
    second.mark.mark_stored().unwrap();
    drop(first);
    assert_eq!(stored(&mut source), [1.0, 2.0]);
    logger.write("6\n");
    assert_eq!(stored(&mut source), [5.0, 6.0]);
    // Rows that are read again are counted once.
    assert_eq!(source.input_counts().rows, RowCounts { used: 6, ..RowCounts::default() });
}

/// Rotates the log as `logrotate` does by default.
fn rotate(path: &Path) {
    fs::rename(path, path.with_extension("csv.1")).unwrap();
}

#[test]
fn a_rotated_file_is_read_to_its_end() {
    let logger = Logger::new();
    logger.write("x\n1\n2\n3\n");
    let mut source = logger.open();
    assert_eq!(stored(&mut source), [1.0, 2.0]);
    rotate(&logger.path());
    // The logger still writes into the old file, until it opens the new one.
    let mut old = File::options().append(true).open(logger.path().with_extension("csv.1")).unwrap();
    old.write_all(b"4\n5\n6").unwrap();
    logger.write("x\n7\n8\n");
    assert_eq!(stored(&mut source), [3.0, 4.0]);
    // The windows of a file that has ended reach its last row; half a line is refused.
    assert_eq!(stored(&mut source), [4.0, 5.0]);
    assert_eq!(stored(&mut source), [7.0, 8.0]);
    let rows = RowCounts { used: 7, refused: 1, ..RowCounts::default() };
    assert_eq!(source.input_counts().rows, rows);
}

#[test]
fn a_file_that_was_rotated_while_the_agent_was_stopped_is_read_to_its_end() {
    let logger = Logger::new();
    logger.write("x\n1\n2\n3\n");
    let mut source = logger.open();
    assert_eq!(stored(&mut source), [1.0, 2.0]);
    drop(source);
    logger.write("4\n");
    rotate(&logger.path());
    logger.write("x\n5\n6\n");
    let mut source = logger.open();
    assert_eq!(stored(&mut source), [3.0, 4.0]);
    assert_eq!(stored(&mut source), [5.0, 6.0]);
}

#[test]
fn a_file_that_becomes_shorter_is_read_from_its_beginning() {
    let logger = Logger::new();
    logger.write("x\n1\n2\n3\n4\n");
    let mut source = logger.open();
    assert_eq!(stored(&mut source), [1.0, 2.0]);
    assert_eq!(stored(&mut source), [3.0, 4.0]);
    fs::write(logger.path(), "x\n5\n6\n").unwrap();
    assert_eq!(stored(&mut source), [5.0, 6.0]);
}

#[test]
fn a_missing_file_is_reported_once_and_waited_for() {
    let logger = Logger::new();
    let mut source = logger.open();
    let error = source.next().unwrap_err().to_string();
    assert!(error.contains("log.csv"), "{error}");
    logger.write("x\n1\n2\n");
    assert_eq!(stored(&mut source), [1.0, 2.0]);
    logger.stop.stop();
    assert!(source.next().unwrap().is_none());
}

#[test]
fn a_position_that_cannot_be_kept_is_an_error() {
    let logger = Logger::new();
    let path = logger.path();
    fs::write(default_position_file(&path), "something else").unwrap();
    let windows = WindowOptions {
        channels: vec!["x".into()],
        window_rows: 1,
        stride_rows: 1,
        table: TableSpec::default(),
    };
    let options = TailOptions { position_file: default_position_file(&path), path, windows };
    let error = TailSource::open(SourceContext::new("logger", &logger.stop), options).map(drop).unwrap_err();
    assert!(error.to_string().contains("remove it to have the file read from its beginning"), "{error}");
}
