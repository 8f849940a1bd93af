//! Figures as lines for people or JSON for programs.

use serde::Serialize;

use crate::BenchError;

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measurement {
    /// The name of the measurement.
    pub(crate) name: String,
    /// The measured value, in `unit`.
    pub(crate) value: f64,
    /// The unit.
    pub(crate) unit: &'static str,
    /// The ratio to the figure of an anchor, and the anchor's name.
    pub(crate) ratio: Option<(f64, String)>,
    /// The limit that the value should satisfy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<CheckedLimit>,
}

/// The limit of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct CheckedLimit {
    /// `at most` or `at least`.
    pub(crate) bound: &'static str,
    /// The limit, in the unit of the figure.
    pub(crate) value: f64,
    /// Whether the figure satisfies the limit.
    pub(crate) is_met: bool,
}

impl Measurement {
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, ratio: None, limit: None }
    }

    /// Adds the ratio to another figure with this name.
    pub(crate) fn with_ratio(mut self, name: &str, value: f64) -> Self {
        self.ratio = Some((self.value / value, name.to_owned()));
        self
    }

    /// Adds an upper limit.
    pub(crate) fn at_most(mut self, value: f64) -> Self {
        self.limit = Some(CheckedLimit { bound: "at most", value, is_met: self.value <= value });
        self
    }

    /// Adds a lower limit.
    pub(crate) fn at_least(mut self, value: f64) -> Self {
        self.limit = Some(CheckedLimit { bound: "at least", value, is_met: self.value >= value });
        self
    }
}

pub(crate) fn print_rows(rows: &[Measurement], json: bool) -> Result<(), BenchError> {
    if json {
        println!("{}", serde_json::to_string_pretty(rows)?);
        return Ok(());
    }
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or_default().max(36);
    for Measurement { name, value, unit, ratio, limit } in rows {
        let ratio =
            ratio.as_ref().map(|(ratio, anchor)| format!("{ratio:>8.2} × {anchor}")).unwrap_or_default();
        let limit = limit.map(|limit| limit.to_string()).unwrap_or_default();
        let line = format!("{name:<width$} {value:>10.2} {unit:<10} {ratio}{limit}");
        println!("{}", line.trim_end());
    }
    Ok(())
}

impl std::fmt::Display for CheckedLimit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { bound, value, is_met } = self;
        write!(formatter, "{bound} {value}: {}", if *is_met { "met" } else { "MISSED" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_met_at_its_value_and_missed_beyond_it() {
        let limit_text = |row: Measurement| row.limit.unwrap().to_string();
        assert_eq!(limit_text(Measurement::new("a", 2.0, "ms").at_most(2.0)), "at most 2: met");
        assert_eq!(limit_text(Measurement::new("a", 2.5, "ms").at_most(2.0)), "at most 2: MISSED");
        assert_eq!(limit_text(Measurement::new("a", 0.9, "").at_least(0.9)), "at least 0.9: met");
        assert_eq!(limit_text(Measurement::new("a", 0.8, "").at_least(0.9)), "at least 0.9: MISSED");
    }
}
