//! Time series of which a definition declares the form. They are divided where a device divides them: no window contains
//! rows before and after a leap of the time, or a row with a missing number.

use std::{fs::File, path::Path};

use lopside_bundle::{ColumnRef, TableSpec};
use lopside_input::csv_rows::{CsvError, CsvRows, RowCounts, RowFilter};

use super::{
    TimeSeries,
    series::{ANOMALY_COLUMN, CSV_LIMITS},
};
use crate::{
    TrainingError,
    error::{invalid_data, io_error},
};

impl TimeSeries {
    /// Reads a CSV file as [`read`](Self::read) does, and by the declared form of its tables: the columns of the time are
    /// not channels, and decide with the longest gap which rows follow each other. A missing number is replaced for
    /// as many rows as declared; further rows with one are left out, and the series has a gap there. The
    /// columns of the channels, and the characters between cells, are those of devices, and not used. Without a
    /// declaration this is [`read`](Self::read).
    ///
    /// # Errors
    /// As [`read`](Self::read), and for a row whose time cannot be read.
    pub fn read_declared(path: &Path, table: Option<&TableSpec>) -> Result<Self, TrainingError> {
        let Some(table) = table else { return Self::read(path) };
        let data_error = |error: CsvError| invalid_data(path, error.to_string());
        let file = File::open(path).map_err(io_error(path))?;
        let (names, _) = CsvRows::with_header(file, CSV_LIMITS, ANOMALY_COLUMN).map_err(data_error)?;
        let declared = DeclaredColumns::new(&names, table);
        if declared.channels.is_empty() {
            return Err(invalid_data(path, "it does not have a column of numbers".to_owned()));
        }
        let file = File::open(path).map_err(io_error(path))?;
        let mut rows = CsvRows::with_table(file, CSV_LIMITS, declared.wanted(), &declared.table);
        let mut filter = RowFilter::new(&declared.table);
        let mut series = Self::empty(declared.channels);
        while let Some(row) = rows.next_table_row().map_err(data_error)? {
            let Some(row) = filter.accept(row) else { continue };
            if row.begins_series && !series.is_empty() {
                series.gaps.push(series.len());
            }
            let mut values = row.values;
            let flag = if declared.has_flags { values.pop() } else { None };
            series.push(&values, flag.is_some_and(|flag| flag != 0.0));
        }
        report_gaps(path, filter.counts());
        Ok(series)
    }
}

/// The columns of a file.
struct DeclaredColumns {
    /// The names of the channels.
    channels: Vec<String>,
    /// Whether there is a column of anomaly flags.
    has_flags: bool,
    /// The part of the declaration that holds for the file, with the columns of the time if the file has them.
    table: TableSpec,
}

impl DeclaredColumns {
    fn new(names: &[String], table: &TableSpec) -> Self {
        let is_time = |name: &String| table.time_columns().contains(&ColumnRef::Name(name.clone()));
        let has_time = |column: &ColumnRef| matches!(column, ColumnRef::Name(name) if names.contains(name));
        let channels = names.iter().filter(|name| *name != ANOMALY_COLUMN && !is_time(name));
        Self {
            channels: channels.cloned().collect(),
            has_flags: names.iter().any(|name| name == ANOMALY_COLUMN),
            table: TableSpec {
                time: table.time.clone().filter(|time| time.iter().all(has_time)),
                time_format: table.time_format,
                max_gap_seconds: table.max_gap_seconds,
                max_held_rows: table.max_held_rows,
                missing: table.missing.clone(),
                ..TableSpec::default()
            },
        }
    }

    /// Returns the names of the columns of numbers, those of the channels first.
    fn wanted(&self) -> Vec<String> {
        let flags = self.has_flags.then(|| ANOMALY_COLUMN.to_owned());
        self.channels.iter().cloned().chain(flags).collect()
    }
}

/// Tells people where the series is divided, and which rows are not used.
fn report_gaps(path: &Path, counts: RowCounts) {
    let RowCounts { missing, held, gaps, .. } = counts;
    if missing + held + gaps > 0 {
        eprintln!(
            "{}: no window contains one of its {gaps} leaps of the time; rows that are left out because a number is missing: \
             {missing}; rows with a replaced number: {held}",
            path.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use lopside_bundle::TimeFormat;

    use super::*;

    fn read(text: &str, table: &TableSpec) -> Result<TimeSeries, TrainingError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.csv");
        fs::write(&path, text).unwrap();
        TimeSeries::read_declared(&path, Some(table))
    }

    fn timed(time: &str, max_gap_seconds: f64) -> TableSpec {
        let time = Some(vec![ColumnRef::Name(time.into())]);
        TableSpec { time, max_gap_seconds: Some(max_gap_seconds), ..TableSpec::default() }
    }

    #[test]
    fn the_columns_of_the_time_are_not_channels() {
        let series = read("time;a;anomaly\n01.02.2024 10:00;1,5;1\n", &timed("time", 60.0)).unwrap();
        let expected = TimeSeries {
            channels: vec!["a".into()],
            values: vec![1.5],
            anomalies: vec![true],
            gaps: Vec::new(),
        };
        assert_eq!(series, expected);
        // A file without the time is read as it is.
        let series = read("a,anomaly\n1,0\n9,1\n", &timed("time", 60.0)).unwrap();
        assert_eq!((series.values, series.gaps), (vec![1.0, 9.0], vec![]));
    }

    #[test]
    fn a_leap_of_the_time_is_a_gap() {
        let text = "a,t,anomaly\n0,0,0\n1,1,0\n2,2,0\n3,9,1\n4,10,0\n5,7,0\n6,8,0\n";
        let series = read(text, &timed("t", 1.0)).unwrap();
        assert_eq!((series.len(), &series.gaps[..]), (7, &[3, 5][..]));
        assert_eq!((series.row(3), series.anomalies[3]), (&[3.0][..], true));
    }

    #[test]
    fn a_row_with_a_missing_number_is_a_gap_unless_the_number_is_replaced() {
        let text = "a,b\n1,1\n-9999,2\n3,3\n4,4\n";
        let table = TableSpec { missing: Some(vec!["-9999".into()]), ..TableSpec::default() };
        let series = read(text, &table).unwrap();
        assert_eq!((series.values, series.gaps), (vec![1.0, 1.0, 3.0, 3.0, 4.0, 4.0], vec![1]));
        let series = read(text, &TableSpec { max_held_rows: Some(1), ..table }).unwrap();
        assert_eq!((&series.values[2..4], series.gaps), (&[1.0, 2.0][..], vec![]));
    }

    #[test]
    fn a_line_that_is_no_row_is_an_error_with_its_number() {
        for (text, part) in [
            ("t,a\n0,1\n1,x\n", "line 3, column 2: \"x\""),
            ("t,a\n0,1\nsoon,2\n", "line 3, column 1"),
            ("t\n0\n", "not have a column of numbers"),
        ] {
            let table = TableSpec { time_format: Some(TimeFormat::Seconds), ..timed("t", 1.0) };
            let error = read(text, &table).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("train.csv"), "{part}: {error}");
        }
    }
}
