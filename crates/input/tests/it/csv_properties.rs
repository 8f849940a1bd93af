//! Properties of the rows of CSV, of any form and in any pieces.

use csv::{QuoteStyle, Terminator, WriterBuilder};
use lopside_bundle::{ColumnRef, TableSpec};
use lopside_input::csv_rows::{CsvRows, RowCounts, RowFilter, WindowSchedule};
use proptest::prelude::*;

use crate::csv_rows::{Item, LIMITS, from_file, from_stream, named};

/// Generates a table: the names of its channels, which contain special characters, and its rows.
fn table() -> impl Strategy<Value = (Vec<String>, Vec<Vec<f32>>)> {
    let special =
        prop::collection::vec(prop::sample::select(vec!['a', ',', '"', '\n', '\r', ' ', '#', 'é']), 0..6);
    let number = {
        use prop::num::f32::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
        POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO
    };
    (1_usize..6).prop_flat_map(move |width| {
        let names = prop::collection::vec(special.clone(), width).prop_map(|specials| {
            let names = specials.into_iter().enumerate();
            names.map(|(column, inner)| format!("c{column}{}z", String::from_iter(inner))).collect::<Vec<_>>()
        });
        (names, prop::collection::vec(prop::collection::vec(number, width), 0..20))
    })
}

/// Returns a table as the csv crate writes it.
fn written(
    names: Option<&[String]>,
    rows: &[Vec<f32>],
    (quotes, line_end): (QuoteStyle, Terminator),
) -> Vec<u8> {
    let mut writer = WriterBuilder::new().quote_style(quotes).terminator(line_end).from_writer(Vec::new());
    if let Some(names) = names {
        writer.write_record(names).unwrap();
    }
    for row in rows {
        writer.write_record(row.iter().map(ToString::to_string)).unwrap();
    }
    writer.into_inner().unwrap()
}

fn any_form() -> impl Strategy<Value = (QuoteStyle, Terminator)> {
    let quotes =
        prop::sample::select(vec![QuoteStyle::Necessary, QuoteStyle::Always, QuoteStyle::NonNumeric]);
    let line_ends = vec![Terminator::CRLF, Terminator::Any(b'\n'), Terminator::Any(b'\r')];
    (quotes, prop::sample::select(line_ends))
}

/// The rows and windows of a table.
struct SeriesOfTable {
    accepted: u64,
    windows: u64,
    counts: RowCounts,
}

/// Reads a table of one channel into windows of the schedule, which have `length` rows.
fn read_series(text: &str, table: &TableSpec, schedule: &mut WindowSchedule, length: u64) -> SeriesOfTable {
    let mut rows = CsvRows::with_table(text.as_bytes(), LIMITS, named(&["v"]), table);
    let mut filter = RowFilter::new(table);
    let (mut accepted, mut series_rows, mut windows) = (0, 0, 0);
    while let Some(item) = rows.next_table_row().transpose() {
        let row = match item {
            Ok(row) => filter.accept(row),
            Err(error) => {
                filter.refuse(&error, rows.are_columns_found());
                None
            }
        };
        if row.as_ref().is_none_or(|row| row.begins_series) {
            windows += u64::from(schedule.end_series());
            series_rows = 0;
        }
        let Some(row) = row else { continue };
        assert!(row.values[0].is_finite());
        (accepted, series_rows) = (accepted + 1, series_rows + 1);
        let is_complete = schedule.push();
        assert!(!is_complete || series_rows >= length, "a window has only rows of its series");
        windows += u64::from(is_complete);
    }
    windows += u64::from(schedule.end_series());
    SeriesOfTable { accepted, windows, counts: filter.counts() }
}

proptest! {
    #[test]
    fn every_row_is_in_a_series_or_counted(
        lines in prop::collection::vec(
            prop::sample::select(vec!["1;2", "2;3,5", "9;4", ";5", "3;", "3;nan", "x;y", "z", "1;2;3", "# 1", "t;v"]),
            0..60,
        ),
        (length, stride, max_held_rows) in (1_u64..6, 1_u64..8, 0_u32..3),
    ) {
        let table = TableSpec {
            time: Some(vec![ColumnRef::Name("t".into())]),
            max_gap_seconds: Some(2.0),
            max_held_rows: Some(max_held_rows),
            ..TableSpec::default()
        };
        let text = format!("t;v\n{}\n", lines.join("\n"));
        let mut schedule = WindowSchedule::new(length, stride);
        let SeriesOfTable { accepted, windows, counts } = read_series(&text, &table, &mut schedule, length);
        prop_assert_eq!(schedule.used_rows() + schedule.unused_rows(), accepted);
        prop_assert_eq!(schedule.waiting_rows(), 0);
        prop_assert_eq!(windows > 0, schedule.used_rows() > 0);
        // Headers, comments and units are no rows.
        let expected = lines.iter().filter(|line| !["# 1", "t;v"].contains(*line)).count() as u64;
        let counted = accepted + counts.missing + counts.refused;
        prop_assert!(counted <= expected && counted + 3 * (1 + lines.len() as u64) >= expected);
    }

    #[test]
    fn what_the_csv_crate_writes_is_read_back(
        (names, rows) in table(), form in any_form(), has_header in any::<bool>(),
    ) {
        let text = written(has_header.then_some(&names[..]), &rows, form);
        prop_assert_eq!(&from_file(&text, &names).unwrap(), &rows);
        if has_header {
            let reversed: Vec<String> = names.iter().rev().cloned().collect();
            let expected: Vec<Vec<f32>> =
                rows.iter().map(|row| row.iter().rev().copied().collect()).collect();
            prop_assert_eq!(from_file(&text, &reversed).unwrap(), expected);
        }
    }

    #[test]
    fn a_stream_yields_the_rows_of_a_file_whatever_its_pieces(
        (names, rows) in table(), form in any_form(), sizes in prop::collection::vec(1_usize..30, 1..8),
    ) {
        let names: Vec<String> = names.iter().map(|name| name.replace(['\n', '\r'], " ")).collect();
        let text = written(Some(&names), &rows, form);
        let expected: Vec<Item> = rows.into_iter().map(Ok).collect();
        prop_assert_eq!(from_stream(&text, &sizes, &names, LIMITS.line_bytes), expected);
    }

    #[test]
    fn any_bytes_yield_the_same_items_whatever_the_pieces(
        text in prop::collection::vec(prop::sample::select(&b"01.,,e-x\"#\r\n\n \xff\xef\xbb\xbf"[..]), 0..200),
        sizes in prop::collection::vec(1_usize..30, 1..8),
    ) {
        let channels = named(&["x", "e"]);
        let found = from_stream(&text, &sizes, &channels, 12);
        prop_assert_eq!(&found, &from_stream(&text, &[text.len().max(1)], &channels, 12));
        prop_assert!(found.iter().flatten().all(|row| row.len() == 2 && row.iter().all(|x| x.is_finite())));
        let _ = from_file(&text, &channels);
    }

    #[test]
    fn a_bad_cell_is_named_wherever_it_is(
        (width, height) in (2_usize..6, 1_usize..8), place in any::<(prop::sample::Index, prop::sample::Index)>(),
        bad in prop::sample::select(vec!["", "x", "1;2", "1 2", "NaN", "-inf", "1e39", "0x1", "1,5"]),
        has_header in any::<bool>(),
    ) {
        let (row, column) = (place.0.index(height), place.1.index(width));
        let mut cells = vec![vec!["1.5".to_owned(); width]; height];
        cells[row][column] = format!("\"{bad}\"");
        let names: Vec<String> = (0..width).map(|column| format!("c{column}")).collect();
        let mut lines: Vec<String> = cells.iter().map(|cells| cells.join(",")).collect();
        if has_header {
            lines.insert(0, names.join(","));
        }
        let error = from_file(lines.join("\n").as_bytes(), &names).unwrap_err();
        let line = row as u64 + 1 + u64::from(has_header);
        prop_assert_eq!((error.line(), error.column()), (Some(line), Some(column + 1)));
        prop_assert!(error.to_string().contains(&format!("{bad:?}")), "{error}");
    }
}
