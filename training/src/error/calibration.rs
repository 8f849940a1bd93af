/// An error of the search for quantisation steps.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CalibrationError {
    /// The frame budget cannot be met.
    #[error(
        "no quantisation step reaches frames of {target} bytes: the smallest mean is {smallest:.1} bytes; request larger \
         frames"
    )]
    FrameBudget {
        /// Requested mean size of a frame, in bytes.
        target: f64,
        /// Smallest mean size that was reached, in bytes.
        smallest: f64,
    },
    /// The budget per latent value cannot be met.
    #[error(
        "no quantisation step reaches {target} bits per value: the smallest mean is {smallest:.2} bits; request more bits"
    )]
    BitBudget {
        /// Requested mean number of bits per value.
        target: f64,
        /// Smallest mean that was reached, in bits per value.
        smallest: f64,
    },
    /// Latents and sensitivities do not match.
    #[error("these latents cannot be calibrated: {reason}")]
    InvalidLatents {
        /// The layer and the reason.
        reason: String,
    },
}
