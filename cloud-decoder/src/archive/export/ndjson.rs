use lopside_archive::Frame;

use super::{super::record::WholeRecord, Writer};
use crate::ServeError;

/// Encodes one JSON object per line.
pub(super) struct Ndjson;

impl Writer for Ndjson {
    fn group(&mut self, frames: &[Frame]) -> Result<Vec<u8>, ServeError> {
        let mut lines = Vec::new();
        for frame in frames {
            let written = serde_json::to_writer(&mut lines, &WholeRecord::from(frame));
            written.map_err(|error| ServeError::Internal(error.to_string()))?;
            lines.push(b'\n');
        }
        Ok(lines)
    }

    fn end(&mut self) -> Result<Vec<u8>, ServeError> {
        Ok(Vec::new())
    }
}
