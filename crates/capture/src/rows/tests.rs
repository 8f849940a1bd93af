use std::time::UNIX_EPOCH;

use lopside_bundle::{ColumnRef, TimeZone};
use proptest::prelude::*;

use super::*;
use crate::InputCounts;

fn options(length: usize, stride: usize, channels: &[&str]) -> WindowOptions {
    WindowOptions {
        channels: channels.iter().map(|&name| name.into()).collect(),
        window_rows: length,
        stride_rows: stride,
        table: TableSpec::default(),
    }
}

/// Returns options of windows of one channel, every row, in a table of this form.
fn table(length: usize, table: TableSpec) -> WindowOptions {
    WindowOptions { table, ..options(length, 1, &["x"]) }
}

fn windows(text: &str, options: WindowOptions) -> (Vec<Vec<f32>>, InputCounts, Option<RefusedRow>) {
    let mut windows = WindowReader::new(&"sensor".into(), text.as_bytes(), options).unwrap();
    let found = std::iter::from_fn(|| windows.next_window().unwrap()).map(|window| window.values).collect();
    (found, windows.input_counts(), windows.last_refused().cloned())
}

#[test]
fn a_header_selects_columns_and_may_be_repeated() {
    let text = "time, \"b\", a\n0,1,2\r\n# a note\n1,3,4\na,b\n5,6\n";
    let (found, counts, _) = windows(text, options(1, 1, &["a", "b"]));
    assert_eq!(found, [[2.0, 1.0], [4.0, 3.0], [5.0, 6.0]]);
    let rows = RowCounts { used: 3, ..RowCounts::default() };
    assert_eq!(counts, InputCounts { captured: 3, rows, ..InputCounts::default() });
    let (found, ..) = windows("\u{feff}b;a\n5;6\n7;8", options(1, 1, &["a", "b"]));
    assert_eq!(found, [[6.0, 5.0], [8.0, 7.0]]);
}

#[test]
fn a_bad_line_is_refused_by_number_and_no_window_contains_rows_on_both_sides_of_it() {
    for (bad, reason) in [
        ("3", "it has 1 columns, but the first line has 2"),
        ("x,1", "column 1: \"x\" is not a finite number"),
        ("1,inf", "column 2: \"inf\" is not a finite number"),
        // Two lines that have lost the line break between them.
        ("3,43,4", "it has 3 columns, but the first line has 2"),
        ("\"3,4\"", "it has 1 columns, but the first line has 2"),
        (
            "3,\"4\"5",
            "column 2: \"45\" is not quoted correctly: a cell that begins with a quote must end with \
             one, and each quote between them must be doubled",
        ),
    ] {
        let text = format!("1,2\n{bad}\n5,6\n7,8\n");
        let (found, counts, refused) = windows(&text, options(2, 1, &["a", "b"]));
        assert_eq!(found, [[5.0, 6.0, 7.0, 8.0]], "{bad}");
        let rows = RowCounts { used: 2, unused: 1, refused: 1, ..RowCounts::default() };
        assert_eq!((counts.damaged, counts.rows), (1, rows), "{bad}");
        let refused = refused.unwrap();
        assert_eq!((refused.line, &refused.reason[..]), (2, reason));
    }
}

#[test]
fn a_missing_number_costs_its_row_or_is_replaced_by_the_last_one() {
    let text = "x\n1\n2\nNaN\n4\n5\n";
    let (found, counts, refused) = windows(text, table(2, TableSpec::default()));
    assert_eq!(found, [[1.0, 2.0], [4.0, 5.0]]);
    let rows = RowCounts { used: 4, missing: 1, ..RowCounts::default() };
    assert_eq!((counts.damaged, counts.rows, refused.unwrap().line), (0, rows, 4));
    let held = TableSpec { max_held_rows: Some(1), ..TableSpec::default() };
    let (found, counts, _) = windows(text, table(2, held.clone()));
    assert_eq!(found, [[1.0, 2.0], [2.0, 2.0], [2.0, 4.0], [4.0, 5.0]]);
    assert_eq!(counts.rows, RowCounts { used: 5, held: 1, ..RowCounts::default() });
    // Only one row in succession is replaced.
    let (found, counts, _) = windows("x\n1\n2\n-\n-\n4\n", table(2, held));
    assert_eq!(found, [[1.0, 2.0], [2.0, 2.0]]);
    let rows = RowCounts { used: 3, unused: 1, missing: 1, held: 1, ..RowCounts::default() };
    assert_eq!(counts.rows, rows);
}

#[test]
fn no_window_contains_a_leap_of_the_time() {
    let time = || Some(vec![ColumnRef::Name("t".into())]);
    let spec = TableSpec { time: time(), max_gap_seconds: Some(1.0), ..TableSpec::default() };
    let text = "t,x\n0,1\n1,2\n1,3\n5,4\n6,5\n2,6\n3,7\nsoon,8\n4,9\n";
    let (found, counts, refused) = windows(text, table(2, spec));
    assert_eq!(found, [[1.0, 2.0], [2.0, 3.0], [4.0, 5.0], [6.0, 7.0]]);
    let rows = RowCounts { used: 7, unused: 1, refused: 1, gaps: 2, ..RowCounts::default() };
    assert_eq!(counts.rows, rows);
    assert!(refused.unwrap().reason.contains("column 1: \"soon\" is not a time"));
}

#[test]
fn a_window_has_the_time_of_its_last_row_if_the_zone_is_known() {
    let moments = |time_zone: Option<&str>| -> Vec<Option<u64>> {
        let spec = TableSpec {
            time: Some(vec![ColumnRef::Name("t".into())]),
            time_zone: time_zone.map(|zone| TimeZone::try_from(zone.to_owned()).unwrap()),
            max_gap_seconds: Some(1.0),
            ..TableSpec::default()
        };
        let text = "t,x\n1709164800,1\n1709164801,2\n1709164802,3\n";
        let mut windows = WindowReader::new(&"sensor".into(), text.as_bytes(), table(2, spec)).unwrap();
        let found = std::iter::from_fn(|| windows.next_window().unwrap());
        let moments = found.map(|window| window.measured_at);
        moments.map(|at| at.map(|at| at.duration_since(UNIX_EPOCH).unwrap().as_secs())).collect()
    };
    assert_eq!(moments(Some("UTC")), [Some(1_709_164_801), Some(1_709_164_802)]);
    assert_eq!(moments(None), [None, None]);
}

#[test]
fn the_rows_of_an_unfinished_window_are_counted() {
    let (found, counts, _) = windows("1\n2\n3\n4\n", options(8, 8, &["x"]));
    assert!(found.is_empty());
    assert_eq!(counts.rows, RowCounts { unused: 4, ..RowCounts::default() });
    // A stride beyond the window leaves rows out.
    let (_, counts, _) = windows("1\n2\n3\n4\n", options(1, 3, &["x"]));
    assert_eq!(counts.rows, RowCounts { used: 2, unused: 2, ..RowCounts::default() });
}

#[test]
fn a_comma_in_quotes_does_not_separate_cells() {
    let text = "\"at, UTC\",\"flow, \"\"l/s\"\"\",b\n\"5, 6\",\"1\",2\n";
    let (found, counts, _) = windows(text, options(1, 1, &["b", "flow, \"l/s\""]));
    assert_eq!((found, counts.damaged), (vec![vec![2.0, 1.0]], 0));
}

#[test]
fn a_first_line_with_a_bad_cell_is_refused() {
    let (found, counts, refused) = windows("1,x\n3,4\n", options(1, 1, &["a", "b"]));
    assert_eq!((found, counts.damaged), (vec![vec![3.0, 4.0]], 1));
    let refused = refused.unwrap();
    assert_eq!((refused.line, &refused.reason[..]), (1, "column 2: \"x\" is not a finite number"));
}

#[test]
fn a_lost_quote_costs_one_line() {
    let (found, counts, refused) = windows("1,2\n3,\"4\n5,6\n", options(1, 1, &["a", "b"]));
    assert_eq!((found, counts.damaged), (vec![vec![1.0, 2.0], vec![5.0, 6.0]], 1));
    assert_eq!(refused.unwrap().line, 2);
}

#[test]
fn half_a_line_at_the_start_does_not_fix_the_columns() {
    let (found, counts, refused) = windows(".5\n1,2\n", options(1, 1, &["a", "b"]));
    assert_eq!((found, counts.damaged), (vec![vec![1.0, 2.0]], 1));
    assert_eq!(
        refused.unwrap().reason,
        "it has 1 columns and no header that names all of the channels: a, b"
    );
}

#[test]
fn lines_before_a_header_are_no_rows() {
    let text = "\"TOA5\",\"CR1000\",1234\n\"TIMESTAMP\",\"B\",\"a\"\n\"TS\",\"V\",\"\"\n\"\",\"Avg\",\"Smp\"\n\"2024-01-01 00:00:00\",1,2\n";
    let (found, counts, refused) = windows(text, options(1, 1, &["a", "b"]));
    assert_eq!((found, refused), (vec![vec![2.0, 1.0]], None));
    assert_eq!(counts.rows, RowCounts { used: 1, ..RowCounts::default() });
}

#[test]
fn a_header_without_a_channel_is_an_error() {
    let mut windows =
        WindowReader::new(&"sensor".into(), &b"a,c\n1,2\n"[..], options(1, 1, &["a", "b"])).unwrap();
    let error = windows.next_window().unwrap_err().to_string();
    assert!(error.contains("line 1 of sensor is a header without b: add these columns"), "{error}");
    // The row would otherwise be read from the wrong columns.
    assert_eq!(windows.next_window().unwrap(), None);
    assert_eq!(windows.input_counts().rows, RowCounts { refused: 2, ..RowCounts::default() });
}

#[test]
fn columns_are_not_read_in_order_behind_a_header_with_other_names() {
    let options = options(1, 1, &["a", "b"]);
    let mut windows = WindowReader::new(&"sensor".into(), &b"x,y\n1,2\nb,a\n3,4\n"[..], options).unwrap();
    let error = windows.next_window().unwrap_err().to_string();
    assert!(error.contains("line 1 of sensor is a header without a, b"), "{error}");
    assert_eq!(windows.next_window().unwrap().unwrap().values, [4.0, 3.0]);
}

#[test]
fn an_overlong_line_is_skipped() {
    let text = format!("1\n{}\n2\n", "7".repeat(3 * MAX_LINE_BYTES));
    let (found, counts, refused) = windows(&text, options(1, 1, &["a"]));
    assert_eq!((found, counts.damaged), (vec![vec![1.0], vec![2.0]], 1));
    assert_eq!(refused.unwrap().line, 2);
}

#[test]
fn invalid_window_sizes_are_refused() {
    for options in [
        options(0, 1, &["a"]),
        options(1, 0, &["a"]),
        options(1, 1, &[]),
        options(usize::MAX, 1, &["a", "b"]),
        table(1, TableSpec { columns: Some(Vec::new()), ..TableSpec::default() }),
        table(1, TableSpec { time: Some(vec![ColumnRef::Number(1)]), ..TableSpec::default() }),
    ] {
        assert!(WindowReader::new(&"sensor".into(), &b""[..], options).is_err());
    }
}

proptest! {
    #[test]
    fn every_row_is_in_a_window_and_windows_begin_at_every_stride(
        rows in 0_usize..40, length in 1_usize..9, stride in 1_usize..12,
    ) {
        let text: String = (0..rows).map(|row| format!("{row},{}\n", row * 10)).collect();
        let (found, counts, _) = windows(&text, options(length, stride, &["a", "b"]));
        prop_assert_eq!((counts.rows.total(), counts.rows.waiting), (rows as u64, 0));
        let last = rows.checked_sub(length);
        let mut starts: Vec<usize> = last.iter().flat_map(|&last| (0..=last).step_by(stride)).collect();
        starts.extend(last.filter(|last| !last.is_multiple_of(stride)));
        let row = |row: usize| [row as f32, row as f32 * 10.0];
        let expected: Vec<Vec<f32>> =
            starts.into_iter().map(|start| (start..start + length).flat_map(row).collect()).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(prop::sample::select(&b"01.,e-x\"#\r\n \xff\xef\xbb\xbf"[..]), 0..300)) {
        let mut windows = WindowReader::new(&"sensor".into(), &bytes[..], options(2, 1, &["x", "e"])).unwrap();
        let found = std::iter::from_fn(|| windows.next_window().ok().flatten());
        let is_valid = |values: Vec<f32>| values.len() == 4 && values.iter().all(|number| number.is_finite());
        prop_assert!(found.take(400).all(|window| is_valid(window.values)));
    }
}
