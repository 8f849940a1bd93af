//! Arbitrary bytes as a CSV stream, in pieces of different sizes, and as a CSV file, with tables of several forms. The series
//! do not depend on the pieces; a row of a series has a finite number for each channel; every row is accounted for.

#![no_main]

use std::io::Cursor;

use lopside_bundle::{ColumnRef, DecimalMark, Separator, TableSpec, TimeZone};
use lopside_fuzz::fuzz_target;
use lopside_input::csv_rows::{
    CsvError, CsvLimits, CsvRows, CsvStream, RowCounts, RowFilter, TableRow, WindowSchedule,
};

/// Maximum number of bytes per line.
const LINE_BYTES: usize = 200;
/// Maximum number of bytes per file.
const FILE_BYTES: u64 = 2000;
const LIMITS: CsvLimits = CsvLimits { line_bytes: LINE_BYTES, file_bytes: FILE_BYTES };
/// Rows per window, and from one window to the next.
const WINDOW: [u64; 2] = [3, 2];

fuzz_target!(|bytes: &[u8]| {
    let [selector, piece_bytes, text @ ..] = bytes else { return };
    let spec = table(*selector);
    let whole = read_stream(text, usize::MAX, &spec);
    let in_pieces = read_stream(text, usize::from(*piece_bytes).max(1), &spec);
    assert_eq!(whole, in_pieces, "the series depend on the pieces");
    read_file(text, &spec);
    if let Ok((names, rows)) = CsvRows::with_header(Cursor::new(text), LIMITS, "label") {
        for row in rows.map_while(Result::ok) {
            assert_eq!(row.len(), names.len(), "{row:?}");
            assert!(row.iter().all(|value| value.is_finite()), "{row:?}");
        }
    }
});

fn channels() -> Vec<String> {
    vec!["x".into(), "y".into()]
}

/// Returns the form of tables that the bits of a byte select.
fn table(selector: u8) -> TableSpec {
    let is_set = |bit: u8| selector & (1 << bit) != 0;
    TableSpec {
        columns: is_set(0).then(|| vec![ColumnRef::Number(2), ColumnRef::Name("y".into())]),
        time: is_set(1).then(|| vec![ColumnRef::Name("time".into())]),
        time_format: None,
        time_zone: TimeZone::try_from("+01:00".to_owned()).ok().filter(|_| is_set(6)),
        max_gap_seconds: Some(1.5),
        max_held_rows: is_set(2).then_some(2),
        missing: is_set(3).then(|| vec!["-9999".into()]),
        separator: is_set(4).then_some(Separator::Semicolon),
        decimal: is_set(5).then_some(DecimalMark::Comma),
    }
}

/// The series of a table, and the number of lines that are rows or were refused.
struct Reader {
    filter: RowFilter,
    schedule: WindowSchedule,
    series: Vec<Vec<f32>>,
    errors: Vec<String>,
    lines: u64,
}

impl Reader {
    fn new(spec: &TableSpec) -> Self {
        let schedule = WindowSchedule::new(WINDOW[0], WINDOW[1]);
        Self { filter: RowFilter::new(spec), schedule, series: Vec::new(), errors: Vec::new(), lines: 0 }
    }

    fn push(&mut self, row: TableRow) {
        self.lines += 1;
        let Some(row) = self.filter.accept(row) else {
            let _ = self.schedule.end_series();
            return;
        };
        if row.begins_series {
            let _ = self.schedule.end_series();
            self.series.push(Vec::new());
        }
        assert_eq!(row.values.len(), channels().len(), "{row:?}");
        assert!(row.values.iter().all(|value| value.is_finite()), "{row:?}");
        self.series.last_mut().expect("the first row begins a series").extend(row.values);
        let _ = self.schedule.push();
    }

    fn refuse(&mut self, error: &CsvError, are_columns_found: bool) {
        self.lines += 1;
        self.errors.push(error.to_string());
        self.filter.refuse(error, are_columns_found);
        let _ = self.schedule.end_series();
    }

    /// Ends the table. Every line that should be a row is in one of the counts; lines of its head are in none.
    fn finish(mut self) -> (Vec<Vec<f32>>, Vec<String>, RowCounts) {
        self.filter.finish();
        let _ = self.schedule.end_series();
        let (used, unused) = (self.schedule.used_rows(), self.schedule.unused_rows());
        let counts = RowCounts { used, unused, ..self.filter.counts() };
        let rows = self.series.iter().map(|series| (series.len() / channels().len()) as u64).sum::<u64>();
        assert_eq!(used + unused, rows, "{counts:?}");
        assert!(counts.total() <= self.lines, "{counts:?}, {} lines", self.lines);
        (self.series, self.errors, counts)
    }
}

/// Returns the series, the reasons of refused lines, and the counts, all in order.
fn read_stream(text: &[u8], piece_bytes: usize, spec: &TableSpec) -> (Vec<Vec<f32>>, Vec<String>, RowCounts) {
    let mut stream = CsvStream::with_table(channels(), LINE_BYTES, spec);
    let mut reader = Reader::new(spec);
    for piece in text.chunks(piece_bytes) {
        stream.push(piece);
        while let Some(row) = stream.next_table_row().transpose() {
            match row {
                Ok(row) => reader.push(row),
                Err(error) => reader.refuse(&error, stream.are_columns_found()),
            }
        }
    }
    while let Some(row) = stream.finish_table_row().transpose() {
        match row {
            Ok(row) => reader.push(row),
            Err(error) => reader.refuse(&error, stream.are_columns_found()),
        }
    }
    reader.finish()
}

fn read_file(text: &[u8], spec: &TableSpec) {
    let mut rows = CsvRows::with_table(Cursor::new(text), LIMITS, channels(), spec);
    let mut reader = Reader::new(spec);
    loop {
        match rows.next_table_row() {
            Ok(Some(row)) => reader.push(row),
            Ok(None) => break,
            Err(error) if error.ends_table() => break,
            Err(error) => reader.refuse(&error, rows.are_columns_found()),
        }
    }
    let _ = reader.finish();
}
