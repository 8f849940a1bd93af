//! Figures as JSON.

use serde::Serialize;

use crate::TrainingError;

/// Formats a value as indented JSON with a final newline.
pub(crate) fn to_json(value: &impl Serialize) -> Result<String, TrainingError> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|source| TrainingError::JsonEncoding { source })
}
