//! Rows of CSV from files and from streams.

use lopside_bundle::{ColumnRef, DecimalMark, Separator, TableSpec, TimeFormat};
use lopside_input::csv_rows::{CsvError, CsvLimits, CsvRows, CsvStream};

pub(crate) const LIMITS: CsvLimits = CsvLimits { line_bytes: 4096, file_bytes: 1 << 20 };

/// A row, or the text of the error of a line.
pub(crate) type Item = Result<Vec<f32>, String>;

pub(crate) fn named(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.into()).collect()
}

pub(crate) fn from_file(text: &[u8], channels: &[String]) -> Result<Vec<Vec<f32>>, CsvError> {
    CsvRows::new(text, LIMITS, channels.to_vec()).collect()
}

/// Returns the rows and errors of a stream whose pieces have these sizes, in turn.
pub(crate) fn from_stream(
    text: &[u8],
    sizes: &[usize],
    channels: &[String],
    max_line_bytes: usize,
) -> Vec<Item> {
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
        // No header.
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
        ("nan,x\n", "line 1, column 2: \"x\" is not a finite number"),
        ("x,inf\n", "line 1, column 1: \"x\" is not a finite number"),
        (",\n1,2\n", "line 1, column 1: \"\" is not a finite number"),
        ("1,2,3\n", "line 1: it has 3 columns and no header that names all of the channels: a, b"),
        ("x;y\n1;2\n", "line 1: it is a header that names none of a, b"),
        (",y\n1,2\n", "line 1: it is a header that names none of a, b"),
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
        ("1,2\n3\n", "line 2: it has 1 columns, but the first line has 2"),
        ("1,2\n3,4,5\n", "line 2: it has 3 columns, but the first line has 2"),
        ("a,b,note\n1,2,ok\n3,4\n", "line 3: it has 2 columns, but the first line has 3"),
    ] {
        assert_eq!(read(text, &["a", "b"]), Err(expected.into()));
    }
}

#[test]
fn tables_are_read_as_loggers_write_them() {
    for (text, expected) in [
        // Semicolons with decimal commas, a byte order mark, CRLF, a unit row, and a separator at the end of each line.
        ("\u{feff}t;b;a;\r\ns;°C;%;\r\n0;1,5;2;\r\n1;2,5;3;\r\n", vec![2.0, 1.5, 3.0, 2.5]),
        // Tabs, and units in the header.
        ("Time\tA [V]\tB (°C)\n0\t1.5\t2\n", vec![1.5, 2.0]),
        ("time\ta\tb\n0\t1,5\t2,5\n", vec![1.5, 2.5]),
        // Quoted cells, and a comma that is not a separator.
        ("\"b\",\"a, V\",\"a\"\n\"1\",\"x\",\"2\"\n", vec![2.0, 1.0]),
        // Lines of text before the header.
        ("Logger;7\nserial 12, \"A\"\n\nb;a\n1;2\n", vec![2.0, 1.0]),
    ] {
        let channels = named(&["a", "b"]);
        let stream = from_stream(text.as_bytes(), &[1], &channels, LIMITS.line_bytes);
        let rows: Vec<f32> = stream.into_iter().flatten().flatten().collect();
        assert_eq!(rows, expected, "{text:?}");
    }
    // Latin-1, in which many loggers write the names of units.
    assert_eq!(from_file(b"T [\xb0C],a\n1,2\n", &named(&["T [°C]"])).unwrap(), [[1.0]]);
}

#[test]
fn a_name_that_fits_two_columns_is_not_guessed() {
    assert!(read("A [V],a [mV],b\n1,2,3\n", &["a", "b"]).unwrap_err().contains("without a"));
    assert_eq!(read("A [V],a,b\n1,2,3\n", &["a", "b"]), Ok(vec![2.0, 3.0]));
    assert!(read("a [V],b\n1,2\n", &["a [mV]", "b"]).unwrap_err().contains("without a [mV]"));
}

#[test]
fn the_decimal_mark_is_that_of_the_first_number_with_one() {
    for (text, line) in [("1;2,5\n3;4.5\n", 2), ("1;2.5\n3;4,500\n", 2), ("1,5;2.5\n", 1)] {
        let error = from_file(text.as_bytes(), &named(&["a", "b"])).unwrap_err();
        assert_eq!(error.line(), Some(line), "{error}");
        assert!(matches!(error, CsvError::InvalidNumber { column: 2, .. }), "{error}");
    }
}

#[test]
fn no_row_is_read_behind_a_header_that_does_not_name_all_columns() {
    let channels = named(&["a", "b"]);
    let text = b"a,b\n1,2\nb,c\n3,4\nb,a\n5,6\n";
    let found = from_stream(text, &[4], &channels, 100);
    assert_eq!(found[0], Ok(vec![1.0, 2.0]));
    assert!(found[1].as_ref().unwrap_err().starts_with("line 3: it is a header without a"), "{found:?}");
    let lost = found[2].as_ref().unwrap_err();
    assert!(lost.starts_with("line 4: the header in line 3 does not say"), "{lost}");
    let expected: [Item; 1] = [Ok(vec![6.0, 5.0])];
    assert_eq!(found[3..], expected);
}

#[test]
fn declared_columns_are_read() {
    let table = TableSpec {
        columns: Some(vec![ColumnRef::Name("hum".into()), ColumnRef::Number(3)]),
        time: Some(vec![ColumnRef::Name("when".into())]),
        time_format: Some(TimeFormat::Dmy),
        max_gap_seconds: Some(1.0),
        separator: Some(Separator::Comma),
        decimal: Some(DecimalMark::Comma),
        ..TableSpec::default()
    };
    let text = b"when,hum,x\n01/02/1970,\"1,5\",\n01/02/1970 00:00:01,2,N/A\n";
    let mut rows = CsvRows::with_table(&text[..], LIMITS, named(&["a", "b"]), &table);
    let row = rows.next_table_row().unwrap().unwrap();
    assert_eq!((row.line, row.time, row.values[0]), (2, Some(2_678_400.0), 1.5));
    assert_eq!(row.missing, Some((3, String::new())));
    let row = rows.next_table_row().unwrap().unwrap();
    assert_eq!((row.time, row.missing), (Some(2_678_401.0), Some((3, "N/A".into()))));
    assert_eq!(rows.next_table_row().unwrap(), None);
}

#[test]
fn a_file_goes_on_after_a_refused_line() {
    let text = b"a\n1\nx y\n\"2\n3\n";
    let mut rows = CsvRows::with_table(&text[..], LIMITS, named(&["a"]), &TableSpec::default());
    let mut found = Vec::new();
    while let Some(item) = rows.next_table_row().transpose() {
        found.push(item.map(|row| row.values[0]).map_err(|error| error.line()));
    }
    let expected: [Result<f32, Option<u64>>; 4] = [Ok(1.0), Err(Some(3)), Err(Some(4)), Ok(3.0)];
    assert_eq!(found, expected);
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
