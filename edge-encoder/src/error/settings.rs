use std::path::PathBuf;

/// A setting that is missing or invalid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The config file is invalid.
    #[error("{}: {reason}", path.display())]
    InvalidConfig {
        /// The file.
        path: PathBuf,
        /// The position and the reason.
        reason: String,
    },
    /// A required setting is missing.
    #[error("{what} is not configured: pass {flag}, set {env}, or write {key} = … in the config file")]
    MissingSetting {
        /// The setting.
        what: &'static str,
        /// The flag that sets it.
        flag: &'static str,
        /// The environment variable that sets it.
        env: &'static str,
        /// The key that sets it in the config file.
        key: &'static str,
    },
    /// A number in the config file is out of range.
    #[error("{key} = {found} in the config file is out of range: use {allowed}")]
    OutOfRange {
        /// The key.
        key: &'static str,
        /// The value.
        found: u8,
        /// The allowed range.
        allowed: &'static str,
    },
    /// The bundle does not support an option.
    #[error(
        "{option} applies to image codecs only, but the bundle {bundle:?} has a fixed-latent model: omit the option"
    )]
    UnsupportedOption {
        /// The option.
        option: &'static str,
        /// The name of the bundle.
        bundle: String,
    },
    /// A source that is a stream was configured for a bundle that takes tensors.
    #[error(
        "the bundle {bundle:?} takes tensors, which are read from .npy files: configure a folder as the source"
    )]
    TensorStream {
        /// The name of the bundle.
        bundle: String,
    },
    /// A setting has an invalid value.
    #[error("{0}")]
    Invalid(String),
}
