//! A run over many inputs: it goes on after an input that fails, and ends with what was not processed and why.

use std::{io::ErrorKind, path::Path};

use lopside_encoder::{
    AnyEncoder, EncodeError,
    source::{EncoderInput, InputListing, NamedFile, NamedInput, SkippedEntry},
};
use lopside_telemetry::printable::escape;
use serde::Serialize;

use crate::{ConnectionError, EdgeError};

/// Maximum number of skipped entries, and of warnings, that are shown to people. Failures are all shown.
const MAX_SHOWN: usize = 20;
/// Codes of answers that all further inputs would get as well.
const LASTING_CODES: [&str; 5] =
    ["Unavailable", "Unauthenticated", "PermissionDenied", "NotFound", "Unimplemented"];

/// An input, and something to say about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    /// The file.
    input: String,
    reason: String,
}

/// The inputs that a run has not processed, and what is unusual about the others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct BatchReport {
    /// The inputs that failed.
    failed: Vec<Finding>,
    /// The entries of folders that are not inputs.
    skipped: Vec<Finding>,
    /// Unusual properties of inputs that were processed.
    warnings: Vec<Finding>,
    /// Number of files that were not read, because the run ended early.
    not_read: usize,
}

impl BatchReport {
    /// Begins a run over the files of a listing.
    pub(super) fn new(listing: &InputListing) -> Self {
        let skipped = listing.skipped.iter();
        let skipped = skipped.map(|SkippedEntry { path, reason }| finding(path, reason));
        Self { skipped: skipped.collect(), not_read: listing.files.len(), ..Self::default() }
    }

    /// Counts a file as read.
    pub(super) fn begin_file(&mut self) {
        self.not_read = self.not_read.saturating_sub(1);
    }

    /// Records that an input failed.
    ///
    /// # Errors
    /// The error itself, if all further inputs would fail as well.
    pub(super) fn record_failure(&mut self, file: &NamedFile, error: EdgeError) -> Result<(), EdgeError> {
        if ends_run(&error) {
            return Err(error);
        }
        self.failed.push(finding(&file.path, &error.to_string()));
        Ok(())
    }

    /// Records what is unusual about an input that was processed.
    pub(super) fn record_warnings(&mut self, encoder: &AnyEncoder, file: &NamedFile, input: &NamedInput) {
        let mut reasons: Vec<String> = input.notes.warnings.iter().map(ToString::to_string).collect();
        if input.notes.damaged {
            reasons.push("the image is damaged or cut off; what could be read of it was encoded".into());
        }
        if let EncoderInput::Image(image) = &input.input
            && let Some((width, height)) = encoder.drastic_reduction(image)
        {
            let (image_width, image_height, bundle) = (image.width(), image.height(), encoder.name());
            reasons.push(format!(
                "the image of {image_width}×{image_height} pixels was reduced to the {width}×{height} pixels of the bundle \
                 {bundle:?}: check --bundle"
            ));
        }
        self.warnings.extend(reasons.iter().map(|reason| finding(&file.path, reason)));
    }

    /// Records that an image was sent in another size than its own, as width and height.
    #[cfg(feature = "send")]
    pub(super) fn record_size(&mut self, file: &NamedFile, original: (u32, u32), sent: (u32, u32)) {
        if original != sent {
            let ((width, height), (sent_width, sent_height)) = (original, sent);
            let reason = format!(
                "the image of {width}×{height} pixels was scaled to {sent_width}×{sent_height}, the largest that the cloud \
                 decodes"
            );
            self.warnings.push(finding(&file.path, &reason));
        }
    }

    /// Prints the lists to stderr, for people; a single failure of a run is its error, and not listed.
    pub(super) fn print(&self, processed: u64) {
        print_findings("skipped", &self.skipped, MAX_SHOWN);
        print_findings("warning:", &self.warnings, MAX_SHOWN);
        if self.failed.len() > 1 || processed > 0 || self.not_read > 0 {
            print_findings("failed", &self.failed, usize::MAX);
        }
        if self.not_read > 0 {
            eprintln!("files that were not read, because the run ended early: {}", self.not_read);
        }
    }

    /// Returns the result of a run that has gone through all inputs.
    ///
    /// # Errors
    /// [`EdgeError::FailedInputs`] if inputs failed.
    pub(super) fn result(&self, processed: u64) -> Result<(), EdgeError> {
        let Some(Finding { input, reason }) = self.failed.first() else { return Ok(()) };
        let (failed, reason) = (self.failed.len(), format!("{input}: {reason}"));
        Err(EdgeError::FailedInputs { failed, processed, reason })
    }
}

fn finding(path: &Path, reason: &str) -> Finding {
    let input = path.display().to_string();
    // Errors of files begin with their path.
    let reason = reason.strip_prefix(&format!("{input}: ")).unwrap_or(reason).to_owned();
    Finding { input, reason }
}

fn print_findings(label: &str, findings: &[Finding], max_shown: usize) {
    for Finding { input, reason } in findings.iter().take(max_shown) {
        eprintln!("{}", escape(&format!("{label} {input}: {reason}")));
    }
    if let Some(more) = findings.len().checked_sub(max_shown).filter(|more| *more > 0) {
        eprintln!("{label} and {more} more; --json lists all of them");
    }
}

/// Returns whether an error does not come from an input: all further ones would fail as well.
fn ends_run(error: &EdgeError) -> bool {
    match error {
        EdgeError::Encode(error) => {
            matches!(error, EncodeError::LayerCount { .. } | EncodeError::WrongInputKind { .. })
        }
        // The name of one output is too long, or that of a folder.
        EdgeError::Io { source, .. } => !matches!(
            source.kind(),
            ErrorKind::InvalidFilename | ErrorKind::IsADirectory | ErrorKind::NotADirectory
        ),
        EdgeError::Connection(ConnectionError::Remote { code, .. }) => LASTING_CODES.contains(&code.as_str()),
        #[cfg(feature = "send")]
        EdgeError::Send(_) => false,
        other => !matches!(
            other,
            EdgeError::Overwrites { .. } | EdgeError::InvalidFile { .. } | EdgeError::TooLargeForCloud { .. }
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use lopside_encoder::InputError;

    use super::*;

    fn file(path: &str) -> NamedFile {
        NamedFile { path: path.into(), name: path.into() }
    }

    fn unreadable(path: &str) -> EdgeError {
        InputError::InvalidFile { path: path.into(), reason: "it is odd".into() }.into()
    }

    #[test]
    fn a_run_goes_on_after_an_input_and_ends_with_its_failures() {
        let listing = InputListing {
            files: ["a.png", "b.png", "c.png"].map(file).to_vec(),
            skipped: vec![SkippedEntry { path: "notes.txt".into(), reason: "no image".into() }],
        };
        let mut report = BatchReport::new(&listing);
        assert!(report.result(0).is_ok());
        for file in &listing.files[..2] {
            report.begin_file();
            report.record_failure(file, unreadable(file.path.to_str().unwrap())).unwrap();
        }
        assert_eq!(report.not_read, 1);
        let expected = Finding { input: "b.png".into(), reason: "it is odd".into() };
        assert_eq!(report.failed[1], expected);
        let error = report.result(7).unwrap_err();
        assert_eq!(error.exit_status(), 3);
        assert!(
            error.to_string().contains("2 inputs failed") && error.to_string().contains("7 were"),
            "{error}"
        );
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["skipped"][0]["input"], "notes.txt");
    }

    #[test]
    fn a_single_failure_is_the_error_of_the_run() {
        let mut report = BatchReport::default();
        report.record_failure(&file("a.png"), unreadable("a.png")).unwrap();
        assert_eq!(report.result(0).unwrap_err().to_string(), "a.png: it is odd");
    }

    #[test]
    fn a_run_ends_with_an_error_that_all_inputs_would_have() {
        let io = |kind: ErrorKind| EdgeError::Io { path: "out".into(), source: io::Error::from(kind) };
        let remote = |code: &str| {
            EdgeError::from(ConnectionError::Remote { code: code.into(), message: String::new() })
        };
        for lasting in [
            io(ErrorKind::StorageFull),
            io(ErrorKind::PermissionDenied),
            remote("Unavailable"),
            EdgeError::Stdout(ErrorKind::BrokenPipe.into()),
            EncodeError::LayerCount { found: 7, layers: 3 }.into(),
        ] {
            let text = lasting.to_string();
            let mut report = BatchReport::default();
            assert_eq!(report.record_failure(&file("a"), lasting).unwrap_err().to_string(), text);
            assert!(report.failed.is_empty(), "{text}");
        }
        for passing in [io(ErrorKind::InvalidFilename), remote("InvalidArgument"), unreadable("a")] {
            assert!(BatchReport::default().record_failure(&file("a"), passing).is_ok());
        }
    }
}
