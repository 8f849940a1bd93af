//! The form of tables of measurements: how the lines of a CSV file or stream become the rows of windows.

use serde::{Deserialize, Serialize};

use crate::TimeZone;

/// The most texts that stand for a missing number, in addition to those that always do.
const MAX_MISSING_TEXTS: usize = 64;

/// The form of the tables that windows of a time series are read from. Every key may be missing: a bundle declares
/// what its data needs, and a device what its logger writes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TableSpec {
    /// The columns of the channels, one per channel; by default those with the names of the channels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<ColumnRef>>,
    /// The column of the time, or the two columns of the date and of the time of day; empty if rows have no time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Vec<ColumnRef>>,
    /// The form of the time; by default a number of seconds, or a date that has only one meaning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_format: Option<TimeFormat>,
    /// The zone of times that do not name one. With it, the time of a window's last row is the time at which the frame was
    /// captured, and times that are numbers count from 1970-01-01 in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<TimeZone>,
    /// The longest time between two rows of one window, in seconds. Required with a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_gap_seconds: Option<f64>,
    /// Number of rows in succession in which a missing number is replaced by the last one of its channel; 0 by
    /// default. A window does not contain a row with a missing number beyond that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_held_rows: Option<u32>,
    /// Further texts that stand for a missing number, such as `-9999`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Vec<String>>,
    /// The character between cells; by default found in the header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub separator: Option<Separator>,
    /// The decimal mark; by default found in the first number that has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decimal: Option<DecimalMark>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ColumnRef {
    /// The number of the column, from 1. A table whose columns all have numbers needs no header.
    Number(u32),
    /// The name of the column in the header.
    Name(String),
}

/// The form of the time of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeFormat {
    /// A number of seconds.
    Seconds,
    /// A number of milliseconds.
    Milliseconds,
    /// A number of microseconds.
    Microseconds,
    /// A number of nanoseconds.
    Nanoseconds,
    /// A date in the order year, month, day, with or without a time of day.
    Ymd,
    /// A date in the order day, month, year, with or without a time of day.
    Dmy,
    /// A date in the order month, day, year, with or without a time of day.
    Mdy,
}

/// The character between the cells of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Separator {
    /// A comma.
    #[serde(rename = ",")]
    Comma,
    /// A semicolon.
    #[serde(rename = ";")]
    Semicolon,
    /// A tab.
    #[serde(rename = "\t")]
    Tab,
}

/// The decimal mark of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DecimalMark {
    /// A point.
    #[serde(rename = ".")]
    Point,
    /// A comma.
    #[serde(rename = ",")]
    Comma,
}

impl Separator {
    /// Returns the byte of the character.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
        }
    }
}

impl TableSpec {
    /// Returns a specification with the keys of this one and, where a key is missing, those of `base`.
    #[must_use]
    pub fn merged_over(&self, base: &Self) -> Self {
        Self {
            columns: self.columns.clone().or_else(|| base.columns.clone()),
            time: self.time.clone().or_else(|| base.time.clone()),
            time_format: self.time_format.or(base.time_format),
            time_zone: self.time_zone.or(base.time_zone),
            max_gap_seconds: self.max_gap_seconds.or(base.max_gap_seconds),
            max_held_rows: self.max_held_rows.or(base.max_held_rows),
            missing: self.missing.clone().or_else(|| base.missing.clone()),
            separator: self.separator.or(base.separator),
            decimal: self.decimal.or(base.decimal),
        }
    }

    /// Returns the columns of the time; none if rows have no time.
    #[must_use]
    pub fn time_columns(&self) -> &[ColumnRef] {
        self.time.as_deref().unwrap_or_default()
    }

    /// Returns the reason why tables of this form do not exist, or cannot have this many channels; `None` if they can.
    #[must_use]
    pub fn problem(&self, channels: usize) -> Option<String> {
        let columns = self.columns.as_deref().unwrap_or_default();
        if self.columns.is_some() && columns.len() != channels {
            return Some(format!("columns must have {channels} entries, one per channel"));
        }
        if self.time_columns().len() > 2 {
            return Some("time must have at most 2 entries: a date, and a time of day".into());
        }
        let mut refs = columns.iter().chain(self.time_columns());
        if refs.any(|column| matches!(column, ColumnRef::Number(0))) {
            return Some("columns are counted from 1".into());
        }
        if self.max_gap_seconds.is_some_and(|seconds| !(seconds.is_finite() && seconds > 0.0)) {
            return Some("max_gap_seconds must be positive and finite".into());
        }
        if !self.time_columns().is_empty() && self.max_gap_seconds.is_none() {
            return Some(
                "time needs max_gap_seconds, the longest time between two rows of one window".into(),
            );
        }
        if self.time_zone.is_some() && self.time.is_none() {
            return Some("time_zone needs time, the columns of the time".into());
        }
        let has_too_many_texts = self.missing.as_ref().is_some_and(|texts| texts.len() > MAX_MISSING_TEXTS);
        has_too_many_texts.then(|| format!("missing can have at most {MAX_MISSING_TEXTS} entries"))
    }
}
