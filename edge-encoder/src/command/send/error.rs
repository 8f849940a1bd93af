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
    /// The answer does not match the request.
    #[error("cannot process the answer of the cloud-decoder: {0}")]
    UnexpectedAnswer(String),
    /// Measuring or drawing failed.
    #[error(transparent)]
    Quality(#[from] QualityError),
}
