use lopside_quality::QualityError;

/// An error of a request to decode, or of the comparison with its answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// A reference input was requested for a bundle without a head that uses it.
    #[error(
        "--with-input needs a head that scores, but the bundle {bundle:?} does not have one: omit the option"
    )]
    NoScoringHead {
        /// The name of the bundle.
        bundle: String,
    },
    /// The server did not answer in time.
    #[error(
        "the cloud-decoder did not decode {input} within the time limit of {seconds} s ({answer}): raise --timeout-seconds \
         (LOPSIDE_TIMEOUT_SECONDS, timeout_seconds in the config file), scale the image down, or use a server with a GPU"
    )]
    TimedOut {
        /// The input: its size, if it is an image.
        input: String,
        /// The time limit in seconds.
        seconds: f64,
        /// The server's answer, or that there was none.
        answer: String,
    },
    /// The answer does not match the request.
    #[error("cannot process the answer of the cloud-decoder: {0}")]
    UnexpectedAnswer(String),
    /// Measuring or drawing failed.
    #[error(transparent)]
    Quality(#[from] QualityError),
}
