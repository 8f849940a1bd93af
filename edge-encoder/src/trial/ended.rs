use std::{os::unix::process::ExitStatusExt as _, process::ExitStatus};

use rustix::process::Signal;

use super::{
    answer::{TrialAnswer, TrialFigures},
    limits::TrialLimits,
};
use crate::UpdateError;

/// The exit status of a program that panics.
const PANIC_STATUS: i32 = 101;
/// Beginnings of the messages of the standard library, and of tract's tensors, about memory that the system refused.
const OUT_OF_MEMORY: [&str; 3] = ["memory allocation of ", "failed to allocate ", "!self.data.is_null()"];
/// The longest message of the child in a reason, in characters.
const MAX_MESSAGE_CHARS: usize = 500;
const BYTES_PER_MB: u64 = 1_000_000;

/// A child that has ended by itself.
#[derive(Debug)]
pub(super) struct EndedTrial {
    pub(super) status: ExitStatus,
    /// The beginning of its standard output.
    pub(super) stdout: Vec<u8>,
    /// The beginning of its standard error.
    pub(super) stderr: Vec<u8>,
}

impl EndedTrial {
    /// Returns the cost of a trial that was passed.
    ///
    /// # Errors
    /// The reason why the bundle is refused, or why the trial has to be repeated.
    pub(super) fn judge(&self, limits: &TrialLimits) -> Result<TrialFigures, UpdateError> {
        if !self.status.success() {
            return Err(self.judge_failure(limits));
        }
        let answer: TrialAnswer = serde_json::from_slice(&self.stdout)
            .map_err(|error| self.crash(format!("its answer cannot be read: {error}")))?;
        match answer {
            TrialAnswer::Passed(figures) if figures.peak_memory_bytes > limits.memory_bytes => {
                Err(out_of_memory(limits))
            }
            TrialAnswer::Passed(figures) => Ok(figures),
            TrialAnswer::Refused { reason } => Err(UpdateError::TrialFailed(reason)),
            TrialAnswer::Damaged { reason } => Err(UpdateError::DamagedFiles(reason)),
            TrialAnswer::Unreadable { reason } => Err(UpdateError::TrialNotRun(reason)),
        }
    }

    fn judge_failure(&self, limits: &TrialLimits) -> UpdateError {
        let message = self.message();
        match (self.status.code(), self.status.signal()) {
            _ if OUT_OF_MEMORY.iter().any(|text| message.contains(text)) => out_of_memory(limits),
            (_, Some(signal)) if signal == Signal::XCPU.as_raw() => timed_out(limits),
            (_, Some(signal)) if signal == Signal::KILL.as_raw() => self
                .crash("the system has killed it, probably because the machine ran out of memory".to_owned()),
            (_, Some(_)) | (Some(PANIC_STATUS), None) => self.crash(message),
            // The child itself has found that it cannot try anything.
            _ => UpdateError::TrialNotRun(format!("{}: {message}", self.status)),
        }
    }

    fn crash(&self, message: String) -> UpdateError {
        UpdateError::TrialCrashed { status: self.status.to_string(), message }
    }

    /// Returns the beginning of what the child has written to its standard error.
    fn message(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        let words: Vec<&str> = text.split_whitespace().collect();
        let message: String = words.join(" ").chars().take(MAX_MESSAGE_CHARS).collect();
        if message.is_empty() { "it gave no reason".to_owned() } else { message }
    }
}

/// Returns the error of a trial that takes too long.
pub(super) fn timed_out(limits: &TrialLimits) -> UpdateError {
    UpdateError::TrialTimedOut { seconds: limits.time.as_secs() }
}

fn out_of_memory(limits: &TrialLimits) -> UpdateError {
    UpdateError::TrialOutOfMemory { allowed_mb: limits.memory_bytes / BYTES_PER_MB }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: TrialLimits = TrialLimits { memory_bytes: 64_000_000, time: Duration::from_secs(9) };

    /// Returns the error of a child with this status of `wait` and these outputs.
    fn error(status: i32, stdout: &str, stderr: &str) -> UpdateError {
        let (stdout, stderr) = (stdout.into(), stderr.into());
        EndedTrial { status: ExitStatus::from_raw(status), stdout, stderr }.judge(&LIMITS).unwrap_err()
    }

    fn passed(peak_memory_bytes: u64) -> String {
        serde_json::to_string(&TrialAnswer::Passed(TrialFigures { elapsed_ms: 7.0, peak_memory_bytes }))
            .unwrap()
    }

    #[test]
    fn each_end_has_its_own_reason() {
        let exited = |code: i32| code << 8;
        let refused = r#"{"outcome": "refused", "reason": "no"}"#;
        assert!(matches!(error(0, refused, ""), UpdateError::TrialFailed(reason) if reason == "no"));
        let damaged = r#"{"outcome": "damaged", "reason": "no"}"#;
        assert!(matches!(error(0, damaged, ""), UpdateError::DamagedFiles(_)));
        let unreadable = r#"{"outcome": "unreadable", "reason": "no"}"#;
        assert!(matches!(error(0, unreadable, ""), UpdateError::TrialNotRun(_)));
        for stdout in ["", "{}", "passed", &passed(1)[..9]] {
            assert!(matches!(error(0, stdout, ""), UpdateError::TrialCrashed { .. }), "{stdout}");
        }
        let memory = "memory allocation of 17179869184 bytes failed";
        let tensor = "thread 'main' panicked at blob.rs:76:13:\nfailed to allocate Layout";
        for (status, stderr) in [(6, memory), (exited(101), tensor), (6, tensor)] {
            let error = error(status, "", stderr);
            assert!(matches!(error, UpdateError::TrialOutOfMemory { allowed_mb: 64 }), "{error}");
        }
        for (status, part) in [(11, "SIGSEGV"), (9, "SIGKILL"), (6, "SIGABRT"), (exited(101), "101")] {
            let error = error(status, &passed(1), "attempt to divide by zero");
            assert!(matches!(error, UpdateError::TrialCrashed { .. }), "{error}");
            assert!(error.to_string().contains(part), "{error}");
        }
        let processor = Signal::XCPU.as_raw();
        assert!(matches!(error(processor, "", ""), UpdateError::TrialTimedOut { seconds: 9 }));
        let refused = error(exited(1), "", "edge-encoder: its limits cannot be set");
        assert!(matches!(&refused, UpdateError::TrialNotRun(reason) if reason.contains("cannot be set")));
    }

    #[test]
    fn a_trial_that_needed_too_much_memory_is_not_passed() {
        let judge = |bytes| {
            let (stdout, stderr) = (passed(bytes).into_bytes(), Vec::new());
            EndedTrial { status: ExitStatus::from_raw(0), stdout, stderr }.judge(&LIMITS)
        };
        assert_eq!(judge(64_000_000).unwrap().peak_memory_bytes, 64_000_000);
        assert!(matches!(judge(64_000_001), Err(UpdateError::TrialOutOfMemory { .. })));
    }
}
