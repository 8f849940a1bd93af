//! Numbers from CSV and `.npy` files: windows of a time series, or tensors.
//!
//! A CSV file contains one series, with one row per line and commas between the numbers. A first line without
//! any number is a header. If it names the bundle's channels, these columns are used, whatever their order; if
//! it names none of them, the file must have one column per channel, in order.
//! [`csv_rows`](lopside_input::csv_rows) has the rules in full. A `.npy` file contains `[rows, channels]`, for a
//! single channel also `[rows]`, or complete windows `[n, length, channels]`, of `f4` or `f8`.
//!
//! Windows begin every `stride` rows; if the last of them does not reach the end, one more window ends there.
//! Every row is therefore in a window.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use lopside_bundle::TimeSeriesSpec;
use lopside_input::{
    InputLimits,
    csv_rows::{CsvError, CsvLimits, CsvRows},
};

use super::{
    EncoderInput, InputError, NO_INPUTS, NamedInput, NamedInputs, check_input_count, file_stem, invalid_file,
    join_paths, list_files,
    npy_array::{NpyArray, reserve},
    numbered_name, open_reader,
};

/// Maximum number of bytes per line of a CSV file.
const MAX_LINE_BYTES: usize = 1 << 20;

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
    let spec = spec.clone();
    open_each(inputs, move |path| {
        let (length, channels) = (spec.length as usize, spec.channels.len());
        let rows = if is_npy(path) {
            let array = NpyArray::open(path, open_reader(path, &limits)?, &limits)?;
            let shape = array.shape.clone();
            match shape[..] {
                [_] if channels == 1 => array.read_floats(path)?,
                [_, columns] if columns == channels as u64 => array.read_floats(path)?,
                [_, rows, columns] if (rows, columns) == (length as u64, channels as u64) => {
                    let numbers = array.read_floats(path)?;
                    return ValuePieces::one_after_the_other(path, numbers, length * channels, &limits);
                }
                _ => {
                    let expected = format!("[rows, {channels}] or [n, {length}, {channels}]");
                    return Err(invalid_file(path, &format!("shape {shape:?} is not {expected}")));
                }
            }
        } else {
            read_csv_rows(path, &spec.channels, &limits)?
        };
        let count = rows.len() / channels;
        if count < length {
            return Err(invalid_file(path, &format!("it has {count} rows, but a window has {length}")));
        }
        let stride = spec.stride as usize;
        check_input_count(path, window_starts(count, length, stride).count() as u64, &limits)?;
        let starts = window_starts(count, length, stride).map(|start| start * channels).collect();
        Ok(ValuePieces { numbers: rows, starts, piece_len: length * channels })
    })
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
    let dims = dims.to_vec();
    open_each(inputs, move |path| {
        if !is_npy(path) {
            return Err(invalid_file(path, "tensors can only be read from .npy files"));
        }
        tensor_pieces(path, open_reader(path, &limits)?, &dims, &limits)
    })
}

/// Returns the tensors of an array in the `.npy` format, of shape `dims`, or `[n, dims…]` for many, that is
/// read from another source within the default limits; `path` names them and their errors.
///
/// # Errors
/// [`InputError::InvalidFile`] for an array of other dimensions or of a type other than `f4` and `f8`, or over a
/// limit.
pub fn read_tensors(path: &Path, reader: Box<dyn Read>, dims: &[u32]) -> Result<NamedInputs, InputError> {
    Ok(Box::new(tensor_pieces(path, reader, dims, &InputLimits::default())?.named_inputs(path)))
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

/// The inputs of a file: pieces of `piece_len` numbers, which may overlap.
struct ValuePieces {
    numbers: Vec<f32>,
    starts: Vec<usize>,
    piece_len: usize,
}

impl ValuePieces {
    fn one_after_the_other(
        path: &Path,
        numbers: Vec<f32>,
        piece_len: usize,
        limits: &InputLimits,
    ) -> Result<Self, InputError> {
        let count = numbers.len() / piece_len;
        check_input_count(path, count as u64, limits)?;
        let starts = (0..count).map(|index| index * piece_len).collect();
        Ok(Self { numbers, starts, piece_len })
    }

    /// Returns the pieces, copied one by one, with their names.
    fn named_inputs(self, path: &Path) -> impl Iterator<Item = Result<NamedInput, InputError>> + use<> {
        let Self { numbers, starts, piece_len } = self;
        let (is_single, path) = (starts.len() == 1, path.to_owned());
        starts.into_iter().enumerate().map(move |(number, start)| {
            let name = if is_single { file_stem(&path) } else { numbered_name(&path, number) };
            Ok(NamedInput { name, input: EncoderInput::Values(numbers[start..start + piece_len].to_vec()) })
        })
    }
}

/// Returns the first rows of the windows.
fn window_starts(rows: usize, length: usize, stride: usize) -> impl Iterator<Item = usize> {
    let last = rows - length;
    (0..=last).step_by(stride).chain((!last.is_multiple_of(stride)).then_some(last))
}

/// Returns the pieces that `read` finds in each file, with their names.
fn open_each(
    inputs: &[PathBuf],
    read: impl Fn(&Path) -> Result<ValuePieces, InputError> + 'static,
) -> Result<NamedInputs, InputError> {
    let files = list_files(inputs, is_numbers_file)?;
    if files.is_empty() {
        return Err(InputError::NoNumbers { paths: join_paths(inputs) });
    }
    Ok(Box::new(files.into_iter().flat_map(move |path| -> NamedInputs {
        match read(&path) {
            Ok(pieces) if pieces.starts.is_empty() => {
                Box::new(std::iter::once(Err(invalid_file(&path, NO_INPUTS))))
            }
            Ok(pieces) => Box::new(pieces.named_inputs(&path)),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    })))
}

fn has_ending(path: &Path, suffix: &str) -> bool {
    let name = path.to_string_lossy().to_ascii_lowercase();
    name.strip_suffix(".gz").unwrap_or(&name).ends_with(suffix)
}

/// Returns whether a file contains numbers, judged by its name.
#[must_use]
pub fn is_numbers_file(path: &Path) -> bool {
    is_npy(path) || is_csv(path)
}

fn is_npy(path: &Path) -> bool {
    has_ending(path, ".npy")
}

fn is_csv(path: &Path) -> bool {
    has_ending(path, ".csv")
}

/// Reads the rows of a CSV file, the selected channels of each.
fn read_csv_rows(path: &Path, channels: &[String], limits: &InputLimits) -> Result<Vec<f32>, InputError> {
    let max_values = usize::try_from(limits.max_values).unwrap_or(usize::MAX);
    let csv_limits = CsvLimits { line_bytes: MAX_LINE_BYTES, file_bytes: limits.max_file_bytes };
    let mut numbers = Vec::new();
    for row in CsvRows::new(open_reader(path, limits)?, csv_limits, channels.to_vec()) {
        let row = row.map_err(|error| csv_error(path, channels, &error))?;
        if row.len() > max_values - numbers.len() {
            return Err(invalid_file(
                path,
                &format!("it has over {max_values} numbers, the limit: split it"),
            ));
        }
        reserve(&mut numbers, row.len(), max_values);
        numbers.extend(row);
    }
    Ok(numbers)
}

fn csv_error(path: &Path, channels: &[String], error: &CsvError) -> InputError {
    match error {
        CsvError::MissingChannels { columns, .. } | CsvError::UnnamedColumns { columns, .. } => {
            let names = channels.join(", ");
            invalid_file(
                path,
                &format!("it has {columns} columns and no header that names all of the channels: {names}"),
            )
        }
        other => invalid_file(path, &other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

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
        let unnamed = read("x, y\n5, 6\n", &spec(1, 1, &["a", "b"])).unwrap();
        assert_eq!(unnamed[0].1, [5.0, 6.0]);
        let quoted = read("\"a, °C\",a\n5,6\n\"a, °C\",a\n7,8\n", &spec(2, 1, &["a"])).unwrap();
        assert_eq!(quoted[0].1, [6.0, 8.0]);
    }

    #[test]
    fn unreadable_files_are_named() {
        let spec = spec(2, 1, &["a", "b"]);
        for (text, expected) in [
            ("1,2\n3,x\n", "line 2, column 2: \"x\""),
            ("1,2\n3\n", "line 2, column 2: \"\""),
            ("1,2\n3,inf\n", "\"inf\""),
            ("1,2\n", "it has 1 rows, but a window has 2"),
            ("1,2,3\n", "it has 3 columns and no header that names all of the channels: a, b"),
            ("a,c\n1,2\n3,4\n", "it has 2 columns and no header that names all of the channels: a, b"),
            ("1,x\n3,4\n5,6\n", "log.csv: line 1, column 2: \"x\" is not a finite number"),
            ("1,2\n3,4,5\n", "log.csv: line 2: it has 3 columns, but the first line has 2"),
            ("1,2\n\"3,4\n", "log.csv: line 2, column 1: \"3,4\" is not quoted correctly"),
            ("", "it has 0 rows"),
            ("a,b\n", "it has 0 rows"),
        ] {
            let error = read(text, &spec).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
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
