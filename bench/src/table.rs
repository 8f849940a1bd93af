//! Figures as lines for people or JSON for programs.

use serde::Serialize;

use crate::BenchError;

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// What was done.
    pub(crate) name: String,
    /// How much of `unit` it took.
    pub(crate) value: f64,
    /// The unit.
    pub(crate) unit: &'static str,
    /// How many times the anchor's figure that is, and the anchor.
    pub(crate) ratio: Option<(f64, String)>,
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, ratio: None }
    }

    /// With its ratio to a figure of this name.
    pub(crate) fn against(mut self, name: &str, value: f64) -> Self {
        self.ratio = Some((self.value / value, name.to_owned()));
        self
    }
}

pub(crate) fn print(rows: &[Row], json: bool) -> Result<(), BenchError> {
    if json {
        println!("{}", serde_json::to_string_pretty(rows)?);
        return Ok(());
    }
    for Row { name, value, unit, ratio } in rows {
        let ratio =
            ratio.as_ref().map(|(ratio, anchor)| format!("{ratio:>8.2} × {anchor}")).unwrap_or_default();
        println!("{name:<36} {value:>10.2} {unit:<10} {ratio}");
    }
    Ok(())
}
