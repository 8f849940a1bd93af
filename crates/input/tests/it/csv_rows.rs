//! Rows of CSV from files and from streams.

use csv::{QuoteStyle, Terminator, WriterBuilder};
use lopside_input::csv_rows::{CsvError, CsvLimits, CsvRows, CsvStream};
use proptest::prelude::*;

const LIMITS: CsvLimits = CsvLimits { line_bytes: 4096, file_bytes: 1 << 20 };

/// A row, or the text of the error of a line.
type Item = Result<Vec<f32>, String>;

fn named(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.into()).collect()
}

fn from_file(text: &[u8], channels: &[String]) -> Result<Vec<Vec<f32>>, CsvError> {
    CsvRows::new(text, LIMITS, channels.to_vec()).collect()
}

/// Returns the rows and errors of a stream whose pieces have these sizes, in turn.
fn from_stream(text: &[u8], sizes: &[usize], channels: &[String], max_line_bytes: usize) -> Vec<Item> {
    let mut stream = CsvStream::new(channels.to_vec(), max_line_bytes);
    let (mut found, mut rest, mut turn) = (Vec::new(), text, 0);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(sizes[turn % sizes.len()].clamp(1, rest.len()));
        (rest, turn) = (after, turn + 1);
        stream.push(piece);
        take_items(|| stream.next_row(), &mut found);
    }
    take_items(|| stream.finish(), &mut found);
    found
}

fn take_items(mut next: impl FnMut() -> Result<Option<Vec<f32>>, CsvError>, found: &mut Vec<Item>) {
    while let Some(item) = next().transpose() {
        found.push(item.map_err(|error| error.to_string()));
    }
}

/// Returns the numbers of all rows or the first error, after checking that a file and a stream agree.
fn read(text: &str, channels: &[&str]) -> Result<Vec<f32>, String> {
    let channels = named(channels);
    let stream = from_stream(text.as_bytes(), &[1], &channels, LIMITS.line_bytes);
    let stream: Result<Vec<Vec<f32>>, String> = stream.into_iter().collect();
    let file = from_file(text.as_bytes(), &channels).map_err(|error| error.to_string());
    assert_eq!(stream, file, "{text:?}");
    file.map(|rows| rows.concat())
}

#[test]
fn a_header_is_told_from_a_row() {
    for (text, expected) in [
        // A header that names all channels, whatever their order.
        ("b,x,a\n1,2,3\n", vec![3.0, 1.0]),
        ("\"b\",2,a\n1,2,3\n", vec![3.0, 1.0]),
        ("\"b, c\",b,a\n1,2,3\n", vec![3.0, 2.0]),
        // A header without numbers, and no header.
        ("x,y\n1,2\n", vec![1.0, 2.0]),
        (",y\n1,2\n", vec![1.0, 2.0]),
        ("# note\n\n1,\"2\"\n", vec![1.0, 2.0]),
        // A header again.
        ("a,b\n1,2\nb,a\n1,2\nx,b,a\n7,8,9\n", vec![1.0, 2.0, 2.0, 1.0, 9.0, 8.0]),
        ("1,2\nb,a\n1,2\n", vec![1.0, 2.0, 2.0, 1.0]),
        ("", Vec::new()),
        ("a,b\n", Vec::new()),
    ] {
        assert_eq!(read(text, &["a", "b"]), Ok(expected), "{text:?}");
    }
}

#[test]
fn a_first_line_that_is_neither_header_nor_row_is_refused() {
    for (text, expected) in [
        ("1,x\n3,4\n", "line 1, column 2: \"x\" is not a finite number"),
        ("12e,4\n", "line 1, column 1: \"12e\" is not a finite number"),
        ("# note\n,4\n", "line 2, column 1: \"\" is not a finite number"),
        ("nan,x\n", "line 1, column 1: \"nan\" is not a finite number"),
        ("x,inf\n", "line 1, column 1: \"x\" is not a finite number"),
        (",\n1,2\n", "line 1, column 1: \"\" is not a finite number"),
        ("1,2,3\n", "line 1: it has 3 columns and no header that names all of the channels: a, b"),
        ("x;y\n", "line 1: it has 1 columns and no header that names all of the channels: a, b"),
        ("\na,x\n", "line 2: it is a header without b: add these columns"),
        ("a,1\n", "line 1: it is a header without b: add these columns"),
    ] {
        let error = read(text, &["a", "b"]).unwrap_err();
        assert!(error.starts_with(expected), "{text:?}: {error}");
    }
}

#[test]
fn channels_with_numbers_as_names_are_found_in_a_header_only() {
    assert_eq!(read("t,1,0\n5,6,7\n", &["0", "1"]), Ok(vec![7.0, 6.0]));
    assert_eq!(read("0,5\n0,1\n", &["0", "1"]), Ok(vec![0.0, 5.0, 0.0, 1.0]));
}

#[test]
fn a_row_has_as_many_columns_as_the_first_line() {
    for (text, expected) in [
        ("1,2\n3\n", "line 2, column 2: \"\" is not a finite number"),
        ("1,2\n3,4,5\n", "line 2: it has 3 columns, but the first line has 2"),
        ("a,b,note\n1,2,ok\n3,4\n", "line 3: it has 2 columns, but the first line has 3"),
    ] {
        assert_eq!(read(text, &["a", "b"]), Err(expected.into()));
    }
}

#[test]
fn only_files_have_cells_of_several_lines() {
    let text = b"\"a\n(m)\",b\n1,2\n";
    assert_eq!(from_file(text, &named(&["b", "a\n(m)"])).unwrap(), [[2.0, 1.0]]);
    let found = from_stream(b"1,\"2\n3,4\n", &[3], &named(&["a", "b"]), 100);
    assert!(found[0].as_ref().unwrap_err().starts_with("line 1, column 2: \"2\" is not quoted correctly"));
    let expected: [Item; 1] = [Ok(vec![3.0, 4.0])];
    assert_eq!(found[1..], expected);
}

#[test]
fn a_line_over_the_limit_is_refused_and_the_stream_goes_on() {
    let channels = named(&["a"]);
    let text = format!("1\n{}\n2", "7".repeat(1000));
    let expected: [Item; 3] = [Ok(vec![1.0]), Err("line 2: it is longer than 8 bytes".into()), Ok(vec![2.0])];
    for size in [1, 7, 2000] {
        assert_eq!(from_stream(text.as_bytes(), &[size], &channels, 8), expected, "{size}");
    }
    let expected: [Item; 1] = [Ok(vec![12_345_678.0])];
    assert_eq!(from_stream(b"12345678\r\n", &[4], &channels, 8), expected);
}

#[test]
fn a_row_is_returned_once_its_line_has_ended() {
    let mut stream = CsvStream::new(named(&["a"]), 100);
    stream.push(b"1\n2");
    assert_eq!(stream.next_row().unwrap(), Some(vec![1.0]));
    assert_eq!(stream.next_row().unwrap(), None);
    stream.push(b"3\r");
    assert_eq!(stream.next_row().unwrap(), Some(vec![23.0]));
    stream.push(b"\n4");
    assert_eq!(stream.next_row().unwrap(), None);
    assert_eq!(stream.finish().unwrap(), Some(vec![4.0]));
    assert_eq!(stream.finish().unwrap(), None);
}

#[test]
fn a_file_ends_with_its_first_error() {
    let limits = CsvLimits { line_bytes: 4, file_bytes: 8 };
    let mut rows = CsvRows::new(&b"1\n12345\n3\n"[..], limits, named(&["a"]));
    assert!(matches!(rows.next(), Some(Ok(_))));
    assert!(matches!(rows.next(), Some(Err(CsvError::LineTooLong { line: 2, limit_bytes: 4 }))));
    assert!(rows.next().is_none());
    let within: Result<Vec<_>, _> = CsvRows::new(&b"1\n2\n3\n4\n"[..], limits, named(&["a"])).collect();
    assert_eq!(within.unwrap().len(), 4);
    let over: Result<Vec<_>, _> = CsvRows::new(&b"1\n2\n3\n4\n5"[..], limits, named(&["a"])).collect();
    assert!(matches!(over, Err(CsvError::FileTooLong { limit_bytes: 8 })));
}

#[test]
fn a_table_with_names_of_its_own_needs_a_header() {
    let open = |text: &'static str| CsvRows::with_header(text.as_bytes(), LIMITS, "flag");
    let (names, rows) = open("time,0,flag\nnoon,2,1\ntime,0,flag\n5,6,7\n").unwrap();
    assert_eq!(names, ["time", "0", "flag"]);
    let rows: Result<Vec<_>, _> = rows.select(vec![2, 1]).collect();
    assert_eq!(rows.unwrap(), [[1.0, 2.0], [7.0, 6.0]]);
    let (names, rows) = open("x,y\n1,2\n").unwrap();
    assert_eq!((names.len(), rows.count()), (2, 1));
    assert!(open("").unwrap().0.is_empty());
    for (text, expected) in [
        ("1,2\n3,4\n", "line 1: it is a row of numbers: the first line must be a header"),
        ("x,2\n3,4\n", "line 1, column 1: \"x\" is not a finite number"),
    ] {
        let error = open(text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

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

proptest! {
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
