use lopside_bundle::BundleError;
use lopside_encoder::{EncodeError, InputError};
use serde::{Deserialize, Serialize};

/// The longest reason in an answer, in characters.
const MAX_REASON_CHARS: usize = 1000;

/// The answer of a child: one line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum TrialAnswer {
    /// The encoder reproduces all golden inputs.
    Passed(TrialFigures),
    /// The bundle cannot be used.
    Refused {
        /// The reason.
        reason: String,
    },
    /// The disk has lost or changed files of the bundle.
    Damaged {
        /// The reason.
        reason: String,
    },
    /// A file could not be read now.
    Unreadable {
        /// The reason.
        reason: String,
    },
}

/// The cost of a trial that was passed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct TrialFigures {
    /// Time from opening the bundle to its last golden input, in milliseconds.
    pub(crate) elapsed_ms: f64,
    /// The most memory that the process had at a time, in bytes.
    pub(crate) peak_memory_bytes: u64,
}

impl TrialAnswer {
    /// Returns the answer for an error of the trial.
    pub(super) fn from_error(error: &EncodeError) -> Self {
        let reason: String = error.to_string().chars().take(MAX_REASON_CHARS).collect();
        match error {
            EncodeError::Bundle(
                BundleError::Io { .. }
                | BundleError::LengthMismatch { .. }
                | BundleError::DigestMismatch { .. },
            ) => Self::Damaged { reason },
            EncodeError::Input(InputError::Io { .. }) => Self::Unreadable { reason },
            _ => Self::Refused { reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_survives_its_line_and_stays_short() {
        let passed = TrialAnswer::Passed(TrialFigures { elapsed_ms: 1.5, peak_memory_bytes: 1 << 40 });
        let refused = TrialAnswer::from_error(&EncodeError::Model("\u{1b}".repeat(5000)));
        for answer in [passed, refused] {
            let line = serde_json::to_string(&answer).unwrap();
            assert!(line.len() < 8000, "{} bytes", line.len());
            assert_eq!(serde_json::from_str::<TrialAnswer>(&line).unwrap(), answer);
        }
    }
}
