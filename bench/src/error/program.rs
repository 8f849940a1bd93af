use std::io;

/// An error of a program that a bench runs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    /// An environment variable does not name the program.
    #[error("{variable} is not set: start the bench with `cargo xtask bench`")]
    NotNamed {
        /// The environment variable.
        variable: String,
    },
    /// The program could not be started.
    #[error("{program} could not be started: {source}")]
    Start {
        /// The program.
        program: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// The output of the program cannot be read.
    #[error("the standard output of {program} cannot be read: {reason}")]
    Output {
        /// The program.
        program: &'static str,
        /// The reason.
        reason: String,
    },
    /// The state of the program cannot be read.
    #[error("the state of {program} cannot be read: {source}")]
    State {
        /// The program.
        program: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// The program ended too early.
    #[error("{program} ended {circumstance}; its log: {log}")]
    Ended {
        /// The program.
        program: &'static str,
        /// The status or the time of the end.
        circumstance: String,
        /// The log of the program.
        log: String,
    },
    /// The program did not reach a state in time.
    #[error("timeout while waiting for: {condition}; the agent's status:\n{status}")]
    Timeout {
        /// The expected state.
        condition: String,
        /// The status report of the agent.
        status: String,
    },
    /// A figure of the process is missing in `/proc`.
    #[error("{path} does not contain a number after `{name}`")]
    MissingFigure {
        /// The file.
        path: String,
        /// The name of the figure.
        name: String,
    },
}
