//! Arbitrary bytes as a CSV stream, in pieces of different sizes, and as a CSV file. The rows do not depend on the
//! pieces; a row has a finite number for each channel.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use lopside_input::csv_rows::{CsvLimits, CsvRows, CsvStream};

/// Maximum number of bytes per line.
const LINE_BYTES: usize = 200;
/// Maximum number of bytes per file.
const FILE_BYTES: u64 = 2000;

fuzz_target!(|bytes: &[u8]| {
    let Some((piece_bytes, text)) = bytes.split_first() else { return };
    let whole = stream_rows(text, usize::MAX);
    let in_pieces = stream_rows(text, usize::from(*piece_bytes).max(1));
    assert_eq!(whole, in_pieces, "the rows depend on the pieces");
    for row in whole.iter().flatten() {
        check_row(row, channels().len());
    }

    let limits = CsvLimits { line_bytes: LINE_BYTES, file_bytes: FILE_BYTES };
    for row in CsvRows::new(Cursor::new(text), limits, channels()).map_while(Result::ok) {
        check_row(&row, channels().len());
    }
    if let Ok((names, rows)) = CsvRows::with_header(Cursor::new(text), limits, "label") {
        for row in rows.map_while(Result::ok) {
            check_row(&row, names.len());
        }
    }
});

fn channels() -> Vec<String> {
    vec!["x".into(), "y".into()]
}

fn check_row(row: &[f32], column_count: usize) {
    assert_eq!(row.len(), column_count, "{row:?}");
    assert!(row.iter().all(|value| value.is_finite()), "{row:?}");
}

/// Returns the rows and the reasons of refused lines, in order.
fn stream_rows(text: &[u8], piece_bytes: usize) -> Vec<Result<Vec<f32>, String>> {
    let mut stream = CsvStream::new(channels(), LINE_BYTES);
    let mut rows = Vec::new();
    for piece in text.chunks(piece_bytes) {
        stream.push(piece);
        while let Some(row) = stream.next_row().transpose() {
            rows.push(row.map_err(|error| error.to_string()));
        }
    }
    while let Some(row) = stream.finish().transpose() {
        rows.push(row.map_err(|error| error.to_string()));
    }
    rows
}
