//! Rows of numbers with an anomaly flag each, in temporal order if they have one.

use std::{borrow::Cow, fmt::Write as _, fs::File, io::Read, iter, ops::Range, path::Path};

use lopside_input::csv_rows::{CsvError, CsvLimits, CsvRows};

use crate::{
    TrainingError,
    error::{invalid_data, io_error},
};

/// Limits of a CSV file.
pub(super) const CSV_LIMITS: CsvLimits = CsvLimits { line_bytes: 1 << 20, file_bytes: 1 << 32 };
/// The column of the anomaly flag.
pub(super) const ANOMALY_COLUMN: &str = "anomaly";

/// A time series or table: rows of one number per channel.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeSeries {
    /// The channels' names.
    pub channels: Vec<String>,
    /// The values `[rows, channels]`, row-major, all finite.
    pub values: Vec<f32>,
    /// The anomaly flag of each row.
    pub anomalies: Vec<bool>,
    /// The rows that do not follow the row before them, in ascending order, without the first row. No window contains
    /// such a row and the row before it. CSV files do not have this list.
    pub gaps: Vec<usize>,
}

/// Mean and standard deviation of every channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaling {
    /// The mean of each channel.
    pub mean: Vec<f32>,
    /// The standard deviation of each channel, positive; 1 for a constant channel.
    pub deviation: Vec<f32>,
}

/// The special columns of a CSV file; all others are channels.
pub(super) struct CsvColumns<'a> {
    /// The column of the anomaly flag, 0 or 1; without this column, no row is an anomaly.
    pub anomaly_column: &'a str,
    /// The columns that are not read.
    pub skipped_columns: &'a [&'a str],
}

impl Default for CsvColumns<'_> {
    fn default() -> Self {
        Self { anomaly_column: ANOMALY_COLUMN, skipped_columns: &[] }
    }
}

impl TimeSeries {
    /// Reads a CSV file with a header: one column per channel, and a column named `anomaly` with 0 or 1.
    /// Without that column, no row counts as an anomaly, and no name may be a number.
    /// [`csv_rows`](lopside_input::csv_rows) has the rules in full.
    ///
    /// # Errors
    /// [`TrainingError::Io`]; [`DataError::InvalidFile`](crate::DataError::InvalidFile) with the line of a value
    /// that is not a finite number, or for a file without a header.
    pub fn read(path: &Path) -> Result<Self, TrainingError> {
        Self::parse(File::open(path).map_err(io_error(path))?, path, &CsvColumns::default())
    }

    /// Returns a series without rows.
    pub(super) fn empty(channels: Vec<String>) -> Self {
        Self { channels, values: Vec::new(), anomalies: Vec::new(), gaps: Vec::new() }
    }

    /// Adds a row, which follows the last one.
    pub(super) fn push(&mut self, values: &[f32], is_anomaly: bool) {
        self.values.extend_from_slice(values);
        self.anomalies.push(is_anomaly);
    }

    pub(super) fn parse(
        reader: impl Read,
        path: &Path,
        columns: &CsvColumns<'_>,
    ) -> Result<Self, TrainingError> {
        let data_error = |error: CsvError| invalid_data(path, error.to_string());
        let (header, rows) =
            CsvRows::with_header(reader, CSV_LIMITS, columns.anomaly_column).map_err(data_error)?;
        let anomaly_index = header.iter().position(|name| name == columns.anomaly_column);
        let (mut indices, channels): (Vec<_>, Vec<_>) = header
            .iter()
            .enumerate()
            .filter(|&(index, name)| {
                Some(index) != anomaly_index && !columns.skipped_columns.contains(&name.as_str())
            })
            .map(|(index, name)| (index, name.clone()))
            .unzip();
        if channels.is_empty() {
            return Err(invalid_data(path, "it does not have a column of numbers".to_owned()));
        }
        indices.extend(anomaly_index);
        let mut series = Self::empty(channels);
        for row in rows.select(indices) {
            let mut row = row.map_err(data_error)?;
            let flag = anomaly_index.and_then(|_| row.pop());
            series.push(&row, flag.is_some_and(|flag| flag != 0.0));
        }
        Ok(series)
    }

    /// Returns the series as CSV that [`read`](Self::read) accepts.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let names: Vec<Cow<'_, str>> = self.channels.iter().map(|name| quote_name(name)).collect();
        let mut text = format!("{},anomaly\n", names.join(","));
        for (row, &anomaly) in self.values.chunks_exact(self.channels.len()).zip(&self.anomalies) {
            for value in row {
                let _ = write!(text, "{value},");
            }
            text += if anomaly { "1\n" } else { "0\n" };
        }
        text
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.anomalies.len()
    }

    /// Returns whether the series is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.anomalies.is_empty()
    }

    /// Returns one row.
    #[must_use]
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.channels.len()..][..self.channels.len()]
    }

    /// Returns the given rows. A gap between two of them remains one.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        let pairs = rows.windows(2).enumerate();
        let gaps = pairs.filter(|(_, pair)| self.has_gap_between(pair[0], pair[1]));
        Self {
            channels: self.channels.clone(),
            values: rows.iter().flat_map(|&row| self.row(row)).copied().collect(),
            anomalies: rows.iter().map(|&row| self.anomalies[row]).collect(),
            gaps: gaps.map(|(index, _)| index + 1).collect(),
        }
    }

    /// Returns the parts of the series between its gaps, as ranges of rows.
    pub(super) fn parts(&self) -> impl Iterator<Item = Range<usize>> {
        let starts = iter::once(0).chain(self.gaps.iter().copied());
        let ends = self.gaps.iter().copied().chain(iter::once(self.len()));
        starts.zip(ends).map(|(start, end)| start..end)
    }

    /// Returns whether a row lies behind a gap that an earlier one lies before.
    fn has_gap_between(&self, earlier: usize, later: usize) -> bool {
        let next = self.gaps.partition_point(|&gap| gap <= earlier);
        self.gaps.get(next).is_some_and(|&gap| gap <= later)
    }

    /// Returns mean and standard deviation of every channel. Call it on the training part.
    #[must_use]
    pub fn scaling(&self) -> Scaling {
        let count = self.len().max(1) as f64;
        let moments = (0..self.channels.len()).map(|index| {
            let mean = self.channel_values(index).sum::<f64>() / count;
            let variance = self.channel_values(index).map(|x| (x - mean).powi(2)).sum::<f64>() / count;
            let deviation = variance.sqrt() as f32;
            (mean as f32, if deviation > 0.0 { deviation } else { 1.0 })
        });
        let (mean, deviation) = moments.unzip();
        Scaling { mean, deviation }
    }

    fn channel_values(&self, channel: usize) -> impl Iterator<Item = f64> {
        self.values.iter().skip(channel).step_by(self.channels.len()).map(|&x| f64::from(x))
    }
}

impl Scaling {
    /// Scales rows: subtracts each channel's mean and divides by its standard deviation.
    #[must_use]
    pub fn apply(&self, rows: &[f32]) -> Vec<f32> {
        let moments = self.mean.iter().zip(&self.deviation).cycle();
        rows.iter().zip(moments).map(|(value, (mean, deviation))| (value - mean) / deviation).collect()
    }
}

/// Returns a name as a cell of CSV, quoted if it has to be.
fn quote_name(name: &str) -> Cow<'_, str> {
    if name.starts_with('#') || name.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", name.replace('"', "\"\"")).into()
    } else {
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, columns: &CsvColumns<'_>) -> Result<TimeSeries, TrainingError> {
        TimeSeries::parse(text.as_bytes(), Path::new("made-up.csv"), columns)
    }

    #[test]
    fn a_series_round_trips_through_csv() {
        let text = "timestamp,pressure,\"flow\",is_anomaly\n0,1.5,-2,0\n1,0.1,3e-5,1.0\n";
        let series = parse(text, &super::super::aeon::COLUMNS).unwrap();
        assert_eq!(series.channels, ["pressure", "flow"]);
        assert_eq!(series.row(1), [0.1, 3e-5]);
        assert_eq!(series.anomalies, [false, true]);
        assert_eq!(parse(&series.to_csv(), &CsvColumns::default()).unwrap(), series);
        let text = "\"#1, \"\"left\"\"\",\"flow\n(l/s)\",anomaly\n1,2,0\n";
        let series = parse(text, &CsvColumns::default()).unwrap();
        assert_eq!(series.channels, ["#1, \"left\"", "flow\n(l/s)"]);
        assert_eq!(series.to_csv(), text);
    }

    #[test]
    fn gaps_between_selected_rows_remain() {
        let mut series = parse("a\n0\n1\n2\n3\n4\n5\n", &CsvColumns::default()).unwrap();
        assert_eq!(series.parts().collect::<Vec<_>>(), vec![0..6]);
        series.gaps = vec![2, 3];
        assert_eq!(series.parts().collect::<Vec<_>>(), [0..2, 2..3, 3..6]);
        assert_eq!(series.select(&[0, 1, 2, 3]).gaps, [2, 3]);
        assert_eq!(series.select(&[1, 4, 5]).gaps, [1]);
        assert!(series.select(&[3, 4, 5]).gaps.is_empty());
    }

    #[test]
    fn numeric_names_require_an_anomaly_column() {
        let series = parse("# a note\n0,1,anomaly\n5,6,1\n", &CsvColumns::default()).unwrap();
        assert_eq!((series.channels, series.values), (vec!["0".into(), "1".into()], vec![5.0, 6.0]));
        let error = parse("1,2\n3,4\n", &CsvColumns::default()).unwrap_err().to_string();
        assert!(error.contains("line 1: it is a row of numbers: the first line must be a header"), "{error}");
    }

    #[test]
    fn without_a_label_no_row_is_an_anomaly() {
        assert_eq!(parse("a\n1\n2\n", &CsvColumns::default()).unwrap().anomalies, [false, false]);
    }

    #[test]
    fn invalid_numbers_are_named_with_their_line() {
        for (text, part) in [
            ("a,anomaly\n1,0\nx,0\n", "line 3, column 1: \"x\""),
            ("a,anomaly\nNaN,0\n", "\"NaN\""),
            ("a,anomaly\n1,\n", "line 2, column 2"),
            ("a,anomaly\n1,0,7\n", "line 2: it has 3 columns, but the first line has 2"),
            ("1.5,x\n1,2\n", "line 1, column 2: \"x\""),
            ("anomaly\n1\n", "not have a column of numbers"),
        ] {
            let error = parse(text, &CsvColumns::default()).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("made-up.csv"), "{part}: {error}");
        }
    }

    #[test]
    fn a_constant_channel_is_only_centred() {
        let series = parse("a,b\n1,5\n3,5\n", &CsvColumns::default()).unwrap();
        let scaling = series.scaling();
        assert_eq!(scaling, Scaling { mean: vec![2.0, 5.0], deviation: vec![1.0, 1.0] });
        assert_eq!(scaling.apply(&[4.0, 6.0]), [2.0, 1.0]);
    }
}
