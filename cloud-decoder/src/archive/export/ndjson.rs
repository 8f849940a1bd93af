use lopside_archive::Frame;

use super::{super::record::WholeRecord, FormatEncoder};
use crate::ServeError;

/// Encodes one JSON object per line.
pub(super) struct NdjsonEncoder;

impl FormatEncoder for NdjsonEncoder {
    fn encode_group(&mut self, frames: &[Frame]) -> Result<Vec<u8>, ServeError> {
        let mut lines = Vec::new();
        for frame in frames {
            let written = serde_json::to_writer(&mut lines, &WholeRecord::from(frame));
            written.map_err(|error| ServeError::Internal(error.to_string()))?;
            lines.push(b'\n');
        }
        Ok(lines)
    }

    fn finish_file(&mut self) -> Result<Vec<u8>, ServeError> {
        Ok(Vec::new())
    }
}
