use std::path::PathBuf;

/// An error of a training run: its options, its files, and its loss.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The folder does not contain a training run.
    #[error("{} does not contain a training run: run `training train --run {}` first", run.display(), run.display())]
    NotFound {
        /// The folder.
        run: PathBuf,
    },
    /// A step needs a file that an earlier step writes.
    #[error("{} is missing: run `training {step}` first", path.display())]
    MissingStepOutput {
        /// The missing file.
        path: PathBuf,
        /// The subcommand that writes it.
        step: &'static str,
    },
    /// A checkpoint is missing, is damaged or belongs to another model.
    #[error("{}: {reason}", path.display())]
    UnreadableCheckpoint {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// A checkpoint cannot be written.
    #[error("{}: {reason}", path.display())]
    UnwritableCheckpoint {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// A resumed training was given other options than it was started with.
    #[error("{} was trained with {found}, not with {asked}: pass the same options or another --run", run.display())]
    OptionsMismatch {
        /// The folder.
        run: PathBuf,
        /// The options of the run.
        found: String,
        /// The options given.
        asked: String,
    },
    /// An option was given that has no effect on this kind of model.
    #[error("{option} has no effect on {mode}: omit it")]
    NotApplicable {
        /// The option, such as `--epochs`.
        option: String,
        /// The kind of model.
        mode: &'static str,
    },
    /// The wgpu backend was not compiled in.
    #[error("this build does not include the wgpu backend: build with `--features wgpu`")]
    WgpuNotCompiled,
    /// The loss of a training that counts epochs is not finite.
    #[error("the loss diverged in epoch {epoch}, step {step}: lower --learning-rate")]
    DivergedInEpoch {
        /// The epoch, from 1.
        epoch: usize,
        /// The step within the epoch, from 0.
        step: usize,
    },
    /// The loss of a training that counts only steps is not finite.
    #[error("the loss diverged in step {step}: lower --learning-rate")]
    DivergedAtStep {
        /// The step, from 0.
        step: usize,
    },
}
