//! Numbers from CSV and `.npy` files: windows of a time series, or tensors.
//!
//! A CSV file contains one table, with one row per line. Its columns are matched by the names of the bundle's channels,
//! or as the bundle or the caller declares. [`csv_rows`](lopside_input::csv_rows) has the rules in full. A `.npy` file
//! contains `[rows, channels]`, for a single channel also `[rows]`, or complete windows `[n, length, channels]`, of `f4` or
//! `f8`.
//!
//! Windows begin every `stride` rows of a series; if the last of them does not reach its end, one more window ends there. A
//! table may have gaps: no window contains rows before and after one, and [`TableReport`] says which rows are in no window.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use lopside_bundle::{TableSpec, TimeSeriesSpec};
use lopside_input::{InputLimits, csv_rows::WindowSchedule};

pub use super::{content::is_numbers_file, table::TableReport};

use super::{
    InputError, NamedFile, NamedInputs, check_input_count,
    content::is_npy,
    file_stem, invalid_file, list,
    npy_array::NpyArray,
    open_reader,
    pieces::{ValuePieces, open_pieces},
    table::{TableWindows, log_report, read_table},
};

/// Returns the windows of these files and folders, in the units of the files.
///
/// # Errors
/// [`InputError::Io`] for a path that cannot be listed, [`InputError::NoNumbers`] if there are no files to
/// read. The error of a single file is returned as the first item of that file.
pub fn open_windows(inputs: &[PathBuf], spec: &TimeSeriesSpec) -> Result<NamedInputs, InputError> {
    open_windows_within(inputs, spec, InputLimits::default())
}

/// Returns the windows of these files and folders, each file within these limits.
///
/// # Errors
/// As [`open_windows`].
pub fn open_windows_within(
    inputs: &[PathBuf],
    spec: &TimeSeriesSpec,
    limits: InputLimits,
) -> Result<NamedInputs, InputError> {
    open_tables(inputs, spec, &TableSpec::default(), limits)
}

/// Returns the windows of these files and folders, each file within these limits and each table of this form. Rows that are
/// in no window are logged.
pub(crate) fn open_tables(
    inputs: &[PathBuf],
    spec: &TimeSeriesSpec,
    table: &TableSpec,
    limits: InputLimits,
) -> Result<NamedInputs, InputError> {
    let (files, spec, table) = (list(inputs, true, &[])?.files, spec.clone(), table.clone());
    Ok(Box::new(files.into_iter().flat_map(move |file| {
        let (windows, report) = open_window_file(&file, &spec, &table, &limits);
        log_report(&file.path, &report);
        windows
    })))
}

/// Returns the windows of one file, and what has become of its rows; an error is the last item.
pub(crate) fn open_window_file(
    file: &NamedFile,
    spec: &TimeSeriesSpec,
    table: &TableSpec,
    limits: &InputLimits,
) -> (NamedInputs, TableReport) {
    if is_npy(&file.path) {
        return (open_pieces(file, read_array(&file.path, spec, limits)), TableReport::default());
    }
    let mut report = TableReport::default();
    let piece_len = spec.length as usize * spec.channels.len();
    let pieces = read_table(&file.path, spec, table, limits, &mut report).map(
        |TableWindows { numbers, starts, measured_at }| ValuePieces {
            numbers,
            starts,
            measured_at,
            piece_len,
        },
    );
    (open_pieces(file, pieces), report)
}

/// Logs what has become of the rows of a file.
pub(crate) fn log_table(file: &NamedFile, report: &TableReport) {
    log_report(&file.path, report);
}

fn read_array(path: &Path, spec: &TimeSeriesSpec, limits: &InputLimits) -> Result<ValuePieces, InputError> {
    let (length, channels) = (spec.length as usize, spec.channels.len());
    let array = NpyArray::open(path, open_reader(path, limits)?, limits)?;
    let shape = array.shape.clone();
    let rows = match shape[..] {
        [_] if channels == 1 => array.read_floats(path)?,
        [_, columns] if columns == channels as u64 => array.read_floats(path)?,
        [_, rows, columns] if (rows, columns) == (length as u64, channels as u64) => {
            let numbers = array.read_floats(path)?;
            return ValuePieces::one_after_the_other(path, numbers, length * channels, limits);
        }
        _ => {
            let expected = format!("[rows, {channels}] or [n, {length}, {channels}]");
            return Err(invalid_file(path, &format!("shape {shape:?} is not {expected}")));
        }
    };
    let count = rows.len() / channels;
    if count < length {
        return Err(invalid_file(path, &format!("it has {count} rows, but a window has {length}")));
    }
    let starts = window_starts(count, length, spec.stride as usize);
    check_input_count(path, starts.len() as u64, limits)?;
    let starts = starts.into_iter().map(|start| start * channels).collect();
    Ok(ValuePieces { numbers: rows, starts, measured_at: Vec::new(), piece_len: length * channels })
}

/// Returns the tensors of these files and folders: `.npy` files of shape `dims`, or `[n, dims…]` for many.
///
/// # Errors
/// As [`open_windows`].
pub fn open_tensors(inputs: &[PathBuf], dims: &[u32]) -> Result<NamedInputs, InputError> {
    open_tensors_within(inputs, dims, InputLimits::default())
}

/// Returns the tensors of these files and folders, each file within these limits.
///
/// # Errors
/// As [`open_windows`].
pub fn open_tensors_within(
    inputs: &[PathBuf],
    dims: &[u32],
    limits: InputLimits,
) -> Result<NamedInputs, InputError> {
    let (files, dims) = (list(inputs, true, &[])?.files, dims.to_vec());
    Ok(Box::new(files.into_iter().flat_map(move |file| open_tensor_file(&file, &dims, &limits))))
}

/// Returns the tensors of one file; an error is the last item.
pub(crate) fn open_tensor_file(file: &NamedFile, dims: &[u32], limits: &InputLimits) -> NamedInputs {
    open_pieces(file, read_tensor_file(&file.path, dims, limits))
}

fn read_tensor_file(path: &Path, dims: &[u32], limits: &InputLimits) -> Result<ValuePieces, InputError> {
    if !is_npy(path) {
        return Err(invalid_file(path, "tensors can only be read from .npy files"));
    }
    tensor_pieces(path, open_reader(path, limits)?, dims, limits)
}

/// Returns the tensors of an array in the `.npy` format, of shape `dims`, or `[n, dims…]` for many, that is
/// read from another source within the default limits; `path` names them and their errors.
///
/// # Errors
/// [`InputError::InvalidFile`] for an array of other dimensions or of a type other than `f4` and `f8`, or over a
/// limit.
pub fn read_tensors(path: &Path, reader: Box<dyn Read>, dims: &[u32]) -> Result<NamedInputs, InputError> {
    Ok(Box::new(tensor_pieces(path, reader, dims, &InputLimits::default())?.named_inputs(&file_stem(path))))
}

fn tensor_pieces(
    path: &Path,
    reader: Box<dyn Read>,
    dims: &[u32],
    limits: &InputLimits,
) -> Result<ValuePieces, InputError> {
    let dims: Vec<u64> = dims.iter().map(|&dim| u64::from(dim)).collect();
    let array = NpyArray::open(path, reader, limits)?;
    if array.shape != dims && array.shape.get(1..) != Some(&dims[..]) {
        let shape = &array.shape;
        return Err(invalid_file(
            path,
            &format!(
                "shape {shape:?} is not {dims:?}, with or without a leading dimension for several tensors"
            ),
        ));
    }
    let piece_len = dims.iter().product::<u64>() as usize;
    ValuePieces::one_after_the_other(path, array.read_floats(path)?, piece_len, limits)
}

/// Returns the first rows of the windows.
fn window_starts(rows: usize, length: usize, stride: usize) -> Vec<usize> {
    let mut schedule = WindowSchedule::new(length as u64, stride as u64);
    let ends = (1..=rows).filter(|_| schedule.push());
    let mut starts: Vec<usize> = ends.map(|end| end - length).collect();
    if schedule.end_series() {
        starts.push(rows - length);
    }
    starts
}

#[cfg(test)]
mod tests {
    use std::{fs, time::UNIX_EPOCH};

    use lopside_bundle::{ColumnRef, TimeZone};
    use lopside_input::csv_rows::RowCounts;

    use super::{
        super::{EncoderInput, NamedInput},
        *,
    };

    fn spec(length: u32, stride: u32, channels: &[&str]) -> TimeSeriesSpec {
        let count = channels.len();
        TimeSeriesSpec {
            length,
            stride,
            channels: channels.iter().map(|&name| name.into()).collect(),
            mean: vec![0.0; count],
            deviation: vec![1.0; count],
        }
    }

    fn read(text: &str, spec: &TimeSeriesSpec) -> Result<Vec<(String, Vec<f32>)>, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("log.csv"), text).unwrap();
        let to_pair = |named: NamedInput| match named.input {
            EncoderInput::Values(numbers) => (named.name, numbers),
            EncoderInput::Image(_) => panic!("an image instead of numbers"),
        };
        let found = open_windows(&[folder.path().to_owned()], spec).unwrap();
        found.map(|item| item.map(to_pair).map_err(|error| error.to_string())).collect()
    }

    #[test]
    fn windows_cover_every_row() {
        let found = read("1\n2\n3\n4\n5\n6\n", &spec(3, 2, &["x"])).unwrap();
        let expected = [
            ("log-00000".to_owned(), vec![1.0, 2.0, 3.0]),
            ("log-00001".to_owned(), vec![3.0, 4.0, 5.0]),
            ("log-00002".to_owned(), vec![4.0, 5.0, 6.0]),
        ];
        assert_eq!(found, expected);
        assert_eq!(read("1\n2\n", &spec(2, 1, &["x"])).unwrap(), [("log".to_owned(), vec![1.0, 2.0])]);
    }

    #[test]
    fn a_header_selects_columns() {
        let text = "time, b, a\n0, 1, 2\n1, 3, 4\n";
        let found = read(text, &spec(2, 1, &["a", "b"])).unwrap();
        assert_eq!(found[0].1, [2.0, 1.0, 4.0, 3.0]);
        let unnamed = read("5, 6\n", &spec(1, 1, &["a", "b"])).unwrap();
        assert_eq!(unnamed[0].1, [5.0, 6.0]);
        let quoted = read("\"a, °C\",a\n5,6\n\"a, °C\",a\n7,8\n", &spec(2, 1, &["a"])).unwrap();
        assert_eq!(quoted[0].1, [6.0, 8.0]);
    }

    #[test]
    fn unreadable_files_are_named() {
        let spec = spec(2, 1, &["a", "b"]);
        for (text, expected) in [
            ("1,2\n3,x\n", "line 2, column 2: \"x\""),
            ("1,2\n3\n", "line 2: it has 1 columns, but the first line has 2"),
            ("1,2\n3,\n", "line 2, column 2: \"\""),
            ("1,2\n3,inf\n", "\"inf\""),
            ("1,2\n", "it has 1 rows, but a window has 2"),
            ("1,2,3\n", "it has 3 columns and no header that names all of the channels: a, b"),
            ("a,c\n1,2\n3,4\n", "it has 2 columns and no header that names all of the channels: a, b"),
            ("x,y\n1,2\n3,4\n", "log.csv: line 1: it is a header that names none of a, b"),
            ("1,2\n3,4,5\n", "log.csv: line 2: it has 3 columns, but the first line has 2"),
            ("1,2\n\"3,4\n", "log.csv: line 2, column 1: \"3,4\" is not quoted correctly"),
            ("", "it has 0 rows"),
            ("a,b\n", "it has 0 rows"),
        ] {
            let error = read(text, &spec).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    /// Returns the windows of a table of this form, and what has become of its rows.
    fn read_form(text: &str, spec: &TimeSeriesSpec, table: &TableSpec) -> (Vec<Vec<f32>>, TableReport) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        fs::write(&path, text).unwrap();
        let file = NamedFile { path, name: "log".into() };
        let (inputs, report) = open_window_file(&file, spec, table, &InputLimits::default());
        let windows = inputs.map(|item| match item.unwrap().input {
            EncoderInput::Values(values) => values,
            EncoderInput::Image(_) => panic!("an image instead of numbers"),
        });
        (windows.collect(), report)
    }

    #[test]
    fn a_bad_line_or_a_gap_costs_the_windows_that_it_is_in() {
        let time = Some(vec![ColumnRef::Name("Date".into()), ColumnRef::Name("Time".into())]);
        let table = TableSpec { time, max_gap_seconds: Some(60.0), ..TableSpec::default() };
        let text = "\u{feff}Station 7\r\nDate;Time;b;a [V]\r\n;;°C;V\r\n\
                    01.03.2024;00:00:00;1,5;2\r\n01.03.2024;00:01:00;2,5;3\r\n\
                    01.03.2024;00:02:00;;4\r\n\
                    01.03.2024;00:03:00;3,5;5\r\n01.03.2024;00:04:00;4,5;6\r\n\
                    01.03.2024;00:10:00;5,5;7\r\n01.03.2024;00:11:00;error;8\r\n";
        let (windows, report) = read_form(text, &spec(2, 1, &["a", "b"]), &table);
        assert_eq!(windows, [[2.0, 1.5, 3.0, 2.5], [5.0, 3.5, 6.0, 4.5]]);
        let rows = RowCounts { used: 4, unused: 1, missing: 1, refused: 1, gaps: 1, ..RowCounts::default() };
        assert_eq!(report.rows, rows);
        assert_eq!(report.first_refused.unwrap().line, 6);
    }

    #[test]
    fn a_window_has_the_time_of_its_last_row_if_the_zone_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        fs::write(&path, "t,x\n2024-02-29 01:00:00,1\n2024-02-29 01:00:01,2\n2024-02-29 01:00:02,3\n")
            .unwrap();
        let file = NamedFile { path, name: "log".into() };
        let times = |zone: Option<&str>| -> Vec<Option<u64>> {
            let table = TableSpec {
                time: Some(vec![ColumnRef::Name("t".into())]),
                time_zone: zone.map(|zone| TimeZone::try_from(zone.to_owned()).unwrap()),
                max_gap_seconds: Some(1.0),
                ..TableSpec::default()
            };
            let (inputs, _) = open_window_file(&file, &spec(2, 1, &["x"]), &table, &InputLimits::default());
            let times = inputs.map(|input| input.unwrap().notes.captured_at);
            times.map(|time| time.map(|time| time.duration_since(UNIX_EPOCH).unwrap().as_secs())).collect()
        };
        assert_eq!(times(Some("+01:00")), [Some(1_709_164_801), Some(1_709_164_802)]);
        assert_eq!(times(None), [None, None]);
    }

    #[test]
    fn declared_columns_need_no_header_and_replaced_numbers_are_counted() {
        let columns = Some(vec![ColumnRef::Number(3), ColumnRef::Number(2)]);
        let table = TableSpec {
            columns,
            max_held_rows: Some(1),
            missing: Some(vec!["-9999".into()]),
            ..TableSpec::default()
        };
        let text = "id,first,second\n7,1,2\n7,-9999,4\n7,5,6\n";
        let (windows, report) = read_form(text, &spec(3, 1, &["a", "b"]), &table);
        assert_eq!(windows, [[2.0, 1.0, 4.0, 1.0, 6.0, 5.0]]);
        assert_eq!(report.rows, RowCounts { used: 3, held: 1, ..RowCounts::default() });
        assert_eq!(report.first_refused, None);
    }

    #[test]
    fn the_windows_of_a_table_and_of_an_array_are_the_same() {
        for (rows, length, stride) in [(7, 3, 2), (8, 4, 4), (9, 2, 5), (5, 5, 1)] {
            let text: String = (0..rows).map(|row| format!("{row}\n")).collect();
            let (windows, report) = read_form(&text, &spec(length, stride, &["x"]), &TableSpec::default());
            let expected: Vec<f32> = window_starts(rows, length as usize, stride as usize)
                .into_iter()
                .map(|start| start as f32)
                .collect();
            let starts: Vec<f32> = windows.iter().map(|window| window[0]).collect();
            assert_eq!(starts, expected);
            assert_eq!(report.rows.total(), rows as u64);
        }
    }

    #[test]
    fn an_array_without_items_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 2, 2), }";
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend_from_slice(&118_u16.to_le_bytes());
        file.extend_from_slice(format!("{header:<117}\n").as_bytes());
        fs::write(folder.path().join("none.npy"), file).unwrap();
        let inputs = [folder.path().to_owned()];
        let found = [
            open_tensors(&inputs, &[2, 2]),
            open_windows(&inputs, &spec(2, 1, &["a", "b"])),
            super::super::open_inputs(&inputs),
        ];
        for mut found in found.map(Result::unwrap) {
            let error = found.next().unwrap().unwrap_err().to_string();
            assert!(error.contains("none.npy: the file contains no inputs"), "{error}");
            assert!(found.next().is_none());
        }
    }
}
