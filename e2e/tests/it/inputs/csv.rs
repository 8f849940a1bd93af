//! Tables through the library, `edge-encoder encode` and `edge-encoder send`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Cursor,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use lopside_bundle::{FixedLatentDraft, HeadKind, InputSpec, TableSpec, TimeSeriesSpec, put_table};
use lopside_e2e::{CloudDecoder, binary_command, run_command, run_stdout};
use lopside_input::csv_rows::{
    CsvError, CsvLimits, CsvRows, CsvStream, RowCounts, RowFilter, TableRow, WindowSchedule,
};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    super::latents::toy::{self, identity, product, tensor},
    case::{
        Case, Expected, WINDOW_ROWS, assert_none, by_options, label_of, reference_path, table_spec, tables,
    },
};

const LIMITS: CsvLimits = CsvLimits { line_bytes: 1 << 16, file_bytes: 1 << 20 };
/// Numbers per window.
const WINDOW_VALUES: usize = 2 * WINDOW_ROWS;
/// The sizes of the pieces in which a stream arrives, in bytes.
const PIECE_BYTES: [usize; 3] = [1, 7, usize::MAX];

/// The frames of the windows of each reference, by its name.
static REFERENCE_FRAMES: LazyLock<BTreeMap<String, Vec<Vec<u8>>>> = LazyLock::new(encode_references);

/// Returns a bundle whose latent is the window itself.
fn draft() -> FixedLatentDraft {
    let rows = WINDOW_ROWS as u32;
    let spec = TimeSeriesSpec {
        length: rows,
        stride: rows,
        channels: vec!["x".into(), "y".into()],
        mean: vec![0.0, 0.0],
        deviation: vec![1.0, 1.0],
    };
    let [window, latent] = [tensor("window", &[rows, 2]), tensor("latent", &[2 * rows])];
    let mut encoder = toy::graph(&[&window]);
    encoder.flatten("window", "flat");
    product(&mut encoder, "flat", &identity::<WINDOW_VALUES>(), "latent");
    let encoder = toy::model(encoder, &[&latent]);
    let layer = toy::layer(latent.clone());
    let mut draft = toy::draft(InputSpec::Series(spec.clone()), window, encoder, vec![layer]);
    let reconstruction = tensor("reconstruction", &[2 * rows]);
    let mut graph = toy::graph(&[&latent]);
    product(&mut graph, "latent", &identity::<WINDOW_VALUES>(), "reconstruction");
    let model = toy::model(graph, &[&reconstruction]);
    draft.heads.push(toy::head("reconstruct", HeadKind::Series(spec), &["latent"], reconstruction, model));
    draft
}

/// Writes a bundle that reads tables of this form into a new folder.
pub(super) fn write_bundle(table: &TableSpec) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle");
    draft().write(&bundle, "# Toy\n").unwrap();
    if *table != TableSpec::default() {
        put_table(&bundle, Some(table.clone())).unwrap();
    }
    (folder, bundle)
}

/// Returns the frames that are expected of a table; none if it is refused.
pub(super) fn expected_frames(case: &Case) -> &'static [Vec<u8>] {
    match &case.expected {
        Expected::Decoded(name, _) => &REFERENCE_FRAMES[name],
        Expected::Refused(_) => &[],
    }
}

/// Returns the series of a reference: each has the numbers of its rows.
fn read_reference(name: &str) -> Vec<Vec<f32>> {
    let text = fs::read_to_string(reference_path(name)).unwrap();
    let (_, series) = text.split_once('\n').unwrap();
    let numbers = |rows: &str| rows.split([',', '\n']).filter_map(|number| number.parse().ok()).collect();
    series.split("\n\n").map(numbers).collect()
}

/// Encodes each series of each reference as a table of its own.
fn encode_references() -> BTreeMap<String, Vec<Vec<u8>>> {
    let names: BTreeSet<&str> = tables()
        .filter_map(|case| match &case.expected {
            Expected::Decoded(name, _) => Some(&name[..]),
            Expected::Refused(_) => None,
        })
        .collect();
    let (_folder, bundle) = write_bundle(&TableSpec::default());
    let (inputs, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (number, name) in names.iter().enumerate() {
        for (index, series) in read_reference(name).iter().enumerate() {
            let rows = series.chunks(2).map(|row| format!("{},{}\n", row[0], row[1]));
            let text = format!("x,y\n{}", rows.collect::<String>());
            fs::write(inputs.path().join(format!("{number:03}-{index:02}.csv")), text).unwrap();
        }
    }
    let mut command = binary_command("edge-encoder");
    command.args(["encode", "--json", "--bundle"]).arg(bundle).arg("--out").arg(out.path());
    let _ = run_stdout(command.arg(inputs.path()));
    let mut frames = read_outputs(out.path(), "lps");
    let of_name =
        |(number, name): (usize, &&str)| Some(((*name).to_owned(), frames.remove(&format!("{number:03}"))?));
    names.iter().enumerate().filter_map(of_name).collect()
}

/// Returns the files with this ending, by their labels and in the order of their names.
fn read_outputs(folder: &Path, ending: &str) -> BTreeMap<String, Vec<Vec<u8>>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|found| found == ending)).collect();
    paths.sort();
    let mut outputs: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for path in paths {
        outputs.entry(label_of(&path)).or_default().push(fs::read(path).unwrap());
    }
    outputs
}

/// The series of a table that have a window, and the counts of all rows.
type ReadTable = Result<(Vec<Vec<f32>>, RowCounts), CsvError>;

/// The series of a table, while it is read.
struct SeriesReader {
    filter: RowFilter,
    schedule: WindowSchedule,
    series: Vec<Vec<f32>>,
}

impl SeriesReader {
    fn new(spec: &TableSpec) -> Self {
        let rows = WINDOW_ROWS as u64;
        let (filter, schedule) = (RowFilter::new(spec), WindowSchedule::new(rows, rows));
        Self { filter, schedule, series: vec![Vec::new()] }
    }

    fn push(&mut self, row: TableRow) {
        let Some(row) = self.filter.accept(row) else { return self.end_series() };
        if row.begins_series {
            self.end_series();
        }
        self.series.last_mut().unwrap().extend(row.values);
        let _ = self.schedule.push();
    }

    /// Refuses a line, or returns its error if the rest of the table cannot be read.
    fn refuse(&mut self, error: CsvError, are_columns_found: bool) -> Result<(), CsvError> {
        if error.ends_table() {
            return Err(error);
        }
        self.filter.refuse(&error, are_columns_found);
        self.end_series();
        Ok(())
    }

    fn end_series(&mut self) {
        let _ = self.schedule.end_series();
        self.series.push(Vec::new());
    }

    /// Returns the series that have a window, and the counts of all rows.
    fn finish(mut self) -> (Vec<Vec<f32>>, RowCounts) {
        self.filter.finish();
        self.end_series();
        let (used, unused) = (self.schedule.used_rows(), self.schedule.unused_rows());
        let counts = RowCounts { used, unused, ..self.filter.counts() };
        self.series.retain(|series| series.len() >= WINDOW_VALUES);
        (self.series, counts)
    }
}

fn channels() -> Vec<String> {
    vec!["x".into(), "y".into()]
}

fn read_file(bytes: &[u8], spec: &TableSpec) -> ReadTable {
    let mut rows = CsvRows::with_table(Cursor::new(bytes), LIMITS, channels(), spec);
    let mut reader = SeriesReader::new(spec);
    loop {
        match rows.next_table_row() {
            Ok(Some(row)) => reader.push(row),
            Ok(None) => return Ok(reader.finish()),
            Err(error) => reader.refuse(error, rows.are_columns_found())?,
        }
    }
}

fn read_stream(bytes: &[u8], piece_bytes: usize, spec: &TableSpec) -> ReadTable {
    let mut stream = CsvStream::with_table(channels(), LIMITS.line_bytes, spec);
    let mut reader = SeriesReader::new(spec);
    for piece in bytes.chunks(piece_bytes) {
        stream.push(piece);
        loop {
            match stream.next_table_row() {
                Ok(Some(row)) => reader.push(row),
                Ok(None) => break,
                Err(error) => reader.refuse(error, stream.are_columns_found())?,
            }
        }
    }
    loop {
        match stream.finish_table_row() {
            Ok(Some(row)) => reader.push(row),
            Ok(None) => return Ok(reader.finish()),
            Err(error) => reader.refuse(error, stream.are_columns_found())?,
        }
    }
}

/// Compares what was read of a table with its reference.
fn check(case: &Case, read: ReadTable) -> Result<(), String> {
    let (series, counts) = match read {
        Ok(read) => read,
        Err(error) if case.expects_message(&error.to_string()) => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    let Expected::Decoded(name, _) = &case.expected else {
        // Without a window, the file is refused.
        return if series.is_empty() { Ok(()) } else { Err(format!("it is read: {series:?}")) };
    };
    let expected = read_reference(name);
    if series != expected {
        return Err(format!("{series:?}, not {expected:?}"));
    }
    let RowCounts { used, unused, missing, refused, held, gaps, .. } = counts;
    let found = [
        ("used", used),
        ("unused", unused),
        ("missing", missing),
        ("refused", refused),
        ("held", held),
        ("gaps", gaps),
    ];
    let is_expected = found.iter().all(|(name, count)| case.note(name) == *count);
    if is_expected { Ok(()) } else { Err(format!("{counts:?}, not {:?}", case.notes)) }
}

#[test]
fn tables_are_read_as_the_references_show_them_or_refused() {
    let mut problems = Vec::new();
    for case in tables() {
        let (bytes, spec) = (case.bytes(), table_spec(&case.options));
        let mut record = |kind: &str, result: Result<(), String>| {
            problems.extend(result.err().map(|text| format!("{} as {kind}: {text}", case.file)));
        };
        record("file", check(case, read_file(&bytes, &spec)));
        if case.stream.is_some() {
            for piece_bytes in PIECE_BYTES {
                record("stream", check(case, read_stream(&bytes, piece_bytes, &spec)));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn encode_reads_or_refuses_every_table_as_the_library_does() {
    let mut problems = Vec::new();
    for (options, cases) in by_options(tables()) {
        let (folder, bundle) = write_bundle(&table_spec(options));
        let failures = run(&["encode"], &bundle, folder.path(), &cases);
        let mut frames = read_outputs(&folder.path().join("out"), "lps");
        for case in cases {
            let found = frames.remove(&case.label).unwrap_or_default();
            if found != expected_frames(case) {
                problems.push(format!("{}: {} frames, and not the expected ones", case.file, found.len()));
            }
            problems.extend(check_failure(case, &failures));
        }
    }
    assert_none(&problems);
}

#[test]
fn send_reads_or_refuses_every_table_as_the_library_does() {
    let (folder, bundle) = write_bundle(&TableSpec::default());
    let cloud = CloudDecoder::start(&[&bundle]);
    let cases: Vec<&Case> = tables().filter(|case| case.options.is_empty()).collect();
    let failures = run(&["send", "--endpoint", &cloud.url], &bundle, folder.path(), &cases);
    let outputs = read_outputs(&folder.path().join("out"), "csv");
    let mut problems = Vec::new();
    for case in cases {
        let found = outputs.get(&case.label).map_or(0, Vec::len);
        if found != expected_frames(case).len() {
            problems.push(format!("{}: {found} outputs", case.file));
        }
        problems.extend(check_failure(case, &failures));
    }
    assert_none(&problems);
}

/// Runs a command over copies of the files, and returns the messages about those that failed, by their labels.
fn run(command: &[&str], bundle: &Path, folder: &Path, cases: &[&Case]) -> BTreeMap<String, String> {
    let inputs = folder.join("inputs");
    fs::create_dir(&inputs).unwrap();
    for case in cases {
        case.copy_into(&inputs);
    }
    let mut edge = binary_command("edge-encoder");
    edge.args(command).arg("--json").arg("--bundle").arg(bundle).arg("--out").arg(folder.join("out"));
    let output = run_command(edge.arg(inputs));
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let text = |failure: &Value, key: &str| failure[key].as_str().unwrap().to_owned();
    let failed = report["failed"].as_array().unwrap().iter();
    failed.map(|failure| (label_of(Path::new(&text(failure, "input"))), text(failure, "reason"))).collect()
}

fn check_failure(case: &Case, failures: &BTreeMap<String, String>) -> Option<String> {
    let text = match failures.get(&case.label) {
        Some(message) if case.expects_message(message) => return None,
        None if !case.is_refused() => return None,
        Some(message) => message,
        None => "not refused",
    };
    Some(format!("{}: {text}", case.file))
}
